# SPDX-License-Identifier: GPL-2.0-or-later
"""Hears of what is written into the record's folder, and of what goes from there.

An endpoint that a hook makes is announced by nobody. A hook that gave up changes nothing in the
kernel, nor does the end of a stanza that has no path, whose addresses are others' from then on.
By SIGIO, fcntl(2), F_NOTIFY: the standard library has no inotify(7).
"""

from __future__ import annotations

import os
from fcntl import DN_CREATE, DN_DELETE, DN_MULTISHOT, F_NOTIFY, fcntl

from mptcp_hooks.base.folder import RECORD


class Mailbox:
    """The record's folder, watched once it is there."""

    def __init__(self) -> None:
        self._folder: int | None = None

    def open(self) -> None:
        """Watch the folder, if it is there and was not watched before."""
        if self._folder is not None:
            return
        try:
            folder = os.open(RECORD, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
        except OSError:
            # Made by the first hook or round that has something to note.
            return
        fcntl(folder, F_NOTIFY, DN_CREATE | DN_DELETE | DN_MULTISHOT)
        self._folder = folder
