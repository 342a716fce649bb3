# SPDX-License-Identifier: GPL-2.0-or-later
"""The comparison sees what is wrong, steps survive being text, and shrinking keeps the cause."""

from __future__ import annotations

from copy import deepcopy
from typing import Any

import pytest

from tests.model.comparison import Difference, compare, compare_foreign
from tests.model.driver import Violation, minimise
from tests.model.kernel import Default, Endpoint, Held, Limits, Link, Route, Rule, Snapshot
from tests.model.model import Model
from tests.model.outcome import Outcome, resolve
from tests.model.player import judge
from tests.model.steps import Step, make_step
from tests.model.things import Wish, write_wish
from tests.model.told import Told
from tests.model.way_out import Way
from tests.model.world import (
    ROUTER,
    TUNNEL,
    Configuration,
    Own,
    Stanza,
    find_own,
    read_configuration,
    read_stanza,
)

TABLE = 20003
OWN = "10.1.0.2"
# What is mapped to the first addresses of wan0 and of wan1.
MAPPED, MAPPED_1 = "203.0.113.1", "203.0.113.9"
SUBNET = "10.1.0.0/24"
RULES = (
    Rule(4, 20000, OWN, SUBNET, "", TABLE),
    Rule(4, 20001, OWN, "", "", 254, 1),
    Rule(4, 20002, OWN, "", "", TABLE),
    Rule(4, 20005, "", "", "wan0", 254, 1),
    Rule(4, 20006, "", "", "wan0", TABLE),
    Rule(4, 20003, SUBNET, "", "", 254, 1, "lo"),
    Rule(4, 20004, SUBNET, "", "", TABLE, None, "lo"),
    Rule(4, 32768, "", "", "", TABLE),
)
ROUTES = (
    Route(4, TABLE, SUBNET, "1", "", "wan0", OWN, 0, False),
    Route(4, TABLE, "default", "1", "10.1.0.1", "wan0", OWN, 0, False),
    Route(4, TABLE, "default", "7", "", "", "", 4294967295, False),
)
ENDPOINT = Endpoint(OWN, 3, ("subflow",))
BARE = Snapshot(
    links={"wan0": Link(3, True, True)}, addresses=(), defaults=(), marked=frozenset(),
    foreign=frozenset((Rule(4, 90, "", "192.0.2.0/24", "", 254),)), ids={}, limits=Limits(2, 0))
WHOLE = BARE._replace(marked=frozenset((*RULES, *ROUTES)), ids={ENDPOINT: 1},
                      limits=Limits(8, 8))


def come_up(
    after: Snapshot, step: str = "hook wan0 inet at=0 gateway",
    configuration: Configuration = Configuration(),
) -> list[Difference]:
    """What differs where wan0 should have come up."""
    before = BARE._replace(addresses=(Held("wan0", "wan0", 4, OWN, 24, False),))
    model = Model(configuration=configuration)
    model.begin(before)
    for one in step.split("; "):
        model.follow(make_step(one), before)
    return compare(resolve(model, before, after, disturbed=False), model.foreign, after)


def test_a_path_that_is_whole_is_no_difference() -> None:
    assert come_up(WHOLE) == []


@pytest.mark.parametrize(("words", "seen"), [
    ("announce", [("missing", MAPPED)]),
    ("flags=signal announce", [("missing", MAPPED), ("left over", OWN)]),
])
def test_what_is_not_announced_is_seen(words: str, seen: list[tuple[str, str]]) -> None:
    """Where an address would be signalled alone, what is mapped to it takes its place."""
    found = come_up(WHOLE, f"hook wan0 inet at=0 gateway {words}")
    assert [(one.way, one.kind) for one in found] == [(way, "Endpoint") for way, _ in seen]
    assert all(f"address {own}," in one.text for one, (_, own) in zip(found, seen))


@pytest.mark.parametrize(("kept", "seen"), [
    ({OWN}, []),
    (set(), [("missing", OWN), ("missing", MAPPED)]),
    ({MAPPED}, [("left over", MAPPED)]),
])
def test_who_gives_more_than_is_needed_or_the_wrong_endpoint_is_seen(
    kept: set[str], seen: list[tuple[str, str]]
) -> None:
    others = {Endpoint(f"10.8.8.{number}", 3 * (not number), ("signal",)): 10 + number
              for number in range(6)}
    full = WHOLE._replace(ids={**others, ENDPOINT: 1, Endpoint(MAPPED, 0, ("signal",)): 2})
    served = full._replace(ids={
        **{one: number for one, number in full.ids.items() if number >= 10 or one.address in kept},
        Endpoint("10.2.0.2", 4, ("subflow",)): 3})
    model = Model(foreign={*others, *(served.endpoints - full.endpoints)})
    model.begin(BARE)
    model.follow(make_step("hook wan0 inet at=0 gateway announce"), BARE._replace(
        addresses=(Held("wan0", "wan0", 4, OWN, 24, False),)))
    resolve(model, BARE, full, disturbed=False)
    model.begin(full)
    found = compare(resolve(model, full, served, disturbed=False), model.foreign, served)
    endpoints = [one for one in found if one.kind == "Endpoint"]
    assert [one.way for one in endpoints] == [way for way, _ in seen]
    assert all(f"address {own}," in one.text for one, (_, own) in zip(endpoints, seen))


@pytest.mark.parametrize(("steps", "monitored", "taken", "seen"), [
    ("hook wan0 inet at=0 gateway", False, 7, ["missing"]),
    ("hook wan0 inet at=0 gateway", False, 8, []),
    # One program may have planned what comes before the other took away what goes.
    ("hook wan0 inet at=0 gateway; down wan1", False, 7, []),
    ("hook wan0 inet at=0 gateway; down wan1", False, 6, ["missing"]),
    ("hook wan0 inet at=0 gateway; down wan1", True, 7, ["missing"]),
    ("hook wan0 inet at=0 gateway; down wan1", True, 8, []),
])
def test_a_place_that_nobody_takes_is_seen(
    steps: str, monitored: bool, taken: int, seen: list[str]
) -> None:
    """One more was taken when the step began, up to eight."""
    others = [Endpoint(f"10.8.8.{number}", 0, ("signal",)) for number in range(8)]
    before = BARE._replace(addresses=(Held("wan0", "wan0", 4, OWN, 24, False),),
                           ids={one: 10 for one in others[:taken + 1]})
    model = Model(foreign={*others[:taken]}, monitored=monitored)
    model.begin(before)
    for one in steps.split("; "):
        model.follow(make_step(one), before)
    if monitored:
        model.attend(before)
    after = WHOLE._replace(ids={one: 10 for one in others[:taken]})
    found = compare(resolve(model, before, after, disturbed=False), model.foreign, after)
    assert [one.way for one in found if one.kind == "Endpoint"] == seen


@pytest.mark.parametrize(("devices", "seen"), [
    ((4, 4), True), ((4, 5), False), ((3, 4, 4), False), ((0, 0), False)])
def test_an_uplink_without_an_endpoint_beside_one_that_has_two_is_seen(
    devices: tuple[int, ...], seen: bool
) -> None:
    ours = [Endpoint(f"10.7.7.{number}", device, ("subflow",))
            for number, device in enumerate(devices)]
    others = [Endpoint(f"10.8.8.{number}", 0, ("signal",)) for number in range(8 - len(ours))]
    before = BARE._replace(addresses=(Held("wan0", "wan0", 4, OWN, 24, False),),
                           ids={one: 10 for one in (*ours, *others)})
    model = Model(foreign={*others})
    model.begin(before)
    model.follow(make_step("hook wan0 inet at=0 gateway"), before)
    after = WHOLE._replace(ids=before.ids)
    found = compare(resolve(model, before, after, disturbed=False), model.foreign, after)
    assert any(one.way == "missing" and OWN in one.text for one in found) == seen


@pytest.mark.parametrize(("step", "kept", "given", "seen"), [
    # With what is announced wan1 has two: wan0 is to have one of them.
    ("hook wan0 inet at=0 gateway", {"10.2.0.2", MAPPED_1}, False, ["missing"]),
    ("hook wan0 inet at=0 gateway", {"10.2.0.2"}, True, []),
    # The own one is needed more.
    ("hook wan0 inet at=0 gateway", {MAPPED_1}, True, ["left over"]),
    # Of wan1 no other address takes it.
    ("hook wan1 inet at=2 gateway flags=subflow", {"10.2.0.2", MAPPED_1}, False, []),
    ("hook wan1 inet at=2 gateway flags=subflow", {"10.2.0.2"}, True, ["missing"]),
])
def test_what_is_announced_counts_as_its_uplinks(
    step: str, kept: set[str], given: bool, seen: list[str]
) -> None:
    came = ENDPOINT if "wan0" in step else Endpoint("10.2.1.2", 4, ("subflow",))
    own = [Endpoint("10.2.0.2", 4, ("subflow",)), Endpoint(MAPPED_1, 0, ("signal",))]
    others = {Endpoint(f"10.8.8.{number}", 0, ("signal",)): 10 for number in range(6)}
    before = BARE._replace(
        links={"wan0": Link(3, True, True), "wan1": Link(4, True, True)},
        addresses=tuple(Held(device, device, 4, address, 24, False) for device, address in (
            ("wan0", OWN), ("wan1", "10.2.0.2"), ("wan1", "10.2.1.2"))))
    full = before._replace(ids={**dict.fromkeys(own, 1), **others})
    model = Model(foreign={*others})
    model.begin(before)
    model.follow(make_step("hook wan1 inet at=0 gateway announce"), before)
    resolve(model, before, full, disturbed=False)
    model.begin(full)
    model.follow(make_step(step), full)
    after = full._replace(ids={**{one: 1 for one in own if one.address in kept}, **others,
                               **({came: 2} if given else {})})
    found = compare(resolve(model, full, after, disturbed=False), model.foreign, after)
    assert [one.way for one in found if one.kind == "Endpoint"] == seen


