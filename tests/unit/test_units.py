# SPDX-License-Identifier: GPL-2.0-or-later
"""Services: what systemctl tells of them, and the drop-ins that come of it."""

from __future__ import annotations

import errno
import os
import shlex
import subprocess
from pathlib import Path
from typing import Any

import pytest

from mptcp_hooks.base.errors import USAGE, Problem
from mptcp_hooks.base.spawn import Outcome
from mptcp_hooks.force.means import Means
from mptcp_hooks.force.methods import BPF, MPTCPIZE
from mptcp_hooks.run import dropins, systemd, units
from mptcp_hooks.run.systemd import Unit, ask_unit, name_for_restart

SHOWN = """\
Id=ssh.service
LoadState=loaded
Environment=GODEBUG=gctrace=1 "A=b c" EMPTY=
EnvironmentFiles=/etc/default/ssh (ignore_errors=yes)
EnvironmentFiles=/etc/my (file) (ignore_errors=no)
TriggeredBy=ssh.socket ssh.path
RootDirectory=
RootImage=
UnsetEnvironment=LC_ALL "A=b c"
"""
# What a program is called with may be of several lines.
COMMANDS = """\
{ path=/usr/sbin/sshd ; argv[]=/usr/sbin/sshd -D $SSHD_OPTS ; ignore_errors=no ; pid=0 }
{ path=/bin/true ; argv[]=/bin/true ; path=x
Environment=LD_PRELOAD=evil ; ignore_errors=no ; pid=0 }
"""


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, ...]]:
    """What systemctl is asked, to which it answers the above."""
    calls: list[tuple[str, ...]] = []

    def run(program: str, arguments: tuple[str, ...], at_most: float) -> Outcome:
        calls.append((program, *arguments))
        return Outcome(0, COMMANDS if "--property=ExecStart" in arguments else SHOWN, "")

    monkeypatch.setattr(systemd, "run_program", run)
    monkeypatch.setattr(systemd, "BOOTED", "/")
    return calls


def test_what_systemctl_tells(asked: list[tuple[str, ...]]) -> None:
    unit = ask_unit("sshd")
    assert unit == Unit(
        "ssh.service", "loaded", ("/usr/sbin/sshd", "/bin/true"),
        {"GODEBUG": "gctrace=1", "A": "b c", "EMPTY": ""},
        ("/etc/default/ssh", "/etc/my (file)"), ("LC_ALL", "A"), ("ssh.socket",), "")
    assert {call[-1] for call in asked} == {"sshd.service"}


@pytest.mark.parametrize("name", [
    "php8.2-fpm", "openvpn-client@my.vpn", "org.example.Mount", "ssh.service.d", "a.mount.x",
])
def test_a_dot_is_no_suffix(name: str, asked: list[tuple[str, ...]]) -> None:
    """Where it ends in no kind of unit, as systemctl(1) takes it."""
    ask_unit(name)
    assert {call[-1] for call in asked} == {f"{name}.service"}


def test_what_is_restarted() -> None:
    assert name_for_restart("ssh.service") == "ssh.service"
    assert name_for_restart("ssh@.service") == "ssh@INSTANCE.service"
    assert name_for_restart(r"a\x2db.service") == r"'a\x2db.service'"


@pytest.mark.parametrize(("change", "words"), [
    ({"state": "masked"}, "a.service: systemd has not loaded it, it is masked"),
    ({"root": "/srv"}, "a.service: its programs are in /srv"),
    ({"programs": ()}, "a.service: it starts no program"),
    ({"programs": ("/nowhere/it",)}, "a.service: /nowhere/it: command not found"),
])
def test_units_that_cannot_be_forced(change: dict[str, Any], words: str) -> None:
    unit = Unit("a.service", "loaded", ("/bin/sh",), {}, (), (), (), "")._replace(**change)
    with pytest.raises(Problem, match=f"^{words}"):
        units._plan(unit, "auto")


