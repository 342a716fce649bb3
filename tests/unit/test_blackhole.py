# SPDX-License-Identifier: GPL-2.0-or-later
"""Whether the kernel's conclusion that there is a firewall is to end."""

from __future__ import annotations

from mptcp_hooks.monitor.blackhole import BlackholeWatch


def counters(times: int, answers: int = 0) -> dict[str, int]:
    return {"Blackhole": times, "MPCapableSYNACKRX": answers, "MPJoinSynAckRx": 0}


def test_without_a_conclusion_there_is_nothing_to_end() -> None:
    watch = BlackholeWatch()
    assert not watch.judge({}, 0.0) and not watch.judge(counters(0, 5), 4.0) and not watch.off


def test_the_first_one_is_ended() -> None:
    watch = BlackholeWatch()
    assert watch.judge(counters(1), 4.0)
    assert (watch.off, watch.times) == (False, 0)
    assert not watch.judge(counters(1), 8.0)


def test_a_second_one_without_an_answer_since_is_left() -> None:
    """Behind a firewall the next connection fails likewise."""
    watch = BlackholeWatch()
    watch.judge(counters(1, 7), 0.0)
    assert not watch.judge(counters(2, 7), 20.0)
    assert (watch.off, watch.times) == (True, 1)
    assert not watch.judge(counters(4, 7), 24.0)
    assert (watch.off, watch.times) == (True, 3)


def test_with_an_answer_of_either_kind_since_it_is_ended() -> None:
    for kind in ("MPCapableSYNACKRX", "MPJoinSynAckRx"):
        watch = BlackholeWatch()
        watch.judge(counters(1, 7), 0.0)
        assert watch.judge({**counters(2, 7), kind: 8}, 20.0) and not watch.off


def test_an_outage_explains_what_comes_a_moment_later() -> None:
    watch = BlackholeWatch()
    watch.judge(counters(1), 0.0)
    watch.note_outage(100.0)
    assert watch.judge(counters(2), 114.0)
    assert not watch.judge(counters(3), 116.0)


def test_what_was_left_is_ended_once_there_is_an_answer_or_an_outage() -> None:
    watch = BlackholeWatch()
    watch.judge(counters(1), 0.0)
    assert not watch.judge(counters(2), 20.0) and watch.off
    assert watch.judge(counters(2, 1), 24.0) and not watch.off
    assert not watch.judge(counters(3, 1), 40.0)
    watch.note_outage(60.0)
    assert watch.judge(counters(3, 1), 61.0) and not watch.off


def test_an_hour_later_it_is_worth_another_attempt() -> None:
    watch = BlackholeWatch()
    watch.judge(counters(1), 0.0)
    assert not watch.judge(counters(2), 3599.0)
    assert watch.judge(counters(2), 3601.0) and not watch.off


def test_there_are_eight_attempts_an_hour() -> None:
    watch = BlackholeWatch()
    ended = [watch.judge(counters(number, number), number * 60.0) for number in range(1, 12)]
    assert ended == [True] * 8 + [False] * 3 and watch.off
    assert not watch.judge(counters(11, 11), 3600.0)
    assert watch.judge(counters(11, 12), 3661.0)


def test_counters_that_go_back_are_no_conclusion() -> None:
    watch = BlackholeWatch()
    watch.judge(counters(5, 9), 0.0)
    assert not watch.judge(counters(0), 4.0) and not watch.off
    # From there on, they count anew.
    assert not watch.judge(counters(1), 8.0) and (watch.off, watch.times) == (True, 1)