@pytest.mark.parametrize("gone", [True, False])
def test_a_tunnel_is_forgotten_with_the_last_path_of_its_family(gone: bool) -> None:
    """Then peers are told of the other family's addresses."""
    own = "fd00:1::2"
    before = BARE._replace(
        links={"wan0": Link(3, True, True), "wan1": Link(4, True, True)},
        addresses=(Held("wan0", "wan0", 6, own, 64, False),
                   Held("wan1", "wan1", 4, "10.2.0.2", 24, False)),
        defaults=(Default("wan0", 6, "fd00:1::1", 0),))
    model = Model(monitored=True)
    model.begin(before)
    for step in ("hook wan1 inet at=0 gateway", "hook wan0 inet6 at=0 gateway flags=signal"):
        model.follow(make_step(step), before)
    resolve(model, BARE, before, disturbed=False)
    # It had the default of IPv4, and is gone with it.
    model.tunnels, model.ways[4] = {4}, Way(barred=True)
    after = before._replace(links={"wan0": before.links["wan0"]}) if gone else before
    _, found = judge(model, 0.0, (), before, after, disturbed=True)
    assert [one.way for one in found if own in one.text and one.kind == "Endpoint"] == [
        "missing"] * gone


_ANNOUNCED = Endpoint(MAPPED, 0, ("signal",))


@pytest.mark.parametrize(("monitored", "flags", "there", "seen"), [
    # It stays, and what its address is mapped to by now is not announced.
    (True, "", (ENDPOINT,), []),
    (True, "", (), ["missing"]),
    (True, "", (ENDPOINT, _ANNOUNCED), ["left over"]),
    # One that would be signalled alone goes: what is announced would take its place.
    *((monitored, " flags=signal", there, ["left over"] * bool(there))
      for monitored in (True, False)
      for there in ((), (ENDPOINT,), (Endpoint(OWN, 3, ()),), (_ANNOUNCED,)))])
def test_what_a_renewal_beside_a_tunnel_does_to_the_endpoint_that_stands_is_seen(
    monitored: bool, flags: str, there: tuple[Endpoint, ...], seen: list[str]
) -> None:
    before = WHOLE._replace(addresses=(Held("wan0", "wan0", 4, OWN, 24, False),),
                            defaults=(Default(TUNNEL, 4, "", 50),), limits=Limits(0, 0))
    model = Model(monitored=monitored, base=Limits(2, 0), raised=Limits(0, 0), tunnels={4})
    model.begin(before)
    model.follow(make_step("hook wan0 inet at=0 gateway"), before)
    resolve(model, before, before, disturbed=False)
    after = before._replace(ids={one: 10 for one in there})
    step = make_step(f"hook wan0 inet at=0 gateway announce{flags}")
    _, found = judge(model, 0.0, (step,), before, after, disturbed=False)
    assert [one.way for one in found if one.kind == "Endpoint"] == seen


@pytest.mark.parametrize(("managed", "there", "seen"), [
    ("wan0", (ENDPOINT,), []),
    ("wan0", (), []),
    ("wan0", (ENDPOINT, Endpoint(MAPPED, 0, ("signal",))), ["left over"]),
    ("wan1", (ENDPOINT,), ["left over"]),
])
def test_an_endpoint_that_a_monitor_may_have_made_before_the_hook_stays_beside_a_tunnel(
    managed: str, there: tuple[Endpoint, ...], seen: list[str]
) -> None:
    """It did so for a device that the configuration names, and the hook takes that over."""
    before = BARE._replace(addresses=(Held("wan0", "wan0", 4, OWN, 24, False),),
                           defaults=(Default(TUNNEL, 4, "", 50),))
    model = Model(monitored=True, tunnels={4},
                  configuration=Configuration(managed=(managed,), gateways=("wan0",)))
    model.told = [Told(Stanza(managed, (4,)), managed=True)]
    model.watch(before, 0.0, settled=False)
    after = WHOLE._replace(addresses=before.addresses, defaults=before.defaults,
                           ids={one: 10 + len(one.flags) + one.device for one in there})
    step = make_step("hook wan0 inet at=0 gateway announce")
    _, found = judge(model, 0.0, (step,), before, after, disturbed=False)
    assert [one.way for one in found if one.kind == "Endpoint"] == seen


@pytest.mark.parametrize(("there", "seen"), [
    ((ENDPOINT,), []), ((ENDPOINT._replace(flags=("signal", "subflow")),), ["left over"])])
def test_an_endpoint_that_a_round_makes_other_than_it_was_beside_a_tunnel_is_known(
    there: tuple[Endpoint, ...], seen: list[str]
) -> None:
    """A section's flags are others by now, and one of them is to be signalled."""
    full = ENDPOINT._replace(flags=("subflow", "fullmesh"))
    before = WHOLE._replace(addresses=(Held("wan0", "wan0", 4, OWN, 24, False),),
                            defaults=(Default(TUNNEL, 4, "", 50),), limits=Limits(0, 0),
                            ids={full: 10})
    model = Model(monitored=True, base=Limits(2, 0), raised=Limits(0, 0), tunnels={4})
    model.begin(before)
    model.note(make_step("configure flags:wan0=subflow,fullmesh"), before, before)
    model.follow(make_step("hook wan0 inet at=0 gateway"), before)
    resolve(model, before, before, disturbed=False)
    _, found = judge(model, 0.0, (make_step("configure flags:wan0=subflow,signal"),), before,
                     before._replace(ids={one: 11 for one in there}), disturbed=True)
    assert [one.way for one in found if one.kind == "Endpoint"] == seen


@pytest.mark.parametrize("flags", ["", " flags=subflow"])
def test_a_further_address_that_becomes_the_first_beside_a_tunnel_has_what_the_hook_made(
    flags: str
) -> None:
    """The hook had the first one's place for an address that is not there."""
    before = BARE._replace(addresses=(Held("wan0", "wan0", 4, OWN, 24, False),),
                           defaults=(Default(TUNNEL, 4, "", 50),))
    model = Model(monitored=True, tunnels={4})
    step = make_step(f"hook wan0 inet at=1,0 gateway announce{flags}")
    after = WHOLE._replace(addresses=before.addresses, defaults=before.defaults)
    _, found = judge(model, 0.0, (step,), before, after, disturbed=False)
    assert [one.way for one in found if one.kind == "Endpoint"] == ["left over"] * (not flags)


@pytest.mark.parametrize(("monitored", "table", "came", "seen"), [
    (True, 101, True, False),
    (True, 101, False, False),
    (False, 101, True, True),
    (False, 101, False, False),
    # Nothing has that table.
    (True, 102, True, False),
    (True, 102, False, True),
])
def test_a_round_may_take_away_what_is_gone_before_the_hook_that_wants_its_table(
    monitored: bool, table: int, came: bool, seen: bool
) -> None:
    """What is left of the other stanza is of the other family."""
    lost = Held("wan0", "wan0", 4, find_own("wan0", 1, 4).address, 24, False)
    kept = Held("wan0", "wan0", 6, find_own("wan0", 1, 6).address, 64, False)
    first = make_step("hook wan0 inet,inet6 at=1 gateway table=101")
    last = make_step(f"hook wan0 inet at=0 gateway table={table}")
    model = Model(monitored=monitored)
    stood = _play(model, first, BARE._replace(addresses=(lost, kept)))
    before = stood._replace(addresses=(kept, Held("wan0", "wan0", 4, OWN, 24, False)))
    done = deepcopy(model)
    done.begin(before)
    done.lose_gone(before)
    left = _play(done, Step("none"), before) if monitored else before
    after = _play(done, last, left) if came else left
    _, found = judge(model, 0.0, (last,), before, after, disturbed=False)
    assert bool(found) == seen


@pytest.mark.parametrize(("came", "first", "seen"), [
    # The round was after the hook, or before it.
    (True, 0, False),
    (True, 2, False),
    # That one comes after another one, however the round was; or none has it.
    (True, 1, True),
    (True, None, True),
    # The last one had a path when the step began.
    (False, 0, True),
    (False, 1, True),
    (False, 2, False),
])
@pytest.mark.parametrize(("word", "belongings"), [
    ("mark=0x61", {"mark": "0x61"}), ("table=101", {"table": 101})])
