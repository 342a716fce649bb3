# SPDX-License-Identifier: GPL-2.0-or-later
"""Whether a path's check has failed, out of answers and failures. Pure.

Times come in, in seconds of the monotonic clock.
"""

from __future__ import annotations

# How many answers in a row end a failure; doubled where it comes again and again.
_ANSWERS_AT_LEAST, _ANSWERS_AT_MOST = 2, 60
# A failure that ended within so many seconds was a short one, and one that did not come back
# for as long is forgotten.
_SHORT = _QUIET = 600.0
_NEVER = float("-inf")


class Verdict:
    """What is held of one path; it works until it has failed."""

    def __init__(self, failures: int) -> None:
        self.failed = False
        self._failures = failures
        # How many were alike in a row: failures while it works, answers while it has failed.
        self._in_row = 0
        self._needed = _ANSWERS_AT_LEAST
        self._failed_at = self._returned_at = _NEVER

    @property
    def failing_next(self) -> bool:
        """Whether one more failure makes it fail."""
        return not self.failed and self._in_row + 1 == self._failures

    def note(self, answered: bool, now: float) -> bool:
        """Heed how one interval went; whether the verdict is another one by it."""
        if answered != self.failed:
            self._in_row = 0
            return False
        self._in_row += 1
        if self._in_row < (self._needed if self.failed else self._failures):
            return False
        self._in_row = 0
        self.failed = not self.failed
        if self.failed:
            self._fail(now)
        else:
            self._return(now)
        return True

    def pause(self) -> None:
        """Heed an interval in which nobody could be asked: what comes next begins anew."""
        self._in_row = 0

    def _fail(self, now: float) -> None:
        if now - self._returned_at >= _QUIET:
            self._needed = _ANSWERS_AT_LEAST
        self._failed_at = now

    def _return(self, now: float) -> None:
        if now - self._failed_at < _SHORT:
            self._needed = min(2 * self._needed, _ANSWERS_AT_MOST)
        self._returned_at = now
