# SPDX-License-Identifier: GPL-2.0-or-later
"""What this end can see of unequal uplinks while they are used, with no lever.

    python3 -m tests.bench.loaded DEB [--mix NAME...] [--control cubic bbr] [--connections 1 10]
                                      [--kind upload download request MEGABITS...]
    python3 -m tests.bench.loaded watch SECONDS ADDRESS...      inside the client, prints JSON

A transfer of about ten seconds goes up, another one down; or there are requests, or a slow
server that sends so many megabits a second. By path: what its interface carried in its best and
its median second and in its best moment, what its subflows say of their round trips, of what they
delivered and of what came in another order, and what MPTCP counted.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
import time
from collections.abc import Callable
from contextlib import closing
from itertools import product
from pathlib import Path
from struct import Struct
from typing import Any, NamedTuple

from mptcp_hooks.machine.netlink import Conversation, read_attributes
from mptcp_hooks.machine.sockets import (
    ANSWER, INET_DIAG_INFO, INET_DIAG_ULP_INFO, NETLINK_SOCK_DIAG, TCP_ESTABLISHED, ask_tcp,
    is_socket, read_end)
from tests.bench.unequal import MIXES, ROOT, Mix, WideLab, address_of
from tests.lab.support.lab import Installation, begin_run

# How often is looked, and over how many looks a rate is taken.
_EVERY, _LOOKS = 0.1, 10
_SECONDS, _MEGABYTES = 9, 8
# struct tcp_info, by the names of its fields: where each is, and how long.
_FIELDS = {"rtt": (68, 4), "rcv_rtt": (92, 4), "retrans": (100, 4), "acked": (120, 8),
           "received": (128, 8), "min_rtt": (148, 4), "delivery_rate": (160, 8),
           "busy": (168, 8), "rwnd_limited": (176, 8), "sndbuf_limited": (184, 8),
           "ooo": (224, 4), "cwnd": (80, 4), "notsent": (144, 4)}
_UNSIGNED = {4: Struct("=I"), 8: Struct("=Q")}
COUNTERS = ("Retrans", "OFOQueue", "OFOMerge", "DuplicateData", "RcvWndShared", "SndWndShared",
            "SubflowStale", "RcvPruned")


class Look(NamedTuple):
    """One look: when, bytes of each interface out and in, and the subflows' info.

    A subflow is known by this end's address and port.
    """

    when: float
    out: list[int]
    come: list[int]
    subflows: dict[tuple[str, int], dict[str, int]]


def watch(seconds: float, addresses: list[str]) -> None:
    before, looks = read_counters(), []
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        looks.append(take_look(addresses))
        time.sleep(_EVERY)
    after = read_counters()
    print(json.dumps({
        "counters": {name: after.get(name, 0) - before.get(name, 0) for name in COUNTERS},
        "paths": [describe(looks, number, address) for number, address in enumerate(addresses)],
        "sum": max(find_rates(looks, lambda look: sum(look.out)) +
                   find_rates(looks, lambda look: sum(look.come)))}))


def take_look(addresses: list[str]) -> Look:
    names = [f"eth{number}" for number in range(len(addresses))]
    return Look(time.monotonic(), [read_bytes(name, "tx") for name in names],
                [read_bytes(name, "rx") for name in names], read_subflows())


def read_bytes(name: str, way: str) -> int:
    return int(Path(f"/sys/class/net/{name}/statistics/{way}_bytes").read_text())


def read_counters() -> dict[str, int]:
    names, values = (line.split()[1:] for line in Path("/proc/net/netstat").read_text().splitlines()
                     if line.startswith("MPTcpExt:"))
    return dict(zip(names, map(int, values)))


def read_subflows() -> dict[tuple[str, int], dict[str, int]]:
    found = {}
    with Conversation(NETLINK_SOCK_DIAG) as kernel:
        for message in ask_tcp(kernel, 1 << TCP_ESTABLISHED):
            said = read_attributes(message, ANSWER.size) if is_socket(message) else {}
            if INET_DIAG_ULP_INFO in said:
                family, _, _, _, port, _, local, *_ = ANSWER.unpack_from(message)
                info = said[INET_DIAG_INFO]
                found[read_end(family, local, port)] = {
                    name: _UNSIGNED[size].unpack_from(info, at)[0]
                    for name, (at, size) in _FIELDS.items()}
    return found


def find_rates(
    looks: list[Look], count: Callable[[Look], float], span: int = _LOOKS
) -> list[float]:
    """In Mbit/s, over each second, or over so many looks."""
    return [(count(later) - count(look)) * 8 / (later.when - look.when) / 1e6
            for look, later in zip(looks, looks[span:])]


def find_carried(looks: list[Look], address: str, name: str) -> list[float]:
    """What subflows of an address had acknowledged or received, in Mbit/s over each second."""
    return [sum(max(0, info[name] - look.subflows.get(key, {name: 0})[name])
                for key, info in later.subflows.items() if key[0] == address)
            * 8 / (later.when - look.when) / 1e6 for look, later in zip(looks, looks[_LOOKS:])]


def describe(looks: list[Look], number: int, address: str) -> dict[str, float]:
    out = find_rates(looks, lambda look: look.out[number])
    come = find_rates(looks, lambda look: look.come[number])
    infos = [info for look in looks for (own, _), info in look.subflows.items() if own == address]

    def values(name: str, unit: float) -> list[float]:
        return [info[name] / unit for info in infos if info[name] not in (0, 0xFFFFFFFF)] or [0]

    return {"out_best": max(out), "out_median": statistics.median(out),
            "in_best": max(come), "in_median": statistics.median(come),
            "in_burst": max(find_rates(looks, lambda look: look.come[number], 1)),
            "acked_best": max(find_carried(looks, address, "acked")),
            "received_best": max(find_carried(looks, address, "received")),
            "min_rtt": min(values("min_rtt", 1000)),
            "rtt_low": min(values("rtt", 1000)),
            "rtt": statistics.median(values("rtt", 1000)), "rtt_high": max(values("rtt", 1000)),
            "rcv_rtt": statistics.median(values("rcv_rtt", 1000)),
            "rcv_rtt_low": min(values("rcv_rtt", 1000)),
            "delivery": statistics.median(values("delivery_rate", 125000)),
            "delivery_best": max(values("delivery_rate", 125000)),
            "cwnd": statistics.median(values("cwnd", 1)), "ooo": max(values("ooo", 1)),
            "retrans": max(values("retrans", 1)),
            "rwnd_limited": max(values("rwnd_limited", 1000)),
            "sndbuf_limited": max(values("sndbuf_limited", 1000)),
            "busy": max(values("busy", 1000)), "subflows": len(infos) / len(looks)}


def main() -> None:
    parser = argparse.ArgumentParser(prog="python3 -m tests.bench.loaded")
    parser.add_argument("deb", type=Path)
    parser.add_argument("--mix", nargs="+", choices=MIXES, default=list(MIXES))
    parser.add_argument("--control", nargs="+", default=("cubic", "bbr"))
    parser.add_argument("--connections", nargs="+", type=int, default=(1, 10))
    parser.add_argument("--kind", nargs="+", default=("upload", "download"),
                        help="upload, download, request, or so many megabits a second")
    asked = parser.parse_args()
    begin_run()
    with closing(Installation(asked.deb.resolve())) as installation:
        for name in asked.mix:
            observe(installation, MIXES[name], asked)


def observe(installation: Installation, mix: Mix, asked: argparse.Namespace) -> None:
    with closing(WideLab(installation, mix)) as lab, lab.serve():
        for kind, control, count in product(asked.kind, asked.control, asked.connections):
            lab.reset()
            times = round(_SECONDS * sum(rate.megabits for rate in mix.uplinks) / 8 / _MEGABYTES)
            way, times = ("stream", int(kind)) if kind.isdigit() else (kind, times)
            using = lab.client.start(
                "env", f"PYTHONPATH={ROOT}", sys.executable, "-B", "-m", "tests.bench.traffic",
                way, "any", control, str(count), str(times))
            said = json.loads(lab.client.run(
                "env", f"PYTHONPATH={ROOT}", sys.executable, "-B", "-m", "tests.bench.loaded",
                "watch", str(_SECONDS), *map(address_of, lab.numbers)))
            using.communicate(timeout=120)
            show(mix, kind, control, count, said)


def show(mix: Mix, kind: str, control: str, count: int, said: dict[str, Any]) -> None:
    counted = ", ".join(f"{name} {value}" for name, value in said["counters"].items() if value)
    print(f"\n{mix.name} {kind}, {control}, {count}: together {said['sum']:.1f}; {counted}")
    for number, path in enumerate(said["paths"]):
        print(f"  eth{number} {mix.uplinks[number].megabits:>3}: " + " ".join(
            f"{name} {value:.1f}" for name, value in path.items() if value), flush=True)


if __name__ == "__main__":
    if sys.argv[1] == "watch":
        watch(float(sys.argv[2]), sys.argv[3:])
    else:
        main()
