# SPDX-License-Identifier: GPL-2.0-or-later
"""What the kernel holds, as values made of `ip -j -N`: an oracle that shares no code of ours."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from typing import Any, NamedTuple

OUR_PROTOCOL = "77"
FOREIGN_PROTOCOL = "99"
MAIN_TABLE = 254
UNREACHABLE, LARGEST_METRIC = "7", 4294967295
_UNICAST = "1"
_BACKUP = "backup"
_FLAGS = ("subflow", "signal", _BACKUP, "fullmesh")


class Rule(NamedTuple):
    """One policy routing rule; an empty text or None where it does not say.

    `mark` is what a firewall must have set; a rule for all that has another one has none here.
    """

    family: int
    preference: int
    source: str
    destination: str
    device: str
    table: int
    suppress: int | None = None
    incoming: str = ""
    mark: str = ""


class Route(NamedTuple):
    """One route; `kind` is the number of its type."""

    family: int
    table: int
    destination: str
    kind: str
    gateway: str
    device: str
    source: str
    metric: int
    onlink: bool


class Endpoint(NamedTuple):
    """One endpoint; `device` is an ifindex, which outlives the name, and 0 for none."""

    address: str
    device: int
    flags: tuple[str, ...]


Thing = Rule | Route | Endpoint


class Limits(NamedTuple):
    """The path manager's limits."""

    subflows: int
    add_addr_accepted: int


class Link(NamedTuple):
    """A device: its number, whether it is switched on, whether it has a carrier as well."""

    ifindex: int
    up: bool
    running: bool


class Held(NamedTuple):
    """An address that a device has; a tentative one is of no use yet.

    `label` is the alias that IPv4 knows it by, else the device.
    """

    device: str
    label: str
    family: int
    address: str
    length: int
    tentative: bool


class Default(NamedTuple):
    """A default route in main; a tunnel's has no gateway."""

    device: str
    family: int
    gateway: str
    metric: int


class Snapshot(NamedTuple):
    """The kernel at one moment.

    `marked` are the rules and routes with the package's protocol, `foreign` those with that
    of the driver; nobody marks endpoints. `roles` are the addresses whose endpoints are backups
    by a monitor's word, which their flags do not show then.
    """

    links: dict[str, Link]
    addresses: tuple[Held, ...]
    defaults: tuple[Default, ...]
    marked: frozenset[Rule | Route]
    foreign: frozenset[Rule | Route]
    ids: dict[Endpoint, int]
    limits: Limits
    roles: frozenset[str] = frozenset()

    @property
    def endpoints(self) -> frozenset[Endpoint]:
        return frozenset(self.ids)

    def ifindex(self, device: str) -> int:
        """The device's number, 0 where there is none."""
        return self.links[device].ifindex if device in self.links else 0

    def is_up(self, device: str) -> bool:
        return device in self.links and self.links[device].up

    def is_running(self, device: str) -> bool:
        return device in self.links and self.links[device].running

    def without(self, things: Iterable[Thing]) -> Snapshot:
        """The same without some things that were ours."""
        gone = frozenset(things)
        return self._replace(
            marked=frozenset(thing for thing in self.marked if thing not in gone),
            ids={endpoint: number for endpoint, number in self.ids.items() if endpoint not in gone})

    def without_roles(self, recorded: Iterable[str]) -> Snapshot:
        """The same with the flags that endpoints have by themselves, of those on record."""
        meant = frozenset(recorded)
        backups = [one for one in self.ids if one.address in meant and _BACKUP in one.flags]
        plain = {one: one._replace(flags=tuple(flag for flag in one.flags if flag != _BACKUP))
                 for one in backups}
        return self._replace(roles=frozenset(one.address for one in backups),
                             ids={plain.get(one, one): number for one, number in self.ids.items()})

    def without_lent(self, own: Iterable[tuple[str, int]]) -> Snapshot:
        """The same, where some endpoints of addresses on record are backups anyway.

        They are those of addresses and devices: of two devices that have one, one has its endpoint.
        """
        meant = frozenset(own)
        whole = {one: one._replace(flags=tuple(
            flag for flag in _FLAGS if flag in (*one.flags, _BACKUP)))
            for one in self.ids
            if one.address in self.roles and (one.address, one.device) in meant}
        return self._replace(roles=self.roles - {one.address for one in whole},
                             ids={whole.get(one, one): number for one, number in self.ids.items()})

    def list_held(self, device: str, family: int) -> list[Held]:
        """The addresses of a device that can be used."""
        return [one for one in self.addresses if not one.tentative
                and (one.device, one.family) == (device, family)]


