# SPDX-License-Identifier: GPL-2.0-or-later
"""Questions on their way: each a socket of its own, from the path's address over its device.

Bound to both, so that the path's own rules and table lead it (docs/internals/architecture.md).
"""

from __future__ import annotations

import os
from errno import ECONNREFUSED, EINPROGRESS
from select import POLLIN, POLLOUT
from socket import (
    AF_INET,
    AF_INET6,
    IPPROTO_ICMP,
    IPPROTO_ICMPV6,
    IPPROTO_IP,
    IPPROTO_IPV6,
    IPPROTO_TCP,
    MSG_ERRQUEUE,
    SO_BINDTODEVICE,
    SO_ERROR,
    SO_LINGER,
    SOCK_RAW,
    SOCK_STREAM,
    SOL_SOCKET,
    inet_aton,
    socket,
)
from struct import Struct
from sys import byteorder

from mptcp_hooks.base.address import family_of, normalise
from mptcp_hooks.base.errors import Problem
from mptcp_hooks.base.value import TYPE_CHECKING
from mptcp_hooks.checker.packets import (
    ECHO_REPLY_4,
    ECHO_REPLY_6,
    Question,
    answers_4,
    answers_6,
    build_4,
    build_6,
)
from mptcp_hooks.intent.checks import TCP

if TYPE_CHECKING:
    from mptcp_hooks.checker.duties import Duty
    from mptcp_hooks.intent.checks import Target

    Address = tuple[str, int] | tuple[str, int, int, int]

# include/uapi/linux/icmp.h and icmpv6.h: what a raw socket is not given, a bit for each type.
_SOL_RAW, _ICMP_FILTER, _ICMP6_FILTER = 255, 1, 1
_ALL_BUT_REPLIES_4 = (~(1 << ECHO_REPLY_4) & 0xFFFFFFFF).to_bytes(4, byteorder)
_FILTER_6 = Struct("=8I")
_ALL_BUT_REPLIES_6 = _FILTER_6.pack(*(
    0xFFFFFFFF & ~(1 << ECHO_REPLY_6 % 32 if word == ECHO_REPLY_6 // 32 else 0)
    for word in range(8)))
# include/uapi/linux/in.h and in6.h.
_IP_RECVERR, _IPV6_RECVERR = 11, 25
# On, and for no time: closed is gone, by a RST.
_NO_LINGER = Struct("=ii").pack(1, 0)
_DATA_SIZE, _ANSWER_AT_MOST = 16, 1024
# So that a flood does not keep the other paths waiting.
_READ_AT_ONCE = 16


class Echo:
    """An ICMP echo request, and the socket that hears the answer; OSError where it cannot go."""

    events = POLLIN

    def __init__(self, duty: Duty, target: Target) -> None:
        self._source = target.address
        self._question = Question(int.from_bytes(os.urandom(2), "big"), 1,
                                  os.urandom(_DATA_SIZE))
        six = family_of(target.address) == 6
        self._socket = _open(duty, SOCK_RAW, IPPROTO_ICMPV6 if six else IPPROTO_ICMP)
        try:
            if six:
                self._socket.setsockopt(IPPROTO_ICMPV6, _ICMP6_FILTER, _ALL_BUT_REPLIES_6)
            else:
                self._socket.setsockopt(_SOL_RAW, _ICMP_FILTER, _ALL_BUT_REPLIES_4)
            # From now on nothing but what the target sends to this address is heard.
            self._socket.connect(_find_end(duty, target, 0))
            self._socket.send(build_6(self._question) if six else build_4(self._question))
        except OSError:
            self._socket.close()
            raise

    def fileno(self) -> int:
        """The descriptor that is readable when something came."""
        return self._socket.fileno()

    def read(self) -> bool | None:
        """Whether it was answered; None where that is not known yet."""
        for _ in range(_READ_AT_ONCE):
            try:
                packet, sender = self._socket.recvfrom(_ANSWER_AT_MOST)
            except BlockingIOError:
                break
            except OSError:
                # What a router says of it (EHOSTUNREACH) is no answer, and anybody may say it.
                continue
            if self._is_answer(packet, sender[0]):
                return True
        return None

    def close(self) -> None:
        """Give it up."""
        self._socket.close()

    def _is_answer(self, packet: bytes, sender: str) -> bool:
        if family_of(self._source) == 4:
            return answers_4(packet, self._question, inet_aton(self._source))
        return (normalise(sender.partition("%")[0]) == self._source
                and answers_6(packet, self._question))


class Connection:
    """A TCP connection that is opened to be closed; OSError where it cannot go."""

    events = POLLOUT

    def __init__(self, duty: Duty, target: Target) -> None:
        self._socket = _open(duty, SOCK_STREAM, IPPROTO_TCP)
        try:
            self._socket.setsockopt(SOL_SOCKET, SO_LINGER, _NO_LINGER)
            # Then what a router says of it can be told from what the target itself says.
            if self._socket.family == AF_INET6:
                self._socket.setsockopt(IPPROTO_IPV6, _IPV6_RECVERR, 1)
            else:
                self._socket.setsockopt(IPPROTO_IP, _IP_RECVERR, 1)
            error = self._socket.connect_ex(_find_end(duty, target, target.port))
            if error not in (0, EINPROGRESS):
                raise OSError(error, os.strerror(error))
        except OSError:
            self._socket.close()
            raise

    def fileno(self) -> int:
        """The descriptor that is writable when the connection is there, or refused."""
        return self._socket.fileno()

    def read(self) -> bool | None:
        """Whether it was answered: there is a connection, or the target refused one."""
        error = self._socket.getsockopt(SOL_SOCKET, SO_ERROR)
        if error == ECONNREFUSED:
            return not self._has_message()
        return error == 0 and self._is_connected()

    def close(self) -> None:
        """Give it up."""
        self._socket.close()

    def _is_connected(self) -> bool:
        try:
            self._socket.getpeername()
        except OSError:
            return False
        return True

    def _has_message(self) -> bool:
        """Whether an error came as a message of ICMP, as a firewall sends it in its own name."""
        try:
            self._socket.recvmsg(_ANSWER_AT_MOST, _ANSWER_AT_MOST, MSG_ERRQUEUE)
        except OSError:
            return False
        return True


def begin_probe(duty: Duty, target: Target) -> Echo | Connection | None:
    """A question on its way; None where it cannot be sent."""
    try:
        return Connection(duty, target) if target.kind == TCP else Echo(duty, target)
    except OSError:
        # No address, no route, no device: whoever follows the path says so.
        return None


def _open(duty: Duty, kind: int, protocol: int) -> socket:
    """A socket for a path; Problem where there can be none for anybody."""
    six = family_of(duty.address) == 6
    try:
        made = socket(AF_INET6 if six else AF_INET, kind, protocol)
    except OSError as error:
        raise Problem(f"cannot ask anybody: no socket: {error.strerror}") from None
    try:
        made.setblocking(False)
        made.setsockopt(SOL_SOCKET, SO_BINDTODEVICE, os.fsencode(duty.device) + b"\0")
        made.bind((duty.address, 0))
    except OSError:
        made.close()
        raise
    return made


def _find_end(duty: Duty, target: Target, port: int) -> Address:
    """Where a question goes; a link-local address is one of the path's device."""
    if family_of(target.address) == 6:
        return (target.address, port, 0, duty.ifindex)
    return (target.address, port)
