"""Makes the changes of a work: runs them, rolls back what failed, says what stands."""

from __future__ import annotations

from mptcp_hooks import commands, plan, runner, system
from mptcp_hooks.system import RuleReader
from mptcp_hooks.value import TYPE_CHECKING
from mptcp_hooks.work import forget_endpoint, keep_remainder, list_restoring

if TYPE_CHECKING:
    from mptcp_hooks.errors import Problem
    from mptcp_hooks.netlink import PathManager
    from mptcp_hooks.plan import Path
    from mptcp_hooks.record import Installed, Store
    from mptcp_hooks.runner import Failure
    from mptcp_hooks.work import Change, Work

    # What stands of each path, as it goes on record: at most itself, what was before it,
    # and what could not be rolled back.
    Outcomes = dict[Path, tuple[Installed, ...]]


def make_changes(work: Work) -> tuple[Outcomes, list[Problem]]:
    """Raise the limits and set the paths up; a path whose routing fails is rolled back."""
    sets = [change.lines for change in work.changes]
    failures = runner.apply_sets([work.limits.raising, *sets])
    problems = [runner.tell_failure(failure) for failure in failures if failure.place == 0]
    outcomes: Outcomes = {}
    made: list[Change] = []
    manager = system.read_path_manager()
    for place, change in enumerate(work.changes, start=1):
        path = change.after.path
        mine = [failure for failure in failures if failure.place == place]
        # The first word is enough: a failed line often fails those after it.
        problems += [runner.tell_failure(failure, path.iface) for failure in mine[:1]]
        if any(not commands.is_mptcp(failure.line) for failure in mine):
            outcomes[path], stuck = _roll_back(change, manager)
            problems += [runner.tell_failure(failure, path.iface) for failure in stuck]
        else:
            made.append(change)
            outcomes[path] = (forget_endpoint(change.after) if mine else change.after,)
    problems += _leave_old_tables(made, outcomes)
    rules = system.RuleReader()
    for change in made:
        *left, standing = outcomes[change.after.path]
        outcomes[change.after.path] = (*left, _witness(standing, rules))
    return outcomes, problems


def disown_lost(store: Store, outcomes: Outcomes) -> list[Problem]:
    """Give up endpoints that were not made, and the raised limits with the last of ours."""
    lost = [f"{path.iface} {path.address}" for path, standing in outcomes.items()
            if path.endpoint and not any(one.path.endpoint for one in standing)]
    recorded = store.load_limits() if lost else None
    if recorded is None:
        return []
    left = recorded._replace(
        owners=tuple(owner for owner in recorded.owners if owner not in lost))
    current = system.read_path_manager().limits
    if left.owners or current is None:
        store.save_limits(left)
        return []
    failures = runner.apply_sets([list_restoring(recorded, current)])
    store.save_limits(left if failures else None)
    return [runner.tell_failure(failure) for failure in failures]


def _leave_old_tables(made: list[Change], outcomes: Outcomes) -> list[Problem]:
    """Take away what changes took the place of; what could not be stays, told with its reason."""
    problems: list[Problem] = []
    for failure in runner.undo_sets([change.late for change in made]):
        change = made[failure.place]
        path = change.after.path
        if change.before and len(outcomes[path]) == 1:
            # The other lines that undo it are those of the path as it is now.
            remainder = keep_remainder(change.before._replace(down=change.late))
            outcomes[path] = (remainder, *outcomes[path])
            problems.append(runner.tell_failure(failure, path.iface))
    return problems


def _witness(made: Installed, rules: RuleReader) -> Installed:
    """A path as it goes on record, with what the kernel shows of it.

    Where nothing is shown of what was just made, somebody flushed it in the
    meantime: that is not what is to stay.
    """
    path = made.path
    use = system.read_table_use(path.family, path.address, path.device, path.table, rules)
    kinds = commands.list_kinds(made.up, path)
    flushed = ("rule" in kinds and not use.rules) or ("route" in kinds and not use.routes)
    return made._replace(kernel="" if flushed else plan.describe_routing(use))


def _roll_back(
    change: Change, manager: PathManager
) -> tuple[tuple[Installed, ...], list[Failure]]:
    """Undo what was made of a path and restore what was before: what stands, what failed."""
    before, after = change.before, change.after
    stale = [line for line in after.down if before is None or line not in before.down]
    failures = runner.undo_sets([commands.bind_ids(stale, after.path, manager.endpoints or ())])
    remainder = (keep_remainder(after),) if failures else ()
    if before is None:
        return remainder, failures
    stuck = runner.apply_sets([_missing_lines(before, manager)])
    restored = before._replace(kernel="") if stuck else before
    return (*remainder, restored), failures + stuck


def _missing_lines(installed: Installed, manager: PathManager) -> tuple[str, ...]:
    present = any(plan.owns_endpoint(installed.path, endpoint)
                  for endpoint in manager.endpoints or ())
    return tuple(line for line in installed.up
                 if not (present and commands.is_endpoint_add(line, installed.path)))
