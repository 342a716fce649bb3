# SPDX-License-Identifier: GPL-2.0-or-later
"""Steps as values, and as lines of text that a person reads and a replay takes.

    link up|down DEV             carrier on|off DEV        device gone|made DEV
    gateway silent|answers DEV   all gateways on its link, which is an outage beyond the cable
    uplink weak|strong DEV       what a monitor that begins later remembers of it
    check failed|answers DEV 4|6 PLACE    what mptcp_check finds of the path of an address
    tunnel up|gone               all goes by a tunnel, which dies with its default routes
    address add|del DEV 4|6 PLACE    default add|del DEV 4|6
    router came|gone DEV         the default of IPv6 that a router advertises, by its fe80:: address
    damage N                     the Nth of ours is deleted   damage flush
    foreign add|del NAME         endpoint add|del NAME     limits SUBFLOWS ADDRESSES
    configure WORD...            mptcp-hooks.conf (world.Configuration)
    hook STANZA                  if-up.d alone (world.Stanza)
    ifup STANZA                  link, addresses, if-up.d
    lease DEV PLACE|none         what a DHCP client's hook is told: the lease it has now
    farewell IFACE               if-down.d             down IFACE    if-post-down.d
    ifdown IFACE                 if-down.d, addresses and link, if-post-down.d
    mptcp_up IFACE|--all         mptcp_down IFACE|--all
    monitor on|off|kill|reload
    kill MS all|one: STEP        killed after MS ms, with all it started or alone; then again
    together: STEP & STEP...     at the same time
    race N MS: STEP              the Nth of ours is deleted MS ms after STEP began; then again
"""

from __future__ import annotations

from typing import NamedTuple

# Those of the package, which start one program.
OURS = ("hook", "farewell", "down", "lease", "mptcp_up", "mptcp_down")


class Step(NamedTuple):
    """One step: what to do, with what, and the steps it is made of."""

    kind: str
    words: tuple[str, ...] = ()
    inner: tuple[Step, ...] = ()

    def __str__(self) -> str:
        head = " ".join([self.kind, *self.words])
        return f"{head}: {' & '.join(map(str, self.inner))}" if self.inner else head

    @property
    def iface(self) -> str:
        """The interface of a step that begins with it."""
        return self.words[0]


def make_step(text: str) -> Step:
    """A step of its text."""
    head, colon, rest = text.partition(": ")
    if not colon:
        kind, *words = text.split()
        return Step(kind, tuple(words))
    kind, *words = head.split()
    return Step(kind, tuple(words), tuple(map(make_step, rest.split(" & "))))
