# SPDX-License-Identifier: GPL-2.0-or-later
"""Which address of a device has the endpoint, and which uplinks have one where all eight are taken.
"""

from __future__ import annotations

from collections.abc import Callable
from itertools import permutations

import pytest

from mptcp_hooks.base.address import InterfaceAddress
from mptcp_hooks.base.errors import Problem
from mptcp_hooks.base.model import Endpoint, Link, Path, Rule
from mptcp_hooks.engine.carry_out import carry_out
from mptcp_hooks.engine.remake import list_endpoints
from mptcp_hooks.engine.spares import find_spare
from mptcp_hooks.engine.take_down import prepare_silence
from mptcp_hooks.intent.event import Event, read_event
from mptcp_hooks.intent.settings import NO_CONFIGURATION, Wishes
from mptcp_hooks.machine.sockets import TCP_ESTABLISHED
from mptcp_hooks.machine.subflows import Subflow
from tests.unit.engine import Bench, open_bench, silence
from tests.unit.memory import Device

LOCAL, GLOBAL, SECOND = "fd00:2::2", "2001:db8:2::2", "2001:db8:2::3"
DEVICES = [f"wan{number}" for number in range(5)]
# Somebody else has one of the kernel's eight on each bench.
LEFT = 7


def state(own: str, **options: str) -> Event:
    return tell("eth1", own, **options)


def tell(iface: str, own: str, **options: str) -> Event:
    """A stanza with an address, whose gateway is the first of its subnet."""
    family = 6 if ":" in own else 4
    event = read_event({
        "IFACE": iface, "ADDRFAM": {4: "inet", 6: "inet6"}[family], "METHOD": "static",
        "IF_ADDRESS": own, "IF_NETMASK": {4: "24", 6: "64"}[family],
        "IF_GATEWAY": f"{own[:-1]}1", **options})
    assert event is not None
    return event


def own_addresses(*addresses: str) -> list[InterfaceAddress]:
    return [InterfaceAddress(6 if ":" in own else 4, own, 64 if ":" in own else 24, "", "")
            for own in addresses]


def list_ours(bench: Bench) -> list[str]:
    """The addresses of our endpoints, in the order of their making."""
    return [one.address for one in bench.machine.endpoints if one.address != "10.9.9.9"]


def list_bound(bench: Bench) -> set[int]:
    """The tables that what is bound to eth1 is led to, but main."""
    return {rule.table for _, rule in bench.machine.rules if rule.device == "eth1"} - {254}


@pytest.mark.parametrize("order", list(permutations((LOCAL, GLOBAL))))
@pytest.mark.parametrize("together", [True, False])
def test_a_global_address_has_the_endpoint_before_one_of_its_site(
    order: tuple[str, ...], together: bool
) -> None:
    with open_bench() as bench:
        bench.machine.plug("eth1", 3, *own_addresses(LOCAL, GLOBAL))
        events = [state(own) for own in order]
        for some in ([events] if together else [[one] for one in events]):
            assert bench.up(*some) == []
        assert list_ours(bench) == [GLOBAL]
        with bench.open_store() as store:
            tables = {one.path.address: (one.path.table, one.path.primary)
                      for stanza in store.load("eth1") for one in stanza.paths}
        assert tables[GLOBAL][1] and not tables[LOCAL][1]
        assert list_bound(bench) == {tables[GLOBAL][0]}
        before = bench.machine.snapshot()
        assert bench.again() == [] and bench.machine.snapshot() == before
        assert bench.all() == [] and bench.machine.ran == []
        bench.down("eth1")
        assert bench.machine.snapshot().rules == bench.before.rules
        assert list_ours(bench) == []


@pytest.mark.parametrize("order", list(permutations((LOCAL, GLOBAL, SECOND))))
def test_so_it_is_with_addresses_that_routers_advertise(order: tuple[str, ...]) -> None:
    """The kernel lists the newest first; of two global ones the first to come keeps its place."""
    event = read_event({"IFACE": "eth1", "ADDRFAM": "inet6", "METHOD": "auto"})
    assert event is not None
    with open_bench() as bench:
        for number in range(1, 4):
            bench.machine.plug("eth1", 3, *own_addresses(*reversed(order[:number])),
                               gateways=("fe80::1",))
            assert bench.up(event) == []
        assert list_ours(bench) == [next(own for own in order if own != LOCAL)]


