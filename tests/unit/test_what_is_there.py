# SPDX-License-Identifier: GPL-2.0-or-later
"""What is told and what is there differ: addresses and links that are away, tables that move."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from mptcp_hooks.base.address import InterfaceAddress
from mptcp_hooks.base.errors import Problem
from mptcp_hooks.base.model import LEAVING, Link, Route, Rule, Stanza
from mptcp_hooks.engine.bring_up import prepare_up
from mptcp_hooks.engine.carry_out import carry_out
from mptcp_hooks.engine.compare import order_records
from mptcp_hooks.engine.follow import prepare_all
from mptcp_hooks.intent.event import MANAGED, Event, announce, read_event
from mptcp_hooks.intent.settings import NO_CONFIGURATION, Configuration, Wishes
from mptcp_hooks.monitor.managed import prepare_managed
from tests.unit.engine import ADDRESSES, Bench, list_lines, open_bench, static

Records = dict[str, tuple[Stanza, ...]]
ETH1 = static("eth1", 4)
DOWN = Link(False, False, False)
EXCLUDED = Configuration((), (Wishes("eth1", excluded=True),), True)
MANAGING = Configuration((), (Wishes("eth1", managed=True),), True)
SECOND = InterfaceAddress(4, "10.1.2.3", 24, "", "")


def told(**environment: str) -> Event:
    event = read_event({"IFACE": "eth1"} | environment)
    assert event is not None
    return event


def manage(bench: Bench) -> list[Problem]:
    """What a round does with the devices that the configuration names."""
    with bench.open_store() as store:
        return carry_out(store, bench.machine, prepare_managed(
            store, bench.machine, bench.configuration, frozenset()))


def switch(bench: Bench, link: Link) -> None:
    device = bench.machine.devices["eth1"]
    bench.machine.devices["eth1"] = device._replace(link=link)


def list_paths(bench: Bench) -> list[tuple[str, int]]:
    """The addresses with a path on record, and their tables."""
    with bench.open_store() as store:
        return [(one.path.address, one.path.table) for iface in store.list_interfaces()
                for stanza in store.load(iface) for one in stanza.paths]


def load(bench: Bench) -> tuple[Stanza, ...]:
    with bench.open_store() as store:
        return store.load("eth1")


def test_an_address_that_another_stanza_states_is_not_found() -> None:
    """A LAN's, say, which has neither a gateway nor a path."""
    lan = told(ADDRFAM="inet", METHOD="static", IF_ADDRESS="10.1.2.2", IF_NETMASK="24")
    dhcp = told(ADDRFAM="inet", METHOD="dhcp")
    with open_bench() as bench:
        bench.machine.plug("eth1", 3, *ADDRESSES["eth1"], SECOND)
        assert bench.up(lan) == [] and list_paths(bench) == []
        bench.machine.plug("eth1", 3, *ADDRESSES["eth1"], SECOND, gateways=("10.1.2.1",))
        assert bench.up(dhcp) == []
        assert list_paths(bench) == [("10.1.2.3", 20003)]


def test_the_same_number_in_the_other_family_is_another_table() -> None:
    dual = told(ADDRFAM="inet,inet6", METHOD="dhcp")
    with open_bench() as bench:
        bench.configuration = Configuration((), (Wishes("eth1", table=101),), True)
        v4, v6 = ADDRESSES["eth1"]
        bench.machine.plug("eth1", 3, v6, gateways=("fd00:2::1",))
        assert bench.up(dual) == [] and list_paths(bench) == [("fd00:2::2", 101)]
        bench.machine.routes[4, 101] = [Route("192.0.2.0/24", "unreachable", "", 0, "", 0, 99)]
        bench.machine.plug("eth1", 3, v4, v6, gateways=("10.1.2.1", "fd00:2::1"))
        (problem,) = bench.again()
        assert "table 101 is in use by somebody else (route 192.0.2.0/24)" in str(problem)
        assert list_paths(bench) == [("fd00:2::2", 101)]


@pytest.mark.parametrize("family", [4, 6])
def test_an_address_that_two_stanzas_of_a_device_state_is_set_up_once(family: int) -> None:
    """Also when what the first one has in the kernel is lost, and both come back."""
    iface = "eth1:0"
    first, second = state_twice(family, iface)
    with open_bench() as bench:
        before = bench.machine.snapshot()
        assert bench.up(first) == []
        standing = bench.machine.snapshot()
        (problem,) = bench.up(second)
        assert "is the address of another stanza already, with table 20003" in str(problem)
        with bench.open_store() as store:
            store.save(iface, (Stanza(second.told, ()),))
        bench.machine.rules = [one for one in bench.machine.rules if one[1].protocol != 77]
        bench.machine.routes.clear()
        bench.all()
        assert bench.machine.snapshot().rules == standing.rules
        bench.down("eth1", iface)
        assert bench.machine.snapshot().rules == before.rules