def test_what_a_round_makes_before_the_hook_that_leaves_it_others_may_be_their_first(
    came: bool, first: int | None, seen: bool, word: str, belongings: dict[str, Any]
) -> None:
    """What belongs to the first address of a stanza that states none is that one's."""
    owns = {place: find_own("wan0", place, 4) for place in (0, 1, 2)}
    held = [Held("wan0", "wan0", 4, one.address, 24, False) for one in owns.values()]
    model = Model(monitored=True)
    before = BARE._replace(addresses=tuple(held[:2] if came else held))
    for step in ("hook wan0 inet at=0,1 flags=subflow", f"hook wan0 inet flags=subflow {word}"):
        before = _play(model, make_step(step), before)
    paths = [write_wish(_make_wish(own)._replace(**(belongings if place == first else {})),
                        place == (first or 0), TABLE + place * 10000000)
             for place, own in owns.items()]
    things = {thing for path in paths for thing in path.things}
    before = before._replace(addresses=tuple(held))
    after = before._replace(
        marked=frozenset(one for one in things if not isinstance(one, Endpoint)),
        ids={one: 1 for one in things if isinstance(one, Endpoint)})
    # The stanza of the first two ends.
    last = make_step("hook wan0 inet at=0,2 off")
    _, found = judge(model, 0.0, (last,), before, after, disturbed=False)
    assert bool(found) == seen


def _make_wish(own: Own) -> Wish:
    """A path of wan0 that leads nowhere out, with flags of its own."""
    return Wish(own.family, own.address, "wan0", 3, own.subnet, "", 0, 0, ("subflow",),
                chosen=True, endpoint=True)


@pytest.mark.parametrize(("monitored", "leased", "beside", "default", "limits", "seen"), [
    # The round was before the hook, or after it.
    (True, None, "", "", Limits(8, 8), True),
    (True, None, "", "", Limits(0, 0), False),
    (True, None, "", "", Limits(2, 0), True),
    (False, None, "", "", Limits(8, 8), True),
    # The path stays, or another one takes its place at once.
    (True, 1, "", "", Limits(8, 8), True),
    (True, 1, "", "", Limits(0, 0), False),
    (True, 0, "", "", Limits(8, 8), True),
    # Another one of that family stands, or of the other family.
    (True, None, "inet", "", Limits(8, 8), True),
    (True, None, "inet", "", Limits(0, 0), False),
    (True, None, "inet6", "", Limits(8, 8), True),
    # The tunnel is there.
    (True, None, "", TUNNEL, Limits(8, 8), True),
    (True, None, "", TUNNEL, Limits(0, 0), False),
])
def test_a_round_that_takes_the_last_path_away_before_the_hook_forgets_no_tunnel(
    monitored: bool, leased: int | None, beside: str, default: str, limits: Limits,
    seen: bool
) -> None:
    """A lease ended while its link was down, and ifup has that up again; nothing leads out yet."""
    owns = [find_own("wan0", place, 4) for place in (1, 0)]
    others = [find_own("wan1", 0, 6 if beside == "inet6" else 4)] * bool(beside)
    held = [Held(device, device, one.family, one.address, one.length, False)
            for device, some in (("wan0", owns), ("wan1", others)) for one in some]
    before = BARE._replace(links={"wan0": Link(3, True, True), "wan1": Link(4, True, True)},
                           addresses=tuple(held))
    model = Model(leases={"wan0": owns[0]})
    for step in ("hook wan0 inet", *[f"hook wan1 {beside} at=0 gateway"] * bool(beside)):
        stood = _play(model, make_step(step), before)
    for told in model.told:
        told.drop_endpoints()
    model.monitored, model.base, model.tunnels = monitored, None, {4}
    model.ways[4] = Way(barred=True)
    model.leases = {} if leased is None else {"wan0": find_own("wan0", leased, 4)}
    before = stood._replace(
        marked=stood.marked | {Rule(4, 32767, "", "", "", 0)}, ids={}, limits=BARE.limits,
        defaults=(Default(default, 4, "", 50),) * bool(default))
    last = make_step("hook wan0 inet at=0 gateway")
    after = _play(deepcopy(model), last, before)._replace(limits=limits)
    now, found = judge(model, 0.0, (last,), before, after, disturbed=False)
    assert [one.kind for one in found] == ["Limits"] * seen
    assert now.beside == {4}


@pytest.mark.parametrize(("monitored", "default", "announced", "limits", "seen"), [
    # Main leads nowhere, and the path does: another round has it announced.
    (True, "", True, Limits(8, 8), []),
    (True, "", False, Limits(2, 0), ["Endpoint", "Endpoint", "Limits"]),
    (True, "", True, Limits(0, 0), ["Limits"]),
    # The tunnel is there, or nobody sees that it is not.
    (True, TUNNEL, False, Limits(2, 0), []),
    (True, TUNNEL, True, Limits(8, 8), ["Endpoint", "Endpoint", "Limits"]),
    (False, "", False, Limits(2, 0), []),
])
@pytest.mark.parametrize("tunnels", [{4}, {4, 6}])
def test_what_the_first_path_that_leads_out_after_a_tunnel_has_announced_is_seen(
    monitored: bool, default: str, announced: bool, limits: Limits, seen: list[str],
    tunnels: set[int]
) -> None:
    """That of the other family is noted still, and matters to nobody."""
    before = BARE._replace(addresses=(Held("wan0", "wan0", 4, OWN, 24, False),),
                           defaults=(Default(default, 4, "", 50),) * bool(default))
    bar = [Rule(4, 32767, "", "", "", 0)] * bool(default and monitored)
    after = before._replace(
        marked=frozenset((*RULES, *ROUTES, *bar)), limits=limits,
        ids={ENDPOINT: 1, Endpoint(MAPPED, 0, ("signal",)): 2} if announced else {})
    model = Model(monitored=monitored, tunnels=tunnels)
    now, found = judge(model, 0.0, (make_step("hook wan0 inet at=0 gateway announce"),), before,
                       after, disturbed=False)
    assert sorted(one.kind for one in found) == seen
    assert now.tunnels == (tunnels - {4} if monitored and not default else tunnels)


@pytest.mark.parametrize("there", [True, False])
def test_what_the_first_way_out_after_a_tunnel_does_to_the_other_family_is_seen(
    there: bool
) -> None:
    """Peers are told of its addresses: what is away for the tunnel's sake comes back."""
    before = BARE._replace(addresses=(Held("wan0", "wan0", 4, OWN, 24, False),
                                      Held("wan0", "wan0", 6, "fd00:1::2", 64, False)))
    model = Model(monitored=True, tunnels={4})
    before = _play(model, make_step("hook wan0 inet6 at=0 gateway flags=signal"), before)
    after = before._replace(marked=before.marked | {*RULES, *ROUTES},
                            ids={**(before.ids if there else {}), ENDPOINT: 99})
    step = make_step("hook wan0 inet at=0 gateway")
    _, found = judge(model, 0.0, (step,), before, after, disturbed=False)
    assert [(one.way, one.kind) for one in found] == [("missing", "Endpoint")] * (not there)


@pytest.mark.parametrize("announced", [True, False])
def test_what_is_told_after_a_tunnel_by_a_hook_that_wants_the_table_of_what_is_gone_is_known(
    announced: bool
) -> None:
    """A round takes away what is gone before the hook, and another one sees the tunnel's end."""
    own, other = find_own("wan0", 0, 6), find_own("wan0", 1, 4)
    before = BARE._replace(addresses=(Held("wan0", "wan0", 4, other.address, 24, False),
                                      Held("wan0", "wan0", 6, own.address, 64, False)))
    model = Model(leases={"wan0": other})
    stood = _play(model, make_step("hook wan0 inet table=102"), before)
    model.monitored, model.leases, model.tunnels = True, {}, {6}
    last = make_step("hook wan0 inet,inet6 at=0 gateway table=102 announce")
    before = before._replace(addresses=(Held("wan0", "wan0", 4, OWN, 24, False),
                                        before.addresses[1]))
    whole = Model(monitored=True, raised=Limits(8, 8), base=Limits(2, 0))
    after = _play(whole, last, before)
    if not announced:
        after = after._replace(ids={one: number for one, number in after.ids.items()
                                    if "signal" not in one.flags or ":" not in one.address})
    before = before._replace(marked=stood.marked, ids=stood.ids, limits=stood.limits)
    _, found = judge(model, 0.0, (last,), before, after, disturbed=False)
    assert bool(found) != announced


def _play(model: Model, step: Step, before: Snapshot) -> Snapshot:
    """What the model has of a step, as its own word for what was seen."""
    model.begin(before)
    model.follow(step, before)
    if model.monitored:
        model.attend(before)
    things = resolve(model, before, before, disturbed=False).must
    own = {one: number for number, one in enumerate(things) if isinstance(one, Endpoint)}
    routing = frozenset(one for one in things if not isinstance(one, Endpoint))
    return before._replace(marked=routing, ids=own, limits=Limits(8, 8))


def test_a_sections_mark_that_is_missing_is_seen() -> None:
    found = come_up(WHOLE, configuration=Configuration(marked=("wan0",)))
    assert [one.way for one in found] == ["missing", "missing"]
    assert ["preference 19994" in found[0].text, "preference 19995" in found[1].text] == [True] * 2
    assert come_up(WHOLE, configuration=Configuration(marked=("wan1",))) == []


