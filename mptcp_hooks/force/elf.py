# SPDX-License-Identifier: GPL-2.0-or-later
"""What an ELF file tells of how its program opens sockets: its loader, its machine, its Go.

elf(5) for the file, and its names; the Go source's debug/buildinfo for the section
.go.buildinfo. A file is another's word: every offset may point anywhere, and no more
than 1 MB of it is ever read.
"""

from __future__ import annotations

import os
import re
from struct import Struct

from mptcp_hooks.base.errors import Problem
from mptcp_hooks.base.value import NamedTuple

ELFMAG = b"\x7fELF"
EI_CLASS, EI_DATA, EI_NIDENT = 4, 5, 16
ELFCLASS32, ELFCLASS64 = 1, 2
ELFDATA2LSB, ELFDATA2MSB = 1, 2
ET_EXEC, ET_DYN = 2, 3
PT_INTERP = 3
SHN_UNDEF, SHN_XINDEX = 0, 0xFFFF
# include/uapi/linux/limits.h.
PATH_MAX = 4096

READ_AT_MOST = 1 << 20
# The kernel starts nothing with a larger program header table (fs/binfmt_elf.c).
_LARGEST_TABLE = 1 << 16
_LARGEST_NAMES = 1 << 18

_GO_SECTION = b".go.buildinfo"
_GO_MAGIC = b"\xff Go buildinf:"
_GO_INLINE = 0x2
_GO_TEXT = 32
_GO_ALIGNMENT = 16
_LONGEST_VERSION = 512
_GO_VERSION = re.compile(r"\bgo(\d+)\.(\d+)")
BEFORE_INLINE = "before go1.18"


class Go(NamedTuple):
    """The Go that built a program: its own words, and major and minor, (0, 0) where unknown."""

    text: str
    number: tuple[int, int]


class Elf(NamedTuple):
    """One program or library.

    `platform` is its class, byte order and machine: what a library must have in common
    with the program that loads it. `interpreter` is the dynamic loader's path, '' in a
    static program; `go` None where it is not Go's.
    """

    platform: tuple[int, int, int]
    interpreter: str
    go: Go | None


class _Header(NamedTuple):
    """Elf32_Ehdr or Elf64_Ehdr, field by field."""

    ident: bytes
    kind: int
    machine: int
    version: int
    entry: int
    segments: int
    sections: int
    flags: int
    size: int
    segment_size: int
    segment_count: int
    section_size: int
    section_count: int
    names: int


class _Part(NamedTuple):
    """A segment or a section: what it is (a type, or where its name stands), and its bytes."""

    kind: int
    offset: int
    size: int
    link: int = 0


class _Layout(NamedTuple):
    """The structures of one class and byte order."""

    header: Struct
    segment: Struct
    section: Struct
    # Which fields of a segment are its type, offset and size in the file.
    segment_fields: tuple[int, int, int]


def _make_layout(wide: bool, order: str) -> _Layout:
    if wide:
        return _Layout(Struct(f"{order}16sHHIQQQIHHHHHH"), Struct(f"{order}IIQQQQQQ"),
                       Struct(f"{order}IIQQQQIIQQ"), (0, 2, 5))
    return _Layout(Struct(f"{order}16sHHIIIIIHHHHHH"), Struct(f"{order}IIIIIIII"),
                   Struct(f"{order}IIIIIIIIII"), (0, 1, 4))


# By EI_CLASS and EI_DATA.
_LAYOUTS = {(bits, data): _make_layout(bits == ELFCLASS64, order)
            for bits in (ELFCLASS32, ELFCLASS64)
            for data, order in ((ELFDATA2LSB, "<"), (ELFDATA2MSB, ">"))}


class _File:
    """An open file, read in pieces; Problem where a piece is not there, or it is too much."""

    def __init__(self, descriptor: int, name: str) -> None:
        self._descriptor = descriptor
        self._name = name
        self._left = READ_AT_MOST

    def problem(self, text: str) -> Problem:
        """The Problem of something that is wrong with this file."""
        return Problem(f"{self._name}: {text}")

    def read(self, offset: int, size: int, what: str) -> bytes:
        """Exactly so many bytes; `what` names them where they are not all there."""
        piece = self.read_some(offset, size, what)
        if len(piece) < size:
            raise self.problem(f"its {what} is not in the file")
        return piece

    def read_some(self, offset: int, size: int, what: str) -> bytes:
        """As many of these bytes as the file has."""
        if size > self._left:
            raise self.problem(f"its {what} is too large to be true")
        try:
            piece = os.pread(self._descriptor, size, offset)
        except (OSError, OverflowError):
            raise self.problem(f"its {what} cannot be read") from None
        self._left -= len(piece)
        return piece


