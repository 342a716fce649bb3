# SPDX-License-Identifier: GPL-2.0-or-later
"""/var/cache/mptcp-hooks: command sets, with all they were rendered from.

Rendering costs a hook five times what the rest of it does, and a boot renders
what the last one did. A set is used again only if its whole key is equal; a
folder or file that is missing, not root's own or not whole is as good as empty.
"""

from __future__ import annotations

from binascii import crc32

from mptcp_hooks.base.errors import Problem
from mptcp_hooks.base.folder import KEPT, Folder, open_folder

_SUFFIX = ".commands"
# A set of an interface's up and down for eight addresses; what was used last stays.
_SETS_AT_MOST = 16

_open: dict[str, Folder] = {}
_fresh: dict[str, list[tuple[str, ...]]] = {}
_read: dict[str, list[tuple[str, ...]]] = {}


def recall_commands(label: str, key: str) -> tuple[str, ...] | None:
    """The command set that was rendered for `label` from `key`, None where none is kept."""
    if label not in _read:
        _read[label] = _load(label)
    for known, *lines in _fresh.get(label, []) + _read[label]:
        if known == key:
            return tuple(lines)
    return None


def note_commands(label: str, key: str, lines: tuple[str, ...]) -> None:
    """Remember a set that was rendered, until keep_commands."""
    _fresh.setdefault(label, []).append((key, *lines))


def keep_commands() -> None:
    """Write what was rendered; where that cannot be, the next hook renders again.

    Nor where another hook is just writing: it saves time, and nobody waits for that.
    """
    for label, sets in _fresh.items():
        try:
            folder = open_folder(KEPT, lock=True)
        except Problem:
            return
        try:
            # Another hook may have kept sets of its own meanwhile.
            folder.write_lines(label + _SUFFIX, _encode((sets + _load(label))[:_SETS_AT_MOST]))
        except Problem:
            continue
        finally:
            folder.close()
    _fresh.clear()


def _load(label: str) -> list[tuple[str, ...]]:
    try:
        # Opened once: an interface's sets and those of the limits are read from it.
        folder = _open.get(KEPT) or _open.setdefault(KEPT, open_folder(KEPT, lock=False))
        lines, _ = folder.read_lines(label + _SUFFIX)
        return _decode(lines)
    except Problem:
        return []


def _encode(sets: list[tuple[str, ...]]) -> list[str]:
    lines = [line for key, *commands in sets
             for line in (f"key {key}", *(f"run {command}" for command in commands))]
    return [*lines, f"sum {_sum(lines)}"]


def _decode(lines: list[str]) -> list[tuple[str, ...]]:
    """The sets, none where the sum of the lines is not what it was."""
    if not lines or lines[-1] != f"sum {_sum(lines[:-1])}":
        return []
    sets: list[list[str]] = []
    for line in lines[:-1]:
        word, _, rest = line.partition(" ")
        if word == "key":
            sets.append([])
        sets[-1].append(rest)
    return [tuple(one) for one in sets]


def _sum(lines: list[str]) -> int:
    return crc32("\n".join(lines).encode("utf-8", "surrogateescape"))
