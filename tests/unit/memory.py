# SPDX-License-Identifier: GPL-2.0-or-later
"""A machine in memory: the engine's questions answered, and its `ip -batch` run, without a kernel.

It knows as much of `ip` and of the kernel as the engine relies on: what makes a rule, a
route and an endpoint, which of them are refused, and with which words.
"""

from __future__ import annotations

from collections.abc import Callable, Container, Iterable
from contextlib import suppress
from typing import NamedTuple

from mptcp_hooks.base.address import BITS, InterfaceAddress, contains, family_of
from mptcp_hooks.base.model import (
    DeviceView, Endpoint, Limits, Link, Path, PathManager, Route, Rule, TableUse)
from mptcp_hooks.base.spawn import Outcome
from mptcp_hooks.machine.foreign import ForeignRule
from mptcp_hooks.machine.neighbours import Entry, is_known
from mptcp_hooks.machine.runner import Runner, TableReader, is_detour
from mptcp_hooks.machine.subflows import Subflow
from mptcp_hooks.machine.system import Machine

TABLES = {"main": 254, "local": 255}
FLAGS = ("signal", "subflow", "backup", "fullmesh", "laminar")
# As `ip` prints what the kernel refuses.
EXISTS = "RTNETLINK answers: File exists"
NO_RULE = "RTNETLINK answers: No such file or directory"
NO_ROUTE = "RTNETLINK answers: No such process"
NO_ENDPOINT = "address not found"
TAKEN = "Error: too many addresses or duplicate one: -17."
FULL = "Error: too many addresses or duplicate one: -34."
# NUD_* of include/uapi/linux/neighbour.h.
INCOMPLETE, REACHABLE, FAILED = 0x01, 0x02, 0x20
FOREIGN_SOURCE = "Error: Invalid source address."

Key = tuple[int, int]


class Killed(BaseException):
    """What a kill in the middle of a batch is here: nothing catches it."""


class Device(NamedTuple):
    """A device: its number, its link, and its addresses."""

    ifindex: int
    link: Link
    addresses: tuple[InterfaceAddress, ...]
    gateways: tuple[str, ...] = ()


class State(NamedTuple):
    """All that the engine may change."""

    rules: tuple[tuple[int, Rule], ...]
    routes: tuple[tuple[Key, Route], ...]
    endpoints: tuple[tuple[str, int, tuple[str, ...]], ...]
    limits: Limits | None


class Refusal(Exception):
    """What `ip` says of a line that the kernel does not take."""


