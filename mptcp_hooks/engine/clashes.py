# SPDX-License-Identifier: GPL-2.0-or-later
"""Whether what belongs to one uplink is another one's as well. Pure.

A machine where nothing belongs to an uplink but its address does not load this module.
"""

from __future__ import annotations

from mptcp_hooks.base import address
from mptcp_hooks.base.errors import wrong_value
from mptcp_hooks.base.mark import are_mixed, parse_mark
from mptcp_hooks.base.value import TYPE_CHECKING
from mptcp_hooks.intent.belongings import ANNOUNCE, MARK, SOURCES, tell_own

if TYPE_CHECKING:
    from collections.abc import Container, Iterable, Iterator

    from mptcp_hooks.base.errors import Problem
    from mptcp_hooks.base.model import Path


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
