# SPDX-License-Identifier: GPL-2.0-or-later
"""Interfaces that only the configuration tells of: taken in, and given up."""

from __future__ import annotations

from mptcp_hooks.base.errors import Problem
from mptcp_hooks.base.value import TYPE_CHECKING
from mptcp_hooks.engine.follow import is_covered, is_up
from mptcp_hooks.engine.keeper import Keeper
from mptcp_hooks.intent.event import MANAGED, announce, method_of, recall_event
from mptcp_hooks.intent.ifupdown import ask_events
from mptcp_hooks.intent.settings import read_settings

if TYPE_CHECKING:
    from collections.abc import Iterable

    from mptcp_hooks.base.model import Stanza
    from mptcp_hooks.engine.record import Store
    from mptcp_hooks.engine.work import Work
    from mptcp_hooks.intent.settings import Configuration
    from mptcp_hooks.machine.system import Machine


def prepare_parting(store: Store, machine: Machine, configuration: Configuration) -> Work:
    """The work of giving up devices that only the configuration told of, and does no more."""
    builder = Keeper(store, machine, configuration)
    for iface in store.list_interfaces():
        try:
            for stanza in builder.list_stanzas(iface):
                if method_of(stanza.told) == MANAGED and _has_ended(machine, configuration, stanza):
                    builder.drop(iface, stanza)
        except Problem as problem:
            builder.problems.append(problem)
    return builder.finish()


def prepare_managed(
    store: Store, machine: Machine, configuration: Configuration, resting: frozenset[str]
) -> Work:
    """The work of taking in the devices that the configuration names.

    A family that a stanza on record tells of is that stanza's; `resting` are left
    as they are.
    """
    builder = Keeper(store, machine, configuration)
    meant = [device for device in machine.list_devices()
             if configuration.names(device) and device not in resting]
    builder.add_together(lambda lost: _take_in_each(builder, machine, configuration, meant))
    return builder.finish()


def _take_in_each(
    builder: Keeper, machine: Machine, configuration: Configuration, devices: Iterable[str]
) -> None:
    for device in devices:
        try:
            _take_in(builder, machine, configuration, device)
        except Problem as problem:
            builder.problems.append(problem)


def _take_in(
    builder: Keeper, machine: Machine, configuration: Configuration, device: str
) -> None:
    """Add what a device has; one whose link is down takes no routes, and waits on record."""
    known = builder.list_of_device(device)
    news = [event for event in (announce(device, family, MANAGED) for family in (4, 6))
            if not is_covered(event, known)]
    if news and not _is_refused(configuration, device):
        # Each family by itself: one that is refused does not cost the other.
        builder.add_each(news, builder.add if is_up(machine, device) else builder.expect)


def _has_ended(machine: Machine, configuration: Configuration, stanza: Stanza) -> bool:
    """Whether the device is gone, or named no more by a file that is whole."""
    device = recall_event(stanza.told).device
    unnamed = configuration.whole and not configuration.names(device)
    return unnamed or machine.read_link(device) is None


def _is_refused(configuration: Configuration, device: str) -> bool:
    """Whether a stanza of ifupdown's file says `mptcp off`, which no hook puts on record."""
    return any(event.options and not read_settings(event, configuration).wanted
               for event in ask_events(device))
