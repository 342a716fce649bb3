"""Beside the record: for how long new connections do without MPTCP, as the monitor saw it begin.

Nobody but the monitor writes it, so it takes no lock.
"""

from __future__ import annotations

from mptcp_hooks.base.folder import RECORD, open_folder, open_unlocked
from mptcp_hooks.base.value import NamedTuple

# As all that is no interface's and no path manager's: with a dot.
_OFF = ".off"


class Off(NamedTuple):
    """Since when and until when, in seconds of the epoch."""

    since: int
    until: int


def load_off() -> Off | None:
    """What was noted; None where nothing was, or nothing that makes sense."""
    folder = open_folder(RECORD, lock=False)
    try:
        lines, fault = folder.read_lines(_OFF)
        return Off(*map(int, lines[0].split())) if lines and not fault else None
    except (ValueError, TypeError):
        return None
    finally:
        folder.close()


def save_off(off: Off | None) -> None:
    """Note it; None leaves no file."""
    folder = open_unlocked(RECORD)
    try:
        folder.write_lines(_OFF, [f"{off.since} {off.until}"] if off else [])
    finally:
        folder.close()
