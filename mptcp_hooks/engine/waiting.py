# SPDX-License-Identifier: GPL-2.0-or-later
"""Waiting for who has the record's lock, but not for ever; and what is remembered of it.

A hook that waited in vain notes the time in `.waited`: for a minute no hook waits for more
than a moment, so that a boot waits once, however many interfaces it brings up.
"""

from __future__ import annotations

from posix import getpid
from time import monotonic, sleep

from mptcp_hooks.base.errors import LOCK, Problem
from mptcp_hooks.base.folder import PATIENCE, RECORD, WAITED, Folder, exists, open_folder
from mptcp_hooks.base.spawn import run_batch
from mptcp_hooks.base.value import TYPE_CHECKING
from mptcp_hooks.machine.holders import describe_holders

if TYPE_CHECKING:
    from collections.abc import Callable

    from mptcp_hooks.machine.runner import Batch

# In seconds: how long a vain wait is remembered, how long is waited meanwhile, and how long
# a person waits, who is told for whom after a moment.
_REMEMBERED, _MOMENT, _PERSONS_PATIENCE = 60.0, 0.5, 30.0
_PAUSE = 0.005


def wait_for_lock(folder: Folder, say: Callable[[str], None] | None) -> None:
    """Wait for the lock of a folder; Problem where somebody keeps it, and the folder is closed.

    `say` is given where a person waits.
    """
    patience = _PERSONS_PATIENCE if say else find_patience()
    began = monotonic()
    while not folder.lock():
        waited = monotonic() - began
        if waited > patience:
            folder.close()
            raise Problem(_describe_holder(folder), in_vain=LOCK)
        if say and waited > _MOMENT:
            say(f"waiting: {_describe_holder(folder)}")
            say = None
        sleep(_PAUSE)


def find_patience() -> float:
    """How long a hook may wait for something, in seconds: a moment after a vain wait."""
    if not exists(RECORD, WAITED):
        return PATIENCE
    folder = open_folder(RECORD, lock=False)
    try:
        lines, _ = folder.read_lines(WAITED)
        ago = monotonic() - float(" ".join(lines))
    except (Problem, ValueError):
        return PATIENCE
    finally:
        folder.close()
    return _MOMENT if 0 <= ago < _REMEMBERED else PATIENCE


def note_vain_wait(folder: Folder) -> None:
    """Remember that a hook waited in vain, or killed what did not end."""
    write_unlocked(folder, WAITED, [repr(monotonic())])


def write_unlocked(folder: Folder, name: str, lines: list[str]) -> None:
    """Write a file without the lock: one that nobody else writes, or that may be anybody's."""
    try:
        folder.replace(name, lines, str(getpid()))
    except OSError as error:
        raise Problem(f"cannot write {folder.path}/{name}: {error.strerror}") from None


def find_batch() -> Batch:
    """What runs batches for a hook, for as long as it may wait."""
    patience = find_patience()
    return lambda option, force, text: run_batch(option, force, text, patience)


def _describe_holder(folder: Folder) -> str:
    return describe_holders(f"{folder.path}/.lock")