@pytest.mark.parametrize("words", ["mark=0x61", "announce"])
@pytest.mark.parametrize("places", ["1", "3,1"])
def test_what_belongs_to_the_next_address_of_one_that_is_left_alone_is_missing(
    words: str, places: str
) -> None:
    """The address of place 3 is wan1's, and wan0 has another first one."""
    held = (Held("wan1", "wan1", 4, "10.9.1.2", 24, False), Held("wan0", "wan0", 4, OWN, 24, False),
            Held("wan0", "wan0", 4, "10.1.0.3", 24, False))
    before = BARE._replace(addresses=held, links={**BARE.links, "wan1": Link(5, True, True)})
    model = Model()
    model.begin(before)
    for step in ("hook wan1 inet at=3 gateway", "hook wan0 inet at=0 gateway",
                 f"hook wan0 inet at={places} gateway {words}"):
        model.follow(make_step(step), before)
    found = compare(resolve(model, before, before, disturbed=False), (), before)
    belongings = [one.text for one in found if "mark 0x61" in one.text or "203.0.113" in one.text]
    assert len(belongings) == (2 if "mark" in words else 1)
    assert {one.way for one in found if one.text in belongings} == {"missing"}


@pytest.mark.parametrize(("first", "places", "seen"), [
    # Place 3 is wan1's: nothing leads to a table of it, whoever has that.
    ("hook wan1 inet at=3 gateway", "3", [6]),
    # The next address has its table then.
    ("hook wan1 inet at=3 gateway", "3,1", []),
    ("hook wan1 inet at=0 gateway", "3", []),
])
def test_what_a_stanza_lacks_beside_an_address_that_is_left_alone_is_seen(
    first: str, places: str, seen: list[int]
) -> None:
    taken = Route(4, 101, "198.51.100.0/24", "7", "", "", "", 0, False)
    held = [Held(device, device, family, own, length, False) for device, family, own, length in (
        ("wan1", 4, "10.9.1.2", 24), ("wan1", 4, "10.2.0.2", 24), ("wan0", 4, OWN, 24),
        ("wan0", 4, "10.9.1.2", 24), ("wan0", 4, "10.1.0.3", 24), ("wan0", 6, "fd00:9:1::2", 64))]
    before = BARE._replace(addresses=tuple(held), foreign=frozenset((taken,)),
                           links={**BARE.links, "wan1": Link(5, True, True)})
    model = Model()
    model.begin(before)
    for step in (first, "hook wan0 inet at=0 gateway",
                 f"hook wan0 inet,inet6 at={places} flags=subflow table=101"):
        model.follow(make_step(step), before)
    outcome = resolve(model, before, before, disturbed=False)
    assert sorted({one.family for one in outcome.must
                   if isinstance(one, Route) and one.table == 101}) == seen


@pytest.mark.parametrize(("holder", "sharer", "tables"), [
    ("wan1", "wan0", ()),
    # The first round refuses the holder the table that the other one gives up meanwhile.
    ("wan0", "wan1", (("wan1", 102), ("wan0", 102))),
])
def test_an_address_that_is_left_alone_for_good_is_seen(
    holder: str, sharer: str, tables: tuple[tuple[str, int], ...]
) -> None:
    """The path of the device that has it as well goes with its gateway."""
    def follow(before: Snapshot, tables: tuple[tuple[str, int], ...]) -> list[str]:
        model.configuration = Configuration(tables=tables)
        model.attend(before)
        found = compare(resolve(model, before, before, disturbed=True), (), before)
        return [one.text for one in found if one.kind == "Endpoint" and "10.9.1.2" in one.text]

    own = [(device, find_own(device, place, 4)) for device in (holder, sharer) for place in (0, 3)]
    gone = BARE._replace(
        links={**BARE.links, "wan1": Link(5, True, True)},
        addresses=tuple(Held(device, device, 4, one.address, 24, False) for device, one in own),
        defaults=(Default(holder, 4, own[0][1].gateway, 0),))
    before = gone._replace(defaults=(*gone.defaults, Default(holder, 4, "10.9.1.1", 1)))
    model = Model(monitored=True)
    for step in (f"hook {holder} inet", f"hook {sharer} inet at=0,3 gateway flags=signal"):
        model.begin(before)
        model.follow(make_step(step), before)
        assert follow(before, tables[:1]) == []
    model.begin(before)
    (missing,) = follow(gone, tables[1:])
    assert f"device {gone.ifindex(sharer)}" in missing


@pytest.mark.parametrize("step", ["mptcp_up --all", "mptcp_up wan0"])
@pytest.mark.parametrize("gone", ["address", "gateway"])
def test_an_address_that_is_left_to_bound_sockets_though_the_others_path_goes_is_seen(
    gone: str, step: str
) -> None:
    """The sharer, wan0, comes before the holder, and is renewed alone where a person names it."""
    held = tuple(Held(device, device, 4, "10.9.1.2", 24, False) for device in ("wan0", "wan1"))
    before = BARE._replace(
        links={**BARE.links, "wan1": Link(5, True, True)}, addresses=held,
        defaults=(Default("wan1", 4, "10.9.1.1", 0),))
    model = Model()
    for hook in ("hook wan1 inet", "hook wan0 inet at=3 gateway"):
        model.begin(before)
        model.follow(make_step(hook), before)
        whole = resolve(model, before, before, disturbed=False)
    before = before._replace(
        marked=frozenset(one for one in whole.must if not isinstance(one, Endpoint)),
        ids={one: 1 for one in whole.must if isinstance(one, Endpoint)}, limits=Limits(8, 8))
    after = before._replace(addresses=held[:1]) if gone == "address" else (
        before._replace(defaults=()))
    model.begin(after)
    model.follow(make_step(step), after)
    found = compare(resolve(model, after, after, disturbed=False), (), after)
    missing = [one.text for one in found if (one.way, one.kind) == ("missing", "Endpoint")]
    assert ["device 3" in text for text in missing] == [True] * (step == "mptcp_up --all")


@pytest.mark.parametrize("step", ["", "mptcp_up --all"])
@pytest.mark.parametrize("foreign", [False, True])
def test_who_is_left_of_a_device_beside_a_stanza_that_keeps_its_other_family_is_its_first(
    foreign: bool, step: str
) -> None:
    """It loses a path itself, and is refused the table of the first where others use that."""
    own = [find_own("wan0", place, 4) for place in (0, 2)]
    alias = [find_own("wan0", 1, family) for family in (4, 6)]
    theirs = Route(4, 101, "198.51.100.0/24", "7", "", "", "", 0, False)
    before = BARE._replace(
        addresses=tuple(Held("wan0", label, one.family, one.address, one.length, False)
                        for label, each in (("wan0", own), ("wan0:1", alias)) for one in each),
        foreign=frozenset([theirs] * foreign))
    model = Model(configuration=read_configuration(("flags:wan0=subflow",)))
    _act(model, before, "hook wan0:1 inet,inet6 at=1 flags=subflow table=102")
    before = before._replace(marked=frozenset(
        one for one in _act(model, before, "hook wan0 inet").must if not isinstance(one, Endpoint)))
    (table,) = {rule.table for rule in before.marked if isinstance(rule, Rule)
                and (rule.preference, rule.source) == (20002, own[1].address)}
    # With the first address of a subnet the kernel takes away the others.
    after = before._replace(addresses=tuple(
        one for one in before.addresses if one.address in (own[1].address, alias[1].address)))
    model.configuration = read_configuration(("flags:wan0=subflow", "table:wan0=101"))
    outcome = _act(model, after, step)
    is_first = Rule(4, 20006, "", "", "wan0", 101) in outcome.must
    is_left = Rule(4, 20002, own[1].address, "", "", table) in outcome.must
    assert (is_first, is_left) == (not foreign, foreign)


@pytest.mark.parametrize(("loser", "beside", "winner"), [
    ("wan0", False, "wan0"),
    ("wan1", False, "wan0"),
    # What was a device's of several stanzas is known to be lost before anything is planned.
    ("wan1", True, "wan1"),
])
@pytest.mark.parametrize("family", [4, 6])
def test_who_loses_an_address_beside_another_gets_no_table_for_that(
    family: int, loser: str, beside: bool, winner: str
) -> None:
    """Two uplinks want one table from now on: the second is refused, and loses nothing."""
    word = "inet" if family == 4 else "inet6"
    devices = ("wan0", "wan1")
    own = {device: [find_own(device, place, family) for place in (0, 2, 3)] for device in devices}
    before = BARE._replace(
        links={device: Link(3 + number, True, True) for number, device in enumerate(devices)},
        addresses=tuple(Held(device, device, family, each.address, each.length, False)
                        for device in devices for each in own[device]))
    model = Model()
    for hook in (*(f"hook {device} {word} at=0,2 gateway" for device in devices),
                 *[f"hook {loser} {word} at=3 gateway"] * beside):
        before = before._replace(marked=frozenset(
            one for one in _act(model, before, hook).must if not isinstance(one, Endpoint)))
    model.configuration = read_configuration(("table:wan0=101", "table:wan1=101"))
    outcome = _act(model, before._replace(addresses=tuple(
        one for one in before.addresses if one.address != own[loser][1].address)), "mptcp_up --all")
    assert {rule.device: rule.table == 101 for rule in outcome.must
            if isinstance(rule, Rule) and (rule.preference, rule.family) == (20006, family)} == {
                device: device == winner for device in devices}


