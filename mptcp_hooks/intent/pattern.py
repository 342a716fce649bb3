# SPDX-License-Identifier: GPL-2.0-or-later
"""Patterns of interface names: *, ? and [...], as fnmatch.fnmatchcase takes them.

fnmatch imports `re`, which takes longer than the rest of a hook's modules together.
"""

from __future__ import annotations

from mptcp_hooks.base.value import TYPE_CHECKING
from mptcp_hooks.intent.event import NAME_CHARACTERS

if TYPE_CHECKING:
    from collections.abc import Iterator

# An alias (eth0:1) goes with its device.
_CHARACTERS = NAME_CHARACTERS - {":"} | set("*?[]!")


def is_pattern(text: str) -> bool:
    """Whether a text can fit any device's name at all."""
    return _CHARACTERS.issuperset(text) and not {"[", "]", "!"} & set(_split(text))


def fits(name: str, pattern: str) -> bool:
    """Whether a device's name fits a pattern."""
    # How much of the name may be taken when the pattern's next token comes.
    taken = {0}
    for token in _split(pattern):
        if token == "*":
            taken = set(range(min(taken, default=len(name) + 1), len(name) + 1))
        else:
            taken = {position + 1 for position in taken
                     if position < len(name) and _takes(token, name[position])}
    return len(name) in taken


def _split(pattern: str) -> Iterator[str]:
    """A pattern's tokens: single characters, and sets as [...]."""
    position = 0
    while position < len(pattern):
        end = _find_end(pattern, position)
        yield pattern[position:end]
        position = end


def _find_end(pattern: str, position: int) -> int:
    """Where the token that begins at `position` ends; a set that is not closed is no set."""
    if pattern[position] != "[":
        return position + 1
    # A set holds one character at least, and may hold ] as its first.
    first = position + 1 + (pattern[position + 1:position + 2] == "!")
    return pattern.find("]", first + 1) + 1 or position + 1


def _takes(token: str, one: str) -> bool:
    if len(token) == 1:
        return token in ("?", one)
    negated = token[1] == "!"
    return _is_listed(one, token[1 + negated:-1]) != negated


def _is_listed(one: str, listed: str) -> bool:
    while listed:
        if listed[1:2] == "-" and len(listed) > 2:
            if listed[0] <= one <= listed[2]:
                return True
            listed = listed[3:]
        elif listed[0] == one:
            return True
        else:
            listed = listed[1:]
    return False
