# SPDX-License-Identifier: GPL-2.0-or-later
"""What a monitor may know of each path by now, docs/failover.md: how soon what is noticed.

Times come in, in seconds of the monotonic clock.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum

# New connections leave by a path again so long after it is back, twice as long each time.
_FRESH_FOR, _FRESH_AT_MOST = 10.0, 320.0
# Somebody sends to a gateway that does not answer: some five seconds, on a machine that is busy.
_NOTICED_WITHIN = 12.0
# Between what happened and what the model sees of it.
_SLACK = 1.5
_NEVER = float("-inf")


class State(Enum):
    """How a path is: well, before a gateway that does not answer, or known to be out.

    Of a link that is down, and of a check that has failed, the kernel and mptcp_check tell. Of a
    gateway that does not answer, and is `UNASKED`, nobody need ever know.
    """

    WELL = "well"
    DEAF = "deaf"
    UNASKED = "unasked"
    CUT = "cut"


class Belief(Enum):
    """What a monitor takes a path for: alive, back for not so long, or out."""

    ALIVE = "alive"
    FRESH = "fresh"
    OUT = "out"


@dataclass
class _Past:
    """What was seen of one path.

    `deaf_since` is since when its gateway has been silent, `out_at` when it was last seen to be
    taken for out, `back_at` since when it need not be any more, and `times` how often it was.
    """

    state: State = State.WELL
    deaf_since: float = _NEVER
    out_at: float = _NEVER
    back_at: float = _NEVER
    times: int = 0


@dataclass
class Health:
    """The pasts of paths by their addresses, since the monitor began."""

    _pasts: dict[str, _Past] = field(default_factory=dict)

    def forget(self) -> None:
        """Begin anew, as a monitor does."""
        self._pasts.clear()

    def note(self, states: Mapping[str, State], now: float, settled: bool = True) -> None:
        """Take in how all paths are; what is not `settled`, a monitor may have missed."""
        for address in {*self._pasts, *states}:
            past = self._pasts.setdefault(address, _Past())
            state = states.get(address, State.WELL)
            if state is State.WELL and past.state is not State.WELL:
                past.back_at = now
            if state is not State.WELL and past.state is State.WELL:
                past.times += 1
            if state is not State.DEAF:
                past.deaf_since = _NEVER
            elif past.state is not State.DEAF:
                past.deaf_since = now
            past.state = state
            if settled and self.suppose(address, state, now) == {Belief.OUT}:
                past.out_at = now

    def suppose(self, address: str, state: State, now: float) -> set[Belief]:
        """What a monitor may take a path for that is in that state now."""
        past = self._pasts.get(address, _Past())
        if state is State.CUT:
            return {Belief.OUT}
        if state is State.UNASKED:
            return set(Belief)
        if state is State.DEAF:
            known = past.state is State.DEAF and now > past.deaf_since + _NOTICED_WITHIN
            return {Belief.OUT} if known else set(Belief)
        if now < past.out_at + _FRESH_FOR - _SLACK:
            return {Belief.FRESH}
        back_at = past.back_at if past.state is State.WELL else now
        patience = min(_FRESH_FOR * 2 ** (past.times - 1), _FRESH_AT_MOST)
        return ({Belief.ALIVE, Belief.FRESH} if past.times and now < back_at + patience + _SLACK
                else {Belief.ALIVE})
