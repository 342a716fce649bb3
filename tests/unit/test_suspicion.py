# SPDX-License-Identifier: GPL-2.0-or-later
"""Whom the monitor suspects, over time, and when it looks."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable

import pytest
from hypothesis import given
from hypothesis import strategies as some

from mptcp_hooks.machine.waiting import Exchange
from mptcp_hooks.monitor.suspicion import Suspicions

OWN, OTHER = "10.1.2.2", "10.1.1.2"
BOTH = (OTHER, OWN)
SERVERS = ("10.99.0.1", "10.99.0.2", "10.99.0.3")
TCP_ESTABLISHED, TCP_SYN_SENT, TCP_TIME_WAIT = 1, 2, 6
NEVER = float("inf")

# What all connections are at a time.
Story = Callable[[float], list[Exchange]]


def connection(
    number: int, retransmits: int = 0, silence: float = NEVER, state: int = TCP_ESTABLISHED,
    acked: int = 1, local: str = OWN, remote: str = "",
) -> Exchange:
    """One of many: each goes to the next server, from a port of its own."""
    return Exchange(local, remote or SERVERS[number % 3], 443, state, retransmits,
                    silence, acked, 40000 + number)


def ask(
    number: int, began: float, now: float, local: str = OWN, remote: str = ""
) -> list[Exchange]:
    """A connection that began then and is not answered; its SYN goes out again each second."""
    return [connection(number, min(int(now - began), 6), NEVER, TCP_SYN_SENT, 0, local, remote)
            ] * (now >= began)


def stick(number: int, since: float, now: float, acked: int = 1, remote: str = "") -> Exchange:
    """One that sends since then in vain: its timeouts are 0.2 s, 0.4 s, 0.8 s and so on."""
    retransmits = 0
    while now - since >= 0.2 * (2 ** (retransmits + 1) - 1):
        retransmits += 1
    return connection(number, retransmits, max(0.0, now - since), acked=acked, remote=remote)


def ask_all(began: float, count: int = 3, first: int = 0) -> Story:
    """So many that begin one after another and are not answered."""
    return lambda now: [one for number in range(count)
                        for one in ask(first + number, began + number / 10, now)]


class Tale:
    """A monitor that reads the counters each second, and looks whenever it is time to.

    Timeouts are counted where a connection has more of them than before. `looked` has when looks
    were, `suspected` and `ended` when suspicions of OWN began and ended, `signs` when there was
    one. A look takes `cost`.
    """

    def __init__(self, story: Story, cost: float = 0.0004,
                 addresses: tuple[str, ...] = BOTH) -> None:
        self.suspicions = Suspicions()
        self.story = story
        self.cost = cost
        self.addresses = addresses
        self.now = 0.0
        self.looked: list[float] = []
        self.signs: list[float] = []
        self.suspected: list[float] = []
        self.ended: list[float] = []
        self._counted: dict[int, int] = {}
        self._count_at = 0.0

    def go_on(self, until: float) -> Tale:
        while (then := min(self._count_at, self.now + self.suspicions.wait(self.now))) <= until:
            # What is due to the last bit of a float is due at once.
            self.now = max(then, self.now) + 1e-9
            if self.now >= self._count_at:
                self._count_at += 1.0
                self._count()
            if not self.suspicions.wait(self.now):
                self._look()
        self.now = until
        return self

    def _count(self) -> None:
        counted = {one.own_port: one.retransmits for one in self.story(self.now)}
        if any(number > self._counted.get(port, 0) for port, number in counted.items()):
            self.suspicions.expect(self.now)
        self._counted = counted

    def _look(self) -> None:
        before = OWN in self.suspicions.suspected
        self.suspicions.note(self.story(self.now), self.addresses, self.now)
        self.suspicions.note_cost(self.cost, self.now)
        after = OWN in self.suspicions.suspected
        self.looked.append(round(self.now, 2))
        self.signs += [round(self.now, 2)] * (OWN in self.suspicions.signs)
        self.suspected += [round(self.now, 2)] * (after and not before)
        self.ended += [round(self.now, 2)] * (before and not after)

    @property
    def spans(self) -> list[int]:
        """How long suspicions lasted, in whole seconds."""
        return [round(end - began) for began, end in zip(self.suspected, self.ended)]


def answer(number: int, at: float) -> Story:
    """A connection that is answered once."""
    return lambda now: [connection(number, 0, now - at)] * (now >= at)


def chat(number: int, every: float = 0.5, until: float = NEVER, local: str = OWN) -> Story:
    """A connection that is answered again and again."""
    return lambda now: [connection(number, 0, now % every if now < until else now - until,
                                   acked=int(min(now, until) / every), local=local)]


def tell(*stories: Story) -> Story:
    return lambda now: [one for story in stories for one in story(now)]


def test_without_timeouts_nobody_looks() -> None:
    tale = Tale(chat(1)).go_on(1000.0)
    assert tale.looked == [] and tale.suspicions.wait(1000.0) == NEVER
    assert tale.suspicions.suspected == {} and tale.suspicions.signs == frozenset()


@pytest.mark.parametrize("phase", [0.0, 0.25, 0.5, 0.75, 0.9])
@pytest.mark.parametrize("count", [3, 4, 6, 300])
def test_who_asks_three_times_in_vain_suspects_it_within_four_seconds(
    phase: float, count: int
) -> None:
    began = 20.0 + phase
    tale = Tale(tell(chat(9, until=began), ask_all(began, count))).go_on(30.0)
    assert len(tale.suspected) == 1 and tale.suspected[0] <= began + 0.2 + 4
    assert list(tale.suspicions.suspected) == [OWN]


@pytest.mark.parametrize("phase", [0.0, 0.25, 0.5, 0.75, 0.9])
def test_it_goes_out_under_busy_connections(phase: float) -> None:
    out = 20.0 + phase
    tale = Tale(tell(chat(99, local=OTHER), *(
        lambda now, number=number: [stick(number, out, now)] for number in range(10)))).go_on(60.0)
    assert 2 <= tale.suspected[0] - out <= 4 and OTHER not in tale.suspicions.suspected


def test_a_first_sign_is_one_that_waits_while_nobody_is_answered() -> None:
    tale = Tale(lambda now: ask(1, 5.5, now)).go_on(9.0)
    assert tale.signs[0] == 7.0 and tale.suspected == []


def test_an_idle_connection_that_was_answered_long_ago_proves_nothing() -> None:
    tale = Tale(tell(answer(9, 1.0), lambda now: ask(1, 5.5, now))).go_on(9.0)
    assert tale.signs[0] == 7.0


def test_it_is_no_sign_while_others_are_answered() -> None:
    tale = Tale(tell(chat(9), lambda now: ask(1, 5.5, now))).go_on(60.0)
    assert tale.looked and tale.signs == []


def test_a_sign_ends_with_an_answer() -> None:
    tale = Tale(tell(answer(9, 9.5), lambda now: ask(1, 5.5, now))).go_on(60.0)
    assert tale.signs == [7.0, 8.0, 9.0] and tale.suspicions.signs == frozenset()


@pytest.mark.parametrize("story", [
    ask_all(5.0, 2),
    lambda now: [one for number in range(50)
                 for one in ask(number, 5.0 + number, now, remote=SERVERS[0])],
    lambda now: [stick(number, now - 0.5, now) for number in range(50)],
    lambda now: [connection(number, 0, 500.0) for number in range(50)],
    tell(ask_all(5.0, 50), chat(99, 1.9)),
], ids=["two", "one server", "one timeout each", "idle", "others answered"])
def test_who_is_not_suspected(story: Story) -> None:
    assert Tale(tell(story, chat(100, local=OTHER))).go_on(300.0).suspected == []


def look_twice(waiting: list[Exchange], silence: float = 5.0) -> bool:
    """Whether they are reason to suspect, when another was answered so long ago at the end."""
    suspicions = Suspicions()
    suspicions.note([*waiting, connection(99, 0, silence - 0.01)], BOTH, 9.99)
    suspicions.note([*waiting, connection(99, 0, silence)], BOTH, 10.0)
    return OWN in suspicions.suspected


@pytest.mark.parametrize(("state", "retransmits", "suspected"), [
    (TCP_ESTABLISHED, 1, False), (TCP_ESTABLISHED, 2, True),
    (TCP_SYN_SENT, 0, False), (TCP_SYN_SENT, 1, True),
])
def test_who_is_known_to_wait(state: int, retransmits: int, suspected: bool) -> None:
    assert look_twice([connection(number, retransmits, NEVER, state)
                       for number in range(3)]) == suspected


@pytest.mark.parametrize(("silence", "suspected"), [(1.9, False), (2.0, True)])
def test_nobody_was_answered_for_two_seconds(silence: float, suspected: bool) -> None:
    assert look_twice([connection(number, 2) for number in range(3)], silence) == suspected


@pytest.mark.parametrize(("servers", "suspected"), [
    ((0, 0), False), ((0, 1), False), ((0, 0, 0), False), ((0, 0, 1), True), ((0, 1, 2), True)])
def test_three_connections_to_two_servers(servers: tuple[int, ...], suspected: bool) -> None:
    assert look_twice([connection(number, 2, remote=SERVERS[server])
                       for number, server in enumerate(servers)]) == suspected


def test_who_waited_while_others_were_answered_proves_nothing_any_more() -> None:
    """Servers that are down are not the uplink's fault, when nobody else uses it either."""
    tale = Tale(tell(ask_all(5.0, 6), chat(99, until=20.0))).go_on(300.0)
    assert tale.suspected == []


