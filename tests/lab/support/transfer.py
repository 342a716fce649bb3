# SPDX-License-Identifier: GPL-2.0-or-later
"""A transfer over Multipath TCP, one end each: run by the lab inside its hosts.

    transfer.py serve ADDRESS PORT            receive once, answer with size and hash
    transfer.py send ADDRESS PORT BYTES       send, compare the answer, print JSON
    transfer.py listen ADDRESS PORT           receive once or until SIGTERM, print each long wait
    transfer.py stream ADDRESS PORT SECONDS   send 26 Mbit/s, so long or until SIGTERM

`send` prints one line of JSON: bytes, seconds, whole (the receiver's hash is ours). `stream`
does without the seconds, and `listen` has no hash for it.
`listen` prints `TIME SECONDS` for each wait: when it began by the machine's monotonic
clock, which all hosts share, and how long nothing came. The one that SIGTERM ends counts.
"""

from __future__ import annotations

import hashlib
import json
import signal
import socket
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager

MPTCP = 262
PIECE = bytes(range(256)) * 256
# 3250 bytes each millisecond are 26 Mbit/s.
PACED, INTERVAL = PIECE[:3250], 0.001
# Shorter waits are how a paced stream looks on a busy machine.
SHORTEST_WAIT = 0.002


def open_socket(address: str) -> socket.socket:
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    return socket.socket(family, socket.SOCK_STREAM, MPTCP)


@contextmanager
def accept(address: str, port: int) -> Iterator[socket.socket]:
    """The one connection that comes; without its listener no subflow could join it."""
    with open_socket(address) as listener:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((address, port))
        listener.listen()
        print("listening", flush=True)
        connection, _ = listener.accept()
        with connection:
            yield connection


def serve(address: str, port: int) -> None:
    with accept(address, port) as connection:
        digest, size = hashlib.sha256(), 0
        while piece := connection.recv(1 << 18):
            digest.update(piece)
            size += len(piece)
        connection.sendall(f"{size} {digest.hexdigest()}\n".encode())


def send(address: str, port: int, size: int) -> None:
    with open_socket(address) as connection:
        connection.connect((address, port))
        began = time.monotonic()
        digest, left = hashlib.sha256(), size
        while left:
            piece = PIECE[:left]
            digest.update(piece)
            connection.sendall(piece)
            left -= len(piece)
        answer = end(connection)
        seconds = time.monotonic() - began
    whole = answer == f"{size} {digest.hexdigest()}\n"
    print(json.dumps({"bytes": size, "seconds": seconds, "whole": whole}))


def end(connection: socket.socket) -> str:
    """What the receiver says when it has all; the one of `listen` says nothing.

    A socket that nobody holds any more may reset the connection, with data under way.
    """
    connection.shutdown(socket.SHUT_WR)
    answer = b""
    while more := connection.recv(200):
        answer += more
    return answer.decode()


def listen(address: str, port: int) -> None:
    with accept(address, port) as connection:
        last = time.monotonic()

        def tell_wait() -> None:
            if (wait := time.monotonic() - last) > SHORTEST_WAIT:
                print(f"{last:.4f} {wait:.4f}", flush=True)

        def stop(number: int, frame: object) -> None:
            tell_wait()
            sys.exit()

        signal.signal(signal.SIGTERM, stop)
        while connection.recv(1 << 18):
            tell_wait()
            last = time.monotonic()


def stream(address: str, port: int, seconds: float) -> None:
    stopped: list[int] = []
    signal.signal(signal.SIGTERM, lambda number, _: stopped.append(number))
    with open_socket(address) as connection:
        connection.connect((address, port))
        due = time.monotonic()
        over = due + seconds
        digest, size = hashlib.sha256(), 0
        while due < over and not stopped:
            digest.update(PACED)
            connection.sendall(PACED)
            size += len(PACED)
            due += INTERVAL
            time.sleep(max(0.0, due - time.monotonic()))
        answer = end(connection)
    print(json.dumps({"bytes": size, "whole": answer == f"{size} {digest.hexdigest()}\n"}))


if __name__ == "__main__":
    mode, host, number = sys.argv[1], sys.argv[2], int(sys.argv[3])
    if mode == "serve":
        serve(host, number)
    elif mode == "send":
        send(host, number, int(sys.argv[4]))
    elif mode == "listen":
        listen(host, number)
    else:
        stream(host, number, float(sys.argv[4]))
