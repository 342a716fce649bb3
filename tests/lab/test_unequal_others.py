# SPDX-License-Identifier: GPL-2.0-or-later
"""What must make no role flap: all that looks like a slow uplink, and is none, or one for a while.

Real transfers go on for a minute at most, and the monitor's words about roles are counted.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager
from typing import NamedTuple

import pytest

from tests.bench.unequal import MIXES, Rate, WideLab, address_of
from tests.lab.support.lab import Host, Installation
from tests.lab.support.monitor import Monitor
from tests.lab.support.waiting import wait_for

pytestmark = pytest.mark.long

# No role changes more often than that in a minute.
_FLAPS = 2
SERVERS_WORD = """\
[default]
manage = wan*
[wan1]
gateway = 10.8.1.1
[wan2]
gateway = 10.8.2.1
"""


class End(NamedTuple):
    """A host with the package that is not the lab's client."""

    client: Host


@contextmanager
def open_lab(
    installation: Installation, mix: str, server: bool = False
) -> Iterator[tuple[WideLab, Monitor]]:
    layers = (installation.layer,) if server else None
    with closing(WideLab(installation, MIXES[mix], layers)) as lab, lab.serve():
        lab.warm(address_of(MIXES[mix].best))
        yield lab, Monitor(lab)


def go_on(seconds: float, act: Callable[[], object]) -> None:
    """Act again and again, one after another."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        act()


def fetch(lab: WideLab, kind: str = "download", count: int = 1) -> float:
    return lab.measure(kind, "any", "cubic", count)


def list_roles(monitor: Monitor) -> list[str]:
    """What was said of roles."""
    return [text for text in monitor.read_words()
            if ": backup: " in text or ": active again" in text]


def test_a_rate_that_changes_every_five_seconds(installation: Installation) -> None:
    with open_lab(installation, "50+2-long") as (lab, monitor):
        rates = (Rate(50, 60), Rate(2, 800))
        with ThreadPoolExecutor(1) as side:
            done = side.submit(go_on, 60, lambda: fetch(lab))
            for number in range(12):
                lab.shape(1, rates[number % 2])
                time.sleep(5)
            done.result()
        assert len(list_roles(monitor)) <= _FLAPS


def test_bursts_on_an_idle_link(installation: Installation) -> None:
    with open_lab(installation, "50+25") as (lab, monitor):
        def burst() -> None:
            fetch(lab, "request")
            time.sleep(1.5)
        go_on(20, burst)
        assert list_roles(monitor) == []


def test_ten_uploads_and_a_request(installation: Installation) -> None:
    with open_lab(installation, "50+25") as (lab, monitor):
        with ThreadPoolExecutor(1) as side:
            done = side.submit(go_on, 25, lambda: fetch(lab, "upload", 10))
            go_on(25, lambda: fetch(lab, "request"))
            done.result()
        assert list_roles(monitor) == []


# Of 30 Mbit/s some go by the weak one of 50 and 2, and wait there: that is a backup, and rightly.
@pytest.mark.parametrize(("mix", "megabits"), [("50+25", 1), ("50+25", 8), ("50+25", 30),
                                               ("50+2-long", 1), ("50+2-long", 8)])
def test_a_server_that_is_slow(installation: Installation, mix: str, megabits: int) -> None:
    """A stream of 1 Mbit/s among them."""
    with open_lab(installation, mix) as (lab, monitor):
        for _ in range(2):
            lab.measure("stream", "any", "cubic", 1, megabits)
        assert list_roles(monitor) == []


def test_a_neighbours_download(installation: Installation) -> None:
    """What it leaves of an uplink is little, and it is used again once it is over."""
    with open_lab(installation, "50+25") as (lab, monitor):
        go_on(8, lambda: fetch(lab))
        lab.shape(1, Rate(2, 800))
        go_on(25, lambda: fetch(lab))
        assert [text.split()[1] for text in list_roles(monitor)] == ["backup:"]
        lab.shape(1, Rate(25, 60))
        end = time.monotonic() + 120
        while len(list_roles(monitor)) < 2:
            assert time.monotonic() < end
            fetch(lab)
        assert list_roles(monitor)[1].startswith("eth1: active again")


def test_both_ends_have_the_package(installation: Installation) -> None:
    with open_lab(installation, "50+2-long", server=True) as (lab, monitor):
        lab.server.run("mkdir", "-p", "/etc/mptcp-hooks")
        lab.server.run("tee", "/etc/mptcp-hooks/mptcp-hooks.conf", text=SERVERS_WORD)
        other = Monitor(End(lab.server))
        wait_for(lambda: len(lab.server.ask("mptcp", "endpoint")) == 2)
        for kind in ("download", "upload"):
            go_on(30, lambda: fetch(lab, kind))
        assert len(list_roles(monitor)) == 1 and len(list_roles(other)) <= 1
        alone = lab.measure("download", address_of(0), "cubic", 1)
        assert alone / fetch(lab) > 0.8
