# SPDX-License-Identifier: GPL-2.0-or-later
"""ifupdown2 in ifupdown's place: one call an interface, and again without a down."""

from __future__ import annotations

import pytest

from tests.lab.support.breakages import LAN
from tests.lab.support.lab import SERVER_6, TWO_UPLINKS, Lab
from tests.lab.support.making import MakeLab
from tests.lab.support.monitor import Monitor
from tests.lab.support.paths import BOTH, MEGABYTE, check_both_paths, rules_of_uplinks
from tests.lab.support.provider import SERVICES, Provider
from tests.lab.support.status import find, quote_remedy
from tests.lab.support.waiting import wait_for

MANY = """\
auto eth0 eth1
iface eth0
    address 10.1.1.2/24
    address fd00:1::2/64
    gateway 10.1.1.1
    gateway fd00:1::1
iface eth1 inet static
    address 10.1.2.2/24
    address 10.1.2.3/24
    mptcp-gateway 10.1.2.1
iface eth1 inet6 static
    address fd00:2::2/64
    up ip route add default via fd00:2::1 dev eth1 metric 2000
"""
TWO_DHCP = """\
auto eth0 eth1
iface eth0 inet dhcp
iface eth1 inet dhcp
    mptcp-flags subflow fullmesh
"""


@pytest.fixture
def lab(make_lab: MakeLab) -> Lab:
    return make_lab("ifupdown2", "isc-dhcp-client", routers=SERVICES)


def test_two_uplinks_come_and_go(lab: Lab) -> None:
    before = lab.snapshot()
    lab.set_interfaces(TWO_UPLINKS)
    assert "mptcp" not in lab.ifup("-a")
    assert sorted(lab.rules()) == rules_of_uplinks(lab, 0, 1)
    assert lab.endpoints() == BOTH
    check_both_paths(lab)
    assert "mptcp" not in lab.ifdown("-a")
    assert lab.snapshot() == before
    assert lab.client.run("ls", "/run/mptcp-hooks") == ""


def test_a_reload_puts_another_address_in_the_place_of_the_old(lab: Lab) -> None:
    lab.set_interfaces(TWO_UPLINKS)
    lab.ifup("-a")
    lab.client.run("ifreload", "-a")
    before = lab.snapshot()
    assert lab.endpoints() == BOTH
    transfer = lab.begin_transfer(10 * MEGABYTE)
    lab.set_interfaces(TWO_UPLINKS.replace("10.1.2.2", "10.1.2.3")
                       + "    mptcp-flags backup subflow\n")
    lab.client.run("ifreload", "-a")
    assert lab.endpoints() == [BOTH[0], "10.1.2.3 eth1 subflow backup"]
    way_out = f"from all lookup {20000 + lab.ifindex('eth1')}"
    assert lab.snapshot() == before.replace("10.1.2.2", "10.1.2.3").replace(
        "eth1 subflow", "eth1 subflow backup").replace(f"32768: {way_out}", f"32769: {way_out}")
    assert transfer.finish().whole
    lab.set_interfaces(TWO_UPLINKS)
    lab.client.run("ifreload", "-a")
    assert lab.snapshot() == before
    check_both_paths(lab)


def test_interfaces_that_were_up_before_the_package_come_by_a_reload(lab: Lab) -> None:
    """Its ifquery tells nobody which are up."""
    lab.set_interfaces(TWO_UPLINKS)
    lab.ifup("-a")
    before = lab.snapshot()
    lab.client.run("sh", "-c", "mptcp_down --all; rm -f /run/mptcp-hooks/*")
    assert lab.endpoints() == []
    lab.client.run("ifreload", "-a")
    assert lab.snapshot() == before
    check_both_paths(lab)


def test_what_was_taken_for_a_lan_is_given_its_gateway(lab: Lab) -> None:
    lab.set_interfaces(LAN)
    lab.ifup("-a")
    option, command, _ = quote_remedy(lab, "no-gateway")
    lab.set_interfaces(LAN + "    " + option.replace("ADDRESS", "10.1.2.1") + "\n")
    lab.client.run("sh", "-c", command)
    assert find(lab) == () and lab.endpoints() == BOTH


def test_a_reload_without_a_stanza_takes_its_path(lab: Lab) -> None:
    lab.set_interfaces(TWO_UPLINKS)
    lab.ifup("-a")
    lab.set_interfaces(TWO_UPLINKS.partition("iface eth1")[0].replace(" eth1", ""))
    lab.client.run("ifreload", "-a")
    assert lab.endpoints() == BOTH[:1] and "eth1" not in lab.snapshot()


def test_both_families_come_with_one_call(lab: Lab) -> None:
    before = lab.snapshot()
    monitor = Monitor(lab)
    lab.set_interfaces(MANY)
    assert "mptcp" not in lab.ifup("-a")
    wait_for(lambda: lab.endpoints() == [*BOTH, "fd00:1::2 eth0 subflow", "fd00:2::2 eth1 subflow"])
    check_both_paths(lab)
    check_both_paths(lab, SERVER_6)
    lab.ifdown("-a")
    monitor.rest()
    assert lab.snapshot() == before


def test_leases_of_both_uplinks(lab: Lab) -> None:
    before = lab.snapshot()
    for number in (1, 2):
        Provider(lab, number).serve_dhcp()
    lab.set_interfaces(TWO_DHCP)
    assert "mptcp" not in lab.ifup("-a")
    assert lab.endpoints() == ["10.1.1.50 eth0 subflow", "10.1.2.50 eth1 subflow fullmesh"]
    for number in (1, 2):
        assert (f"default via 10.1.{number}.1 dev eth{number - 1} proto mptcp src 10.1.{number}.50"
                in lab.table(20000 + lab.ifindex(f"eth{number - 1}")))
    check_both_paths(lab)
    lab.ifdown("-a")
    assert lab.snapshot() == before


def test_mptcp_up_repairs_what_the_hooks_were_told(lab: Lab) -> None:
    """Its ifquery prints the file's lines: the options of mptcp_up are those on record."""
    lab.set_interfaces(TWO_UPLINKS)
    lab.ifup("-a")
    full = lab.snapshot()
    lab.client.ip("rule del pref 20002 from 10.1.2.2")
    assert lab.client.run("mptcp_up", "eth1") == ""
    assert lab.snapshot() == full