@pytest.mark.parametrize("together", [True, False])
def test_flags_of_its_own_leave_a_local_one_its_endpoint(together: bool) -> None:
    with open_bench() as bench:
        bench.machine.plug("eth1", 3, *own_addresses(LOCAL, GLOBAL))
        events = [state(LOCAL, IF_MPTCP_FLAGS="signal"), state(GLOBAL)]
        for some in ([events] if together else [[one] for one in events]):
            assert bench.up(*some) == []
        assert sorted(list_ours(bench)) == sorted([LOCAL, GLOBAL])


@pytest.mark.parametrize("order", permutations((LOCAL, GLOBAL)))
@pytest.mark.parametrize("together", [True, False])
@pytest.mark.parametrize("said", [
    Wishes("eth1", table=777), Wishes("eth1", mark="0x1"),
    Wishes("eth1", sources=("2001:db8:9::/64",)), Wishes("eth1", announced=("3fff::10",)),
    Wishes("eth1", None, 777, mark="0x1", sources=("2001:db8:9::/64",), announced=("3fff::10",)),
])
def test_so_it_is_with_what_a_section_has_for_the_first_address(
    order: tuple[str, ...], together: bool, said: Wishes
) -> None:
    with open_bench(NO_CONFIGURATION._replace(wishes=(said,))) as bench:
        bench.machine.plug("eth1", 3, *own_addresses(LOCAL, GLOBAL))
        events = [state(own) for own in order]
        for some in ([events] if together else [[one] for one in events]):
            assert bench.up(*some) == []
        with bench.open_store() as store:
            paths = {one.path.address: one.path for stanza in store.load("eth1")
                     for one in stanza.paths}
        first, other = paths[GLOBAL], paths[LOCAL]
        assert (first.mark, first.sources, first.announced) == (
            said.mark or "", said.sources or (), said.announced or ())
        assert (other.mark, other.sources, other.announced) == ("", (), ())
        assert first.table == said.table or not said.table and first.table != other.table
        assert other.table == 20003 or not said.table and other.table == 10020003
        led = {rule.table for _, rule in bench.machine.rules
               if rule.mark or rule.source == "2001:db8:9::/64"} - {254}
        assert led == ({first.table} if said.mark or said.sources else set())
        routes = bench.machine.routes[6, first.table]
        assert {route.source for route in routes} == {GLOBAL, ""}
        assert sorted(list_ours(bench)) == sorted([GLOBAL, *(said.announced or ())])
        before = bench.machine.snapshot()
        assert bench.again() == [] and bench.machine.snapshot() == before
        assert bench.all() == [] and bench.machine.ran == []
        bench.down("eth1")
        assert bench.machine.snapshot() == bench.before


def test_what_the_stanza_of_a_local_one_says_stays_its_own() -> None:
    said = Wishes("eth1", mark="0x2", sources=("2001:db8:9::/64",))
    with open_bench(NO_CONFIGURATION._replace(wishes=(said,))) as bench:
        bench.machine.plug("eth1", 3, *own_addresses(LOCAL, GLOBAL))
        bench.up(state(LOCAL, IF_MPTCP_MARK="1", IF_MPTCP_TABLE="777",
                       IF_MPTCP_ANNOUNCE="3fff::10"))
        assert bench.up(state(GLOBAL)) == []
        with bench.open_store() as store:
            paths = {one.path.address: one.path for stanza in store.load("eth1")
                     for one in stanza.paths}
        assert (paths[LOCAL].mark, paths[LOCAL].table, paths[LOCAL].announced,
                paths[LOCAL].sources) == ("0x1", 777, ("3fff::10",), ())
        assert (paths[GLOBAL].mark, paths[GLOBAL].sources) == ("0x2", said.sources)
        before = bench.machine.snapshot()
        assert bench.again() == [] and bench.machine.snapshot() == before


@pytest.mark.parametrize("said", [
    Wishes("eth1", mark="0x1"), Wishes("eth1", announced=("3fff::10",))])
def test_a_local_one_keeps_its_place_where_the_global_one_is_refused(said: Wishes) -> None:
    with open_bench(NO_CONFIGURATION._replace(wishes=(said,))) as bench:
        bench.machine.plug("eth1", 3, *own_addresses(LOCAL, GLOBAL))
        assert bench.up(state(LOCAL)) == []
        before = bench.machine.snapshot()
        (problem,) = bench.up(state(GLOBAL, IF_MPTCP_ANNOUNCE="fd00:2::2"))
        assert "mptcp-announce" in str(problem) and bench.machine.snapshot() == before
        assert bench.again() == [] and bench.machine.ran == []


