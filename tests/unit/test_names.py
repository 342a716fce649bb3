# SPDX-License-Identifier: GPL-2.0-or-later
"""Resolvers that are asked over one uplink, on a machine in memory: a rule and host routes."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

from mptcp_hooks.base.errors import Problem
from mptcp_hooks.base.folder import open_folder
from mptcp_hooks.base.model import Lease, Route, Rule
from mptcp_hooks.engine.detours import settle_detours
from mptcp_hooks.engine.name_record import (
    Name,
    has_names,
    load_names,
    load_resolvers,
    save_names,
    save_resolvers,
)
from mptcp_hooks.engine.names import are_settled, end_leading, settle_names
from mptcp_hooks.engine.record import Store
from tests.unit.engine import Bench, open_bench, static, tell_version
from tests.unit.memory import Killed, fail_at, kill_at

ETH0, ETH1 = static("eth0", 4), static("eth1", 4)
# The numbers of the documentation, not those of the module: they stand in numbering.py's text.
BEFORE_MAIN, TABLE = 32765, 20000
RULE = Rule(BEFORE_MAIN, "", "", "", TABLE, None, 77)
MAIN = RULE._replace(table=254, suppress=0, mark="0xffffffff")
TO_ETH1, TO_ETH0 = (RULE._replace(table=table) for table in (20003, 20002))
R, OTHER, R6 = "192.0.2.53", "192.0.2.54", "2001:db8::53"
BY_ETH1 = Name(4, R, "10.1.2.1", "eth1", 3, False, "10.1.2.2")
BY_ETH0 = Name(4, R, "10.1.1.1", "eth0", 2, False, "10.1.1.2")
OTHER_BY_ETH0 = BY_ETH0._replace(resolver=OTHER)
SIX = Name(6, R6, "fe80::1", "eth1", 3, True, "fd00:2::2")
MAKE_RULE = "rule add pref 32765 lookup 20000 protocol 77"
MAKE_ETH1 = "route replace 192.0.2.53 via 10.1.2.1 dev eth1 src 10.1.2.2 table 20000 protocol 77"

Wanted = Mapping[int, tuple[Name, ...] | None]
# What is wanted, one after another, which differs in each way that it can.
COURSES: list[Wanted] = [
    {4: (BY_ETH1,)}, {4: (BY_ETH0,)}, {4: (BY_ETH1, OTHER_BY_ETH0), 6: ()}, {4: (), 6: (SIX,)},
    {4: (OTHER_BY_ETH0,), 6: ()}, {4: None, 6: (SIX,)}, {6: ()}, {4: (BY_ETH1,), 6: (SIX,)}, {}]
# How many lines one of them takes at the most.
MOST = 4


@pytest.fixture
def bench() -> Iterator[Bench]:
    """Both uplinks are up, in both families."""
    with open_bench() as made:
        assert made.up(ETH0, ETH1, static("eth0", 6), static("eth1", 6)) == []
        made.before = made.machine.snapshot()
        yield made


def settle(bench: Bench, wanted: Wanted) -> list[Problem]:
    """As a round does it, which takes the lock where there is anything to do."""
    with bench.open_store() as store:
        if are_settled(store, bench.machine, wanted):
            return []
        problems = settle_names(store, bench.machine, wanted)
        assert are_settled(store, bench.machine, wanted) == (not problems)
        return problems


def lead(bench: Bench, table: int | None, family: int = 4) -> list[Problem]:
    with bench.open_store() as store:
        return settle_detours(store, bench.machine, {family: table})


def list_rules(bench: Bench, family: int = 4) -> list[Rule]:
    """The rules directly before main, in the order in which the kernel asks them."""
    return [rule for known, rule in bench.machine.rules
            if known == family and rule.preference == BEFORE_MAIN]


def list_routes(bench: Bench, family: int = 4) -> list[tuple[str, str, int, str]]:
    return [(route.destination, route.gateway, route.device, route.source)
            for route in bench.machine.routes.get((family, TABLE), ())]


def has_record(bench: Bench) -> bool:
    return (bench.folder / "names").exists()


def load(bench: Bench) -> list[tuple[int, str, str]]:
    with bench.open_store() as store:
        return [(one.family, one.resolver, one.device) for one in load_names(store.folder)]


def test_without_a_name_nothing_is_run_and_there_is_no_file(bench: Bench) -> None:
    before = list(bench.machine.given)
    assert settle(bench, {}) == settle(bench, {4: (), 6: ()}) == settle(bench, {4: None}) == []
    assert bench.machine.given == before and not has_record(bench)


def test_a_rule_leads_to_a_table_of_host_routes(bench: Bench) -> None:
    assert settle(bench, {4: (BY_ETH1,), 6: (SIX,)}) == []
    assert list_rules(bench) == list_rules(bench, 6) == [RULE]
    assert list_routes(bench) == [(f"{R}/32", "10.1.2.1", 3, "10.1.2.2")]
    assert list_routes(bench, 6) == [(f"{R6}/128", "fe80::1", 3, "fd00:2::2")]
    assert bench.machine.ran == [
        MAKE_RULE, MAKE_ETH1, MAKE_RULE, "route replace 2001:db8::53 via fe80::1 dev eth1 onlink "
        "src fd00:2::2 table 20000 protocol 77"]


def test_where_there_is_no_gateway_there_is_none_in_the_route(bench: Bench) -> None:
    assert settle(bench, {4: (BY_ETH1._replace(gateway=""),)}) == []
    assert bench.machine.ran[1] == (
        "route replace 192.0.2.53 dev eth1 src 10.1.2.2 table 20000 protocol 77")


def test_what_stands_is_not_made_again(bench: Bench) -> None:
    settle(bench, {4: (BY_ETH1,)})
    before = tell_version(bench.folder / "names")
    assert settle(bench, {4: (BY_ETH1,), 6: ()}) == [] and bench.machine.ran == []
    assert tell_version(bench.folder / "names") == before


def test_the_rule_stays_and_the_routes_change(bench: Bench) -> None:
    settle(bench, {4: (BY_ETH1, OTHER_BY_ETH0)})
    assert settle(bench, {4: (BY_ETH0,)}) == []
    assert list_routes(bench) == [(f"{R}/32", "10.1.1.1", 2, "10.1.1.2")]
    assert settle(bench, {4: ()}) == []
    assert bench.machine.ran == ["route del 192.0.2.53 table 20000 protocol 77"]
    assert list_rules(bench) == [RULE] and list_routes(bench) == []
    assert load(bench) == [(4, "", "")]
    assert settle(bench, {4: ()}) == [] and bench.machine.ran == []


@pytest.mark.parametrize("after", [
    BY_ETH1._replace(gateway="10.1.2.9"), BY_ETH1._replace(onlink=True), BY_ETH0])
def test_a_route_that_is_to_be_another_is_replaced(bench: Bench, after: Name) -> None:
    settle(bench, {4: (BY_ETH1,)})
    assert settle(bench, {4: (after,)}) == []
    (line,) = bench.machine.ran
    assert line.startswith("route replace 192.0.2.53 ")
    assert ("onlink" in line) == after.onlink
    assert list_routes(bench) == [(f"{R}/32", after.gateway, after.ifindex, after.source)]


@pytest.mark.parametrize("wanted", [{}, {4: None, 6: None}])
def test_it_goes_without_a_trace(bench: Bench, wanted: Wanted) -> None:
    settle(bench, {4: (BY_ETH1,), 6: (SIX,)})
    assert settle(bench, wanted) == []
    assert bench.machine.snapshot() == bench.before and not has_record(bench)


def test_a_family_goes_alone(bench: Bench) -> None:
    settle(bench, {4: (BY_ETH1,), 6: (SIX,)})
    assert settle(bench, {4: None, 6: (SIX,)}) == []
    assert (list_rules(bench), list_rules(bench, 6)) == ([], [RULE])
    assert list_routes(bench) == [] and len(list_routes(bench, 6)) == 1


@pytest.mark.parametrize("take", [
    lambda machine: machine.rules.remove((4, RULE)),
    lambda machine: machine.routes[4, TABLE].clear(),
    lambda machine: machine.take_address("eth1", "10.1.2.2")])
def test_what_somebody_took_away_is_made_again(bench: Bench, take: object) -> None:
    settle(bench, {4: (BY_ETH1,)})
    full, devices = bench.machine.snapshot(), dict(bench.machine.devices)
    assert callable(take)
    take(bench.machine)
    assert bench.machine.snapshot() != full
    bench.machine.devices.update(devices)
    assert settle(bench, {4: (BY_ETH1,)}) == []
    assert [line for line in bench.machine.ran if "20000" not in line] == []
    assert list_rules(bench) == [RULE] and len(list_routes(bench)) == 1


def test_what_no_record_tells_of_goes(bench: Bench) -> None:
    """Somebody removed /run/mptcp-hooks, or what was in it cannot be read."""
    settle(bench, {4: (BY_ETH1, OTHER_BY_ETH0), 6: (SIX,)})
    (bench.folder / "names").unlink()
    assert settle(bench, {4: (BY_ETH1,), 6: ()}) == []
    assert list_rules(bench) == [RULE] and list_rules(bench, 6) == []
    assert [route[0] for route in list_routes(bench)] == [f"{R}/32"]
    assert list_routes(bench, 6) == []
    (bench.folder / "names").write_text("nonsense\n")
    assert settle(bench, {}) == []
    assert bench.machine.snapshot() == bench.before and not has_record(bench)


def test_anothers_route_in_the_table_stays(bench: Bench) -> None:
    theirs = Route("198.51.100.0/24", "unicast", "10.1.1.1", 2, "", 0, 3)
    bench.machine.routes[4, TABLE] = [theirs]
    settle(bench, {4: (BY_ETH1,)})
    assert settle(bench, {}) == [] and bench.machine.routes[4, TABLE] == [theirs]


def test_names_come_before_a_detour_that_comes_later(bench: Bench) -> None:
    settle(bench, {4: (BY_ETH1,)})
    assert lead(bench, 20003) == [] and list_rules(bench) == [RULE, MAIN, TO_ETH1]
    # And before each that takes its place.
    assert lead(bench, 20002) == [] and list_rules(bench)[0] == RULE
    assert settle(bench, {4: (BY_ETH1,)}) == [] and bench.machine.ran == []
    assert lead(bench, None) == [] and list_rules(bench) == [RULE]


def test_a_detour_is_none_of_the_names_and_they_are_none_of_its(bench: Bench) -> None:
    lead(bench, 20003)
    settle(bench, {4: (BY_ETH1,)})
    assert lead(bench, 20003) == [] and bench.machine.ran == []
    assert settle(bench, {}) == [] and list_rules(bench) == [MAIN, TO_ETH1]


def test_a_detour_that_stands_when_the_names_come_is_made_anew_behind_them(bench: Bench) -> None:
    lead(bench, 20003)
    assert settle(bench, {4: (BY_ETH1,)}) == []
    assert list_rules(bench) == [RULE, MAIN, TO_ETH1]
    assert bench.machine.ran == [
        MAKE_RULE, MAKE_ETH1, "rule del pref 32765 lookup 20003 protocol 77",
        "rule del pref 32765 not fwmark 0xffffffff lookup main suppress_prefixlength 0 protocol 77",
        "rule add pref 32765 not fwmark 0xffffffff lookup main suppress_prefixlength 0 protocol 77",
        "rule add pref 32765 lookup 20003 protocol 77"]
    assert settle(bench, {4: (BY_ETH1,)}) == [] and bench.machine.ran == []


def test_a_detour_of_the_other_family_and_what_is_held_back_stay_as_they_are(
    bench: Bench
) -> None:
    lead(bench, 0)
    with bench.open_store() as store:
        settle_detours(store, bench.machine, {4: 0, 6: 20003})
    assert settle(bench, {4: (BY_ETH1,)}) == []
    assert bench.machine.ran == [MAKE_RULE, MAKE_ETH1]


def test_a_rule_of_names_that_was_lost_is_made_again_before_a_detour(bench: Bench) -> None:
    settle(bench, {4: (BY_ETH1,)})
    lead(bench, 20003)
    bench.machine.rules.remove((4, RULE))
    assert settle(bench, {4: (BY_ETH1,)}) == []
    assert list_rules(bench) == [RULE, MAIN, TO_ETH1]


@pytest.mark.parametrize("line", range(6))
def test_who_is_killed_between_leaves_an_order_that_the_next_makes_right(
    bench: Bench, line: int
) -> None:
    lead(bench, 20003)
    bench.machine.obstacle = kill_at(line)
    with pytest.raises(Killed):
        settle(bench, {4: (BY_ETH1,)})
    bench.machine.obstacle = lambda line: ""
    # As a round does it.
    assert lead(bench, 20003) == settle(bench, {4: (BY_ETH1,)}) == []
    assert list_rules(bench) == [RULE, MAIN, TO_ETH1]
    with bench.open_store() as store:
        assert end_leading(store, bench.machine) == []
    assert bench.machine.snapshot() == bench.before and not has_record(bench)


@pytest.mark.parametrize("line", range(MOST))
@pytest.mark.parametrize(("first", "then"), list(zip(COURSES, COURSES[1:])))
def test_who_is_killed_leaves_what_the_next_mends(
    bench: Bench, first: Wanted, then: Wanted, line: int
) -> None:
    settle(bench, first)
    settle(bench, then)
    expected, recorded = bench.machine.snapshot(), load(bench)
    settle(bench, {})
    settle(bench, first)
    bench.machine.obstacle = kill_at(line)
    try:
        settle(bench, then)
    except Killed:
        assert has_record(bench)
    bench.machine.obstacle = lambda line: ""
    assert settle(bench, then) == []
    assert (bench.machine.snapshot(), sorted(load(bench))) == (expected, sorted(recorded))
    assert settle(bench, {}) == []
    assert bench.machine.snapshot() == bench.before and not has_record(bench)


@pytest.mark.parametrize("line", range(MOST))
@pytest.mark.parametrize(("first", "then"), list(zip(COURSES, COURSES[1:])))
def test_what_a_killed_one_was_about_may_be_wanted_no_more(
    bench: Bench, first: Wanted, then: Wanted, line: int
) -> None:
    settle(bench, first)
    bench.machine.obstacle = kill_at(line)
    try:
        settle(bench, then)
    except Killed:
        pass
    bench.machine.obstacle = lambda line: ""
    assert settle(bench, {}) == []
    assert bench.machine.snapshot() == bench.before and not has_record(bench)


def test_there_are_as_many_lines_to_be_killed_at(bench: Bench) -> None:
    """The tests above have somebody killed at each."""
    most = 0
    for wanted in COURSES:
        settle(bench, wanted)
        most = max(most, len(bench.machine.ran))
    assert most == MOST


@pytest.mark.parametrize("line", [0, 1])
def test_a_line_that_fails_is_told_and_tried_again(bench: Bench, line: int) -> None:
    bench.machine.obstacle = fail_at(line)
    for _ in range(2):
        (problem,) = settle(bench, {4: (BY_ETH1,)})
        assert str(problem).endswith("Invalid argument")
        assert (MAKE_RULE, MAKE_ETH1)[line].partition(" ")[2] in str(problem)
    bench.machine.obstacle = lambda line: ""
    assert settle(bench, {4: (BY_ETH1,)}) == []
    assert list_rules(bench) == [RULE] and len(list_routes(bench)) == 1
    assert settle(bench, {}) == []
    assert bench.machine.snapshot() == bench.before


def test_a_route_that_cannot_be_replaced_does_not_lead_where_it_did(bench: Bench) -> None:
    settle(bench, {4: (BY_ETH1,)})
    bench.machine.obstacle = lambda line: "Error: Busy." if "replace" in line else ""
    (problem,) = settle(bench, {4: (BY_ETH0,)})
    assert str(problem).endswith("Busy") and list_routes(bench) == []
    bench.machine.obstacle = lambda line: ""
    assert settle(bench, {4: (BY_ETH0,)}) == []
    assert list_routes(bench) == [(f"{R}/32", "10.1.1.1", 2, "10.1.1.2")]


@pytest.mark.parametrize("line", [0, 1])
def test_what_cannot_be_taken_away_is_told_and_tried_again(bench: Bench, line: int) -> None:
    settle(bench, {4: (BY_ETH1,)})
    bench.machine.obstacle = fail_at(line)
    for _ in range(2):
        (problem,) = settle(bench, {})
        assert str(problem).endswith("Invalid argument") and " del " in str(problem)
        assert has_record(bench)
    bench.machine.obstacle = lambda line: ""
    assert settle(bench, {}) == []
    assert bench.machine.snapshot() == bench.before and not has_record(bench)


@pytest.mark.parametrize("detour", [None, 20003, 0])
def test_with_the_last_path_all_of_it_goes(bench: Bench, detour: int | None) -> None:
    settle(bench, {4: (BY_ETH1,), 6: (SIX,)})
    lead(bench, detour)
    bench.farewell("eth0", "eth1")
    assert bench.down("eth0") == [] and list_rules(bench)[0] == RULE
    assert bench.down("eth1") == []
    assert list_rules(bench) == list_rules(bench, 6) == []
    assert list_routes(bench) == list_routes(bench, 6) == []
    assert os.listdir(bench.folder) == [".lock"]


def test_the_rule_and_the_routes_are_none_of_what_a_path_has(bench: Bench) -> None:
    settle(bench, {4: (BY_ETH1,), 6: (SIX,)})
    full = bench.machine.snapshot()
    assert bench.again() == [] and bench.machine.ran == []
    assert bench.machine.snapshot() == full


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(open_folder(str(tmp_path), lock=True))


NAMES = (Name(4, "", down=("ip -4 rule del pref 32765 lookup 20000 protocol 77",)),
         BY_ETH1._replace(down=("ip -4 route del x", "ip -4 route del y")), SIX)


def test_what_is_saved_is_loaded(store: Store, tmp_path: Path) -> None:
    assert load_names(store.folder) == () and not has_names(store.folder)
    save_names(store.folder, NAMES)
    assert load_names(store.folder) == NAMES and has_names(store.folder)
    # They are no interface's, and no detours.
    assert store.list_interfaces() == [] and not store.has_detours()
    save_names(store.folder, ())
    assert not has_names(store.folder) and os.listdir(tmp_path) == [".lock"]


def test_of_a_damaged_record_nothing_is_believed(store: Store, tmp_path: Path) -> None:
    save_names(store.folder, NAMES)
    whole = (tmp_path / "names").read_bytes()
    for length in range(len(whole)):
        (tmp_path / "names").write_bytes(whole[:length])
        assert load_names(store.folder) == ()


@pytest.mark.parametrize(("old", "new"), [
    ("family 6", "family six"), ("family 6\n", ""), ("resolver 2001:db8::53\n", ""),
    ("ifindex 3\nonlink True", "ifindex eth1\nonlink True"), ("onlink True", "onlink yes"),
    ("source fd00:2::2\n", ""), ("name\n", "")])
def test_of_a_record_that_makes_no_sense_nothing_is_believed(
    store: Store, tmp_path: Path, old: str, new: str
) -> None:
    save_names(store.folder, NAMES)
    text = (tmp_path / "names").read_text()
    assert old in text
    (tmp_path / "names").write_text(text.replace(old, new))
    assert load_names(store.folder) == ()


def test_a_key_of_a_later_version_is_passed_over(store: Store, tmp_path: Path) -> None:
    save_names(store.folder, NAMES)
    text = (tmp_path / "names").read_text()
    (tmp_path / "names").write_text(text.replace("family 6\n", "family 6\nport 853\n"))
    assert load_names(store.folder) == NAMES


def test_resolvers_of_ipv6_are_noted_by_who_names_them(store: Store, tmp_path: Path) -> None:
    file = tmp_path / "eth1.resolvers"
    save_resolvers(store.folder, "eth1", "dhcp6", ())
    assert not file.exists() and load_resolvers(store.folder, "eth1") == {}
    save_resolvers(store.folder, "eth1", "dhcp6", (R6, OTHER))
    save_resolvers(store.folder, "eth1", "advertisement", (R6,))
    noted = {"dhcp6": (R6, OTHER), "advertisement": (R6,)}
    assert load_resolvers(store.folder, "eth1") == noted and store.list_interfaces() == []
    # The same again is not written, which would begin a round.
    before = tell_version(file)
    save_resolvers(store.folder, "eth1", "advertisement", (R6,))
    assert tell_version(file) == before
    save_resolvers(store.folder, "eth1", "dhcp6", ())
    assert load_resolvers(store.folder, "eth1") == {"advertisement": (R6,)}
    for _ in range(2):
        save_resolvers(store.folder, "eth1", "advertisement", ())
        assert not file.exists()


def test_of_resolvers_that_cannot_be_read_nothing_is_believed(
    store: Store, tmp_path: Path
) -> None:
    save_resolvers(store.folder, "eth1", "dhcp6", (R6,))
    file = tmp_path / "eth1.resolvers"
    whole = file.read_bytes()
    for length in range(len(whole)):
        file.write_bytes(whole[:length])
        assert load_resolvers(store.folder, "eth1") == {}
    save_resolvers(store.folder, "eth1", "dhcp6", (R6,))
    assert file.read_bytes() == whole


def test_a_lease_keeps_its_resolvers_and_an_old_one_has_none(
    store: Store, tmp_path: Path
) -> None:
    lease = Lease("10.1.2.50", "10.1.2.1", (("10.77.0.0/16", ""),), (R, OTHER))
    store.save_lease("eth1", lease)
    assert store.load_lease("eth1") == lease
    text = (tmp_path / "eth1.lease").read_text()
    (tmp_path / "eth1.lease").write_text("".join(
        line for line in text.splitlines(True) if not line.startswith("resolver")))
    assert store.load_lease("eth1") == lease._replace(resolvers=())
