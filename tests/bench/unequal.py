# SPDX-License-Identifier: GPL-2.0-or-later
"""Uplinks of unequal rates and queues: what levers on the weak ones do to real transfers.

    python3 -m tests.bench.unequal DEB [--mix NAME...] [--lever NAME...] [--control cubic bbr]
                                       [--connections 1 10] [--rounds N]

Each round measures the better uplink alone and every lever in turn, so that all of them have
the machine's weather; what is printed is the median of the rounds' ratios to the better one
alone. For uploads and downloads more is better, for requests less. No monitor runs: it would
put back what the levers change.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from itertools import product
from pathlib import Path
from typing import NamedTuple

from tests.lab.support.lab import Host, Installation, Lab, begin_run

ROOT = Path(__file__).parents[2]
KINDS = ("upload", "download", "request")
# How many packets a queue of tbf lets through at once, and what a queue of our own holds.
_BURST, _OWN_QUEUE = "8kb", "20ms"
# A transfer's rest, that nobody waits for, is in the queues for so long after it at most.
_PAUSE = 0.1


class Rate(NamedTuple):
    """What an uplink carries, either way, in Mbit/s, and what its queues hold, in milliseconds.

    With a delay each way, in milliseconds, or with packets that are lost, in per cent, it takes
    netem, which not every kernel has: tests.virtual runs one that does.
    """

    megabits: int
    queue: int
    delay: int = 0
    loss: float = 0.0


class Mix(NamedTuple):
    """Uplinks in their order; main's default is the first one's. `weak` are those of the levers."""

    name: str
    uplinks: tuple[Rate, ...]
    weak: tuple[int, ...] = (1,)

    @property
    def best(self) -> int:
        """The uplink that all is compared with."""
        return max(range(len(self.uplinks)), key=lambda number: self.uplinks[number].megabits)


MIXES = {mix.name: mix for mix in (
    Mix("50+50", (Rate(50, 50), Rate(50, 50))),
    Mix("50+25", (Rate(50, 60), Rate(25, 60))),
    Mix("50+10", (Rate(50, 60), Rate(10, 60))),
    Mix("30+5", (Rate(30, 60), Rate(5, 60))),
    Mix("30+5-long", (Rate(30, 400), Rate(5, 400))),
    Mix("50+2-long", (Rate(50, 800), Rate(2, 800))),
    Mix("5+30-long", (Rate(5, 400), Rate(30, 400)), (0,)),
    Mix("2+50-long", (Rate(2, 800), Rate(50, 800)), (0,)),
    # Where the line is between a path that helps and one that harms, by rate and by queue.
    Mix("50+20", (Rate(50, 60), Rate(20, 60))),
    Mix("50+15", (Rate(50, 60), Rate(15, 60))),
    Mix("50+25-deep", (Rate(50, 60), Rate(25, 800))),
    Mix("50+50-deep", (Rate(50, 60), Rate(50, 800))),
    Mix("50+25+2", (Rate(50, 60), Rate(25, 60), Rate(2, 800)), (2,)),
)}
# Links that lose packets, and one that is far away, with a tenth of the rates: where the processor
# is emulated, 50 Mbit/s are what it can do.
FAR_MIXES = {mix.name: mix for mix in (
    Mix("lossy-1", (Rate(5, 60, 5), Rate(5, 60, 5, 1))),
    Mix("lossy-5", (Rate(5, 60, 5), Rate(5, 60, 5, 5))),
    Mix("delayed", (Rate(5, 60, 5), Rate(5, 60, 100))),
)}


def _describe_queue(rate: Rate) -> list[str]:
    """tc's words for it, tc-tbf(8) and tc-netem(8)."""
    if not (rate.delay or rate.loss):
        return f"tbf rate {rate.megabits}mbit burst {_BURST} latency {rate.queue}ms".split()
    # netem's queue has what is on its way as well, in packets.
    packets = int(rate.megabits * (rate.queue + rate.delay) * 125 / 1500) + 1
    return (f"netem rate {rate.megabits}mbit delay {rate.delay}ms loss {rate.loss}% "
            f"limit {packets}").split()


