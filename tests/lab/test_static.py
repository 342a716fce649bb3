# SPDX-License-Identifier: GPL-2.0-or-later
"""Static stanzas, brought up by the real ifup: what the kernel holds then."""

from __future__ import annotations

import json

import pytest

from tests.lab.support.lab import TWO_UPLINKS, Lab
from tests.lab.support.paths import route_get, rules_of, rules_of_uplinks


def test_two_uplinks_each_leave_by_their_own_link(lab: Lab) -> None:
    lab.set_interfaces(TWO_UPLINKS)
    assert lab.ifup("-a") == ""
    for number in (1, 2):
        device, table = f"eth{number - 1}", 20000 + lab.ifindex(f"eth{number - 1}")
        address = f"10.1.{number}.2"
        assert lab.table(table) == [
            f"10.1.{number}.0/24 dev {device} proto mptcp scope link src {address}",
            f"default via 10.1.{number}.1 dev {device} proto mptcp src {address}",
            "unreachable default proto mptcp metric 4294967295",
        ]
        for destination in ("10.99.0.1", f"10.1.{number}.77"):
            answer = route_get(lab, destination, "from", address)
            assert (answer["dev"], answer["table"]) == (device, str(table))
    assert sorted(lab.rules()) == rules_of_uplinks(lab, 0, 1)
    assert [row["dev"] for row in lab.client.ask("route", "show", "default")] == ["eth0"]
    assert lab.endpoints() == ["10.1.1.2 eth0 subflow", "10.1.2.2 eth1 subflow"]
    assert lab.rules(6) == []


def test_ifdown_leaves_nothing_behind(lab: Lab) -> None:
    before = lab.snapshot()
    lab.set_interfaces(TWO_UPLINKS)
    lab.ifup("-a")
    assert lab.snapshot() != before
    assert lab.ifdown("-a") == ""
    assert lab.snapshot() == before
    assert lab.client.run("ls", "/run/mptcp-hooks") == ""


def test_both_families_of_one_interface(lab: Lab) -> None:
    before = lab.snapshot()
    lab.set_interfaces("""\
auto eth1
iface eth1 inet static
    address 10.1.2.2/24
    mptcp-gateway 10.1.2.1
iface eth1 inet6 static
    address FD00:2:0::2/64
    gateway fd00:0002::0001
    dad-attempts 0
""")
    assert lab.ifup("-a") == ""
    table = 20000 + lab.ifindex("eth1")
    assert lab.rules(6) == rules_of("fd00:2::2", "fd00:2::/64", "eth1", table)
    routes = lab.table(table, 6)
    assert any(line.startswith("default via fd00:2::1 dev eth1 proto mptcp src fd00:2::2")
               for line in routes), routes
    assert any(line.startswith("fd00:2::/64 dev eth1 proto mptcp src fd00:2::2") for line in routes)
    assert any(line.startswith("unreachable default dev lo proto mptcp metric 4294967295")
               for line in routes), routes
    assert lab.endpoints() == ["10.1.2.2 eth1 subflow", "fd00:2::2 eth1 subflow"]
    assert route_get(lab, "fd00:99::1", "from", "fd00:2::2")["dev"] == "eth1"
    lab.ifdown("-a")
    assert lab.snapshot() == before


def test_a_tentative_address_is_waited_for(lab: Lab) -> None:
    """ifupdown 0.8.42 to 0.8.44 run the hooks before duplicate address detection is done."""
    lab.client.ip("link set eth1 up", "-6 addr add fd00:2::2/64 dev eth1")
    assert "tentative" in lab.client.run("ip", "-6", "addr", "show", "dev", "eth1")
    done = lab.run_hook("if-up.d", {
        "IFACE": "eth1", "ADDRFAM": "inet6", "METHOD": "static", "MODE": "start",
        "IF_ADDRESS": "fd00:2::2", "IF_NETMASK": "64", "IF_GATEWAY": "fd00:2::1"})
    assert (done.returncode, done.stderr) == (0, "")
    assert lab.endpoints() == ["fd00:2::2 eth1 subflow"]


@pytest.mark.parametrize("mask", ["address 10.1.2.2/20", "address 10.1.2.2\n netmask 20",
                                  "address 10.1.2.2\n netmask 255.255.240.0"])
