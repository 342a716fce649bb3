# SPDX-License-Identifier: GPL-2.0-or-later
"""When peers are told once more that an endpoint went, and by which ids. Pure.

RM_ADDR is one packet that nobody repeats (RFC 8684, 3.4.2), sent at the moment when all
traffic moves to another path. Times come in, in seconds of the monotonic clock.
"""

from __future__ import annotations

from mptcp_hooks.base.value import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

# After the endpoint went. An overfull link was seen to drop four of ten such packets for seconds.
_AFTER = (0.15, 0.4, 0.8, 1.3, 2.0, 3.0, 4.5, 7.0)
# A reminder holds the record's lock, the longer the more connections there are.
_SHARE = 1 / 10
# Former ids of one address, and addresses, the latest.
_REMEMBERED_AT_MOST, _ADDRESSES_AT_MOST = 4, 32


class Reminders:
    """The ids that an address's endpoints had before, until no connection misses the address."""

    def __init__(self) -> None:
        # Several where a path announces others in the place of its own address.
        self._standing: dict[str, tuple[int, ...]] = {}
        self._former: dict[str, tuple[int, ...]] = {}
        self._due: dict[str, tuple[float, ...]] = {}
        self._earliest = 0.0

    def note(self, endpoints: Iterable[tuple[str, int]], now: float) -> None:
        """Take in which addresses have endpoints now, with their ids."""
        standing: dict[str, tuple[int, ...]] = {}
        for address, identity in endpoints:
            standing[address] = (*standing.get(address, ()), identity)
        gone = {address: [one for one in before if one not in standing.get(address, ())]
                for address, before in self._standing.items()}
        for address, identities in gone.items():
            if not identities:
                continue
            former = (*self._former.pop(address, ()), *identities)
            self._former[address] = former[-_REMEMBERED_AT_MOST:]
            self._due[address] = tuple(now + after for after in _AFTER)
        for address in list(self._former)[:-_ADDRESSES_AT_MOST]:
            del self._former[address]
        self._standing = standing
        self._due = {address: due for address, due in self._due.items()
                     if address in self._former and address not in standing}

    def settle(self, whole: Iterable[str]) -> None:
        """Forget what addresses had that all connections use again."""
        for address in whole:
            self._former.pop(address, None)

    def list_former(self, address: str) -> tuple[int, ...]:
        """The ids that peers may still know of an address, the latest last."""
        return self._former.get(address, ())

    def list_known(self, address: str) -> tuple[int, ...]:
        """As list_former, with the ids that the address's endpoints have now."""
        return (*self.list_former(address), *self._standing.get(address, ()))

    def wait(self, now: float) -> float:
        """How long until a reminder is due, in seconds; without end where none is."""
        first = min((due[0] for due in self._due.values()), default=float("inf"))
        return max(0.0, max(first, self._earliest) - now)

    def begin(self, now: float) -> dict[str, tuple[int, ...]]:
        """The addresses whose reminder is due, with their former ids."""
        if self.wait(now):
            return {}
        due = [address for address, times in self._due.items() if times[0] <= now]
        for address in due:
            later = tuple(one for one in self._due.pop(address) if one > now)
            self._due |= {address: later} if later else {}
        return {address: self.list_former(address) for address in due}

    def note_cost(self, seconds: float, now: float) -> None:
        """Note how long the last look took that told peers, which ends now."""
        self._earliest = now + seconds / _SHARE
