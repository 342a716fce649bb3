# SPDX-License-Identifier: GPL-2.0-or-later
"""Promises 2, 3 and 4, and 1 after a kill, on a machine in memory.

The lab shows them on real kernels; here every line of every work can fail or be the last.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from unittest import mock

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mptcp_hooks.base.address import InterfaceAddress, network
from mptcp_hooks.base.errors import Problem
from mptcp_hooks.base.model import Endpoint, Installed, Lease, Limits, Path, Route, Rule
from mptcp_hooks.base.numbering import FORMER_PREFERENCES, PREFERENCES
from mptcp_hooks.engine import commands, plan
from mptcp_hooks.engine.announced import prepare_lease
from mptcp_hooks.engine.carry_out import carry_out
from mptcp_hooks.engine.compare import compare_path
from mptcp_hooks.engine.follow import prepare_adoption
from mptcp_hooks.engine.name_record import load_resolvers
from mptcp_hooks.intent.event import Event, read_event
from mptcp_hooks.intent.settings import NO_CONFIGURATION, Configuration, Wishes
from tests.unit.engine import ADDRESSES, Bench, list_lines, names, open_bench, static
from tests.unit.memory import FAILED, INCOMPLETE, REACHABLE, Killed, fail_at, kill_at

ETH0, ETH1 = static("eth0", 4), static("eth1", 4)
ETH0_6, ETH1_6 = static("eth0", 6), static("eth1", 6)
STANZAS = (ETH0, ETH0_6, ETH1, ETH1_6, static("eth1", 4, mptcp_flags="subflow backup"),
           static("eth1", 4, mptcp_table="77"), static("eth1", 6, mptcp_flags="subflow fullmesh"),
           static("eth0", 4, gateway="10.9.0.1"),
           static("eth0", 4, mptcp_mark="0x1/0xff", mptcp_sources="198.51.100.0/24"),
           static("eth1", 4, mptcp_announce="203.0.113.9 203.0.113.10"),
           static("eth1", 6, mptcp_flags="signal", mptcp_announce="3fff::9", mptcp_mark="2/0xff"))
# A family of an interface is told of once.
some_stanzas = st.lists(st.sampled_from(STANZAS), min_size=1, max_size=4,
                        unique_by=lambda event: (event.iface, event.families))
DHCP = {"IFACE": "eth1", "ADDRFAM": "inet", "METHOD": "dhcp"}
BOUND = {"interface": "eth1", "reason": "BOUND", "new_ip_address": "10.1.2.2",
         "new_routers": "10.1.2.9"}


def dhcp() -> Event:
    event = read_event(DHCP)
    assert event is not None
    return event


@contextmanager
def another_version() -> Iterator[None]:
    """What is made meanwhile has the rules of 0.1.0."""
    former = {**PREFERENCES, **FORMER_PREFERENCES}
    with mock.patch.object(commands, "SUPPRESSED_LENGTHS", {4: 0, 6: 0}), \
            mock.patch.object(commands, "number_rules", lambda _: former), \
            mock.patch.object(plan, "_may_be_wide", lambda *_: False):
        yield


@given(some_stanzas)
def test_down_removes_exactly_what_up_made(events: list[Event]) -> None:
    with open_bench() as bench:
        before = bench.machine.snapshot()
        assert bench.up(*events) == []
        assert bench.machine.snapshot() != before
        assert bench.down(*names(events)) == []
        assert bench.machine.snapshot() == before
        assert bench.list_recorded() == []


@given(some_stanzas, st.data())
def test_down_removes_it_whatever_was_lost_before(events: list[Event], data: st.DataObject) -> None:
    with open_bench() as bench:
        before = bench.machine.snapshot()
        bench.up(*events)
        lose_one(bench, data)
        assert bench.down(*names(events)) == []
        assert bench.machine.snapshot() == before


@given(some_stanzas)
def test_an_unplugged_device_leaves_nothing_behind(events: list[Event]) -> None:
    with open_bench() as bench:
        before = bench.machine.snapshot()
        bench.up(*events)
        bench.machine.pull("eth1")
        bench.down(*names(events))
        assert bench.machine.snapshot() == before


@given(some_stanzas)
def test_up_twice_runs_nothing(events: list[Event]) -> None:
    with open_bench() as bench:
        bench.up(*events)
        standing = bench.machine.snapshot()
        assert bench.up(*events) == []
        assert bench.machine.ran == []
        assert bench.machine.snapshot() == standing


@given(some_stanzas, st.data())
def test_up_puts_back_what_is_missing(events: list[Event], data: st.DataObject) -> None:
    with open_bench() as bench:
        bench.up(*events)
        standing = bench.machine.snapshot()
        lose_one(bench, data)
        assert bench.up(*events) == []
        assert bench.machine.snapshot() == standing


@given(some_stanzas)
def test_a_round_finds_nothing_to_do(events: list[Event]) -> None:
    with open_bench() as bench:
        bench.up(*events)
        assert bench.again() == []
        assert bench.machine.ran == []


@given(st.sampled_from(STANZAS), st.data())
def test_a_line_that_fails_leaves_all_or_nothing(event: Event, data: st.DataObject) -> None:
    with open_bench() as bench:
        before = bench.machine.snapshot()
        lines = list_lines(bench, [event])
        number = data.draw(st.integers(0, len(lines) - 1))
        bench.machine.obstacle = fail_at(number)
        (problem,) = bench.up(event)
        after = bench.machine.snapshot()
        bench.machine.obstacle = lambda line: ""
        assert lines[number] in str(problem)
        if "mptcp" in lines[number]:
            # Routing alone: the endpoint's own limits went with it, or were not raised.
            assert after.rules != before.rules and after.routes != before.routes
        else:
            assert after == before
            assert bench.list_recorded() == []
        assert bench.up(event) == []
        bench.down(event.iface)
        assert bench.machine.snapshot() == before


@given(st.sampled_from(STANZAS), st.data())
def test_what_could_not_be_undone_stays_on_record(event: Event, data: st.DataObject) -> None:
    with open_bench() as bench:
        before = bench.machine.snapshot()
        bench.up(event)
        bench.machine.obstacle = fail_at(data.draw(st.integers(0, 6)), "Error: Busy.")
        problems = bench.down(event.iface)
        bench.machine.obstacle = lambda line: ""
        assert len(problems) == 1 and "Busy" in str(problems[0])
        assert bench.list_recorded() == [event.iface]
        assert bench.down(event.iface) == []
        assert bench.machine.snapshot() == before


@settings(max_examples=2 * settings().max_examples)
@given(some_stanzas, st.integers(0, 40))
def test_after_a_kill_on_the_way_up_the_next_hook_makes_it_right(
    events: list[Event], number: int
) -> None:
    with open_bench() as bench:
        before = bench.machine.snapshot()
        bench.up(*events)
        standing = bench.machine.snapshot()
        bench.down(*names(events))
        kill(bench, number, lambda: bench.up(*events))
        assert bench.up(*events) == []
        assert bench.machine.snapshot() == standing
        bench.down(*names(events))
        assert bench.machine.snapshot() == before


@settings(max_examples=2 * settings().max_examples)
@given(some_stanzas, st.integers(0, 40))
def test_after_a_kill_the_way_down_takes_all_away(events: list[Event], number: int) -> None:
    with open_bench() as bench:
        before = bench.machine.snapshot()
        kill(bench, number, lambda: bench.up(*events))
        bench.down(*names(events))
        assert bench.machine.snapshot() == before
        bench.up(*events)
        kill(bench, number, lambda: bench.down(*names(events)))
        bench.down(*names(events))
        assert bench.machine.snapshot() == before


def test_the_farewell_takes_the_endpoints_alone() -> None:
    with open_bench() as bench:
        before = bench.machine.snapshot()
        bench.up(ETH0, ETH0_6)
        routed = bench.machine.snapshot()
        assert bench.farewell("eth0") == []
        assert bench.machine.snapshot() == routed._replace(
            endpoints=before.endpoints, limits=before.limits)
        assert bench.down("eth0") == []
        assert bench.machine.snapshot() == before


def test_what_is_leaving_does_not_come_back_by_itself() -> None:
    with open_bench() as bench:
        bench.up(ETH0)
        bench.farewell("eth0")
        assert bench.again() == []
        assert [one.address for one in bench.machine.endpoints] == ["10.9.9.9"]


def test_other_flags_remake_the_endpoint_and_touch_no_rule() -> None:
    with open_bench() as bench:
        bench.up(ETH1)
        assert bench.up(static("eth1", 4, mptcp_flags="subflow fullmesh")) == []
        assert [line.split(" ")[:3] for line in bench.machine.ran] == [
            ["mptcp", "endpoint", "delete"], ["mptcp", "endpoint", "add"]]
        assert bench.machine.endpoints[-1].flags == ("subflow", "fullmesh")


@pytest.mark.parametrize(("options", "expected"), [
    ({}, [32768]), ({"mptcp_flags": "subflow backup"}, [32769]), ({"mptcp_way_out": "off"}, [])])
def test_an_uplink_is_a_way_out_and_a_backup_behind_those_that_are_none(
    options: dict[str, str], expected: list[int]
) -> None:
    def list_ways() -> list[int]:
        return [rule.preference for _, rule in bench.machine.rules
                if rule.protocol == 77 and rule.preference > 32766]

    with open_bench() as bench:
        assert bench.up(ETH1) == bench.up(static("eth1", 4, **options)) == []
        assert list_ways() == expected
        bench.down("eth1")
        assert bench.machine.snapshot() == bench.before


def test_another_table_is_there_before_the_old_one_goes() -> None:
    with open_bench() as bench:
        bench.up(ETH1)
        assert bench.up(static("eth1", 4, mptcp_table="77")) == []
        ran = bench.machine.ran
        adding = [number for number, line in enumerate(ran) if " add " in line or "replace" in line]
        assert adding and max(adding) < min(
            number for number, line in enumerate(ran) if " del " in line)
        assert not any("mptcp" == line.partition(" ")[0] for line in ran)
        assert {rule.table for _, rule in bench.machine.rules if rule.protocol == 77} == {77, 254}


@pytest.mark.parametrize("device", ["@10.9.1.2", "id"])
def test_a_device_that_is_called_like_a_word_of_ours_leaves_nothing_behind(device: str) -> None:
    """The stand-in of an endpoint's id, and what stands before it."""
    event = read_event({"IFACE": device, "METHOD": "static", "ADDRFAM": "inet", "IF_NETMASK": "24",
                        "IF_ADDRESS": "10.9.1.2", "IF_GATEWAY": "10.9.1.1"})
    assert event is not None
    with open_bench() as bench:
        bench.machine.plug(device, 9, *event.addresses)
        before = bench.machine.snapshot()
        assert bench.up(event) == []
        assert len(bench.machine.snapshot().endpoints) == 2
        assert bench.down(device) == []
        assert bench.machine.snapshot() == before


