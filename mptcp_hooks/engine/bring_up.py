# SPDX-License-Identifier: GPL-2.0-or-later
"""The work of bringing interfaces up."""

from __future__ import annotations

from mptcp_hooks.base.errors import Problem
from mptcp_hooks.base.model import SILENT, Installed, Stanza
from mptcp_hooks.base.value import TYPE_CHECKING
from mptcp_hooks.engine.books import Books
from mptcp_hooks.engine.compare import (
    give_up,
    is_renamed,
    join_stanzas,
    judge_found,
    keep_standing,
    list_current,
    list_families,
    list_foreign,
    list_given_up,
    list_own,
    order_records,
    renews,
    replace_stanzas,
)
from mptcp_hooks.engine.limits import judge_wanted, settle_limits
from mptcp_hooks.engine.plan import Plan, find_holder, plan_paths
from mptcp_hooks.engine.work import Work
from mptcp_hooks.intent.event import MANAGED, method_of, recall_event
from mptcp_hooks.intent.settings import (
    has_belongings,
    judge_options,
    note_mark,
    read_settings,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from mptcp_hooks.base.model import DeviceView, Lease, Path
    from mptcp_hooks.engine.record import Store
    from mptcp_hooks.intent.event import Event
    from mptcp_hooks.intent.settings import Configuration, Settings
    from mptcp_hooks.machine.system import Machine


def prepare_up(
    store: Store, machine: Machine, events: Iterable[Event], configuration: Configuration
) -> Work:
    """The work of bringing up the interfaces of `events`; a bad one does not cost the others."""
    builder = WorkBuilder(store, machine, configuration)
    builder.add_each(events, builder.add)
    return builder.finish()


class WorkBuilder(Books):
    """Work that grows by one event at a time, each seeing what those before it will do."""

    def add_each(self, events: Iterable[Event], add: Callable[[Event], None]) -> None:
        """Add each event, less those that a later one renews; a bad one costs itself."""
        meant = list_current(events)
        # None takes the place of another one because the addresses of that are away.
        self.told.update(event.told for event in meant)
        self.foretell(meant)
        for event in meant:
            try:
                add(event)
            except Problem as problem:
                self.problems.append(problem)

    def foretell(self, events: Iterable[Event]) -> None:
        """Have it known which events are to be added: what they give up is free for others."""
        for event in events:
            self.coming[event.iface] = (*self.coming.get(event.iface, ()), event)

    def add(self, event: Event) -> None:
        """Add what one event takes; Problem leaves the work as it was."""
        self.settle(event, self.list_replaced(event), forgetting=True)

    def finish(self) -> Work:
        """The work of all events added, with the limits that they need together."""
        if self.undo:
            from mptcp_hooks.engine.others import spare_standing

            spare_standing(self)
        undo = tuple(self.undo)
        changes = tuple(keep_standing(self.changes, self.list_planned()))
        leaving = undo or any(change.late for change in changes)
        changed = order_records(
            self.on_file, self.records, {change.after.path.iface for change in changes})
        limits, obstacles = settle_limits(
            self.store, self.manager, self.records, self.configuration.limits)
        return Work(
            # What is about to be undone stays on record until it is.
            pending=tuple(
                (iface, join_stanzas(self.on_file[iface], stanzas) if leaving else stanzas)
                for iface, stanzas in changed.items()),
            records=tuple(changed.items()),
            undo=undo,
            changes=changes,
            limits=limits,
            problems=(*self.problems, *obstacles),
            # What could not be read of the record is made anew.
            # And who is renewed twice has nothing new to say.
            warnings=(*self.store.take_complaints(), *dict.fromkeys(self.warnings)),
            remarks=(*(text for text in self.remarks if text not in self.warnings),
                     *judge_wanted(self.configuration.limits, self.manager)),
            leases=tuple(self.leases.items()),
        )

    def settle(self, event: Event, replaced: tuple[Stanza, ...], forgetting: bool) -> None:
        """Add what one event takes, or leave all as it was where that raises Problem."""
        books = self.records, self.undo, self.changes, self.manager
        self.records, self.undo, self.changes = (
            dict(self.records), [*self.undo], [*self.changes])
        try:
            self._settle_event(event, replaced, forgetting)
        except Problem:
            self.records, self.undo, self.changes, self.manager = books
            raise

    def _settle_event(
        self, event: Event, replaced: tuple[Stanza, ...], forgetting: bool
    ) -> None:
        settings = read_settings(event, self.configuration)
        self.told.add(event.told)
        if settings.table or settings.usual_table or has_belongings(settings):
            self.look_at_all()
        if has_belongings(settings):
            # Few machines have any: the others do not load it.
            from mptcp_hooks.engine.contests import settle_contest

            settings = settle_contest(self, event, settings, replaced, self._is_replaced)
        others = self._list_others(event.device, replaced)
        # What a stanza was found to have is another's that states it.
        left = tuple(give_up(stanza, event) for stanza in others) if settings.wanted else others
        old = self.forgo_changes([*list_own(replaced, left), *list_given_up(others, left)])
        giving = [stanza for stanza, rest in zip(others, left) if stanza != rest]
        planned = self._plan(event, settings, old, left, ())
        if _have_rivals(planned, left) and self._make_way(planned, others, left):
            others = self._list_others(event.device, replaced)
            left = tuple(give_up(stanza, event) for stanza in others)
            planned = self._plan(event, settings, old, left, ())
        if any(is_renamed(path, self.read_use(path)) for path in planned.paths):
            self._end_former_names(planned.paths[0])
            planned = self._plan(event, settings, old, left, ())
        if planned.crowded:
            self.look_at_all()
        held = self._find_holders(planned.paths, old)
        if held:
            self.shared.update(held)
            planned = self._plan(event, settings, old, left, (), held)
        waiting: tuple[str, ...] = ()
        silent = False
        if any(stanza.state == SILENT for stanza in (*replaced, *giving)):
            waiting = self._list_waiting(event.device, settings, old, planned)
            silent = bool(waiting) or not self._has_carrier(event.device)
            planned = self._plan(event, settings, old, left, waiting, held)
        if planned.unserved and self._make_room(planned.unserved):
            planned = self._plan(event, settings, old, left, waiting, held)
        if has_belongings(settings):
            from mptcp_hooks.engine.contests import judge_announced

            judge_announced(self, event.iface, settings, planned, old)
        changes = [self.prepare_change(path, old) for path in planned.paths]
        self._note_plan(event, settings, planned)
        for installed in old:
            self.undo_outdated(installed, changes)
        self.changes += [change for change in changes if change.lines or change.late]
        self.manager = self.manager.expecting(planned.paths)
        stanza = Stanza(event.told, tuple(change.after for change in changes),
                        SILENT * silent)
        stays = settings.wanted or not forgetting
        self.records[event.iface] = replace_stanzas(
            self.list_stanzas(event.iface), replaced, (stanza,) * stays)
        if planned.crowded or left != others:
            from mptcp_hooks.engine.others import narrow, note_given_up

            note_given_up(self, others, left)
            narrow(self, planned)

    def _list_waiting(
        self, device: str, settings: Settings, old: list[Installed], planned: Plan
    ) -> tuple[str, ...]:
        """The addresses of a silent stanza whose endpoints wait: for a carrier, or a gateway.

        Also where another program has the endpoint, or there is no place for one: an address that
        comes back later is to find the stanza silent until a gateway has answered.
        """
        carried = self._has_carrier(device)
        # What stands though it is out is all that a connection has.
        kept = {one.path.address for one in old if one.path.endpoint}
        return tuple(path.address for path in planned.paths
                     if (path.primary or settings.chosen_flags or path.announced)
                     and path.address not in kept
                     and not (carried and self.machine.answers(path)))

    def _note_plan(self, event: Event, settings: Settings, planned: Plan) -> None:
        """Have said what is to be said of an event's options and paths."""
        self.warnings += [*judge_options(event, settings), *note_mark(event, settings),
                          *planned.warnings]
        self.remarks += planned.remarks

    def _make_way(
        self, planned: Plan, others: tuple[Stanza, ...], left: tuple[Stanza, ...]
    ) -> bool:
        from mptcp_hooks.engine.others import make_way

        return make_way(self, planned, others, left)

    def _end_former_names(self, path: Path) -> None:
        from mptcp_hooks.engine.others import end_former_names

        end_former_names(self, path)

    def _make_room(self, unserved: Iterable[Path]) -> bool:
        from mptcp_hooks.engine.others import make_room

        return make_room(self, unserved)

    def _plan(
        self, event: Event, settings: Settings, old: list[Installed], others: tuple[Stanza, ...],
        silent: tuple[str, ...], held: Mapping[str, str] | None = None,
    ) -> Plan:
        if not settings.wanted:
            return Plan((), (), (tell_exclusion(event, settings),))
        known = len(event.families) == 1 and (settings.gateways or (
            event.addresses and all(one.gateway for one in event.addresses)))
        view = self.machine.view_device(
            event.iface, list_families(event), event.addresses, not known)
        if not event.addresses and not view.ifindex and not method_of(event.told):
            # A manager may name what pppd will make; a person means what there is.
            raise Problem(f"{event.iface}: no such interface")
        previous = tuple(installed.path for installed in old)
        view = self._judge_found(event, view._replace(
            silent=silent, held=tuple((held or {}).items())), others, previous)
        staying = {one.address for one in view.addresses}
        manager = self.manager.without(path for path in previous if path.address not in staying)
        beside = tuple(one.path for stanza in others for one in stanza.paths)
        planned = plan_paths(event.iface, settings, view, previous, beside, manager)
        # A tunnel matters where there is a path of its family; a link-local address is none.
        if tunnel := self.find_tunnel(planned.paths, old):
            view = view._replace(tunnel=tunnel)
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
        for name in self.choose_names(device, self.leases):
            return self.leases[name]
        found = map(self.store.load_lease,
                    self.choose_names(device, self.store.list_leased()))
        return next(found, None)

    def _list_others(self, device: str, replaced: tuple[Stanza, ...]) -> tuple[Stanza, ...]:
        """The device's other stanzas and those of its aliases."""
        labels = self.choose_names(
            device, sorted({*self.store.list_interfaces(), *self.records}))
        return tuple(stanza for label in sorted(labels) for stanza in self.list_stanzas(label)
                     if stanza not in replaced)

    def _find_holders(self, paths: Iterable[Path], old: list[Installed]) -> dict[str, str]:
        """By their addresses, which other devices' interfaces have those of paths as well."""
        holders = {}
        for path in paths:
            use = list_foreign(path, self.read_use(path), old, self.list_going())
            if find_holder(path, use, self.list_others_planned(old)):
                # The kernel tells of a table alone.
                self.look_at_all()
                holders[path.address] = find_holder(path, use, self.list_others_planned(old))
        return holders

    def list_replaced(self, event: Event) -> tuple[Stanza, ...]:
        """What is on record that an event takes the place of."""
        return tuple(stanza for stanza in self.list_stanzas(event.iface)
                     if self._is_replaced(stanza, event))

    def _is_replaced(self, stanza: Stanza, event: Event) -> bool:
        """Whether an event renews a stanza on record, or finds its addresses gone.

        What this work is about it does not take away; nor does a device that only the
        configuration names take away what a manager told.
        """
        renewed = renews(event, stanza)
        if renewed is None and (stanza.told in self.told or method_of(event.told) == MANAGED):
            return False
        return not self._holds_any(event, stanza) if renewed is None else renewed

    def _holds_any(self, event: Event, stanza: Stanza) -> bool:
        """Whether the event's interface has any of the addresses that a stanza stated."""
        before = recall_event(stanza.told)
        return bool(self.machine.find_present(event.iface, before.addresses))

    def _has_carrier(self, device: str) -> bool:
        link = self.machine.read_link(device)
        return link is not None and link.running


def _have_rivals(planned: Plan, left: Iterable[Stanza]) -> bool:
    """Whether the device has other paths of a family of the plan's."""
    families = {path.family for path in planned.paths}
    return any(one.path.family in families for stanza in left for one in stanza.paths)


def tell_exclusion(event: Event, settings: Settings) -> str:
    """Why an interface is left alone, for a person who names it."""
    return f"{event.iface}: left alone: {settings.reason}"
