# SPDX-License-Identifier: GPL-2.0-or-later
"""A round of upkeep and what only the configuration names, on a machine in memory."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest

from mptcp_hooks.base.address import InterfaceAddress
from mptcp_hooks.base.errors import Problem
from mptcp_hooks.base.model import Endpoint, Lease, Limits, Link, Route, Rule
from mptcp_hooks.base.numbering import FIRST_PREFERENCE, PROTOCOL
from mptcp_hooks.engine import record
from mptcp_hooks.engine.lifelines import Use
from mptcp_hooks.engine.checks import CheckResult
from mptcp_hooks.engine.remake import list_endpoints
from mptcp_hooks.intent.event import Event, read_event
from mptcp_hooks.intent.settings import NO_CONFIGURATION, Configuration, Wishes
from mptcp_hooks.machine import claim
from mptcp_hooks.machine.foreign import ForeignRule
from mptcp_hooks.machine.sockets import TCP_ESTABLISHED, TCP_SYN_SENT
from mptcp_hooks.machine.subflows import Subflow
from mptcp_hooks.monitor import gateways, managed, upkeep
from mptcp_hooks.monitor import look as look_module
from mptcp_hooks.monitor.changes import ALIVE, DEAD, GONE, Changes
from mptcp_hooks.monitor.front import SIZE
from mptcp_hooks.monitor.gateways import WatchfulMachine
from mptcp_hooks.monitor.look import Errand, look
from mptcp_hooks.monitor.round import RoundResult
from mptcp_hooks.monitor.upkeep import Known, keep_up
from tests.unit.engine import Bench, open_bench, static
from tests.unit.memory import FAILED, INCOMPLETE, Device, Killed, MemoryMachine, kill_at

ETH0, ETH1 = static("eth0", 4), static("eth1", 4)
GATEWAYS = {"10.1.2.2": "10.1.2.1", "fd00:2::2": "fd00:2::1"}
NAMES_ETH1 = NO_CONFIGURATION._replace(wishes=(Wishes("eth1", managed=True),))
UP, UNPLUGGED = Link(True, True, False), Link(True, False, False)
# The endpoints that are no path's: one of the bench, and those that tests add.
OTHERS = (7, 99)
# How a round tells of paths that are out.
ETH0_OUT = ("eth0", "10.1.1.2", "10.1.1.1", "no carrier")
ETH1_OUT = ("eth1", "10.1.2.2", "10.1.2.1", "no carrier")
ETH0_MUTE, ETH1_MUTE = (one[:3] + ("gateway silent",) for one in (ETH0_OUT, ETH1_OUT))


class Watched(MemoryMachine, WatchfulMachine):
    """The machine in memory as the monitor sees it; the package's own code asks its gateways."""

    def __init__(self) -> None:
        super().__init__()
        self.unanswered = set()
        self.doubted = set()
        self.asked = self.failing = self.unsteady = frozenset()


class Kept:
    """A bench that rounds keep up, and what ifupdown and dhclient say to them."""

    def __init__(self, bench: Bench, patch: pytest.MonkeyPatch) -> None:
        self.bench = bench
        self.stanzas = {"eth0": [ETH0], "eth1": [ETH1]}
        self.leases: dict[str, Lease] = {}
        self.configuration = NO_CONFIGURATION
        self.mistakes: list[Problem] = []
        self.subflows: list[Subflow] = []
        self.free: tuple[str, ...] = ()
        self.changes = Changes()
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

    def round(
        self, adopting: bool = False, resting: frozenset[str] = frozenset(),
        known: Known = Known(),
    ) -> RoundResult:
        self.bench.machine.ran.clear()
        report = keep_up(adopting, resting, known, None)
        standing = {(one.address, one.identity) for one in self.bench.machine.endpoints
                    if one.identity not in OTHERS}
        assert set(report.endpoints) == standing
        assert set(report.addresses) == self._list_addresses()
        self.free = report.free
        self.changes.note(report.alive, report.faults)
        return report._replace(endpoints=(), addresses=(), free=(), alive=())

    def _list_addresses(self) -> set[tuple[str, str, str, int]]:
        """The addresses that are the first of their devices and lead out, with what they have."""
        with record.open_store() as store:
            return {(one.path.address, iface, one.path.gateway, one.path.ifindex)
                    for iface in store.list_interfaces()
                    for stanza in store.load(iface) for one in stanza.paths
                    if one.path.primary and one.path.default and not one.path.shared}

    def tell(self) -> list[tuple[str, str, str]]:
        """How paths changed in the last round, by their addresses."""
        due = self.changes.take_due()
        for change in due:
            self.changes.end(change)
        return [(change.address, change.old.name, change.new.name) for change in due]

    def set_link(self, device: str, link: Link) -> None:
        devices = self.bench.machine.devices
        devices[device] = devices[device]._replace(link=link)

    def endpoints(self) -> list[str]:
        return [one.address for one in self.bench.machine.endpoints if one.identity not in OTHERS]


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
    assert kept.round() == quiet("eth0", silent=("eth1",), faults=(ETH1_OUT,))
    assert kept.endpoints() == ["10.1.1.2"]
    assert kept.bench.machine.snapshot().rules == full.rules
    kept.set_link("eth1", UP)
    assert kept.round() == quiet("eth0", "eth1", made=True)
    assert kept.bench.machine.snapshot() == full


def test_whatever_path_dies_is_told_as_dead(kept: Kept) -> None:
    """Also a further address of an uplink, and that of a LAN."""
    uplink = read_event({
        "IFACE": "eth0", "ADDRFAM": "inet", "METHOD": "none", "IF_GATEWAY": "10.1.1.1",
        "IF_ADDRESSES": "10.1.1.2/24 10.1.1.3/24", "IF_MPTCP_FLAGS": "signal"})
    lan = read_event({"IFACE": "eth1", "ADDRFAM": "inet", "METHOD": "static",
                      "IF_ADDRESS": "10.1.2.2/24", "IF_MPTCP_FLAGS": "signal"})
    assert uplink and lan
    kept.bench.machine.plug("eth0", 2, *(InterfaceAddress(4, address, 24, "", "")
                                         for address in ("10.1.1.2", "10.1.1.3")))
    kept.bench.up(uplink, lan)
    kept.round()
    assert sorted(kept.endpoints()) == ["10.1.1.2", "10.1.1.3", "10.1.2.2"]
    assert kept.tell() == []
    for link, old, new in ((UNPLUGGED, ALIVE, DEAD), (UP, DEAD, ALIVE)):
        for device in ("eth0", "eth1"):
            kept.set_link(device, link)
        kept.round()
        assert kept.tell() == [(address, old, new)
                               for address in ("10.1.1.2", "10.1.1.3", "10.1.2.2")]
    kept.bench.down("eth1")
    kept.round()
    assert kept.tell() == [("10.1.2.2", ALIVE, GONE)]


def test_an_endpoint_comes_back_when_its_gateway_answers(kept: Kept) -> None:
    """A SYN that waits behind a neighbour entry that fails is lost, and no other is sent."""
    machine = kept.bench.machine
    kept.bench.up(ETH0, ETH1)
    kept.set_link("eth1", UNPLUGGED)
    kept.round()
    kept.set_link("eth1", UP)
    machine.deaf, machine.neighbours = {"10.1.2.1"}, {"10.1.2.1": FAILED}
    for _ in range(2):
        assert kept.round() == quiet("eth0", silent=("eth1",), waiting=("eth1",),
                                     faults=(ETH1_MUTE,))
        assert machine.ran == ["neigh del 10.1.2.1 dev eth1", "neigh replace 10.1.2.1 dev eth1 use"]
    machine.deaf.clear()
    assert kept.round() == quiet("eth0", "eth1", made=True)
    assert machine.ran[-1] == "mptcp endpoint add 10.1.2.2 dev eth1 subflow"


