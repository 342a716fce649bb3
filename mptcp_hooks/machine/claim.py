# SPDX-License-Identifier: GPL-2.0-or-later
"""That mptcp_monitor runs once at the most: while it does, it holds a lock beside the record."""

from __future__ import annotations

import os
from fcntl import LOCK_EX, LOCK_NB, flock

from mptcp_hooks.base.errors import Problem
from mptcp_hooks.base.folder import RECORD, open_unlocked
from mptcp_hooks.base.textfile import read_text
from mptcp_hooks.machine.holders import describe_holders

# As all that is no interface's and no path manager's: with a dot.
_NAME = ".monitor"
# One line a lock, proc(5): its kind is the second word, and whose file the sixth.
_LOCKS, _KIND, _FILE = "/proc/locks", 1, 5


def claim() -> int:
    """The descriptor that holds the lock as long as this process is; Problem where one has it."""
    # Makes the folder, and sees to it that it is root's own.
    open_unlocked(RECORD).close()
    path = f"{RECORD}/{_NAME}"
    try:
        lock = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_NOFOLLOW | os.O_NONBLOCK, 0o600)
    except OSError as error:
        raise Problem(f"cannot lock {path}: {error.strerror}") from None
    try:
        flock(lock, LOCK_EX | LOCK_NB)
    except BlockingIOError:
        os.close(lock)
        raise Problem(f"one runs already: {describe_holders(path)}") from None
    return lock


def is_claimed() -> bool:
    """Whether somebody holds it; anybody may ask."""
    try:
        info = os.stat(f"{RECORD}/{_NAME}")
    except OSError:
        return False
    held = f"{os.major(info.st_dev):02x}:{os.minor(info.st_dev):02x}:{info.st_ino}"
    locks = (line.split() for line in read_text(_LOCKS).splitlines())
    return any(words[_KIND] == "FLOCK" and words[_FILE] == held
               for words in locks if len(words) > _FILE)
