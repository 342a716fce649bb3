# SPDX-License-Identifier: GPL-2.0-or-later
"""The work of bringing interfaces up: the books that are kept while paths are compared."""

from __future__ import annotations

from mptcp_hooks.base.address import family_of
from mptcp_hooks.base.errors import Problem
from mptcp_hooks.base.line import is_mptcp
from mptcp_hooks.base.model import LEAVING, SILENT, Installed, Stanza
from mptcp_hooks.base.value import TYPE_CHECKING
from mptcp_hooks.engine import commands
from mptcp_hooks.engine.commands import is_about_id
from mptcp_hooks.engine.compare import (
    compare_path,
    find_obstacle,
    find_outdated,
    give_up,
    is_first,
    join_stanzas,
    judge_found,
    keep_standing,
    list_current,
    list_families,
    list_foreign,
    list_given_up,
    list_leftovers,
    list_own,
    order_records,
    renews,
    replace_stanzas,
)
from mptcp_hooks.engine.limits import judge_wanted, settle_limits
from mptcp_hooks.engine.plan import (
    Plan,
    choose_belongings,
    demote,
    find_holder,
    keep_belongings,
    plan_paths,
    takes,
    yields,
)
from mptcp_hooks.engine.work import Change, Work
from mptcp_hooks.intent.event import method_of, recall_event
from mptcp_hooks.intent.settings import (
    has_belongings,
    judge_options,
    note_mark,
    read_settings,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping

    from mptcp_hooks.base.model import DeviceView, Lease, Path, TableUse
    from mptcp_hooks.engine.record import Store
    from mptcp_hooks.engine.work import Records, Undo
    from mptcp_hooks.intent.event import Event
    from mptcp_hooks.intent.settings import Configuration, Settings
    from mptcp_hooks.machine.system import Machine

    # Leases that the work is about to note, by interface; None for one that ended.
    Leases = Mapping[str, Lease | None]


def prepare_up(
    store: Store, machine: Machine, events: Iterable[Event], configuration: Configuration
) -> Work:
    """The work of bringing up the interfaces of `events`; a bad one does not cost the others."""
    builder = WorkBuilder(store, machine, configuration)
    builder.add_each(events, builder.add)
    return builder.finish()


class WorkBuilder:
    """Work that grows by one event at a time, each seeing what those before it will do."""

    def __init__(
        self, store: Store, machine: Machine, configuration: Configuration,
        leases: Leases | None = None,
    ) -> None:
        self.problems: list[Problem] = []
        self._store = store
        self._machine = machine
        front = store.load_front() if configuration.answer else 0
        self._configuration = configuration._replace(
            preference=front) if front else configuration
        self._leases = leases or {}
        self._manager = machine.read_path_manager().without_roles(store.load_roles())
        self._tunnel = next((one.device for one in store.load_tunnels()), "")
        self._tables = machine.read_tables()
        self._uses: dict[Path, TableUse] = {}
        self._on_file: Records = {}
        self._records: Records = {}
        self._undo: list[Undo] = []
        self._changes: list[Change] = []
        self._warnings: list[str] = []
        self._remarks: list[str] = []
        self._told: set[tuple[str, ...]] = set()
        self._coming: dict[str, tuple[Event, ...]] = {}
        self._reduced: dict[Stanza, Stanza] = {}

    def add_each(self, events: Iterable[Event], add: Callable[[Event], None]) -> None:
        """Add each event, less those that a later one renews; a bad one costs itself."""
        meant = list_current(events)
        # None takes the place of another one because the addresses of that are away.
        self._told.update(event.told for event in meant)
        self.foretell(meant)
        for event in meant:
            try:
                add(event)
            except Problem as problem:
                self.problems.append(problem)

    def foretell(self, events: Iterable[Event]) -> None:
        """Have it known which events are to be added: what they give up is free for others."""
        for event in events:
            self._coming[event.iface] = (*self._coming.get(event.iface, ()), event)

    def holds(self, iface: str, stanza: Stanza) -> bool:
        """Whether a stanza is still as it was on record, but for what it gave up to others."""
        return not {stanza, self._reduced.get(stanza)}.isdisjoint(self.list_stanzas(iface))

    def add(self, event: Event) -> None:
        """Add what one event takes; Problem leaves the work as it was."""
        self._settle(event, self._list_replaced(event), forgetting=True)

    def want(self, event: Event) -> None:
        """As `add`, for what a person names: it stays on record where it is excluded."""
        self._settle(event, self._list_replaced(event), forgetting=False)

    def expect(self, event: Event) -> None:
        """Add that an event is on record without paths: it gets them when its link is up."""
        self._told.add(event.told)
        self._take_place(event.iface, self._list_replaced(event), (Stanza(event.told, ()),))

    def renew(self, stanza: Stanza, event: Event) -> None:
        """Add what it takes that a stanza on record becomes what `event` says of it.

        One that the configuration excludes may be meant again: it stays on record.
        """
        self._settle(event, self._list_same(event.iface, stanza), forgetting=False)

    def empty(self, iface: str, stanza: Stanza) -> None:
        """Add what it takes that a stanza on record has no path left; it may get some again."""
        self._take_place(iface, self._list_same(iface, stanza), (stanza._replace(paths=()),))

    def drop(self, iface: str, stanza: Stanza) -> None:
        """Add what it takes that a stanza is as if it had never come."""
        self._take_place(iface, self._list_same(iface, stanza), ())

    def call_back(self, iface: str, stanza: Stanza) -> None:
        """Add that what is leaving, or was taken away, may come back by itself again."""
        for one in self._list_same(iface, stanza):
            if one.state == LEAVING:
                self._records[iface] = replace_stanzas(
                    self.list_stanzas(iface), (one,), (one._replace(state=""),))

    def wake(self, iface: str, stanza: Stanza) -> None:
        """Add that a stanza's paths do not wait for a carrier or a gateway any more."""
        self._records[iface] = tuple(
            one._replace(state="") if one.told == stanza.told and one.state == SILENT else one
            for one in self.list_stanzas(iface))

    def is_meant(self, event: Event) -> bool:
        """Whether the interface is to have paths: its options and the configuration say it."""
        return read_settings(event, self._configuration).wanted

    def say_exclusion(self, event: Event) -> None:
        """Have a person who names an interface hear why it is left alone, if it is."""
        settings = read_settings(event, self._configuration)
        if not settings.wanted:
            self._warnings.append(_tell_exclusion(event, settings))

    def list_stanzas(self, iface: str) -> tuple[Stanza, ...]:
        """The stanzas of an interface, as they will be on record."""
        if iface not in self._records:
            self._on_file[iface] = self._records[iface] = self._store.load(iface)
        return self._records[iface]

    def list_of_device(self, device: str) -> tuple[Stanza, ...]:
        """The stanzas of a device, by whichever of its names, without those of its aliases."""
        names = self._machine.list_of_device(
            device, sorted(iface for iface in {
                device, *self._store.list_interfaces(), *self._records} if ":" not in iface))
        return tuple(stanza for name in names for stanza in self.list_stanzas(name))

    def finish(self) -> Work:
        """The work of all events added, with the limits that they need together."""
        undo = tuple(self._undo)
        changes = tuple(keep_standing(self._changes, self._list_planned()))
        leaving = undo or any(change.late for change in changes)
        changed = order_records(
            self._on_file, self._records, {change.after.path.iface for change in changes})
        limits, obstacles = settle_limits(
            self._store, self._manager, self._records, self._configuration.limits)
        return Work(
            # What is about to be undone stays on record until it is.
            pending=tuple(
                (iface, join_stanzas(self._on_file[iface], stanzas) if leaving else stanzas)
                for iface, stanzas in changed.items()),
            records=tuple(changed.items()),
            undo=undo,
            changes=changes,
            limits=limits,
            problems=(*self.problems, *obstacles),
            # What could not be read of the record is made anew.
            warnings=(*self._store.take_complaints(), *self._warnings),
            remarks=(*(text for text in self._remarks if text not in self._warnings),
                     *judge_wanted(self._configuration.limits, self._manager)),
            leases=tuple(self._leases.items()),
        )

    def _settle(self, event: Event, replaced: tuple[Stanza, ...], forgetting: bool) -> None:
        """Add what one event takes, or leave all as it was where that raises Problem."""
        books = self._records, self._undo, self._changes, self._manager
        self._records, self._undo, self._changes = (
            dict(self._records), [*self._undo], [*self._changes])
        try:
            self._settle_event(event, replaced, forgetting)
        except Problem:
            self._records, self._undo, self._changes, self._manager = books
            raise

    def _settle_event(
        self, event: Event, replaced: tuple[Stanza, ...], forgetting: bool
    ) -> None:
        settings = read_settings(event, self._configuration)
        self._told.add(event.told)
        if settings.table or settings.usual_table or has_belongings(settings):
            self._look_at_all()
        if has_belongings(settings):
            settings = self._settle_contest(event, settings, replaced)
        others = self._list_others(event.device, replaced)
        # What a stanza was found to have is another's that states it.
        left = tuple(give_up(stanza, event) for stanza in others) if settings.wanted else others
        old = [*list_own(replaced, left), *list_given_up(others, left)]
        giving = [stanza for stanza, rest in zip(others, left) if stanza != rest]
        planned = self._plan(event, settings, old, left, ())
        if self._make_way(planned, others, left):
            others = self._list_others(event.device, replaced)
            left = tuple(give_up(stanza, event) for stanza in others)
            planned = self._plan(event, settings, old, left, ())
        silent = False
        waiting: tuple[str, ...] = ()
        if any(stanza.state == SILENT for stanza in (*replaced, *giving)):
            carried = self._has_carrier(event.device)
            # What stands though it is out is all that a connection has.
            kept = {one.path.address for one in old if one.path.endpoint}
            waiting = tuple(path.address for path in planned.paths
                            if path.endpoint and path.address not in kept
                            and not (carried and self._machine.answers(path)))
            silent = bool(waiting) or not carried
            planned = self._plan(event, settings, old, left, waiting)
        if planned.crowded:
            self._look_at_all()
        held = self._find_holders(planned.paths, old)
        if held or (planned.unserved and self._make_room(planned.unserved)):
            planned = self._plan(event, settings, old, left, waiting, held)
        self._judge_announced(event.iface, settings, planned, old)
        changes = [self._prepare_change(path, old) for path in planned.paths]

        self._warnings += [*judge_options(event, settings), *note_mark(event, settings),
                           *planned.warnings]
        self._remarks += planned.remarks
        for installed in old:
            self._undo_outdated(installed, changes)
        self._changes += [change for change in changes if change.lines or change.late]
        self._expect_endpoints(planned.paths)
        stanza = Stanza(event.told, tuple(change.after for change in changes),
                        SILENT * silent)
        stays = settings.wanted or not forgetting
        self._records[event.iface] = replace_stanzas(
            self.list_stanzas(event.iface), replaced, (stanza,) * stays)
        self._note_given_up(others, left)
        if planned.crowded or left:
            self._change_others(planned)

    def _settle_contest(
        self, event: Event, settings: Settings, replaced: tuple[Stanza, ...]
    ) -> Settings:
        """The settings without what other paths still have that is not to be theirs any more.

        Those that this work is yet to renew give it up first. What is left out is said.
        """
        from mptcp_hooks.engine.clashes import find_waiting, leave_out, tell_waiting

        if self._list_contested(event, settings, replaced):
            self._give_back(replaced)
        for stanza, path in self._list_contested(event, settings, replaced):
            kept = self._keep_meant(path, stanza, self._ask_edited(path.iface))
            waiting = find_waiting(settings, event, path, kept)
            if any(waiting):
                self.problems.append(tell_waiting(event.iface, waiting, path.iface))
                settings = leave_out(settings, waiting)
        return settings

    def _list_contested(
        self, event: Event, settings: Settings, replaced: tuple[Stanza, ...]
    ) -> list[tuple[Stanza, Path]]:
        """The paths of other stanzas that have what the event wants for its own."""
        from mptcp_hooks.engine.clashes import find_contested

        stated = {(event.device, own.address) for own in event.addresses}
        return [(stanza, one.path) for stanzas in self._records.values() for stanza in stanzas
                if stanza.told and stanza not in replaced for one in stanza.paths
                if (one.path.device, one.path.address) not in stated
                and any(find_contested(settings, event, one.path))]

    def _ask_edited(self, iface: str) -> list[Event]:
        """What the stanzas of an interface say now, where that is not what was told of them."""
        # Nobody asks but where there is a contest.
        from mptcp_hooks.intent.ifupdown import list_edited

        try:
            return list_edited(iface, [one.told for one in self._records[iface] if one.told],
                               self._configuration)
        except Problem:
            return []

    def _give_back(self, replaced: tuple[Stanza, ...]) -> None:
        """Have all stanzas that are yet to be renewed give up what is not to be theirs any more."""
        for iface, events in self._coming.items():
            if iface in self._records:
                self._records[iface] = tuple(
                    self._reduce(stanza, events) if stanza.told and stanza not in replaced
                    else stanza for stanza in self._records[iface])

    def _reduce(self, stanza: Stanza, events: Iterable[Event]) -> Stanza:
        left = stanza._replace(paths=tuple(
            self._cut(one, self._keep_meant(one.path, stanza, events)) for one in stanza.paths))
        if left != stanza:
            self._reduced[stanza] = left
        return left

    def _keep_meant(self, path: Path, stanza: Stanza, events: Iterable[Event]) -> Path:
        """A path with what is still to belong to it, by the one of `events` that renews its stanza.

        By what was told of it where none does.
        """
        event = next((one for one in events if renews(one, stanza)), recall_event(stanza.told))
        try:
            settings = read_settings(event, self._configuration)
        except Problem:
            # Who adds it says so.
            return path
        return keep_belongings(path, choose_belongings(
            path.family, settings, is_first(path, stanza), path.primary))

    def _cut(self, installed: Installed, path: Path) -> Installed:
        """What is left of a path on record that is to have less, and is as it was otherwise."""
        if path == installed.path or not installed.up:
            return installed
        if any(change.after == installed for change in self._changes):
            return self._change_other(installed, path)
        gone = {*commands.build_up(installed.path), *commands.build_down(installed.path)} - {
            *commands.build_up(path), *commands.build_down(path)}
        left = Installed(
            path, tuple(line for line in installed.up if line not in gone),
            tuple(line for line in installed.down if line not in gone),
            installed.kernel if all(map(is_mptcp, gone)) else "")
        self._undo_outdated(installed, [Change(installed, left, ())])
        return left

    def _change_others(self, planned: Plan) -> None:
        """Have no other path lead what comes from a crowded subnet away, but for its address."""
        self._change_each(lambda stanza, path: path._replace(wide=False) if any(
            takes(path, one) for one in planned.crowded) else path)

    def _make_way(
        self, planned: Plan, others: tuple[Stanza, ...], left: tuple[Stanza, ...]
    ) -> bool:
        """Have those of fc00::/7 give up being the device's first where a global one comes.

        `left` is what the device's `others` keep. Whether any of their paths gave way.
        """
        kept = [one.path for stanza in left for one in stanza.paths]
        yielding = {path for path in kept if path.primary and any(
            one.primary and one.family == path.family and yields(path, one.address)
            for one in planned.paths)}

        def judge(stanza: Stanza, path: Path) -> Path:
            if path not in yielding or stanza not in others or not stanza.told:
                return path
            settings = read_settings(recall_event(stanza.told), self._configuration)
            return demote(path, settings, is_first(path, stanza), kept)

        if yielding:
            self._change_each(judge)
        return bool(yielding)

    def _change_each(self, judge: Callable[[Stanza, Path], Path]) -> None:
        """Change the paths of all stanzas that are known as `judge` has it."""
        for iface, stanzas in tuple(self._records.items()):
            self._records[iface] = tuple(stanza._replace(paths=tuple(
                self._change_other(one, judge(stanza, one.path))
                if one.up else one for one in stanza.paths)) for stanza in stanzas)

    def _change_other(self, installed: Installed, path: Path) -> Installed:
        """What comes of a path on record that is to be another one."""
        if path == installed.path:
            return installed
        # This work may be about to make it.
        pending = [change for change in self._changes if change.after == installed]
        before = [one.before for one in pending if one.before] if pending else [installed]
        try:
            change = self._prepare_change(path, before, pending)
        except Problem as problem:
            self.problems.append(problem)
            return installed
        if pending:
            self._changes.remove(pending[0])
            self._manager = self._manager.without([installed.path])
        for one in before:
            self._undo_outdated(one, [change])
        self._changes.append(change)
        self._expect_endpoints([path])
        return change.after

    def _make_room(self, unserved: Iterable[Path]) -> bool:
        """Have an uplink that has two endpoints give one to one that has none, if there is any."""
        endpoints = self._manager.endpoints or ()
        if all(path.ifindex in {one.device for one in endpoints} for path in unserved):
            return False
        from mptcp_hooks.engine.lifelines import group
        from mptcp_hooks.engine.spares import find_spare

        self._look_at_all()
        try:
            connections = group(self._machine.read_subflows())
        except Problem:
            # Some connection may have the last of its subflows there.
            return False
        spare = find_spare([one.path for one in self._list_planned()], endpoints, connections)
        if spare is None:
            return False
        self._records = {iface: tuple(stanza._replace(paths=tuple(
            self._change_other(one, one.path._replace(endpoint=False))
            if one.up and one.path == spare else one for one in stanza.paths))
            for stanza in stanzas) for iface, stanzas in self._records.items()}
        return True

    def _note_given_up(self, others: tuple[Stanza, ...], left: tuple[Stanza, ...]) -> None:
        """Note what is left of other stanzas that gave up paths."""
        if left != others:
            new = dict(zip(others, left))
            self._records = {iface: tuple(new.get(stanza, stanza) for stanza in stanzas)
                             for iface, stanzas in self._records.items()}

    def _plan(
        self, event: Event, settings: Settings, old: list[Installed], others: tuple[Stanza, ...],
        silent: tuple[str, ...], held: Mapping[str, str] | None = None,
    ) -> Plan:
        if not settings.wanted:
            return Plan((), (), (_tell_exclusion(event, settings),))
        known = len(event.families) == 1 and (settings.gateways or (
            event.addresses and all(one.gateway for one in event.addresses)))
        view = self._machine.view_device(
            event.iface, list_families(event), event.addresses, not known)
        if not event.addresses and not view.ifindex and not method_of(event.told):
            # A manager may name what pppd will make; a person means what there is.
            raise Problem(f"{event.iface}: no such interface")
        previous = tuple(installed.path for installed in old)
        view = self._judge_found(event, view._replace(
            silent=silent, tunnel=self._tunnel, held=tuple((held or {}).items())),
            others, previous)
        staying = {one.address for one in view.addresses}
        manager = self._manager.without(path for path in previous if path.address not in staying)
        beside = tuple(one.path for stanza in others for one in stanza.paths)
        planned = plan_paths(event.iface, settings, view, previous, beside, manager)
        if view.ifindex:
            lack = "" if view.addresses else f"{event.iface}: no address yet"
            return planned.add(remark=lack)
        if not event.addresses:
            return planned._replace(remarks=(f"{event.iface}: not there yet",))
        return planned.add(warning=f"{event.iface}: no such interface here: its table number "
                                   "will be 20000 + its ifindex")

    def _judge_announced(
        self, iface: str, settings: Settings, planned: Plan, old: list[Installed]
    ) -> None:
        """Raise Problem where an address cannot be announced for the interface."""
        first = {path.family for path in planned.paths if path.primary}
        announced = (*settings.own.announced, *(
            one for one in settings.usual.announced if family_of(one) in first))
        if announced:
            # Few machines have any: those that have none do not load it.
            from mptcp_hooks.engine.clashes import find_announced

            own = {one.address for device in self._machine.list_devices()
                   for label in {device, *self._machine.list_labels(device)}
                   for one in self._machine.list_addresses(label, (4, 6))}
            for _, problem in find_announced(
                    iface, announced, own, self._list_others_planned(old)):
                raise problem

    def _judge_found(
        self, event: Event, view: DeviceView, others: tuple[Stanza, ...], previous: tuple[Path, ...]
    ) -> DeviceView:
        """The view with what is to be said of addresses that were found, not stated."""
        if len(view.addresses) == len(event.addresses):
            return view
        lease = self._find_lease(event.device) if 4 in event.families else None
        return judge_found(view, len(event.addresses), others, lease, previous)

    def _find_lease(self, device: str) -> Lease | None:
        """The lease that is noted of a device, or about to be, by whichever of its names."""
        for name in self._machine.list_of_device(device, self._leases):
            return self._leases[name]
        found = map(self._store.load_lease,
                    self._machine.list_of_device(device, self._store.list_leased()))
        return next(found, None)

    def _list_others(self, device: str, replaced: tuple[Stanza, ...]) -> tuple[Stanza, ...]:
        """The device's other stanzas and those of its aliases."""
        labels = self._machine.list_of_device(
            device, sorted({*self._store.list_interfaces(), *self._records}))
        return tuple(stanza for label in sorted(labels) for stanza in self.list_stanzas(label)
                     if stanza not in replaced)

    def _find_holders(self, paths: Iterable[Path], old: list[Installed]) -> dict[str, str]:
        """By their addresses, which other devices' interfaces have those of paths as well."""
        holders = {}
        for path in paths:
            use = list_foreign(path, self._read_use(path), self._list_leaving(old))
            if find_holder(path, use, self._list_others_planned(old)):
                # The kernel tells of a table alone.
                self._look_at_all()
                holders[path.address] = find_holder(path, use, self._list_others_planned(old))
        return holders

    def _read_use(self, path: Path) -> TableUse:
        """What the kernel holds of a path; asked once in a work, which changes nothing of it."""
        if path not in self._uses:
            self._uses[path] = self._tables.read_use(path)
        return self._uses[path]

    def _list_leaving(self, old: list[Installed]) -> list[Installed]:
        """The paths on record that are renewed or about to go."""
        going = [undo.installed for undo in self._undo]
        going += [change.before for change in self._changes if change.before and change.late]
        return [*old, *going]

    def _list_others_planned(self, old: list[Installed]) -> list[Path]:
        """What interfaces will have besides what is renewed."""
        return [one.path for one in self._list_planned() if one not in old]

    def _prepare_change(
        self, path: Path, old: list[Installed], pending: Iterable[Change] = ()
    ) -> Change:
        """What makes the path of what is on record of it, in the place of what is pending."""
        use = self._read_use(path)
        obstacle = find_obstacle(
            path, use, self._list_leaving(old),
            self._list_others_planned([*old, *(change.after for change in pending)]))
        if obstacle:
            raise Problem(f"{path.iface}: {obstacle}")
        if path.mark or path.sources:
            from mptcp_hooks.engine.clashes import find_clashes

            for _, problem in find_clashes(path, self._list_others_planned(old)):
                raise problem
        after = Installed(path=path, up=commands.build_up(path), down=commands.build_down(path),
                          kernel=use.describe())
        change = compare_path(after, old, self._manager.endpoints or ())
        leftovers = [line for line in list_leftovers(after, use) if line not in change.late]
        return change._replace(late=(*change.late, *leftovers))

    def _undo_outdated(self, installed: Installed, changes: list[Change]) -> None:
        """Undo the lines on record that no change makes again."""
        undo = find_outdated(installed, changes, self._manager.endpoints or ())
        if undo:
            self._undo.append(undo)
            gone = {one.address for one in installed.path.endpoints
                    if any(is_about_id(line, one.address) for line in undo.installed.down)}
            self._manager = self._manager._replace(endpoints=tuple(
                one for one in self._manager.endpoints or ()
                if not (one.address in gone and installed.path.owns(one))))

    def _take_place(
        self, iface: str, replaced: tuple[Stanza, ...], new: tuple[Stanza, ...]
    ) -> None:
        """Put stanzas without paths, or none, in the place of what is on record."""
        for installed in [one for each in replaced for one in each.paths]:
            self._undo_outdated(installed, [])
        self._records[iface] = replace_stanzas(self.list_stanzas(iface), replaced, new)

    def _list_replaced(self, event: Event) -> tuple[Stanza, ...]:
        """What is on record that an event takes the place of."""
        return tuple(stanza for stanza in self.list_stanzas(event.iface)
                     if self._is_replaced(stanza, event))

    def _list_same(self, iface: str, stanza: Stanza) -> tuple[Stanza, ...]:
        """What is on record of one stanza: twice where a hook was killed between old and new."""
        return tuple(one for one in self.list_stanzas(iface) if one.told == stanza.told)

    def _is_replaced(self, stanza: Stanza, event: Event) -> bool:
        """Whether an event renews a stanza on record, or finds its addresses gone.

        What this work is about it does not take away.
        """
        renewed = renews(event, stanza)
        if renewed is None and stanza.told in self._told:
            return False
        return not self._holds_any(event, stanza) if renewed is None else renewed

    def _holds_any(self, event: Event, stanza: Stanza) -> bool:
        """Whether the event's interface has any of the addresses that a stanza stated."""
        before = recall_event(stanza.told)
        return bool(self._machine.find_present(event.iface, before.addresses))

    def _look_at_all(self) -> None:
        """Take in who else is on record: another may have a table, though the kernel lost it."""
        for iface in self._store.list_interfaces():
            try:
                self.list_stanzas(iface)
            except Problem as problem:
                self.problems.append(problem)

    def _has_carrier(self, device: str) -> bool:
        link = self._machine.read_link(device)
        return link is not None and link.running

    def _list_planned(self) -> Iterator[Installed]:
        """What interfaces will have, as far as this work is about them."""
        return (one for stanzas in self._records.values() for stanza in stanzas
                for one in stanza.paths)

    def _expect_endpoints(self, paths: Iterable[Path]) -> None:
        endpoints = self._manager.endpoints or ()
        there = {endpoint.address for endpoint in endpoints}
        made = tuple(one for path in paths for one in path.endpoints if one.address not in there)
        self._manager = self._manager._replace(endpoints=(*endpoints, *made))


def _tell_exclusion(event: Event, settings: Settings) -> str:
    return f"{event.iface}: left alone: {settings.reason}"
