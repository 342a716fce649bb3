# SPDX-License-Identifier: GPL-2.0-or-later
"""Which paths are there for moments only, and how long their endpoints wait."""

from __future__ import annotations

import pytest

from mptcp_hooks.monitor.flaps import Flaps

FIRST, SECOND = "10.1.1.2", "10.1.2.2"
NEVER = float("inf")


def flap(*times: tuple[float, float]) -> tuple[Flaps, list[list[str]]]:
    """A path that is out from the one to the other of each pair; what was said of it."""
    flaps = Flaps()
    said = []
    for began, ended in times:
        said += [flaps.note([FIRST], began), flaps.note([], ended)]
    return flaps, said


def test_of_what_was_never_out_nothing_is_known() -> None:
    flaps = Flaps()
    assert flaps.note([], 100.0) == []
    assert flaps.list_unsteady(100.0) == frozenset() and flaps.wait(100.0) == NEVER


@pytest.mark.parametrize("there", [1.9, 0.1])
def test_who_is_there_for_a_moment_three_times_is_said_once_and_waits(there: float) -> None:
    pairs = [(100.0 + (there + 1) * number, 101.0 + (there + 1) * number) for number in range(5)]
    flaps, said = flap(*pairs[:4])
    # Out for the first time, and three times after it was back in vain.
    assert said == [[]] * 6 + [[FIRST], []]
    back = pairs[3][1]
    assert flaps.list_unsteady(back) == flaps.list_unsteady(back + 3.9) == {FIRST}
    assert flaps.list_unsteady(back + 4.0) == frozenset()
    assert flaps.wait(back) == pytest.approx(4.0) and flaps.wait(back + 4.0) == NEVER
    # It is not said again, and waits the longer.
    assert flaps.note([FIRST], pairs[4][0]) == [] == flaps.note([], pairs[4][1])
    assert flaps.wait(pairs[4][1]) == pytest.approx(8.0)


def test_two_moments_are_nothing() -> None:
    flaps, said = flap((100.0, 101.0), (102.0, 103.0), (104.0, 105.0))
    assert said == [[]] * 6 and flaps.list_unsteady(105.0) == frozenset()


def test_who_stays_for_longer_than_a_moment_begins_anew() -> None:
    """However short and frequent its outages are: nothing is lost by using it."""
    flaps, said = flap((100.0, 101.0), (102.0, 103.0), (104.0, 105.0), (107.0, 108.0),
                       (109.0, 110.0), (111.0, 112.0))
    assert said == [[]] * 12 and flaps.list_unsteady(112.0) == frozenset()


def test_who_is_not_there_for_as_long_as_it_should_waits_twice_as_long_up_to_a_bound() -> None:
    flaps, _ = flap((100.0, 101.0), (102.0, 103.0), (104.0, 105.0), (106.0, 107.0))
    now, waits = 107.0, []
    for _ in range(6):
        waits.append(flaps.wait(now))
        # It goes just before it would count.
        flaps.note([FIRST], now + waits[-1] - 0.1)
        now += waits[-1]
        flaps.note([], now)
    assert waits == [4.0, 8.0, 16.0, 32.0, 64.0, 64.0]
    # Once it has been there for so long, all is forgotten.
    assert flaps.note([FIRST], now + 64.0) == []
    flaps.note([], now + 65.0)
    assert flaps.list_unsteady(now + 65.0) == frozenset()


def test_one_that_is_out_is_waited_with_when_it_comes() -> None:
    """The round that finds it back is told before it looks."""
    flaps, _ = flap((100.0, 101.0), (102.0, 103.0), (104.0, 105.0))
    flaps.note([FIRST], 106.0)
    assert flaps.list_unsteady(106.0) == flaps.list_unsteady(9999.0) == {FIRST}
    assert flaps.wait(106.0) == NEVER


def test_rounds_between_change_nothing() -> None:
    flaps, _ = flap((100.0, 101.0), (102.0, 103.0), (104.0, 105.0), (106.0, 107.0))
    for tenth in range(39):
        assert flaps.note([], 107.0 + tenth / 10) == []
    assert flaps.wait(110.9) == pytest.approx(0.1)


def test_each_path_is_known_for_itself_and_not_without_end() -> None:
    flaps, _ = flap((100.0, 101.0), (102.0, 103.0), (104.0, 105.0), (106.0, 107.0))
    flaps.note([SECOND], 107.5)
    assert flaps.list_unsteady(108.0) == {FIRST}
    flaps.note([f"10.2.0.{number}" for number in range(32)], 108.0)
    assert flaps.list_unsteady(108.0) == frozenset()


def test_who_comes_and_goes_for_days_waits_no_longer_than_a_minute() -> None:
    flaps, _ = flap(*((100.0 + 2 * number, 101.0 + 2 * number) for number in range(1200)))
    back = 101.0 + 2 * 1199
    assert flaps.wait(back) == pytest.approx(64.0)
