# SPDX-License-Identifier: GPL-2.0-or-later
"""`make bench`: the installed hooks, mptcp_run and the monitor against their peers, in the lab."""

from __future__ import annotations

import subprocess
import sys
from contextlib import closing
from pathlib import Path

from tests.bench.busy import bench_busy
from tests.bench.many import bench_many
from tests.bench.newcomers import bench_newcomers
from tests.bench.outages import bench_outages
from tests.lab.support.lab import TWO_UPLINKS, Installation, Lab, begin_run, find_obstacles
from tests.lab.support.monitor import Monitor
from tests.lab.support.paths import plug, pull
from tests.lab.support.peers.build import build_go
from tests.lab.support.programs import Programs
from tests.lab.support.stream import measure_at_best, measure_bare, measure_wait
from tests.virtual.archive import Unavailable

ROOT = Path(__file__).parents[2]


def main(deb: Path) -> int:
    obstacles = find_obstacles()
    if obstacles:
        sys.exit(f"make bench: cannot build the lab: {obstacles}")
    begin_run()
    installation = Installation(deb)
    try:
        return max(bench_hooks(installation), bench_monitor(installation),
                   bench_busy(installation), bench_many(installation),
                   bench_outages(installation),
                   bench_newcomers(installation))
    finally:
        installation.close()


def bench_hooks(installation: Installation) -> int:
    """Exit status of the measurements that run inside the client."""
    with closing(Programs(("mptcpize",))) as programs, closing(
            Lab((installation.layer, programs.layer))) as lab:
        return subprocess.run(enter(lab, "tests.bench.measure", *find_go())).returncode


def enter(lab: Lab, module: str, *arguments: str) -> list[str]:
    """The command that runs a module inside the lab's client."""
    return ["nsenter", "-t", str(lab.client.pid), "-n", "-m", "--",
            "env", f"PYTHONPATH={ROOT}", sys.executable, "-B", "-m", module, *arguments]


def find_go() -> list[str]:
    """A Go program, none where it cannot be built, which is said."""
    try:
        return [str(build_go("go-new"))]
    except Unavailable as reason:
        print(f"mptcp_run is not measured by godebug: {reason}")
        return []


def bench_monitor(installation: Installation) -> int:
    """1 where the monitor is over a bound."""
    lab = Lab((installation.layer,))

    def measure() -> float:
        return measure_wait(lab, lambda uplink: pull(lab, uplink), lambda uplink: plug(lab, uplink))

    try:
        lab.set_interfaces(TWO_UPLINKS)
        lab.ifup("-a")
        bare = measure_bare(measure)
        monitor = Monitor(lab)
        watched = measure_at_best(measure, bare / 7)
        monitor.rest()
        resident = monitor.read_status("VmRSS") / 1000
    finally:
        lab.close()
    print(f"\nmptcp_monitor, the cable under a paced stream pulled: the receiver waits "
          f"{watched * 1000:.0f} ms,\nbare kernel {bare * 1000:.0f} ms (bound: a seventh); "
          f"at rest {resident:.0f} MB resident (bound: 20)")
    return int(watched > bare / 7 or resident > 20)


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1]).resolve()))