class WideLab(Lab):
    """The lab with one more uplink, eth2, and shaped links; the package's hooks bring all up."""

    def __init__(self, installation: Installation, mix: Mix,
                 server_layers: tuple[Path, ...] | None = None) -> None:
        super().__init__((installation.layer,), server_layers=server_layers)
        self.mix = mix
        self._third = Host(self.scratch / "router3")
        self._wire(3, self._third, "50mbit")
        for number, rate in enumerate(mix.uplinks):
            self.shape(number, rate)
        self.set_interfaces(self._write_stanzas())
        self.ifup("-a")
        # What the levers change, as the package made it.
        self._defaults = [self._read_default(number) for number in self.numbers]
        self._ids = {row["address"]: row["id"] for row in self.client.ask("mptcp", "endpoint")}

    @property
    def hosts(self) -> dict[str, Host]:
        return {**super().hosts, "router3": self._third}

    @property
    def numbers(self) -> range:
        return range(len(self.mix.uplinks))

    def table_of(self, number: int) -> int:
        return 20000 + self.ifindex(f"eth{number}")

    def set_backup(self, number: int, word: str = "backup") -> None:
        self.client.ip(f"mptcp endpoint change id {self._ids[address_of(number)]} {word}")

    def set_default(self, number: int, attributes: str = "") -> None:
        """Give the default route of an uplink's own table these attributes besides its own."""
        self.client.ip(f"-4 route replace table {self.table_of(number)} "
                       f"{self._defaults[number]} {attributes}")

    def set_own_queue(self, number: int, part: float) -> None:
        """Queue here, with a part of the link's rate, what leaves by an uplink."""
        kilobits = int(self.mix.uplinks[number].megabits * 1000 * part)
        self.client.run("tc", "qdisc", "replace", "dev", f"eth{number}", "root", "tbf",
                        "rate", f"{kilobits}kbit", "burst", _BURST, "latency", _OWN_QUEUE)

    def set_sysctl(self, text: str) -> None:
        self.client.run("sysctl", "-qw", text)

    def add_endpoints_anew(self, numbers: tuple[int, ...]) -> None:
        """Delete all endpoints, and add them in this order."""
        self.client.ip(*(f"mptcp endpoint delete id {one}" for one in self._ids.values()),
                       *(f"mptcp endpoint add {address_of(number)} dev eth{number} subflow"
                         for number in numbers))
        self._ids = {row["address"]: row["id"] for row in self.client.ask("mptcp", "endpoint")}

    def reset(self) -> None:
        """Leave nothing of a lever, nor what the kernel remembers of the way to its peers."""
        for number in self.numbers:
            self.set_default(number)
            self.set_backup(number, "nobackup")
            self.client.try_run("tc", "qdisc", "del", "dev", f"eth{number}", "root")
        self.set_sysctl("net.ipv4.tcp_notsent_lowat=4294967295")
        for host in (self.client, self.server):
            host.run("ip", "tcp_metrics", "flush")

    def measure(self, kind: str, source: str, control: str, count: int, times: int = 1) -> float:
        seconds = float(self.client.run(
            "env", f"PYTHONPATH={ROOT}", sys.executable, "-B", "-m", "tests.bench.traffic",
            kind, source, control, str(count), str(times)))
        time.sleep(_PAUSE + max(rate.queue for rate in self.mix.uplinks) / 1000)
        return seconds

    def warm(self, source: str) -> None:
        """Have the kernel remember the way to its peer: only from that it takes a clamp."""
        self.measure("request", source, "cubic", 1)

    @contextmanager
    def serve(self) -> Iterator[None]:
        server = self.server.start("env", f"PYTHONPATH={ROOT}", sys.executable, "-B", "-m",
                                   "tests.bench.traffic", "serve")
        assert server.stdout is not None and server.stdout.readline() == "ready\n"
        yield
        server.kill()

    def shape(self, number: int, rate: Rate) -> None:
        router = (*self.routers, self._third)[number]
        for device in ("lan", "wan"):
            router.run("tc", "qdisc", "replace", "dev", device, "root", *_describe_queue(rate))

    def _read_default(self, number: int) -> str:
        (default,) = (line for line in self.table(self.table_of(number))
                      if line.startswith("default "))
        return default

    def _write_stanzas(self) -> str:
        return "".join(
            f"auto eth{number}\niface eth{number} inet static\n"
            f"    address {address_of(number)}/24\n"
            f"    {'mptcp-gateway' if number else 'gateway'} 10.1.{number + 1}.1\n"
            for number in self.numbers)


def address_of(number: int) -> str:
    return f"10.1.{number + 1}.2"


# What a lever does; and what is done to each weak uplink.
Change = Callable[[WideLab], object]


def on_weak(change: Callable[[WideLab, int], object]) -> Change:
    def apply(lab: WideLab) -> None:
        for number in lab.mix.weak:
            change(lab, number)

    return apply


def give(attributes: str) -> Change:
    """Attributes for the default route of each weak uplink."""
    return on_weak(lambda lab, number: lab.set_default(number, attributes))


def both(*changes: Change) -> Change:
    def apply(lab: WideLab) -> None:
        for change in changes:
            change(lab)

    return apply


def set_lowat(lab: WideLab) -> None:
    """Have all sockets here take only so much that is not sent yet."""
    lab.set_sysctl("net.ipv4.tcp_notsent_lowat=16384")


