# SPDX-License-Identifier: GPL-2.0-or-later
"""Where what is bound to nothing shall leave, docs/failover.md, by what a monitor may know."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import product
from typing import TYPE_CHECKING, NamedTuple

from tests.model.health import Belief, State
from tests.model.kernel import MAIN_TABLE, Default, Rule, Snapshot
from tests.model.things import Written
from tests.model.world import TUNNEL

if TYPE_CHECKING:
    from tests.model.model import Model

_BEFORE_MAIN, _BEHIND_MAIN = 32765, 32767
_LAST = float("inf")


class Way(NamedTuple):
    """By the table of a path, or nowhere once main has no answer; else as main leads."""

    path: Written | None = None
    barred: bool = False

    def write(self, family: int) -> frozenset[Rule]:
        """The rules beside main that make it so."""
        if self.barred:
            return frozenset((Rule(family, _BEHIND_MAIN, "", "", "", 0),))
        if self.path is None:
            return frozenset()
        return frozenset((Rule(family, _BEFORE_MAIN, "", "", "", MAIN_TABLE, 0),
                          Rule(family, _BEFORE_MAIN, "", "", "", self.path.table)))


def list_standing(seen: Snapshot, family: int) -> frozenset[Rule]:
    """The rules beside main that there are, but for those of paths."""
    return frozenset(thing for thing in seen.marked if isinstance(thing, Rule)
                     and thing.family == family
                     and thing.preference in (_BEFORE_MAIN, _BEHIND_MAIN))


def list_candidates(model: Model, family: int) -> list[Written]:
    """The paths that new connections may leave by: the first of each device that has a gateway."""
    return [path for told in model.told for path in told.paths.values()
            if leads_out(path) and path.wish.family == family]


def leads_out(path: Written) -> bool:
    """Whether a path is the first of its device, has a gateway, and its address to itself."""
    return bool(path.primary and path.wish.gateway and not path.wish.shared)


def find_best(seen: Snapshot, family: int) -> Default | None:
    """The default route that main leads by."""
    found = [one for one in seen.defaults if one.family == family]
    return min(found, key=lambda one: one.metric) if found else None


def judge(model: Model, path: Written, seen: Snapshot) -> State:
    """How a path is, whoever knows it."""
    device = path.wish.device
    if not seen.is_running(device) or path.wish.address in model.failing:
        return State.CUT
    return State.DEAF if device in model.deaf else State.WELL


def list_states(model: Model, seen: Snapshot) -> dict[str, State]:
    """How all are that a monitor judges, by their addresses.

    A further address of a device keeps its past where it becomes the first; of one that is shared
    nothing is known.
    """
    return {path.wish.address: _observe(model, path, seen)
            for told in model.told for path in told.paths.values() if not path.wish.shared}


def list_lost(model: Model, seen: Snapshot) -> dict[str, State]:
    """The paths that the step took away and that are out, as those of a device that is gone.

    What is taken away as it is out has been out, also where another device has its address then.
    """
    left = {(path.wish.device, address) for told in model.told
            for address, path in told.paths.items()}
    return {path.wish.address: State.CUT for path in model.stood
            if not path.wish.shared and (path.wish.device, path.wish.address) not in left
            and judge(model, path, seen) is State.CUT}


def _observe(model: Model, path: Written, seen: Snapshot) -> State:
    """How a path is, as `judge` says: of one that leads nothing out nobody asks the gateway."""
    state = judge(model, path, seen)
    if state is not State.DEAF or leads_out(path):
        return state
    return State.UNASKED if path.wish.gateway else State.WELL


def list_ways(model: Model, family: int, seen: Snapshot) -> list[Way]:
    """The ways out that a monitor may have made, given what it may know."""
    candidates = list_candidates(model, family)
    best = find_best(seen, family)
    barred = model.ways[family].barred
    if best.device == TUNNEL if best else barred:
        # What leads nowhere needs no bar, but keeps one for what comes; a monitor may have made
        # that for paths which it then took away.
        return [Way(barred=barred or bool(candidates)),
                *[Way(barred=True)] * (family in model.leading)]
    beliefs = [model.health.suppose(path.wish.address, judge(model, path, seen), model.now)
               for path in candidates]
    ranked = sorted(candidates, key=lambda path: _rank(path, family, seen))
    return list(dict.fromkeys(_choose(ranked, best, dict(zip(candidates, combination)))
                              for combination in product(*beliefs)))


def _rank(path: Written, family: int, seen: Snapshot) -> tuple[float, bool, int]:
    """By main's metric for the device, those with `backup` last, then by its number."""
    metrics = [one.metric for one in seen.defaults
               if (one.device, one.family) == (path.wish.device, family)]
    return min(metrics, default=_LAST), "backup" in path.wish.flags, path.wish.ifindex


def _choose(
    ranked: list[Written], best: Default | None, beliefs: Mapping[Written, Belief]
) -> Way:
    """The best that is alive, else the best that has just come back; main, where that leads so."""
    chosen = next((path for belief in (Belief.ALIVE, Belief.FRESH) for path in ranked
                   if beliefs[path] is belief), None)
    leading = [path for path in ranked if best is None or path.wish.device == best.device]
    # What main leads to is somebody else's, or it is the best, or there is nothing better.
    if not leading or chosen is None or [chosen] == leading:
        return Way()
    if best is None and all(belief is Belief.ALIVE for belief in beliefs.values()):
        return Way()
    return Way(chosen)
