# SPDX-License-Identifier: GPL-2.0-or-later
"""`make pictures`: README's pictures, drawn from what happens in the lab.

    python3 -m tests.bench.pictures DEB FOLDER

cable.svg is one upload over both uplinks, while the cable of one is pulled and plugged in again:
what reaches the server by each. arrivals.svg is new connections while the cable of main's default
is pulled: with the package, with NetworkManager alone, and with ifupdown alone.
"""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager
from pathlib import Path
from typing import Any, NamedTuple

from matplotlib import pyplot, rc_context, use

from tests.bench.arrivals import PATIENCE
from tests.lab.support.lab import (
    SERVER_4,
    TWO_UPLINKS,
    Installation,
    Lab,
    begin_run,
    find_obstacles,
)
from tests.lab.support.managers import NetworkManager
from tests.lab.support.monitor import Monitor
from tests.lab.support.newcomer import PORT, receive
from tests.lab.support.paths import MEGABYTE, plug, pull
from tests.lab.support.programs import Programs
from tests.lab.support.waiting import wait_for

ARRIVALS = str(Path(__file__).with_name("arrivals.py"))
# Of the upload: when the cable is pulled, when it is back, and how long all of it is shown.
CABLE = (4.0, 9.0, 14.0)
# The same of new connections; the package waits ten seconds before they use a way again.
NEWCOMERS = (3.0, 15.0, 30.0)
STEP = 0.2
GAP = float("nan")
BLUE, ORANGE, BLACK, RED = "#0072b2", "#e69f00", "#222222", "#cc3311"
STYLE = {
    "font.family": "sans-serif", "font.size": 10, "svg.fonttype": "none",
    # The same data make the same file.
    "svg.hashsalt": "mptcp-hooks", "axes.spines.top": False, "axes.spines.right": False,
    "savefig.facecolor": "white",
}


# No screen is needed.
use("svg")


class Moment(NamedTuple):
    """What each uplink has carried in all, in bytes, by then."""

    seconds: float
    uplinks: tuple[int, int]


class Arrival(NamedTuple):
    """A new connection: when it began, and by which uplink it came about; None if it did not."""

    began: float
    uplink: int | None


def main(deb: Path, folder: Path) -> None:
    obstacles = find_obstacles()
    if obstacles:
        sys.exit(f"make pictures: cannot build the lab: {obstacles}")
    begin_run()
    with ExitStack() as stack:
        ours = stack.enter_context(closing(Installation(deb)))
        manager = stack.enter_context(closing(Programs(("network-manager",), ("udev",))))
        with closing(Lab((ours.layer,))) as lab:
            draw_cable(measure_cable(lab), folder / "cable.svg")
        lanes = {}
        with closing(Lab((ours.layer,))) as lab:
            bring_up(lab)
            Monitor(lab).rest()
            lanes["mptcp-hooks"] = measure_arrivals(lab)
        with closing(Lab((manager.layer,))) as lab:
            start_manager(lab)
            lanes["NetworkManager alone"] = measure_arrivals(lab)
        with closing(Lab(())) as lab:
            bring_up(lab)
            lanes["ifupdown alone"] = measure_arrivals(lab)
        draw_arrivals(lanes, folder / "arrivals.svg")


def bring_up(lab: Lab) -> None:
    lab.set_interfaces(TWO_UPLINKS)
    lab.ifup("-a")


def start_manager(lab: Lab) -> None:
    """NetworkManager with the same two uplinks, as it treats them by itself."""
    manager = NetworkManager(lab)
    for number in (1, 2):
        manager.configure(f"eth{number - 1}", "method=manual\n"
                          f"address1=10.1.{number}.2/24,10.1.{number}.1")
    manager.start()
    wait_for(lambda: len(lab.endpoints()) == 2)


@contextmanager
def outage(lab: Lab, uplink: int, times: tuple[float, float, float]) -> Iterator[Iterator[float]]:
    """The steps of a measurement, in seconds since its beginning, with a cable out meanwhile."""
    began = time.monotonic()
    pulled, plugged, end = times

    def step() -> Iterator[float]:
        todo = [(pulled, pull), (plugged, plug)]
        due = 0.0
        while due < end:
            time.sleep(max(0.0, began + due - time.monotonic()))
            if todo and due >= todo[0][0]:
                todo.pop(0)[1](lab, uplink)
            yield time.monotonic() - began
            due += STEP

    yield step()


