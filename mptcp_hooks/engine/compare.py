# SPDX-License-Identifier: GPL-2.0-or-later
"""Compares what shall be of a path with what is on record and in the kernel. Pure.

Each function takes values and gives values: which lines are left to run, which to
undo, and what stands in the way. bring_up keeps the books of a whole work.
"""

from __future__ import annotations

from mptcp_hooks.base.line import is_endpoint_add, is_mptcp, is_shown, read_value
from mptcp_hooks.base.model import Installed, Stanza, TableUse
from mptcp_hooks.base.numbering import PROTOCOL
from mptcp_hooks.base.value import TYPE_CHECKING
from mptcp_hooks.engine.commands import bind_ids, is_about_id, list_former
from mptcp_hooks.engine.plan import find_intruder, find_sharer, settle_order
from mptcp_hooks.engine.work import Change, Undo
from mptcp_hooks.intent.event import MANAGED, method_of, recall_event

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator

    from mptcp_hooks.base.model import Endpoint, DeviceView, Lease, Path
    from mptcp_hooks.engine.work import Records
    from mptcp_hooks.intent.event import Event


def compare_path(
    after: Installed, recorded: Collection[Installed], endpoints: Iterable[Endpoint]
) -> Change:
    """The change that makes a path as it shall be (`after`) of what is on record of it.

    `after.kernel` is what the kernel holds of it now, `endpoints` are the path manager's.
    """
    path = after.path
    # Without `up` it is what could not be undone, no path.
    same = [one for one in recorded if one.up and one.path.address == path.address]
    before = same[-1] if same else None
    routed = len(same) == 1 and _list_routing(same[0]) == _list_routing(after)
    # What one of another address announced is undone with that one, and made anew.
    others = [one.path for one in recorded if one.up and one.path.address != path.address]
    # A hook that was killed may have left an endpoint with flags that the record knows nothing of.
    standing = path.list_standing(one for one in endpoints
                                  if not any(other.owns(one) for other in others))
    lines = tuple(line for line in after.up
                  if not any(is_endpoint_add(line, address) for address in standing)
                  and not (routed and not is_mptcp(line)))
    return Change(before, after._replace(kernel="") if lines else after, lines,
                  _list_late(before, after))


def list_leftovers(after: Installed, use: TableUse) -> tuple[str, ...]:
    """The lines that take away rules which an earlier version left and no record tells of.

    `use` is what the kernel holds of the path.
    """
    return tuple(line for line in list_former(after.down) if line not in after.down
                 and is_shown(line.replace(" rule del ", " rule add ", 1), after.path, use))


def find_outdated(
    installed: Installed, changes: Iterable[Change], endpoints: Iterable[Endpoint]
) -> Undo | None:
    """What of a path on record no change makes again; None where that is nothing."""
    same = [one for one in changes if one.after.path.address == installed.path.address]
    again = {line for change in same for line in change.after.down}
    remade = {one.address for change in same for one in change.after.path.endpoints
              if any(is_endpoint_add(line, one.address) for line in change.lines)}
    late = {line for change in same for line in change.late}
    outdated = tuple(line for line in installed.down if line not in late and (
                     line not in again or any(is_about_id(line, one) for one in remade)))
    bound = bind_ids(outdated, installed.path, endpoints)
    return Undo(installed._replace(down=outdated), bound) if bound else None


def find_obstacle(
    path: Path, use: TableUse, renewed: Iterable[Installed], going: Collection[Installed],
    planned: Iterable[Path],
) -> str:
    """Who else uses the path's table or address, in words; '' where nobody does.

    `use` is what the kernel holds there. `renewed` are the paths on record whose place the path
    takes, `going` the others that are about to go, `planned` those that our interfaces will have.
    """
    return find_sharer(path, planned) or find_intruder(
        path, list_foreign(path, use, renewed, going))


