# SPDX-License-Identifier: GPL-2.0-or-later
"""A resolver: what asks it is bound to nothing, and it says whom it heard.

Run inside hosts as a program, it speaks no DNS; a datagram is all that it is about:

    resolver.py answer ADDRESS      say "ready", and answer each datagram with who sent it
    resolver.py ask ADDRESS         send one, and print the answer
"""

from __future__ import annotations

import socket
import sys
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

if __name__ != "__main__":
    from tests.lab.support.lab import Lab
if TYPE_CHECKING:
    from collections.abc import Iterator

PORT = 53
# What addresses the client has on its uplinks, and in the tunnel of support/tunnel.py.
_OWN = {"eth0": ("10.1.1.", "fd00:1:"), "eth1": ("10.1.2.", "fd00:2:"),
        "wg0": ("10.77.", "fd00:77:")}
# What a round trip takes, and a neighbour that is to be found first.
_ANSWERED_WITHIN = 2.0


@contextmanager
def have_resolvers(lab: Lab, *addresses: str) -> Iterator[None]:
    """Have the server be these resolvers; both providers have a way to them."""
    for address in addresses:
        option, length, backs = ("-6 ", 128, "fd00:8:{}::2") if ":" in address else (
            "", 32, "10.8.{}.2")
        lab.server.ip(f"{option}addr add {address}/{length} dev lo")
        for number, router in enumerate(lab.routers, start=1):
            router.ip(f"{option}route add {address} via {backs.format(number)}")
    with ExitStack() as stack:
        for address in addresses:
            answerer = lab.server.start(sys.executable, str(Path(__file__)), "answer", address)
            stack.callback(answerer.kill)
            assert answerer.stdout is not None and answerer.stdout.readline() == "ready\n", (
                answerer.communicate())
        yield


def ask(lab: Lab, address: str) -> str:
    """Ask from a socket that is bound to nothing; by which uplink it was heard, '' if by none."""
    done = lab.client.try_run(sys.executable, str(Path(__file__)), "ask", address)
    return next((device for device, own in _OWN.items() if done.stdout.startswith(own)), "")


def _open(address: str) -> socket.socket:
    return socket.socket(socket.AF_INET6 if ":" in address else socket.AF_INET,
                         socket.SOCK_DGRAM)


def _answer(address: str) -> None:
    with _open(address) as end:
        end.bind((address, PORT))
        print("ready", flush=True)
        while True:
            _, sender = end.recvfrom(100)
            end.sendto(str(sender[0]).encode(), sender)


def _ask(address: str) -> None:
    with _open(address) as end:
        end.settimeout(_ANSWERED_WITHIN)
        end.sendto(b"who", (address, PORT))
        print(end.recv(100).decode())


if __name__ == "__main__":
    {"answer": _answer, "ask": _ask}[sys.argv[1]](sys.argv[2])