@pytest.mark.parametrize("left, gone", [("10.1.2.2", "fd00:2::2"), ("fd00:2::2", "10.1.2.2")])
@pytest.mark.parametrize("shared", [False, True])
def test_an_address_that_comes_later_waits_as_well_whoever_has_the_endpoint_beside_it(
    kept: Kept, left: str, gone: str, shared: bool
) -> None:
    """With a link go the addresses of IPv6, and nobody has answered by the time they are back."""
    machine = kept.bench.machine
    both = read_event({
        "IFACE": "eth1", "ADDRFAM": "inet,inet6", "METHOD": "none",
        "IF_ADDRESSES": "10.1.2.2/24 fd00:2::2/64", "IF_GATEWAYS": "10.1.2.1 fd00:2::1"})
    assert both is not None
    if shared:
        own = next(one for one in machine.devices["eth1"].addresses if one.address == left)
        machine.plug("eth9", 19, own)
        other = read_event({
            "IFACE": "eth9", "ADDRFAM": "inet" if own.family == 4 else "inet6", "METHOD": "static",
            "IF_ADDRESS": f"{left}/{own.length}", "IF_GATEWAY": GATEWAYS[left]})
        assert other is not None
        kept.bench.up(other)
    else:
        machine.endpoints.append(Endpoint(99, left, 0, ("subflow",)))
    before = kept.endpoints()
    kept.bench.up(both)
    addresses = machine.devices["eth1"].addresses
    kept.set_link("eth1", UNPLUGGED)
    machine.take_address("eth1", gone)
    assert kept.round().silent == ("eth1",)
    kept.set_link("eth1", UP)
    machine.deaf = set(GATEWAYS.values())
    machine.neighbours = dict.fromkeys(machine.deaf, 0)
    for _ in range(2):
        report = kept.round()
        assert (report.silent, report.waiting) == (("eth1",), ("eth1",))
    machine.devices["eth1"] = machine.devices["eth1"]._replace(addresses=addresses)
    for _ in range(2):
        assert kept.round().silent == ("eth1",) and kept.endpoints() == before
    machine.deaf.clear()
    assert kept.round().silent == () and kept.endpoints() == [*before, gone]


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
    assert kept.round() == quiet("eth0", "eth1", kept=("eth1",), faults=(ETH1_OUT,))
    assert kept.bench.machine.snapshot() == full and kept.bench.machine.ran == []
    # With a second path that carries, it may go.
    kept.subflows = [*kept.subflows, subflow(1, "10.1.1.2")]
    assert kept.round() == quiet("eth0", silent=("eth1",), faults=(ETH1_OUT,))


def test_with_all_carriers_lost_nothing_is_changed(kept: Kept) -> None:
    kept.bench.up(ETH0, ETH1)
    kept.subflows = [subflow(1, "10.1.1.2"), subflow(1, "10.1.2.2")]
    for device in ("eth0", "eth1"):
        kept.set_link(device, UNPLUGGED)
    assert kept.round() == quiet("eth0", "eth1", kept=("eth0", "eth1"),
                                 faults=(ETH0_OUT, ETH1_OUT))
    assert kept.bench.machine.ran == []


