# SPDX-License-Identifier: GPL-2.0-or-later
"""A program runs for as long as it may: then it is killed, with all that it started."""

from __future__ import annotations

import errno
import os
import posix
import signal
import time
from pathlib import Path

import pytest

from mptcp_hooks.base import overdue, spawn
from mptcp_hooks.base.errors import PROGRAM, Problem
from mptcp_hooks.base.spawn import Outcome, run_program
from tests.unit.help import is_running, wait_until

# Far less than the programs here would take, far more than their start does.
SOON = 0.5


def run_too_long(script: str, text: str = "") -> Problem:
    """What is said of a script that does not end within SOON."""
    began = time.monotonic()
    with pytest.raises(Problem) as raised:
        run_program("sh", ("-c", script), text, at_most=SOON)
    assert SOON <= time.monotonic() - began < 20
    return raised.value


def test_what_a_program_says_and_how_it_ends_comes_back() -> None:
    assert run_program("sh", ("-c", "cat; echo no >&2; exit 3"), "yes\n") == Outcome(
        3, "yes\n", "no\n")
    assert run_program("sh", ("-c", "kill -9 $$")).status == -9
    assert signal.getitimer(signal.ITIMER_REAL) == (0, 0)


def test_a_program_that_does_not_end_is_killed() -> None:
    problem = run_too_long("exec sleep 300")
    assert str(problem) == "'sh -c exec sleep 300' did not end within 0.5 s and was killed"
    assert problem.in_vain == PROGRAM


def test_so_is_what_it_started(tmp_path: Path) -> None:
    run_too_long(f"sleep 300 & echo $! >{tmp_path}/pid; wait")
    wait_until(lambda: not is_running(int((tmp_path / "pid").read_text())))


def test_one_that_does_not_read_its_input_is_killed() -> None:
    """A pipe holds 64 KiB: whoever writes more waits for the reader."""
    run_too_long("exec sleep 300", "x" * 1_000_000)


def test_one_that_ignores_what_can_be_ignored_is_killed() -> None:
    run_too_long("trap '' TERM INT HUP ALRM; while :; do sleep 1; done")


def test_a_caller_that_blocks_alarms_changes_nothing() -> None:
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGALRM})
    try:
        run_too_long("exec sleep 300")
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def test_one_that_cannot_be_killed_is_left(monkeypatch: pytest.MonkeyPatch) -> None:
    """As one is that waits in the kernel for a lock."""
    spared: list[int] = []
    monkeypatch.setattr(overdue, "kill", spared.append)
    assert str(run_too_long("exec sleep 300")).endswith("within 0.5 s and cannot be killed")
    os.kill(spared[0], signal.SIGKILL)
    os.waitpid(spared[0], 0)


def test_one_that_has_ended_is_not_overdue() -> None:
    """As after Ctrl-Z and fg: the alarm came while nobody could hear it."""
    child = os.posix_spawn("/bin/true", ("true",), os.environ)
    os.waitid(os.P_PID, child, os.WEXITED | os.WNOWAIT)
    killed: list[int] = []
    overdue.end_overdue(("true",), child, 1, killed)
    assert killed == [] and os.waitpid(child, 0) == (child, 0)
    overdue.end_overdue(("true",), child, 1, killed)
    assert killed == []


def test_what_was_started_ahead_and_is_not_needed_ends_at_once(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Even an `ip` that hangs, which nobody waits for; and nothing of it stays open."""
    (tmp_path / "ip").write_text("#!/bin/sh\nexec sleep 300\n")
    (tmp_path / "ip").chmod(0o755)
    monkeypatch.setattr(spawn, "_DIRECTORIES", (str(tmp_path),))
    before, began = sorted(os.listdir("/proc/self/fd")), time.monotonic()
    spawn.start_batch_ahead("-4", force=True)
    spawn.dismiss_ahead()
    assert time.monotonic() - began < 20
    assert sorted(os.listdir("/proc/self/fd")) == before


@pytest.mark.parametrize("name", ["pipe", "memfd_create", "posix_spawn"])
def test_what_cannot_be_started_is_a_problem_and_leaves_nothing_open(
    monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise OSError(errno.EMFILE, os.strerror(errno.EMFILE))

    before = sorted(os.listdir("/proc/self/fd"))
    monkeypatch.setattr(posix, name, refuse)
    with pytest.raises(Problem, match="^cannot start true: Too many open files$"):
        spawn.run_program("true", ())
    assert sorted(os.listdir("/proc/self/fd")) == before
