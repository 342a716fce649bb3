# SPDX-License-Identifier: GPL-2.0-or-later
"""What one path becomes in the kernel, as docs/internals/architecture.md has it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from tests.model.kernel import (
    LARGEST_METRIC,
    MAIN_TABLE,
    UNREACHABLE,
    Endpoint,
    Route,
    Rule,
    Snapshot,
    Thing,
)
from tests.model.world import FOREIGN_ENDPOINTS, is_near

_METRIC = {4: 0, 6: 1024}
# What the rules that lead to main do not take of it: a default, and a half or more of one.
_SUPPRESSED = {4: 1, 6: 4}


class Wish(NamedTuple):
    """A path that should be, before it is known which table it has and whether it is the first.

    `table` is what its stanza names, `usual_table` what the configuration has for the first
    address, as `usual_mark` is; `chosen` is whether its flags are chosen for it; `endpoint` whether
    it may have one, `mark` what a firewall sets for it, `announced` the address that is mapped to
    it, and `shared` whether a path of another device has the address. One whose endpoint is
    `passing` has it only if a monitor was quick to make it for another stanza, of which this one
    takes it over; one whose endpoint is `doubtful` has it only if its stanza is not silent. It is
    `further` where it is known to come beside the first one of its device.
    """

    family: int
    address: str
    device: str
    ifindex: int
    subnet: str
    gateway: str
    table: int
    usual_table: int
    flags: tuple[str, ...]
    chosen: bool
    endpoint: bool
    mark: str = ""
    usual_mark: str = ""
    announced: str = ""
    shared: bool = False
    passing: bool = False
    doubtful: bool = False
    further: bool = False

    @property
    def tells(self) -> bool:
        """Whether peers would be told of it."""
        return "signal" in self.flags or bool(self.announced)

    def wait(self, doubtful: bool) -> Wish:
        """The wish of a silent stanza, or of one of which that is doubtful."""
        return self._replace(endpoint=self.endpoint and doubtful, doubtful=doubtful)

    def is_served(self, seen: Snapshot) -> bool:
        """Whether its address, or what is announced for it, has an endpoint."""
        own = {(self.address, self.ifindex), (self.announced, 0)}
        return any((one.address, one.device) in own for one in seen.endpoints)

    def keep_quiet(self) -> Wish:
        """The wish where what is mapped to its address is not announced, nor is that itself.

        Where that was to be signalled alone, nothing is left that an endpoint would be for.
        """
        flags = tuple(flag for flag in self.flags if flag != "signal")
        return self._replace(announced="", flags=flags, endpoint=(
            self.endpoint and not set(flags) <= {"backup"}))


class Written(NamedTuple):
    """A path as it is to stand in the kernel."""

    wish: Wish
    table: int
    primary: bool
    things: frozenset[Thing]

    @property
    def endpoint(self) -> bool:
        return bool(self.list_endpoints())

    @property
    def may_have_endpoint(self) -> bool:
        """Whether it is such a path as has one: further addresses have none unless asked for."""
        return self.primary or self.wish.chosen or bool(self.wish.announced)

    @property
    def tells(self) -> bool:
        """Whether peers are told of it, by the endpoints that it has."""
        return any("signal" in one.flags for one in self.list_endpoints())

    def list_endpoints(self) -> list[Endpoint]:
        return [thing for thing in self.things if isinstance(thing, Endpoint)]

    def without_endpoint(self) -> Written:
        """The same path as routing alone."""
        return self.with_endpoints(frozenset())

    def with_endpoints(self, there: frozenset[Endpoint]) -> Written:
        """The same path with those of its endpoints alone that are among these."""
        return self._replace(things=frozenset(
            thing for thing in self.things if not isinstance(thing, Endpoint) or thing in there))


def write_wish(wish: Wish, primary: bool, table: int) -> Written:
    """The path of a wish in a table; `primary` gives it the sockets bound to the device."""
    table = wish.table or (wish.usual_table if primary else 0) or table
    things: list[Thing] = [*_list_rules(wish, table, primary), *_list_routes(wish, table)]
    path = Written(wish, table, primary, frozenset(things))
    if wish.endpoint and path.may_have_endpoint:
        path = path._replace(things=path.things | {*_list_endpoints(wish, primary)})
    return path


def _list_endpoints(wish: Wish, primary: bool) -> Iterator[Endpoint]:
    """The own one, and what peers are told of instead of it."""
    flags = wish.flags
    if wish.announced:
        # Who says what a further address is announced as, and gives no flags, wants nothing else.
        told = flags if primary or wish.chosen else ("signal",)
        flags = tuple(flag for flag in told if flag != "signal")
        backup = tuple(flag for flag in told if flag == "backup")
        yield Endpoint(wish.announced, 0, ("signal", *backup))
        if "signal" in told and flags == backup:
            return
    yield Endpoint(wish.address, wish.ifindex, flags)


def list_wide(path: Written) -> set[Thing]:
    """The rules for further addresses of a path's subnet: one path of a device has them."""
    wish = path.wish
    if not wish.gateway or wish.shared:
        return set()
    return {Rule(wish.family, 20003, wish.subnet, "", "", MAIN_TABLE, _SUPPRESSED[wish.family],
                 "lo"),
            Rule(wish.family, 20004, wish.subnet, "", "", path.table, None, "lo")}


def _list_rules(wish: Wish, table: int, primary: bool) -> Iterator[Rule]:
    own = wish.address
    if mark := wish.mark or (wish.usual_mark if primary else ""):
        yield Rule(wish.family, 19994, "", "", "", MAIN_TABLE, _SUPPRESSED[wish.family], mark=mark)
        yield Rule(wish.family, 19995, "", "", "", table, mark=mark)
    if wish.shared:
        yield Rule(wish.family, 19996, "", "", wish.device, MAIN_TABLE, _SUPPRESSED[wish.family])
        yield Rule(wish.family, 19997, "", "", wish.device, table)
        return
    yield Rule(wish.family, 20000, own, wish.subnet, "", table)
    yield Rule(wish.family, 20001, own, "", "", MAIN_TABLE, _SUPPRESSED[wish.family])
    yield Rule(wish.family, 20002, own, "", "", table)
    if primary:
        yield Rule(wish.family, 20005, "", "", wish.device, MAIN_TABLE, _SUPPRESSED[wish.family])
        yield Rule(wish.family, 20006, "", "", wish.device, table)
    if primary and wish.gateway:
        way_out = 32769 if "backup" in wish.flags else 32768
        yield Rule(wish.family, way_out, "", "", "", table)


def _list_routes(wish: Wish, table: int) -> Iterator[Route]:
    metric = _METRIC[wish.family]
    yield Route(wish.family, table, wish.subnet, "1", "", wish.device, wish.address, metric, False)
    if wish.gateway:
        yield Route(wish.family, table, "default", "1", wish.gateway, wish.device, wish.address,
                    metric, not is_near(wish.subnet, wish.gateway))
    yield Route(wish.family, table, "default", UNREACHABLE, "", "", "", LARGEST_METRIC, False)


def find_foreign(name: str, seen: Snapshot) -> Endpoint:
    """The foreign endpoint of a name, as the kernel shows it."""
    address, device, flags = FOREIGN_ENDPOINTS[name]
    return Endpoint(address, seen.ifindex(device), tuple(flags.split()))
