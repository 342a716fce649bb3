# SPDX-License-Identifier: GPL-2.0-or-later
"""When connections are looked at and endpoints made again, over time."""

from __future__ import annotations

import pytest

from mptcp_hooks.engine.lifelines import Use
from mptcp_hooks.monitor.joins import Joins

OWN = "10.1.2.2"
NEVER = float("inf")


def use(
    using: int = 0, back: tuple[int, ...] = (), joining: tuple[int, ...] = (),
    lost: tuple[int, ...] = (), lacking: tuple[int, ...] = (), address: str = OWN,
) -> Use:
    return Use("eth1", address, using, back, joining, lost, lacking)


def know(*addresses: str) -> Joins:
    """What knows these addresses, since a look told of them one after another."""
    joins = Joins()
    for address in addresses:
        joins.note([use(using=1, address=address)], (), 0.0, 0.0)
    return joins


class Tale:
    """Looks that see the same each time, and take no time; `cost` is what they take else.

    `looked` has when looks were, and `tried` when the address was made again. With `able` False
    it cannot be made.
    """

    def __init__(self, seen: Use, cost: float = 0.0, able: bool = True) -> None:
        self.joins = know(OWN)
        self.seen = seen
        self.cost = cost
        self.able = able
        self.now = 0.0
        self.looked: list[float] = []
        self.tried: list[float] = []

    def go_on(self, until: float) -> Tale:
        while (then := self.now + self.joins.wait(self.now)) <= until:
            self.now = then
            remaking = self.joins.begin(then)
            # What is due to the last bit of a float is due at once.
            if remaking is None:
                self.now += 1e-9
                continue
            self.looked.append(round(then, 3))
            missed = self.able and bool(self.seen.lost or self.seen.lacking)
            meant = remaking if missed else frozenset[str]()
            self.tried += [round(then, 3)] * bool(meant)
            self.now += self.cost
            self.joins.note([self.seen], meant, self.cost, self.now)
        self.now = until
        return self


def lose(seen: Use, cost: float = 0.0, able: bool = True) -> Tale:
    """A tale that begins with a loss."""
    tale = Tale(seen, cost, able)
    tale.joins.hear([(token, OWN) for token in seen.lost], 0.0)
    return tale


def find_steps(times: list[float]) -> list[float]:
    return [round(after - before, 3) for before, after in zip(times, times[1:])]


def test_without_an_event_nobody_looks() -> None:
    joins = Joins()
    assert joins.wait(5.0) == NEVER and joins.begin(1e9) is None


def test_a_loss_is_looked_at_soon_and_tried_half_a_second_later() -> None:
    tale = lose(use(lost=(1,))).go_on(1.0)
    assert tale.looked == [0.25, 0.75]
    assert tale.tried == [0.75]


def test_a_look_that_is_not_due_does_not_begin() -> None:
    joins = know(OWN)
    joins.hear([(1, OWN)], 5.0)
    assert joins.wait(5.0) == 0.25 and joins.begin(5.2) is None
    assert joins.begin(5.25) == frozenset() and joins.wait(5.25) == NEVER


def test_what_comes_back_by_itself_is_not_tried() -> None:
    tale = lose(use(lost=(1,))).go_on(0.5)
    tale.seen = use(using=1, back=(1,))
    tale.go_on(100.0)
    assert (tale.looked, tale.tried) == ([0.25, 0.75], [])
    assert (tale.joins.lost, tale.joins.returned) == ({}, {OWN: 1})
    assert tale.joins.wait(100.0) == NEVER


def test_it_is_tried_less_and_less_often_and_seldom_in_the_end() -> None:
    tale = lose(use(lost=(1,))).go_on(4000.0)
    steps = find_steps(tale.tried)
    assert steps[:5] == pytest.approx([1, 2, 4, 8, 8])
    assert set(steps[4:38]) == {8.0} and set(steps[40:]) == {600.0}
    assert len([step for step in steps if step <= 8]) == 39


def test_while_something_is_missing_it_is_looked_whether_it_came_by_itself() -> None:
    tale = lose(use(lost=(1,)), able=False).go_on(300.0)
    steps = find_steps(tale.looked)
    assert tale.looked[:3] == [0.25, 0.75, 1.75] and max(steps) == 30
    assert len(tale.looked) < 40


def test_the_more_are_healthy_the_longer_an_attempt_waits() -> None:
    def find_first(using: int, *lost: int) -> float:
        return lose(use(using=using, lost=lost)).go_on(100.0).tried[0]

    assert find_first(1, 1) == find_first(4, 1, 2, 3, 4) == 0.75
    assert find_first(8, 1) == 0.25 + 4
    assert find_first(8, 1, 2, 3, 4) == 0.25 + 1


