# SPDX-License-Identifier: GPL-2.0-or-later
"""The path manager's limits: what our endpoints need, and what was before them."""

from __future__ import annotations

from mptcp_hooks.base.errors import Problem
from mptcp_hooks.base.line import is_mptcp
from mptcp_hooks.base.model import SIGNAL, Limits, LimitsRecord
from mptcp_hooks.base.numbering import ENDPOINTS_AT_MOST
from mptcp_hooks.base.value import TYPE_CHECKING
from mptcp_hooks.engine.commands import build_raise, build_restore
from mptcp_hooks.engine.work import UNCHANGED_LIMITS, LimitsChange

if TYPE_CHECKING:
    from collections.abc import Iterable

    from mptcp_hooks.base.model import PathManager
    from mptcp_hooks.engine.record import Store
    from mptcp_hooks.engine.work import Records

# With these a connection that begins opens no subflow and takes none, whatever endpoints there
# are; those that have some keep them (net/mptcp/pm.c).
NO_SUBFLOWS = Limits(0, 0)


def settle_limits(
    store: Store, manager: PathManager, records: Records, wanted: int | None = None
) -> tuple[LimitsChange, list[Problem]]:
    """The limits that our endpoints need once `records` stand, and what keeps them from it.

    `wanted` is what both are to be, 0 where nobody says; None leaves a raise as it is. With
    the last endpoint of ours, they are those before the first. While new connections keep to a
    tunnel they are 0, as far as endpoints open subflows: running ones keep those that they have.
    Where the record of the limits is damaged they stay as they are: paths come and go all the same.
    """
    try:
        recorded = store.load_limits()
        private = bool(store.load_tunnels()) and _keeps_to_tunnel(store, records) and any(
            one.flags != (SIGNAL,) for one in manager.endpoints or ())
        return _compare_limits(recorded, manager, records, wanted, private), []
    except Problem as problem:
        return UNCHANGED_LIMITS, [problem]


def _keeps_to_tunnel(store: Store, records: Records) -> bool:
    from mptcp_hooks.engine.kept_to import find_kept

    return bool(find_kept(store, records))


def raise_limits(current: Limits, endpoints: Iterable[tuple[str, ...]], wanted: int) -> Limits:
    """What the path manager's limits are raised to beside endpoints with these flags.

    They count what a peer opens as well as what its own endpoints open, and one connection
    shares them: so they are as high as can be, unless less is `wanted` (0 says nothing). A
    fullmesh endpoint multiplies with the peer's addresses and has all there are.
    """
    everything = not wanted or any("fullmesh" in one for one in endpoints)
    need = ENDPOINTS_AT_MOST if everything else wanted
    return Limits(max(current.subflows, need), max(current.add_addr_accepted, need))


def judge_wanted(wanted: int, manager: PathManager) -> tuple[str, ...]:
    """What is to be said where fewer subflows are `wanted` than endpoints could have."""
    # The first subflow of a connection does not count.
    number = len(manager.endpoints or ())
    if not wanted or wanted >= number - 1:
        return ()
    return (f"limits = {wanted} is fewer than {number} endpoints: not all of them are used by a "
            "connection",)


def restore_limits(current: Limits, raised: Limits, before: Limits) -> Limits:
    """The limits without our raise; one that somebody else set since then stays."""
    return Limits(*(old if now == ours else now
                    for now, ours, old in zip(current, raised, before)))


def list_restoring(recorded: LimitsRecord | None, current: Limits) -> tuple[str, ...]:
    """The lines that take our raise of the limits back, as far as nobody else set them since."""
    if recorded is None:
        return ()
    restored = restore_limits(current, recorded.raised, recorded.before)
    if restored == current:
        return ()
    kept = recorded.restore if restored == recorded.before else ()
    # Records did not always have them.
    return kept or build_restore(restored)


def _compare_limits(
    recorded: LimitsRecord | None, manager: PathManager, records: Records, wanted: int | None,
    private: bool,
) -> LimitsChange:
    owners = _list_owners(recorded, records)
    current = manager.limits
    if current is None or (recorded is None and not owners):
        return LimitsChange(recorded, recorded, (), (), wanted)
    before = restore_limits(current, recorded.raised, recorded.before) if recorded else current
    if not owners:
        return LimitsChange(recorded, None, (), list_restoring(recorded, current), wanted)
    needed = current if wanted is None else NO_SUBFLOWS if private else raise_limits(
        before, [one.flags for one in manager.endpoints or ()], wanted)
    if needed == current and recorded:
        return LimitsChange(recorded, recorded._replace(owners=owners), (), (), wanted)
    raising = build_raise(needed) if needed != current else ()
    restore = build_restore(before) if needed != before else ()
    return LimitsChange(
        recorded, LimitsRecord(before, needed, owners, restore), raising, (), wanted)


def _list_owners(recorded: LimitsRecord | None, records: Records) -> tuple[str, ...]:
    """Whose endpoints are ours, as `IFACE ADDRESS`, once `records` stand."""
    others = [owner for owner in (recorded.owners if recorded else ())
              if owner.partition(" ")[0] not in records]
    # What could not be undone may be routing alone.
    ours = [f"{iface} {address}" for iface, stanzas in records.items() for stanza in stanzas
            for one in stanza.paths if any(map(is_mptcp, one.down))
            for address in one.path.list_owned()]
    return tuple(sorted({*others, *ours}))