@pytest.mark.parametrize("family, length", [(4, 1), (6, 4)])
def test_rules_that_another_version_made_stand_until_the_new_ones_do(
    family: int, length: int
) -> None:
    event = static("eth1", family)
    with open_bench() as bench:
        with another_version():
            bench.up(event)
        endpoints = list(bench.machine.endpoints)
        assert bench.again("eth1") == []
        kinds = [line.split(" ")[:2] for line in bench.machine.ran]
        assert [kind for kind in kinds if kind == ["rule", "del"]] == kinds[-3:]
        assert bench.machine.endpoints == endpoints
        assert sorted((rule.preference, rule.suppress) for _, rule in bench.machine.rules
                      if rule.suppress is not None) == [
                          (20001, length), (20003, length), (20005, length)]
        assert bench.again("eth1") == [] and bench.machine.ran == []


@pytest.mark.parametrize("family", [4, 6])
def test_rules_that_another_version_made_go_with_the_interface(family: int) -> None:
    with open_bench() as bench:
        before = bench.machine.snapshot()
        with another_version():
            bench.up(static("eth1", family))
        bench.down("eth1")
        assert bench.machine.snapshot() == before


@given(st.integers(0, 13))
def test_a_kill_while_rules_are_replaced_leaves_nothing_behind(number: int) -> None:
    with open_bench() as bench:
        before = bench.machine.snapshot()
        with another_version():
            bench.up(ETH1)
        bench.machine.obstacle = kill_at(number)
        try:
            bench.again("eth1")
        except Killed:
            pass
        bench.machine.obstacle = lambda line: ""
        assert bench.again("eth1") == []
        assert sorted(rule.suppress for _, rule in bench.machine.rules
                      if rule.suppress is not None) == [1, 1, 1]
        bench.down("eth1")
        assert bench.machine.snapshot() == before


