# SPDX-License-Identifier: GPL-2.0-or-later
"""The rules beside main that lead what is bound to nothing, docs/failover.md."""

from __future__ import annotations

from tests.model.kernel import Rule, Snapshot
from tests.model.model import Model
from tests.model.way_out import Way, list_standing, list_ways
from tests.model.world import FAMILIES


def find_detours(model: Model, before: Snapshot, after: Snapshot) -> set[Rule]:
    """The rules that must be there; there may be no others of this kind.

    Of the ways that a monitor may have chosen it is noted which one it was. Those of a monitor
    that is gone stay, until the last path goes.
    """
    if any(told.paths for told in model.told) and not model.monitored:
        return {rule for family in FAMILIES for rule in list_standing(before, family)}
    for family in FAMILIES:
        ways = list_ways(model, family, after) if model.monitored else _list_left(model, family)
        standing = list_standing(after, family)
        fitting = [way for way in ways if way.write(family) == standing]
        model.ways[family] = (fitting or ways)[0]
    return {rule for family, way in model.ways.items() for rule in way.write(family)}


def _list_left(model: Model, family: int) -> list[Way]:
    """What there may be without a monitor, and without a path.

    Whoever takes the last path away takes all of it. What outlived that, as a monitor ran, goes
    once somebody has something to do.
    """
    return [Way(), *[model.ways[family]] * model.bare]
