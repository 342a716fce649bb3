# SPDX-License-Identifier: GPL-2.0-or-later
"""Where packets are expected, and what a monitor may know: what the documentation says of each."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import pytest

from tests.model.health import Belief, Health, State
from tests.model.kernel import (
    MAIN_TABLE,
    UNREACHABLE,
    Default,
    Endpoint,
    Held,
    Limits,
    Link,
    Route,
    Rule,
    Snapshot,
)
from tests.model.model import Model
from tests.model.packets import Expected, compare_packets, list_expected
from tests.model.player import judge
from tests.model.questions import NOWHERE, Arrival, Question
from tests.model.things import Wish, Written, write_wish
from tests.model.told import Told
from tests.model.way_out import Way, list_ways
from tests.model.world import DEVICES, TUNNEL, Configuration, Stanza, find_own

FAR = "203.0.113.7"
WAN0, WAN1 = Arrival("wan0", "10.1.0.2"), Arrival("wan1", "10.2.0.2")
ALIVE, FRESH, OUT = Belief.ALIVE, Belief.FRESH, Belief.OUT
ANYTHING = set(Belief)
PLAIN, BACKUP = ("subflow",), ("subflow", "backup")


def lay(device: str, gateway: bool = True, flags: Sequence[str] = ("subflow",),
        family: int = 4) -> Written:
    """The path of a device's first address of a family."""
    number, own = 3 + DEVICES.index(device), find_own(device, 0, family)
    return write_wish(Wish(family, own.address, device, number, own.subnet, own.gateway * gateway,
                           0, 0, tuple(flags), False, True), True, 20000 + number)


TWO = lay("wan0"), lay("wan1")


def see(
    paths: Iterable[Written] = TWO, cut: Iterable[str] = (), main: Iterable[str] = ("wan0",)
) -> Snapshot:
    """All that there is of some paths; `main` has default routes by these devices."""
    own = [(device, find_own(device, 0, 4)) for device in DEVICES]
    return Snapshot(
        links={device: Link(3 + number, True, device not in cut)
               for number, device in enumerate((*DEVICES, TUNNEL))},
        addresses=tuple(Held(device, device, 4, one.address, 24, False) for device, one in own),
        defaults=tuple(Default(device, 4, dict(own)[device].gateway if device != TUNNEL else "",
                               100 + number) for number, device in enumerate(main)),
        marked=frozenset(thing for path in paths for thing in path.things
                         if not isinstance(thing, Endpoint)),
        foreign=frozenset(), ids={}, limits=Limits(8, 8))


def know(paths: Iterable[Written] = TWO, monitored: bool = True, deaf: Iterable[str] = ()) -> Model:
    """A model that was told of paths, and has a monitor that has just begun."""
    model = Model(told=[Told(Stanza(path.wish.device, (4,)), paths={path.wish.address: path})
                        for path in paths], monitored=monitored, deaf=set(deaf))
    model.begin(see(paths), 1000.0)
    return model


def expect(model: Model, seen: Snapshot, source: str = "", device: str = "",
           target: str = FAR) -> set[Arrival]:
    """Where one datagram may come in."""
    (found,) = (one.arrivals for one in list_expected(model, seen)
                if one.question == Question(4, source, device, target))
    return set(found)


@pytest.mark.parametrize("source, device, arrival", [
    ("10.1.0.2", "", WAN0), ("10.2.0.2", "", WAN1), ("", "wan0", WAN0), ("", "wan1", WAN1)])
def test_what_is_bound_leaves_by_its_uplink_or_not_at_all(
    source: str, device: str, arrival: Arrival
) -> None:
    assert expect(know(), see(), source, device) == {arrival}
    assert expect(know(deaf=DEVICES), see(), source, device) == {NOWHERE}
    assert expect(know(), see(cut=DEVICES), source, device) == {NOWHERE}