@pytest.mark.parametrize("going", [
    "pref 20001 from 10.1.2.2 lookup main protocol 77",
    "pref 20001 from 10.1.2.2 table main suppress_prefixlength 1 protocol 77",
    "pref 20009 from 10.1.2.2 lookup main suppress_prefixlength 0 protocol 77",
    "from 10.1.2.2 lookup main suppress_prefixlength 0 protocol 77",
])
def test_a_rule_goes_first_where_it_may_be_taken_for_one_that_comes(going: str) -> None:
    """A line of an administrator's own template may take what another line is about to make."""
    coming = "ip -4 rule add pref 20001 from 10.1.2.2 lookup main suppress_prefixlength 1"
    path = Path("eth1", "eth1", 3, 4, "10.1.2.2", "", "", False, True, 20003, True, False, ())
    before = Installed(path, (f"ip -4 rule add {going}",), (f"ip -4 rule del {going}",), "")
    change = compare_path(Installed(path, (coming,), (coming.replace("add", "del"),), ""),
                          [before], [])
    assert (change.lines, change.late) == ((coming,), ())


def test_a_replaced_rule_that_cannot_be_deleted_stays_on_record() -> None:
    with open_bench() as bench:
        before = bench.machine.snapshot()
        with another_version():
            bench.up(ETH1)
        bench.machine.obstacle = lambda line: "no" if line.startswith("rule del pref 20001") else ""
        (problem,) = bench.again("eth1")
        assert "rule del pref 20001" in str(problem)
        bench.machine.obstacle = lambda line: ""
        bench.down("eth1")
        assert bench.machine.snapshot() == before


