# SPDX-License-Identifier: GPL-2.0-or-later
"""Plans: which addresses become paths, which of them get an endpoint."""

from __future__ import annotations

import pytest

from mptcp_hooks.base.address import InterfaceAddress
from mptcp_hooks.base.errors import Problem
from mptcp_hooks.base.model import (
    Endpoint,
    DeviceView,
    Limits,
    Link,
    Path,
    PathManager,
    Route,
    Rule,
    TableUse,
)
from mptcp_hooks.engine.limits import raise_limits, restore_limits
from mptcp_hooks.engine.plan import (
    Plan,
    find_holder,
    find_intruder,
    find_sharer,
    plan_paths,
    settle_order,
    share,
)
from mptcp_hooks.intent.settings import Settings

PLAIN = Settings(True)
EMPTY = PathManager((), Limits(2, 0))
OURS = InterfaceAddress(4, "10.1.1.2", 24, "", "10.1.1.1")


def make_plan(
    *addresses: InterfaceAddress,
    settings: Settings = PLAIN,
    previous: tuple[Path, ...] = (),
    others: tuple[Path, ...] = (),
    manager: PathManager = EMPTY,
    adjectives: tuple[tuple[str, str], ...] = (),
    main: tuple[str, ...] = (),
    enabled: bool = True,
    link: Link = Link(True, True, False),
    silent: tuple[str, ...] = (),
    elsewhere: tuple[tuple[str, int], ...] = (),
    present: frozenset[str] | None = None,
) -> Plan:
    there = frozenset(one.address for one in addresses) if present is None else present
    view = DeviceView("eth0", 2, link, addresses, adjectives, main, enabled, silent, elsewhere,
                      present=there)
    return plan_paths("eth0", settings, view, previous, others, manager)


def test_one_address() -> None:
    (path,) = make_plan(OURS).paths
    assert path == Path("eth0", "eth0", 2, 4, "10.1.1.2", "10.1.1.0/24", "10.1.1.1", False, True,
                        20002, True, True, ("subflow",), (), True, True)


@pytest.mark.parametrize("address", ["127.0.0.2", "169.254.1.1", "fe80::1", "::1"])
def test_local_addresses_are_left_alone(address: str) -> None:
    family = 6 if ":" in address else 4
    plan = make_plan(OURS._replace(family=family, address=address, gateway=""),
                     main=("10.1.1.1", "fe80::9"))
    assert plan.paths == () and len(plan.remarks) == 1 and plan.warnings == ()


@pytest.mark.parametrize("adjective", ["temporary", "deprecated"])
def test_such_addresses_get_no_endpoint(adjective: str) -> None:
    stated = InterfaceAddress(6, "fd00::2", 64, "", "fd00::1")
    (path,) = make_plan(stated, adjectives=(("fd00::2", adjective),)).paths
    assert not path.endpoint and not path.primary
    good = stated._replace(address="fd00::3")
    _, second = make_plan(stated, good, adjectives=(("fd00::2", adjective),)).paths
    assert second.endpoint and second.primary


def test_an_address_of_another_device_is_its() -> None:
    (path,) = make_plan(OURS).paths
    other = Rule(20002, "10.1.1.2/32", "", "", 20009, None, 77)
    assert find_holder(path, TableUse((other,), ()), ()) == "the interface with table 20009"
    assert find_intruder(path, TableUse((other,), ())) == ""
    beside = path._replace(iface="eth1", device="eth1")
    assert find_holder(path, TableUse((), ()), (beside,)) == "eth1"
    assert find_holder(path, TableUse((), ()), (share(beside), path)) == ""


@pytest.mark.parametrize("adjective", ["a duplicate", "tentative"])
def test_an_address_that_may_be_anothers_is_left_alone(adjective: str) -> None:
    stated = InterfaceAddress(6, "fd00::2", 64, "", "fd00::1")
    plan = make_plan(stated, adjectives=(("fd00::2", adjective),))
    assert plan.paths == () and len(plan.remarks) == 1


