# SPDX-License-Identifier: GPL-2.0-or-later
"""What the monitor says of running connections and of Multipath TCP, and when it looks."""

from __future__ import annotations

from collections.abc import Iterator
from types import SimpleNamespace

import pytest

from mptcp_hooks.base.errors import Problem
from mptcp_hooks.engine.faults import Fault
from mptcp_hooks.engine.lifelines import Use
from mptcp_hooks.engine.off import Off
from mptcp_hooks.engine.remembered import Remembered
from mptcp_hooks.monitor import health
from mptcp_hooks.monitor.closings import Closed
from mptcp_hooks.monitor.health import Health
from mptcp_hooks.monitor.judge import Best, Verdict
from mptcp_hooks.monitor.look import Errand
from mptcp_hooks.monitor.round import RoundResult
from mptcp_hooks.monitor.upkeep import Known

NEVER = float("inf")
BOTH = RoundResult(paths=("eth0", "eth1"))
OUT = RoundResult(paths=("eth0",), silent=("eth1",))
WAITS = OUT._replace(waiting=("eth1",))
ON_AGAIN = "the kernel took a silent provider for a firewall: Multipath TCP is on again"
FIRST, SECOND = "10.1.1.2", "10.1.2.2"


def use(address: str, using: int, **more: tuple[int, ...]) -> Use:
    empty: dict[str, tuple[int, ...]] = dict.fromkeys(("back", "joining", "lost", "lacking"), ())
    return Use("eth0" if address == FIRST else "eth1", address, using, **{**empty, **more})


class World:
    """What is heard and counted, what is written, and what is said; `clock` is the time of all."""

    def __init__(self, patch: pytest.MonkeyPatch) -> None:
        self.clock = 1000.0
        self.closed: list[Closed] = []
        self.deaf_until = 0.0
        self.listened: list[float] = []
        self.counters: dict[str, int] = {}
        self.counted: list[float] = []
        self.timeout = 3600
        self.ended = 0
        self.refusal: Problem | None = None
        self.noted: list[Off | None] = []
        self.recalled: tuple[Fault, ...] = ()
        self.remembered: tuple[tuple[Remembered, ...], str] = ((), "")
        self.saved: list[tuple[Remembered, ...]] = []
        self.faults: list[tuple[Fault, ...]] = []
        self.told: list[str] = []
        self.warned: list[str] = []
        for name, value in (
            ("ClosingsListener", lambda: self), ("read_mptcp_counters", self.count),
            ("end_blackhole", self.end), ("save_off", self.noted.append),
            ("load_uplinks", lambda: self.remembered), ("save_uplinks", self.saved.append),
            ("recall_faults", lambda: self.recalled), ("save_faults", self.faults.append),
            ("read_blackhole_timeout", lambda: self.timeout), ("time", lambda: 1e9),
            ("clock_gettime", lambda clock: self.clock),
        ):
            patch.setattr(health, name, value)
        self.health = Health(self.told.append, self.warned.append, self.clock)

    def fileno(self) -> int:
        return 5

    def read(self, now: float) -> list[Closed]:
        return self.closed

    def listen_again(self, now: float) -> bool:
        self.listened.append(now)
        over = bool(self.deaf_until) and now >= self.deaf_until
        self.deaf_until = 0.0 if over else self.deaf_until
        return over

    def count(self) -> dict[str, int]:
        self.counted.append(self.clock)
        return self.counters

    def end(self) -> None:
        if self.refusal:
            raise self.refusal
        self.ended += 1

    def round(self, report: RoundResult, after: float = 0.0) -> float:
        """A round that ends so much later; how soon another is to come."""
        self.clock += after
        return self.health.note_round(report, self.clock)

    def begin(self) -> None:
        """A first round with both paths, the look that tells of their addresses, and some time."""
        self.round(BOTH)
        self.clock += 0.25
        assert self.health.joins.begin(self.clock) is not None
        self.look(use(FIRST, 0), use(SECOND, 0))
        self.clock += 5
        self.health.attend(self.clock)

    def look(self, *uses: Use, after: float = 0.0) -> None:
        self.clock += after
        self.health.note_look(RoundResult(uses=uses), 0.01, self.clock)

    def go_on(self, seconds: float) -> None:
        """Attend whenever there is something to do, but begin no look."""
        end = self.clock + seconds
        while self.clock <= end:
            self.health.attend(self.clock)
            self.health.joins.begin(self.clock)
            self.clock += max(0.001, min(self.health.wait(self.clock), end - self.clock + 0.001))

    def conclude(self, times: int, answers: int = 0) -> None:
        """Have the kernel conclude so many times that there is a firewall, and see it."""
        self.counters = {"Blackhole": times, "MPCapableSYNACKRX": answers}
        self.clock += 4
        self.health.attend(self.clock)


