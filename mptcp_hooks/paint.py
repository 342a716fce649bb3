"""Colours, for a person at a terminal only."""

from __future__ import annotations

import os

from mptcp_hooks.value import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from typing import TextIO


class Paint(NamedTuple):
    """Dresses texts for a screen, or leaves them as they are where `coloured` is False."""

    coloured: bool

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
    """Colours where the stream is a terminal, unless NO_COLOR or TERM=dumb says otherwise."""
    wanted = not os.environ.get("NO_COLOR") and os.environ.get("TERM", "dumb") != "dumb"
    return Paint(wanted and stream.isatty())
