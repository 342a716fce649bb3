"""Small files, whatever is in the place where they should be."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from mptcp_hooks.base.textfile import read_text


@pytest.mark.parametrize("content", [b"", b"1\n", b"a\0b", b"caf\xc3\xa9", b"\xff\xfe no text"])
def test_a_text_comes_out_as_it_went_in(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "file").write_bytes(content)
    text = read_text(str(tmp_path / "file"))
    assert text.encode("utf-8", "surrogateescape") == content


@pytest.mark.parametrize("name", ["nothing", ".", "file/below", "../nowhere/file"])
def test_what_cannot_be_read_is_empty(tmp_path: Path, name: str) -> None:
    (tmp_path / "file").write_text("text")
    assert read_text(f"{tmp_path}/{name}") == ""


def test_a_process_that_is_not_there_has_empty_files() -> None:
    assert read_text("/proc/0/environ") == ""
    assert read_text(f"/proc/{os.getpid()}/comm") != ""
