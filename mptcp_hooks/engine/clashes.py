"""Whether what belongs to one uplink is another one's as well. Pure.

A machine where nothing belongs to an uplink but its address does not load this module.
"""

from __future__ import annotations

from mptcp_hooks.base import address
from mptcp_hooks.base.errors import wrong_value
from mptcp_hooks.base.mark import are_mixed, parse_mark
from mptcp_hooks.base.value import TYPE_CHECKING
from mptcp_hooks.intent.belongings import ANNOUNCE, MARK, SOURCES

if TYPE_CHECKING:
    from collections.abc import Iterable

    from mptcp_hooks.base.model import Path


def refuse_clashes(path: Path, others: Iterable[Path]) -> None:
    """Raise Problem (USAGE) where one of the `others` has a path's mark, sources or names."""
    for other in others:
        if other.family == path.family and other.address != path.address:
            _refuse_clash(path, other)


def _refuse_clash(path: Path, other: Path) -> None:
    if path.mark and other.mark and are_mixed(parse_mark(path.mark), parse_mark(other.mark)):
        raise wrong_value(path.iface, MARK, path.mark, "another number than that of "
                          f"{other.iface} ({other.mark}) with the same mask, or a mask that has no "
                          "bit of its mask")
    for subnet in path.sources:
        if any(_overlap(subnet, theirs) for theirs in other.sources):
            raise wrong_value(path.iface, SOURCES, subnet, f"of one uplink, and {other.iface} has "
                              f"{' '.join(other.sources)}")
    for announced in path.announced:
        if announced in other.announced:
            raise wrong_value(path.iface, ANNOUNCE, announced, "announced by one interface, and "
                              f"{other.iface} does it already")


def _overlap(one: str, other: str) -> bool:
    return address.contains(one, other.partition("/")[0]) or address.contains(
        other, one.partition("/")[0])
