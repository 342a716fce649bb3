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
            taken = {place + 1 for place in taken
                     if place < len(name) and _takes(token, name[place])}
    return len(name) in taken


def _split(pattern: str) -> Iterator[str]:
    """A pattern's tokens: single characters, and sets as [...]."""
    place = 0
    while place < len(pattern):
        end = _find_end(pattern, place)
        yield pattern[place:end]
        place = end


def _find_end(pattern: str, place: int) -> int:
    """Where the token that begins at `place` ends; a set that is not closed is no set."""
    if pattern[place] != "[":
        return place + 1
    # A set holds one character at least, and may hold ] as its first.
    first = place + 1 + (pattern[place + 1:place + 2] == "!")
    return pattern.find("]", first + 1) + 1 or place + 1


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
