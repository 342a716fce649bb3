# SPDX-License-Identifier: GPL-2.0-or-later
"""When running connections are looked at, and which endpoints are made again for them. Pure.

To make an endpoint again takes its healthy subflows along; they come back in a few
milliseconds. So the more of them there are for each that is missing, the longer that waits,
and after each attempt twice as long. Times come in, in seconds of the monotonic clock.
"""

from __future__ import annotations

from mptcp_hooks.base.value import TYPE_CHECKING
from mptcp_hooks.monitor.patience import lengthen

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from mptcp_hooks.engine.lifelines import Use

# After an endpoint was made, or a subflow ended; and while something is missing.
_FIRST_LOOK, _LOOKED_EVERY, _LOOKED_AT_LEAST = 0.25, 1.0, 30.0
# A new connection has its further subflows in a moment: what has none after this lacks them.
# Its peer may refuse all of them, so each connection is worth so many attempts.
_JOINED_WITHIN, _TRIES_AT_MOST = 3.0, 2
# Before the first attempt; doubled with each, up to what a person would wait for. So many
# attempts are five minutes and more: from then on it is no outage that ends in seconds.
_PATIENCE, _PATIENCE_AT_MOST, _ATTEMPTS, _PATIENCE_LATER = 0.5, 8.0, 40, 600.0
# The part of the time that looks may take: while something is known to be lost, and else. A busy
# machine has connections that end in the middle of a join all the time.
_SHARE_WHERE_LOST, _SHARE = 1 / 20, 1 / 400
# A look that came to no end is made again after that.
_TRIED_AGAIN = 5.0
# Connections of one address, and addresses: eight have endpoints at once, and they change.
_REMEMBERED_AT_MOST, _ADDRESSES_AT_MOST = 1024, 32
_NEVER = float("inf")


class _Trouble:
    """What is known of one address: attempts, and connections that never had it."""

    def __init__(self, now: float) -> None:
        self.since = self._last = now
        self.due = _NEVER
        self._attempts = 0
        self._lacking: dict[int, float] = {}
        self._tries: dict[int, int] = {}

    def heed(self, lacking: Iterable[int], now: float) -> None:
        """Note which connections lack the address, and since when each does."""
        self._lacking = {token: self._lacking.get(token, now) for token in lacking}
        self._tries = {token: number for token, number in self._tries.items()
                       if token in self._lacking}

    def note_attempt(self, now: float) -> None:
        """Note that its endpoint was made again."""
        self._attempts += 1
        self._last = now
        for token in self._list_hopeful():
            self._tries[token] = self._tries.get(token, 0) + 1

    def plan(self, lost: int, using: int, now: float) -> bool:
        """Set when the next attempt is due; whether anything is missing.

        `lost` is how many connections lost the address, `using` how many an attempt costs it.
        """
        missing = lost + sum(now - self._lacking[token] >= _JOINED_WITHIN
                             for token in self._list_hopeful())
        most = _PATIENCE_AT_MOST if self._attempts < _ATTEMPTS else _PATIENCE_LATER
        patience = lengthen(_PATIENCE, self._attempts, most)
        self.due = self._last + patience * max(1.0, using / missing) if missing else _NEVER
        return missing > 0

    def find_next(self, now: float) -> float:
        """When the next connection will have lacked it for so long that something is missing."""
        due = (self._lacking[token] + _JOINED_WITHIN for token in self._list_hopeful())
        return min((one for one in due if one > now), default=_NEVER)

    def _list_hopeful(self) -> list[int]:
        return [token for token in self._lacking if self._tries.get(token, 0) < _TRIES_AT_MOST]


