"""A round of upkeep and what only the configuration names, on a machine in memory."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest

from mptcp_hooks.base.errors import Problem
from mptcp_hooks.base.model import Lease, Link
from mptcp_hooks.engine import record
from mptcp_hooks.engine.lifelines import Use
from mptcp_hooks.engine.remake import list_endpoints
from mptcp_hooks.intent.event import read_event
from mptcp_hooks.intent.settings import NO_CONFIGURATION, Configuration, Wishes
from mptcp_hooks.machine.sockets import TCP_ESTABLISHED, TCP_SYN_SENT
from mptcp_hooks.machine.subflows import Subflow
from mptcp_hooks.monitor import gateways, managed, upkeep
from mptcp_hooks.monitor import look as look_module
from mptcp_hooks.monitor.gateways import WatchfulMachine
from mptcp_hooks.monitor.look import Errand, look
from mptcp_hooks.monitor.round import RoundResult
from mptcp_hooks.monitor.upkeep import keep_up
from tests.unit.engine import Bench, open_bench, static
from tests.unit.memory import FAILED, INCOMPLETE, Killed, MemoryMachine, kill_at

ETH0, ETH1 = static("eth0", 4), static("eth1", 4)
NAMES_ETH1 = NO_CONFIGURATION._replace(wishes=(Wishes("eth1", managed=True),))
UP, UNPLUGGED = Link(True, True, False), Link(True, False, False)


class Watched(MemoryMachine, WatchfulMachine):
    """The machine in memory as the monitor sees it; the package's own code asks its gateways."""

    def __init__(self) -> None:
        super().__init__()
        self.unanswered = set()


class Kept:
    """A bench that rounds keep up, and what ifupdown and dhclient say to them."""

    def __init__(self, bench: Bench, patch: pytest.MonkeyPatch) -> None:
        self.bench = bench
        self.stanzas = {"eth0": [ETH0], "eth1": [ETH1]}
        self.leases: dict[str, Lease] = {}
        self.configuration = NO_CONFIGURATION
        self.mistakes: list[Problem] = []
        self.subflows: list[Subflow] = []
        patch.setattr(record, "RECORD", str(bench.folder))
        for module in (gateways, look_module):
            patch.setattr(module, "sleep", lambda seconds: None)
        for module in (upkeep, look_module):
            patch.setattr(module, "WatchfulMachine", lambda show: bench.machine)
            patch.setattr(module, "read_subflows", lambda: self.subflows)
        patch.setattr(upkeep, "list_up", lambda: list(self.stanzas))
        patch.setattr(upkeep, "read_configuration", self._read_configuration)
        patch.setattr(upkeep, "read_kept_lease", self.leases.get)
        for module in (upkeep, managed):
            patch.setattr(module, "ask_events", lambda iface: self.stanzas.get(iface, []))

    def _read_configuration(self) -> tuple[Configuration, list[Problem]]:
        return self.configuration, self.mistakes

    def round(self, adopting: bool = False, resting: frozenset[str] = frozenset()) -> RoundResult:
        self.bench.machine.ran.clear()
        report = keep_up(adopting, resting, None)
        standing = {(one.address, one.identity) for one in self.bench.machine.endpoints
                    if one.identity != 7}
        assert set(report.endpoints) == standing
        return report._replace(endpoints=())

    def set_link(self, device: str, link: Link) -> None:
        devices = self.bench.machine.devices
        devices[device] = devices[device]._replace(link=link)

    def endpoints(self) -> list[str]:
        return [one.address for one in self.bench.machine.endpoints if one.identity != 7]


@pytest.fixture
def kept(monkeypatch: pytest.MonkeyPatch) -> Iterator[Kept]:
    with open_bench(kind=Watched) as bench:
        yield Kept(bench, monkeypatch)


def quiet(*paths: str, **more: Any) -> RoundResult:
    """What a round reports that has nothing to say, with these interfaces in use."""
    return RoundResult(paths=paths)._replace(**more)


def test_the_first_round_takes_in_what_is_up(kept: Kept) -> None:
    assert kept.round() == quiet() and kept.bench.list_recorded() == []
    assert kept.round(adopting=True) == quiet("eth0", "eth1", made=True)
    assert kept.endpoints() == ["10.1.1.2", "10.1.2.2"]
    assert kept.round(adopting=True) == quiet("eth0", "eth1") and kept.bench.machine.ran == []


