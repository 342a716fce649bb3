# SPDX-License-Identifier: GPL-2.0-or-later
"""mptcp_monitor on the lab's client as systemd starts it: ready when it says so."""

from __future__ import annotations

import signal
import time
from pathlib import Path

from tests.lab.support.daemon import Daemon, HasClient
from tests.lab.support.waiting import wait_for


class Monitor(Daemon):
    """A running mptcp_monitor, its first round done."""

    def __init__(self, lab: HasClient) -> None:
        super().__init__(lab, "mptcp_monitor", "--verbose")

    def count_ticks(self) -> list[str]:
        """The processor time of its rounds, and of the system for them; proc(5)."""
        return Path(f"/proc/{self.pid}/stat").read_text().split()[15:17]

    def is_at_rest(self) -> bool:
        """Whether no round is under way, and none began in the time a burst settles in."""
        before = self.read_status("voluntary_ctxt_switches")
        # Longer than the 200 ms after which a round begins at the latest.
        time.sleep(0.3)
        return (before == self.read_status("voluntary_ctxt_switches") and self._sleeps()
                and not self._has_round())

    def _sleeps(self) -> bool:
        """Whether it waits, and not for a processor: one that is woken may get none for long."""
        stat = Path(f"/proc/{self.pid}/stat").read_text()
        return stat.rpartition(") ")[2].startswith("S")

    def _has_round(self) -> bool:
        """Whether it has a child that is a copy of it, as each round is."""
        children = Path(f"/proc/{self.pid}/task/{self.pid}/children").read_text().split()
        return any(read_name(pid) == read_name(self.pid) for pid in children)

    def reload(self) -> None:
        """Have it read its configuration, and wait until it has heeded it."""
        self.signal(signal.SIGHUP)
        self.rest()

    def rest(self) -> None:
        """Wait until all that happened is dealt with."""
        wait_for(self.is_at_rest)


def read_name(pid: int | str) -> str:
    """The name of a process, '' of one that is gone."""
    try:
        return Path(f"/proc/{pid}/comm").read_text()
    except OSError:
        return ""
