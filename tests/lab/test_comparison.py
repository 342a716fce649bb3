# SPDX-License-Identifier: GPL-2.0-or-later
"""README's table of others: what each makes of two uplinks by itself, without our package."""

from __future__ import annotations

import pytest

from tests.lab.support.lab import SERVER_4, TWO_UPLINKS, Lab
from tests.lab.support.making import MakeLab
from tests.lab.support.managers import NetworkManager
from tests.lab.support.newcomer import connect, receive
from tests.lab.support.paths import BOTH, MEGABYTE, check_both_paths, plug, pull, route_get
from tests.lab.support.waiting import wait_for

pytestmark = pytest.mark.long
MULTI = "".join(f"""\
auto eth{number - 1}
iface eth{number - 1} inet static
    address 10.1.{number}.2
    netmask 255.255.255.0
    multi_table {number}
    multi_gateway 10.1.{number}.1
""" for number in (1, 2))


def leaves_by(lab: Lab, address: str) -> str:
    """By which device the kernel sends what comes from an address and is bound to no device."""
    return route_get(lab, SERVER_4, "from", address)["dev"]


def has_one_path(lab: Lab) -> bool:
    sent = lab.transfer(4 * MEGABYTE)
    assert sent.whole
    return min(sent.uplinks) < MEGABYTE / 5


def test_networkmanager_makes_endpoints_and_no_rules(make_lab: MakeLab) -> None:
    lab = make_lab("network-manager", without=("udev",), installed=False)
    manager = NetworkManager(lab)
    for number in (1, 2):
        manager.configure(f"eth{number - 1}", "method=manual\n"
                          f"address1=10.1.{number}.2/24,10.1.{number}.1")
    manager.start()
    wait_for(lambda: lab.endpoints() == BOTH)
    # Its endpoints name the device, and main has a default of each.
    check_both_paths(lab)
    assert lab.rules() == [] and leaves_by(lab, "10.1.2.2") == "eth0"
    with receive(lab):
        pull(lab, 0)
        assert connect(lab, within=1).uplink is None
        wait_for(lambda: connect(lab, within=1).uplink == 1)


def test_mptcpd_makes_endpoints_and_no_routes(make_lab: MakeLab) -> None:
    lab = make_lab("mptcpd", "mptcpd-plugins", installed=False)
    lab.client.start("sh", "-c",
                     "exec /usr/libexec/mptcpd --addr-flags=subflow >/run/mptcpd.log 2>&1")
    wait_for(lambda: "initialized" in lab.client.try_run("cat", "/run/mptcpd.log").stdout)
    # An address that is there before its link is up, as ifup has it, gets no endpoint.
    lab.client.ip("link set eth0 up", "link set eth1 up")
    lab.set_interfaces(TWO_UPLINKS)
    lab.ifup("-a")
    wait_for(lambda: set(BOTH) <= set(lab.endpoints()))
    assert lab.rules() == [] and leaves_by(lab, "10.1.2.2") == "eth0" and has_one_path(lab)
    with receive(lab):
        pull(lab, 0)
        assert connect(lab, within=8).uplink is None


def test_ifupdown_multi_makes_rules_and_no_endpoints(make_lab: MakeLab) -> None:
    lab = make_lab("ifupdown-multi", installed=False)
    lab.set_interfaces(MULTI)
    lab.ifup("-a")
    assert lab.endpoints() == [] and has_one_path(lab)
    assert [leaves_by(lab, f"10.1.{number}.2") for number in (1, 2)] == ["eth0", "eth1"]
    # New connections are shared out by a hash of the peer, whoever of the two is out.
    with receive(lab):
        ways = []
        for uplink in (0, 1):
            pull(lab, uplink)
            ways.append(connect(lab, within=1).uplink)
            plug(lab, uplink)
    assert None in ways
