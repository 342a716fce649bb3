"""Carries prepared work out and keeps the record true."""

from __future__ import annotations

from mptcp_hooks import runner
from mptcp_hooks.kept import keep_commands
from mptcp_hooks.record import Stanza
from mptcp_hooks.value import TYPE_CHECKING
from mptcp_hooks.work import keep_remainder

if TYPE_CHECKING:
    from mptcp_hooks.changes import Outcomes
    from mptcp_hooks.errors import Problem
    from mptcp_hooks.record import Installed, Store
    from mptcp_hooks.work import LimitsChange, Undo, Work


def carry_out(store: Store, work: Work) -> list[Problem]:
    """Do the work; the problems met on the way, each told with its command.

    The record is written before the machine changes: what a killed hook leaves
    behind is on record, and the next one completes it or takes it away. What
    could not be undone stays on record until it is.
    """
    for iface, stanzas in work.pending:
        store.save(iface, stanzas)
    remainders, problems = _undo(work.undo)
    if work.limits.after is not None:
        _save_limits(store, work.limits)
    outcomes, failed = _set_up(store, work)
    problems += failed
    if work.limits.after is None:
        problems += _restore_limits(store, work.limits)
    for iface, stanzas in work.records:
        left = tuple(one for one in remainders if one.path.iface == iface)
        standing = _list_standing(stanzas, outcomes)
        store.save(iface, (*standing, *[Stanza((), left)] * bool(left)))
    keep_commands()
    return [*work.problems, *problems]


def _undo(undo: tuple[Undo, ...]) -> tuple[list[Installed], list[Problem]]:
    """Take away what must go; what could not be, and why."""
    failures = runner.undo_sets([one.lines for one in undo])
    # The first word of each path is enough: where `ip` fails once, it fails for all lines.
    first = {failure.place: failure for failure in reversed(failures)}
    problems = [runner.tell_failure(failure, undo[place].installed.path.iface)
                for place, failure in sorted(first.items())]
    remainders = [keep_remainder(undo[place].installed) for place in sorted(first)]
    return remainders, problems


def _set_up(store: Store, work: Work) -> tuple[Outcomes, list[Problem]]:
    if not work.changes and not work.limits.raising:
        return {}, []
    # Only the way up needs it.
    from mptcp_hooks.changes import disown_lost, make_changes

    outcomes, problems = make_changes(work)
    return outcomes, problems + disown_lost(store, outcomes)


def _restore_limits(store: Store, limits: LimitsChange) -> list[Problem]:
    """Take our raise back and forget it; where that fails, the next work tries again."""
    failures = runner.apply_sets([limits.restoring])
    if failures and limits.before is not None:
        store.save_limits(limits.before._replace(owners=()))
    else:
        _save_limits(store, limits)
    return [runner.tell_failure(failure) for failure in failures]


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
