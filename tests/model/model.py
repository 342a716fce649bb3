# SPDX-License-Identifier: GPL-2.0-or-later
"""What must be there: docs/internals/architecture.md as a simple model, of what was told and is up.

It is no copy of the planner. What the documentation leaves open, such as which of
several addresses is the first, is read off the kernel and then held to (outcome.py).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from copy import deepcopy
from dataclasses import dataclass, field
from typing import NamedTuple

from tests.model.health import Health
from tests.model.kernel import Endpoint, Limits, Snapshot
from tests.model.steps import Step
from tests.model.things import Wish, Written, find_foreign
from tests.model.told import Told, is_wanted, list_held, list_wishes
from tests.model.way_out import Way, find_best, list_candidates, list_lost, list_states
from tests.model.world import (
    FAMILIES,
    TUNNEL,
    Configuration,
    Own,
    Stanza,
    find_own,
    read_configuration,
    read_stanza,
)


class Awaited(NamedTuple):
    """What a monitor waits for before it makes endpoints; a hook waits for nothing.

    The gateways of devices that are silent, and the checks of addresses that have failed.
    """

    devices: frozenset[str] = frozenset()
    addresses: frozenset[str] = frozenset()

    def hold_back(self, wish: Wish) -> bool:
        """Whether a path that was out is so still."""
        return wish.address in self.addresses or bool(
            wish.gateway and wish.device in self.devices)


@dataclass
class Model:
    """All that was told, other programs' endpoints, the configuration, whose limits count.

    `leases` are what DHCP servers gave to devices, and `deaf` are those whose gateways do not
    answer; `failing` are the addresses whose checks have failed. `weak` are the uplinks that are
    remembered as such, `known_weak` those that the monitor remembers, and `roles` the addresses
    that were its backups at last. `health` is what a monitor may know of paths, and `ways` where
    it has what is bound to nothing leave, by family. `tunnels` are the families of whose new
    connections it has seen that they leave by one; they are `abandoned` where the monitor is gone,
    and somebody of ours had something to do without a path, who may have forgotten them.
    `base` are the limits to go back to, None while no endpoint is ours; `raised` what they
    were raised to. In the step under way, `limits` are those the package finds, `settling` is
    whether it sees to them, `ending` whether the monitor ends, `leading` are the families that had
    a way out when it began, or got one in it, or in `passing`: what a monitor may have made just
    before, and of which stanzas; `had` are the devices that had paths when it began, and `stood`
    those paths; `parted` are the families whose last paths went since the package saw to limits.
    While several stanzas are made true, `foreseen` are the families that have paths after that.
    `programs` is how many of ours were run, and `now` when the kernel was looked at, in seconds.
    """

    told: list[Told] = field(default_factory=list)
    foreign: set[Endpoint] = field(default_factory=set)
    configuration: Configuration = Configuration()
    monitored: bool = False
    leases: dict[str, Own] = field(default_factory=dict)
    deaf: set[str] = field(default_factory=set)
    failing: set[str] = field(default_factory=set)
    weak: set[str] = field(default_factory=set)
    known_weak: frozenset[str] = frozenset()
    roles: frozenset[str] = frozenset()
    health: Health = field(default_factory=Health)
    ways: dict[int, Way] = field(default_factory=lambda: dict.fromkeys(FAMILIES, Way()))
    tunnels: set[int] = field(default_factory=set)
    abandoned: bool = False
    base: Limits | None = None
    raised: Limits | None = None
    limits: Limits = Limits(0, 0)
    settling: bool = False
    ending: bool = False
    leading: set[int] = field(default_factory=set)
    passing: list[tuple[Told, Wish]] = field(default_factory=list)
    had: frozenset[str] = frozenset()
    stood: tuple[Written, ...] = ()
    parted: set[int] = field(default_factory=set)
    foreseen: set[int] | None = None
    programs: int = 0
    now: float = 0.0

    @property
    def in_turn(self) -> bool:
        """Whether what comes was planned knowing all that goes.

        Programs that run at the same time plan and do their work one after another, in whichever
        order, and only a monitor comes back to what an earlier one has planned.
        """
        return self.monitored or self.programs < 2

    @property
    def beside(self) -> set[int]:
        """The families of tunnels that uplinks are beside, each of one that has a path."""
        return self.find_beside_of(self.tunnels)

    def find_beside_of(self, tunnels: set[int]) -> set[int]:
        """Those of the families of tunnels that have a path by now."""
        return tunnels & self._list_families()

    def _find_beside(self, told: Told, wishes: Iterable[Wish]) -> set[int]:
        """The same, once what stands of a stanza has become these wishes."""
        if self.foreseen is not None:
            return self.tunnels & self.foreseen
        own = {(told.stanza.device, address) for address in told.paths}
        others = {wish.family for one in self.told if one is not told
                  for wish in one.list_staying() if (wish.device, wish.address) not in own}
        return self.tunnels & others.union(wish.family for wish in wishes)

    def _list_families(self) -> set[int]:
        """Those that have a path by now."""
        return {wish.family for told in self.told for wish in told.list_staying()}

    @property
    def bare(self) -> bool:
        """Whether there was no path when the step began."""
        return not self.had

    @property
    def may_have_been_bare(self) -> bool:
        """Whether in between there may have been no path, where one program ran after the other.

        Each that runs beside others is about a device of its own: those that left none may have
        been the first, if no device that had a path has one still.
        """
        having = self._list_having()
        return 0 < len(having) < self.programs and not having & self.had

    def _list_having(self) -> frozenset[str]:
        """The devices that have paths."""
        return frozenset(told.stanza.device for told in self.told if told.paths)

    def begin(self, before: Snapshot, now: float = 0.0) -> None:
        """Begin a step: nothing changes unless it says so."""
        self.limits, self.settling, self.now = before.limits, False, now
        self.programs, self.parted = 0, set()
        self.leading = {wish.family for _, wish in self.passing if wish.gateway} | {
            family for family in FAMILIES if list_candidates(self, family)}
        self.had = self._list_having()
        self.stood = tuple(path for told in self.told for path in told.paths.values())
        for told in self.told:
            told.begin()

    def note(self, step: Step, before: Snapshot, after: Snapshot) -> None:
        """Heed a step of the world; most change only what the kernel shows."""
        if step.kind == "configure":
            self.configuration = read_configuration(step.words)
        elif step.kind == "endpoint":
            way, name = step.words
            self._note_foreign(way, name, before, after)
        elif step.kind == "gateway":
            way, device = step.words
            (self.deaf.add if way == "silent" else self.deaf.discard)(device)
        elif step.kind == "check":
            way, device, family, place = step.words
            own = find_own(device, int(place), int(family)).address
            (self.failing.add if way == "failed" else self.failing.discard)(own)
        elif step.kind == "uplink":
            way, device = step.words
            (self.weak.add if way == "weak" else self.weak.discard)(device)
        elif step.kind == "limits":
            self._note_limits(Limits(*map(int, step.words)))

    def follow(self, step: Step, before: Snapshot) -> None:
        """Heed a step of ours: what was told, and what is to become of it."""
        self.programs += 1
        settled, families = self.settling, self._list_families()
        self.settling = False
        match step.kind:
            case "hook":
                self._hear(read_stanza(step.words), before)
            case "farewell":
                self._say_farewell(step.iface)
            case "down":
                self.told = [one for one in self.told if one.stanza.iface != step.iface]
            case "lease":
                device, place = step.words
                self._take_lease(device, place, before)
            case "mptcp_up":
                self._bring_up(step.iface, before)
            case "mptcp_down":
                self._dismiss(step.iface)
        self.parted = set() if self.settling else self.parted | families - self._list_families()
        self.settling |= settled
        # A hook makes paths of what it is told, also from an address that another device has. The
        # monitor's next round bars the way for them before it takes them away.
        self.leading |= self._list_made()

    def attend(self, before: Snapshot) -> None:
        """Heed rounds of the monitor, after which all is as the machine is."""
        self.settling, self.parted = True, set()
        self._fall_silent(before)
        self.told = [told for told in self.told
                     if not (told.managed and self._has_ended(told.stanza.device, before))]
        self._take_in(before)
        self._keep_to_tunnels(before)
        # Beside a tunnel the round takes away whatever tells peers of an address, before it renews.
        for told in self.told if self.beside else ():
            told.paths = {address: path.without_endpoint() if path.tells else path
                          for address, path in told.paths.items()}
        awaited = Awaited(frozenset(self.deaf), frozenset(self.failing))
        refused = self._make_true(self.told, before, awaited)
        # What was in the way of one may be gone by the next round, as may who had its address.
        while len(again := self._make_true(
                self._list_waiting(refused), before, awaited)) < len(refused):
            refused = again
        # What is refused as it is taken in is not on record: the next round takes it in anew.
        self.told = [told for told in self.told if not (told.new and told in refused)]
        # What has just come is silenced by the next round: on a link without a carrier, where its
        # check has failed, and beside a tunnel, where peers would be told of it.
        self._fall_silent(before)
        self._keep_to_tunnels(before)
        for told in self.told if self.beside else ():
            told.drop_endpoints(lambda wish: wish.tells)

    def _list_waiting(self, refused: list[Told]) -> list[Told]:
        """Those of which another round may make more: refused, or with another device's address."""
        return [told for told in self.told if told in refused or told.shares]

    def set_monitor(self, word: str) -> None:
        """A monitor that begins knows nothing of what was."""
        if word == "on" and not self.monitored:
            self.health.forget()
            self.known_weak = frozenset(self.weak)
        self.monitored = word in ("on", "reload") and (self.monitored or word == "on")

    def lose_notes(self) -> None:
        """What a monitor noted that is gone, and where it led what is bound to nothing."""
        self.tunnels.clear()
        self.ways = dict.fromkeys(FAMILIES, Way())

    def lose_gone(self, before: Snapshot) -> None:
        """What a round just before the step took away, and forgot; what it made comes anew.

        That keeps its order: what had a path comes before what the step leaves to its stanza.
        """
        self.attend(before)
        for told in self.told:
            told.lose_gone()
        self._keep_to_tunnels(before)
        for told in self.told:
            told.note_order(lambda wish: not wish.shared or _may_be_first(wish, self.told))
            told.release()

    def watch(self, seen: Snapshot, now: float, settled: bool) -> None:
        """What a monitor sees of paths now, if there is one."""
        self.roles = seen.roles
        # Between the hooks of one stanza it may make paths of others, which the hook replaces.
        self.passing = [] if settled or not self.monitored else self._list_coming(seen)
        if not self.monitored:
            return
        states = list_states(self, seen)
        if settled:
            # The round that took them away found them out, unless it was under way by then.
            self.health.note(states | list_lost(self, seen), now, settled=False)
        self.health.note(states, now, settled)

    def _list_coming(self, seen: Snapshot) -> list[tuple[Told, Wish]]:
        """The paths that come of what was told, as the machine is now, each with its stanza."""
        return [(told, wish._replace(endpoint=wish.endpoint and (
                    wish.chosen or _may_be_first(wish, self.told))))
                for told in self.told if not told.leaving and seen.is_up(told.stanza.device)
                for wish in self.wish(told, seen, present=True)]

    def _list_made(self) -> set[int]:
        """The families that get a way out of what programs of ours make."""
        return {wish.family for told in self.told for wish in told.wishes or ()
                if wish.gateway and not wish.shared and _may_be_first(wish, self.told)}

    def list_of(self, iface: str) -> list[Told]:
        """What was told of an interface, or of all."""
        return [one for one in self.told if iface in ("--all", one.stanza.iface)]

    def names(self, device: str) -> bool:
        """Whether the configuration has a monitor take in a device."""
        return (device in self.configuration.managed
                and device not in self.configuration.excluded)

    def wish(
        self, told: Told, before: Snapshot, present: bool, awaited: Awaited = Awaited()
    ) -> list[Wish]:
        """The paths that a stanza should have; what was out waits for what is `awaited`."""
        if not is_wanted(told, self.configuration):
            return []
        wishes = list_wishes(told, self.told, self.configuration, self.foreign, self.leases,
                             before, present)
        # What stands of a silent stanza stays: another path of it is out.
        out = told.mute | {wish.address for wish in wishes
                           if told.silent and wish.address not in told.kept}
        return self._keep_quiet(told, [
            wish.wait(told.doubtful and wish.address not in told.mute)
            if awaited.hold_back(wish) and wish.address in out else wish
            for wish in wishes], before)

    def _keep_quiet(self, told: Told, wishes: list[Wish], before: Snapshot) -> list[Wish]:
        """Beside a tunnel no endpoint comes of which peers would be told; what is there stays."""
        beside = self._find_beside(told, wishes)
        return [self._quieten(told, wish, before) if beside and wish.tells else wish
                for wish in wishes]

    def _quieten(self, told: Told, wish: Wish, before: Snapshot) -> Wish:
        """A wish of which peers would be told, as it is beside a tunnel."""
        stands = told.has_endpoint_of(wish.address, before) or told.makes_quietly(wish.address)
        if not stands and not self._may_have_passed(wish):
            return wish._replace(endpoint=False)
        telling = {one.address for one in before.endpoints if "signal" in one.flags}
        is_told = (wish.announced or wish.address) in telling
        return (wish if is_told else wish.keep_quiet())._replace(passing=not stands)

    def _may_have_passed(self, wish: Wish) -> bool:
        """Whether a monitor may just have made an endpoint of it, of which no peer is told."""
        return any((one.address, one.device) == (wish.address, wish.device)
                   and one.endpoint and not one.tells for _, one in self.passing)

    def _may_take_silence(self, stanza: Stanza) -> bool:
        """Whether a monitor may just have found what is stated to be a silent stanza's.

        An endpoint that came to a link without a carrier has made its stanza silent by then.
        """
        stated = {own.address for own in stanza.list_own()}
        silent = {told for told, wish in self.passing if told.waits or wish.endpoint}
        return any(told in silent and not told.stanza.places
                   and wish.device == stanza.device and wish.address in stated
                   for told, wish in self.passing)

    def _keep_to_tunnels(self, before: Snapshot) -> None:
        """Note the families whose new connections leave by a tunnel; of no way nothing is known."""
        unknown = set(self.tunnels)
        for family in FAMILIES:
            best = find_best(before, family)
            if best or (list_candidates(self, family) and not self.ways[family].barred):
                is_tunnel = best is not None and best.device == TUNNEL
                (self.tunnels.add if is_tunnel else self.tunnels.discard)(family)
                unknown.discard(family)
        self.abandoned &= bool(unknown)

    def leave_tunnels(self, after: Snapshot) -> None:
        """Note the families that have another way out once paths are made."""
        self.tunnels -= {family for family in self.tunnels if not find_best(after, family)
                         and list_candidates(self, family) and not self.ways[family].barred}

    def _note_foreign(self, way: str, name: str, before: Snapshot, after: Snapshot) -> None:
        if way == "del":
            self.foreign.discard(find_foreign(name, before))
        else:
            self.foreign |= {find_foreign(name, after)} & after.endpoints

    def _note_limits(self, limits: Limits) -> None:
        """Whoever sets a limit means it; to what we raised it to, cannot be told from us."""
        self.limits = limits
        if self.base is not None and self.raised is not None:
            self.base = Limits(*(old if now == ours else now for now, ours, old in zip(
                limits, self.raised, self.base)))

    def _hear(self, stanza: Stanza, before: Snapshot) -> None:
        """A stanza comes up: it takes the place of what was told of it before."""
        replaced = [one for one in self.list_of(stanza.iface)
                    if _is_replaced(one, stanza, before)]
        found = [one for one in self.told if _has_found(one, stanza)]
        silent = not before.is_running(stanza.device) and (
            any(one.waits for one in (*replaced, *found)) or self._may_take_silence(stanza))
        told = Told(stanza, silent=silent, doubtful=silent and not any(
            one.waits_surely for one in (*replaced, *found)))
        for one in replaced:
            told.paths |= one.paths
            told.tables |= one.tables
            told.standing |= one.standing
        others = [one for one in self.told if one not in replaced]
        # A hook of what is not meant is idle only where nothing of its interface is on record.
        self.settling |= bool(self.list_of(stanza.iface))
        if not is_wanted(told, self.configuration):
            self.told = others
            return
        self.settling = True
        standing = [(one, dict(one.paths), one.tables) for one in found]
        _take_over(told, found)
        told.keep()
        wishes = self._keep_quiet(told, list_wishes(
            told, others, self.configuration, self.foreign, self.leases, before, False), before)
        wishes = _share(wishes, others)
        if not _is_refused(told, wishes, others, before):
            self._replace(replaced, told)
            self._make(told, wishes, others, before)
            return
        for one, paths, tables in standing:
            one.paths, one.tables = paths, tables

    def _make(
        self, told: Told, wishes: list[Wish], others: list[Told], before: Snapshot
    ) -> None:
        """The paths that the kernel takes are made; of the others stays what stood."""
        # What is left alone cannot fail.
        meant = [wish for wish in wishes if not wish.shared or _may_be_first(wish, others)]
        failing = [wish for wish in meant if not _can_be_made(wish, before)]
        # It is on record until the kernel has refused it: a round may bar the way for it.
        self.leading |= {wish.family for wish in failing if wish.gateway}
        standing = {wish.address for wish in failing}
        told.paths = {address: path for address, path in told.paths.items() if address in standing}
        told.settle([wish for wish in wishes if wish not in failing], loose=True)
        firsts = {wish.family: wish for wish in reversed(meant)}
        told.headless = {family for family, wish in firsts.items() if wish in failing}
        if failing and failing == meant and not told.paths:
            # A stanza whose every path failed is as if it had never come.
            self.told.remove(told)

    def _replace(self, replaced: list[Told], told: Told) -> None:
        place = self.told.index(replaced[0]) if replaced else len(self.told)
        self.told[place:place] = [told]
        self.told = [one for one in self.told if one not in replaced]

    def _take_lease(self, device: str, place: str, before: Snapshot) -> None:
        """What is on record of the device follows it."""
        if place == "none":
            self.leases.pop(device, None)
        else:
            self.leases[device] = find_own(device, int(place), 4)
        # It is noted, and limits are settled, also where nothing of the device is on record.
        self.settling = True
        self._make_true([told for told in self.told if told.stanza.device == device], before)

    def _say_farewell(self, iface: str) -> None:
        for told in self.list_of(iface):
            told.leave()
            told.drop_endpoints()

    def _dismiss(self, iface: str) -> None:
        for told in self.list_of(iface):
            told.leave()
            told.paths.clear()
            told.release()

    def _bring_up(self, iface: str, before: Snapshot) -> None:
        """What is on record is made true; an interface that is not on record is taken in."""
        self.settling = True
        meant = self.list_of(iface)
        if not meant and iface != "--all":
            self._hear(Stanza(iface, FAMILIES), before)
        dismissed = [told for told in meant if told.leaving]
        for told in dismissed:
            told.leaving = False
        refused = self._make_true(meant, before)
        for told in meant:
            told.loose |= told.wishes is None and not before.is_up(told.stanza.device)
            # What is refused stays as it was; what cannot come now does so by itself.
            told.leaving = told in dismissed and told in refused

    def _fall_silent(self, before: Snapshot) -> None:
        """Endpoints go of links without a carrier, and of failed checks, until they return."""
        for told in self.told:
            self._silence(told, lambda wish: not before.is_running(wish.device))
            self._silence(told, lambda wish: wish.address in self.failing)

    def _silence(self, told: Told, is_out: Callable[[Wish], bool]) -> None:
        """Drop those endpoints of a stanza that are out; what is leaving waits for nothing."""
        if not told.leaving:
            told.fall_silent(is_out)
        told.drop_endpoints(is_out)

    def _has_ended(self, device: str, before: Snapshot) -> bool:
        """Whether a device that the configuration named is gone, or named no more."""
        unnamed = not self.configuration.broken and not self.names(device)
        return unnamed or device not in before.links

    def _take_in(self, before: Snapshot) -> None:
        """Devices that the configuration names come up in families that nobody tells of."""
        for device in self.configuration.managed:
            covered = {family for one in self.list_of(device) for family in one.stanza.families}
            if self.names(device) and device in before.links:
                self.told += [Told(Stanza(device, (family,)), managed=True, new=True)
                              for family in FAMILIES if family not in covered]

    def _make_true(
        self, meant: list[Told], before: Snapshot, awaited: Awaited = Awaited()
    ) -> list[Told]:
        """Each stanza becomes what the machine is by now, but those that are refused.

        Endpoints that went with the carrier wait for what is `awaited` then. What goes does so
        first. But who loses the first path of a device comes before all who would be planned
        beside that. What peers are told beside a tunnel goes by the paths that there are then.
        """
        for told in meant:
            self._take_leave(told, before)
        coming = self._order(meant, before, awaited)
        leading = self._list_leading(coming, before)
        coming.sort(key=lambda one: one not in leading)
        if self.tunnels:
            trial, renewed = deepcopy((self, coming))
            for told in renewed:
                trial._renew(told, before, awaited)
            self.foreseen = trial._list_families()
        refused = [told for told in coming if not self._renew(told, before, awaited)]
        self.foreseen = None
        return refused

    def _order(self, meant: list[Told], before: Snapshot, awaited: Awaited) -> list[Told]:
        """Those that come, in the order in which they do: what is taken in comes last.

        What loses a path comes before the others; of two that want the same, the one whose
        interface has the smaller name comes first. But only its plan tells that a path goes: who
        is refused as that is made loses none. That some of several stanzas of a device lose an
        address is known before.
        """
        devices = [told.stanza.device for told in meant]
        known = [told for told in meant if devices.count(told.stanza.device) > 1
                 and not set(told.paths) <= list_held(before, told.stanza.device)]
        coming = [told for told in sorted(
                      meant, key=lambda one: (one.new, one not in known, one.stanza.iface))
                  if told.wishes != [] and not told.leaving and before.is_up(told.stanza.device)]
        losing = [told for told in coming if not set(told.paths) <= {
            wish.address for wish in self.wish(told, before, present=True)}]
        if losing:
            trial, tried = deepcopy((self, coming))
            made = [trial._renew(told, before, awaited) for told in tried]
            losing = [told for told, is_made in zip(coming, made) if is_made and told in losing]
        return sorted(coming, key=lambda one: (one.new, one not in losing))

    def _list_leading(self, coming: list[Told], before: Snapshot) -> list[Told]:
        """Those that lose the first path of a device to what comes earlier, or stays as it is."""
        wishes = {told: self.wish(told, before, present=True) for told in coming}
        families = {told: {one.family for one in wishes.get(told, told.list_staying())}
                    for told in self.told}
        return [told for number, told in enumerate(coming) if any(
            path.primary and path.wish.family not in families[told] and any(
                path.wish.family in families[one] for one in self.told
                if one.stanza.device == told.stanza.device and one not in coming[number:])
            for path in told.paths.values())]

    def _take_leave(self, told: Told, before: Snapshot) -> None:
        held = list_held(before, told.stanza.device)
        stated = {one.address for one in told.stanza.list_own()}
        told.keep()
        # What waits for a gateway does so for the carrier as well.
        if told.mute and not before.is_running(told.stanza.device):
            told.silent, told.doubtful = True, False
        # What this step could not make may have been put back as it was; what it made is there.
        told.wishes = told.wishes or None
        if told.leaving:
            if not held & set(told.paths):
                told.paths.clear()
        elif told.stanza.device not in before.links or (stated and not held & stated):
            # Its addresses are to find it silent, should they come back later than the carrier.
            told.settle([])
            told.mute.clear()
        elif not is_wanted(told, self.configuration):
            told.settle([])
            # Nobody waits for the gateway of what is left alone.
            told.silent &= not before.is_running(told.stanza.device)
            told.mute.clear()

    def _renew(self, told: Told, before: Snapshot, awaited: Awaited) -> bool:
        """Make a stanza what the machine is by now, unless that is refused."""
        device = told.stanza.device
        wishes = self.wish(told, before, present=True, awaited=awaited)
        # What stands does not wait, whether or not its gateway answers.
        waiting = {wish.address for wish in wishes if awaited.hold_back(wish)} - told.kept
        told.silent &= not before.is_running(device) or bool(waiting)
        if device not in awaited.devices:
            told.mute.clear()
        others = [one for one in self.told if one is not told]
        wishes = _share(wishes, others)
        if _is_refused(told, wishes, others, before):
            told.loose = True
            return False
        told.settle(wishes)
        if told.silent and before.is_running(device):
            # Whatever it was silent for before: what has no endpoint does not wait for a gateway.
            told.presumed = waiting
        return True


