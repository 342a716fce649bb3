# SPDX-License-Identifier: GPL-2.0-or-later
"""Waiting for what takes the kernel, a daemon or a command a moment: never by a pause."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TypeVar

from tests.lab.support.lab import Host

_Answer = TypeVar("_Answer")


def wait_for(look: Callable[[], _Answer], seconds: float = 20) -> _Answer:
    """Ask again until the answer is true, or has lists in it; that answer."""
    end = time.monotonic() + seconds
    while not (answer := look()):
        assert time.monotonic() < end, f"not within {seconds} s: {answer!r}"
        time.sleep(0.05)
    return answer


def wait_for_addresses(host: Host) -> None:
    """Wait until no address of a host is being checked: the end of the check is an event too."""
    wait_for(lambda: not host.run("ip", "-6", "addr", "show", "tentative"))


class Gate:
    """What a command on a host waits at, by WAIT in a shell, until the test opens it."""

    WAIT = "read line </run/gate"

    def __init__(self, host: Host) -> None:
        self._host = host
        host.run("sh", "-c", "rm -f /run/gate; mkfifo /run/gate")

    def open(self) -> None:
        """Let one through, who may come here a bit later."""
        self._host.run("sh", "-c", "echo >/run/gate")
