"""Makes the changes of a work: runs them, rolls back what failed, says what stands."""

from __future__ import annotations

from mptcp_hooks import commands, plan, runner, system
from mptcp_hooks.system import RuleReader
from mptcp_hooks.value import TYPE_CHECKING
from mptcp_hooks.work import forget_endpoint, list_restoring

if TYPE_CHECKING:
    from mptcp_hooks.errors import Problem
    from mptcp_hooks.netlink import PathManager
    from mptcp_hooks.plan import Path
    from mptcp_hooks.record import Installed, Store
    from mptcp_hooks.runner import Failure
    from mptcp_hooks.work import Change, Work

    # What became of each path: as on record now, or None where nothing of it stands.
    Outcomes = dict[Path, Installed | None]


def make_changes(work: Work) -> tuple[Outcomes, list[Problem]]:
    """Raise the limits and set the paths up; a path whose routing fails is rolled back."""
    sets = [change.lines for change in work.changes]
    failures = runner.apply_sets([work.limits.raising, *sets])
    problems = [runner.tell_failure(failure) for failure in failures if failure.place == 0]
    outcomes: Outcomes = {}
    manager, rules = system.read_path_manager(), system.RuleReader()
    for place, change in enumerate(work.changes, start=1):
        path = change.after.path
        mine = [failure for failure in failures if failure.place == place]
        outcomes[path] = _settle(change, mine, manager, rules)
        # The first word is enough: a failed line often fails those after it.
        problems += [runner.tell_failure(failure, path.iface) for failure in mine[:1]]
    return outcomes, problems


def disown_lost(store: Store, outcomes: Outcomes) -> None:
    """Give up endpoints that were not made, and the raised limits with the last of ours."""
    lost = [f"{path.iface} {path.address}" for path, outcome in outcomes.items()
            if path.endpoint and not (outcome and outcome.path.endpoint)]
    recorded = store.load_limits() if lost else None
    if recorded is None:
        return
    owners = tuple(owner for owner in recorded.owners if owner not in lost)
    store.save_limits(recorded._replace(owners=owners))
    current = system.read_path_manager().limits
    if owners or current is None:
        return
    runner.apply_sets([list_restoring(recorded, current)])


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