@pytest.mark.parametrize("order", permutations((GLOBAL, SECOND)))
def test_what_a_section_announces_is_no_obstacle_to_a_further_address(
    order: tuple[str, ...]
) -> None:
    said = Wishes("eth1", announced=("3fff::10",))
    with open_bench(NO_CONFIGURATION._replace(wishes=(said,))) as bench:
        bench.machine.plug("eth1", 3, *own_addresses(GLOBAL, SECOND))
        for own in order:
            assert bench.up(state(own)) == []
        assert list_ours(bench) == [order[0], "3fff::10"]


def plug_all(bench: Bench) -> list[Event]:
    """Five devices with both families; their stanzas, one device after another."""
    events = []
    for number, device in enumerate(DEVICES, start=1):
        own = f"10.5.{number}.2", f"2001:db8:{number}::2"
        bench.machine.plug(device, 10 + number, *own_addresses(*own))
        events += [tell(device, one) for one in own]
    return events


@pytest.mark.parametrize("together", [True, False])
def test_each_uplink_has_one_endpoint_before_any_has_two(together: bool) -> None:
    with open_bench() as bench:
        events = plug_all(bench)
        for some in ([events] if together else [[one] for one in events]):
            bench.up(*some)
        served = [one.device for one in bench.machine.endpoints if one.device]
        assert len(served) == LEFT and set(served) == {11, 12, 13, 14, 15}
        # IPv4 is what everybody has.
        assert [own for own in list_ours(bench) if ":" not in own] == [
            f"10.5.{number}.2" for number in range(1, 6)]
        before = bench.machine.snapshot()
        bench.again()
        assert bench.machine.snapshot() == before
        # What becomes free goes to whom gave it.
        bench.down("wan0")
        bench.again()
        assert len(list_ours(bench)) == LEFT
        bench.down(*DEVICES)
        assert bench.machine.snapshot() == bench.before


def test_no_connection_loses_the_last_of_its_subflows_for_it() -> None:
    with open_bench() as bench:
        events = plug_all(bench)
        bench.up(*events[:-2])
        assert len(list_ours(bench)) == LEFT
        bench.machine.subflows = [
            Subflow(number, own, "2001:db8::9", TCP_ESTABLISHED, 0, 0.0, True)
            for number, own in enumerate(own for own in list_ours(bench) if own != "10.5.2.2")]
        bench.up(events[-2])
        assert "10.5.2.2" not in list_ours(bench) and "10.5.5.2" in list_ours(bench)


def test_a_stanza_of_two_families_gets_the_place_that_is_made_and_asks_for_no_other() -> None:
    with open_bench() as bench:
        events = plug_all(bench)
        bench.up(*events[:-2])
        both = read_event({
            "IFACE": "wan4", "ADDRFAM": "inet,inet6", "METHOD": "static",
            "IF_ADDRESSES": "10.5.5.2/24 2001:db8:5::2/64",
            "IF_GATEWAYS": "10.5.5.1 2001:db8:5::1"})
        assert both is not None
        bench.machine.ran.clear()
        assert bench.up(both) == []
        assert [line for line in bench.machine.ran if "endpoint add" in line] == [
            "mptcp endpoint add 10.5.5.2 dev wan4 subflow"]
        assert {one.device for one in bench.machine.endpoints if one.device} == {
            11, 12, 13, 14, 15}


def test_what_is_made_anew_can_give_its_endpoint_in_the_same_work() -> None:
    with open_bench() as bench:
        events = plug_all(bench)
        bench.up(*events[:-2])
        bench.machine.rules = [(family, rule) for family, rule in bench.machine.rules
                               if rule.protocol != 77]
        assert bench.all(events[-2]) == []
        assert {one.device for one in bench.machine.endpoints if one.device} == {
            11, 12, 13, 14, 15}
        assert len(bench.machine.endpoints) == LEFT + 1
        bench.down(*DEVICES)
        assert bench.machine.snapshot() == bench.before


@pytest.mark.parametrize("together", [True, False])
@pytest.mark.parametrize("deleted, left", [
    # The own one is worth more, but what somebody deleted would come back to the place.
    ("", {"10.5.1.3"}), ("192.0.2.10", set()), ("10.5.1.3", set())])
