# SPDX-License-Identifier: GPL-2.0-or-later
"""How often is looked at what uplinks carry, and what it may cost."""

from __future__ import annotations

import pytest

from mptcp_hooks.base.errors import Problem
from mptcp_hooks.machine.traffic import Flow, Traffic
from mptcp_hooks.monitor import gauge
from mptcp_hooks.monitor.gauge import Gauge
from mptcp_hooks.monitor.judge import Uplink

FIRST, SECOND = "10.1.1.2", "10.1.2.2"
BOTH = [Uplink("eth0", True, True), Uplink("eth1", True, True)]
IFACES = {FIRST: "eth0", SECOND: "eth1"}
NEVER = float("inf")


class World:
    """A kernel whose uplinks carry so many bytes a second, and a clock."""

    def __init__(self, patch: pytest.MonkeyPatch) -> None:
        self.rates = {"eth0": 0, "eth1": 0}
        # What each carried before its rate was changed, and when that was.
        self.carried: dict[str, tuple[int, float]] = {}
        self.now, self.spent = 1000.0, 0.0
        # What a look at connections takes of a processor.
        self.cost = 0.0005
        self.looks: list[float] = []
        self.refusal: Problem | None = None
        self.said: list[str] = []
        self.warned: list[str] = []
        self.waits: list[float] = []
        for name, value in (("read_traffic", self.count), ("read_flows", self.look),
                            ("process_time", lambda: self.spent),
                            ("read_mptcp_counters", lambda: {"MPJoinSynAckRx": 0})):
            patch.setattr(gauge, name, value)
        self.gauge = Gauge(self.said.append, self.warned.append)
        self.gauge.note_uplinks(BOTH, IFACES)

    def count(self) -> dict[str, Traffic]:
        return {name: Traffic(0, self._total(name)) for name in self.rates}

    def look(self, addresses: frozenset[str]) -> list[Flow]:
        assert addresses == {FIRST, SECOND}
        self.looks.append(self.now)
        self.spent += self.cost
        if self.refusal:
            raise self.refusal
        return [Flow(own, 1000, 443, 7, 0, self._total(name), 0.0, 0.0)
                for own, name in IFACES.items() if name in self.rates]

    def change(self, name: str, rate: int) -> None:
        """Have an uplink carry another rate from now on."""
        self.carried[name] = self._total(name), self.now
        self.rates[name] = rate

    def _total(self, name: str) -> int:
        carried, since = self.carried.get(name, (0, 1000.0))
        return carried + int(self.rates[name] * (self.now - since))

    def go_on(self, seconds: float) -> list[float]:
        """Wait as it says, for so long; the times at which roles changed."""
        changes, end = [], self.now + seconds
        while self.now < end:
            wait = self.gauge.wait(self.now)
            self.waits.append(wait)
            self.now += max(wait, 0.001)
            if self.gauge.attend(self.now):
                changes.append(self.now)
        return changes


@pytest.fixture
def world(monkeypatch: pytest.MonkeyPatch) -> World:
    return World(monkeypatch)


def test_one_uplink_is_never_looked_at(world: World) -> None:
    world.gauge.note_uplinks(BOTH[:1], {FIRST: "eth0", "fd00:1::2": "eth0"})
    assert world.gauge.wait(world.now) == NEVER and not world.gauge.attend(world.now)


def test_where_no_role_may_change_nothing_is_looked_at_until_one_may(world: World) -> None:
    fixed = [uplink._replace(free=False) for uplink in BOTH]
    world.rates = {"eth0": 6_000_000, "eth1": 3_000_000}
    # In the middle of a second.
    world.go_on(2.5)
    world.gauge.note_uplinks(fixed, IFACES)
    world.looks.clear()
    assert world.gauge.wait(world.now) == NEVER and not world.gauge.attend(world.now)
    world.now += 3600
    world.gauge.note_uplinks((BOTH[0], fixed[1]), IFACES)
    # What an hour carried is no second of an uplink's.
    assert not world.gauge.attend(world.now) and world.looks == []
    assert not world.go_on(30) and world.looks and world.said == []


