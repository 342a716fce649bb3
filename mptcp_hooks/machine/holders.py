# SPDX-License-Identifier: GPL-2.0-or-later
"""Who holds a lock of flock(2), for the one who waits for it: proc(5), /proc/PID/fdinfo.

/proc/locks names who took it, who may be gone: the lock is the open file's, and
whoever inherited that has it.
"""

from __future__ import annotations

import os

from mptcp_hooks.base.report import make_printable
from mptcp_hooks.base.textfile import read_text
from mptcp_hooks.base.value import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

_ANYONE = "another process (see lslocks)"


def describe_holders(path: str) -> str:
    """Which processes keep the lock of a file; root sees all of them, if it has all rights."""
    named = [f"{make_printable(read_text(f'/proc/{pid}/comm').strip())} (process {pid})"
             for pid in _list_holders(path)]
    keep = "keep" if len(named) > 1 else "keeps"
    return f"{' and '.join(named) or _ANYONE} {keep} the lock {path}"


def _list_holders(path: str) -> Iterator[int]:
    for pid in (name for name in os.listdir("/proc") if name.isdecimal()):
        try:
            descriptors = os.listdir(f"/proc/{pid}/fd")
        except OSError:
            # It ended, or is not for us to see.
            continue
        if any(_holds(pid, descriptor, path) for descriptor in descriptors):
            yield int(pid)


def _holds(pid: str, descriptor: str, path: str) -> bool:
    entry = f"/proc/{pid}/fd/{descriptor}"
    try:
        # A container has a file of the same name.
        if os.readlink(entry) != path or not os.path.samefile(entry, path):
            return False
    except OSError:
        return False
    return "\nlock:" in read_text(f"/proc/{pid}/fdinfo/{descriptor}")
