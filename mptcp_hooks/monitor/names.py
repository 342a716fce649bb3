# SPDX-License-Identifier: GPL-2.0-or-later
"""Which resolvers are asked over which uplink: those that one interface alone names.

A provider's resolver mostly answers its own customers alone, and main's default may lead to it by
another provider. Pure, but for the record, which is read for who names whom.
"""

from __future__ import annotations

from mptcp_hooks.base.address import (
    ELSEWHERE,
    broadcast,
    contains,
    family_of,
    is_remote,
    normalise,
)
from mptcp_hooks.base.errors import Problem
from mptcp_hooks.base.numbering import SUPPRESSED_LENGTHS
from mptcp_hooks.base.value import TYPE_CHECKING, NamedTuple
from mptcp_hooks.engine.name_record import Name, load_resolvers
from mptcp_hooks.intent.event import recall_event
from mptcp_hooks.intent.resolvers import read_resolvers
from mptcp_hooks.machine.system import name_device

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from mptcp_hooks.base.model import Path, Route, Stanza
    from mptcp_hooks.engine.record import Store


class Named(NamedTuple):
    """The resolvers that one interface alone names, with its device; and what stanzas say wrong."""

    resolvers: Mapping[str, str]
    mistakes: tuple[str, ...]


class Routes(NamedTuple):
    """What is to be known of a family's routes: main's, and those to this machine itself."""

    main: tuple[Route, ...]
    local: tuple[Route, ...]


def read_named(
    store: Store, paths: Iterable[Path], heard: Iterable[tuple[int, str]]
) -> Named:
    """Who names whom: stanzas, leases whose address has a path, and routers that were `heard`.

    What a DHCP client says of IPv6 counts as long as the device has a path of that. `paths` are
    all that are on record.
    """
    known = list(paths)
    namers: dict[str, set[str]] = {}
    mistakes: dict[str, None] = {}
    for iface in store.list_interfaces():
        for stanza in _load(store, iface):
            device, resolvers, wrong = _read_stanza(stanza)
            _note(namers, device, resolvers)
            mistakes.update(dict.fromkeys(wrong))
    for device in sorted({path.device for path in known}):
        lease = store.load_lease(device)
        # An old one does no harm: the address that it is of is there no more.
        if lease and any((path.device, path.address) == (device, lease.address)
                         for path in known):
            _note(namers, device, _keep(4, lease.resolvers))
        if any((path.device, path.family) == (device, 6) for path in known):
            for resolvers in load_resolvers(store.folder, device).values():
                _note(namers, device, _keep(6, resolvers))
    devices = {path.ifindex: path.device for path in known}
    for ifindex, resolver in heard:
        # A device that has no path names for itself all the same.
        _note(namers, devices.get(ifindex, str(ifindex)), (resolver,))
    return Named({resolver: min(named) for resolver, named in sorted(namers.items())
                  if len(named) == 1}, tuple(mistakes))


def choose_names(
    named: Named, paths: Iterable[Path], uplinks: frozenset[int], routes: Routes
) -> tuple[Name, ...]:
    """The resolvers that are asked over a path of their own, of one family.

    `paths` are the ways out that are alive, the first of their devices, and `uplinks` the
    ifindexes of all paths that there are. What main knows better than a default is main's to
    lead, and so is a piece of a default that leads to what is no uplink.
    """
    ways = {path.device: path for path in paths}
    found = []
    for resolver, device in named.resolvers.items():
        path = ways.get(device)
        if path and family_of(resolver) == path.family and resolver not in (
                broadcast(path.subnet) if path.subnet else "", *ELSEWHERE[path.family]) \
                and not _is_narrower(resolver, routes) \
                and not _is_taken(resolver, routes.main, uplinks):
            found.append(Name(path.family, resolver, path.gateway, path.device, path.ifindex,
                              path.onlink, path.address))
    return tuple(found)


def choose_elsewhere(family: int, routes: Routes) -> str:
    """An address that nobody has, and that nobody has a route for, as far as there is one."""
    destinations = ELSEWHERE[family]
    return next((one for one in destinations if not _is_narrower(one, routes)), destinations[0])


def _load(store: Store, iface: str) -> tuple[Stanza, ...]:
    try:
        return store.load(iface)
    except Problem:
        # The work that follows all that is on record says it.
        return ()


def _read_stanza(stanza: Stanza) -> tuple[str, tuple[str, ...], tuple[str, ...]]:
    """The device of a stanza, whom it names, and what is wrong with that."""
    if not stanza.told:
        return "", (), ()
    try:
        event = recall_event(stanza.told)
    except Problem:
        return "", (), ()
    resolvers = read_resolvers(event)
    return name_device(event.device), resolvers.named, tuple(
        str(mistake.problem) for mistake in resolvers.mistakes)


def _keep(family: int, texts: Iterable[str]) -> Iterator[str]:
    """What was noted, as far as it is what is noted: somebody may have written into the record."""
    for text in texts:
        try:
            if family_of(text) == family and normalise(text) == text and is_remote(text):
                yield text
        except ValueError:
            continue


def _note(namers: dict[str, set[str]], device: str, resolvers: Iterable[str]) -> None:
    for resolver in resolvers:
        namers.setdefault(resolver, set()).add(device)


def _is_narrower(address: str, routes: Routes) -> bool:
    """Whether a route is for the address, and narrower than what counts as a default."""
    longest = SUPPRESSED_LENGTHS[family_of(address)]
    return any(length > longest for route in (*routes.main, *routes.local)
               for length in _match(address, route))


def _is_taken(address: str, main: Iterable[Route], uplinks: frozenset[int]) -> bool:
    """Whether a piece of a default of main takes the address to what is no uplink."""
    pieces = [(-length, route.order, route.device) for route in main
              for length in _match(address, route) if length]
    return bool(pieces) and min(pieces)[2] not in uplinks


def _match(address: str, route: Route) -> Iterator[int]:
    """The length of the route's destination, where the address is in it."""
    if route.destination == "default":
        yield 0
    elif contains(route.destination, address):
        yield int(route.destination.partition("/")[2])
