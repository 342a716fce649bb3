# SPDX-License-Identifier: GPL-2.0-or-later
"""New connections, one after another: run inside the client by tests.bench.pictures.

    arrivals.py ADDRESS PORT SECONDS    begin one each fifth of a second, so long

Each that is over prints `BEGAN SECONDS OWN`: when it began by the machine's monotonic clock, which
all hosts share, how long it took, and its own address; `BEGAN` alone where nobody answered within
a second.
"""

from __future__ import annotations

import socket
import sys
import threading
import time

INTERVAL = 0.2
PATIENCE = 1.0


def begin(address: str, port: int) -> None:
    began = time.monotonic()
    try:
        with socket.create_connection((address, port), PATIENCE) as connection:
            own = connection.getsockname()[0]
            tell(f"{began} {time.monotonic() - began} {own}")
    except OSError:
        tell(str(began))


def tell(text: str) -> None:
    # print() writes the end of a line by itself, and another thread may come between.
    sys.stdout.write(text + "\n")


def main(address: str, port: int, seconds: float) -> None:
    due = time.monotonic()
    end = due + seconds
    while due < end:
        threading.Thread(target=begin, args=(address, port)).start()
        due += INTERVAL
        time.sleep(max(0.0, due - time.monotonic()))


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]), float(sys.argv[3]))
