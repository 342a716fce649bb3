# SPDX-License-Identifier: GPL-2.0-or-later
"""One round of upkeep: what mptcp_monitor does whenever something may have changed.

The hooks' own engine, for all interfaces on record and those that the
configuration names. Most rounds find nothing to do, and run nothing.
"""

from __future__ import annotations

from mptcp_hooks.base.address import family_of
from mptcp_hooks.base.errors import Problem
from mptcp_hooks.base.line import is_mptcp
from mptcp_hooks.base.model import SILENT, Role, Tunnel
from mptcp_hooks.base.numbering import (
    LOCAL_TABLE,
    MAIN_TABLE,
    NAMES_TABLE,
    PROTOCOL,
    SUPPRESSED_LENGTHS,
)
from mptcp_hooks.base.value import TYPE_CHECKING, NamedTuple
from mptcp_hooks.engine.carry_out import do_work
from mptcp_hooks.engine.checks import load_checks
from mptcp_hooks.engine.commands import OWN_TEMPLATES, can_lead
from mptcp_hooks.engine.detours import make_detours_ready, settle_detours
from mptcp_hooks.engine.faults import GATEWAY_SILENT
from mptcp_hooks.engine.follow import list_told, prepare_adoption, prepare_again
from mptcp_hooks.engine.kept_to import choose_kept, list_beside
from mptcp_hooks.engine.lifelines import find_lifelines, group
from mptcp_hooks.engine.name_record import has_names
from mptcp_hooks.engine.names import are_settled, can_name, settle_names
from mptcp_hooks.engine.record import lock_store, open_store
from mptcp_hooks.engine.remake import list_endpoints, list_identities, list_paths
from mptcp_hooks.engine.roles import settle_roles
from mptcp_hooks.engine.take_down import prepare_silence, prepare_withdrawal
from mptcp_hooks.intent.configuration import read_configuration
from mptcp_hooks.intent.event import recall_event
from mptcp_hooks.intent.ifupdown import ask_events, list_up
from mptcp_hooks.intent.settings import read_settings
from mptcp_hooks.machine.subflows import read_subflows
from mptcp_hooks.monitor.dhclient import read_kept_lease
from mptcp_hooks.monitor.front import Front, choose_front
from mptcp_hooks.monitor.gateways import WatchfulMachine
from mptcp_hooks.monitor.managed import prepare_managed, prepare_parting
from mptcp_hooks.monitor.names import Routes, choose_elsewhere, choose_names, read_named
from mptcp_hooks.monitor.round import RoundResult
from mptcp_hooks.monitor.way_out import (
    Uplinks, choose_table, find_leading_devices, list_leading)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping

    from mptcp_hooks.base.model import Lease, Path
    from mptcp_hooks.engine.name_record import Name
    from mptcp_hooks.engine.record import Store
    from mptcp_hooks.engine.work import Work
    from mptcp_hooks.intent.event import Event
    from mptcp_hooks.intent.settings import Configuration
    from mptcp_hooks.machine.foreign import ForeignRule
    from mptcp_hooks.machine.subflows import Subflow
    from mptcp_hooks.machine.system import Machine
    from mptcp_hooks.monitor.names import Named

    Prepare = Callable[[Store, Machine], Work]


class Known(NamedTuple):
    """What the monitor remembers of paths, by their addresses, and of routers.

    `fresh` are those that were out when last seen, or some seconds ago, `suspected` those over
    which several connections wait in vain, `doubted` those whose gateway was silent, `asked`
    those whose gateway was to prove that it is there, and has if it will, `unsteady` those that
    were there for moments only, again and again. `heard` are the resolvers that routers
    advertise, each with the ifindex of the device. `roles` are the interfaces that are to be
    backups, and why, `raced` the tables whose rules another program puts in front of ours again
    and again.
    """

    fresh: frozenset[str] = frozenset()
    suspected: frozenset[str] = frozenset()
    doubted: frozenset[str] = frozenset()
    asked: frozenset[str] = frozenset()
    unsteady: frozenset[str] = frozenset()
    heard: frozenset[tuple[int, str]] = frozenset()
    roles: tuple[tuple[str, str], ...] = ()
    raced: frozenset[str] = frozenset()


