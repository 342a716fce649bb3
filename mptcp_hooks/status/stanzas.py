# SPDX-License-Identifier: GPL-2.0-or-later
"""What ifupdown's files say of interfaces, beside what their hooks were told and ifup did."""

from __future__ import annotations

from mptcp_hooks.base.address import family_of
from mptcp_hooks.base.errors import Problem
from mptcp_hooks.base.value import TYPE_CHECKING
from mptcp_hooks.intent.event import is_of_stanza, read_event
from mptcp_hooks.intent.ifupdown import find_edits
from mptcp_hooks.status.survey import NOT_UP, Edit, Exit, Failure, PathStatus

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from mptcp_hooks.base.model import Stanza
    from mptcp_hooks.intent.settings import Configuration
    from mptcp_hooks.status.questions import AskedMachine
    from mptcp_hooks.status.survey import Device, Survey

# What ifup alone can change: mptcp_up gives a device no address.
_IFUPS_OWN = {"IF_ADDRESS", "IF_NETMASK", "IF_POINTOPOINT"}


def look_at_stanzas(machine: AskedMachine, survey: Survey) -> Survey:
    """The survey with what ifupdown's files say beside it; what ifup gave up on has a row."""
    configuration, _ = machine.read_configuration()
    told = [iface for iface, stanza in survey.stanzas if stanza.told]
    up = machine.list_up()
    failures = tuple(list_failures(machine, survey.devices, {*told, *up}))
    failed = {failure.address for failure in failures}
    return survey._replace(
        mistakes=(*survey.mistakes, *machine.list_complaints()),
        edits=tuple(list_edits(machine, survey.stanzas, configuration)),
        failures=failures,
        untold=tuple(iface for iface in up if iface not in told),
        paths=(*(path for path in survey.paths if path.installed or path.address not in failed),
               *map(_draw_failure, failures)),
    )


def _draw_failure(failure: Failure) -> PathStatus:
    return PathStatus(
        interface=failure.iface, device=failure.device, link=NOT_UP,
        family=family_of(failure.address), address=failure.address, length=failure.length,
        gateway="", table=0, endpoint=None, exit=Exit("", "", ""), installed=None)


def list_edits(
    machine: AskedMachine, stanzas: Iterable[tuple[str, Stanza]], configuration: Configuration
) -> Iterator[Edit]:
    """The interfaces on record whose stanzas say something else by now; not those without any."""
    told: dict[str, list[tuple[str, ...]]] = {}
    for iface, stanza in stanzas:
        if stanza.told:
            told.setdefault(iface, []).append(stanza.told)
    for iface, texts in told.items():
        if all(map(is_of_stanza, texts)):
            yield from _compare(machine, iface, texts, configuration)


def _compare(
    machine: AskedMachine, iface: str, told: list[tuple[str, ...]], configuration: Configuration
) -> Iterator[Edit]:
    try:
        environments = machine.ask_environments(iface)
    except Problem:
        # Of a file that cannot be read it is said once.
        return
    try:
        changed = find_edits(told, environments, configuration) if environments else set()
    except Problem as problem:
        yield Edit(iface, False, str(problem))
        return
    if changed:
        yield Edit(iface, bool(changed & _IFUPS_OWN))


def list_failures(
    machine: AskedMachine, devices: Iterable[Device], known: Iterable[str]
) -> Iterator[Failure]:
    """The interfaces that ifup gave up on: not up, but with an address that their stanza states.

    It leaves what it made until it failed, and forgets the interface. `known` are those that are
    on record, or that it has up.
    """
    present = {name: device for device in devices for name in device.names}
    names = dict.fromkeys(line.iface for line in machine.list_stanza_lines())
    for iface in names:
        device = present.get(iface.partition(":")[0])
        if device and iface not in {*known, "lo"}:
            yield from _find_failure(machine, iface, device)


def _find_failure(machine: AskedMachine, iface: str, device: Device) -> Iterator[Failure]:
    there = {one.address: one.length for one in device.addresses}
    try:
        events = [(environment, read_event(environment))
                  for environment in machine.ask_environments(iface)]
    except Problem:
        return
    for environment, event in events:
        for own in event.addresses if event else ():
            if own.address in there:
                gateway = own.gateway * ("IF_METRIC" not in environment)
                yield Failure(iface, device.name, own.address, there[own.address],
                              machine.ask_what_ifup_said(iface), gateway,
                              _find_place(machine, iface, family_of(own.address)))
                return


def _find_place(machine: AskedMachine, iface: str, family: int) -> str:
    """Where the gateway of a family stands in an interface's stanzas."""
    return next((f"{line.file}:{line.number}" for line in machine.list_stanza_lines()
                 if (line.iface, line.option) == (iface, "gateway")
                 and family_of(line.value) == family), "")