def list_foreign(
    path: Path, use: TableUse, renewed: Iterable[Installed], going: Collection[Installed]
) -> TableUse:
    """What of `use` is neither of the paths on record that are `renewed` nor of those `going`.

    What another program has in a table came to the path that had it, which lives with that; of a
    path that goes only what is ours goes along.
    """
    # By a former name of its device it is the same path.
    same = (one for one in going
            if (one.path.ifindex, one.path.address) == (path.ifindex, path.address))
    own = _list_tables(path, (*renewed, *same))
    left = _list_tables(path, going)

    def is_foreign(table: int, protocol: int) -> bool:
        return table not in own and not (table in left and protocol == PROTOCOL)

    return TableUse(
        tuple(rule for rule in use.rules if is_foreign(rule.table, rule.protocol)),
        tuple(route for route in use.routes if is_foreign(path.table, route.protocol)))


def is_renamed(path: Path, use: TableUse) -> bool:
    """Whether the path's device seems to be called otherwise than when its table was filled.

    `use` is what the kernel holds of the path: the rules of a device keep the name that it had.
    """
    return any(rule.table == path.table and rule.protocol == PROTOCOL
               and rule.device not in ("", path.device) for rule in use.rules)


def renews(event: Event, stanza: Stanza) -> bool | None:
    """Whether an event renews a stanza on record.

    None where it does if the device has none of the stanza's addresses any more.
    """
    if not stanza.told or stanza.told == event.told:
        return True
    before = recall_event(stanza.told)
    covered = set(before.families) <= set(event.families)
    if method_of(stanza.told) == MANAGED:
        return covered
    old = {own.address for own in before.addresses}
    if not old:
        return not event.addresses and covered
    return True if old & {own.address for own in event.addresses} else None


def list_families(event: Event) -> tuple[int, ...]:
    """The event's families, but those of which all addresses that were stated are away.

    What else the device has of such a family is not what was stated.
    """
    there = {one.family for one in event.addresses}
    if not there or there.issuperset(event.families):
        return event.families
    lost = {one.family for one in recall_event(event.told).addresses} - there
    return tuple(family for family in event.families if family not in lost)


def list_current(events: Iterable[Event]) -> list[Event]:
    """The events, each interface's in their order, without those that a later one renews."""
    left = list(events)
    return [event for number, event in enumerate(left, start=1) if not any(
        later.iface == event.iface and renews(later, Stanza(event.told, ()))
        for later in left[number:])]


def judge_found(
    view: DeviceView, stated: int, others: Iterable[Stanza], lease: Lease | None,
    previous: tuple[Path, ...],
) -> DeviceView:
    """The view with what is to be said of addresses that it was found to have.

    The first `stated` of its addresses are as the manager says. Of the others those go
    that the device's other stanzas (`others`) have a path of or state, and the lease's
    address gets its gateway and routes.
    """
    theirs = {own for stanza in others for own in _list_own(stanza)}
    found = tuple(one for one in view.addresses[stated:] if one.address not in theirs)
    if lease is not None:
        found = tuple(one._replace(gateway=lease.gateway, routes=lease.routes)
                      if one.address == lease.address else one for one in found)
    judged = settle_order(view._replace(addresses=found), previous)
    return view._replace(addresses=(*view.addresses[:stated], *judged.addresses))


def give_up(stanza: Stanza, event: Event) -> Stanza:
    """The stanza without paths of addresses that an event states and the stanza does not."""
    stated = {one.address for one in event.addresses}
    if not stanza.told or not any(one.path.address in stated for one in stanza.paths):
        return stanza
    stated -= {one.address for one in recall_event(stanza.told).addresses}
    return stanza._replace(paths=tuple(
        one for one in stanza.paths if one.path.address not in stated))


def list_given_up(before: Iterable[Stanza], after: Iterable[Stanza]) -> list[Installed]:
    """The paths that stanzas had and have no more."""
    return [one for old, new in zip(before, after) for one in old.paths if one not in new.paths]


def list_own(stanzas: Iterable[Stanza], others: Iterable[Stanza]) -> list[Installed]:
    """The paths of stanzas, but those that other stanzas of the device have on record as well.

    So it is where a hook was killed while one took a path over from another.
    """
    held = {one.path.address for stanza in others if stanza.told for one in stanza.paths}
    return [one for stanza in stanzas for one in stanza.paths if one.path.address not in held]