class Judged(NamedTuple):
    """A path, and why it is out; '' where it is not.

    One that is `waiting` has its endpoint away until its gateway answers anew.
    """

    path: Path
    fault: str
    waiting: bool


def keep_up(
    adopting: bool, resting: frozenset[str], known: Known, show: Callable[[str], None] | None
) -> RoundResult:
    """Make true again what is on record; `show` hears each command before it runs.

    `adopting` takes in what ifupdown has up and nobody told us of. `resting`
    are interfaces that are left as they are, `known` is what was before this round.
    """
    configuration, mistakes = read_configuration()
    upkeep = _Upkeep(WatchfulMachine(show), [str(mistake) for mistake in mistakes])
    upkeep.machine.doubted.update(known.doubted)
    upkeep.machine.asked = known.asked
    upkeep.machine.unsteady = known.unsteady
    upkeep.heed_checks()
    # First, and before other programs are asked: a transfer may be waiting.
    upkeep.silence()
    upkeep.keep_to_tunnels(configuration)
    upkeep.lead(known)
    upkeep.name(known)
    upkeep.put_in_front(configuration, known.raced)
    if adopting:
        try:
            _adopt(upkeep, configuration)
        except Problem as problem:
            # What is on record is kept up all the same.
            upkeep.fail(problem)
    upkeep.do(lambda store, machine: prepare_parting(store, machine, configuration))
    # What is on record before what is new: of two that have one address it was the first.
    upkeep.follow(configuration, resting)
    upkeep.do(lambda store, machine: prepare_managed(store, machine, configuration, resting))
    if upkeep.have_gateways_answer():
        upkeep.follow(configuration, resting)
    upkeep.keep_to_tunnels(configuration)
    upkeep.lead(known)
    upkeep.name(known)
    upkeep.set_roles(dict(known.roles), configuration)
    upkeep.make_ready()
    return upkeep.report()._replace(suspecting=configuration.notice)