def test_a_lost_carrier_takes_the_endpoint_until_it_is_back(kept: Kept) -> None:
    kept.bench.up(ETH0, ETH1)
    full = kept.bench.machine.snapshot()
    kept.set_link("eth1", UNPLUGGED)
    assert kept.round() == quiet("eth0", silent=("eth1",))
    assert kept.endpoints() == ["10.1.1.2"]
    assert kept.bench.machine.snapshot().rules == full.rules
    kept.set_link("eth1", UP)
    assert kept.round() == quiet("eth0", "eth1", made=True)
    assert kept.bench.machine.snapshot() == full


def test_an_endpoint_comes_back_when_its_gateway_answers(kept: Kept) -> None:
    """A SYN that waits behind a neighbour entry that fails is lost, and no other is sent."""
    machine = kept.bench.machine
    kept.bench.up(ETH0, ETH1)
    kept.set_link("eth1", UNPLUGGED)
    kept.round()
    kept.set_link("eth1", UP)
    machine.deaf, machine.neighbours = {"10.1.2.1"}, {"10.1.2.1": FAILED}
    for _ in range(2):
        assert kept.round() == quiet("eth0", silent=("eth1",), waiting=("eth1",))
        assert machine.ran == ["neigh del 10.1.2.1 dev eth1", "neigh replace 10.1.2.1 dev eth1 use"]
    machine.deaf.clear()
    assert kept.round() == quiet("eth0", "eth1", made=True)
    assert machine.ran[-1] == "mptcp endpoint add 10.1.2.2 dev eth1 subflow"


def test_before_an_endpoint_is_made_a_gateway_that_fails_is_forgotten(kept: Kept) -> None:
    kept.bench.machine.neighbours = {"10.1.1.1": INCOMPLETE}
    kept.stanzas = {"eth0": [ETH0], "eth1": [ETH1]}
    assert kept.round(adopting=True) == quiet("eth0", "eth1", made=True)
    assert [line for line in kept.bench.machine.ran if "neigh" in line] == [
        "neigh del 10.1.1.1 dev eth0"]


def subflow(token: int, address: str, **more: Any) -> Subflow:
    """An established subflow that this end asked for."""
    return Subflow(token, address, "10.99.0.1", TCP_ESTABLISHED, 0, 0.0, True)._replace(**more)


@pytest.mark.parametrize("other", [
    [], [subflow(1, "10.1.1.2", state=TCP_SYN_SENT)],
    [subflow(1, "10.1.1.2", retransmits=2, silence=1.5)], [subflow(2, "10.1.1.2")]])
def test_the_last_subflow_of_a_connection_keeps_its_endpoint(
    kept: Kept, other: list[Subflow]
) -> None:
    kept.bench.up(ETH0, ETH1)
    full = kept.bench.machine.snapshot()
    kept.subflows = [subflow(1, "10.1.2.2"), *other]
    kept.set_link("eth1", UNPLUGGED)
    assert kept.round() == quiet("eth0", "eth1", kept=("eth1",))
    assert kept.bench.machine.snapshot() == full and kept.bench.machine.ran == []
    # With a second path that carries, it may go.
    kept.subflows = [*kept.subflows, subflow(1, "10.1.1.2")]
    assert kept.round() == quiet("eth0", silent=("eth1",))


def test_with_all_carriers_lost_nothing_is_changed(kept: Kept) -> None:
    kept.bench.up(ETH0, ETH1)
    kept.subflows = [subflow(1, "10.1.1.2"), subflow(1, "10.1.2.2")]
    for device in ("eth0", "eth1"):
        kept.set_link(device, UNPLUGGED)
    assert kept.round() == quiet("eth0", "eth1", kept=("eth0", "eth1"))
    assert kept.bench.machine.ran == []


def test_a_connection_that_is_not_there_yet_keeps_nothing(kept: Kept) -> None:
    kept.bench.up(ETH0, ETH1)
    kept.subflows = [subflow(1, "10.1.2.2", state=TCP_SYN_SENT)]
    kept.set_link("eth1", UNPLUGGED)
    assert kept.round() == quiet("eth0", silent=("eth1",))


