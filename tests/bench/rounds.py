# SPDX-License-Identifier: GPL-2.0-or-later
"""Runs inside the lab's client: what programs take, in rounds in which each has its turn.

    python3 -m tests.bench.rounds    a round of the hooks for each line that comes

What counts is the time that a processor spent on a program and on the children that it waited
for, as wait4(2) tells it. The wall clock tells how busy the machine is as well: with five
programs ready to run on two processors, ratios of it move by 10 to 30 % from run to run, those
of processor time by 1 to 2. It is asked one thing, whether a program waits: see `find_wait`.

Of many rounds the lower quartile counts: what disturbs a program only adds to its time.
"""

from __future__ import annotations

import json
import os
import statistics
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

UP = "/etc/network/if-up.d/mptcp_up"
DOWN = "/etc/network/if-down.d/mptcp_down"
POST_DOWN = "/etc/network/if-post-down.d/mptcp_down"
# What a stanza goes through, each a hook.
STEPS = ("if-up.d", "already up", "if-post-down.d")
PATH = {"PATH": "/usr/sbin:/usr/bin:/sbin:/bin"}

Environment = dict[str, str]


class Spent(NamedTuple):
    """Milliseconds of a run: of a processor, and of the wall clock."""

    busy: float
    wall: float


Times = dict[str, Spent]
Turn = Callable[[], Times]
Series = dict[str, list[Spent]]


def main() -> None:
    environment = make_uplink("eth1", "10.1.2.2", "10.1.2.1")
    for _ in sys.stdin:
        print(json.dumps(come_and_go(environment)), flush=True)


def come_and_go(environment: Environment) -> Times:
    """A stanza comes up, is there when it comes up again, and goes: STEPS."""
    up, again = run(UP, environment=environment), run(UP, environment=environment)
    run(DOWN, environment=environment)
    return dict(zip(STEPS, (up, again, run(POST_DOWN, environment=environment))))


def make_uplink(device: str, address: str, gateway: str) -> Environment:
    """A device with its address, and the environment that ifupdown passes for it."""
    if not Path(f"/sys/class/net/{device}").exists():
        run("/sbin/ip", "link", "add", device, "type", "veth", "peer", "name", f"p{device}")
    run("/sbin/ip", "link", "set", device, "up")
    run("/sbin/ip", "addr", "replace", f"{address}/24", "dev", device)
    return {
        "IFACE": device, "LOGICAL": device, "ADDRFAM": "inet", "METHOD": "static",
        "MODE": "start", "PHASE": "post-up", "VERBOSITY": "0", "IF_ADDRESS": address,
        "IF_NETMASK": "255.255.255.0", "IF_GATEWAY": gateway, **PATH,
    }


def run(program: str, *arguments: str, environment: Environment = PATH) -> Spent:
    """Run a program to its end, silently."""
    began = time.perf_counter()
    child = os.posix_spawn(program, [program, *arguments], environment, file_actions=[
        (os.POSIX_SPAWN_OPEN, 1, "/dev/null", os.O_WRONLY, 0),
        (os.POSIX_SPAWN_DUP2, 1, 2)])
    _, _, usage = os.wait4(child, 0)
    wall = time.perf_counter() - began
    return Spent((usage.ru_utime + usage.ru_stime) * 1000, wall * 1000)


def add(first: Spent, second: Spent) -> Spent:
    """One run after another."""
    return Spent(first.busy + second.busy, first.wall + second.wall)


def take_turns(*turns: Turn, rounds: int) -> Series:
    """The times of all, each once a round, in an order that rotates; a first round is for nothing.

    That one fills the kernel's caches.
    """
    series: Series = {}
    for number in range(rounds + 1):
        first = number % len(turns)
        for turn in (*turns[first:], *turns[:first]):
            for name, spent in turn().items():
                series.setdefault(name, []).append(spent)
    return {name: spent[1:] for name, spent in series.items()}


def find_quartile(spent: Sequence[Spent]) -> float:
    """The lower quartile of processor time, in milliseconds."""
    return statistics.quantiles((one.busy for one in spent), n=4)[0]


def find_ratio(spent: Sequence[Spent], other: Sequence[Spent]) -> float:
    """How much more processor time one takes than the other, in the median of their rounds."""
    return statistics.median(one.busy / two.busy for one, two in zip(spent, other))


def find_difference(spent: Sequence[Spent], other: Sequence[Spent]) -> float:
    """How many milliseconds of a processor one takes more, in the median of their rounds."""
    return statistics.median(one.busy - two.busy for one, two in zip(spent, other))


def find_wait(spent: Sequence[Spent]) -> float:
    """The wall clock over processor time, in the median: 1 is a program that always runs.

    One that sleeps, or waits for a lock, is above; one whose child runs beside it is below.
    """
    return statistics.median(one.wall / one.busy for one in spent)


@contextmanager
def going_first() -> Iterator[None]:
    """Processes that are started meanwhile have their turn before all else here, sched(7).

    nice(1) would count in this session only.
    """
    os.sched_setscheduler(0, os.SCHED_RR, os.sched_param(1))
    try:
        yield
    finally:
        os.sched_setscheduler(0, os.SCHED_OTHER, os.sched_param(0))


if __name__ == "__main__":
    main()
