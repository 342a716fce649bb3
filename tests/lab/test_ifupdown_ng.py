# SPDX-License-Identifier: GPL-2.0-or-later
"""ifupdown-ng in ifupdown's place: one call an interface, lists of addresses, no PATH."""

from __future__ import annotations

import pytest

from tests.lab.support.lab import SERVER_6, Lab
from tests.lab.support.making import MakeLab
from tests.lab.support.monitor import Monitor
from tests.lab.support.paths import FURTHER_RULES, MEGABYTE, RULES, check_both_paths, rules_of
from tests.lab.support.programs import is_known
from tests.lab.support.provider import SERVICES, Provider
from tests.lab.support.status import quote_remedy
from tests.lab.support.waiting import wait_for

# It takes one interface in an `auto` line.
LISTS = """\
auto eth0
iface eth0
    address 10.1.1.2/24
    address fd00:1::2/64
    gateway 10.1.1.1
    gateway fd00:1::1
auto eth1
iface eth1
    address 10.1.2.2/24
    address 10.1.2.3/24
    address fd00:2::2/64
    mptcp-gateway 10.1.2.1
    up ip route add default via fd00:2::1 dev eth1 metric 2000
"""
ENDPOINTS = ["10.1.1.2 eth0 subflow", "10.1.2.2 eth1 subflow", "fd00:1::2 eth0 subflow",
             "fd00:2::2 eth1 subflow"]
BACKUP = """\
iface eth1
    address 10.1.2.9/24
    mptcp-gateway 10.1.2.1
    mptcp-flags subflow backup
"""
TWO_DHCP = """\
auto eth0
iface eth0 inet dhcp
auto eth1
iface eth1
    use dhcp
    mptcp-flags subflow fullmesh
"""


@pytest.fixture
def lab(make_lab: MakeLab) -> Lab:
    # Since Debian 13 its programs have names of their own but for this package.
    compat = tuple(filter(is_known, ("ifupdown-ng-compat",)))
    return make_lab("ifupdown-ng", *compat, "isc-dhcp-client", routers=SERVICES)


@pytest.mark.long
def test_lists_of_addresses_come_and_go_with_one_call(lab: Lab) -> None:
    before = lab.snapshot()
    lab.set_interfaces(LISTS)
    assert lab.ifup("-a") == ""
    assert lab.endpoints() == ENDPOINTS
    table = 20000 + lab.ifindex("eth1")
    further = rules_of("10.1.2.3", "10.1.2.0/24", "eth1", table + 10_000_000)[
        :FURTHER_RULES]
    assert set(rules_of("10.1.2.2", "10.1.2.0/24", "eth1", table) + further) <= set(lab.rules())
    assert len(lab.rules()) == 2 * RULES + FURTHER_RULES
    assert lab.rules(6) and set(rules_of("fd00:2::2", "fd00:2::/64", "eth1", table)) <= set(
        lab.rules(6))
    check_both_paths(lab)
    check_both_paths(lab, SERVER_6)
    assert lab.ifdown("-a") == ""
    assert lab.snapshot() == before
    assert lab.client.run("ls", "/run/mptcp-hooks") == ""


def test_hooks_have_no_path_and_need_none(lab: Lab) -> None:
    lab.write("/etc/network/if-up.d/aa-test", "#!/usr/bin/env -S bash -c 'env >/run/environment'\n")
    lab.client.run("chmod", "755", "/etc/network/if-up.d/aa-test")
    lab.set_interfaces(BACKUP)
    assert lab.ifup("eth1") == ""
    assert "IFACE=eth1" in lab.read("/run/environment")
    assert "\nPATH=" not in "\n" + lab.read("/run/environment")
    assert lab.endpoints() == ["10.1.2.9 eth1 subflow backup"]


def test_an_edited_stanza_during_a_transfer(lab: Lab) -> None:
    """`ifup --force` adds the new address, and the old one stays until somebody removes it."""
    lab.set_interfaces(LISTS)
    lab.ifup("-a")
    monitor = Monitor(lab)
    transfer = lab.begin_transfer(10 * MEGABYTE)
    lab.set_interfaces(LISTS.partition("iface eth1")[0] + BACKUP)
    assert lab.ifup("--force", "eth1") == ""
    assert "10.1.2.9 eth1 subflow backup" in lab.endpoints()
    lab.client.run("sysctl", "-qw", "net.ipv4.conf.eth1.promote_secondaries=1")
    for own in ("10.1.2.2", "10.1.2.3"):
        lab.client.run("ip", "addr", "del", f"{own}/24", "dev", "eth1")
    wait_for(lambda: lab.endpoints() == [ENDPOINTS[0], "10.1.2.9 eth1 subflow backup",
                                         *ENDPOINTS[2:]])
    wait_for(lambda: "10.1.2.2" not in lab.snapshot() and "10.1.2.3" not in lab.snapshot())
    assert transfer.finish().whole
    lab.ifdown("-a")
    monitor.rest()
    assert lab.endpoints() == [] and lab.rules() == [] and lab.rules(6) == []


def test_leases_of_both_uplinks(lab: Lab) -> None:
    before = lab.snapshot()
    for number in (1, 2):
        Provider(lab, number).serve_dhcp()
    lab.set_interfaces(TWO_DHCP)
    lab.ifup("-a")
    assert lab.endpoints() == ["10.1.1.50 eth0 subflow", "10.1.2.50 eth1 subflow fullmesh"]
    for number in (1, 2):
        assert (f"default via 10.1.{number}.1 dev eth{number - 1} proto mptcp src 10.1.{number}.50"
                in lab.table(20000 + lab.ifindex(f"eth{number - 1}")))
    check_both_paths(lab)
    lab.ifdown("-a")
    assert lab.snapshot() == before


def test_interfaces_that_were_up_before_the_package_have_no_options_until_ifup(lab: Lab) -> None:
    """Its ifquery says which are up, and not what of their stanzas is ours."""
    lab.set_interfaces(LISTS)
    lab.ifup("-a")
    lab.client.run("sh", "-c", "mptcp_down --all; rm -f /run/mptcp-hooks/*")
    lab.client.run("mptcp_up", "--all")
    assert lab.endpoints() == [one for one in ENDPOINTS if not one.startswith("10.1.2.2 ")]
    lab.client.run("sh", "-c", "ifdown eth1; ifup eth1")
    assert lab.endpoints() == ENDPOINTS
    check_both_paths(lab)


def test_what_was_taken_for_a_lan_is_given_its_gateway(lab: Lab) -> None:
    lan = "auto eth1\niface eth1\n    address 10.1.2.2/24\n"
    lab.set_interfaces(lan)
    lab.ifup("-a")
    option, command, _ = quote_remedy(lab, "no-gateway")
    lab.set_interfaces(lan + "    " + option.replace("ADDRESS", "10.1.2.1") + "\n")
    lab.client.run("sh", "-c", command)
    assert lab.endpoints() == ["10.1.2.2 eth1 subflow"]
