# SPDX-License-Identifier: GPL-2.0-or-later
"""Makes texts and tables fit a screen: wraps at words, lets columns go, cuts what is left. Pure.

A width is in characters, and None where there is no edge, as in a file. Colours take no room.
"""

from __future__ import annotations

import re

from mptcp_hooks.base.value import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

# ECMA-48, select graphic rendition.
_COLOUR = re.compile(r"\x1b\[[0-9;]*m")
_GAP = "  "
# A cell that is cut keeps so much.
_CUT_TO = 8
_INDENT_AT_MOST = 8


def leave(text: str) -> str:
    """A text without colours."""
    return text


class Cell(NamedTuple):
    """A text in a table, and how it is coloured."""

    text: str
    dress: Callable[[str], str] = leave


class Column(NamedTuple):
    """A column with its cells from top to bottom.

    `right` is whether they stand at the right, as numbers do. Of columns that are more than fit,
    those with the largest `rank` go first, and those with 0 never; these are cut where nothing
    is left that could go, if they `may_be_cut`.
    """

    cells: tuple[Cell, ...]
    rank: int = 0
    right: bool = False
    may_be_cut: bool = False

    @property
    def width(self) -> int:
        """How many characters its longest cell has."""
        return max((len(cell.text) for cell in self.cells), default=0)


def measure(text: str) -> int:
    """How many characters of a coloured text are seen."""
    return len(_COLOUR.sub("", text))


def wrap(words: Iterable[str], width: int | None, indent: int = 0) -> list[str]:
    """The words in lines that fit, all but the first indented; a longer word has its own line.

    A word may be coloured, and have spaces in it.
    """
    lines, room = [""], width
    for word in words:
        longer = f"{lines[-1]} {word}" if lines[-1].strip() else lines[-1] + word
        if room is None or measure(longer) <= room or not lines[-1].strip():
            lines[-1] = longer
        else:
            lines.append(" " * min(indent, _INDENT_AT_MOST) + word)
    return lines


def wrap_text(text: str, width: int | None, indent: int = 0) -> list[str]:
    """An uncoloured text as `wrap` has it."""
    return wrap(text.split(), width, indent)


def cut(text: str, width: int | None, mark: str) -> str:
    """A coloured text, cut so that it fits; `mark` is what is seen of that."""
    if width is None or measure(text) <= width:
        return text
    pieces, room = list[str](), width - len(mark)
    for piece in re.split(f"({_COLOUR.pattern})", text):
        if _COLOUR.fullmatch(piece):
            # Behind the mark nothing is seen, and colours must end all the same.
            pieces.append(piece)
        elif room >= 0:
            pieces.append(piece[:room] + mark * (len(piece) > room))
            room = room - len(piece) if len(piece) <= room else -1
    return "".join(pieces)


def lay_out(columns: Sequence[Column], width: int | None, mark: str, gap: str = _GAP) -> list[str]:
    """The rows of a table that is as wide as fits: which columns go, and what is cut."""
    shown = _let_go(columns, width, len(gap))
    lack = _measure_row(shown, len(gap)) - width if width is not None else 0
    for number, column in enumerate(shown):
        if lack > 0 and column.may_be_cut:
            room = max(_CUT_TO, column.width - lack)
            lack -= max(0, column.width - room)
            shown[number] = _cut_column(column, room, mark)
    rows = zip(*(_pad(column) for column in shown))
    return [cut(gap.join(row).rstrip(), width, mark) for row in rows]


def _let_go(columns: Sequence[Column], width: int | None, gap: int) -> list[Column]:
    """The columns without those that do not fit; one in which nothing stands takes no room."""
    shown = [column for column in columns if column.width]
    while width is not None and _measure_row(shown, gap) > width:
        first = max(shown, key=lambda column: column.rank)
        if not first.rank:
            break
        shown.remove(first)
    return shown


def _measure_row(columns: Sequence[Column], gap: int) -> int:
    return sum(column.width for column in columns) + gap * (len(columns) - 1)


def _cut_column(column: Column, width: int, mark: str) -> Column:
    return column._replace(cells=tuple(
        cell._replace(text=cut(cell.text, width, mark)) for cell in column.cells))


def _pad(column: Column) -> list[str]:
    """Its cells in their colours; these have no width, so the padding stays as it is."""
    width = column.width
    return [_dress(cell, width, column.right) for cell in column.cells]


def _dress(cell: Cell, width: int, right: bool) -> str:
    padding = " " * (width - len(cell.text))
    dressed = cell.dress(cell.text)
    return padding + dressed if right else dressed + padding
