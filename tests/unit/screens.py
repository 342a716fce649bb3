# SPDX-License-Identifier: GPL-2.0-or-later
"""A real terminal of some size, tmux(1), with what a command draws on it."""

from __future__ import annotations

import itertools
import os
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from time import monotonic, sleep

_ENVIRONMENT = ("env", "-i", "PATH=/usr/sbin:/usr/bin:/sbin:/bin", "LC_ALL=C.UTF-8", "TZ=UTC")
_PATIENCE = 20.0
_numbers = itertools.count()


class Screen:
    """The terminal in which a shell runs one command; `run` runs tmux and has what it says."""

    def __init__(
        self, run: Callable[..., str], command: str, width: int, height: int
    ) -> None:
        self._run = run
        self._tmux = (*_ENVIRONMENT, "tmux", "-u", "-f", "/dev/null",
                      "-L", f"tests-{os.getpid()}-{next(_numbers)}")
        # Not every shell goes on after a Ctrl-C that its command heeded, where it has no trap.
        # Without its own line at the bottom the window is as large as it is told to be.
        self._ask("new-session", "-d", "-x", str(width), "-y", str(height),
                  f"trap : INT; echo before; {command}; echo status $?; exec sleep infinity", ";",
                  "set", "-g", "status", "off")

    def read(self) -> str:
        """What is to be seen, without blanks at the end of lines."""
        return self._ask("capture-pane", "-p").rstrip("\n") + "\n"

    def wait_for(self, accepts: Callable[[str], object]) -> str:
        """Look until something is there; what is to be seen then."""
        end = monotonic() + _PATIENCE
        while not accepts(seen := self.read()):
            assert monotonic() < end, seen
            sleep(0.05)
        return seen

    def find_command(self) -> int:
        """The process of the command that runs now."""
        shell = self._ask("display-message", "-p", "#{pane_pid}").strip()
        (command,) = Path(f"/proc/{shell}/task/{shell}/children").read_text().split()
        return int(command)

    def resize(self, width: int, height: int) -> None:
        """Give the window another size."""
        self._ask("resize-window", "-x", str(width), "-y", str(height))

    def press(self, *keys: str) -> None:
        """Press keys, by the names that tmux has for them."""
        self._ask("send-keys", *keys)

    def close(self) -> None:
        """End all that runs in it."""
        self._ask("kill-server")

    def _ask(self, *arguments: str) -> str:
        return self._run(*self._tmux, *arguments)


@contextmanager
def open_screen(
    run: Callable[..., str], command: str, width: int, height: int
) -> Iterator[Screen]:
    """A screen that is gone at the end."""
    screen = Screen(run, command, width, height)
    try:
        yield screen
    finally:
        screen.close()


def run_here(*arguments: str) -> str:
    """Run a program on this machine."""
    return subprocess.run(arguments, check=True, capture_output=True, text=True,
                          encoding="utf-8").stdout
