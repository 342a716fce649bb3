"""A round of upkeep and what only the configuration names, on a machine in memory."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from mptcp_hooks.base.errors import Problem
from mptcp_hooks.base.model import Lease, Link
from mptcp_hooks.engine import record
from mptcp_hooks.intent.event import read_event
from mptcp_hooks.intent.settings import NO_CONFIGURATION, Configuration, Wishes
from mptcp_hooks.monitor import managed, upkeep
from mptcp_hooks.monitor.round import RoundResult
from mptcp_hooks.monitor.upkeep import keep_up
from tests.unit.engine import Bench, open_bench, static

ETH0, ETH1 = static("eth0", 4), static("eth1", 4)
NAMES_ETH1 = NO_CONFIGURATION._replace(wishes=(Wishes("eth1", managed=True),))
QUIET = RoundResult((), (), False)
UP, UNPLUGGED = Link(True, True, False), Link(True, False, False)


class Kept:
    """A bench that rounds keep up, and what ifupdown and dhclient say to them."""

    def __init__(self, bench: Bench, patch: pytest.MonkeyPatch) -> None:
        self.bench = bench
        self.stanzas = {"eth0": [ETH0], "eth1": [ETH1]}
        self.leases: dict[str, Lease] = {}
        self.configuration = NO_CONFIGURATION
        self.mistakes: list[Problem] = []
        patch.setattr(record, "RECORD", str(bench.folder))
        patch.setattr(upkeep, "Machine", lambda show: bench.machine)
        patch.setattr(upkeep, "list_up", lambda: list(self.stanzas))
        patch.setattr(upkeep, "read_configuration", self._read_configuration)
        patch.setattr(upkeep, "read_kept_lease", self.leases.get)
        for module in (upkeep, managed):
            patch.setattr(module, "ask_events", lambda iface: self.stanzas.get(iface, []))

    def _read_configuration(self) -> tuple[Configuration, list[Problem]]:
        return self.configuration, self.mistakes

    def round(self, adopting: bool = False, resting: frozenset[str] = frozenset()) -> RoundResult:
        self.bench.machine.ran.clear()
        return keep_up(adopting, resting, None)

    def set_link(self, device: str, link: Link) -> None:
        devices = self.bench.machine.devices
        devices[device] = devices[device]._replace(link=link)

    def endpoints(self) -> list[str]:
        return [one.address for one in self.bench.machine.endpoints if one.identity != 7]


@pytest.fixture
def kept(monkeypatch: pytest.MonkeyPatch) -> Iterator[Kept]:
    with open_bench() as bench:
        yield Kept(bench, monkeypatch)


def test_the_first_round_takes_in_what_is_up(kept: Kept) -> None:
    assert kept.round() == QUIET and kept.bench.list_recorded() == []
    assert kept.round(adopting=True) == QUIET
    assert kept.endpoints() == ["10.1.1.2", "10.1.2.2"]
    assert kept.round(adopting=True) == QUIET and kept.bench.machine.ran == []


def test_a_lost_carrier_takes_the_endpoint_until_it_is_back(kept: Kept) -> None:
    kept.bench.up(ETH0, ETH1)
    full = kept.bench.machine.snapshot()
    kept.set_link("eth1", UNPLUGGED)
    assert kept.round() == QUIET
    assert kept.endpoints() == ["10.1.1.2"]
    assert kept.bench.machine.snapshot().rules == full.rules
    kept.set_link("eth1", UP)
    kept.round()
    assert kept.bench.machine.snapshot() == full


def test_what_is_put_back_is_told_as_a_repair(kept: Kept) -> None:
    kept.bench.up(ETH0, ETH1)
    full = kept.bench.machine.snapshot()
    lost = next(rule for rule in kept.bench.machine.rules if rule[1].source == "10.1.2.2/32")
    kept.bench.machine.rules.remove(lost)
    assert kept.round(resting=frozenset({"eth1"})) == QUIET
    assert kept.bench.machine.snapshot() != full
    assert kept.round() == RoundResult((), ("eth1",), False)
    assert kept.bench.machine.snapshot() == full


def test_a_command_that_fails_makes_the_round_a_failed_one(kept: Kept) -> None:
    kept.bench.up(ETH1)
    kept.bench.machine.rules.clear()
    kept.bench.machine.obstacle = lambda line: "Error: Busy." if "20002" in line else ""
    report = kept.round()
    assert report.failed and report.repaired == ("eth1",)
    assert [text.endswith(": Busy") for text in report.said] == [True] * len(report.said)


def test_mistakes_in_the_configuration_are_said_and_no_failure(kept: Kept) -> None:
    kept.mistakes = [Problem("FILE:3: wrong")]
    assert kept.round() == RoundResult(("FILE:3: wrong",), (), False)


def test_a_lease_that_is_kept_on_disk_counts_for_what_is_taken_in(kept: Kept) -> None:
    event = read_event({"IFACE": "eth1", "ADDRFAM": "inet", "METHOD": "dhcp"})
    assert event is not None
    kept.stanzas = {"eth1": [event]}
    kept.leases["eth1"] = Lease("10.1.2.2", "10.1.2.9", ())
    assert kept.round(adopting=True) == QUIET
    assert kept.endpoints() == ["10.1.2.2"]
    with kept.bench.open_store() as store:
        assert store.load_lease("eth1") == kept.leases["eth1"]


def test_a_stanza_that_cannot_be_read_does_not_cost_the_others(
    kept: Kept, monkeypatch: pytest.MonkeyPatch
) -> None:
    def ask(iface: str) -> list[object]:
        if iface == "eth0":
            raise Problem("eth0: wrong")
        return [ETH1]

    monkeypatch.setattr(upkeep, "ask_events", ask)
    assert kept.round(adopting=True) == RoundResult(("eth0: wrong",), (), False)
    assert kept.bench.list_recorded() == ["eth1"]


def test_a_named_device_is_taken_in_and_given_up_with_its_name(kept: Kept) -> None:
    before = kept.bench.machine.snapshot()
    kept.bench.machine.devices["eth1"] = kept.bench.machine.devices["eth1"]._replace(
        gateways=("10.1.2.1",))
    kept.stanzas = {}
    kept.configuration = NAMES_ETH1
    assert kept.round(resting=frozenset({"eth1"})) == QUIET and kept.endpoints() == []
    assert kept.round() == QUIET
    assert kept.endpoints() == ["10.1.2.2"]
    # A file that is not whole names nobody off.
    kept.configuration = NO_CONFIGURATION._replace(whole=False)
    assert kept.round() == QUIET and kept.endpoints() == ["10.1.2.2"]
    kept.configuration = NO_CONFIGURATION
    assert kept.round() == QUIET
    assert kept.bench.machine.snapshot() == before and kept.bench.list_recorded() == []


def test_a_stanza_that_says_off_outweighs_the_name(kept: Kept) -> None:
    event = read_event({"IFACE": "eth1", "ADDRFAM": "inet", "METHOD": "dhcp", "IF_MPTCP": "off"})
    assert event is not None
    kept.stanzas = {"eth1": [event]}
    kept.configuration = NAMES_ETH1
    assert kept.round() == QUIET and kept.bench.list_recorded() == []


def test_what_a_stanza_tells_of_stays_that_stanzas(kept: Kept) -> None:
    kept.bench.up(ETH1, static("eth1", 6))
    full = kept.bench.machine.snapshot()
    kept.configuration = NAMES_ETH1
    assert kept.round() == QUIET
    assert kept.bench.machine.snapshot() == full
