# SPDX-License-Identifier: GPL-2.0-or-later
"""When peers are told once more that an endpoint went."""

from __future__ import annotations

from mptcp_hooks.monitor.reminders import Reminders

FIRST, SECOND = "10.1.1.2", "10.1.2.2"
NEVER = float("inf")


def know(*endpoints: tuple[str, int]) -> Reminders:
    reminders = Reminders()
    reminders.note(endpoints, 0.0)
    return reminders


def list_reminders(
    reminders: Reminders, until: float, seconds: float = 0.0
) -> list[tuple[float, dict[str, tuple[int, ...]]]]:
    """When each was due, and what it was to tell; each takes so many seconds."""
    told = []
    now = 0.0
    while (then := now + reminders.wait(now)) <= until:
        # What is due to the last bit of a float is due at once.
        now = then + 1e-9
        told.append((round(then, 2), reminders.begin(now)))
        now += seconds
        reminders.note_cost(seconds, now)
    return told


def test_nobody_is_told_of_what_stands() -> None:
    reminders = know((FIRST, 1), (SECOND, 2))
    reminders.note([(FIRST, 1), (SECOND, 2)], 5.0)
    assert reminders.wait(5.0) == NEVER
    assert reminders.begin(5.0) == {}


def test_of_a_path_that_announces_others_each_id_is_told() -> None:
    reminders = know((FIRST, 1), (FIRST, 2), (SECOND, 3))
    reminders.note([(SECOND, 3)], 0.0)
    assert list_reminders(reminders, 1.0)[0][1] == {FIRST: (1, 2)}
    reminders.note([(FIRST, 4), (FIRST, 5), (SECOND, 3)], 1.0)
    assert reminders.list_known(FIRST) == (1, 2, 4, 5)


def test_what_went_is_told_again_and_again_for_some_seconds() -> None:
    reminders = know((FIRST, 1), (SECOND, 2))
    reminders.note([(FIRST, 1)], 0.0)
    told = list_reminders(reminders, 3600.0)
    assert [said for _, said in told] == [{SECOND: (2,)}] * len(told)
    times = [when for when, _ in told]
    # Soon, since outages are short; and also when the crush after the loss is over.
    assert times[0] <= 0.2 and sum(when < 2 for when in times) >= 4
    assert 5 <= times[-1] <= 10


def test_a_reminder_that_takes_long_is_followed_by_fewer() -> None:
    def count(seconds: float) -> int:
        reminders = know((SECOND, 2))
        reminders.note([], 0.0)
        return len(list_reminders(reminders, 3600.0, seconds))

    assert count(0.001) > count(0.1) > count(1.0) >= 1


def test_what_is_back_is_not_told_of() -> None:
    reminders = know((SECOND, 2))
    reminders.note([], 0.0)
    reminders.note([(SECOND, 3)], 0.2)
    assert reminders.wait(0.2) == NEVER
    assert reminders.list_former(SECOND) == (2,)


def test_an_endpoint_that_was_made_again_has_a_former_id_and_no_reminder() -> None:
    reminders = know((SECOND, 2))
    reminders.note([(SECOND, 3)], 1.0)
    assert (reminders.list_former(SECOND), reminders.wait(1.0)) == ((2,), NEVER)


def test_former_ids_are_known_until_all_connections_are_back() -> None:
    reminders = know((FIRST, 1), (SECOND, 2))
    for identity in (3, 4):
        reminders.note([(FIRST, 1)], float(identity))
        reminders.note([(FIRST, 1), (SECOND, identity)], identity + 0.5)
    assert reminders.list_former(SECOND) == (2, 3)
    reminders.settle([FIRST])
    assert reminders.list_former(SECOND) == (2, 3)
    reminders.settle([FIRST, SECOND])
    assert reminders.list_former(SECOND) == ()


def test_an_address_that_was_settled_while_it_is_away_is_not_told_of() -> None:
    reminders = know((SECOND, 2))
    reminders.note([], 0.0)
    reminders.settle([SECOND])
    reminders.note([], 0.1)
    assert list_reminders(reminders, 3600.0) == []


def test_no_more_than_a_few_ids_and_addresses_are_remembered() -> None:
    reminders = Reminders()
    for identity in range(1, 100):
        reminders.note([(SECOND, identity)], float(identity))
    assert len(reminders.list_former(SECOND)) <= 8
    assert reminders.list_former(SECOND)[-1] == 98
    for number in range(1, 200):
        reminders.note([(f"10.9.{number}.2", 1)], 100.0 + number)
    known = [number for number in range(1, 200) if reminders.list_former(f"10.9.{number}.2")]
    assert known == list(range(199 - len(known), 199)) and 8 <= len(known) <= 64
