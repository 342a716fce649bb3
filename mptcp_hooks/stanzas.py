"""The events of interfaces that are up already: from the record, or from what ifquery says."""

from __future__ import annotations

from mptcp_hooks import system
from mptcp_hooks.event import Event, read_event, recall_event
from mptcp_hooks.value import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

    from mptcp_hooks.record import Store


def list_up() -> list[str]:
    """The interfaces that ifupdown has up, the loopback aside."""
    up = system.list_up_interfaces() if system.has_ifupdown() else []
    return [iface for iface in up if iface != "lo"]


def recall_events(store: Store, iface: str) -> list[Event]:
    """What was told of an interface on record."""
    return [recall_event(stanza.told) for stanza in store.load(iface) if stanza.told]


def ask_events(iface: str) -> list[Event]:
    """The events of an interface's stanzas in ifupdown's file, or of one without options."""
    return read_events(_ask_ifquery(iface) or [{"IFACE": iface}])


def ask_or_recall(store: Store, iface: str) -> list[Event]:
    """The events of an interface's stanzas; where nobody can tell them, what is on record."""
    return read_events(_ask_ifquery(iface)) or recall_events(store, iface) or ask_events(iface)


def _ask_ifquery(iface: str) -> list[dict[str, str]]:
    return system.read_stanzas(iface) if system.has_ifupdown() else []


def read_events(environments: Iterable[dict[str, str]]) -> list[Event]:
    """The events of environments; a stanza without addresses gets what the others do not state."""
    events = [event for event in map(read_event, environments) if event is not None]
    return sorted(events, key=lambda event: not event.addresses)
