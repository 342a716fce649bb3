"""The TCP and MPTCP sockets of this network namespace, over netlink (sock_diag(7)).

ss(8) tells the same with much more of it, and takes as long as fifty questions here:
who counts what a command opens asks many times a second. Formats:
include/uapi/linux/inet_diag.h and mptcp.h.
"""

from __future__ import annotations

from socket import AF_INET, AF_INET6, inet_ntop
from struct import Struct
from sys import byteorder

from mptcp_hooks.netlink import (
    ENOENT,
    NLM_F_DUMP,
    Conversation,
    Refused,
    make_attribute,
    read_attributes,
)
from mptcp_hooks.value import NamedTuple

_NETLINK_SOCK_DIAG, _SOCK_DIAG_BY_FAMILY = 4, 20
_TCP, _MPTCP = 6, 262
# Family, protocol, what to tell, states, and the identity of a socket, which is none.
_REQUEST = Struct("=BBBxI48x")
_ALL_STATES = 0xFFFFFFFF
_TELL_INFO = 1 << 1  # INET_DIAG_INFO - 1
_REQUEST_PROTOCOL = 3  # INET_DIAG_REQ_PROTOCOL
_ANSWER = Struct("=BBBB2s2s16s16sI8sIIIII")
_INFO, _ULP_INFO, _ULP_NAME = 2, 19, 1
# struct mptcp_info: the flags come after eight numbers of a byte.
_FLAGS_AT, _FLAG_FALLBACK = 8, 1

# Numbers of tcp(7)'s states, see include/net/tcp_states.h: those of sockets that were connected.
_ESTABLISHED, _LISTEN = 1, 10
_CONNECTED = (_ESTABLISHED, 4, 5, 8, 9, 11)


class Socket(NamedTuple):
    """One socket; `local` and `remote` are an address and a port.

    `mptcp`: it is an MPTCP socket. `subflow`: a TCP socket that the kernel made for one;
    both have the inode by which a process holds the connection, 0 where none does.
    `fallback`: an MPTCP socket that goes on as plain TCP.
    """

    mptcp: bool
    state: int
    local: tuple[str, int]
    remote: tuple[str, int]
    inode: int
    subflow: bool
    fallback: bool

    @property
    def connected(self) -> bool:
        """Whether it is, or was, a connection."""
        return self.state in _CONNECTED

    @property
    def listens(self) -> bool:
        """Whether it waits for connections."""
        return self.state == _LISTEN


def read_sockets() -> list[Socket]:
    """All of them, of both families; Problem where the kernel does not show them."""
    with Conversation(_NETLINK_SOCK_DIAG) as kernel:
        return [_parse(message, protocol) for protocol in (_TCP, _MPTCP)
                for family in (AF_INET, AF_INET6)
                for message in _ask(kernel, family, protocol)]


def _ask(kernel: Conversation, family: int, protocol: int) -> list[bytes]:
    # The field for a protocol has a byte; MPTCP's number takes more.
    request = _REQUEST.pack(family, protocol & 0xFF, _TELL_INFO, _ALL_STATES)
    request += make_attribute(_REQUEST_PROTOCOL, protocol.to_bytes(4, byteorder))
    try:
        return kernel.ask(_SOCK_DIAG_BY_FAMILY, request, NLM_F_DUMP)
    except Refused as refused:
        if refused.number != ENOENT:
            raise refused.problem("its sockets") from None
        # A kernel without mptcp_diag; the subflows are TCP's.
        return []


def _parse(message: bytes, protocol: int) -> Socket:
    family, state, _, _, port, peer_port, local, remote, *_, inode = _ANSWER.unpack_from(message)
    said = read_attributes(message, _ANSWER.size)
    flags = said.get(_INFO, b"")[_FLAGS_AT:_FLAGS_AT + 4] if protocol == _MPTCP else b""
    return Socket(
        protocol == _MPTCP, state, _read_end(family, local, port),
        _read_end(family, remote, peer_port), inode, _is_subflow(said),
        bool(int.from_bytes(flags, byteorder) & _FLAG_FALLBACK))


def _read_end(family: int, address: bytes, port: bytes) -> tuple[str, int]:
    size = 16 if family == AF_INET6 else 4
    return (inet_ntop(family, address[:size]).removeprefix("::ffff:"),
            int.from_bytes(port, "big"))


def _is_subflow(said: dict[int, bytes]) -> bool:
    upper = said.get(_ULP_INFO)
    return upper is not None and read_attributes(upper, 0).get(_ULP_NAME, b"") == b"mptcp\0"
