# SPDX-License-Identifier: GPL-2.0-or-later
"""Makes the changes of a work: runs them, rolls back what failed, says what stands."""

from __future__ import annotations

from mptcp_hooks.base.line import is_endpoint_add, is_mptcp, is_shown
from mptcp_hooks.base.value import TYPE_CHECKING
from mptcp_hooks.engine.commands import bind_ids
from mptcp_hooks.engine.limits import settle_limits
from mptcp_hooks.engine.work import forget_announced, forget_endpoint, keep_remainder
from mptcp_hooks.machine.runner import tell_failure

if TYPE_CHECKING:
    from mptcp_hooks.base.errors import Problem
    from mptcp_hooks.base.model import Installed, Path, PathManager
    from mptcp_hooks.engine.record import Store
    from mptcp_hooks.engine.work import Change, LimitsChange, Records, Work
    from mptcp_hooks.machine.failures import Failure
    from mptcp_hooks.machine.runner import Kernel, TableReader

    # What stands of each path, as it goes on record: at most itself, what was before it,
    # and what could not be rolled back.
    Outcomes = dict[Path, tuple[Installed, ...]]


def make_changes(kernel: Kernel, work: Work) -> tuple[Outcomes, list[Problem]]:
    """Raise the limits and set the paths up; a path whose routing fails is rolled back."""
    sets = [change.lines for change in work.changes]
    returning = [change.after.path for change in work.changes
                 if change.before and any(map(is_mptcp, change.lines))]
    if returning:
        kernel.forget_failing(returning)
    failures = kernel.runner.apply_sets([work.limits.raising, *sets])
    problems = [tell_failure(failure) for failure in failures if failure.number == 0]
    outcomes: Outcomes = {}
    made: list[Change] = []
    manager = kernel.read_path_manager()
    for number, change in enumerate(work.changes, start=1):
        path = change.after.path
        after = _find_device(change, manager)
        mine = [failure for failure in failures if failure.number == number
                and not _is_endpoint_there(failure.line, after.path, manager)]
        # The first word is enough: a failed line often fails those after it.
        problems += [tell_failure(failure, path.iface) for failure in mine[:1]]
        if any(not is_mptcp(failure.line) for failure in mine):
            outcomes[path], stuck = _roll_back(kernel, change._replace(after=after), manager)
            problems += [tell_failure(failure, path.iface) for failure in stuck]
        else:
            made.append(change)
            outcomes[path] = (_forget_failed(kernel, after, mine, manager),)
    problems += _undo_replaced(kernel, made, outcomes)
    _note_routing(kernel.read_tables(), made, outcomes)
    return outcomes, problems


def settle_limits_anew(
    store: Store, kernel: Kernel, records: Records, planned: LimitsChange, outcomes: Outcomes
) -> tuple[LimitsChange, list[Problem]]:
    """The limits that `records` need, which came true, and what failed; only to restore is left.

    Endpoints that were not made are no more ours, those of paths that were rolled back are as
    before, and some have other flags than were planned.
    """
    if all([one.path for one in standing] == [path] for path, standing in outcomes.items()):
        return planned, []
    # What is wrong with their record was said before.
    limits, _ = settle_limits(store, kernel.read_path_manager(), records, planned.wanted)
    if limits.after is not None:
        store.save_limits(limits.after)
    failures = kernel.runner.apply_sets([limits.raising])
    return limits, [tell_failure(failure) for failure in failures]


def _find_device(change: Change, manager: PathManager) -> Installed:
    """What a change made, with the device that the kernel took for the one that was meant.

    `ip` knows it by its name, which another one may have got since the work was planned, or one
    that was not there then. Who takes the endpoint away knows it by its device.
    """
    path = change.after.path
    devices = {one.device for one in manager.endpoints or () if one.stands_for(path.address)}
    if path.ifindex in devices or len(devices) != 1 or not any(
            is_endpoint_add(line, path.address) for line in change.lines):
        return change.after
    return change.after._replace(path=path._replace(ifindex=devices.pop()))


def _forget_failed(
    kernel: Kernel, made: Installed, failures: list[Failure], manager: PathManager
) -> Installed:
    """A path whose routing stands, without the endpoints that were not made.

    An announced one is a loss by itself. Without its own, a path has none.
    """
    path = made.path
    failed = {one.address for one in path.endpoints
              if any(is_endpoint_add(failure.line, one.address) for failure in failures)}
    if not failures:
        return made
    if failed and failed < {one.address for one in path.endpoints} \
            and path.address not in failed:
        return forget_announced(made, failed)
    if path.announced:
        lines = tuple(filter(is_mptcp, made.down))
        kernel.runner.undo_sets([bind_ids(lines, path, manager.endpoints or ())])
    return forget_endpoint(made)


def _undo_replaced(kernel: Kernel, made: list[Change], outcomes: Outcomes) -> list[Problem]:
    """Take away what changes took the place of; what could not be stays, told with its reason."""
    problems: list[Problem] = []
    for failure in kernel.runner.undo_sets([change.late for change in made]):
        change = made[failure.number]
        path = change.after.path
        if change.before and len(outcomes[path]) == 1:
            # The other lines that undo it are those of the path as it is now.
            remainder = keep_remainder(change.before._replace(down=change.late))
            outcomes[path] = (remainder, *outcomes[path])
            problems.append(tell_failure(failure, path.iface))
    return problems


def _note_routing(tables: TableReader, made: list[Change], outcomes: Outcomes) -> None:
    """Note with each path that was made what the kernel shows of its routing."""
    for change in made:
        *left, standing = outcomes[change.after.path]
        outcomes[change.after.path] = (*left, _describe_routing(standing, tables))


def _describe_routing(made: Installed, tables: TableReader) -> Installed:
    """A path as it goes on record, with what the kernel shows of it.

    Where it does not show all that was just made, somebody deleted it in the meantime:
    that is not what is to stay, and the next work makes it again.
    """
    path = made.path
    use = tables.read_use(path)
    whole = all(is_shown(line, path, use) for line in made.up)
    return made._replace(kernel=use.describe() if whole else "")


def _roll_back(
    kernel: Kernel, change: Change, manager: PathManager
) -> tuple[tuple[Installed, ...], list[Failure]]:
    """Undo what was made of a path and restore what was before: what stands, what failed."""
    before, after = change.before, change.after
    stale = [line for line in after.down if before is None or line not in before.down]
    failures = kernel.runner.undo_sets([bind_ids(stale, after.path, manager.endpoints or ())])
    remainder = (keep_remainder(after),) if failures else ()
    if before is None:
        return remainder, failures
    stuck = kernel.runner.apply_sets([_list_missing(before, manager)])
    restored = before._replace(kernel="") if stuck else before
    return (*remainder, restored), failures + stuck


def _is_endpoint_there(line: str, path: Path, manager: PathManager) -> bool:
    """Whether a line that failed makes an endpoint that is there.

    A batch runs twice where a line of it fails, and where all eight are taken the kernel has
    the same words for one that it has already as for a ninth (net/mptcp/pm_kernel.c,
    mptcp_pm_nl_append_new_local_addr).
    """
    return any(is_endpoint_add(line, address)
               for address in path.list_standing(manager.endpoints or ()))


def _list_missing(installed: Installed, manager: PathManager) -> tuple[str, ...]:
    """The lines that a path needs again: all but those of an endpoint that is there."""
    present = [one.address for one in manager.endpoints or () if installed.path.owns(one)]
    return tuple(line for line in installed.up
                 if not any(is_endpoint_add(line, address) for address in present))
