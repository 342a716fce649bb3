# SPDX-License-Identifier: GPL-2.0-or-later
"""Real MPTCP connections over two uplinks of 50 Mbit/s."""

from __future__ import annotations

import sys

from tests.lab.support.lab import SERVER_6, TRANSFER, TWO_UPLINKS, TWO_UPLINKS_6, Lab
from tests.lab.support.paths import MEGABYTE
from tests.lab.support.waiting import wait_for


def test_one_connection_uses_both_uplinks(lab: Lab) -> None:
    lab.set_interfaces(TWO_UPLINKS)
    lab.ifup("-a")
    sent = lab.transfer(20 * MEGABYTE)
    assert sent.whole
    assert min(sent.uplinks) > 6 * MEGABYTE, sent


def test_one_connection_uses_one_uplink_without_us(lab: Lab) -> None:
    """The counterpart: what the test above sees is our doing."""
    lab.set_interfaces(TWO_UPLINKS)
    lab.ifup("-a")
    lab.client.run("mptcp_down", "-a")
    sent = lab.transfer(5 * MEGABYTE)
    assert sent.whole
    assert sent.uplinks[1] < MEGABYTE, sent


def test_ipv6_alone_uses_both_uplinks(lab: Lab) -> None:
    lab.set_interfaces(TWO_UPLINKS_6)
    assert lab.ifup("-a") == ""
    sent = lab.transfer(20 * MEGABYTE, SERVER_6)
    assert sent.whole
    assert min(sent.uplinks) > 6 * MEGABYTE, sent


def test_another_machine_uses_both_addresses_that_this_one_signals(lab: Lab) -> None:
    """The roles exchanged: the lab's client is the server, and listens on all of its addresses."""
    lab.set_interfaces(TWO_UPLINKS.replace("/24\n", "/24\n    mptcp-flags signal\n"))
    lab.ifup("-a")
    lab.server.run("ip", "mptcp", "limits", "set", "subflows", "2", "add_addr_accepted", "1")
    receiver = lab.client.start(sys.executable, TRANSFER, "serve", "0.0.0.0", "5001")
    assert receiver.stdout is not None and receiver.stdout.readline() == "listening\n"
    answer = lab.server.run(sys.executable, TRANSFER, "send", "10.1.1.2", "5001",
                            str(8 * MEGABYTE))
    assert '"whole": true' in answer
    received = [int(lab.client.run("cat", f"/sys/class/net/{device}/statistics/rx_bytes"))
                for device in lab.uplinks]
    assert min(received) > 2 * MEGABYTE, received


def test_ifdown_in_the_middle_of_a_transfer(lab: Lab) -> None:
    lab.set_interfaces(TWO_UPLINKS)
    lab.ifup("-a")
    transfer = lab.begin_transfer(20 * MEGABYTE)
    wait_for(lambda: min(transfer.count_sent()) > 2 * MEGABYTE)
    lab.ifdown("eth0")
    sent = transfer.finish()
    assert sent.whole
    assert min(sent.uplinks) > 1 * MEGABYTE, sent


def test_strict_reverse_path_filter(lab: Lab) -> None:
    lab.client.run("sysctl", "-qw", "net.ipv4.conf.all.rp_filter=1",
                   "net.ipv4.conf.eth0.rp_filter=1", "net.ipv4.conf.eth1.rp_filter=1")
    lab.set_interfaces(TWO_UPLINKS)
    lab.ifup("-a")
    sent = lab.transfer(20 * MEGABYTE)
    assert sent.whole
    assert min(sent.uplinks) > 6 * MEGABYTE, sent
