# SPDX-License-Identifier: GPL-2.0-or-later
"""The TCP and MPTCP sockets of this network namespace, over netlink (sock_diag(7)).

ss(8) tells the same with much more of it, and takes as long as fifty questions here:
who counts what a command opens asks many times a second. Formats and names:
include/uapi/linux/inet_diag.h, sock_diag.h and mptcp.h.
"""

from __future__ import annotations

from socket import AF_INET, AF_INET6, inet_ntop
from struct import Struct
from sys import byteorder

from mptcp_hooks.base.value import NamedTuple
from mptcp_hooks.machine.netlink import (
    ENOENT,
    EOPNOTSUPP,
    NLM_F_DUMP,
    Conversation,
    Refused,
    make_attribute,
    read_attributes,
)

NETLINK_SOCK_DIAG, SOCK_DIAG_BY_FAMILY, TCPDIAG_GETSOCK = 4, 20, 18
IPPROTO_TCP, IPPROTO_MPTCP = 6, 262
INET_DIAG_REQ_PROTOCOL = 3
INET_DIAG_INFO, INET_DIAG_ULP_INFO = 2, 19
INET_ULP_INFO_NAME = 1
MPTCP_INFO_FLAG_FALLBACK = 1 << 0
# include/net/tcp_states.h.
TCP_ESTABLISHED, TCP_SYN_SENT, TCP_FIN_WAIT1, TCP_FIN_WAIT2 = 1, 2, 4, 5
TCP_CLOSE_WAIT, TCP_LAST_ACK, TCP_LISTEN, TCP_CLOSING = 8, 9, 10, 11

# struct inet_diag_req_v2: family, protocol, what to tell, states, and whose identity: nobody's.
_REQUEST = Struct("=BBBxI48x")
# struct inet_diag_req, of which a family makes no difference to the kernel: what to tell, nobody's
# identity, states, and one more that it does not read.
_REQUEST_OF_ALL = Struct("=xxxB48xI4x")
_ALL_STATES = 0xFFFFFFFF
_TELL_INFO = 1 << INET_DIAG_INFO - 1
# struct inet_diag_msg.
ANSWER = Struct("=BBBB2s2s16s16sI8sIIIII")
# struct mptcp_info: mptcpi_flags comes after eight numbers of a byte.
_FLAGS_AT = 8
# struct tcp_info: tcpi_bytes_acked and tcpi_bytes_received.
_CARRIED, _CARRIED_AT = Struct("=QQ"), 120
# The states of sockets that are, or were, connected.
_CONNECTED = (TCP_ESTABLISHED, TCP_FIN_WAIT1, TCP_FIN_WAIT2, TCP_CLOSE_WAIT, TCP_LAST_ACK,
              TCP_CLOSING)


class Socket(NamedTuple):
    """One socket; `local` and `remote` are an address and a port.

    `mptcp`: it is an MPTCP socket. `subflow`: a TCP socket that the kernel made for one;
    both have the inode by which a process holds the connection, 0 where none does.
    `fallback`: an MPTCP socket that goes on as plain TCP. `carried` is how many bytes a TCP
    socket has sent, and the peer has acknowledged, or received.
    """

    mptcp: bool
    state: int
    local: tuple[str, int]
    remote: tuple[str, int]
    inode: int
    subflow: bool
    fallback: bool
    carried: int = 0

    @property
    def connected(self) -> bool:
        """Whether it is, or was, a connection."""
        return self.state in _CONNECTED

    @property
    def listens(self) -> bool:
        """Whether it waits for connections."""
        return self.state == TCP_LISTEN


def read_sockets() -> list[Socket]:
    """All of them, of both families; Problem where the kernel does not show them."""
    with Conversation(NETLINK_SOCK_DIAG) as kernel:
        tcp = ask_tcp(kernel)
        mptcp = _ask_mptcp(kernel, AF_INET) + _ask_mptcp(kernel, AF_INET6)
    return [*(_parse(message, IPPROTO_TCP) for message in tcp if is_socket(message)),
            *(_parse(message, IPPROTO_MPTCP) for message in mptcp if is_socket(message))]


def ask_tcp(kernel: Conversation, states: int = _ALL_STATES) -> list[bytes]:
    """The kernel's messages about TCP sockets of both families.

    `states` has a bit for each state. Problem where the kernel does not show them. It walks over
    its whole table of them for each question, and the older one is of both families at once
    (inet_diag_dump_compat in net/ipv4/inet_diag.c).
    """
    return _ask(kernel, TCPDIAG_GETSOCK, _REQUEST_OF_ALL.pack(_TELL_INFO, states))


def _ask_mptcp(kernel: Conversation, family: int) -> list[bytes]:
    """The kernel's messages about MPTCP sockets of a family, in any state; as ask_tcp."""
    # The field for a protocol has a byte; MPTCP's number takes more.
    request = _REQUEST.pack(family, IPPROTO_MPTCP & 0xFF, _TELL_INFO, _ALL_STATES)
    request += make_attribute(INET_DIAG_REQ_PROTOCOL, IPPROTO_MPTCP.to_bytes(4, byteorder))
    return _ask(kernel, SOCK_DIAG_BY_FAMILY, request)


def _ask(kernel: Conversation, kind: int, request: bytes) -> list[bytes]:
    try:
        return kernel.ask(kind, request, NLM_F_DUMP)
    except Refused as refused:
        if refused.number not in (ENOENT, EOPNOTSUPP):
            raise refused.problem("its sockets") from None
        # A kernel without mptcp_diag; the subflows are TCP's. Or one without any.
        return []


def is_socket(message: bytes) -> bool:
    """Whether a message is as long as one of a socket is, which has one of our families."""
    return len(message) >= ANSWER.size and message[0] in (AF_INET, AF_INET6)


def _parse(message: bytes, protocol: int) -> Socket:
    family, state, _, _, port, peer_port, local, remote, *_, inode = ANSWER.unpack_from(message)
    said = read_attributes(message, ANSWER.size)
    mptcp = protocol == IPPROTO_MPTCP
    info = said.get(INET_DIAG_INFO, b"")
    flags = info[_FLAGS_AT:_FLAGS_AT + 4] if mptcp else b""
    return Socket(
        mptcp, state, read_end(family, local, port),
        read_end(family, remote, peer_port), inode, _is_subflow(said),
        bool(int.from_bytes(flags, byteorder) & MPTCP_INFO_FLAG_FALLBACK),
        0 if mptcp else _read_carried(info))


def _read_carried(info: bytes) -> int:
    """The bytes of a struct tcp_info, 0 where a kernel has a shorter one."""
    short = len(info) < _CARRIED_AT + _CARRIED.size
    return 0 if short else sum(_CARRIED.unpack_from(info, _CARRIED_AT))


def read_end(family: int, address: bytes, port: bytes) -> tuple[str, int]:
    """The address and port of a socket's end, as struct inet_diag_sockid has them."""
    size = 16 if family == AF_INET6 else 4
    return (inet_ntop(family, address[:size]).removeprefix("::ffff:"),
            int.from_bytes(port, "big"))


def _is_subflow(said: dict[int, bytes]) -> bool:
    upper = said.get(INET_DIAG_ULP_INFO)
    if upper is None:
        return False
    return read_attributes(upper, 0).get(INET_ULP_INFO_NAME, b"") == b"mptcp\0"
