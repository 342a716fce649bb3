# SPDX-License-Identifier: GPL-2.0-or-later
"""Beside the record: which paths nothing gets through over, why, and since when.

Nobody but mptcp_monitor writes it, so it takes no lock. The first line is the process that did,
by its number and the time it began; what one that is gone left is nobody's word any more. A line
follows for each path's address: the address, since when, and why.
"""

from __future__ import annotations

import os

from mptcp_hooks.base.address import normalise
from mptcp_hooks.base.folder import RECORD, exists, open_folder, open_unlocked
from mptcp_hooks.base.textfile import read_text
from mptcp_hooks.base.value import NamedTuple

# Why a path is out; and that it may be, as those who use it wait.
NO_CARRIER, GATEWAY_SILENT, CHECK_FAILED = "no carrier", "gateway silent", "check failed"
UNSTEADY, SUSPECTED = "comes and goes", "suspected"
_REASONS = (NO_CARRIER, GATEWAY_SILENT, CHECK_FAILED, UNSTEADY, SUSPECTED)
# As all that is no interface's and no path manager's: with a dot.
_FAULTS = ".faults"
# Of /proc/PID/stat behind the program's name: the time a process began, in ticks (proc(5)).
_BEGAN = 19


class Fault(NamedTuple):
    """Why nothing gets through over a path's address, `since` when, in seconds of the epoch."""

    address: str
    why: str
    since: int


def load_faults() -> tuple[Fault, ...]:
    """What is noted by one that still runs; nothing where not all of it makes sense."""
    writer, faults = _read()
    return faults if writer and writer == _name_process(writer.partition(" ")[0]) else ()


def recall_faults() -> tuple[Fault, ...]:
    """What was noted by whomever: the next one goes on from there."""
    return _read()[1]


def save_faults(faults: tuple[Fault, ...]) -> None:
    """Note them as this process' word; none leave no file."""
    if not faults and not exists(RECORD, _FAULTS):
        return
    folder = open_unlocked(RECORD)
    try:
        folder.write_lines(_FAULTS, [_name_process(str(os.getpid())), *map(_encode, faults)]
                           if faults else [])
    finally:
        folder.close()


def _read() -> tuple[str, tuple[Fault, ...]]:
    folder = open_folder(RECORD, lock=False)
    try:
        lines, fault = folder.read_lines(_FAULTS)
        return ("", ()) if fault or not lines else (lines[0], tuple(map(_decode, lines[1:])))
    except ValueError:
        return "", ()
    finally:
        folder.close()


def _name_process(pid: str) -> str:
    """A process, told from a later one of the same number; '' where there is none."""
    # The name of the program, in parentheses, may hold anything.
    _, _, rest = read_text(f"/proc/{pid}/stat").rpartition(")") if pid.isdecimal() else [""] * 3
    return f"{pid} {rest.split()[_BEGAN]}" if rest else ""


def _encode(fault: Fault) -> str:
    return f"{fault.address} {fault.since} {fault.why}"


def _decode(line: str) -> Fault:
    own, since, why = line.split(" ", 2)
    return Fault(normalise(own), _REASONS[_REASONS.index(why)], int(since))
