# SPDX-License-Identifier: GPL-2.0-or-later
"""The reader of ELF files: small ones of each kind, real ones, and hostile ones."""

from __future__ import annotations

import os
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as some

from mptcp_hooks.base.errors import Problem
from mptcp_hooks.force import elf
from mptcp_hooks.force.elf import BEFORE_INLINE, READ_AT_MOST, Elf, Go, read_elf
from tests.unit.elf_files import (
    AMD64, GLIBC, MAINFRAME, MUSL, PC, PROGRAM, RELOCATABLE, make_elf, make_go, make_old_go)

LONG = "go1.25.1 X:" + "a" * 200


def read(path: Path, content: bytes) -> Elf:
    (path / "it").write_bytes(content)
    return read_file(path / "it")


def read_file(path: Path) -> Elf:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        return read_elf(descriptor, "it")
    finally:
        os.close(descriptor)


@pytest.mark.parametrize(("content", "facts"), [
    (make_elf(), Elf(AMD64.answer(), GLIBC, None)),
    (make_elf(kind=PROGRAM), Elf(AMD64.answer(), GLIBC, None)),
    (make_elf(interpreter=MUSL), Elf(AMD64.answer(), MUSL, None)),
    (make_elf(interpreter=""), Elf(AMD64.answer(), "", None)),
    (make_elf(interpreter="", stripped=True), Elf(AMD64.answer(), "", None)),
    (make_elf(PC, "/lib/ld-linux.so.2"), Elf(PC.answer(), "/lib/ld-linux.so.2", None)),
    (make_elf(MAINFRAME, "/lib/ld64.so.1"), Elf(MAINFRAME.answer(), "/lib/ld64.so.1", None)),
    (make_elf(interpreter="", go=make_go("go1.24.4")),
     Elf(AMD64.answer(), "", Go("go1.24.4", (1, 24)))),
    (make_elf(go=make_go("go1.19.8")), Elf(AMD64.answer(), GLIBC, Go("go1.19.8", (1, 19)))),
    (make_elf(go=make_go(LONG)), Elf(AMD64.answer(), GLIBC, Go(LONG, (1, 25)))),
    (make_elf(PC, "", make_go("go1.22rc1")), Elf(PC.answer(), "", Go("go1.22rc1", (1, 22)))),
    (make_elf(MAINFRAME, "", make_go("go1.21.0", ">")),
     Elf(MAINFRAME.answer(), "", Go("go1.21.0", (1, 21)))),
    (make_elf(go=make_go("devel go1.26-0a1b2c Mon")),
     Elf(AMD64.answer(), GLIBC, Go("devel go1.26-0a1b2c Mon", (1, 26)))),
    (make_elf(go=make_go("devel +0a1b2c Mon")),
     Elf(AMD64.answer(), GLIBC, Go("devel +0a1b2c Mon", (0, 0)))),
    (make_elf(go=make_old_go()), Elf(AMD64.answer(), GLIBC, Go(BEFORE_INLINE, (0, 0)))),
    (make_elf(go=bytes(16) + make_go("go1.23.1")),
     Elf(AMD64.answer(), GLIBC, Go("go1.23.1", (1, 23)))),
    # Without its sections nothing tells that it is Go's.
    (make_elf(interpreter="", go=make_go("go1.24.4"), stripped=True),
     Elf(AMD64.answer(), "", None)),
])
def test_each_kind_of_file(tmp_path: Path, content: bytes, facts: Elf) -> None:
    assert read(tmp_path, content) == facts


def put(content: bytes, offset: int, piece: bytes) -> bytes:
    return content[:offset] + piece + content[offset + len(piece):]


@pytest.mark.parametrize(("content", "words"), [
    (b"", "its ELF header is not in the file"),
    (b"\x7fELF", "its ELF header is not in the file"),
    (make_elf()[:40], "its ELF header is not in the file"),
    (b"MZ" + bytes(98), "it is no ELF file that Linux knows"),
    (put(make_elf(), 4, b"\x03"), "it is no ELF file that Linux knows"),
    (make_elf(kind=RELOCATABLE), "it is an ELF file, but no program"),
    (make_elf()[:70], "its table of segments is not in the file"),
    (put(make_elf(), 54, b"\x01"), "its segments have a size of their own"),
    (put(make_elf(), 56, b"\0\0"), "0 segments are no program's"),
    (put(make_elf(), 56, b"\xff\xff"), "65535 segments are no program's"),
    (put(make_elf(), 32, b"\xff" * 8), "its table of segments cannot be read"),
    (put(make_elf(), 64 + 56 + 32, b"\xff\xff"), "its interpreter's name is too long to be true"),
    (put(make_elf(), 64 + 56 + 32, bytes(8)), "its interpreter's name is too long to be true"),
    (put(make_elf(), 58, b"\x01"), "its sections have a size of their own"),
    (put(make_elf(), 62, b"\x09"), "its sections have no names"),
    (put(make_elf(), 60, b"\xff\xff"), "its table of sections is too large to be true"),
    (put(make_elf(), 60, b"\x40\0"), "its table of sections is not in the file"),
    (make_elf(go=b"\xff Go build"), "its .go.buildinfo is not Go's"),
    (make_elf(go=bytes(64)), "its .go.buildinfo is not Go's"),
    (make_elf(go=make_go("go1.24.4")[:36]), "its Go version is not whole"),
    (make_elf(go=make_go("")[:32] + b"\xff" * 40), "its Go version is not whole"),
])
def test_damaged_files(tmp_path: Path, content: bytes, words: str) -> None:
    with pytest.raises(Problem, match=f"^it: {re.escape(words)}$"):
        read(tmp_path, content)