def test_a_kernel_that_shows_no_connections_has_endpoints_taken_away_all_the_same(
    kept: Kept, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Most connections gain by it."""
    def refuse() -> list[Subflow]:
        raise Problem("the kernel does not show its sockets")

    kept.bench.up(ETH0, ETH1)
    monkeypatch.setattr(upkeep, "read_subflows", refuse)
    assert kept.round() == quiet("eth0", "eth1")
    kept.set_link("eth1", UNPLUGGED)
    assert kept.round() == quiet("eth0", silent=("eth1",), failed=True,
                                 said=("the kernel does not show its sockets",))
    assert kept.endpoints() == ["10.1.1.2"]


def test_a_gateway_that_cannot_be_asked_makes_the_round_a_failed_one(kept: Kept) -> None:
    kept.bench.up(ETH0, ETH1)
    kept.set_link("eth1", UNPLUGGED)
    kept.round()
    kept.set_link("eth1", UP)
    kept.bench.machine.obstacle = lambda line: "Error: Busy." if "neigh" in line else ""
    report = kept.round()
    assert report.failed and report.waiting == report.silent == ("eth1",)
    assert [text.endswith(": Busy") for text in report.said] == [True]


def test_a_path_without_a_gateway_waits_for_none(kept: Kept) -> None:
    kept.bench.up(ETH1)
    with kept.bench.open_store() as store:
        (installed,) = list_endpoints(store)
    machine = Watched()
    assert machine.answers(installed.path._replace(gateway=""))
    assert machine.unanswered == set() and not machine.answers(installed.path)


def test_a_look_tells_how_paths_are_used_and_makes_an_endpoint_again(kept: Kept) -> None:
    kept.bench.up(ETH0, ETH1)
    full = kept.bench.machine.snapshot()
    kept.subflows = [subflow(1, "10.1.1.2"), subflow(1, "10.1.2.2"), subflow(2, "10.1.1.2")]
    kept.bench.machine.neighbours = {"10.1.1.1": 2, "10.1.2.1": 2}
    kept.bench.machine.ran.clear()
    uses = (Use("eth0", "10.1.1.2", 2, (), (), (), ()),
            Use("eth1", "10.1.2.2", 1, (1,), (), (2,), ()))
    seen = look(Errand({}, {}), {"10.1.2.2": (1, 2, 3)}, None)
    assert seen.cost > 0 and seen._replace(cost=0.0) == RoundResult(
        uses=uses, endpoints=(("10.1.1.2", 8), ("10.1.2.2", 9)))
    assert kept.bench.machine.ran == []
    both = Errand({"10.1.1.2": (), "10.1.2.2": ()}, {})
    assert look(both, {}, None).remade == ("10.1.2.2",)
    assert kept.bench.machine.ran == [
        "mptcp endpoint delete id 9", "mptcp endpoint add 10.1.2.2 dev eth1 subflow"]
    assert kept.bench.machine.snapshot() == full and kept.round() == quiet("eth0", "eth1")


def test_peers_that_may_have_missed_an_end_hear_of_it_before_a_look_makes_an_endpoint_again(
    kept: Kept
) -> None:
    kept.bench.up(ETH0, ETH1)
    kept.subflows = [subflow(1, "10.1.1.2")]
    kept.bench.machine.neighbours = {"10.1.2.1": 2}
    kept.bench.machine.ran.clear()
    again = look(Errand({"10.1.2.2": (3,)}, {}), {"10.1.2.2": (1,)}, None)
    assert again.remade == ("10.1.2.2",) and dict(again.endpoints)["10.1.2.2"] == 9
    assert kept.bench.machine.ran == [
        "mptcp endpoint delete id 9",
        "mptcp endpoint add 10.1.2.2 dev eth1 id 3 subflow", "mptcp endpoint delete id 3",
        "mptcp endpoint add 10.1.2.2 dev eth1 subflow"]


@pytest.mark.parametrize("connected", [True, False])
def test_peers_are_told_again_of_what_is_away_where_there_are_any(
    kept: Kept, connected: bool
) -> None:
    kept.bench.up(ETH0, ETH1)
    kept.set_link("eth1", UNPLUGGED)
    kept.round()
    kept.subflows = [subflow(1, "10.1.1.2")] * connected
    kept.bench.machine.ran.clear()
    assert look(Errand({}, {"10.1.2.2": (9,)}), {}, None).endpoints == (("10.1.1.2", 8),)
    assert kept.bench.machine.ran == [
        "mptcp endpoint add 10.1.2.2 dev eth1 id 9 subflow",
        "mptcp endpoint delete id 9"] * connected
    assert kept.round() == quiet("eth0", silent=("eth1",))


@pytest.mark.parametrize("keeping", [
    lambda kept: kept.set_link("eth1", UNPLUGGED),
    lambda kept: kept.bench.machine.neighbours.clear(),
    lambda kept: kept.subflows.append(subflow(3, "10.1.2.2"))])
def test_what_is_no_use_or_does_harm_is_not_made_again(
    kept: Kept, keeping: Callable[[Kept], object]
) -> None:
    """Without a carrier, with a gateway that does not answer, with a connection's last subflow."""
    kept.bench.up(ETH0, ETH1)
    kept.subflows = [subflow(2, "10.1.1.2")]
    kept.bench.machine.neighbours = {"10.1.2.1": 2}
    kept.bench.machine.deaf = {"10.1.2.1"}
    keeping(kept)
    result = look(Errand({"10.1.2.2": ()}, {}), {}, None)
    assert result.uses and result.uses[1].lacking == (2,) and result.remade == ()


@pytest.mark.parametrize("line", [0, 1])
def test_who_is_killed_between_the_two_is_made_up_for(kept: Kept, line: int) -> None:
    kept.bench.up(ETH0, ETH1)
    full = kept.bench.machine.snapshot()
    kept.subflows = [subflow(2, "10.1.1.2")]
    kept.bench.machine.neighbours = {"10.1.2.1": 2}
    kept.bench.machine.obstacle = kill_at(line)
    with pytest.raises(Killed):
        look(Errand({"10.1.2.2": ()}, {}), {}, None)
    kept.bench.machine.obstacle = lambda line: ""
    kept.round()
    assert kept.bench.machine.snapshot() == full


def test_what_is_put_back_is_told_as_a_repair(kept: Kept) -> None:
    kept.bench.up(ETH0, ETH1)
    full = kept.bench.machine.snapshot()
    lost = next(rule for rule in kept.bench.machine.rules if rule[1].source == "10.1.2.2/32")
    kept.bench.machine.rules.remove(lost)
    assert kept.round(resting=frozenset({"eth1"})) == quiet("eth0", "eth1")
    assert kept.bench.machine.snapshot() != full
    assert kept.round() == quiet("eth0", "eth1", repaired=("eth1",))
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
    assert kept.round() == quiet(said=("FILE:3: wrong",))


def test_a_lease_that_is_kept_on_disk_counts_for_what_is_taken_in(kept: Kept) -> None:
    event = read_event({"IFACE": "eth1", "ADDRFAM": "inet", "METHOD": "dhcp"})
    assert event is not None
    kept.stanzas = {"eth1": [event]}
    kept.leases["eth1"] = Lease("10.1.2.2", "10.1.2.9", ())
    assert kept.round(adopting=True) == quiet("eth1", made=True)
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
    assert kept.round(adopting=True) == quiet("eth1", said=("eth0: wrong",), made=True)
    assert kept.bench.list_recorded() == ["eth1"]


def test_a_named_device_is_taken_in_and_given_up_with_its_name(kept: Kept) -> None:
    before = kept.bench.machine.snapshot()
    kept.bench.machine.devices["eth1"] = kept.bench.machine.devices["eth1"]._replace(
        gateways=("10.1.2.1",))
    kept.stanzas = {}
    kept.configuration = NAMES_ETH1
    assert kept.round(resting=frozenset({"eth1"})) == quiet() and kept.endpoints() == []
    assert kept.round() == quiet("eth1", made=True)
    assert kept.endpoints() == ["10.1.2.2"]
    # A file that is not whole names nobody off.
    kept.configuration = NO_CONFIGURATION._replace(whole=False)
    assert kept.round() == quiet("eth1") and kept.endpoints() == ["10.1.2.2"]
    kept.configuration = NO_CONFIGURATION
    assert kept.round() == quiet()
    assert kept.bench.machine.snapshot() == before and kept.bench.list_recorded() == []


def test_a_stanza_that_says_off_outweighs_the_name(kept: Kept) -> None:
    event = read_event({"IFACE": "eth1", "ADDRFAM": "inet", "METHOD": "dhcp", "IF_MPTCP": "off"})
    assert event is not None
    kept.stanzas = {"eth1": [event]}
    kept.configuration = NAMES_ETH1
    assert kept.round() == quiet() and kept.bench.list_recorded() == []


def test_what_a_stanza_tells_of_stays_that_stanzas(kept: Kept) -> None:
    kept.bench.up(ETH1, static("eth1", 6))
    full = kept.bench.machine.snapshot()
    kept.configuration = NAMES_ETH1
    assert kept.round() == quiet("eth1")
    assert kept.bench.machine.snapshot() == full
