# SPDX-License-Identifier: GPL-2.0-or-later
"""Carries prepared work out, keeps the record true, and says what is to be said of it."""

from __future__ import annotations

from mptcp_hooks.base.errors import Problem
from mptcp_hooks.base.model import Stanza
from mptcp_hooks.base.spawn import dismiss_ahead
from mptcp_hooks.base.value import TYPE_CHECKING
from mptcp_hooks.engine.command_cache import keep_commands
from mptcp_hooks.engine.record import has_deferred, lock_store
from mptcp_hooks.engine.work import keep_remainder
from mptcp_hooks.machine.runner import tell_failure

if TYPE_CHECKING:
    from collections.abc import Callable

    from mptcp_hooks.base.model import Installed
    from mptcp_hooks.engine.make_changes import Outcomes
    from mptcp_hooks.engine.record import Store
    from mptcp_hooks.engine.work import LimitsChange, Records, Undo, Work
    from mptcp_hooks.machine.runner import Kernel, Runner


def do_work(
    kernel: Kernel, prepare: Callable[[Store], Work], say: Callable[[str], None],
    verbose: bool, patient: bool = False,
) -> tuple[Work, list[Problem]]:
    """Prepare a work, announce it, carry it out, and tell what failed.

    The record is locked meanwhile; what hooks left that gave up comes first. `say` hears
    one line at a time, and remarks only where it is `verbose`. It is `patient` where a
    person waits. What was done, and the problems; Problem where the record cannot be
    opened, nothing could be prepared, or a command did not end.
    """
    try:
        with lock_store(say if patient else None) as store:
            _take_in_deferred(store, kernel, say)
            work = prepare(store)
            for text in (*work.warnings, *(work.remarks if verbose else ())):
                say(text)
            problems = carry_out(store, kernel, work)
            keep_commands()
    finally:
        # It has the lock as well.
        dismiss_ahead()
    for problem in problems:
        say(str(problem))
    _settle_deferred(kernel, say)
    return work, problems


def carry_out(store: Store, kernel: Kernel, work: Work) -> list[Problem]:
    """Do the work; the problems met on the way, each told with its command.

    The record is written before the machine changes: what a killed hook leaves
    behind is on record, and the next one completes it or takes it away. What
    could not be undone stays on record until it is.
    """
    for iface, lease in work.leases:
        store.save_lease(iface, lease)
    if work.resolvers:
        _note_resolvers(store, work)
    for iface, stanzas in work.pending:
        store.save(iface, stanzas)
    remainders, problems = _undo(kernel.runner, work.undo)
    if work.limits.after is not None:
        _save_limits(store, work.limits)
    records, limits, failed = _set_up(store, kernel, work)
    problems += failed
    if limits.after is None:
        problems += _restore_limits(store, kernel.runner, limits)
    for iface, standing in records.items():
        left = tuple(one for one in remainders if one.path.iface == iface)
        records[iface] = (*standing, *[Stanza((), left)] * bool(left))
    # Whoever is killed until then has left the last path on record, which the next one takes away.
    problems += _end_monitors(store, kernel, records)
    for iface, stanzas in records.items():
        store.save(iface, stanzas)
    return [*work.problems, *problems]


def _note_resolvers(store: Store, work: Work) -> None:
    """Note what DHCP clients say of IPv6's resolvers; few works have any."""
    from mptcp_hooks.engine.name_record import save_resolvers

    for iface, word, resolvers in work.resolvers:
        save_resolvers(store.folder, iface, word, resolvers)


def _end_monitors(store: Store, kernel: Kernel, records: Records) -> list[Problem]:
    """With the last path, take away what only a monitor made: what leads, roles and tunnels.

    `records` are those that are yet to be written. While a monitor runs, the way stays barred
    that it barred: the next path may come before main has a default again. So do tunnels stay on
    record: what runs in one is not to go on outside it. What fails costs no record; Problem where
    a command did not end.
    """
    try:
        if not store.has_monitors() or _is_path_left(store, records):
            return []
        return _forget_monitors(store, kernel)
    except Problem as problem:
        if problem.in_vain:
            raise
        return [problem]


