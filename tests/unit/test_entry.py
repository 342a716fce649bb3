# SPDX-License-Identifier: GPL-2.0-or-later
"""How commands end: their status, and the one line that says why."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest

from mptcp_hooks import __version__
from mptcp_hooks.base.entry import main, make_parser
from mptcp_hooks.base.errors import FAILED, USAGE, Problem
from tests.unit.help import ROOT

UNIT_HOOK = str(ROOT / "hooks/unit")
SCRIPT = f"""
import sys
sys.path.insert(0, {str(ROOT)!r})
from mptcp_hooks.base.entry import main, make_parser
from mptcp_hooks.base.errors import Problem

def run():
    {{body}}

main(run, "it")
"""
PRINT = "print('line'); return 0"
PRINT_MUCH = "print('line\\n' * 100000); return 0"
HELP = "sys.argv[1:] = ['--help']; make_parser('it', 'A sentence.').parse_args()"
REFUSE = "raise Problem('eth0: it is wrong', 2)"


def start(body: str, redirection: str) -> subprocess.CompletedProcess[str]:
    """Run a command of that body by a shell, which says where its output goes."""
    return subprocess.run(
        ["sh", "-c", f'exec "$@" {redirection}', "sh", "/usr/bin/python3", "-Ic",
         SCRIPT.format(body=body)],
        capture_output=True, text=True, stdin=subprocess.DEVNULL)


@contextmanager
def closed_pipe() -> Iterator[int]:
    """The end of a pipe that nobody reads."""
    reading, writing = os.pipe()
    os.close(reading)
    try:
        yield writing
    finally:
        os.close(writing)


def end(run: Callable[[], int], program: str = "") -> object:
    """The status that a command ends with here."""
    output = sys.stdout
    try:
        with pytest.raises(SystemExit) as raised:
            main(run, program)
    finally:
        sys.stdout = output
    return raised.value.code


@pytest.mark.parametrize("body", [PRINT, PRINT_MUCH, HELP, f"print('line'); {REFUSE}"])
def test_output_that_has_no_room_is_said_once(body: str) -> None:
    done = start(body, ">/dev/full")
    *others, last = done.stderr.splitlines()
    assert (done.returncode, last) == (FAILED, "it: cannot write: No space left on device")
    assert others == ["it: eth0: it is wrong"] * (REFUSE in body)


@pytest.mark.parametrize("body", [PRINT, PRINT_MUCH, HELP])
def test_output_that_nobody_reads_is_said_once(body: str) -> None:
    with closed_pipe() as writing:
        done = subprocess.run(["/usr/bin/python3", "-Ic", SCRIPT.format(body=body)],
                              stdout=writing, stderr=subprocess.PIPE, text=True)
    assert (done.returncode, done.stderr) == (FAILED, "it: cannot write: Broken pipe\n")


@pytest.mark.parametrize("body", [PRINT, PRINT_MUCH])
def test_output_that_the_caller_closed_is_nobodys(body: str) -> None:
    done = start(body, ">&-")
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.parametrize("redirection", ["2>&-", "2>/dev/full", ">&- 2>&-", ">/dev/full 2>&-"])
def test_the_status_tells_where_no_line_can(redirection: str) -> None:
    done = start(REFUSE, redirection)
    assert (done.returncode, done.stdout, done.stderr) == (USAGE, "", "")


def test_a_problem_is_one_line_and_its_status(capsys: pytest.CaptureFixture[str]) -> None:
    def refuse() -> int:
        raise Problem("eth0: it is\n wrong", 7)

    assert end(refuse, "it") == 7
    assert capsys.readouterr() == ("", "it: eth0: it is wrong\n")


def test_a_command_is_called_as_the_caller_did(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse() -> int:
        raise Problem("must be root")

    monkeypatch.setattr("sys.argv", ["/usr/sbin/mptcp_monitor", "-v"])
    assert end(refuse) == FAILED
    assert capsys.readouterr().err == "mptcp_monitor: must be root\n"


def test_a_file_that_cannot_be_read_is_no_output(capsys: pytest.CaptureFixture[str]) -> None:
    """It was told as output that cannot be written."""
    def read() -> int:
        print("half")
        return len(os.listdir("/nowhere/at/all"))

    assert end(read, "it") == FAILED
    output, errors = capsys.readouterr()
    assert output == "half\n"
    assert errors.startswith(f"it: unexpected FileNotFoundError at {__file__}:")
    assert errors.endswith("'/nowhere/at/all' (please report it)\n") and errors.count("\n") == 1


def test_an_interrupt_ends_as_a_shell_says_it(capsys: pytest.CaptureFixture[str]) -> None:
    def interrupt() -> int:
        raise KeyboardInterrupt

    assert end(interrupt) == 130
    assert capsys.readouterr() == ("", "")


@pytest.mark.parametrize("status", [0, 1, 125])
def test_a_status_is_passed_on(status: int) -> None:
    assert end(lambda: status) == status


@pytest.mark.parametrize(("argument", "status"), [("--version", 0), ("--nosuch", USAGE)])
def test_what_the_parser_ends_keeps_its_status(
    argument: str, status: int, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sys.argv", ["it", argument])

    def parse() -> int:
        return len(vars(make_parser("it", "A sentence.").parse_args()))

    assert end(parse) == status
    output, errors = capsys.readouterr()
    assert output == f"it {__version__}\n" * (status == 0)
    assert ("it: error: unrecognized arguments: --nosuch\n" in errors) == (status == USAGE)


def test_options_are_written_out(capsys: pytest.CaptureFixture[str]) -> None:
    parser = make_parser("it", "A sentence.", usage="it [OPTION...]")
    with pytest.raises(SystemExit):
        parser.parse_args(["--vers"])
    assert capsys.readouterr().err == (
        "usage: it [OPTION...]\n"
        "it: error: unrecognized arguments: --vers (did you mean --version?)\n")


@pytest.mark.parametrize("redirection", ["", "2>&-", ">&- 2>&-"])
def test_a_unit_hook_names_its_unit(redirection: str) -> None:
    done = subprocess.run(
        ["sh", "-c", f'exec "$@" {redirection}', "sh", "/usr/bin/python3", "-IS", UNIT_HOOK,
         "wait", r"a\x2db.service"], capture_output=True, text=True, stdin=subprocess.DEVNULL)
    line = "mptcp_run: a\\x2db.service: bpf: it is force or release, not wait\n"
    assert (done.returncode, done.stderr) == (USAGE, "" if redirection else line)