def test_a_lan_leads_nowhere_but_to_itself() -> None:
    paths = [lay("wan0", gateway=False)]
    assert expect(know(paths), see(paths), "10.1.0.2") == {NOWHERE}
    assert expect(know(paths), see(paths), "10.1.0.2", target="10.1.0.1") == {WAN0}


def test_what_main_knows_better_than_a_default_goes_there() -> None:
    """Whatever its source, and while new connections are led elsewhere."""
    model = know()
    model.ways[4] = Way(TWO[1])
    for cut, arrival in (((), "wan0"), (("wan0",), "")):
        for source in ("", "10.2.0.2"):
            found = expect(model, see(cut=cut), source, target="10.1.0.1")
            assert {one.device for one in found} == {arrival}


def test_of_what_somebody_took_apart_nothing_is_asked() -> None:
    (rule,) = (thing for thing in TWO[0].things
               if isinstance(thing, Rule) and thing.preference == 20002)
    asked = [one.question.source for one in list_expected(know(), see().without([rule]))]
    assert "10.1.0.2" not in asked and "10.2.0.2" in asked


@pytest.mark.parametrize("deleted, device, arrivals", [
    ((), "wan1", {NOWHERE}),
    ((20001,), "wan1", {NOWHERE, Arrival("wan1", "10.2.0.3")}),
    ((20001,), "wan0", {NOWHERE}),
])
def test_what_main_refuses_goes_nowhere_but_by_an_address_that_somebody_took_apart(
    deleted: Sequence[int], device: str, arrivals: set[Arrival]
) -> None:
    """The kernel asks for what is bound to a device once more, from any address of it."""
    own = find_own("wan1", 1, 4)
    further = write_wish(
        TWO[1].wish._replace(address=own.address, subnet=own.subnet), False, 10020005)
    seen = see((*TWO, further))
    seen = seen._replace(
        addresses=(*seen.addresses, Held("wan1", "wan1", 4, own.address, 24, False)),
        foreign=frozenset([Route(4, MAIN_TABLE, "198.51.100.0/24", UNREACHABLE, "", "", "", 0,
                                 False)]))
    gone = [thing for thing in further.things
            if isinstance(thing, Rule) and thing.preference in deleted]
    assert len(gone) == len(deleted)
    assert expect(know((*TWO, further)), seen.without(gone), device=device,
                  target="198.51.100.7") == arrivals


@pytest.mark.parametrize("way, main, arrivals", [
    (Way(), ("wan1", "wan0"), {Arrival("wan1", "")}),
    (Way(TWO[1]), ("wan0",), {WAN1}),
    (Way(barred=True), (TUNNEL, "wan0"), {Arrival(TUNNEL, "")}),
    (Way(barred=True), (), {NOWHERE}),
    (Way(), (), {WAN0, WAN1}),
])
def test_what_is_bound_to_nothing_goes_the_way_out(
    way: Way, main: Sequence[str], arrivals: set[Arrival]
) -> None:
    model = know()
    model.ways[4] = way
    assert expect(model, see(main=main)) == arrivals


def test_behind_main_those_with_backup_come_last() -> None:
    paths = [lay("wan0", flags=("subflow", "backup")), lay("wan1")]
    assert expect(know(paths), see(paths, main=())) == {WAN1}
    # Where one that is asked has lost its routes, it is nobody's promise.
    (route,) = (thing for thing in paths[0].things if isinstance(thing, Route) and thing.gateway)
    assert expect(know(paths), see(paths, main=()).without([route])) == {
        NOWHERE, WAN1, WAN0._replace(source="")}


def test_a_detour_whose_gateway_was_asked_in_vain_is_left_alone_by_ipv6() -> None:
    """The kernel meets the unreachable default then, and asks again with an address as source."""
    for family, target, arrivals in (
            (4, FAR, {NOWHERE}),
            (6, "2001:db8:ffff::7", {NOWHERE, Arrival("wan1", "fd00:2::2")})):
        paths = [lay("wan1", family=family), lay("wan2", family=family)]
        model = know(paths, deaf=("wan2",))
        model.ways[family] = Way(paths[1])
        seen = see(paths)._replace(addresses=tuple(
            Held(path.wish.device, path.wish.device, family, path.wish.address, 64, False)
            for path in paths))
        (found,) = (one.arrivals for one in list_expected(model, seen)
                    if one.question == Question(family, "", "", target))
        assert found == arrivals


