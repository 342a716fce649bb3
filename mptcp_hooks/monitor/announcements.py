# SPDX-License-Identifier: GPL-2.0-or-later
"""What the kernel announces of links, addresses, routes and rules, sifted.

rtnetlink(7) multicast groups; names as in include/uapi/linux/rtnetlink.h, if_link.h,
if_addr.h, if.h and fib_rules.h. Most of what a machine announces changes nothing
for its uplinks: lifetimes that are renewed, other programs' routes, statistics
of a wireless link. What matters is said here in a few words, and nothing of it
is kept but the last state of each link and address.
"""

from __future__ import annotations

from errno import ENOBUFS
from socket import AF_INET, AF_INET6, MSG_TRUNC, SOCK_RAW, inet_pton, socket
from struct import Struct
from sys import byteorder

from mptcp_hooks.base.address import BITS, family_of
from mptcp_hooks.base.errors import Problem
from mptcp_hooks.base.numbering import LOCAL_TABLE, MAIN_TABLE, PROTOCOL, SUPPRESSED_LENGTHS
from mptcp_hooks.base.value import TYPE_CHECKING, NamedTuple
from mptcp_hooks.machine.foreign import read_foreign
from mptcp_hooks.machine.neighbours import RTM_NEWNEIGH, has_answered, read_message
from mptcp_hooks.machine.netlink import (
    AF_NETLINK,
    MESSAGES_AT_MOST,
    NETLINK_ADD_MEMBERSHIP,
    NETLINK_DROP_MEMBERSHIP,
    NETLINK_ROUTE,
    OUR_RULE,
    ROUTE,
    RULE,
    SOL_NETLINK,
    read_attributes,
    split_messages,
)
from mptcp_hooks.monitor.advertised import OPTIONS, Advertised, read_option

if TYPE_CHECKING:
    from collections.abc import Iterable

RTNLGRP_LINK, RTNLGRP_NEIGH = 1, 3
RTNLGRP_IPV4_IFADDR, RTNLGRP_IPV4_ROUTE, RTNLGRP_IPV4_RULE = 5, 7, 8
RTNLGRP_IPV6_IFADDR, RTNLGRP_IPV6_ROUTE, RTNLGRP_IPV6_RULE = 9, 11, 19
RTNLGRP_ND_USEROPT = 20
RTM_NEWLINK, RTM_DELLINK, RTM_NEWADDR, RTM_DELADDR = 16, 17, 20, 21
RTM_NEWROUTE, RTM_DELROUTE, RTM_NEWRULE, RTM_DELRULE = 24, 25, 32, 33
RTM_NEWNDUSEROPT = 68
IFF_UP, IFF_RUNNING = 0x01, 0x40
IFLA_IFNAME = 3
IFA_ADDRESS, IFA_LOCAL, IFA_FLAGS = 1, 2, 8
RTA_DST = 1

_GROUPS = (RTNLGRP_LINK, RTNLGRP_IPV4_IFADDR, RTNLGRP_IPV4_ROUTE, RTNLGRP_IPV4_RULE,
           RTNLGRP_IPV6_IFADDR, RTNLGRP_IPV6_ROUTE, RTNLGRP_IPV6_RULE, RTNLGRP_ND_USEROPT)
# struct ifinfomsg and struct ifaddrmsg.
_LINK = Struct("=BxHiII")
_ADDRESS = Struct("=BBBBI")
# What a message has at least that is looked into: one that is shorter says nothing.
_SIZES = {RTM_NEWLINK: _LINK.size, RTM_DELLINK: _LINK.size, RTM_NEWADDR: _ADDRESS.size,
          RTM_DELADDR: _ADDRESS.size, RTM_NEWROUTE: ROUTE.size, RTM_DELROUTE: ROUTE.size,
          RTM_NEWRULE: RULE.size, RTM_DELRULE: RULE.size, RTM_NEWNDUSEROPT: OPTIONS.size}
_FAMILIES = {4: AF_INET, 6: AF_INET6}
# So that a flood does not keep signals and rounds waiting.
_READ_AT_ONCE = 16
# Of a machine with more addresses than that we remember none, and look once too often.
_REMEMBERED_AT_MOST = 4096


class News(NamedTuple):
    """What happened since the last question.

    `matters` is whether anything of an uplink may have changed, `urgent` whether
    a transfer may stand still until it is acted on. `devices` are the ifindexes
    whose link or addresses changed; `lost` is whether announcements were lost,
    so that any may have. `advertised` is what routers said of resolvers, which is no
    news where they said it before.
    """

    matters: bool
    urgent: bool
    devices: frozenset[int]
    lost: bool = False
    advertised: tuple[Advertised, ...] = ()


_NOTHING = News(False, False, frozenset())


