"""What bringing interfaces up or down takes, prepared and not yet done.

Everything here only reads and returns a Work, which is plain data: printing its
lines is the dry run, engine.carry_out does it.
"""

from __future__ import annotations

from mptcp_hooks import commands, plan, system
from mptcp_hooks.errors import Problem
from mptcp_hooks.event import Event, recall_event
from mptcp_hooks.netlink import Endpoint, PathManager
from mptcp_hooks.plan import Path
from mptcp_hooks.record import Installed, LimitsRecord, Stanza, Store
from mptcp_hooks.settings import OPTIONS, Settings, read_settings
from mptcp_hooks.value import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    Records = dict[str, tuple[Stanza, ...]]


class Change(NamedTuple):
    """One path that is set up: what was on record of it, what will be, the lines to run."""

    before: Installed | None
    after: Installed
    lines: tuple[str, ...]


class Work(NamedTuple):
    """In order: `undo` runs, then `raising` (limits), the changes, `restoring` (limits).

    `records` are the records that differ then, `limits` that of the limits
    where it does. `problems` cost an interface its paths; `warnings` and
    `remarks` (for -v) cost nothing.
    """

    records: tuple[tuple[str, tuple[Stanza, ...]], ...]
    limits: LimitsRecord | None
    undo: tuple[str, ...]
    raising: tuple[str, ...]
    changes: tuple[Change, ...]
    restoring: tuple[str, ...]
    problems: tuple[Problem, ...]
    warnings: tuple[str, ...]
    remarks: tuple[str, ...]

    def list_lines(self) -> list[str]:
        """All lines in the order they run."""
        made = [line for change in self.changes for line in change.lines]
        return [*self.undo, *self.raising, *made, *self.restoring]


def prepare_up(store: Store, events: Iterable[Event]) -> Work:
    """The work of bringing up the interfaces of `events`; a bad one does not cost the others."""
    draft = _Draft(store)
    for event in events:
        try:
            draft.add(event)
        except Problem as problem:
            draft.problems.append(problem)
    return draft.finish()


def prepare_down(store: Store, ifaces: Iterable[str]) -> Work:
    """The work of taking away all that is on record of these interfaces."""
    return _prepare_removal(store, ifaces, lambda line: True, lambda stanzas: ())


def prepare_farewell(store: Store, ifaces: Iterable[str]) -> Work:
    """The work of taking away the endpoints alone, while the link still carries."""
    return _prepare_removal(store, ifaces, commands.is_mptcp, _forget_endpoints)


def forget_endpoint(installed: Installed) -> Installed:
    """The same path as routing only."""
    return Installed(
        path=installed.path._replace(endpoint=False),
        up=tuple(line for line in installed.up if not commands.is_mptcp(line)),
        down=tuple(line for line in installed.down if not commands.is_mptcp(line)),
        kernel="",
    )


