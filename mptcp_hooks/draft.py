"""The work of bringing interfaces up: plan, record and kernel compared."""

from __future__ import annotations

from mptcp_hooks import commands, plan, system
from mptcp_hooks.errors import Problem
from mptcp_hooks.event import MANAGED, Event, method_of, recall_event
from mptcp_hooks.netlink import Endpoint
from mptcp_hooks.plan import Path, Plan
from mptcp_hooks.record import SILENT, Installed, Stanza, Store
from mptcp_hooks.settings import Configuration, Settings, judge_options, read_settings
from mptcp_hooks.value import TYPE_CHECKING
from mptcp_hooks.work import Change, LimitsChange, Undo, Work, settle_limits

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from mptcp_hooks.record import Lease
    from mptcp_hooks.system import Host
    from mptcp_hooks.work import Records


def prepare_up(store: Store, events: Iterable[Event], configuration: Configuration) -> Work:
    """The work of bringing up the interfaces of `events`; a bad one does not cost the others."""
    draft = Draft(store, configuration)
    for event in events:
        try:
            draft.add(event)
        except Problem as problem:
            draft.problems.append(problem)
    return draft.finish()


class Draft:
    """Work that grows by one event at a time, each seeing what those before it will do."""

    def __init__(self, store: Store, configuration: Configuration) -> None:
        self.problems: list[Problem] = []
        self._store = store
        self._configuration = configuration
        self._manager = system.read_path_manager()
        self._rules = system.RuleReader()
        self._on_file: Records = {}
        self._records: Records = {}
        self._undo: list[Undo] = []
        self._changes: list[Change] = []
        self._warnings: list[str] = []
        self._remarks: list[str] = []

    def add(self, event: Event) -> None:
        """Add what one event takes; Problem leaves the draft as it was."""
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

    def _settle(self, event: Event, replaced: tuple[Stanza, ...], forgetting: bool) -> None:
        settings = read_settings(event, self._configuration)
        recorded = self.list_stanzas(event.iface)
        old = [installed for stanza in replaced for installed in stanza.paths]
        silent = any(stanza.state == SILENT for stanza in replaced) and _has_no_carrier(event)
        planned = self._plan(event, settings, old, silent)
        paths = planned.paths
        changes = [self._prepare_change(path, old) for path in paths]

        self._warnings += [*judge_options(event, settings), *planned.warnings]
        self._remarks += planned.remarks
        for installed in old:
            self._undo_outdated(installed, changes)
        self._changes += [change for change in changes if change.lines]
        self._expect_endpoints(paths)
        stanza = Stanza(event.told, tuple(change.after for change in changes), SILENT * silent)
        stays = settings.wanted or not forgetting
        self._records[event.iface] = _put_in_place(recorded, replaced, (stanza,) * stays)

    def finish(self) -> Work:
        """The work of all events added, with the limits that they need together."""
        undo = tuple(self._undo)
        leaving = undo or any(change.late for change in self._changes)
        changed = {iface: stanzas for iface, stanzas in self._records.items()
                   if stanzas != self._on_file[iface]}
        return Work(
            # What is about to be undone stays on record until it is.
            pending=tuple((iface, _join(self._on_file[iface], stanzas) if leaving else stanzas)
                          for iface, stanzas in changed.items()),
            records=tuple(changed.items()),
            undo=undo,
            changes=tuple(self._changes),
            limits=self._settle_limits(),
            problems=tuple(self.problems),
            warnings=tuple(self._warnings),
            remarks=tuple(self._remarks),
        )

    def _settle_limits(self) -> LimitsChange:
        try:
            return settle_limits(self._store.load_limits(), self._manager, self._records)
        except Problem as problem:
            # Paths come and go all the same.
            self.problems.append(problem)
            return LimitsChange(None, None, (), ())

    def list_stanzas(self, iface: str) -> tuple[Stanza, ...]:
        """The stanzas of an interface, as they will be on record."""
        if iface not in self._records:
            self._on_file[iface] = self._records[iface] = self._store.load(iface)
        return self._records[iface]

    def _replace(self, iface: str, stanza: Stanza, remains: tuple[Stanza, ...]) -> None:
        same = self._list_same(iface, stanza)
        for installed in [one for each in same for one in each.paths]:
            self._undo_outdated(installed, [])
        self._records[iface] = _put_in_place(self.list_stanzas(iface), same, remains)

    def _list_same(self, iface: str, stanza: Stanza) -> tuple[Stanza, ...]:
        """What is on record of one stanza: twice where a hook was killed between old and new."""
        return tuple(one for one in self.list_stanzas(iface) if one.told == stanza.told)

    def _is_replaced(self, stanza: Stanza, event: Event) -> bool:
        """Whether an event renews a stanza on record, or finds its addresses gone."""
        if not stanza.told or stanza.told == event.told:
            return True
        before = recall_event(stanza.told)
        covered = set(before.families) <= set(event.families)
        if method_of(stanza.told) == MANAGED:
            return covered
        old = {stated.address for stated in before.addresses}
        if not old:
            return not event.addresses and covered
        if old & {stated.address for stated in event.addresses}:
            return True
        held = (*system.list_addresses(event.iface, before.families),
                *system.list_addresses(event.device, before.families))
        return not old & {stated.address for stated in held}

    def _plan(
        self, event: Event, settings: Settings, old: list[Installed], silent: bool
    ) -> Plan:
        if not settings.wanted:
            return Plan((), (), (f"{event.iface}: left alone",))
        known = len(event.families) == 1 and (settings.gateways or (
            event.addresses and all(one.gateway for one in event.addresses)))
        host = system.read_host(event.iface, event.families, event.addresses, not known)
        others = self._list_others(host.device, old)
        previous = tuple(installed.path for installed in old)
        if not event.addresses and not host.ifindex and not method_of(event.told):
            # A manager may name what pppd will make; a person means what there is.
            raise Problem(f"{event.iface}: no such interface")
        host = self._judge_found(event, host, others, previous)
        staying = {one.address for one in host.addresses}
        leaving = (path for path in previous if path.address not in staying)
        manager = plan.without_endpoints(self._manager, leaving)
        planned = plan.plan_paths(event.iface, settings, host._replace(silent=silent),
                                  previous, others, manager)
        if host.ifindex:
            return planned
        if not event.addresses:
            return planned._replace(remarks=(f"{event.iface}: not there yet",))
        return planned._replace(warnings=(
            *planned.warnings, f"{event.iface}: no such interface here: its table number "
                               "will be 20000 + its ifindex"))

    def _judge_found(
        self, event: Event, host: Host, others: tuple[Path, ...], previous: tuple[Path, ...]
    ) -> Host:
        """The host with what is to be said of addresses that were found, not stated."""
        stated = event.addresses
        found = tuple(one for one in host.addresses if one not in stated)
        if not found:
            return host
        lease = self._store.load_lease(event.device) if 4 in event.families else None
        judged = plan.settle_order(_with_lease(_leave_to_others(
            host._replace(addresses=found), others), lease), previous)
        return judged._replace(addresses=(*stated, *judged.addresses))

    def _list_others(self, device: str, old: list[Installed]) -> tuple[Path, ...]:
        """The paths of the device's other stanzas and aliases."""
        labels = {*self._store.list_labels(device),
                  *(iface for iface in self._records if iface.partition(":")[0] == device)}
        return tuple(one.path for label in sorted(labels)
                     for stanza in self.list_stanzas(label) for one in stanza.paths
                     if one not in old)

    def _prepare_change(self, path: Path, old: list[Installed]) -> Change:
        # Without `up` it is what could not be undone, no path.
        same = [one for one in old if one.up and one.path.address == path.address]
        before = same[-1] if same else None
        use = system.read_table_use(path.family, path.address, path.device, path.table,
                                    self._rules)
        going = [undo.installed for undo in self._undo]
        _refuse(path, plan.find_sharer(path, self._list_drafted()))
        _refuse(path, plan.find_intruder(path, _without_own(use, path.table, [*old, *going])))
        after = Installed(
            path=path,
            up=commands.build_up(path),
            down=commands.build_down(path),
            kernel=plan.describe_routing(use),
        )
        routed = len(same) == 1 and _list_routing(same[0]) == _list_routing(after)
        stays = (before is None or before.path.flags == path.flags) and any(
            plan.owns_endpoint(path, endpoint) for endpoint in self._endpoints())
        lines = tuple(
            line for line in after.up
            if not (stays and commands.is_endpoint_add(line, path))
            and not (routed and not commands.is_mptcp(line)))
        return Change(before, after._replace(kernel="") if lines else after, lines,
                      _list_late(before, after))

    def _undo_outdated(self, installed: Installed, changes: list[Change]) -> None:
        """Undo the lines on record that no change makes again."""
        same = [one for one in changes if one.after.path.address == installed.path.address]
        again = {line for change in same for line in change.after.down}
        remade = any(commands.is_endpoint_add(line, change.after.path)
                     for change in same for line in change.lines)
        late = {line for change in same for line in change.late}
        outdated = [line for line in installed.down if line not in late and (
                    line not in again or (commands.is_mptcp(line) and remade))]
        bound = commands.bind_ids(outdated, installed.path, self._endpoints())
        if bound:
            self._undo.append(Undo(installed._replace(down=tuple(outdated)), bound))
        if any(map(commands.is_mptcp, bound)):
            self._manager = plan.without_endpoints(self._manager, [installed.path])

    def _list_drafted(self) -> Iterator[Path]:
        """The paths that interfaces will have, as far as this work is about them."""
        return (one.path for stanzas in self._records.values() for stanza in stanzas
                for one in stanza.paths)

    def _endpoints(self) -> tuple[Endpoint, ...]:
        return self._manager.endpoints or ()

    def _expect_endpoints(self, paths: Iterable[Path]) -> None:
        there = {endpoint.address for endpoint in self._endpoints()}
        made = tuple(Endpoint(0, path.address, path.ifindex, path.flags)
                     for path in paths if path.endpoint and path.address not in there)
        self._manager = self._manager._replace(endpoints=(*self._endpoints(), *made))


