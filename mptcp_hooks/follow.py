"""The work of making what is on record true again: each stanza, as the machine is now.

A manager says once what it did. Leases, router advertisements, cables and people
change it later; what was told stays, and its paths come and go with the addresses.
"""

from __future__ import annotations

from mptcp_hooks import system
from mptcp_hooks.draft import Draft
from mptcp_hooks.errors import Problem
from mptcp_hooks.event import NETWORKMANAGER, Event, method_of, recall_event
from mptcp_hooks.record import LEAVING
from mptcp_hooks.value import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from mptcp_hooks.event import Stated
    from mptcp_hooks.record import Stanza, Store
    from mptcp_hooks.work import Work


def prepare_again(
    store: Store,
    ifaces: Iterable[str],
    announced: Iterable[Event] = (),
    is_outdated: Callable[[Stanza], bool] = lambda stanza: False,
) -> Work:
    """The work of following what changed on `ifaces`; what cannot be does not cost the others.

    `announced` are events of devices that may have no stanza: they count only
    for families that none on record covers. A stanza that `is_outdated` goes.
    """
    draft = Draft(store)
    for iface in ifaces:
        try:
            for stanza in draft.list_stanzas(iface):
                if is_outdated(stanza):
                    draft.drop(iface, stanza)
                else:
                    _follow(draft, iface, stanza)
        except Problem as problem:
            draft.problems.append(problem)
    for event in announced:
        try:
            if not _is_covered(event, draft.list_stanzas(event.iface)):
                draft.add(event)
        except Problem as problem:
            draft.problems.append(problem)
    return draft.finish()


def prepare_adoption(store: Store, events: Iterable[Event]) -> Work:
    """The work of taking in interfaces that came up before anybody told us.

    One that is just coming up has no addresses yet, and will be told of.
    """
    draft = Draft(store)
    recorded = store.list_interfaces()
    for event in events:
        try:
            seen = _see(event)
            if seen and event.iface not in recorded and _is_up(event.device):
                draft.add(seen)
        except Problem as problem:
            draft.problems.append(problem)
    return draft.finish()


def _follow(draft: Draft, iface: str, stanza: Stanza) -> None:
    if stanza.state == LEAVING or not stanza.told:
        return
    event = recall_event(stanza.told)
    seen = _see(event)
    if seen is None:
        draft.empty(iface, stanza)
    elif _is_up(event.device):
        # A link that is down has lost its routes and takes no new ones; the
        # unreachable default stands until it is up again.
        draft.renew(stanza, seen)


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


def _is_covered(event: Event, stanzas: tuple[Stanza, ...]) -> bool:
    """Whether stanzas on record tell of the event's families already."""
    families = {family for stanza in stanzas if stanza.told
                for family in recall_event(stanza.told).families}
    return set(event.families) <= families
