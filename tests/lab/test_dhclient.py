# SPDX-License-Identifier: GPL-2.0-or-later
"""ifupdown with dhclient, served by dnsmasq: the leases of an uplink from the first to the last."""

from __future__ import annotations

import time

import pytest

from tests.lab.support.dhcp import (
    ETH0,
    ETH1,
    ONE_DHCP,
    TWO_DHCP,
    has_path,
    list_defaults,
    list_rules,
)
from tests.lab.support.lab import Lab
from tests.lab.support.making import MakeLab
from tests.lab.support.monitor import Monitor
from tests.lab.support.paths import MEGABYTE, check_both_paths, route_get
from tests.lab.support.provider import SERVICES, Served, addresses, with_providers
from tests.lab.support.waiting import wait_for

BOTH = ["10.1.1.50 eth0 subflow", ETH1]


def configure_dhclient(lab: Lab, text: str) -> None:
    path = "/etc/dhcp/dhclient.conf"
    lab.write(path, f"{lab.read(path)}\n{text}\n")


@pytest.fixture
def leased(dhclient_lab: Served) -> Served:
    """eth0 static, eth1 with a lease that it renews after some 4 s."""
    lab, _, provider = dhclient_lab
    provider.serve_dhcp(renew=3)
    lab.set_interfaces(ONE_DHCP)
    lab.ifup("-a")
    return dhclient_lab


def test_two_uplinks_without_a_metric_are_two_paths(dhclient_lab: Served) -> None:
    lab, *providers = dhclient_lab
    before = lab.snapshot()
    for provider in providers:
        provider.serve_dhcp()
    lab.set_interfaces(TWO_DHCP)
    assert "mptcp" not in lab.ifup("-a")
    # The second gateway stands only in its lease.
    assert list_defaults(lab) == ["eth0"]
    assert has_path(lab, "10.1.1.50", "10.1.1.1", "eth0")
    assert has_path(lab, "10.1.2.50", "10.1.2.1")
    assert lab.endpoints() == BOTH
    check_both_paths(lab)
    assert "mptcp" not in lab.ifdown("-a")
    assert lab.snapshot() == before
    assert lab.client.run("ls", "/run/mptcp-hooks") == ""


def test_the_stanzas_options_hold_for_its_lease(dhclient_lab: Served) -> None:
    lab, *providers = dhclient_lab
    for provider in providers:
        provider.serve_dhcp()
    lab.set_interfaces(TWO_DHCP + "    mptcp-flags subflow backup\n    mptcp-table 300\n")
    lab.ifup("-a")
    assert has_path(lab, "10.1.2.50", "10.1.2.1", table=300, backup=True)
    assert lab.endpoints() == [BOTH[0], "10.1.2.50 eth1 subflow backup"]
    sent = lab.transfer(2 * MEGABYTE)
    assert sent.whole and sent.uplinks[1] < MEGABYTE / 10 < sent.uplinks[0], sent


def test_a_lease_of_an_uplink_that_is_off_changes_nothing(dhclient_lab: Served) -> None:
    lab, *providers = dhclient_lab
    for provider in providers:
        provider.serve_dhcp()
    lab.set_interfaces(TWO_DHCP + "    mptcp off\n")
    lab.ifup("-a")
    assert addresses(lab, "eth1") == ["10.1.2.50"]
    assert list_rules(lab, "10.1.2.50", "eth1") == []
    assert lab.endpoints() == BOTH[:1]
    sent = lab.transfer(MEGABYTE)
    assert sent.whole and sent.uplinks[1] < MEGABYTE / 10, sent


def test_a_renewal_brings_another_gateway(leased: Served) -> None:
    lab, _, provider = leased
    before = lab.snapshot()
    provider.serve_dhcp(gateway="10.1.2.254")
    wait_for(lambda: has_path(lab, "10.1.2.50", "10.1.2.254"))
    assert lab.snapshot() == before.replace("via 10.1.2.1 ", "via 10.1.2.254 ")
    check_both_paths(lab)


def test_a_renewal_brings_another_address_while_a_transfer_runs(dhclient_lab: Served) -> None:
    lab, _, provider = dhclient_lab
    provider.serve_dhcp(renew=3)
    lab.set_interfaces(ONE_DHCP + "    mptcp-table 300\n")
    lab.ifup("-a")
    assert has_path(lab, "10.1.2.50", "10.1.2.1", table=300)
    began = time.monotonic()
    transfer = lab.begin_transfer(75 * MEGABYTE)
    provider.serve_dhcp(first="10.2.2.60", gateway="10.2.2.254")
    wait_for(lambda: lab.endpoints() == [ETH0, "10.2.2.60 eth1 subflow"])
    renewed = time.monotonic() - began
    sent = transfer.finish()
    assert sent.whole and sent.seconds > renewed and min(sent.uplinks) > 10 * MEGABYTE, sent
    assert has_path(lab, "10.2.2.60", "10.2.2.254", table=300)
    assert "10.1.2.50" not in lab.snapshot()
    check_both_paths(lab)