@pytest.mark.parametrize("step", ["", "mptcp_up --all"])
@pytest.mark.parametrize("foreign", [False, True])
@pytest.mark.parametrize("family", [4, 6])
@pytest.mark.parametrize("beside", [(1,), (1, 3)])
def test_who_stays_beside_the_first_of_a_device_does_not_get_it_round_a_table_of_others(
    beside: tuple[int, ...], family: int, foreign: bool, step: str
) -> None:
    """The first loses its address, has another one, and wants its table for that.

    The other one is renewed beside it: before it, where it loses an address as well, or by the
    round that comes before the one in which the first is looked at again.
    """
    word = "inet" if family == 4 else "inet6"
    held = {place: Held("wan0", "wan0:1" if place in (0, 2) else "wan0", family, own.address,
                        own.length, False)
            for place in range(4) for own in [find_own("wan0", place, family)]}
    theirs = Route(family, 101, "192.0.2.0/24", "7", "", "", "", 0, False)
    before = BARE._replace(addresses=(held[0],), foreign=frozenset([theirs] * foreign))
    model = Model(configuration=read_configuration(("gateways=wan0",)))
    places = ",".join(map(str, beside))
    for hook, there in ((f"hook wan0:1 {word}", (0,)),
                        (f"hook wan0 {word} at={places} gateway table=102", (0, *beside))):
        before = before._replace(addresses=tuple(held[place] for place in there))
        before = before._replace(marked=frozenset(
            one for one in _act(model, before, hook).must if not isinstance(one, Endpoint)))
    model.configuration = read_configuration(("gateways=wan0", "table:wan0=101"))
    outcome = _act(model, before._replace(addresses=(held[1], held[2])), step)
    assert {rule.table for rule in outcome.may if isinstance(rule, Rule)
            and (rule.preference, rule.source) == (20002, held[2].address)} == (
                set() if foreign else {101})
    assert {rule.table for rule in outcome.must if isinstance(rule, Rule)
            and rule.preference == 20006} == {TABLE if foreign else 101}


def _act(model: Model, before: Snapshot, step: str) -> Outcome:
    """What comes of a step of ours, or of a monitor's rounds where it is none."""
    model.begin(before)
    if step:
        model.follow(make_step(step), before)
    else:
        model.monitored = True
        model.attend(before)
    return resolve(model, before, before, disturbed=not step)


@pytest.mark.parametrize(("steps", "seen"), [
    ("lease wan0 0; hook wan0 inet", {}),
    ("hook wan0 inet; lease wan0 0", {}),
    # Of an address that the device does not have, or one that is over, nothing comes.
    ("lease wan0 1; hook wan0 inet", {"left over"}),
    ("lease wan0 0; lease wan0 none; hook wan0 inet", {"left over"}),
])
def test_the_gateway_of_a_lease_that_is_missing_or_stays_is_seen(
    steps: str, seen: set[str]
) -> None:
    assert {one.way for one in come_up(WHOLE, steps) if one.kind != "Limits"} == set(seen)


@pytest.mark.parametrize(("gateway", "seen"), [(ROUTER, []), ("fd00:1::1", ["missing"])])
def test_a_path_by_another_router_than_the_advertised_one_is_seen(
    gateway: str, seen: list[str]
) -> None:
    own = "fd00:1::2"
    before = BARE._replace(addresses=(Held("wan0", "wan0", 6, own, 64, False),),
                           defaults=(Default("wan0", 6, ROUTER, 1024),))
    model = Model()
    model.begin(before)
    model.follow(make_step("hook wan0 inet6"), before)
    after = before._replace(marked=frozenset((
        Route(6, TABLE, "default", "1", gateway, "wan0", own, 1024, False),)))
    found = compare(resolve(model, before, after, disturbed=False), (), after)
    assert [one.way for one in found if f"gateway {ROUTER}" in one.text] == seen


@pytest.mark.parametrize("thing", [*RULES, *ROUTES])
def test_each_rule_and_route_that_is_missing_is_seen(thing: Rule | Route) -> None:
    found = come_up(WHOLE._replace(marked=WHOLE.marked - {thing}))
    assert ("missing", type(thing).__name__) in [(one.way, one.kind) for one in found]


@pytest.mark.parametrize("changed, way, kind", [
    (WHOLE._replace(ids={}), "missing", "Endpoint"),
    (WHOLE._replace(ids={ENDPOINT._replace(flags=("subflow", "backup")): 1}), "left over",
     "Endpoint"),
    (WHOLE._replace(ids={ENDPOINT: 1, Endpoint("10.1.0.3", 3, ("subflow",)): 2}), "left over",
     "Endpoint"),
    (WHOLE._replace(marked=WHOLE.marked | {RULES[0]._replace(table=20004)}), "left over", "Rule"),
    (WHOLE._replace(limits=Limits(2, 0)), "wrong", "Limits"),
    (WHOLE._replace(limits=Limits(8, 1)), "wrong", "Limits"),
])
def test_each_other_fault_is_seen(changed: Snapshot, way: str, kind: str) -> None:
    assert (way, kind) in [(one.way, one.kind) for one in come_up(changed)]


def test_what_leads_new_connections_past_no_dead_uplink_is_seen() -> None:
    detour = Rule(4, 32765, "", "", "", 20003)
    (found,) = come_up(WHOLE._replace(marked=WHOLE.marked | {detour}))
    assert (found.way, found.kind) == ("left over", "Rule")


@pytest.mark.parametrize(("device", "step", "seen"), [
    # Another device has the address: the hook makes the path, and the monitor takes it away.
    ("wan1", "hook wan0 inet,inet6 at=0 gateway", []),
    ("wan1", "hook wan0 inet,inet6 at=0 flags=subflow", ["left over"]),
    ("wan1", "hook wan0 inet6 at=0 gateway", ["left over"]),
    ("wan1", "hook wan0 inet,inet6 at=0 gateway off", ["left over"]),
    # No link has it: the kernel takes no such path, which is on record until then.
    ("gone", "hook wan0 inet,inet6 at=0 gateway", []),
    ("gone", "hook wan0 inet,inet6 at=0 flags=subflow", ["left over"]),
    # It stays: a monitor has to bar the way for it.
    ("wan0", "hook wan0 inet,inet6 at=0 gateway", []),
])
def test_a_bar_beside_a_tunnel_for_what_never_led_out_is_seen(
    device: str, step: str, seen: list[str]
) -> None:
    bar = Rule(4, 32767, "", "", "", 0)
    before = BARE._replace(
        links={"wan0": Link(3, True, True), "wan1": Link(4, True, True)},
        addresses=(Held(device, device, 4, OWN, 24, False),
                   Held("wan0", "wan0", 6, "fd00:1::2", 64, False),
                   Held("wan0", "wan0", 6, "fd00:1::3", 64, False)),
        defaults=(Default(TUNNEL, 4, "", 50),))
    model = Model(told=[Told(Stanza("wan0:1", (6,), (1,), gateway=True))], monitored=True)
    model.begin(before)
    model.follow(make_step(step), before)
    model.attend(before)
    after = before._replace(marked=frozenset((bar,)))
    found = compare(resolve(model, before, after, disturbed=False), (), after)
    assert [one.way for one in found if "preference 32767" in one.text] == seen


@pytest.mark.parametrize(("monitored", "barred", "default", "seen"), [
    (True, True, None, []),
    (True, False, None, ["missing"]),
    (True, True, Default("wan1", 4, "10.2.0.1", 0), ["left over"]),
    (True, False, Default("wan1", 4, "10.2.0.1", 0), []),
    # Nobody would take it away later.
    (False, True, None, ["left over"]),
    (False, False, None, []),
])
def test_a_bar_that_the_last_path_takes_from_a_monitor_is_seen(
    monitored: bool, barred: bool, default: Default | None, seen: list[str]
) -> None:
    """The tunnel that had the default is gone."""
    bar = Rule(4, 32767, "", "", "", 0)
    before = WHOLE._replace(addresses=(Held("wan0", "wan0", 4, OWN, 24, False),))
    model = Model()
    model.begin(before)
    model.follow(make_step("hook wan0 inet at=0 gateway"), before)
    resolve(model, BARE, before, disturbed=False)
    model.monitored, model.ways[4] = monitored, Way(barred=True)
    before = before._replace(marked=before.marked | {bar}, defaults=(default,) if default else ())
    model.begin(before)
    model.follow(make_step("down wan0"), before)
    if monitored:
        model.attend(before)
    after = before._replace(marked=frozenset((bar,) * barred))
    found = compare(resolve(model, before, after, disturbed=False), (), after)
    assert [one.way for one in found if "preference 32767" in one.text] == seen


