# SPDX-License-Identifier: GPL-2.0-or-later
"""Which paths are out, noted beside the record."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from mptcp_hooks.base.errors import Problem
from mptcp_hooks.engine import faults
from mptcp_hooks.engine.faults import (
    CHECK_FAILED,
    GATEWAY_SILENT,
    NO_CARRIER,
    SUSPECTED,
    Fault,
    load_faults,
    recall_faults,
    save_faults,
)

ALL = (Fault("192.0.2.2", NO_CARRIER, 1_700_000_000), Fault("198.51.100.2", CHECK_FAILED, 7),
       Fault("203.0.113.2", SUSPECTED, 1_700_000_009), Fault("2001:db8::2", GATEWAY_SILENT, 1))


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """What stands for the record's folder; there is none yet."""
    monkeypatch.setattr(faults, "RECORD", str(tmp_path / "record"))
    return tmp_path / "record"


def rewrite(folder: Path, old: str, new: str) -> None:
    file = folder / ".faults"
    text = file.read_text()
    assert old in text
    file.write_text(text.replace(old, new))


def test_they_are_noted_and_read_and_gone(folder: Path) -> None:
    assert load_faults() == () and not folder.exists()
    for some in (ALL, ALL[:1]):
        save_faults(some)
        assert load_faults() == recall_faults() == some
    lines = (folder / ".faults").read_text().splitlines()
    assert lines[2:] == ["192.0.2.2 1700000000 no carrier", "end"]
    save_faults(())
    assert load_faults() == () and not (folder / ".faults").exists()


def test_where_nothing_is_noted_nothing_is_touched(folder: Path) -> None:
    save_faults(())
    assert not folder.exists()


def test_what_one_that_is_gone_left_is_recalled_and_nobodys_word(folder: Path) -> None:
    """Also where its number is another process' by now."""
    save_faults(ALL)
    began = (folder / ".faults").read_text().splitlines()[1]
    rewrite(folder, began, f"{os.getpid()} 1")
    assert load_faults() == () and recall_faults() == ALL
    child = subprocess.Popen([sys.executable, "-c", ""])
    child.wait()
    rewrite(folder, f"{os.getpid()} 1", f"{child.pid} 1")
    assert load_faults() == () and recall_faults() == ALL


@pytest.mark.parametrize(("old", "new"), [
    ("no carrier", "no idea"), ("1700000000", "now"), ("192.0.2.2 ", "192.0.2 "),
    ("192.0.2.2 1700000000 ", ""), ("\nend\n", "\n")])
def test_what_makes_no_sense_says_nothing(folder: Path, old: str, new: str) -> None:
    save_faults(ALL)
    rewrite(folder, old, new)
    assert load_faults() == recall_faults() == ()


@pytest.mark.parametrize("writer", ["", "x 1", "1", "../1 1", "1 1 1"])
def test_a_writer_that_is_no_process_is_not_believed(folder: Path, writer: str) -> None:
    save_faults(ALL)
    rewrite(folder, (folder / ".faults").read_text().splitlines()[1] + "\n", f"{writer}\n")
    assert load_faults() == ()


def test_what_cannot_be_written_is_said(folder: Path) -> None:
    folder.mkdir()
    (folder / "..faults.new").mkdir()
    with pytest.raises(Problem, match="cannot write .*/.faults"):
        save_faults(ALL)