def test_an_answer_between_a_first_syn_and_the_next_is_one_while_it_waited() -> None:
    """Looks are seconds apart; how often it asked tells how long it has waited at least."""
    for last, suspected in ((9.5, [OWN]), (10.5, [])):
        suspicions = Suspicions()
        for now in (11.2, 12.2, 13.2):
            suspicions.note([connection(99, 0, now - last), *ask_all(10.0)(now)], BOTH, now)
        assert list(suspicions.suspected) == suspected


def test_those_who_begin_to_wait_after_the_last_answer_do() -> None:
    tale = Tale(tell(ask_all(5.0, 6), chat(99, until=20.0), ask_all(30.0, first=10))).go_on(60.0)
    assert 31 <= tale.suspected[0] <= 34


def test_one_that_was_answered_and_waits_once_more_begins_anew() -> None:
    suspicions = Suspicions()
    stuck = [connection(number, 1, 1.0, acked=5) for number in range(3)]
    suspicions.note(stuck, BOTH, 10.0)
    suspicions.note([one._replace(silence=0.5, acked=6) for one in stuck], BOTH, 11.0)
    for now in (12.0, 13.0):
        suspicions.note([one._replace(silence=now - 10.5, acked=6, retransmits=3)
                         for one in stuck], BOTH, now)
    assert suspicions.suspected == {OWN: 13.0}
    again = Suspicions()
    again.note(stuck, BOTH, 10.0)
    again.note([*stuck, connection(9, 0, 0.5)], BOTH, 11.0)
    for now in (12.0, 13.0):
        again.note([one._replace(silence=now - 9, retransmits=3) for one in stuck], BOTH, now)
    assert again.suspected == {}


