# SPDX-License-Identifier: GPL-2.0-or-later
"""When the monitor looks at sockets and gateways, and what it says and asks then."""

from __future__ import annotations

import pytest

from mptcp_hooks.base.errors import Problem
from mptcp_hooks.machine.neighbours import Entry
from mptcp_hooks.machine.sockets import TCP_SYN_SENT
from mptcp_hooks.machine.waiting import Exchange
from mptcp_hooks.monitor import notice
from mptcp_hooks.monitor.notice import Notice

FIRST, SECOND = "10.1.1.2", "10.1.2.2"
PATHS = ((FIRST, "eth0", "10.1.1.1", 2), (SECOND, "eth1", "10.1.2.1", 3))
NEVER = float("inf")
INCOMPLETE, REACHABLE, DELAY, FAILED = 0x01, 0x02, 0x08, 0x20


class World:
    """The kernel's counter of timeouts, its sockets, and its entries of gateways."""

    def __init__(self, patch: pytest.MonkeyPatch) -> None:
        self.timeouts = 0
        self.exchanges: list[Exchange] = []
        self.states = dict.fromkeys(("10.1.1.1", "10.1.2.1"), REACHABLE)
        self.problem: Problem | None = None
        self.looks = 0
        self.warned: list[str] = []
        patch.setattr(notice, "read_timeouts", lambda: self.timeouts)
        patch.setattr(notice, "read_exchanges", self.look)
        patch.setattr(notice, "read_entry", lambda gateway, ifindex: Entry(
            self.states[gateway], "02:00:00:00:00:01"))
        self.notice = Notice(self.warned.append)

    def look(self, addresses: frozenset[str], ended: bool) -> list[Exchange]:
        self.looks += 1
        assert addresses == {FIRST, SECOND}
        if self.problem:
            raise self.problem
        return self.exchanges

    def go_on(self, began: float, seconds: float, counting: bool = False) -> list[str]:
        """Attend whenever it wants to, for so long; what it said. `counting` has timeouts go on."""
        said = []
        now = began
        while now < began + seconds:
            self.timeouts += counting
            said += self.notice.attend(now)[1]
            now += max(0.05, min(self.notice.wait(now), 1.0))
        return said


@pytest.fixture
def world(monkeypatch: pytest.MonkeyPatch) -> World:
    return World(monkeypatch)


def wait_in_vain(number: int, peers: int) -> list[Exchange]:
    return [Exchange(FIRST, f"10.99.0.{1 + one % peers}", 443, TCP_SYN_SENT, 2, NEVER, 0, one)
            for one in range(number)]


def test_where_there_is_one_uplink_nothing_is_done(world: World) -> None:
    world.notice.note_paths([PATHS[0], ("fd00:1::2", "eth0", "fd00:1::1", 2)], True)
    world.timeouts = 100
    assert world.notice.wait(0.0) == NEVER
    assert world.notice.attend(0.0) == (False, []) and world.looks == 0


def test_sockets_are_looked_at_where_somebody_waits_and_else_not(world: World) -> None:
    world.notice.note_paths(PATHS, True)
    world.go_on(0.0, 60.0)
    assert world.looks == 0
    world.go_on(60.0, 5.0, counting=True)
    assert world.looks > 0


def test_several_that_wait_have_their_uplink_suspected_and_the_gateway_asked(world: World) -> None:
    world.notice.note_paths(PATHS, True)
    world.exchanges = wait_in_vain(3, 2)
    said = world.go_on(0.0, 8.0, counting=True)
    assert said == ["eth0: connections over 10.1.1.2 wait, for several peers, and none answers"]
    assert world.notice.suspected == {FIRST}
    assert world.notice.take_signs(8.0) == {FIRST}
    # Not again so soon; and by then it has answered, or will not.
    assert world.notice.take_signs(9.0) == frozenset()
    assert [sorted(world.notice.list_asked(now)) for now in (9.0, 11.5)] == [[], [FIRST]]
    world.exchanges = [world.exchanges[0]._replace(state=1, retransmits=0, silence=0.0)]
    assert world.go_on(12.0, 8.0, counting=True) == ["eth0: 10.1.1.2 is not suspected any more"]


def test_one_peer_is_no_reason_and_nobody_is_suspected_where_that_is_off(world: World) -> None:
    world.notice.note_paths(PATHS, True)
    world.exchanges = wait_in_vain(5, 1)
    assert world.go_on(0.0, 8.0, counting=True) == []
    world.notice.note_paths(PATHS, False)
    world.exchanges = wait_in_vain(5, 3)
    assert world.go_on(8.0, 8.0, counting=True) == [] and not world.notice.suspected
    # A gateway is asked all the same.
    assert world.notice.take_signs(16.0) == {FIRST}


def test_a_gateway_that_is_used_and_has_not_answered_lately_is_asked(world: World) -> None:
    world.notice.note_paths(PATHS, True)
    world.states["10.1.2.1"] = DELAY
    assert world.notice.attend(0.0) == (False, [])
    assert world.notice.take_signs(0.0) == {SECOND}


def test_one_that_failed_is_a_reason_for_a_round_once(world: World) -> None:
    world.notice.note_paths(PATHS, True)
    world.states["10.1.2.1"] = FAILED
    assert [world.notice.attend(float(second))[0] for second in range(4)] == [
        True, False, False, False]
    world.states["10.1.2.1"] = REACHABLE
    world.notice.attend(4.0)
    world.states["10.1.2.1"] = FAILED
    assert world.notice.attend(5.0) == (True, [])


def test_one_that_is_asked_all_the_time_and_never_answers_is_a_reason_too(world: World) -> None:
    """Who sends all the time has the kernel ask anew, hardly ever is the failure to be seen."""
    world.notice.note_paths(PATHS, True)
    world.states["10.1.2.1"] = INCOMPLETE
    assert [world.notice.attend(float(second))[0] for second in range(6)] == [
        False, False, False, False, True, False]
    assert world.notice.list_asked(5.0) == {SECOND}
    # One that is there answers in between.
    world.states["10.1.2.1"] = REACHABLE
    world.notice.attend(6.0)
    world.states["10.1.2.1"] = INCOMPLETE
    assert not any(world.notice.attend(float(second))[0] for second in range(7, 10))
    assert world.notice.list_asked(9.0) == frozenset()


def test_a_failure_that_was_seen_and_is_asked_about_again_is_one_after_all(world: World) -> None:
    world.notice.note_paths(PATHS, True)
    world.states["10.1.2.1"] = FAILED
    assert world.notice.attend(0.0) == (True, [])
    world.states["10.1.2.1"] = INCOMPLETE
    assert [world.notice.attend(float(second))[0] for second in range(1, 6)] == [
        False, False, False, True, False]


def test_a_kernel_that_shows_no_sockets_is_said(world: World) -> None:
    world.notice.note_paths(PATHS, True)
    world.problem = Problem("the kernel does not show sockets")
    assert world.go_on(0.0, 5.0, counting=True) == []
    assert set(world.warned) == {"the kernel does not show sockets"}
