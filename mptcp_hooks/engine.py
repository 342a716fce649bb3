"""Carries prepared work out and keeps the record true."""

from __future__ import annotations

from mptcp_hooks import commands, plan, runner, system
from mptcp_hooks.errors import Problem
from mptcp_hooks.kept import keep_commands
from mptcp_hooks.netlink import PathManager
from mptcp_hooks.record import Installed, Stanza, Store
from mptcp_hooks.runner import Failure
from mptcp_hooks.system import RuleReader
from mptcp_hooks.value import TYPE_CHECKING
from mptcp_hooks.work import Change, LimitsChange, Work, forget_endpoint

if TYPE_CHECKING:
    from mptcp_hooks.plan import Path

    # What became of each path: as on record now, or None where nothing of it stands.
    Outcomes = dict[Path, Installed | None]


# What the kernel or ip says, and what a person can do about it.
_HINTS = {
    "Nexthop has invalid gateway": "is that gateway on this link?",
    "too many addresses or duplicate one: -34": "the kernel's eight endpoints are taken, "
                                                "see 'ip mptcp endpoint'",
    "any valid address is expected": "this ip is too old for that flag, see mptcp-flags",
    "Cannot find device": "it went away meanwhile",
    "Invalid source address": "the interface does not have it, see 'ip address'",
    "Operation not permitted": "it takes root, or CAP_NET_ADMIN",
}


def carry_out(store: Store, work: Work) -> list[Problem]:
    """Do the work; the problems met on the way, each told with its command.

    The record is written before the machine changes: what a killed hook leaves
    behind is on record, and the next one completes it or takes it away.
    """
    for iface, stanzas in work.pending:
        store.save(iface, stanzas)
    if work.limits.after is not None:
        _save_limits(store, work.limits)
    problems = list(work.problems)
    if work.undo:
        problems += [_tell("", failure) for failure in runner.undo_lines(work.undo)]
    outcomes: Outcomes = {}
    if work.changes or work.limits.raising:
        problems += _make_changes(work, outcomes)
    if work.limits.restoring:
        problems += [_tell("", failure) for failure in runner.apply_sets([work.limits.restoring])]
    if work.limits.after is None:
        _save_limits(store, work.limits)
    _save_outcomes(store, work, outcomes)
    keep_commands()
    return problems


def _make_changes(work: Work, outcomes: Outcomes) -> list[Problem]:
    sets = [change.lines for change in work.changes]
    failures = runner.apply_sets([work.limits.raising, *sets])
    manager, rules = system.read_path_manager(), system.RuleReader()
    problems = [_tell("", failure) for failure in failures if failure.place == 0]
    for place, change in enumerate(work.changes, start=1):
        path = change.after.path
        mine = [failure for failure in failures if failure.place == place]
        outcomes[path] = _settle(change, mine, manager, rules)
        # The first word is enough: a failed line often fails those after it.
        problems += [_tell(path.iface, failure) for failure in mine[:1]]
    return problems


def _settle(
    change: Change, failures: list[Failure], manager: PathManager, rules: RuleReader
) -> Installed | None:
    """What stands of a path after its lines ran: all, its routing alone, or what was before."""
    if any(not commands.is_mptcp(failure.line) for failure in failures):
        _roll_back(change, manager)
        return change.before
    made = forget_endpoint(change.after) if failures else change.after
    path = made.path
    use = system.read_table_use(path.family, path.address, path.device, path.table, rules)
    return made._replace(kernel=plan.describe_kernel(path, use, manager.endpoints or ()))


def _roll_back(change: Change, manager: PathManager) -> None:
    before = change.before
    stale = [line for line in change.after.down if before is None or line not in before.down]
    runner.undo_lines(commands.bind_ids(stale, change.after.path, manager.endpoints or ()))
    if before is not None:
        runner.apply_sets([_missing_lines(before, manager)])


def _missing_lines(installed: Installed, manager: PathManager) -> tuple[str, ...]:
    present = any(plan.owns_endpoint(installed.path, endpoint)
                  for endpoint in manager.endpoints or ())
    return tuple(line for line in installed.up
                 if not (present and commands.is_endpoint_add(line, installed.path)))


def _save_outcomes(store: Store, work: Work, outcomes: Outcomes) -> None:
    """Write what became of the paths."""
    for iface, stanzas in work.records:
        corrected = [(stanza, _correct(stanza, outcomes)) for stanza in stanzas]
        # A stanza whose every path failed is as if it had never come.
        store.save(iface, tuple(now for planned, now in corrected
                                if now.paths or not planned.paths))
    lost = [f"{path.iface} {path.address}" for path, outcome in outcomes.items()
            if path.endpoint and not (outcome and outcome.path.endpoint)]
    if lost:
        _disown(store, lost)


def _save_limits(store: Store, limits: LimitsChange) -> None:
    if limits.after != limits.before:
        store.save_limits(limits.after)


def _correct(stanza: Stanza, outcomes: Outcomes) -> Stanza:
    settled = [outcomes.get(one.path, one) for one in stanza.paths]
    return stanza._replace(paths=tuple(one for one in settled if one is not None))


def _disown(store: Store, lost: list[str]) -> None:
    """Give up endpoints that were not made, and the raised limits with the last of ours."""
    recorded = store.load_limits()
    manager = system.read_path_manager()
    if recorded is None or manager.limits is None:
        return
    left = recorded._replace(
        owners=tuple(owner for owner in recorded.owners if owner not in lost))
    store.save_limits(left)
    restored = plan.restore_limits(manager.limits, recorded.raised, recorded.before)
    if not left.owners and restored != manager.limits:
        runner.apply_sets([commands.build_restore(restored)])


def _tell(iface: str, failure: Failure) -> Problem:
    who = f"{iface}: " if iface else ""
    hints = [f" ({hint})" for words, hint in _HINTS.items() if words in failure.reason]
    return Problem(f"{who}{failure.line}: {failure.reason}{''.join(hints)}")
