# SPDX-License-Identifier: GPL-2.0-or-later
"""What mptcp_monitor makes of unequal uplinks, with nothing configured.

    python3 -m tests.bench.judged DEB [--mix NAME...] [--control cubic bbr] [--connections 1 10]

For each case the better uplink alone is measured, then transfers go on by all uplinks for twenty
seconds while the monitor looks, and then their ratio is the median of three. Every case begins
with a monitor that knows nothing.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from itertools import product
from pathlib import Path

from tests.bench.unequal import FAR_MIXES, KINDS, MIXES, Mix, WideLab, address_of
from tests.lab.support.lab import Installation, begin_run
from tests.lab.support.monitor import Monitor

# What is to be reached with the mixes: at least so many times the better uplink alone, upload and
# download, and requests in so much of its time at the most.
TARGETS = {"50+50": (1.9, 1.9, 0.6), "50+25": (1.35, 1.35, 0.85), "50+10": (1.0, 1.0, 1.1),
           "30+5": (1.0, 1.0, 1.1), "30+5-long": (0.95, 0.95, 1.1),
           "50+2-long": (0.95, 0.95, 1.1), "5+30-long": (0.95, 0.95, 1.1),
           "2+50-long": (0.95, 0.95, 1.1), "50+25+2": (1.3, 1.3, 1.0)}
# The same for those that need netem.
FAR_TARGETS = dict.fromkeys(FAR_MIXES, (0.95, 0.95, 1.1))
_ALL = TARGETS | FAR_TARGETS
_SECONDS = 20.0
_TIMES = 3


def main() -> None:
    parser = argparse.ArgumentParser(prog="python3 -m tests.bench.judged")
    parser.add_argument("deb", type=Path)
    parser.add_argument("--mix", nargs="+", choices=_ALL, default=list(TARGETS))
    parser.add_argument("--control", nargs="+", default=("cubic", "bbr"))
    parser.add_argument("--connections", nargs="+", type=int, default=(1, 10))
    asked = parser.parse_args()
    begin_run()
    with closing(Installation(asked.deb.resolve())) as installation:
        for name in asked.mix:
            mix = (MIXES | FAR_MIXES)[name]
            with closing(WideLab(installation, mix)) as lab, lab.serve():
                for control, count in product(asked.control, asked.connections):
                    print(describe(lab, mix, control, count), flush=True)


def describe(lab: WideLab, mix: Mix, control: str, count: int) -> str:
    """A line: the ratios of all kinds with their targets, and the roles in the end."""
    cells = []
    for kind, target in zip(KINDS, _ALL[mix.name]):
        ratio, roles = measure(lab, mix, kind, control, count)
        cells.append(f"{kind} {ratio:.2f} ({target}) {roles or 'all active':<12}")
    return f"{mix.name:<10} {control:<5} {count:>2}  " + "  ".join(cells)


def measure(lab: WideLab, mix: Mix, kind: str, control: str, count: int) -> tuple[float, str]:
    """The ratio to the better uplink alone, and which uplinks were backups by then."""
    lab.reset()
    lab.warm(address_of(mix.best))
    alone = statistics.median(lab.measure(kind, address_of(mix.best), control, count)
                              for _ in range(_TIMES))
    with watch(lab):
        end = time.monotonic() + _SECONDS
        while time.monotonic() < end:
            lab.measure(kind, "any", control, count)
        both = statistics.median(lab.measure(kind, "any", control, count) for _ in range(_TIMES))
        backups = [one.split()[1] for one in lab.endpoints() if one.endswith(" backup")]
    return (both / alone if kind == "request" else alone / both), " ".join(backups)


@contextmanager
def watch(lab: WideLab) -> Iterator[None]:
    lab.client.run("rm", "-rf", "/var/lib/mptcp-hooks")
    monitor = Monitor(lab)
    yield
    monitor.stop()
    lab.client.run("mptcp_monitor", "--stopped")


if __name__ == "__main__":
    main()
