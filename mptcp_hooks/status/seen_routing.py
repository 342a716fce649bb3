# SPDX-License-Identifier: GPL-2.0-or-later
"""Rules and routes as `ip -j` shows them: as values, as text, and compared with the record's."""

from __future__ import annotations

from ast import literal_eval

from mptcp_hooks.base.address import BITS, contains, family_of
from mptcp_hooks.base.model import Route, Rule, TableUse
from mptcp_hooks.base.numbering import MAIN_TABLE, TABLES_OF_THE_KERNEL
from mptcp_hooks.base.value import TYPE_CHECKING, NamedTuple
from mptcp_hooks.machine.netlink import ROUTE_TYPES

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from typing import Any

# What a Rule has of a rule; the rest is told as text.
_ORDINARY = {"priority", "src", "srclen", "dst", "dstlen", "iif", "oif", "table",
             "suppress_prefixlen", "protocol", "not", "fwmark", "fwmask"}
# What a rule does instead of a lookup, or besides. All else asks still more of a packet (a
# mark, a port, where it came in): print_rule() of iproute2's ip/iprule.c, ip-rule(8).
_ACTIONS = {"action", "goto", "unresolved", "flow_from", "flow_to", "suppress_ifgroup"}
# What `ip` calls a range in JSON, and on its command line.
_RANGES = {"uid": "uidrange"}
# What `ip` calls a route's rank, where it is not 0.
_RANKS = {"high": 1, "low": -1}
# Where packets of this machine's own come in.
_OF_OUR_OWN = ("", "lo")


class SeenRule(NamedTuple):
    """A rule of a family with all it says, as text.

    `selectors` are what it asks for besides addresses and a device, `negated` is whether it is
    for all packets but those.
    """

    family: int
    rule: Rule
    text: str
    selectors: frozenset[str]
    negated: bool

    def covers(self, address: str) -> bool:
        """Whether it is for a packet from the address with no mark, that goes anywhere."""
        rule = self.rule
        if self.selectors or rule.destination or rule.device:
            return self.negated
        return self.negated != (not rule.source or contains(rule.source, address))


class SeenRoute(NamedTuple):
    """A route of a family and its table."""

    family: int
    table: int
    route: Route


class Difference(NamedTuple):
    """What the kernel has lost of a path's routing, and what it has gained, as text."""

    missing: tuple[str, ...]
    added: tuple[str, ...]


def read_rule(family: int, row: Mapping[str, Any]) -> SeenRule:
    """A rule from a row of `ip -j -N rule`."""
    rule = Rule(
        preference=row["priority"],
        source=_read_prefix(row, "src", "srclen"),
        destination=_read_prefix(row, "dst", "dstlen"),
        device=row.get("oif", ""),
        table=int(row.get("table", 0)),
        suppress=row.get("suppress_prefixlen"),
        protocol=int(row.get("protocol", 0)),
        incoming=row.get("iif", ""),
        mark="/".join(row[key] for key in ("fwmark", "fwmask") if key in row),
    )
    others = [(key, row[key]) for key in row if key not in _ORDINARY]
    text = format_rule(rule, "not " * ("not" in row), " ".join(_format_others(dict(others))))
    selectors = [key for key, _ in others if key not in _ACTIONS]
    selectors += ["iif"] * (rule.incoming not in _OF_OUR_OWN)
    selectors += ["fwmark"] * bool(rule.mark)
    return SeenRule(family, rule, text, frozenset(selectors), "not" in row)


def read_routes(
    family: int, row: Mapping[str, Any], ifindexes: Mapping[str, int]
) -> Iterator[SeenRoute]:
    """The route of a row of `ip -j -N route show table all`, or one for each next hop."""
    for hop in row.get("nexthops", [row]):
        yield SeenRoute(family, int(row.get("table", MAIN_TABLE)), Route(
            destination=_read_destination(family, row["dst"]),
            kind=ROUTE_TYPES.get(int(row.get("type", 1)), str(row.get("type"))),
            gateway=hop.get("gateway", "") or hop.get("via", {}).get("host", ""),
            device=ifindexes.get(hop.get("dev", ""), 0),
            source=row.get("prefsrc", ""),
            metric=row.get("metric", 0),
            # `ip` does not print the usual one, that of a person's commands.
            protocol=int(row.get("protocol", 3)),
            rank=_RANKS.get(row.get("pref", ""), 0),
        ))