@pytest.mark.parametrize("addresses", [(), (OWN,), (OWN, OWN)])
def test_one_alone_is_never_suspected(addresses: tuple[str, ...]) -> None:
    tale = Tale(ask_all(5.0), addresses=addresses).go_on(30.0)
    assert tale.suspected == [] and bool(tale.signs) == bool(addresses)


def test_one_that_is_left_alone_is_suspected_no_more() -> None:
    tale = Tale(ask_all(5.0)).go_on(10.0)
    assert list(tale.suspicions.suspected) == [OWN]
    tale.suspicions.note(tale.story(11.0), (OWN,), 11.0)
    assert tale.suspicions.suspected == {}


def test_where_all_are_silent_all_are_told() -> None:
    tale = Tale(lambda now: [one for local in BOTH for number in range(3)
                             for one in ask(number, 5.0, now, local=local)]).go_on(10.0)
    assert set(tale.suspicions.suspected) == set(BOTH)


def test_who_waits_since_an_answer_ended_it_is_reason_for_another() -> None:
    tale = Tale(ask_all(5.0)).go_on(10.0)
    suspicions = tale.suspicions
    again = ask_all(13.6, first=10)
    for now, suspected in ((14.8, False), (15.8, True)):
        suspicions.note([connection(50, 0, now - 13.5), *again(now)], BOTH, now)
        assert (OWN in suspicions.suspected) == suspected


@pytest.mark.parametrize("news", [
    lambda at: answer(50, at), lambda at: chat(50, until=at + 1),
    lambda at: lambda now: [connection(7, 0, now - at)] * (now >= at),
], ids=["an answer", "bytes", "a new connection"])
def test_a_suspicion_ends_with_the_first_answer(news: Callable[[float], Story]) -> None:
    tale = Tale(ask_all(5.0)).go_on(10.0)
    assert len(tale.suspected) == 1
    tale.story = tell(ask_all(5.0), news(12.3))
    tale.go_on(20.0)
    assert len(tale.ended) == 1 and tale.ended[0] <= 13.4


