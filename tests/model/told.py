# SPDX-License-Identifier: GPL-2.0-or-later
"""What was told of an interface, and the paths that should come of it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field

from tests.model.kernel import Endpoint, Snapshot
from tests.model.things import Wish, Written
from tests.model.world import FAMILIES, Configuration, Own, Stanza, is_near


@dataclass(eq=False)
class Told:
    """One stanza, and its paths by address.

    `mute` are the addresses whose endpoints went since their gateways do not answer. `wishes` is
    what the step under way makes of it, None where it leaves it alone; `loose` is where it may put
    back what is missing of paths that are no wish. `tables` are those that its paths had when the
    step began, or were taken over, by family. `headless` are the families of whose paths the step
    could not make the first one. `standing` are the addresses that had paths then, with their
    places: the first of a device comes before the others. `kept` are those whose endpoints stood
    before the work under way, `presumed` those for whose sake alone the step made it silent, or
    left it so, should they be such as have endpoints; `fresh` is whether it was not silent before.
    Where all eight places were taken then, it is `doubtful` whether it is silent: an endpoint of
    it may have come and gone, or none may have come. It is so too where a monitor may have found
    its addresses for a silent stanza, before the hook that states them. It is `new` in the step in
    which a monitor takes it in.
    """

    stanza: Stanza
    managed: bool = False
    new: bool = False
    leaving: bool = False
    silent: bool = False
    doubtful: bool = False
    mute: set[str] = field(default_factory=set)
    paths: dict[str, Written] = field(default_factory=dict)
    wishes: list[Wish] | None = None
    loose: bool = False
    tables: set[tuple[int, int]] = field(default_factory=set)
    headless: set[int] = field(default_factory=set)
    standing: dict[str, int] = field(default_factory=dict)
    kept: set[str] = field(default_factory=set)
    presumed: set[str] = field(default_factory=set)
    fresh: bool = False

    def begin(self) -> None:
        """Begin a step: nothing of it changes, unless the step says so."""
        self.release()
        self.new = False
        self.presumed, self.fresh = set(), False
        self.mute &= set(self.paths)
        self.note_tables()
        paths = sorted(self.paths.values(), key=lambda path: not path.primary)
        self.standing = {path.wish.address: place for place, path in enumerate(paths)}

    def note_tables(self) -> None:
        """Note the tables that its paths have."""
        self.tables = {(path.wish.family, path.table) for path in self.paths.values()}

    def settle(self, wishes: list[Wish], loose: bool = False) -> None:
        """Have the step make these paths of it."""
        self.wishes, self.loose = wishes, loose
        self.headless = set()

    def keep(self) -> None:
        """Note which endpoints stand, or are about to."""
        self.kept = {wish.address for wish in self.wishes or () if wish.endpoint} | {
            address for address, path in self.paths.items() if path.endpoint}

    def leave(self) -> None:
        """Be leaving, which waits for nothing."""
        self.leaving, self.silent = True, False
        self.mute.clear()

    def release(self) -> None:
        """Leave it alone after all."""
        self.wishes, self.loose = None, False

    def lose_gone(self) -> None:
        """Have no paths but those that the step makes anew, or leaves alone."""
        if self.wishes is not None:
            coming = {wish.address for wish in self.wishes}
            self.paths = {address: path for address, path in self.paths.items()
                          if address in coming}

    def note_order(self, is_made: Callable[[Wish], bool]) -> None:
        """Have the addresses of which it was to have paths stand in that order, those `is_made`."""
        if self.wishes is not None:
            made = filter(is_made, self.wishes)
            self.standing = {wish.address: place for place, wish in enumerate(made)}

    def drop_endpoints(self, meant: Callable[[Wish], bool] = lambda wish: True) -> None:
        """Leave routing alone of what it has, and of what it is about to have, where `meant`."""
        self.paths = {address: path.without_endpoint() if meant(path.wish) else path
                      for address, path in self.paths.items()}
        if self.wishes is not None:
            self.wishes = [wish._replace(endpoint=wish.endpoint and not meant(wish))
                           for wish in self.wishes]

    def has_endpoint_of(self, address: str, seen: Snapshot) -> bool:
        """Whether it has a path with an endpoint of this address, which nobody has deleted.

        Its flags may be others by then, as where it is seen after a round that renewed it.
        """
        own = self.paths[address].list_endpoints() if address in self.paths else []
        return not {(one.address, one.device) for one in own}.isdisjoint(
            (one.address, one.device) for one in seen.endpoints)

    def makes_quietly(self, address: str) -> bool:
        """Whether the work under way has an endpoint of this address of which no peer is told.

        A further address has one only where its flags are chosen, and so has the next where the
        first one could not be made.
        """
        firsts = {wish.family: wish for wish in reversed(self.wishes or ())
                  if wish.family not in self.headless}
        return any(wish.address == address and wish.endpoint and not (wish.tells or wish.passing)
                   and (wish.chosen or wish == firsts.get(wish.family))
                   for wish in self.wishes or ())

    @property
    def waits(self) -> bool:
        """Whether endpoints of it are away until its link carries again and its gateway answers."""
        return self.silent or bool(self.mute)

    @property
    def waits_surely(self) -> bool:
        """The same, where that is not doubtful."""
        return self.silent and not self.doubtful or bool(self.mute)

    @property
    def shares(self) -> bool:
        """Whether the step wants a path of it for an address that another device's path has."""
        return any(wish.shared for wish in self.wishes or ())

    @property
    def has_endpoint(self) -> bool:
        return any(path.endpoint for path in self.paths.values())

    def fall_silent(self, meant: Callable[[Wish], bool]) -> None:
        """Be silent if it has an endpoint, or may be about to, of a path that is `meant`."""
        if any(path.endpoint and meant(path.wish) for path in self.paths.values()):
            self.silent, self.doubtful, self.presumed, self.fresh = True, False, set(), False
        elif not self.silent or self.presumed or self.doubtful:
            self.presumed |= {wish.address for wish in self.wishes or ()
                              if wish.endpoint and meant(wish)}
            self.fresh |= bool(self.presumed) and not self.silent
            self.silent |= bool(self.presumed)

    def heed_endpoints(self, seen: Snapshot) -> None:
        """Be not silent after all where an endpoint of it is there."""
        if any(wish.doubtful and wish.endpoint and wish.is_served(seen)
               for wish in self.wishes or ()):
            self.silent = self.doubtful = False
            self.wishes = [wish._replace(doubtful=False) for wish in self.wishes or ()]

    def settle_silence(self, full: bool) -> None:
        """Be not silent for further addresses: they had no endpoints that could be away.

        Where there was a place among the kernel's eight, an endpoint has come and gone.
        """
        if any(path.may_have_endpoint for address, path in self.paths.items()
               if address in self.presumed):
            self.doubtful = full and (self.doubtful or self.fresh)
        elif self.presumed and not self.doubtful:
            self.silent = False
        self.doubtful &= self.silent

    def list_staying(self) -> Iterator[Wish]:
        """What it has once the step is over, as far as that is known by now."""
        yield from self.wishes or ()
        coming = {wish.address for wish in self.wishes or ()}
        if self.wishes is None or self.loose:
            yield from (path.wish for address, path in self.paths.items()
                        if address not in coming)

    def list_addresses(self) -> set[str]:
        """The addresses that are its own: stated, with a path, or about to have one."""
        return {*self.paths, *(own.address for own in self.stanza.list_own()),
                *(wish.address for wish in self.wishes or ())}


