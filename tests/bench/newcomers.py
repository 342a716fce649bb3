# SPDX-License-Identifier: GPL-2.0-or-later
"""New connections that are bound to nothing, begun while the first uplink is out.

The bare machine has the same two uplinks, both with a default route in main, and no package.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import closing
from typing import NamedTuple

from tests.lab.support.lab import TWO_UPLINKS, Installation, Lab
from tests.lab.support.monitor import Monitor
from tests.lab.support.newcomer import connect, receive
from tests.lab.support.paths import pull

# Main leads to the second uplink as well, behind the first.
UPLINKS = TWO_UPLINKS.replace("mptcp-gateway 10.1.2.1", "gateway 10.1.2.1\n    metric 100")
# How long a person tries, how long one attempt waits, and after what the first one begins.
_AT_MOST, _ATTEMPT, _FIRST = 20.0, 3.0, 0.1


class Case(NamedTuple):
    """What happens to the first uplink, and within how many seconds a new connection comes."""

    name: str
    happen: Callable[[Lab], object]
    within: float


def silence_gateway(lab: Lab) -> None:
    lab.routers[0].ip("link set lan arp off", "addr flush dev lan")


CASES = (
    Case("its cable is pulled", lambda lab: pull(lab, 0), 1),
    Case("ifdown", lambda lab: lab.ifdown("eth0"), 1),
    # The kernel asks it for some five seconds; the next attempt begins after that.
    Case("its gateway falls silent", silence_gateway, 7),
)


def bench_newcomers(installation: Installation) -> int:
    """Print how long each waits; 1 where the package breaks its promise."""
    print(f"\n{'a new connection comes about after':<36}{'bare':>10}{'package':>10}{'bound':>10}")
    over = 0
    for case in CASES:
        bare, package = measure(None, case), measure(installation, case)
        verdict = "OVER" if package > case.within else "within"
        print(f"{case.name:<36}{show(bare)}{show(package)}{show(case.within)}: {verdict}")
        over |= package > case.within
    return over


def measure(installation: Installation | None, case: Case) -> float:
    """Seconds until one of a row of attempts came about; without end where none did."""
    with closing(Lab((installation.layer,) if installation else ())) as lab:
        lab.set_interfaces(UPLINKS)
        lab.ifup("-a")
        if installation:
            Monitor(lab)
        with receive(lab):
            assert connect(lab).uplink == 0
            began = time.monotonic()
            case.happen(lab)
            time.sleep(_FIRST)
            while time.monotonic() - began < _AT_MOST:
                if connect(lab, within=_ATTEMPT).uplink is not None:
                    return time.monotonic() - began
    return float("inf")


def show(seconds: float) -> str:
    return f"{seconds:>8.2f} s" if seconds <= _AT_MOST else f"{'never':>10}"
