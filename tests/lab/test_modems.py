# SPDX-License-Identifier: GPL-2.0-or-later
"""Modems and other odd links: how a way out is told that no gateway of main's names."""

from __future__ import annotations


from tests.lab.support.lab import SERVER_4, SERVER_6, TWO_UPLINKS, Lab
from tests.lab.support.monitor import Monitor
from tests.lab.support.paths import answers, check_both_paths, route_get
from tests.lab.support.status import find
from tests.lab.support.waiting import wait_for

ETH0 = TWO_UPLINKS.partition("iface eth1")[0]


def answer_for_all(lab: Lab) -> None:
    """Have router2 take what eth1 sends to anybody, as what is behind a modem does."""
    # The kernel would wait for up to 0.8 s with such answers.
    lab.routers[1].run("sysctl", "-qw", "net.ipv4.conf.lan.proxy_arp=1",
                       "net.ipv4.neigh.lan.proxy_delay=0")


def list_defaults(lab: Lab, family: int = 4) -> list[str]:
    """The defaults of eth1's own table that lead anywhere."""
    return [route for route in lab.table(20000 + lab.ifindex("eth1"), family)
            if route.startswith("default")]


def test_a_default_of_main_without_a_gateway_is_a_way_out(lab: Lab) -> None:
    answer_for_all(lab)
    lab.set_interfaces(ETH0 + "iface eth1 inet static\n    address 10.1.2.2/24\n"
                       "    up ip route add default dev eth1 metric 50\n")
    assert lab.ifup("-a") == ""
    assert list_defaults(lab) == ["default dev eth1 proto mptcp scope link src 10.1.2.2"]
    check_both_paths(lab)
    assert find(lab) == ()
    # Without it the link leads nowhere but to its own subnet.
    lab.client.ip("route del default dev eth1")
    lab.client.run("mptcp_up", "--all")
    assert lab.endpoints() == ["10.1.1.2 eth0 subflow"]


def test_a_cross_cable_is_no_way_to_the_world(lab: Lab) -> None:
    answer_for_all(lab)
    cable = ("iface eth1 inet static\n    address 10.1.2.2/32\n    pointopoint 10.1.2.1\n"
             "    up ip route replace 10.1.2.1 dev eth1\n")
    lab.set_interfaces(ETH0 + cable)
    assert lab.ifup("-a") == ""
    assert lab.endpoints() == ["10.1.1.2 eth0 subflow"]
    assert "10.1.2.2: no gateway, a LAN, left alone" in lab.client.try_run(
        "mptcp_up", "-v", "eth1").stderr
    assert route_get(lab, "10.1.2.1")["dev"] == "eth1"
    lab.ifdown("eth1")
    lab.set_interfaces(ETH0 + cable + "    mptcp-gateway 10.1.2.1\n")
    assert lab.ifup("eth1") == ""
    assert list_defaults(lab) == ["default via 10.1.2.1 dev eth1 proto mptcp src 10.1.2.2"]
    check_both_paths(lab)


def test_a_gateway_that_stands_in_another_table_is_found(lab: Lab) -> None:
    """As networkd's RouteTable=, NetworkManager's route-table and images of clouds have it."""
    lab.set_interfaces(ETH0)
    lab.ifup("eth0")
    monitor = Monitor(lab)
    lab.client.ip("link set eth1 up", "addr add 10.1.2.2/24 dev eth1",
                  "-6 addr add fd00:2::2/64 dev eth1 nodad")
    lab.write("/etc/mptcp-hooks/mptcp-hooks.conf", "[default]\nmanage = eth1\n")
    monitor.reload()
    assert lab.endpoints() == ["10.1.1.2 eth0 subflow"]
    lab.client.ip("route add default via 10.1.2.1 dev eth1 table 1001",
                  "-6 route add default via fd00:2::1 dev eth1 table 1001")
    wait_for(lambda: len(lab.endpoints()) == 3)
    assert list_defaults(lab)[0] == "default via 10.1.2.1 dev eth1 proto mptcp src 10.1.2.2"
    assert list_defaults(lab, 6)[0].startswith("default via fd00:2::1 dev eth1 proto mptcp")
    assert answers(lab, "10.1.2.2") and answers(lab, "fd00:2::2")
    check_both_paths(lab)
    assert route_get(lab, SERVER_4)["dev"] == "eth0"
    assert route_get(lab, SERVER_6, "from", "fd00:2::2")["dev"] == "eth1"
