# SPDX-License-Identifier: GPL-2.0-or-later
"""Addresses, devices and rules that go at the wrong moment: nothing leaks, nothing is forgotten."""

from __future__ import annotations

import pytest

from tests.lab.support.faults import meddle, mend_ip
from tests.lab.support.lab import SERVER_4, SERVER_6, TWO_UPLINKS, TWO_UPLINKS_6, Lab
from tests.lab.support.monitor import Monitor
from tests.lab.support.paths import BOTH, answers, check_both_paths, route_get
from tests.lab.support.uplink import ETH1, LEAVE, down, up
from tests.lab.support.waiting import wait_for

DUAL = """\
iface eth1 inet static
    address 10.1.2.2/24
    gateway 10.1.2.1
iface eth1 inet6 static
    address fd00:2::2/64
    gateway fd00:2::1
    dad-attempts 0
"""
ETH1_6 = ETH1 | {"ADDRFAM": "inet6", "IF_ADDRESS": "fd00:2::2", "IF_NETMASK": "64",
                 "IF_GATEWAY": "fd00:2::1"}


@pytest.fixture
def dual(lab: Lab) -> Lab:
    """eth1 with a stanza of each family, up."""
    lab.set_interfaces(DUAL)
    lab.ifup("eth1")
    assert len(lab.endpoints()) == 2
    return lab


@pytest.mark.parametrize("gone", ["addr del 10.1.2.2/24 dev eth1", "-6 addr del fd00:2::2/64 dev "
                                  "eth1", "link set eth1 down", "link del eth1"])
@pytest.mark.parametrize("again", [("--all",), ("eth1",)])
def test_what_is_gone_leaks_nothing(lab: Lab, gone: str, again: tuple[str, ...]) -> None:
    before = lab.snapshot()
    lab.set_interfaces(DUAL)
    lab.ifup("eth1")
    lab.client.ip(gone)
    lab.client.try_run("mptcp_up", *again)
    lab.client.try_run("ifdown", "--force", "eth1")
    assert lab.snapshot() == before
    assert lab.client.run("ls", "/run/mptcp-hooks") == ""


def test_all_says_nothing_of_an_address_that_is_away_and_keeps_it_in_mind(dual: Lab) -> None:
    full = dual.snapshot()
    # The kernel drops the IPv6 address.
    dual.client.ip("link set eth1 down", "link set eth1 up")
    assert dual.client.run("mptcp_up", "--all") == ""
    assert dual.endpoints() == ["10.1.2.2 eth1 subflow"]
    dual.client.ip("-6 addr add fd00:2::2/64 dev eth1 nodad")
    assert dual.client.run("mptcp_up", "--all") == ""
    assert dual.snapshot() == full


@pytest.mark.parametrize("gone, words, back", [
    ("link set eth1 down", "is down", "link set eth1 up"),
    ("addr del 10.1.2.2/24 dev eth1", "has none of the addresses stated",
     "addr add 10.1.2.2/24 dev eth1"),
])
@pytest.mark.parametrize("watched", [True, False])
def test_what_a_person_wants_while_it_is_away_carries_once_it_is_back(
    lab: Lab, gone: str, words: str, back: str, watched: bool
) -> None:
    """By the monitor; without it, by the same command."""
    lab.set_interfaces(TWO_UPLINKS)
    lab.ifup("-a")
    if watched:
        Monitor(lab)
    lab.client.run("mptcp_down", "eth1")
    lab.client.ip(gone)
    done = lab.client.try_run("mptcp_up", "eth1")
    assert (done.returncode, done.stderr) == (
        1, f"mptcp_up: eth1: {words}: its paths come once that has changed, by mptcp_up, ifup or "
           "mptcp_monitor\n")
    lab.client.ip(back)
    if not watched:
        lab.client.run("mptcp_up", "eth1")
    wait_for(lambda: lab.endpoints() == BOTH)
    check_both_paths(lab)


