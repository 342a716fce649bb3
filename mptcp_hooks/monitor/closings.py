# SPDX-License-Identifier: GPL-2.0-or-later
"""Hears which subflows end while their connections go on: MPTCP events over generic netlink.

The multicast group mptcp_pm_events (include/uapi/linux/mptcp_pm.h, enum mptcp_event_type). A
busy server has thousands of events a second; all kinds but one are dropped in the kernel, by a
classic BPF program on the socket, and where even of that one there are too many, all are for
a moment.
"""

from __future__ import annotations

from array import array
from contextlib import suppress
from errno import ENOBUFS
from socket import AF_INET, AF_INET6, SOCK_RAW, SOL_SOCKET, inet_ntop, socket
from struct import Struct, pack
from sys import byteorder

from mptcp_hooks.base.errors import Problem
from mptcp_hooks.base.value import NamedTuple
from mptcp_hooks.machine.netlink import (
    AF_NETLINK,
    GENL_HEADER_SIZE,
    MESSAGES_AT_MOST,
    NETLINK_ADD_MEMBERSHIP,
    NETLINK_GENERIC,
    SOL_NETLINK,
    Conversation,
    Refused,
    read_attributes,
    split_messages,
)

_FAMILY, _GROUP = b"mptcp_pm", b"mptcp_pm_events"
_EVENT_SUB_CLOSED = 11
_ATTR_TOKEN, _ATTR_SADDR4, _ATTR_SADDR6 = 1, 5, 6
# include/uapi/asm-generic/socket.h.
_SO_ATTACH_FILTER, _SO_RCVBUFFORCE = 26, 33
# include/uapi/linux/filter.h and bpf_common.h: BPF_LD|BPF_B|BPF_ABS, BPF_JMP|BPF_JEQ|BPF_K,
# BPF_RET|BPF_K; struct sock_filter, struct sock_fprog.
_LOAD_BYTE, _JUMP_IF_EQUAL, _RETURN = 0x30, 0x15, 0x06
_INSTRUCTION = Struct("=HBBI")
_EVERYTHING, _NOTHING = 0xFFFFFFFF, 0
# Behind struct nlmsghdr, struct genlmsghdr begins with the command.
_COMMAND_AT = 16
# Each event takes about a kilobyte there: as many as a loss of 4,000 connections makes.
_BUFFER = 1 << 22
_READ_AT_ONCE = 64
# So many in a row are heard, of which each outage of a connection takes ten (reminders.py), and so
# many a second for ever; of more none for a while, in seconds: a look finds out the rest.
_AT_ONCE, _A_SECOND, _DEAF_FOR = 16384, 50, 10.0


class Closed(NamedTuple):
    """A subflow that ended: the token of its connection, and the address of this end."""

    token: int
    address: str


class ClosingsListener:
    """A subscription; there is none (`fileno` is -1) where the kernel has no such events.

    `refusal` is why the kernel does not let us hear them, '' where that is no matter.
    """

    def __init__(self) -> None:
        self._socket, self.refusal = _subscribe()
        self._credit, self._since = float(_AT_ONCE), 0.0
        self.deaf_until = 0.0

    def fileno(self) -> int:
        """The descriptor that is readable when there is something to hear, -1 for none."""
        return self._socket.fileno() if self._socket else -1

    def read(self, now: float) -> list[Closed]:
        """What waits to be read, `now` in seconds of the monotonic clock; of a flood a part.

        Where some were lost, the last of them has no address.
        """
        assert self._socket is not None
        heard: list[Closed] = []
        for _ in range(_READ_AT_ONCE):
            try:
                heard += parse_events(self._socket.recv(MESSAGES_AT_MOST))
            except BlockingIOError:
                break
            except OSError as error:
                if error.errno != ENOBUFS:
                    raise Problem("cannot hear the kernel's MPTCP events: "
                                  f"{error.strerror}") from None
                heard.append(Closed(0, ""))
        self._bound_rate(len(heard), now)
        return heard

    def listen_again(self, now: float) -> bool:
        """Hear again, once there was silence for long enough; whether it begins with this."""
        if not (self._socket and self.deaf_until and now >= self.deaf_until):
            return False
        self.deaf_until = 0.0
        _let_through(self._socket, _EVENT_SUB_CLOSED)
        return True

    def _bound_rate(self, number: int, now: float) -> None:
        earned = (now - self._since) * _A_SECOND
        self._credit, self._since = min(self._credit + earned, _AT_ONCE) - number, now
        if self._credit < 0 and self._socket:
            self.deaf_until = now + _DEAF_FOR
            _let_through(self._socket, None)


def parse_events(buffer: bytes) -> list[Closed]:
    """The subflows that the kernel's messages tell the end of; what makes no sense is left out."""
    return [closed for _, _, message in split_messages(buffer)
            if message[:1] == bytes((_EVENT_SUB_CLOSED,)) and (closed := _parse(message))]


def _parse(message: bytes) -> Closed | None:
    said = read_attributes(message, GENL_HEADER_SIZE)
    token = int.from_bytes(said.get(_ATTR_TOKEN, b""), byteorder)
    for kind, family, size in ((_ATTR_SADDR4, AF_INET, 4), (_ATTR_SADDR6, AF_INET6, 16)):
        address = said.get(kind, b"")
        if token and len(address) == size:
            return Closed(token, inet_ntop(family, address).removeprefix("::ffff:"))
    return None


def _subscribe() -> tuple[socket | None, str]:
    """A socket in the group; None where there is none, or where, and why, it is refused."""
    try:
        with Conversation(NETLINK_GENERIC) as kernel:
            group = kernel.find_generic_group(_FAMILY, _GROUP)
        hearing = socket(AF_NETLINK, SOCK_RAW, NETLINK_GENERIC)
    except Refused:
        return None, ""
    except OSError as error:
        raise Problem(f"cannot hear the kernel's MPTCP events: {error.strerror}") from None
    hearing.setblocking(False)
    _let_through(hearing, _EVENT_SUB_CLOSED)
    # Without the right to, the usual size has to do.
    with suppress(OSError):
        hearing.setsockopt(SOL_SOCKET, _SO_RCVBUFFORCE, _BUFFER)
    try:
        hearing.bind((0, 0))
        hearing.setsockopt(SOL_NETLINK, NETLINK_ADD_MEMBERSHIP, group)
    except OSError as error:
        hearing.close()
        return None, f"{error.strerror}"
    return hearing, ""


def _let_through(hearing: socket, event: int | None) -> None:
    """Have the kernel drop all events but of one kind, or all of them."""
    program = [_INSTRUCTION.pack(_RETURN, 0, 0, _NOTHING)]
    if event is not None:
        program = [_INSTRUCTION.pack(_LOAD_BYTE, 0, 0, _COMMAND_AT),
                   _INSTRUCTION.pack(_JUMP_IF_EQUAL, 0, 1, event),
                   _INSTRUCTION.pack(_RETURN, 0, 0, _EVERYTHING), *program]
    code = array("B", b"".join(program))
    hearing.setsockopt(SOL_SOCKET, _SO_ATTACH_FILTER,
                       pack("@HP", len(program), code.buffer_info()[0]))
