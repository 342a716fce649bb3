# SPDX-License-Identifier: GPL-2.0-or-later
"""What becomes of a program that does not end in time; spawn.py asks only then."""

from __future__ import annotations

import posix
from signal import ITIMER_REAL, SIGKILL, setitimer

from mptcp_hooks.base.errors import PROGRAM, Problem

# How long what was killed may take to end: the kernel may be busy with it, or stuck.
DYING_AT_MOST = 0.5


def end_overdue(call: tuple[str, ...], child: int, at_most: float, killed: list[int]) -> None:
    """What the alarm does: kill the program's group, and give it up where that is no help.

    `killed` gets the child. Problem where it is there already: what a program waits for
    in the kernel may keep it from dying, and that is not waited for. One that has ended is not
    overdue: who was stopped, as by Ctrl-Z, hears the alarm first when it goes on.
    """
    if _has_ended(child):
        return
    if killed:
        raise describe_overdue(call, at_most, "cannot be killed")
    killed.append(child)
    setitimer(ITIMER_REAL, DYING_AT_MOST)
    kill(child)


def _has_ended(child: int) -> bool:
    """Whether a child has ended; it is left to whoever waits for it."""
    try:
        return posix.waitid(posix.P_PID, child,
                            posix.WEXITED | posix.WNOHANG | posix.WNOWAIT) is not None
    except ChildProcessError:
        # It was waited for just now.
        return True


def describe_overdue(call: tuple[str, ...], at_most: float, end: str = "was killed") -> Problem:
    """The Problem of a program that did not end in time."""
    return Problem(f"'{' '.join(call)}' did not end within {at_most:g} s and {end}",
                   in_vain=PROGRAM)


def kill(group: int) -> None:
    """Kill a program with what it started, unless it has ended just now."""
    try:
        posix.killpg(group, SIGKILL)
    except ProcessLookupError:
        return
