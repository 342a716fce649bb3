# SPDX-License-Identifier: GPL-2.0-or-later
"""Which endpoint gives its place to an uplink that has none, where all eight are taken. Pure.

The kernel has eight for all uplinks and families: one of each uplink is worth more than
a second one of some.
"""

from __future__ import annotations

from mptcp_hooks.base.address import is_unique_local
from mptcp_hooks.base.value import TYPE_CHECKING
from mptcp_hooks.engine.belongings import spare_one
from mptcp_hooks.engine.lifelines import find_lifelines

if TYPE_CHECKING:
    from collections.abc import Iterable

    from mptcp_hooks.base.model import Endpoint, Path
    from mptcp_hooks.engine.lifelines import Connections


def find_spare(
    paths: Iterable[Path], endpoints: tuple[Endpoint, ...], connections: Connections
) -> Path | None:
    """The path that can spare its endpoint the most; None where none can.

    It is of a device that keeps another one, and no connection has the last of its subflows
    there. Of these, it is of the device that has the most; a further address rather than the
    first one, a unique local one rather than a global one, IPv6 rather than IPv4.
    """
    known = tuple(paths)
    of_devices = list_devices(known, endpoints)
    spare = [path for path in known
             if 0 < _count_given(path, endpoints) < of_devices.count(path.ifindex)
             and not find_lifelines(connections, frozenset((path.address,)))]
    ranked = sorted(spare, key=lambda path: (
        of_devices.count(path.ifindex), not path.primary, is_unique_local(path.address),
        path.family, path.ifindex))
    return ranked[-1] if ranked else None


def list_devices(paths: Iterable[Path], endpoints: Iterable[Endpoint]) -> list[int]:
    """Which device each endpoint is for, by ifindex; 0 for none.

    What is announced has none of its own: it is for that of its path.
    """
    known = tuple(paths)
    return [next((path.ifindex for path in known if path.owns(one)), one.device)
            for one in endpoints]


def _count_given(path: Path, endpoints: tuple[Endpoint, ...]) -> int:
    """How many endpoints go where a path spares one: those of which one is missing go together."""
    left = spare_one(path, endpoints)
    return sum(path.owns(one) and not left.owns(one) for one in endpoints)