BACKUP = on_weak(WideLab.set_backup)
LEVERS: dict[str, Change] = {
    "none": lambda lab: None,
    "backup": BACKUP,
    "clamp-4": give("cwnd lock 4"),
    "clamp-8": give("cwnd lock 8"),
    "clamp-16": give("cwnd lock 16"),
    "clamp-32": give("cwnd lock 32"),
    "backup+clamp-4": both(BACKUP, give("cwnd lock 4")),
    "backup+init-1": both(BACKUP, give("initcwnd 1 initrwnd 1")),
    "backup+initrwnd-1": both(BACKUP, give("initrwnd 1")),
    "backup+init-1+clamp-2": both(BACKUP, give("cwnd lock 2 initcwnd 1 initrwnd 1")),
    "backup+init-1+lowat-16k": both(BACKUP, give("initcwnd 1 initrwnd 1"), set_lowat),
    "clamp-2": give("cwnd lock 2"),
    # The clamp for what obeys none: bbr.
    "cubic+clamp-8": give("cwnd lock 8 congctl lock cubic"),
    "reno": give("congctl lock reno"),
    "cubic": give("congctl lock cubic"),
    "bbr": give("congctl lock bbr"),
    "ssthresh-8": give("ssthresh lock 8"),
    "init-2": give("initcwnd 2 initrwnd 2"),
    "init-1": give("initcwnd 1 initrwnd 1"),
    "clamp-8+init-2": give("cwnd lock 8 initcwnd 2 initrwnd 2"),
    "window-16k": give("window 16384"),
    "rto-20ms": give("rto_min 20ms"),
    "quickack": give("quickack 1"),
    "own-queue-0.9": on_weak(lambda lab, number: lab.set_own_queue(number, 0.9)),
    "own-queue-0.5": on_weak(lambda lab, number: lab.set_own_queue(number, 0.5)),
    "lowat-16k": set_lowat,
    "lowat-128k": lambda lab: lab.set_sysctl("net.ipv4.tcp_notsent_lowat=131072"),
    "lowat-16k+init-2": both(set_lowat, give("initcwnd 2 initrwnd 2")),
    "weak-first": lambda lab: lab.add_endpoints_anew(
        (*lab.mix.weak, *(number for number in lab.numbers if number not in lab.mix.weak))),
}
# Those that the table in docs/internals/performance.md has for every mix.
USUAL = ("none", "backup", "backup+init-1", "clamp-8", "cubic", "init-2")

# The ratios of rounds by lever, kind, control and number of connections.
Key = tuple[str, str, str, int]


def main() -> None:
    asked = parse_arguments()
    begin_run()
    with closing(Installation(asked.deb.resolve())) as installation:
        for name in asked.mix:
            bench_mix(installation, MIXES[name], asked)


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python3 -m tests.bench.unequal")
    parser.add_argument("deb", type=Path)
    parser.add_argument("--mix", nargs="+", choices=MIXES, default=list(MIXES))
    parser.add_argument("--lever", nargs="+", choices=LEVERS, default=USUAL)
    parser.add_argument("--control", nargs="+", default=("cubic", "bbr"))
    parser.add_argument("--connections", nargs="+", type=int, default=(1, 10))
    parser.add_argument("--rounds", type=int, default=3)
    return parser.parse_args()


def bench_mix(installation: Installation, mix: Mix, asked: argparse.Namespace) -> None:
    ratios: dict[Key, list[float]] = defaultdict(list)
    with closing(WideLab(installation, mix)) as lab, lab.serve():
        for _ in range(asked.rounds):
            lab.reset()
            lab.warm(address_of(mix.best))
            alone = {case: lab.measure(case[0], address_of(mix.best), *case[1:])
                     for case in product(KINDS, asked.control, asked.connections)}
            for lever in asked.lever:
                lab.reset()
                LEVERS[lever](lab)
                lab.warm("any")
                for (kind, control, count), reference in alone.items():
                    took = lab.measure(kind, "any", control, count)
                    ratios[lever, kind, control, count].append(
                        took / reference if kind == "request" else reference / took)
    show(mix, asked, ratios)


def show(mix: Mix, asked: argparse.Namespace, ratios: dict[Key, list[float]]) -> None:
    """The median, lowest and highest ratio of each."""
    cases = list(product(asked.control, asked.connections))
    print(f"\n{mix.name}, as times the better one alone: " + "; ".join(KINDS))
    print(f"{'':<24}" + "".join(f"{f'{control}, {count}':<48}" for control, count in cases))
    for lever in asked.lever:
        print(f"{lever:<24}" + "".join(
            f"{statistics.median(found):>5.2f} {f'({min(found):.2f}-{max(found):.2f})':<10}"
            for control, count in cases for kind in KINDS
            for found in [ratios[lever, kind, control, count]]), flush=True)


if __name__ == "__main__":
    main()
