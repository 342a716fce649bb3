# SPDX-License-Identifier: GPL-2.0-or-later
"""Which paths came back a moment ago, and until when they count as such."""

from __future__ import annotations

from mptcp_hooks.monitor.recoveries import Recoveries

FIRST, SECOND = "10.1.1.2", "10.1.2.2"
NEVER = float("inf")


def test_of_what_was_never_out_nothing_is_known() -> None:
    recoveries = Recoveries()
    recoveries.note([], 100.0)
    assert recoveries.list_fresh(100.0) == frozenset()
    assert recoveries.wait(100.0) == NEVER


def test_who_is_out_is_fresh_for_as_long_as_it_lasts() -> None:
    """A round that finds it alive again is told so, and waits."""
    recoveries = Recoveries()
    recoveries.note([FIRST], 100.0)
    assert recoveries.list_fresh(100.0) == recoveries.list_fresh(9999.0) == {FIRST}
    # It is not known when that ends.
    assert recoveries.wait(100.0) == NEVER


def test_who_is_back_is_fresh_for_ten_seconds() -> None:
    recoveries = Recoveries()
    recoveries.note([FIRST], 100.0)
    recoveries.note([], 160.0)
    assert recoveries.list_fresh(160.0) == recoveries.list_fresh(169.9) == {FIRST}
    assert recoveries.list_fresh(170.0) == frozenset()
    waits = [recoveries.wait(now) for now in (160.0, 164.0, 170.0, 175.0)]
    assert waits == [10.0, 6.0, NEVER, NEVER]


def test_the_time_counts_from_when_it_was_back_first() -> None:
    """Rounds come all the time, and none of them has it wait anew."""
    recoveries = Recoveries()
    recoveries.note([FIRST], 100.0)
    for second in range(10):
        recoveries.note([], 101.0 + second)
        assert recoveries.list_fresh(101.0 + second) == {FIRST}
    recoveries.note([], 111.0)
    assert recoveries.list_fresh(111.0) == frozenset()
    # A round is due no more either: it would begin one after another.
    assert recoveries.wait(111.0) == NEVER


def flap(*times: float) -> Recoveries:
    """One that went at each of these times, for a second."""
    recoveries = Recoveries()
    for now in times:
        recoveries.note([FIRST], now)
        recoveries.note([], now + 1.0)
    return recoveries


def test_one_that_goes_again_and_again_is_waited_with_twice_as_long_each_time() -> None:
    recoveries = flap(99.0, 109.0)
    assert recoveries.list_fresh(129.9) == {FIRST} and recoveries.wait(129.0) == 1.0
    assert recoveries.list_fresh(130.0) == frozenset()
    assert flap(99.0, 109.0, 119.0).list_fresh(159.9) == {FIRST}
    # But not for ever: five minutes and some are enough.
    often = flap(*range(100, 400, 10))
    assert often.list_fresh(391.0 + 300) == {FIRST}
    assert often.list_fresh(391.0 + 330) == frozenset()


def test_outages_that_are_long_ago_do_not_count() -> None:
    assert flap(99.0, 109.0, 2000.0).list_fresh(2011.0) == frozenset()


def test_each_has_its_own_time() -> None:
    recoveries = Recoveries()
    recoveries.note([FIRST, SECOND], 100.0)
    recoveries.note([SECOND], 102.0)
    recoveries.note([], 107.0)
    assert recoveries.list_fresh(111.0) == {FIRST, SECOND} and recoveries.wait(111.0) == 1.0
    assert recoveries.list_fresh(113.0) == {SECOND}
    recoveries.note([], 113.0)
    assert recoveries.wait(113.0) == 4.0


def test_addresses_that_come_and_go_are_not_remembered_without_end() -> None:
    """Temporary ones of IPv6, on a link that flaps."""
    recoveries = Recoveries()
    for number in range(1000):
        recoveries.note([f"fd00::{number:x}"], 100.0 + number / 1000)
    recoveries.note([], 101.0)
    fresh = recoveries.list_fresh(101.0)
    assert len(fresh) < 100 and {"fd00::3e7", "fd00::3e6"} <= fresh
