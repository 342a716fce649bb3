# SPDX-License-Identifier: GPL-2.0-or-later
"""The resolvers that routers advertise (RDNSS, RFC 8106), and until when. Pure.

The kernel passes that option of a router advertisement on and keeps nothing of it
(include/uapi/linux/rtnetlink.h, struct nduseroptmsg; net/ipv6/ndisc.c, ndisc_ra_useropt). It
comes every few seconds on some links, and mostly says the same again.
"""

from __future__ import annotations

from struct import Struct

from mptcp_hooks.base import address
from mptcp_hooks.base.value import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterable

# struct nduseroptmsg: the length of the options, the ifindex, the ICMP type; options follow.
OPTIONS = Struct("=BxHiBBxxxxxx")
_ROUTER_ADVERTISEMENT, _RDNSS = 134, 25
# Type, length in eights of bytes, lifetime in seconds.
_OPTION = Struct("!BBxxI")
_UNIT, _ADDRESS_SIZE = 8, 16
_FOR_EVER = 0xFFFFFFFF
# Of an interface; a link where more is said has somebody on it who means no good.
_AT_MOST = 16
_NEVER = float("inf")


class Advertised(NamedTuple):
    """What one option says: resolvers, and for how many seconds from now; 0 withdraws them."""

    ifindex: int
    resolvers: tuple[str, ...]
    lifetime: float


def read_option(message: bytes) -> Advertised | None:
    """What a message says of resolvers; None where that is nothing, or makes no sense."""
    if len(message) < OPTIONS.size + _OPTION.size:
        return None
    _, options, ifindex, kind, _ = OPTIONS.unpack_from(message)
    option, units, lifetime = _OPTION.unpack_from(message, OPTIONS.size)
    size = units * _UNIT
    if kind != _ROUTER_ADVERTISEMENT or option != _RDNSS or not _OPTION.size < size <= min(
            options, len(message) - OPTIONS.size):
        return None
    start, end = OPTIONS.size + _OPTION.size, OPTIONS.size + size
    resolvers = (address.unpack(message[at:at + _ADDRESS_SIZE])
                 for at in range(start, end - _ADDRESS_SIZE + 1, _ADDRESS_SIZE))
    return Advertised(ifindex, tuple(filter(address.is_remote, resolvers)),
                      _NEVER if lifetime == _FOR_EVER else lifetime)


class Heard:
    """What was advertised and has not ended; times are in seconds of the monotonic clock."""

    def __init__(self) -> None:
        # By ifindex and resolver, when it ends.
        self._ends: dict[tuple[int, str], float] = {}

    def note(self, advertised: Iterable[Advertised], now: float) -> bool:
        """Take in what was heard; whether another resolver is named, or one no more."""
        before = set(self._ends)
        for said in advertised:
            for resolver in said.resolvers:
                if not said.lifetime:
                    self._ends.pop((said.ifindex, resolver), None)
                elif (said.ifindex, resolver) in self._ends or self._has_room(said.ifindex):
                    self._ends[said.ifindex, resolver] = now + said.lifetime
        return self._ends.keys() != before

    def forget(self, ifindexes: Iterable[int]) -> bool:
        """Forget what was heard on devices that are off or gone; whether that was anything."""
        gone = set(ifindexes)
        return self._keep({key: end for key, end in self._ends.items() if key[0] not in gone})

    def end(self, now: float) -> bool:
        """Forget whose time is over; whether there was any."""
        return self._keep({key: end for key, end in self._ends.items() if end > now})

    def wait(self, now: float) -> float:
        """How long until the next ends, in seconds; without end where none does."""
        return max(0.0, min(self._ends.values(), default=_NEVER) - now)

    @property
    def named(self) -> frozenset[tuple[int, str]]:
        """The resolvers that are advertised, each with the device's ifindex."""
        return frozenset(self._ends)

    def _has_room(self, ifindex: int) -> bool:
        return sum(known == ifindex for known, _ in self._ends) < _AT_MOST

    def _keep(self, ends: dict[tuple[int, str], float]) -> bool:
        less = len(ends) < len(self._ends)
        self._ends = ends
        return less
