# SPDX-License-Identifier: GPL-2.0-or-later
"""IPv6 as routers advertise it: addresses come after the hooks, change, go with their router."""

from __future__ import annotations

import pytest

from tests.lab.support.lab import SERVER_6, Host, Lab
from tests.lab.support.making import MakeLab
from tests.lab.support.monitor import Monitor
from tests.lab.support.paths import MEGABYTE, check_both_paths, route_get, rules_of
from tests.lab.support.provider import SERVICES, Provider, Served, with_providers
from tests.lab.support.waiting import wait_for

AUTO = """\
auto eth0 eth1
iface eth0 inet6 auto
iface eth1 inet6 auto
"""
PRIVATE = AUTO.replace("inet6 auto\n", "inet6 auto\n    privext 2\n")
DHCP = """\
auto eth0 eth1
iface eth0 inet6 dhcp
iface eth1 inet6 auto
    dhcp 1
"""
# `static` of Debian 12 runs no hook where the address is still tentative after 6 s.
STATED = """\
auto eth0 eth1
iface eth0 inet6 static
    address fd00:1::2/64
    gateway fd00:1::1
    dad-attempts 0
iface eth1 inet6 manual
    address fd00:2::2/64
    mptcp-gateway fd00:2::1
    up ip link set eth1 up && ip addr add fd00:2::2/64 dev eth1
"""


@pytest.fixture
def served(make_lab: MakeLab) -> Served:
    """Fresh hosts, and what advertises on each uplink; nothing yet."""
    return with_providers(make_lab(routers=SERVICES))


@pytest.fixture
def hasty(served: Served) -> Served:
    """The same; addresses are there at once."""
    do_not_look_for_duplicates(served[0])
    return served


def do_not_look_for_duplicates(lab: Lab) -> None:
    lab.client.run("sysctl", "-qw", *(
        f"net.ipv6.conf.{device}.{option}=0" for device in ("eth0", "eth1")
        for option in ("dad_transmits", "router_solicitation_delay")))


def find_addresses(host: Host, device: str, *chosen: str) -> list[str]:
    """The IPv6 addresses of a device that `ip address show` chooses."""
    rows = host.ask("-6", "addr", "show", "dev", device, *chosen)
    return [one["local"] for row in rows for one in row["addr_info"] if one]


def wait_for_endpoint(lab: Lab, device: str, prefix: str) -> str:
    """Wait for the endpoint of an address that begins so; that address."""
    def find() -> list[str]:
        return [one for one in lab.endpoints() if one.startswith(prefix)]

    wait_for(find)
    (endpoint,) = find()
    own, _, rest = endpoint.partition(" ")
    assert rest == f"{device} subflow"
    return own


def wait_for_default(lab: Lab, provider: Provider, own: str) -> None:
    """Wait until what an address sends elsewhere leaves by the provider's router."""
    (gateway,) = find_addresses(provider.router, "lan", "scope", "link")
    expected = f"default via {gateway} dev {provider.device} proto mptcp src {own} "
    wait_for(lambda: [line for line in lab.table(table_of(lab, own), 6)
                      if line.startswith(expected)])


def table_of(lab: Lab, own: str) -> int:
    """The table to which an address leads, 0 without."""
    tables = [line.split()[4] for line in lab.rules(6) if line.startswith(f"20002: from {own} ")]
    return int(tables[0]) if tables else 0


def bring_up(served: Served, interfaces: str = AUTO) -> tuple[Monitor, list[str]]:
    """Both uplinks up and their paths there; their addresses."""
    lab, *providers = served
    monitor = Monitor(lab)
    lab.set_interfaces(interfaces)
    assert lab.ifup("-a") == ""
    for provider in providers:
        provider.advertise()
    return monitor, [wait_for_endpoint(lab, each.device, f"fd00:{each.number}:")
                     for each in providers]


def rest(monitor: Monitor, *providers: Provider) -> None:
    """Wait until all is dealt with; each advertisement would wake the monitor."""
    for provider in providers:
        provider.stop_advertising(farewell=False)
    monitor.rest()


def check_silent(monitor: Monitor) -> None:
    """It ran commands, and had nothing to complain of."""
    assert monitor.read_log() and list_complaints(monitor) == []


def list_complaints(monitor: Monitor) -> list[str]:
    return [line for line in monitor.read_log() if not line.startswith("[#] ")]


def test_a_path_comes_with_the_address_and_goes_with_ifdown(served: Served) -> None:
    lab, *providers = served
    before = lab.snapshot()
    monitor = Monitor(lab)
    lab.set_interfaces(AUTO)
    assert lab.ifup("-a") == ""
    monitor.rest()
    assert lab.rules(6) == [] and lab.endpoints() == []
    for provider in providers:
        provider.advertise()
    rules = []
    for provider in providers:
        own = wait_for_endpoint(lab, provider.device, f"fd00:{provider.number}:")
        table = 20000 + lab.ifindex(provider.device)
        rules += rules_of(own, provider.prefix, provider.device, table)
        wait_for_default(lab, provider, own)
    assert sorted(lab.rules(6)) == sorted(rules) and len(lab.endpoints()) == 2
    check_both_paths(lab, SERVER_6)
    lab.ifdown("-a")
    monitor.rest()
    assert lab.snapshot() == before
    assert lab.client.run("ls", "/run/mptcp-hooks") == ""
    check_silent(monitor)


