# SPDX-License-Identifier: GPL-2.0-or-later
"""Over which uplink a resolver is asked that one uplink alone names, made true.

One rule of each family directly before main leads to a table of host routes. The rule is
permanent; what changes is routes, and without one the table leads nowhere. Detours stand at the
same preference, and of equal ones the kernel asks the older rule first: a pair that is older than
the rule is made anew. The monitor decides (monitor/names.py); hooks take all of it away with the
last path.
"""

from __future__ import annotations

from mptcp_hooks.base.address import BITS
from mptcp_hooks.base.numbering import NAMES_TABLE, PROTOCOL
from mptcp_hooks.base.value import TYPE_CHECKING, NamedTuple
from mptcp_hooks.engine.commands import build_end_of_name, build_name
from mptcp_hooks.engine.detours import renew_detours, settle_detours
from mptcp_hooks.engine.name_record import Name, load_names, save_names
from mptcp_hooks.machine.runner import tell_failure

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from mptcp_hooks.base.errors import Problem
    from mptcp_hooks.base.model import Route, TableUse
    from mptcp_hooks.engine.record import Store
    from mptcp_hooks.machine.runner import Kernel

    Seen = Mapping[int, TableUse]
    Wanted = Mapping[int, tuple[Name, ...] | None]


class _Difference(NamedTuple):
    """What is to be of names, and what of that is left to do.

    `new` are those that are to be, `old` those that are to go, `broken` are new ones that do not
    stand as they should, and `late` the families whose detours are to be made anew.
    """

    new: tuple[Name, ...]
    old: tuple[Name, ...]
    broken: tuple[Name, ...]
    late: tuple[int, ...]


def can_name() -> bool:
    """Whether the templates have lines for it: a copy of an older version has none."""
    rule = Name(4, "")
    return bool(build_name(rule)) and bool(build_end_of_name(rule))


def are_settled(store: Store, kernel: Kernel, wanted: Wanted) -> bool:
    """Whether all is as settle_names would make it; that needs no lock, and most rounds see it."""
    left = _compare(store, kernel, wanted)
    return not (left.old or left.broken or left.late) and left.new == load_names(store.folder)


def settle_names(store: Store, kernel: Kernel, wanted: Wanted) -> list[Problem]:
    """Have the resolvers that are `wanted` asked over their uplinks, and no others; what failed.

    By family: the names, or None where not even the rule may stand. Without a name it stays if it
    is there. Both what comes and what goes is on record meanwhile: whoever is killed leaves what
    the next one makes right. What is ours in the table and on no record goes as well.
    """
    left = _compare(store, kernel, wanted)
    save_names(store.folder, (*left.old, *left.new))
    failures = kernel.runner.undo_sets([one.down for one in left.old])
    wrong = kernel.runner.apply_sets([build_name(one) for one in left.broken])
    # What stands of it may lead by an uplink that is the wrong one by now.
    kernel.runner.undo_sets([left.broken[failure.number].down for failure in wrong])
    failures += wrong + renew_detours(store, kernel, left.late)
    # What failed is tried again.
    save_names(store.folder, (*left.old, *left.new) if failures else left.new)
    return [tell_failure(failure) for failure in failures]


def end_leading(store: Store, kernel: Kernel, barred: Iterable[int] = ()) -> list[Problem]:
    """Take away all that leads what is bound to nothing elsewhere than main does; what failed.

    The families that are `barred` find no way at all.
    """
    return [*settle_names(store, kernel, {}),
            *settle_detours(store, kernel, dict.fromkeys(barred, 0))]


def _compare(store: Store, kernel: Kernel, wanted: Wanted) -> _Difference:
    recorded = load_names(store.folder)
    tables = kernel.read_tables()
    seen = {family: tables.read_names(family) for family in (4, 6)}
    new = tuple(_list_new(wanted, recorded))
    kept = {(one.family, one.resolver) for one in new}
    return _Difference(
        new=new,
        old=tuple(one for one in (*recorded, *_list_strays(seen, recorded))
                  if (one.family, one.resolver) not in kept),
        broken=tuple(one for one in new
                     if one not in recorded or not _stands(one, seen[one.family])),
        late=tuple(one.family for one in new
                   if not one.resolver and _is_late(seen[one.family])))


def _list_new(wanted: Wanted, recorded: tuple[Name, ...]) -> Iterator[Name]:
    """The rule of each family that is to have one, and its names, with what undoes them."""
    known = {one._replace(down=()): one for one in recorded}
    ruled = {one.family for one in recorded if not one.resolver}
    for family, names in sorted(wanted.items()):
        if names is not None and (names or family in ruled):
            for one in (Name(family, ""), *names):
                yield known.get(one) or one._replace(down=build_end_of_name(one))


def _list_strays(seen: Seen, recorded: tuple[Name, ...]) -> Iterator[Name]:
    """What is ours of the table of names, and no record tells of."""
    known = {(one.family, one.resolver) for one in recorded}
    for family, use in seen.items():
        standing = [""] * any(rule.table == NAMES_TABLE for rule in use.rules)
        standing += [route.destination.partition("/")[0] for route in use.routes
                     if route.protocol == PROTOCOL]
        for resolver in standing:
            if (family, resolver) not in known:
                one = Name(family, resolver)
                yield one._replace(down=build_end_of_name(one))


def _stands(one: Name, use: TableUse) -> bool:
    """Whether the kernel shows a name as it is to be."""
    if not one.resolver:
        return any(rule.table == NAMES_TABLE for rule in use.rules)
    return any(_is_of(one, route) for route in use.routes)


def _is_of(one: Name, route: Route) -> bool:
    return (route.destination, route.kind, route.gateway, route.device, route.source,
            route.protocol) == (f"{one.resolver}/{BITS[one.family]}", "unicast", one.gateway,
                                one.ifindex, one.source, PROTOCOL)


def _is_late(use: TableUse) -> bool:
    """Whether a detour stands that the kernel asks before the rule, or would once that is made."""
    tables = [rule.table for rule in use.rules]
    return bool(tables) and tables[0] != NAMES_TABLE
