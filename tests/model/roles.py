# SPDX-License-Identifier: GPL-2.0-or-later
"""Which paths a monitor has as backups, docs/unequal.md: those of uplinks it remembers as weak.

What it measures is not tested here: nothing in the namespace carries so much.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, NamedTuple

from tests.model.comparison import Difference
from tests.model.health import Belief, State
from tests.model.kernel import Snapshot
from tests.model.things import Written
from tests.model.told import Told
from tests.model.way_out import judge, leads_out

if TYPE_CHECKING:
    from tests.model.model import Model


class Roles(NamedTuple):
    """The addresses whose endpoints must be backups by a monitor's word, and those that may."""

    must: frozenset[str] = frozenset()
    may: frozenset[str] = frozenset()


def compare_roles(roles: Roles, seen: Snapshot) -> list[Difference]:
    """Who is no backup and must be one, and who is one and must not."""
    return [Difference(way, "Role", address)
            for way, addresses in (("missing", roles.must - seen.roles),
                                   ("left over", seen.roles - roles.may))
            for address in sorted(addresses)]


def list_roles(model: Model, seen: Snapshot) -> Roles:
    """The roles that there are after a step; what a monitor left stays so far."""
    if not model.monitored:
        return Roles(may=model.roles)
    # Its first paths tell how an uplink is: its further addresses may answer without endpoints.
    others = [path for told in model.told if told.stanza.iface not in model.known_weak
              for path in told.paths.values() if leads_out(path)]
    weak = frozenset(_list_weak(model))
    if model.ending:
        return Roles(may=weak)
    # An alias of a weak uplink is no better one, but may be taken for one.
    better = [path for path in others if path.wish.device not in model.known_weak]
    if any(_is_alive(model, path, seen) for path in better):
        here = {one.address for one in seen.endpoints}
        return Roles(frozenset(_list_weak(model, with_gateway=True)) & here, weak)
    may_be = any(judge(model, path, seen) is not State.CUT for path in others)
    return Roles(may=weak if may_be else frozenset())


def _is_alive(model: Model, path: Written, seen: Snapshot) -> bool:
    """Whether a monitor takes a path for one that carries, for sure."""
    state = judge(model, path, seen)
    return state is State.WELL and Belief.OUT not in model.health.suppose(
        path.wish.address, state, model.now)


def _list_weak(model: Model, with_gateway: bool = False) -> Iterator[str]:
    """The addresses of paths that are to be backups while another uplink is alive.

    An uplink is known again by its gateway, and by none it may be what it was before. A path whose
    own flags make it a backup has no role: one that stands since its stanza is refused has those
    that the configuration had, even if that says nothing of flags by now.
    """
    for iface in model.known_weak:
        theirs = model.list_of(iface)
        paths = [path for told in theirs for path in told.paths.values()]
        if any(_has_flags(model, told) for told in theirs) or (
                with_gateway and not any(map(leads_out, paths))):
            continue
        for path in paths:
            own = any(endpoint.address == path.wish.address for endpoint in path.list_endpoints())
            if path.primary and own and "backup" not in path.wish.flags:
                yield path.wish.address


def _has_flags(model: Model, told: Told) -> bool:
    """Whether somebody has said what the endpoints of a stanza are: that is not overridden."""
    configuration = model.configuration
    return bool(told.stanza.flags or configuration.usual_flags
                or told.stanza.device in dict(configuration.flags))