def test_every_form_of_netmask(lab: Lab, mask: str) -> None:
    lab.set_interfaces(f"iface eth1 inet static\n {mask}\n mptcp-gateway 10.1.2.1\n")
    assert lab.ifup("eth1") == ""
    assert lab.rules()[0].startswith("20000: from 10.1.2.2 to 10.1.0.0/20 lookup")


def test_a_missing_netmask_is_the_class_mask_as_the_kernel_has_it(lab: Lab) -> None:
    lab.set_interfaces("iface eth1 inet static\n address 10.1.2.2\n mptcp-gateway 10.1.2.1\n")
    assert lab.ifup("eth1") == ""
    (host,) = lab.client.ask("-4", "addr", "show", "dev", "eth1")
    assert json.dumps(host["addr_info"][0]["prefixlen"]) == "8"
    assert lab.rules()[0].startswith("20000: from 10.1.2.2 to 10.0.0.0/8 lookup")


def test_further_stanzas_get_tables_of_their_own(lab: Lab) -> None:
    before = lab.snapshot()
    lab.set_interfaces("""\
iface eth1 inet static
    address 10.1.2.2/24
    mptcp-gateway 10.1.2.1
iface eth1 inet static
    address 10.1.2.3/24
    mptcp-gateway 10.1.2.254
iface eth1 inet static
    address 10.1.2.4/24
    mptcp-gateway 10.1.2.1
    mptcp-flags signal
iface eth1 inet static
    address 10.1.2.5/24
    mptcp-gateway 10.1.2.1
    mptcp-table 105
""")
    assert lab.ifup("eth1") == ""
    first = 20000 + lab.ifindex("eth1")
    for table, address, gateway in ((first, "10.1.2.2", "10.1.2.1"),
                                    (first + 10000000, "10.1.2.3", "10.1.2.254"),
                                    (first + 20000000, "10.1.2.4", "10.1.2.1"),
                                    (105, "10.1.2.5", "10.1.2.1")):
        assert f"default via {gateway} dev eth1 proto mptcp src {address}" in lab.table(table)
        assert f"20002: from {address} lookup {table} proto mptcp" in lab.rules()
    assert [line for line in lab.rules() if "from all" in line] == rules_of(
        "", "", "eth1", first)[3:]
    assert [line for line in lab.rules() if "iif lo" in line] == [
        line for line in rules_of("10.1.2.2", "10.1.2.0/24", "eth1", first) if "iif lo" in line]
    assert lab.endpoints() == ["10.1.2.2 eth1 subflow", "10.1.2.4 eth1 signal"]
    lab.ifdown("eth1")
    assert lab.snapshot() == before


def test_an_alias_comes_and_goes_by_itself(lab: Lab) -> None:
    lab.set_interfaces("""\
iface eth1 inet static
    address 10.1.2.2/24
    mptcp-gateway 10.1.2.1
iface eth1:1 inet static
    address 10.1.2.9/24
    mptcp-gateway 10.1.2.1
    mptcp-flags subflow backup
""")
    lab.ifup("eth1")
    alone = lab.snapshot()
    assert lab.ifup("eth1:1") == ""
    assert lab.endpoints() == ["10.1.2.2 eth1 subflow", "10.1.2.9 eth1 subflow backup"]
    table = 10020000 + lab.ifindex("eth1")
    assert "default via 10.1.2.1 dev eth1 proto mptcp src 10.1.2.9" in lab.table(table)
    assert lab.ifdown("eth1:1") == ""
    assert lab.snapshot() == alone.replace("add_addr_accepted 1", "add_addr_accepted 2")


def test_a_gateway_outside_the_subnet_is_onlink(lab: Lab) -> None:
    lab.routers[1].ip("addr add 10.77.0.1/32 dev lan")
    lab.set_interfaces(
        "iface eth1 inet static\n address 10.1.2.2/32\n mptcp-gateway 10.77.0.1\n")
    assert lab.ifup("eth1") == ""
    table = 20000 + lab.ifindex("eth1")
    assert lab.table(table) == [
        "default via 10.77.0.1 dev eth1 proto mptcp src 10.1.2.2 onlink",
        "unreachable default proto mptcp metric 4294967295",
    ]
    assert not [line for line in lab.rules() if line.startswith("20000:")]


