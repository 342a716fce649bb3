# SPDX-License-Identifier: GPL-2.0-or-later
"""Beside the record: what the kernel's MPTCP counters were some time ago, as the monitor noted.

They count from the machine's start, and trouble that is over stays in them. Nobody but the
monitor writes this, so it takes no lock.
"""

from __future__ import annotations

from mptcp_hooks.base.folder import RECORD, open_folder, open_unlocked
from mptcp_hooks.base.value import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Mapping

_COUNTED = ".counted"


class Counted(NamedTuple):
    """The counters at one time, in seconds of the epoch."""

    at: float
    counters: Mapping[str, int]


def load_counted() -> Counted | None:
    """The oldest of what was noted; None where nothing was, or nothing that makes sense."""
    return next(iter(_load_all()), None)


def note_counted(now: Counted) -> None:
    """Note counters beside those of the last time; what was before that is forgotten."""
    kept = _load_all()[-1:]
    folder = open_unlocked(RECORD)
    try:
        folder.write_lines(_COUNTED, [_format(one) for one in (*kept, now)])
    finally:
        folder.close()


def _load_all() -> list[Counted]:
    folder = open_folder(RECORD, lock=False)
    try:
        lines, fault = folder.read_lines(_COUNTED)
        return [] if fault else [_parse(line) for line in lines]
    except ValueError:
        return []
    finally:
        folder.close()


def _format(counted: Counted) -> str:
    numbers = (f"{name}={number}" for name, number in counted.counters.items() if number)
    return " ".join((str(int(counted.at)), *numbers))


def _parse(line: str) -> Counted:
    at, *numbers = line.split()
    pairs = (one.partition("=") for one in numbers)
    return Counted(int(at), {name: int(number) for name, _, number in pairs})