@pytest.mark.parametrize(("step", "left", "seen"), [
    # wan0 may come before wan1 goes, or after it.
    ("together: down wan1 & hook wan0 inet at=0 gateway", (254, 20004), []),
    ("together: down wan1 & hook wan0 inet at=0 gateway", (), []),
    ("together: down wan1 & hook wan0 inet at=0 gateway", (254,), ["20004"]),
    ("together: down wan1 & hook wan0 inet at=0 gateway", (20004,), ["254"]),
    # There is a path all the time.
    ("together: farewell wan1 & hook wan0 inet at=0 gateway", (), ["20004", "254"]),
    ("together: hook wan0 inet at=0 gateway", (), ["20004", "254"]),
])
def test_a_detour_that_goes_though_there_was_a_path_is_seen(
    step: str, left: tuple[int, ...], seen: list[str]
) -> None:
    """Of a monitor that is gone; half of it is no detour."""
    detour = {254: Rule(4, 32765, "", "", "", 254, 0), 20004: Rule(4, 32765, "", "", "", 20004)}
    before = BARE._replace(
        links={"wan0": Link(3, True, True), "wan1": Link(4, True, True)},
        addresses=(Held("wan0", "wan0", 4, OWN, 24, False),
                   Held("wan1", "wan1", 4, "10.2.0.2", 24, False)))
    model = Model()
    model.begin(before)
    model.follow(make_step("hook wan1 inet at=0 gateway"), before)
    things = resolve(model, before, before, disturbed=False).must
    model.ways[4] = Way(next(iter(model.told[0].paths.values())))
    routing = frozenset(one for one in things if not isinstance(one, Endpoint))
    before = before._replace(marked=routing | {*detour.values()})
    after = WHOLE._replace(links=before.links, addresses=before.addresses, marked=frozenset((
        *RULES, *ROUTES, *(detour[table] for table in left))))
    now, found = judge(model, 0.0, make_step(step).inner, before, after, disturbed=False)
    assert [table for table in ("20004", "254") for one in found
            if "preference 32765" in one.text and f"table {table}" in one.text] == seen
    assert (now.ways[4] == Way()) == (left == () and not seen)


@pytest.mark.parametrize(("steps", "limits", "seen"), [
    # The monitor is gone, and nobody has had anything to do since but who brings a path up.
    ((), Limits(0, 0), False),
    ((), Limits(8, 8), False),
    (("hook wan1 inet",), Limits(0, 0), False),
    (("hook wan1 inet",), Limits(8, 8), False),
    (("hook wan1 inet6 at=0 gateway",), Limits(8, 8), True),
    (("hook wan1 inet", "hook wan1 inet6 at=0 gateway"), Limits(8, 8), False),
    (("hook wan1 inet", "hook wan1 inet6 at=0 gateway"), Limits(2, 0), True),
])
def test_a_tunnel_of_a_monitor_that_is_gone_may_be_forgotten_without_a_path_alone(
    steps: tuple[str, ...], limits: Limits, seen: bool
) -> None:
    before = BARE._replace(
        links={"wan0": Link(3, True, True), "wan1": Link(4, True, True)},
        addresses=(Held("wan0", "wan0", 4, OWN, 24, False),
                   Held("wan1", "wan1", 6, find_own("wan1", 0, 6).address, 64, False)))
    model = Model(tunnels={4})
    for step in steps:
        before = _play(model, make_step(step), before)
    last = make_step("hook wan0 inet at=0 gateway")
    after = _play(deepcopy(model), last, before)._replace(limits=limits)
    _, found = judge(model, 0.0, (last,), before, after, disturbed=False)
    assert [one.kind for one in found] == ["Limits"] * seen


@pytest.mark.parametrize(("works", "limits", "seen"), [
    (True, Limits(8, 8), False), (True, Limits(2, 0), True),
    (True, Limits(0, 0), False), (False, Limits(8, 8), True)])
def test_what_may_be_forgotten_may_be_so_for_a_monitor_that_knows_of_no_way(
    works: bool, limits: Limits, seen: bool
) -> None:
    before = BARE._replace(addresses=(Held("wan0", "wan0", 4, OWN, 24, False),))
    model = Model(tunnels={4}, ways={4: Way(barred=True), 6: Way()})
    if works:
        before = _play(model, make_step("hook wan1 inet"), before)
    model.set_monitor("on")
    model.ways[4] = Way(barred=True)
    before = _play(model, Step("none"), before)._replace(limits=BARE.limits)
    last = make_step("hook wan0 inet at=0 gateway")
    after = _play(deepcopy(model), last, before)._replace(limits=limits)
    _, found = judge(model, 0.0, (last,), before, after, disturbed=False)
    assert ("Limits" in [one.kind for one in found]) == seen


@pytest.mark.parametrize(("step", "limits", "announced", "seen"), [
    # wan0 came before wan1 went, and so beside the tunnel, or after it.
    ("down wan1", Limits(2, 0), False, []),
    ("down wan1", Limits(8, 8), True, []),
    ("down wan1", Limits(2, 0), True, ["Endpoint", "Endpoint"]),
    ("down wan1", Limits(8, 8), False, ["Limits"]),
    # There is a path all the time.
    ("farewell wan1", Limits(2, 0), False, []),
    ("farewell wan1", Limits(8, 8), True, ["Endpoint", "Endpoint", "Limits"]),
])
def test_what_peers_are_told_of_beside_a_tunnel_though_there_was_a_path_is_seen(
    step: str, limits: Limits, announced: bool, seen: list[str]
) -> None:
    """The monitor that noted the tunnel is gone."""
    before = BARE._replace(
        links={"wan0": Link(3, True, True), "wan1": Link(4, True, True)},
        addresses=(Held("wan0", "wan0", 4, OWN, 24, False),
                   Held("wan1", "wan1", 4, "10.2.0.2", 24, False)))
    model = Model()
    model.begin(before)
    model.follow(make_step("hook wan1 inet at=0 gateway"), before)
    things = resolve(model, before, before, disturbed=False).must
    for told in model.told:
        told.drop_endpoints()
    model.tunnels, model.base = {4}, None
    routing = frozenset(one for one in things if not isinstance(one, Endpoint))
    steps = make_step(f"together: {step} & hook wan0 inet at=0 gateway announce").inner
    left = routing if step.startswith("farewell") else ()
    after = before._replace(
        marked=frozenset((*RULES, *ROUTES, *left)), limits=limits,
        ids={ENDPOINT: 1, Endpoint(MAPPED, 0, ("signal",)): 2} if announced else {})
    now, found = judge(model, 0.0, steps, before._replace(marked=routing), after, disturbed=False)
    assert sorted(one.kind for one in found) == seen
    assert now.beside == ({4} if seen or not announced else set())


_OWN_6 = {device: find_own(device, 0, 6).address for device in ("wan0", "wan1", "wan2")}
_SIGNALLED = Endpoint(_OWN_6["wan0"], 3, ("signal",))


def _stand_beside(*steps: str) -> tuple[Model, Snapshot]:
    """What was told of three uplinks, and what stands of it beside a tunnel of IPv4."""
    devices = ("wan0", "wan1", "wan2")
    before = BARE._replace(
        links={device: Link(number, True, True) for number, device in enumerate(devices, start=3)},
        addresses=(*(Held(device, device, 6, _OWN_6[device], 64, False) for device in devices),
                   Held("wan0", "wan0", 4, OWN, 24, False),
                   Held("wan1", "wan1", 4, "10.2.0.2", 24, False)))
    model = Model(tunnels={4}, configuration=read_configuration(("gateways=wan1",)))
    for step in steps:
        before = _play(model, make_step(step), before)._replace(limits=Limits(0, 0))
    return model, before


def _tell(seen: Snapshot, told: bool) -> Snapshot:
    """What is seen, where peers are told of wan0's address, or are not."""
    others = {one: number for one, number in seen.ids.items() if one != _SIGNALLED}
    return seen._replace(ids={**others, _SIGNALLED: 20} if told else others)


@pytest.mark.parametrize(("step", "limits", "told", "seen"), [
    # wan0 came before wan1 went, and so beside the tunnel, or after it.
    ("mptcp_down wan1", Limits(0, 0), False, False),
    ("mptcp_down wan1", Limits(8, 8), True, False),
    ("mptcp_down wan1", Limits(0, 0), True, True),
    ("mptcp_down wan1", Limits(8, 8), False, True),
    ("mptcp_down wan1", Limits(2, 0), False, True),
    # There is a path of IPv4 all the time, or one of IPv6 has gone.
    ("farewell wan1", Limits(0, 0), False, False),
    ("farewell wan1", Limits(8, 8), True, True),
    ("mptcp_down wan2", Limits(0, 0), False, False),
    ("mptcp_down wan2", Limits(8, 8), True, True),
    ("", Limits(8, 8), True, True),
])
@pytest.mark.parametrize("turned", [False, True])
def test_what_comes_beside_a_tunnel_whose_last_path_goes_at_the_same_time_is_seen(
    turned: bool, step: str, limits: Limits, told: bool, seen: bool
) -> None:
    """Nobody says which of the programs is the first; there is another path all the time."""
    model, before = _stand_beside(
        "hook wan1 inet at=0 gateway", "hook wan2 inet6 at=0 gateway",
        "hook wan0 inet6 at=0 gateway flags=signal")
    assert _SIGNALLED not in before.endpoints
    steps = [make_step(one) for one in (step, "mptcp_up wan0") if one]
    after, done = before, deepcopy(model)
    for one in steps:
        after = _play(done, one, after)
    after = _tell(after, told)._replace(limits=limits)
    _, found = judge(model, 0.0, tuple(steps[::-1] if turned else steps), before, after,
                     disturbed=False)
    assert bool(found) == seen