class _Upkeep:
    """One round's works, done one after another, and what is to be said of them."""

    def __init__(self, machine: WatchfulMachine, said: list[str]) -> None:
        self.machine = machine
        self.said = said
        self._repaired: list[str] = []
        self._kept: frozenset[str] = frozenset()
        self._judged: list[Judged] = []
        # Devices of paths whose address is another one's as well.
        self._sharing: frozenset[int] = frozenset()
        # Those that were out when the round began; some go off the record in it.
        self._out: list[Judged] = []
        # By family, the interface that main leads new connections to, and that they leave by.
        self._ways: dict[int, tuple[str, str]] = {}
        self._free: frozenset[str] = frozenset()
        # The families of which new connections are held back, since a tunnel died.
        self._held: set[int] = set()
        self._resolvers: tuple[str, ...] = ()
        self._tunnels: tuple[str, ...] = ()
        self._overtaken: list[str] = []
        self._made = self._failed = False

    def do(self, prepare: Prepare) -> None:
        """Do one work, and heed how it went."""
        work, problems = do_work(self.machine, lambda store: self._prepare(prepare, store),
                                 self.said.append, verbose=False)
        self._repaired += _list_repaired(work)
        self._made |= _makes_endpoints(work)
        self._failed |= len(problems) > len(work.problems)

    def heed_checks(self) -> None:
        """Take in which paths' checks have failed."""
        try:
            self.machine.failing = frozenset(one.address for one in load_checks() if one.failed)
        except Problem as problem:
            self.fail(problem)

    def silence(self) -> None:
        """Take away the endpoints of paths that are out, but for connections' last ones."""
        out = self._list_out()
        mute = [judged.path for judged in out if judged.path.endpoint]
        if not mute:
            return
        leaving = self._list_spare(mute)
        self._kept = frozenset(path.iface for path in mute if path not in leaving)
        if leaving:
            self.do(lambda store, machine: prepare_silence(store, machine, leaving))

    def keep_to_tunnels(self, configuration: Configuration) -> None:
        """Have new connections open no subflow beside a tunnel that they leave by.

        Where they leave by none any more, what follows all that is on record opens the way again.
        A tunnel is noted also where there is no uplink yet, for the hook of the first one.
        """
        with open_store() as store:
            recorded = store.load_tunnels()
            paths = list(list_paths(store))
            devices = {iface.partition(":")[0] for iface in store.list_interfaces()}
        families = (4, 6) if configuration.private else ()
        wanted = tuple(self._find_tunnels(families, devices, recorded))
        kept = choose_kept(wanted, list_beside(paths))
        self._tunnels = tuple(dict.fromkeys(one.device for one in kept))
        if wanted != recorded:
            with lock_store() as store:
                store.save_tunnels(wanted)
        if not kept:
            return
        telling = [path for path in paths if path.endpoint and path.tells]
        if wanted != recorded or telling:
            leaving = self._list_spare(telling)
            self.do(lambda store, machine: prepare_withdrawal(
                store, machine, leaving, configuration.limits))

    def _find_tunnels(
        self, families: Iterable[int], devices: Iterable[str], recorded: tuple[Tunnel, ...]
    ) -> Iterator[Tunnel]:
        """By which tunnel new connections of each family leave, which is none of our `devices`.

        Where they have no way at all, nothing is known of what they would leave by, and all
        stays as it is.
        """
        uplinks = set(map(self.machine.find_ifindex, devices))
        before = {one.family: one.device for one in recorded}
        for family in families:
            device = self.machine.find_tunnel(family, uplinks)
            if device is None:
                device = before.get(family, "")
            if device:
                yield Tunnel(family, device)

    def put_in_front(self, configuration: Configuration, raced: frozenset[str]) -> None:
        """Have our rules stand before others' that take everything, where uplinks are to answer.

        It is on record, and what follows all that is moves them. Those that are `raced` for are
        left where they are.
        """
        with open_store() as store:
            recorded = store.load_front()
            paths = list(list_paths(store))
        front = Front(configuration.preference, None)
        if configuration.answer:
            front = self._choose_front(paths, configuration.preference)
        wanted = front.preference if front.foremost else 0
        if front.foremost and not front.preference:
            self.said.append(f"rule {front.foremost.rule.preference} takes what comes from "
                             "uplinks' addresses, and before it is no room for ours")
            return
        table = f"table {front.foremost.rule.table}" if front.foremost else ""
        if wanted == recorded or table in raced:
            return
        with lock_store() as store:
            store.save_front(wanted)
        self._overtaken += [table] * bool(table)

    def _choose_front(self, paths: list[Path], usual: int) -> Front:
        taking: list[ForeignRule] = []
        others: list[ForeignRule] = []
        for family in sorted({path.family for path in paths}):
            rules = self.machine.list_foreign(family)
            addresses = [path.address for path in paths if path.family == family]
            taking += [one for one in rules if any(map(one.covers, addresses))
                       and self._takes_all(family, one, usual)]
            others += rules
        return choose_front(usual, taking, others)

    def _takes_all(self, family: int, foreign: ForeignRule, usual: int) -> bool:
        """Whether a rule that covers an address leaves nothing of it to ours, `usual` at first."""
        if not foreign.rule.table:
            return foreign.refuses or foreign.leads_to > usual
        return foreign.rule.suppress is None and any(
            route.kind != "throw" and (
                route.destination == "default"
                or int(route.destination.partition("/")[2]) <= SUPPRESSED_LENGTHS[family])
            for route in self.machine.read_table(family, foreign.rule.table))

    def _list_spare(self, paths: list[Path]) -> list[Path]:
        """Those of the paths that no connection has as its last one."""
        if not paths:
            return []
        lifelines = find_lifelines(self._read_connections(),
                                   frozenset(path.address for path in paths))
        return [path for path in paths if path.address not in lifelines]

    def _read_connections(self) -> dict[int, list[Subflow]]:
        try:
            return group(read_subflows())
        except Problem as problem:
            # Most connections gain by what is done.
            self.fail(problem)
            return {}

    def _list_out(self) -> list[Judged]:
        """The paths that are out; of an old failure of a gateway's it is asked once more first."""
        out = [judged for judged in self._judge() if judged.fault]
        silent = [judged for judged in out if judged.fault == GATEWAY_SILENT]
        for judged in silent:
            # Also one whose endpoint stays, or is not ours: there may be nothing to send.
            self.machine.answers(judged.path)
        told = self.machine.doubted | self.machine.asked
        new = [judged for judged in silent
               if not judged.waiting and judged.path.address not in told]
        # Whoever answers is out no more.
        if new and self.have_gateways_answer():
            out = [judged for judged in self._judge() if judged.fault]
        self.machine.doubted.update(judged.path.address for judged in out
                                    if judged.fault == GATEWAY_SILENT)
        return out

    def lead(self, known: Known) -> None:
        """Lead new connections to an uplink that is alive, where main leads them to none."""
        self._judged = self._judge()
        self._out = self._out or [one for one in self._judged if one.fault]
        with open_store() as store:
            led = store.has_detours()
            recorded = {one.family: one.table for one in store.load_detours()}
        wanted = {family: self._choose(family, recorded.get(family), known) for family in (4, 6)}
        self._held = {family for family, table in wanted.items() if table == 0}
        if not led and all(table is None for table in wanted.values()):
            return
        if not all(can_lead(family, table) for family, table in wanted.items()
                   if table is not None):
            self._ways.clear()
            self.said.append(f"{OWN_TEMPLATES}: no lines for detours: new connections go where "
                             "main leads them; see the package's own templates")
            return
        with lock_store() as store:
            problems = settle_detours(store, self.machine, wanted)
        for problem in problems:
            self._ways.clear()
            self.fail(problem)

    def make_ready(self) -> None:
        """Have the lines at hand that lead new connections elsewhere, before they are wanted."""
        for family in (4, 6):
            tables = [one.path.table for one in self._judged if one.path.family == family
                      and one.path.primary and one.path.default and one.path.way_out]
            try:
                # One that is alone is never a way past another.
                if len(tables) > 1:
                    make_detours_ready(family, tables)
            except Problem as problem:
                self.fail(problem)

    def _choose(self, family: int, recorded: int | None, known: Known) -> int | None:
        """The table that new connections are to leave by; see choose_table."""
        paths = tuple(one.path for one in self._judged if one.path.family == family
                      and one.path.primary and one.path.default)
        if not paths and recorded != 0:
            return None
        defaults = self.machine.read_defaults(family)
        ours = {path.ifindex for path in paths} | self._sharing
        foreign = {route.device for route in defaults} - ours
        alive = frozenset(one.path.address for one in self._judged if not one.fault)
        uplinks = Uplinks(paths, alive - known.suspected, known.fresh,
                          frozenset(filter(self.machine.leads_to_peer, foreign)))
        chosen = choose_table(uplinks, defaults, recorded)
        if chosen or recorded:
            self._ways[family] = (
                next((path.iface for path in list_leading(uplinks, defaults)), ""),
                next((path.iface for path in paths if path.table == chosen), ""))
        return chosen

    def set_roles(self, roles: Mapping[str, str], configuration: Configuration) -> None:
        """Make backups of the uplinks that are to be, while another one is alive."""
        with open_store() as store:
            self._free = frozenset(_list_free(store, configuration))
            recorded = store.load_roles()
        alive = {one.path.iface for one in self._judged if not one.fault}
        meant = self._free & set(roles) if alive - set(roles) else frozenset()
        if not meant and not recorded:
            return
        with lock_store() as store:
            wanted = [Role(one.path.address, roles[one.path.iface])
                      for one in list_endpoints(store)
                      if one.path.iface in meant and one.path.primary]
            for problem in settle_roles(store, self.machine, wanted, self._find_leading()):
                self.fail(problem)

    def _find_leading(self) -> set[str]:
        """The addresses of paths that main's default leads new connections to."""
        devices = {family: find_leading_devices(self.machine.read_defaults(family))
                   for family in {one.path.family for one in self._judged}}
        return {one.path.address for one in self._judged
                if one.path.ifindex in devices[one.path.family]}

    def name(self, known: Known) -> None:
        """Have a resolver that one uplink alone names asked over that one, while it is alive."""
        try:
            self._name(known)
        except Problem as problem:
            # All else that is on record is kept up all the same.
            self.fail(problem)

    def _name(self, known: Known) -> None:
        with open_store() as store:
            kept = has_names(store.folder)
            named = read_named(store, [one.path for one in self._judged], known.heard)
        self.said += [text for text in named.mistakes if text not in self.said]
        self._resolvers = tuple(named.resolvers)
        if not kept and not named.resolvers:
            return
        families = {family_of(resolver) for resolver in named.resolvers}
        wanted = {family: self._choose_names(family, named, known) for family in (4, 6)
                  if kept or family in families}
        if any(wanted.values()) and not can_name():
            self.said.append(f"{OWN_TEMPLATES}: no lines for names: resolvers are asked where main "
                             "leads; see the package's own templates")
            wanted = {}
        if not kept and not any(wanted.values()):
            return
        with open_store() as store:
            if are_settled(store, self.machine, wanted):
                return
        with lock_store() as store:
            problems = settle_names(store, self.machine, wanted)
        for problem in problems:
            self.fail(problem)

    def _choose_names(
        self, family: int, named: Named, known: Known
    ) -> tuple[Name, ...] | None:
        """The names of a family; None where the table has another owner. See choose_names."""
        there = self.machine.read_tables().read_names(family).routes
        if any(route.protocol != PROTOCOL for route in there):
            text = (f"table {NAMES_TABLE} has IPv{family} routes of somebody else: resolvers are "
                    "asked where main leads")
            self.said += [text] * (text not in self.said)
            return None
        ways = [one.path for one in self._judged if one.path.family == family
                and one.path.primary and one.path.default and one.path.way_out
                and not one.fault and one.path.address not in known.suspected]
        if not ways or family in self._held:
            return ()
        uplinks = frozenset(one.path.ifindex for one in self._judged) | self._sharing
        routes = Routes(*(tuple(self.machine.read_table(family, table))
                          for table in (MAIN_TABLE, LOCAL_TABLE)))
        names = choose_names(named, ways, uplinks, routes)
        # A tunnel keeps private what is bound to nothing; whoever has it may have rules for it.
        if names and self.machine.find_exit(family, choose_elsewhere(family, routes)) in uplinks:
            return names
        return ()

    def _judge(self) -> list[Judged]:
        """The paths on record, and why they are out.

        All that is known of an address is one device's: a path that shares it is not judged.
        """
        with open_store() as store:
            recorded = list(_list_recorded(store))
        self._sharing = frozenset(path.ifindex for path, _ in recorded if path.shared)
        return [Judged(path, self.machine.find_fault(path, waiting), waiting)
                for path, waiting in recorded if not path.shared]

    def follow(self, configuration: Configuration, resting: frozenset[str]) -> None:
        """Make true again what is on record, as the machine is now."""
        self.do(lambda store, machine: prepare_again(store, machine, [
            iface for iface in store.list_interfaces() if iface not in resting], configuration))

    def have_gateways_answer(self) -> bool:
        """Ask gateways that paths wait for; whether one answers at once."""
        if not self.machine.unanswered:
            return False
        answered, problems = self.machine.ask_gateways()
        for problem in problems:
            self.fail(problem)
        return answered

    def fail(self, problem: Problem) -> None:
        """Note what cannot be done in this round."""
        self.said.append(str(problem))
        self._failed = True

    def report(self) -> RoundResult:
        """How the round went."""
        with open_store() as store:
            paths = sorted({one.path.iface for one in list_endpoints(store)})
            silent = tuple(_list_silent(store))
            endpoints = tuple(list_identities(store, self.machine.read_path_manager()))
        return RoundResult(
            tuple(self.said), tuple(self._repaired), self._failed, tuple(paths), silent,
            tuple(sorted(self._kept)),
            tuple(sorted({gateway.device for gateway in self.machine.unanswered})), self._made,
            endpoints=endpoints,
            addresses=tuple(
                (one.path.address, one.path.iface, one.path.gateway, one.path.ifindex)
                for one in self._judged if one.path.primary and one.path.default),
            faults=tuple((one.path.iface, one.path.address, one.path.gateway, one.fault)
                         for one in self._list_faulty()),
            ways=tuple(sorted((family, *ends) for family, ends in self._ways.items())),
            resolvers=self._resolvers,
            tunnels=self._tunnels,
            overtaken=tuple(self._overtaken),
            free=tuple(sorted(self._free)),
            alive=tuple((one.path.iface, one.path.address)
                        for one in self._judged if not one.fault))

    def _list_faulty(self) -> Iterator[Judged]:
        """The paths that are out, those among them that are on record no more.

        New connections wait with the return of these as well.
        """
        left = {one.path.address for one in self._judged}
        yield from (one for one in self._judged if one.fault)
        yield from (one for one in self._out if one.path.address not in left)

    def _prepare(self, prepare: Prepare, store: Store) -> Work:
        work = prepare(store, self.machine)
        if _makes_endpoints(work):
            self.machine.forget_failing(change.after.path for change in work.changes)
        return work


