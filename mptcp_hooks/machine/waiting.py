# SPDX-License-Identifier: GPL-2.0-or-later
"""What the TCP sockets of this network namespace say of the addresses that they leave from.

Whoever waits for an answer, and when there last was one; MPTCP's subflows are among them.
Over netlink (sock_diag(7)); struct tcp_info is in include/uapi/linux/tcp.h. A question takes
0.4 ms for ten sockets, 5 ms for a thousand and 50 ms for ten thousand, a third of it the
kernel's. To have that leave other addresses' out (INET_DIAG_REQ_BYTECODE) would save 1.5 of
the 2 us that such a socket takes here, and nothing where all are ours, as they are on a client.
"""

from __future__ import annotations

from socket import AF_INET, AF_INET6, inet_pton
from struct import Struct

from mptcp_hooks.base.address import family_of, is_loopback
from mptcp_hooks.base.text import read_number
from mptcp_hooks.base.textfile import read_text
from mptcp_hooks.base.value import TYPE_CHECKING, NamedTuple
from mptcp_hooks.machine.counters import COUNTERS
from mptcp_hooks.machine.netlink import Conversation, read_attributes
from mptcp_hooks.machine.sockets import (
    ANSWER,
    INET_DIAG_INFO,
    NETLINK_SOCK_DIAG,
    TCP_CLOSE_WAIT,
    TCP_ESTABLISHED,
    TCP_FIN_WAIT1,
    TCP_LAST_ACK,
    TCP_SYN_SENT,
    ask_tcp,
    is_socket,
    read_end,
)

if TYPE_CHECKING:
    from collections.abc import Mapping

# include/net/tcp_states.h; and include/net/tcp.h, TCP_TIMEWAIT_LEN, in milliseconds.
_TCP_TIME_WAIT, _TIME_WAIT_LASTS = 6, 60_000
_STATES = (1 << TCP_ESTABLISHED | 1 << TCP_SYN_SENT | 1 << TCP_FIN_WAIT1 | 1 << TCP_CLOSE_WAIT
           | 1 << TCP_LAST_ACK)
# struct inet_diag_msg: the field of this end's address.
_SOURCE_AT, _SOURCE_SIZE = 8, 16
_MAPPED = bytes(10) + b"\xff\xff"
# struct tcp_info: tcpi_retransmits, a byte; tcpi_last_ack_recv, in milliseconds; and
# tcpi_bytes_acked.
_INFO = Struct("=2xB53xI60xQ")
_PREFIX, _TIMEOUTS = "TcpExt:", "TCPTimeouts"
_NEVER = float("inf")


class Exchange(NamedTuple):
    """One TCP connection, or subflow, of an own address; `port` is the peer's.
    `retransmits` is how many timeouts came in a row without an answer, `silence` for how many
    seconds there was none; without end where there never was one (SYN_SENT), or the kernel
    does not say. `acked` is how many bytes the peer acknowledged. `own_port` tells connections
    to one peer apart.
    """

    local: str
    remote: str
    port: int
    state: int
    retransmits: int
    silence: float
    acked: int
    own_port: int = 0

    @property
    def established(self) -> bool:
        """Whether its peer has ever answered."""
        return self.state != TCP_SYN_SENT


def read_exchanges(addresses: frozenset[str], ended: bool = False) -> list[Exchange]:
    """Those of these own addresses; Problem where the kernel does not show them.

    With `ended` those as well that ended in the last minute, if this end closed them first
    (TIME_WAIT). Most connections are so short that nobody sees them alive, and that they were
    answered has to count. But a busy machine has ten thousand of them, which take 40 ms. None
    of those within the machine: what they say holds for no uplink.
    """
    sources = _list_sources(addresses)
    states = _STATES | 1 << _TCP_TIME_WAIT if ended else _STATES
    with Conversation(NETLINK_SOCK_DIAG) as kernel:
        messages = ask_tcp(kernel, states)
    exchanges = (_parse(message, sources) for message in messages)
    return [one for one in exchanges
            if one and one.remote not in addresses and not is_loopback(one.remote)]


def parse_exchange(message: bytes, addresses: frozenset[str]) -> Exchange | None:
    """What a socket's message tells; None where it is about none of these own addresses."""
    return _parse(message, _list_sources(addresses))


def _list_sources(addresses: frozenset[str]) -> Mapping[tuple[int, bytes], str]:
    """The addresses by a socket's family and the bytes that its message has for them."""
    found = {}
    for address in addresses:
        family = AF_INET6 if family_of(address) == 6 else AF_INET
        packed = inet_pton(family, address)
        found[int(family), packed.ljust(_SOURCE_SIZE, b"\0")] = address
        if family == AF_INET:
            # As IPv6 sockets have it that are connected by IPv4.
            found[int(AF_INET6), _MAPPED + packed] = address
    return found


def _parse(message: bytes, sources: Mapping[tuple[int, bytes], str]) -> Exchange | None:
    if not is_socket(message):
        return None
    # Before all else is taken apart: a server has thousands of others.
    local = sources.get((message[0], message[_SOURCE_AT:_SOURCE_AT + _SOURCE_SIZE]))
    if local is None:
        return None
    family, state, _, _, port, peer_port, _, peer, _, _, left, *_ = ANSWER.unpack_from(message)
    remote, remote_port = read_end(family, peer, peer_port)
    retransmits, silence, acked = _read_info(
        read_attributes(message, ANSWER.size).get(INET_DIAG_INFO, b""))
    if state == TCP_SYN_SENT:
        # It has counted since the machine began.
        silence = _NEVER
    elif state == _TCP_TIME_WAIT:
        # It has no info; its minute begins anew with all that comes.
        silence = max(0, _TIME_WAIT_LASTS - left) / 1000
    return Exchange(local, remote, remote_port, state, retransmits, silence, acked,
                    int.from_bytes(port, "big"))


def _read_info(info: bytes) -> tuple[int, float, int]:
    """Timeouts, silence and bytes; of what is cut off neither a wait nor an answer."""
    if len(info) < _INFO.size:
        return 0, _NEVER, 0
    retransmits, silence, acked = _INFO.unpack_from(info)
    return retransmits, silence / 1000, acked


def read_timeouts() -> int:
    """How many retransmission timeouts there were, of all TCP; reading takes 0.06 ms.

    Unanswered SYNs are among them (TCPSynRetrans has those once more, and SYN+ACKs). Where the
    number does not move, nobody begins to wait.
    """
    return parse_timeouts(read_text(COUNTERS))


def parse_timeouts(text: str) -> int:
    """The number in /proc/net/netstat, 0 where it has none: a line of names, one of values."""
    lines = [line.split() for line in text.splitlines() if line.startswith(_PREFIX)]
    if len(lines) != 2:
        return 0
    names, values = lines
    return read_number(dict(zip(names, values)).get(_TIMEOUTS, "")) or 0
