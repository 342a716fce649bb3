# SPDX-License-Identifier: GPL-2.0-or-later
"""The subflows of this network namespace's MPTCP connections, over netlink (sock_diag(7)).

Each is a TCP socket that the kernel made for an MPTCP one; the connection's token joins them
(include/uapi/linux/mptcp.h, MPTCP_SUBFLOW_ATTR_*). Only who may administrate the network
sees tokens.
"""

from __future__ import annotations

from struct import Struct

from mptcp_hooks.base.value import NamedTuple
from mptcp_hooks.machine.netlink import Conversation, read_attributes
from mptcp_hooks.machine.sockets import (
    ANSWER,
    INET_DIAG_INFO,
    INET_DIAG_ULP_INFO,
    NETLINK_SOCK_DIAG,
    TCP_CLOSE_WAIT,
    TCP_ESTABLISHED,
    TCP_SYN_SENT,
    ask_tcp,
    is_socket,
    read_end,
)

_INET_ULP_INFO_MPTCP = 3
_SUBFLOW_ATTR_TOKEN_LOC, _SUBFLOW_ATTR_FLAGS = 2, 8
# MPTCP_SUBFLOW_FLAG_MCAP_LOC and _JOIN_LOC: it was this end that asked.
_ASKED_HERE = 1 << 1 | 1 << 3
_U32 = Struct("=I")
# struct tcp_info: tcpi_retransmits, a byte, and tcpi_last_ack_recv, in milliseconds.
_RETRANSMITS_AT, _LAST_ACK_AT = 2, 56
_STATES = 1 << TCP_ESTABLISHED | 1 << TCP_SYN_SENT | 1 << TCP_CLOSE_WAIT
# So many timeouts in a row without an answer are 31 times the usual one (RFC 6298, 5.5), six
# seconds at least: a provider that is out, or a NAT that forgot the subflow. The first SYN's
# are longer: two take three seconds.
_STUCK, _SYN_STUCK = 5, 2


class Subflow(NamedTuple):
    """One subflow; `local` and `remote` are addresses, IPv4 ones always as such.

    `token` is the connection's. `asked` is whether this end asked for it, `retransmits` how
    many timeouts came in a row without an answer, `silence` for how many seconds there was
    none.
    """

    token: int
    local: str
    remote: str
    state: int
    retransmits: int
    silence: float
    asked: bool

    @property
    def established(self) -> bool:
        """Whether its peer has ever answered."""
        return self.state != TCP_SYN_SENT

    @property
    def stuck(self) -> bool:
        """Whether its peer has not answered for so long that it does not come back soon."""
        return self.retransmits >= (_STUCK if self.established else _SYN_STUCK)

    @property
    def carries(self) -> bool:
        """Whether it is established, and its peer answers."""
        return self.established and not self.stuck


def read_subflows() -> list[Subflow]:
    """All that are established or about to be; Problem where the kernel does not show them."""
    with Conversation(NETLINK_SOCK_DIAG) as kernel:
        messages = ask_tcp(kernel, _STATES)
    return [subflow for message in messages if (subflow := parse_subflow(message))]


def parse_subflow(message: bytes) -> Subflow | None:
    """The subflow that a socket's message is about; None where it is about none."""
    if not is_socket(message):
        return None
    said = read_attributes(message, ANSWER.size)
    upper = said.get(INET_DIAG_ULP_INFO)
    if upper is None:
        return None
    known = read_attributes(read_attributes(upper, 0).get(_INET_ULP_INFO_MPTCP, b""), 0)
    token, flags = (_number(known.get(kind, b""))
                    for kind in (_SUBFLOW_ATTR_TOKEN_LOC, _SUBFLOW_ATTR_FLAGS))
    if not token:
        return None
    family, state, _, _, port, peer_port, local, remote, *_ = ANSWER.unpack_from(message)
    info = said.get(INET_DIAG_INFO, b"")
    return Subflow(
        token, read_end(family, local, port)[0], read_end(family, remote, peer_port)[0], state,
        info[_RETRANSMITS_AT] if len(info) > _RETRANSMITS_AT else 0,
        _number(info[_LAST_ACK_AT:_LAST_ACK_AT + _U32.size]) / 1000, bool(flags & _ASKED_HERE))


def read_token(upper: bytes) -> int:
    """The token in a socket's INET_DIAG_ULP_INFO; 0 where it is no subflow's."""
    known = read_attributes(read_attributes(upper, 0).get(_INET_ULP_INFO_MPTCP, b""), 0)
    return _number(known.get(_SUBFLOW_ATTR_TOKEN_LOC, b""))


def _number(value: bytes) -> int:
    number: int = _U32.unpack(value)[0] if len(value) == _U32.size else 0
    return number
