"""One round of upkeep: what mptcp_monitor does whenever something may have changed.

The hooks' own engine, for all interfaces on record and those that the
configuration names. Most rounds find nothing to do, and run nothing.
"""

from __future__ import annotations

from mptcp_hooks import system
from mptcp_hooks.configuration import Configuration, read_configuration
from mptcp_hooks.engine import carry_out
from mptcp_hooks.errors import Problem
from mptcp_hooks.event import MANAGED, announce, method_of, recall_event
from mptcp_hooks.follow import prepare_adoption, prepare_again
from mptcp_hooks.lease import note_kept_lease
from mptcp_hooks.record import open_store
from mptcp_hooks.stanzas import ask_events, list_up
from mptcp_hooks.value import TYPE_CHECKING, NamedTuple
from mptcp_hooks.work import prepare_silence

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from mptcp_hooks.event import Event
    from mptcp_hooks.record import Stanza, Store
    from mptcp_hooks.work import Work


class Report(NamedTuple):
    """What a person should know of a round, and which interfaces had lost what we made.

    `repaired` are those whose rules or routes somebody took away, though nothing
    was said of it to us; `failed` is whether a command did.
    """

    said: tuple[str, ...]
    repaired: tuple[str, ...]
    failed: bool


def keep_up(adopting: bool, resting: frozenset[str], show: Callable[[str], None]) -> Report:
    """Make true again what is on record; `show` hears each command before it runs.

    `adopting` takes in what ifupdown has up and nobody told us of. `resting`
    are interfaces that are left as they are.
    """
    configuration, problems = read_configuration()
    # Nobody knows what a file with an error was meant to name: nothing is given up for it.
    valid = not problems
    # Before the lock is taken: hooks should not wait for programs of other people.
    events = _ask_ifupdown(problems) if adopting else []
    with open_store(lock=True) as store:
        carrier = _Carrier(store, problems, show)
        # First, and before anything is looked at twice: a transfer may be waiting.
        silent = list(_list_silent(store, problems))
        if silent:
            carrier.carry(prepare_silence(store, silent))
        if events:
            _note_leases(store, events, problems)
            carrier.carry(prepare_adoption(store, events))
        recorded = [iface for iface in store.list_interfaces() if iface not in resting]
        carrier.carry(prepare_again(store, recorded, _list_managed(configuration, resting),
                                    lambda stanza: valid and _is_outdated(configuration, stanza)))
    return Report((*carrier.warnings, *map(str, problems)), tuple(carrier.repaired),
                  carrier.failed)


class _Carrier:
    """Carries works out one after another, and gathers what is to be said of them."""

    def __init__(
        self, store: Store, problems: list[Problem], show: Callable[[str], None]
    ) -> None:
        self._store = store
        self._problems = problems
        self._show = show
        self.warnings: list[str] = []
        self.repaired: list[str] = []
        self.failed = False

    def carry(self, work: Work) -> None:
        for line in work.list_lines():
            self._show(line)
        self.warnings += work.warnings
        self.repaired += _list_repaired(work)
        problems = carry_out(self._store, work)
        self._problems += problems
        self.failed |= len(problems) > len(work.problems)


def _list_silent(store: Store, problems: list[Problem]) -> Iterator[str]:
    """The interfaces whose endpoints are of no use: without a carrier, or without a device."""
    for iface in store.list_interfaces():
        link = system.read_link(iface.partition(":")[0])
        if link is not None and link.running:
            continue
        try:
            stanzas = store.load(iface)
        except Problem as problem:
            problems.append(problem)
            continue
        if any(one.path.endpoint for stanza in stanzas for one in stanza.paths):
            yield iface


def _ask_ifupdown(problems: list[Problem]) -> list[Event]:
    """What ifupdown has up, as its stanzas say."""
    events: list[Event] = []
    for iface in list_up():
        try:
            events += ask_events(iface)
        except Problem as problem:
            problems.append(problem)
    return events


def _note_leases(store: Store, events: list[Event], problems: list[Problem]) -> None:
    """Note what DHCP clients were told before anybody told us."""
    for device in {event.device for event in events if not event.addresses}:
        try:
            note_kept_lease(store, device)
        except Problem as problem:
            problems.append(problem)


def _list_managed(configuration: Configuration, resting: frozenset[str]) -> list[Event]:
    return [announce(device, family, MANAGED) for device in system.list_devices()
            if configuration.names(device) and device not in resting for family in (4, 6)]


def _is_outdated(configuration: Configuration, stanza: Stanza) -> bool:
    """Whether only the configuration told of an interface, and does so no more."""
    return (method_of(stanza.told) == MANAGED
            and not configuration.names(recall_event(stanza.told).device))


def _list_repaired(work: Work) -> Iterator[str]:
    for change in work.changes:
        if change.before and change.before.path == change.after.path:
            yield change.after.path.iface
