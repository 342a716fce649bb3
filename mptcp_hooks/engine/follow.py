# SPDX-License-Identifier: GPL-2.0-or-later
"""The work of making what is on record true again: each stanza, as the machine is now.

A manager says once what it did. Leases, router advertisements, cables and people
change it later; what was told stays, and its paths come and go with the addresses.
"""

from __future__ import annotations

from mptcp_hooks.base.address import InterfaceAddress
from mptcp_hooks.base.errors import Problem
from mptcp_hooks.base.model import LEAVING, SILENT, Stanza
from mptcp_hooks.base.value import TYPE_CHECKING, NamedTuple
from mptcp_hooks.engine.bring_up import prepare_up
from mptcp_hooks.engine.keeper import LAST_TURN, Keeper, list_led
from mptcp_hooks.engine.compare import list_current, renews
from mptcp_hooks.intent.event import NETWORKMANAGER, Event, method_of, recall_event

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from mptcp_hooks.engine.books import Leases
    from mptcp_hooks.engine.keeper import Lost
    from mptcp_hooks.engine.record import Store
    from mptcp_hooks.engine.work import Work
    from mptcp_hooks.intent.settings import Configuration
    from mptcp_hooks.machine.system import Machine

    Act = Callable[[Keeper, Machine, "_Seen"], None]


class _Seen(NamedTuple):
    """A stanza on record, and what it was told of as the machine is now: see `see`."""

    iface: str
    stanza: Stanza
    event: Event | None

    @property
    def device(self) -> str:
        """The device that the stanza is about."""
        return next((one.path.device for one in self.stanza.paths), self.iface.partition(":")[0])


def prepare_again(
    store: Store, machine: Machine, ifaces: Iterable[str], configuration: Configuration,
    leases: Leases | None = None,
) -> Work:
    """The work of following what changed on `ifaces`; what cannot be does not cost the others.

    `leases` are those that the work is to note.
    """
    builder = Keeper(store, machine, configuration, leases)
    _follow(builder, machine, ifaces, (_take_leave, _renew))
    return builder.finish()


def prepare_wake(store: Store, machine: Machine, configuration: Configuration) -> Work:
    """The work of giving silent interfaces their endpoints, since nobody watches them any more."""
    builder = Keeper(store, machine, configuration)
    _follow(builder, machine, store.list_interfaces(), (_wake, _renew))
    return builder.finish()


def prepare_all(
    store: Store, machine: Machine, events: Iterable[Event], configuration: Configuration,
    edited: Iterable[Event] = (),
) -> Work:
    """The work of `mptcp_up --all`: what is on record is made true again, as the machine is now.

    What mptcp_down took away comes back. Nothing is brought up anew: of `events`, those of
    interfaces that are up and not on record, only what is there is taken in. `edited` are those
    of interfaces on record whose stanzas have changed since: as if a person named them.
    """
    builder = Keeper(store, machine, configuration)
    told = list_told(store)
    renewed = list(edited)
    changed = {event.iface for event in renewed}
    builder.foretell(renewed)
    unedited = [iface for iface in store.list_interfaces() if iface not in changed]
    new = [event for event in events if event.iface not in told]

    def come(lost: Lost) -> None:
        """All three parts: what one of them brings matters to those before it."""
        _renew_all(builder, machine, unedited, renewed, lost)
        _take_in_each(builder, machine, new)

    builder.add_together(come)
    return builder.finish()


def _renew_all(
    builder: Keeper, machine: Machine, ifaces: list[str], edited: list[Event],
    lost: Lost,
) -> None:
    """Add what is on record, then what a person edited; but who has what is lost comes first."""
    ahead = [event for event in edited if _find_turn(builder, event, lost) < LAST_TURN]
    _name_each(builder, machine, ahead)
    _follow(builder, machine, ifaces, (_let_go, _call_back))
    _name_each(builder, machine, [event for event in edited if event not in ahead])


def _find_turn(builder: Keeper, event: Event, lost: Lost) -> int:
    """The turn of an event, by what it renews."""
    return lost.find_turn(stanza for stanza in builder.on_file.get(event.iface, ())
                          if renews(event, stanza))


