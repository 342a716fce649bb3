# SPDX-License-Identifier: GPL-2.0-or-later
"""The kernel against what the model says of it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import NamedTuple

from tests.model.kernel import Endpoint, Snapshot, Thing, describe
from tests.model.outcome import Outcome


class Difference(NamedTuple):
    """One thing that is not as it must be: in what way, what kind of thing, which."""

    way: str
    kind: str
    text: str

    def __str__(self) -> str:
        return f"{self.way}: {self.text}"


def compare(outcome: Outcome, foreign: Iterable[Endpoint], after: Snapshot) -> list[Difference]:
    """What the kernel holds and must not, what it does not hold and must, and wrong limits."""
    others = frozenset(foreign)
    there = frozenset((*after.marked, *(after.endpoints - others)))
    return [
        *_list("missing", outcome.must - there),
        *_list("left over", there - outcome.may),
        *_list("taken from others", others - after.endpoints),
        *_compare_limits(outcome, after),
    ]


def compare_foreign(before: Snapshot, after: Snapshot) -> list[Difference]:
    """What a program of ours did to rules and routes of others."""
    return [*_list("taken from others", before.foreign - after.foreign),
            *_list("new and not ours", after.foreign - before.foreign)]


def _list(way: str, things: Iterable[Thing]) -> Iterator[Difference]:
    for thing in sorted(things, key=repr):
        yield Difference(way, type(thing).__name__, describe(thing))


def _compare_limits(outcome: Outcome, after: Snapshot) -> Iterator[Difference]:
    fitting = [low <= now <= high for low, now, high in zip(
        outcome.lowest, after.limits, outcome.highest)]
    if not all(fitting):
        yield Difference("wrong", "Limits", f"{after.limits}, not from {outcome.lowest} "
                                            f"to {outcome.highest}")
