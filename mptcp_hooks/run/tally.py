# SPDX-License-Identifier: GPL-2.0-or-later
"""Counts what a command's TCP connections were, out of what was seen of them. Pure."""

from __future__ import annotations

from mptcp_hooks.base.text import count, format_bytes
from mptcp_hooks.base.value import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Container, Iterable, Mapping

    from mptcp_hooks.machine.sockets import Socket

    Pair = tuple[tuple[str, int], tuple[str, int]]


class Count(NamedTuple):
    """How many TCP connections there were: those of MPTCP sockets, and of them in the end TCP's.

    `subflows` are those of all MPTCP connections together. `carried` has how many bytes came and
    went, as they were last seen, by their own address.
    """

    connections: int
    mptcp: int
    fallbacks: int
    subflows: int
    carried: tuple[tuple[str, int], ...] = ()

    @property
    def failed(self) -> bool:
        """Whether there were connections, and Multipath TCP was in none."""
        return self.connections > 0 and self.mptcp == self.fallbacks

    def describe(self, devices: Mapping[str, str]) -> str:
        """One line for a person; `devices` has those of this machine's addresses."""
        if not self.connections:
            return "no TCP connection was seen"
        text = f"{count(self.connections, 'connection')}, {self._name_kind()}"
        if self.subflows:
            text += f", {count(self.subflows, 'subflow')}"
        uplinks = self._describe_uplinks(devices)
        if uplinks:
            text += f": {uplinks}"
        if not self.fallbacks:
            return text
        return (f"{text}; {self.fallbacks} fell back to plain TCP: the other end or a "
                "middlebox does not support it")

    def _name_kind(self) -> str:
        kept = self.mptcp - self.fallbacks
        if kept in (0, self.connections):
            return "MPTCP" if kept else "TCP"
        return f"{kept} of them MPTCP"

    def _describe_uplinks(self, devices: Mapping[str, str]) -> str:
        """The bytes of each device, or of an address that nobody has any more, the most first."""
        sums: dict[str, int] = {}
        for address, carried in self.carried:
            name = devices.get(address, address)
            sums[name] = sums.get(name, 0) + carried
        return ", ".join(f"{name} {format_bytes(number)}" for name, number in sorted(
            sums.items(), key=lambda one: (-one[1], one[0])))


class Tally:
    """Takes in what is seen, again and again, of the sockets that some processes hold."""

    def __init__(self) -> None:
        self._mptcp: dict[int, bool] = {}
        self._plain: set[int] = set()
        self._subflows: dict[int, set[Pair]] = {}
        self._carried: dict[Pair, int] = {}

    def note(self, sockets: Iterable[Socket], held: Container[int]) -> None:
        """One look at all sockets, of which those whose inodes are held count."""
        for socket in sockets:
            pair = socket.local, socket.remote
            if pair in self._carried and not socket.mptcp:
                # Who closed it holds it no more, and it may still send.
                self._carried[pair] = max(self._carried[pair], socket.carried)
            if not socket.connected or socket.inode not in held:
                continue
            if not socket.mptcp:
                self._carried.setdefault(pair, socket.carried)
            if socket.mptcp:
                self._mptcp[socket.inode] = socket.fallback
            elif socket.subflow:
                # Until the socket itself is seen; a kernel may not show it.
                self._mptcp.setdefault(socket.inode, False)
                self._subflows.setdefault(socket.inode, set()).add(pair)
            else:
                self._plain.add(socket.inode)

    def count(self) -> Count:
        """What came together so far."""
        # A subflow that falls back may be seen as plain TCP.
        plain = self._plain - self._mptcp.keys()
        return Count(len(self._mptcp) + len(plain), len(self._mptcp), sum(self._mptcp.values()),
                     sum(map(len, self._subflows.values())), self._sum_carried())

    def _sum_carried(self) -> tuple[tuple[str, int], ...]:
        sums: dict[str, int] = {}
        for (local, _), carried in self._carried.items():
            sums[local[0]] = sums.get(local[0], 0) + carried
        return tuple(sums.items())
