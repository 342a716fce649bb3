# SPDX-License-Identifier: GPL-2.0-or-later
"""Which connections use and lack which paths, and which endpoints must not go. Pure.

An endpoint that goes takes its subflows along, those of every connection: where one of them
is the last that a connection has, it stands still until another joins, and is lost where its
peer lets none join.
"""

from __future__ import annotations

from mptcp_hooks.base.address import family_of, is_loopback
from mptcp_hooks.base.value import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from mptcp_hooks.base.model import Path
    from mptcp_hooks.machine.subflows import Subflow

    Connections = Mapping[int, list[Subflow]]

# Connections of which a look tells, at the most: a sample is as good.
TOLD_AT_MOST = 4096
# Longer than a retransmission takes on a link that is overfull, and shorter than three in a row.
_ANSWERED_WITHIN = 1.0


class Use(NamedTuple):
    """How running connections use one path that has an endpoint.

    `using` is how many have a subflow on it that carries. The others are tokens: `back` of
    those that had lost it and use it again, `joining` of those that are about to, `lost` of
    those that have not got it back, or whose subflow is stuck, and `lacking` of those that this
    end opened, that could use it, and never did.
    """

    iface: str
    address: str
    using: int
    back: tuple[int, ...]
    joining: tuple[int, ...]
    lost: tuple[int, ...]
    lacking: tuple[int, ...]


def group(subflows: Iterable[Subflow]) -> dict[int, list[Subflow]]:
    """The subflows of each connection, by its token; none of those within the machine."""
    found: dict[int, list[Subflow]] = {}
    for subflow in subflows:
        if not is_loopback(subflow.remote):
            found.setdefault(subflow.token, []).append(subflow)
    return found


def find_lifelines(connections: Connections, leaving: frozenset[str]) -> frozenset[str]:
    """Those of the `leaving` addresses on which a connection has the last of its subflows.

    One that does not carry now may do so later; it is all that the connection has.
    """
    useless = leaving | _find_dead(connections)
    return frozenset(
        one.local for subflows in connections.values()
        if not any(one.established and one.local not in useless for one in subflows)
        for one in subflows if one.local in leaving and one.established)


def _find_dead(connections: Connections) -> frozenset[str]:
    """The addresses over which subflows wait for answers, and none has got one lately.

    On a busy link single ones may wait for seconds; some of many are always answered.
    """
    subflows = [one for each in connections.values() for one in each if one.established]
    waiting = {one.local for one in subflows if one.retransmits > 1}
    answered = {one.local for one in subflows if one.silence < _ANSWERED_WITHIN}
    return frozenset(waiting - answered)


def measure_use(path: Path, connections: Connections, lost: Iterable[int] = ()) -> Use:
    """How connections use a path; `lost` are tokens of those that had lost it."""
    using = 0
    known = frozenset(lost)
    back: list[int] = []
    joining: list[int] = []
    still: list[int] = []
    lacking: list[int] = []
    for token, subflows in connections.items():
        here = [one for one in subflows if one.local == path.address]
        if any(one.carries for one in here):
            using += 1
            back += [token] * (token in known)
        elif any(not one.stuck for one in here):
            joining += [token] * (token in known)
        elif not _could_join(path, subflows):
            continue
        elif token in known or any(one.established for one in here):
            still.append(token)
        elif any(one.asked for one in subflows) and len(lacking) < TOLD_AT_MOST:
            lacking.append(token)
    return Use(path.iface, path.address, using, tuple(back), tuple(joining), tuple(still),
               tuple(lacking))


def _could_join(path: Path, subflows: list[Subflow]) -> bool:
    """Whether the path's endpoint would give a connection a subflow.

    The kernel opens subflows for connections that this end opened; for others it tells the
    peer of the address (ip-mptcp(8), `subflow` and `signal`), in any family.
    """
    if not any(one.carries for one in subflows):
        return False
    if not any(one.asked for one in subflows):
        return path.tells
    return path.flags != ("signal",) and path.family in {family_of(one.remote) for one in subflows}