@pytest.mark.parametrize(("gone", "limits", "told", "seen"), [
    (True, Limits(8, 8), True, []),
    (True, Limits(0, 0), False, ["missing", "wrong"]),
    (False, Limits(0, 0), False, []),
    (False, Limits(0, 0), True, ["left over"]),
])
@pytest.mark.parametrize(("steps", "last"), [
    (("hook wan0 inet,inet6 flags=signal",), "mptcp_up wan0"),
    (("hook wan0 inet,inet6 flags=signal",), "hook wan0 inet,inet6 flags=signal"),
    (("hook wan1 inet", "hook wan0 inet6 flags=signal"), "mptcp_up --all"),
])
def test_what_peers_are_told_beside_a_path_that_goes_in_the_same_work_is_seen(
    steps: tuple[str, ...], last: str, gone: bool, limits: Limits, told: bool, seen: list[str]
) -> None:
    """It is the only one of the tunnel's family, and of the same stanza or of another one."""
    model, before = _stand_beside("hook wan2 inet6 at=0 gateway", *steps)
    assert _SIGNALLED not in before.endpoints
    if gone:
        before = before._replace(addresses=tuple(one for one in before.addresses
                                                 if one.family == 6))
    after = _tell(_play(deepcopy(model), make_step(last), before), told)._replace(limits=limits)
    _, found = judge(model, 0.0, (make_step(last),), before, after, disturbed=False)
    assert [one.way for one in found] == seen


@pytest.mark.parametrize(("told", "seen"), [(False, []), (True, ["left over"])])
def test_what_peers_are_told_beside_a_path_that_comes_in_the_same_work_is_seen(
    told: bool, seen: list[str]
) -> None:
    """It is the first of the tunnel's family, and comes after what peers would be told of."""
    model, before = _stand_beside(
        "hook wan2 inet6 at=0 gateway", "hook wan1 inet", "hook wan0 inet6 flags=signal",
        "mptcp_down wan0", "mptcp_down wan1")
    last = make_step("mptcp_up --all")
    after = _tell(_play(deepcopy(model), last, before), told)._replace(limits=Limits(0, 0))
    _, found = judge(model, 0.0, (last,), before, after, disturbed=False)
    assert [one.way for one in found] == seen


def test_what_is_left_of_a_bar_without_a_path_goes_once_somebody_works() -> None:
    """The monitor that left it is gone, and who has nothing to do leaves it."""
    bar = Rule(4, 32767, "", "", "", 0)
    before = BARE._replace(marked=frozenset((bar,)))
    for after in (before, BARE):
        model = Model(ways={4: Way(barred=True), 6: Way()})
        model.begin(before)
        assert compare(resolve(model, before, after, disturbed=False), (), after) == []
        assert model.ways[4].barred == (after is before)


def test_the_endpoint_of_a_failed_check_that_stays_is_seen() -> None:
    """Without a monitor it is left alone, and where the check is another path's."""
    def follow_check(address: str, monitored: bool) -> list[str]:
        model = Model(monitored=monitored, raised=Limits(8, 8), base=Limits(2, 0))
        before = BARE._replace(addresses=(Held("wan0", "wan0", 4, OWN, 24, False),))
        model.begin(before)
        model.follow(make_step("hook wan0 inet at=0 gateway"), before)
        resolve(model, before, WHOLE, disturbed=False)
        seen = WHOLE._replace(addresses=before.addresses)
        model.begin(seen)
        model.note(make_step(f"check failed wan0 4 {address}"), seen, seen)
        if monitored:
            model.attend(seen)
        outcome = resolve(model, seen, seen, disturbed=True)
        return [one.way for one in compare(outcome, (), seen) if one.kind == "Endpoint"]

    assert follow_check("0", monitored=True) == ["left over"]
    assert follow_check("1", monitored=True) == follow_check("0", monitored=False) == []


@pytest.mark.parametrize(("carrier", "failing", "seen"), [
    (False, True, ["left over"]),
    (False, False, ["left over"]),
    (True, True, []),
])
def test_an_endpoint_that_comes_back_without_a_carrier_is_seen(
    carrier: bool, failing: bool, seen: list[str]
) -> None:
    """A round made it, as another program's went, and the next one took it away."""
    def follow(before: Snapshot, after: Snapshot, step: str = "") -> list[str]:
        model.begin(before)
        if step:
            model.follow(make_step(step), before)
        if model.monitored:
            model.attend(before)
        found = compare(resolve(model, before, after, disturbed=not step), model.foreign, after)
        return [one.way for one in found if one.kind == "Endpoint"]

    theirs = Endpoint(OWN, 1, ("subflow",))
    routed = WHOLE._replace(links={"wan0": Link(3, True, carrier)}, ids={}, addresses=(
        Held("wan0", "wan0", 4, OWN, 24, False),))
    model = Model(foreign={theirs}, failing={OWN} if failing else set(), monitored=True)
    taken = routed._replace(ids={theirs: 1})
    assert follow(taken, taken, "hook wan0 inet at=0 gateway") == []
    model.foreign.clear()
    assert follow(routed, routed) == []
    model.set_monitor("off")
    assert follow(routed, routed._replace(ids={ENDPOINT: 2}), "mptcp_up --all") == seen


def take_places(count: int, there: bool = False, carrier: bool = False) -> Snapshot:
    """The path of wan0 where others have so many endpoints."""
    others = {Endpoint(f"10.8.8.{number}", 0, ("signal",)): 10 + number for number in range(count)}
    return WHOLE._replace(
        links={"wan0": Link(3, True, carrier)}, ids=others | {ENDPOINT: 1} if there else others,
        addresses=(Held("wan0", "wan0", 4, OWN, 24, False),))


def follow_beside_others(
    model: Model, step: str, before: Snapshot, after: Snapshot, disturbed: bool = False
) -> list[str]:
    """In which ways endpoints differ after a step, '' for a round alone."""
    model.foreign = {one for one in after.endpoints if one != ENDPOINT}
    model.begin(before)
    if step:
        model.follow(make_step(step), before)
    if model.monitored:
        model.attend(after if disturbed else before)
    found = compare(resolve(model, before, after, disturbed), model.foreign, after)
    return [one.way for one in found if one.kind == "Endpoint"]


HOOK, UP = "hook wan0 inet at=0 gateway", "mptcp_up --all"


@pytest.mark.parametrize(("taken", "steps", "seen"), [
    ([8], [(UP, True)], []),
    ([8], [(UP, False)], []),
    ([8], [(HOOK, True)], []),
    # An endpoint came and went.
    ([7], [(UP, True)], ["left over"]),
    ([7], [(HOOK, True)], ["left over"]),
    ([8, 7], [(UP, True)], ["left over"]),
    ([8, 7, 8], [(UP, True)], ["left over"]),
    # What was left open is seen then.
    ([8], [(UP, False), (UP, True)], ["left over"]),
    ([8], [(HOOK, False), (UP, True)], ["left over"]),
    ([8], [(UP, True), (UP, False)], ["missing"]),
])
def test_whether_who_had_no_place_waits_for_the_carrier_is_read_off(
    taken: list[int], steps: list[tuple[str, bool]], seen: list[str]
) -> None:
    """Others had all places, or one less, in rounds of a monitor; there is one as it has gone."""
    model = Model(monitored=True)
    found = [way for number, count in enumerate(taken) for way in follow_beside_others(
        model, "" if number else HOOK, take_places(count), take_places(count))]
    model.set_monitor("off")
    for step, there in steps:
        found += follow_beside_others(model, step, take_places(7), take_places(7, there))
    assert found == seen


@pytest.mark.parametrize(("taken", "there", "seen"), [
    (8, True, []),
    (8, False, []),
    (7, True, ["left over"]),
    (7, False, []),
])
def test_whether_who_had_no_place_waits_for_its_gateway_is_read_off(
    taken: int, there: bool, seen: list[str]
) -> None:
    """A place goes free, and the carrier comes back, before a gateway that does not answer."""
    model = Model(monitored=True, deaf={"wan0"})
    before = take_places(taken)
    assert follow_beside_others(model, HOOK, before, before) == []
    after = take_places(7, there, carrier=True)
    assert follow_beside_others(model, "", before, after, disturbed=True) == seen


@pytest.mark.parametrize(("away", "there", "seen"), [
    (True, False, []),
    (True, True, ["left over"]),
    (False, True, []),
    (False, False, ["missing"]),
])
def test_an_address_that_is_away_while_the_carrier_is_back_finds_its_stanza_silent(
    away: bool, there: bool, seen: list[str]
) -> None:
    """The carrier goes again, and nobody watches it any more."""
    model = Model(told=[Told(Stanza("wan0", (4,), (0,), gateway=True), silent=True)],
                  monitored=True)
    back = BARE if away else take_places(0, there=True, carrier=True)
    assert follow_beside_others(model, "", back, back) == []
    model.set_monitor("off")
    before = take_places(0, there=not away)
    assert follow_beside_others(model, HOOK, before, take_places(0, there)) == seen


FIRST, FURTHER = (find_own("wan0", place, 4) for place in (0, 2))