def test_while_nothing_is_carried_one_look_at_counters_a_second_is_all(world: World) -> None:
    world.rates = {"eth0": 20_000, "eth1": 1000}
    world.go_on(60)
    assert world.looks == [] and min(world.waits[1:]) == 1.0


def test_while_much_is_carried_tenths_are_counted_and_later_seldom(world: World) -> None:
    world.rates = {"eth0": 6_000_000, "eth1": 3_000_000}
    world.go_on(7)
    # It began to be seen after two seconds; five of them, of which each ends where the next begins.
    assert len(world.looks) == 6
    assert sorted(world.waits)[len(world.waits) // 2] == pytest.approx(0.1)
    world.looks.clear()
    world.go_on(60)
    # Two looks for each second that is seen, one of three seconds or of ten.
    assert len(world.looks) <= 32


def test_what_ends_in_the_first_seconds_is_not_counted_in_tenths_any_more(world: World) -> None:
    world.rates = {"eth0": 6_000_000, "eth1": 3_000_000}
    world.go_on(3.5)
    for name in world.rates:
        world.change(name, 0)
    # The second in which it ends, and the next one that carries nothing.
    world.go_on(2)
    world.waits.clear()
    world.go_on(5)
    assert min(world.waits) == pytest.approx(1.0)


def test_where_the_first_seconds_speak_against_an_uplink_more_are_looked_at(world: World) -> None:
    world.rates = {"eth0": 6_000_000, "eth1": 250_000}
    world.go_on(4)
    world.change("eth1", 3_000_000)
    world.go_on(8)
    assert len(world.looks) == 11


def test_a_weak_one_becomes_a_backup_once(world: World) -> None:
    world.rates = {"eth0": 6_000_000, "eth1": 250_000}
    (changed,) = world.go_on(30)
    assert changed < 1012.0
    assert world.gauge.list_roles() == {"eth1": "carries 2 of 48 Mbit/s"}
    assert world.said == ["eth1: backup: carries 2 of 48 Mbit/s"]
    assert list(world.gauge.list_verdicts()) == ["eth1"]


def test_one_that_fades_is_judged_within_ten_seconds_at_rest_too(world: World) -> None:
    world.rates = {"eth0": 6_000_000, "eth1": 3_000_000}
    world.go_on(200)
    world.change("eth1", 250_000)
    faded = world.now
    (changed,) = world.go_on(20)
    assert changed - faded < 10.0
    assert world.said == ["eth1: backup: carries 2 of 48 Mbit/s"]


def test_one_that_changes_all_the_time_is_not_looked_at_all_the_time(world: World) -> None:
    world.rates = {"eth0": 6_000_000, "eth1": 4_000_000}
    for _ in range(20):
        world.go_on(5)
        world.change("eth1", 1_500_000)
        world.go_on(5)
        world.change("eth1", 4_000_000)
    # Eleven looks for ten seconds, after which there is rest.
    assert len(world.looks) <= 10 * 11 + 2 * 40


def test_what_is_a_backup_and_carries_nothing_is_no_other_rate(world: World) -> None:
    world.rates = {"eth0": 6_000_000, "eth1": 250_000}
    (changed,) = world.go_on(15)
    world.change("eth1", 0)
    world.looks.clear()
    world.go_on(40)
    # At rest at once: one second of three.
    assert len(world.looks) <= 22


def test_ten_thousand_connections_are_looked_at_as_seldom_as_they_cost(world: World) -> None:
    """A thousandth of the time, and some looks ahead of it."""
    world.rates = {"eth0": 6_000_000, "eth1": 3_000_000}
    world.cost = 0.05
    world.go_on(600)
    assert world.spent < 0.2 + 0.6 + 2 * world.cost
    assert len(world.looks) >= 8


def test_what_cannot_be_seen_is_said_and_costs_the_judgement_alone(world: World) -> None:
    world.rates = {"eth0": 6_000_000, "eth1": 250_000}
    world.refusal = Problem("cannot be seen")
    assert world.go_on(30) == []
    assert set(world.warned) == {"cannot be seen"} and world.gauge.list_roles() == {}


def test_a_device_that_is_gone_is_none(world: World) -> None:
    del world.rates["eth1"]
    world.rates["eth0"] = 6_000_000
    assert world.go_on(10) == []
