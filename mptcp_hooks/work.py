"""What bringing interfaces up or down takes, prepared and not yet done.

A Work is plain data: printing its lines is the dry run, engine.carry_out does
it. The work of going down is prepared here; that of coming up in `draft`.
"""

from __future__ import annotations

from mptcp_hooks import commands, plan
from mptcp_hooks.errors import Problem
from mptcp_hooks.netlink import read_path_manager
from mptcp_hooks.record import LEAVING, SILENT, Installed, LimitsRecord, Stanza, Store
from mptcp_hooks.value import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from mptcp_hooks.netlink import Limits, PathManager
    from mptcp_hooks.plan import Path

    Records = dict[str, tuple[Stanza, ...]]


class Undo(NamedTuple):
    """What of a path on record is to go, and the lines for it, with the endpoint's id in place.

    `installed.down` has those lines alone: they are what stays on record where they fail.
    """

    installed: Installed
    lines: tuple[str, ...]


class Change(NamedTuple):
    """One path that is set up: what was on record of it, what will be, the lines to run.

    `late` are lines that take away what was in another table, once the new one is
    in place: what is under way meanwhile always has a table.
    """

    before: Installed | None
    after: Installed
    lines: tuple[str, ...]
    late: tuple[str, ...] = ()


class LimitsChange(NamedTuple):
    """The path manager's limits: what is on record, what will be, the lines to run."""

    before: LimitsRecord | None
    after: LimitsRecord | None
    raising: tuple[str, ...]
    restoring: tuple[str, ...]


class Work(NamedTuple):
    """In order: `undo` runs, then the limits are raised, the changes made, what they take the
    place of goes, the limits are restored.

    `pending` is what is on record of an interface meanwhile, `records` what will
    be then. `problems` cost an interface its paths; `warnings` and `remarks`
    (for -v) cost nothing.
    """

    pending: tuple[tuple[str, tuple[Stanza, ...]], ...]
    records: tuple[tuple[str, tuple[Stanza, ...]], ...]
    undo: tuple[Undo, ...]
    changes: tuple[Change, ...]
    limits: LimitsChange
    problems: tuple[Problem, ...]
    warnings: tuple[str, ...]
    remarks: tuple[str, ...]

    def list_lines(self) -> list[str]:
        """All lines in the order they run."""
        gone = [line for undo in self.undo for line in undo.lines]
        made = [line for change in self.changes for line in change.lines]
        moved = [line for change in self.changes for line in change.late]
        return [*gone, *self.limits.raising, *made, *moved, *self.limits.restoring]


def prepare_down(store: Store, ifaces: Iterable[str]) -> Work:
    """The work of taking away all that is on record of these interfaces."""
    return prepare_removal(store, ifaces, lambda path, line: True, lambda stanzas: ())


def prepare_dismissal(store: Store, ifaces: Iterable[str]) -> Work:
    """The work of taking all of these interfaces away until a person or ifup wants them again.

    What was told stays on record, so that nothing takes them in anew by itself.
    """
    return prepare_removal(store, ifaces, lambda path, line: True, lambda stanzas: tuple(
        stanza._replace(paths=(), state=LEAVING) for stanza in stanzas if stanza.told))


def prepare_farewell(store: Store, ifaces: Iterable[str]) -> Work:
    """The work of taking away the endpoints alone, while the link still carries.

    Nothing comes back by itself until the interfaces are brought up again.
    """
    return prepare_removal(store, ifaces, _is_endpoints, lambda stanzas: tuple(
        stanza._replace(state=LEAVING) for stanza in _forget_endpoints(stanzas)))


def prepare_silence(store: Store, ifaces: Iterable[str]) -> Work:
    """The work of taking away the endpoints of links without a carrier, until it returns."""
    return prepare_removal(store, ifaces, _is_endpoints, lambda stanzas: tuple(
        stanza._replace(state=stanza.state or SILENT) for stanza in _forget_endpoints(stanzas)))


