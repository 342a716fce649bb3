# SPDX-License-Identifier: GPL-2.0-or-later
"""Subflows that are lost on the way, and Multipath TCP that is turned off by an outage."""

from __future__ import annotations

import time

import pytest

from tests.lab.support.boxes import block, put_box, remove_boxes
from tests.lab.support.crowd import Crowd
from tests.lab.support.hole import Hole
from tests.lab.support.lab import TWO_UPLINKS, Lab
from tests.lab.support.making import MakeLab
from tests.lab.support.monitor import Monitor
from tests.lab.support.paths import BOTH, MEGABYTE, check_both_paths, plug, pull
from tests.lab.support.status import find
from tests.lab.support.waiting import wait_for

BACK_WITHIN = 2.0


@pytest.fixture
def boxed(make_lab: MakeLab) -> Lab:
    """The same, with routers that can drop and reset."""
    lab = make_lab(routers=("nftables",))
    lab.set_interfaces(TWO_UPLINKS)
    lab.ifup("-a")
    return lab


@pytest.mark.parametrize("uplink", [0, 1])
def test_subflows_that_a_box_resets(boxed: Lab, uplink: int) -> None:
    monitor = Monitor(boxed)
    crowd = Crowd(boxed, 3)
    crowd.wait_until_whole()
    block(boxed, uplink, "reject with tcp reset")
    time.sleep(2)
    remove_boxes(boxed)
    assert crowd.measure_return(uplink, 20) < 10
    assert crowd.list_broken() == ""
    tries = sum("endpoint add" in line and " id " not in line for line in monitor.read_log())
    assert 1 <= tries <= 5


def test_a_join_that_was_dropped_is_tried_again(boxed: Lab) -> None:
    """Its SYN is lost for so long that the kernel's own next one comes seven seconds later."""
    Monitor(boxed)
    block(boxed, 1, "drop")
    crowd = Crowd(boxed)
    time.sleep(8)
    remove_boxes(boxed)
    assert crowd.measure_return(1, 40) < 6


def test_without_a_second_path_nothing_is_taken(boxed: Lab) -> None:
    """The other provider is dead: what is left without a carrier is all that there is."""
    monitor = Monitor(boxed)
    crowd = Crowd(boxed)
    crowd.wait_until_whole()
    block(boxed, 0, "drop")
    time.sleep(2)
    pull(boxed, 1)
    time.sleep(3)
    assert boxed.endpoints() == BOTH
    plug(boxed, 1)
    # The kernel's own retransmission finds the way again.
    assert crowd.measure_return(1, 20) < 10
    assert crowd.list_broken() == ""
    assert "eth1: no carrier, but a connection has no other path: endpoint kept" in (
        monitor.read_words())


def test_what_mptcp_status_says_of_a_path_that_nobody_uses(boxed: Lab) -> None:
    """Without the monitor nothing comes back; the remedy works."""
    crowd = Crowd(boxed)
    crowd.wait_until_whole()
    block(boxed, 1, "reject with tcp reset")
    wait_for(lambda: crowd.list_lacking(1))
    remove_boxes(boxed)
    time.sleep(3)
    done = boxed.client.try_run("mptcp_status")
    assert done.returncode == 1
    (line,) = (line for line in done.stdout.splitlines() if line.startswith("broken: "))
    assert line.startswith("broken: eth1: 1 of 1 running connection has no subflow over 10.1.2.2")
    boxed.client.run("sh", "-c", line.split("'")[1])
    assert crowd.measure_return(1, 20) < BACK_WITHIN
    assert find(boxed) == ()


@pytest.mark.long
@pytest.mark.parametrize("mptcp", [True, False], ids=["mptcp", "plain"])
def test_a_provider_that_is_silent_while_somebody_connects(boxed: Lab, mptcp: bool) -> None:
    """One outage of seconds does not turn Multipath TCP off for an hour."""
    monitor, hole = Monitor(boxed), Hole(boxed)
    for seconds in (2.3, 4.0)[:2 if mptcp else 1]:
        hole.be(seconds, mptcp)
        time.sleep(5)
        check_both_paths(boxed)
    if mptcp and _turns_off(boxed):
        assert hole.count()
        assert any(text.endswith("Multipath TCP is on again") for text in monitor.read_words())


def test_what_mptcp_status_says_where_multipath_tcp_is_off(boxed: Lab) -> None:
    """Without the monitor it stays off; the remedy works."""
    hole = Hole(boxed)
    hole.be(2.3)
    if not _turns_off(boxed):
        pytest.skip("this kernel has no net.mptcp.blackhole_timeout")
    assert boxed.transfer(MEGABYTE).uplinks[1] < 10_000
    done = boxed.client.try_run("mptcp_status")
    (line,) = (line for line in done.stdout.splitlines() if line.startswith("broken: "))
    assert done.returncode == 1 and "makes new connections plain TCP, for up to 60 min" in line
    boxed.client.run("sh", "-c", line.split("'")[1])
    check_both_paths(boxed)
    assert find(boxed) == ()


def test_a_real_firewall_is_left_to_the_kernel(boxed: Lab) -> None:
    """It is tried once; then connections are plain TCP at once, and not after three seconds."""
    if not _turns_off(boxed):
        pytest.skip("this kernel has no net.mptcp.blackhole_timeout")
    monitor = Monitor(boxed)
    put_box(boxed.routers[:1], "tcp option mptcp exists drop")
    for number in (1, 2):
        assert boxed.transfer(1000).whole
        wait_for(lambda: len(monitor.read_words()) == number)
    time.sleep(5)
    began = time.monotonic()
    assert boxed.transfer(1000).whole and time.monotonic() - began < 2
    assert [text.rpartition(": ")[0].split(",")[0] for text in monitor.read_words()] == [
        "the kernel took a silent provider for a firewall", "a firewall drops requests for "
        "Multipath TCP"]
    (line,) = (line for line in boxed.client.try_run("mptcp_status").stdout.splitlines()
               if "plain TCP, for " in line)
    assert " s by now and 60 min more, and no path was out before: " in line, line


def _turns_off(lab: Lab) -> bool:
    """Whether the kernel turns Multipath TCP off by itself, as Linux does since 6.12."""
    return "blackhole_timeout" in lab.client.run("ls", "/proc/sys/net/mptcp")
