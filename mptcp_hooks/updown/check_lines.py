# SPDX-License-Identifier: GPL-2.0-or-later
"""What people get wrong in ifupdown's files that no hook is told of. Pure but for one look."""

from __future__ import annotations

import os

from mptcp_hooks.base import address
from mptcp_hooks.base.errors import USAGE, Problem, shorten
from mptcp_hooks.base.text import find_like
from mptcp_hooks.base.value import TYPE_CHECKING
from mptcp_hooks.intent.event import split_list
from mptcp_hooks.intent.settings import OPTIONS
from mptcp_hooks.intent.stanza_lines import group_stanzas

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from mptcp_hooks.intent.event import Event
    from mptcp_hooks.intent.stanza_lines import StanzaLine

    Located = tuple[tuple[str, str], str]

# Of the managers that ifquery may be of, ifupdown2's alone has it.
_IFRELOAD = "/usr/sbin/ifreload"
_OWN_GATEWAY = "mptcp-gateway"
_COMMANDS = ("IF_PRE_UP", "IF_UP", "IF_POST_UP")


def judge_lines(
    lines: list[StanzaLine], names: Iterable[str], started: set[str]
) -> list[Problem]:
    """What is wrong with the lines of the interfaces `names`, beside those of all others.

    `started` are those that come up by themselves.
    """
    found = [*_list_second_defaults(lines, started), *_list_mistyped(lines)]
    if os.access(_IFRELOAD, os.X_OK):
        found += _list_unheard(lines)
    wanted = frozenset(names)
    return [Problem(f"{line.file}:{line.number}: {line.iface}: {text}", USAGE)
            for line, text in found if line.iface in wanted]


def judge_outside(
    event: Event, gateways: tuple[str, ...], environment: Mapping[str, str]
) -> Iterator[Located]:
    """Gateways that no subnet of a stanza has, by their options; one that it routes to is meant."""
    commands = "\n".join(environment.get(name, "") for name in _COMMANDS).split()
    for own in event.addresses:
        fitting = [one for one in gateways if address.family_of(one) == own.family]
        gateway = next(iter(fitting), own.gateway)
        subnet = address.network(own.address, own.length)
        if own.peer or not gateway or own.length == address.BITS[own.family] \
                or address.is_near(subnet, gateway) or gateway in commands:
            continue
        option = _OWN_GATEWAY if fitting else "gateway"
        yield (option, gateway), (
            f"{event.iface}: {option} {gateway} is outside {subnet}: if the link has it all the "
            f"same, say so by 'up ip route add {gateway} dev {event.device}'")


def _list_second_defaults(
    lines: list[StanzaLine], started: set[str]
) -> Iterator[tuple[StanzaLine, str]]:
    """A default route that main has already: of IPv4 ifup fails, of IPv6 the first one is lost."""
    first: dict[tuple[str, str], StanzaLine] = {}
    for stanza in group_stanzas(lines):
        said = {line.option: line for line in stanza}
        gateway, begin = said.get("gateway"), stanza[0]
        if gateway is None or begin.iface not in started:
            continue
        metric = said["metric"].value if "metric" in said else ""
        family = begin.value.partition(" ")[0]
        other = first.setdefault((family, metric), gateway)
        if other is not gateway:
            yield gateway, (
                f"gateway {shorten(gateway.value)} is a second default route besides "
                f"{other.iface}'s ({other.file}:{other.number}): ifup fails, or the first one is "
                f"replaced: write '{_OWN_GATEWAY} {shorten(gateway.value)}', or give it a 'metric'")


def _list_mistyped(lines: list[StanzaLine]) -> Iterator[tuple[StanzaLine, str]]:
    """Options that are nobody's, and nearly one of ours; of those that begin right hooks tell."""
    for line in lines:
        if line.option.startswith("m") and not line.option.startswith("mptcp"):
            like = find_like(shorten(line.option), OPTIONS)
            if like:
                yield line, f"no option is called {line.option}: did you mean {like}?"


def _list_unheard(lines: list[StanzaLine]) -> Iterator[tuple[StanzaLine, str]]:
    """Further gateways of an interface: ifupdown2 makes one of its stanzas, with the first."""
    first: dict[str, StanzaLine] = {}
    for line in lines:
        if line.option != _OWN_GATEWAY:
            continue
        other = first.setdefault(line.iface, line)
        if other is not line:
            both = " ".join((*split_list(other.value), *split_list(line.value)))
            yield line, (f"ifupdown2 tells of the first {_OWN_GATEWAY} of an interface alone: write"
                         f" '{_OWN_GATEWAY} {shorten(both)}' in {other.file}:{other.number}")
