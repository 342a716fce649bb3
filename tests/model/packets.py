# SPDX-License-Identifier: GPL-2.0-or-later
"""Where datagrams must come in, told without rules.

The source is docs/internals/architecture.md and docs/failover.md.

What is bound to an address leaves by its uplink or not at all, and so does what is bound to a
device; what main knows better than a default goes where main says; and what is bound to nothing
goes the way out that the model has for it.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple

from tests.model.comparison import Difference
from tests.model.kernel import (
    MAIN_TABLE,
    UNREACHABLE,
    Default,
    Endpoint,
    Route,
    Rule,
    Snapshot,
)
from tests.model.model import Model
from tests.model.questions import NOWHERE, Arrival, Question
from tests.model.things import Written
from tests.model.told import list_held
from tests.model.way_out import Way, find_best, list_candidates
from tests.model.world import DEVICES, FAMILIES, PLACES, TUNNEL, Own, find_own, is_near

# What nobody knows but by a default route, and what other programs' route refuses.
_FAR = {4: "203.0.113.7", 6: "2001:db8:ffff::7"}
_REFUSED = "198.51.100.7"
_REFUSING = Route(4, MAIN_TABLE, "198.51.100.0/24", UNREACHABLE, "", "", "", 0, False)
# Other programs' rules that take what would be ours: all, and what has an address for its source.
INTRUDER = Rule(6, 500, "", "", "", 102)
_BESIDE = Rule(4, 20001, "10.1.0.2", "", "", MAIN_TABLE)
# And one that has main lead what is from an address, before a monitor leads it elsewhere.
_LATE = Rule(6, 32000, "fd00:1::2", "", "", MAIN_TABLE)


class Expected(NamedTuple):
    """A question, and the arrivals that may come of it; one without a source is from any."""

    question: Question
    arrivals: frozenset[Arrival]

    def fits(self, found: Sequence[Arrival]) -> bool:
        """Whether what came in is one of them, and nothing else did."""
        (first, *more) = found or [NOWHERE]
        return not more and bool(self.arrivals & {first, first._replace(source="")})


def compare_packets(
    expected: Sequence[Expected], answers: Sequence[Sequence[Arrival]]
) -> list[Difference]:
    """What went astray."""
    return [Difference("astray", "Packet", f"{one.question}: {_tell(found or [NOWHERE])}, not "
                                           f"{_tell(sorted(one.arrivals))}")
            for one, found in zip(expected, answers) if not one.fits(found)]


def _tell(arrivals: Sequence[Arrival]) -> str:
    return " or ".join(map(str, arrivals))


def list_expected(model: Model, seen: Snapshot) -> list[Expected]:
    """All that is asked of a machine. What other programs' rules take is not."""
    return [Expected(question, frozenset(arrivals)) for family in FAMILIES
            for question, arrivals in _View(model, seen, family).list_expected() if arrivals]