def prepare_named(
    store: Store, machine: Machine, events: Iterable[Event], configuration: Configuration
) -> Work:
    """The work of `mptcp_up IFACE`: of `events`, what is there comes up.

    An interface that is not on record is taken as its manager would tell of it. What is on
    record stays there, whatever keeps it from coming: it comes by itself when it can.
    """
    builder = Keeper(store, machine, configuration)
    _name_each(builder, machine, list(events))
    return builder.finish()


def _name_each(builder: Keeper, machine: Machine, events: list[Event]) -> None:
    """Add what a person names; who is left of a device is its first, so all that goes is first."""
    current = list_current(events)
    for event in current:
        _leave_what_is_away(builder, machine, event)
    builder.add_together(lambda lost: builder.add_each(
        sorted(current, key=lambda event: _find_turn(builder, event, lost)),
        lambda event: _name(builder, machine, event)))
    # Those that nobody names.
    _do_each(builder, machine, _list_heirs(builder, _recall_seen(builder, machine, events)), _renew)


def _recall_seen(builder: Keeper, machine: Machine, events: list[Event]) -> list[_Seen]:
    """What the record had of the interfaces of events before what is named was added."""
    try:
        return [seen for iface in dict.fromkeys(event.iface for event in events)
                for seen in _see_each(machine, iface, builder.on_file.get(iface, ()))]
    except Problem as problem:
        # What was added comes all the same.
        _note(builder, problem)
        return []


def _leave_what_is_away(builder: Keeper, machine: Machine, event: Event) -> None:
    """Add that what an event renews has no path left, where its addresses are away."""
    try:
        if see(machine, event) is None:
            for stanza in builder.list_stanzas(event.iface):
                if stanza.told and renews(event, stanza):
                    builder.empty(event.iface, stanza)
    except Problem:
        # Who names it says so.
        return


def _name(builder: Keeper, machine: Machine, event: Event) -> None:
    """Add what a person names; Problem where it is on record and cannot come yet."""
    builder.say_exclusion(event)
    if not builder.list_stanzas(event.iface):
        builder.add(event)
        return
    seen = see(machine, event)
    if seen and (is_up(machine, seen.device) or not builder.is_meant(seen)):
        builder.want(seen)
        return
    for stanza in builder.list_stanzas(event.iface):
        # Its stanza may have been edited since.
        if stanza.told and renews(event, stanza):
            builder.call_back(event.iface, stanza)
    raise Problem(f"{event.iface}: {_find_lack(machine, event)}: its paths come once "
                  "that has changed, by mptcp_up, ifup or mptcp_monitor")


def _find_lack(machine: Machine, event: Event) -> str:
    """What keeps an interface's paths from coming."""
    link = machine.read_link(event.device)
    if link is None:
        return f"there is no device {event.device}"
    return "has none of the addresses stated" if link.up else "is down"


def prepare_announced(
    store: Store, machine: Machine, event: Event, configuration: Configuration
) -> Work:
    """The work of following an interface, with `event` where no stanza on record tells of it."""
    if is_covered(event, store.load(event.iface)):
        return prepare_again(store, machine, [event.iface], configuration)
    return prepare_up(store, machine, [event], configuration)


def prepare_adoption(
    store: Store, machine: Machine, events: Iterable[Event], configuration: Configuration,
    leases: Leases,
) -> Work:
    """The work of taking in interfaces that came up before anybody told us.

    One that is just coming up has no addresses yet, and will be told of. Of `leases` the
    work notes those of devices of which no lease is on record.
    """
    unnoted = {device: lease for device, lease in leases.items()
               if store.load_lease(device) is None}
    builder = Keeper(store, machine, configuration, unnoted)
    _take_in(builder, machine, events, list_told(store))
    return builder.finish()


def recall_events(store: Store, iface: str) -> list[Event]:
    """What was told of an interface on record."""
    return [recall_event(stanza.told) for stanza in store.load(iface) if stanza.told]


def is_known(store: Store, machine: Machine, iface: str) -> bool:
    """Whether there is such a device, an address by that name, or an interface on record."""
    if iface in store.list_interfaces():
        return True
    device, alias, _ = iface.partition(":")
    return iface in machine.list_labels(device) if alias else bool(machine.find_ifindex(iface))


