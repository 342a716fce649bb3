# SPDX-License-Identifier: GPL-2.0-or-later
"""Connections over Multipath TCP that send all the time, and which of them use which uplink.

Run inside hosts as a program, one end each:

    crowd.py take ADDRESS PORT              receive from all that come
    crowd.py send ADDRESS PORT COUNT        send over so many connections until it is ended

Each says "ready" when it is; `send` names each connection that broke, `take` says
`TIME SECONDS` where nothing came for a while.
"""

from __future__ import annotations

import re
import select
import socket
import sys
import time
from pathlib import Path

if __name__ != "__main__":
    from tests.lab.support.lab import SERVER_4, SERVER_6, Lab
    from tests.lab.support.waiting import wait_for

PORT = 5009
_MPTCP = 262
# In bit/s, of a few connections, which need two uplinks then, and of many, which one uplink has
# room for: hundreds that fight for it lose more than their data. How often each sends a second.
RATE, RATE_OF_MANY, MANY, PIECES = 75_000_000, 40_000_000, 10, 50
# Twice the pause between two pieces.
SHORTEST_WAIT = 0.04
# What a subflow that carries acknowledges in the time that it is looked at, at least.
_LOOKED_FOR = 0.25


class Crowd:
    """Connections of the client, which sends; or of the server to it where they go `backwards`."""

    def __init__(
        self, lab: Lab, count: int = 1, family: int = 4, backwards: bool = False
    ) -> None:
        self._lab = lab
        self._count = count
        self._prefixes = tuple(f"10.1.{n}." if family == 4 else f"[fd00:{n}:" for n in (1, 2))
        taking, sending = (lab.client, lab.server) if backwards else (lab.server, lab.client)
        address = SERVER_4 if family == 4 else SERVER_6
        everywhere = "0.0.0.0" if family == 4 else "::"
        if backwards:
            address = "10.1.1.2" if family == 4 else "fd00:1::2"
        program = str(Path(__file__))
        self._taker = taking.start(sys.executable, program, "take",
                                   everywhere if backwards else address, str(PORT))
        assert self._taker.stdout is not None and self._taker.stdout.readline() == "ready\n"
        self._sender = sending.start(sys.executable, program, "send", address, str(PORT),
                                     str(count))
        assert self._sender.stdout is not None and self._sender.stdout.readline() == "ready\n"

    def wait_until_whole(self, seconds: float = 60) -> None:
        """Wait until every connection has a subflow on each uplink, and both carry."""
        wait_for(lambda: not self.list_lacking(0) and not self.list_lacking(1), seconds)
        wait_for(lambda: all(self.carries(uplink) for uplink in (0, 1)), seconds)

    def measure_return(self, uplink: int, within: float) -> float:
        """Seconds until every connection is on an uplink again, and it carries; inf if later."""
        began = time.monotonic()
        while self.list_lacking(uplink) or not self.carries(uplink, 0.05):
            if time.monotonic() - began > within:
                return float("inf")
        return time.monotonic() - began

    def list_lacking(self, uplink: int) -> list[str]:
        """The tokens of connections that have no subflow on an uplink."""
        having, everybody = set(), set()
        for address, token in self._list_subflows():
            everybody.add(token)
            having |= {token} if address.startswith(self._prefixes[uplink]) else set()
        assert len(everybody) <= self._count, "there are others"
        lost = self._count - len(everybody)
        return [*sorted(everybody - having), *["no subflow at all"] * lost]

    def carries(self, uplink: int, seconds: float = _LOOKED_FOR) -> bool:
        """Whether more than a megabit a second passes an uplink, either way."""
        before = self._lab.count_carried()[uplink]
        time.sleep(seconds)
        return (self._lab.count_carried()[uplink] - before) * 8 / seconds > 1e6

    def list_broken(self) -> str:
        """End all; what the sender has to say of connections that broke."""
        self._sender.kill()
        return self._sender.communicate()[0]

    def list_waits(self) -> list[tuple[float, float]]:
        """End all; when the taker had nothing to take, by the monotonic clock, and for how long."""
        self._sender.kill()
        self._taker.kill()
        lines = map(str.split, self._taker.communicate()[0].splitlines())
        return [(float(began), float(seconds)) for began, seconds in lines]

    def _list_subflows(self) -> list[tuple[str, str]]:
        """The client's established subflows: own address, and the connection's token."""
        text = self._lab.client.run("ss", "-tinHO", "state", "established",
                                    f"( sport = :{PORT} or dport = :{PORT} )")
        found = []
        for line in text.splitlines():
            token = re.search(r"token:[0-9a-f]+\(id:\d+\)/([0-9a-f]+)\(", line)
            # Not every ss leaves the column of a state out that was asked for.
            words = [word for word in line.split() if word.startswith(self._prefixes)]
            if token and words:
                found.append((words[0], token[1]))
        return found


def open_socket(address: str) -> socket.socket:
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    return socket.socket(family, socket.SOCK_STREAM, _MPTCP)


def take(address: str, port: int) -> None:
    listener = open_socket(address)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    listener.bind((address, port))
    listener.listen(1000)
    poll = select.epoll()
    connections: dict[int, socket.socket] = {}
    poll.register(listener, select.EPOLLIN)
    print("ready", flush=True)
    last = time.monotonic()
    while True:
        ready = poll.poll()
        now = time.monotonic()
        if connections and now - last > SHORTEST_WAIT:
            print(f"{last:.3f} {now - last:.3f}", flush=True)
        last = now
        for descriptor, _ in ready:
            if descriptor == listener.fileno():
                connection, _ = listener.accept()
                connection.setblocking(False)
                connections[connection.fileno()] = connection
                poll.register(connection, select.EPOLLIN)
                continue
            try:
                over = not connections[descriptor].recv(1 << 18)
            except BlockingIOError:
                over = False
            except OSError:
                over = True
            if over:
                poll.unregister(descriptor)
                connections.pop(descriptor).close()


def send(address: str, port: int, count: int) -> None:
    connections = []
    for _ in range(count):
        connection = open_socket(address)
        connection.connect((address, port))
        connection.setblocking(False)
        connections.append(connection)
    print("ready", flush=True)
    piece = bytes((RATE if count < MANY else RATE_OF_MANY) // 8 // PIECES // count)
    while connections:
        began = time.monotonic()
        for connection in list(connections):
            try:
                connection.send(piece)
            except BlockingIOError:
                continue
            except OSError as error:
                print(f"broken: {error}", flush=True)
                connections.remove(connection)
                connection.close()
        time.sleep(max(0.0, began + 1 / PIECES - time.monotonic()))


if __name__ == "__main__":
    mode, where, number, *rest = sys.argv[1:]
    if mode == "take":
        take(where, int(number))
    else:
        send(where, int(number), int(rest[0]))