class _View:
    """One family of a machine, and what the model has of it."""

    def __init__(self, model: Model, seen: Snapshot, family: int) -> None:
        self._model = model
        self._seen = seen
        self._family = family
        self._paths = [path for told in model.told for path in told.paths.values()
                       if path.wish.family == family]
        self._held = {own for device in seen.links for own in list_held(seen, device)}
        self._bound = [path for path in self._paths
                       if path.wish.address in self._held and self._stands(path)]

    def list_expected(self) -> Iterator[tuple[Question, set[Arrival]]]:
        """What is asked of it, each with what may come of that; nothing where that is unknown."""
        if self._has(INTRUDER) and any(path.table == INTRUDER.table for path in self._paths):
            return
        taken = [_BESIDE.source] * self._has(_BESIDE)
        for target, known in self._list_targets():
            # What is bound to nothing may get that address on its way.
            if not taken:
                yield Question(self._family, "", "", target), self._follow(target, known)
            for path in self._bound:
                if path.wish.address not in taken and not path.wish.shared:
                    yield (Question(self._family, path.wish.address, "", target),
                           self._follow_source(path, target, known))
                if path.primary and path.wish.device in self._seen.links:
                    yield (Question(self._family, "", path.wish.device, target),
                           self._follow_device(path, target, known))

    def _list_targets(self) -> Iterator[tuple[str, set[str] | None]]:
        """Whom to send to, each with the devices by which main knows it; None for by none."""
        yield _FAR[self._family], None
        if self._has(_REFUSING):
            yield _REFUSED, set()
        gateways = {find_own(device, place, self._family).gateway
                    for device in DEVICES for place in PLACES}
        for gateway in sorted(gateways):
            if holders := self._list_holders(gateway):
                yield gateway, holders

    def _follow(self, target: str, known: set[str] | None) -> set[Arrival]:
        """What is bound to nothing."""
        if known is not None:
            # Its source is chosen on the way, and it is asked once more where that leads to.
            beside = {arrival for path in self._paths if _contains(path.wish.subnet, target)
                      for arrival in self._reach(path, target)}
            return {self._arrive(device, "") for device in known} | {
                arrival._replace(source="") for arrival in beside} or {NOWHERE}
        way = self._find_way()
        if way.path and not self._stands(way.path):
            # Somebody took it apart, and nobody puts it right.
            return set()
        if way.path is None:
            return self._follow_main(way)
        arrivals = self._reach(way.path, target)
        # Where its routes went with its link, the kernel meets what they leave unreachable; and so
        # it does where it asked its gateway in vain (rt6_score_route).
        leads = self._is_whole(way.path) and way.path.wish.device not in self._model.deaf
        return arrivals if leads else self._ask_again(arrivals)

    def _find_way(self) -> Way:
        """What the last monitor left of the way out stands as long as there is its table."""
        way = self._model.ways[self._family]
        return way._replace(path=next(
            (path for path in self._paths if way.path and path.table == way.path.table), None))

    def _follow_main(self, way: Way) -> set[Arrival]:
        best = find_best(self._seen, self._family)
        if best is None:
            return self._follow_behind_main(way)
        if best.device == TUNNEL:
            return {Arrival(TUNNEL, "")}
        held = list_held(self._seen, best.device)
        if not any(is_near(one.subnet, best.gateway) for one in self._list_own(best.device)) or (
                any(path.wish.address in held and path.wish.device != best.device
                    for path in self._paths)):
            # Where it goes in the end is a matter of the source that it gets.
            return set()
        arrivals = {self._arrive(device, "") for device in self._list_leading(best)}
        if not all(map(self._is_whole, self._paths)) or any(
                not path.wish.gateway and path.wish.address in held for path in self._paths):
            # A path that knew no gateway when it was made leads none of what gets its address.
            arrivals.add(NOWHERE)
        return arrivals

    def _list_leading(self, best: Default) -> set[str]:
        """The devices by which main may lead."""
        if self._family == 6 and best.device in self._model.deaf:
            # The kernel itself leaves a gateway alone that it asked in vain (rt6_score_route).
            return {one.device for one in self._seen.defaults if one.family == 6}
        return {best.device}

    def _follow_behind_main(self, way: Way) -> set[Arrival]:
        """Where main knows no way at all: nowhere, or by the uplinks, those with `backup` last."""
        paths = [] if way.barred else list_candidates(self._model, self._family)
        if all(map(self._is_whole, paths)):
            paths = [path for path in paths if "backup" not in path.wish.flags] or paths
        return self._ask_again(self._reach_any(paths))

    def _ask_again(self, arrivals: set[Arrival]) -> set[Arrival]:
        """What comes of that where IPv6 finds no way.

        The kernel asks again with an address of its choice as the source, and that may be a path's
        (net/ipv6/ip6_output.c, ip6_dst_lookup_tail).
        """
        if self._family != 6 or NOWHERE not in arrivals:
            return arrivals
        # So may any address in the subnet of a path, whose rules lead it.
        return arrivals | self._reach_any(self._paths) | self._follow_late() | {
            arrival._replace(source=own)
            for path in self._paths for arrival in self._reach_any([path])
            for own in list_held(self._seen, path.wish.device)
            if arrival != NOWHERE and _contains(path.wish.subnet, own)}

    def _follow_late(self) -> set[Arrival]:
        """What is from the address of another program's rule: as main leads, whatever the detour.

        Rules of a path come before that one, and end at the latest where it is unreachable.
        """
        own = _LATE.source
        best = find_best(self._seen, self._family)
        if best is None or not self._has(_LATE) or own not in self._held or self._is_led(own):
            return set()
        return {self._arrive(device, own) for device in self._list_leading(best)}

    def _is_led(self, address: str) -> bool:
        """Whether all that is from an address is led by rules of a path that stands."""
        return any(isinstance(thing, Rule) and thing.source and not thing.destination
                   and _contains(thing.source, address)
                   for path in self._paths if self._stands(path) for thing in path.things)

    def _reach_any(self, paths: Iterable[Written]) -> set[Arrival]:
        return {arrival for path in paths
                for arrival in self._reach(path, _FAR[self._family])} or {NOWHERE}

    def _follow_source(
        self, path: Written, target: str, known: set[str] | None
    ) -> set[Arrival]:
        """What is bound to a path's address: the own subnet by the own link."""
        if known is None or _contains(path.wish.subnet, target):
            return self._reach(path, target)
        return {self._arrive(device, path.wish.address) for device in known} or {NOWHERE}

    def _follow_device(
        self, path: Written, target: str, known: set[str] | None
    ) -> set[Arrival]:
        """What is bound to a path's device: its gateway, or main's own, or the link itself."""
        device = path.wish.device
        if known is not None and not known:
            # The kernel takes that to be on the link, and asks once more with an address of the
            # device as the source. One whose rules somebody deleted may be led past main then.
            return {NOWHERE} | {self._arrive(device, one.wish.address) for one in self._paths
                                if one.wish.device == device and one.wish.address in self._held
                                and not self._stands(one)}
        arrivals = self._reach(path, target)
        if known and device in known:
            arrivals |= {self._arrive(device, "")}
        if NOWHERE in arrivals or self._has(Rule(6, 20006, "", "", device, MAIN_TABLE)):
            # What finds no route the kernel takes to be on the link, and asks there once more
            # with an address of its own choice (net/ipv4/route.c, ip_route_output_key_hash_rcu).
            arrivals |= {self._arrive(device, "")}
        return arrivals

    def _reach(self, path: Written, target: str) -> set[Arrival]:
        """By the path's uplink; nowhere where that cannot carry, or something of it is gone."""
        if not path.wish.gateway and not _contains(path.wish.subnet, target):
            return {NOWHERE}
        if self._is_whole(path):
            return {self._arrive(path.wish.device, path.wish.address)}
        # What is left of routes when their address goes may have another source, or none.
        return {self._arrive(path.wish.device, ""), NOWHERE}

    def _arrive(self, device: str, source: str) -> Arrival:
        carries = self._seen.is_running(device) and device not in self._model.deaf
        return Arrival(device, source) if carries else NOWHERE

    def _stands(self, path: Written) -> bool:
        """Whether all of it that no link takes along is there."""
        return {thing for thing in path.things if isinstance(thing, Rule) or isinstance(
            thing, Route) and thing.kind == UNREACHABLE} <= self._seen.marked

    def _is_whole(self, path: Written) -> bool:
        routing = {thing for thing in path.things if not isinstance(thing, Endpoint)}
        return path.wish.address in self._held and routing <= self._seen.marked

    def _has(self, thing: Rule | Route) -> bool:
        """Whether another program made that."""
        return thing.family == self._family and thing in self._seen.foreign

    def _list_holders(self, target: str) -> set[str]:
        """The devices by which main knows a subnet."""
        return {device for device in DEVICES if self._seen.is_up(device) and any(
            _contains(own.subnet, target) for own in self._list_own(device))}

    def _list_own(self, device: str) -> list[Own]:
        held = list_held(self._seen, device)
        return [own for own in (find_own(device, place, self._family) for place in PLACES)
                if own.address in held]


def _contains(subnet: str, address: str) -> bool:
    return ipaddress.ip_address(address) in ipaddress.ip_network(subnet)
