# SPDX-License-Identifier: GPL-2.0-or-later
"""mptcp_run's --enable, --disable and --list: what is written, asked of systemd, and said."""

from __future__ import annotations

import os
from argparse import Namespace
from collections.abc import Callable
from pathlib import Path

import pytest

from mptcp_hooks.base.errors import FAILED, USAGE, Problem
from mptcp_hooks.base.spawn import Outcome
from mptcp_hooks.force.means import Library, Means
from mptcp_hooks.force.program import Program
from mptcp_hooks.run import dropins, pins, systemd, units
from mptcp_hooks.run.systemd import Unit
from tests.unit.forced_programs import ALL, DYNAMIC, GO_1_21, LIBRARY, STATIC

WEB = Unit("web.service", "loaded", ("/usr/bin/web",), {}, (), (), (), "")
PROGRAMS = {"/usr/bin/web": DYNAMIC, "/usr/bin/static": STATIC, "/usr/bin/go": GO_1_21}
SAID = "from its next start on (systemctl restart web.service)"


class System:
    """A systemd with one service, whose drop-ins have an effect once it reads them again."""

    def __init__(self, folder: Path) -> None:
        self.unit = WEB
        self.means = ALL
        self.reloads = 0
        self.released: list[str] = []
        self.drop_in = folder / "web.service.d/mptcp-hooks.conf"
        self.overridden: dict[str, str] = {}

    def ask_unit(self, name: str) -> Unit:
        assert name.removesuffix(".service") == "web"
        text = self.drop_in.read_text() if self.drop_in.exists() else ""
        told = [line.partition("=")[2].strip('"') for line in text.splitlines()
                if line.startswith("Environment=")]
        set_ = {name: value for name, _, value in (one.partition("=") for one in told)}
        return self.unit._replace(environment=self.unit.environment | set_ | self.overridden)

    def reload_units(self) -> None:
        self.reloads += 1

    def find_program(self, path: str, environment: dict[bytes, bytes]) -> Program:
        assert environment[b"PATH"].startswith(b"/usr/local/sbin:")
        return PROGRAMS[path]

    def read_means(self) -> Means:
        return self.means