def test_who_has_two_endpoints_of_an_address_gives_the_one_that_is_needed(
    deleted: str, left: set[str], together: bool
) -> None:
    with open_bench() as bench:
        bench.machine.plug("wan0", 11, *own_addresses("10.5.1.2", "2001:db8:1::2", "10.5.1.3"))
        bench.machine.plug("wan1", 12, *own_addresses("10.5.2.2"))
        announcing = tell("wan0", "10.5.1.3", IF_MPTCP_FLAGS="subflow signal",
                          IF_MPTCP_ANNOUNCE="192.0.2.10")
        bench.up(tell("wan0", "10.5.1.2"), tell("wan0", "2001:db8:1::2"), announcing)
        bench.machine.endpoints = [one for one in bench.machine.endpoints
                                   if one.address != deleted]
        others = fill(bench)
        if together:
            bench.dismiss("wan0")
            bench.all(tell("wan1", "10.5.2.2"))
        else:
            bench.up(tell("wan1", "10.5.2.2"))
        ours = set(list_ours(bench)) - {one.address for one in others}
        assert ours == {"10.5.1.2", "2001:db8:1::2", "10.5.2.2", *left}
        if left:
            # Nothing is left for another run to do.
            assert bench.again() == [] and bench.machine.ran == []
            assert bench.all() == [] and bench.machine.ran == []
        # What becomes free goes to whom gave it.
        bench.machine.endpoints = [one for one in bench.machine.endpoints if one not in others]
        assert bench.all() == [] and {"10.5.1.3", "192.0.2.10"} <= set(list_ours(bench))


@pytest.mark.parametrize("together", [True, False])
@pytest.mark.parametrize("announced, left", [
    ("192.0.2.10", {"10.5.1.2"}), ("192.0.2.10 192.0.2.11", {"10.5.1.2", "192.0.2.10"})])
def test_an_uplink_has_two_endpoints_where_one_is_announced(
    announced: str, left: set[str], together: bool
) -> None:
    with open_bench() as bench:
        coming = announce_alone(bench, announced)
        others = {one.address for one in fill(bench)}
        assert (bench.all(coming) if together else bench.up(coming)) == []
        assert set(list_ours(bench)) == {"10.5.2.2", *left, *others}
        assert bench.again() == [] and bench.machine.ran == []
        assert bench.all() == [] and bench.machine.ran == []


def test_no_uplink_gives_all_that_is_announced_for_it() -> None:
    with open_bench() as bench:
        coming = announce_alone(bench, "192.0.2.10 192.0.2.11")
        bench.machine.endpoints = [one for one in bench.machine.endpoints
                                   if one.address != "10.5.1.2"]
        others = {one.address for one in fill(bench)}
        assert bench.up(coming) == []
        # The own one would come back to the place of both.
        assert set(list_ours(bench)) == {"192.0.2.10", "192.0.2.11", *others}
        assert bench.again() == []
        assert set(list_ours(bench)) == {"10.5.1.2", "10.5.2.2", *others}


def test_an_endpoint_that_goes_in_the_same_work_is_none_that_its_uplink_has() -> None:
    """An edit takes it away; an uplink that is planned before takes its place, as a second one."""
    further = tell("wan0:1", "10.5.1.3")
    with open_bench() as bench:
        bench.machine.plug("eth5", 12, *own_addresses("10.5.2.2", "2001:db8:2::2"))
        bench.machine.plug("wan0", 11, *own_addresses("10.5.1.2", "10.5.1.3"))
        bench.up(tell("eth5", "10.5.2.2"), tell("eth5", "2001:db8:2::2"), tell("wan0", "10.5.1.2"),
                 tell("wan0:1", "10.5.1.3", IF_MPTCP_FLAGS="subflow"))
        bench.machine.endpoints = [one for one in bench.machine.endpoints
                                   if one.address not in ("10.5.1.2", "2001:db8:2::2")]
        others = {one.address for one in fill(bench)}
        assert bench.all(edited=[further]) == []
        assert set(list_ours(bench)) == {"10.5.1.2", "10.5.2.2", *others}
        assert bench.all() == [] and bench.machine.ran == []


def announce_alone(bench: Bench, announced: str) -> Event:
    """Bring up wan0, whose one address has others announced; the stanza of a wan1 to come."""
    bench.machine.plug("wan0", 11, *own_addresses("10.5.1.2"))
    bench.machine.plug("wan1", 12, *own_addresses("10.5.2.2"))
    assert bench.up(tell("wan0", "10.5.1.2", IF_MPTCP_ANNOUNCE=announced)) == []
    return tell("wan1", "10.5.2.2")


