# SPDX-License-Identifier: GPL-2.0-or-later
"""Boxes on the way that take MPTCP away, made of the routers' nftables; and other servers' faults.

The routers need the program: make_lab(routers=("nftables",)).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

from tests.lab.support.lab import TWO_UPLINKS, Host, Lab
from tests.lab.support.paths import MEGABYTE
from tests.lab.support.waiting import wait_for

_TRIES = 3


def put_box(routers: Iterable[Host], rule: str) -> None:
    """Have routers apply a rule of nftables to all that they pass on."""
    for router in routers:
        router.run("nft", "-f", "-", text="table inet box {\nchain way {\n"
                   f"type filter hook forward priority 0\n{rule}\n}}\n}}\n")


def block(lab: Lab, uplink: int, verdict: str) -> None:
    """Have a router deal so with all TCP that it would pass on."""
    put_box((lab.routers[uplink],), f"meta l4proto tcp {verdict}")


def drop_acknowledgements(lab: Lab, uplink: int) -> None:
    """Have a router lose all without data that the client sends: RM_ADDR is such a packet."""
    put_box((lab.routers[uplink],), "iifname lan meta length < 100 drop")


def remove_boxes(lab: Lab) -> None:
    for router in lab.routers:
        router.run("nft", "flush", "ruleset")


def transfer(lab: Lab, size: int = MEGABYTE) -> None:
    """As many transfers as it takes to be no accident."""
    for _ in range(_TRIES):
        assert lab.transfer(size).whole


def strip_all(lab: Lab) -> None:
    """No packet keeps its MPTCP options."""
    put_box(lab.routers, "reset tcp option mptcp")
    transfer(lab)


def drop_all(lab: Lab) -> None:
    """What has an MPTCP option never arrives."""
    put_box(lab.routers, "tcp option mptcp exists drop")
    for _ in range(2):
        assert lab.transfer(1000).whole


def strip_joins(lab: Lab) -> None:
    """The second provider takes the options away; the first subflow is the first one's."""
    put_box(lab.routers[1:], "reset tcp option mptcp")
    transfer(lab)


def drop_joins(lab: Lab) -> None:
    put_box(lab.routers[1:], "tcp option mptcp subtype 1 drop")
    transfer(lab)


def strip_third_packet(lab: Lab) -> None:
    """Options get through in SYNs only."""
    put_box(lab.routers, "iifname lan tcp flags & syn == 0 reset tcp option mptcp")
    transfer(lab)


def strip_data(lab: Lab) -> None:
    """Options get through in packets without data only."""
    put_box(lab.routers, "iifname lan meta length > 200 reset tcp option mptcp")
    transfer(lab)


def alter_data(lab: Lab) -> None:
    """The second provider changes a few bytes of data; both ends ask for checksums."""
    for host in (lab.client, lab.server):
        host.run("sysctl", "-qw", "net.mptcp.checksum_enabled=1")
    sent = lab.begin_transfer(100 * MEGABYTE)
    # A receiver with one subflow alone falls back, which some do without telling the sender.
    wait_for(lambda: min(sent.count_sent()) > MEGABYTE / 10)
    put_box(lab.routers[1:], "iifname lan meta length > 1000 limit rate 1/second "
            "@th,1600,32 set 0xdeadbeef")
    # The one that is told of it counts it last.
    wait_for(lambda: "MPFailRx" in list_changed(lab.client))


def refuse(lab: Lab) -> None:
    """The server's own limit."""
    lab.server.run("ip", "mptcp", "limits", "set", "subflows", "0")
    transfer(lab)


# What happens on the way of transfers, by the names of tests/cases/counters.
SCENES: dict[str, Callable[[Lab], None]] = {
    "healthy": transfer,
    "all-stripped": strip_all,
    "all-dropped": drop_all,
    "joins-stripped": strip_joins,
    "joins-dropped": drop_joins,
    "third-packet-stripped": strip_third_packet,
    "data-stripped": strip_data,
    "data-altered": alter_data,
    "refused": refuse,
}


def play(lab: Lab, name: str) -> None:
    """Play a scene on a fresh lab, over both uplinks."""
    lab.set_interfaces(TWO_UPLINKS)
    lab.ifup("-a")
    SCENES[name](lab)


def read_netstat(host: Host) -> str:
    return host.run("grep", "^MPTcpExt:", "/proc/net/netstat")


def list_changed(host: Host) -> set[str]:
    """The names of the counters that are not zero."""
    names, values = (line.split() for line in read_netstat(host).splitlines())
    return {name for name, value in zip(names[1:], values[1:]) if value != "0"}
