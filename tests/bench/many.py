# SPDX-License-Identifier: GPL-2.0-or-later
"""What it costs mptcp_monitor to judge uplinks that are used, with ten thousand connections."""

from __future__ import annotations

import sys
import time
from contextlib import closing

from tests.bench.busy import read_time
from tests.bench.unequal import MIXES, WideLab
from tests.lab.support.lab import SERVER_4, Installation
from tests.lab.support.monitor import Monitor

# How many connections there are, how long is measured, and what of a core it may take.
CONNECTIONS, _SECONDS, _TIMES, _BOUND = 10_000, 30.0, 3, 0.002
_PORT, _PER_PROCESS = 5100, 2500
_SERVE = """
import resource, socket, sys
resource.setrlimit(resource.RLIMIT_NOFILE, (5000, 5000))
listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM, 262)
listener.bind((sys.argv[1], int(sys.argv[2])))
listener.listen(500)
print("ready", flush=True)
taken = [listener.accept() for _ in range(int(sys.argv[3]))]
listener.accept()
"""
_HOLD = """
import resource, socket, sys
resource.setrlimit(resource.RLIMIT_NOFILE, (5000, 5000))
held = []
for _ in range(int(sys.argv[3])):
    one = socket.socket(socket.AF_INET, socket.SOCK_STREAM, 262)
    one.connect((sys.argv[1], int(sys.argv[2])))
    held.append(one)
print("ready", flush=True)
held[0].recv(1)
"""


def bench_many(installation: Installation) -> int:
    """Print the share of a core; 1 where judging takes more than its bound."""
    mix = MIXES["50+25"]
    with closing(WideLab(installation, mix)) as lab, lab.serve():
        hold(lab)
        # What else the monitor does with so many is not the same each time: the least counts.
        shares = [[measure(lab, roles) for roles in ("fixed", "judged")] for _ in range(_TIMES)]
    fixed, judged = (min(each) for each in zip(*shares))
    print(f"\nmptcp_monitor, {CONNECTIONS} connections, downloads all the time: "
          f"{judged:.2%} of a core, {fixed:.2%} with roles = fixed "
          f"(bound of the difference: {_BOUND:.1%})")
    return int(judged - fixed > _BOUND)


def hold(lab: WideLab) -> None:
    """Open connections that nobody uses, each with a subflow by each uplink."""
    for number in range(CONNECTIONS // _PER_PROCESS):
        arguments = SERVER_4, str(_PORT + number), str(_PER_PROCESS)
        for host, script in ((lab.server, _SERVE), (lab.client, _HOLD)):
            process = host.start(sys.executable, "-c", script, *arguments)
            assert process.stdout is not None and process.stdout.readline() == "ready\n"


def measure(lab: WideLab, roles: str) -> float:
    """The monitor's share of a core while files are fetched."""
    lab.write("/etc/mptcp-hooks/mptcp-hooks.conf", f"[default]\nroles = {roles}\n")
    monitor = Monitor(lab)
    monitor.rest()
    before, began = read_time(monitor.pid), time.monotonic()
    while time.monotonic() < began + _SECONDS:
        lab.measure("download", "any", "cubic", 1)
    share = (read_time(monitor.pid) - before) / (time.monotonic() - began)
    monitor.stop()
    lab.client.run("mptcp_monitor", "--stopped")
    return share
