# SPDX-License-Identifier: GPL-2.0-or-later
"""Whether new connections that are bound to nothing have a way, and by which uplink. Pure."""

from __future__ import annotations

from mptcp_hooks.base.numbering import DETOUR, MAIN_TABLE, PROTOCOL
from mptcp_hooks.base.value import TYPE_CHECKING, NamedTuple
from mptcp_hooks.status.health import is_out

if TYPE_CHECKING:
    from mptcp_hooks.status.survey import PathStatus, Survey


class Way(NamedTuple):
    """How new connections of a family leave where main leads them to an uplink that is out, or was.

    `leading` is that one, None where main has no default route at all. `taken` are the
    interfaces that they leave by instead, `left` those that they could. `barred` is whether they
    find no way since a tunnel had main's default.
    """

    family: int
    leading: PathStatus | None
    taken: tuple[str, ...]
    left: tuple[str, ...]
    barred: bool


def find_way(survey: Survey, family: int) -> Way | None:
    """How they leave; None where main sees to it, by whatever, or there is nothing of ours."""
    paths = [path for path in survey.paths if path.family == family and path.installed
             and path.installed.path.primary and path.installed.path.default]
    defaults = [seen.route for seen in survey.routes if (seen.family, seen.table) == (
        family, MAIN_TABLE) and seen.route.destination == "default"]
    least = min((route.order for route in defaults), default=(0, 0))
    best = {survey.name_of(route.device) for route in defaults if route.order == least}
    leading = [path for path in paths if path.device in best]
    if not paths or best - {path.device for path in leading}:
        return None
    out = [path for path in leading if is_out(path)]
    taken = _list_taken(survey, family, paths)
    if leading and not out and not taken:
        return None
    first = [*out, *leading]
    return Way(family, first[0] if first else None, taken, tuple(
        path.interface for path in paths if _may_leave(path) and not is_out(path)),
        not leading and bool(_list_tables(survey, family, DETOUR["no_way"])))


def _list_taken(survey: Survey, family: int, paths: list[PathStatus]) -> tuple[str, ...]:
    tables = _list_tables(survey, family, DETOUR["detour"])
    return tuple(path.interface for path in paths if path.table in tables)


def _list_tables(survey: Survey, family: int, preference: int) -> list[int]:
    """The tables of the monitor's own rules of a preference; unreachable has 0."""
    return [seen.rule.table for seen in survey.rules if seen.family == family
            and (seen.rule.preference, seen.rule.protocol) == (preference, PROTOCOL)]


def _may_leave(path: PathStatus) -> bool:
    return path.installed is not None and path.installed.path.way_out