def test_temporary_addresses_leave_by_their_uplink_and_have_no_endpoint(served: Served) -> None:
    lab, *providers = served
    monitor, lasting = bring_up(served, PRIVATE)
    for provider in providers:
        (temporary,) = wait_for(lambda: find_addresses(
            lab.client, provider.device, "temporary", "-tentative"))
        wait_for(lambda: route_get(lab, SERVER_6, "from", temporary)["dev"] == provider.device)
    rest(monitor, *providers)
    assert lab.endpoints() == [f"{own} eth{number} subflow" for number, own in enumerate(lasting)]
    # The kernel prefers a temporary address for a connection's first subflow.
    check_both_paths(lab, SERVER_6)


def test_a_second_prefix_takes_nothing_from_the_first(hasty: Served) -> None:
    lab, *providers = hasty
    monitor, _ = bring_up(hasty)
    before = lab.snapshot()
    providers[1].advertise("fd00:2:1::/64")
    (second,) = wait_for(lambda: [one for one in find_addresses(lab.client, "eth1")
                                  if one.startswith("fd00:2:1:")])
    wait_for_default(lab, providers[1], second)
    rest(monitor, *providers)
    assert set(before.splitlines()) <= set(lab.snapshot().splitlines())
    assert not [line for line in monitor.read_log() if " del" in line]
    check_both_paths(lab, SERVER_6)


def test_a_global_prefix_takes_the_endpoint_from_a_local_one(hasty: Served) -> None:
    """Whichever comes first: nothing beyond the site can answer an address of fc00::/7."""
    lab, *providers = hasty
    monitor, _ = bring_up(hasty)
    providers[1].advertise("2001:db8:2::/64")
    own = wait_for_endpoint(lab, "eth1", "2001:db8:2:")
    assert len(lab.endpoints()) == 2
    wait_for_default(lab, providers[1], own)
    (bound,) = [rule for rule in lab.rules(6) if rule.startswith("20006:") and "oif eth1" in rule]
    assert f"lookup {table_of(lab, own)} " in bound
    rest(monitor, *providers)
    check_both_paths(lab, SERVER_6)


def test_a_prefix_is_renumbered_during_a_transfer(hasty: Served) -> None:
    lab, *providers = hasty
    provider = providers[1]
    monitor, (first, old) = bring_up(hasty)
    table = table_of(lab, old)
    transfer = lab.begin_transfer(15 * MEGABYTE, SERVER_6)
    provider.advertise(preferred=0)
    provider.advertise("fd00:2:1::/64")
    new = wait_for_endpoint(lab, "eth1", "fd00:2:1:")
    wait_for(lambda: lab.endpoints() == [f"{first} eth0 subflow", f"{new} eth1 subflow"])
    assert find_addresses(lab.client, "eth1", "deprecated") == [old]
    wait_for_default(lab, provider, new)
    sent = transfer.finish()
    assert sent.whole and min(sent.uplinks) > MEGABYTE, sent
    # Connections that have the old address still leave by its link.
    wait_for_default(lab, provider, old)
    assert table_of(lab, old) == table
    # The next advertisement of the old prefix would bring its address back; and a round that one of
    # them began would be refused what it has planned for the address.
    rest(monitor, *providers)
    lab.client.ip(f"-6 addr del {old}/64 dev eth1")
    wait_for(lambda: old not in lab.snapshot())
    check_both_paths(lab, SERVER_6)
    check_silent(monitor)


def test_a_path_goes_and_comes_with_its_router(hasty: Served) -> None:
    lab, _, provider = hasty
    monitor, (first, own) = bring_up(hasty)
    before = lab.snapshot()
    transfer = lab.begin_transfer(10 * MEGABYTE, SERVER_6)
    provider.stop_advertising()
    wait_for(lambda: own not in lab.snapshot())
    assert find_addresses(lab.client, "eth1", "scope", "global") == [own]
    assert lab.endpoints() == [f"{first} eth0 subflow"]
    assert transfer.finish().whole
    provider.advertise()
    wait_for(lambda: lab.snapshot() == before)
    check_both_paths(lab, SERVER_6)
    check_silent(monitor)