def _has_no_carrier(event: Event) -> bool:
    link = system.read_link(event.device)
    return link is None or not link.running


def _leave_to_others(host: Host, others: tuple[Path, ...]) -> Host:
    """The host without the addresses that another stanza has: they are that stanza's."""
    theirs = {path.address for path in others}
    return host._replace(addresses=tuple(
        one for one in host.addresses if one.address not in theirs))


def _with_lease(host: Host, lease: Lease | None) -> Host:
    """The host with a lease's gateway and routes at the lease's address."""
    return host if lease is None else host._replace(addresses=tuple(
        one._replace(gateway=lease.gateway, routes=lease.routes)
        if one.address == lease.address else one for one in host.addresses))


def _list_routing(installed: Installed) -> list[str]:
    """What is on record of a path's routing: the lines, and what they made of the kernel's."""
    return [*(line for line in (*installed.up, *installed.down) if not commands.is_mptcp(line)),
            installed.kernel]


def _list_late(before: Installed | None, after: Installed) -> tuple[str, ...]:
    """The lines that take away what a path has in a table that it leaves."""
    if before is None or before.path.table == after.path.table:
        return ()
    return tuple(line for line in before.down
                 if not commands.is_mptcp(line) and line not in after.down)


def _without_own(use: system.TableUse, table: int, old: list[Installed]) -> system.TableUse:
    """What of a table's use is not from paths on record that are renewed or about to go."""
    ours = {one.path.table for one in old}
    return system.TableUse(tuple(rule for rule in use.rules if rule.table not in ours),
                           () if table in ours else use.routes)


def _refuse(path: Path, obstacle: str) -> None:
    if obstacle:
        raise Problem(f"{path.iface}: {obstacle}")


def _put_in_place(
    recorded: tuple[Stanza, ...], replaced: tuple[Stanza, ...], new: tuple[Stanza, ...]
) -> tuple[Stanza, ...]:
    """The record with `new` where the first replaced stanza was, or at the end."""
    place = recorded.index(replaced[0]) if replaced else len(recorded)
    rest = [stanza for stanza in recorded if stanza not in replaced]
    return (*rest[:place], *new, *rest[place:])


def _join(old: tuple[Stanza, ...], new: tuple[Stanza, ...]) -> tuple[Stanza, ...]:
    return (*(stanza for stanza in old if stanza not in new), *new)
