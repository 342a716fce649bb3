# SPDX-License-Identifier: GPL-2.0-or-later
"""A server that takes connections and says nothing: run by the lab inside a host.

    listener.py ADDRESS MPTCP_PORT TCP_PORT
"""

from __future__ import annotations

import select
import socket
import sys

MPTCP, TCP = 262, 6


def main(address: str, *ports: str) -> None:
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    listeners = [socket.socket(family, socket.SOCK_STREAM, protocol) for protocol in (MPTCP, TCP)]
    for listener, port in zip(listeners, ports):
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((address, int(port)))
        listener.listen(64)
    print("listening", flush=True)
    connections = []
    while True:
        for listener in select.select(listeners, [], [])[0]:
            connections.append(listener.accept()[0])


if __name__ == "__main__":
    main(*sys.argv[1:])
