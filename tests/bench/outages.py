# SPDX-License-Identifier: GPL-2.0-or-later
"""Cables that are out for seconds, under one connection: the bare kernel and the package, in turn.

The bare kernel has the hooks' routing and endpoints, and nobody who watches them.
"""

from __future__ import annotations

import statistics
import time
from contextlib import closing
from typing import NamedTuple

from tests.lab.support.crowd import Crowd
from tests.lab.support.lab import TWO_UPLINKS, TWO_UPLINKS_6, Installation, Lab
from tests.lab.support.monitor import Monitor
from tests.lab.support.paths import plug, pull

# How long, in seconds, each uplink in turn.
OUTAGES = (0.5, 2.0, 3.0, 5.0, 9.0)
# What a person is promised, and how long the bare kernel is waited for.
_BACK_WITHIN, _AT_MOST = 2.0, 20.0


class Outage(NamedTuple):
    """How long until the path carried again, and the receiver's longest wait, in seconds."""

    back: float
    wait: float


def bench_outages(installation: Installation) -> int:
    """Print both; 1 where the package is later than it promises, or than the bare kernel."""
    print(f"\n{'cable out for':<22}" + "".join(f"{seconds:>9.1f} s" for seconds in OUTAGES))
    over = 0
    for family in (4, 6):
        bare = measure(installation, family, watched=False)
        watched = measure(installation, family, watched=True)
        for who, outages in (("bare kernel", bare), ("package", watched)):
            show(f"IPv{family}, {who}", "carries after", [one.back for one in outages])
            show("", "longest wait", [one.wait for one in outages])
        slow, median = (max(one.back for one in watched),
                        statistics.median(one.back for one in watched))
        over |= slow > _BACK_WITHIN or median > statistics.median(one.back for one in bare)
    print(f"bound: the package within {_BACK_WITHIN:.0f} s, and by the median no later than the "
          "bare kernel" + (": OVER" if over else ": within"))
    return over


def measure(installation: Installation, family: int, watched: bool) -> list[Outage]:
    """All outages, each begun when both uplinks carry."""
    with closing(Lab((installation.layer,))) as lab:
        lab.set_interfaces(TWO_UPLINKS if family == 4 else TWO_UPLINKS_6)
        lab.ifup("-a")
        if watched:
            Monitor(lab)
        crowd = Crowd(lab, family=family)
        spans: list[tuple[float, float, float]] = []
        waits: list[tuple[float, float]] = []
        for number, seconds in enumerate(OUTAGES):
            crowd.wait_until_whole()
            began = time.monotonic()
            pull(lab, number % 2)
            time.sleep(seconds)
            plug(lab, number % 2)
            back = crowd.measure_return(number % 2, _AT_MOST)
            spans.append((began, time.monotonic(), back))
            if back > _AT_MOST:
                # That path is lost to this connection: the next outage needs another one.
                waits += crowd.list_waits()
                crowd = Crowd(lab, family=family)
        waits += crowd.list_waits()
    return [Outage(back, max((length for at, length in waits if began <= at + length <= ended),
                             default=0.0)) for began, ended, back in spans]


def show(who: str, what: str, seconds: list[float]) -> None:
    cells = (f"{one:>9.2f} s" if one < _AT_MOST else f"{'never':>11}" for one in seconds)
    print(f"{who:<18}{what:<14}"[:22 + 10] + "".join(cells))