@pytest.mark.parametrize("family", [4, 6])
def test_what_two_devices_have_is_the_first_ones_and_the_other_has_its_bound_sockets(
    family: int
) -> None:
    """As two modems of one make have one address; each is whole when the other is gone."""
    first, second = state_twice(family, "eth0")
    with open_bench() as bench:
        before = bench.machine.snapshot()
        bench.machine.pull("eth1")
        bench.machine.plug("eth0", 2, *ADDRESSES["eth1"])
        bench.up(second)
        whole = bench.machine.snapshot()
        bench.down("eth0")
        bench.machine.plug("eth1", 3, *ADDRESSES["eth1"])
        bench.up(first)
        endpoints = list(bench.machine.endpoints)
        assert bench.up(second) == []
        rules = [rule for known, rule in bench.machine.rules if known == family]
        assert {rule.table for rule in rules if rule.source} == {20003, 254}
        assert not [rule for rule in rules if rule.incoming]
        assert sorted((rule.preference, rule.table) for rule in rules if rule.device == "eth0") == [
            (19996, 254), (19997, 20002)]
        assert bench.machine.endpoints == endpoints
        both = bench.machine.snapshot()
        assert bench.all() == [] and bench.machine.ran == []
        bench.down("eth1")
        bench.machine.pull("eth1")
        assert bench.all() == [] and bench.machine.snapshot().rules == whole.rules
        bench.machine.plug("eth1", 3, *ADDRESSES["eth1"])
        assert bench.up(first) == []
        assert len(bench.machine.snapshot().rules) == len(both.rules)
        bench.down("eth0", "eth1")
        assert bench.machine.snapshot() == before


@pytest.mark.parametrize("act", [
    lambda bench, events: bench.all(),
    lambda bench, events: bench.again(),
    lambda bench, events: bench.name(*events),
    lambda bench, events: bench.all(edited=events[:1]),
], ids=["all", "again", "named", "edited"])
@pytest.mark.parametrize("gone", ["address", "gateway", "device"])
@pytest.mark.parametrize("family", [4, 6])
def test_what_the_first_of_two_devices_loses_is_the_other_ones_at_once(
    family: int, gone: str, act: Callable[[Bench, tuple[Event, ...]], list[Problem]]
) -> None:
    """Also where that one is renewed before it, and though nobody stated what was lost."""
    _, second = state_twice(family, "eth0")
    (own,) = (one for one in ADDRESSES["eth1"] if one.family == family)
    gateways = ("10.1.2.1", "fd00:2::1")
    first = told(ADDRFAM="inet,inet6", METHOD="dhcp")
    with open_bench() as bench:
        bench.machine.plug("eth0", 2, own)
        bench.machine.plug("eth1", 3, *ADDRESSES["eth1"], gateways=gateways)
        assert bench.up(first) == [] and bench.up(second) == []
        bound = bench.machine.snapshot().rules
        if gone == "address":
            bench.machine.take_address("eth1", own.address)
        elif gone == "gateway":
            bench.machine.plug("eth1", 3, *ADDRESSES["eth1"], gateways=tuple(
                one for one in gateways if (":" in one) != (family == 6)))
        else:
            bench.machine.pull("eth1")
            bench.machine.plug("eth1", 9, *(
                one for one in ADDRESSES["eth1"] if one != own), gateways=gateways)
        assert act(bench, (second, first)) == []
        after = bench.machine.snapshot()
        assert after.rules != bound and own.address in [one for one, _, _ in after.endpoints]
        # Nothing is left for another run to do, and it is as its hook makes it now.
        assert bench.all() == [] and bench.machine.ran == []
        bench.down("eth0")
        assert bench.up(second) == [] and bench.machine.snapshot() == after


def test_a_further_address_that_was_left_alone_has_its_path_at_once() -> None:
    """Where another device has it no more: it was in no plan before."""
    further = told(IFACE="eth0", ADDRFAM="inet", METHOD="static", IF_MPTCP_FLAGS="subflow",
                   IF_ADDRESSES="10.1.1.2/24 10.1.2.2/24", IF_GATEWAYS="10.1.1.1 10.1.2.1")
    with open_bench() as bench:
        bench.machine.plug("eth0", 2, *ADDRESSES["eth0"], *ADDRESSES["eth1"])
        bench.machine.plug("eth1", 3, *ADDRESSES["eth1"], gateways=("10.1.2.1",))
        assert bench.up(told(ADDRFAM="inet", METHOD="dhcp")) == [] and bench.up(further) == []
        assert list_paths(bench) == [("10.1.1.2", 20002), ("10.1.2.2", 20003)]
        bench.machine.take_address("eth1", "10.1.2.2")
        assert bench.all() == []
        assert list_paths(bench) == [("10.1.1.2", 20002), ("10.1.2.2", 10020002)]
        assert "10.1.2.2" in [one.address for one in bench.machine.endpoints]
        assert bench.all() == [] and bench.machine.ran == []


@pytest.mark.parametrize("gone", ["address", "gateway"])
@pytest.mark.parametrize("act", [Bench.all, Bench.again])
def test_a_table_that_goes_in_the_same_run_is_in_nobodys_way(
    act: Callable[[Bench], list[Problem]], gone: str
) -> None:
    """Whoever of the two is renewed first."""
    with open_bench() as bench:
        bench.machine.plug("eth1", 3, *ADDRESSES["eth1"], gateways=("10.1.2.1",))
        assert bench.up(told(ADDRFAM="inet", METHOD="dhcp", IF_MPTCP_TABLE="101")) == []
        assert bench.up(static("eth0", 4)) == []
        bench.configuration = Configuration((), (Wishes("eth0", table=101),), True)
        (problem,) = act(bench)
        assert "table 101 is in use by 10.1.2.2 of eth1" in str(problem)
        assert list_paths(bench) == [("10.1.1.2", 20002), ("10.1.2.2", 101)]
        if gone == "address":
            bench.machine.take_address("eth1", "10.1.2.2")
        else:
            bench.machine.plug("eth1", 3, *ADDRESSES["eth1"])
        assert act(bench) == []
        assert list_paths(bench) == [("10.1.1.2", 101)]
        assert bench.all() == [] and bench.machine.ran == []


