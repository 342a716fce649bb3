# SPDX-License-Identifier: GPL-2.0-or-later
"""What a forced command gets: its caller's arguments, environment and signals, and one variable."""

from __future__ import annotations

import os
import signal
import subprocess
from collections.abc import Callable

import pytest
from hypothesis import given, settings
from hypothesis import strategies as some

from mptcp_hooks.base.errors import Problem
from mptcp_hooks.force.methods import BPF, GODEBUG, Choice
from mptcp_hooks.force.program import NOT_EXECUTABLE, Program
from mptcp_hooks.machine import cgroups
from mptcp_hooks.run import keeper, launch
from mptcp_hooks.run.launch import enter_group, guess_ignored, read_environment, replace_process
from tests.unit.help import ROOT

READ = f"""
import sys
sys.path.insert(0, {str(ROOT)!r})
from mptcp_hooks.run.launch import read_environment
sys.stdout.buffer.write(b"".join(b"%s=%s\\0" % pair for pair in read_environment().items()))
"""
IT = Program("/usr/bin/it", ("/usr/bin/it",), "/usr/bin/it", None, "", "")
OF_NO_SHELL = Program("/srv/it", ("/bin/sh", "/srv/it"), "/bin/sh", None, "", "")
GO = Choice(GODEBUG, "", "", b"GODEBUG", b"multipathtcp=1")
SIGPIPE, SIGXFSZ = signal.SIGPIPE, signal.SIGXFSZ


class Started(Exception):
    """The process would be another program's now."""


@pytest.fixture
def start(monkeypatch: pytest.MonkeyPatch) -> Callable[..., tuple[object, ...]]:
    """What the kernel is asked to start, and which signals are not ignored any more."""
    def run(program: Program, words: list[str], environment: dict[bytes, bytes], choice: Choice,
            ignored: frozenset[int] = frozenset()) -> tuple[object, ...]:
        heard: list[int] = []
        monkeypatch.setattr(signal, "signal", lambda number, action: heard.append(
            number if action == signal.SIG_DFL else -number))
        with pytest.raises(Started) as started:
            replace_process(program, words, environment, choice, ignored)
        return (*started.value.args, heard)

    def become(*arguments: object) -> None:
        raise Started(*arguments)

    monkeypatch.setattr(os, "execve", become)
    return run


def test_a_command_is_started_as_it_was_typed(start: Callable[..., tuple[object, ...]]) -> None:
    environment = {b"PATH": b"/bin", b"GODEBUG": b"gctrace=1"}
    path, arguments, given, _ = start(IT, ["it", "-v", "--", ""], environment, GO)
    assert (path, arguments) == ("/usr/bin/it", ["it", "-v", "--", ""])
    assert given == {b"PATH": b"/bin", b"GODEBUG": b"gctrace=1,multipathtcp=1"}
    assert environment[b"GODEBUG"] == b"gctrace=1"


def test_a_file_that_the_kernel_does_not_know_is_a_shells(
    start: Callable[..., tuple[object, ...]]
) -> None:
    path, arguments, *_ = start(OF_NO_SHELL, ["it", "a b"], {}, GO)
    assert (path, arguments) == ("/bin/sh", ["/bin/sh", "/srv/it", "a b"])


@pytest.mark.parametrize("choice", [Choice(BPF, ""), Choice("", "it is static")])
def test_what_needs_no_variable_gets_none(
    choice: Choice, start: Callable[..., tuple[object, ...]]
) -> None:
    assert start(IT, ["it"], {b"A": b"1"}, choice)[2] == {b"A": b"1"}


@pytest.mark.parametrize(("ignored", "heard"), [
    (set(), [SIGPIPE, SIGXFSZ]), ({SIGPIPE}, [SIGXFSZ]), ({SIGPIPE, SIGXFSZ}, []),
])
def test_signals_that_python_ignores_are_heard_unless_the_caller_ignores_them(
    ignored: set[int], heard: list[int], start: Callable[..., tuple[object, ...]]
) -> None:
    assert start(IT, ["it"], {}, GO, frozenset(ignored))[3] == heard


def test_what_the_kernel_refuses_is_a_problem(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*arguments: object) -> None:
        raise OSError(8, "Exec format error")

    monkeypatch.setattr(os, "execve", refuse)
    monkeypatch.setattr(signal, "signal", lambda number, action: None)
    with pytest.raises(Problem, match="^/usr/bin/it: Exec format error$") as raised:
        replace_process(IT, ["it"], {}, GO, frozenset())
    assert raised.value.status == NOT_EXECUTABLE


def make_status(*ignored: int) -> str:
    """What /proc/PID/status says of a process that ignores these signals."""
    bits = sum(1 << number - 1 for number in ignored)
    return f"Name:\tSigIgn:\nSigBlk:\t0000000000010000\nSigIgn:\t{bits:016x}\nSigCgt:\tff\n"


@pytest.mark.parametrize(("status", "ignored"), [
    (make_status(), set()), (make_status(SIGPIPE), {SIGPIPE}),
    (make_status(signal.SIGINT, SIGXFSZ, signal.SIGTERM), {SIGXFSZ}),
    # Most likely a Python, for itself.
    (make_status(SIGPIPE, SIGXFSZ), set()), (make_status(SIGPIPE, SIGXFSZ, signal.SIGINT), set()),
    # Without /proc, and of a parent that is gone.
    ("", set()),
])
def test_which_signals_were_ignored_before_python(
    status: str, ignored: set[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(launch, "read_text", {f"/proc/{os.getppid()}/status": status}.__getitem__)
    assert guess_ignored() == ignored


names = some.text("ABcd_%() ", min_size=1, max_size=8).map(str.encode)
values = some.binary(max_size=20).map(lambda value: value.replace(b"\0", b"="))


@settings(max_examples=20, deadline=None)
@given(some.dictionaries(names, values, max_size=5))
def test_the_environment_is_the_callers_byte_for_byte(environment: dict[bytes, bytes]) -> None:
    """Python sets LC_CTYPE for itself in a locale such as this (PEP 538)."""
    given_ = {b"LC_ALL": b"", b"LANG": b"C"} | environment
    done = subprocess.run(["/usr/bin/python3", "-IS", "-c", READ], env=given_,
                          stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, check=True)
    entries = done.stdout.split(b"\0")[:-1]
    assert sorted(entries) == sorted(b"%s=%s" % pair for pair in given_.items())


def test_without_proc_the_environment_is_pythons(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*arguments: object) -> None:
        raise FileNotFoundError

    monkeypatch.setattr("builtins.open", refuse)
    monkeypatch.setenv("NAME", "value")
    assert read_environment()[b"NAME"] == b"value"


def test_a_command_joins_its_group_once_that_is_forced(monkeypatch: pytest.MonkeyPatch) -> None:
    did: list[object] = []
    monkeypatch.setattr(cgroups, "find_own", lambda: "/own")
    monkeypatch.setattr(cgroups, "make_group", lambda parent, pid: f"{parent}/{pid}")
    monkeypatch.setattr(keeper, "start_keeper", lambda group: did.append(("force", group)))
    monkeypatch.setattr(cgroups, "join_group", lambda group: did.append(("join", group)))
    enter_group()
    assert did == [("force", f"/own/{os.getpid()}"), ("join", f"/own/{os.getpid()}")]
