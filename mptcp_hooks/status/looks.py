# SPDX-License-Identifier: GPL-2.0-or-later
"""What mptcp_status sees at one moment, of paths or of connections, and how it answers."""

from __future__ import annotations

import os
from statistics import median
from time import monotonic

from mptcp_hooks import __version__
from mptcp_hooks.base.errors import FAILED
from mptcp_hooks.base.text import count
from mptcp_hooks.base.value import TYPE_CHECKING, NamedTuple
from mptcp_hooks.engine.record import open_store
from mptcp_hooks.force.means import read_means
from mptcp_hooks.force.methods import AUTO, choose
from mptcp_hooks.force.program import inspect_file
from mptcp_hooks.machine.procfs import find_owners, read_origin
from mptcp_hooks.machine.sockets import read_sockets
from mptcp_hooks.status.candidates import Candidate, find_suspects, make_candidates
from mptcp_hooks.status.candidates_view import describe_candidates, draw_candidates
from mptcp_hooks.status.connections import (
    Connection,
    choose_subflows,
    count_bytes,
    read_connections,
    sum_interfaces,
)
from mptcp_hooks.status.connections_view import (
    Owners,
    describe_connections,
    draw_connections,
    draw_totals,
)
from mptcp_hooks.status.finding import BROKEN, Finding
from mptcp_hooks.status.findings import judge, judge_expected
from mptcp_hooks.status.paths_json import describe_survey
from mptcp_hooks.status.paths_screen import (
    describe_numbers,
    draw_findings,
    draw_paths,
    draw_roles,
    draw_summary,
    draw_unseen,
)
from mptcp_hooks.status.questions import AskedMachine
from mptcp_hooks.status.stanzas import look_at_stanzas
from mptcp_hooks.status.survey import Device, PathStatus, Survey
from mptcp_hooks.status.take_survey import take_survey
from mptcp_hooks.status.uplinks import Rate

if TYPE_CHECKING:
    from mptcp_hooks.status.paint import Paint

    Rates = dict[str, Rate]


class PathsLook(NamedTuple):
    """The paths of `interfaces`, or of all where it is empty, and what is wrong.

    `moment` is in seconds of a clock that never goes back, `time` of the epoch.
    """

    moment: float
    interfaces: frozenset[str]
    survey: Survey
    findings: tuple[Finding, ...]
    time: float

    @property
    def status(self) -> int:
        """The exit status: FAILED where a path is broken."""
        return FAILED if any(one.severity == BROKEN for one in self.findings) else 0

    def describe(self) -> dict[str, object]:
        """The answer for programs."""
        return {"ok": not self.status, **describe_moment(self.time),
                **describe_survey(self.survey, self.paths, self.findings)}

    def draw(self, paint: Paint) -> list[str]:
        """The lines of the screen; the summary is of all interfaces, or is not."""
        return [
            *draw_paths(self.paths, paint),
            *draw_roles(self.paths, paint),
            *draw_findings(self.findings, paint),
            *draw_unseen(self.survey.unseen, paint),
            *filter(None, [self.sum_up(paint)]),
        ]

    def draw_blocks(self, paint: Paint) -> list[list[str]]:
        """The same in blocks, the most important first; the summary is for the head."""
        broken = [one for one in self.findings if one.severity == BROKEN]
        notes = [one for one in self.findings if one.severity != BROKEN]
        return [
            draw_findings(broken, paint),
            draw_paths(self.paths, paint)[:-1],
            draw_roles(self.paths, paint),
            [*draw_findings(notes, paint), *draw_unseen(self.survey.unseen, paint)],
        ]

    def sum_up(self, paint: Paint) -> str:
        """Whether multipath works here, '' where only some interfaces were looked at."""
        return "" if self.interfaces else draw_summary(self.paths, self.findings, paint)

    def explain(self, paint: Paint) -> list[str]:
        """What only those want to know who look closer."""
        return describe_numbers(self.survey, paint)

    @property
    def devices(self) -> list[Device]:
        """Those of the paths, each once."""
        names = {path.device for path in self.paths}
        return [device for device in self.survey.devices if device.name in names]

    @property
    def paths(self) -> list[PathStatus]:
        """Those asked for."""
        return [path for path in self.survey.paths
                if not self.interfaces or path.interface in self.interfaces]


