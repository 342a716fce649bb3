# SPDX-License-Identifier: GPL-2.0-or-later
"""Rules of others that take a part of a path's traffic, or never get what they ask for. Pure.

Which is which depends on where they lead, and on when the kernel asks them:

- By another uplink, and before ours: a subflow from this uplink's address leaves there, where its
  provider drops it. Behind ours the rule still has what is bound to nothing.
- By no uplink (a tunnel, a LAN, nowhere), and behind ours: what comes from an uplink's address does
  not get there. Before ours it does, which is as good as a narrow route of main.
- What a firewall has marked has a source by then, as a socket that was bound has: a rule for marks
  does nothing behind ours, and before ours it is meant.
- What comes in at a device (`iif`) and is forwarded has none of a path's addresses, but may be of
  the further subnets that belong to one.
"""

from __future__ import annotations

from mptcp_hooks.base.address import contains
from mptcp_hooks.base.numbering import (
    MAIN_PREFERENCE,
    MAIN_TABLE,
    PREFERENCES,
    PROTOCOL,
    number_rules,
)
from mptcp_hooks.base.value import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from mptcp_hooks.base.model import Path
    from mptcp_hooks.status.seen_routing import SeenRoute, SeenRule

_MARK, _INCOMING = "fwmark", "iif"
# For what comes in at devices of its own, or leaves by them: not for what is a path's.
_OTHERS_TRAFFIC = {"l3mdev"}
# What a rule does that leads nowhere by itself.
_NO_DECISION = {"goto", "nop"}


class Conflict(NamedTuple):
    """A rule, whether the kernel asks it before ours, the paths that are at odds with it, and by
    which devices it leads (ifindexes, 0 for nowhere).
    """

    seen: SeenRule
    before: bool
    paths: tuple[Path, ...]
    exits: frozenset[int]


def list_conflicts(
    rules: Iterable[SeenRule], routes: Iterable[SeenRoute], paths: Iterable[Path],
    devices: Mapping[str, int]
) -> Iterator[Conflict]:
    """The rules of others that are at odds with those of paths, in the kernel's order.

    `devices` are the ifindexes of all devices, by their names.
    """
    known, ours = list(routes), list(paths)
    uplinks = frozenset(path.ifindex for path in ours)
    for seen in rules:
        if not _is_partial(seen):
            continue
        exits = frozenset(_list_exits(seen, known))
        meant = [path for path in ours if path.family == seen.family and path.default
                 and exits and exits != {path.ifindex}
                 and any(_is_asked_of(seen, one) and _may_come_in(seen, one, known, devices)
                         for one in list_sources(seen, path))]
        for before in (True, False):
            found = tuple(path for path in meant if _is_before(seen, path) == before
                          and _is_at_odds(seen, before, exits - {path.ifindex}, uplinks))
            if found:
                yield Conflict(seen, before, found, exits)


def list_sources(seen: SeenRule, path: Path) -> tuple[str, ...]:
    """What of a path's a rule may be about: its address, or the subnets that are forwarded."""
    return path.sources if _INCOMING in seen.selectors else (path.address,)


def describe_move(conflict: Conflict) -> str:
    """The commands that put a rule where it is at odds with none of its paths."""
    numbers = [number for path in conflict.paths for number in number_rules(path.shift).values()]
    first, last = min(numbers), max(numbers)
    preference = last + 1 if conflict.before else max(1, first - 1)
    old, _, words = conflict.seen.text.partition(": ")
    command = f"ip -{conflict.seen.family} rule"
    return f"{command} add pref {preference} {words} && {command} del pref {old} {words}"


def _is_partial(seen: SeenRule) -> bool:
    """Whether a rule of somebody else asks for some packets alone, and decides."""
    rule = seen.rule
    return (rule.protocol != PROTOCOL and 0 < rule.preference < MAIN_PREFERENCE
            and rule.suppress is None and not seen.negated and not rule.device
            and _NO_DECISION.isdisjoint(seen.text.split())
            and seen.selectors.isdisjoint(_OTHERS_TRAFFIC)
            and bool(seen.selectors or rule.destination))


def _is_asked_of(seen: SeenRule, source: str) -> bool:
    """Whether a rule asks for packets of an address, or of a part of a subnet."""
    base, wanted = source.partition("/")[0], seen.rule.source
    return not wanted or contains(wanted, base) or (
        "/" in source and contains(source, wanted.partition("/")[0]))


def _may_come_in(
    seen: SeenRule, source: str, routes: Iterable[SeenRoute], devices: Mapping[str, int]
) -> bool:
    """Whether packets of a source come in where a rule asks for them: main has it there."""
    if _INCOMING not in seen.selectors:
        return True
    base = source.partition("/")[0]
    return any((one.family, one.table) == (seen.family, MAIN_TABLE)
               and one.route.destination != "default"
               and one.route.device == devices.get(seen.rule.incoming)
               and contains(one.route.destination, base) for one in routes)


def _is_before(seen: SeenRule, path: Path) -> bool:
    ours = "further_default" if _INCOMING in seen.selectors else "source_default"
    return seen.rule.preference <= PREFERENCES[ours] + path.shift


def _is_at_odds(
    seen: SeenRule, before: bool, exits: frozenset[int], uplinks: frozenset[int]
) -> bool:
    elsewhere = bool(exits & uplinks)
    if _MARK in seen.selectors:
        return not before
    return elsewhere if before else not elsewhere


def _list_exits(seen: SeenRule, routes: Iterable[SeenRoute]) -> Iterator[int]:
    """The devices that a rule leads to, 0 where it refuses; none where its table is passed over."""
    if not seen.rule.table:
        yield 0
        return
    host = seen.rule.destination.partition("/")[0]
    for one in routes:
        if (one.family, one.table) == (seen.family, seen.rule.table) \
                and one.route.kind != "throw" and (
                one.route.destination == "default"
                or (host and contains(one.route.destination, host))):
            yield one.route.device if one.route.kind == "unicast" else 0
