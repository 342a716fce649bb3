# SPDX-License-Identifier: GPL-2.0-or-later
"""Devices that get other names while they are up, as udev, users and installers give them."""

from __future__ import annotations

import pytest

from tests.lab.support.lab import TWO_UPLINKS, Lab
from tests.lab.support.monitor import Monitor
from tests.lab.support.paths import BOTH, check_both_paths, rules_of
from tests.lab.support.waiting import wait_for

RENAMED = [BOTH[0], "10.1.2.2 wan1 subflow"]
# What ifupdown and a person write for a device that now is called wan1.
WAN1 = "iface wan1 inet static\n    address 10.1.2.2/24\n    mptcp-gateway 10.1.2.1\n"


@pytest.fixture
def up(lab: Lab) -> Lab:
    lab.set_interfaces(TWO_UPLINKS)
    lab.ifup("-a")
    return lab


def rename(lab: Lab, *names: str) -> None:
    lab.client.ip(*(f"link set {old} name {new}" for old, new in zip(names, names[1:])))


def list_rules(lab: Lab, *devices: str) -> list[str]:
    """The rules of the first and the second uplink, whose devices are called so."""
    return sorted(rule for number, device in enumerate(devices, start=1) for rule in rules_of(
        f"10.1.{number}.2", f"10.1.{number}.0/24", device, 20000 + lab.ifindex(device)))


def test_a_way_down_by_the_old_name_leaves_nothing(up: Lab) -> None:
    rename(up, "eth1", "wan1")
    up.ifdown("eth1")
    assert up.endpoints() == BOTH[:1] and sorted(up.rules()) == list_rules(up, "eth0")
    assert "wan1" not in up.client.run("ip", "route", "show", "table", "all", "proto", "77")
    assert up.client.run("ls", "/run/mptcp-hooks").split() == ["eth0.paths", "limits"]


@pytest.mark.parametrize("monitored", [False, True])
@pytest.mark.parametrize("way", ["ifup", "mptcp_up"])
def test_the_new_name_takes_the_path(up: Lab, way: str, monitored: bool) -> None:
    if monitored:
        Monitor(up)
    rename(up, "eth1", "wan1")
    if way == "ifup":
        # Which gives the address itself, and refuses one that is there.
        up.client.ip("addr flush dev wan1")
        up.client.run("sh", "-c", "cat >>/etc/network/interfaces", text=WAN1)
        up.ifup("wan1")
    else:
        up.client.ip("route add default via 10.1.2.1 dev wan1 metric 200")
        up.client.run("mptcp_up", "wan1")
    wait_for(lambda: (up.endpoints(), sorted(up.rules())) == (
        RENAMED, list_rules(up, "eth0", "wan1")))
    up.uplinks = ("eth0", "wan1")
    check_both_paths(up)
    up.ifdown("eth1")
    assert up.endpoints() == RENAMED and sorted(up.rules()) == list_rules(up, "eth0", "wan1")
    up.client.run("mptcp_down", "wan1")
    assert up.endpoints() == BOTH[:1] and sorted(up.rules()) == list_rules(up, "eth0")


def test_names_that_are_exchanged_and_exchanged_back(up: Lab) -> None:
    """No stanza's address is its device's meanwhile, so there are no paths."""
    before = up.snapshot()
    monitor = Monitor(up)
    for left in (True, False):
        rename(up, "eth0", "away")
        rename(up, "eth1", "eth0")
        rename(up, "away", "eth1")
        if left:
            wait_for(lambda: up.endpoints() == [] and up.rules() == [])
    wait_for(lambda: up.snapshot() == before)
    assert [line for line in monitor.read_log() if "unexpected" in line] == []
    check_both_paths(up)
