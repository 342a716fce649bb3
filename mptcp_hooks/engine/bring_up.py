"""The work of bringing interfaces up: the books that are kept while paths are compared."""

from __future__ import annotations

from mptcp_hooks.base.errors import Problem
from mptcp_hooks.base.line import is_mptcp
from mptcp_hooks.base.model import LEAVING, SILENT, Endpoint, Installed, Stanza
from mptcp_hooks.base.value import TYPE_CHECKING
from mptcp_hooks.engine import commands
from mptcp_hooks.engine.compare import (
    compare_path,
    find_obstacle,
    find_outdated,
    give_up,
    join_stanzas,
    judge_found,
    keep_standing,
    list_current,
    list_families,
    list_given_up,
    list_leftovers,
    list_own,
    order_records,
    renews,
    replace_stanzas,
)
from mptcp_hooks.engine.limits import judge_wanted, settle_limits
from mptcp_hooks.engine.plan import Plan, plan_paths
from mptcp_hooks.engine.work import Work
from mptcp_hooks.intent.event import method_of, recall_event
from mptcp_hooks.intent.settings import judge_options, read_settings

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping

    from mptcp_hooks.base.model import DeviceView, Lease, Path
    from mptcp_hooks.engine.record import Store
    from mptcp_hooks.engine.work import Change, Records, Undo
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
        self._configuration = configuration
        self._leases = leases or {}
        self._manager = machine.read_path_manager().without_roles(store.load_roles())
        self._tables = machine.read_tables()
        self._on_file: Records = {}
        self._records: Records = {}
        self._undo: list[Undo] = []
        self._changes: list[Change] = []
        self._warnings: list[str] = []
        self._remarks: list[str] = []
        self._told: set[tuple[str, ...]] = set()

    def add_each(self, events: Iterable[Event], add: Callable[[Event], None]) -> None:
        """Add each event, less those that a later one renews; a bad one costs itself."""
        meant = list_current(events)
        # None takes the place of another one because the addresses of that are away.
        self._told.update(event.told for event in meant)
        for event in meant:
            try:
                add(event)
            except Problem as problem:
                self.problems.append(problem)

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
        settings = read_settings(event, self._configuration)
        self._told.add(event.told)
        recorded = self.list_stanzas(event.iface)
        others = self._list_others(event.device, replaced)
        # What a stanza was found to have is another's that states it.
        left = tuple(give_up(stanza, event) for stanza in others) if settings.wanted else others
        old = [*list_own(replaced, left), *list_given_up(others, left)]
        giving = [stanza for stanza, rest in zip(others, left) if stanza != rest]
        if settings.table or settings.usual_table:
            self._look_at_all()
        planned = self._plan(event, settings, old, left, ())
        silent = False
        if any(stanza.state == SILENT for stanza in (*replaced, *giving)):
            carried = self._has_carrier(event.device)
            # What stands though it is out is all that a connection has.
            kept = {one.path.address for one in old if one.path.endpoint}
            waiting = tuple(path.address for path in planned.paths
                            if path.endpoint and path.address not in kept
                            and not (carried and self._machine.answers(path)))
            silent = bool(waiting) or not carried
            planned = self._plan(event, settings, old, left, waiting)
        changes = [self._prepare_change(path, old) for path in planned.paths]

        self._warnings += [*judge_options(event, settings), *planned.warnings]
        self._remarks += planned.remarks
        for installed in old:
            self._undo_outdated(installed, changes)
        self._changes += [change for change in changes if change.lines or change.late]
        self._expect_endpoints(planned.paths)
        stanza = Stanza(event.told, tuple(change.after for change in changes),
                        SILENT * silent)
        stays = settings.wanted or not forgetting
        self._records[event.iface] = replace_stanzas(recorded, replaced, (stanza,) * stays)
        self._note_given_up(others, left)

    def _note_given_up(self, others: tuple[Stanza, ...], left: tuple[Stanza, ...]) -> None:
        """Note what is left of other stanzas that gave up paths."""
        if left != others:
            new = dict(zip(others, left))
            self._records = {iface: tuple(new.get(stanza, stanza) for stanza in stanzas)
                             for iface, stanzas in self._records.items()}

    def _plan(
        self, event: Event, settings: Settings, old: list[Installed], others: tuple[Stanza, ...],
        silent: tuple[str, ...],
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
        view = self._judge_found(event, view._replace(silent=silent), others, previous)
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

    def _prepare_change(self, path: Path, old: list[Installed]) -> Change:
        use = self._tables.read_use(path.family, path.address, path.device, path.table)
        going = [undo.installed for undo in self._undo]
        going += [change.before for change in self._changes if change.before and change.late]
        planned = [one.path for one in self._list_planned() if one not in old]
        obstacle = find_obstacle(path, use, [*old, *going], planned)
        if obstacle:
            raise Problem(f"{path.iface}: {obstacle}")
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
            if any(map(is_mptcp, undo.lines)):
                self._manager = self._manager.without([installed.path])

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
        made = tuple(Endpoint(0, path.address, path.ifindex, path.flags)
                     for path in paths if path.endpoint and path.address not in there)
        self._manager = self._manager._replace(endpoints=(*endpoints, *made))


def _tell_exclusion(event: Event, settings: Settings) -> str:
    return f"{event.iface}: left alone: {settings.reason}"
