# SPDX-License-Identifier: GPL-2.0-or-later
"""Calls over TCP, one end each: run by the lab inside its hosts.

    calls.py answer PORT                  say "ready", and tell each caller which address it has
    calls.py call ADDRESS PORT [SOURCE]   call, and print the answer

A call that nothing comes back of is given up after CALLED_FOR seconds, and prints nothing.
"""

from __future__ import annotations

import socket
import sys

CALLED_FOR = 0.5


def answer(port: int) -> None:
    with socket.create_server(("::", port), family=socket.AF_INET6,
                              dualstack_ipv6=True) as listener:
        print("ready", flush=True)
        while True:
            connection, caller = listener.accept()
            with connection:
                connection.sendall(caller[0].removeprefix("::ffff:").encode())


def call(address: str, port: int, *source: str) -> None:
    own = (source[0], 0) if source else None
    try:
        with socket.create_connection((address, port), CALLED_FOR, own) as connection:
            print(connection.recv(100).decode())
    except OSError:
        # Nothing came back.
        pass


if __name__ == "__main__":
    mode, *words = sys.argv[1:]
    if mode == "answer":
        answer(int(words[0]))
    else:
        call(words[0], int(words[1]), *words[2:])
