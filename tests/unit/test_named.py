# SPDX-License-Identifier: GPL-2.0-or-later
"""Who names which resolvers, and which of them are asked over which uplink."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from mptcp_hooks.base.model import Lease, Path, Route
from mptcp_hooks.engine.name_record import Name, save_resolvers
from mptcp_hooks.monitor.names import (
    Named,
    Routes,
    choose_elsewhere,
    choose_names,
    read_named,
)
from tests.unit.engine import Bench, open_bench, static

R, OTHER, R6 = "192.0.2.53", "192.0.2.54", "2001:db8::53"


@pytest.fixture
def bench() -> Iterator[Bench]:
    with open_bench() as made:
        yield made


def read(bench: Bench, *heard: tuple[int, str]) -> Named:
    with bench.open_store() as store:
        paths = [one.path for iface in store.list_interfaces()
                 for stanza in store.load(iface) for one in stanza.paths]
        return read_named(store, paths, heard)


def test_whom_one_interface_alone_names(bench: Bench) -> None:
    bench.up(static("eth0", 4, dns_nameservers=OTHER),
             static("eth1", 4, dns_nameservers=f"{R} {OTHER}"))
    assert read(bench) == ({R: "eth1"}, ())


def test_an_interface_that_names_one_twice_is_one(bench: Bench) -> None:
    bench.up(static("eth1", 4, dns_nameservers=R), static("eth1", 6, dns_nameservers=R))
    with bench.open_store() as store:
        store.save_lease("eth1", Lease("10.1.2.2", "10.1.2.1", (), (R,)))
    assert read(bench, (3, R)).resolvers == {R: "eth1"}


def test_an_interface_without_a_path_names_as_well(bench: Bench) -> None:
    """It went down by hand, or has no gateway: what is its is another's no less."""
    bench.up(static("eth0", 4, dns_nameservers=R), static("eth1", 4, dns_nameservers=R))
    bench.dismiss("eth0")
    assert read(bench).resolvers == {}


@pytest.mark.parametrize("address, named", [("10.1.2.2", {R: "eth1"}), ("10.1.2.50", {})])
def test_a_lease_counts_for_the_address_that_it_is_of(
    bench: Bench, address: str, named: dict[str, str]
) -> None:
    bench.up(static("eth0", 4), static("eth1", 4))
    with bench.open_store() as store:
        store.save_lease("eth1", Lease(address, "10.1.2.1", (), (R,)))
        # Of an interface that is not on record nobody knows what it is.
        store.save_lease("eth9", Lease("10.1.9.2", "10.1.9.1", (), (R,)))
    assert read(bench).resolvers == named


def test_what_a_client_says_of_ipv6_counts_where_there_is_a_path_of_that(bench: Bench) -> None:
    bench.up(static("eth0", 4), static("eth1", 4))
    with bench.open_store() as store:
        save_resolvers(store.folder, "eth1", "dhcp6", (R6,))
        save_resolvers(store.folder, "eth1", "advertisement", (R6, "2001:db8::54"))
    assert read(bench).resolvers == {}
    bench.up(static("eth1", 6))
    assert read(bench).resolvers == {R6: "eth1", "2001:db8::54": "eth1"}
    with bench.open_store() as store:
        save_resolvers(store.folder, "eth1", "dhcp6", ())
    assert read(bench).resolvers == {R6: "eth1", "2001:db8::54": "eth1"}


def test_of_what_was_noted_nothing_else_counts(bench: Bench) -> None:
    """The record is root's own, but somebody may have written into it."""
    bench.up(static("eth1", 4), static("eth1", 6))
    with bench.open_store() as store:
        store.save_lease("eth1", Lease("10.1.2.2", "", (), (R, "nonsense", R6, "127.0.0.1")))
        save_resolvers(store.folder, "eth1", "dhcp6", (R6, R, "2001:DB8::1", "x:y", "", "fe80::1"))
    assert read(bench).resolvers == {R: "eth1", R6: "eth1"}


def test_routers_that_were_heard_name_for_their_devices(bench: Bench) -> None:
    bench.up(static("eth0", 6), static("eth1", 6))
    assert read(bench, (3, R6)).resolvers == {R6: "eth1"}
    assert read(bench, (3, R6), (2, R6)).resolvers == {}
    # A device that is not ours is one more.
    assert read(bench, (3, R6), (9, R6)).resolvers == {}
    assert read(bench, (9, R6)).resolvers == {R6: "9"}


def test_what_a_stanza_says_wrong_is_told_once(bench: Bench) -> None:
    bench.up(*(static("eth1", family, dns_nameservers=f"x {R}") for family in (4, 6)))
    named = read(bench)
    assert named.resolvers == {R: "eth1"} and len(named.mistakes) == 1
    assert named.mistakes[0].startswith("eth1: dns-nameservers 'x' is wrong: ")


def test_a_record_that_cannot_be_read_costs_no_other(bench: Bench) -> None:
    bench.up(static("eth0", 4, dns_nameservers=OTHER), static("eth1", 4, dns_nameservers=R))
    paths = bench.folder / "eth0.paths"
    paths.unlink()
    paths.mkdir()
    with bench.open_store() as store:
        assert read_named(store, [], []).resolvers == {R: "eth1"}


ETH0 = Path("eth0", "eth0", 2, 4, "10.1.1.2", "10.1.1.0/24", "10.1.1.1", False, True, 20002, True,
            True, (), way_out=True)