@pytest.mark.parametrize("flags", ["", "signal"])
def test_an_uplink_whose_endpoint_is_announced_takes_nobody_elses(flags: str) -> None:
    with open_bench() as bench:
        bench.machine.plug("wan0", 11, *own_addresses("10.5.1.2", "10.5.1.3", "2001:db8:1::2"))
        bench.machine.plug("wan1", 12, *own_addresses("10.5.2.2", "2001:db8:2::2"))
        bench.up(tell("wan0", "10.5.1.2"), tell("wan1", "10.5.2.2"), tell("wan1", "2001:db8:2::2"),
                 tell("wan0:1", "10.5.1.3", IF_MPTCP_ANNOUNCE="192.0.2.10", IF_MPTCP_FLAGS=flags))
        bench.machine.endpoints = [one for one in bench.machine.endpoints
                                   if one.address != "10.5.1.2"]
        fill(bench)
        before = list_ours(bench)
        assert {"192.0.2.10", "10.5.2.2", "2001:db8:2::2"} <= set(before)
        bench.up(tell("wan0", "2001:db8:1::2"))
        bench.name(tell("wan0", "10.5.1.2"))
        bench.all()
        assert list_ours(bench) == before


def tell_both(*own: str, **options: str) -> Event:
    """A stanza of wan0 with several addresses of a family."""
    event = read_event({
        "IFACE": "wan0", "ADDRFAM": "inet", "METHOD": "static",
        "IF_ADDRESSES": " ".join(f"{one}/24" for one in own), "IF_GATEWAY": "10.5.1.1", **options})
    assert event is not None
    return event


def fill(bench: Bench) -> list[Endpoint]:
    """Have somebody else take what is left of the kernel's eight."""
    others = [Endpoint(90 + number, f"10.8.8.{number}", 0, ("signal",))
              for number in range(8 - len(bench.machine.endpoints))]
    bench.machine.endpoints += others
    return others


@pytest.mark.parametrize("before, now, left", [
    # The first address of the device is another one by now.
    (tell("wan0", "10.5.1.3"), tell_both("10.5.1.2", "10.5.1.3"), {"10.5.1.2"}),
    # The second one has no flags any more, and the third one comes.
    (tell_both("10.5.1.2", "10.5.1.3", IF_MPTCP_FLAGS="subflow"),
     tell_both("10.5.1.2", "10.5.1.3", IF_MPTCP_ANNOUNCE="192.0.2.10"),
     {"10.5.1.2", "192.0.2.10"}),
    # Nothing is announced any more.
    (tell("wan0", "10.5.1.2", IF_MPTCP_ANNOUNCE="192.0.2.10"),
     tell_both("10.5.1.2", "10.5.1.3", IF_MPTCP_FLAGS="subflow"), {"10.5.1.2", "10.5.1.3"})])
def test_a_place_that_an_address_leaves_is_its_stanzas_next_ones(
    before: Event, now: Event, left: set[str]
) -> None:
    with open_bench() as bench:
        bench.machine.plug("wan0", 11, *own_addresses("10.5.1.2", "10.5.1.3"))
        bench.up(before)
        fill(bench)
        assert bench.up(now) == []
        assert {own for own in list_ours(bench) if not own.startswith("10.8.8.")} == left
        assert bench.again() == [] and bench.machine.ran == []


@pytest.mark.parametrize("act", ["all", "again", "named", "edited"])
def test_a_place_that_a_stanza_leaves_is_anothers_in_one_work(act: str) -> None:
    """Whoever comes first by the names' order asks for it before it is free."""
    own = "2001:db8:1::2"
    plain = [tell("wan2", "10.5.2.2"), tell("wan2", "10.5.2.3")]
    acts: dict[str, Callable[[Bench], list[Problem]]] = {
        "all": Bench.all,
        "again": Bench.again,
        "named": lambda bench: bench.name(tell("wan0", own), *plain),
        "edited": lambda bench: bench.all(edited=plain),
    }
    with open_bench() as bench:
        bench.machine.plug("wan0", 11, *own_addresses("10.5.1.2", own))
        bench.machine.plug("wan2", 13, *own_addresses("10.5.2.2", "10.5.2.3"))
        bench.up(tell("wan0", "10.5.1.2"))
        if act == "edited":
            bench.up(plain[0], tell("wan2", "10.5.2.3", IF_MPTCP_FLAGS="subflow"))
        else:
            bench.configuration = NO_CONFIGURATION._replace(
                wishes=(Wishes("wan2", flags=("subflow",)),))
            bench.up(*plain)
        fill(bench)
        bench.up(tell("wan0", own))
        assert own not in list_ours(bench) and "10.5.2.3" in list_ours(bench)
        bench.configuration = NO_CONFIGURATION
        assert acts[act](bench) == []
        assert own in list_ours(bench) and "10.5.2.3" not in list_ours(bench)
        assert acts[act](bench) == [] and bench.machine.ran == []


def list_rules(bench: Bench, own: str) -> list[tuple[int, Rule]]:
    """The rules for what comes from an address."""
    return [(family, rule) for family, rule in bench.machine.rules
            if rule.source.partition("/")[0] == own]