def test_an_address_that_the_monitor_found_first_is_the_stanzas_and_carries(lab: Lab) -> None:
    """Of two stanzas, inet6 auto and inet6 static: ifupdown checks the latter's address for a
    duplicate before it runs the hooks.
    """
    lab.write("/etc/mptcp-hooks/mptcp-hooks.conf", "[eth1]\ngateway = fd00:2::1\n")
    lab.set_interfaces(TWO_UPLINKS_6)
    lab.ifup("eth0")
    monitor = Monitor(lab)
    lab.client.ip("link set eth1 up")
    auto = {name: value for name, value in ETH1_6.items() if not name.startswith("IF_")}
    assert lab.run_hook("if-up.d", auto | {"METHOD": "auto"}).stderr == ""
    lab.client.ip("-6 addr add fd00:2::2/64 dev eth1 nodad")
    wait_for(lambda: len(lab.endpoints()) == 2)
    before, shown = lab.client.run("ip", "mptcp", "endpoint"), monitor.read_log()
    assert up(lab, **ETH1_6) == ""
    # Neither a rule nor the endpoint was made anew.
    assert lab.client.run("ip", "mptcp", "endpoint") == before and monitor.read_log() == shown
    check_both_paths(lab, SERVER_6)
    assert down(lab) == ""
    assert [line for line in lab.endpoints() if "eth1" in line] == []


@pytest.mark.parametrize("deleted", [
    "-4 rule del pref 20002 from 10.1.2.2", "-4 rule del pref 20005 oif eth1",
    "-4 route del unreachable default table {table}", "-4 route del 10.1.2.0/24 table {table}",
])
def test_what_is_deleted_before_we_look_comes_back(link: Lab, deleted: str) -> None:
    up(link)
    full = link.snapshot()
    down(link)
    meddle(link, deleted.format(table=20000 + link.ifindex("eth1")))
    up(link)
    mend_ip(link)
    assert link.snapshot() != full
    assert link.client.run("mptcp_up", "--all") == ""
    assert link.snapshot() == full


def test_the_flags_of_an_endpoint_are_looked_at_and_not_remembered(link: Lab) -> None:
    up(link)
    full = link.snapshot()
    (endpoint,) = link.client.ask("mptcp", "endpoint")
    link.client.run("ip", "mptcp", "endpoint", "change", "id", str(endpoint["id"]), "backup")
    wait_for(lambda: link.snapshot() != full)
    assert link.client.run("mptcp_up", "--all") == ""
    assert link.snapshot() == full


@pytest.mark.parametrize("gone", ["flags", "gateway", "address"])
def test_who_is_left_of_a_device_carries_after_one_run(lab: Lab, gone: str) -> None:
    """Of two stanzas of eth1, the one that was first loses its path: the other has all at once."""
    lab.client.ip("link set eth0 up", "addr add 10.1.1.2/24 dev eth0", "link set eth1 up",
                  "addr add 10.1.2.9/32 dev eth1", "addr add 10.1.2.2/24 dev eth1",
                  "route add default via 10.1.1.1")
    first = ETH1 | {"IFACE": "eth1:1", "IF_ADDRESS": "10.1.2.9/32", "IF_NETMASK": ""}
    if gone == "gateway":
        lab.client.ip("route add default via 10.1.2.1 dev eth1 metric 200")
    if gone in ("flags", "gateway"):
        first = {name: value for name, value in first.items() if name != "IF_GATEWAY"}
    if gone == "flags":
        lab.write("/etc/mptcp-hooks/mptcp-hooks.conf", "[eth1]\nflags = subflow\n")
    assert up(lab, IFACE="eth0", IF_ADDRESS="10.1.1.2", IF_GATEWAY="10.1.1.1") == ""
    assert lab.run_hook("if-up.d", first).returncode == 0
    assert up(lab) == ""
    assert "10.1.2.9 eth1 subflow" in lab.endpoints()
    if gone == "flags":
        lab.client.run("rm", "/etc/mptcp-hooks/mptcp-hooks.conf")
    elif gone == "gateway":
        lab.client.ip("route del default dev eth1")
    else:
        lab.client.ip("addr del 10.1.2.9/32 dev eth1")
    lab.client.try_run("mptcp_up", "--all")
    assert lab.endpoints() == BOTH
    check_both_paths(lab)
    # By its device alone as well.
    assert route_get(lab, SERVER_4, "oif", "eth1")["gateway"] == "10.1.2.1"