def follow_a_further_address(dhcp: Told, leased: Own, quick: bool, steps: list[bool]) -> list[str]:
    """A stanza states an address of a link without a carrier, and its first one goes.

    In which ways the endpoint differs then, after `steps` in which it is there or not. `dhcp` is
    what a monitor has found to have the address before the hook, where it was `quick`.
    """
    def follow(step: str, before: Snapshot, after: Snapshot) -> list[str]:
        model.begin(before)
        if step:
            model.follow(make_step(step), before)
        if model.monitored:
            model.attend(before)
        found = compare(resolve(model, before, after, disturbed=not step), (), after)
        return [one.way for one in found
                if one.kind == "Endpoint" and FURTHER.address in one.text]

    first = Told(Stanza("wan0", (4,), (0,), gateway=True), silent=True)
    model = Model(told=[first, dhcp], monitored=True, leases={"wan0": leased})
    both = BARE._replace(
        marked=frozenset(RULES), links={"wan0": Link(3, True, False)},
        addresses=tuple(Held("wan0", "wan0", 4, own.address, 24, False)
                        for own in (FIRST, FURTHER)))
    before = both._replace(addresses=both.addresses[:1])
    found = follow("", before, before)
    if quick:
        model.watch(both, 0.0, settled=False)
    found += follow("hook wan0 inet at=2 gateway", both, both)
    model.set_monitor("off")
    left = both._replace(marked=frozenset(), addresses=both.addresses[1:])
    for there in steps:
        ids = {Endpoint(FURTHER.address, 3, ("subflow",)): 1} if there else {}
        found += follow(UP, left, left._replace(ids=ids))
    return found


@pytest.mark.parametrize(("quick", "steps", "seen"), [
    (True, [True], []),
    (True, [False], []),
    # What was left open is seen then.
    (True, [True, False], ["missing"]),
    (True, [False, True], ["left over"]),
    (False, [True], []),
    (False, [False], ["missing"]),
])
@pytest.mark.parametrize("silent", [True, False])
def test_whether_a_monitor_found_for_a_silent_stanza_what_a_hook_states_is_read_off(
    silent: bool, quick: bool, steps: list[bool], seen: list[str]
) -> None:
    """That was silent before, or is so since the monitor made it an endpoint without a carrier."""
    dhcp = Told(Stanza("wan0", (4,), flags=() if silent else ("subflow",)), silent=silent)
    assert follow_a_further_address(dhcp, FURTHER, quick, steps) == seen


@pytest.mark.parametrize(("dhcp", "leased"), [
    (Told(Stanza("wan0", (4,)), silent=True), FIRST),
    (Told(Stanza("wan0", (4,))), FURTHER),
    (Told(Stanza("wan0", (6,)), silent=True), FURTHER),
])
def test_what_no_silent_stanza_can_have_had_is_missing(dhcp: Told, leased: Own) -> None:
    """It has no gateway for the address, or does not wait, or is of the other family."""
    assert follow_a_further_address(dhcp, leased, quick=True, steps=[False]) == ["missing"]


@pytest.mark.parametrize(("further", "there", "seen"), [
    (True, True, []),
    (True, False, ["missing"]),
    (False, True, ["left over"]),
    (False, False, []),
])
def test_an_endpoint_that_comes_without_a_carrier_is_seen(
    further: bool, there: bool, seen: list[str]
) -> None:
    """A further address had none that could wait for its gateway, so its stanza waits no more."""
    found = find_own("wan0", 2, 4)
    first = Told(Stanza("wan0", (4,), (0,), gateway=True))
    model = Model(told=[Told(Stanza("wan0", (4,)), silent=True), *[first] * further],
                  monitored=True, deaf={"wan0"}, leases={"wan0": found})
    before = BARE._replace(marked=frozenset(RULES) if further else frozenset(), addresses=tuple(
        Held("wan0", "wan0", 4, own, 24, False) for own in (OWN, found.address)[not further:]))
    model.begin(before)
    model.attend(before)
    resolve(model, before, before, disturbed=True)
    model.set_monitor("kill")
    model.configuration = Configuration(flags=(("wan0", ("subflow",)),))
    before = before._replace(links={"wan0": Link(3, True, False)})
    after = before._replace(ids={Endpoint(found.address, 3, ("subflow",)): 1} if there else {})
    model.begin(before)
    model.follow(make_step("mptcp_up --all"), before)
    differences = compare(resolve(model, before, after, disturbed=False), (), after)
    assert [one.way for one in differences if (
        one.kind == "Endpoint" and found.address in one.text)] == seen


def test_what_is_taken_from_others_is_seen() -> None:
    (found,) = compare_foreign(WHOLE, WHOLE._replace(foreign=frozenset()))
    assert (found.way, found.kind) == ("taken from others", "Rule")


def test_what_stays_of_an_interface_that_went_down_is_seen() -> None:
    model = Model(told=[Told(Stanza("wan0", (4,), (0,), gateway=True))], base=Limits(2, 0),
                  raised=Limits(8, 8))
    model.begin(WHOLE)
    model.follow(make_step("down wan0"), WHOLE)
    after = BARE._replace(marked=frozenset(ROUTES[-1:]))
    (found,) = compare(resolve(model, WHOLE, after, disturbed=False), (), after)
    assert (found.way, found.kind) == ("left over", "Route")


@pytest.mark.parametrize("limits, told, seen", [
    (Limits(0, 0), "wan1 inet at=0", []),
    (Limits(5, 1), "wan1 inet at=0", ["wrong"]),
    (Limits(0, 0), "wan2 inet at=0", ["wrong"]),
    (Limits(5, 1), "wan2 inet at=0", []),
])
def test_a_hook_that_is_off_settles_limits_where_its_interface_is_on_record(
    limits: Limits, told: str, seen: list[str]
) -> None:
    """Beside a tunnel they are none, and a person has set others since."""
    model = Model(base=Limits(2, 0), raised=Limits(0, 0), tunnels={4})
    model.begin(BARE)
    model.follow(make_step("hook wan0 inet at=0 gateway"), BARE._replace(
        addresses=(Held("wan0", "wan0", 4, OWN, 24, False),)))
    resolve(model, BARE, WHOLE, disturbed=False)
    model.told.append(Told(read_stanza(tuple(told.split()))))
    before = WHOLE._replace(limits=Limits(5, 1))
    model.begin(before)
    model.follow(make_step("hook wan1 inet at=1 off"), before)
    after = before._replace(limits=limits)
    found = compare(resolve(model, before, after, disturbed=False), (), after)
    assert [one.way for one in found] == seen


@pytest.mark.parametrize(("tunnels", "limits", "seen"), [
    (set(), Limits(8, 8), False),
    (set(), Limits(5, 1), True),
    ({4}, Limits(0, 0), False),
    ({4}, Limits(5, 1), True),
])
def test_a_lease_of_what_is_not_on_record_settles_limits(
    tunnels: set[int], limits: Limits, seen: bool
) -> None:
    """A person has set others since."""
    held = BARE._replace(addresses=(Held("wan0", "wan0", 4, OWN, 24, False),))
    model = Model(tunnels=tunnels)
    before = _play(model, make_step("hook wan0 inet at=0 gateway"), held)
    before = before._replace(limits=Limits(5, 1))
    _, found = judge(model, 0.0, (make_step("lease wan1 0"),), before,
                     before._replace(limits=limits), disturbed=False)
    assert [one.kind for one in found] == ["Limits"] * seen


@pytest.mark.parametrize("text", [
    "link down wan0",
    "ifup wan0:1 inet,inet6 at=1 gateway mptcp-gateway off flags=subflow,backup table=101",
    "kill 12 all: hook wan0 inet at=0,2 gateway & down wan0",
    "together: mptcp_up --all & farewell wan1",
    "lease wan0 none",
    "router came wan2",
    "check failed wan1 6 3",
])
def test_a_step_is_the_same_after_being_text(text: str) -> None:
    assert str(make_step(text)) == text


@pytest.mark.parametrize("stanza", [
    Stanza("wan0", (4,)),
    Stanza("wan1", (4, 6), (0, 2), True, True, ("subflow", "backup"), 101, True, "0x61",
           True),
])
def test_a_stanza_is_the_same_after_being_text(stanza: Stanza) -> None:
    assert read_stanza(tuple(str(stanza).split())) == stanza


@pytest.mark.parametrize("configuration", [
    Configuration(),
    Configuration(("subflow", "backup"), ("wan0",), ("wan1", "wan2"), (("wan0", ("signal",)),),
                  (("wan2", 101),), ("wan1",), ("wan0",), True),
])
def test_a_configuration_is_the_same_after_being_text(configuration: Configuration) -> None:
    assert read_configuration(tuple(str(configuration).split())) == configuration


def make_violation(steps: tuple[Step, ...]) -> Violation:
    return Violation(steps, (Difference("missing", "Rule", "any"),), "")


@pytest.mark.parametrize("needed", [("a",), ("a", "z"), ("c", "k", "z"), ("y", "z")])
def test_what_is_needed_is_all_that_shrinking_leaves(needed: tuple[str, ...]) -> None:
    def attempt(steps: tuple[Step, ...]) -> Violation | None:
        kinds = [step.kind for step in steps]
        return make_violation(steps) if set(needed) <= set(kinds) else None

    steps = tuple(Step(kind) for kind in "abcdefghijklmnopqrstuvwxyz")
    last = max(needed)
    before = tuple(step for step in steps if step.kind <= last)
    left: Any = minimise(make_violation(before), attempt)
    assert [step.kind for step in left.steps] == list(needed)