def test_a_foreign_endpoint_of_the_address_is_left_alone_on_both_ways() -> None:
    with open_bench() as bench:
        bench.machine.endpoints.append(Endpoint(8, "10.1.1.2", 2, ("signal",)))
        before = bench.machine.snapshot()
        assert bench.up(ETH0) == []
        assert bench.machine.snapshot().endpoints == before.endpoints
        bench.down("eth0")
        assert bench.machine.snapshot() == before


def test_a_limit_that_somebody_else_set_meanwhile_stays() -> None:
    with open_bench() as bench:
        bench.up(ETH0, ETH1)
        assert bench.machine.limits == Limits(8, 8)
        bench.machine.limits = Limits(5, 8)
        bench.down("eth0", "eth1")
        assert bench.machine.limits == Limits(5, 0)


def test_somebody_elses_table_is_refused_and_left() -> None:
    with open_bench() as bench:
        bench.machine.rules.append((4, Rule(5000, "10.7.7.7/32", "", "", 20002, None, 0)))
        before = bench.machine.snapshot()
        (problem,) = bench.up(ETH0)
        assert "table 20002 is in use by somebody else (rule 5000" in str(problem)
        assert bench.machine.snapshot() == before and bench.list_recorded() == []


@pytest.mark.parametrize("configured", [False, True])
def test_a_table_that_another_has_on_record_is_refused(configured: bool) -> None:
    """Also where somebody flushed all that the kernel had of it."""
    with open_bench() as bench:
        bench.up(static("eth0", 4, mptcp_table="101"))
        bench.machine.rules.clear()
        bench.machine.routes.clear()
        if configured:
            bench.configuration = Configuration((), (Wishes("eth1", table=101),), True)
        (problem,) = bench.up(ETH1 if configured else static("eth1", 4, mptcp_table="101"))
        assert "table 101 is in use by 10.1.1.2 of eth0" in str(problem)
        assert bench.list_recorded() == ["eth0"]


def test_a_bad_event_does_not_cost_the_others() -> None:
    with open_bench() as bench:
        wrong = static("eth0", 4, mptcp_table="77777777777")
        problems = bench.up(wrong, ETH1)
        assert ["mptcp-table" in str(problem) for problem in problems] == [True]
        assert bench.list_recorded() == ["eth1"]


def test_a_record_that_was_written_into_runs_nothing_but_our_commands() -> None:
    with open_bench() as bench:
        bench.up(ETH0)
        with bench.open_store() as store:
            (stanza,) = store.load("eth0")
            (installed,) = stanza.paths
            evil = installed._replace(down=("rm -rf /etc", *installed.down,
                                            "ip -4 rule flush", "ip link set eth0 down"))
            store.save("eth0", (stanza._replace(paths=(evil,)),))
        problems = bench.down("eth0")
        assert ["rm -rf /etc: not run, since" in str(problem) for problem in problems] == [True]
        assert not any("flush" in line or "rm" in line or "link" in line
                       for line in bench.machine.ran)
        assert all(rule.protocol != 77 for _, rule in bench.machine.rules)


def test_each_line_is_shown_when_it_runs_roll_backs_among_them() -> None:
    with open_bench() as bench:
        bench.machine.obstacle = fail_at(4)
        bench.up(ETH0)
        assert [line.split(" ", 2)[2] if line[3] == "-" else line.split(" ", 1)[1]
                for line in bench.machine.shown] == bench.machine.given
        # The roll back is among them, and what ran twice is shown twice.
        assert any(" rule del " in line for line in bench.machine.shown)
        assert len(bench.machine.shown) > len(set(bench.machine.shown))