def test_without_a_carrier_an_endpoint_that_went_stays_away() -> None:
    (path,) = make_plan(OURS).paths
    assert make_plan(OURS, silent=("10.1.1.2",), previous=(path,)).paths == (
        path._replace(endpoint=False),)
    assert make_plan(OURS, silent=("10.1.1.3",), previous=(path,)).paths == (path,)


def test_a_link_with_one_peer_needs_no_gateway() -> None:
    stated = InterfaceAddress(6, "fd00::2", 64, "", "")
    assert make_plan(stated).paths == ()
    (path,) = make_plan(stated, link=Link(True, True, True)).paths
    assert path.default and not path.gateway


def test_the_routes_of_a_lease_but_that_of_the_subnet() -> None:
    lease = OURS._replace(routes=(("10.1.1.0/24", ""), ("10.5.0.0/16", "10.1.1.9")))
    (path,) = make_plan(lease).paths
    assert path.routes == (("10.5.0.0/16", "10.1.1.9"),)


def test_the_first_address_of_each_family_gets_the_endpoint() -> None:
    plan = make_plan(OURS, OURS._replace(address="10.1.1.3"),
                     InterfaceAddress(6, "fd00::2", 64, "", "fd00::1"))
    assert [(path.table, path.primary, path.endpoint) for path in plan.paths] == [
        (20002, True, True), (10020002, False, False), (20002, True, True)]


def test_gateways_in_the_order_of_the_promise() -> None:
    settings = PLAIN._replace(gateways=("10.1.1.9",))
    (path,) = make_plan(OURS, settings=settings, main=("10.1.1.7",)).paths
    assert path.gateway == "10.1.1.9"
    (path,) = make_plan(OURS._replace(gateway=""), main=("10.8.8.8", "10.1.1.7")).paths
    assert path.gateway == "10.1.1.7"
    assert make_plan(OURS._replace(gateway=""), main=("10.8.8.8",)).paths == ()
    (path,) = make_plan(OURS._replace(gateway="", length=32), main=("10.8.8.8",)).paths
    assert (path.gateway, path.onlink) == ("10.8.8.8", True)
    (path,) = make_plan(OURS._replace(gateway="169.254.1.1")).paths
    assert path.onlink
    assert make_plan(OURS._replace(gateway=""), main=("10.1.1.2", "fe80::1")).paths == ()


def test_a_path_keeps_its_table_when_those_before_it_go() -> None:
    first, second = make_plan(OURS, OURS._replace(address="10.1.1.3")).paths
    (again,) = make_plan(OURS._replace(address="10.1.1.3"), previous=(second,)).paths
    assert again.table == second.table
    (moved,) = make_plan(OURS, previous=(first._replace(ifindex=9, table=20009),)).paths
    assert moved.table == 20002


def test_an_address_that_comes_later_takes_nothing_from_those_before_it() -> None:
    new, first, private = (InterfaceAddress(6, f"fd00::{number}", 64, "", "")
                           for number in (1, 2, 3))
    view = DeviceView("eth0", 2, None, (private, first), (("fd00::3", "temporary"),), ("fe80::9",),
                      True, present=frozenset({"fd00::1", "fd00::2", "fd00::3"}))
    assert settle_order(view, ()).addresses == (first, private)
    before = plan_paths("eth0", PLAIN, settle_order(view, ()), (), (), EMPTY).paths
    later = view._replace(addresses=(new, private, first))
    after = plan_paths("eth0", PLAIN, settle_order(later, before), before, (), EMPTY).paths
    assert after[:1] == before and [path.endpoint for path in after] == [True, False]