def _adopt(upkeep: _Upkeep, configuration: Configuration) -> None:
    """Take in what ifupdown has up and is not on record."""
    events = _ask_ifupdown(upkeep.said)
    with open_store() as store:
        told = list_told(store)
    news = [event for event in events if event.iface not in told]
    if news:
        leases = _read_kept_leases(news, upkeep.said)
        upkeep.do(lambda store, machine: prepare_adoption(
            store, machine, news, configuration, leases))


def _list_recorded(store: Store) -> Iterator[tuple[Path, bool]]:
    """The paths on record, each with whether it is out and its gateway is to answer anew."""
    for iface in store.list_interfaces():
        try:
            stanzas = store.load(iface)
        except Problem:
            # The work that follows all that is on record says it.
            continue
        for stanza in stanzas:
            for one in stanza.paths:
                yield one.path, stanza.state == SILENT and not one.path.endpoint


def _list_free(store: Store, configuration: Configuration) -> Iterator[str]:
    """The interfaces of whose endpoints' flags nobody has said anything."""
    if not configuration.roles or configuration.flags:
        return
    for iface in store.list_interfaces():
        try:
            told = [stanza.told for stanza in store.load(iface) if stanza.told]
            settings = [read_settings(recall_event(one), configuration) for one in told]
        except Problem:
            # The work that follows all that is on record says it.
            continue
        if settings and not any(one.chosen_flags for one in settings):
            yield iface