@pytest.fixture
def world(monkeypatch: pytest.MonkeyPatch) -> Iterator[World]:
    yield World(monkeypatch)


def test_without_a_path_there_is_nothing_to_do(world: World) -> None:
    world.go_on(100.0)
    assert world.counted == [] and world.health.wait(world.clock) == NEVER
    assert world.health.fileno(world.clock) == 5 and world.health.describe() == "no path"


def test_counters_are_looked_at_every_four_seconds_while_there_are_paths(world: World) -> None:
    world.round(BOTH)
    world.go_on(20.0)
    assert world.counted == pytest.approx([1000, 1004, 1008, 1012, 1016, 1020], abs=0.01)
    world.round(RoundResult(paths=()))
    world.go_on(100.0)
    assert len(world.counted) == 6


def test_a_round_that_came_to_no_end_tells_nothing(world: World) -> None:
    world.round(BOTH)
    assert world.round(RoundResult(failed=True)) == NEVER
    assert world.told == [] and world.health.describe() == "2 paths: eth0, eth1"


def test_a_subflow_that_ends_is_looked_at_soon(world: World) -> None:
    world.begin()
    world.closed = [Closed(1, SECOND)]
    world.health.hear(world.clock)
    assert world.health.joins.lost == {SECOND: {1}}
    assert world.health.joins.wait(world.clock) == pytest.approx(0.25)
    # What comes meanwhile is heard together.
    assert world.health.fileno(world.clock) == -1
    assert world.health.wait(world.clock) == pytest.approx(0.2)
    assert world.health.fileno(world.clock + 0.2) == 5


def test_events_that_were_lost_are_looked_at_and_are_nobodys(world: World) -> None:
    world.begin()
    world.closed = [Closed(0, "")]
    world.health.hear(world.clock)
    assert world.health.joins.lost == {}
    assert world.health.joins.wait(world.clock) == pytest.approx(0.25)


def test_it_listens_again_when_it_was_deaf_for_long_enough(world: World) -> None:
    world.deaf_until = 1001.0
    assert world.health.wait(1000.5) == 0.5
    world.health.attend(1001.0)
    assert world.listened == [1001.0]
    # What ended meanwhile, a look finds out.
    assert world.health.joins.wait(1001.0) == 3


@pytest.mark.parametrize("name", ["MPCapableSYNACKRX", "SubflowStale"])
def test_new_connections_and_stale_subflows_are_looked_at(world: World, name: str) -> None:
    world.begin()
    world.counters = {name: 1}
    for looked in (True, False):
        world.clock += 4
        world.health.attend(world.clock)
        assert (world.health.joins.begin(world.clock + 3) is not None) == looked


def test_new_connections_over_the_only_path_lack_nothing(world: World) -> None:
    world.round(RoundResult(paths=("eth0",)))
    world.health.joins.begin(world.clock + 0.25)
    world.counters = {"MPCapableSYNACKRX": 1}
    world.health.attend(world.clock)
    assert world.health.joins.wait(world.clock) == NEVER


@pytest.mark.parametrize(("report", "looked"), [
    (BOTH, False), (BOTH._replace(made=True), True), (OUT, False)])
def test_endpoints_that_were_made_are_looked_at(
    world: World, report: RoundResult, looked: bool
) -> None:
    world.begin()
    world.round(report)
    assert (world.health.joins.begin(world.clock + 0.25) is not None) == looked


def test_interfaces_that_are_new_are_looked_at(world: World) -> None:
    """Only of addresses that a look told of it is heard who loses them."""
    world.begin()
    more = BOTH._replace(paths=("eth0", "eth1", "wwan0"))
    for looked in (True, False):
        world.round(more)
        assert (world.health.joins.begin(world.clock + 0.25) is not None) == looked