@pytest.fixture
def system(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> System:
    made = System(tmp_path)
    for name in ("ask_unit", "reload_units", "find_program", "read_means"):
        monkeypatch.setattr(units, name, getattr(made, name))
    monkeypatch.setattr(dropins, "FOLDER", str(tmp_path))
    monkeypatch.setattr(pins, "release", made.released.append)
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    return made


def change(enable: str | None = None, disable: str | None = None, method: str = "auto") -> int:
    return units.change_units("mptcp_run", Namespace(
        list=enable is disable is None, enable=enable and enable.split(" "),
        disable=disable and disable.split(" "), method=method))


def read_settings(system: System) -> list[str]:
    """What a drop-in has systemd do, and the methods that it is for."""
    return [line for line in system.drop_in.read_text().splitlines()
            if line and line[0] not in "#["]


def test_a_service_is_enabled(system: System, capsys: pytest.CaptureFixture[str]) -> None:
    assert change(enable="web") == 0
    assert read_settings(system) == ["Method=mptcpize", f'Environment="LD_PRELOAD={LIBRARY}"']
    assert (system.reloads, system.released) == (1, ["web.service"])
    assert capsys.readouterr() == (f"web.service: mptcpize, {SAID}\n", "")


def test_a_service_of_several_programs_has_the_methods_of_all(
    system: System, capsys: pytest.CaptureFixture[str]
) -> None:
    system.unit = WEB._replace(
        programs=("/usr/bin/web", "/usr/bin/static", "/usr/bin/go", "/usr/bin/web"),
        environment={"GODEBUG": "gctrace=1", "LD_PRELOAD": LIBRARY, "HOME": "/"})
    assert change(enable="web.service") == 0
    first, *variables, start, end = read_settings(system)
    assert first == "Method=mptcpize bpf godebug"
    # What it has already stays.
    assert variables == [f'Environment="LD_PRELOAD={LIBRARY}"',
                         'Environment="GODEBUG=gctrace=1,multipathtcp=1"']
    assert start.startswith("ExecStartPre=-+") and end.startswith("ExecStopPost=-+")
    # What bpf holds goes with its own hook.
    assert system.released == []
    assert capsys.readouterr().out == f"web.service: mptcpize, bpf, godebug, {SAID}\n"


def test_enabling_again_begins_with_what_the_vendor_says(system: System) -> None:
    """Not with what we added to it."""
    dropins.save("web.service", dropins.write_text(["mptcpize"], {"LD_PRELOAD": "/old.so"}))
    assert change(enable="web") == 0
    assert read_settings(system)[1] == f'Environment="LD_PRELOAD={LIBRARY}"'
    assert system.reloads == 2


@pytest.mark.parametrize("option", ["enable", "disable"])
def test_a_drop_in_of_an_administrators_stays_as_it_is(system: System, option: str) -> None:
    dropins.save("web.service", "[Service]\nNice=5\n")
    before = system.drop_in.stat().st_ino
    with pytest.raises(Problem, match="is not of mptcp_run's making, and stays as it is$"):
        change(**{option: "web"})
    assert system.drop_in.stat().st_ino == before and (system.reloads, system.released) == (0, [])


@pytest.mark.parametrize("enabled", [True, False])
def test_what_cannot_be_enabled_stays_as_it_was(system: System, enabled: bool) -> None:
    text = dropins.write_text(["mptcpize"], {"LD_PRELOAD": "/old.so"})
    if enabled:
        dropins.save("web.service", text)
    system.means = Means("", (), "it needs root")
    with pytest.raises(Problem, match="^web.service: nothing can force it: ") as raised:
        change(enable="web")
    assert raised.value.status == FAILED
    assert dropins.read("web.service") == text * enabled
    assert (system.reloads, system.released) == (2 * enabled, [])


@pytest.mark.parametrize("content", ["LD_PRELOAD=/theirs.so\n", "A=1\n  LD_PRELOAD =x"])
def test_a_variable_that_comes_from_a_file_cannot_be_added_to(
    content: str, system: System, tmp_path: Path
) -> None:
    (tmp_path / "web.env").write_text(content)
    system.unit = WEB._replace(environment_files=("/nowhere/*", f"{tmp_path}/*.env"))
    with pytest.raises(Problem) as raised:
        change(enable="web")
    assert str(raised.value) == (
        f"web.service: {tmp_path}/web.env sets LD_PRELOAD, which a drop-in cannot add to: add "
        f"{LIBRARY} there")


@pytest.mark.parametrize("content", ["# LD_PRELOAD=x\nMY_LD_PRELOAD=x\n", ""])
def test_a_file_with_other_variables_does_no_harm(
    content: str, system: System, tmp_path: Path
) -> None:
    (tmp_path / "web.env").write_text(content)
    system.unit = WEB._replace(environment_files=(f"{tmp_path}/web.env", f"{tmp_path}"))
    assert change(enable="web") == 0


@pytest.mark.parametrize(("unit", "means", "overridden", "words"), [
    (WEB, ALL._replace(disabled="net.mptcp.enabled is 0"), {},
     "its sockets will fail: net.mptcp.enabled is 0"),
    (WEB, ALL, {"LD_PRELOAD": "/theirs.so"},
     "another drop-in, or UnsetEnvironment=, takes LD_PRELOAD away again (systemctl cat "
     "web.service)"),
    (WEB._replace(unset=("LD_PRELOAD",)), ALL, {},
     "another drop-in, or UnsetEnvironment=, takes LD_PRELOAD away again (systemctl cat "
     "web.service)"),
    (WEB._replace(sockets=("web.socket",)), ALL, {},
     "systemd listens for it by web.socket: if that is TCP, it stays so, see SocketProtocol= in "
     "systemd.socket(5), from systemd 257 on"),
])
def test_what_may_keep_an_enabled_service_from_it_is_said(
    unit: Unit, means: Means, overridden: dict[str, str], words: str, system: System,
    capsys: pytest.CaptureFixture[str],
) -> None:
    system.unit, system.means, system.overridden = unit, means, overridden
    assert change(enable="web") == 0
    assert capsys.readouterr().err == f"mptcp_run: web.service: {words}\n"


def test_a_method_that_does_nothing_for_a_service_is_said(
    system: System, capsys: pytest.CaptureFixture[str]
) -> None:
    system.unit = WEB._replace(programs=("/usr/bin/static",))
    system.means = Means("", (Library(LIBRARY, ALL.libraries[0].platform),), "")
    assert change(enable="web", method="mptcpize") == 0
    assert capsys.readouterr().err == (
        "mptcp_run: web.service: mptcpize does nothing where /usr/bin/it is static\n")


def test_a_service_is_disabled(system: System, capsys: pytest.CaptureFixture[str]) -> None:
    change(enable="web")
    capsys.readouterr()
    assert change(disable="web") == 0
    assert not system.drop_in.parent.exists()
    assert system.reloads == 2
    assert capsys.readouterr() == (f"web.service: as it was, {SAID}\n", "")
    assert change(disable="web") == 0
    assert capsys.readouterr() == ("", "mptcp_run: web.service: was not enabled\n")
    assert (system.reloads, system.released) == (2, ["web.service"] * 3)


def test_a_service_that_is_gone_can_be_disabled_once(system: System) -> None:
    """Its package was removed, and our drop-in is all that is left."""
    dropins.save("web.service", dropins.write_text(["mptcpize"], {}))
    system.unit = WEB._replace(state="not-found", programs=())
    assert change(disable="web") == 0
    for changed in ({"disable": "web"}, {"enable": "web"}):
        with pytest.raises(Problem, match="^web.service: systemd knows no such unit$") as raised:
            change(**changed)
        assert raised.value.status == USAGE


def test_the_list_is_a_table_and_needs_no_rights(
    system: System, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    assert change() == 0 and capsys.readouterr() == ("", "")
    for unit, methods in (("web.service", ["mptcpize"]), ("a@.service", ["bpf", "godebug"])):
        dropins.save(unit, dropins.write_text(methods, {}))
    assert change() == 0
    assert capsys.readouterr() == ("a@.service   bpf godebug\nweb.service  mptcpize\n", "")


@pytest.mark.parametrize("changed", [{"enable": "web"}, {"disable": "web"}])
def test_a_change_takes_root(
    changed: dict[str, str], system: System, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    with pytest.raises(Problem, match="^must be root$"):
        change(**changed)


@pytest.mark.parametrize("ask", [systemd.reload_units, lambda: systemd.ask_unit("web")])
def test_what_systemctl_refuses_is_told_in_its_words(
    ask: Callable[[], object], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(systemd, "BOOTED", "/")
    monkeypatch.setattr(systemd, "run_program", lambda program, arguments, at_most: Outcome(
        1, "", "System has not been booted with systemd as init system\nCan't operate.\n"))
    with pytest.raises(Problem) as raised:
        ask()
    assert str(raised.value).partition(" failed: ")[2] == (
        "System has not been booted with systemd as init system Can't operate.")
