# SPDX-License-Identifier: GPL-2.0-or-later
"""A new connection that is bound to nothing: whether it comes about, how soon, and by which uplink.

Run inside the client as a program, it connects and prints `SECONDS ADDRESS` of its own end:

    newcomer.py ADDRESS PORT SECONDS          one connection, that it waits for so long
"""

from __future__ import annotations

import socket
import sys
import time
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

if __name__ != "__main__":
    from tests.lab.support.lab import SERVER_4, SERVER_6, Lab
    from tests.lab.support.waiting import wait_for
if TYPE_CHECKING:
    import subprocess
    from collections.abc import Iterator

PORT = 5010
# What addresses of the second uplink begin with, of one that is PPP as well.
_SECOND = ("10.1.2.", "10.64.2.", "fd00:2:")
_NEVER = float("inf")
# Accepts all, and keeps none.
_TAKE = """\
import socket
taker = socket.create_server(("::", {port}), family=socket.AF_INET6, dualstack_ipv6=True)
print("ready", flush=True)
while True:
    taker.accept()[0].close()
"""


class Newcomer(NamedTuple):
    """After how many seconds a connection came about, infinite if never, and from which uplink."""

    seconds: float
    uplink: int | None


@contextmanager
def receive(lab: Lab) -> Iterator[None]:
    """Have the server accept what comes."""
    taker = lab.server.start(sys.executable, "-c", _TAKE.format(port=PORT))
    assert taker.stdout is not None and taker.stdout.readline() == "ready\n"
    try:
        yield
    finally:
        taker.kill()
        taker.wait()


def connect(lab: Lab, family: int = 4, within: float = 10.0) -> Newcomer:
    """Begin a connection now, and wait for it so long."""
    address = SERVER_4 if family == 4 else SERVER_6
    done = lab.client.try_run(sys.executable, str(Path(__file__)), address, str(PORT), str(within))
    if done.returncode:
        return Newcomer(_NEVER, None)
    seconds, own = done.stdout.split()
    return Newcomer(float(seconds), int(own.startswith(_SECOND)))


def wait_for_way(lab: Lab, uplink: int, family: int = 4) -> None:
    """Wait until new connections come about by an uplink, each by its first packet.

    `make bench` has how soon that is: here a busy machine may take its time.
    """
    # The second packet would follow after a second.
    wait_for(lambda: connect(lab, family, within=1).uplink == uplink)


def begin_waiting(lab: Lab, peer: str) -> subprocess.Popen[str]:
    """Begin one to a peer, and leave it to itself for a minute."""
    return lab.client.start(sys.executable, "-c", "import socket, sys\n"
                            f"socket.create_connection((sys.argv[1], {PORT}), 60)", peer)


def add_peers(lab: Lab) -> list[str]:
    """Have the server be three peers, over each router; their addresses."""
    others = [f"10.99.0.{number}" for number in (2, 3)]
    for router in lab.routers:
        router.ip(*(f"route add {one} via {gateway}" for one in others for gateway in [
            router.ask("route", "get", SERVER_4)[0]["gateway"]]))
    lab.server.ip(*(f"addr add {one}/32 dev lo" for one in others))
    return [SERVER_4, *others]


def answer_over(lab: Lab, own: str) -> None:
    """Have a connection from an own address be answered, and stay until it was seen."""
    # Of one that the server ended at once nothing would be left to see.
    lab.client.run(sys.executable, "-c", "import socket, time\n"
                   f"one = socket.create_connection(('{SERVER_4}', {PORT}), 10, ('{own}', 0))\n"
                   "time.sleep(3)")


def begin(address: str, port: int, within: float) -> None:
    began = time.monotonic()
    with socket.create_connection((address, port), within) as connection:
        print(time.monotonic() - began, connection.getsockname()[0])


if __name__ == "__main__":
    begin(sys.argv[1], int(sys.argv[2]), float(sys.argv[3]))
