# SPDX-License-Identifier: GPL-2.0-or-later
"""The one exception of this package: a sentence for the person who reads it."""

from __future__ import annotations

FAILED = 1
USAGE = 2
# What is said of an interface that is neither there, nor on record, nor in a stanza.
UNKNOWN = "no such interface, and none on record"
# What was waited for in vain.
LOCK, PROGRAM = "lock", "program"

# As much as a line has room for: of a text that somebody else wrote, and in all. rsyslog
# keeps so much of a line; a path may have half of it.
_SHOWN_AT_MOST, _TOLD_AT_MOST = 200, 8192


class Problem(Exception):
    """Something that costs an interface its paths, told in one line.

    `status` is what a command ends with: FAILED, or USAGE where a value or an
    option that a person wrote is wrong. The hooks end with 0 in either case.
    `in_vain` is what was waited for in vain, LOCK or PROGRAM: another time it may go
    better. It is '' for all else.
    """

    def __init__(self, text: str, status: int = FAILED, in_vain: str = "") -> None:
        super().__init__(shorten(" ".join(text.split()), _TOLD_AT_MOST))
        self.status = status
        self.in_vain = in_vain


def wrong_value(where: str, option: str, text: str, allowed: str) -> Problem:
    """The Problem of a value that was told: where (an interface, FILE:LINE), and what may be."""
    return Problem(f"{shorten(where)}: {option} {quote(text)} is wrong: it must be {allowed}",
                   USAGE)


def quote(text: str) -> str:
    """A text in quotation marks, so much of it as a line has room for."""
    return repr(shorten(text))


def shorten(text: str, at_most: int = _SHOWN_AT_MOST) -> str:
    """A text, or its beginning where it is longer than a line has room for."""
    return text if len(text) <= at_most else text[:at_most] + "..."
