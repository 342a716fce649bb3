# SPDX-License-Identifier: GPL-2.0-or-later
"""What comes of many looks at a command's sockets."""

from __future__ import annotations

import pytest

from mptcp_hooks.machine.sockets import Socket
from mptcp_hooks.run.tally import Count, Tally

ESTABLISHED, SYN_SENT, FIN_WAIT, CLOSE, LISTEN = 1, 2, 4, 7, 10
SERVER = ("10.99.0.1", 443)
ONE, OTHER = "10.1.1.2", "10.1.2.2"
PARENT = Socket(True, ESTABLISHED, ("10.1.1.2", 4000), SERVER, 7, False, False)
FIRST = Socket(False, ESTABLISHED, ("10.1.1.2", 4000), SERVER, 7, True, False)
SECOND = FIRST._replace(local=("10.1.2.2", 4001))
PLAIN = Socket(False, ESTABLISHED, ("10.1.1.2", 5000), SERVER, 8, False, False)


def tally(*looks: list[Socket], held: frozenset[int] = frozenset({7, 8})) -> Count:
    made = Tally()
    for look in looks:
        made.note(look, held)
    return made.count()


DEVICES = {"10.1.1.2": "eth0", "10.1.2.2": "eth1", "10.1.3.2": "eth1"}
FELL_BACK = "1 fell back to plain TCP: the other end or a middlebox does not support it"


@pytest.mark.parametrize(("looks", "count", "failed", "words"), [
    ([], Count(0, 0, 0, 0), False, "no TCP connection was seen"),
    ([[PARENT, FIRST]], Count(1, 1, 0, 1, ((ONE, 0),)), False,
     "1 connection, MPTCP, 1 subflow: eth0 0 B"),
    ([[PARENT, FIRST], [PARENT, FIRST, SECOND], [PARENT, SECOND]],
     Count(1, 1, 0, 2, ((ONE, 0), (OTHER, 0))), False,
     "1 connection, MPTCP, 2 subflows: eth0 0 B, eth1 0 B"),
    ([[PARENT, FIRST, PLAIN], []], Count(2, 1, 0, 1, ((ONE, 0),)), False,
     "2 connections, 1 of them MPTCP, 1 subflow: eth0 0 B"),
    ([[PLAIN]], Count(1, 0, 0, 0, ((ONE, 0),)), True, "1 connection, TCP: eth0 0 B"),
    # It fell back in the course of time, and its subflow became like any TCP.
    ([[PARENT, FIRST], [PARENT._replace(fallback=True), FIRST._replace(subflow=False)]],
     Count(1, 1, 1, 1, ((ONE, 0),)), True,
     f"1 connection, TCP, 1 subflow: eth0 0 B; {FELL_BACK}"),
    # A kernel that does not show the socket itself.
    ([[FIRST, SECOND]], Count(1, 1, 0, 2, ((ONE, 0), (OTHER, 0))), False,
     "1 connection, MPTCP, 2 subflows: eth0 0 B, eth1 0 B"),
    ([[socket._replace(state=state) for state in (SYN_SENT, CLOSE, LISTEN)
       for socket in (PARENT, FIRST, PLAIN)]], Count(0, 0, 0, 0), False,
     "no TCP connection was seen"),
    ([[PLAIN._replace(state=FIN_WAIT)]], Count(1, 0, 0, 0, ((ONE, 0),)), True,
     "1 connection, TCP: eth0 0 B"),
])
def test_looks(looks: list[list[Socket]], count: Count, failed: bool, words: str) -> None:
    assert tally(*looks) == count
    assert (count.failed, count.describe(DEVICES)) == (failed, words)


def test_bytes_are_those_last_seen_also_of_what_was_closed() -> None:
    third = SECOND._replace(local=("10.1.3.2", 4002), carried=3000)
    gone = SECOND._replace(local=("10.1.9.2", 4003), carried=9)
    made = tally(
        [PARENT, FIRST._replace(carried=100), SECOND._replace(carried=2_000_000), third, gone],
        [FIRST._replace(carried=5_400_000, inode=0, state=FIN_WAIT),
         # It is in TIME_WAIT, without a figure; and of a stranger that has another's port.
         SECOND._replace(carried=0, inode=0, subflow=False),
         FIRST._replace(local=("10.1.1.2", 1), inode=9, carried=7)])
    assert made.describe(DEVICES) == (
        "1 connection, MPTCP, 4 subflows: eth0 5.4 MB, eth1 2.0 MB, 10.1.9.2 9 B")


def test_what_others_hold_does_not_count() -> None:
    assert tally([PARENT, FIRST, PLAIN], held=frozenset({9})) == Count(0, 0, 0, 0)
    assert tally([PARENT, FIRST, PLAIN], held=frozenset({8})) == Count(1, 0, 0, 0, ((ONE, 0),))
