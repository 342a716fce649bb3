# SPDX-License-Identifier: GPL-2.0-or-later
"""Every address of an uplink leaves by it, whoever brought it; and which one has the endpoint."""

from __future__ import annotations

import pytest

from tests.lab.support.lab import SERVER_4, TWO_UPLINKS, TWO_UPLINKS_6, Lab
from tests.lab.support.making import MakeLab
from tests.lab.support.monitor import Monitor
from tests.lab.support.paths import answers, route_get, rules_of
from tests.lab.support.provider import Served
from tests.lab.support.status import find, list_findings
from tests.lab.support.uplink import ETH1
from tests.lab.support.waiting import wait_for

KEEPALIVED = """\
vrrp_instance lab {
    state MASTER
    interface eth1
    virtual_router_id 7
    priority 200
    advert_int 0.1
    virtual_ipaddress {
        10.1.2.100/32
    }
}
"""
# What is there twice, so that there are two links to one provider.
SECOND_LINK = """\
iface mac0 inet static
    address 10.1.1.3/24
    mptcp-gateway 10.1.1.1
"""


@pytest.fixture
def uplinks(lab: Lab) -> Lab:
    """Both uplinks are up, with both families; eth1 gets a second address of its stanza."""
    lab.set_interfaces(TWO_UPLINKS + "    up ip addr add 10.1.2.22/24 dev eth1\n"
                       + TWO_UPLINKS_6.partition("\n")[2])
    assert lab.ifup("-a") == ""
    return lab


def list_wide(lab: Lab, family: int = 4) -> list[str]:
    """The rules for further addresses of subnets."""
    return [rule for rule in lab.rules(family) if " iif lo " in rule]


def count_sent(lab: Lab, device: str) -> int:
    return int(lab.client.run("cat", f"/sys/class/net/{device}/statistics/tx_packets"))


@pytest.mark.parametrize("strictness", [0, 1, 2])
def test_what_comes_to_a_further_address_is_answered_by_its_uplink(
    uplinks: Lab, strictness: int
) -> None:
    """router1 drops what has a source of router2's: the answer would be lost there."""
    for device in ("all", "eth0", "eth1"):
        uplinks.client.run("sysctl", "-qw", f"net.ipv4.conf.{device}.rp_filter={strictness}")
    before = uplinks.snapshot()
    # No event tells of them, and nobody watches.
    uplinks.client.ip("addr add 10.1.2.77/32 dev eth1", "-6 addr add fd00:2::7/128 dev eth1 nodad")
    for address in ("10.1.2.2", "10.1.2.22", "10.1.2.77", "fd00:2::7"):
        assert answers(uplinks, address), address
    # What main knows better than a default is main's.
    assert route_get(uplinks, "10.1.1.77", "from", "10.1.2.22")["dev"] == "eth0"
    assert uplinks.snapshot() == before
    assert find(uplinks) == ()


def test_the_rules_are_for_what_the_machine_itself_sends(uplinks: Lab) -> None:
    """What it forwards goes where main says, whatever address of an uplink's it has."""
    uplinks.client.run("sysctl", "-qw", "net.ipv4.ip_forward=1")
    uplinks.client.ip("link add guest0 type veth peer name guest1", "link set guest0 up",
                      "link set guest1 up", "addr add 10.7.0.1/24 dev guest0")
    answer = route_get(uplinks, SERVER_4, "from", "10.1.2.50", "iif", "guest0")
    assert answer["dev"] == "eth0"
    uplinks.client.ip("addr add 10.1.2.50/24 dev eth1")
    assert route_get(uplinks, SERVER_4, "from", "10.1.2.50")["dev"] == "eth1"


def test_an_alias_whose_stanza_repeats_no_gateway(lab: Lab) -> None:
    lab.set_interfaces(TWO_UPLINKS + "iface eth1:1 inet static\n    address 10.1.2.9/24\n")
    lab.ifup("-a")
    assert lab.ifup("eth1:1") == ""
    assert answers(lab, "10.1.2.9")
    assert find(lab) == ()
    before = lab.rules()
    lab.ifdown("eth1:1")
    assert lab.rules() == before


def test_an_address_by_dhcp_beside_a_static_one(dhclient_lab: Served) -> None:
    lab, _, provider = dhclient_lab
    provider.serve_dhcp()
    lab.set_interfaces(TWO_UPLINKS + "iface eth1 inet dhcp\n")
    lab.ifup("-a")
    assert answers(lab, "10.1.2.2") and answers(lab, "10.1.2.50")
    assert find(lab) == ()


def test_an_address_that_keepalived_moves_in_and_out(make_lab: MakeLab) -> None:
    lab = make_lab("keepalived")
    lab.set_interfaces(TWO_UPLINKS)
    lab.ifup("-a")
    before = lab.snapshot()
    lab.write("/etc/keepalived/keepalived.conf", KEEPALIVED)
    keepalived = lab.client.start("keepalived", "--dont-fork", "--vrrp")
    wait_for(lambda: "10.1.2.100/32" in lab.client.run("ip", "addr", "show", "dev", "eth1"))
    assert answers(lab, "10.1.2.100")
    assert find(lab) == () and lab.snapshot() == before
    keepalived.terminate()
    keepalived.wait(10)
    assert "10.1.2.100" not in lab.client.run("ip", "addr", "show", "dev", "eth1")
    assert lab.snapshot() == before


