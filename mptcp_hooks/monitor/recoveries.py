# SPDX-License-Identifier: GPL-2.0-or-later
"""Which paths came back a moment ago: new connections wait with their return. Pure.

What is not connected (UDP) and what is forwarded does not survive a switch, so there is none
for a path that goes again in seconds; one that goes again and again is waited for the longer.
Times come in, in seconds of the monotonic clock.
"""

from __future__ import annotations

from mptcp_hooks.base.value import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterable

# How long after its return; doubled for each further outage that is not so long ago.
_FRESH_FOR, _FRESH_AT_MOST, _FORGOTTEN_AFTER = 10.0, 320.0, 600.0
# Addresses, the latest.
_REMEMBERED_AT_MOST = 32


class _Return(NamedTuple):
    at: float
    patience: float


class Recoveries:
    """When paths that were out came back, by their addresses."""

    def __init__(self) -> None:
        self._out: frozenset[str] = frozenset()
        self._returns: dict[str, _Return] = {}

    def note(self, out: Iterable[str], now: float) -> None:
        """Take in which paths are out."""
        meant = frozenset(out)
        for address in self._out - meant:
            before = self._returns.pop(address, None)
            again = before is not None and now - before.at < _FORGOTTEN_AFTER
            self._returns[address] = _Return(
                now, min(2 * before.patience, _FRESH_AT_MOST) if before and again else _FRESH_FOR)
        for address in list(self._returns)[:-_REMEMBERED_AT_MOST]:
            del self._returns[address]
        self._out = meant

    def list_fresh(self, now: float) -> frozenset[str]:
        """The addresses of those that are out, or were a moment ago."""
        return self._out | {address for address, back in self._returns.items()
                            if now - back.at < back.patience}

    def wait(self, now: float) -> float:
        """How long until one of them is that no more, in seconds; without end where none is."""
        ends = (back.at + back.patience - now for address, back in self._returns.items()
                if address not in self._out)
        return min((end for end in ends if end > 0), default=float("inf"))
