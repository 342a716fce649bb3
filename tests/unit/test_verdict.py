# SPDX-License-Identifier: GPL-2.0-or-later
"""When a path's check has failed, and what it takes to come back."""

from __future__ import annotations

from collections.abc import Iterable

from hypothesis import given
from hypothesis import strategies as some

from mptcp_hooks.checker.verdict import Verdict

ANSWER, FAILURE = True, False


def play(verdict: Verdict, happenings: Iterable[bool], start: float = 0.0) -> list[float]:
    """The times at which the verdict changes, where one thing happens a second."""
    return [start + second for second, answered in enumerate(happenings)
            if verdict.note(answered, start + second)]


def count_answers(verdict: Verdict, now: float) -> int:
    """How many answers a failed path needs to come back, all of them at once."""
    for number in range(1, 1000):
        if verdict.note(ANSWER, now):
            return number
    raise AssertionError("it never comes back")


def fail(verdict: Verdict, failures: int, now: float) -> None:
    changes = [verdict.note(FAILURE, now) for _ in range(failures)]
    assert changes == [*[False] * (failures - 1), True] and verdict.failed


def test_it_works_until_it_has_failed() -> None:
    verdict = Verdict(3)
    assert not verdict.failed
    assert play(verdict, [ANSWER] * 5) == [] and not verdict.failed
    assert play(verdict, [FAILURE] * 10) == [2.0] and verdict.failed


def test_failures_are_in_a_row() -> None:
    verdict = Verdict(3)
    assert play(verdict, [FAILURE, FAILURE, ANSWER] * 5) == []
    assert play(verdict, [FAILURE] * 3) == [2.0]


def test_one_failure_may_be_enough() -> None:
    assert play(Verdict(1), [ANSWER, FAILURE, FAILURE]) == [1.0]


def test_two_answers_in_a_row_bring_it_back() -> None:
    verdict = Verdict(2)
    assert play(verdict, [FAILURE, FAILURE, ANSWER, FAILURE, ANSWER, FAILURE, ANSWER, ANSWER]) == [
        1.0, 7.0]
    assert not verdict.failed


def test_a_path_that_fails_again_and_again_needs_more_each_time() -> None:
    verdict, needed = Verdict(1), []
    for turn in range(8):
        fail(verdict, 1, turn * 100.0)
        needed.append(count_answers(verdict, turn * 100.0 + 50))
    assert needed == [2, 4, 8, 16, 32, 60, 60, 60]


def test_ten_quiet_minutes_are_forgiven() -> None:
    verdict = Verdict(1)
    for now in (0.0, 100.0, 200.0):
        fail(verdict, 1, now)
        last = count_answers(verdict, now + 1)
    assert last == 8
    fail(verdict, 1, 800.0)
    assert count_answers(verdict, 801.0) == 16
    fail(verdict, 1, 801.0 + 600)
    assert count_answers(verdict, 1402.0) == 2


def test_a_long_outage_is_no_flapping() -> None:
    verdict = Verdict(1)
    for now in (0.0, 1000.0, 2000.0):
        fail(verdict, 1, now)
        assert count_answers(verdict, now + 601) == 2


def test_a_pause_begins_anew() -> None:
    verdict = Verdict(2)
    play(verdict, [FAILURE])
    verdict.pause()
    assert play(verdict, [FAILURE]) == []
    assert play(verdict, [FAILURE]) == [0.0]
    play(verdict, [ANSWER])
    verdict.pause()
    assert verdict.failed and play(verdict, [ANSWER, ANSWER]) == [1.0]


@given(some.lists(some.tuples(some.booleans(), some.floats(0.1, 700)), max_size=300),
       some.integers(1, 5))
def test_nothing_but_a_row_changes_it(happenings: list[tuple[bool, float]], failures: int) -> None:
    verdict, now, row = Verdict(failures), 0.0, 0
    for answered, pause in happenings:
        now += pause
        before = verdict.failed
        row = row + 1 if answered == before else 0
        changed = verdict.note(answered, now)
        assert changed == (verdict.failed != before)
        if changed:
            assert (2 <= row <= 60) if before else row == failures
            row = 0
        elif answered == before:
            assert row < (60 if before else failures)