@pytest.mark.parametrize("late, held, led, main, deaf, arrivals", [
    (True, True, False, ("wan1",), (), {Arrival("wan1", "fd00:1::2")}),
    (True, True, False, ("wan1", "wan0"), ("wan1",), {Arrival("wan0", "fd00:1::2")}),
    (True, True, False, (), (), set()),
    (True, False, False, ("wan1",), (), set()),
    # A path's own rules come first, and end where its gateway was asked in vain.
    (True, True, True, ("wan1",), ("wan0",), set()),
    (False, True, False, ("wan1",), (), set()),
])
def test_where_ipv6_asks_again_the_rule_of_another_program_may_lead_by_main(
    late: bool, held: bool, led: bool, main: Sequence[str], deaf: Sequence[str],
    arrivals: set[Arrival],
) -> None:
    """Before a detour whose link is down, for the address that it is for, and no other one."""
    paths = [lay("wan2", family=6), *[lay("wan0", family=6)] * led]
    model = know(paths, deaf=deaf)
    model.ways[6] = Way(paths[0])
    owns = {device: find_own(device, 0, 6) for device in DEVICES}
    seen = see(paths, cut=("wan2",), main=())._replace(
        addresses=tuple(Held(device, device, 6, owns[device].address, 64, False)
                        for device in ("wan0",) * held + ("wan1",)),
        defaults=tuple(Default(device, 6, owns[device].gateway, 100 + number)
                       for number, device in enumerate(main)),
        foreign=frozenset([Rule(6, 32000, "fd00:1::2", "", "", MAIN_TABLE)] * late))
    (found,) = (one.arrivals for one in list_expected(model, seen)
                if one.question == Question(6, "", "", "2001:db8:ffff::7"))
    assert found == arrivals | {NOWHERE}


@pytest.mark.parametrize("found", [
    [WAN1], [WAN0._replace(source="10.2.0.2")], [WAN0, WAN0], []])
def test_what_comes_in_elsewhere_is_astray(found: list[Arrival]) -> None:
    (astray,) = compare_packets(
        [Expected(Question(4, "10.1.0.2", "", FAR), frozenset([WAN0]))], [found])
    assert (astray.way, astray.kind) == ("astray", "Packet")


@pytest.mark.parametrize("expected, found", [
    (WAN0, [WAN0]), (WAN0._replace(source=""), [WAN0]), (NOWHERE, [])])
def test_what_comes_in_where_it_shall_is_not(expected: Arrival, found: list[Arrival]) -> None:
    assert compare_packets(
        [Expected(Question(4, "", "", FAR), frozenset([expected]))], [found]) == []


def list_chosen(model: Model, seen: Snapshot) -> set[str]:
    """The devices of the ways that may be, '' for main."""
    return {way.path.wish.device if way.path else "barred" * way.barred
            for way in list_ways(model, 4, seen)}


THREE = *TWO, lay("wan2")


@pytest.mark.parametrize("cut, main, chosen", [
    ((), ("wan0",), ""),
    (("wan1",), ("wan0",), ""),
    (("wan0",), ("wan0",), "wan1"),
    (("wan0",), ("wan0", "wan2"), "wan2"),
    (("wan0", "wan1"), ("wan0",), "wan2"),
    (DEVICES, ("wan0",), ""),
    ((), (), ""),
    (("wan0",), (), "wan1"),
    (("wan0",), (TUNNEL, "wan0"), "barred"),
])
def test_a_monitor_leads_to_the_best_that_is_alive(
    cut: Sequence[str], main: Sequence[str], chosen: str
) -> None:
    assert list_chosen(know(THREE), see(THREE, cut, main)) == {chosen}