@pytest.mark.parametrize("act", [
    lambda bench, events: bench.all(),
    lambda bench, events: bench.again(),
    lambda bench, events: bench.name(*events),
], ids=["all", "again", "named"])
@pytest.mark.parametrize("ended", [False, True])
@pytest.mark.parametrize("iface", ["eth0", "eth1", "eth1:0"])
@pytest.mark.parametrize("theirs", ["route", "rule"])
@pytest.mark.parametrize("family", [4, 6])
def test_a_table_that_others_use_too_is_refused_to_who_comes_after_the_path_that_had_it(
    family: int, theirs: str, iface: str, ended: bool,
    act: Callable[[Bench, list[Event]], list[Problem]],
) -> None:
    """Whether that one goes in the same work, or went with its hook before."""
    first = static(iface, family, mptcp_table="101")
    last = told(IFACE="eth1:1", ADDRFAM="inet" if family == 4 else "inet6", METHOD="static",
                IF_ADDRESS="10.1.3.2/24" if family == 4 else "fd00:3::2/64",
                IF_GATEWAY="10.1.3.1" if family == 4 else "fd00:3::1")
    with open_bench() as bench:
        bench.machine.plug("eth1", 3, *last.addresses, *first.addresses * (iface != "eth0"))
        assert bench.up(first) == [] and bench.up(last) == []
        (table,) = {table for _, table in list_paths(bench)} - {101}
        if theirs == "route":
            said = "route 192.0.2.0/24"
            bench.machine.routes[family, 101].append(
                Route("192.0.2.0/24", "unreachable", "", 0, "", 0, 99))
        else:
            said = "rule 500: from all lookup 101"
            bench.machine.rules.append((family, Rule(500, "", "", "", 101, None, 99)))
        bench.configuration = Configuration((), (Wishes("eth1", table=101),), True)
        # What stands lives with that.
        assert bench.again(iface) == []
        bench.machine.take_address(first.device, first.addresses[0].address)
        if ended:
            bench.down(iface)
        events = [last] if ended else [first, last]
        (problem,) = _list_refusals(act(bench, events))
        assert f"table 101 is in use by somebody else ({said})" in problem
        assert list_paths(bench) == [(last.addresses[0].address, table)]
        bench.machine.routes[family, 101] = []
        bench.machine.rules = [one for one in bench.machine.rules if one[1].protocol != 99]
        assert _list_refusals(act(bench, events)) == []
        assert list_paths(bench) == [(last.addresses[0].address, 101)]


def _list_refusals(problems: list[Problem]) -> list[str]:
    """What was refused: that an address is away is said to whoever names its interface."""
    return [str(one) for one in problems if "has none of the addresses" not in str(one)]


def test_a_path_keeps_a_table_that_others_use_too_when_its_device_is_renamed() -> None:
    with open_bench() as bench:
        assert bench.up(ETH1) == []
        bench.machine.routes[4, 20003].append(
            Route("192.0.2.0/24", "unreachable", "", 0, "", 0, 99))
        bench.machine.devices["lan1"] = bench.machine.devices.pop("eth1")
        assert bench.up(told(IFACE="lan1", ADDRFAM="inet", METHOD="static",
                             IF_ADDRESS="10.1.2.2/24", IF_GATEWAY="10.1.2.1")) == []
        with bench.open_store() as store:
            assert [one.path.table for stanza in store.load("lan1") for one in stanza.paths] == [
                20003]


@pytest.mark.parametrize("event", [
    ETH1, static("eth1", 6), static("eth1", 4, mptcp_announce="203.0.113.9")])
@pytest.mark.parametrize("there", [True, False])
@pytest.mark.parametrize("refused", ["", "replace default", "endpoint add"])
def test_a_name_that_is_another_devices_before_the_lines_run_leaks_nothing(
    event: Event, there: bool, refused: str
) -> None:
    """As names are exchanged, or a stick comes back, while a hook or a round is at work."""
    with open_bench() as bench:
        device = bench.machine.devices["eth1"]
        if not there:
            del bench.machine.devices["eth1"]
        with bench.open_store() as store:
            work = prepare_up(store, bench.machine, [event], NO_CONFIGURATION)
            bench.machine.devices["eth1"] = device._replace(ifindex=9)
            bench.machine.obstacle = lambda line: "Error" * bool(refused and refused in line)
            assert bool(carry_out(store, bench.machine, work)) == bool(refused)
        bench.machine.obstacle = lambda line: ""
        assert bench.again() == [] == bench.up(event)
        assert list_paths(bench) == [(event.addresses[0].address, 20009)]
        assert bench.again() == [] and bench.machine.ran == []
        assert bench.down("eth1") == []
        assert bench.machine.snapshot() == bench.before