def damage(bench: Bench, own: str) -> None:
    """Have somebody delete the rules for what comes from an address."""
    for rule in list_rules(bench, own):
        bench.machine.rules.remove(rule)


def tell_two(*own: str, **options: str) -> Event:
    """A stanza of wan2 with two addresses."""
    event = read_event({
        "IFACE": "wan2", "ADDRFAM": "inet,inet6", "METHOD": "static",
        "IF_ADDRESSES": " ".join(f"{one}/{64 if ':' in one else 24}" for one in own),
        "IF_GATEWAYS": " ".join(dict.fromkeys(f"{one[:-1]}1" for one in own)), **options})
    assert event is not None
    return event


@pytest.mark.parametrize("act", ["all", "again", "named", "hook"])
@pytest.mark.parametrize("options", [{}, {"IF_MPTCP_ANNOUNCE": "192.0.2.10 3fff::10"}])
@pytest.mark.parametrize("away", ["2001:db8:2::2", "10.5.2.3"])
def test_who_gives_a_place_may_have_lost_the_address_of_it(
    away: str, options: dict[str, str], act: str
) -> None:
    """What gives is renewed by the same work, though it comes later by the names' order."""
    asking = tell("wan0", "10.5.1.2")
    giving = tell_two("10.5.2.2", away, IF_MPTCP_FLAGS="subflow", **options)
    acts: dict[str, Callable[[Bench], list[Problem]]] = {
        "all": Bench.all,
        "again": Bench.again,
        "named": lambda bench: bench.name(asking, giving),
        "hook": lambda bench: bench.up(asking),
    }
    with open_bench() as bench:
        bench.machine.plug("wan0", 11, *own_addresses("10.5.1.2"))
        bench.machine.plug("wan2", 13, *own_addresses("10.5.2.2", away))
        bench.up(asking, giving)
        bench.machine.take_address("wan0", "10.5.1.2")
        bench.again()
        fill(bench)
        assert away in list_ours(bench) and "10.5.1.2" not in list_ours(bench)
        bench.machine.plug("wan0", 11, *own_addresses("10.5.1.2"))
        bench.machine.take_address("wan2", away)
        damage(bench, "10.5.2.2")
        assert acts[act](bench) == []
        assert "10.5.1.2" in list_ours(bench) and "10.5.2.2" in list_ours(bench)
        if act != "hook":
            assert away not in list_ours(bench)
            assert not list_rules(bench, away) and list_rules(bench, "10.5.2.2")
            assert acts[act](bench) == [] and bench.machine.ran == []
        bench.down("wan0", "wan2")
        assert bench.machine.snapshot().rules == bench.before.rules


@pytest.mark.parametrize("act", ["all", "again", "named"])
@pytest.mark.parametrize("gone", ["address", "gateway", "own gateway"])
def test_who_leaves_a_subnet_to_another_device_is_renewed_by_the_same_work(
    gone: str, act: str
) -> None:
    """Also where what it was to leave goes altogether, and has lost some of its routing before."""
    asking = tell("wan0", "10.5.2.9")
    giving = read_event({"IFACE": "wan2", "ADDRFAM": "inet,inet6", "METHOD": "dhcp"})
    assert giving is not None
    named = asking, giving
    acts: dict[str, Callable[[Bench], list[Problem]]] = {
        "all": Bench.all, "again": Bench.again, "named": lambda bench: bench.name(*named)}
    both = own_addresses("10.5.2.2", "2001:db8:2::2")
    with open_bench() as bench:
        bench.machine.plug("wan0", 11, *own_addresses("10.5.2.9"))
        bench.up(asking)
        bench.machine.take_address("wan0", "10.5.2.9")
        bench.again()
        bench.machine.plug("wan2", 13, *both, gateways=("10.5.2.1", "2001:db8:2::1"))
        assert bench.up(giving) == []
        bench.machine.plug("wan0", 11, *own_addresses("10.5.2.9"))
        damage(bench, "10.5.2.2")
        left = {"10.5.2.2", "2001:db8:2::2"} - {
            "10.5.2.2" if gone == "own gateway" else "2001:db8:2::2"}
        bench.machine.plug("wan2", 13, *both[:1 + (gone != "address")], gateways=(
            "2001:db8:2::1" if gone == "own gateway" else "10.5.2.1",))
        assert acts[act](bench) == []
        assert set(list_ours(bench)) == {"10.5.2.9", *left}
        assert {own for own in ("10.5.2.2", "2001:db8:2::2") if list_rules(bench, own)} == left
        assert acts[act](bench) == [] and bench.machine.ran == []