def test_one_with_backup_is_led_to_last() -> None:
    paths = [TWO[0], lay("wan1", flags=("subflow", "backup")), THREE[2]]
    assert list_chosen(know(paths), see(paths, cut=("wan0",))) == {"wan2"}


def test_one_that_has_just_come_back_is_not_led_to_before_others() -> None:
    model = know(THREE)
    model.watch(see(THREE, cut=("wan0", "wan1")), 999.0, settled=True)
    assert list_chosen(model, see(THREE)) == {"wan2"}
    assert list_chosen(model, see(THREE, cut=("wan2",))) == {""}
    assert list_chosen(model, see(THREE, cut=("wan0", "wan2"))) == {"wan1"}


@pytest.mark.parametrize("shared, cut, deaf, chosen", [
    (False, (), (), {""}),
    (False, ("wan0",), (), {"wan1"}),
    (False, (), ("wan0",), {"", "wan1"}),
    (True, ("wan0",), (), {""}),
])
def test_a_further_address_that_becomes_the_first_keeps_its_past(
    shared: bool, cut: Sequence[str], deaf: Sequence[str], chosen: set[str]
) -> None:
    further = TWO[0].wish._replace(address="10.1.0.3", shared=shared)
    model = know((*TWO, write_wish(further, False, 10020003)), deaf=deaf)
    for now in (900.0, 999.0):
        model.watch(see(cut=cut), now, settled=True)
    model.deaf.clear()
    alone = know((TWO[1], write_wish(further._replace(shared=False), True, 10020003)))
    model.told = alone.told
    assert list_chosen(model, see()) == chosen


@pytest.mark.parametrize("running, chosen", [(True, {""}), (False, {"", "wan1"})])
def test_a_path_that_goes_with_its_device_was_out(running: bool, chosen: set[str]) -> None:
    """Not one that is taken away as it is well; nor is it out again with each look."""
    model = know()
    went, model.told = model.told, model.told[1:]
    gone = see(main=(), cut=["wan0"] * (not running))
    for now, settled in ((990.0, True), (991.0, False), (992.0, False)):
        model.watch(gone, now, settled)
    model.told = went
    assert list_chosen(model, see(main=())) == chosen
    model.now += 2.0
    assert list_chosen(model, see(main=())) == {""}


def test_of_a_gateway_that_fell_silent_nobody_need_know_yet() -> None:
    assert list_chosen(know(deaf=("wan0",)), see()) == {"", "wan1"}


def test_a_dead_tunnel_bars_the_way_until_main_has_a_default() -> None:
    model = know()
    model.ways[4] = Way(barred=True)
    assert list_chosen(model, see(main=())) == {"barred"}
    assert list_chosen(model, see(main=("wan1",))) == {""}


@pytest.mark.parametrize("own, now, seen", [
    (PLAIN, BACKUP, []),
    (PLAIN, PLAIN, ["missing Role"]),
    # It has no role, so that nobody takes the flag away with it.
    (BACKUP, BACKUP, []),
    (BACKUP, PLAIN, ["left over Endpoint"]),
])
def test_a_weak_uplink_that_is_no_backup_is_seen_where_its_own_flags_are_those_it_had(
    own: tuple[str, ...], now: tuple[str, ...], seen: list[str]
) -> None:
    """The file says nothing of flags by now."""
    assert _judge_weak((lay("wan0"), lay("wan1", flags=own)), now, ("10.2.0.2",)) == seen


@pytest.mark.parametrize("now, recorded, seen", [
    (BACKUP, True, []),
    (PLAIN, True, ["missing Role"]),
    # Nobody would take the flag away with the role.
    (BACKUP, False, ["left over Endpoint", "missing Role"]),
])
def test_a_role_is_not_lent_by_the_flags_of_another_device_that_has_the_address(
    now: tuple[str, ...], recorded: bool, seen: list[str]
) -> None:
    """The endpoint is that of the weak uplink, which had the address first."""
    assert _judge_shared(PLAIN, BACKUP, now, ("10.2.0.2",) * recorded) == seen


