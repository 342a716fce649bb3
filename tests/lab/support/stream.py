# SPDX-License-Identifier: GPL-2.0-or-later
"""Paced streams, and how long the receiver of one waits when the uplink under it is cut."""

from __future__ import annotations

import json
import statistics
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from tests.lab.support.lab import SERVER_4, TRANSFER, Lab
from tests.lab.support.waiting import wait_for

CUTS = 5
# Each stream has a port of its own: what is left of the last one is not counted as its subflow.
PORT = 5010
# The kernel's shortest timeout before it sends again, in seconds: TCP_RTO_MIN, include/net/tcp.h.
TIMEOUT = 0.2
# What is looked at before, and after a cut, in seconds.
_BEFORE, _AFTER = 0.3, 0.7


@contextmanager
def stream(lab: Lab, port: int) -> Iterator[None]:
    """A connection from the client to the server that sends all the time, two minutes at most.

    It is there at the end, and all that was sent has arrived as it was.
    """
    receiver = lab.server.start(sys.executable, TRANSFER, "serve", SERVER_4, f"{port}")
    assert receiver.stdout is not None and receiver.stdout.readline() == "listening\n"
    sender = lab.client.start(sys.executable, TRANSFER, "stream", SERVER_4, f"{port}", "120")
    yield
    assert sender.poll() is None
    sender.terminate()
    _, errors = receiver.communicate(timeout=60)
    assert (receiver.returncode, errors) == (0, "")
    output, _ = sender.communicate(timeout=60)
    assert json.loads(output)["whole"]


def measure_wait(lab: Lab, cut: Callable[[int], object], mend: Callable[[int], object]) -> float:
    """The median, in seconds, of the longest wait after each of five cuts.

    `cut` and `mend` get 0 or 1, for eth0 or eth1: the one that carries the stream.
    """
    return statistics.median(_measure_cut(lab, port, cut, mend)
                             for port in range(PORT, PORT + CUTS))


def _measure_cut(lab: Lab, port: int, cut: Callable[[int], object],
                 mend: Callable[[int], object]) -> float:
    """The longest wait, in seconds, that one cut costs a stream of its own.

    Without the hooks a stream may never go on as before: the next cut would find nothing to cut.
    """
    receiver = lab.server.start(sys.executable, TRANSFER, "listen", SERVER_4, f"{port}")
    assert receiver.stdout is not None and receiver.stdout.readline() == "listening\n"
    sender = lab.client.start(sys.executable, TRANSFER, "stream", SERVER_4, f"{port}", "60")
    wait_for_subflows(lab, 2, port)
    uplink = _find_busy(lab)
    cut_at = time.monotonic()
    cut(uplink)
    time.sleep(_AFTER)
    receiver.terminate()
    output, errors = receiver.communicate(timeout=20)
    sender.kill()
    sender.wait()
    mend(uplink)
    assert receiver.returncode == 0, errors
    waits = [(float(began), float(seconds))
             for began, seconds in (line.split() for line in output.splitlines())]
    return max((seconds for began, seconds in waits if began + seconds > cut_at), default=0.0)


def measure_bare(measure: Callable[[], float]) -> float:
    """What is measured without the hooks, in seconds, up to five times until it is a timeout.

    Sometimes what was under way was all by the other uplink, and most cuts cost nothing.
    """
    return _measure_until(measure, max, lambda most: most >= TIMEOUT)


def measure_at_best(measure: Callable[[], float], enough: float) -> float:
    """The least of what is measured, up to five times, until that is enough.

    The kernel's threads have their part in it, and wait too.
    With ten programs ready to run on two processors, half of the cuts cost a timeout.
    """
    return _measure_until(measure, min, lambda least: least <= enough)


def _measure_until(measure: Callable[[], float], choose: Callable[[float, float], float],
                   is_enough: Callable[[float], bool]) -> float:
    chosen = measure()
    for _ in range(4):
        if not is_enough(chosen):
            chosen = choose(chosen, measure())
    return chosen


def _find_busy(lab: Lab) -> int:
    """The uplink that carries the stream, once one does."""
    def look() -> tuple[int, int]:
        before = lab.count_sent()
        time.sleep(_BEFORE)
        first, second = (now - then for now, then in zip(lab.count_sent(), before))
        return first, second

    first, second = wait_for(lambda: [sent for sent in [look()] if max(sent) > 500_000])[0]
    return int(second > first)


def wait_for_subflows(lab: Lab, number: int, port: int = 5002) -> None:
    """Wait until the stream has subflows over so many of the client's uplinks."""
    def count() -> int:
        lines = lab.client.run("ss", "-tnHO", "state", "established", "dport", "=",
                               f":{port}")
        # Not every ss leaves the column of a state out that was asked for.
        return len({next(word for word in line.split() if word.startswith("10.")).partition(":")[0]
                    for line in lines.splitlines()})

    wait_for(lambda: count() >= number)