@pytest.mark.parametrize("later", [False, True])
@pytest.mark.parametrize("held", [False, True])
def test_a_table_is_not_in_use_for_an_address_that_is_left_alone(later: bool, held: bool) -> None:
    """Since another device has it: the stanza's other family has its path, and keeps it."""
    _, elsewhere = state_twice(4, "eth0")
    dual = told(ADDRFAM="inet,inet6", METHOD="static", IF_ADDRESSES="10.1.2.2/24 fd00:2::2/64",
                IF_MPTCP_FLAGS="subflow", IF_MPTCP_TABLE="101")
    beside, first = (told(ADDRFAM="inet", METHOD="static", IF_ADDRESS=f"{own}/24",
                          IF_GATEWAY="10.1.2.1", IF_MPTCP_TABLE=table)
                     for own, table in (("10.1.2.3", "101"), ("10.1.2.4", "")))
    with open_bench() as bench:
        bench.machine.plug("eth1", 3, *ADDRESSES["eth1"], SECOND,
                           SECOND._replace(address="10.1.2.4"))
        if held:
            bench.machine.plug("eth0", 2, *ADDRESSES["eth1"])
            assert bench.up(elsewhere) == []
        assert bench.up(first) == []
        problems = [*bench.up(dual), *bench.up(beside)] if later else [
            *bench.up(beside), *bench.up(dual)]
        assert [str(one).partition(":")[0] for one in problems] == ["eth1"] * (not held)
        if held:
            assert ("fd00:2::2", 101) in list_paths(bench)
            bench.machine.rules = [one for one in bench.machine.rules if one[0] == 4]
            assert bench.all() == []
            assert 101 in {rule.table for known, rule in bench.machine.rules if known == 6}


def state_twice(family: int, iface: str) -> tuple[Event, Event]:
    """Stanzas of eth1 and of another interface that state the same address."""
    own, gateway = ("10.1.2.2/24", "10.1.2.1") if family == 4 else ("fd00:2::2/64", "fd00:2::1")
    first, second = (told(IFACE=name, ADDRFAM="inet6" if family == 6 else "inet", METHOD="static",
                          IF_ADDRESS=own, IF_GATEWAY=gateway) for name in ("eth1", iface))
    return first, second


@pytest.mark.parametrize("family", [4, 6])
@pytest.mark.parametrize("iface", ["eth1", "eth1:0"])
def test_an_address_that_is_stated_after_it_was_found_becomes_its_stanzas(
    iface: str, family: int
) -> None:
    """As the monitor finds it while ifupdown checks for a duplicate, before its hooks."""
    (own,) = (one for one in ADDRESSES["eth1"] if one.family == family)
    gateway = f"{own.address[:-1]}1"
    word = "inet6" if family == 6 else "inet"
    found = told(ADDRFAM=word, METHOD="dhcp")
    states = told(ADDRFAM=word, METHOD="static", IF_ADDRESS=own.address,
                  IF_NETMASK=str(own.length), IF_GATEWAY=gateway, IFACE=iface)
    with open_bench() as bench:
        before = bench.machine.snapshot()
        bench.machine.plug("eth1", 3, *ADDRESSES["eth1"], gateways=(gateway,))
        assert bench.up(found) == [] and list_paths(bench) == [(own.address, 20003)]
        standing = bench.machine.snapshot()
        assert bench.up(states) == []
        # Not a line of it goes meanwhile.
        assert bench.machine.ran == [] and bench.machine.snapshot() == standing
        assert list_paths(bench) == [(own.address, 20003)]
        assert bench.again() == [] and bench.machine.snapshot() == standing
        bench.down(iface)
        assert bench.machine.snapshot() == before


@pytest.mark.parametrize("link, words", [
    (Link(True, True, False), "eth1: has none of the addresses stated: its paths come once"),
    (DOWN, "eth1: is down: its paths come once"),
])
def test_mptcp_up_of_what_is_gone_says_so_and_forgets_nothing(link: Link, words: str) -> None:
    with open_bench() as bench:
        before = bench.machine.snapshot()
        bench.up(ETH1)
        standing = bench.machine.snapshot()
        bench.machine.take_address("eth1", "10.1.2.2")
        switch(bench, link)
        (problem,) = bench.name(ETH1)
        assert str(problem).startswith(words)
        assert bench.machine.snapshot() == before and bench.list_recorded() == ["eth1"]
        bench.machine.plug("eth1", 3, *ADDRESSES["eth1"])
        assert bench.name(ETH1) == [] and bench.machine.snapshot() == standing


def test_mptcp_up_of_an_edited_stanza_that_is_gone_is_wanted_again() -> None:
    with open_bench() as bench:
        bench.up(ETH1)
        bench.dismiss("eth1")
        bench.machine.take_address("eth1", "10.1.2.2")
        (problem,) = bench.name(static("eth1", 4, mptcp_flags="subflow backup"))
        assert "has none of the addresses" in str(problem)
        assert [(stanza.state, stanza.paths) for stanza in load(bench)] == [("", ())]


def test_mptcp_up_of_a_device_that_is_gone_names_it() -> None:
    with open_bench() as bench:
        bench.up(ETH1)
        bench.machine.pull("eth1")
        (problem,) = bench.name(ETH1)
        assert str(problem).startswith("eth1: there is no device eth1: its paths come once")


@pytest.mark.parametrize("act", [lambda bench: bench.name(ETH1), Bench.all])
def test_what_a_person_wants_again_comes_back_by_itself_once_it_can(
    act: Callable[[Bench], object]
) -> None:
    with open_bench() as bench:
        bench.up(ETH1)
        standing = bench.machine.snapshot()
        bench.dismiss("eth1")
        switch(bench, DOWN)
        assert [stanza.state for stanza in load(bench)] == [LEAVING]
        act(bench)
        assert [stanza.state for stanza in load(bench)] == [""]
        bench.machine.plug("eth1", 3, *ADDRESSES["eth1"])
        assert bench.again() == [] and bench.machine.snapshot() == standing