def list_held(seen: Snapshot, device: str) -> set[str]:
    """The addresses of a device that can be used."""
    return {held.address for family in FAMILIES for held in seen.list_held(device, family)}


def is_wanted(told: Told, configuration: Configuration) -> bool:
    """Whether a stanza is meant: its own word, then the configuration's."""
    if told.stanza.has_options and not told.managed:
        return not told.stanza.off
    return told.stanza.device not in configuration.excluded


def list_wishes(
    told: Told, everything: Iterable[Told], configuration: Configuration,
    foreign: Iterable[Endpoint], leases: Mapping[str, Own], seen: Snapshot, present: bool,
) -> list[Wish]:
    """The paths a stanza should have; `present` leaves out addresses that are not there.

    `leases` are what DHCP servers gave to devices.
    """
    stanza = told.stanza
    held = list_held(seen, stanza.device)
    own = [one for one in stanza.list_own() if one.address in held or not present]
    others = [one for one in everything if one is not told]
    taken = {endpoint.address for endpoint in foreign}
    wishes: list[Wish] = []
    for one in own if stanza.places else _order(told, _find_own(told, others, seen)):
        lease = None if stanza.places else leases.get(stanza.device)
        gateway = _find_gateway(stanza, one, configuration, lease, seen)
        if gateway or _choose_flags(stanza, configuration):
            wish = _make_wish(told, one, gateway, configuration, seen)
            first = one.family not in {wish.family for wish in wishes}
            wishes.append(wish._replace(table=wish.table if first else 0,
                                        mark=wish.mark if first else "",
                                        announced=wish.announced if first else "",
                                        endpoint=wish.endpoint and one.address not in taken))
    return wishes


