# SPDX-License-Identifier: GPL-2.0-or-later
"""What comes of many looks at a command's sockets."""

from __future__ import annotations

import pytest

from mptcp_hooks.machine.sockets import Socket
from mptcp_hooks.run.tally import Count, Tally

ESTABLISHED, SYN_SENT, FIN_WAIT, CLOSE, LISTEN = 1, 2, 4, 7, 10
SERVER = ("10.99.0.1", 443)
PARENT = Socket(True, ESTABLISHED, ("10.1.1.2", 4000), SERVER, 7, False, False)
FIRST = Socket(False, ESTABLISHED, ("10.1.1.2", 4000), SERVER, 7, True, False)
SECOND = FIRST._replace(local=("10.1.2.2", 4001))
PLAIN = Socket(False, ESTABLISHED, ("10.1.1.2", 5000), SERVER, 8, False, False)


def tally(*looks: list[Socket], held: frozenset[int] = frozenset({7, 8})) -> Count:
    made = Tally()
    for look in looks:
        made.note(look, held)
    return made.count()


@pytest.mark.parametrize(("looks", "count", "failed", "words"), [
    ([], Count(0, 0, 0, 0), False, "no TCP connection was seen"),
    ([[PARENT, FIRST]], Count(1, 1, 0, 1), False,
     "1 of 1 TCP connection was MPTCP, with 1 subflow"),
    ([[PARENT, FIRST], [PARENT, FIRST, SECOND], [PARENT, SECOND]], Count(1, 1, 0, 2), False,
     "1 of 1 TCP connection was MPTCP, with 2 subflows"),
    ([[PARENT, FIRST, PLAIN], []], Count(2, 1, 0, 1), False,
     "1 of 2 TCP connections was MPTCP, with 1 subflow"),
    ([[PLAIN]], Count(1, 0, 0, 0), True, "0 of 1 TCP connection were MPTCP, with 0 subflows"),
    # It fell back in the course of time, and its subflow became like any TCP.
    ([[PARENT, FIRST], [PARENT._replace(fallback=True), FIRST._replace(subflow=False)]],
     Count(1, 1, 1, 1), True,
     "0 of 1 TCP connection were MPTCP, with 1 subflow; 1 more fell back to plain TCP: the other "
     "end, or a box on the way, does without it"),
    # A kernel that does not show the socket itself.
    ([[FIRST, SECOND]], Count(1, 1, 0, 2), False,
     "1 of 1 TCP connection was MPTCP, with 2 subflows"),
    ([[socket._replace(state=state) for state in (SYN_SENT, CLOSE, LISTEN)
       for socket in (PARENT, FIRST, PLAIN)]], Count(0, 0, 0, 0), False,
     "no TCP connection was seen"),
    ([[PLAIN._replace(state=FIN_WAIT)]], Count(1, 0, 0, 0), True,
     "0 of 1 TCP connection were MPTCP, with 0 subflows"),
])
def test_looks(looks: list[list[Socket]], count: Count, failed: bool, words: str) -> None:
    assert tally(*looks) == count
    assert (count.failed, count.describe()) == (failed, words)


def test_what_others_hold_does_not_count() -> None:
    assert tally([PARENT, FIRST, PLAIN], held=frozenset({9})) == Count(0, 0, 0, 0)
    assert tally([PARENT, FIRST, PLAIN], held=frozenset({8})) == Count(1, 0, 0, 0)
