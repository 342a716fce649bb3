# SPDX-License-Identifier: GPL-2.0-or-later
"""Waiting for who has the record's lock, but not for ever; and what is remembered of it.

A hook that waited for the lock in vain notes the time in `.waited`, and one that killed a
program in `.killed`: for a minute no hook waits for more than a moment, so that a boot waits
once, however many interfaces it brings up. A program is waited for as long as ever where the
lock alone was waited for: a busy machine is slow, and what runs there does not hang.
"""

from __future__ import annotations

from posix import getpid
from time import monotonic, sleep

from mptcp_hooks.base.errors import LOCK, PROGRAM, Problem
from mptcp_hooks.base.folder import (
    KILLED,
    PATIENCE,
    RECORD,
    WAITED,
    Folder,
    exists,
    open_folder,
)
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
    patience = _PERSONS_PATIENCE if say else find_patience(WAITED, KILLED)
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


def find_patience(*notes: str) -> float:
    """How long a hook may wait for something, in seconds: a moment after a vain wait.

    `notes` are the files that tell of such waits, WAITED or KILLED.
    """
    if not any(exists(RECORD, name) for name in notes):
        return PATIENCE
    folder = open_folder(RECORD, lock=False)
    try:
        return _MOMENT if any(_is_recent(folder, name) for name in notes) else PATIENCE
    finally:
        folder.close()


def note_vain_wait(folder: Folder, in_vain: str) -> None:
    """Remember that a hook waited in vain; `in_vain` is for what, LOCK or PROGRAM."""
    note = KILLED if in_vain == PROGRAM else WAITED
    write_unlocked(folder, note, [repr(monotonic())])


def write_unlocked(folder: Folder, name: str, lines: list[str]) -> None:
    """Write a file without the lock: one that nobody else writes, or that may be anybody's."""
    try:
        folder.replace(name, lines, str(getpid()))
    except OSError as error:
        raise Problem(f"cannot write {folder.path}/{name}: {error.strerror}") from None


def find_batch() -> Batch:
    """What runs batches for a hook, for as long as it may wait."""
    patience = find_patience(KILLED)
    return lambda option, force, text: run_batch(option, force, text, patience)


def _is_recent(folder: Folder, name: str) -> bool:
    """Whether the time in a file is less than a minute ago; one without a time says nothing."""
    try:
        lines, _ = folder.read_lines(name)
        return 0 <= monotonic() - float(" ".join(lines)) < _REMEMBERED
    except (Problem, ValueError):
        return False


def _describe_holder(folder: Folder) -> str:
    return describe_holders(f"{folder.path}/.lock")