def _list_silent(store: Store) -> Iterator[str]:
    """The interfaces whose endpoints are away until something carries again."""
    for iface in store.list_interfaces():
        try:
            stanzas = store.load(iface)
        except Problem:
            # The work that follows all that is on record says it.
            continue
        if any(stanza.state == SILENT for stanza in stanzas):
            yield iface


def _makes_endpoints(work: Work) -> bool:
    return any(is_mptcp(line) for change in work.changes for line in change.lines)


def _ask_ifupdown(said: list[str]) -> list[Event]:
    """What ifupdown has up, as its stanzas say."""
    events: list[Event] = []
    for iface in list_up():
        try:
            events += ask_events(iface)
        except Problem as problem:
            said.append(str(problem))
    return events


def _read_kept_leases(events: list[Event], said: list[str]) -> dict[str, Lease]:
    """What DHCP clients were told, by device, before anybody told us."""
    leases: dict[str, Lease] = {}
    for device in {event.device for event in events if not event.addresses}:
        try:
            lease = read_kept_lease(device)
        except Problem as problem:
            said.append(str(problem))
            continue
        if lease is not None:
            leases[device] = lease
    return leases


def _list_repaired(work: Work) -> Iterator[str]:
    for change in work.changes:
        if change.before and change.before.path == change.after.path:
            yield change.after.path.iface
