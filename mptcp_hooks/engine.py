"""Carries prepared work out and keeps the record true."""

from __future__ import annotations

from mptcp_hooks import runner
from mptcp_hooks.kept import keep_commands
from mptcp_hooks.value import TYPE_CHECKING

if TYPE_CHECKING:
    from mptcp_hooks.changes import Outcomes
    from mptcp_hooks.errors import Problem
    from mptcp_hooks.record import Stanza, Store
    from mptcp_hooks.work import LimitsChange, Work


def carry_out(store: Store, work: Work) -> list[Problem]:
    """Do the work; the problems met on the way, each told with its command.

    The record is written before the machine changes: what a killed hook leaves
    behind is on record, and the next one completes it or takes it away.
    """
    for iface, stanzas in work.pending:
        store.save(iface, stanzas)
    if work.limits.after is not None:
        _save_limits(store, work.limits)
    failures = runner.undo_lines(work.undo)
    outcomes, problems = _set_up(store, work)
    failures += runner.apply_sets([work.limits.restoring])
    if work.limits.after is None:
        _save_limits(store, work.limits)
    for iface, stanzas in work.records:
        store.save(iface, _list_standing(stanzas, outcomes))
    keep_commands()
    return [*work.problems, *map(runner.tell_failure, failures), *problems]


def _set_up(store: Store, work: Work) -> tuple[Outcomes, list[Problem]]:
    if not work.changes and not work.limits.raising:
        return {}, []
    # Only the way up needs it.
    from mptcp_hooks.changes import disown_lost, make_changes

    outcomes, problems = make_changes(work)
    disown_lost(store, outcomes)
    return outcomes, problems


def _list_standing(stanzas: tuple[Stanza, ...], outcomes: Outcomes) -> tuple[Stanza, ...]:
    """The record as it came true; a stanza whose every path failed is as if it had never come."""
    corrected = [(stanza, _correct(stanza, outcomes)) for stanza in stanzas]
    return tuple(now for planned, now in corrected if now.paths or not planned.paths)


def _save_limits(store: Store, limits: LimitsChange) -> None:
    if limits.after != limits.before:
        store.save_limits(limits.after)


def _correct(stanza: Stanza, outcomes: Outcomes) -> Stanza:
    settled = [outcomes.get(one.path, one) for one in stanza.paths]
    return stanza._replace(paths=tuple(one for one in settled if one is not None))
