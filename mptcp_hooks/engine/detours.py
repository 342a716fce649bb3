# SPDX-License-Identifier: GPL-2.0-or-later
"""Where new connections that are bound to nothing go while main leads them to a dead uplink.

A pair of rules directly before main: main without its default, then the table of an uplink that
is alive. Or, where a tunnel had the default and is gone with it, a rule that has them find no
way at all: what it kept private would leave in clear. The monitor decides (monitor/way_out.py);
hooks take all of it away with the last path, but for the latter while a monitor runs.
"""

from __future__ import annotations

from mptcp_hooks.base.model import Detour
from mptcp_hooks.base.numbering import MAIN_TABLE
from mptcp_hooks.base.value import TYPE_CHECKING
from mptcp_hooks.engine.command_cache import keep_commands
from mptcp_hooks.engine.commands import build_detour, build_end_of_detour
from mptcp_hooks.machine.runner import tell_failure

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from mptcp_hooks.base.errors import Problem
    from mptcp_hooks.base.model import Rule
    from mptcp_hooks.engine.record import Store
    from mptcp_hooks.machine.failures import Failure
    from mptcp_hooks.machine.runner import Kernel


# Uplinks of a family; with no way at all they are as many sets as are kept (command_cache.py).
_READY_AT_MOST = 7


def make_detours_ready(family: int, tables: Iterable[int]) -> None:
    """Keep the lines of detours to these tables: to render them takes most of a switch's time.

    Problem where a template is wrong.
    """
    for table in list(tables)[:_READY_AT_MOST]:
        build_detour(family, table)
        build_end_of_detour(family, table)
    keep_commands()


def settle_detours(
    store: Store, kernel: Kernel, wanted: Mapping[int, int | None]
) -> list[Problem]:
    """Make true the detours that are `wanted`; what failed.

    By family: the table that new connections leave by, 0 where they shall find no way, None
    where main decides. The new rules stand before the old ones go, and both are on record
    meanwhile: whoever is killed leaves what the next one takes away. Rules of this kind that no
    record tells of go as well.
    """
    recorded = store.load_detours()
    tables = kernel.read_tables()
    standing = {family: tables.read_detours(family) for family in (4, 6)}
    new = tuple(_make_detour(family, table)
                for family, table in sorted(wanted.items()) if table is not None)
    strays = _list_strays(standing, (*new, *recorded))
    old = tuple(one for one in (*recorded, *strays) if one not in new)
    broken = [one for one in new if not _stands(one, standing[one.family])]
    if not old and not broken and new == recorded:
        return []
    store.save_detours((*old, *new))
    # Whatever led by the table alone would stay before main's other rule.
    kernel.runner.undo_sets([one.down for one in broken if _is_headless(
        one, standing[one.family])])
    failures = kernel.runner.apply_sets([_list_missing(one, standing[one.family])
                                         for one in broken])
    if failures:
        # Half a detour leads more astray than none.
        kernel.runner.undo_sets([broken[failure.number].down for failure in failures])
    # Rules that old and new have in common stay.
    kept = {line for one in new for line in one.down}
    failures += kernel.runner.undo_sets(
        [tuple(line for line in one.down if line not in kept) for one in old])
    # What failed is tried again.
    store.save_detours((*old, *new) if failures else new)
    return [tell_failure(failure) for failure in failures]


def renew_detours(store: Store, kernel: Kernel, families: Iterable[int]) -> list[Failure]:
    """Make the pairs of these families anew, so that what stands beside them is older; failures.

    The kernel has no rule twice. So the old pair goes first, in the same run of `ip`; whoever is
    killed between leaves it on record, and settle_detours makes it.
    """
    meant = set(families)
    return kernel.runner.apply_sets([
        (*one.down, *build_detour(one.family, one.table)) for one in store.load_detours()
        if one.family in meant and one.table])


def _make_detour(family: int, table: int) -> Detour:
    return Detour(family, table, build_end_of_detour(family, table))


def _list_strays(
    standing: Mapping[int, list[Rule]], known: tuple[Detour, ...]
) -> Iterator[Detour]:
    """What leads somewhere, and is not known; main's other rule is part of any that does."""
    tables = {(one.family, one.table) for one in known}
    led = {family for family, table in tables if table}
    for family, rules in standing.items():
        for table in dict.fromkeys(rule.table for rule in rules):
            if (family, table) not in tables and not (table == MAIN_TABLE and family in led):
                yield _make_detour(family, table)


def _list_tables(detour: Detour) -> list[int]:
    """The tables that a detour's rules lead to, in their order; 0 is none."""
    return [MAIN_TABLE, detour.table] if detour.table else [0]


def _stands(detour: Detour, rules: list[Rule]) -> bool:
    """Whether all rules of a detour stand, in their order."""
    tables = [rule.table for rule in rules]
    wanted = _list_tables(detour)
    return [table for table in dict.fromkeys(tables) if table in wanted] == wanted


def _is_headless(detour: Detour, rules: list[Rule]) -> bool:
    """Whether a detour's own rule stands, and main's other one not before it."""
    return any(rule.table == detour.table for rule in rules)


def _list_missing(detour: Detour, rules: list[Rule]) -> tuple[str, ...]:
    """The lines of a detour whose rules do not stand; all, where it was taken away first."""
    lines = build_detour(detour.family, detour.table)
    if _is_headless(detour, rules):
        return lines
    there = {rule.table for rule in rules}
    return tuple(line for line, table in zip(lines, _list_tables(detour)) if table not in there)