def measure_cable(lab: Lab) -> list[Moment]:
    """An upload over both, of which the cable of eth1 is pulled and plugged in again."""
    bring_up(lab)
    monitor = Monitor(lab)
    monitor.rest()
    transfer = lab.begin_transfer(180 * MEGABYTE)
    with outage(lab, 1, CABLE) as steps:
        moments = [Moment(seconds, count_received(lab)) for seconds in steps]
    assert transfer.finish().whole
    return moments


def count_received(lab: Lab) -> tuple[int, int]:
    """The bytes that came to the server by each provider."""
    first, second = lab.server.run("cat", *(f"/sys/class/net/wan{number}/statistics/rx_bytes"
                                            for number in (1, 2))).split()
    return int(first), int(second)


def measure_arrivals(lab: Lab) -> list[Arrival]:
    """New connections while the cable of eth0, where main's default leads, is out."""
    with receive(lab):
        began = time.monotonic()
        process = lab.client.start(sys.executable, ARRIVALS, SERVER_4, str(PORT),
                                   str(NEWCOMERS[-1]))
        with outage(lab, 0, NEWCOMERS) as steps:
            for _ in steps:
                pass
        return read_arrivals(process, began)


def read_arrivals(process: subprocess.Popen[str], began: float) -> list[Arrival]:
    output, errors = process.communicate(timeout=PATIENCE + 30)
    assert process.returncode == 0, errors
    rows = [line.split() for line in output.splitlines()]
    return sorted(Arrival(float(row[0]) - began, read_uplink(row)) for row in rows)


def read_uplink(row: list[str]) -> int | None:
    return int(row[2].startswith("10.1.2.")) if len(row) == 3 else None


def draw_cable(moments: list[Moment], path: Path) -> None:
    """The rates of both uplinks, and their sum, in Mbit/s."""
    with rc_context(STYLE):
        figure, axes = pyplot.subplots(figsize=(7.2, 2.9), layout="constrained")
        pairs = list(zip(moments, moments[1:]))
        seconds = [now.seconds for _, now in pairs]
        rates = [[(now.uplinks[one] - then.uplinks[one]) * 8e-6 / (now.seconds - then.seconds)
                  for then, now in pairs] for one in (0, 1)]
        together = [sum(pair) for pair in zip(*rates)]
        axes.plot(seconds, together, color=BLACK, linewidth=2, label="both together")
        axes.plot(seconds, rates[0], color=BLUE, label="eth0")
        axes.plot(seconds, rates[1], color=ORANGE, label="eth1")
        mark_outage(axes, CABLE, "the cable of eth1 is out")
        axes.set(xlabel="seconds", ylabel="Mbit/s", xlim=(0, CABLE[-1]), ylim=(0, 115))
        axes.legend(loc="upper left", bbox_to_anchor=(1, 1), frameon=False)
        save(figure, path)


def draw_arrivals(lanes: dict[str, list[Arrival]], path: Path) -> None:
    """A stroke for each new connection, in a lane for each who had to see to it."""
    with rc_context(STYLE):
        figure, axes = pyplot.subplots(figsize=(7.2, 2.2), layout="constrained")
        for uplink, colour, label in ((0, BLUE, "by eth0"), (1, ORANGE, "by eth1"),
                                      (None, RED, "none within 1 s")):
            strokes = [(one.began, float(-lane)) for lane, arrivals in enumerate(lanes.values())
                       for one in arrivals if one.uplink == uplink]
            # One line with gaps: a mark each would be a file of three times the size.
            axes.plot([x for x, _ in strokes for x in (x, x, GAP)],
                      [y for _, y in strokes for y in (y - 0.25, y + 0.25, GAP)],
                      color=colour, linewidth=2, label=label)
        mark_outage(axes, NEWCOMERS, "the cable of eth0 is out")
        axes.set(xlabel="a new connection begins, in seconds", xlim=(0, NEWCOMERS[-1]),
                 ylim=(0.5 - len(lanes), 0.8), yticks=[-lane for lane in range(len(lanes))],
                 yticklabels=list(lanes))
        axes.legend(loc="upper left", bbox_to_anchor=(1, 1), frameon=False)
        save(figure, path)


def mark_outage(axes: Any, times: tuple[float, float, float], text: str) -> None:
    axes.axvspan(*times[:2], color="#dddddd", zorder=0)
    axes.annotate(text, ((times[0] + times[1]) / 2, 0.99), xycoords=("data", "axes fraction"),
                  ha="center", va="top")


def save(figure: Any, path: Path) -> None:
    figure.savefig(path, metadata={"Date": None})
    print(f"{path}: {path.stat().st_size} bytes")


if __name__ == "__main__":
    main(Path(sys.argv[1]).resolve(), Path(sys.argv[2]))
