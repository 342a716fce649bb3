# SPDX-License-Identifier: GPL-2.0-or-later
"""No slower than the better uplink alone: what is weak beside it becomes a backup, by itself."""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager

import pytest

from tests.bench.traffic import UPLOAD
from tests.bench.unequal import MIXES, Rate, WideLab, address_of
from tests.lab.support.lab import SERVER_6, TWO_UPLINKS, TWO_UPLINKS_6, Installation, Lab
from tests.lab.support.monitor import Monitor
from tests.lab.support.paths import BOTH, check_both_paths, plug, pull
from tests.lab.support.status import ask, find
from tests.lab.support.waiting import wait_for

# A machine that does much else at a time makes both slower, and never both alike.
_HARDLY_SLOWER, _FASTER = 0.8, 1.15


@contextmanager
def open_lab(installation: Installation, mix: str) -> Iterator[WideLab]:
    with closing(WideLab(installation, MIXES[mix])) as lab, lab.serve():
        lab.warm(address_of(MIXES[mix].best))
        yield lab


def transfer(lab: WideLab, kind: str, source: str = "any", count: int = 1) -> float:
    """The seconds that it takes."""
    return lab.measure(kind, source, "cubic", count)


def use(lab: WideLab, kind: str, until: Callable[[], bool], at_most: float = 30.0) -> None:
    """Transfer one after another until something is so."""
    end = time.monotonic() + at_most
    while not until():
        assert time.monotonic() < end
        transfer(lab, kind)


def list_backups(lab: WideLab | Lab) -> list[str]:
    return [one.split()[1] for one in lab.endpoints() if one.endswith(" backup")]


@pytest.mark.parametrize("kind", ["download", pytest.param("upload", marks=pytest.mark.long),
                                  pytest.param("request", marks=pytest.mark.long)])
def test_beside_a_weak_uplink_nothing_is_slower_than_without(
    installation: Installation, kind: str
) -> None:
    with open_lab(installation, "50+2-long") as lab:
        monitor = Monitor(lab)
        use(lab, kind, lambda: list_backups(lab) == ["eth1"])
        alone, both = (transfer(lab, kind, source) for source in (address_of(0), "any"))
        assert alone / both > _HARDLY_SLOWER
        said = re.compile(r"eth1: backup: carries [\d.]+ of \d+ Mbit/s(, \d+ ms when loaded)?")
        assert sum(bool(said.fullmatch(text)) for text in monitor.read_words()) == 1
        assert said.search(lab.client.run("mptcp_status"))
        assert [bool(path["backup"]) for path in ask(lab)["paths"]] == [False, True]
        # It is no change of anybody's.
        assert find(lab) == () and lab.client.run("mptcp_up", "--all", "-v") == ""
        assert list_backups(lab) == ["eth1"]
        # The better one lost, the other one is none any more, and back it is again.
        pull(lab, 0)
        wait_for(lambda: list_backups(lab) == [] and len(lab.endpoints()) == 1)
        plug(lab, 0)
        wait_for(lambda: list_backups(lab) == ["eth1"])
        monitor.stop()
        lab.client.run("mptcp_monitor", "--stopped")
        assert list_backups(lab) == []
        # The next one knows, before anything is carried.
        Monitor(lab)
        wait_for(lambda: list_backups(lab) == ["eth1"])


def test_one_that_helps_is_used(installation: Installation) -> None:
    with open_lab(installation, "50+25") as lab:
        monitor = Monitor(lab)
        alone = transfer(lab, "download", address_of(0))
        end = time.monotonic() + 12
        while time.monotonic() < end:
            both = transfer(lab, "download")
        assert list_backups(lab) == [] and alone / both > _FASTER
        assert not any("backup" in text for text in monitor.read_words())


_REMEMBER = """
import sys
sys.path.insert(0, "/usr/share/mptcp-hooks")
from mptcp_hooks.engine.remembered import Remembered, save_uplinks
save_uplinks((Remembered("eth1", ("10.1.2.1",), 2000000, 0, "carries 2 of 50 Mbit/s"),))
"""


