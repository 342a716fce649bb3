# SPDX-License-Identifier: GPL-2.0-or-later
"""Beside mptcpd, the other program that makes endpoints: each leaves the other's alone."""

from __future__ import annotations

import pytest

from tests.lab.support.lab import NOBODY, TWO_UPLINKS, Lab
from tests.lab.support.making import MakeLab
from tests.lab.support.monitor import Monitor
from tests.lab.support.paths import BOTH, RULES, check_both_paths
from tests.lab.support.status import find
from tests.lab.support.uplink import down, up
from tests.lab.support.waiting import wait_for, wait_for_addresses


@pytest.fixture
def mptcpd_lab(make_lab: MakeLab) -> Lab:
    return make_lab("mptcpd", "mptcpd-plugins")


def start_mptcpd(lab: Lab) -> None:
    lab.client.start("sh", "-c",
                     "exec /usr/libexec/mptcpd --addr-flags=subflow >/run/mptcpd.log 2>&1")
    wait_for(lambda: "initialized" in lab.client.try_run("cat", "/run/mptcpd.log").stdout)


def list_endpoints(lab: Lab) -> list[str]:
    """Without those that mptcpd makes for link-local addresses when these are ready."""
    return [line for line in lab.endpoints() if not line.startswith("fe80")]


def test_an_endpoint_of_mptcpd_stays(mptcpd_lab: Lab) -> None:
    lab = mptcpd_lab
    start_mptcpd(lab)
    lab.client.ip("link set eth1 up", "addr add 10.1.2.2/24 dev eth1")
    wait_for(lambda: list_endpoints(lab) == BOTH[1:])
    assert up(lab) == "" and list_endpoints(lab) == BOTH[1:]
    assert len(lab.rules()) == RULES
    assert down(lab) == ""
    assert lab.rules() == [] and list_endpoints(lab) == BOTH[1:]


def test_both_run_without_a_fight(mptcpd_lab: Lab) -> None:
    lab = mptcpd_lab
    start_mptcpd(lab)
    monitor = Monitor(lab)
    lab.set_interfaces(TWO_UPLINKS)
    lab.ifup("-a")
    wait_for_addresses(lab.client)
    monitor.rest()
    check_both_paths(lab)
    said = monitor.read_log()
    monitor.rest()
    # mptcpd sets the limits at each new address, and so do we: not more often than that.
    assert monitor.read_log() == said and len(said) <= 4
    lab.ifdown("-a")
    monitor.rest()
    assert lab.rules() == [] and list_endpoints(lab) == []


def test_one_in_another_network_is_nobodys_business(lab: Lab) -> None:
    lab.set_interfaces(TWO_UPLINKS)
    lab.ifup("-a")
    script = ("import time; open('/proc/self/comm', 'w').write('mptcpd'); print(flush=True); "
              "time.sleep(60)")
    for host, findings in ((lab.server, ()), (lab.client, (("note", "mptcpd", None),))):
        running = host.start("python3", "-c", script)
        assert running.stdout is not None and running.stdout.readline() == "\n"
        assert find(lab) == findings
        # Who is not root is told no more of it.
        said = lab.client.run(*NOBODY, "mptcp_status")
        assert ("mptcpd runs too" in said) == bool(findings)
        running.kill()
