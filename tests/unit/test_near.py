"""What a misspelt word may have been meant to be."""

from __future__ import annotations

import pytest

from mptcp_hooks.base.near import ask_meant, count_slips, find_near

KEYS = ("flags", "table", "gateway", "check", "check-interval", "mark")


@pytest.mark.parametrize(("one", "other", "slips"), [
    ("table", "table", 0), ("tabel", "table", 1), ("tables", "table", 1), ("tble", "table", 1),
    ("tible", "table", 1), ("eht1", "eth1", 1), ("ab", "ba", 1), ("", "abc", 3), ("abc", "", 3),
    ("kitten", "sitting", 3),
])
def test_slips(one: str, other: str, slips: int) -> None:
    assert count_slips(one, other) == count_slips(other, one) == slips


@pytest.mark.parametrize(("word", "meant"), [
    ("flag", "flags"), ("getaway", "gateway"), ("check-intervall", "check-interval"),
    ("chekc", "check"), ("marks", "mark"), ("mark", ""), ("metric", ""), ("dns", ""), ("", ""),
    ("g" * 100000, ""),
])
def test_the_nearest_word_is_named_where_it_is_near(word: str, meant: str) -> None:
    assert find_near(word, KEYS) == meant
    assert ask_meant(word, KEYS) == (f"did you mean {meant}? " if meant else "")
