# SPDX-License-Identifier: GPL-2.0-or-later
"""Patterns of interface names, against the standard library's."""

from __future__ import annotations

from fnmatch import fnmatchcase
from itertools import product

import pytest

from mptcp_hooks.intent.pattern import fits, is_pattern


def test_patterns_fit_what_fnmatch_says() -> None:
    names = ("", "a", "b", "ab", "ba", "aab", "a-", "]", "!", "[a]")
    for length in range(1, 5):
        for letters in product("ab*?[]!-", repeat=length):
            pattern = "".join(letters)
            assert [fits(name, pattern) for name in names] == [
                fnmatchcase(name, pattern) for name in names], pattern


def test_a_pattern_of_many_stars_takes_no_time() -> None:
    assert not fits("a" * 15, "*a" * 2000 + "b")


@pytest.mark.parametrize("text, expected", [
    ("eth0", True), ("wwan[0-3]", True), ("e?h*", True), ("eth[!0]", True), ("eth0.100", True),
    ("eth[0", False), ("eth0]", False), ("eth[]", False), ("!eth0", False), ("eth0:1", False),
    ("a/b", False), ("eth0,", False), ("é", False),
])
def test_what_is_a_pattern(text: str, expected: bool) -> None:
    assert is_pattern(text) is expected