def test_all_wants_what_an_ifdown_that_was_cut_off_left() -> None:
    with open_bench() as bench:
        bench.up(ETH1)
        standing = bench.machine.snapshot()
        bench.farewell("eth1")
        bench.machine.take_address("eth1", "10.1.2.2")
        assert bench.all() == []
        assert [(stanza.state, stanza.paths) for stanza in load(bench)] == [("", ())]
        bench.machine.plug("eth1", 3, *ADDRESSES["eth1"])
        assert bench.again() == [] and bench.machine.snapshot() == standing


@pytest.mark.parametrize("saved", [0, 1, 2])
def test_a_kill_while_a_path_moves_to_another_interface_leaks_nothing(saved: int) -> None:
    """The records of both change, one after the other."""
    found = told(ADDRFAM="inet", METHOD="dhcp")
    alias = static("eth1:0", 4)
    with open_bench() as bench:
        before = bench.machine.snapshot()
        bench.machine.plug("eth1", 3, *ADDRESSES["eth1"], gateways=("10.1.2.1",))
        assert bench.up(found) == []
        standing = bench.machine.snapshot()
        with bench.open_store() as store:
            work = prepare_up(store, bench.machine, [alias], bench.configuration)
            for iface, stanzas in work.pending[:saved]:
                store.save(iface, stanzas)
        for again in (bench.again, bench.again):
            again()
            assert bench.machine.snapshot() == standing and bench.machine.ran == []
        bench.down("eth1:0")
        bench.down("eth1")
        assert bench.machine.snapshot() == before


def test_what_takes_a_path_is_noted_before_what_gives_it_up() -> None:
    with open_bench() as bench:
        bench.up(ETH1)
        (stanza,) = load(bench)
    empty = stanza._replace(paths=())
    before: Records = {"eth1": (stanza,), "eth1:0": (empty,), "eth2": (empty,)}
    after: Records = {"eth1": (empty,), "eth1:0": (stanza,), "eth2": (empty,)}
    assert list(order_records(before, after, ()).items()) == [
        ("eth1:0", (stanza,)), ("eth1", (empty,))]


def test_networkmanagers_address_with_another_label_is_there() -> None:
    event = told(METHOD="NetworkManager", ADDRFAM="inet", IP4_ADDRESS_0="10.1.2.2/24 10.1.2.1",
                 IP4_NUM_ADDRESSES="1", IP4_GATEWAY="10.1.2.1")
    with open_bench() as bench:
        assert bench.up(event) == []
        standing = bench.machine.snapshot()
        v4, v6 = ADDRESSES["eth1"]
        bench.machine.plug("eth1", 3, v6)
        bench.machine.plug("eth1:0", 4, v4)
        assert bench.again() == [] and bench.machine.snapshot() == standing


def test_mptcp_up_sets_up_the_addresses_that_are_there_and_keeps_the_others_in_mind() -> None:
    both = told(ADDRFAM="inet", METHOD="static", IF_ADDRESSES="10.1.2.2/24 10.1.2.3/24",
                IF_GATEWAYS="10.1.2.1")
    with open_bench() as bench:
        bench.machine.plug("eth1", 3, *ADDRESSES["eth1"], SECOND)
        assert bench.up(both) == []
        bench.machine.take_address("eth1", "10.1.2.2")
        assert bench.name(both) == []
        assert [own for own, _ in list_paths(bench)] == ["10.1.2.3"]
        bench.machine.plug("eth1", 3, *ADDRESSES["eth1"], SECOND)
        assert bench.again() == []
        assert sorted(own for own, _ in list_paths(bench)) == ["10.1.2.2", "10.1.2.3"]


def test_mptcp_up_keeps_what_the_configuration_excludes_in_mind() -> None:
    with open_bench() as bench:
        bench.up(ETH1)
        standing = bench.machine.snapshot()
        bench.configuration = EXCLUDED
        assert bench.name(ETH1) == [] and list_paths(bench) == []
        bench.configuration = NO_CONFIGURATION
        assert bench.again() == [] and bench.machine.snapshot() == standing


@pytest.mark.parametrize("act", [lambda bench: bench.name(ETH1), Bench.all, Bench.again])
def test_what_is_excluded_goes_while_its_link_is_down(
    act: Callable[[Bench], list[Problem]]
) -> None:
    with open_bench() as bench:
        before = bench.machine.snapshot()
        bench.up(ETH1)
        switch(bench, DOWN)
        bench.configuration = EXCLUDED
        assert act(bench) == [] and bench.machine.snapshot() == before


@pytest.mark.parametrize("table", ["20003", "10020003"])
def test_a_table_that_another_path_moves_out_of_keeps_its_routes(table: str) -> None:
    """Two addresses of a stanza, of which the first gets the table of the second or its own."""
    stanza = {"ADDRFAM": "inet", "METHOD": "static", "IF_ADDRESSES": "10.1.2.2/24 10.1.2.3/24",
              "IF_GATEWAYS": "10.1.2.1"}
    with open_bench() as bench:
        bench.machine.plug("eth1", 3, *ADDRESSES["eth1"], SECOND)
        assert bench.up(told(**stanza, IF_MPTCP_TABLE="77")) == []
        moved = told(**stanza, IF_MPTCP_TABLE=table)
        assert bench.up(moved) == []
        standing = bench.machine.snapshot()
        bench.down("eth1")
        assert bench.machine.snapshot() != standing
        assert bench.up(moved) == []
        # As it would have come without anything before it.
        assert bench.machine.snapshot().rules == standing.rules
        assert set(bench.machine.snapshot().routes) <= set(standing.routes)


