"""What a command's traffic was, as the kernel and the uplinks tell it."""

from __future__ import annotations

import subprocess
import time
from typing import NamedTuple

from tests.lab.support.lab import SERVER_4, TWO_UPLINKS, Lab
from tests.lab.support.paths import BOTH, MEGABYTE
from tests.lab.support.waiting import wait_for

SIZE = 12 * MEGABYTE


class Traffic(NamedTuple):
    """How a command went: what it said, its MPTCP sockets as ss has them, bytes by each uplink."""

    status: int
    output: str
    errors: str
    sockets: tuple[str, ...]
    uplinks: tuple[int, int]

    def is_over_both(self, size: int = SIZE) -> bool:
        """Whether it was MPTCP, and each uplink carried a good part of it."""
        return self.status == 0 and bool(self.sockets) and min(self.uplinks) > size / 5

    def is_plain(self, size: int = SIZE) -> bool:
        """Whether it was TCP over one uplink."""
        return (self.status == 0 and not self.sockets and max(self.uplinks) > size
                and min(self.uplinks) < size / 20)


def bring_up(lab: Lab) -> Lab:
    """Both uplinks, their paths and endpoints."""
    lab.set_interfaces(TWO_UPLINKS)
    lab.ifup("-a")
    assert lab.endpoints() == BOTH
    return lab


def watch(lab: Lab, *command: str) -> Traffic:
    """Run a command on the client to its end, and look at its sockets meanwhile."""
    before = lab.count_carried()
    process = lab.client.start(*command)
    sockets: set[str] = set()
    while process.poll() is None:
        sockets.update(list_mptcp(lab))
        # As often as a look at short connections needs.
        time.sleep(0.05)
    output, errors = process.communicate()
    first, second = (now - then for now, then in zip(lab.count_carried(), before))
    return Traffic(process.returncode, output, errors, tuple(sorted(sockets)), (first, second))


def list_mptcp(lab: Lab) -> list[str]:
    """The client's MPTCP connections with the server, each as the server's address and port."""
    lines = lab.client.run("ss", "-MnH", "state", "established").splitlines()
    return [word for line in lines for word in line.split() if word.startswith(SERVER_4)]


def serve(lab: Lab, *command: str, ready: str) -> subprocess.Popen[str]:
    """Start a server on the server, and wait until a socket of that kind listens (ss's options)."""
    process = lab.server.start(*command)
    wait_for(lambda: process.poll() is not None or lab.server.run("ss", *ready.split()))
    assert process.poll() is None, process.communicate()
    return process
