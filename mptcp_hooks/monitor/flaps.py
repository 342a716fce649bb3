# SPDX-License-Identifier: GPL-2.0-or-later
"""Which paths are there for moments only, again and again: their endpoints wait. Pure.

Each return has all connections begin a subflow that is lost a moment later. Times come in, in
seconds of the monotonic clock.
"""

from __future__ import annotations

from mptcp_hooks.base.value import TYPE_CHECKING, NamedTuple
from mptcp_hooks.monitor.patience import lengthen

if TYPE_CHECKING:
    from collections.abc import Iterable

# A path that was there for less than a moment, so many times in a row, is unsteady. Then it is to
# be there for a while, which is doubled each time that it was not.
_MOMENT, _TIMES = 2.0, 3
_PATIENCE, _PATIENCE_AT_MOST = 4.0, 64.0
# Addresses, the latest.
_REMEMBERED_AT_MOST = 32
_NEVER = float("inf")


class _Flap(NamedTuple):
    """Whether a path is out, since when that is so, and how often it was there in vain."""

    out: bool
    since: float
    times: int

    @property
    def patience(self) -> float:
        """How long the path is to be there before it counts; 0 for one that is steady."""
        if self.times < _TIMES:
            return 0.0
        return lengthen(_PATIENCE, self.times - _TIMES, _PATIENCE_AT_MOST)


class Flaps:
    """What each path did lately, by its address."""

    def __init__(self) -> None:
        self._known: dict[str, _Flap] = {}

    def note(self, out: Iterable[str], now: float) -> list[str]:
        """Take in which paths are out; which are unsteady from now on."""
        meant = frozenset(out)
        news = []
        for address in sorted(meant | set(self._known)):
            before = self._known.get(address, _Flap(False, -_NEVER, 0))
            if before.out == (address in meant):
                continue
            self._known.pop(address, None)
            after = self._known[address] = _change(before, now)
            if after.patience and not before.patience:
                news.append(address)
        for address in list(self._known)[:-_REMEMBERED_AT_MOST]:
            del self._known[address]
        return news

    def list_unsteady(self, now: float) -> frozenset[str]:
        """The addresses whose endpoints wait; those that are out are to, when they are back."""
        return frozenset(address for address, flap in self._known.items()
                         if flap.patience and (flap.out or now - flap.since < flap.patience))

    def wait(self, now: float) -> float:
        """How long until one of them waits no more, in seconds; without end where none does."""
        ends = (flap.since + flap.patience - now for flap in self._known.values() if not flap.out)
        return min((end for end in ends if end > 0), default=_NEVER)


def _change(before: _Flap, now: float) -> _Flap:
    """What is known of a path that goes, or comes back."""
    if before.out:
        return before._replace(out=False, since=now)
    in_vain = now - before.since < max(_MOMENT, before.patience)
    return _Flap(True, now, before.times + 1 if in_vain else 0)
