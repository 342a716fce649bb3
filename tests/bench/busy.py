# SPDX-License-Identifier: GPL-2.0-or-later
"""What a thousand new connections a second cost the monitor, as a server and as a client."""

from __future__ import annotations

import os
import sys
import time
from contextlib import closing
from pathlib import Path

from tests.lab.support.lab import SERVER_4, TWO_UPLINKS, Host, Installation, Lab
from tests.lab.support.monitor import Monitor

RATE, SECONDS = 1000, 15
_PORT = "5008"
# What is still to do when the last connection ended, in seconds.
_AFTERWARDS = 4
_SERVE = """
import socket, sys
listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM, 262)
listener.bind((sys.argv[1], int(sys.argv[2])))
listener.listen(500)
print("ready", flush=True)
while True:
    connection, _ = listener.accept()
    connection.recv(10)
    connection.send(b"x")
    connection.close()
"""
_ASK = """
import socket, sys, time
due = time.monotonic()
for _ in range(int(sys.argv[4]) * int(sys.argv[3])):
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM, 262) as connection:
        connection.connect((sys.argv[1], int(sys.argv[2])))
        connection.send(b"x")
        connection.recv(10)
    due += 1 / int(sys.argv[3])
    time.sleep(max(0.0, due - time.monotonic()))
"""


def bench_busy(installation: Installation) -> int:
    """Print the shares of a core; 1 where one is over its bound."""
    with closing(Lab((installation.layer,), rate="1gbit")) as lab:
        lab.set_interfaces(TWO_UPLINKS)
        lab.ifup("-a")
        monitor = Monitor(lab)
        served = measure(monitor, lab.client, lab.server, "10.1.1.2")
        asked = measure(monitor, lab.server, lab.client, SERVER_4)
        resident = monitor.read_status("VmRSS") / 1000
    print(f"\nmptcp_monitor, {RATE} new connections a second: {served:.2%} of a core on a server, "
          f"{asked:.2%} on a client (bound: 1 %), {resident:.0f} MB resident (bound: 20)")
    return int(max(served, asked) > 0.01 or resident > 20)


def measure(monitor: Monitor, server: Host, client: Host, address: str) -> float:
    """The monitor's share of a core while one host serves another."""
    serving = server.start(sys.executable, "-c", _SERVE, address, _PORT)
    assert serving.stdout is not None and serving.stdout.readline() == "ready\n"
    monitor.rest()
    before, began = read_time(monitor.pid), time.monotonic()
    asking = client.start(sys.executable, "-c", _ASK, address, _PORT, str(RATE), str(SECONDS))
    assert asking.wait(10 * SECONDS) == 0
    passed = time.monotonic() - began
    time.sleep(_AFTERWARDS)
    serving.kill()
    return (read_time(monitor.pid) - before) / passed


def read_time(pid: int) -> float:
    """The processor time of a process and of its children that ended, in seconds; proc(5)."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return sum(map(int, fields[11:15])) / os.sysconf("SC_CLK_TCK")