def prepare_removal(
    store: Store,
    ifaces: Iterable[str],
    is_meant: Callable[[Path, str], bool],
    remains: Callable[[tuple[Stanza, ...]], tuple[Stanza, ...]],
) -> Work:
    """The work of undoing the lines that are meant; what `remains` of each record."""
    manager = read_path_manager()
    recorded, problems = _load_each(store, ifaces)
    records = {iface: remains(stanzas) for iface, stanzas in recorded.items()}
    meant = [one._replace(down=tuple(line for line in one.down if is_meant(one.path, line)))
             for stanzas in recorded.values() for stanza in stanzas for one in stanza.paths]
    try:
        limits = settle_limits(store.load_limits(), manager, records)
    except Problem as problem:
        # The paths go all the same.
        problems.append(problem)
        limits = LimitsChange(None, None, (), ())
    return Work(
        pending=(),
        records=tuple(records.items()),
        undo=tuple(Undo(one, commands.bind_ids(one.down, one.path, manager.endpoints or ()))
                   for one in meant),
        changes=(),
        limits=limits,
        problems=tuple(problems),
        warnings=(),
        remarks=(),
    )


def keep_remainder(installed: Installed) -> Installed:
    """What stays on record of a path that could not be undone: how to undo it."""
    return installed._replace(up=(), kernel="")


def forget_endpoint(installed: Installed) -> Installed:
    """The same path as routing only."""
    return Installed(
        path=installed.path._replace(endpoint=False),
        up=tuple(line for line in installed.up if not commands.is_mptcp(line)),
        down=tuple(line for line in installed.down if not commands.is_mptcp(line)),
        kernel=installed.kernel,
    )


def _load_each(store: Store, ifaces: Iterable[str]) -> tuple[Records, list[Problem]]:
    """What is on record of each interface; a damaged record does not cost the others."""
    recorded: Records = {}
    problems: list[Problem] = []
    for iface in ifaces:
        try:
            stanzas = store.load(iface)
        except Problem as problem:
            problems.append(problem)
            continue
        if stanzas:
            recorded[iface] = stanzas
    return recorded, problems


def settle_limits(
    recorded: LimitsRecord | None, manager: PathManager, records: Records
) -> LimitsChange:
    """The limits that our endpoints need, or with the last of them those before the first."""
    owners = _list_owners(recorded, records)
    current = manager.limits
    if current is None or (recorded is None and not owners):
        return LimitsChange(recorded, recorded, (), ())
    before = plan.restore_limits(current, recorded.raised, recorded.before) if recorded else current
    if not owners:
        return LimitsChange(recorded, None, (), list_restoring(recorded, current))
    needed = plan.raise_limits(current, [one.flags for one in manager.endpoints or ()])
    if needed == current and recorded:
        return LimitsChange(recorded, recorded._replace(owners=owners), (), ())
    raising = commands.build_raise(needed) if needed != current else ()
    restore = commands.build_restore(before) if needed != before else ()
    return LimitsChange(recorded, LimitsRecord(before, needed, owners, restore), raising, ())


def list_restoring(recorded: LimitsRecord | None, current: Limits) -> tuple[str, ...]:
    """The lines that take our raise of the limits back, as far as nobody else set them since."""
    if recorded is None:
        return ()
    restored = plan.restore_limits(current, recorded.raised, recorded.before)
    if restored == current:
        return ()
    return recorded.restore if restored == recorded.before else commands.build_restore(restored)


def _list_owners(recorded: LimitsRecord | None, records: Records) -> tuple[str, ...]:
    """Whose endpoints are ours, as `IFACE ADDRESS`, once `records` stand."""
    others = [owner for owner in (recorded.owners if recorded else ())
              if owner.partition(" ")[0] not in records]
    ours = [f"{iface} {one.path.address}" for iface, stanzas in records.items()
            for stanza in stanzas for one in stanza.paths if one.path.endpoint]
    return tuple(sorted([*others, *ours]))


def _is_endpoints(path: Path, line: str) -> bool:
    return commands.is_mptcp(line)


def _forget_endpoints(stanzas: tuple[Stanza, ...]) -> tuple[Stanza, ...]:
    return tuple(stanza._replace(paths=tuple(map(forget_endpoint, stanza.paths)))
                 for stanza in stanzas)
