# SPDX-License-Identifier: GPL-2.0-or-later
"""Numbers and tables as people read them."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as some

from mptcp_hooks.base.text import align, count, describe_span, read_number


@pytest.mark.parametrize(("number", "text"), [
    (0, "0 subflows"), (1, "1 subflow"), (2, "2 subflows"), (21, "21 subflows")])
def test_numbers_with_what_they_count(number: int, text: str) -> None:
    assert count(number, "subflow") == text


@pytest.mark.parametrize(("text", "number"), [
    ("0", 0), ("18446744073709551615", 2 ** 64 - 1), ("", None), ("-1", None), ("1e3", None),
    (" 1", None), ("1_0", None), ("\N{SUPERSCRIPT TWO}", None),
    ("\N{ARABIC-INDIC DIGIT TWO}", None), pytest.param("9" * 5000, None, id="5000 digits"),
])
def test_a_number_as_the_kernel_prints_it(text: str, number: int | None) -> None:
    assert read_number(text) == number


@pytest.mark.parametrize(("seconds", "text"), [
    (0.0, "0.0 s"), (0.04, "0.0 s"), (1.25, "1.2 s"), (9.9, "9.9 s"), (10.0, "10 s"),
    (119.0, "119 s"), (120.0, "2 min"), (7199.0, "120 min"), (7200.0, "2 h"),
    (172799.0, "48 h"), (172800.0, "2 d"), (864000.0, "10 d"),
])
def test_a_span_is_told_in_its_largest_unit(seconds: float, text: str) -> None:
    assert describe_span(seconds) == text


def test_columns_stand_to_the_left_and_numbers_to_the_right() -> None:
    assert align([("eth0", "5", "B"), ("wlan10", "1234", "")], right=(1,)) == [
        ["eth0  ", "   5", "B"], ["wlan10", "1234", " "]]


def test_no_rows_are_no_table() -> None:
    assert align([]) == []


@settings(deadline=None)
@given(some.integers(0, 4).flatmap(lambda width: some.lists(
    some.lists(some.text("ab", max_size=5), min_size=width, max_size=width))),
    some.sets(some.integers(0, 4)))
def test_every_column_is_as_wide_as_its_widest_cell(
    rows: list[list[str]], right: set[int]
) -> None:
    aligned = align(rows, right)
    assert [[cell.strip() for cell in row] for row in aligned] == rows
    for number, column in enumerate(zip(*aligned)):
        assert {len(cell) for cell in column} == {max(len(row[number]) for row in rows)}
        away = str.startswith if number in right else str.endswith
        assert all(cell == cell.strip() or away(cell, " ") for cell in column)
