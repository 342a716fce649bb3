# SPDX-License-Identifier: GPL-2.0-or-later
"""What a command's traffic was, as the kernel and the uplinks tell it."""

from __future__ import annotations

import json
import subprocess
from typing import NamedTuple

from tests.lab.support.lab import TWO_UPLINKS, Lab
from tests.lab.support.paths import BOTH, MEGABYTE
from tests.lab.support.waiting import wait_for

SIZE = 12 * MEGABYTE
CAPABLE = "MPTcpExtMPCapableSYNTX"


class Traffic(NamedTuple):
    """How a command went: what it said, MPTCP connections it asked for, bytes by each uplink."""

    status: int
    output: str
    errors: str
    connections: int
    uplinks: tuple[int, int]

    def is_over_both(self, size: int = SIZE) -> bool:
        """Whether it was MPTCP, and each uplink carried a good part of it."""
        return self.status == 0 and self.connections > 0 and min(self.uplinks) > size / 5

    def is_plain(self, size: int = SIZE) -> bool:
        """Whether it was TCP over one uplink."""
        return (self.status == 0 and not self.connections and max(self.uplinks) > size
                and min(self.uplinks) < size / 20)


def bring_up(lab: Lab) -> Lab:
    """Both uplinks, their paths and endpoints."""
    lab.set_interfaces(TWO_UPLINKS)
    lab.ifup("-a")
    assert lab.endpoints() == BOTH, lab.endpoints()
    return lab


def watch(lab: Lab, *command: str) -> Traffic:
    """Run a command on the client to its end, and count what it sent meanwhile."""
    asked, before = count_asked(lab), lab.count_carried()
    process = lab.client.start(*command)
    output, errors = process.communicate()
    first, second = (now - then for now, then in zip(lab.count_carried(), before))
    return Traffic(process.returncode, output, errors, count_asked(lab) - asked, (first, second))


def count_asked(lab: Lab) -> int:
    """How many connections the client's kernel asked MPTCP for (a SYN with MP_CAPABLE), ever.

    A counter misses none, however short; a look at the sockets does.
    """
    counters = json.loads(lab.client.run("nstat", "-aszj", CAPABLE))
    return int(counters["kernel"][CAPABLE])


def serve(lab: Lab, *command: str, ready: str) -> subprocess.Popen[str]:
    """Start a server on the server, and wait until a socket of that kind listens (ss's options)."""
    process = lab.server.start(*command)
    wait_for(lambda: process.poll() is not None or lab.server.run("ss", *ready.split()))
    assert process.poll() is None, process.communicate()
    return process
