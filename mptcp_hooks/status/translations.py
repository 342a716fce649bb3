# SPDX-License-Identifier: GPL-2.0-or-later
"""Whether the firewall hands what comes for an address on to others (DNAT), as nft tells it. Pure.

`nft -j list ruleset` shows the rules of iptables-nft as well, and so Docker's. What cannot be
read of a rule is taken for fulfilled.
"""

from __future__ import annotations

from mptcp_hooks.base.address import contains
from mptcp_hooks.base.value import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from typing import Any

# Tables of which families of nft(8) see packets of a family of addresses.
_TABLES = {4: ("ip", "inet"), 6: ("ip6", "inet")}
_WORDS = {4: ("ip", "ipv4"), 6: ("ip6", "ipv6")}
_NAT, _ON_THE_WAY_IN = "nat", "prerouting"


class Arrival(NamedTuple):
    """A packet that comes in: the family of its addresses, its device, and whom it is for."""

    family: int
    device: str
    address: str


def translates(objects: Iterable[dict[str, Any]], arrival: Arrival) -> bool:
    """Whether a rule of the ruleset (its list of objects) may give the packet another address."""
    chains: dict[tuple[str, ...], list[list[Any]]] = {}
    waiting = []
    for one in objects:
        chain, rule = one.get("chain"), one.get("rule")
        if chain and (chain.get("type"), chain.get("hook")) == (_NAT, _ON_THE_WAY_IN):
            waiting.append((chain["family"], chain["table"], chain["name"]))
        if rule:
            chains.setdefault((rule["family"], rule["table"], rule["chain"]), []).append(
                rule.get("expr", []))
    waiting = [chain for chain in waiting if chain[0] in _TABLES[arrival.family]]
    seen = set(waiting)
    while waiting:
        chain = waiting.pop()
        for rule in chains.get(chain, ()):
            if not all(_may_fit(statement, arrival) for statement in rule):
                continue
            if any(_is_translation(statement, arrival) for statement in rule):
                return True
            targets = {(*chain[:2], target) for target in _list_targets(rule)} - seen
            seen |= targets
            waiting += targets
    return False


def _is_translation(statement: dict[str, Any], arrival: Arrival) -> bool:
    """Whether it is dnat of that family, also that of iptables, of which nft knows the name."""
    if (statement.get("xt") or {}).get("name") == "DNAT":
        return True
    dnat = statement.get("dnat")
    return bool(dnat) and (dnat or {}).get("family", _WORDS[arrival.family][0]) in _WORDS[
        arrival.family]


def _list_targets(expression: Any) -> Iterator[str]:
    """The chains that a rule goes on to, out of maps as well."""
    if isinstance(expression, list):
        for one in expression:
            yield from _list_targets(one)
    elif isinstance(expression, dict):
        for key, value in expression.items():
            if key in ("jump", "goto") and isinstance(value, dict):
                yield value["target"]
            else:
                yield from _list_targets(value)


def _may_fit(statement: dict[str, Any], arrival: Arrival) -> bool:
    match: dict[str, Any] = statement.get("match") or {}
    left = match.get("left")
    if not isinstance(left, dict):
        return True
    meta, payload = left.get("meta") or {}, left.get("payload") or {}
    if meta.get("key") in ("iifname", "iif"):
        fits = _holds(match["right"], arrival.device)
    elif meta.get("key") == "nfproto":
        fits = _join(_holds(match["right"], word) for word in _WORDS[arrival.family])
    elif payload.get("field") == "daddr" and payload.get("protocol") in _WORDS[arrival.family]:
        fits = _holds(match["right"], arrival.address)
    else:
        return True
    return fits is None or fits == (match["op"] != "!=")


def _holds(right: Any, value: str) -> bool | None:
    """Whether a value is what a match has on its right; None where that cannot be read."""
    if isinstance(right, str):
        # The name of a set begins so, and says nothing of what is in it.
        if right.startswith("@"):
            return None
        return value.startswith(right[:-1]) if right.endswith("*") else right == value
    if isinstance(right, dict) and isinstance(right.get("set"), list):
        return _join(_holds(one, value) for one in right["set"])
    if isinstance(right, dict) and "prefix" in right:
        return contains(f"{right['prefix']['addr']}/{right['prefix']['len']}", value)
    return None


def _join(held: Iterable[bool | None]) -> bool | None:
    """Whether one of them is so; None where none is, but one cannot be told."""
    found = {*held}
    return True if True in found else None if None in found else False