def test_two_links_in_one_subnet_share_it_by_their_own_addresses_alone(lab: Lab) -> None:
    lab.set_interfaces(TWO_UPLINKS.partition("iface eth1")[0].replace(" eth1", "") + SECOND_LINK)
    lab.ifup("-a")
    table = 20000 + lab.ifindex("eth0")
    alone = rules_of("10.1.1.2", "10.1.1.0/24", "eth0", table)
    assert lab.rules() == alone
    lab.client.ip("link add mac0 link eth0 type macvlan mode bridge")
    assert lab.ifup("mac0") == ""
    assert list_wide(lab) == [] and len(lab.rules()) == 2 * (len(alone) - 2)
    for address, device in (("10.1.1.2", "eth0"), ("10.1.1.3", "mac0")):
        assert route_get(lab, SERVER_4, "from", address)["dev"] == device
    before = count_sent(lab, "mac0")
    assert answers(lab, "10.1.1.3") and count_sent(lab, "mac0") > before + 5
    # A further address that no rule leads is told of where it goes astray.
    lab.client.ip("addr add 10.1.1.33/24 dev mac0")
    assert ("broken", "further-address", "mac0") in find(lab)
    lab.client.ip("addr del 10.1.1.33/24 dev mac0")
    lab.client.run("mptcp_up", "--all")
    assert list_wide(lab) == []
    lab.ifdown("mac0")
    # Who goes down knows of no other: without a monitor that is a person's.
    assert list_wide(lab) == []
    lab.client.run("mptcp_up", "--all")
    assert lab.rules() == alone


def test_an_address_of_a_device_that_is_left_alone_takes_part_in_the_subnet(lab: Lab) -> None:
    """It may be a tunnel's: what it has must not leave in clear by the uplink."""
    lab.set_interfaces(TWO_UPLINKS)
    lab.ifup("-a")
    Monitor(lab)
    before = lab.rules()
    lab.client.ip("link add guest0 type veth peer name guest1", "link set guest0 up",
                  "addr add 10.1.2.200/32 dev guest0")
    wait_for(lambda: not [rule for rule in list_wide(lab) if "10.1.2.0" in rule])
    assert [rule for rule in list_wide(lab) if "10.1.1.0" in rule]
    lab.client.ip("link del guest0")
    wait_for(lambda: lab.rules() == before)


def test_an_address_outside_every_subnet_is_told_and_a_stanza_of_its_own_helps(lab: Lab) -> None:
    lab.routers[1].ip("rule add pref 9 iif lan from 203.0.113.5 lookup main",
                      "route add 203.0.113.5 dev lan")
    lab.server.ip("route add 203.0.113.5 via 10.8.2.1")
    lab.set_interfaces(TWO_UPLINKS + "    up ip addr add 203.0.113.5/32 dev eth1\n"
                       "iface eth1:1 inet static\n    address 203.0.113.5/32\n"
                       "    mptcp-gateway 10.1.2.1\n")
    lab.ifup("-a")
    (finding,) = [one for one in list_findings(lab) if one["kind"] != "not-up"]
    assert finding["kind"] == "further-address" and "203.0.113.5" in finding["text"]
    assert "mptcp-gateway 10.1.2.1" in finding["remedy"]
    assert not answers(lab, "203.0.113.5")
    lab.client.ip("addr del 203.0.113.5/32 dev eth1")
    lab.ifup("eth1:1")
    assert answers(lab, "203.0.113.5") and find(lab) == ()


def test_five_uplinks_of_two_families_have_one_endpoint_each_before_any_has_two(lab: Lab) -> None:
    devices = [f"wan{number}" for number in range(5)]
    for number, device in enumerate(devices, start=1):
        lab.client.ip(f"link add {device} type veth peer name peer{number}",
                      f"link set {device} up", f"link set peer{number} up",
                      f"addr add 10.5.{number}.2/24 dev {device}",
                      f"-6 addr add 2001:db8:{number}::2/64 dev {device} nodad")
        for options in (
                {"ADDRFAM": "inet", "IF_ADDRESS": f"10.5.{number}.2", "IF_NETMASK": "24",
                 "IF_GATEWAY": f"10.5.{number}.1"},
                {"ADDRFAM": "inet6", "IF_ADDRESS": f"2001:db8:{number}::2", "IF_NETMASK": "64",
                 "IF_GATEWAY": f"2001:db8:{number}::1"}):
            done = lab.run_hook("if-up.d", ETH1 | options | {"IFACE": device})
            assert done.returncode == 0
    endpoints = lab.endpoints()
    assert len(endpoints) == 8
    assert {one.split()[1] for one in endpoints} == set(devices)
    assert len([one for one in endpoints if one.startswith("10.5.")]) == 5
    # The two that have none of IPv6 are told of, and are not broken.
    assert [(severity, kind) for severity, kind, _ in find(lab) if kind == "slots-full"] == [
        ("note", "slots-full")] * 2
    before = lab.snapshot()
    lab.client.run("mptcp_up", "--all")
    assert lab.snapshot() == before