def list_told(store: Store) -> list[str]:
    """The interfaces on record of which something was told; those too whose record is refused."""
    return [iface for iface in store.list_interfaces() if _is_told(store, iface)]


def _is_told(store: Store, iface: str) -> bool:
    try:
        return any(stanza.told for stanza in store.load(iface))
    except Problem:
        # Who follows it says so.
        return True


def _follow(
    builder: Keeper, machine: Machine, ifaces: Iterable[str], acts: tuple[Act, Act]
) -> None:
    """Add what goes of each stanza on record, and then what comes.

    An address may move between interfaces, so all that goes is prepared first. Both acts
    know the same of the machine: it is asked once for each stanza.
    """
    recorded = [seen for iface in ifaces for seen in _list_seen(builder, machine, iface)]
    builder.foretell(recall_event(seen.stanza.told) for seen in recorded if seen.stanza.told)
    leave, come = acts
    _do_each(builder, machine, recorded, leave)
    ordered = _put_losers_first(machine, recorded)
    builder.add_together(lambda lost: _do_each(
        builder, machine, sorted(ordered, key=lambda seen: lost.find_turn([seen.stanza])), come))


def _do_each(builder: Keeper, machine: Machine, recorded: Iterable[_Seen], act: Act) -> None:
    for seen in recorded:
        try:
            # A stanza that stands on record twice was made one with the first of the two.
            if builder.holds(seen.iface, seen.stanza):
                act(builder, machine, seen)
        except Problem as problem:
            _note(builder, problem)


def _put_losers_first(machine: Machine, recorded: list[_Seen]) -> list[_Seen]:
    """Those of several stanzas of a device first that lose an address: who is left is its first."""
    devices = [seen.device for seen in recorded]
    return sorted(recorded, key=lambda seen: not (
        devices.count(seen.device) > 1 and _loses_any(machine, seen.stanza)))


def _list_heirs(builder: Keeper, recorded: list[_Seen]) -> list[_Seen]:
    """Those of a device that has lost its first path by now: one of theirs is to be that."""
    now = (stanza for iface in {seen.iface for seen in recorded}
           for stanza in builder.list_stanzas(iface))
    lost = list_led(seen.stanza for seen in recorded) - list_led(now)
    return [seen for seen in recorded if any(
        (one.path.ifindex, one.path.family) in lost for one in seen.stanza.paths)]


def _loses_any(machine: Machine, stanza: Stanza) -> bool:
    """Whether the device lacks any of the addresses that the stanza's paths are for."""
    try:
        return _count_held(machine, stanza) < len(stanza.paths)
    except Problem:
        # Who follows it says so.
        return False


def _note(builder: Keeper, problem: Problem) -> None:
    """Note a problem once, whichever act meets it first."""
    if str(problem) not in map(str, builder.problems):
        builder.problems.append(problem)


def _take_in(
    builder: Keeper, machine: Machine, events: Iterable[Event], told: list[str]
) -> None:
    """Add what is there of interfaces that are up and not `told` of."""
    new = [event for event in events if event.iface not in told]
    builder.add_together(lambda lost: _take_in_each(builder, machine, new))


def _take_in_each(builder: Keeper, machine: Machine, events: Iterable[Event]) -> None:
    for event in events:
        try:
            seen = see(machine, event)
            if seen and is_up(machine, event.device):
                builder.add(seen)
        except Problem as problem:
            builder.problems.append(problem)


def _list_seen(builder: Keeper, machine: Machine, iface: str) -> list[_Seen]:
    try:
        return _see_each(machine, iface, builder.list_stanzas(iface))
    except Problem as problem:
        builder.problems.append(problem)
        return []


def _see_each(machine: Machine, iface: str, stanzas: Iterable[Stanza]) -> list[_Seen]:
    return [_Seen(iface, stanza, see(machine, recall_event(stanza.told)) if stanza.told else None)
            for stanza in stanzas]


