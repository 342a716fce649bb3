# SPDX-License-Identifier: GPL-2.0-or-later
"""When mptcp_monitor's next round of upkeep is due.

Pure: times come in, in seconds of the monotonic clock.
"""

from __future__ import annotations

from mptcp_hooks.base.value import TYPE_CHECKING

if TYPE_CHECKING:
    from mptcp_hooks.monitor.announcements import News

# After the last announcement of a burst, and after its first.
_QUIET, _SETTLED_AT_MOST = 0.03, 0.2
# How long after a round that failed the next begins; doubled each time.
_PAUSE_AT_LEAST, _PAUSE_AT_MOST = 1.0, 300.0
_NEVER = float("inf")


class Schedule:
    """When the next round is due.

    What a round makes and rolls back is announced like everything else: after
    one that failed, rules and routes alone begin no other for a while. A link,
    an address and a person do not wait for that.
    """

    def __init__(self) -> None:
        self._first = self._due = self._promised = _NEVER
        self._earliest = self._pause = 0.0
        self._prompt = False

    def note(self, news: News, now: float) -> None:
        """Put the round off while a burst goes on, or have it at once where it is urgent."""
        if news.urgent:
            self.hurry(now)
        elif news.matters and not (self._prompt and self._due <= now):
            self._first = min(self._first, now)
            self._due = min(now + _QUIET, self._first + _SETTLED_AT_MOST)
        self._prompt = self._prompt or bool(news.devices) or news.lost

    def hurry(self, now: float) -> None:
        """Have a round at once, whatever was noted."""
        self._due = now
        self._prompt = True

    def return_within(self, pause: float, now: float) -> None:
        """Have a round after a pause at the latest, in seconds; without end it is none."""
        self._promised = min(self._promised, now + pause)

    def end(self, failed: bool, now: float) -> None:
        """Heed how a round ended: one that failed is tried again after a pause."""
        self._pause = min(max(2 * self._pause, _PAUSE_AT_LEAST), _PAUSE_AT_MOST) if failed else 0
        self._earliest = now + self._pause
        if failed:
            self._due = min(self._due, self._earliest)

    def begin(self, now: float) -> bool:
        """Whether a round is due, which begins with this."""
        if self._find_time() > now:
            return False
        self._first = self._due = self._promised = _NEVER
        self._prompt = False
        return True

    def wait(self, now: float) -> float:
        """How long until a round is due, in seconds; without end where none is."""
        return max(0.0, self._find_time() - now)

    def _find_time(self) -> float:
        noted = self._due if self._prompt else max(self._due, self._earliest)
        return min(noted, max(self._promised, self._earliest))