def test_a_look_that_came_to_no_end_is_made_again_and_tells_nothing(world: World) -> None:
    world.begin()
    world.closed = [Closed(1, SECOND)]
    world.health.hear(world.clock)
    world.health.joins.begin(world.clock + 0.25)
    before = world.health.describe()
    world.health.note_look(RoundResult(("cannot be read",), failed=True), 0.01, world.clock)
    assert (world.health.describe(), world.told, world.warned) == (before, [], [])
    assert world.health.joins.lost == {SECOND: {1}}
    assert world.health.joins.wait(world.clock) == 5


def test_an_outage_is_told_and_who_uses_the_path_again(world: World) -> None:
    world.begin()
    world.closed = [Closed(1, SECOND), Closed(2, SECOND)]
    world.health.hear(world.clock)
    world.round(OUT, after=300.0)
    assert world.told == ["eth1: carrier lost after 5 min: endpoint taken away"]
    assert world.health.describe() == (
        "1 path: eth0 used by 0 connections; eth1: no carrier")
    world.round(BOTH, after=60.0)
    world.look(use(FIRST, 2), use(SECOND, 1, back=(1,), lost=(2,)), after=0.25)
    assert len(world.told) == 1
    assert world.health.joins.begin(world.clock + 0.25) is not None
    world.look(use(FIRST, 2), use(SECOND, 2, back=(2,)), after=0.25)
    assert world.told[1:] == ["eth1: back after 60 s, 2 of 2 connections use it again"]
    assert world.warned == []


def test_its_description_tells_how_many_use_each_path(world: World) -> None:
    world.round(BOTH)
    world.look(use(FIRST, 1), use(SECOND, 12))
    assert world.health.describe() == (
        "2 paths: eth0 used by 1 connection, eth1 used by 12 connections")
    world.round(WAITS)
    assert world.health.describe() == (
        "1 path: eth0 used by 1 connection; eth1: its gateway does not answer")


@pytest.mark.parametrize("report", [WAITS, BOTH._replace(kept=("eth1",))])
def test_who_waits_comes_back_soon_and_less_and_less_often(
    world: World, report: RoundResult
) -> None:
    pauses = [world.round(report)]
    began = world.clock
    while world.clock < began + 400:
        pauses.append(world.round(report, after=pauses[-1]))
    assert pauses[0] == 0.15 and pauses == sorted(pauses)
    assert max(pause for pause in pauses if pause < 10) == 3
    assert 295 < sum(pause for pause in pauses if pause < 10) < 310 and pauses[-1] == 10


def test_with_the_gateways_answer_there_is_nothing_to_come_back_for(world: World) -> None:
    world.round(WAITS)
    assert world.round(WAITS, after=100.0) == 3
    assert world.round(BOTH, after=100.0) == NEVER
    assert world.round(WAITS, after=100.0) == 0.15


def test_silence_alone_is_nothing_to_come_back_for(world: World) -> None:
    """The kernel announces a carrier."""
    assert world.round(OUT) == NEVER


def test_a_provider_that_was_silent_does_not_cost_an_hour(world: World) -> None:
    world.round(BOTH)
    world.conclude(1)
    assert (world.ended, world.noted, world.told) == (1, [None], [ON_AGAIN])
    assert world.warned == [] and "off" not in world.health.describe()
    world.conclude(1)
    assert world.ended == 1


def test_a_firewall_is_left_and_noted_with_its_time(world: World) -> None:
    world.round(BOTH)
    for times in (1, 2, 2):
        world.conclude(times)
    assert world.ended == 1
    assert world.noted == [None, Off(1_000_000_000, 1_000_003_600)]
    assert world.warned == [
        "a firewall drops requests for Multipath TCP, but not plain TCP: the kernel turns it "
        "off for new connections, for 3600 s"]
    assert world.health.describe() == (
        "2 paths: eth0, eth1; Multipath TCP is off for new connections")