def test_an_answer_from_before_does_not_end_it() -> None:
    tale = Tale(tell(ask_all(5.0), answer(50, 4.5))).go_on(20.0)
    assert len(tale.suspected) == 1 and tale.ended == []


def repeat(now: float) -> list[Exchange]:
    """Somebody asks anew every ten seconds, three times at once, and gives up after nine."""
    began = now // 10 * 10
    return [one for number in range(3)
            for one in ask(int(now // 10) * 3 + number, began, now)] if now % 10 < 9 else []


def test_one_that_nobody_refutes_lasts_longer_each_time() -> None:
    tale = Tale(repeat).go_on(6000.0)
    assert tale.spans[:7] == [30, 60, 120, 240, 480, 600, 600]


def test_what_it_was_suspected_for_is_no_reason_to_suspect_it_again() -> None:
    tale = Tale(ask_all(5.0, 50)).go_on(1000.0)
    assert tale.spans == [30] and len(tale.suspected) == 1


def play_again(pause: float, answered: bool) -> list[int]:
    """Two suspicions of which nobody refutes the first, then a pause, and a third one."""
    tale = Tale(repeat).go_on(10.0)
    while len(tale.ended) < 2:
        tale.go_on(tale.now + 1)
    end = tale.ended[-1]
    tale.story = answer(50, end + 1) if answered else lambda now: []
    tale.go_on(end + pause)
    tale.story = tell(tale.story, repeat)
    while len(tale.ended) < 3:
        tale.go_on(tale.now + 1)
    return tale.spans


@pytest.mark.parametrize(("pause", "answered", "span"), [
    (60.0, False, 120), (3500.0, False, 120), (3600.0, False, 30),
    (60.0, True, 60), (550.0, True, 60), (600.0, True, 30),
])
def test_patience_begins_anew_after_a_pause(pause: float, answered: bool, span: int) -> None:
    assert play_again(pause, answered) == [30, 60, span]


def test_a_look_every_second_while_it_is_suspected() -> None:
    tale = Tale(ask_all(5.0)).go_on(20.0)
    assert tale.looked[-5:] == pytest.approx([16, 17, 18, 19, 20], abs=0.5)


def test_a_look_when_a_suspicion_ends_by_itself() -> None:
    suspicions = Tale(ask_all(5.0)).go_on(10.0).suspicions
    end = suspicions.suspected[OWN] + 30
    suspicions.note([], BOTH, end - 0.25)
    assert suspicions.wait(end - 0.25) == pytest.approx(0.25) and suspicions.suspected
    suspicions.note([], BOTH, end)
    assert suspicions.wait(end) == NEVER and suspicions.suspected == {}


def test_timeouts_are_looked_at_a_second_after_the_last_look() -> None:
    suspicions = Suspicions()
    suspicions.expect(5.0)
    assert suspicions.wait(5.0) == 0
    suspicions.note([], BOTH, 5.0)
    suspicions.expect(5.25)
    suspicions.expect(5.5)
    assert suspicions.wait(5.5) == 0.5


def test_of_the_reserve_a_silent_uplink_may_take_a_fiftieth_of_the_time() -> None:
    for silence, pauses in ((0.25, (NEVER, 60.0)), (40.0, (10.0, 2.5))):
        suspicions = Suspicions()
        story = [connection(1, 3, silence)]
        suspicions.note(story, BOTH, 10.0)
        suspicions.note(story, BOTH, 50.0)
        suspicions.note_cost(0.2, 50.0)
        suspicions.note_cost(0.05, 50.0)
        assert suspicions.wait(50.0) == pytest.approx(pauses[0])
        suspicions.expect(50.0)
        assert suspicions.wait(50.0) == pytest.approx(pauses[1])


def test_who_waits_for_long_is_looked_at_more_and_more_seldom() -> None:
    """A program that asks a server that is down all day, on an uplink that is idle else."""
    tale = Tale(lambda now: ask(1, 5.0, now)).go_on(4000.0)
    assert tale.looked[:4] == [6.0, 7.0, 8.0, 9.0]
    assert 100 < len(tale.looked) < 200


def lose_often(now: float) -> list[Exchange]:
    """A busy machine: always one that waits, and another one each second, and all answered."""
    return [connection(int(now), 1, 0.3), *chat(5000)(now)]


@pytest.mark.parametrize("cost", [0.0004, 0.005, 0.05, 0.3])
@pytest.mark.parametrize("story", [lose_often, repeat, tell(lose_often, ask_all(5.0, 3))],
                         ids=["busy", "suspected", "both"])
def test_looks_take_a_thousandth_of_the_time(story: Story, cost: float) -> None:
    tale = Tale(story, cost).go_on(3600.0)
    assert len(tale.looked) * cost <= 3.6 + cost
    assert len(tale.looked) > 5


def test_a_machine_that_loses_often_has_not_spent_it_when_an_uplink_goes_out() -> None:
    tale = Tale(lose_often, 0.005).go_on(2000.0)
    out = tale.looked[-1] + 0.1
    tale.story = ask_all(out, 6)
    tale.go_on(out + 60)
    steps = [round(after - before) for before, after in zip(tale.looked, tale.looked[1:])]
    assert tale.suspected[0] - out < 4 + 0.005 * 1200 and steps[-30:] == [1] * 30


def test_of_many_some_thousand_are_remembered() -> None:
    suspicions = Suspicions()
    many = [connection(number, 2, 5.0)._replace(local=BOTH[number % 2])
            for number in range(60_000)]
    before = sys.getallocatedblocks()
    suspicions.note(many, BOTH, 9.0)
    assert sys.getallocatedblocks() - before < 5 * 4096
    suspicions.note(many, BOTH, 10.0)
    assert set(suspicions.suspected) == set(BOTH)


def test_the_first_32_addresses_are_known() -> None:
    addresses = [f"10.2.{number}.2" for number in range(40)]
    suspicions = Suspicions()
    for now in (8.0, 9.0):
        suspicions.note([connection(number, 2, 5.0, local=address) for address in addresses
                         for number in range(3)], addresses, now)
    assert list(suspicions.suspected) == addresses[:32]


def test_the_first_look_suspects_nobody() -> None:
    """It was not told of connections that have ended, which may have been answered just now."""
    suspicions = Suspicions()
    waiting = [connection(number, 2, 5.0) for number in range(3)]
    suspicions.note(waiting, BOTH, 9.0)
    assert suspicions.suspected == {} and suspicions.signs == {OWN}
    suspicions.note([*waiting, connection(9, 0, 0.5, TCP_TIME_WAIT)], BOTH, 10.0)
    assert suspicions.suspected == {} and suspicions.signs == frozenset()


def test_an_address_that_is_gone_is_forgotten() -> None:
    tale = Tale(ask_all(5.0)).go_on(10.0)
    tale.suspicions.note([], (OTHER, "10.1.3.2"), 11.0)
    assert tale.suspicions.suspected == {} and tale.suspicions.wait(11.0) == NEVER


def test_what_leaves_from_elsewhere_is_nobodys() -> None:
    suspicions = Suspicions()
    suspicions.note([connection(number, 5, local="10.9.9.9") for number in range(9)], BOTH, 9.0)
    assert suspicions.suspected == {} and suspicions.signs == frozenset()


@given(some.lists(some.tuples(
    some.floats(0.0, 5.0),
    some.lists(some.builds(
        connection, some.integers(0, 9), some.integers(0, 15),
        some.floats(0.0, 60.0) | some.just(NEVER), some.sampled_from((1, 2, 4, 8, 9)),
        some.integers(0, 3), some.sampled_from((OWN, OTHER, "10.9.9.9"))), max_size=12),
    some.sampled_from(((), (OWN,), BOTH))), max_size=12))
def test_whatever_happens_one_that_was_answered_is_not_suspected(
    looks: Iterable[tuple[float, list[Exchange], tuple[str, ...]]]
) -> None:
    suspicions = Suspicions()
    now = 0.0
    for pause, exchanges, addresses in looks:
        now += pause
        suspicions.note(exchanges, addresses, now)
        suspicions.note_cost(pause / 100, now)
        for one in exchanges:
            assert now - one.silence <= suspicions.suspected.get(one.local, now) + 1e-6
            assert one.local not in suspicions.signs or one.silence > 1 - 1e-6
        assert set(suspicions.suspected) <= set(addresses if len(addresses) > 1 else ())
        assert suspicions.wait(now) >= 0