def test_a_lease_is_noted_and_its_gateway_used_in_one_work() -> None:
    with open_bench() as bench:
        assert bench.up(dhcp()) == [] and bench.machine.snapshot().endpoints == (
            ("10.9.9.9", 0, ("signal",)),)
        with bench.open_store() as store:
            work = prepare_lease(store, bench.machine, BOUND, NO_CONFIGURATION)
            assert work.leases == (("eth1", Lease("10.1.2.2", "10.1.2.9", ())),)
            # What is prepared is not yet done.
            assert store.load_lease("eth1") is None
            assert carry_out(store, bench.machine, work) == []
            assert store.load_lease("eth1") == Lease("10.1.2.2", "10.1.2.9", ())
        assert [route.gateway for route in bench.machine.routes[4, 20003]
                if route.destination == "default" and route.kind == "unicast"] == ["10.1.2.9"]


def test_what_is_said_of_resolvers_of_ipv6_is_noted() -> None:
    told = {"interface": "eth1", "reason": "ROUTERADVERT", "nd1_rdnss1_servers": "2001:db8::53",
            "nd1_rdnss1_lifetime": "60"}
    with open_bench() as bench, bench.open_store() as store:
        store.save_lease("eth1", Lease("10.1.2.2", "10.1.2.9", ()))
        work = prepare_lease(store, bench.machine, told, NO_CONFIGURATION)
        # What is prepared is not yet done.
        assert work.leases == () and load_resolvers(store.folder, "eth1") == {}
        assert carry_out(store, bench.machine, work) == []
        assert load_resolvers(store.folder, "eth1") == {"advertisement": ("2001:db8::53",)}
        assert store.load_lease("eth1") is not None
        stopped = prepare_lease(store, bench.machine, {"interface": "eth1", "reason": "STOPPED"},
                                NO_CONFIGURATION)
        assert carry_out(store, bench.machine, stopped) == []
        assert load_resolvers(store.folder, "eth1") == {} and store.load_lease("eth1") is None


def test_a_lease_that_is_refused_leaves_the_noted_one() -> None:
    with open_bench() as bench, bench.open_store() as store:
        store.save_lease("eth1", Lease("10.1.2.2", "10.1.2.9", ()))
        work = prepare_lease(store, bench.machine, BOUND | {"new_routers": "224.0.0.1"},
                             NO_CONFIGURATION)
        assert work.leases == ()
        assert [str(problem)[:17] for problem in work.problems] == ["eth1: new_routers"]


def test_what_was_noted_counts_for_more_than_what_a_client_keeps() -> None:
    kept = {"eth0": Lease("10.1.1.2", "10.1.1.7", ()), "eth1": Lease("10.1.2.2", "10.1.2.7", ())}
    noted = Lease("10.1.2.2", "10.1.2.9", ())
    with open_bench() as bench, bench.open_store() as store:
        store.save_lease("eth1", noted)
        work = prepare_adoption(store, bench.machine, [dhcp()], NO_CONFIGURATION, kept)
        assert carry_out(store, bench.machine, work) == []
        assert (store.load_lease("eth0"), store.load_lease("eth1")) == (kept["eth0"], noted)
        assert [route.gateway for route in bench.machine.routes[4, 20003]
                if route.destination == "default" and route.kind == "unicast"] == ["10.1.2.9"]


@pytest.mark.parametrize("family", [4, 6])
def test_an_address_that_goes_takes_its_path_and_comes_back_with_it(family: int) -> None:
    with open_bench() as bench:
        before = bench.machine.snapshot()
        event = static("eth1", family)
        bench.up(event)
        standing = bench.machine.snapshot()
        bench.machine.take_address("eth1", event.addresses[0].address)
        assert bench.again() == []
        assert bench.machine.snapshot() == before
        bench.machine.plug("eth1", 3, *ADDRESSES["eth1"])
        assert bench.again() == []
        assert bench.machine.snapshot() == standing


@pytest.mark.parametrize("again", [Bench.all, Bench.again])
@pytest.mark.parametrize("events", [(ETH1, ETH1_6), (ETH1_6, ETH1)])
def test_an_address_that_is_gone_leaks_nothing_of_its_family(
    events: tuple[Event, Event], again: Callable[[Bench], list[Problem]]
) -> None:
    with open_bench() as bench:
        before = bench.machine.snapshot()
        bench.up(*events)
        bench.machine.take_address("eth1", "10.1.2.2")
        assert again(bench) == []
        assert not any(family == 4 for family, rule in bench.machine.rules if rule.protocol == 77)
        bench.down("eth1")
        assert bench.machine.snapshot() == before