def order_records(before: Records, after: Records, made: Collection[str]) -> Records:
    """The records that change, those first that lose no path.

    What is killed between two of them leaves a path that moves on record twice, and not nowhere.
    Those of interfaces of which something is `made` change too: what comes of it is noted there.
    """
    changed = [iface for iface, stanzas in after.items()
               if stanzas != before[iface] or iface in made]
    return {iface: after[iface] for iface in sorted(changed, key=lambda iface: not (
        _list_addresses(before[iface]) <= _list_addresses(after[iface])))}


def _list_addresses(stanzas: Iterable[Stanza]) -> set[str]:
    return {one.path.address for stanza in stanzas for one in stanza.paths}


def replace_stanzas(
    recorded: tuple[Stanza, ...], replaced: tuple[Stanza, ...], new: tuple[Stanza, ...]
) -> tuple[Stanza, ...]:
    """The record with `new` where the first replaced stanza was, or at the end."""
    position = recorded.index(replaced[0]) if replaced else len(recorded)
    rest = [stanza for stanza in recorded if stanza not in replaced]
    return (*rest[:position], *new, *rest[position:])


def join_stanzas(old: tuple[Stanza, ...], new: tuple[Stanza, ...]) -> tuple[Stanza, ...]:
    """All of two versions of an interface's record, the new one last."""
    return (*(stanza for stanza in old if stanza not in new), *new)


def keep_standing(changes: Iterable[Change], planned: Iterable[Installed]) -> Iterator[Change]:
    """The changes, with the late lines alone that take away nothing of what is `planned`.

    One path may leave a table, or the sockets bound to its device, that another one gets.
    """
    standing = {line for one in planned for line in one.down}
    for change in changes:
        yield change._replace(late=tuple(line for line in change.late if line not in standing))


def _list_own(stanza: Stanza) -> Iterator[str]:
    """The addresses that are a stanza's: those of its paths, and those it stated."""
    yield from (one.path.address for one in stanza.paths)
    if stanza.told:
        yield from (one.address for one in recall_event(stanza.told).addresses)


def _list_tables(path: Path, those: Iterable[Installed]) -> set[int]:
    """The tables of those of a path's family: each has tables of its own."""
    return {one.path.table for one in those if one.path.family == path.family}


def _list_routing(installed: Installed) -> list[str]:
    """What is on record of a path's routing: the lines, and what they made of the kernel's."""
    return [*(line for line in (*installed.up, *installed.down) if not is_mptcp(line)),
            installed.kernel]


def _list_late(before: Installed | None, after: Installed) -> tuple[str, ...]:
    """The lines that take away what a path has where it leaves, and replaced rules.

    That is another table, or other preferences.

    All else may stand in the way of what comes, or be what it makes again in other words.
    """
    if before is None:
        return ()
    outdated = [line for line in before.down if not is_mptcp(line) and line not in after.down]
    if (before.path.table, before.path.shift) != (after.path.table, after.path.shift):
        return tuple(outdated)
    return tuple(line for line in outdated if _is_replaced(line, after.up))


def _is_replaced(line: str, lines: Iterable[str]) -> bool:
    """Whether `lines` make the rule of this one at another preference, or take its place there.

    The kernel has all of them side by side, and deletes the one that is meant
    (net/core/fib_rules.c, rule_exists and rule_find).
    """
    return _is_moved(line, lines) or _is_suppressing_otherwise(line, lines)


def _is_moved(line: str, lines: Iterable[str]) -> bool:
    """Whether `lines` make the rule that this one takes away at another preference."""
    moved = _without_preference(line.replace(" rule del ", " rule add ", 1))
    return bool(moved) and moved in map(_without_preference, lines)


def _without_preference(line: str) -> str:
    """A rule's line without its preference; '' where it has none."""
    preference = read_value(line, "pref")
    return line.replace(f" pref {preference} ", " ", 1) if preference else ""


def _is_suppressing_otherwise(line: str, lines: Iterable[str]) -> bool:
    """Whether `lines` make rules at the preference of this one that suppress another length."""
    own, *others = ((read_value(rule, "pref"), read_value(rule, "suppress_prefixlength"))
                    for rule in (line, *lines))
    lengths = {length for preference, length in others if preference == own[0]}
    return bool(own[1] and lengths) and lengths.isdisjoint({own[1], ""})