def test_a_section_count_that_the_header_has_no_room_for(tmp_path: Path) -> None:
    content = make_elf(go=make_go("go1.24.4"))
    first = int.from_bytes(content[40:48], "little")
    counted = put(put(content, 60, b"\0\0"), first + 32, b"\x04")
    assert counted != content
    assert read(tmp_path, counted).go == Go("go1.24.4", (1, 24))
    named = put(put(content, 62, b"\xff\xff"), first + 40, b"\x03")
    assert read(tmp_path, named).go == Go("go1.24.4", (1, 24))


def test_programs_of_this_machine_as_readelf_sees_them() -> None:
    programs = [path for path in sorted(Path("/usr/bin").iterdir())
                if path.is_file() and path.open("rb").read(4) == elf.ELFMAG][:300]
    assert len(programs) > 100
    told = subprocess.run(["readelf", "-lW", *programs], capture_output=True, text=True,
                          check=True).stdout
    seen = {}
    for part in re.split("^File: ", told, flags=re.MULTILINE)[1:]:
        found = re.search(r"program interpreter: (\S+)\]", part)
        seen[part.partition("\n")[0]] = found[1] if found else ""
    assert len(list(filter(None, seen.values()))) > 100
    assert {str(path): read_file(path).interpreter for path in programs} == seen


class _Watched:
    """Counts what is read, and lays an endless file behind the bytes that there are."""

    def __init__(self) -> None:
        self.total = 0

    def pread(self, descriptor: int, size: int, offset: int) -> bytes:
        piece = _PREAD(descriptor, size, offset)
        self.total += len(piece)
        return piece


_PREAD = os.pread
_VALID = [make_elf(), make_elf(PC, "/lib/ld-linux.so.2", make_go("go1.24.4")),
          make_elf(MAINFRAME, "", make_go("go1.20", ">")), make_elf(go=make_old_go())]


@some.composite
def hostile_files(draw: some.DrawFn) -> bytes:
    """A file of a good kind with some of its bytes changed, cut off, or followed by others."""
    content = bytearray(draw(some.sampled_from(_VALID)))
    for _ in range(draw(some.integers(0, 6))):
        at = draw(some.integers(0, len(content) - 1))
        piece = draw(some.sampled_from([b"\xff", b"\0", b"\xff\xff\xff\x7f", b"\xff" * 8, b"\x80"])
                     | some.binary(min_size=1, max_size=8))
        content[at:at + len(piece)] = piece
    cut = draw(some.none() | some.integers(0, len(content)))
    return bytes(content[:cut])


@pytest.fixture
def watched(monkeypatch: pytest.MonkeyPatch) -> Iterator[_Watched]:
    watch = _Watched()
    monkeypatch.setattr(os, "pread", watch.pread)
    yield watch


@given(content=hostile_files() | some.binary(max_size=300).map(lambda tail: elf.ELFMAG + tail),
       length=some.sampled_from([0, 5 << 20, 1 << 40]))
@settings(max_examples=5 * settings().max_examples, deadline=None,
          suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_hostile_files(tmp_path: Path, watched: _Watched, content: bytes, length: int) -> None:
    path = tmp_path / "hostile"
    path.write_bytes(content)
    # A hole behind it: offsets that lead far away find something there.
    os.truncate(path, max(length, len(content)))
    watched.total = 0
    try:
        facts = read_file(path)
    except Problem as problem:
        assert str(problem).startswith("it: ") and "\n" not in str(problem)
    else:
        assert facts.platform[0] in (1, 2)
    assert watched.total <= READ_AT_MOST


def test_no_more_than_a_megabyte_is_read_of_the_largest_tables(
    tmp_path: Path, watched: _Watched
) -> None:
    path = tmp_path / "large"
    path.write_bytes(put(make_elf(interpreter="", go=make_go("go1.24.4")), 60, b"\xff\x3f"))
    os.truncate(path, 1 << 40)
    with pytest.raises(Problem, match="too large"):
        read_file(path)
    assert 0 < watched.total <= READ_AT_MOST
