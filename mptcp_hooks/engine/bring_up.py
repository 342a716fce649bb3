"""The work of bringing interfaces up: the books that are kept while paths are compared."""

from __future__ import annotations

from mptcp_hooks.base.errors import Problem
from mptcp_hooks.base.line import is_mptcp
from mptcp_hooks.base.model import SILENT, Endpoint, Installed, Stanza
from mptcp_hooks.base.value import TYPE_CHECKING
from mptcp_hooks.engine import commands
from mptcp_hooks.engine.compare import (
    compare_path,
    find_obstacle,
    find_outdated,
    join_stanzas,
    judge_found,
    list_current,
    list_leftovers,
    renews,
    replace_stanzas,
)
from mptcp_hooks.engine.limits import settle_limits
from mptcp_hooks.engine.plan import Plan, plan_paths
from mptcp_hooks.engine.work import Work
from mptcp_hooks.intent.event import method_of, recall_event
from mptcp_hooks.intent.settings import judge_options, read_settings

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from mptcp_hooks.base.model import Host, Lease, Path
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
    builder.add_each(events)
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
        self._manager = machine.read_path_manager()
        self._tables = machine.read_tables()
        self._on_file: Records = {}
        self._records: Records = {}
        self._undo: list[Undo] = []
        self._changes: list[Change] = []
        self._warnings: list[str] = []
        self._remarks: list[str] = []
        self._told: set[tuple[str, ...]] = set()

    def add_each(self, events: Iterable[Event]) -> None:
        """Add what each event takes, less those that a later one renews; a bad one costs itself."""
        for event in list_current(events):
            try:
                self.add(event)
            except Problem as problem:
                self.problems.append(problem)

    def add(self, event: Event) -> None:
        """Add what one event takes; Problem leaves the work as it was."""
        replaced = tuple(stanza for stanza in self.list_stanzas(event.iface)
                         if self._is_replaced(stanza, event))
        self._settle(event, replaced, forgetting=True)

    def renew(self, stanza: Stanza, event: Event) -> None:
        """Add what it takes that a stanza on record becomes what `event` says of it.

        One that the configuration excludes may be meant again: it stays on record.
        """
        self._settle(event, self._list_same(event.iface, stanza), forgetting=False)

    def empty(self, iface: str, stanza: Stanza) -> None:
        """Add what it takes that a stanza on record has no path left; it may get some again."""
        self._replace(iface, stanza, (stanza._replace(paths=()),))

    def drop(self, iface: str, stanza: Stanza) -> None:
        """Add what it takes that a stanza is as if it had never come."""
        self._replace(iface, stanza, ())

    def list_stanzas(self, iface: str) -> tuple[Stanza, ...]:
        """The stanzas of an interface, as they will be on record."""
        if iface not in self._records:
            self._on_file[iface] = self._records[iface] = self._store.load(iface)
        return self._records[iface]

    def finish(self) -> Work:
        """The work of all events added, with the limits that they need together."""
        undo = tuple(self._undo)
        leaving = undo or any(change.late for change in self._changes)
        changed = {iface: stanzas for iface, stanzas in self._records.items()
                   if stanzas != self._on_file[iface]}
        limits, obstacles = settle_limits(self._store, self._manager, self._records)
        return Work(
            # What is about to be undone stays on record until it is.
            pending=tuple(
                (iface, join_stanzas(self._on_file[iface], stanzas) if leaving else stanzas)
                for iface, stanzas in changed.items()),
            records=tuple(changed.items()),
            undo=undo,
            changes=tuple(self._changes),
            limits=limits,
            problems=(*self.problems, *obstacles),
            # What could not be read of the record is made anew.
            warnings=(*self._store.take_complaints(), *self._warnings),
            remarks=tuple(self._remarks),
            leases=tuple(self._leases.items()),
        )

    def _settle(self, event: Event, replaced: tuple[Stanza, ...], forgetting: bool) -> None:
        settings = read_settings(event, self._configuration)
        self._told.add(event.told)
        recorded = self.list_stanzas(event.iface)
        old = [installed for stanza in replaced for installed in stanza.paths]
        silent = any(stanza.state == SILENT for stanza in replaced) and self._has_no_carrier(
            event.device)
        planned = self._plan(event, settings, old, silent)
        changes = [self._prepare_change(path, old) for path in planned.paths]

        self._warnings += [*judge_options(event, settings), *planned.warnings]
        self._remarks += planned.remarks
        for installed in old:
            self._undo_outdated(installed, changes)
        self._changes += [change for change in changes if change.lines or change.late]
        self._expect_endpoints(planned.paths)
        stanza = Stanza(event.told, tuple(change.after for change in changes), SILENT * silent)
        stays = settings.wanted or not forgetting
        self._records[event.iface] = replace_stanzas(recorded, replaced, (stanza,) * stays)

    def _plan(
        self, event: Event, settings: Settings, old: list[Installed], silent: bool
    ) -> Plan:
        if not settings.wanted:
            return Plan((), (), (f"{event.iface}: left alone",))
        known = len(event.families) == 1 and (settings.gateways or (
            event.addresses and all(one.gateway for one in event.addresses)))
        host = self._machine.read_host(event.iface, event.families, event.addresses, not known)
        if not event.addresses and not host.ifindex and not method_of(event.told):
            # A manager may name what pppd will make; a person means what there is.
            raise Problem(f"{event.iface}: no such interface")
        others = tuple(self._list_others(host.device, old))
        previous = tuple(installed.path for installed in old)
        host = self._judge_found(event, host._replace(silent=silent), others, previous)
        staying = {one.address for one in host.addresses}
        manager = self._manager.without(path for path in previous if path.address not in staying)
        planned = plan_paths(event.iface, settings, host, previous, others, manager)
        if host.ifindex:
            lack = "" if host.addresses else f"{event.iface}: no address yet"
            return planned.add(remark=lack)
        if not event.addresses:
            return planned._replace(remarks=(f"{event.iface}: not there yet",))
        return planned.add(warning=f"{event.iface}: no such interface here: its table number "
                                   "will be 20000 + its ifindex")

    def _judge_found(
        self, event: Event, host: Host, others: tuple[Path, ...], previous: tuple[Path, ...]
    ) -> Host:
        """The host with what is to be said of addresses that were found, not stated."""
        if len(host.addresses) == len(event.addresses):
            return host
        lease = self._find_lease(event.device) if 4 in event.families else None
        return judge_found(host, len(event.addresses), others, lease, previous)

    def _find_lease(self, device: str) -> Lease | None:
        """The lease that is noted of a device, or about to be."""
        return self._leases[device] if device in self._leases else self._store.load_lease(device)

    def _list_others(self, device: str, old: list[Installed]) -> Iterator[Path]:
        """The paths of the device's other stanzas and aliases."""
        labels = {*self._store.list_labels(device),
                  *(iface for iface in self._records if iface.partition(":")[0] == device)}
        return (one.path for label in sorted(labels) for stanza in self.list_stanzas(label)
                for one in stanza.paths if one not in old)

    def _prepare_change(self, path: Path, old: list[Installed]) -> Change:
        use = self._tables.read_use(path.family, path.address, path.device, path.table)
        going = [undo.installed for undo in self._undo]
        obstacle = find_obstacle(path, use, [*old, *going], self._list_planned())
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

    def _replace(self, iface: str, stanza: Stanza, remains: tuple[Stanza, ...]) -> None:
        same = self._list_same(iface, stanza)
        for installed in [one for each in same for one in each.paths]:
            self._undo_outdated(installed, [])
        self._records[iface] = replace_stanzas(self.list_stanzas(iface), same, remains)

    def _list_same(self, iface: str, stanza: Stanza) -> tuple[Stanza, ...]:
        """What is on record of one stanza: twice where a hook was killed between old and new."""
        return tuple(one for one in self.list_stanzas(iface) if one.told == stanza.told)

    def _is_replaced(self, stanza: Stanza, event: Event) -> bool:
        """Whether an event renews a stanza on record, or finds its addresses gone.

        What this work has made already it does not take away again.
        """
        renewed = renews(event, stanza)
        if renewed is None and stanza.told in self._told:
            return False
        return not self._holds_any(event, stanza) if renewed is None else renewed

    def _holds_any(self, event: Event, stanza: Stanza) -> bool:
        """Whether the event's interface has any of the addresses that a stanza stated."""
        before = recall_event(stanza.told)
        present = {one.address for label in {event.iface, event.device}
                   for one in self._machine.list_addresses(label, before.families)}
        return any(own.address in present for own in before.addresses)

    def _has_no_carrier(self, device: str) -> bool:
        link = self._machine.read_link(device)
        return link is None or not link.running

    def _list_planned(self) -> Iterator[Path]:
        """The paths that interfaces will have, as far as this work is about them."""
        return (one.path for stanzas in self._records.values() for stanza in stanzas
                for one in stanza.paths)

    def _expect_endpoints(self, paths: Iterable[Path]) -> None:
        endpoints = self._manager.endpoints or ()
        there = {endpoint.address for endpoint in endpoints}
        made = tuple(Endpoint(0, path.address, path.ifindex, path.flags)
                     for path in paths if path.endpoint and path.address not in there)
        self._manager = self._manager._replace(endpoints=(*endpoints, *made))