def test_the_first_address_gives_its_place_to_another_and_the_rules_stand() -> None:
    """Rules of the sockets bound to the device are the same text for both."""
    order = {"ADDRFAM": "inet", "METHOD": "static", "IF_GATEWAYS": "10.1.2.1"}
    with open_bench() as bench:
        bench.machine.plug("eth1", 3, *ADDRESSES["eth1"], SECOND)
        for addresses in ("10.1.2.2/24 10.1.2.3/24", "10.1.2.3/24 10.1.2.2/24"):
            assert bench.up(told(**order, IF_ADDRESSES=addresses, IF_MPTCP_TABLE="77")) == []
            bound = {(rule.preference, rule.table) for family, rule in bench.machine.rules
                     if rule.device == "eth1"}
            assert bound == {(20005, 254), (20006, 77)}
            kinds = [(route.destination, route.kind) for route in bench.machine.routes[4, 77]]
            assert sorted(kinds) == [("10.1.2.0/24", "unicast"), ("default", "unicast"),
                                     ("default", "unreachable")]


def test_another_stanza_is_first_at_once_where_the_first_one_lost_its_gateway() -> None:
    """It was that of main's default route; and the record of an alias comes after the device's."""
    first = told(IFACE="eth1:1", ADDRFAM="inet", METHOD="static", IF_ADDRESS="10.1.2.2/24")
    heir = told(ADDRFAM="inet", METHOD="static", IF_ADDRESS="10.1.2.3/24", IF_GATEWAY="10.1.2.1",
                IF_MPTCP_TABEL="7")
    with open_bench() as bench:
        bench.machine.plug("eth1", 3, *ADDRESSES["eth1"], SECOND)
        plain = bench.machine.devices["eth1"]
        bench.up(heir)
        alone = bench.machine.snapshot()
        bench.down("eth1")
        bench.machine.devices["eth1"] = plain._replace(gateways=("10.1.2.1",))
        assert bench.up(first) == bench.up(heir) == []
        assert list_devices_endpoints(bench) == ["10.1.2.2"]
        bench.machine.devices["eth1"] = plain
        with bench.open_store() as store:
            work = prepare_all(store, bench.machine, (), bench.configuration)
            assert sum("mptcp-tabel" in text for text in work.warnings) == 1
        assert bench.all() == []
        left = bench.machine.snapshot()
        assert list_devices_endpoints(bench) == ["10.1.2.3"]
        assert len(left.rules) == len(alone.rules)
        assert bench.all() == [] and bench.machine.snapshot() == left


@pytest.mark.parametrize("act", ["named", "edited"])
@pytest.mark.parametrize("lost", ["address", "gateway"])
def test_mptcp_up_makes_another_stanza_the_first_of_a_device(lost: str, act: str) -> None:
    """Also where that was taken away, and comes before the one that has lost what it had."""
    heir = told(ADDRFAM="inet", METHOD="static", IF_ADDRESS="10.1.2.3/24", IF_GATEWAY="10.1.2.1")
    first = told(ADDRFAM="inet", METHOD="static", IF_ADDRESS="10.1.2.2/24")
    with open_bench() as bench:
        bench.machine.plug("eth1", 3, *ADDRESSES["eth1"], SECOND)
        plain = bench.machine.devices["eth1"]
        bench.up(heir)
        alone = bench.machine.snapshot()
        bench.dismiss("eth1")
        bench.machine.devices["eth1"] = plain._replace(gateways=("10.1.2.1",))
        assert bench.up(first) == [] and list_devices_endpoints(bench) == ["10.1.2.2"]
        bench.machine.devices["eth1"] = plain
        if lost == "address":
            bench.machine.take_address("eth1", "10.1.2.2")
        else:
            assert bench.up(heir) == [] and list_devices_endpoints(bench) == ["10.1.2.2"]
        problems = (bench.name(heir, first) if act == "named"
                    else bench.all(edited=(heir, first)))
        assert list_devices_endpoints(bench) == ["10.1.2.3"]
        assert len(bench.machine.snapshot().rules) == len(alone.rules)
        assert ["has none of the addresses stated" in str(one) for one in problems] == (
            [True] * (lost == "address"))


@pytest.mark.parametrize("act", ["all", "again", "named", "edited"])
def test_a_stanza_that_changes_itself_is_first_at_once_where_the_first_one_goes(act: str) -> None:
    """Without the section's flags one has no path, and the other no endpoint but as the first."""
    first = told(IFACE="eth1:1", ADDRFAM="inet", METHOD="static", IF_ADDRESS="10.1.2.2/24")
    heir = told(ADDRFAM="inet", METHOD="static", IF_ADDRESS="10.1.2.3/24", IF_GATEWAY="10.1.2.1")
    acts: dict[str, Callable[[Bench], list[Problem]]] = {
        "all": Bench.all,
        "again": Bench.again,
        "named": lambda bench: bench.name(heir, first),
        "edited": lambda bench: bench.all(edited=(heir, first)),
    }
    with open_bench() as bench:
        bench.machine.plug("eth1", 3, *ADDRESSES["eth1"], SECOND)
        bench.up(heir)
        alone = bench.machine.snapshot()
        bench.down("eth1")
        bench.configuration = Configuration((), (Wishes("eth1", flags=("signal",)),), True)
        assert bench.up(first) == bench.up(heir) == []
        assert list_devices_endpoints(bench) == ["10.1.2.2", "10.1.2.3"]
        bench.configuration = NO_CONFIGURATION
        assert acts[act](bench) == []
        left = bench.machine.snapshot()
        assert list_devices_endpoints(bench) == ["10.1.2.3"]
        assert len(left.rules) == len(alone.rules)
        assert acts[act](bench) == [] and bench.machine.snapshot() == left