@given(some_stanzas)
def test_an_up_of_addresses_that_are_gone_leaks_nothing(events: list[Event]) -> None:
    with open_bench() as bench:
        before = bench.machine.snapshot()
        bench.up(*events)
        for own in ADDRESSES["eth1"]:
            bench.machine.take_address("eth1", own.address)
        bench.up(*events)
        bench.down(*names(events))
        assert bench.machine.snapshot() == before
        assert bench.list_recorded() == []


@pytest.mark.parametrize("family", [4, 6])
def test_all_does_not_forget_an_address_that_is_away(family: int) -> None:
    with open_bench() as bench:
        bench.up(ETH1, ETH1_6)
        standing = bench.machine.snapshot()
        (own,) = static("eth1", family).addresses
        bench.machine.take_address("eth1", own.address)
        assert bench.all() == []
        assert bench.machine.snapshot() != standing
        bench.machine.plug("eth1", 3, *ADDRESSES["eth1"])
        assert bench.all() == []
        assert bench.machine.snapshot() == standing


@pytest.mark.parametrize("again", [Bench.all, Bench.again])
def test_who_is_left_of_a_device_is_its_first_at_once(again: Callable[[Bench], object]) -> None:
    """Another stanza of it stays, with the address of its other family alone."""
    stated, further = ADDRESSES["eth1"], InterfaceAddress(4, "10.1.2.7", 24, "", "")
    both = read_event({"IFACE": "eth1", "ADDRFAM": "inet,inet6", "METHOD": "static",
                       "IF_ADDRESSES": " ".join(f"{one.address}/{one.length}" for one in stated),
                       "IF_GATEWAYS": "10.1.2.1 fd00:2::1"})
    found = read_event(DHCP | {"IF_MPTCP_GATEWAY": "10.1.2.1"})
    assert both is not None and found is not None
    with open_bench() as bench:
        bench.machine.plug("eth1", 3)
        bench.up(found)
        bench.machine.plug("eth1", 3, *stated)
        bench.up(both)
        bench.machine.plug("eth1", 3, *stated, further)
        assert bench.again() == []
        assert "10.1.2.7" not in [one.address for one in bench.machine.endpoints]
        bench.machine.take_address("eth1", "10.1.2.2")
        assert again(bench) == []
        assert "10.1.2.7" in [one.address for one in bench.machine.endpoints]


@pytest.mark.parametrize("again", [
    lambda bench, event: bench.all(),
    lambda bench, event: bench.again(),
    lambda bench, event: bench.name(event),
], ids=["all", "again", "named"])
@pytest.mark.parametrize("family", [4, 6])
def test_a_path_that_goes_leaves_the_rules_that_one_beside_it_has_as_well(
    again: Callable[[Bench, Event], list[Problem]], family: int
) -> None:
    """A hook came while the first address of a subnet was away, and its path stayed as it was."""
    prefix, length = ("10.1.2.", 24) if family == 4 else ("fd00:2::", 64)
    own = [f"{prefix}{host}/{length}" for host in (2, 3)]
    event = read_event({
        "IFACE": "eth1", "ADDRFAM": "inet" if family == 4 else "inet6", "METHOD": "static",
        "IF_ADDRESSES": " ".join([{4: "10.1.3.2/24", 6: "fd00:3::2/64"}[family], *own]),
        "IF_GATEWAYS": f"{prefix}1"})
    assert event is not None
    with open_bench() as bench:
        bench.machine.plug("eth1", 3, *event.addresses)
        assert bench.up(event) == []
        bench.machine.take_address("eth1", f"{prefix}2")
        assert bench.up(event) != []
        assert again(bench, event) == []
        subnet = network(f"{prefix}3", length)
        assert {rule.preference for _, rule in bench.machine.rules if rule.source == subnet} == {
            20003, 20004}
        assert again(bench, event) == [] and bench.machine.ran == []
        assert bench.down("eth1") == [] and bench.machine.snapshot() == bench.before