def _has_found(told: Told, stanza: Stanza) -> bool:
    """Whether a stanza that states no address was found to have one that another states."""
    return told.stanza.device == stanza.device and not told.stanza.places and bool(
        {own.address for own in stanza.list_own()} & set(told.paths))


def _take_over(told: Told, found: list[Told]) -> None:
    """What other stanzas were found to have is the one's that states it."""
    stated = {own.address for own in told.stanza.list_own()}
    for one in found:
        told.paths |= {own: one.paths.pop(own) for own in stated & set(one.paths)}
        told.tables |= one.tables
        # What another program has in a table that went with its path is in the way from then on.
        one.note_tables()


def _is_replaced(told: Told, stanza: Stanza, before: Snapshot) -> bool:
    """Whether a stanza renews what was told, or comes instead of addresses that are gone."""
    covered = set(told.stanza.families) <= set(stanza.families)
    if told.managed:
        return covered
    old = {own.address for own in told.stanza.list_own()}
    if told.stanza == stanza or not old:
        return told.stanza == stanza or covered and not stanza.places
    return bool(old & {own.address for own in stanza.list_own()}) or not (
        old & list_held(before, stanza.device))


def _is_refused(
    told: Told, wishes: list[Wish], others: list[Told], before: Snapshot
) -> bool:
    """Whether another path or program has an address, a table or a mark that a stanza wants."""
    paths = [path for one in others if one.wishes is None for path in one.paths.values()]
    coming = _list_coming(told, others)
    theirs = [*(path.wish for path in paths), *coming]
    tables = {(path.wish.family, path.table) for path in paths} | {
        (wish.family, wish.table) for wish in coming}
    # Who comes to a table that a path has already, has to live with that.
    tables |= {(thing.family, thing.table) for thing in before.foreign} - told.tables
    marks = {(wish.family, wish.mark) for wish in theirs if wish.mark}
    own = {(one.address, one.device) for one in theirs}
    firsts = [path.wish for path in paths if path.primary]
    return any(
        (wish.family, wish.mark) in marks or (wish.address, wish.device) in own
        or wish.table and (wish.family, wish.table) in tables
        for wish in _list_wanting(told, wishes, [*firsts, *coming]))


