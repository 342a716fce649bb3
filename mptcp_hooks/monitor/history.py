# SPDX-License-Identifier: GPL-2.0-or-later
"""Notes the kernel's counters now and then, for mptcp_status to tell what is over from what is."""

from __future__ import annotations

from time import time

from mptcp_hooks.base.errors import Problem
from mptcp_hooks.base.value import TYPE_CHECKING
from mptcp_hooks.engine.counted import Counted, load_counted, note_counted
from mptcp_hooks.machine.counters import read_mptcp_counters

if TYPE_CHECKING:
    from collections.abc import Callable

# In seconds: the window that is shown is of one of them to two.
_PERIOD = 1800.0


class History:
    """Knows when the counters are noted next: what the last monitor noted goes on."""

    def __init__(self, warn: Callable[[str], None], now: float) -> None:
        self._warn = warn
        self._due = now if load_counted() is None else now + _PERIOD

    def wait(self, now: float) -> float:
        """How long until that is due, in seconds."""
        return max(0.0, self._due - now)

    def attend(self, now: float) -> None:
        """Note them where it is due."""
        if now < self._due:
            return
        self._due = now + _PERIOD
        try:
            note_counted(Counted(time(), read_mptcp_counters()))
        except Problem as problem:
            self._warn(str(problem))
