# SPDX-License-Identifier: GPL-2.0-or-later
"""What must and may be in the kernel after a step, given what the documentation leaves open."""

from __future__ import annotations

import ipaddress
from collections import Counter
from collections.abc import Iterable, Iterator
from typing import NamedTuple

from tests.model.detours import find_detours
from tests.model.kernel import Endpoint, Limits, Route, Rule, Snapshot, Thing
from tests.model.model import Model
from tests.model.things import Wish, Written, list_wide, write_wish
from tests.model.told import Told

ENDPOINTS_AT_MOST = 8
_NONE = Limits(0, 0)
_TABLE_BASE, _TABLE_STEP = 20000, 10000000


class Outcome(NamedTuple):
    """What of ours must be there, what may, and between what the limits are."""

    must: frozenset[Thing]
    may: frozenset[Thing]
    lowest: Limits
    highest: Limits


def resolve(
    model: Model, before: Snapshot, after: Snapshot, disturbed: bool
) -> Outcome:
    """The outcome of the step that `model` has followed, whose paths are as it chose then.

    `disturbed` is whether the world did it: what is gone then is gone.
    """
    must: set[Thing] = set()
    may: set[Thing] = set()
    held = frozenset((*before.marked, *before.endpoints))
    kept = held & {*after.marked, *after.endpoints} if disturbed else held
    giving = set() if disturbed and not model.monitored else _list_giving(model, before, after)
    coming = [wish for told in model.told for wish in told.wishes or ()]
    for told in model.told:
        told.heed_endpoints(after)
        _leave_standing(told)
        given = {address for address in told.paths if address in giving}
        told.paths |= {address: _give_place(told.paths[address], after) for address in given}
        # The routing of a path that gives its endpoint away is made whole.
        may |= {thing for address in given for thing in told.paths[address].things}
        if model.monitored:
            told.paths = {address: _heed_silence(model, told, path, after)
                          for address, path in told.paths.items()}
        for path in told.paths.values():
            things = path.things | _lose_source(path)
            # An endpoint whose path could not be made anew is not put back.
            must |= {thing for thing in things & kept
                     if not (told.loose and isinstance(thing, Endpoint))}
            may |= things if told.loose or disturbed else things & held
            # Who has a part in its subnet may have come or gone since.
            may |= list_wide(path)
            if _is_narrowed(path, coming):
                # As that of one that gives its endpoint away, its routing is made whole.
                may |= path.things
    for path in _write_all(model, before, after):
        must |= path.things
        may |= path.things | list_wide(path)
        if _is_alone(model, path, after):
            must |= list_wide(path)
    for told in model.told:
        told.settle_silence(len(after.endpoints) >= ENDPOINTS_AT_MOST)
    detours = find_detours(model, before, after)
    must |= detours
    may |= detours
    if model.monitored:
        model.leave_tunnels(after)
    if not (model.monitored or any(told.paths for told in model.told)):
        # With the last path goes what a monitor noted that is gone.
        model.tunnels = model.tunnels if model.bare else set()
        model.abandoned |= bool(model.tunnels and model.programs)
    lowest, highest = _find_limits(model, before, after)
    return Outcome(frozenset(must), frozenset(may), lowest, highest)


def _list_giving(model: Model, before: Snapshot, after: Snapshot) -> set[str]:
    """The addresses that gave their endpoints to uplinks that had none, where all are taken.

    Which ones do is nobody's promise, but that of an uplink that keeps another. Nobody gives more
    than comes.
    """
    served = [set(_find_devices(model, seen).values()) - {0} for seen in (before, after)]
    if len(before.endpoints | after.endpoints) <= ENDPOINTS_AT_MOST or served[1] <= served[0]:
        return set()
    gone = before.endpoints - after.endpoints - model.foreign
    giving = {address: path.things & gone for told in model.told
              for address, path in told.paths.items()
              if path.things & gone and path.wish.ifindex in served[1]}
    given = frozenset[Thing]().union(*giving.values())
    return set() if len(given) > len(after.endpoints - before.endpoints) else set(giving)


