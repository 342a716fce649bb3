"""When the monitor's next round is due."""

from __future__ import annotations

import pytest

from mptcp_hooks.monitor.announcements import News
from mptcp_hooks.monitor.schedule import Schedule

NOTHING = News(False, False, frozenset())
CHANGE = News(True, False, frozenset())
CARRIER = News(True, True, frozenset())


def test_nothing_is_due_for_ever() -> None:
    schedule = Schedule()
    schedule.note(NOTHING, 5.0)
    assert schedule.wait(5.0) is None and not schedule.begin(1e9)


def test_a_burst_settles_but_not_for_ever() -> None:
    schedule = Schedule()
    for now in (5.0, 5.02, 5.04):
        schedule.note(CHANGE, now)
        assert not schedule.begin(now)
    assert schedule.wait(5.04) == 31
    assert not schedule.begin(5.06) and schedule.begin(5.071)
    assert not schedule.begin(6.0)
    for step in range(30):
        schedule.note(CHANGE, 7.0 + step * 0.02)
    assert schedule.begin(7.21)


def test_a_lost_carrier_is_due_at_once() -> None:
    schedule = Schedule()
    schedule.note(CHANGE, 5.0)
    schedule.note(CARRIER, 5.01)
    assert schedule.begin(5.01) and schedule.wait(5.01) is None


def test_what_fails_is_tried_less_and_less_often() -> None:
    schedule = Schedule()
    now, pauses = 0.0, []
    for number in range(10):
        schedule.end(failed=True, now=now)
        if number % 2:
            schedule.note(CHANGE, now)
        pauses.append(round(schedule.wait(now) or 0, -2) // 1000)
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