@pytest.mark.parametrize("now, seen", [
    (BACKUP, []),
    (PLAIN, ["left over Endpoint"]),
])
def test_an_endpoint_that_is_a_backup_by_itself_has_no_role_beside_one_that_shares_its_address(
    now: tuple[str, ...], seen: list[str]
) -> None:
    """The address may be on record all the same, since the other device had the endpoint."""
    assert _judge_shared(BACKUP, PLAIN, now, ("10.2.0.2",)) == seen


def _judge_shared(
    own: tuple[str, ...], others: tuple[str, ...], now: tuple[str, ...], recorded: tuple[str, ...]
) -> list[str]:
    """What differs where weak wan1 has an endpoint, and wan2 the same address without one."""
    wan1 = lay("wan1", flags=own)
    wan2 = write_wish(wan1.wish._replace(device="wan2", ifindex=5, flags=others, endpoint=False,
                                         shared=True), True, 20005)
    return _judge_weak((lay("wan0"), wan1, wan2), now, recorded)


def _judge_weak(
    paths: tuple[Written, ...], now: tuple[str, ...], recorded: tuple[str, ...]
) -> list[str]:
    """What differs where wan1, the second of `paths`, is weak and its endpoint has flags `now`.

    The addresses that are `recorded` have roles. What stands keeps the flags that it was made with:
    the file gives it a table that another uplink has.
    """
    model = know(paths)
    model.known_weak = frozenset(("wan1",))
    model.configuration = Configuration(tables=(("wan0", 20003), ("wan1", 20003)))
    before, after = (
        see(paths, main=("wan0", "wan1"))._replace(ids={
            Endpoint("10.1.0.2", 3, PLAIN): 1, Endpoint("10.2.0.2", 4, flags): 2})
        for flags in (paths[1].wish.flags, now))
    _, found = judge(model, 1000.0, (), before, after.without_roles(recorded), False)
    return sorted(f"{one.way} {one.kind}" for one in found if one.kind in ("Role", "Endpoint"))


def note(health: Health, state: State, now: float, settled: bool = True) -> None:
    health.note({"10.1.0.2": state}, now, settled)


def suppose(health: Health, state: State, now: float) -> set[Belief]:
    return health.suppose("10.1.0.2", state, now)


def test_one_that_is_back_is_waited_for_each_time_for_twice_as_long() -> None:
    health = Health()
    assert suppose(health, State.WELL, 0.0) == {ALIVE}
    for began, patience in ((100.0, 10), (200.0, 20), (300.0, 40)):
        note(health, State.CUT, began)
        assert suppose(health, State.CUT, began) == {OUT}
        note(health, State.WELL, began + 1)
        assert suppose(health, State.WELL, began + 8) == {FRESH}
        assert suppose(health, State.WELL, began + patience) == {ALIVE, FRESH}
        assert suppose(health, State.WELL, began + patience + 3) == {ALIVE}


def test_what_a_monitor_may_have_missed_it_need_not_know() -> None:
    health = Health()
    note(health, State.CUT, 100.0, settled=False)
    note(health, State.WELL, 101.0)
    assert suppose(health, State.WELL, 102.0) == {ALIVE, FRESH}


def test_a_silent_gateway_is_noticed_in_the_end() -> None:
    health = Health()
    for now in (100.0, 101.0, 111.0):
        note(health, State.DEAF, now)
        assert suppose(health, State.DEAF, now) == ANYTHING
    assert suppose(health, State.DEAF, 113.0) == {OUT}
    note(health, State.WELL, 114.0)
    note(health, State.DEAF, 115.0)
    assert suppose(health, State.DEAF, 116.0) == ANYTHING


def test_a_monitor_that_begins_knows_of_no_outage() -> None:
    health = Health()
    note(health, State.CUT, 100.0)
    health.forget()
    assert suppose(health, State.WELL, 101.0) == {ALIVE}
