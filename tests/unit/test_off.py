# SPDX-License-Identifier: GPL-2.0-or-later
"""What is noted beside the record while new connections do without Multipath TCP."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as some

from mptcp_hooks.base.errors import Problem
from mptcp_hooks.base.folder import open_unlocked
from mptcp_hooks.engine import off
from mptcp_hooks.engine.off import Off, load_off, save_off

HOUR = Off(1_700_000_000, 1_700_003_600)


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """What stands for the record's folder; there is none yet."""
    monkeypatch.setattr(off, "RECORD", str(tmp_path / "record"))
    return tmp_path / "record"


def list_notes(folder: Path) -> list[str]:
    return [path.name for path in folder.iterdir() if path.name != ".lock"]


def test_it_is_noted_and_read_and_gone(folder: Path) -> None:
    assert load_off() is None and not folder.exists()
    for one in (HOUR, Off(1, 2), Off(1, 2, ("eth0", "wlan0"))):
        save_off(one)
        assert load_off() == one
    assert [name[0] for name in list_notes(folder)] == ["."]
    save_off(None)
    assert load_off() is None and list_notes(folder) == []
    save_off(None)


def test_it_waits_for_nobody(folder: Path) -> None:
    """Somebody may have the lock of the record for a long time."""
    held = open_unlocked(str(folder))
    assert held.lock()
    save_off(HOUR)
    assert load_off() == HOUR
    held.close()


@pytest.mark.parametrize("lines", [
    "", "1", "x y", "1 2.5", "1 " + "9" * 5000, "- -", "\0", "since until"])
def test_what_makes_no_sense_is_none(folder: Path, lines: str) -> None:
    save_off(HOUR)
    (name,) = list_notes(folder)
    whole = (folder / name).read_text()
    (folder / name).write_text(whole.replace("1700000000 1700003600", lines))
    assert load_off() is None


def test_what_is_cut_off_is_none(folder: Path) -> None:
    save_off(HOUR)
    (name,) = list_notes(folder)
    whole = (folder / name).read_bytes()
    for size in range(len(whole)):
        (folder / name).write_bytes(whole[:size])
        assert load_off() is None


@given(noise=some.binary(max_size=80))
def test_noise_is_none(tmp_path_factory: pytest.TempPathFactory, noise: bytes) -> None:
    folder = tmp_path_factory.mktemp("record")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(off, "RECORD", str(folder))
        save_off(HOUR)
        (name,) = list_notes(folder)
        (folder / name).write_bytes(noise)
        assert load_off() is None


def test_a_folder_that_cannot_be_written_is_a_problem(folder: Path) -> None:
    folder.write_text("")
    with pytest.raises(Problem, match="is not a directory"):
        save_off(HOUR)
