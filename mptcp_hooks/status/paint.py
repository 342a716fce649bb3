# SPDX-License-Identifier: GPL-2.0-or-later
"""Colours, for a person at a terminal only, and the characters that it can show."""

from __future__ import annotations

import os

from mptcp_hooks.base.value import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from typing import TextIO


class Paint(NamedTuple):
    """Dresses texts for a screen, or leaves them as they are where `coloured` is False.

    `unicode` is whether the screen shows more than ASCII, `width` how many characters a line of it
    has, None where it has no edge.
    """

    coloured: bool
    unicode: bool = False
    width: int | None = None

    @property
    def mark(self) -> str:
        """What stands where something was cut off."""
        return "…" if self.unicode else "~"

    def good(self, text: str) -> str:
        """What is as it should be."""
        return self._dress("32", text)

    def bad(self, text: str) -> str:
        """What breaks a path."""
        return self._dress("31", text)

    def doubtful(self, text: str) -> str:
        """What a person should know of."""
        return self._dress("33", text)

    def bold(self, text: str) -> str:
        """What heads a part of the screen."""
        return self._dress("1", text)

    def _dress(self, code: str, text: str) -> str:
        # ECMA-48, select graphic rendition.
        return f"\x1b[{code}m{text}\x1b[0m" if self.coloured and text.strip() else text


def choose_paint(stream: TextIO) -> Paint:
    """Colours where the stream is a terminal, unless NO_COLOR or TERM=dumb says otherwise.

    What is read by no person keeps its lines whole.
    """
    wanted = not os.environ.get("NO_COLOR") and os.environ.get("TERM", "dumb") != "dumb"
    return Paint(wanted and stream.isatty(), _is_unicode(stream), find_size(stream)[0] or None)


def find_size(stream: TextIO) -> tuple[int, int]:
    """How many columns and lines a terminal has, 0 and 0 of what is none or does not know."""
    try:
        return os.get_terminal_size(stream.fileno())
    except OSError:
        return 0, 0


def _is_unicode(stream: TextIO) -> bool:
    """Whether the locale says so (locale(7)): Python itself writes UTF-8 in the C locale too."""
    names = (os.environ.get(name, "") for name in ("LC_ALL", "LC_CTYPE", "LANG"))
    chosen = next(filter(None, names), "C")
    return "utf" in chosen.lower() and (stream.encoding or "").lower() == "utf-8"
