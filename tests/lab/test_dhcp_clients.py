# SPDX-License-Identifier: GPL-2.0-or-later
"""ifupdown with other DHCP clients: dhcpcd, which tells our hook, and udhcpc, which does not."""

from __future__ import annotations

import pytest

from tests.lab.support.dhcp import (
    ETH0,
    ETH1,
    ONE_DHCP,
    TWO_DHCP,
    has_path,
    keep_only,
    list_defaults,
    list_rules,
)
from tests.lab.support.lab import Lab
from tests.lab.support.making import MakeLab
from tests.lab.support.monitor import Monitor
from tests.lab.support.paths import check_both_paths
from tests.lab.support.provider import SERVICES, Served, addresses, with_providers
from tests.lab.support.waiting import wait_for

PRIVATE = ("10.50.0.0/16", "10.1.2.8")


@pytest.fixture
def dhcpcd(make_lab: MakeLab) -> Served:
    lab = make_lab("dhcpcd-base", routers=SERVICES)
    keep_only(lab, "dhcpcd")
    return with_providers(lab)


@pytest.fixture
def udhcpc(make_lab: MakeLab) -> Served:
    lab = make_lab("udhcpc", routers=SERVICES)
    keep_only(lab, "udhcpc")
    return with_providers(lab)


def leave(lab: Lab, before: str) -> None:
    """Take both uplinks down, which leaves nothing behind."""
    assert "mptcp" not in lab.ifdown("-a")
    wait_for(lambda: lab.client.run("ls", "/run/mptcp-hooks") == "")
    assert lab.snapshot() == before


def test_dhcpcd_leases_become_paths_with_their_routes(dhcpcd: Served) -> None:
    lab, first, second = dhcpcd
    before = lab.snapshot()
    first.serve_dhcp()
    second.serve_dhcp(gateway="10.1.2.77", routes=(PRIVATE, ("0.0.0.0/0", "10.1.2.1")))
    lab.set_interfaces(TWO_DHCP + "    mptcp-table 300\n")
    said = lab.ifup("-a")
    assert "dhcpcd-" in said and "mptcp" not in said
    # dhcpcd may go to the background, and let ifup run its hooks, before it has told ours.
    wait_for(lambda: has_path(lab, "10.1.2.50", "10.1.2.1", table=300, routes=(PRIVATE,)))
    wait_for(lambda: lab.endpoints() == ["10.1.1.50 eth0 subflow", ETH1])
    assert has_path(lab, "10.1.1.50", "10.1.1.1", "eth0")
    check_both_paths(lab)
    leave(lab, before)


def test_dhcpcd_tells_our_hook_of_a_renewal(dhcpcd: Served) -> None:
    lab, _, provider = dhcpcd
    before = lab.snapshot()
    provider.serve_dhcp()
    lab.set_interfaces(ONE_DHCP + "    mptcp-flags subflow backup\n")
    lab.ifup("-a")
    wait_for(lambda: has_path(lab, "10.1.2.50", "10.1.2.1", backup=True))
    provider.serve_dhcp(first="10.2.2.60", gateway="10.2.2.254")
    lab.client.run("dhcpcd", "--rebind", "eth1")
    wait_for(lambda: lab.endpoints() == [ETH0, "10.2.2.60 eth1 subflow backup"])
    assert has_path(lab, "10.2.2.60", "10.2.2.254", backup=True)
    assert "10.1.2.50" not in lab.snapshot()
    assert lab.transfer(1000).whole
    leave(lab, before)


def test_dhcpcd_tells_our_hook_of_a_lease_that_comes_late(dhcpcd: Served) -> None:
    lab, _, provider = dhcpcd
    lab.write("/etc/dhcpcd.conf", lab.read("/etc/dhcpcd.conf") + "background\n")
    lab.set_interfaces(ONE_DHCP + "    mptcp-table 300\n")
    lab.ifup("-a")
    assert lab.endpoints() == [ETH0]
    provider.serve_dhcp()
    wait_for(lambda: lab.endpoints() == [ETH0, ETH1])
    assert has_path(lab, "10.1.2.50", "10.1.2.1", table=300)
    check_both_paths(lab)


def test_udhcpc_tells_of_one_gateway_and_the_stanza_of_the_other(udhcpc: Served) -> None:
    lab, *providers = udhcpc
    before = lab.snapshot()
    for provider in providers:
        provider.serve_dhcp()
    lab.set_interfaces(TWO_DHCP + "    mptcp-gateway 10.1.2.1\n")
    said = lab.ifup("-a")
    assert "udhcpc:" in said and "mptcp" not in said
    assert list_defaults(lab) == ["eth0"]
    assert has_path(lab, "10.1.1.50", "10.1.1.1", "eth0")
    assert has_path(lab, "10.1.2.50", "10.1.2.1")
    assert lab.endpoints() == ["10.1.1.50 eth0 subflow", ETH1]
    check_both_paths(lab)
    leave(lab, before)


def test_the_monitor_follows_what_udhcpc_does(udhcpc: Served) -> None:
    lab, first, second = udhcpc
    before = lab.snapshot()
    first.serve_dhcp()
    second.serve_dhcp()
    lab.set_interfaces(TWO_DHCP + "    mptcp-gateway 10.1.2.1\n")
    lab.ifup("-a")
    monitor = Monitor(lab)
    first.serve_dhcp(first="10.2.1.60", gateway="10.2.1.254")
    # It asks for nothing before half the lease's time, unless it is told to.
    lab.client.run("sh", "-c", "kill -USR1 $(cat /run/udhcpc.eth0.pid)")
    wait_for(lambda: has_path(lab, "10.2.1.60", "10.2.1.254", "eth0"))
    monitor.rest()
    assert addresses(lab, "eth0") == ["10.2.1.60"]
    assert lab.endpoints() == [ETH1, "10.2.1.60 eth0 subflow"]
    assert list_rules(lab, "10.1.1.50", "lo") == []
    check_both_paths(lab)
    leave(lab, before)
    monitor.rest()
    assert lab.snapshot() == before