def test_an_interface_in_another_network_is_another_uplink(lab: Lab) -> None:
    """As a laptop's Wi-Fi, which is weak at home, and at work is not; and back at home is."""
    lab.client.run("python3", "-I", "-c", _REMEMBER)
    lab.routers[1].ip("addr add 10.1.2.9/24 dev lan")
    lab.set_interfaces(TWO_UPLINKS)
    lab.ifup("-a")
    monitor = Monitor(lab)
    wait_for(lambda: list_backups(lab) == ["eth1"])
    lab.ifdown("eth1")
    lab.set_interfaces(TWO_UPLINKS.replace("mptcp-gateway 10.1.2.1", "mptcp-gateway 10.1.2.9"))
    lab.ifup("eth1")
    monitor.rest()
    assert lab.endpoints() == BOTH
    assert "eth1: no backup any more: it is behind another gateway" in monitor.read_words()
    check_both_paths(lab)
    lab.ifdown("eth1")
    lab.set_interfaces(TWO_UPLINKS)
    lab.ifup("eth1")
    wait_for(lambda: list_backups(lab) == ["eth1"])


@pytest.mark.long
def test_roles_follow_what_uplinks_carry_by_now(installation: Installation) -> None:
    """One that fades, and one that carries more than it did: found by using it."""
    with open_lab(installation, "50+2-long") as lab:
        monitor = Monitor(lab)

        def count_returns() -> int:
            """How many trials went well: during one it is no backup either."""
            return sum(text.startswith("eth1: active again: ") for text in monitor.read_words())

        use(lab, "download", lambda: list_backups(lab) == ["eth1"])
        lab.shape(0, Rate(3, 100))
        use(lab, "download", lambda: count_returns() == 1, 60)
        lab.shape(0, Rate(50, 60))
        use(lab, "download", lambda: list_backups(lab) == ["eth1"], 60)
        lab.shape(1, Rate(40, 60))
        # It was a backup again within a minute, so the next trial is after two.
        use(lab, "download", lambda: count_returns() == 2, 150)
        assert list_backups(lab) == []
        alone, both = (transfer(lab, "download", source) for source in (address_of(0), "any"))
        assert alone / both > _FASTER


@pytest.mark.long
def test_an_upload_over_ipv6_is_no_slower_than_without(installation: Installation) -> None:
    with open_lab(installation, "50+2-long") as lab:
        lab.ifdown("-a")
        lab.set_interfaces(TWO_UPLINKS_6)
        lab.ifup("-a")
        before = lab.transfer(UPLOAD, SERVER_6)
        Monitor(lab)
        end = time.monotonic() + 60
        while list_backups(lab) != ["eth1"]:
            assert time.monotonic() < end
            lab.transfer(UPLOAD, SERVER_6)
        assert lab.endpoints()[1] == "fd00:2::2 eth1 subflow backup"
        # What was given to the weak one before is still on its way.
        wait_for(lambda: lab.transfer(UPLOAD, SERVER_6).seconds < before.seconds / 2)
        pull(lab, 1)
        without = lab.transfer(UPLOAD, SERVER_6)
        plug(lab, 1)
        wait_for(lambda: list_backups(lab) == ["eth1"])
        beside = lab.transfer(UPLOAD, SERVER_6)
        assert without.whole and beside.whole
        assert without.seconds / beside.seconds > _HARDLY_SLOWER


@pytest.mark.long
def test_where_main_leads_to_the_weak_one_connections_begin_with_little_there(
    installation: Installation
) -> None:
    with open_lab(installation, "2+50-long") as lab:
        before = lab.snapshot()
        monitor = Monitor(lab)
        use(lab, "download", lambda: list_backups(lab) == ["eth0"])
        for kind in ("download", "request"):
            alone, both = (transfer(lab, kind, source, 10) for source in (address_of(1), "any"))
            assert alone / both > _HARDLY_SLOWER
        assert "initrwnd 1" in lab.snapshot()
        assert lab.client.run("mptcp_up", "--all", "-v") == "" and find(lab) == (
            ("note", "weak-default", "eth0"),)
        monitor.stop()
        lab.client.run("mptcp_monitor", "--stopped")
        assert lab.snapshot() == before


@pytest.mark.parametrize("text", ["[default]\nroles = fixed", "[eth1]\nflags = subflow"])
@pytest.mark.long
def test_the_administrators_word_stands(installation: Installation, text: str) -> None:
    with open_lab(installation, "50+2-long") as lab:
        lab.write("/etc/mptcp-hooks/mptcp-hooks.conf", text + "\n")
        Monitor(lab)
        for _ in range(4):
            transfer(lab, "download")
        assert list_backups(lab) == []
