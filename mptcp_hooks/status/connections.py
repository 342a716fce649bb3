# SPDX-License-Identifier: GPL-2.0-or-later
"""Live MPTCP connections and their subflows, read from what `ss -Menita` prints.

ss has no JSON. It prints a line a socket, and under it, indented, what the kernel
tells of it. An MPTCP socket and the TCP sockets of its subflows are lines apart,
in any order; the connection's token joins them.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping

from mptcp_hooks.base.address import normalise
from mptcp_hooks.base.text import read_number
from mptcp_hooks.base.value import NamedTuple

# -M and -t the sockets, -a also those that are not established, -n numbers, -i what
# the kernel tells, -e the inode, -o the timer.
SS_ARGUMENTS = ("-Menita",)

# tcp(7)'s states that can still carry data both ways, or come to that; ss's words.
_LIVE = ("ESTAB", "SYN-SENT", "SYN-RECV")
_MAPPED = "::ffff:"
_ENDPOINT = re.compile(r"(\[[^\]\s]+\]|[^\[\]%:\s]+)(?:%([^:\s]+))?:(\d+|\*)")
_INODE = re.compile(r" ino:([1-9]\d*) sk:")
_TIMEOUTS = re.compile(r" timer:\(on,[^,()]*,(\d+)\)")
# `token:REMOTE(id:N)/LOCAL(id:N)`, see mptcp_subflow_info() in iproute2's misc/ss.c.
_TOKENS = re.compile(r"[0-9a-f]+\(id:\d+\)/([0-9a-f]{1,8})\(id:(\d+)\)")
_TOKEN = re.compile("[0-9a-f]{1,8}")
_TIME = re.compile(r"[0-9]{1,9}(\.[0-9]{1,9})?")


class Subflow(NamedTuple):
    """One TCP connection of an MPTCP connection.

    `local` and `remote` are `ADDRESS:PORT` as ss writes them, without a device;
    `interface` is '' where no device has the local address (any more). `backup`
    is true where either end asked for it. `identity` is the address id at this end,
    0 for the first subflow, None where it is hidden. The bytes are TCP's: what was
    sent again counts as sent, and not as received. `rtt` is in milliseconds, None
    before there was an answer, `lowest_rtt` the lowest that was measured.
    `retransmissions` counts segments that were sent again, `unanswered` the
    retransmission timeouts since the peer was last heard.
    """

    interface: str
    local: str
    remote: str
    state: str
    backup: bool
    identity: int | None
    bytes_sent: int
    bytes_received: int
    rtt: float | None
    unanswered: int
    retransmissions: int = 0
    lowest_rtt: float | None = None


class Connection(NamedTuple):
    """One MPTCP connection.

    `state` is ss's word for it (ESTAB, FIN-WAIT-1 ...), '' where only subflows could
    be seen. `fallback`: it goes on as plain TCP. `token` is '' where it is hidden,
    `inode` 0 where no process holds the socket any more.
    """

    local: str
    remote: str
    state: str
    fallback: bool
    token: str
    inode: int
    subflows: tuple[Subflow, ...]


class Total(NamedTuple):
    """What all subflows of an interface carried; '' stands for those without a device.

    `lowest_rtt` is the lowest of theirs, None where none has any.
    """

    interface: str
    subflows: int
    bytes_sent: int
    bytes_received: int
    retransmissions: int
    lowest_rtt: float | None


class _End(NamedTuple):
    """`ADDRESS:PORT` as ss writes it, its address, and the device that the socket is bound to."""

    text: str
    address: str
    device: str
    port: str


class _Socket(NamedTuple):
    """What ss prints of one socket; `words` are those of the kernel, of the indented lines."""

    kind: str
    state: str
    local: _End
    remote: _End
    inode: int
    unanswered: int
    words: tuple[str, ...]

    def field(self, name: str) -> str:
        """The text after `name:`, '' where the kernel said nothing of it."""
        start = name + ":"
        return next((word[len(start):] for word in self.words if word.startswith(start)), "")


class _Piece(NamedTuple):
    """A subflow, and what tells whose it is."""

    token: str
    inode: int
    subflow: Subflow


def read_connections(output: str, devices: Mapping[str, str]) -> tuple[Connection, ...]:
    """The connections in what `ss -Menita` printed, in the order of their addresses.

    `devices` has the device of each address of this machine. Listening sockets are
    no connections, and lines that make no sense are passed over. Subflows go to the
    socket with their token; where the kernel hides that, to the one with their inode.
    Those that find none make a connection without a state, unless they are only on
    their way to their end: the connection is over. A subflow in TIME-WAIT is
    left out: nothing tells it from plain TCP. So is a connection that this end
    accepted as plain TCP.
    """
    sockets = tuple(_read_sockets(output))
    parents = [socket for socket in sockets if socket.kind == "mptcp"]
    pieces: dict[object, list[_Piece]] = {parent: [] for parent in parents}
    homes = _index(parents)
    for number, socket in enumerate(sockets):
        if socket.kind == "tcp" and "tcp-ulp-mptcp" in socket.words:
            piece = _read_piece(socket, devices)
            pieces.setdefault(_find_home(piece, homes) or _mark(piece, number), []).append(piece)
    found = [_join(parent, pieces.pop(parent)) for parent in parents]
    orphans = [_join_orphans(those) for those in pieces.values()
               if any(piece.subflow.state in _LIVE for piece in those)]
    return tuple(sorted((*found, *orphans), key=lambda each: (each.local, each.remote)))


def sum_interfaces(connections: tuple[Connection, ...]) -> tuple[Total, ...]:
    """The totals of each interface, by name; what has none comes last."""
    subflows = [subflow for connection in connections for subflow in connection.subflows]
    names = sorted({subflow.interface for subflow in subflows}, key=lambda name: (not name, name))
    return tuple(_sum(name, [each for each in subflows if each.interface == name])
                 for name in names)


def choose_subflows(
    connections: tuple[Connection, ...], interfaces: frozenset[str], addresses: frozenset[str]
) -> tuple[Connection, ...]:
    """The connections with a subflow of these interfaces or own addresses, and these alone."""
    chosen = (one._replace(subflows=tuple(
        subflow for subflow in one.subflows
        if subflow.interface in interfaces or address_of(subflow) in addresses))
        for one in connections)
    return tuple(one for one in chosen if one.subflows)


def address_of(subflow: Subflow) -> str:
    """The own address of a subflow, as others write it."""
    return subflow.local.rpartition(":")[0].strip("[]").removeprefix(_MAPPED)


def count_bytes(connection: Connection) -> int:
    """What all its subflows carried, both ways."""
    return sum(each.bytes_sent + each.bytes_received for each in connection.subflows)


def _sum(name: str, subflows: list[Subflow]) -> Total:
    rtts = [each.lowest_rtt for each in subflows if each.lowest_rtt is not None]
    return Total(name, len(subflows), sum(each.bytes_sent for each in subflows),
                 sum(each.bytes_received for each in subflows),
                 sum(each.retransmissions for each in subflows), min(rtts, default=None))


def _read_sockets(output: str) -> Iterator[_Socket]:
    for head, details in _split(output):
        socket = _read_socket(head, details)
        if socket is not None:
            yield socket


def _split(output: str) -> Iterator[tuple[str, list[str]]]:
    """Each line of a socket with the words of the indented lines below it."""
    head, details = "", list[str]()
    for line in output.splitlines():
        if line[:1].isspace():
            details += line.split()
        elif line:
            yield head, details
            head, details = line, []
    yield head, details


def _read_socket(head: str, details: list[str]) -> _Socket | None:
    """A connected socket; None for any other line."""
    words = head.split()
    if len(words) < 6 or words[0] not in ("mptcp", "tcp"):
        return None
    local, remote = _read_end(words[4]), _read_end(words[5])
    if local is None or remote is None or remote.port == "*":
        return None
    return _Socket(words[0], words[1], local, remote, _find_number(_INODE, head),
                   _find_number(_TIMEOUTS, head), tuple(details))


def _read_end(text: str) -> _End | None:
    match = _ENDPOINT.fullmatch(text)
    if match is None:
        return None
    address, device, port = match.groups(default="")
    return _End(f"{address}:{port}", address.strip("[]"), device, port)


def _find_number(pattern: re.Pattern[str], text: str) -> int:
    match = pattern.search(text)
    return match and read_number(match[1]) or 0


def _read_piece(socket: _Socket, devices: Mapping[str, str]) -> _Piece:
    tokens = _TOKENS.fullmatch(socket.field("token"))
    token, identity = (_read_token(tokens[1]), read_number(tokens[2])) if tokens else ("", None)
    # B: the peer asked to have it as a backup, b: this end did.
    backup = not set("Bb").isdisjoint(socket.field("flags"))
    subflow = Subflow(
        socket.local.device or _find_device(socket.local.address, devices),
        socket.local.text, socket.remote.text, socket.state, backup, identity,
        _read_bytes(socket.field("bytes_sent")), _read_bytes(socket.field("bytes_received")),
        _read_time(socket.field("rtt")), socket.unanswered,
        _read_retransmissions(socket.field("retrans")), _read_time(socket.field("minrtt")))
    return _Piece(token, socket.inode, subflow)


def _read_token(text: str) -> str:
    """One spelling: ss fills a subflow's token up to four digits, and its socket's not.

    '' for zero, which is no token.
    """
    number = int(text, 16)
    return f"{number:08x}" if number else ""


def _read_bytes(text: str) -> int:
    """ss leaves a number out that is zero."""
    return read_number(text) or 0


def _read_retransmissions(text: str) -> int:
    """The second of `NOW/IN ALL`, which ss leaves out where nothing was sent again."""
    return read_number(text.partition("/")[2]) or 0


def _read_time(text: str) -> float | None:
    """The first of `SMOOTHED/VARIANCE`, in milliseconds; JSON has no number for nan or inf."""
    time = text.partition("/")[0]
    return float(time) if _TIME.fullmatch(time) else None


def _find_device(address: str, devices: Mapping[str, str]) -> str:
    """The device of an address; IPv4 over an IPv6 socket is still IPv4."""
    try:
        return devices.get(normalise(address.removeprefix(_MAPPED)), "")
    except ValueError:
        return ""


def _index(parents: list[_Socket]) -> dict[object, _Socket]:
    """The MPTCP sockets by their token and, where a process holds one, by their inode."""
    homes: dict[object, _Socket] = {parent.inode: parent for parent in parents}
    homes.update((_token_of(parent), parent) for parent in parents)
    return {mark: parent for mark, parent in homes.items() if mark}


def _find_home(piece: _Piece, homes: dict[object, _Socket]) -> _Socket | None:
    return homes.get(piece.token) or homes.get(piece.inode)


def _mark(piece: _Piece, number: int) -> object:
    """What subflows without a socket have in common; without a mark each is its own."""
    return piece.token or piece.inode or (number,)


def _token_of(parent: _Socket) -> str:
    text = parent.field("token")
    return _read_token(text) if _TOKEN.fullmatch(text) else ""


def _join(parent: _Socket, pieces: list[_Piece]) -> Connection:
    return Connection(parent.local.text, parent.remote.text, parent.state,
                      "fallback" in parent.words, _token_of(parent), parent.inode,
                      _order(pieces))


def _join_orphans(pieces: list[_Piece]) -> Connection:
    """The connection of subflows whose MPTCP socket is not in sight."""
    subflows = _order(pieces)
    return Connection(subflows[0].local, subflows[0].remote, "", False, pieces[0].token,
                      pieces[0].inode, subflows)


def _order(pieces: list[_Piece]) -> tuple[Subflow, ...]:
    """The first subflow first, the others by their ids; ss has them in the order of a hash."""
    return tuple(sorted((piece.subflow for piece in pieces),
                        key=lambda each: (each.identity or 0, each.local, each.remote)))