def _list_coming(told: Told, others: list[Told]) -> list[Wish]:
    """What the work has come of the others by now, in the order in which that is so."""
    coming: list[Wish] = []
    for one in sorted(others, key=lambda one: one.stanza.iface):
        firsts = [path.wish for other in (told, *others) if other is not one
                  for path in other.paths.values() if path.primary and _stays(other, path)]
        coming += _list_wanting(one, one.wishes or [], [*firsts, *coming])
    return coming


def _stays(told: Told, path: Written) -> bool:
    """Whether the work leaves a path alone, or makes it anew."""
    return told.wishes is None or path.wish.address in {wish.address for wish in told.wishes}


def _list_wanting(told: Told, wishes: list[Wish], beside: list[Wish]) -> list[Wish]:
    """The wishes of a stanza that want something which others may have, with the tables they want.

    The first path of a device has its usual table. `beside` are the wishes of those that others
    have, and of what comes: one of these is the first, and what stands and is no first makes nobody
    a further, nor does what comes as such. What is left alone, since another device has its
    address, wants nothing; but if the stanza has another path of the family, that one has what
    belongs to it.
    """
    primary = {address for address, path in told.paths.items() if path.primary}
    beside = [one for one in beside if not one.further]
    further = {wish.address for number, wish in enumerate(wishes)
               if wish.address not in primary and any(
                   (one.device, one.family) == (wish.device, wish.family)
                   for one in (*beside, *wishes[:number]))}
    left = {wish.address for wish in wishes if wish.shared and wish.address in further}
    made = {wish.family for wish in wishes if wish.address not in left}
    return [wish._replace(table=wish.table or wish.usual_table * (wish.address not in further),
                          further=wish.address in further)
            for wish in wishes if wish.address not in left or wish.family in made]


def _may_be_first(wish: Wish, everything: list[Told]) -> bool:
    """Whether no path of another address is the first of its device and family already."""
    return not any(path.primary and path.wish.address != wish.address
                   and (path.wish.device, path.wish.family) == (wish.device, wish.family)
                   for one in everything for path in one.paths.values())


def _share(wishes: list[Wish], others: list[Told]) -> list[Wish]:
    """The wishes, of which those share an address that a path of another device has."""
    theirs = {(wish.address, wish.device) for one in others for wish in (
        one.wishes if one.wishes is not None else [path.wish for path in one.paths.values()])
        if not wish.shared}
    return [wish._replace(shared=True, endpoint=False) if any(
        own == wish.address and device != wish.device for own, device in theirs) else wish
        for wish in wishes]


def _can_be_made(wish: Wish, before: Snapshot) -> bool:
    """Whether the kernel takes a path's routes: the link is up, and some link has the address."""
    held = {own for device in before.links for own in list_held(before, device)}
    return before.is_up(wish.device) and wish.address in held