class _Draft:
    """Work that grows by one event at a time, each seeing what those before it will do."""

    def __init__(self, store: Store) -> None:
        self.problems: list[Problem] = []
        self._store = store
        self._manager = system.read_path_manager()
        self._on_file: Records = {}
        self._records: Records = {}
        self._undo: list[str] = []
        self._changes: list[Change] = []
        self._warnings: list[str] = []
        self._remarks: list[str] = []

    def add(self, event: Event) -> None:
        settings = read_settings(event)
        self._judge_settings(event, settings)
        recorded = self._recorded(event.iface)
        replaced = tuple(stanza for stanza in recorded if self._is_replaced(stanza, event))
        old = [installed for stanza in replaced for installed in stanza.paths]
        paths = self._plan(event, settings) if settings.wanted else ()
        changes = [self._prepare_change(path, old) for path in paths]

        kept = {change.after.path.address for change in changes}
        for installed in old:
            if installed.path.address not in kept:
                self._undo_lines(installed.down, installed.path)
        for change in changes:
            self._undo_outdated(change)
        self._changes += [change for change in changes if change.lines]
        self._expect_endpoints(paths)
        stanza = Stanza(event.told, tuple(change.after for change in changes))
        wanted = settings.wanted and (bool(paths) or not event.addresses)
        self._records[event.iface] = _put_in_place(recorded, replaced, (stanza,) * wanted)

    def finish(self) -> Work:
        limits, raising = self._raise_limits()
        return Work(
            records=tuple((iface, stanzas) for iface, stanzas in self._records.items()
                          if stanzas != self._on_file[iface]),
            limits=limits,
            undo=tuple(self._undo),
            raising=raising,
            changes=tuple(self._changes),
            restoring=(),
            problems=tuple(self.problems),
            warnings=tuple(self._warnings),
            remarks=tuple(self._remarks),
        )

    def _recorded(self, iface: str) -> tuple[Stanza, ...]:
        if iface not in self._records:
            self._on_file[iface] = self._records[iface] = self._store.load(iface)
        return self._records[iface]

    def _judge_settings(self, event: Event, settings: Settings) -> None:
        known = ", ".join(OPTIONS)
        self._warnings += [f"{event.iface}: no option is called {name}: ignored (there are {known})"
                           for name in settings.unknown]
        if not settings.wanted:
            self._remarks.append(f"{event.iface}: left alone")

    def _is_replaced(self, stanza: Stanza, event: Event) -> bool:
        """Whether an event renews a stanza on record, or finds its addresses gone."""
        if stanza.told == event.told:
            return True
        before = recall_event(stanza.told)
        old = {stated.address for stated in before.addresses}
        if not old:
            return not event.addresses and before.families == event.families
        if old & {stated.address for stated in event.addresses}:
            return True
        held = (*system.list_addresses(event.iface, before.families),
                *system.list_addresses(event.device, before.families))
        return not old & {stated.address for stated in held}

    def _plan(self, event: Event, settings: Settings) -> tuple[Path, ...]:
        host = system.read_host(event.iface, event.families, event.addresses)
        if not host.ifindex and not event.addresses:
            raise Problem(f"{event.iface}: no such interface")
        if not host.ifindex:
            self._warnings.append(f"{event.iface}: no such interface here: its table number "
                                  "will be 20000 + its ifindex")
        labels = sorted({event.iface, *self._store.list_labels(host.device)})
        installed = tuple(one.path for label in labels
                          for stanza in self._recorded(label) for one in stanza.paths)
        planned = plan.plan_paths(event.iface, settings, host, installed, self._manager)
        self._warnings += planned.warnings
        self._remarks += planned.remarks
        return planned.paths

    def _prepare_change(self, path: Path, old: list[Installed]) -> Change:
        same = [one for one in old if one.path.address == path.address]
        before = same[0] if same else None
        use = system.read_table_use(path.family, path.address, path.device, path.table)
        if before is None or before.path.table != path.table:
            _refuse_intruder(path, use)
        after = Installed(
            path=path,
            up=commands.build_up(path),
            down=commands.build_down(path),
            kernel=plan.describe_kernel(path, use, self._endpoints()),
        )
        if after == before:
            return Change(before, after, ())
        stays = (before is None or before.path.flags == path.flags) and any(
            plan.owns_endpoint(path, endpoint) for endpoint in self._endpoints())
        lines = tuple(line for line in after.up
                      if not (stays and commands.is_endpoint_add(line, path)))
        return Change(before, after._replace(kernel=""), lines)

    def _undo_outdated(self, change: Change) -> None:
        """Undo the lines on record that the change does not make again."""
        if change.before is None or not change.lines:
            return
        before, after = change.before, change.after
        remade = any(commands.is_endpoint_add(line, after.path) for line in change.lines)
        outdated = [line for line in before.down
                    if line not in after.down or (commands.is_mptcp(line) and remade)]
        self._undo_lines(outdated, before.path)

    def _undo_lines(self, lines: Iterable[str], path: Path) -> None:
        bound = commands.bind_ids(lines, path, self._endpoints())
        self._undo += bound
        if self._manager.endpoints and any(map(commands.is_mptcp, bound)):
            self._manager = self._manager._replace(endpoints=tuple(
                one for one in self._manager.endpoints if not plan.owns_endpoint(path, one)))

    def _endpoints(self) -> tuple[Endpoint, ...]:
        return self._manager.endpoints or ()

    def _expect_endpoints(self, paths: Iterable[Path]) -> None:
        there = {endpoint.address for endpoint in self._endpoints()}
        made = tuple(Endpoint(0, path.address, path.ifindex, path.flags)
                     for path in paths if path.endpoint and path.address not in there)
        self._manager = self._manager._replace(endpoints=(*self._endpoints(), *made))

    def _raise_limits(self) -> tuple[LimitsRecord | None, tuple[str, ...]]:
        recorded = self._store.load_limits()
        owners = _list_owners(recorded, self._records)
        current = self._manager.limits
        if current is None or not owners:
            return None, ()
        raised = plan.raise_limits(current, [one.flags for one in self._endpoints()])
        lines = commands.build_raise(raised) if raised != current else ()
        record = LimitsRecord(
            before=plan.restore_limits(current, recorded.raised, recorded.before)
            if recorded else current,
            raised=raised,
            owners=owners,
        )
        if recorded and not lines:
            record = recorded._replace(owners=owners)
        return (record if record != recorded else None), lines