def _is_path_left(store: Store, records: Records) -> bool:
    """Whether there is a path still, by these records and by those of other interfaces."""
    return any(stanza.paths for stanzas in records.values() for stanza in stanzas) or any(
        stanza.paths for iface in store.list_interfaces() if iface not in records
        for stanza in store.load(iface))


def _forget_monitors(store: Store, kernel: Kernel) -> list[Problem]:
    from mptcp_hooks.engine.names import end_leading

    # The endpoints have gone, and the roles with them.
    store.save_roles(())
    store.save_front(0)
    barred = [one.family for one in store.load_detours() if not one.table]
    guarded = bool(barred or store.load_tunnels()) and _is_monitored()
    if not guarded:
        store.save_tunnels(())
    return end_leading(store, kernel, barred if guarded else [])


def _is_monitored() -> bool:
    from mptcp_hooks.machine.claim import is_claimed

    return is_claimed()


def _take_in_deferred(store: Store, kernel: Kernel, say: Callable[[str], None]) -> None:
    """Do what hooks left that gave up; few ever need it."""
    if has_deferred():
        from mptcp_hooks.engine.deferred import take_in

        take_in(store, kernel, carry_out, say)


def _settle_deferred(kernel: Kernel, say: Callable[[str], None]) -> None:
    """The same after our own work: what was left while we had the lock."""
    if has_deferred():
        from mptcp_hooks.engine.deferred import settle

        settle(kernel, carry_out, say)


def _undo(runner: Runner, undo: tuple[Undo, ...]) -> tuple[list[Installed], list[Problem]]:
    """Take away what must go; what could not be, and why."""
    failures = runner.undo_sets([one.lines for one in undo])
    # The first word of each path is enough: where `ip` fails once, it fails for all lines.
    first = {failure.number: failure for failure in reversed(failures)}
    problems = [tell_failure(failure, undo[number].installed.path.iface)
                for number, failure in sorted(first.items())]
    remainders = [keep_remainder(undo[number].installed) for number in sorted(first)]
    return remainders, problems


def _set_up(
    store: Store, kernel: Kernel, work: Work
) -> tuple[Records, LimitsChange, list[Problem]]:
    """Make the changes: what goes on record, what is left to do about the limits, what failed."""
    records = dict(work.records)
    if not work.changes and not work.limits.raising:
        return records, work.limits, []
    # Only the way up needs it.
    from mptcp_hooks.engine.make_changes import make_changes, settle_limits_anew

    outcomes, problems = make_changes(kernel, work)
    records = {iface: _list_standing(stanzas, outcomes) for iface, stanzas in records.items()}
    limits, failed = settle_limits_anew(store, kernel, records, work.limits, outcomes)
    return records, limits, problems + failed


def _restore_limits(store: Store, runner: Runner, limits: LimitsChange) -> list[Problem]:
    """Take our raise back and forget it; where that fails, the next work tries again."""
    failures = runner.apply_sets([limits.restoring])
    if failures and limits.before is not None:
        store.save_limits(limits.before._replace(owners=()))
    else:
        _save_limits(store, limits)
    return [tell_failure(failure) for failure in failures]


def _list_standing(stanzas: tuple[Stanza, ...], outcomes: Outcomes) -> tuple[Stanza, ...]:
    """The record as it came true; a stanza whose every path failed is as if it had never come."""
    corrected = [(stanza, _correct(stanza, outcomes)) for stanza in stanzas]
    return tuple(now for planned, now in corrected if now.paths or not planned.paths)


def _save_limits(store: Store, limits: LimitsChange) -> None:
    if limits.after != limits.before:
        store.save_limits(limits.after)


def _correct(stanza: Stanza, outcomes: Outcomes) -> Stanza:
    settled = [standing for one in stanza.paths for standing in outcomes.get(one.path, (one,))]
    return stanza._replace(paths=tuple(settled))
