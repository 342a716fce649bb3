# SPDX-License-Identifier: GPL-2.0-or-later
"""Beside the record: for how long new connections do without MPTCP, as the monitor saw it begin.

Nobody but the monitor writes it, so it takes no lock.
"""

from __future__ import annotations

from mptcp_hooks.base.folder import RECORD, open_folder, open_unlocked
from mptcp_hooks.base.value import NamedTuple

# As all that is no interface's and no path manager's: with a dot.
_OFF = ".off"


class Off(NamedTuple):
    """Since when and until when, in seconds of the epoch, and interfaces that were out before."""

    since: int
    until: int
    outages: tuple[str, ...] = ()


def load_off() -> Off | None:
    """What was noted; None where nothing was, or nothing that makes sense."""
    folder = open_folder(RECORD, lock=False)
    try:
        lines, fault = folder.read_lines(_OFF)
        if not lines or fault:
            return None
        since, until, *outages = lines[0].split()
        return Off(int(since), int(until), tuple(outages))
    except ValueError:
        return None
    finally:
        folder.close()


def save_off(off: Off | None) -> None:
    """Note it; None leaves no file."""
    folder = open_unlocked(RECORD)
    try:
        folder.write_lines(_OFF, [" ".join((str(off.since), str(off.until), *off.outages))]
                           if off else [])
    finally:
        folder.close()