@pytest.mark.parametrize("named", [True, False])
@pytest.mark.parametrize("away", ["10.5.2.2", LOCAL])
def test_a_local_one_that_is_away_yields_without_a_word(away: str, named: bool) -> None:
    coming, local = tell("wan2", GLOBAL), tell_two("10.5.2.2", LOCAL)
    with open_bench() as bench:
        bench.machine.plug("wan2", 13, *own_addresses("10.5.2.2", LOCAL, GLOBAL))
        assert bench.up(local) == []
        bench.machine.take_address("wan2", away)
        for _ in range(2):
            assert (bench.name(coming, local) if named else bench.up(coming)) == []
            assert GLOBAL in list_ours(bench) and LOCAL not in list_ours(bench)
            assert not named or not list_rules(bench, away)
        assert bench.again() == [] and not list_rules(bench, away)
        assert bench.again() == [] and bench.machine.ran == []
        bench.down("wan2")
        assert bench.machine.snapshot().rules == bench.before.rules


@pytest.mark.parametrize("stands", [True, False])
@pytest.mark.parametrize("own, served", [
    (("10.5.1.2", "2001:db8:5::2"), {"2001:db8:5::2"}),
    (("2001:db8:1::2", "10.5.5.2"), {"10.5.5.2"}),
    (("10.5.1.2",), set())])
def test_a_stanza_of_which_an_address_is_shared_gets_a_place_for_its_other_one(
    own: tuple[str, ...], served: set[str], stands: bool
) -> None:
    """What another device has as well asks for no place, whether or not that has an endpoint."""
    with open_bench() as bench:
        events = plug_all(bench)
        # Whoever comes last has none.
        bench.up(*(events[:-2] if stands else [*events[1:-2], events[0]]))
        before = {*list_ours(bench)}
        assert ("10.5.1.2" in before) == stands and len(before) == LEFT
        bench.machine.plug("wan4", 15, *own_addresses(*own))
        event = read_event({
            "IFACE": "wan4", "ADDRFAM": "inet,inet6", "METHOD": "static",
            "IF_ADDRESSES": " ".join(f"{one}/{64 if ':' in one else 24}" for one in own),
            "IF_MPTCP_GATEWAY": " ".join(f"{one[:-1]}1" for one in own)})
        assert event is not None and bench.up(event) == []
        assert {*list_ours(bench)} - before == served
        assert len(before - {*list_ours(bench)}) == len(served)
        # Nothing is left for another run to do.
        assert bench.again() == [] and bench.machine.ran == []
        assert bench.all() == [] and bench.machine.ran == []


def test_what_is_out_waits_beside_an_address_of_anothers(monkeypatch: pytest.MonkeyPatch) -> None:
    """That one has no endpoint in the end, and takes nobody's place on the way."""
    own = "10.5.2.2", "fd00:5:2::2", "fd00:5:2::3"
    with open_bench() as bench:
        bench.machine.plug("wan0", 11, *own_addresses("10.5.1.2"))
        bench.machine.plug("wan1", 12, *own_addresses(own[0], "10.5.1.2", *own[1:]))
        bench.up(tell("wan0", "10.5.1.2"))
        silence(bench, "wan0")
        event = read_event({
            "IFACE": "wan1", "ADDRFAM": "inet,inet6", "METHOD": "dhcp", "IF_MPTCP_FLAGS": "subflow",
            "IF_MPTCP_GATEWAY": "10.5.2.1 fd00:5:2::1"})
        assert event is not None and bench.up(event) == []
        fill(bench)
        assert {*own} <= {*list_ours(bench)}
        monkeypatch.setattr(bench.machine, "answers", lambda path: path.address != own[2])
        with bench.open_store() as store:
            mute = [one.path for one in list_endpoints(store) if one.path.address == own[2]]
            assert carry_out(store, bench.machine, prepare_silence(
                store, bench.machine, mute)) == []
        for _ in range(2):
            assert bench.again() == [] and own[2] not in list_ours(bench)
        monkeypatch.undo()
        assert bench.again() == [] and own[2] in list_ours(bench)


def test_nobody_gives_anything_to_an_uplink_that_is_refused() -> None:
    with open_bench() as bench:
        events = plug_all(bench)
        bench.up(*events[:-2])
        before = bench.machine.snapshot()
        taken = tell("wan4", "10.5.5.2", IF_MPTCP_TABLE="20011")
        (problem,) = bench.up(taken)
        assert "table 20011 is in use by" in str(problem)
        assert bench.machine.snapshot() == before
        assert bench.again() == [] and bench.machine.snapshot() == before


