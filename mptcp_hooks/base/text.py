# SPDX-License-Identifier: GPL-2.0-or-later
"""Numbers and tables as people read them."""

from __future__ import annotations

from mptcp_hooks.base.errors import shorten
from mptcp_hooks.base.value import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Container, Iterable, Sequence


# Of 64 bits, as the kernel counts.
_DIGITS_AT_MOST = 20
_UNITS = ("kB", "MB", "GB", "TB", "PB", "EB")
# How like two words must be: `exlude` is 0.92 like `exclude`, `mptcp` 0.56 like `mptcp-gateway`.
_LIKE = 0.8


def read_number(text: str) -> int | None:
    """A number as the kernel prints it; None for anything else, thousands of digits among it."""
    digits = text.isascii() and text.isdecimal() and len(text) <= _DIGITS_AT_MOST
    return int(text) if digits else None


def find_like(word: str, known: Iterable[str]) -> str:
    """The word that was meant by one that is nearly the same, '' where none is."""
    # It loads `re`: nobody needs it but for what is wrong.
    from difflib import get_close_matches

    return next(iter(get_close_matches(word, list(known), 1, _LIKE)), "")


def suggest(word: str, known: Iterable[str]) -> str:
    """` (did you mean X?)`, or ` (there are X, Y)` where the word is like none of them."""
    names = list(known)
    like = find_like(shorten(word), names)
    return f" (did you mean {like}?)" if like else f" (there are {', '.join(names)})"


def count(number: int, noun: str) -> str:
    """`1 subflow`, `2 subflows`."""
    return f"{number} {noun}{'s' * (number != 1)}"


def format_bytes(number: int) -> str:
    """`999 B`, `5.4 MB`: three digits and a unit of a thousand."""
    if number < 1000:
        return f"{number} B"
    size, unit = float(number), ""
    for unit in _UNITS:
        size /= 1000
        # From here on it is rounded to 1000 of this unit, or more.
        if size < 999.5:
            break
    return f"{size:.{1 if size < 99.95 else 0}f} {unit}"


def align(rows: Iterable[Sequence[str]], right: Container[int] = ()) -> list[list[str]]:
    """The cells of a table, each padded to the width of its column.

    The cells of the columns `right` stand at the right, as numbers do; all others at the left.
    """
    table = list(rows)
    widths = [max(map(len, column)) for column in zip(*table)]
    return [[cell.rjust(width) if column in right else cell.ljust(width)
             for column, (cell, width) in enumerate(zip(row, widths))] for row in table]


def describe_span(seconds: float) -> str:
    """A span of time as a person would say it: in its largest unit."""
    for length, unit in ((86400, "d"), (3600, "h"), (60, "min")):
        # Below two of them the next smaller unit says more.
        if seconds >= 2 * length:
            return f"{seconds / length:.0f} {unit}"
    return f"{seconds:.1f} s" if seconds < 10 else f"{seconds:.0f} s"
