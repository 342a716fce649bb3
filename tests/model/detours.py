"""Where new connections leave while main leads them nowhere, docs/architecture.md."""

from __future__ import annotations

from collections.abc import Iterator

from tests.model.kernel import MAIN_TABLE, Rule, Snapshot
from tests.model.model import Model
from tests.model.things import Written
from tests.model.world import FAMILIES

_DETOUR = 32765


def find_detours(model: Model, before: Snapshot, after: Snapshot) -> set[Rule]:
    """The rules directly before main that must be there; there may be no others.

    A path that has just come back does not count for some seconds, and a gateway that does not
    answer until it was asked: where that is what decides, it is read off the kernel.
    """
    paths = [path for told in model.told for path in told.paths.values()]
    if not model.monitored:
        # Those of a monitor that is gone stay, until the last path goes.
        return {rule for rule in _list_detours(before) if paths}
    return {rule for family in FAMILIES for rule in _find_of_family(model, family, after, [
        path for path in paths
        if path.primary and path.wish.gateway and path.wish.family == family])}


def _find_of_family(
    model: Model, family: int, after: Snapshot, paths: list[Written]
) -> Iterator[Rule]:
    best = sorted((one.metric, one.device) for one in after.defaults if one.family == family)
    leading = [path for path in paths if not best or path.wish.device == best[0][1]]
    ways = [path for path in paths if after.is_running(path.wish.device)]
    # Without a way it is main's to lead, and so it is where that is by nothing of ours.
    tables = {path.table for path in ways if leading and [path] != leading}
    found = {rule.table for rule in _list_detours(after)
             if rule.family == family and rule.table != MAIN_TABLE} & tables
    sure = [path for path in ways if path.wish.device not in model.deaf]
    if sure and not found and not all(after.is_running(path.wish.device) for path in leading):
        found = {path.table for path in sure if [path] != leading}
    for table in sorted(found)[:1]:
        yield Rule(family, _DETOUR, "", "", "", MAIN_TABLE, 0)
        yield Rule(family, _DETOUR, "", "", "", table)


def _list_detours(seen: Snapshot) -> Iterator[Rule]:
    return (thing for thing in seen.marked
            if isinstance(thing, Rule) and thing.preference == _DETOUR)