ETH1 = ETH0._replace(iface="eth1", device="eth1", ifindex=3, address="10.1.2.2",
                     subnet="10.1.2.0/24", gateway="10.1.2.1", table=20003)
SIX = ETH1._replace(family=6, address="fd00:2::2", subnet="fd00:2::/64", gateway="fe80::1")
UPLINKS = frozenset((2, 3))
DEFAULT = Route("default", "unicast", "10.1.1.1", 2, "", 0, 3)
NARROW = DEFAULT._replace(destination="192.0.2.0/24", device=9)
OURS = Name(4, R, "10.1.2.1", "eth1", 3, False, "10.1.2.2")


def choose(
    *main: Route, paths: tuple[Path, ...] = (ETH0, ETH1), local: tuple[Route, ...] = (),
    resolver: str = R,
) -> tuple[Name, ...]:
    return choose_names(Named({resolver: "eth1"}, ()), paths, UPLINKS, Routes(main, local))


def test_a_resolver_is_asked_over_the_path_of_who_names_it() -> None:
    assert choose(DEFAULT) == (OURS,)
    assert choose(DEFAULT, paths=(ETH0,)) == ()
    assert choose(DEFAULT, paths=(ETH1._replace(gateway="", subnet=""),)) == (
        OURS._replace(gateway=""),)
    assert choose(paths=(ETH1._replace(gateway="198.51.100.1", onlink=True),)) == (
        OURS._replace(gateway="198.51.100.1", onlink=True),)


def test_a_resolver_is_asked_over_a_path_of_its_family() -> None:
    assert choose(resolver=R6) == choose(paths=(SIX,)) == ()
    assert choose(resolver=R6, paths=(SIX,)) == (
        Name(6, R6, "fe80::1", "eth1", 3, False, "fd00:2::2"),)


@pytest.mark.parametrize("length, stays", [(32, True), (24, True), (2, True), (1, False)])
def test_what_main_knows_better_than_a_default_is_mains(length: int, stays: bool) -> None:
    narrow = DEFAULT._replace(destination=f"192.0.2.53/{length}" if length == 32 else {
        24: "192.0.2.0/24", 2: "192.0.0.0/2", 1: "128.0.0.0/1"}[length])
    assert (choose(DEFAULT, narrow) == ()) == stays
    # Whatever it does there, and whoever is its.
    assert (choose(DEFAULT, narrow._replace(kind="unreachable", device=0)) == ()) or not stays
    assert choose(DEFAULT, narrow._replace(destination="198.51.100.0/24")) == (OURS,)


@pytest.mark.parametrize("prefix, stays", [
    ("2001:db8::/32", True), ("2000::/5", True), ("2000::/3", False), ("2000::/4", False)])
def test_what_main_knows_better_than_the_pieces_of_a_default_of_ipv6(
    prefix: str, stays: bool
) -> None:
    route = Route(prefix, "unicast", "", 3, "", 1024, 3)
    assert (choose(route, resolver=R6, paths=(SIX,)) == ()) == stays


def test_a_piece_of_a_default_that_is_a_tunnels_takes_what_is_in_it() -> None:
    halves = [DEFAULT._replace(destination=half, device=9) for half in ("0.0.0.0/1", "128.0.0.0/1")]
    assert choose(DEFAULT, *halves) == choose(DEFAULT, halves[1]) == ()
    assert choose(DEFAULT, halves[0]) == (OURS,)
    # Of two, the one that the kernel takes; and one of an uplink's is as good as a default.
    assert choose(DEFAULT, halves[1]._replace(metric=5), halves[1]._replace(device=2)) == (OURS,)
    assert choose(DEFAULT, halves[1], halves[1]._replace(device=2, metric=5)) == ()


@pytest.mark.parametrize("resolver", [
    # All hosts of the own subnet, of which main may know nothing; and whom the kernel is asked for.
    "10.1.2.255", "192.0.2.1", "198.51.100.1", "203.0.113.1"])
def test_who_is_no_resolver_has_no_route(resolver: str) -> None:
    assert choose(DEFAULT, resolver=resolver) == ()


@pytest.mark.parametrize("kind", ["local", "3"])
def test_this_machine_and_what_it_hears_as_all_has_no_route(kind: str) -> None:
    """RTN_BROADCAST is 3."""
    here = Route("192.0.2.53/32", kind, "", 2, "", 0, 2)
    assert choose(DEFAULT, local=(here,)) == ()


def test_the_internet_is_asked_for_where_nobody_has_a_route_for_the_question() -> None:
    blocked = DEFAULT._replace(kind="unreachable", device=0, destination="192.0.2.0/24")
    assert choose_elsewhere(4, Routes((DEFAULT,), ())) == "192.0.2.1"
    assert choose_elsewhere(4, Routes((DEFAULT, blocked), ())) == "198.51.100.1"
    assert choose_elsewhere(4, Routes((DEFAULT, blocked._replace(destination="128.0.0.0/1")),
                                      ())) == "192.0.2.1"
    everything = tuple(blocked._replace(destination=f"{one}/2") for one in ("128.0.0.0",
                                                                            "192.0.0.0"))
    assert choose_elsewhere(4, Routes(everything, ())) == "192.0.2.1"
    assert choose_elsewhere(6, Routes((), ())) == "2001:db8::1"