class Joins:
    """What connections lost or never got, and when that is looked at and tried again.

    `lost` has the tokens of connections by the address whose subflow they lost. `returned` is
    how many of them have it again, since the first of those was lost.
    """

    def __init__(self) -> None:
        self.lost: dict[str, set[int]] = {}
        self.returned: dict[str, int] = {}
        self._troubles: dict[str, _Trouble] = {}
        # The addresses that have or had an endpoint, the latest last.
        self._known: list[str] = []
        self._due = self._due_where_lost = _NEVER
        self._earliest = self._earliest_where_lost = 0.0

    def hear(self, closed: Iterable[tuple[int, str]], now: float) -> None:
        """Note subflows that ended while their connections go on: token, and own address."""
        for token, address in closed:
            if address not in self._known:
                continue
            if address not in self.lost:
                self.returned[address] = 0
            tokens = self.lost.setdefault(address, set())
            if len(tokens) < _REMEMBERED_AT_MOST:
                tokens.add(token)
            self._due_where_lost = min(self._due_where_lost, now + _FIRST_LOOK)

    def expect(self, now: float) -> None:
        """Look soon, whatever it costs: endpoints were made."""
        self._earliest_where_lost = 0.0
        self._due_where_lost = min(self._due_where_lost, now + _FIRST_LOOK)

    def heed_new(self, now: float) -> None:
        """Look when connections that began by now have had the time to join."""
        self._due = min(self._due, now + _JOINED_WITHIN)

    def wait(self, now: float) -> float:
        """How long until a look is due, in seconds; without end where none is."""
        return max(0.0, self._find_time() - now)

    def begin(self, now: float) -> frozenset[str] | None:
        """The addresses that may be made again with a look that begins; None where none is due."""
        if self._find_time() > now:
            return None
        self._due = self._due_where_lost = _NEVER
        return frozenset(address for address, trouble in self._troubles.items()
                         if trouble.due <= now)

    def note_failure(self, now: float) -> None:
        """Look again later: a look came to no end."""
        self._due_where_lost = min(self._due_where_lost, now + _TRIED_AGAIN)

    def note(self, uses: Sequence[Use], remade: Iterable[str], cost: float, now: float) -> None:
        """Take in what a look saw of each path with an endpoint, and made; it took `cost`."""
        self._remember([use.address for use in uses])
        self._earliest = now + cost / _SHARE
        self._earliest_where_lost = now + cost / (
            _SHARE_WHERE_LOST if any(use.lost or use.joining for use in uses) else _SHARE)
        troubles, self._troubles = self._troubles, {}
        for use in uses:
            lost = self._note_lost(use)
            trouble = troubles.get(use.address) or _Trouble(now)
            trouble.heed(use.lacking, now)
            if use.address in remade:
                trouble.note_attempt(now)
            missing = trouble.plan(lost, use.using, now)
            if missing or use.lacking or use.joining:
                self._troubles[use.address] = trouble
            if missing or use.joining:
                self._due_where_lost = min(self._due_where_lost, _find_look(trouble, now))
            self._due = min(self._due, trouble.find_next(now))

    def _remember(self, addresses: list[str]) -> None:
        known = [*(one for one in self._known if one not in addresses), *addresses]
        self._known = known[-_ADDRESSES_AT_MOST:]
        self.lost = {one: lost for one, lost in self.lost.items() if one in self._known}
        self.returned = {one: number for one, number in self.returned.items()
                         if one in self._known}

    def _note_lost(self, use: Use) -> int:
        """How many connections lack the address that they had, and are not about to get it."""
        before = self.lost.pop(use.address, set())
        if before:
            self.returned[use.address] = self.returned.get(use.address, 0) + len(
                before & set(use.back))
        if use.lost or use.joining:
            self.lost[use.address] = {*use.lost, *use.joining}
        return len(use.lost)

    def _find_time(self) -> float:
        return min(max(self._due, self._earliest),
                   max(self._due_where_lost, self._earliest_where_lost))


def _find_look(trouble: _Trouble, now: float) -> float:
    """When to look again: with the next attempt, and before, whether it came by itself."""
    patient = now + min(max(_LOOKED_EVERY, (now - trouble.since) / 4), _LOOKED_AT_LEAST)
    return min(trouble.due, patient) if trouble.due > now else patient