def _take_leave(builder: Keeper, machine: Machine, seen: _Seen) -> None:
    """As _end, but what is leaving goes by itself, unless its addresses are gone already.

    Only coming back is not for us then: ifdown may have been cut off in the middle.
    """
    stanza = seen.stanza
    if not stanza.told or stanza.state != LEAVING:
        _end(builder, machine, seen)
    elif stanza.paths and not _count_held(machine, stanza):
        builder.empty(seen.iface, stanza)


def _end(builder: Keeper, machine: Machine, seen: _Seen) -> None:
    """Prepare the end of what could not be undone before, and of paths that are not to be.

    Those without an address are none, nor those of an interface that is excluded now.
    """
    if not seen.stanza.told:
        builder.drop(seen.iface, seen.stanza)
    elif seen.event is None or not builder.is_meant(seen.event):
        builder.empty(seen.iface, seen.stanza)


def _let_go(builder: Keeper, machine: Machine, seen: _Seen) -> None:
    """As _end; what goes may come back by itself, though it was leaving."""
    _end(builder, machine, seen)
    # Where that changed it, there is no second act.
    if seen.stanza not in builder.list_stanzas(seen.iface):
        builder.call_back(seen.iface, seen.stanza)


def _wake(builder: Keeper, machine: Machine, seen: _Seen) -> None:
    """Prepare that a stanza's paths do not wait for anything any more."""
    if seen.stanza.state == SILENT:
        builder.wake(seen.iface, seen.stanza)
        _bring_back(builder, machine, seen)


def _renew(builder: Keeper, machine: Machine, seen: _Seen) -> None:
    if seen.stanza.state != LEAVING:
        _bring_back(builder, machine, seen)


def _bring_back(builder: Keeper, machine: Machine, seen: _Seen) -> None:
    """Prepare that a stanza has the paths of what is there of it now."""
    # A link that is down has lost its routes and takes no new ones; the unreachable
    # default stands until it is up again.
    if seen.event and is_up(machine, seen.event.device):
        builder.renew(seen.stanza, seen.event)


def _call_back(builder: Keeper, machine: Machine, seen: _Seen) -> None:
    """As _bring_back; what cannot come back now may do so by itself."""
    _bring_back(builder, machine, seen)
    builder.call_back(seen.iface, seen.stanza)


def _count_held(machine: Machine, stanza: Stanza) -> int:
    """How many of the addresses that the stanza's paths are for their device has."""
    own = tuple(InterfaceAddress(one.path.family, one.path.address, 0, "", "")
                for one in stanza.paths)
    return len(machine.find_present(stanza.paths[0].path.device, own)) if own else 0


def see(machine: Machine, event: Event) -> Event | None:
    """The event as the machine is now; None without its device, or all addresses it stated."""
    if machine.read_link(event.device) is None:
        return None
    present = _find_present(machine, event)
    return event._replace(addresses=present) if present or not event.addresses else None


def is_up(machine: Machine, device: str) -> bool:
    """Whether there is such a device, and its link is up."""
    link = machine.read_link(device)
    return link is not None and link.up


def _find_present(machine: Machine, event: Event) -> tuple[InterfaceAddress, ...]:
    """The addresses stated that the device has; NetworkManager's as they are by now."""
    if method_of(event.told) != NETWORKMANAGER:
        return machine.find_present(event.iface, event.addresses)
    stated = {one.address: _forget_old_gateway(machine, event.device, one)
              for one in event.addresses}
    present = [one for label in machine.list_labels(event.device)
               for one in machine.list_addresses(label, event.families)]
    return tuple(stated.get(one.address, one) for one in present)


def _forget_old_gateway(
    machine: Machine, device: str, stated: InterfaceAddress
) -> InterfaceAddress:
    """The address without a gateway that main has given up for another: a lease was renewed."""
    gateways = machine.read_default_gateways(machine.find_ifindex(device), (stated.family,))
    outdated = gateways and stated.gateway not in gateways
    return stated._replace(gateway="") if outdated else stated


def is_covered(event: Event, stanzas: tuple[Stanza, ...]) -> bool:
    """Whether stanzas on record tell of the event's families already."""
    families = {family for stanza in stanzas if stanza.told
                for family in recall_event(stanza.told).families}
    return set(event.families) <= families
