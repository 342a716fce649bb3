# SPDX-License-Identifier: GPL-2.0-or-later
"""Runs, replays and shrinks."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from random import Random
from typing import NamedTuple

from tests.model.comparison import Difference
from tests.model.generator import choose_step
from tests.model.machine import Machine
from tests.model.namespace import Installation, Namespace
from tests.model.player import Player
from tests.model.steps import Step
from tests.model.world import DEVICES

# How often a sequence with a kill or a race in it is tried, since those are matters of time.
_TRIES = 3
_MATTERS_OF_TIME = ("kill", "race", "together", "monitor")


class Violation(NamedTuple):
    """What was wrong after the last of `steps`, and what the machine said of it."""

    steps: tuple[Step, ...]
    differences: tuple[Difference, ...]
    said: str

    def resembles(self, other: Violation) -> bool:
        """Whether this may be the same error, which shrinking must not lose."""
        return bool(_kinds(self) & _kinds(other))


def _kinds(violation: Violation) -> set[tuple[str, str]]:
    return {(one.way, one.kind) for one in violation.differences}


@contextmanager
def _fresh(installation: Installation) -> Iterator[tuple[Machine, Player]]:
    namespace = Namespace(installation)
    try:
        machine = Machine(namespace)
        yield machine, Player(machine)
    finally:
        namespace.close()


def run(
    installation: Installation, seed: int, count: int,
    tell: Callable[[int, Step], None] = lambda number, step: None,
) -> Violation | None:
    """Do `count` steps that a seed chooses, on one namespace; the first violation ends it."""
    random = Random(seed)
    done: list[Step] = []
    with _fresh(installation) as (machine, player):
        for number in range(1, count + 1):
            step = choose_step(random, player)
            tell(number, step)
            done.append(step)
            if differences := player.play(step):
                return _describe(machine, done, differences)
    return None


def replay(
    installation: Installation, steps: tuple[Step, ...],
    tell: Callable[[int, Step], None] = lambda number, step: None,
) -> Violation | None:
    """Do these steps on a fresh namespace; the first violation ends it."""
    with _fresh(installation) as (machine, player):
        for number, step in enumerate(steps, start=1):
            tell(number, step)
            if differences := player.play(step):
                return _describe(machine, list(steps[:number]), differences)
    return None


def _describe(machine: Machine, done: list[Step], differences: list[Difference]) -> Violation:
    return Violation(tuple(done), tuple(differences), "".join([*machine.said, machine.read_log()]))


def shrink(installation: Installation, violation: Violation) -> Violation:
    """A shorter way to the same violation: delta debugging, a fresh namespace for each try."""
    for shorter in _guess(violation.steps):
        found = _try(installation, shorter)
        if found and found.resembles(violation):
            violation = found
            break
    return minimise(violation, lambda steps: _try(installation, steps))


def _guess(steps: tuple[Step, ...]) -> Iterator[tuple[Step, ...]]:
    """What is likely to be enough: the last steps that are about the device of the last one."""
    named = [device for device in DEVICES if device in str(steps[-1])]
    about = tuple(step for step in steps if step.kind == "configure"
                  or any(device in str(step) for device in named)) if named else steps
    for count in (4, 8, 16):
        yield from (some[-count:] for some in (about, steps) if len(some) > count)
    yield about


def _try(installation: Installation, steps: tuple[Step, ...]) -> Violation | None:
    timed = any(step.kind in _MATTERS_OF_TIME for step in steps)
    for _ in range(_TRIES if timed else 1):
        if found := replay(installation, steps):
            return found
    return None


def minimise(
    violation: Violation, attempt: Callable[[tuple[Step, ...]], Violation | None]
) -> Violation:
    """Leave out ever smaller pieces of the steps, as long as what is left does the same."""
    size = len(violation.steps) // 2
    while size:
        shorter = _leave_out(violation, size, attempt)
        size = size // 2 if shorter == violation else min(size, len(shorter.steps) // 2)
        violation = shorter
    return violation


def _leave_out(
    violation: Violation, size: int, attempt: Callable[[tuple[Step, ...]], Violation | None]
) -> Violation:
    # From the end: what came long before has the least to do with it, but is needed by more.
    for start in range(len(violation.steps) - 1 - size, -size, -size):
        rest = violation.steps[:max(start, 0)] + violation.steps[start + size:]
        found = attempt(rest) if rest else None
        if found and found.resembles(violation):
            violation = found
    return violation