def read_elf(descriptor: int, name: str) -> Elf:
    """The facts of an open ELF file; Problem, which begins with `name`, where it is damaged."""
    file = _File(descriptor, name)
    ident = file.read(0, EI_NIDENT, "ELF header")
    layout = _LAYOUTS.get((ident[EI_CLASS], ident[EI_DATA]))
    if layout is None or not ident.startswith(ELFMAG):
        raise file.problem("it is no ELF file that Linux knows")
    header = _Header(*layout.header.unpack(file.read(0, layout.header.size, "ELF header")))
    if header.kind not in (ET_EXEC, ET_DYN):
        raise file.problem("it is an ELF file, but no program")
    platform = (ident[EI_CLASS], ident[EI_DATA], header.machine)
    return Elf(platform, _read_interpreter(file, layout, header), _read_go(file, layout, header))


def _read_interpreter(file: _File, layout: _Layout, header: _Header) -> str:
    for segment in _read_segments(file, layout, header):
        if segment.kind == PT_INTERP:
            if not 0 < segment.size <= PATH_MAX:
                raise file.problem("its interpreter's name is too long to be true")
            return os.fsdecode(file.read(segment.offset, segment.size, "interpreter's name")
                               .partition(b"\0")[0])
    return ""


def _read_segments(file: _File, layout: _Layout, header: _Header) -> list[_Part]:
    if header.segment_size != layout.segment.size:
        raise file.problem("its segments have a size of their own")
    size = header.segment_count * layout.segment.size
    if not 0 < size <= _LARGEST_TABLE:
        raise file.problem(f"{header.segment_count} segments are no program's")
    table = file.read(header.segments, size, "table of segments")
    return [_Part(*(row[field] for field in layout.segment_fields))
            for row in layout.segment.iter_unpack(table)]


def _read_go(file: _File, layout: _Layout, header: _Header) -> Go | None:
    """The Go that a section tells of; a file that was stripped of its sections tells nothing."""
    section = _find_section(file, layout, header, _GO_SECTION)
    if section is None:
        return None
    notes = file.read_some(section.offset, min(section.size, _LONGEST_VERSION), "Go version")
    start = next((at for at in range(0, len(notes), _GO_ALIGNMENT)
                  if notes.startswith(_GO_MAGIC, at)), None)
    if start is None or len(notes) < start + _GO_TEXT:
        raise file.problem("its .go.buildinfo is not Go's")
    if not notes[start + 15] & _GO_INLINE:
        # The version stands elsewhere, behind two pointers.
        return Go(BEFORE_INLINE, (0, 0))
    return _parse_version(_read_text(file, notes[start + _GO_TEXT:]))


def _read_text(file: _File, notes: bytes) -> str:
    """A text after its length, which is in groups of seven bits, the lowest first."""
    length = 0
    for number, byte in enumerate(notes[:10]):
        length |= (byte & 0x7F) << 7 * number
        if byte < 0x80:
            text = notes[number + 1:number + 1 + length]
            if len(text) == length:
                return text.decode("utf-8", "replace")
            break
    raise file.problem("its Go version is not whole")


def _parse_version(text: str) -> Go:
    """`go1.22.3`, `go1.21rc2 X:loopvar`, `devel go1.25-0a1b2c`; some say less."""
    match = _GO_VERSION.search(text)
    return Go(text, (int(match[1]), int(match[2])) if match else (0, 0))


def _find_section(
    file: _File, layout: _Layout, header: _Header, name: bytes
) -> _Part | None:
    sections = _read_sections(file, layout, header)
    if not sections:
        return None
    number = sections[0].link if header.names == SHN_XINDEX else header.names
    if number >= len(sections):
        raise file.problem("its sections have no names")
    names = sections[number]
    text = file.read_some(names.offset, min(names.size, _LARGEST_NAMES), "table of names")
    return next((section for section in sections
                 if text.startswith(name + b"\0", section.kind)), None)


def _read_sections(file: _File, layout: _Layout, header: _Header) -> list[_Part]:
    if not header.sections:
        return []
    if header.section_size != layout.section.size:
        raise file.problem("its sections have a size of their own")
    count = header.section_count
    if count == SHN_UNDEF:
        # elf(5): more than a header can count are counted by the first one's size.
        count = layout.section.unpack(file.read(header.sections, layout.section.size,
                                                "table of sections"))[5]
    table = file.read(header.sections, count * layout.section.size, "table of sections")
    return [_Part(row[0], row[4], row[5], row[6]) for row in layout.section.iter_unpack(table)]