def test_who_is_left_is_first_at_once_where_the_first_one_was_edited() -> None:
    """And has another name: eth1:1 loses its gateway, and with it its path."""
    first, heir = (told(IFACE=iface, ADDRFAM="inet", METHOD="static", IF_ADDRESS=f"{own}/24",
                        IF_GATEWAY="10.1.2.1")
                   for iface, own in (("eth1:1", "10.1.2.2"), ("eth1", "10.1.2.3")))
    edited = told(IFACE="eth1:1", ADDRFAM="inet", METHOD="static", IF_ADDRESS="10.1.2.2/24")
    with open_bench() as bench:
        bench.machine.plug("eth1", 3, *ADDRESSES["eth1"], SECOND)
        bench.up(heir)
        alone = bench.machine.snapshot()
        bench.down("eth1")
        assert bench.up(first) == bench.up(heir) == []
        assert list_devices_endpoints(bench) == ["10.1.2.2"]
        assert bench.all(edited=(edited,)) == []
        assert list_devices_endpoints(bench) == ["10.1.2.3"]
        assert len(bench.machine.snapshot().rules) == len(alone.rules)


def list_devices_endpoints(bench: Bench) -> list[str]:
    return [one.address for one in bench.machine.endpoints if one.device == 3]


@pytest.mark.parametrize("family", [4, 6])
def test_mptcp_up_of_two_stanzas_forgets_neither(family: int) -> None:
    """One without addresses does not take the place of one whose addresses are away."""
    static_one = static("eth1", family)
    dynamic = told(ADDRFAM="inet,inet6", METHOD="dhcp")
    with open_bench() as bench:
        assert bench.up(dynamic) == bench.up(static_one) == []
        standing = bench.machine.snapshot()
        for act in (Bench.name, Bench.up):
            bench.machine.take_address("eth1", static_one.addresses[0].address)
            act(bench, dynamic, static_one)
            bench.machine.plug("eth1", 3, *ADDRESSES["eth1"])
            bench.all()
            assert bench.machine.snapshot() == standing


def test_a_table_that_another_interface_moves_out_of_is_free() -> None:
    eth0 = static("eth0", 4)
    with open_bench() as bench:
        before = bench.machine.snapshot()
        bench.configuration = Configuration((), (Wishes("eth0", table=101),), True)
        assert bench.up(eth0, ETH1) == []
        assert list_paths(bench) == [("10.1.1.2", 101), ("10.1.2.2", 20003)]
        bench.configuration = Configuration((), (Wishes("eth1", table=101),), True)
        assert bench.all() == []
        assert list_paths(bench) == [("10.1.1.2", 20002), ("10.1.2.2", 101)]
        assert sorted((route.destination, route.gateway) for route in
                      bench.machine.routes[4, 101]) == [
            ("10.1.2.0/24", ""), ("default", ""), ("default", "10.1.2.1")]
        bench.down("eth0", "eth1")
        assert bench.machine.snapshot() == before


def test_the_place_of_what_is_excluded_is_taken_in_the_same_work() -> None:
    first = told(IFACE="eth1:0", ADDRFAM="inet", METHOD="static", IF_ADDRESS="10.1.2.3",
                 IF_NETMASK="24", IF_GATEWAY="10.1.2.1")
    second = static("eth1", 4, mptcp="on")
    with open_bench() as bench:
        bench.machine.plug("eth1", 3, *ADDRESSES["eth1"], SECOND)
        for event, own in ((first, "10.1.2.3"), (second, "10.1.2.3")):
            assert bench.up(event) == []
            assert [one.address for one in bench.machine.endpoints if one.device == 3] == [own]
        bench.configuration = EXCLUDED
        assert bench.all() == []
        assert [one.address for one in bench.machine.endpoints if one.device == 3] == ["10.1.2.2"]


def test_what_is_wrong_with_a_stanza_on_record_is_told_once() -> None:
    with open_bench() as bench:
        bench.up(ETH1)
        with bench.open_store() as store:
            (stanza,) = store.load("eth1")
            spoiled = tuple(sorted((*stanza.told, "IF_MPTCP_TABLE=main")))
            store.save("eth1", (stanza._replace(told=spoiled),))
        assert ["mptcp-table" in str(problem) for problem in bench.all()] == [True]


@pytest.mark.parametrize("gateway", ["", "fd00:2::1"])
def test_a_stanza_that_lost_a_family_takes_no_other_address_of_it(gateway: str) -> None:
    both = told(ADDRFAM="inet,inet6", METHOD="static",
                IF_ADDRESSES="10.1.2.2/24 fd00:2::2/64", IF_GATEWAYS="10.1.2.1 fd00:2::1",
                **{"IF_MPTCP_GATEWAY": gateway} if gateway else {})
    other = InterfaceAddress(6, "fd00:2::3", 64, "", "")
    with open_bench() as bench:
        assert bench.up(both) == []
        bench.machine.plug("eth1", 3, ADDRESSES["eth1"][0], other, gateways=("fd00:2::1",))
        assert bench.again() == []
        assert [own for own, _ in list_paths(bench)] == ["10.1.2.2"]


def test_an_address_with_an_aliass_label_is_there() -> None:
    with open_bench() as bench:
        assert bench.up(ETH1) == []
        standing = bench.machine.snapshot()
        v4, v6 = ADDRESSES["eth1"]
        bench.machine.plug("eth1", 3, v6)
        bench.machine.plug("eth1:0", 3, v4)
        assert bench.again() == [] and bench.machine.snapshot() == standing