def test_an_address_that_another_host_has_gets_no_path(served: Served) -> None:
    """One that is advertised: the kernel removes it, and makes it anew at each advertisement."""
    lab, first, second = served
    monitor = Monitor(lab)
    lab.set_interfaces(AUTO)
    assert lab.ifup("-a") == ""
    (link,) = find_addresses(lab.client, "eth1", "scope", "link")
    taken = link.replace("fe80::", "fd00:2::")
    second.router.ip(f"-6 addr add {taken}/64 dev lan nodad")
    first.advertise()
    second.advertise()
    own = wait_for_endpoint(lab, "eth0", "fd00:1:")
    for _ in range(2):
        wait_for(lambda: find_addresses(lab.client, "eth1", "scope", "global", "tentative"))
        wait_for(lambda: not find_addresses(lab.client, "eth1", "scope", "global"))
    assert "eth1" not in lab.snapshot() and taken not in lab.snapshot()
    assert not [line for line in monitor.read_log() if taken in line]
    second.router.ip(f"-6 addr del {taken}/64 dev lan")
    wait_for(lambda: lab.endpoints() == [f"{own} eth0 subflow", f"{taken} eth1 subflow"])
    check_both_paths(lab, SERVER_6)
    check_silent(monitor)


def test_a_stated_address_that_another_host_has_gets_no_path(lab: Lab) -> None:
    monitor = Monitor(lab)
    lab.set_interfaces(STATED)
    lab.routers[1].ip("-6 addr add fd00:2::2/64 dev lan nodad")
    lab.ifup("-a")
    assert find_addresses(lab.client, "eth1", "dadfailed") == ["fd00:2::2"]
    monitor.rest()
    assert lab.endpoints() == ["fd00:1::2 eth0 subflow"] and "eth1" not in lab.snapshot()
    lab.routers[1].ip("-6 addr del fd00:2::2/64 dev lan")
    lab.client.ip("-6 addr del fd00:2::2/64 dev eth1", "-6 addr add fd00:2::2/64 dev eth1")
    wait_for_endpoint(lab, "eth1", "fd00:2::2")
    check_both_paths(lab, SERVER_6)


def test_an_address_waits_for_the_carrier(lab: Lab) -> None:
    """A static one too: without a carrier the kernel cannot look for a duplicate of it."""
    monitor = Monitor(lab)
    lab.set_interfaces(STATED)
    lab.routers[1].ip("link set lan down")
    assert lab.ifup("-a") == (
        "mptcp_up: eth1: fd00:2::2 is still checked for a duplicate: mptcp_monitor, or "
        "'mptcp_up eth1', completes the setup afterwards\n")
    monitor.rest()
    assert lab.endpoints() == ["fd00:1::2 eth0 subflow"] and "eth1" not in lab.snapshot()
    lab.routers[1].ip("link set lan up")
    wait_for_endpoint(lab, "eth1", "fd00:2::2")
    check_both_paths(lab, SERVER_6)
    lab.ifdown("-a")
    assert lab.rules(6) == [] and lab.endpoints() == []


def test_an_address_by_dhcp_has_the_gateway_that_is_advertised(
    dhclient_lab: tuple[Lab, Provider, Provider]
) -> None:
    """And with `dhcp 1`, which asks for anything but an address, the advertised one has it."""
    lab, *providers = dhclient_lab
    do_not_look_for_duplicates(lab)
    before = lab.snapshot()
    monitor = Monitor(lab)
    for provider in providers:
        provider.advertise(managed=True)
        provider.serve_dhcp6()
    lab.set_interfaces(DHCP)
    lab.ifup("-a")
    wait_for_default(lab, providers[0], "fd00:1::50")
    assert not [line for line in lab.rules(6) if line.startswith("20000: from fd00:1::50 ")]
    own = wait_for_endpoint(lab, "eth1", "fd00:2:")
    wait_for_default(lab, providers[1], own)
    rest(monitor, *providers)
    assert [one.split()[1] for one in lab.endpoints()] == ["eth0", "eth1"]
    check_both_paths(lab, SERVER_6)
    lab.ifdown("-a")
    monitor.rest()
    assert lab.snapshot() == before
    # Where routers are quicker than dhclient, its hook finds all there, and no command is left.
    assert list_complaints(monitor) == []


def test_a_router_with_too_many_prefixes_gets_one_endpoint_and_leaves_nothing(
    hasty: Served
) -> None:
    """The kernel takes 16 addresses of an interface at the most (max_addresses)."""
    lab, _, provider = hasty
    for number in range(1, 25):
        provider.advertise(f"fd00:2:{number}::/64")
    monitor = Monitor(lab)
    lab.set_interfaces("iface eth1 inet6 auto\n")
    lab.ifup("eth1")
    wait_for(lambda: len(find_addresses(lab.client, "eth1", "scope", "global")) >= 10)
    wait_for(lambda: len(lab.endpoints()) == 1 and len(lab.rules(6)) >= 30)
    provider.stop_advertising()
    wait_for(lambda: lab.rules(6) == [] and lab.endpoints() == [])
    assert [line for line in monitor.read_log() if not line.startswith("[#]")] == []
