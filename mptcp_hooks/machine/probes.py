# SPDX-License-Identifier: GPL-2.0-or-later
"""Asks over one path what only a try can tell: its gateway, TCP, MPTCP, further subflows.

Unprivileged: each question is a socket that is bound to the path's address, so that the path's
own rules and table lead it. Nothing but handshakes is sent, and over MPTCP one byte: without
one the kernel opens no further subflow, as it does not know yet that the peer has its keys.
"""

from __future__ import annotations

import os
from errno import ECONNREFUSED, EINPROGRESS, ENOPROTOOPT, EOPNOTSUPP
from select import POLLERR, POLLOUT, poll
from socket import (
    AF_INET,
    AF_INET6,
    IPPROTO_TCP,
    SO_BINDTODEVICE,
    SO_ERROR,
    SO_LINGER,
    SOCK_DGRAM,
    SOCK_STREAM,
    SOL_SOCKET,
    socket,
)
from struct import Struct
from time import monotonic

from mptcp_hooks.base.value import TYPE_CHECKING, NamedTuple
from mptcp_hooks.machine.neighbours import has_failed, has_proved, read_entry
from mptcp_hooks.machine.sockets import IPPROTO_MPTCP, TCP_ESTABLISHED, read_sockets

if TYPE_CHECKING:
    _End = tuple[str, int] | tuple[str, int, int, int]

# include/linux/socket.h and include/uapi/linux/mptcp.h.
_SOL_MPTCP, _MPTCP_INFO, _INFO_SIZE_AT_MOST = 284, 1, 256
# Where traceroute(8) sends to: who has no program there says so (RFC 1122, 4.1.3.1).
_NOBODYS_PORT = 33434
# A neighbour that the kernel knew is asked after five seconds, three times
# (ip-sysctl.rst, neigh/default/*).
_GATEWAY_AT_MOST, _GATEWAY_AGAIN, _LOOK_EACH = 9.0, 1.0, 0.05
# SSH's, HTTP's and TLS' servers wait for what comes behind it.
_ONE_BYTE = b"\r"
# On, and for no time: closed is gone, by a RST.
_NO_LINGER = Struct("=ii").pack(1, 0)


class Source(NamedTuple):
    """Where a question leaves from; `bound` is whether the address alone does not say by what."""

    family: int
    address: str
    device: str
    ifindex: int
    bound: bool


class Answer(NamedTuple):
    """What came of a question: `seconds` until it was answered, or `why` it was not.

    Both are None and '' where it was answered some time before.
    """

    seconds: float | None
    why: str

    @property
    def good(self) -> bool:
        """Whether it was answered."""
        return not self.why


class Connected(NamedTuple):
    """A connection that is there, since `moment` of a clock that never goes back."""

    socket: socket
    moment: float


def ask_gateway(source: Source, gateway: str) -> Answer:
    """Whether a gateway answers: with `port unreachable`, or the kernel when it asks for it."""
    began = monotonic()
    try:
        with _open(source, SOCK_DGRAM, 0) as question:
            question.connect(_find_end(source, gateway, _NOBODYS_PORT))
            return _await_gateway(source, gateway, question, began)
    except OSError as error:
        return Answer(None, _say(error.errno))


def connect(
    source: Source, remote: str, port: int, mptcp: bool, at_most: float
) -> tuple[Answer, Connected | None]:
    """A connection, and how it came to be; the caller closes it."""
    began = monotonic()
    try:
        opened = _open(source, SOCK_STREAM, IPPROTO_MPTCP if mptcp else IPPROTO_TCP)
    except OSError as error:
        return Answer(None, _say(error.errno)), None
    try:
        why = _connect(opened, _find_end(source, remote, port), at_most)
        moment = monotonic()
        if not why and mptcp:
            why = _begin_mptcp(opened)
    except OSError as error:
        why = _say(error.errno)
    if why:
        opened.close()
        return Answer(None, why), None
    return Answer(moment - began, ""), Connected(opened, moment)


def find_subflows(connected: Connected) -> set[str]:
    """From which addresses a connection has subflows that are established.

    Problem where the kernel does not show its sockets.
    """
    inode = os.fstat(connected.socket.fileno()).st_ino
    return {seen.local[0] for seen in read_sockets()
            if seen.subflow and seen.state == TCP_ESTABLISHED and seen.inode == inode}


def _await_gateway(source: Source, gateway: str, question: socket, began: float) -> Answer:
    asked = began - _GATEWAY_AGAIN
    watched = poll()
    watched.register(question, POLLERR)
    while (passed := monotonic() - began) < _GATEWAY_AT_MOST:
        now = monotonic()
        if now - asked >= _GATEWAY_AGAIN:
            try:
                question.send(b"")
            except ConnectionRefusedError:
                # That is the answer to the packet before it, come since we looked.
                return Answer(now - asked, "")
            asked = now
        if watched.poll(1000 * _LOOK_EACH):
            error = question.getsockopt(SOL_SOCKET, SO_ERROR)
            if error == ECONNREFUSED:
                return Answer(monotonic() - asked, "")
            return Answer(None, _say(error))
        state = read_entry(gateway, source.ifindex).state
        if has_failed(state):
            break
        # One that was asked a moment ago may yet tell how long it takes.
        if has_proved(state) and passed > _GATEWAY_AGAIN:
            return Answer(None, "")
    return Answer(None, "no answer")


def _open(source: Source, kind: int, protocol: int) -> socket:
    made = socket(AF_INET6 if source.family == 6 else AF_INET, kind, protocol)
    try:
        made.setblocking(False)
        if source.bound:
            made.setsockopt(SOL_SOCKET, SO_BINDTODEVICE, os.fsencode(source.device) + b"\0")
        made.bind((source.address, 0))
        if kind == SOCK_STREAM:
            made.setsockopt(SOL_SOCKET, SO_LINGER, _NO_LINGER)
    except OSError:
        made.close()
        raise
    return made


def _connect(opened: socket, end: _End, at_most: float) -> str:
    """Connect, within so many seconds: '' or why not."""
    error = opened.connect_ex(end)
    if error == EINPROGRESS:
        watched = poll()
        watched.register(opened, POLLOUT)
        if not watched.poll(1000 * at_most):
            return f"no answer in {at_most:.0f} s"
        error = opened.getsockopt(SOL_SOCKET, SO_ERROR)
    return _say(error) if error else ""


def _begin_mptcp(opened: socket) -> str:
    """Send what lets a connection open further subflows: '' or why not.

    OSError where it is gone by now, as a server resets it that wants none.
    """
    if not _is_mptcp(opened):
        return "answered without MPTCP"
    opened.send(_ONE_BYTE)
    return ""


def _is_mptcp(opened: socket) -> bool:
    """Whether a connection did not fall back to plain TCP."""
    try:
        opened.getsockopt(_SOL_MPTCP, _MPTCP_INFO, _INFO_SIZE_AT_MOST)
    except OSError as error:
        if error.errno in (EOPNOTSUPP, ENOPROTOOPT):
            return False
        raise
    return True


def _find_end(source: Source, address: str, port: int) -> _End:
    """Where a question goes; a link-local address is one of the path's device."""
    if source.family == 6:
        return (address, port, 0, source.ifindex)
    return (address, port)


def _say(number: int | None) -> str:
    text = os.strerror(number or 0)
    return text[0].lower() + text[1:]
