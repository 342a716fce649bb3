"""One round of upkeep: what mptcp_monitor does whenever something may have changed.

The hooks' own engine, for all interfaces on record and those that the
configuration names. Most rounds find nothing to do, and run nothing.
"""

from __future__ import annotations

from mptcp_hooks import system
from mptcp_hooks.configuration import read_configuration
from mptcp_hooks.dhclient import note_kept_lease
from mptcp_hooks.engine import carry_out
from mptcp_hooks.errors import Problem
from mptcp_hooks.follow import prepare_adoption, prepare_again
from mptcp_hooks.managed import prepare_managed
from mptcp_hooks.record import open_store
from mptcp_hooks.round import Report
from mptcp_hooks.stanzas import ask_events, list_up
from mptcp_hooks.value import TYPE_CHECKING
from mptcp_hooks.work import prepare_silence

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from mptcp_hooks.event import Event
    from mptcp_hooks.record import Store
    from mptcp_hooks.work import Work


def keep_up(adopting: bool, resting: frozenset[str], show: Callable[[str], None]) -> Report:
    """Make true again what is on record; `show` hears each command before it runs.

    `adopting` takes in what ifupdown has up and nobody told us of. `resting`
    are interfaces that are left as they are.
    """
    configuration, problems = read_configuration()
    carrier = _Carrier(problems, show)
    # First, and before other programs are asked: a transfer may be waiting.
    _silence(carrier, problems)
    events = _ask_ifupdown(problems) if adopting else []
    with open_store(lock=True) as store:
        recorded = store.list_interfaces()
        news = [event for event in events if event.iface not in recorded]
        if news:
            _note_leases(store, news, problems)
            carrier.carry(store, prepare_adoption(store, news, configuration))
        carrier.carry(store, prepare_managed(store, configuration, resting))
        carrier.carry(store, prepare_again(store, [
            iface for iface in store.list_interfaces() if iface not in resting], configuration))
    return Report((*carrier.warnings, *map(str, problems)), tuple(carrier.repaired),
                  carrier.failed)


def _silence(carrier: _Carrier, problems: list[Problem]) -> None:
    """Take the endpoints of links without a carrier away."""
    with open_store(lock=False) as store:
        if not list(_list_silent(store, [])):
            return
    with open_store(lock=True) as store:
        carrier.carry(store, prepare_silence(store, list(_list_silent(store, problems))))


class _Carrier:
    """Carries works out one after another, and gathers what is to be said of them."""

    def __init__(self, problems: list[Problem], show: Callable[[str], None]) -> None:
        self._problems = problems
        self._show = show
        self.warnings: list[str] = []
        self.repaired: list[str] = []
        self.failed = False

    def carry(self, store: Store, work: Work) -> None:
        """Do one work, and heed how it went."""
        for line in work.list_lines():
            self._show(line)
        self.warnings += work.warnings
        self.repaired += _list_repaired(work)
        problems = carry_out(store, work)
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


def _list_repaired(work: Work) -> Iterator[str]:
    for change in work.changes:
        if change.before and change.before.path == change.after.path:
            yield change.after.path.iface
