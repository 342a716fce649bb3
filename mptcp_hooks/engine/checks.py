# SPDX-License-Identifier: GPL-2.0-or-later
"""Beside the record: how the checks of paths stand, as mptcp_check sees them.

Nobody but mptcp_check writes it, so it takes no lock. A line for each address that is
checked: the address, `failed` or `answers`, since when, and whom it asks.
"""

from __future__ import annotations

from mptcp_hooks.base.address import normalise
from mptcp_hooks.base.folder import RECORD, exists, open_folder, open_unlocked
from mptcp_hooks.base.value import NamedTuple

# As all that is no interface's and no path manager's: with a dot.
_CHECKS = ".checks"
_FAILED, _ANSWERS = "failed", "answers"
_STATES = {_FAILED: True, _ANSWERS: False}


class CheckResult(NamedTuple):
    """How the check of a path's address stands, `since` when, in seconds of the epoch.

    `target` is whom the path asks, as people write it: names with blanks between them.
    """

    address: str
    failed: bool
    since: int
    target: str


def load_checks() -> tuple[CheckResult, ...]:
    """What was noted; nothing where nobody is checked, or where not all of it makes sense."""
    folder = open_folder(RECORD, lock=False)
    try:
        lines, fault = folder.read_lines(_CHECKS)
        return () if fault else tuple(map(_decode, lines))
    except (ValueError, KeyError):
        return ()
    finally:
        folder.close()


def save_checks(results: tuple[CheckResult, ...]) -> None:
    """Note how the checks stand; nothing leaves no file."""
    if not results and not exists(RECORD, _CHECKS):
        return
    folder = open_unlocked(RECORD)
    try:
        folder.write_lines(_CHECKS, list(map(_encode, results)))
    finally:
        folder.close()


def _encode(result: CheckResult) -> str:
    state = _FAILED if result.failed else _ANSWERS
    return f"{result.address} {state} {result.since} {result.target}"


def _decode(line: str) -> CheckResult:
    own, state, since, target = line.split(" ", 3)
    return CheckResult(normalise(own), _STATES[state], int(since), target)
