# SPDX-License-Identifier: GPL-2.0-or-later
"""What mptcp_status sees at one moment, of paths or of connections, and how it answers."""

from __future__ import annotations

import os
from time import monotonic

from mptcp_hooks.base.errors import FAILED
from mptcp_hooks.base.value import TYPE_CHECKING, NamedTuple
from mptcp_hooks.engine.record import open_store
from mptcp_hooks.force.means import read_means
from mptcp_hooks.force.methods import AUTO, choose
from mptcp_hooks.force.program import inspect_file
from mptcp_hooks.machine.procfs import find_owners, read_origin
from mptcp_hooks.machine.sockets import read_sockets
from mptcp_hooks.status.candidates import Candidate, find_suspects, make_candidates
from mptcp_hooks.status.candidates_view import describe_candidates, draw_candidates
from mptcp_hooks.status.connections import Connection, read_connections, sum_interfaces
from mptcp_hooks.status.connections_view import Owners, describe_connections, draw_connections
from mptcp_hooks.status.finding import BROKEN, Finding
from mptcp_hooks.status.findings import judge
from mptcp_hooks.status.paths_json import describe_survey
from mptcp_hooks.status.paths_screen import (
    Rate,
    describe_numbers,
    draw_findings,
    draw_paths,
    draw_rates,
    draw_roles,
    draw_summary,
)
from mptcp_hooks.status.questions import AskedMachine
from mptcp_hooks.status.stanzas import look_at_stanzas
from mptcp_hooks.status.survey import PathStatus, Survey
from mptcp_hooks.status.take_survey import take_survey

if TYPE_CHECKING:
    from mptcp_hooks.status.paint import Paint

    Rates = dict[str, Rate]


class PathsLook(NamedTuple):
    """The paths of `interfaces`, or of all where it is empty, and what is wrong.

    `moment` is in seconds of a clock that never goes back.
    """

    moment: float
    interfaces: frozenset[str]
    survey: Survey
    findings: tuple[Finding, ...]

    @property
    def status(self) -> int:
        """The exit status: FAILED where a path is broken."""
        return FAILED if any(one.severity == BROKEN for one in self.findings) else 0

    def describe(self) -> dict[str, object]:
        """The answer for programs."""
        return describe_survey(self.survey, self._list_paths(), self.findings)

    def draw(self, rates: Rates, paint: Paint) -> list[str]:
        """The lines of the screen; the summary is of all interfaces, or is not."""
        paths = self._list_paths()
        summary = [] if self.interfaces else [draw_summary(paths, self.findings, paint)]
        return [
            *draw_paths(paths, rates, paint),
            *draw_roles(paths, paint),
            *draw_findings(self.findings, paint),
            *(f"not seen: {text}" for text in self.survey.unseen),
            *summary,
            describe_numbers(self.survey),
        ]

    def _list_paths(self) -> list[PathStatus]:
        return [path for path in self.survey.paths
                if not self.interfaces or path.interface in self.interfaces]


class ConnectionsLook(NamedTuple):
    """The live connections that have a subflow on one of the interfaces asked for.

    `owners` has the processes that hold a socket, by its inode; `candidates` the programs that
    could be forced, None where nobody asked for them, and `unseen` whose are not among them.
    """

    moment: float
    survey: Survey
    connections: tuple[Connection, ...]
    owners: Owners
    candidates: tuple[Candidate, ...] | None = None
    unseen: str = ""

    @property
    def status(self) -> int:
        """The exit status: nothing is judged."""
        return 0

    def describe(self) -> dict[str, object]:
        """The answer for programs."""
        answer = describe_connections(self.connections, sum_interfaces(self.connections),
                                      self.owners)
        if self.candidates is not None:
            answer["candidates"] = describe_candidates(self.candidates)
        return answer

    def draw(self, rates: Rates, paint: Paint) -> list[str]:
        """The lines of the screen."""
        totals = sum_interfaces(self.connections)
        found = [] if self.candidates is None else ["", *draw_candidates(self.candidates, paint)]
        return [*draw_connections(self.connections, totals, self.owners, paint),
                *draw_rates(rates, [total.interface for total in totals]), *found,
                *[f"not seen: {self.unseen}"] * bool(self.unseen)]


def look_at_paths(interfaces: frozenset[str]) -> PathsLook:
    """Look at the paths; findings of the whole machine are everybody's."""
    machine = AskedMachine()
    survey = look_at_stanzas(machine, _take_survey(machine))
    meant = _list_names(survey, interfaces)
    findings = tuple(one for one in judge(survey)
                     if not meant or one.interface in {*meant, ""})
    return PathsLook(monotonic(), meant, survey, findings)


def _list_names(survey: Survey, interfaces: frozenset[str]) -> frozenset[str]:
    """The interfaces, each with all names of its device."""
    return interfaces.union(*(device.names for device in survey.devices
                              if interfaces.intersection(device.names)))


def look_at_connections(interfaces: frozenset[str]) -> ConnectionsLook:
    """Look at the connections."""
    machine = AskedMachine()
    survey = _take_survey(machine)
    devices = {own.address: device.name for device in survey.devices
               for own in device.addresses}
    found = read_connections(machine.ask_ss(), devices)
    return ConnectionsLook(monotonic(), survey, tuple(
        one for one in found if not interfaces or interfaces & {
            subflow.interface for subflow in one.subflows}), find_owners())


def look_at_candidates(interfaces: frozenset[str]) -> ConnectionsLook:
    """Look at the connections, and at the programs whose TCP over these interfaces is plain."""
    look = look_at_connections(interfaces)
    uplinks = {path.address: path.interface for path in look.survey.paths
               if path.installed and (not interfaces or path.interface in interfaces)}
    means = read_means()
    return look._replace(candidates=make_candidates(
        find_suspects(read_sockets(), look.owners, uplinks), read_origin,
        lambda pid: choose(AUTO, inspect_file(f"/proc/{pid}/exe"), means)),
        unseen="" if os.geteuid() == 0 else "the programs of others, which root sees")


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