def test_what_is_announced_stays_with_the_address_that_is_left(lab: Lab) -> None:
    addresses = ("fd00:2::2/64", "fd00:2::3/64")
    lab.client.ip("link set eth1 up", *(f"-6 addr add {own} dev eth1 nodad" for own in addresses))
    assert up(lab, ADDRFAM="inet6", IF_ADDRESSES=" ".join(addresses), IF_ADDRESS="",
              IF_NETMASK="", IF_GATEWAY="fd00:2::1", IF_MPTCP_ANNOUNCE="3fff::10") == ""
    assert lab.endpoints() == ["3fff::10 - signal", "fd00:2::2 eth1 subflow"]
    full = lab.snapshot()
    for act, first in (("del", "fd00:2::3"), ("add", "fd00:2::2")):
        lab.client.ip(f"-6 addr {act} fd00:2::2/64 dev eth1" + " nodad" * (act == "add"))
        assert lab.client.run("mptcp_up", "--all") == ""
        assert lab.endpoints() == ["3fff::10 - signal", f"{first} eth1 subflow"]
        again = lab.client.run("ip", "mptcp", "endpoint")
        assert lab.client.run("mptcp_up", "--all") == ""
        assert lab.client.run("ip", "mptcp", "endpoint") == again
    assert lab.snapshot() == full


def test_an_address_that_its_first_device_gave_up_is_the_others(lab: Lab) -> None:
    """The first one is named by the configuration, and comes back in the monitor's next round."""
    for router in lab.routers:
        router.ip("addr add 10.1.9.1/24 dev lan", "rule add pref 9 iif lan from 10.1.9.0/24 "
                  "lookup main")
    lab.server.ip("route add 10.1.9.0/24 via 10.8.2.1")
    lab.write("/etc/mptcp-hooks/mptcp-hooks.conf",
              "[default]\nmanage = eth0\n[eth0]\ngateway = 10.1.9.1\n")
    for device in ("eth0", "eth1"):
        lab.client.ip(f"link set {device} up", f"addr add 10.1.9.2/24 dev {device}")
    monitor = Monitor(lab)
    assert lab.endpoints() == ["10.1.9.2 eth0 subflow"]
    assert "is the address of eth0 as well" in up(
        lab, IF_ADDRESS="10.1.9.2", IF_GATEWAY="10.1.9.1")
    monitor.rest()
    assert lab.endpoints() == ["10.1.9.2 eth0 subflow"]
    assert lab.run_hook("if-post-down.d", LEAVE | {"IFACE": "eth0"}).stderr == ""
    wait_for(lambda: lab.endpoints() == ["10.1.9.2 eth1 subflow"])
    monitor.rest()
    assert lab.endpoints() == ["10.1.9.2 eth1 subflow"]
    assert answers(lab, "10.1.9.2")


def test_the_hook_of_a_device_that_is_not_there_takes_no_others_gateway(lab: Lab) -> None:
    """What it tells of is kept, and carries once the device is there with a gateway of its own."""
    lab.client.ip("link set eth0 up", "addr add 10.1.1.2/24 dev eth0",
                  "tuntap add tun0 mode tun", "addr add 10.9.0.2 peer 10.9.0.1 dev tun0",
                  "link set tun0 up", "route add default dev tun0 metric 900",
                  "link set eth1 name away")
    assert up(lab, IFACE="eth0", IF_ADDRESS="10.1.1.2", IF_GATEWAY="10.1.1.1") == ""
    before = lab.snapshot()
    later = {name: value for name, value in ETH1.items() if name != "IF_GATEWAY"}
    assert lab.run_hook("if-up.d", later).stderr == (
        "mptcp_up: eth1: no such interface here: its table number will be 20000 + its ifindex\n")
    assert lab.snapshot() == before
    lab.client.ip("tuntap del tun0 mode tun", "link set away name eth1", "link set eth1 up",
                  "addr add 10.1.2.2/24 dev eth1", "route add default via 10.1.1.1",
                  "route add default via 10.1.2.1 metric 200")
    assert lab.client.run("mptcp_up", "--all") == ""
    assert lab.endpoints() == BOTH
    check_both_paths(lab)