@pytest.mark.parametrize("refused", [False, True])
@pytest.mark.parametrize("family", [4, 6])
@pytest.mark.parametrize("again", [
    lambda bench, events: bench.all(),
    lambda bench, events: bench.again(),
    lambda bench, events: bench.name(*events),
], ids=["all", "again", "named"])
def test_who_is_left_of_a_device_is_its_first_though_it_loses_an_address_itself(
    again: Callable[[Bench, list[Event]], list[Problem]], family: int, refused: bool
) -> None:
    """Also where another interface is refused its table in the same work."""
    prefix, length = ("10.1.2.", 24) if family == 4 else ("fd00:2::", 64)
    alias = read_event({"IFACE": "eth1:1", "ADDRFAM": "inet,inet6", "METHOD": "static",
                        "IF_ADDRESSES": "10.1.2.3/24 fd00:2::3/64",
                        "IF_GATEWAYS": "10.1.2.1 fd00:2::1"})
    found = read_event(DHCP | {"ADDRFAM": "inet" if family == 4 else "inet6",
                               "IF_MPTCP_GATEWAY": f"{prefix}1"})
    assert alias is not None and found is not None
    going, staying = (InterfaceAddress(family, f"{prefix}{host}", length, "", "")
                      for host in ("5", "7"))
    with open_bench() as bench:
        bench.machine.plug("eth1", 3, *alias.addresses)
        assert bench.up(ETH0, alias) == []
        bench.machine.plug("eth1", 3, *alias.addresses, going, staying)
        assert bench.up(found) == []
        if refused:
            bench.configuration = Configuration((), (Wishes("eth0", table=101),), True)
            bench.machine.routes[4, 101] = [
                Route("192.0.2.0/24", "unreachable", "", 0, "", 0, 99)]
        for own in (f"{prefix}3", going.address):
            bench.machine.take_address("eth1", own)
        problems = again(bench, [found, alias, ETH0])
        assert [str(one)[:22] for one in problems] == ["eth0: table 101 is in "] * refused
        assert staying.address in [one.address for one in bench.machine.endpoints]
        assert list(map(str, bench.all())) == list(map(str, problems))
        assert bench.machine.ran == []


@pytest.mark.parametrize("again", [Bench.all, Bench.again])
def test_a_device_of_which_the_kernel_suddenly_tells_nothing_does_not_cost_the_others(
    again: Callable[[Bench], list[Problem]]
) -> None:
    with open_bench() as bench:
        bench.up(ETH0, ETH1, ETH1_6)
        standing = bench.machine.snapshot()
        bench.machine.rules = [(family, rule) for family, rule in bench.machine.rules
                               if rule.source != "10.1.1.2/32"]
        assert bench.machine.snapshot() != standing
        find, asked = bench.machine.find_present, []

        def refuse(iface: str, addresses: tuple[InterfaceAddress, ...]
                   ) -> tuple[InterfaceAddress, ...]:
            asked.append(iface)
            if asked.count("eth1") > 2:
                raise Problem("cannot ask the kernel over netlink: Cannot allocate memory")
            return find(iface, addresses)

        with mock.patch.object(bench.machine, "find_present", refuse):
            again(bench)
        assert asked.count("eth1") > 2 and bench.machine.snapshot() == standing


def test_all_brings_back_what_a_person_took_away() -> None:
    with open_bench() as bench:
        bench.up(ETH0, ETH1)
        standing = bench.machine.snapshot()
        bench.dismiss("eth0")
        assert bench.again() == [] and bench.machine.snapshot() != standing
        assert bench.all() == []
        assert bench.machine.snapshot() == standing


def test_all_takes_in_what_is_up_and_nothing_that_is_not_there() -> None:
    with open_bench() as bench:
        before = bench.machine.snapshot()
        bench.machine.take_address("eth1", "10.1.2.2")
        assert bench.all(ETH0, ETH1) == []
        assert bench.list_recorded() == ["eth0"]
        bench.down("eth0")
        assert bench.machine.snapshot() == before


@given(some_stanzas, st.data())
def test_what_is_deleted_before_we_look_is_not_taken_for_whole(
    events: list[Event], data: st.DataObject
) -> None:
    with open_bench() as bench:
        bench.up(*events)
        standing = bench.machine.snapshot()
        bench.down(*names(events))
        bench.machine.before_look = lambda: lose_one(bench, data)
        bench.up(*events)
        bench.machine.before_look = lambda: None
        assert bench.machine.snapshot() != standing
        assert bench.again() == []
        assert bench.machine.snapshot() == standing


@given(some_stanzas, st.integers(0, 30))
def test_what_a_kill_left_is_made_once(events: list[Event], number: int) -> None:
    """And not in each round: five, and the monitor takes it for a fight with another program."""
    with open_bench() as bench:
        kill(bench, number, lambda: bench.up(*events))
        assert bench.up(*events) == []
        assert bench.again() == [] and bench.machine.ran == []


