# SPDX-License-Identifier: GPL-2.0-or-later
"""Whether what belongs to one uplink is another one's as well. Pure.

A machine where nothing belongs to an uplink but its address does not load this module.
"""

from __future__ import annotations

from mptcp_hooks.base import address
from mptcp_hooks.base.errors import Problem, wrong_value
from mptcp_hooks.base.mark import are_mixed, parse_mark
from mptcp_hooks.base.value import TYPE_CHECKING
from mptcp_hooks.intent.belongings import ANNOUNCE, MARK, SOURCES, tell_own
from mptcp_hooks.intent.settings import Belongings

if TYPE_CHECKING:
    from collections.abc import Container, Iterable, Iterator

    from mptcp_hooks.base.model import Path
    from mptcp_hooks.intent.event import Event
    from mptcp_hooks.intent.settings import Settings


def find_clashes(path: Path, others: Iterable[Path]) -> Iterator[tuple[str, Problem]]:
    """What of a path's mark and sources others have as well: the option's name, and the Problem."""
    for other in others:
        if other.family == path.family and (
                other.device, other.address) != (path.device, path.address):
            if path.mark and other.mark and are_mixed(
                    parse_mark(path.mark), parse_mark(other.mark)):
                yield MARK, wrong_value(path.iface, MARK, path.mark, "another number than that of "
                                        f"{other.iface} ({other.mark}) with the same mask, or a "
                                        "mask that has no bit of its mask")
            yield from ((SOURCES, wrong_value(
                path.iface, SOURCES, subnet, f"of one uplink, and {other.iface} has "
                f"{' '.join(other.sources)}"))
                for subnet in path.sources if _overlaps_any(subnet, other.sources))


def find_contested(settings: Settings, event: Event, other: Path) -> Belongings:
    """What another path has of that which an event's settings give to its paths."""
    own = settings.own
    # Of one device's paths the first has that, whichever it is.
    usual = settings.usual if other.device != event.device else Belongings()
    mark = own.mark or usual.mark
    mixed = mark and other.mark and other.family in event.families and are_mixed(
        parse_mark(mark), parse_mark(other.mark))
    return Belongings(
        mark if mixed else "",
        tuple(one for one in (*own.sources, *usual.sources) if _overlaps_any(one, other.sources)),
        tuple(one for one in (*own.announced, *usual.announced) if one in other.announced))


def find_waiting(settings: Settings, event: Event, other: Path, kept: Path) -> Belongings:
    """As find_contested, less what the other path keeps when it is as it is to be (`kept`)."""
    return _subtract(find_contested(settings, event, other),
                     find_contested(settings, event, kept))


def leave_out(settings: Settings, waiting: Belongings) -> Settings:
    """The settings without what has to wait."""
    return settings._replace(own=_subtract(settings.own, waiting),
                             usual=_subtract(settings.usual, waiting))


def tell_waiting(iface: str, waiting: Belongings, holder: str) -> Problem:
    """The Problem of what another interface is to give up, and has not yet."""
    said = " ".join(f"{option} {text}" for option, text in (
        (MARK, waiting.mark), (SOURCES, " ".join(waiting.sources)),
        (ANNOUNCE, " ".join(waiting.announced))) if text)
    return Problem(f"{iface}: not yet with {said}: {holder} still has it, and something else is "
                   "written for that by now: run 'mptcp_up --all'")


def _subtract(one: Belongings, other: Belongings) -> Belongings:
    return Belongings(
        "" if one.mark == other.mark else one.mark,
        tuple(source for source in one.sources if source not in other.sources),
        tuple(own for own in one.announced if own not in other.announced))


def find_announced(
    iface: str, announced: Iterable[str], own: Container[str], others: Iterable[Path]
) -> Iterator[tuple[str, Problem]]:
    """What this machine has itself (`own`), or announces already, of what it shall announce."""
    known = tuple(others)
    for one in announced:
        if one in own:
            yield ANNOUNCE, tell_own(iface, one)
        yield from ((ANNOUNCE, wrong_value(
            iface, ANNOUNCE, one, f"announced by one interface, and {other.iface} does it already"))
            for other in known if one in other.announced)


def _overlaps_any(subnet: str, others: Iterable[str]) -> bool:
    return any(address.contains(subnet, other.partition("/")[0])
               or address.contains(other, subnet.partition("/")[0]) for other in others)
