# SPDX-License-Identifier: GPL-2.0-or-later
"""mptcp_status --connections of real transfers over both uplinks."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.lab.record_connections import (
    TWO_UPLINKS_BACKUP, begin, begin_on_both, begin_with_plain_server)
from tests.lab.support.lab import SERVER_4, SERVER_6, TWO_UPLINKS, Lab
from tests.lab.support.paths import MEGABYTE, pull
from tests.lab.support.waiting import wait_for

ENDS = {SERVER_4: ["10.1.1.2", "10.1.2.2"], SERVER_6: ["[fd00:1::2]", "[fd00:2::2]"]}


def ask(lab: Lab) -> dict[str, Any]:
    """What the client answers."""
    answer: dict[str, Any] = json.loads(lab.client.run("mptcp_status", "--connections", "--json"))
    return answer


def list_connections(lab: Lab) -> list[dict[str, Any]]:
    connections: list[dict[str, Any]] = ask(lab)["connections"]
    return connections


def list_subflows(lab: Lab) -> list[dict[str, Any]]:
    """The subflows of the only connection."""
    (connection,) = list_connections(lab)
    subflows: list[dict[str, Any]] = connection["subflows"]
    return subflows


def count_bytes(lab: Lab) -> list[int]:
    return [total["bytes_sent"] for total in ask(lab)["totals"]]


@pytest.mark.parametrize("server", [SERVER_4, SERVER_6])
def test_both_subflows_and_what_they_carry(lab: Lab, server: str) -> None:
    begin_on_both(lab, server)
    (connection,) = list_connections(lab)
    assert connection["state"] == "ESTAB" and not connection["fallback"]
    subflows = connection["subflows"]
    assert [subflow["interface"] for subflow in subflows] == ["eth0", "eth1"]
    assert [subflow["local"].rpartition(":")[0] for subflow in subflows] == ENDS[server]
    for subflow in subflows:
        assert subflow["state"] == "ESTAB" and not subflow["backup"]
        assert subflow["rtt_ms"] > 0 and subflow["unanswered"] == 0
        assert subflow["remote"] == connection["remote"]
    earlier = count_bytes(lab)
    wait_for(lambda: all(now > then + MEGABYTE for now, then in zip(count_bytes(lab), earlier)))


def test_bytes_are_those_of_the_interfaces(lab: Lab) -> None:
    """What the devices counted in the same time, headers and all (4 %), at 12 MB/s in all.

    They are read before each question and after it, which takes its time on a busy machine.
    """
    begin_on_both(lab)
    earlier, told, early = lab.count_sent(), count_bytes(lab), lab.count_sent()
    wait_for(lambda: min(lab.count_sent()) > 20 * MEGABYTE)
    late, claimed, later = lab.count_sent(), count_bytes(lab), lab.count_sent()
    for uplink, (now, then) in enumerate(zip(claimed, told)):
        least, most = late[uplink] - early[uplink], later[uplink] - earlier[uplink]
        assert 0.9 * least < now - then < 1.02 * most, (uplink, least, most)


def test_a_connection_that_ends_is_gone(lab: Lab) -> None:
    lab.set_interfaces(TWO_UPLINKS)
    lab.ifup("-a")
    transfer = lab.begin_transfer(8 * MEGABYTE)
    wait_for(lambda: list_connections(lab))
    assert transfer.finish().whole
    wait_for(lambda: (ask(lab)["connections"], ask(lab)["totals"]) == ([], []))


def test_a_backup_uplink(lab: Lab) -> None:
    begin(lab, TWO_UPLINKS_BACKUP)
    first, second = list_subflows(lab)
    assert (first["backup"], second["backup"]) == (False, True)
    assert second["interface"] == "eth1" and second["bytes_sent"] < first["bytes_sent"] / 10


def test_a_pulled_cable(lab: Lab) -> None:
    begin_on_both(lab)
    pull(lab, 1)
    first, second = wait_for(lambda: [
        each for each in [list_subflows(lab)] if each[1]["unanswered"] > 1])[0]
    assert first["unanswered"] == 0
    assert second["interface"] == "eth1"


def test_a_server_without_mptcp(lab: Lab) -> None:
    begin_with_plain_server(lab)
    (connection,) = list_connections(lab)
    assert connection["fallback"]
    assert [subflow["interface"] for subflow in connection["subflows"]] == ["eth0"]