@pytest.mark.parametrize(("after", "told"), [(60, ("eth1",)), (3600, ())])
def test_an_outage_before_a_firewall_is_noted_with_it(
    world: World, after: float, told: tuple[str, ...]
) -> None:
    world.round(OUT)
    world.clock += after
    for times in (1, 2):
        world.conclude(times)
    assert world.noted[-1] == Off(1_000_000_000, 1_000_003_600, told)


def test_each_further_conclusion_lasts_twice_as_long_and_is_noted(world: World) -> None:
    world.round(BOTH)
    for times in (1, 2, 3):
        world.conclude(times)
    assert world.noted == [None, Off(1_000_000_000, 1_000_003_600),
                           Off(1_000_000_000, 1_000_007_200)]


@pytest.mark.parametrize("seen", [
    lambda world: world.round(OUT), lambda world: world.look(use(SECOND, 0, lost=(1,)))])
def test_an_outage_explains_what_the_kernel_concludes(world: World, seen: object) -> None:
    assert callable(seen)
    world.round(BOTH)
    world.conclude(1)
    seen(world)
    world.conclude(2)
    assert world.ended == 2 and world.warned == []


def test_an_answer_ends_what_was_left(world: World) -> None:
    world.round(BOTH)
    for times, answers in ((1, 0), (2, 0), (2, 1)):
        world.conclude(times, answers)
    assert world.ended == 2 and world.noted[-1] is None
    assert "off" not in world.health.describe()


def test_what_cannot_be_ended_is_a_warning(world: World) -> None:
    world.refusal = Problem("cannot write it: run this")
    world.round(BOTH)
    world.conclude(1)
    assert (world.told, world.warned, world.noted) == ([], ["cannot write it: run this"], [])
    assert world.health.describe() == (
        "2 paths: eth0, eth1; Multipath TCP is off for new connections")
    world.refusal = None
    world.conclude(1, answers=1)
    assert world.told == [ON_AGAIN] and "off" not in world.health.describe()


