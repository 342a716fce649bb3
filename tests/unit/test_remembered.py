# SPDX-License-Identifier: GPL-2.0-or-later
"""What was found of uplinks, kept over a boot."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as some

from mptcp_hooks.base.errors import Problem
from mptcp_hooks.engine import remembered
from mptcp_hooks.engine.remembered import (
    UPLINKS_AT_MOST,
    Remembered,
    load_uplinks,
    save_uplinks,
)

BOTH = (Remembered("eth0", ("10.1.1.1", "fe80::1"), 50_000_000, 20_000_000, ""),
        Remembered("ppp0", (), 2_000_000, 0, "carries 2 of 50 Mbit/s, 800 ms when loaded"))


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(remembered, "STATE", str(tmp_path / "state"))
    return tmp_path / "state"


def test_they_are_remembered_and_forgotten(folder: Path) -> None:
    assert load_uplinks() == ((), "") and not folder.exists()
    for uplinks in (BOTH, BOTH[1:]):
        save_uplinks(uplinks)
        assert load_uplinks() == (uplinks, "")
    save_uplinks(())
    assert load_uplinks() == ((), "") and not (folder / "uplinks").exists()


def test_of_too_many_the_last_are_remembered(folder: Path) -> None:
    many = tuple(BOTH[0]._replace(iface=f"enx{number:03}") for number in range(UPLINKS_AT_MOST + 1))
    save_uplinks(many)
    assert load_uplinks() == (many[1:], "")


def test_where_nothing_is_remembered_nothing_is_touched(folder: Path) -> None:
    save_uplinks(())
    assert not folder.exists()


@pytest.mark.parametrize("text", [
    "", "garbage", "mptcp-hooks 1\neth0 10.1.1.1 1 2\nend\n", "mptcp-hooks 1\neth0 - x 2 \nend\n",
    "mptcp-hooks 1\neth0 - -1 2 \nend\n", f"mptcp-hooks 1\neth0 - {10**14} 2 \nend\n",
    "mptcp-hooks 1\neth0 - 1 2 why\n", "mptcp-hooks 2\neth0 - 1 2 why\nend\n"])
def test_what_makes_no_sense_is_told_and_nothing_is_remembered(folder: Path, text: str) -> None:
    folder.mkdir()
    (folder / "uplinks").write_text(text)
    uplinks, fault = load_uplinks()
    assert uplinks == () and fault.endswith(": what uplinks carry is measured anew")


def test_a_folder_that_others_may_write_is_told(folder: Path) -> None:
    folder.mkdir()
    folder.chmod(0o777)
    assert load_uplinks()[0] == () and "not root's own" in load_uplinks()[1]
    with pytest.raises(Problem, match="not root's own"):
        save_uplinks(BOTH)


@given(some.text())
def test_no_line_is_an_error_but_a_value_error(text: str) -> None:
    try:
        remembered._decode(text)
    except ValueError:
        return
