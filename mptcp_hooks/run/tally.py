# SPDX-License-Identifier: GPL-2.0-or-later
"""Counts what a command's TCP connections were, out of what was seen of them. Pure."""

from __future__ import annotations

from mptcp_hooks.base.text import count
from mptcp_hooks.base.value import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Container, Iterable

    from mptcp_hooks.machine.sockets import Socket

    Pair = tuple[tuple[str, int], tuple[str, int]]


class Count(NamedTuple):
    """How many TCP connections there were: those of MPTCP sockets, and of them in the end TCP's.

    `subflows` are those of all MPTCP connections together.
    """

    connections: int
    mptcp: int
    fallbacks: int
    subflows: int

    @property
    def failed(self) -> bool:
        """Whether there were connections, and Multipath TCP was in none."""
        return self.connections > 0 and self.mptcp == self.fallbacks

    def describe(self) -> str:
        """One line for a person."""
        if not self.connections:
            return "no TCP connection was seen"
        kept = self.mptcp - self.fallbacks
        text = (f"{kept} of {count(self.connections, 'TCP connection')} "
                f"{'was' if kept == 1 else 'were'} MPTCP, with "
                f"{count(self.subflows, 'subflow')}")
        if not self.fallbacks:
            return text
        return (f"{text}; {self.fallbacks} more fell back to plain TCP: the other end, or a box on "
                "the way, does without it")


class Tally:
    """Takes in what is seen, again and again, of the sockets that some processes hold."""

    def __init__(self) -> None:
        self._mptcp: dict[int, bool] = {}
        self._plain: set[int] = set()
        self._subflows: dict[int, set[Pair]] = {}

    def note(self, sockets: Iterable[Socket], held: Container[int]) -> None:
        """One look at all sockets, of which those whose inodes are held count."""
        for socket in sockets:
            if not socket.connected or socket.inode not in held:
                continue
            if socket.mptcp:
                self._mptcp[socket.inode] = socket.fallback
            elif socket.subflow:
                # Until the socket itself is seen; a kernel may not show it.
                self._mptcp.setdefault(socket.inode, False)
                self._subflows.setdefault(socket.inode, set()).add((socket.local, socket.remote))
            else:
                self._plain.add(socket.inode)

    def count(self) -> Count:
        """What came together so far."""
        # A subflow that falls back may be seen as plain TCP.
        plain = self._plain - self._mptcp.keys()
        return Count(len(self._mptcp) + len(plain), len(self._mptcp), sum(self._mptcp.values()),
                     sum(map(len, self._subflows.values())))
