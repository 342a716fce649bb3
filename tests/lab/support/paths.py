# SPDX-License-Identifier: GPL-2.0-or-later
"""Two uplinks as tests see them: what must be there, what cuts them, one transfer over both."""

from __future__ import annotations

import sys

from tests.lab.support.lab import SERVER_4, TRANSFER, Lab

MEGABYTE = 1_000_000
# The endpoints of lab.TWO_UPLINKS.
BOTH = ["10.1.1.2 eth0 subflow", "10.1.2.2 eth1 subflow"]


def check_both_paths(lab: Lab, server: str = SERVER_4) -> None:
    """A transfer is whole, and each uplink carried a good part of it."""
    sent = lab.transfer(4 * MEGABYTE, server)
    assert sent.whole and min(sent.uplinks) > MEGABYTE / 2, sent


def pull(lab: Lab, uplink: int) -> None:
    """Pull the cable of eth0 or eth1: the device stays, its carrier goes."""
    lab.routers[uplink].ip("link set lan down")


def plug(lab: Lab, uplink: int) -> None:
    lab.routers[uplink].ip("link set lan up")


def flush(lab: Lab) -> None:
    """What `networkctl reconfigure` and careless scripts do."""
    # In one go: a monitor waits no longer than a moment before it puts all back.
    left = lab.client.run("sh", "-ec", """for family in -4 -6; do
        ip $family rule flush protocol 77
        ip $family rule show protocol 77
        ip $family route flush table all proto 77
    done""")
    assert "mptcp" not in left


def rules_of(
    address: str, subnet: str, device: str, table: int, backup: bool = False
) -> list[str]:
    """The rules of an IPv4 or IPv6 uplink, as `ip rule` prints them.

    A further address of its device has the first three of them. A link with one peer has no
    subnet of its own.
    """
    length = 4 if ":" in address else 1
    wide = [
        f"20003: from {subnet} iif lo lookup main suppress_prefixlength {length} proto mptcp",
        f"20004: from {subnet} iif lo lookup {table} proto mptcp",
    ]
    return [
        f"20000: from {address} to {subnet} lookup {table} proto mptcp",
        f"20001: from {address} lookup main suppress_prefixlength {length} proto mptcp",
        f"20002: from {address} lookup {table} proto mptcp",
        *(wide if "/" in subnet else []),
        f"20005: from all oif {device} lookup main suppress_prefixlength {length} proto mptcp",
        f"20006: from all oif {device} lookup {table} proto mptcp",
        f"{32769 if backup else 32768}: from all lookup {table} proto mptcp",
    ]


# How many they are, and how many a further address has.
RULES = len(rules_of("", "/24", "", 0))
FURTHER_RULES = 3


def rules_of_uplinks(lab: Lab, *uplinks: int) -> list[str]:
    """The rules of eth0 (0) or eth1 (1) or both as lab.TWO_UPLINKS has them, sorted."""
    return sorted(rule for uplink in uplinks for rule in rules_of(
        f"10.1.{uplink + 1}.2", f"10.1.{uplink + 1}.0/24", f"eth{uplink}",
        20000 + lab.ifindex(f"eth{uplink}")))


def list_detours(lab: Lab, family: int = 4) -> list[str]:
    """The rules that are there while main leads new connections astray."""
    return [rule for rule in lab.rules(family)
            if rule.startswith(("32765:", "32767:")) and "proto mptcp" in rule]


def answers(lab: Lab, address: str) -> bool:
    """Whether the server gets through to an address of the client, and hears the answer."""
    receiver = lab.client.start(sys.executable, TRANSFER, "serve", address, "5003")
    assert receiver.stdout is not None and receiver.stdout.readline() == "listening\n"
    try:
        done = lab.server.try_run("timeout", "5", sys.executable, TRANSFER, "send", address,
                                  "5003", "100000")
    finally:
        receiver.kill()
    return '"whole": true' in done.stdout


def route_get(lab: Lab, destination: str, *options: str) -> dict[str, str]:
    (answer,) = lab.client.ask("route", "get", destination, *options)
    return answer