def test_a_connection_that_is_not_there_yet_keeps_nothing(kept: Kept) -> None:
    kept.bench.up(ETH0, ETH1)
    kept.subflows = [subflow(1, "10.1.2.2", state=TCP_SYN_SENT)]
    kept.set_link("eth1", UNPLUGGED)
    assert kept.round() == quiet("eth0", silent=("eth1",), faults=(ETH1_OUT,))


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
    assert kept.round() == quiet("eth0", silent=("eth1",), failed=True, faults=(ETH1_OUT,),
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
    assert look(Errand({}, {}), {"10.1.2.2": (1, 2, 3)}, None) == RoundResult(
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
    assert kept.round() == quiet("eth0", silent=("eth1",), faults=(ETH1_OUT,))


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


@pytest.mark.parametrize("first, second", [("eth0", "eth1"), ("eth1", "eth0")])
def test_an_address_that_its_first_device_gave_up_is_that_of_the_second_which_is_on_record(
    kept: Kept, first: str, second: str
) -> None:
    """The first may be named by the configuration, and comes back in the same round."""
    machine = kept.bench.machine
    own = InterfaceAddress(4, "10.1.2.2", 24, "", "")
    for ifindex, device in enumerate(("eth0", "eth1"), start=2):
        machine.plug(device, ifindex, own, gateways=("10.1.2.1",))
    kept.stanzas = {}
    kept.configuration = NO_CONFIGURATION._replace(wishes=(Wishes(first, managed=True),))
    kept.round()
    assert [one.device for one in machine.endpoints if one.identity not in OTHERS] == [
        machine.find_ifindex(first)]
    states = read_event({"IFACE": second, "ADDRFAM": "inet", "METHOD": "static",
                         "IF_ADDRESS": "10.1.2.2/24", "IF_GATEWAY": "10.1.2.1"})
    assert states
    kept.bench.up(states)
    kept.bench.down(first)
    assert kept.round().paths == (second,)
    assert kept.bench.list_recorded() == ["eth0", "eth1"]
    assert [one.device for one in machine.endpoints if one.identity not in OTHERS] == [
        machine.find_ifindex(second)]


# New connections that are bound to nothing leave by eth1, as the machine in memory runs it.
MAKE_DETOUR = [
    "rule add pref 32765 not fwmark 0xffffffff lookup main suppress_prefixlength 0 protocol 77",
    "rule add pref 32765 lookup 20003 protocol 77"]
BY_ETH1 = ((4, "eth0", "eth1"),)
BY_MAIN = ((4, "eth0", ""),)
ETH0_FRESH = Known(frozenset({"10.1.1.2"}))


def list_detours(kept: Kept, family: int = 4) -> list[tuple[int, int]]:
    """The rules of detours, each with its preference and table."""
    return [(rule.preference, rule.table) for known, rule in kept.bench.machine.rules
            if known == family and rule.preference in (32765, 32767)]


def test_the_uplink_of_mains_default_goes_and_new_connections_leave_by_another(kept: Kept) -> None:
    kept.bench.up(ETH0, ETH1)
    full = kept.bench.machine.snapshot()
    kept.set_link("eth0", UNPLUGGED)
    out = quiet("eth1", silent=("eth0",), faults=(ETH0_OUT,), ways=BY_ETH1)
    assert kept.round() == out
    # Running connections come first.
    assert kept.bench.machine.ran == ["mptcp endpoint delete id 8", *MAKE_DETOUR]
    # main is not ours.
    assert kept.bench.machine.snapshot().routes == full.routes
    assert kept.round(known=ETH0_FRESH) == out and kept.bench.machine.ran == []
    kept.set_link("eth0", UP)
    back = quiet("eth0", "eth1", ways=BY_ETH1)
    assert kept.round(known=ETH0_FRESH) == back._replace(made=True)
    assert kept.round(known=ETH0_FRESH) == back
    assert list_detours(kept) == [(32765, 254), (32765, 20003)]
    assert kept.round() == quiet("eth0", "eth1", ways=BY_MAIN)
    assert kept.bench.machine.snapshot() == full


def test_a_gateway_is_asked_on_though_the_endpoint_behind_it_stays(kept: Kept) -> None:
    """A connection that has nothing to send would never ask it."""
    machine = kept.bench.machine
    kept.bench.up(ETH0, ETH1)
    kept.subflows = [subflow(1, "10.1.1.2")]
    machine.deaf, machine.neighbours = {"10.1.1.1"}, {"10.1.1.1": FAILED}
    kept.round()
    doubting = Known(doubted=frozenset(("10.1.1.2",)))
    assert kept.round(known=doubting).kept == ("eth0",)
    assert "neigh replace 10.1.1.1 dev eth0 use" in machine.ran
    machine.deaf.clear()
    kept.round(known=doubting)
    assert kept.round(known=doubting) == quiet("eth0", "eth1")


def test_a_gateway_is_asked_on_though_the_endpoint_behind_it_is_anothers(kept: Kept) -> None:
    """Nobody else would: new connections leave by the other uplink meanwhile."""
    machine = kept.bench.machine
    machine.endpoints.append(Endpoint(99, "10.1.1.2", 2, ("subflow",)))
    kept.bench.up(ETH0, ETH1)
    machine.deaf, machine.neighbours = {"10.1.1.1"}, {"10.1.1.1": FAILED}
    out = quiet("eth1", waiting=("eth0",), faults=(ETH0_MUTE,), ways=BY_ETH1)
    assert kept.round() == out
    doubting = Known(fresh=frozenset(("10.1.1.2",)), doubted=frozenset(("10.1.1.2",)))
    assert kept.round(known=doubting) == out
    assert "neigh replace 10.1.1.1 dev eth0 use" in machine.ran
    machine.deaf.clear()
    kept.round(known=doubting)
    assert kept.round() == quiet("eth1", ways=BY_MAIN)


def test_a_gateway_is_to_prove_itself_whoever_made_the_endpoint_behind_it(kept: Kept) -> None:
    machine = kept.bench.machine
    machine.endpoints.append(Endpoint(99, "10.1.1.2", 2, ("subflow",)))
    kept.bench.up(ETH0, ETH1)
    machine.neighbours = {"10.1.1.1": 2}
    machine.ran.clear()
    look(Errand({}, {}, frozenset(("10.1.1.2",))), {}, None)
    (asked,) = machine.ran
    assert asked.startswith("neigh replace 10.1.1.1 ") and asked.endswith(" nud probe")


def test_an_uplink_that_main_does_not_lead_to_may_go(kept: Kept) -> None:
    kept.bench.up(ETH0, ETH1)
    kept.set_link("eth1", UNPLUGGED)
    assert kept.round() == quiet("eth0", silent=("eth1",), faults=(ETH1_OUT,))
    assert kept.bench.machine.ran == ["mptcp endpoint delete id 9"]


def test_a_gateway_that_falls_silent_under_a_carrier_takes_the_endpoint(kept: Kept) -> None:
    machine = kept.bench.machine
    kept.bench.up(ETH0, ETH1)
    full = machine.snapshot()
    machine.deaf, machine.neighbours = {"10.1.1.1"}, {"10.1.1.1": FAILED}
    out = quiet("eth1", silent=("eth0",), waiting=("eth0",), faults=(ETH0_MUTE,), ways=BY_ETH1)
    assert kept.round(known=Known(asked=frozenset(("10.1.1.2",)))) == out
    assert machine.ran == ["mptcp endpoint delete id 8", *MAKE_DETOUR,
                           "neigh del 10.1.1.1 dev eth0", "neigh replace 10.1.1.1 dev eth0 use"]
    # It is asked again and again, and that is no answer.
    assert machine.neighbours == {"10.1.1.1": INCOMPLETE}
    assert kept.round(known=ETH0_FRESH) == out
    machine.deaf.clear()
    assert kept.round(known=ETH0_FRESH) == quiet("eth0", "eth1", made=True, ways=BY_ETH1)
    assert kept.round() == quiet("eth0", "eth1", ways=BY_MAIN)
    assert machine.snapshot() == full


def test_a_failed_check_is_as_a_gateway_that_is_silent(
    kept: Kept, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Though the gateway answers; nobody is asked to come back before the check does."""
    results = [CheckResult("10.1.1.2", True, 1, "gateway"),
               CheckResult("10.1.2.2", False, 1, "gateway")]
    monkeypatch.setattr(upkeep, "load_checks", lambda: tuple(results))
    kept.bench.up(ETH0, ETH1)
    full = kept.bench.machine.snapshot()
    kept.bench.machine.neighbours = {"10.1.1.1": 2}
    fault = ("eth0", "10.1.1.2", "10.1.1.1", "check failed")
    for _ in range(2):
        assert kept.round() == quiet("eth1", silent=("eth0",), faults=(fault,), ways=BY_ETH1)
    assert kept.endpoints() == ["10.1.2.2"] and kept.bench.machine.ran == []
    results[0] = results[0]._replace(failed=False)
    assert kept.round() == quiet("eth0", "eth1", made=True, ways=BY_MAIN)
    assert kept.bench.machine.snapshot() == full


@pytest.mark.parametrize("deaf", [True, False])
def test_of_an_old_failure_of_a_gateways_it_is_asked_once_more(kept: Kept, deaf: bool) -> None:
    machine = kept.bench.machine
    kept.bench.up(ETH0, ETH1)
    machine.deaf, machine.neighbours = {"10.1.1.1"} if deaf else set(), {"10.1.1.1": FAILED}
    assert kept.round().silent == (("eth0",) if deaf else ())
    assert machine.ran[:2] == [
        "neigh del 10.1.1.1 dev eth0", "neigh replace 10.1.1.1 dev eth0 use"]
    assert any("endpoint" in line for line in machine.ran) == deaf


@pytest.mark.parametrize("state", [0, INCOMPLETE, 0x02, 0x04, 0x08, 0x10, 0x40, 0x80])
def test_a_gateway_that_is_not_known_to_be_silent_costs_nothing(kept: Kept, state: int) -> None:
    """One that nobody asked, or that is asked just now; and one that answered once."""
    kept.bench.up(ETH0, ETH1)
    kept.bench.machine.neighbours = {"10.1.1.1": state, "10.1.2.1": state}
    assert kept.round() == quiet("eth0", "eth1") and kept.bench.machine.ran == []


def test_a_silent_gateway_costs_the_family_that_it_is_of(kept: Kept) -> None:
    machine = kept.bench.machine
    kept.bench.up(ETH0, ETH1, static("eth0", 6), static("eth1", 6))
    machine.deaf, machine.neighbours = {"10.1.1.1"}, {"10.1.1.1": FAILED}
    assert kept.round() == quiet("eth0", "eth1", silent=("eth0",), waiting=("eth0",),
                                 faults=(ETH0_MUTE,), ways=BY_ETH1)
    assert kept.endpoints() == ["10.1.2.2", "fd00:1::2", "fd00:2::2"]
    assert list_detours(kept, 6) == []


def test_a_path_that_goes_off_the_record_was_out_all_the_same(kept: Kept) -> None:
    """So that new connections wait with its return, as with that of any other."""
    kept.bench.up(ETH0, ETH1)
    kept.bench.machine.pull("eth0")
    assert kept.round().faults == (ETH0_OUT,)
    assert kept.round().faults == ()


def test_an_endpoint_waits_for_a_path_that_comes_and_goes(kept: Kept) -> None:
    """It has a carrier and a gateway, and is out all the same for a while; nobody asks for it."""
    kept.bench.up(ETH0, ETH1)
    full = kept.bench.machine.snapshot()
    kept.set_link("eth0", UNPLUGGED)
    unsteady = ETH0_FRESH._replace(unsteady=frozenset(("10.1.1.2",)))
    assert kept.round(known=unsteady).faults == (ETH0_OUT,)
    kept.set_link("eth0", UP)
    assert kept.round(known=unsteady) == quiet("eth1", silent=("eth0",), ways=BY_ETH1, faults=(
        ("eth0", "10.1.1.2", "10.1.1.1", "comes and goes"),))
    assert kept.bench.machine.ran == []
    assert kept.round(known=ETH0_FRESH).paths == ("eth0", "eth1")
    kept.round()
    assert kept.bench.machine.snapshot() == full


def test_a_lost_carrier_costs_both_families(kept: Kept) -> None:
    kept.bench.up(ETH0, ETH1, static("eth0", 6), static("eth1", 6))
    kept.set_link("eth0", UNPLUGGED)
    report = kept.round()
    assert [fault[1] for fault in report.faults] == ["10.1.1.2", "fd00:1::2"]
    assert report.ways == ((4, "eth0", "eth1"), (6, "eth0", "eth1"))
    assert list_detours(kept) == list_detours(kept, 6) == [(32765, 254), (32765, 20003)]


@pytest.mark.parametrize(("fault", "break_it"), [
    (ETH0_OUT, lambda kept: kept.set_link("eth0", UNPLUGGED)),
    (ETH0_MUTE, lambda kept: (kept.bench.machine.neighbours.update({"10.1.1.1": FAILED}),
                              kept.bench.machine.deaf.add("10.1.1.1")))])
def test_new_connections_leave_an_uplink_whose_endpoint_is_kept(
    kept: Kept, fault: tuple[str, str, str, str], break_it: Callable[[Kept], object]
) -> None:
    kept.bench.up(ETH0, ETH1)
    kept.subflows = [subflow(1, "10.1.1.2")]
    break_it(kept)
    waiting = ("eth0",) if fault == ETH0_MUTE else ()
    assert kept.round() == quiet(
        "eth0", "eth1", kept=("eth0",), waiting=waiting, faults=(fault,), ways=BY_ETH1)
    assert kept.endpoints() == ["10.1.1.2", "10.1.2.2"]
    assert [line for line in kept.bench.machine.ran if "neigh" not in line] == MAKE_DETOUR


def test_where_both_are_out_new_connections_are_led_nowhere(kept: Kept) -> None:
    kept.bench.up(ETH0, ETH1)
    for device in ("eth0", "eth1"):
        kept.set_link(device, UNPLUGGED)
    assert kept.round() == quiet(silent=("eth0", "eth1"), faults=(ETH0_OUT, ETH1_OUT))
    assert not any("rule" in line for line in kept.bench.machine.ran)
    assert list_detours(kept) == []


def test_a_way_out_that_goes_as_well_is_one_no_more(kept: Kept) -> None:
    kept.bench.up(ETH0, ETH1)
    kept.set_link("eth0", UNPLUGGED)
    kept.round()
    kept.set_link("eth1", UNPLUGGED)
    assert kept.round(known=ETH0_FRESH) == quiet(
        silent=("eth0", "eth1"), faults=(ETH0_OUT, ETH1_OUT), ways=BY_MAIN)
    assert list_detours(kept) == []


def test_who_is_no_way_out_is_none(kept: Kept) -> None:
    kept.stanzas["eth1"] = [static("eth1", 4, mptcp_way_out="off")]
    kept.round(adopting=True)
    kept.set_link("eth0", UNPLUGGED)
    assert kept.round() == quiet("eth1", silent=("eth0",), faults=(ETH0_OUT,))
    assert list_detours(kept) == []


def test_an_uplink_over_which_connections_wait_in_vain_is_led_away_from(kept: Kept) -> None:
    """Nothing tells that it is out, and its endpoint stays."""
    kept.bench.up(ETH0, ETH1)
    suspected = Known(suspected=frozenset({"10.1.1.2"}))
    assert kept.round(known=suspected) == quiet("eth0", "eth1", ways=BY_ETH1)
    assert kept.bench.machine.ran == MAKE_DETOUR
    assert kept.round() == quiet("eth0", "eth1", ways=BY_MAIN) and list_detours(kept) == []


def test_what_a_tunnel_kept_private_finds_no_way_when_it_is_gone(kept: Kept) -> None:
    machine = kept.bench.machine
    kept.bench.up(ETH0, ETH1)
    full = machine.snapshot()
    main = machine.routes[4, 254]
    machine.devices["tun0"] = Device(9, Link(True, True, True), ())
    machine.routes[4, 254] = [Route("default", "unicast", "", 9, "", 0, 3)]
    assert kept.round() == quiet("eth0", "eth1")
    assert machine.ran == ["rule add pref 32767 unreachable protocol 77"]
    machine.pull("tun0")
    assert kept.round() == quiet("eth0", "eth1") and machine.ran == []
    assert list_detours(kept) == [(32767, 0)]
    machine.routes[4, 254] = main
    assert kept.round() == quiet("eth0", "eth1")
    assert machine.snapshot() == full


def test_what_a_tunnel_kept_private_finds_no_way_by_an_uplink_that_comes_later(kept: Kept) -> None:
    """The other family has paths all the time."""
    machine = kept.bench.machine
    kept.bench.up(ETH0, static("eth1", 6))
    machine.devices["tun0"] = Device(9, Link(True, True, True), ())
    machine.routes[4, 254] = [Route("default", "unicast", "", 9, "", 0, 3)]
    kept.round()
    machine.pull("tun0")
    machine.routes[4, 254] = []
    kept.bench.down("eth0")
    kept.round()
    kept.bench.up(ETH0)
    kept.round()
    assert list_detours(kept) == [(32767, 0)]


@pytest.mark.parametrize("monitored", [True, False])
def test_the_last_path_takes_no_guard_away_from_a_monitor(
    kept: Kept, monkeypatch: pytest.MonkeyPatch, monitored: bool
) -> None:
    """Of what one that is gone has left, nobody would take it away later."""
    monkeypatch.setattr(claim, "is_claimed", lambda: monitored)
    machine = kept.bench.machine
    bare = machine.snapshot()
    kept.bench.up(ETH0)
    machine.devices["tun0"] = Device(9, Link(True, True, True), ())
    machine.routes[4, 254] = [Route("default", "unicast", "", 9, "", 0, 3)]
    kept.round()
    machine.pull("tun0")
    machine.routes[4, 254] = []
    kept.bench.down("eth0")
    guard = [(32767, 0)] * monitored
    assert list_detours(kept) == guard
    # A round that has nothing to do finds it as it is to be.
    kept.round()
    assert list_detours(kept) == guard and machine.ran == []
    kept.bench.up(ETH0)
    kept.round()
    assert list_detours(kept) == guard
    kept.bench.down("eth0")
    machine.routes[4, 254] = [Route("default", "unicast", "10.9.9.1", 8, "", 0, 3)]
    kept.round()
    assert list_detours(kept) == []
    assert machine.snapshot().rules == bare.rules


def test_an_uplink_of_ours_with_one_peer_is_no_tunnel(kept: Kept) -> None:
    """PPP: new connections may leave by others when it is out."""
    kept.bench.up(ETH0, ETH1)
    kept.set_link("eth0", Link(True, True, True))
    assert kept.round() == quiet("eth0", "eth1") and list_detours(kept) == []
    kept.set_link("eth0", Link(True, False, True))
    assert kept.round().ways == BY_ETH1


def test_an_uplink_of_somebody_else_keeps_nothing_private(kept: Kept) -> None:
    machine = kept.bench.machine
    kept.bench.up(ETH0, ETH1)
    machine.plug("wlan0", 9)
    machine.routes[4, 254] = [Route("default", "unicast", "10.7.7.1", 9, "", 0, 3)]
    kept.set_link("eth0", UNPLUGGED)
    assert kept.round() == quiet("eth1", silent=("eth0",), faults=(ETH0_OUT,))
    assert list_detours(kept) == []


def test_ways_past_an_uplink_are_made_ready_before_they_are_wanted(
    kept: Kept, monkeypatch: pytest.MonkeyPatch
) -> None:
    ready: list[tuple[int, list[int]]] = []
    monkeypatch.setattr(upkeep, "make_detours_ready", lambda *one: ready.append(one))
    kept.bench.up(ETH0, static("eth0", 6))
    kept.round()
    assert ready == []
    kept.bench.up(ETH1, static("eth1", 6, mptcp_way_out="off"))
    kept.round()
    assert ready == [(4, [20002, 20003])]


def test_a_template_that_is_wrong_costs_nothing_but_to_be_ready(
    kept: Kept, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object) -> None:
        raise Problem("up.j2:3: nonsense")

    kept.bench.up(ETH0, ETH1)
    monkeypatch.setattr(upkeep, "make_detours_ready", fail)
    assert kept.round() == quiet("eth0", "eth1", said=("up.j2:3: nonsense",), failed=True)


def test_a_way_out_that_cannot_be_made_is_told_and_tried_again(kept: Kept) -> None:
    kept.bench.up(ETH0, ETH1)
    kept.set_link("eth0", UNPLUGGED)
    kept.bench.machine.obstacle = lambda line: "Error: Busy." if "32765" in line else ""
    report = kept.round()
    assert report.failed and report.silent == ("eth0",)
    assert report.said and all(text.endswith(": Busy") for text in report.said)
    kept.bench.machine.obstacle = lambda line: ""
    assert kept.round() == quiet("eth1", silent=("eth0",), faults=(ETH0_OUT,), ways=BY_ETH1)
    assert list_detours(kept) == [(32765, 254), (32765, 20003)]


@pytest.mark.parametrize("line", range(3))
def test_who_is_killed_on_the_way_is_made_up_for_by_the_next_round(kept: Kept, line: int) -> None:
    kept.bench.up(ETH0, ETH1)
    full = kept.bench.machine.snapshot()
    kept.set_link("eth0", UNPLUGGED)
    kept.bench.machine.obstacle = kill_at(line)
    with pytest.raises(Killed):
        kept.round()
    kept.bench.machine.obstacle = lambda line: ""
    assert kept.round() == quiet("eth1", silent=("eth0",), faults=(ETH0_OUT,), ways=BY_ETH1)
    assert list_detours(kept) == [(32765, 254), (32765, 20003)]
    kept.set_link("eth0", UP)
    kept.round()
    assert kept.bench.machine.snapshot() == full


def test_what_somebody_took_away_of_a_way_out_is_put_back(kept: Kept) -> None:
    kept.bench.up(ETH0, ETH1)
    kept.set_link("eth0", UNPLUGGED)
    out = kept.round()
    kept.bench.machine.rules = [one for one in kept.bench.machine.rules
                                if one[1].preference != 32765]
    assert kept.round(known=ETH0_FRESH) == out
    assert kept.bench.machine.ran == MAKE_DETOUR


def test_an_uplink_that_is_taken_down_is_no_way_out_any_more(kept: Kept) -> None:
    kept.bench.up(ETH0, ETH1)
    kept.set_link("eth0", UNPLUGGED)
    kept.round()
    kept.bench.farewell("eth1")
    assert kept.bench.down("eth1") == []
    assert kept.round(known=ETH0_FRESH) == quiet(silent=("eth0",), faults=(ETH0_OUT,),
                                                 ways=BY_MAIN)
    assert list_detours(kept) == []
    assert kept.bench.down("eth0") == []
    assert kept.bench.machine.snapshot() == kept.bench.before


ETH1_BACKUP = Known(roles=(("eth1", "carries 2 of 50 Mbit/s"),))


def list_flags(kept: Kept) -> dict[str, tuple[str, ...]]:
    return {one.address: one.flags for one in kept.bench.machine.endpoints if one.identity != 7}


def test_a_role_is_given_and_taken_and_goes_while_the_better_one_is_out(kept: Kept) -> None:
    kept.bench.up(ETH0, ETH1, static("eth0", 6), static("eth1", 6))
    full = kept.bench.machine.snapshot()
    assert kept.round(known=ETH1_BACKUP) == quiet("eth0", "eth1")
    assert {address for address, flags in list_flags(kept).items() if "backup" in flags} == {
        "10.1.2.2", "fd00:2::2"}
    assert kept.round(known=ETH1_BACKUP) == quiet("eth0", "eth1") and kept.bench.machine.ran == []
    kept.set_link("eth0", UNPLUGGED)
    kept.round(known=ETH1_BACKUP)
    assert set(list_flags(kept).values()) == {("subflow",)}
    kept.set_link("eth0", UP)
    kept.round(known=ETH1_BACKUP)
    assert "backup" in list_flags(kept)["10.1.2.2"]
    kept.round()
    assert kept.bench.machine.snapshot() == full


def test_an_endpoint_that_comes_again_has_its_role_again(kept: Kept) -> None:
    kept.bench.up(ETH0, ETH1)
    kept.round(known=ETH1_BACKUP)
    kept.bench.farewell("eth1")
    kept.bench.down("eth1")
    kept.bench.up(ETH1)
    assert kept.round(known=ETH1_BACKUP) == quiet("eth0", "eth1")
    assert "backup" in list_flags(kept)["10.1.2.2"]


@pytest.mark.parametrize(("stanza", "configuration", "free"), [
    (ETH1, NO_CONFIGURATION, ("eth0", "eth1")),
    (static("eth1", 4, mptcp_flags="subflow"), NO_CONFIGURATION, ("eth0",)),
    (ETH1, NO_CONFIGURATION._replace(wishes=(Wishes("eth1", flags=("subflow",)),)), ("eth0",)),
    (ETH1, NO_CONFIGURATION._replace(flags=("subflow",)), ()),
    (ETH1, NO_CONFIGURATION._replace(roles=False), ())])
def test_the_administrators_word_is_never_overridden(
    kept: Kept, stanza: Event, configuration: Configuration, free: tuple[str, ...]
) -> None:
    kept.bench.up(ETH0, stanza)
    kept.configuration = configuration
    kept.round(known=ETH1_BACKUP)
    assert kept.free == free
    assert ("backup" in list_flags(kept)["10.1.2.2"]) == ("eth1" in free)


# A resolver that eth1 alone names, and what has it asked over eth1, as the machine in memory runs
# it.
R = "192.0.2.53"
NAMES_R = static("eth1", 4, dns_nameservers=R)
MAKE_NAME = [
    "rule add pref 32765 lookup 20000 protocol 77",
    f"route replace {R} via 10.1.2.1 dev eth1 src 10.1.2.2 table 20000 protocol 77"]
TAKE_NAME = [f"route del {R} table 20000 protocol 77"]
BY_NAME = quiet("eth0", "eth1", resolvers=(R,))


def list_names(kept: Kept, family: int = 4) -> list[tuple[str, int]]:
    """The host routes of the table of names, each with its device."""
    return [(route.destination, route.device)
            for route in kept.bench.machine.routes.get((family, 20000), ())]


def test_a_resolver_that_one_uplink_alone_names_is_asked_over_it(kept: Kept) -> None:
    kept.bench.up(ETH0, NAMES_R)
    full = kept.bench.machine.snapshot()
    assert kept.round() == BY_NAME and kept.bench.machine.ran == MAKE_NAME
    assert kept.round() == BY_NAME and kept.bench.machine.ran == []
    assert kept.bench.farewell("eth1") == kept.bench.down("eth1") == []
    assert kept.round() == quiet("eth0") and list_names(kept) == []
    # What is left is the rule, until the last path goes.
    assert list_detours(kept) == [(32765, 20000)]
    assert kept.bench.down("eth0") == [] and list_detours(kept) == []
    assert kept.bench.machine.snapshot() != full


def test_a_resolver_that_two_uplinks_name_is_asked_where_main_leads(kept: Kept) -> None:
    kept.bench.up(static("eth0", 4, dns_nameservers=R), NAMES_R)
    assert kept.round() == quiet("eth0", "eth1") and kept.bench.machine.ran == []


@pytest.mark.parametrize("break_it, mend", [
    (lambda kept: kept.set_link("eth1", UNPLUGGED), lambda kept: kept.set_link("eth1", UP)),
    (lambda kept: (kept.bench.machine.neighbours.update({"10.1.2.1": FAILED}),
                   kept.bench.machine.deaf.add("10.1.2.1")),
     lambda kept: kept.bench.machine.deaf.clear())])
def test_a_resolver_is_asked_elsewhere_while_its_uplink_is_out(
    kept: Kept, break_it: Callable[[Kept], object], mend: Callable[[Kept], object]
) -> None:
    kept.bench.up(ETH0, NAMES_R)
    kept.round()
    full = kept.bench.machine.snapshot()
    break_it(kept)
    assert kept.round().resolvers == (R,)
    assert [line for line in kept.bench.machine.ran if "20000" in line] == TAKE_NAME
    mend(kept)
    kept.round()
    assert kept.round() == BY_NAME and kept.bench.machine.snapshot() == full


def test_a_resolver_is_asked_elsewhere_while_its_uplink_is_suspected(kept: Kept) -> None:
    kept.bench.up(ETH0, NAMES_R)
    kept.round()
    suspected = Known(suspected=frozenset({"10.1.2.2"}))
    assert kept.round(known=suspected) == BY_NAME
    assert kept.bench.machine.ran == TAKE_NAME
    assert kept.round() == BY_NAME and kept.bench.machine.ran == MAKE_NAME[1:]


def test_an_uplink_that_is_no_way_out_is_none_for_resolvers(kept: Kept) -> None:
    kept.bench.up(ETH0, static("eth1", 4, dns_nameservers=R, mptcp_way_out="off"))
    assert kept.round() == BY_NAME and kept.bench.machine.ran == []


def test_what_main_knows_better_is_mains(kept: Kept) -> None:
    kept.bench.up(ETH0, NAMES_R)
    kept.round()
    narrow = Route("192.0.2.0/24", "unicast", "10.1.1.9", 2, "", 0, 3)
    kept.bench.machine.routes[4, 254].append(narrow)
    assert kept.round() == BY_NAME and kept.bench.machine.ran == TAKE_NAME
    kept.bench.machine.routes[4, 254].remove(narrow)
    assert kept.round() == BY_NAME and list_names(kept) == [(f"{R}/32", 3)]


def test_this_machines_own_address_is_asked_here(kept: Kept) -> None:
    kept.bench.up(ETH0, static("eth1", 4, dns_nameservers="10.9.9.9"))
    kept.bench.machine.plug("dummy0", 9, InterfaceAddress(4, "10.9.9.9", 32, "", ""))
    assert kept.round().resolvers == ("10.9.9.9",) and kept.bench.machine.ran == []


TUNNEL = Route("default", "unicast", "", 9, "", 0, 3)


@pytest.mark.parametrize("begin", [
    # OpenVPN's halves, another default, wg-quick's rule of its own, and a default that forbids.
    lambda machine: machine.routes[4, 254].extend(
        TUNNEL._replace(destination=half) for half in ("0.0.0.0/1", "128.0.0.0/1")),
    lambda machine: machine.routes.__setitem__((4, 254), [TUNNEL]),
    lambda machine: (machine.routes.__setitem__((4, 51820), [TUNNEL]),
                     machine.rules.append((4, Rule(32764, "", "", "", 51820, None, 0)))),
    lambda machine: machine.routes.__setitem__(
        (4, 254), [TUNNEL._replace(kind="unreachable", device=0)])])
def test_beside_a_tunnel_nobody_is_asked_outside_of_it(
    kept: Kept, begin: Callable[[MemoryMachine], object]
) -> None:
    machine = kept.bench.machine
    kept.bench.up(ETH0, NAMES_R)
    kept.round()
    full, main = machine.snapshot(), list(machine.routes[4, 254])
    machine.devices["tun0"] = Device(9, Link(True, True, True), ())
    begin(machine)
    assert kept.round() == BY_NAME
    assert machine.ran[:1] == TAKE_NAME or machine.ran[-1:] == TAKE_NAME
    assert list_names(kept) == []
    # The rule stays: what is empty leads nowhere.
    assert (32765, 20000) in list_detours(kept)
    machine.rules[:] = [one for one in machine.rules if one[1].preference != 32764]
    machine.routes.update({(4, 254): main, (4, 51820): []})
    assert kept.round() == BY_NAME and machine.snapshot() == full


def test_while_a_tunnel_that_died_is_waited_for_nobody_is_asked(kept: Kept) -> None:
    machine = kept.bench.machine
    kept.bench.up(ETH0, NAMES_R)
    kept.round()
    machine.devices["tun0"] = Device(9, Link(True, True, True), ())
    machine.routes[4, 254] = [TUNNEL]
    kept.round()
    machine.pull("tun0")
    assert kept.round() == BY_NAME and list_names(kept) == []
    assert (32767, 0) in list_detours(kept)
    # Nor where that cannot be made, and uplinks are a way out.
    machine.rules.remove((4, Rule(32767, "", "", "", 0, None, 77)))
    machine.obstacle = lambda line: "Error: Busy." if "32767" in line else ""
    assert kept.round().failed and machine.find_exit(4, "192.0.2.1") in (2, 3)
    assert list_names(kept) == []


def test_without_any_way_of_mains_the_uplinks_are_the_way(kept: Kept) -> None:
    kept.bench.up(ETH0, NAMES_R)
    kept.bench.machine.routes[4, 254] = []
    assert kept.round() == BY_NAME and list_names(kept) == [(f"{R}/32", 3)]


def test_names_come_before_a_detour_whichever_was_first(kept: Kept) -> None:
    kept.bench.up(ETH0, ETH1)
    kept.set_link("eth0", UNPLUGGED)
    kept.round()
    kept.bench.up(NAMES_R)
    assert kept.round(known=ETH0_FRESH).resolvers == (R,)
    expected = [(32765, 20000), (32765, 254), (32765, 20003)]
    assert list_detours(kept) == expected and list_names(kept) == [(f"{R}/32", 3)]
    kept.set_link("eth0", UP)
    kept.round()
    kept.set_link("eth0", UNPLUGGED)
    kept.round()
    assert list_detours(kept) == expected


def test_a_resolver_of_a_lease(kept: Kept) -> None:
    kept.bench.up(ETH0, ETH1)
    for named in ((R,), ()):
        with kept.bench.open_store() as store:
            store.save_lease("eth1", Lease("10.1.2.2", "10.1.2.1", (), named))
        assert kept.round() == quiet("eth0", "eth1", resolvers=named)
        assert list_names(kept) == [(f"{one}/32", 3) for one in named]


def test_a_resolver_that_a_router_advertises(kept: Kept) -> None:
    kept.bench.up(ETH0, ETH1, static("eth0", 6), static("eth1", 6))
    kept.bench.machine.routes[6, 254] = [Route("default", "unicast", "fe80::1", 2, "", 1024, 9)]
    advertised = Known(heard=frozenset({(3, "2001:db8::53"), (3, "2001:db8::1")}))
    assert kept.round(known=advertised).resolvers == ("2001:db8::1", "2001:db8::53")
    assert list_names(kept, 6) == [("2001:db8::53/128", 3)] and list_names(kept) == []
    assert list_detours(kept) == [] and list_detours(kept, 6) == [(32765, 20000)]
    kept.round()
    assert list_names(kept, 6) == []


def test_a_wrong_resolver_is_said_and_the_others_count(kept: Kept) -> None:
    kept.bench.up(ETH0, static("eth1", 4, dns_nameservers=f"255.255.255.255 {R} 10.1.2.255"))
    report = kept.round()
    assert not report.failed and list_names(kept) == [(f"{R}/32", 3)]
    assert [text.partition(" is wrong")[0] for text in report.said] == [
        "eth1: dns-nameservers '255.255.255.255'", "eth1: dns-nameservers '10.1.2.255'"]


def test_a_table_that_is_somebody_elses_is_left_to_him(kept: Kept) -> None:
    """Our rule would lead all that is bound to nothing into it."""
    machine = kept.bench.machine
    kept.bench.up(ETH0, NAMES_R)
    kept.round()
    theirs = Route("default", "unicast", "10.1.1.9", 2, "", 0, 3)
    machine.routes[4, 20000].append(theirs)
    report = kept.round()
    assert report.said == ("table 20000 has IPv4 routes of somebody else: resolvers are asked "
                           "where main leads",)
    assert not report.failed
    assert machine.routes[4, 20000] == [theirs] and list_detours(kept) == []
    machine.routes[4, 20000].remove(theirs)
    assert kept.round() == BY_NAME and list_names(kept) == [(f"{R}/32", 3)]


def test_templates_that_are_older_have_no_names(
    kept: Kept, monkeypatch: pytest.MonkeyPatch
) -> None:
    kept.bench.up(ETH0, NAMES_R)
    kept.round()
    monkeypatch.setattr(upkeep, "can_name", lambda: False)
    report = kept.round()
    assert set(report.said) == {
        "/etc/mptcp-hooks/templates: no lines for names: resolvers are asked where main leads; see "
        "the package's own templates"} and not report.failed
    assert list_names(kept) == [] and list_detours(kept) == []
    kept.round()
    assert kept.bench.machine.ran == []


def test_a_name_that_cannot_be_made_is_told_and_costs_nothing_else(kept: Kept) -> None:
    kept.bench.up(ETH0, NAMES_R)
    kept.bench.machine.obstacle = lambda line: "Error: Busy." if "20000" in line else ""
    kept.set_link("eth0", UNPLUGGED)
    report = kept.round()
    assert report.failed and report.ways == BY_ETH1 and report.silent == ("eth0",)
    kept.bench.machine.obstacle = lambda line: ""
    assert kept.round(known=ETH0_FRESH).failed is False
    assert list_detours(kept) == [(32765, 20000), (32765, 254), (32765, 20003)]


@pytest.mark.parametrize("line", range(2))
def test_who_is_killed_while_a_resolver_is_named_is_made_up_for(kept: Kept, line: int) -> None:
    kept.bench.up(ETH0, NAMES_R)
    kept.bench.machine.obstacle = kill_at(line)
    with pytest.raises(Killed):
        kept.round()
    kept.bench.machine.obstacle = lambda line: ""
    assert kept.round() == BY_NAME and list_names(kept) == [(f"{R}/32", 3)]
    assert kept.bench.down("eth0", "eth1") == []
    assert kept.bench.machine.snapshot().rules == kept.bench.before.rules


NO_SUBFLOWS, ALL_SUBFLOWS = (f"mptcp limits set subflows {number} add_addr_accepted {number}"
                             for number in (0, 8))


def test_beside_a_tunnel_new_connections_get_no_subflow_and_running_ones_keep_theirs(
    kept: Kept
) -> None:
    machine = kept.bench.machine
    kept.bench.up(ETH0, ETH1)
    full = machine.snapshot()
    machine.tunnels[4] = "wg0"
    assert kept.round() == quiet("eth0", "eth1", tunnels=("wg0",))
    assert machine.ran == [NO_SUBFLOWS]
    assert kept.round() == quiet("eth0", "eth1", tunnels=("wg0",)) and machine.ran == []
    # What a hook does meanwhile leaves it so.
    assert kept.bench.down("eth1") == [] and kept.bench.up(ETH1) == []
    assert machine.limits == Limits(0, 0)
    machine.tunnels[4] = None
    assert kept.round() == quiet("eth0", "eth1", tunnels=("wg0",)) and machine.ran == []
    machine.tunnels[4] = ""
    assert kept.round() == quiet("eth0", "eth1") and machine.ran == [ALL_SUBFLOWS]
    assert machine.snapshot() == full


@pytest.mark.parametrize("last", [False, True])
def test_beside_a_tunnel_peers_are_told_of_no_address_but_of_a_connections_last(
    kept: Kept, last: bool
) -> None:
    machine = kept.bench.machine
    signal = static("eth1", 4, mptcp_flags="subflow signal")
    kept.bench.up(ETH0, signal)
    kept.subflows = [subflow(1, "10.1.2.2")] * last
    machine.tunnels[4] = "wg0"
    kept.round()
    assert kept.endpoints() == ["10.1.1.2", *["10.1.2.2"] * last]
    # A hook does not make it either.
    kept.bench.again()
    kept.subflows = []
    kept.round()
    assert kept.endpoints() == ["10.1.1.2"] and machine.limits == Limits(0, 0)
    machine.tunnels.clear()
    assert kept.round().made
    assert sorted(kept.endpoints()) == ["10.1.1.2", "10.1.2.2"]


def test_whoever_wants_it_has_connections_beside_a_tunnel(kept: Kept) -> None:
    machine = kept.bench.machine
    kept.bench.up(ETH0, ETH1)
    machine.tunnels[4] = "wg0"
    kept.round()
    kept.configuration = NO_CONFIGURATION._replace(private=False)
    assert kept.round() == quiet("eth0", "eth1") and machine.ran == [ALL_SUBFLOWS]


def test_limits_of_before_come_back_where_the_last_path_goes_beside_a_tunnel(kept: Kept) -> None:
    """What runs in it goes on in it alone when that path comes back."""
    machine = kept.bench.machine
    kept.bench.up(ETH0)
    machine.tunnels[4] = "wg0"
    kept.round()
    kept.bench.down("eth0")
    assert machine.limits == Limits(2, 0)
    assert kept.round() == quiet()
    kept.bench.up(ETH0)
    assert machine.limits == Limits(0, 0)
    machine.tunnels.clear()
    kept.round()
    assert machine.limits == Limits(8, 8)


@pytest.mark.parametrize("family", [4, 6])
def test_a_tunnel_of_one_family_matters_as_soon_as_a_path_of_it_comes(
    kept: Kept, family: int
) -> None:
    """It is noted before; and what is announced keeps to it as well."""
    machine = kept.bench.machine
    other = {4: 6, 6: 4}[family]
    machine.tunnels[family] = "wg0"
    kept.round()
    first = static("eth0", other, mptcp_flags="subflow signal")
    own = [one.address for one in first.addresses]
    kept.bench.up(first)
    assert machine.limits == Limits(8, 8) and kept.endpoints() == own
    assert kept.round().tunnels == () and machine.limits == Limits(8, 8)
    kept.bench.up(static("eth1", family, mptcp_flags="signal"))
    assert machine.limits == Limits(0, 0) and kept.endpoints() == own
    kept.bench.down("eth1")
    kept.round()
    assert machine.limits == Limits(8, 8)


def test_an_uplink_that_was_taken_for_a_tunnel_is_none_once_it_has_a_path(kept: Kept) -> None:
    """As ppp0, by which new connections leave before its hook is called."""
    machine = kept.bench.machine
    machine.tunnels[4] = "eth0"
    kept.round()
    kept.bench.up(ETH0)
    assert machine.limits == Limits(8, 8)


def test_a_look_heeds_no_tunnel_of_a_family_without_a_path(kept: Kept) -> None:
    machine = kept.bench.machine
    kept.bench.up(ETH0, ETH1)
    kept.subflows = [subflow(1, "10.1.1.2")]
    machine.tunnels[6] = "wg0"
    kept.round()
    machine.neighbours = {"10.1.1.1": 2, "10.1.2.1": 2}
    assert look(Errand({"10.1.2.2": ()}, {}), {"10.1.2.2": [1]}, None).remade == ("10.1.2.2",)


def test_a_look_makes_no_endpoint_again_that_would_get_no_subflow(kept: Kept) -> None:
    machine = kept.bench.machine
    kept.bench.up(ETH0, ETH1)
    kept.subflows = [subflow(1, "10.1.1.2")]
    machine.tunnels[4] = "wg0"
    kept.round()
    machine.ran.clear()
    machine.neighbours = {"10.1.1.1": 2, "10.1.2.1": 2}
    errand = Errand({"10.1.2.2": ()}, {})
    assert not look(errand, {"10.1.2.2": [1]}, None).remade and machine.ran == []
    machine.tunnels.clear()
    kept.round()
    assert look(errand, {"10.1.2.2": [1]}, None).remade == ("10.1.2.2",)


def take_all(preference: int) -> ForeignRule:
    """As wg-quick makes it."""
    return ForeignRule(Rule(preference, "", "", "", 51820, None, 0), True, True, False, 0)


ANSWERING = NO_CONFIGURATION._replace(answer=True)


def list_preferences(kept: Kept) -> set[int]:
    return {rule.preference for _, rule in kept.bench.machine.rules
            if rule.protocol == PROTOCOL and rule.preference < 32000}


def test_uplinks_answer_before_a_rule_that_takes_all(kept: Kept) -> None:
    machine = kept.bench.machine
    kept.configuration = kept.bench.configuration = ANSWERING
    kept.bench.up(ETH0, ETH1)
    full = machine.snapshot()
    usual = list_preferences(kept)
    machine.foreign = [take_all(19999)]
    # It leads nowhere.
    assert kept.round() == quiet("eth0", "eth1") and machine.ran == []
    machine.routes[4, 51820] = [Route("default", "unicast", "", 9, "", 0, 3)]
    assert kept.round() == quiet("eth0", "eth1", overtaken=("table 51820",))
    assert list_preferences(kept) == {number - SIZE - FIRST_PREFERENCE + 19999 for number in usual}
    # The new rules stand before the old ones go.
    verbs = [line.split()[1] for line in machine.ran if line.startswith("rule")]
    assert verbs == sorted(verbs) and set(verbs) == {"add", "del"}
    assert not any(line.startswith("mptcp") for line in machine.ran)
    assert kept.round() == quiet("eth0", "eth1") and machine.ran == []
    # A hook finds them where they are, and an uplink that comes joins them.
    before = machine.snapshot()
    assert kept.bench.up(ETH0) == [] and machine.snapshot() == before
    machine.foreign = []
    kept.round()
    del machine.routes[4, 51820]
    assert machine.snapshot() == full


@pytest.mark.parametrize("table, refuses, leads_to, moved", [
    (0, False, 0, False), (0, False, FIRST_PREFERENCE, False), (0, True, 0, True),
    (0, False, FIRST_PREFERENCE + SIZE, True), (100, False, 0, False), (101, False, 0, True)])
def test_ours_move_before_what_leaves_them_nothing(
    kept: Kept, table: int, refuses: bool, leads_to: int, moved: bool
) -> None:
    """And not before what does nothing, leads to ours, or has no way out in its table."""
    machine = kept.bench.machine
    kept.configuration = kept.bench.configuration = ANSWERING
    kept.bench.up(ETH0)
    throw, blackhole = (Route("default", kind, "", 0, "", 0, 3) for kind in ("throw", "blackhole"))
    machine.routes[4, 100], machine.routes[4, 101] = [throw], [blackhole]
    # As the kernel answers where no table is named.
    machine.routes[4, 0] = [*machine.routes[4, 254]]
    machine.foreign = [ForeignRule(
        Rule(19000, "", "", "", table, None, 0), False, False, refuses, leads_to)]
    report = kept.round()
    assert bool(report.overtaken) == bool(machine.ran) == moved


def test_whoever_races_for_the_front_has_it(kept: Kept) -> None:
    machine = kept.bench.machine
    kept.configuration = kept.bench.configuration = ANSWERING
    kept.bench.up(ETH0)
    machine.routes[4, 51820] = [Route("default", "unicast", "", 9, "", 0, 3)]
    machine.foreign = [take_all(19999)]
    assert kept.round(known=Known(raced=frozenset({"table 51820"}))) == quiet("eth0")
    assert machine.ran == []


def test_where_nobody_asks_for_answers_ours_stay_where_they_are(kept: Kept) -> None:
    machine = kept.bench.machine
    kept.bench.up(ETH0)
    machine.routes[4, 51820] = [Route("default", "unicast", "", 9, "", 0, 3)]
    machine.foreign = [take_all(19999)]
    assert kept.round() == quiet("eth0") and machine.ran == []


def test_without_room_before_it_that_is_said(kept: Kept) -> None:
    machine = kept.bench.machine
    kept.configuration = ANSWERING
    kept.bench.up(ETH0)
    machine.routes[4, 51820] = [Route("default", "unicast", "", 9, "", 0, 3)]
    machine.foreign = [take_all(2)]
    (said,) = kept.round().said
    assert said.startswith("rule 2 takes what comes from uplinks' addresses")
