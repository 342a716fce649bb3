# SPDX-License-Identifier: GPL-2.0-or-later
"""A stream of numbered datagrams, one end each: run by the lab inside its hosts.

    datagrams.py receive ADDRESS PORT        say "ready", "heard" at the first, and count them
    datagrams.py send SOURCE ADDRESS PORT    say "ready", and send 2,000 a second from that address,
                                             or by a device (`%eth1`), each with a source anew

SIGTERM ends each, the receiver when nothing comes any more. It prints how many there were; one
that comes twice counts once.
"""

from __future__ import annotations

import signal
import socket
import sys
import time

INTERVAL = 0.0005
# When the first must have come, and what is under way, in seconds.
FIRST, LATEST = 20, 0.3
# asm-generic/socket.h; Python has no name for it.
SO_RCVBUFFORCE = 33
BUFFER = 1 << 22

_signals: list[int] = []


def open_socket(address: str) -> socket.socket:
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    return socket.socket(family, socket.SOCK_DGRAM)


def receive(address: str, port: int) -> int:
    with open_socket(address) as end:
        end.setsockopt(socket.SOL_SOCKET, SO_RCVBUFFORCE, BUFFER)
        end.settimeout(FIRST)
        end.bind((address, port))
        print("ready", flush=True)
        numbers = {end.recv(100)}
        print("heard", flush=True)
        end.settimeout(LATEST)
        while True:
            try:
                numbers.add(end.recv(100))
            except TimeoutError:
                if _signals:
                    return len(numbers)


def send(source: str, address: str, port: int) -> int:
    sent = 0
    with open_socket(address) as end:
        if source.startswith("%"):
            end.setsockopt(socket.SOL_SOCKET, socket.SO_BINDTODEVICE, source[1:].encode())
        else:
            end.bind((source, 0))
        print("ready", flush=True)
        while not _signals:
            end.sendto(str(sent).encode(), (address, port))
            sent += 1
            time.sleep(INTERVAL)
    return sent


if __name__ == "__main__":
    signal.signal(signal.SIGTERM, lambda number, _: _signals.append(number))
    mode, *source, address, port = sys.argv[1:]
    if mode == "receive":
        print(receive(address, int(port)))
    else:
        print(send(source[0], address, int(port)))