@given(st.integers(0, 20))
def test_after_a_kill_the_endpoint_has_the_new_flags(number: int) -> None:
    backup = static("eth1", 4, mptcp_flags="subflow backup")
    with open_bench() as bench:
        bench.up(ETH1)
        kill(bench, number, lambda: bench.up(backup))
        assert bench.up(backup) == []
        assert bench.machine.endpoints[-1].flags == ("subflow", "backup")
        assert len(bench.machine.endpoints) == 2


def test_flags_that_somebody_changed_are_put_right() -> None:
    with open_bench() as bench:
        bench.up(ETH1)
        standing = bench.machine.snapshot()
        bench.machine.endpoints[-1] = bench.machine.endpoints[-1]._replace(flags=("signal",))
        assert bench.up(ETH1) == []
        assert bench.machine.snapshot() == standing


@pytest.mark.parametrize(("state", "forgotten"), [
    (INCOMPLETE, True), (FAILED, True), (REACHABLE, False), (0, False)])
def test_before_an_endpoint_comes_back_a_gateway_that_fails_is_forgotten(
    state: int, forgotten: bool
) -> None:
    """What is sent behind such an entry is dropped with it, a subflow's only SYN among it."""
    with open_bench() as bench:
        bench.up(ETH1)
        standing = bench.machine.snapshot()
        bench.machine.endpoints.pop()
        bench.machine.neighbours = {"10.1.2.1": state} if state else {}
        assert bench.up(ETH1) == []
        assert bench.machine.ran == ["neigh del 10.1.2.1 dev eth1"] * forgotten + [
            "mptcp endpoint add 10.1.2.2 dev eth1 subflow"]
        assert bench.machine.snapshot() == standing


def test_of_a_path_that_is_new_or_keeps_its_endpoint_no_gateway_is_forgotten() -> None:
    """The kernel asks it with what is sent first."""
    with open_bench() as bench:
        bench.machine.neighbours = {"10.1.2.1": FAILED}
        assert bench.up(ETH1) == []
        lost = next(rule for rule in bench.machine.rules if rule[1].source == "10.1.2.2/32")
        bench.machine.rules.remove(lost)
        assert bench.up(ETH1) == []
        assert bench.machine.neighbours == {"10.1.2.1": FAILED}


def test_two_families_forget_each_its_own_gateway() -> None:
    with open_bench() as bench:
        bench.up(ETH0, ETH1, ETH1_6)
        bench.machine.neighbours = dict.fromkeys(("10.1.1.1", "10.1.2.1", "fd00:2::1"), FAILED)
        del bench.machine.endpoints[-2:]
        assert bench.up(ETH0, ETH1, ETH1_6) == []
        assert list(bench.machine.neighbours) == ["10.1.1.1"]


def test_an_endpoint_too_many_costs_itself_alone() -> None:
    """Somebody takes the last places between our look and our batch."""
    with open_bench() as bench:
        before = bench.machine.snapshot()

        def take_places(line: str) -> str:
            if "endpoint add" in line and not taken:
                taken.extend(range(6))
                bench.machine.endpoints.extend(
                    Endpoint(20 + number, f"10.8.8.{number}", 0, ("signal",)) for number in taken)
            return ""

        taken: list[int] = []
        bench.machine.obstacle = take_places
        (problem,) = bench.up(ETH0, ETH1)
        assert "10.1.2.2 dev eth1 subflow: too many addresses" in str(problem)
        assert ("10.1.1.2", 2, ("subflow",)) in bench.machine.snapshot().endpoints
        # The one that was made is ours: it goes with its interface.
        bench.down("eth0", "eth1")
        assert [one for one in bench.machine.endpoints if one.identity < 20] == [
            Endpoint(7, "10.9.9.9", 0, ("signal",))]
        assert bench.machine.snapshot().limits == before.limits


def lose_one(bench: Bench, data: st.DataObject) -> None:
    """Have somebody delete one thing of ours: a rule, a route, or an endpoint."""
    machine = bench.machine
    losses: list[Callable[[], object]] = [
        *(partial(machine.rules.remove, rule) for rule in machine.rules if rule[1].protocol == 77),
        *(partial(routes.remove, route) for routes in machine.routes.values()
          for route in routes if route.protocol == 77),
        *(partial(machine.endpoints.remove, endpoint) for endpoint in machine.endpoints
          if endpoint.address != "10.9.9.9")]
    data.draw(st.sampled_from(losses))()


def kill(bench: Bench, number: int, act: Callable[[], object]) -> None:
    """Have a hook killed before it runs line `number`, if it comes so far."""
    bench.machine.obstacle = kill_at(number)
    try:
        act()
    except Killed:
        pass
    finally:
        bench.machine.obstacle = lambda line: ""