def test_a_peer_that_is_the_gateway(lab: Lab) -> None:
    before = lab.snapshot()
    lab.set_interfaces("iface eth1 inet static\n address 10.1.2.2\n netmask 255.255.255.255\n"
                       " pointopoint 10.1.2.1\n mptcp-gateway 10.1.2.1\n")
    assert lab.ifup("eth1") == ""
    table = 20000 + lab.ifindex("eth1")
    assert lab.table(table) == [
        "10.1.2.1 dev eth1 proto mptcp scope link src 10.1.2.2",
        "default via 10.1.2.1 dev eth1 proto mptcp src 10.1.2.2",
        "unreachable default proto mptcp metric 4294967295",
    ]
    assert route_get(lab, "10.99.0.1", "from", "10.1.2.2")["dev"] == "eth1"
    lab.ifdown("eth1")
    assert lab.snapshot() == before


@pytest.mark.parametrize("options, why", [
    ("", "a LAN, left alone"),
    ("gateway 10.1.2.1\n mptcp off", "eth1: left alone"),
    ("gateway 10.1.2.1\n mptcp No", "eth1: left alone"),
    ("gateway 10.1.2.1\n mptcp 0", "eth1: left alone"),
])
def test_what_is_left_alone_is_said_at_v(lab: Lab, options: str, why: str) -> None:
    before = lab.snapshot()
    lab.set_interfaces(f"iface eth1 inet static\n address 10.1.2.2/24\n {options}\n")
    assert lab.ifup("eth1") == ""
    assert lab.snapshot() == before
    lab.ifdown("eth1")
    assert why in lab.ifup("-v", "eth1")


def test_a_lan_with_flags_is_meant(lab: Lab) -> None:
    lab.set_interfaces("iface eth1 inet static\n address 10.1.2.2/24\n mptcp-flags signal\n")
    assert lab.ifup("eth1") == ""
    assert lab.endpoints() == ["10.1.2.2 eth1 signal"]
    assert lab.table(20000 + lab.ifindex("eth1")) == [
        "10.1.2.0/24 dev eth1 proto mptcp scope link src 10.1.2.2",
        "unreachable default proto mptcp metric 4294967295",
    ]


def test_a_bridge_of_containers_is_left_alone_unless_its_stanza_has_a_gateway(lab: Lab) -> None:
    lab.client.ip("link add docker0 type bridge")
    stanza = "iface docker0 inet static\n address 172.17.0.1/16\n"
    lab.set_interfaces(stanza + " up ip route add default via 172.17.0.9\n")
    lab.ifup("docker0")
    assert lab.rules() == []
    lab.ifdown("docker0")
    lab.set_interfaces(stanza + " gateway 172.17.0.9\n")
    lab.ifup("docker0")
    assert lab.endpoints() == ["172.17.0.1 docker0 subflow"]


def test_the_gateway_of_mains_default_route_is_found(lab: Lab) -> None:
    lab.set_interfaces("iface eth1 inet static\n address 10.1.2.2/24\n"
                       " post-up ip route add default via 10.1.2.7 dev eth1 metric 9\n")
    lab.ifup("eth1")
    table = 20000 + lab.ifindex("eth1")
    assert "default via 10.1.2.7 dev eth1 proto mptcp src 10.1.2.2" in lab.table(table)


def test_a_bound_socket_keeps_neighbours_and_mains_routes(lab: Lab) -> None:
    lab.set_interfaces("""\
iface eth1 inet6 static
    address fd00:2::2/64
    gateway fd00:2::1
    dad-attempts 0
iface eth1 inet static
    address 10.1.2.2/24
    mptcp-gateway 10.1.2.1
    post-up ip route add 10.50.0.0/16 via 10.1.2.50
""")
    lab.ifup("eth1")
    assert "gateway" not in route_get(lab, "fe80::1234", "oif", "eth1")
    assert route_get(lab, "10.50.0.1", "oif", "eth1")["gateway"] == "10.1.2.50"
    assert route_get(lab, "10.99.0.1", "oif", "eth1")["gateway"] == "10.1.2.1"
    assert route_get(lab, "10.50.0.1", "from", "10.1.2.2")["gateway"] == "10.1.2.50"