class Listener:
    """A subscription; `fileno` for poll(2)."""

    def __init__(self) -> None:
        try:
            self._socket = socket(AF_NETLINK, SOCK_RAW, NETLINK_ROUTE)
            self._socket.bind((0, sum(1 << (group - 1) for group in _GROUPS)))
        except OSError as error:
            raise _deaf(error) from None
        self._socket.setblocking(False)
        self._awaited: frozenset[int] = frozenset()
        # Addresses as numbers, by family.
        self._watched: dict[int, list[int]] = {}
        self._links: dict[int, tuple[int, bytes]] = {}
        self._addresses: dict[tuple[int, int, bytes], int] = {}

    def fileno(self) -> int:
        """The descriptor that is readable when there is news."""
        return self._socket.fileno()

    def await_neighbours(self, devices: frozenset[int]) -> None:
        """Hear of neighbours that answer on these devices (ifindexes); of none where it is empty.

        The kernel announces the neighbours of all devices, which is much on a large LAN: so only
        as long as a path waits for its gateway.
        """
        if bool(devices) != bool(self._awaited):
            self._socket.setsockopt(
                SOL_NETLINK, NETLINK_ADD_MEMBERSHIP if devices else NETLINK_DROP_MEMBERSHIP,
                RTNLGRP_NEIGH)
        self._awaited = devices

    def watch(self, resolvers: Iterable[str]) -> None:
        """Hear of what main and others' rules may lead these addresses by; of none if empty."""
        self._watched = {}
        for resolver in resolvers:
            packed = inet_pton(_FAMILIES[family_of(resolver)], resolver)
            self._watched.setdefault(family_of(resolver), []).append(int.from_bytes(packed, "big"))

    def read(self) -> News:
        """What waits to be read, sifted; of a flood a part, the rest the next time."""
        total = _NOTHING
        for _ in range(_READ_AT_ONCE):
            try:
                news = self._read_some()
            except BlockingIOError:
                break
            total = News(total.matters or news.matters, total.urgent or news.urgent,
                         total.devices | news.devices, total.lost or news.lost,
                         total.advertised + news.advertised)
        return total

    def _read_some(self) -> News:
        try:
            buffer, _, marks, _ = self._socket.recvmsg(MESSAGES_AT_MOST)
        except BlockingIOError:
            raise
        except OSError as error:
            if error.errno != ENOBUFS:
                raise _deaf(error) from None
            return self._forget()
        if marks & MSG_TRUNC:
            return self._forget()
        sifted = [self._sift(kind, message) for kind, _, message in split_messages(buffer)]
        return News(any(news.matters for news in sifted), any(news.urgent for news in sifted),
                    frozenset().union(*(news.devices for news in sifted)),
                    advertised=tuple(one for news in sifted for one in news.advertised))

    def _forget(self) -> News:
        """Announcements were lost: what is remembered of links and addresses may be wrong."""
        self._links.clear()
        self._addresses.clear()
        return News(True, False, frozenset(), lost=True)

    def _sift(self, kind: int, message: bytes) -> News:
        if len(message) < _SIZES.get(kind, 0):
            return _NOTHING
        if kind in (RTM_NEWLINK, RTM_DELLINK):
            return self._sift_link(kind, message)
        if kind in (RTM_NEWADDR, RTM_DELADDR):
            return self._sift_address(kind, message)
        if kind in (RTM_NEWROUTE, RTM_DELROUTE):
            return self._sift_route(message)
        if kind == RTM_NEWNEIGH:
            ifindex, state = read_message(message)
            answers = ifindex in self._awaited and has_answered(state)
            return _NOTHING._replace(matters=answers, urgent=answers)
        if kind == RTM_NEWNDUSEROPT:
            said = read_option(message)
            return _NOTHING._replace(advertised=(said,)) if said else _NOTHING
        is_rule = kind in (RTM_NEWRULE, RTM_DELRULE)
        # One that takes all may be a tunnel's.
        return _NOTHING._replace(matters=is_rule and (
            OUR_RULE in message or bool(self._watched) or read_foreign(message).covers("")))

    def _sift_route(self, message: bytes) -> News:
        """A route of ours; a default, from which gateways are known, or a piece of one, which is a
        tunnel's: at once; and what may lead a resolver elsewhere.
        """
        family, length, _, _, table, protocol, _, _, _ = ROUTE.unpack_from(message)
        known = {AF_INET: 4, AF_INET6: 6}.get(family, 0)
        if known and protocol != PROTOCOL and table != LOCAL_TABLE \
                and length <= SUPPRESSED_LENGTHS[known]:
            watched = table == MAIN_TABLE and known in self._watched
            return _NOTHING._replace(matters=True, urgent=bool(length) or watched)
        if table != MAIN_TABLE or known not in self._watched:
            return _NOTHING._replace(matters=protocol == PROTOCOL)
        destination = read_attributes(message, ROUTE.size).get(RTA_DST, b"")
        beyond = max(0, BITS[known] - length)
        first = int.from_bytes(destination, "big") >> beyond
        return _NOTHING._replace(matters=protocol == PROTOCOL or any(
            number >> beyond == first for number in self._watched[known]))

    def _sift_link(self, kind: int, message: bytes) -> News:
        family, _, index, flags, _ = _LINK.unpack_from(message)
        if family:
            # A bridge's word on its ports (AF_BRIDGE).
            return _NOTHING
        before = self._links.pop(index, None)
        now = None
        if kind == RTM_NEWLINK:
            name = read_attributes(message, _LINK.size).get(IFLA_IFNAME, b"")
            now = self._links[index] = flags & (IFF_UP | IFF_RUNNING), name
        carries = now is not None and bool(now[0] & IFF_RUNNING)
        urgent = not carries and (before is None or bool(before[0] & IFF_RUNNING))
        return News(now != before, urgent, frozenset((index,) if now != before else ()))

    def _sift_address(self, kind: int, message: bytes) -> News:
        _, length, flags, _, index = _ADDRESS.unpack_from(message)
        said = read_attributes(message, _ADDRESS.size)
        key = (index, length, said.get(IFA_LOCAL) or said.get(IFA_ADDRESS) or b"")
        now = int.from_bytes(said.get(IFA_FLAGS, bytes((flags,))), byteorder)
        before = self._addresses.pop(key, None)
        if kind == RTM_NEWADDR:
            if len(self._addresses) >= _REMEMBERED_AT_MOST:
                self._addresses.clear()
            self._addresses[key] = now
        changed = kind == RTM_DELADDR or now != before
        return News(changed, kind == RTM_DELADDR, frozenset((index,) if changed else ()))


def _deaf(error: OSError) -> Problem:
    return Problem(f"cannot hear the kernel over netlink: {error.strerror}")