def read_snapshot(four: str, six: str) -> Snapshot:
    """What `ip -4` and `ip -6 -batch` answered to the agent's questions."""
    rules_4, routes_4, addresses_4, devices, endpoints, limits = _split(four)
    rules_6, routes_6, addresses_6, _, _, _ = _split(six)
    links = dict(_read_links(devices))
    rules = [*_read_rules(4, rules_4), *_read_rules(6, rules_6)]
    routes = [*_read_routes(4, routes_4), *_read_routes(6, routes_6)]
    return Snapshot(
        links=links,
        addresses=(*_read_addresses(addresses_4), *_read_addresses(addresses_6)),
        defaults=(*_read_defaults(4, routes_4), *_read_defaults(6, routes_6)),
        marked=_of_protocol(OUR_PROTOCOL, rules, routes),
        foreign=_of_protocol(FOREIGN_PROTOCOL, rules, routes),
        ids=dict(_read_endpoints(endpoints, links)),
        limits=_read_limits(limits),
    )


def _split(answers: str) -> list[Any]:
    """Each answer is a line of JSON; that about limits is plain text."""
    lines = [line for line in answers.splitlines() if line]
    return [*map(json.loads, lines[:5]), lines[5]]


def _of_protocol(
    protocol: str, *found: Iterable[tuple[str, Rule | Route]]
) -> frozenset[Rule | Route]:
    return frozenset(thing for each in found for marked, thing in each if marked == protocol)


def _read_rules(family: int, rows: list[dict[str, Any]]) -> Iterator[tuple[str, Rule]]:
    for row in rows:
        yield row.get("protocol", ""), Rule(
            family=family,
            preference=row["priority"],
            source=_read_prefix(row, "src", "srclen"),
            destination=_read_prefix(row, "dst", "dstlen"),
            device=row.get("oif", ""),
            table=int(row.get("table", 0)),
            suppress=row.get("suppress_prefixlen"),
            incoming=row.get("iif", ""),
            mark="" if "not" in row else row.get("fwmark", ""),
        )


def _read_prefix(row: dict[str, Any], key: str, length: str) -> str:
    text = str(row.get(key, ""))
    return "" if text == "all" else f"{text}/{row[length]}" if length in row else text


def _read_routes(family: int, rows: list[dict[str, Any]]) -> Iterator[tuple[str, Route]]:
    for row in rows:
        kind = row.get("type", _UNICAST)
        yield row.get("protocol", ""), Route(
            family=family,
            table=int(row.get("table", MAIN_TABLE)),
            destination=row["dst"],
            kind=kind,
            gateway=row.get("gateway", ""),
            # IPv6 has unreachable routes on the loopback.
            device="" if kind == UNREACHABLE else row.get("dev", ""),
            source=row.get("prefsrc", ""),
            metric=row.get("metric", 0),
            onlink="onlink" in row["flags"],
        )


def _read_defaults(family: int, rows: list[dict[str, Any]]) -> Iterator[Default]:
    for row in rows:
        if row["dst"] == "default" and row.get("type", _UNICAST) == _UNICAST and (
                "table" not in row):
            yield Default(row["dev"], family, row.get("gateway", ""), row.get("metric", 0))


def _read_links(rows: list[dict[str, Any]]) -> Iterator[tuple[str, Link]]:
    for row in rows:
        flags = row["flags"]
        yield row["ifname"], Link(row["ifindex"], "UP" in flags,
                                  "UP" in flags and row["operstate"] in ("UP", "UNKNOWN"))


def _read_addresses(rows: list[dict[str, Any]]) -> Iterator[Held]:
    for row in rows:
        for one in row.get("addr_info", ()):
            # Link-local addresses have that scope in `ip -N`.
            if one.get("scope") == "0":
                family = 4 if one["family"] == "inet" else 6
                yield Held(row["ifname"], one.get("label", row["ifname"]), family, one["local"],
                           one["prefixlen"], bool(one.get("tentative")))


def _read_endpoints(
    rows: list[dict[str, Any]], links: dict[str, Link]
) -> Iterator[tuple[Endpoint, int]]:
    for row in rows:
        name = row.get("dev", "")
        number = links[name].ifindex if name in links else int(name.removeprefix("if") or 0)
        flags = tuple(flag for flag in _FLAGS if row.get(flag))
        yield Endpoint(row["address"], number, flags), row["id"]


def _read_limits(text: str) -> Limits:
    words = text.split()
    said = dict(zip(words[::2], map(int, words[1::2])))
    return Limits(said["subflows"], said["add_addr_accepted"])


def describe(thing: Thing) -> str:
    """A thing as a person reads it: its kind, and what it says."""
    said = ", ".join(f"{field} {value}" for field, value in zip(thing._fields, thing)
                     if value not in ("", None))
    return f"{type(thing).__name__.lower()} ({said})"
