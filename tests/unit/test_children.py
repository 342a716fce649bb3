# SPDX-License-Identifier: GPL-2.0-or-later
"""Children whose end can be waited for, whatever our caller does about its own: waitpid(2)."""

from __future__ import annotations

import signal
from collections.abc import Iterator

import pytest

from mptcp_hooks.base.spawn import dismiss_ahead, run_batch, run_program, start_batch_ahead
from mptcp_hooks.monitor.round import Round, RoundResult


@pytest.fixture(autouse=True)
def deaf() -> Iterator[None]:
    """Be as what a caller started that ignores SIGCHLD: it is inherited, execve(2)."""
    before = signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    yield
    signal.signal(signal.SIGCHLD, before)


def test_the_end_of_a_program_is_known() -> None:
    assert run_program("sh", ("-c", "cat; exit 3"), "text") == (3, "text", "")


def test_the_end_of_a_program_that_was_started_ahead_is_known() -> None:
    start_batch_ahead("-4", force=False)
    assert run_batch("-4", False, "") == (0, "", "")
    start_batch_ahead("-4", force=False)
    dismiss_ahead()


def test_a_program_that_waits_for_its_own_children_hears_of_them() -> None:
    ignored = run_program("grep", ("SigIgn", "/proc/self/status")).output.split()[1]
    assert not int(ignored, 16) >> signal.SIGCHLD - 1 & 1


def test_the_end_of_a_round_is_known() -> None:
    one = Round(lambda: RoundResult(("done",), (), False))
    while not one.read():
        pass
    assert one.finish().said == ("done",)
