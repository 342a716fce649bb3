# SPDX-License-Identifier: GPL-2.0-or-later
"""Small files, whatever is in the place where they should be."""

from __future__ import annotations

import os
from contextlib import closing
from pathlib import Path

import pytest

from mptcp_hooks.base.folder import DAMAGED, open_folder
from mptcp_hooks.base.textfile import read_text


TERABYTE = 1 << 40


@pytest.mark.parametrize("content", [
    b"", b"1\n", b"a\0b", b"1\r\n2\r3", b"caf\xc3\xa9", b"\xff\xfe no text",
    pytest.param(b"x" * 200_000, id="long"),
])
def test_a_text_comes_out_as_it_went_in(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "file").write_bytes(content)
    text = read_text(str(tmp_path / "file"))
    assert text.encode("utf-8", "surrogateescape") == content


@pytest.mark.parametrize("name", ["nothing", ".", "file/below", "../nowhere/file"])
def test_what_cannot_be_read_is_empty(tmp_path: Path, name: str) -> None:
    (tmp_path / "file").write_text("text")
    assert read_text(f"{tmp_path}/{name}") == ""


def test_what_is_not_small_is_empty(tmp_path: Path) -> None:
    """A sparse file takes no room on the disk, and all of it where it is read."""
    (tmp_path / "file").write_text("text")
    os.truncate(tmp_path / "file", TERABYTE)
    assert read_text(f"{tmp_path}/file") == read_text("/dev/zero") == ""


def test_a_pipe_that_nobody_writes_to_is_not_waited_for(tmp_path: Path) -> None:
    path = f"{tmp_path}/pipe"
    os.mkfifo(path)
    assert read_text(path) == ""
    writer = os.open(path, os.O_RDWR)
    assert read_text(path) == ""
    os.close(writer)


def test_a_sparse_file_in_a_folder_of_ours_is_damaged(tmp_path: Path) -> None:
    with closing(open_folder(str(tmp_path), lock=True)) as folder:
        folder.write_lines("eth0.paths", ["a line"])
        os.truncate(tmp_path / "eth0.paths", TERABYTE)
        assert folder.read_lines("eth0.paths")[1] == DAMAGED


def test_a_process_that_is_not_there_has_empty_files() -> None:
    assert read_text("/proc/0/environ") == ""
    assert read_text(f"/proc/{os.getpid()}/comm") != ""