@pytest.mark.parametrize("device", [
    Device(15, Link(True, True, False), ()),
    Device(15, Link(False, False, False), tuple(own_addresses("10.5.5.2"))), None])
def test_nobody_gives_anything_for_what_the_kernel_refuses(device: Device | None) -> None:
    """A hook may run while the address, the link or the device is not there."""
    with open_bench() as bench:
        events = plug_all(bench)
        # One that has no device looks like one of a device that is not there.
        bench.machine.endpoints = [one._replace(device=1) for one in bench.machine.endpoints]
        bench.up(*events[:-2])
        bench.machine.pull("wan4")
        if device:
            bench.machine.devices["wan4"] = device
        bench.machine.obstacle = lambda line: (
            "Device for nexthop is not up" if "route" in line and "dev wan4" in line else "")
        before = bench.machine.snapshot()
        assert bench.up(events[-2]) != [] and bench.machine.snapshot() == before


@pytest.mark.parametrize("free", [True, False])
def test_of_two_addresses_the_one_that_is_there_gets_the_place(free: bool) -> None:
    with open_bench() as bench:
        events = plug_all(bench)
        bench.up(*events[:LEFT - free])
        bench.machine.plug("wan4", 15, *own_addresses("10.5.5.3"))
        both = read_event({
            "IFACE": "wan4", "ADDRFAM": "inet", "METHOD": "static", "IF_MPTCP_FLAGS": "subflow",
            "IF_ADDRESSES": "10.5.5.2/24 10.5.5.3/24", "IF_GATEWAY": "10.5.5.1"})
        assert both is not None
        (problem,) = bench.up(both)
        assert "10.5.5.2" in str(problem)
        assert "10.5.5.3" in list_ours(bench) and len(list_ours(bench)) == LEFT


def test_a_place_that_a_silent_address_leaves_is_no_other_silent_ones() -> None:
    with open_bench() as bench:
        bench.machine.plug("eth1", 3, *own_addresses("10.1.2.2", "10.1.2.3", LOCAL),
                           gateways=("10.1.2.1", "fd00:2::1"))
        event = read_event({"IFACE": "eth1", "ADDRFAM": "inet,inet6", "METHOD": "dhcp",
                            "IF_MPTCP_FLAGS": "signal"})
        assert event is not None and bench.up(event) == []
        assert len(list_ours(bench)) == 3
        silence(bench, "eth1")
        # Two are left, for three.
        bench.machine.endpoints += [Endpoint(90 + number, f"10.8.8.{number}", 0, ("signal",))
                                    for number in range(5)]
        bench.all()
        assert not {"10.1.2.2", "10.1.2.3", LOCAL} & set(list_ours(bench))


def test_nobody_makes_room_for_what_is_silent() -> None:
    with open_bench() as bench:
        events = plug_all(bench)
        bench.up(*events[:4], *events[-2:-1])
        silence(bench, "wan4")
        bench.machine.endpoints += [Endpoint(90 + number, f"10.8.8.{number}", 0, ("signal",))
                                    for number in range(8 - len(bench.machine.endpoints))]
        before = bench.machine.snapshot()
        for _ in range(2):
            bench.all()
            assert bench.machine.snapshot() == before


def make_path(own: str, ifindex: int, primary: bool = True) -> Path:
    return Path("", f"eth{ifindex}", ifindex, 6 if ":" in own else 4, own, "", "", False, True,
                0, primary, True, ("subflow",))


@pytest.mark.parametrize("spare, others", [
    (make_path("2001:db8:1::2", 1), [make_path("10.1.1.2", 1)]),
    (make_path("10.1.1.3", 1, primary=False), [make_path("10.1.1.2", 1)]),
    (make_path("fd00:1::2", 1), [make_path("10.1.1.2", 1), make_path("2001:db8:2::2", 2),
                                 make_path("10.1.2.2", 2)]),
    (make_path("2001:db8:1::2", 1), [make_path("10.1.1.2", 1), make_path("10.1.1.3", 1),
                                     make_path("fd00:2::2", 2), make_path("10.1.2.2", 2)]),
    (None, [make_path("10.1.1.2", 1), make_path("10.1.2.2", 2)]),
])
def test_who_can_spare_an_endpoint_the_most(spare: Path | None, others: list[Path]) -> None:
    paths = [*others, *[spare] * (spare is not None)]
    endpoints = tuple(Endpoint(number, path.address, path.ifindex, path.flags)
                      for number, path in enumerate(paths, start=1) if path is not None)
    assert find_spare([path for path in paths if path is not None], endpoints, {}) == spare