def _order(told: Told, own: Iterable[Own]) -> list[Own]:
    """Those that are found: the first is the one that was, then come those that were there."""
    new = len(told.standing)
    return sorted(own, key=lambda one: told.standing.get(one.address, new))


def _find_own(told: Told, others: list[Told], seen: Snapshot) -> Iterator[Own]:
    """The addresses of a stanza that states none: the device's, less those of other stanzas."""
    device = told.stanza.device
    theirs = {address for one in others if one.stanza.device == device
              for address in one.list_addresses()}
    for family in told.stanza.families:
        for held in seen.list_held(device, family):
            # One that has an alias for its name is that interface's.
            if held.address not in theirs and held.label == told.stanza.iface:
                yield Own(held.family, held.address, held.length, "")


def _find_gateway(
    stanza: Stanza, own: Own, configuration: Configuration, lease: Own | None, seen: Snapshot
) -> str:
    """The option's, else the stanza's or the lease's, else that of main's default on this link."""
    option = [stanza.find_option_gateway()] * stanza.mptcp_gateway
    usual = [one for one in configuration.list_gateways(stanza.device)
             if not (option and _family_of(one) == stanza.families[0])]
    main = [one.gateway for one in sorted(seen.defaults, key=lambda one: one.metric)
            if one.device == stanza.device and is_near(own.subnet, one.gateway)]
    leased = [lease.gateway] if lease and lease.address == own.address else []
    for candidates in ([*option, *usual], [*stanza.list_gateways(), *leased], main):
        fitting = [one for one in candidates
                   if _family_of(one) == own.family and one != own.address]
        if fitting:
            return fitting[0]
    return ""


def _choose_flags(stanza: Stanza, configuration: Configuration) -> tuple[str, ...]:
    return stanza.flags or dict(configuration.flags).get(stanza.device, ())


def _make_wish(
    told: Told, own: Own, gateway: str, configuration: Configuration, seen: Snapshot
) -> Wish:
    stanza = told.stanza
    chosen = _choose_flags(stanza, configuration)
    wish = Wish(
        family=own.family,
        address=own.address,
        device=stanza.device,
        ifindex=seen.ifindex(stanza.device),
        subnet=own.subnet,
        gateway=gateway,
        table=stanza.table,
        usual_table=dict(configuration.tables).get(stanza.device, 0),
        flags=chosen or configuration.usual_flags or ("subflow",),
        chosen=bool(chosen),
        mark=stanza.mark,
        usual_mark="" if stanza.mark else configuration.find_mark(stanza.device),
        announced=stanza.find_announced(own.family),
        endpoint=True,
    )
    # What stands is all that a connection may have.
    waits = (told.silent and own.address not in told.kept
             and not seen.is_running(stanza.device))
    return wish.wait(told.doubtful) if waits else wish


def _family_of(address: str) -> int:
    return 6 if ":" in address else 4
