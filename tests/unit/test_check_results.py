# SPDX-License-Identifier: GPL-2.0-or-later
"""How checks stand, noted beside the record."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as some

from mptcp_hooks.base.errors import Problem
from mptcp_hooks.base.folder import open_unlocked
from mptcp_hooks.engine import checks
from mptcp_hooks.engine.checks import CheckResult, load_checks, save_checks

TWO = (CheckResult("192.0.2.2", True, 1_700_000_000, "gateway tcp:198.51.100.1:443"),
       CheckResult("2001:db8::2", False, 1_700_000_007, "gateway"))


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """What stands for the record's folder; there is none yet."""
    monkeypatch.setattr(checks, "RECORD", str(tmp_path / "record"))
    return tmp_path / "record"


def list_notes(folder: Path) -> list[str]:
    return [path.name for path in folder.iterdir() if path.name != ".lock"]


def test_they_are_noted_and_read_and_gone(folder: Path) -> None:
    assert load_checks() == () and not folder.exists()
    for some_of_them in (TWO, TWO[:1], TWO[1:]):
        save_checks(some_of_them)
        assert load_checks() == some_of_them
    assert list_notes(folder) == [".checks"]
    assert (folder / ".checks").read_text() == (
        "mptcp-hooks 1\n2001:db8::2 answers 1700000007 gateway\nend\n")
    save_checks(())
    assert load_checks() == () and list_notes(folder) == []


def test_where_nothing_is_noted_nothing_is_touched(folder: Path) -> None:
    save_checks(())
    assert not folder.exists()


def test_they_wait_for_nobody(folder: Path) -> None:
    """Somebody may have the lock of the record for a long time."""
    held = open_unlocked(str(folder))
    assert held.lock()
    save_checks(TWO)
    assert load_checks() == TWO
    held.close()


@pytest.mark.parametrize("line", [
    "", "192.0.2.2", "192.0.2.2 failed 1700000000", "192.0.2.2 failed x gateway",
    "192.0.2.2 dead 1700000000 gateway", "eth0 failed 1700000000 gateway", "nobody", "\0",
    "192.0.2.2 failed " + "9" * 5000 + " gateway", "192.0.2.2  failed 1 gateway"])
def test_what_makes_no_sense_is_nothing(folder: Path, line: str) -> None:
    save_checks(TWO)
    file = folder / ".checks"
    lines = file.read_text().split("\n")
    file.write_text("\n".join([lines[0], line, *lines[2:]]))
    assert load_checks() == ()


def test_what_is_cut_off_is_nothing(folder: Path) -> None:
    save_checks(TWO)
    whole = (folder / ".checks").read_bytes()
    for size in range(len(whole)):
        (folder / ".checks").write_bytes(whole[:size])
        assert load_checks() == ()


@given(noise=some.binary(max_size=80))
def test_noise_is_nothing(tmp_path_factory: pytest.TempPathFactory, noise: bytes) -> None:
    folder = tmp_path_factory.mktemp("record")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(checks, "RECORD", str(folder))
        save_checks(TWO)
        (folder / ".checks").write_bytes(noise)
        assert load_checks() == ()
        (folder / ".checks").write_bytes(b"mptcp-hooks 1\n" + noise + b"\nend\n")
        load_checks()


def test_a_folder_that_cannot_be_written_is_a_problem(folder: Path) -> None:
    folder.write_text("")
    with pytest.raises(Problem, match="is not a directory"):
        save_checks(TWO)
