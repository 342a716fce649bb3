# SPDX-License-Identifier: GPL-2.0-or-later
"""Where new connections that are bound to nothing shall leave, and whether main sees to it. Pure.

main belongs to whoever configures the interfaces: it may lead to an uplink that is out for as
long as it likes. While it does, they are led to the best one that is alive.
"""

from __future__ import annotations

from mptcp_hooks.base.value import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterable

    from mptcp_hooks.base.model import Path, Route

# What a path has that main does not lead to.
_LAST = (1 << 32, 0)


class Uplinks(NamedTuple):
    """What is known of the uplinks of one family.

    `paths` are those on record that are the first of their devices and have a default route;
    `alive` are addresses, `fresh` those of them that were out some seconds ago. `tunnels` are
    the ifindexes of what leads to one peer and is no path of ours.
    """

    paths: tuple[Path, ...]
    alive: frozenset[str]
    fresh: frozenset[str]
    tunnels: frozenset[int]


def choose_table(
    uplinks: Uplinks, defaults: Iterable[Route], recorded: int | None
) -> int | None:
    """The table that new connections leave by; None where main decides, 0 for no way at all.

    `defaults` are main's default routes, `recorded` is what was chosen before. Where a tunnel has
    the default, what it keeps private must not leave in clear when both are gone: there is no
    other way out then, until main has a default again; nor for an uplink that comes meanwhile.
    """
    known = list(defaults)
    best = find_leading_devices(known)
    ways = _list_ways(uplinks, known)
    if best & uplinks.tunnels or (not best and recorded == 0):
        guarded = recorded == 0 and not uplinks.paths
        return 0 if guarded or any(path.way_out for path in uplinks.paths) else None
    if best - {path.ifindex for path in uplinks.paths}:
        return None
    leading = list_leading(uplinks, known)
    settled = uplinks.alive - uplinks.fresh
    if all(path.address in settled for path in leading) or not ways or ways[:1] == leading:
        return None
    return ways[0].table


def list_leading(uplinks: Uplinks, defaults: Iterable[Route]) -> list[Path]:
    """The paths that new connections leave by without us, those that are out first."""
    best = find_leading_devices(defaults)
    leading = [path for path in uplinks.paths if path.ifindex in best] or [
        path for path in uplinks.paths if path.way_out and not best]
    return sorted(leading, key=lambda path: path.address in uplinks.alive - uplinks.fresh)


def find_leading_devices(defaults: Iterable[Route]) -> set[int]:
    """The devices that main's first default leads to."""
    known = list(defaults)
    least = min((route.order for route in known), default=(0, 0))
    return {route.device for route in known if route.order == least}


def _list_ways(uplinks: Uplinks, defaults: list[Route]) -> list[Path]:
    """The ways out that are alive, the best one first."""
    orders: dict[int, tuple[int, int]] = {}
    for route in defaults:
        orders[route.device] = min(route.order, orders.get(route.device, _LAST))
    return sorted(
        (path for path in uplinks.paths if path.way_out and path.address in uplinks.alive),
        key=lambda path: (path.address in uplinks.fresh, orders.get(path.ifindex, _LAST),
                          "backup" in path.flags, path.ifindex))