def test_of_a_stanzas_further_addresses_the_first_one_stays_that() -> None:
    """The kernel lists the newest first; the table, mark and more are the first one's."""
    beside, first, new = (InterfaceAddress(6, f"fd00:{number}::2", 64, "", f"fd00:{number}::9")
                          for number in (1, 2, 3))
    others = make_plan(beside).paths
    settings = PLAIN._replace(table=777)
    before: tuple[Path, ...] = ()
    for addresses in ((first,), (new, first), (new, first)):
        view = DeviceView("eth0", 2, None, addresses, (), (), True)
        before = plan_paths("eth0", settings, settle_order(view, before), before, others,
                            EMPTY).paths
        assert (before[0].address, before[0].table) == (first.address, 777)


def test_a_temporary_address_has_a_path_only_where_no_subnet_leads_it() -> None:
    """What an earlier version gave it stays as long as the address does."""
    lasting, private = (InterfaceAddress(6, own, 64, "", "fd00::9")
                        for own in ("fd00::2", "fd00::3"))
    temporary = (("fd00::3", "temporary"),)
    assert [path.address for path in make_plan(lasting, private, adjectives=temporary).paths] == [
        "fd00::2"]
    crowded = make_plan(lasting, private, adjectives=temporary, elsewhere=(("fd00::7", 64),)).paths
    assert [path.address for path in crowded] == ["fd00::2", "fd00::3"]
    again = make_plan(lasting, private, adjectives=temporary, previous=crowded).paths
    assert [(path.address, path.wide) for path in again] == [("fd00::2", True), ("fd00::3", False)]


@pytest.mark.parametrize("elsewhere, wide", [
    ("10.1.1.3/24", False), ("10.1.1.3/32", False), ("10.1.0.3/16", True), ("10.1.2.3/24", True),
    ("fd00::3/64", True)])
def test_a_subnet_that_another_device_has_a_part_in_is_led_by_nobody(
    elsewhere: str, wide: bool
) -> None:
    own, length = elsewhere.split("/")
    plan = make_plan(OURS, elsewhere=((own, int(length)),))
    assert [path.wide for path in plan.paths] == [wide]
    # There, our address may be led by the rules of the other one.
    assert bool(plan.crowded) == (elsewhere in ("10.1.1.3/24", "10.1.0.3/16"))


def test_one_path_leads_a_subnet_and_only_to_a_gateway() -> None:
    further = OURS._replace(address="10.1.1.3")
    assert [path.wide for path in make_plan(OURS, further).paths] == [True, False]
    # The kernel refuses a path whose address is not there, and its subnet's rules with it.
    here = make_plan(OURS, further, present=frozenset({further.address}))
    assert [path.wide for path in here.paths] == [False, True]
    host = OURS._replace(length=32)
    peer = host._replace(peer="10.1.1.1", gateway="")
    assert not any(path.wide for one in (host, peer) for path in make_plan(one).paths)
    flagged = PLAIN._replace(chosen_flags=("subflow",))
    lan = make_plan(OURS._replace(gateway=""), settings=flagged).paths
    assert [path.wide for path in lan] == [False]
    alias = make_plan(further._replace(gateway=""), others=make_plan(OURS).paths)
    assert alias.paths == () and "by the rules of its subnet" in alias.remarks[0]


def test_mptcp_switched_off_is_said_where_it_matters() -> None:
    assert "net.mptcp.enabled is 0" in make_plan(OURS, enabled=False).warnings[0]
    assert make_plan(OURS._replace(gateway=""), enabled=False).warnings == ()


def test_two_paths_never_share_a_table() -> None:
    (other,) = make_plan(OURS).paths
    further = OURS._replace(address="10.1.1.3")
    (path,) = make_plan(further, others=(other,), settings=PLAIN._replace(table=20002)).paths
    assert find_sharer(path, (other,)).startswith("table 20002 is in use by 10.1.1.2 of eth0")
    # Nor do those of one stanza, whose first one is not its device's.
    with pytest.raises(Problem, match="table 101 is in use by 10.1.1.2 of eth0"):
        make_plan(OURS, further, adjectives=((OURS.address, "deprecated"),),
                  settings=PLAIN._replace(table=101, usual_table=101))


