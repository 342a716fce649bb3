"""Interfaces that only the configuration tells of: taken in, and given up."""

from __future__ import annotations

from mptcp_hooks import system
from mptcp_hooks.draft import Draft
from mptcp_hooks.errors import Problem
from mptcp_hooks.event import MANAGED, announce, method_of, recall_event
from mptcp_hooks.follow import is_covered
from mptcp_hooks.settings import read_settings
from mptcp_hooks.stanzas import ask_events
from mptcp_hooks.value import TYPE_CHECKING

if TYPE_CHECKING:
    from mptcp_hooks.record import Stanza, Store
    from mptcp_hooks.settings import Configuration
    from mptcp_hooks.work import Work


def prepare_managed(
    store: Store, configuration: Configuration, resting: frozenset[str]
) -> Work:
    """The work of taking in the devices that the configuration names, and giving up the others.

    A family that a stanza on record tells of is that stanza's; `resting` are left
    as they are.
    """
    draft = Draft(store, configuration)
    for iface in store.list_interfaces():
        try:
            for stanza in draft.list_stanzas(iface):
                if method_of(stanza.told) == MANAGED and _has_ended(configuration, stanza):
                    draft.drop(iface, stanza)
        except Problem as problem:
            draft.problems.append(problem)
    for device in system.list_devices():
        if configuration.names(device) and device not in resting:
            try:
                _take_in(draft, configuration, device)
            except Problem as problem:
                draft.problems.append(problem)
    return draft.finish()


def _take_in(draft: Draft, configuration: Configuration, device: str) -> None:
    news = [event for event in (announce(device, family, MANAGED) for family in (4, 6))
            if not is_covered(event, draft.list_stanzas(device))]
    if news and not _is_refused(configuration, device):
        for event in news:
            draft.add(event)


def _has_ended(configuration: Configuration, stanza: Stanza) -> bool:
    """Whether the device is gone, or named no more by a file that is whole."""
    device = recall_event(stanza.told).device
    unnamed = configuration.whole and not configuration.names(device)
    return unnamed or system.read_link(device) is None


def _is_refused(configuration: Configuration, device: str) -> bool:
    """Whether a stanza of ifupdown's file says `mptcp off`, which no hook puts on record."""
    return any(event.options and not read_settings(event, configuration).wanted
               for event in ask_events(device))
