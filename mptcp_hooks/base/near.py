"""What a word that nobody knows may have been meant to be."""

from __future__ import annotations

from mptcp_hooks.base.value import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

# No word that people write here is longer; each letter costs a row of numbers.
_LONGEST = 40


def find_near(word: str, known: Iterable[str]) -> str:
    """The known word that is nearest, '' where none is near: one slip in three letters may be."""
    near = [(count_slips(word, one), one) for one in known
            if word != one and max(len(word), len(one)) <= _LONGEST]
    slips, found = min(near, default=(1, ""))
    return found if 3 * slips <= min(len(word), len(found)) else ""


def ask_meant(word: str, known: Iterable[str]) -> str:
    """`did you mean WORD? `, '' where no known word is near."""
    found = find_near(word, known)
    return f"did you mean {found}? " if found else ""


def count_slips(one: str, other: str) -> int:
    """How many letters are missing, too many, wrong, or two that changed places."""
    before: list[int] = []
    row = list(range(len(other) + 1))
    for number, letter in enumerate(one, start=1):
        above, before, row = before, row, [number]
        for column, wanted in enumerate(other, start=1):
            slips = min(row[-1] + 1, before[column] + 1, before[column - 1] + (letter != wanted))
            if above and column > 1 and (letter, one[number - 2]) == (other[column - 2], wanted):
                slips = min(slips, above[column - 2] + 1)
            row.append(slips)
    return row[-1]
