# SPDX-License-Identifier: GPL-2.0-or-later
"""A round of upkeep in a process of its own: what it reports comes back, however it ends."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from mptcp_hooks.base.errors import Problem
from mptcp_hooks.base.spawn import run_program
from mptcp_hooks.engine.lifelines import Use
from mptcp_hooks.monitor import round as round_of_upkeep
from mptcp_hooks.monitor.round import Round, RoundResult
from tests.unit.help import is_running, wait_until


def wait_for(work: Callable[[], RoundResult]) -> RoundResult:
    """Let a round do its work, and take its report but for what that cost."""
    return _finish(work)._replace(cost=0.0)


def measure(work: Callable[[], object]) -> float:
    """What a round costs that does such work, in seconds."""
    def report() -> RoundResult:
        work()
        return RoundResult()

    return _finish(report).cost


def _finish(work: Callable[[], RoundResult]) -> RoundResult:
    one = Round(work)
    while not one.read():
        pass
    return one.finish()


def spend() -> None:
    """Work for 0.2 s, in a process that has just begun."""
    while time.process_time() < 0.2:
        pass


def spend_more() -> None:
    """Work for a further 0.1 s."""
    end = time.process_time() + 0.1
    while time.process_time() < end:
        pass


@pytest.mark.parametrize("report", [
    RoundResult((), (), False),
    RoundResult(("eth0: it is so", "eth1: caf\N{LATIN SMALL LETTER E WITH ACUTE} \udcff"),
                ("eth0", "wwan0"), True),
    RoundResult(("said of something", "failed", "repaired eth9"), (), False),
    RoundResult(paths=("eth0",), silent=("eth1",), kept=("eth2",), waiting=("eth1",), made=True),
    # A look; one that saw nothing is no less one.
    RoundResult(uses=(Use("eth1", "10.1.2.2", 1, (1,), (2,), (3, 2**32 - 1), ()),),
                remade=("10.1.2.2",)),
    RoundResult(paths=(), uses=()),
    # More than a pipe holds at once.
    RoundResult(tuple(f"line {number}" for number in range(20000)), (), False),
])
def test_what_it_reports_comes_back(report: RoundResult) -> None:
    """And nothing of it stays open."""
    before = os.listdir("/proc/self/fd")
    assert wait_for(lambda: report) == report
    assert os.listdir("/proc/self/fd") == before


@pytest.mark.parametrize("work", [spend, lambda: run_program(
    "python3", ("-c", "import time\nwhile time.process_time() < 0.2: pass"))])
def test_what_it_and_its_programs_take_of_a_processor_is_its_cost(
    work: Callable[[], object]
) -> None:
    assert measure(lambda: None) < 0.2 <= measure(work)


def test_to_begin_it_and_to_await_its_end_is_a_part_of_its_cost(
    monkeypatch: pytest.MonkeyPatch
) -> None:
    begin, wait = os.fork, os.wait4

    def fork() -> int:
        child = begin()
        if child:
            spend_more()
        return child

    def wait4(child: int, options: int) -> tuple[int, int, Any]:
        spend_more()
        return wait(child, options)

    monkeypatch.setattr(os, "fork", fork)
    monkeypatch.setattr(os, "wait4", wait4)
    assert measure(lambda: None) >= 0.2


def test_what_it_does_stays_in_its_process() -> None:
    done: list[int] = []

    def work() -> RoundResult:
        done.append(1)
        return RoundResult((str(len(done)), str(os.getpid())), (), False)

    length, number = wait_for(work).said
    assert (length, done) == ("1", []) and int(number) != os.getpid()


def test_a_problem_is_said_and_is_a_failure() -> None:
    def work() -> RoundResult:
        raise Problem("eth0: the record is damaged")

    assert wait_for(work) == RoundResult(("eth0: the record is damaged",), (), True)


def test_an_error_of_ours_costs_one_round() -> None:
    def work() -> RoundResult:
        raise KeyError("eth0")

    report = wait_for(work)
    (text,) = report.said
    assert text.startswith(f"unexpected KeyError at {__file__}:") and report.failed


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGUSR2])
def test_a_round_that_is_killed_is_a_failure(number: signal.Signals) -> None:
    def work() -> RoundResult:
        os.kill(os.getpid(), number)
        return RoundResult(("never said",), (), False)

    assert wait_for(work) == RoundResult(("a round of upkeep was killed",), (), True)


def test_what_stops_the_monitor_lets_a_round_finish() -> None:
    def work() -> RoundResult:
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
            os.kill(os.getpid(), number)
        return RoundResult(("done",), (), False)

    assert wait_for(work) == RoundResult(("done",), (), False)


@pytest.mark.parametrize("overdue", [False, True])
def test_a_round_that_is_abandoned_goes_with_all_that_it_started(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, overdue: bool
) -> None:
    """Programs have process groups of their own, and go on when the round is killed."""
    if overdue:
        monkeypatch.setattr(round_of_upkeep, "_AT_MOST", 1.0)

    def work() -> RoundResult:
        run_program("sh", ("-c", f"sleep 300 & echo $! $$ >{tmp_path}/new; mv {tmp_path}/new "
                           f"{tmp_path}/pids; wait"), at_most=300)
        return RoundResult((), (), False)

    before = os.listdir("/proc/self/fd")
    one = Round(work)
    wait_until((tmp_path / "pids").exists)
    if overdue:
        wait_until(lambda: not one.find_time_left())
    else:
        assert one.find_time_left() > 30
    report = one.abandon()
    assert report.failed and "was killed" in report.said[0]
    assert not any(is_running(int(pid)) for pid in (tmp_path / "pids").read_text().split())
    assert os.listdir("/proc/self/fd") == before
    with pytest.raises(ChildProcessError):
        os.wait()


def test_it_goes_on_while_its_reader_does_other_things() -> None:
    reading, writing = os.pipe()

    def work() -> RoundResult:
        return RoundResult((os.read(reading, 1).decode(),), (), False)

    began = time.monotonic()
    one = Round(work)
    assert time.monotonic() - began < 5
    os.write(writing, b"x")
    while not one.read():
        pass
    assert one.finish().said == ("x",)


def test_a_machine_that_has_no_room_for_a_process_is_a_problem(
    monkeypatch: pytest.MonkeyPatch
) -> None:
    before = os.listdir("/proc/self/fd")

    def refuse() -> int:
        raise BlockingIOError(11, "Resource temporarily unavailable")

    monkeypatch.setattr(os, "fork", refuse)
    with pytest.raises(Problem, match="^cannot begin a round: Resource temporarily unavailable$"):
        Round(lambda: RoundResult((), (), False))
    assert len(os.listdir("/proc/self/fd")) == len(before)
