# SPDX-License-Identifier: GPL-2.0-or-later
"""What the bench of unequal uplinks sends and asks for; one end each, run inside hosts.

    python3 -m tests.bench.traffic serve
    python3 -m tests.bench.traffic upload|download|request SOURCE CONTROL COUNT [TIMES]
    python3 -m tests.bench.traffic stream SOURCE CONTROL COUNT MEGABITS

SOURCE is an address of the client, for plain TCP by its uplink alone, or `any`, for Multipath
TCP. CONTROL is a congestion control, or `route` for that of the route. COUNT connections share
an upload or a download, and each makes requests of its own; TIMES as much of it. What is printed
are the seconds until all of the bytes were there; for requests of the median one, its
connection's begin included. A stream is what a slow server sends for ten seconds, so many
megabits a second by each connection.
"""

from __future__ import annotations

import socket
import statistics
import sys
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

SERVER, PORT = "10.99.0.1", 5012
# In bytes: what is sent, what is fetched, and an answer to a request.
UPLOAD, DOWNLOAD, ANSWER = 8 << 20, 8_000_000, 300_000
# How many requests one connection after the other makes; with ten at once each makes one.
_REQUESTS, _AT_ONCE = 7, 1
_MPTCP, _TCP_CONGESTION = 262, 13
_PIECE = bytes(1 << 16)
_HEAD = 64
# For how long a stream lasts, and how often a piece of it is sent, in seconds.
_LASTS, _STEP = 10, 0.01


def serve() -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM, _MPTCP) as listener:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((SERVER, PORT))
        listener.listen(100)
        print("ready", flush=True)
        while True:
            connection, _ = listener.accept()
            threading.Thread(target=answer, args=(connection,), daemon=True).start()


def answer(connection: socket.socket) -> None:
    """Give as many bytes as are asked for, or take what comes and say so."""
    with connection:
        head = connection.recv(_HEAD, socket.MSG_WAITALL).decode().split()
        if not head:
            return
        set_control(connection, head[0])
        size, rate = map(int, head[1:])
        if rate:
            stream(connection, rate)
        elif size:
            send(connection, size)
        else:
            receive(connection)
            connection.sendall(b"!")


def set_control(connection: socket.socket, control: str) -> None:
    """Have a connection of Multipath TCP use it on all its subflows, those to come too."""
    if control != "route":
        connection.setsockopt(socket.IPPROTO_TCP, _TCP_CONGESTION, control.encode())


def send(connection: socket.socket, size: int) -> None:
    while size > 0:
        size -= connection.send(_PIECE[:size])
    connection.shutdown(socket.SHUT_WR)


def stream(connection: socket.socket, megabits: int) -> None:
    due, piece = time.monotonic(), bytes(int(megabits * 125_000 * _STEP))
    for _ in range(int(_LASTS / _STEP)):
        connection.sendall(piece)
        due += _STEP
        time.sleep(max(0.0, due - time.monotonic()))


def receive(connection: socket.socket) -> None:
    while connection.recv(1 << 18):
        pass


def connect(source: str, control: str) -> socket.socket:
    protocol = _MPTCP if source == "any" else socket.IPPROTO_TCP
    connection = socket.socket(socket.AF_INET, socket.SOCK_STREAM, protocol)
    set_control(connection, control)
    if source != "any":
        connection.bind((source, 0))
    connection.connect((SERVER, PORT))
    return connection


def exchange(source: str, control: str, up: int, down: int, rate: int = 0) -> float:
    """Begin a connection, send or fetch so much by it; the seconds that it took."""
    began = time.monotonic()
    with connect(source, control) as connection:
        connection.sendall(f"{control} {down} {rate}".encode().ljust(_HEAD))
        if up:
            send(connection, up)
        receive(connection)
        return time.monotonic() - began


def measure(kind: str, source: str, control: str, count: int, times: int = 1) -> float:
    if kind == "request":
        rounds = _AT_ONCE if count > 1 else _REQUESTS
        return statistics.median(took for _ in range(rounds * times) for took in run(
            count, lambda: exchange(source, control, 0, ANSWER)))
    if kind == "stream":
        return max(run(count, lambda: exchange(source, control, 0, 0, times)))
    up, down = (UPLOAD, 0) if kind == "upload" else (0, DOWNLOAD)
    up, down = up * times // count, down * times // count
    return max(run(count, lambda: exchange(source, control, up, down)))


def run(count: int, do: Callable[[], float]) -> list[float]:
    """Do it so many times at once."""
    with ThreadPoolExecutor(count) as threads:
        return [begun.result() for begun in [threads.submit(do) for _ in range(count)]]


if __name__ == "__main__":
    if sys.argv[1] == "serve":
        serve()
    else:
        way, where, by, *numbers = sys.argv[1:]
        print(measure(way, where, by, *map(int, numbers)))
