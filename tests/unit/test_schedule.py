# SPDX-License-Identifier: GPL-2.0-or-later
"""When the monitor's next round is due."""

from __future__ import annotations

import pytest

from mptcp_hooks.monitor.announcements import News
from mptcp_hooks.monitor.schedule import Schedule

NOTHING = News(False, False, frozenset())
CHANGE = News(True, False, frozenset())
CARRIER = News(True, True, frozenset())
NEVER = float("inf")


def test_nothing_is_due_for_ever() -> None:
    schedule = Schedule()
    schedule.note(NOTHING, 5.0)
    assert schedule.wait(5.0) == NEVER and not schedule.begin(1e9)


def test_a_burst_settles_but_not_for_ever() -> None:
    schedule = Schedule()
    for now in (5.0, 5.02, 5.04):
        schedule.note(CHANGE, now)
        assert not schedule.begin(now)
    assert schedule.wait(5.04) == pytest.approx(0.03)
    assert not schedule.begin(5.06) and schedule.begin(5.071)
    assert not schedule.begin(6.0)
    for step in range(30):
        schedule.note(CHANGE, 7.0 + step * 0.02)
    assert schedule.begin(7.21)


def test_a_lost_carrier_is_due_at_once() -> None:
    schedule = Schedule()
    schedule.note(CHANGE, 5.0)
    schedule.note(CARRIER, 5.01)
    assert schedule.wait(5.01) == 0 and schedule.begin(5.01)
    assert schedule.wait(5.01) == NEVER


def test_what_fails_is_tried_less_and_less_often() -> None:
    schedule = Schedule()
    now, pauses = 0.0, []
    for number in range(10):
        schedule.end(failed=True, now=now)
        if number % 2:
            schedule.note(CHANGE, now)
        pauses.append(round(schedule.wait(now), 1))
        now += pauses[-1] + 1
        assert schedule.begin(now)
    assert pauses == [1, 2, 4, 8, 16, 32, 64, 128, 256, 300]
    schedule.end(failed=False, now=now)
    schedule.note(CHANGE, now)
    assert schedule.begin(now + 0.04)


def test_a_device_that_changes_does_not_wait_for_what_failed() -> None:
    schedule = Schedule()
    schedule.end(failed=True, now=5.0)
    schedule.note(CHANGE, 5.0)
    assert not schedule.begin(5.5)
    schedule.note(CHANGE._replace(devices=frozenset((3,))), 5.5)
    assert schedule.begin(5.54)


@pytest.mark.parametrize("by_hand", [True, False])
def test_what_is_urgent_while_a_round_fails_waits_for_nothing(by_hand: bool) -> None:
    schedule = Schedule()
    if by_hand:
        schedule.hurry(5.0)
    else:
        schedule.note(CARRIER, 5.0)
    schedule.note(CHANGE, 5.001)
    schedule.end(failed=True, now=5.01)
    assert schedule.begin(5.01)


def test_a_round_comes_back_after_a_pause_at_the_latest() -> None:
    schedule = Schedule()
    schedule.return_within(3.0, 5.0)
    schedule.return_within(8.0, 5.0)
    assert schedule.wait(6.0) == 2
    assert not schedule.begin(7.9) and schedule.begin(8.0)
    assert schedule.wait(8.0) == NEVER


def test_a_pause_without_end_is_no_round() -> None:
    schedule = Schedule()
    schedule.return_within(NEVER, 5.0)
    assert schedule.wait(5.0) == NEVER and not schedule.begin(1e9)


def test_what_is_urgent_does_not_wait_for_the_pause() -> None:
    schedule = Schedule()
    schedule.return_within(3.0, 5.0)
    schedule.note(CARRIER, 5.5)
    assert schedule.begin(5.5) and schedule.wait(5.5) == NEVER


def test_an_announcement_does_not_put_off_a_round_that_was_to_come_back() -> None:
    """On a busy machine there is always one."""
    schedule = Schedule()
    schedule.return_within(0.15, 5.0)
    for step in range(16):
        schedule.note(CHANGE, 5.0 + step * 0.01)
    assert schedule.begin(5.16) and schedule.wait(5.16) == NEVER


def test_a_round_that_is_to_come_back_waits_for_the_pause_of_one_that_failed() -> None:
    schedule = Schedule()
    schedule.end(failed=True, now=5.0)
    schedule.return_within(0.15, 5.0)
    assert schedule.wait(5.0) == 1
    assert not schedule.begin(5.9) and schedule.begin(6.0)


def test_a_person_waits_for_neither() -> None:
    schedule = Schedule()
    schedule.end(failed=True, now=5.0)
    schedule.return_within(3.0, 5.0)
    schedule.hurry(5.1)
    assert schedule.begin(5.1)
