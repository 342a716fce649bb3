# SPDX-License-Identifier: GPL-2.0-or-later
"""What the counters prove of boxes that really are on the way, at both ends of a transfer."""

from __future__ import annotations

import pytest

from mptcp_hooks.machine.counters import read_counters
from mptcp_hooks.status.counters import judge_counters
from tests.lab.support.boxes import play, read_netstat, remove_boxes, transfer
from tests.lab.support.lab import Host, Lab
from tests.lab.support.making import MakeLab
from tests.lab.support.monitor import Monitor
from tests.lab.support.paths import check_both_paths
from tests.lab.support.status import ask

FELL_BACK = "began with MPTCP and fell back"
NO_MONITOR = "mptcp_monitor does not run"
UNANSWERED = "further subflows were not answered with MPTCP"


@pytest.fixture
def lab(make_lab: MakeLab) -> Lab:
    """Routers that can be boxes."""
    return make_lab(routers=("nftables",))


def find(host: Host) -> list[str]:
    return [evidence.text for evidence in judge_counters(read_counters(read_netstat(host)))]


def list_lines(host: Host) -> list[str]:
    return [f"{evidence.text}, since the machine started => {evidence.remedy}"
            for evidence in judge_counters(read_counters(read_netstat(host)))]


@pytest.mark.parametrize(("scene", "client", "server"), [
    ("healthy", "", ""),
    ("all-stripped", "3 of 3 connections were answered without MPTCP", ""),
    ("all-dropped", "", ""),
    ("joins-stripped", UNANSWERED, ""),
    ("joins-dropped", UNANSWERED, ""),
    ("third-packet-stripped", FELL_BACK, "asked for MPTCP and then went on without"),
    ("data-stripped", FELL_BACK, FELL_BACK),
    ("data-altered", "was altered under way", "was altered under way"),
    ("refused", "", "further subflows were refused here"),
])
def test_what_is_found(lab: Lab, scene: str, client: str, server: str) -> None:
    play(lab, scene)
    for host, text in ((lab.client, client), (lab.server, server)):
        found = find(host)
        assert len(found) == bool(text) and all(text in each for each in found), found
    said = lab.client.try_run("mptcp_status").stdout.splitlines()
    notes = [line[6:] for line in said if line.startswith("note: ")]
    assert [note for note in notes if NO_MONITOR not in note] == list_lines(lab.client)


def test_trouble_that_is_over_is_not_told_of_for_ever(lab: Lab) -> None:
    """What was counted before the monitor noted it is over; what comes after it is not."""
    play(lab, "joins-dropped")
    assert list_middleboxes(lab) == [f"{text}, since the machine started"
                                     for text in find(lab.client)]
    monitor = Monitor(lab)
    monitor.rest()
    assert find(lab.client) and list_middleboxes(lab) == []
    before = lab.client.run("cat", "/run/mptcp-hooks/.counted")
    monitor.stop()
    # Another one goes on with what the first one noted.
    monitor = Monitor(lab)
    monitor.rest()
    assert lab.client.run("cat", "/run/mptcp-hooks/.counted") == before
    transfer(lab)
    (text,) = list_middleboxes(lab)
    assert UNANSWERED in text and ", in the last " in text


def list_middleboxes(lab: Lab) -> list[str]:
    return [one["text"] for one in ask(lab)["findings"] if one["kind"] == "middlebox"]


def test_the_remedy_for_a_blackhole(lab: Lab) -> None:
    """As long as the kernel remembers the box, MPTCP stays off, also when the box is gone."""
    play(lab, "all-dropped")
    remove_boxes(lab)
    assert lab.transfer(1_000_000).uplinks[1] < 10_000
    (line,) = (line for line in lab.client.try_run("mptcp_status").stdout.splitlines()
               if "plain TCP, for up to 60 min" in line)
    lab.client.run("sh", "-c", line.split("'")[1])
    check_both_paths(lab)
