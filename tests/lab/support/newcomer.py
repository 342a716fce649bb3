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
if TYPE_CHECKING:
    from collections.abc import Iterator

PORT = 5010
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
    return Newcomer(float(seconds), int(own.startswith(("10.1.2.", "fd00:2:"))))


def begin(address: str, port: int, within: float) -> None:
    began = time.monotonic()
    with socket.create_connection((address, port), within) as connection:
        print(time.monotonic() - began, connection.getsockname()[0])


if __name__ == "__main__":
    begin(sys.argv[1], int(sys.argv[2]), float(sys.argv[3]))
