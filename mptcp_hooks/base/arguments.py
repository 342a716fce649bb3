# SPDX-License-Identifier: GPL-2.0-or-later
"""Reads the arguments of commands; an option that nobody knows is answered with the nearest."""

from __future__ import annotations

from argparse import ArgumentParser

from mptcp_hooks.base.text import find_like
from mptcp_hooks.base.value import TYPE_CHECKING

if TYPE_CHECKING:
    from typing import Any


class Parser(ArgumentParser):
    """argparse's, which says what a misspelt option may have been meant to be."""

    def parse_args(self, *arguments: Any, **named: Any) -> Any:
        """As argparse's; leaves with 2 where a word is no argument."""
        options, unknown = self.parse_known_args(*arguments, **named)
        if unknown:
            meant = filter(None, (find_like(word.partition("=")[0], self._option_string_actions)
                                  for word in unknown if word.startswith("--")))
            hint = " and ".join(meant)
            self.error(f"unrecognized arguments: {' '.join(unknown)}"
                       + f" (did you mean {hint}?)" * bool(hint))
        return options