def test_the_routes_of_a_lease_are_in_the_table_too(dhclient_lab: Served) -> None:
    lab, first, second = dhclient_lab
    private = "10.50.0.0/16"
    first.serve_dhcp(routes=(("0.0.0.0/0", "10.1.1.1"), (private, "10.1.1.8")))
    # With routes of option 121, `routers` does not count.
    second.serve_dhcp(gateway="10.1.2.77",
                      routes=((private, "10.1.2.8"), ("0.0.0.0/0", "10.1.2.1")))
    lab.set_interfaces(TWO_DHCP)
    lab.ifup("-a")
    assert has_path(lab, "10.1.1.50", "10.1.1.1", "eth0", routes=((private, "10.1.1.8"),))
    assert has_path(lab, "10.1.2.50", "10.1.2.1", routes=((private, "10.1.2.8"),))
    for number in (1, 2):
        answer = route_get(lab, "10.50.0.1", "from", f"10.1.{number}.50")
        assert (answer["dev"], answer["gateway"]) == (f"eth{number - 1}", f"10.1.{number}.8")
    # What main knows better, as a container's network, stays where it is.
    lab.client.ip("link add name br0 type bridge", "link set br0 up",
                  "addr add 10.50.7.1/24 dev br0")
    for number in (1, 2):
        assert route_get(lab, "10.50.7.9", "from", f"10.1.{number}.50")["dev"] == "br0"
    check_both_paths(lab)


def test_a_lease_that_ends_takes_its_path_along(dhclient_lab: Served) -> None:
    lab, _, provider = dhclient_lab
    provider.serve_dhcp()
    configure_dhclient(lab, "supersede dhcp-lease-time 3; supersede dhcp-renewal-time 2;\n"
                            "supersede dhcp-rebinding-time 2; initial-interval 1; retry 1;")
    lab.set_interfaces(ONE_DHCP)
    lab.ifup("eth0")
    alone = lab.snapshot().replace("add_addr_accepted 1", "add_addr_accepted 2")
    lab.ifup("eth1")
    assert has_path(lab, "10.1.2.50", "10.1.2.1")
    provider.stop_dhcp()
    wait_for(lambda: lab.snapshot() == alone)
    assert addresses(lab, "eth1") == []
    sent = lab.transfer(MEGABYTE)
    assert sent.whole and sent.uplinks[1] < MEGABYTE / 10, sent
    provider.serve_dhcp(first="10.1.2.70")
    wait_for(lambda: lab.endpoints() == [ETH0, "10.1.2.70 eth1 subflow"])
    assert has_path(lab, "10.1.2.70", "10.1.2.1")
    check_both_paths(lab)


def test_a_lease_that_is_refused_takes_its_path_along(leased: Served) -> None:
    lab, _, provider = leased
    assert has_path(lab, "10.1.2.50", "10.1.2.1")
    provider.refuse_dhcp()
    wait_for(lambda: lab.endpoints() == [ETH0])
    assert list_rules(lab, "10.1.2.50", "eth1") == []
    assert lab.table(20000 + lab.ifindex("eth1")) == []
    assert addresses(lab, "eth1") == []
    assert lab.transfer(MEGABYTE).whole


def test_a_server_that_was_silent_at_boot_answers_later(dhclient_lab: Served) -> None:
    lab, _, provider = dhclient_lab
    before = lab.snapshot()
    configure_dhclient(lab, "timeout 1; retry 1; initial-interval 1;")
    lab.set_interfaces(ONE_DHCP + "    mptcp-flags subflow backup\n    mptcp-table 300\n")
    lab.ifup("-a")
    assert lab.endpoints() == [ETH0]
    provider.serve_dhcp(routes=(("0.0.0.0/0", "10.1.2.1"), ("10.50.0.0/16", "10.1.2.8")))
    wait_for(lambda: lab.endpoints() == [ETH0, "10.1.2.50 eth1 subflow backup"])
    assert has_path(lab, "10.1.2.50", "10.1.2.1", table=300, backup=True,
                    routes=(("10.50.0.0/16", "10.1.2.8"),))
    assert lab.transfer(MEGABYTE).whole
    lab.ifdown("-a")
    assert lab.snapshot() == before
    assert lab.client.run("ls", "/run/mptcp-hooks") == ""


def test_a_gateway_that_is_the_clients_own_address_costs_this_path_alone(
    dhclient_lab: Served
) -> None:
    lab, _, provider = dhclient_lab
    provider.serve_dhcp()
    # dnsmasq leases no address that a router has.
    configure_dhclient(lab, "supersede routers 10.1.2.50;")
    lab.set_interfaces(ONE_DHCP)
    lines = [line for line in lab.ifup("-a").splitlines() if "mptcp" in line]
    assert lines == ["mptcp_lease: eth1: new_routers '10.1.2.50' is wrong: it must be the "
                     "router's address, not the lease's own"]
    assert lab.endpoints() == [ETH0]
    assert lab.transfer(MEGABYTE).whole


@pytest.fixture
def bare(make_lab: MakeLab) -> Served:
    """As dhclient_lab, without the package."""
    return with_providers(make_lab("isc-dhcp-client", routers=SERVICES, installed=False))


def test_the_package_takes_in_what_was_up_before_it_came(bare: Served, deb: str) -> None:
    lab, *providers = bare
    for provider in providers:
        provider.serve_dhcp()
    providers[1].serve_dhcp(routes=(("0.0.0.0/0", "10.1.2.1"), ("10.50.0.0/16", "10.1.2.8")))
    lab.set_interfaces(TWO_DHCP)
    lab.ifup("-a")
    before = lab.snapshot()
    assert lab.rules() == [] and list_defaults(lab) == ["eth0"]
    lab.client.run("dpkg", "-i", deb)
    monitor = Monitor(lab)
    assert lab.endpoints() == BOTH
    assert has_path(lab, "10.1.1.50", "10.1.1.1", "eth0")
    assert has_path(lab, "10.1.2.50", "10.1.2.1", routes=(("10.50.0.0/16", "10.1.2.8"),))
    check_both_paths(lab)
    lab.ifdown("-a")
    monitor.rest()
    assert lab.snapshot() == before