def test_what_cannot_be_noted_is_a_warning_too(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(off: Off | None) -> None:
        raise Problem("cannot write the record")

    world.round(BOTH)
    monkeypatch.setattr(health, "save_off", refuse)
    world.conclude(1)
    assert (world.ended, world.told, world.warned) == (
        1, [ON_AGAIN], ["cannot write the record"])
    assert "off" not in world.health.describe()
    world.conclude(2)
    assert len(world.warned) == 3 and world.warned[1] == "cannot write the record"


def test_who_may_not_hear_of_subflows_is_told_once(monkeypatch: pytest.MonkeyPatch) -> None:
    warned: list[str] = []
    monkeypatch.setattr(health, "ClosingsListener", lambda: SimpleNamespace(
        refusal="Operation not permitted"))
    Health(pytest.fail, warned.append, 0.0)
    assert warned == ["cannot hear the kernel's MPTCP events: Operation not permitted: subflows "
                      "that are lost on the way are found later, or with a reload"]


def test_peers_are_told_again_of_an_endpoint_that_went_and_once_more_where_it_is_missed(
    world: World
) -> None:
    """Of its own accord while it is away; then with the attempt to make it again."""
    standing = ((FIRST, 1), (SECOND, 2))
    world.round(BOTH._replace(endpoints=standing))
    world.health.note_look(RoundResult(
        uses=(use(FIRST, 1), use(SECOND, 1)), endpoints=standing), 0.01, world.clock)
    world.round(OUT._replace(endpoints=standing[:1]))
    world.clock += 0.25
    assert world.health.begin_look(world.clock) == Errand({}, {SECOND: (2,)})
    back = ((FIRST, 1), (SECOND, 3))
    world.round(BOTH._replace(endpoints=back, made=True))
    missed = RoundResult(uses=(use(FIRST, 1), use(SECOND, 0, lost=(1,))), endpoints=back)
    world.health.note_look(missed, 0.0, world.clock)
    world.clock += 5
    assert world.health.begin_look(world.clock) == Errand({SECOND: (2, 3)}, {})
    whole = missed._replace(uses=(use(FIRST, 1), use(SECOND, 1, back=(1,))))
    world.health.note_look(whole, 0.0, world.clock)
    world.health.note_look(missed, 0.0, world.clock)
    world.clock += 5
    assert world.health.begin_look(world.clock) == Errand({SECOND: (3,)}, {})


ETH1_FAULT = ("eth1", SECOND, "10.1.2.1", "no carrier")
ETH0_FAULT = ("eth0", FIRST, "10.1.1.1", "gateway silent")
# eth0 is out, and new connections leave by eth1.
LED = RoundResult(paths=("eth1",), silent=("eth0",), faults=(ETH0_FAULT,),
                  ways=((4, "eth0", "eth1"),))
RETURNED = BOTH._replace(ways=((4, "eth0", ""),))


def test_a_silent_gateway_and_the_way_out_are_told(world: World) -> None:
    world.begin()
    world.clock = 1300.0
    world.round(LED._replace(waiting=("eth0",)))
    world.round(LED._replace(waiting=("eth0",)), 5.0)
    assert world.told == ["eth0: gateway 10.1.1.1 silent after 5 min: endpoint taken away",
                          "eth0: gateway 10.1.1.1 silent: new connections over IPv4 leave by eth1"]
    assert world.health.describe().endswith("; eth0: gateway 10.1.1.1 silent")
    world.round(BOTH._replace(ways=LED.ways), 35.0)
    world.round(RETURNED, 10.0)
    assert world.told[2:] == [
        "eth0: alive again after 40 s: new connections over IPv4 leave by it"]


def test_a_gateway_of_a_path_that_lost_its_carrier_is_none_that_is_silent(world: World) -> None:
    world.begin()
    world.round(OUT._replace(faults=(ETH1_FAULT,)))
    (told,) = world.told
    assert told.startswith("eth1: carrier lost after ")


def test_rounds_are_told_which_paths_are_out_or_were_a_moment_ago(world: World) -> None:
    world.begin()
    assert world.health.recall(world.clock) == Known()
    world.round(LED)
    assert world.health.recall(world.clock + 100).fresh == {FIRST}
    world.round(BOTH._replace(ways=LED.ways), 100.0)
    assert world.health.recall(world.clock + 9.9).fresh == {FIRST}
    assert world.health.recall(world.clock + 10.1).fresh == frozenset()


def test_a_round_comes_that_leads_new_connections_back(world: World) -> None:
    """Nobody announces that a path has been back for long enough."""
    world.begin()
    assert world.round(LED) == NEVER
    back = BOTH._replace(ways=LED.ways)
    assert world.round(back, 60.0) == 10.0
    assert world.round(back, 4.0) == 6.0
    assert world.round(BOTH, 6.0) == NEVER


def test_where_nothing_is_led_anywhere_no_round_comes_for_it(world: World) -> None:
    world.begin()
    world.round(OUT._replace(faults=(ETH1_FAULT,)))
    assert world.round(BOTH, 60.0) == NEVER


def test_what_is_out_is_noted_once_with_since_when(world: World) -> None:
    world.begin()
    world.round(LED)
    world.round(LED, 5.0)
    world.round(LED._replace(faults=(ETH0_FAULT, ETH1_FAULT)), 5.0)
    world.round(BOTH, 5.0)
    eth0, eth1 = (Fault(FIRST, "gateway silent", 10**9), Fault(SECOND, "no carrier", 10**9))
    # The first takes what somebody else may have noted for its own word.
    assert world.faults == [(), (eth0,), (eth0, eth1), ()]


def test_since_when_outlives_the_monitor_and_ends_with_the_reason(world: World) -> None:
    noted = Fault(FIRST, "gateway silent", 999_999_000)
    world.recalled = (noted, Fault(SECOND, "check failed", 999_999_000))
    world.round(LED._replace(faults=(ETH0_FAULT, ETH1_FAULT)))
    assert world.faults == [(noted, Fault(SECOND, "no carrier", 10**9))]


def test_what_is_suspected_is_noted_unless_more_is_known(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(type(world.health._notice), "suspected", frozenset((FIRST, SECOND)))
    world.round(LED._replace(addresses=((FIRST, "eth0", "10.1.1.1", 2),
                                        (SECOND, "eth1", "10.1.2.1", 3))))
    assert world.faults == [(Fault(FIRST, "gateway silent", 10**9),
                             Fault(SECOND, "suspected", 10**9))]
    assert world.told == ["eth0: gateway 10.1.1.1 silent: new connections over IPv4 leave by eth1"]


def test_a_note_that_cannot_be_written_is_warned_of_and_tried_again(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(faults: object) -> None:
        raise Problem("cannot write")

    monkeypatch.setattr(health, "save_faults", refuse)
    world.round(LED)
    assert world.warned == ["cannot write"]
    monkeypatch.setattr(health, "save_faults", world.faults.append)
    world.round(LED)
    assert [one.address for one in world.faults[-1]] == [FIRST]


def test_a_path_that_comes_and_goes_is_said_once_and_its_rounds_are_told(world: World) -> None:
    world.begin()
    for _ in range(5):
        world.round(OUT._replace(faults=(ETH1_FAULT,)), 1.0)
        unsteady = world.health.recall(world.clock).unsteady
        pause = world.round(OUT._replace(faults=(("eth1", SECOND, "10.1.2.1", "comes and goes"),))
                            if unsteady else BOTH, 1.0)
    assert unsteady == {SECOND} and pause == 8.0
    assert world.health.describe().endswith("; eth1: comes and goes")
    assert [text for text in world.told if "comes" in text] == [
        "eth1: comes and goes: its endpoint waits until it has been up for a while"]
    assert world.faults[-1] == (Fault(SECOND, "comes and goes", 10**9),)
    world.clock += 8.0
    assert world.health.recall(world.clock).unsteady == frozenset()


UPLINKS = BOTH._replace(free=("eth0", "eth1"), addresses=(
    (FIRST, "eth0", "10.1.1.1", 2), (SECOND, "eth1", "10.1.2.1", 3)))
STICK = Remembered("eth1", ("10.1.2.1",), 2_000_000, 0, "carries 2 of 50 Mbit/s")


def test_a_stick_that_is_always_slow_begins_as_a_backup(world: World) -> None:
    world.remembered = (STICK,), ""
    # A round comes at once that makes it true.
    assert world.round(UPLINKS) == 0.0
    assert world.health.recall(world.clock).roles == (("eth1", "carries 2 of 50 Mbit/s"),)
    assert world.round(UPLINKS) == NEVER
    # Nothing was found that was not known.
    assert world.saved == [] and world.warned == []


@pytest.mark.parametrize("one", [STICK._replace(gateways=("10.9.9.9",)),
                                 STICK._replace(iface="eth7"), STICK._replace(why="")])
def test_another_uplink_is_not_what_is_remembered(world: World, one: Remembered) -> None:
    world.remembered = (one,), ""
    world.round(UPLINKS)
    assert world.health.recall(world.clock).roles == ()


@pytest.mark.parametrize("gone", [True, False])
def test_another_network_is_no_backup_by_what_was_found_in_the_last(
    world: World, gone: bool
) -> None:
    world.remembered = (STICK,), ""
    world.round(UPLINKS)
    assert world.health.recall(world.clock).roles == (("eth1", STICK.why),)
    if gone:
        world.round(BOTH._replace(free=("eth0",), addresses=UPLINKS.addresses[:1]))
        assert world.health.recall(world.clock).roles == ()
    elsewhere = UPLINKS._replace(addresses=(
        UPLINKS.addresses[0], (SECOND, "eth1", "10.9.9.9", 3)))
    # Where there is a role, a round comes at once that takes it away.
    assert world.round(elsewhere) == (NEVER if gone else 0.0)
    assert world.health.recall(world.clock).roles == ()
    assert world.told[-1] == "eth1: no backup any more: it is behind another gateway"
    world.round(UPLINKS)
    assert world.health.recall(world.clock).roles == (("eth1", STICK.why),)
    assert world.saved == []


def test_what_is_remembered_and_makes_no_sense_is_said_once(world: World) -> None:
    world.remembered = (), "uplinks is damaged"
    world.round(UPLINKS)
    world.round(UPLINKS)
    assert world.warned == ["uplinks is damaged"]
    assert world.health.recall(world.clock).roles == ()


def test_what_was_found_is_remembered_once(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = Verdict(Best(2e6, 0.0), "carries 2 of 50 Mbit/s")
    monkeypatch.setattr(world.health._gauge, "list_verdicts", lambda: {"eth1": found})
    world.round(UPLINKS)
    world.round(UPLINKS)
    assert world.saved == [(STICK,)]
