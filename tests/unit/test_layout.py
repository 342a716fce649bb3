# SPDX-License-Identifier: GPL-2.0-or-later
"""Texts and tables that fit a screen."""

from __future__ import annotations

import re

import pytest

from mptcp_hooks.status.layout import Cell, Column, cut, lay_out, measure, wrap, wrap_text

RED = "\x1b[31mred\x1b[0m"


@pytest.mark.parametrize(("width", "lines"), [
    (None, ["note: one two three"]), (19, ["note: one two three"]),
    (18, ["note: one two", "      three"]), (12, ["note: one", "      two", "      three"]),
    (1, ["note:", "      one", "      two", "      three"]),
])
def test_what_goes_on_is_indented(width: int | None, lines: list[str]) -> None:
    assert wrap_text("note: one two three", width, 6) == lines


def test_a_colour_takes_no_room_and_a_word_may_have_a_space() -> None:
    assert measure(RED) == 3
    assert wrap([RED, "a b", "c"], 9) == [f"{RED} a b c"]
    assert wrap([RED, "a b", "c"], 8) == [f"{RED} a b", "c"]


@pytest.mark.parametrize(("width", "text"), [
    (None, f"a {RED} b"), (7, f"a {RED} b"), (6, "a \x1b[31mred\x1b[0m~"),
    (5, "a \x1b[31mre~\x1b[0m"), (3, "a \x1b[31m~\x1b[0m"), (1, "~\x1b[31m\x1b[0m"),
])
def test_what_is_cut_is_seen_to_be_and_its_colour_ends(width: int | None, text: str) -> None:
    assert cut(f"a {RED} b", width, "~") == text
    assert measure(text) <= (width or 7)


COLUMNS = [
    Column((Cell("NAME"), Cell("eth0"))),
    Column((Cell("ADDRESS"), Cell("fd00:1:2:3:4::5/64")), may_be_cut=True),
    Column((Cell("RATE"), Cell("5")), rank=1, right=True),
    Column((Cell(""), Cell("")), rank=9),
    Column((Cell("TABLE"), Cell("20002")), rank=2),
]


@pytest.mark.parametrize(("width", "rows"), [
    (None, ["NAME  ADDRESS             RATE  TABLE", "eth0  fd00:1:2:3:4::5/64     5  20002"]),
    (37, ["NAME  ADDRESS             RATE  TABLE", "eth0  fd00:1:2:3:4::5/64     5  20002"]),
    (36, ["NAME  ADDRESS             RATE", "eth0  fd00:1:2:3:4::5/64     5"]),
    (29, ["NAME  ADDRESS", "eth0  fd00:1:2:3:4::5/64"]),
    (20, ["NAME  ADDRESS", "eth0  fd00:1:2:3:4:~"]),
    (12, ["NAME  ADDRE~", "eth0  fd00:~"]),
])
def test_columns_go_by_their_rank_and_then_addresses_are_cut(
    width: int | None, rows: list[str]
) -> None:
    assert lay_out(COLUMNS, width, "~") == rows


def test_a_row_has_no_blanks_at_its_end_and_colours_do_not_move_it() -> None:
    def dress(text: str) -> str:
        return f"\x1b[1m{text}\x1b[0m"

    rows = lay_out([Column((Cell("a", dress), Cell("long", dress))),
                    Column((Cell("x"), Cell("")))], None, "~")
    assert [re.sub(r"\x1b\[\d+m", "", row) for row in rows] == ["a     x", "long"]
    assert rows[0] == "\x1b[1ma\x1b[0m     x"
