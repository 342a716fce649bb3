# SPDX-License-Identifier: GPL-2.0-or-later
"""What the kernel had counted some time ago, and when that is noted."""

from __future__ import annotations

from pathlib import Path

import pytest

from mptcp_hooks.base.errors import Problem
from mptcp_hooks.engine import counted
from mptcp_hooks.engine.counted import Counted, load_counted, note_counted
from mptcp_hooks.monitor import history
from mptcp_hooks.monitor.history import History
from mptcp_hooks.status.counters import subtract

FIRST, SECOND, THIRD = (Counted(at, {"MPJoinSynTx": at // 100}) for at in (100, 2000, 4000))


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """What stands for the record's folder; there is none yet."""
    monkeypatch.setattr(counted, "RECORD", str(tmp_path / "record"))
    return tmp_path / "record"


def test_the_older_of_the_last_two_notes_is_read(folder: Path) -> None:
    assert load_counted() is None and not folder.exists()
    for one, oldest in ((FIRST, FIRST), (SECOND, FIRST), (THIRD, SECOND)):
        note_counted(one)
        assert load_counted() == oldest


def test_what_makes_no_sense_is_as_if_it_were_not_there(folder: Path) -> None:
    note_counted(FIRST)
    file = folder / ".counted"
    for text in ("mptcp-hooks 1\nx y=z\nend\n", "mptcp-hooks 1\n100 a=1\n", "mptcp-hooks 1\n\n"):
        file.write_text(text)
        assert load_counted() is None


@pytest.mark.parametrize("now, expected", [
    ({"a": 5, "b": 2}, {"a": 3, "b": 2}), ({"a": 1, "b": 2}, {"a": 1, "b": 2}), ({}, {})])
def test_what_was_counted_since(now: dict[str, int], expected: dict[str, int]) -> None:
    """A counter that went back is that of another machine, or boot."""
    assert subtract(now, {"a": 2}) == expected


def test_they_are_noted_at_once_and_each_half_hour(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(history, "time", lambda: 100.0)
    monkeypatch.setattr(history, "read_mptcp_counters", lambda: FIRST.counters)
    said: list[str] = []
    noted = History(said.append, 50.0)
    assert noted.wait(50.0) == 0.0
    noted.attend(50.0)
    assert load_counted() == FIRST and noted.wait(51.0) == 1799.0
    (folder / ".counted").unlink()
    noted.attend(1849.0)
    assert load_counted() is None
    noted.attend(1850.0)
    assert load_counted() == FIRST
    # One that is started again goes on with what is there.
    assert History(said.append, 60.0).wait(60.0) == 1800.0 and said == []


def test_what_cannot_be_noted_is_said(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(now: Counted) -> None:
        raise Problem("cannot write")

    monkeypatch.setattr(history, "note_counted", refuse)
    monkeypatch.setattr(history, "read_mptcp_counters", lambda: FIRST.counters)
    said: list[str] = []
    History(said.append, 50.0).attend(50.0)
    assert said == ["cannot write"]
