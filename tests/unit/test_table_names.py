# SPDX-License-Identifier: GPL-2.0-or-later
"""The names that iproute2's files have for routing tables."""

from __future__ import annotations

from pathlib import Path

import pytest

from mptcp_hooks.base.errors import Problem
from mptcp_hooks.intent import table_names
from mptcp_hooks.intent.settings import read_table

TABLES = "#\n255\tlocal\n254 main\n0x1f9 hex # 505\n 7  lte\nx wrong\n-1 less\n8 two words\n"


@pytest.fixture(autouse=True)
def folders(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> tuple[Path, Path]:
    own, shipped = tmp_path / "etc", tmp_path / "usr"
    for folder in (own, shipped):
        (folder / "rt_tables.d").mkdir(parents=True)
    monkeypatch.setattr(table_names, "_FOLDERS", (str(own), str(shipped)))
    (own / "rt_tables").write_text(TABLES)
    return own, shipped


@pytest.mark.parametrize("name, number", [("hex", 505), (" lte ", 7), ("9", 9)])
def test_a_table_by_its_name(name: str, number: int) -> None:
    assert read_table("eth1", "mptcp-table", name) == number


@pytest.mark.parametrize("name", ["none", "wrong", "less", "two", "two words", "#", "", "lte#"])
def test_what_is_no_name_is_wrong(name: str) -> None:
    with pytest.raises(Problem, match="a number from 1 to 4294967295, or a name that rt_tables"):
        read_table("eth1", "mptcp-table", name)


def test_the_kernels_own_are_refused_by_their_names_too() -> None:
    with pytest.raises(Problem, match="254 is the kernel's main"):
        read_table("eth1", "mptcp-table", "main")


def test_a_folders_files_count_and_those_of_etc_first(folders: tuple[Path, Path]) -> None:
    own, shipped = folders
    (shipped / "rt_tables").write_text("8 lte\n9 wifi\n")
    (shipped / "rt_tables.d/more.conf").write_text("10 dsl\n")
    (own / "rt_tables.d/more.conf").write_text("11 wifi\n")
    (own / "rt_tables.d/other").write_text("12 fibre\n")
    assert [table_names.find_table(name) for name in ("lte", "wifi", "dsl", "fibre")] == [
        7, 11, 10, 0]
