"""The work of making what is on record true again: each stanza, as the machine is now.

A manager says once what it did. Leases, router advertisements, cables and people
change it later; what was told stays, and its paths come and go with the addresses.
"""

from __future__ import annotations

from mptcp_hooks import system
from mptcp_hooks.draft import Draft, prepare_up
from mptcp_hooks.errors import Problem
from mptcp_hooks.event import NETWORKMANAGER, Event, method_of, recall_event
from mptcp_hooks.record import LEAVING
from mptcp_hooks.value import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

    from mptcp_hooks.event import Stated
    from mptcp_hooks.record import Stanza, Store
    from mptcp_hooks.settings import Configuration
    from mptcp_hooks.work import Work


def prepare_again(store: Store, ifaces: Iterable[str], configuration: Configuration) -> Work:
    """The work of following what changed on `ifaces`; what cannot be does not cost the others.

    What goes is drafted before what comes: an address may move between interfaces.
    """
    draft = Draft(store, configuration)
    recorded = [(iface, stanza) for iface in ifaces for stanza in _list_stanzas(draft, iface)]
    for act in (_take_leave, _renew):
        for iface, stanza in recorded:
            try:
                # What stands twice on record is one already.
                if stanza in draft.list_stanzas(iface):
                    act(draft, iface, stanza)
            except Problem as problem:
                draft.problems.append(problem)
    return draft.finish()


def prepare_announced(store: Store, event: Event, configuration: Configuration) -> Work:
    """The work of following an interface, with `event` where no stanza on record tells of it."""
    if is_covered(event, store.load(event.iface)):
        return prepare_again(store, [event.iface], configuration)
    return prepare_up(store, [event], configuration)


def prepare_adoption(
    store: Store, events: Iterable[Event], configuration: Configuration
) -> Work:
    """The work of taking in interfaces that came up before anybody told us.

    One that is just coming up has no addresses yet, and will be told of.
    """
    draft = Draft(store, configuration)
    recorded = store.list_interfaces()
    for event in events:
        try:
            seen = _see(event)
            if seen and event.iface not in recorded and _is_up(event.device):
                draft.add(seen)
        except Problem as problem:
            draft.problems.append(problem)
    return draft.finish()


def _list_stanzas(draft: Draft, iface: str) -> tuple[Stanza, ...]:
    try:
        return draft.list_stanzas(iface)
    except Problem as problem:
        draft.problems.append(problem)
        return ()


def _take_leave(draft: Draft, iface: str, stanza: Stanza) -> None:
    """Draft the end of what could not be undone before, and of paths without an address."""
    if not stanza.told:
        draft.drop(iface, stanza)
    elif stanza.state == LEAVING:
        # Only coming back is not for us: ifdown may have been cut off in the middle.
        if stanza.paths and not _holds_any(stanza):
            draft.empty(iface, stanza)
    elif _see(recall_event(stanza.told)) is None:
        draft.empty(iface, stanza)


def _renew(draft: Draft, iface: str, stanza: Stanza) -> None:
    if not stanza.told or stanza.state == LEAVING:
        return
    seen = _see(recall_event(stanza.told))
    # A link that is down has lost its routes and takes no new ones; the unreachable
    # default stands until it is up again.
    if seen and _is_up(seen.device):
        draft.renew(stanza, seen)


def _holds_any(stanza: Stanza) -> bool:
    """Whether the device has any of the addresses that the stanza's paths are for."""
    held = {one.address for installed in stanza.paths
            for one in system.list_addresses(installed.path.device, (4, 6))}
    return any(installed.path.address in held for installed in stanza.paths)


def _see(event: Event) -> Event | None:
    """The event as the machine is now; None without its device, or all addresses it stated."""
    if system.read_link(event.device) is None:
        return None
    present = _find_present(event)
    return event._replace(addresses=present) if present or not event.addresses else None


def _is_up(device: str) -> bool:
    link = system.read_link(device)
    return link is not None and link.up


def _find_present(event: Event) -> tuple[Stated, ...]:
    """The addresses stated that the device has; NetworkManager's as they are by now."""
    held = (*system.list_addresses(event.iface, event.families),
            *system.list_addresses(event.device, event.families))
    if method_of(event.told) == NETWORKMANAGER:
        fresh = tuple(_forget_old_gateway(event.device, one) for one in event.addresses)
        stated = {one.address: one for one in fresh}
        return tuple({one.address: stated.get(one.address, one) for one in held}.values())
    there = {one.address for one in held}
    return tuple(one for one in event.addresses if one.address in there)


def _forget_old_gateway(device: str, stated: Stated) -> Stated:
    """The address without a gateway that main has given up for another: a lease was renewed."""
    gateways = tuple(system.read_main_gateways(system.find_ifindex(device), (stated.family,)))
    outdated = gateways and stated.gateway not in gateways
    return stated._replace(gateway="") if outdated else stated


def is_covered(event: Event, stanzas: tuple[Stanza, ...]) -> bool:
    """Whether stanzas on record tell of the event's families already."""
    families = {family for stanza in stanzas if stanza.told
                for family in recall_event(stanza.told).families}
    return set(event.families) <= families