def _find_devices(model: Model, seen: Snapshot) -> dict[Endpoint, int]:
    """The uplink of each endpoint; 0 for none. What is announced is its path's, and has no device.
    """
    announced = {one.announced: one.ifindex for told in model.told for one in (
        *(told.wishes or ()), *(path.wish for path in told.paths.values())) if one.announced}
    return {one: one.device or announced.get(one.address, 0) for one in seen.endpoints}


def _give_place(path: Written, after: Snapshot) -> Written:
    """The path with the endpoints that it keeps: what is announced goes before the own one."""
    own = {one for one in path.list_endpoints() if one.address == path.wish.address}
    return path.with_endpoints(after.endpoints if own <= after.endpoints else frozenset())


def _is_narrowed(path: Written, coming: Iterable[Wish]) -> bool:
    """Whether what comes on another device takes its subnet's further addresses from a path."""
    subnet = ipaddress.ip_network(path.wish.subnet)
    return bool(list_wide(path)) and any(
        wish.device != path.wish.device and ipaddress.ip_address(wish.address) in subnet
        for wish in coming)


def _is_alone(model: Model, path: Written, after: Snapshot) -> bool:
    """Whether no other path, and no other device, has a part in a path's subnet."""
    subnet = ipaddress.ip_network(path.wish.subnet)
    others = {other.wish.address for told in model.told for other in told.paths.values()}
    # The same address on another device is a part too.
    elsewhere = {held.address for held in after.addresses if held.device != path.wish.device}
    return not any(ipaddress.ip_address(other) in subnet
                   for other in others - {path.wish.address} | elsewhere)


def list_ours(stanzas: Iterable[Told], seen: Snapshot) -> list[Thing]:
    """All that is there and was made of stanzas, in an order that does not depend on chance."""
    things = {thing for told in stanzas for path in told.paths.values()
              for thing in path.things}
    return sorted(things & {*seen.marked, *seen.endpoints}, key=repr)


def _leave_standing(told: Told) -> None:
    """Of a stanza that the step makes anew, only what it could not make stands as it did."""
    if told.wishes is not None:
        coming = {wish.address for wish in told.wishes}
        told.paths = {address: path for address, path in told.paths.items()
                      if told.loose and address not in coming}


def _lose_source(path: Written) -> set[Thing]:
    """What the kernel makes of IPv6 routes when their source goes (net/ipv6/route.c)."""
    return {thing._replace(source="") for thing in path.things
            if isinstance(thing, Route) and thing.family == 6}


def _write_all(model: Model, before: Snapshot, after: Snapshot) -> list[Written]:
    """Give each wish its table, and one of each device and family the sockets bound to it."""
    groups: dict[tuple[str, int], list[tuple[Told, Wish]]] = {}
    for told in model.told:
        for wish in told.wishes or ():
            groups.setdefault((wish.device, wish.family), []).append((told, wish))
    there = after.endpoints if model.in_turn else before.endpoints | after.endpoints
    full = len(there) >= ENDPOINTS_AT_MOST
    return [path for group in groups.values()
            for path in _write(model, group, before, after, full)]


def _write(
    model: Model, group: list[tuple[Told, Wish]], before: Snapshot, after: Snapshot, full: bool
) -> Iterator[Written]:
    wishes = [wish for _, wish in group]
    beside = [path for told in model.told for path in told.paths.values()
              if (path.wish.device, path.wish.family) == (wishes[0].device, wishes[0].family)]
    first = "" if any(path.primary for path in beside) else _find_first(wishes, after)
    if any(wish.address == first and wish.family in told.headless for told, wish in group):
        first = ""
    for told, wish in _list_led(model, group, first, before):
        path = write_wish(wish, wish.address == first, _find_table(wish, after))
        if path.endpoint and not path.things <= {*after.marked, *after.endpoints}:
            if wish.passing or full and not _is_starved(model, wish, after):
                # The kernel takes eight; who goes without is nobody's promise. Nor is whether a
                # monitor was quicker than the hook.
                path = _give_place(path, after)
            elif wish.doubtful:
                # It had a place to take, and is silent.
                path, told.doubtful = path.without_endpoint(), False
            elif model.monitored:
                path = _heed_silence(model, told, path, after)
        told.paths[wish.address] = path
        yield path


