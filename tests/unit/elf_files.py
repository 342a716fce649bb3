# SPDX-License-Identifier: GPL-2.0-or-later
"""Small ELF files of each kind, put together field by field as elf(5) has them."""

from __future__ import annotations

from struct import pack
from typing import NamedTuple

GLIBC = "/lib64/ld-linux-x86-64.so.2"
MUSL = "/lib/ld-musl-x86_64.so.1"
X86_64, I386, S390 = 62, 3, 22
PROGRAM, SHARED, RELOCATABLE = 2, 3, 1


class Platform(NamedTuple):
    wide: bool
    order: str
    machine: int

    def answer(self) -> tuple[int, int, int]:
        return (2 if self.wide else 1, 1 if self.order == "<" else 2, self.machine)


AMD64 = Platform(True, "<", X86_64)
PC = Platform(False, "<", I386)
MAINFRAME = Platform(True, ">", S390)


def make_elf(
    platform: Platform = AMD64, interpreter: str = GLIBC, go: bytes = b"", kind: int = SHARED,
    stripped: bool = False,
) -> bytes:
    """A file with a segment of code, one of its interpreter if it has one, and named sections."""
    head = 64 if platform.wide else 52
    segment_size, section_size = (56, 64) if platform.wide else (32, 40)
    name = interpreter.encode() + b"\0" if interpreter else b""
    names = b"\0.text\0.go.buildinfo\0.shstrtab\0"
    segments = 2 if interpreter else 1
    name_at = head + segments * segment_size
    go_at = (name_at + len(name) + 15) // 16 * 16
    names_at = go_at + len(go)
    sections_at = 0 if stripped else (names_at + len(names) + 7) // 8 * 8
    table = _make_segment(platform, 1, 0, name_at)
    if interpreter:
        table += _make_segment(platform, 3, name_at, len(name))
    sections = [_make_section(platform, 0, 0, 0), _make_section(platform, 1, 0, 0)]
    if go:
        sections.append(_make_section(platform, 7, go_at, len(go)))
    sections.append(_make_section(platform, 21, names_at, len(names)))
    ident = b"\x7fELF" + bytes([*platform.answer()[:2], 1]) + bytes(9)
    body = _make_header(platform, ident, kind, head, segments, sections_at,
                        0 if stripped else len(sections))
    body = (body + table + name).ljust(go_at, b"\0") + go + names
    if stripped:
        return body
    assert len(sections[0]) == section_size
    return body.ljust(sections_at, b"\0") + b"".join(sections)


def make_go(version: str, order: str = "<") -> bytes:
    """.go.buildinfo as Go writes it since 1.18."""
    text = version.encode()
    flags = 0x2 | (0 if order == "<" else 0x1)
    return (b"\xff Go buildinf:\x08" + bytes([flags]) + bytes(16) + _make_length(len(text)) + text
            + _make_length(0))


def make_old_go() -> bytes:
    """.go.buildinfo before Go 1.18: two pointers to strings elsewhere."""
    return b"\xff Go buildinf:\x08\x00" + pack("<QQ", 0x4000, 0x4010)


def _make_length(number: int) -> bytes:
    """A number in groups of seven bits, the lowest first, as Go's encoding/binary has them."""
    groups = []
    while number >= 0x80:
        groups.append(number & 0x7F | 0x80)
        number >>= 7
    return bytes([*groups, number])


def _make_header(
    platform: Platform, ident: bytes, kind: int, head: int, segments: int, sections_at: int,
    sections: int,
) -> bytes:
    words = "QQQ" if platform.wide else "III"
    segment_size, section_size = (56, 64) if platform.wide else (32, 40)
    return ident + pack(f"{platform.order}HHI{words}IHHHHHH", kind, platform.machine, 1, 0x1000,
                        head, sections_at, 0, head, segment_size, segments, section_size,
                        sections, max(sections - 1, 0))


def _make_segment(platform: Platform, kind: int, offset: int, size: int) -> bytes:
    if platform.wide:
        return pack(f"{platform.order}IIQQQQQQ", kind, 5, offset, 0, 0, size, size, 1)
    return pack(f"{platform.order}IIIIIIII", kind, offset, 0, 0, size, size, 5, 1)


def _make_section(platform: Platform, name: int, offset: int, size: int) -> bytes:
    words = "QQQQ" if platform.wide else "IIII"
    return pack(f"{platform.order}II{words}II{words[:2]}", name, 1, 0, 0, offset, size, 0, 0, 1, 0)