def _refuse_intruder(path: Path, use: system.TableUse) -> None:
    intruder = plan.find_intruder(path, use)
    if intruder:
        raise Problem(f"{path.iface}: table {path.table} is in use by somebody else "
                      f"({intruder}): give it another mptcp-table")


def _put_in_place(
    recorded: tuple[Stanza, ...], replaced: tuple[Stanza, ...], new: tuple[Stanza, ...]
) -> tuple[Stanza, ...]:
    """The record with `new` where the first replaced stanza was, or at the end."""
    place = recorded.index(replaced[0]) if replaced else len(recorded)
    rest = [stanza for stanza in recorded if stanza not in replaced]
    return (*rest[:place], *new, *rest[place:])


def _prepare_removal(
    store: Store,
    ifaces: Iterable[str],
    is_meant: Callable[[str], bool],
    remains: Callable[[tuple[Stanza, ...]], tuple[Stanza, ...]],
) -> Work:
    manager = system.read_path_manager()
    undo: list[str] = []
    records: Records = {}
    for iface in ifaces:
        stanzas = store.load(iface)
        if stanzas:
            records[iface] = remains(stanzas)
        for installed in (one for stanza in stanzas for one in stanza.paths):
            lines = filter(is_meant, installed.down)
            undo += commands.bind_ids(lines, installed.path, manager.endpoints or ())
    limits, restoring = _restore_limits(store.load_limits(), manager, records)
    return Work(tuple(records.items()), limits, tuple(undo), (), (), restoring, (), (), ())


def _restore_limits(
    recorded: LimitsRecord | None, manager: PathManager, records: Records
) -> tuple[LimitsRecord | None, tuple[str, ...]]:
    if recorded is None or manager.limits is None:
        return None, ()
    left = recorded._replace(owners=_list_owners(recorded, records))
    if left == recorded:
        return None, ()
    restored = plan.restore_limits(manager.limits, recorded.raised, recorded.before)
    if left.owners or restored == manager.limits:
        return left, ()
    return left, commands.build_restore(restored)


def _list_owners(recorded: LimitsRecord | None, records: Records) -> tuple[str, ...]:
    """Whose endpoints are ours, as `IFACE ADDRESS`, once `records` stand."""
    others = [owner for owner in (recorded.owners if recorded else ())
              if owner.partition(" ")[0] not in records]
    ours = [f"{iface} {one.path.address}" for iface, stanzas in records.items()
            for stanza in stanzas for one in stanza.paths if one.path.endpoint]
    return tuple(sorted([*others, *ours]))


def _forget_endpoints(stanzas: tuple[Stanza, ...]) -> tuple[Stanza, ...]:
    return tuple(stanza._replace(paths=tuple(map(forget_endpoint, stanza.paths)))
                 for stanza in stanzas)
