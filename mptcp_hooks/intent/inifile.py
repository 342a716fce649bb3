# SPDX-License-Identifier: GPL-2.0-or-later
"""An INI file's text in, its sections out, each key with the line it stands in.

It reads what configparser reads, in a hook's time and with lines to name: lines that
begin with # or ; are comments, and so is what follows a blank and a #; a line that is
indented deeper than its key continues the value; keys have no case.
"""

from __future__ import annotations

from mptcp_hooks.base.errors import quote
from mptcp_hooks.base.value import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Mapping


class Entry(NamedTuple):
    """One key: the line it stands in, its name in lower case, its value on one line."""

    line: int
    key: str
    value: str


class Section(NamedTuple):
    """One section: the line it begins in, what stands between its brackets, its keys."""

    line: int
    name: str
    entries: list[Entry]


class Complaint(NamedTuple):
    """What is wrong with a line."""

    line: int
    text: str


def read_sections(text: str) -> tuple[list[Section], list[Complaint]]:
    """The sections as far as they make sense, and what is wrong with the other lines.

    What stands below a heading that cannot be read belongs to no section.
    """
    sections: list[Section] = []
    complaints: list[Complaint] = []
    current: Section | None = None
    # Where each name was met first: a file may have thousands.
    names: dict[str, int] = {}
    keys: dict[str, int] = {}
    for number, line in _join_lines(text):
        if line.startswith("["):
            current = Section(number, line[1:-1].strip(), [])
            complaint = _judge_heading(line, current.name, names)
            if not complaint:
                sections.append(current)
                names[current.name] = number
            keys = {}
        else:
            key, value = _split(line)
            complaint = _judge_key(line, key, current, keys)
            if current and not complaint:
                current.entries.append(Entry(number, key, value))
                keys[key] = number
        if complaint:
            complaints.append(Complaint(number, f"{complaint}: ignored"))
    return sections, complaints


def _join_lines(text: str) -> list[tuple[int, str]]:
    """The lines that say something, those that continue a value joined to its own."""
    joined: list[tuple[int, str]] = []
    indent = 0
    for number, line in enumerate(map(_cut_comment, text.split("\n")), start=1):
        depth = len(line) - len(line.lstrip())
        if not line.strip():
            continue
        if joined and depth > indent and not joined[-1][1].startswith("["):
            first, begun = joined[-1]
            joined[-1] = (first, f"{begun} {line.strip()}")
        else:
            indent = depth
            joined.append((number, line.strip()))
    return joined


def _cut_comment(line: str) -> str:
    if line.lstrip()[:1] in ("#", ";"):
        return ""
    position = line.find("#", 1)
    while position > 0 and not line[position - 1].isspace():
        position = line.find("#", position + 1)
    return line[:position] if position > 0 else line


def _split(line: str) -> tuple[str, str]:
    """Key and value, at the first = or :, the key '' where there is neither."""
    positions = [position for position in (line.find("="), line.find(":")) if position >= 0]
    end = min(positions, default=0)
    return line[:end].strip().lower(), line[end + 1:].strip()


def _judge_heading(line: str, name: str, names: Mapping[str, int]) -> str:
    if not _is_text(line):
        return "a byte that is no text (UTF-8) in a section's name"
    if not line.endswith("]") or not name:
        return f"{quote(line)} is no [section]"
    return _judge_repetition(f"section [{name}]", names.get(name))


def _judge_key(
    line: str, key: str, section: Section | None, keys: Mapping[str, int]
) -> str:
    if not _is_text(line):
        return "a byte that is no text (UTF-8)"
    if not key:
        return f"{quote(line)} is neither [section] nor key = value"
    if section is None:
        return f"{quote(line)} stands before any [section]"
    return _judge_repetition(key, keys.get(key))


def _judge_repetition(what: str, first: int | None) -> str:
    return f"{what} is there already, in line {first}" if first else ""


def _is_text(line: str) -> bool:
    """Whether a line was UTF-8; what was not is there as lone surrogates (PEP 383)."""
    return "\0" not in line and not any("\udc80" <= one <= "\udcff" for one in line)