class MemoryMachine(Machine):
    """`devices` by name; `obstacle` says of a line why it fails, '' where it does not.

    `before_look` is what somebody else does after a batch, before the tables are read again.
    `given` are the lines that `ip` was given; `ran` those of them that it came to, with
    those that were refused. `tunnels` are those that each family leaves by, None for no way,
    and `foreign` IPv4's rules of others.
    """

    def __init__(self) -> None:
        self.tunnels: dict[int, str | None] = {}
        self.foreign: list[ForeignRule] = []
        self.devices: dict[str, Device] = {}
        self.rules: list[tuple[int, Rule]] = []
        self.routes: dict[Key, list[Route]] = {}
        # What defaults have of initrwnd.
        self.windows: dict[Key, int] = {}
        self.endpoints: list[Endpoint] = []
        self.limits: Limits | None = Limits(2, 0)
        self.subflows: list[Subflow] = []
        self.obstacle: Callable[[str], str] = lambda line: ""
        self.before_look: Callable[[], object] = lambda: None
        self.given: list[str] = []
        self.ran: list[str] = []
        self.shown: list[str] = []
        # The states (NUD_*) of gateways' entries, and which gateways answer when they are asked.
        self.neighbours: dict[str, int] = {}
        self.deaf: set[str] = set()
        self.runner = Runner(self.shown.append, self.run_batch)

    def plug(self, name: str, ifindex: int, *addresses: InterfaceAddress,
             gateways: tuple[str, ...] = ()) -> None:
        """Have a device, with a carrier and these addresses."""
        self.devices[name] = Device(ifindex, Link(True, True, False), addresses, gateways)

    def pull(self, name: str) -> None:
        """Have a device no more; its routes go with it."""
        gone = self.devices.pop(name)
        for key, routes in self.routes.items():
            self.routes[key] = [route for route in routes if route.device != gone.ifindex]

    def take_address(self, name: str, address: str) -> None:
        """Take an address from a device; the routes from it go as well."""
        device = self.devices[name]
        self.devices[name] = device._replace(addresses=tuple(
            one for one in device.addresses if one.address != address))
        for key, routes in self.routes.items():
            self.routes[key] = [route for route in routes if route.source != address]

    def snapshot(self) -> State:
        """All that the engine may have changed, in one order; the kernel's ids are left out."""
        return State(
            tuple(sorted(self.rules, key=repr)),
            tuple(sorted(((key, route) for key, routes in self.routes.items()
                          for route in routes), key=repr)),
            tuple(sorted((one.address, one.device, one.flags) for one in self.endpoints)),
            self.limits)

    def view_device(
        self, iface: str, families: tuple[int, ...], stated: tuple[InterfaceAddress, ...],
        gateway: bool,
    ) -> DeviceView:
        device = iface.partition(":")[0]
        known = {one.family for one in stated}
        unstated = tuple(family for family in families if family not in known)
        return DeviceView(device, self.find_ifindex(device), self.read_link(device),
                          (*stated, *self.list_addresses(iface, unstated)), (),
                          self.read_default_gateways(self.find_ifindex(device), families), True,
                          elsewhere=tuple(
                              (one.address, one.length) for name, other in self.devices.items()
                              for one in other.addresses
                              if name.partition(":")[0] != device and one.family in families),
                          present=frozenset(
                              one.address for name, other in self.devices.items()
                              for one in other.addresses if name.partition(":")[0] == device))

    def read_direct(self, ifindex: int, families: tuple[int, ...]) -> tuple[int, ...]:
        return ()

    def find_ifindex(self, device: str) -> int:
        return self.devices[device].ifindex if device in self.devices else 0

    def read_link(self, device: str) -> Link | None:
        return self.devices[device].link if device in self.devices else None

    def list_labelled(
        self, label: str, families: tuple[int, ...]
    ) -> tuple[InterfaceAddress, ...]:
        found = self.devices[label].addresses if label in self.devices else ()
        return tuple(one for one in found if one.family in families)

    def list_labels(self, device: str) -> list[str]:
        return [name for name in self.devices if name.partition(":")[0] == device]

    def find_present(
        self, iface: str, addresses: tuple[InterfaceAddress, ...]
    ) -> tuple[InterfaceAddress, ...]:
        there = {one.address for label in self.list_labels(iface.partition(":")[0])
                 for one in self.devices[label].addresses}
        return tuple(one for one in addresses if one.address in there)

    def list_of_device(self, device: str, ifaces: Iterable[str]) -> list[str]:
        return [iface for iface in ifaces if iface.partition(":")[0] == device]

    def list_devices(self) -> list[str]:
        return sorted(self.devices)

    def read_default_gateways(self, ifindex: int, families: tuple[int, ...]) -> tuple[str, ...]:
        return tuple(gateway for device in self.devices.values() if device.ifindex == ifindex
                     for gateway in device.gateways if family_of(gateway) in families)

    def read_table(self, family: int, table: int) -> list[Route]:
        if table == TABLES["local"]:
            return [Route(_prefix(one.address), "local", "", device.ifindex, "", 0, 2)
                    for device in self.devices.values() for one in device.addresses
                    if one.family == family]
        return list(self.routes.get((family, table), ()))

    def read_subflows(self) -> list[Subflow]:
        return list(self.subflows)

    def find_exit(self, family: int, destination: str) -> int:
        """By the rules that name no source and no device, in their order, and main."""
        rules = [(rule.preference, rule.table, rule.suppress) for known, rule in self.rules
                 if known == family and not (rule.source or rule.destination or rule.device)]
        main = (32766, TABLES["main"], None)
        for _, table, length in sorted((*rules, main), key=lambda rule: rule[0]):
            found = sorted((-_length(route), route.metric, route.device)
                           for route in self.read_table(family, table)
                           if _length(route) > (-1 if length is None else length)
                           and (route.destination == "default"
                                or contains(route.destination, destination)))
            if found or not table:
                return found[0][2] if found else 0
        return 0

    def find_tunnel(self, family: int, uplinks: Container[int]) -> str | None:
        return self.tunnels.get(family, "")

    def list_foreign(self, family: int) -> list[ForeignRule]:
        return self.foreign if family == 4 else []

    def leads_to_peer(self, ifindex: int) -> bool:
        return any(device.link.point_to_point for device in self.devices.values()
                   if device.ifindex == ifindex)

    def read_first_window(self, family: int, table: int) -> int:
        return self.windows.get((family, table), 0)

    def read_neighbour(self, gateway: str, ifindex: int) -> Entry:
        state = self.neighbours.get(gateway, 0)
        return Entry(state, "02:00:00:00:00:01" if is_known(state) else "")

    def read_path_manager(self) -> PathManager:
        return PathManager(tuple(self.endpoints), self.limits)

    def read_tables(self) -> TableReader:
        if self.ran:
            self.before_look()
        return _MemoryTables(self)

    def run_batch(self, option: str, force: bool, text: str) -> Outcome:
        """`ip OPTION [-force] -batch -` with these lines."""
        status, errors = 0, ""
        self.given += text.splitlines()
        for number, line in enumerate(text.splitlines(), start=1):
            self.ran.append(line)
            try:
                reason = self.obstacle(line)
                if reason:
                    raise Refusal(reason)
                self._run(6 if option == "-6" else 4, line.split(" "))
            except Refusal as refusal:
                status = 2
                errors += f"{refusal}\nCommand failed -:{number}\n"
                if not force:
                    break
        return Outcome(status, "", errors)

    def _run(self, family: int, words: list[str]) -> None:
        kind, *rest = words
        if kind == "neigh":
            self._change_neighbours(rest[0], rest[1])
        elif kind == "rule":
            self._change_rules(family, rest[0], rest[1:])
        elif kind == "route":
            self._change_routes(family, rest[0], rest[1:])
        elif rest[:2] == ["endpoint", "add"]:
            device, flags = (rest[4], rest[5:]) if rest[3] == "dev" else ("", rest[3:])
            self._add_endpoint(rest[2], device, tuple(flags))
        elif rest[:2] == ["endpoint", "delete"]:
            self._delete_endpoint(int(rest[3]))
        elif rest[:2] == ["endpoint", "change"]:
            self._change_endpoint(int(rest[3]), rest[4:])
        else:
            given = _pair(rest[2:])
            self.limits = Limits(int(given["subflows"]), int(given["add_addr_accepted"]))

    def _change_neighbours(self, verb: str, address: str) -> None:
        if verb == "replace":
            self.neighbours[address] = INCOMPLETE if address in self.deaf else REACHABLE
        elif self.neighbours.pop(address, None) is None:
            raise Refusal(NO_RULE)

    def _change_rules(self, family: int, verb: str, words: list[str]) -> None:
        given = _pair([word for word in words if word not in ("not", "unreachable")])
        rule = family, Rule(
            preference=int(given["pref"]), source=_prefix(given.get("from", "")),
            destination=_prefix(given.get("to", "")), device=given.get("oif", ""),
            table=_table(given.get("lookup", "0")), protocol=int(given["protocol"]),
            suppress=int(given["suppress_prefixlength"])
            if "suppress_prefixlength" in given else None, incoming=given.get("iif", ""),
            mark=given.get("fwmark", ""))
        if verb == "add":
            if rule in self.rules:
                raise Refusal(EXISTS)
            self.rules.append(rule)
        elif rule in self.rules:
            self.rules.remove(rule)
        else:
            raise Refusal(NO_RULE)

    def _change_routes(self, family: int, verb: str, words: list[str]) -> None:
        kind = "unicast"
        if words[0] == "unreachable":
            kind, *words = words
        destination, *words = words
        given = _pair([word for word in words if word != "onlink"])
        routes = self.routes.setdefault((family, _table(given["table"])), [])
        same = [route for route in routes if route.kind == kind and route.metric == int(
            given.get("metric", 0)) and route.destination == _prefix(destination)]
        if verb == "del":
            meant = [route for route in same if given.get("via", route.gateway) == route.gateway]
            if not meant:
                raise Refusal(NO_ROUTE)
            routes.remove(meant[0])
            return
        device = given.get("dev", "")
        if device and device not in self.devices:
            raise Refusal(f'Cannot find device "{device}"')
        held = {one.address for one in self.devices[device].addresses} if device else {""}
        if given.get("src", "") not in held:
            raise Refusal(FOREIGN_SOURCE)
        # It is replaced where it stands.
        place = routes.index(same[0]) if same else len(routes)
        for route in same:
            routes.remove(route)
        if destination == "default" and kind == "unicast":
            self.windows[family, _table(given["table"])] = int(given.get("initrwnd", 0))
        routes.insert(place, Route(
            _prefix(destination), kind, given.get("via", ""), self.find_ifindex(device),
            given.get("src", ""), int(given.get("metric", 0)), int(given["protocol"])))

    def _add_endpoint(self, address: str, device: str, flags: tuple[str, ...]) -> None:
        # In the kernel's order: where it is full, it does not look whether it has it already.
        if len(self.endpoints) == 8:
            raise Refusal(FULL)
        if any(one.address == address for one in self.endpoints):
            raise Refusal(TAKEN)
        if device and device not in self.devices:
            raise Refusal(f'Cannot find device "{device}"')
        identity = max((one.identity for one in self.endpoints), default=0) + 1
        if flags[:1] == ("id",):
            identity = int(flags[1])
        if any(one.identity == identity for one in self.endpoints):
            raise Refusal(TAKEN)
        self.endpoints.append(Endpoint(
            identity, address, self.find_ifindex(device),
            tuple(flag for flag in FLAGS if flag in flags)))

    def _change_endpoint(self, identity: int, words: list[str]) -> None:
        """Both flags are set anew by it; the kernel has a mask of these two (pm_netlink.c)."""
        found = [one for one in self.endpoints if one.identity == identity]
        if not found:
            raise Refusal("Error: No such file or directory")
        flags = {*found[0].flags} - {"backup", "fullmesh"} | {*words}
        self.endpoints[self.endpoints.index(found[0])] = found[0]._replace(
            flags=tuple(flag for flag in FLAGS if flag in flags))

    def _delete_endpoint(self, identity: int) -> None:
        found = [one for one in self.endpoints if one.identity == identity]
        if not found:
            raise Refusal(NO_ENDPOINT)
        self.endpoints.remove(found[0])