def test_an_alias_that_is_leaving_keeps_its_routing_until_its_address_goes() -> None:
    alias = static("eth1:0", 4)
    with open_bench() as bench:
        v4, v6 = ADDRESSES["eth1"]
        assert bench.up(alias) == []
        bench.machine.plug("eth1", 3, v6)
        bench.machine.plug("eth1:0", 4, v4)
        bench.farewell("eth1:0")
        standing = bench.machine.snapshot()
        assert bench.again() == [] and bench.machine.snapshot() == standing
        del bench.machine.devices["eth1:0"]
        assert bench.again() == [] and list_paths(bench) == []


def test_a_family_of_a_managed_device_that_is_refused_does_not_cost_the_other() -> None:
    with open_bench(MANAGING) as bench:
        bench.machine.plug("eth1", 3, *ADDRESSES["eth1"], gateways=("10.1.2.1", "fd00:2::1"))
        theirs = 4, Rule(5000, "10.7.7.7/32", "", "", 20003, None, 0)
        bench.machine.rules.append(theirs)
        (problem,) = manage(bench)
        assert "table 20003 is in use by somebody else (rule 5000" in str(problem)
        assert list_paths(bench) == [("fd00:2::2", 20003)]
        bench.machine.rules.remove(theirs)
        assert manage(bench) == [] and len(list_paths(bench)) == 2


def test_what_a_manager_told_outlives_its_address_on_a_managed_device() -> None:
    with open_bench(MANAGING) as bench:
        bench.up(ETH1)
        bench.machine.plug("eth1", 3, *ADDRESSES["eth1"][1:], gateways=("10.1.2.1", "fd00:2::1"))
        assert bench.again() == manage(bench) == []
        assert [stanza.told for stanza in load(bench)] == [
            ETH1.told, announce("eth1", 6, MANAGED).told]
        assert list_paths(bench) == [("fd00:2::2", 20003)]


def test_a_managed_device_whose_link_is_down_waits_on_record() -> None:
    with open_bench(MANAGING) as bench:
        bench.machine.plug("eth1", 3, *ADDRESSES["eth1"], gateways=("10.1.2.1", "fd00:2::1"))
        switch(bench, DOWN)
        before = bench.machine.snapshot()
        assert manage(bench) == [] and bench.machine.snapshot() == before
        assert [stanza.told for stanza in load(bench)] == [
            announce("eth1", family, MANAGED).told for family in (4, 6)]
        switch(bench, Link(True, True, False))
        assert bench.again() == [] and len(list_paths(bench)) == 2
        # A person's word counts for it as for any other.
        bench.down("eth1")
        switch(bench, DOWN)
        manage(bench)
        bench.dismiss("eth1")
        switch(bench, Link(True, True, False))
        assert manage(bench) == bench.again() == [] and list_paths(bench) == []


def test_the_routing_of_an_address_that_went_gets_no_endpoint() -> None:
    """The kernel leaves its routes where they are, and would have endpoints of any address."""
    with open_bench() as bench:
        bench.up(ETH1)
        bench.farewell("eth1")
        bench.machine.plug("eth1", 3, ADDRESSES["eth1"][1])
        with bench.open_store() as store:
            work = prepare_up(store, bench.machine, [ETH1], bench.configuration)
        assert not any("endpoint add" in line for line in work.list_lines())
        assert work.warnings == (
            "eth1: no endpoint for 10.1.2.2, which eth1 does not have: routing only",)
        bench.machine.plug("eth1", 3, *ADDRESSES["eth1"])
        assert "ip mptcp endpoint add 10.1.2.2 dev eth1 subflow" in list_lines(bench, [ETH1])


@pytest.mark.parametrize("flags", [("subflow",), ("signal",), ("subflow", "backup")])
def test_an_endpoint_of_an_address_that_went_has_other_flags_once_it_is_back(
    flags: tuple[str, ...]
) -> None:
    """The kernel would make it anew; where flags change the routing, it refuses that."""
    with open_bench() as bench:
        bench.up(ETH1)
        bench.machine.plug("eth1", 3, SECOND)
        before = bench.machine.snapshot()
        bench.configuration = NO_CONFIGURATION._replace(flags=flags)
        assert bench.up(ETH1) == [] and bench.machine.snapshot() == before
        bench.machine.plug("eth1", 3, *ADDRESSES["eth1"])
        assert bench.up(ETH1) == []
        assert ("10.1.2.2", 3, flags) in bench.machine.snapshot().endpoints


def test_a_dry_run_tells_why_there_is_no_endpoint_of_an_address_that_is_to_come() -> None:
    """On a link that is up, where the kernel would refuse it."""
    with open_bench() as bench:
        bench.machine.plug("eth1", 3, ADDRESSES["eth1"][1])
        with bench.open_store() as store:
            work = prepare_up(store, bench.machine, [ETH1], bench.configuration)
        assert not any("endpoint add" in line for line in work.list_lines())
        assert "eth1: 10.1.2.2: no endpoint before eth1 has it" in work.remarks


def test_an_endpoint_that_stands_outlives_its_address_where_a_hook_says_so() -> None:
    """Running up twice changes nothing: it is the monitor that sees addresses go."""
    with open_bench() as bench:
        bench.up(ETH1)
        bench.machine.plug("eth1", 3, ADDRESSES["eth1"][1])
        assert list_lines(bench, [ETH1]) == []