def test_without_systemd_it_says_what_it_needs(
    asked: list[tuple[str, ...]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(systemd, "BOOTED", "/nowhere")
    with pytest.raises(Problem, match="^this needs systemd, .* start its program by mptcp_run$"):
        ask_unit("web")
    assert asked == []


def test_a_unit_that_no_method_fits(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(units, "read_means", lambda: Means("", (), "it needs root"))
    unit = Unit("a.service", "loaded", ("/bin/sh",), {}, (), (), (), "")
    with pytest.raises(Problem, match="^a.service: nothing can force it: .*apt install mptcpize"):
        units._plan(unit, "auto")


def test_a_template_is_asked_about_as_an_instance(asked: list[tuple[str, ...]]) -> None:
    assert ask_unit("ssh@.service").name == "ssh@.service"
    assert asked[0][-2:] == ("--", "ssh@mptcp.service")


@pytest.mark.parametrize("name", [
    "", "ssh.socket", "srv.automount", "a@b.timer", "../ssh", "/etc/ssh.service", "a b", "a\nb",
    "-x.service/", ".service",
    "\N{LATIN SMALL LETTER U WITH DIAERESIS}",
])
def test_what_is_no_service(name: str, asked: list[tuple[str, ...]]) -> None:
    with pytest.raises(Problem, match="it must be the name of a service") as raised:
        ask_unit(name)
    assert raised.value.status == USAGE and not asked


@pytest.mark.parametrize("value", [
    "/usr/lib/x.so", "a=b,c=d", 'quo"te', "back\\slash", "100%", "a b", "$HOME", "end\\",
])
def test_values_as_systemd_reads_them(value: str) -> None:
    """Quoted, with specifiers taken apart; shlex quotes as systemd.syntax(7) does here."""
    text = dropins.write_text([MPTCPIZE], {"LD_PRELOAD": value})
    (line,) = [line for line in text.splitlines() if line.startswith("Environment=")]
    (word,) = shlex.split(line.removeprefix("Environment="))
    assert word.replace("%%", "%") == f"LD_PRELOAD={value}"
    assert "%" not in word.replace("%%", "")


def test_a_drop_in_of_bpf_has_no_variable() -> None:
    text = dropins.write_text([BPF], {})
    assert "Environment" not in text and "Method=bpf\n" in text
    assert text.count("=-+") == 2 and text.count("/hooks/unit ") == 2


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(dropins, "FOLDER", str(tmp_path))
    return tmp_path


@pytest.mark.parametrize("mask", [0o022, 0o077])
def test_everybody_may_read_a_drop_in(folder: Path, mask: int) -> None:
    """--list needs no rights."""
    text = dropins.write_text([BPF], {})
    old = os.umask(mask)
    try:
        dropins.save("a.service", text)
    finally:
        os.umask(old)
    path = folder / "a.service.d/mptcp-hooks.conf"
    assert (path.stat().st_mode & 0o777, path.parent.stat().st_mode & 0o777) == (0o644, 0o755)
    assert os.listdir(path.parent) == [path.name] and dropins.read("a.service") == text


def test_a_drop_in_that_is_not_there_is_empty_and_one_that_is_no_file_is_a_problem(
    folder: Path
) -> None:
    assert dropins.read("a.service") == ""
    (folder / "b.service.d/mptcp-hooks.conf").mkdir(parents=True)
    with pytest.raises(Problem, match="^cannot read .*: Is a directory$"):
        dropins.read("b.service")


def test_drop_ins_come_and_go(folder: Path) -> None:
    (folder / "a.service.d").mkdir()
    (folder / "a.service.d/override.conf").write_text("theirs")
    (folder / "c.service.d").mkdir()
    (folder / "c.service.d/mptcp-hooks.conf").write_text("?")
    for unit in ("b.service", "a.service"):
        dropins.save(unit, dropins.write_text([MPTCPIZE, BPF], {"LD_PRELOAD": "x"}))
    assert dropins.list_all() == {"a.service": "mptcpize bpf", "b.service": "mptcpize bpf",
                                  "c.service": "not of mptcp_run's making"}
    assert [dropins.remove(unit) for unit in ("a.service", "b.service", "d.service")] == [
        True, True, False]
    assert sorted(path.name for path in folder.rglob("*")) == [
        "a.service.d", "c.service.d", "mptcp-hooks.conf", "override.conf"]


@pytest.mark.parametrize("text", ["", "[Service]\nMethod=mptcpize\n", "# [X-mptcp-hooks]\n"])
def test_what_mptcp_run_did_not_make_is_neither_taken_for_its_own_nor_removed(
    folder: Path, text: str
) -> None:
    path = folder / "a.service.d/mptcp-hooks.conf"
    path.parent.mkdir()
    path.write_text(text)
    for use in (dropins.read, dropins.remove):
        with pytest.raises(Problem, match=f"^{path} is not of mptcp_run's making, and stays"):
            use("a.service")
    assert dropins.list_all() == {"a.service": "not of mptcp_run's making"}
    assert path.read_text() == text


def test_what_cannot_be_written_is_a_problem(folder: Path) -> None:
    (folder / "a.service.d").write_text("a file")
    with pytest.raises(Problem, match="^cannot write .*: "):
        dropins.save("a.service", "")
    subprocess.run(["mkdir", "-p", folder / "b.service.d/mptcp-hooks.conf"], check=True)
    with pytest.raises(Problem, match="^cannot read .*: Is a directory"):
        dropins.remove("b.service")


def test_what_cannot_be_removed_is_a_problem(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A file that root cannot remove, on a read-only file system or marked as immutable."""
    def refuse(path: str) -> None:
        raise PermissionError(errno.EPERM, os.strerror(errno.EPERM), path)

    dropins.save("a.service", dropins.write_text([BPF], {}))
    monkeypatch.setattr(os, "unlink", refuse)
    with pytest.raises(Problem, match="^cannot remove .*: Operation not permitted$"):
        dropins.remove("a.service")