class ConnectionsLook(NamedTuple):
    """The live connections with their subflows on the interfaces asked for, on all without any.

    `owners` has the processes that hold a socket, by its inode; `candidates` the programs that
    could be forced, None where nobody asked for them, and `unseen` whose are not among them.
    """

    moment: float
    interfaces: frozenset[str]
    survey: Survey
    connections: tuple[Connection, ...]
    owners: Owners
    time: float
    candidates: tuple[Candidate, ...] | None = None
    unseen: str = ""

    @property
    def status(self) -> int:
        """The exit status: nothing is judged."""
        return 0

    def describe(self) -> dict[str, object]:
        """The answer for programs."""
        answer = {**describe_moment(self.time), **describe_connections(
            self.connections, sum_interfaces(self.connections), self.owners)}
        if self.candidates is not None:
            answer["candidates"] = describe_candidates(self.candidates)
        return answer

    def draw(self, paint: Paint) -> list[str]:
        """The lines of the screen."""
        totals = sum_interfaces(self.connections)
        return [*draw_connections(self.connections, self.owners, paint),
                *[""] * bool(totals), *draw_totals(totals, paint),
                *[""] * (self.candidates is not None), *self._draw_candidates(paint)]

    def draw_blocks(self, paint: Paint) -> list[list[str]]:
        """The same in blocks, the most important first: what carries most is seen at the top."""
        busiest = sorted(self.connections, key=count_bytes, reverse=True)
        return [draw_totals(sum_interfaces(self.connections), paint),
                draw_connections(tuple(busiest), self.owners, paint), self._draw_candidates(paint)]

    def sum_up(self, paint: Paint) -> str:
        """How many there are, in one line."""
        subflows = sum(len(one.subflows) for one in self.connections)
        return paint.bold(f"{count(len(self.connections), 'MPTCP connection')}, "
                          f"{count(subflows, 'subflow')}")

    def explain(self, _: Paint) -> list[str]:
        """Nothing more is known of connections."""
        return []

    @property
    def paths(self) -> list[PathStatus]:
        """Those over which they may leave."""
        return [path for path in self.survey.paths if path.installed and (
            not self.interfaces or path.interface in self.interfaces)]

    def _draw_candidates(self, paint: Paint) -> list[str]:
        found = [] if self.candidates is None else draw_candidates(self.candidates, paint)
        return [*found, *draw_unseen([self.unseen] * bool(self.unseen), paint)]


def look_at_paths(interfaces: frozenset[str], expected: int = 0) -> PathsLook:
    """Look at the paths, of which so many should be alive.

    Findings of the whole machine are everybody's.
    """
    machine = AskedMachine()
    survey = look_at_stanzas(machine, _take_survey(machine))
    meant = _list_names(survey, interfaces)
    findings = tuple(one for one in judge(survey)
                     if not meant or one.interface in {*meant, ""})
    look = PathsLook(monotonic(), meant, survey, findings, machine.read_clock())
    return look._replace(findings=(*judge_expected(look.survey, look.paths, expected), *findings))


def _list_names(survey: Survey, interfaces: frozenset[str]) -> frozenset[str]:
    """The interfaces, each with all names of its device."""
    return interfaces.union(*(device.names for device in survey.devices
                              if interfaces.intersection(device.names)))


def look_at_connections(interfaces: frozenset[str]) -> ConnectionsLook:
    """Look at the connections; an alias is meant by the addresses of its paths."""
    machine = AskedMachine()
    survey = _take_survey(machine)
    devices = {own.address: device.name for device in survey.devices
               for own in device.addresses}
    found = read_connections(machine.ask_ss(), devices)
    meant = _list_names(survey, interfaces)
    if meant:
        theirs = frozenset(path.address for path in survey.paths if path.interface in meant)
        found = choose_subflows(found, meant, theirs)
    return ConnectionsLook(monotonic(), meant, survey, found, find_owners(),
                           machine.read_clock())


def look_at_candidates(interfaces: frozenset[str]) -> ConnectionsLook:
    """Look at the connections, and at the programs whose TCP over these interfaces is plain."""
    look = look_at_connections(interfaces)
    uplinks = {path.address: path.interface for path in look.paths}
    means = read_means()
    return look._replace(candidates=make_candidates(
        find_suspects(read_sockets(), look.owners, uplinks), read_origin,
        lambda pid: choose(AUTO, inspect_file(f"/proc/{pid}/exe"), means)),
        unseen="" if os.geteuid() == 0 else "the programs of others, which root sees")


def measure_round_trips(survey: Survey) -> dict[str, float]:
    """By device, the round trip of the connections that are its paths' own, in seconds.

    It is the median of theirs: one that waits for a far peer says little of the uplink.
    """
    devices = {path.address: path.device for path in survey.paths if path.installed}
    found: dict[str, list[float]] = {}
    for flow in AskedMachine().read_flows(frozenset(devices)):
        found.setdefault(devices[flow.local], []).append(flow.rtt)
    return {device: median(rtts) for device, rtts in found.items()}


def describe_moment(time: float) -> dict[str, object]:
    """What each answer for programs has: when it is of, and of which version."""
    return {"time": round(time, 3), "version": __version__}


def measure_rates(before: PathsLook | ConnectionsLook, after: PathsLook | ConnectionsLook) -> Rates:
    """What each device sent and received between two looks."""
    passed = after.moment - before.moment
    old = {device.name: device for device in before.survey.devices}
    return {device.name: Rate(
        max(0, device.sent - old[device.name].sent) * 8 / passed,
        max(0, device.received - old[device.name].received) * 8 / passed,
    ) for device in after.survey.devices if device.name in old}


def _take_survey(machine: AskedMachine) -> Survey:
    with open_store() as store:
        return take_survey(machine, store)
