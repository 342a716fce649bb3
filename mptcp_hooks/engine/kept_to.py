# SPDX-License-Identifier: GPL-2.0-or-later
"""Which of the tunnels on record new connections keep to.

A monitor notes by which tunnels new connections leave, whether or not there is an uplink: what runs
in one must not go on outside it as soon as an uplink comes. Few machines have any: hooks do not
load this module then.
"""

from __future__ import annotations

from mptcp_hooks.base.value import TYPE_CHECKING
from mptcp_hooks.engine.remake import list_paths

if TYPE_CHECKING:
    from collections.abc import Iterable

    from mptcp_hooks.base.model import Path, Tunnel
    from mptcp_hooks.engine.record import Store
    from mptcp_hooks.engine.work import Records

    # The family and the device of a path.
    Beside = tuple[int, str]


def find_kept(
    store: Store, records: Records | None = None, coming: Iterable[Beside] = ()
) -> tuple[Tunnel, ...]:
    """Those that are kept to once `records` stand beside what else is on record, and `coming`."""
    planned = records or {}
    others = [path for path in list_paths(store) if path.iface not in planned]
    paths = [one.path for stanzas in planned.values() for stanza in stanzas for one in stanza.paths]
    return choose_kept(store.load_tunnels(), [*list_beside([*others, *paths]), *coming])


def choose_kept(tunnels: Iterable[Tunnel], beside: Iterable[Beside]) -> tuple[Tunnel, ...]:
    """Those of a family in which an uplink has a path, and which are no uplinks themselves."""
    uplinks = set(beside)
    families = {family for family, _ in uplinks}
    return tuple(one for one in tunnels
                 if one.family in families and (one.family, one.device) not in uplinks)


def list_beside(paths: Iterable[Path]) -> list[Beside]:
    """What matters of paths."""
    return [(path.family, path.device) for path in paths]