def is_inside(destination: str, route: Route) -> bool:
    """Whether a route is for an address, and not for all."""
    return route.destination != "default" and contains(route.destination, destination)


def recall_routing(kernel: str) -> TableUse | None:
    """What is on record as TableUse.describe has it; None of '', or of another version's."""
    try:
        rules, routes = literal_eval(kernel)
        return TableUse(tuple(Rule(*rule) for rule in rules),
                        tuple(Route(*route) for route in routes))
    except (ValueError, TypeError, SyntaxError):
        return None


def without_device_rules(use: TableUse) -> TableUse:
    """The routes, and the rules that are for an address."""
    return use._replace(rules=tuple(rule for rule in use.rules if not rule.device))


def compare_routing(
    table: int, recorded: TableUse, present: TableUse, name_of: Callable[[int], str],
    texts: Mapping[Rule, str],
) -> Difference:
    """What of the routing on record is missing, and what is there that was not.

    `texts` are those of the rules that are there, with what a Rule has no field for.
    """
    return Difference(missing=_tell(table, recorded, present, name_of, texts),
                      added=_tell(table, present, recorded, name_of, texts))


def format_rule(rule: Rule, negation: str = "", others: str = "") -> str:
    """A rule as `ip rule` prints it, the host's prefix length left out likewise."""
    words = [f"{rule.preference}: {negation}from {_shorten(rule.source) or 'all'}"]
    words += [f"to {_shorten(rule.destination)}"] * bool(rule.destination)
    words += [f"fwmark {rule.mark}"] * bool(rule.mark)
    words += [f"iif {rule.incoming}"] * bool(rule.incoming)
    words += [others] * bool(others)
    words += [f"oif {rule.device}"] * bool(rule.device)
    words += [f"lookup {name_table(rule.table)}"] * bool(rule.table)
    words += [f"suppress_prefixlength {rule.suppress}"] * (rule.suppress is not None)
    return " ".join(words)


def format_route(table: int, route: Route, name_of: Callable[[int], str]) -> str:
    """A route of a table much as `ip route show table all` prints it."""
    words = [route.kind] * (route.kind != "unicast")
    words += [_shorten(route.destination)]
    words += [f"via {route.gateway}"] * bool(route.gateway)
    words += [f"dev {name_of(route.device)}"] * bool(route.device)
    words += [f"table {name_table(table)}"]
    words += [f"src {route.source}"] * bool(route.source)
    words += [f"metric {route.metric}"] * bool(route.metric)
    return " ".join(words)


def name_table(table: int) -> str:
    """A table's number, or the name that everybody has for it."""
    return TABLES_OF_THE_KERNEL.get(table, str(table))


def _tell(
    table: int, these: TableUse, those: TableUse, name_of: Callable[[int], str],
    texts: Mapping[Rule, str],
) -> tuple[str, ...]:
    """The rules and routes of one that are not in the other."""
    rules, routes = set(those.rules), set(those.routes)
    return (*(texts.get(rule) or format_rule(rule) for rule in these.rules if rule not in rules),
            *(format_route(table, route, name_of) for route in these.routes
              if route not in routes))


def _format_others(others: dict[str, Any]) -> Iterator[str]:
    """What else a row of a rule says, as ip-rule(8) has it on a command line."""
    for key, value in others.items():
        word, _, end = key.rpartition("_")
        if key == "action":
            yield ROUTE_TYPES.get(int(value), str(value))
        elif end == "start" and f"{word}_end" in others:
            yield f"{_RANGES.get(word, word)} {value}-{others[f'{word}_end']}"
        elif end != "end":
            # Of a protocol's number it makes a name that it does not take (6.1).
            yield key if value is None else f"{key} {str(value).removeprefix('ipproto-')}"


def _read_prefix(row: Mapping[str, Any], key: str, length: str) -> str:
    text = row.get(key, "all")
    if text in ("all", "default"):
        return ""
    return f"{text}/{row.get(length, BITS[family_of(text)])}"


def _read_destination(family: int, text: str) -> str:
    return text if "/" in text or text == "default" else f"{text}/{BITS[family]}"


def _shorten(prefix: str) -> str:
    host, _, length = prefix.partition("/")
    return host if length and int(length) == BITS[family_of(host)] else prefix