def test_who_never_had_it_is_tried_twice_and_not_before_it_had_the_time_to_join() -> None:
    tale = Tale(use(lacking=(1,)), cost=0.01)
    tale.joins.expect(0.0)
    tale.go_on(1000.0)
    assert len(tale.tried) == 2 and tale.tried[0] >= 3.25
    assert tale.joins.lost == {} and tale.joins.wait(1000.0) == NEVER


def test_each_further_one_is_worth_attempts_of_its_own() -> None:
    tale = Tale(use(lacking=(1,)), cost=0.01)
    tale.joins.expect(0.0)
    tale.go_on(1000.0)
    tale.seen = use(lacking=(1, 2))
    tale.joins.expect(1000.0)
    tale.go_on(2000.0)
    assert len(tale.tried) == 4 and tale.tried[2] >= 1003.25


def test_new_connections_are_looked_at_once_they_had_the_time_to_join() -> None:
    joins = Joins()
    joins.heed_new(5.0)
    joins.heed_new(6.0)
    assert joins.wait(6.0) == 2 and joins.begin(7.9) is None
    assert joins.begin(8.0) == frozenset()


def test_success_forgets_what_was_tried() -> None:
    tale = lose(use(lost=(1,))).go_on(100.0)
    tale.seen = use(using=1, back=(1,))
    tale.go_on(200.0)
    assert tale.joins.wait(200.0) == NEVER
    tale.seen, tale.looked, tale.tried = use(lost=(1,)), [], []
    tale.joins.hear([(1, OWN)], 200.0)
    tale.go_on(202.0)
    assert tale.tried == [200.75, 201.75]


def test_where_something_is_lost_looks_take_a_20th_of_the_time() -> None:
    tale = lose(use(lost=(1,)), cost=0.5, able=False)
    for number in range(1000):
        tale.joins.hear([(1, OWN)], tale.now)
        tale.go_on(number * 0.2)
    assert 15 <= len(tale.looked) <= 200 / (0.5 * 20)


def test_where_nothing_is_lost_looks_take_a_400th_of_the_time() -> None:
    tale = Tale(use(using=9), cost=0.5)
    for number in range(5000):
        tale.joins.heed_new(tale.now)
        tale.go_on(number * 0.2)
    assert 4 <= len(tale.looked) <= 1 + 1000 / (0.5 * 400)


def test_while_nothing_is_known_to_be_lost_a_loss_waits_for_its_400th() -> None:
    """A busy machine has connections that end in the middle of a join all the time."""
    joins = know(OWN)
    joins.note([use(using=9)], (), 0.1, 5.0)
    joins.hear([(1, OWN)], 5.0)
    assert joins.wait(5.0) == pytest.approx(40)
    joins.note([use(using=9, lost=(1,))], (), 0.1, 5.0)
    joins.hear([(2, OWN)], 5.0)
    assert joins.wait(5.0) == pytest.approx(2)


def test_endpoints_that_were_made_are_looked_at_whatever_it_costs() -> None:
    joins = know(OWN)
    joins.note([use(using=9)], (), 10.0, 5.0)
    joins.expect(5.0)
    assert joins.wait(5.0) == 0.25


def test_of_a_flood_so_many_of_each_address_are_remembered() -> None:
    joins = know("10.1.0.2", "10.1.1.2")
    joins.hear([(token, f"10.1.{token % 2}.2") for token in range(1, 10_001)], 0.0)
    assert {address: len(tokens) for address, tokens in joins.lost.items()} == {
        "10.1.0.2": 1024, "10.1.1.2": 1024}


def test_an_address_that_no_look_told_of_is_nobodys() -> None:
    """It may be one of somebody else, or of a path that is not ours."""
    joins = know(OWN)
    joins.hear([(1, "10.9.9.9"), (2, "")], 5.0)
    assert joins.lost == {} and joins.wait(5.0) == NEVER


def list_addresses(number: int) -> list[str]:
    return [f"10.2.{host}.2" for host in range(number)]


def test_the_latest_addresses_are_known() -> None:
    joins = know(*list_addresses(40))
    joins.hear([(1, address) for address in list_addresses(40)], 0.0)
    assert list(joins.lost) == list_addresses(40)[8:]


def test_an_address_that_a_look_tells_of_again_is_a_late_one() -> None:
    joins = know(OWN, *list_addresses(31), OWN, "10.3.0.2")
    joins.hear([(1, OWN), (1, "10.2.0.2")], 0.0)
    assert joins.lost == {OWN: {1}}


def test_who_lost_an_address_is_forgotten_with_it() -> None:
    """With temporary addresses there are new ones every day."""
    joins = know(OWN)
    joins.hear([(1, OWN)], 0.0)
    for address in list_addresses(31):
        joins.note([use(using=1, address=address)], (), 0.0, 1.0)
    assert joins.lost == {OWN: {1}}
    joins.note([use(using=1, address="10.3.0.2")], (), 0.0, 1.0)
    assert joins.lost == {} and joins.returned == {}