class _MemoryTables(TableReader):
    """As the real one, it sees the rules as they were at the first question of their family."""

    def __init__(self, machine: MemoryMachine) -> None:
        self._machine = machine
        self._seen: dict[int, list[Rule]] = {}

    def read_use(self, path: Path) -> TableUse:
        rules = self._seen.setdefault(
            path.family, [rule for known, rule in self._machine.rules if known == path.family])
        return TableUse(
            tuple(sorted((rule for rule in rules if path.concerns(rule)
                          and not is_detour(rule)), key=repr)),
            tuple(self._machine.routes.get((path.family, path.table), ())))

    def read_detours(self, family: int) -> list[Rule]:
        return [rule for known, rule in self._machine.rules if known == family and is_detour(rule)]

    def read_names(self, family: int) -> TableUse:
        return TableUse(
            tuple(rule for known, rule in self._machine.rules if known == family
                  and (rule.preference, rule.protocol) == (32765, 77)),
            tuple(self._machine.routes.get((family, 20000), ())))


def kill_at(number: int) -> Callable[[str], str]:
    """An obstacle that ends all before line `number` (from 0) of those that run."""
    left = [number]

    def obstruct(line: str) -> str:
        if left[0] == 0:
            raise Killed
        left[0] -= 1
        return ""

    return obstruct


def fail_at(number: int, reason: str = "Error: Invalid argument.") -> Callable[[str], str]:
    """An obstacle by which line `number` (from 0) of those that run fails, each time it runs."""
    seen: list[str] = []

    def obstruct(line: str) -> str:
        if line not in seen:
            seen.append(line)
        return reason if seen.index(line) == number else ""

    return obstruct


def _pair(words: list[str]) -> dict[str, str]:
    return dict(zip(words[::2], words[1::2]))


def _prefix(text: str) -> str:
    """As the kernel's messages have it: hosts with their length, everything without a word."""
    if not text or text == "default" or "/" in text:
        return text
    return f"{text}/{BITS[family_of(text)]}"


def _length(route: Route) -> int:
    return int(route.destination.partition("/")[2] or 0)


def _table(text: str) -> int:
    with suppress(ValueError):
        return int(text)
    return TABLES[text]