def _is_starved(model: Model, wish: Wish, after: Snapshot) -> bool:
    """Whether the uplink of a path has no endpoint, and another one of ours has two."""
    devices = _find_devices(model, after)
    counts = Counter(devices.values())
    return model.in_turn and wish.ifindex not in counts and any(
        counts[device] > 1 for one, device in devices.items()
        if device and one not in model.foreign)


def _list_led(
    model: Model, group: list[tuple[Told, Wish]], first: str, before: Snapshot
) -> Iterator[tuple[Told, Wish]]:
    """The wishes without those that are left alone, whose belongings are their stanza's next's."""
    left: dict[Told, Wish] = {}
    for told, wish in group:
        if wish.shared and wish.address != first:
            # Nothing would lead to its table.
            left.setdefault(told, wish)
        elif told in left and wish.family not in told.headless:
            yield told, _inherit(model, told, wish, left.pop(told), before)
        else:
            yield told, wish


def _inherit(model: Model, told: Told, wish: Wish, left: Wish, before: Snapshot) -> Wish:
    """The wish with what belongs to the first of its stanza, where that one is `left` alone."""
    heir = wish._replace(table=left.table, mark=left.mark, announced=left.announced)
    stands = wish.address in told.kept and any(
        one.address in (heir.address, heir.announced) for one in before.endpoints)
    # Beside a tunnel as Model.wish has it, which did not know yet that peers are told of it.
    quiet = model.beside and heir.tells and (model.monitored or not stands)
    return heir._replace(endpoint=heir.endpoint and not quiet)


def _heed_silence(model: Model, told: Told, path: Written, after: Snapshot) -> Written:
    """The path without the endpoint that a monitor took away, of a silent gateway's.

    Whether the kernel has asked that in vain by now depends on who sent to it.
    """
    wish = path.wish
    if wish.gateway and wish.device in model.deaf and path.endpoint and (
            not after.endpoints.issuperset(path.list_endpoints())):
        told.mute.add(wish.address)
        return path.without_endpoint()
    return path


def _find_first(wishes: list[Wish], after: Snapshot) -> str:
    """The address whose table the sockets bound to the device have."""
    tables = {rule.table for rule in _list_rules(after, wishes[0].family, 20006)
              if rule.device == wishes[0].device}
    fitting = [wish.address for wish in wishes
               if wish.shared and _list_tables(wish, after) or tables & _list_tables(wish, after)]
    return (fitting or [wishes[0].address])[0]


def _find_table(wish: Wish, after: Snapshot) -> int:
    """The table that an address has, where it may have that."""
    usual = _TABLE_BASE + wish.ifindex
    fitting = [table for table in _list_tables(wish, after)
               if (table - usual) % _TABLE_STEP == 0]
    return (fitting or [usual])[0]


def _list_tables(wish: Wish, after: Snapshot) -> set[int]:
    if wish.shared:
        return {rule.table for rule in _list_rules(after, wish.family, 19997)
                if rule.device == wish.device}
    return {rule.table for rule in _list_rules(after, wish.family, 20002)
            if rule.source == wish.address}


def _list_rules(after: Snapshot, family: int, preference: int) -> list[Rule]:
    return [thing for thing in after.marked if isinstance(thing, Rule)
            and (thing.family, thing.preference) == (family, preference)]


def _find_limits(model: Model, before: Snapshot, after: Snapshot) -> tuple[Limits, Limits]:
    """Between what the limits must be; and whose they are is noted."""
    base = model.base or model.limits
    if not any(told.has_endpoint for told in model.told):
        model.base = model.raised = None
        return base, base
    lowest = model.limits
    if model.settling:
        lowest = _raise(base)
    highest = _raise(model.limits)
    # Who is the last to see to limits may do so beside a path, and its endpoint, that go after it.
    parted = model.tunnels & model.parted
    there = before.endpoints | after.endpoints if parted else after.endpoints
    if model.settling and (model.beside or parted) and any(
            one.flags != ("signal",) for one in there):
        # Beside a tunnel new connections open no subflow.
        lowest = highest = _NONE
    if model.base is None or after.limits != model.limits:
        model.base, model.raised = base, after.limits
    return lowest, highest


def _raise(limits: Limits) -> Limits:
    """Both limits are as high as the kernel has them."""
    return Limits(max(limits.subflows, ENDPOINTS_AT_MOST),
                  max(limits.add_addr_accepted, ENDPOINTS_AT_MOST))