def test_a_kernel_without_mptcp_costs_only_the_endpoint() -> None:
    plan = make_plan(OURS, manager=PathManager((), None))
    assert [path.endpoint for path in plan.paths] == [False]
    assert plan.warnings == ("eth0: this kernel has no MPTCP: routing only",)


@pytest.mark.parametrize("device, told", [(2, 0), (0, 0), (7, 1)])
def test_an_endpoint_of_others_is_left(device: int, told: int) -> None:
    manager = EMPTY._replace(endpoints=(Endpoint(5, "10.1.1.2", device, ("subflow",)),))
    plan = make_plan(OURS, manager=manager)
    assert [path.endpoint for path in plan.paths] == [False]
    assert len(plan.warnings) == told


def test_our_own_endpoint_stays_ours() -> None:
    (before,) = make_plan(OURS).paths
    manager = EMPTY._replace(endpoints=(Endpoint(5, "10.1.1.2", 2, ("subflow",)),))
    assert make_plan(OURS, previous=(before,), manager=manager).paths == (before,)


def test_the_eight_are_named() -> None:
    eight = tuple(Endpoint(n, f"10.9.0.{n}", 3, ("subflow",)) for n in range(8))
    plan = make_plan(OURS, manager=EMPTY._replace(endpoints=eight))
    assert [path.endpoint for path in plan.paths] == [False]
    assert plan.warnings == (
        "eth0: no endpoint for 10.1.1.2, routing only: the kernel's 8 are taken by "
        + ", ".join(f"10.9.0.{n}" for n in range(8)),)


@pytest.mark.parametrize("current, flags, wanted, raised", [
    ((2, 0), 1 * [("subflow",)], 0, (8, 8)), ((8, 8), 3 * [("subflow",)], 0, (8, 8)),
    ((2, 0), 3 * [("subflow",)], 3, (3, 3)), ((2, 0), 4 * [("subflow",)], 1, (2, 1)),
    ((2, 5), 3 * [("signal",)], 4, (4, 5)), ((2, 0), [("subflow", "fullmesh")], 3, (8, 8)),
])
def test_limits_are_raised_and_never_lowered(
    current: tuple[int, int], flags: list[tuple[str, ...]], wanted: int, raised: tuple[int, int]
) -> None:
    assert raise_limits(Limits(*current), flags, wanted) == raised


def test_limits_go_back_unless_somebody_else_set_them() -> None:
    assert restore_limits(Limits(5, 5), Limits(5, 5), Limits(2, 0)) == (2, 0)
    assert restore_limits(Limits(7, 5), Limits(5, 5), Limits(2, 0)) == (7, 0)


def test_intruders() -> None:
    (path,) = make_plan(OURS).paths
    route = Route("default", "unicast", "10.1.1.1", 2, "10.1.1.2", 0, 77)
    unreachable = Route("default", "unreachable", "", 1, "", 4294967295, 77)
    rule = Rule(20002, "10.1.1.2/32", "", "", 20002, None, 77)
    bound = Rule(20004, "", "", "eth0", 20002, None, 77)
    fine = TableUse((rule, bound), (route, unreachable))
    assert find_intruder(path, fine) == ""
    for stranger in (route._replace(protocol=3), route._replace(device=3),
                     route._replace(source="10.1.1.9")):
        assert "route default via 10.1.1.1" in find_intruder(path, TableUse((), (stranger,)))
    for other in (rule._replace(protocol=0), rule._replace(source="10.1.1.9/32"),
                  bound._replace(device="eth9")):
        assert "lookup 20002" in find_intruder(path, TableUse((other,), ()))
    assert find_intruder(path, TableUse((rule._replace(table=9, protocol=0),), ())) == ""