def test_how_many_returned_is_forgotten_with_the_address() -> None:
    joins = know(OWN)
    joins.hear([(1, OWN)], 0.0)
    joins.note([use(using=1, back=(1,))], (), 0.0, 1.0)
    for address in list_addresses(32):
        joins.note([use(using=1, address=address)], (), 0.0, 1.0)
    assert joins.returned == {}


def test_a_look_that_came_to_no_end_is_made_again_and_forgets_nothing() -> None:
    tale = lose(use(lost=(1,))).go_on(0.5)
    assert tale.joins.begin(0.75) == frozenset((OWN,))
    tale.joins.note_failure(1.0)
    assert tale.joins.lost == {OWN: {1}} and tale.joins.wait(1.0) == 5
    assert tale.joins.begin(5.9) is None and tale.joins.begin(6.0) == frozenset((OWN,))


def test_what_is_lost_meanwhile_does_not_wait_for_a_look_that_came_to_no_end() -> None:
    joins = know(OWN)
    joins.note_failure(1.0)
    joins.hear([(1, OWN)], 2.0)
    assert joins.wait(2.0) == 0.25


def test_who_is_about_to_have_it_is_looked_at_until_it_has() -> None:
    tale = Tale(use(joining=(1,)))
    tale.joins.expect(0.0)
    tale.go_on(3.0)
    assert tale.looked == [0.25, 1.25, 2.25] and tale.tried == []
    tale.seen = use(using=1, back=(1,))
    tale.go_on(100.0)
    assert tale.looked[3:] == [3.25] and tale.joins.returned == {OWN: 1}


def test_who_asks_for_it_in_vain_is_not_tried_more_often_for_that() -> None:
    tale = lose(use(lost=(1,))).go_on(2.0)
    tale.seen = use(joining=(1,))
    tale.go_on(3.0)
    tale.seen = use(lost=(1,))
    tale.go_on(12.0)
    steps = find_steps(tale.tried)
    assert steps[0] == 1 and 2 <= steps[1] <= 3 and steps[2] == 4


def test_who_lacks_it_and_cannot_be_given_it_costs_few_looks() -> None:
    """That it had the time to join is not told again and again."""
    tale = Tale(use(lacking=(1,)), cost=0.01, able=False)
    tale.joins.expect(0.0)
    tale.go_on(300.0)
    assert len(tale.looked) < 40 and max(find_steps(tale.looked)) >= 29


def test_who_is_about_to_have_it_is_still_among_the_lost() -> None:
    joins = know(OWN)
    joins.hear([(1, OWN), (2, OWN), (3, OWN)], 0.0)
    joins.note([use(using=1, back=(1,), joining=(2,), lost=(3,))], (), 0.0, 1.0)
    assert (joins.lost, joins.returned) == ({OWN: {2, 3}}, {OWN: 1})


def test_they_return_one_after_another_and_a_new_loss_begins_anew() -> None:
    joins = know(OWN)
    joins.hear([(1, OWN), (2, OWN)], 0.0)
    joins.note([use(using=1, back=(1,), lost=(2,))], (), 0.0, 1.0)
    joins.note([use(using=2, back=(2,))], (), 0.0, 2.0)
    assert (joins.lost, joins.returned) == ({}, {OWN: 2})
    joins.hear([(1, OWN)], 3.0)
    assert (joins.lost, joins.returned) == ({OWN: {1}}, {OWN: 0})


def test_one_that_has_it_again_and_was_not_lost_did_not_return() -> None:
    joins = Joins()
    joins.note([use(using=1, back=(7,))], (), 0.0, 1.0)
    assert joins.returned.get(OWN, 0) == 0


def test_an_address_whose_endpoint_is_away_keeps_who_lost_it() -> None:
    joins = know(OWN)
    joins.hear([(1, OWN)], 0.0)
    joins.note([use(using=1, address="10.1.1.2")], (), 0.0, 1.0)
    assert joins.lost == {OWN: {1}}


def test_addresses_have_their_own_patience() -> None:
    joins = know(OWN, "10.1.3.2")
    joins.hear([(1, OWN)], 0.0)
    first, second = use(lost=(1,)), use(lost=(2,), address="10.1.3.2")
    joins.note([first], (), 0.0, 0.25)
    joins.hear([(2, second.address)], 0.5)
    joins.note([first, second], (), 0.0, 0.5)
    assert joins.begin(0.75) == frozenset((OWN,))
    joins.note([first, second], {OWN}, 0.0, 0.75)
    assert joins.begin(1.0) == frozenset((second.address,))
