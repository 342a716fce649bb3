# SPDX-License-Identifier: GPL-2.0-or-later
"""A host of the lab with an agent inside; the only module here that knows the lab."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from signal import SIGCONT, SIGSTOP
from typing import Any, NamedTuple

from tests.lab.support.lab import Host, Installation, find_obstacles, make_scratch, remove_scratch
from tests.model.kernel import Snapshot, read_snapshot
from tests.model.questions import Arrival, Question

__all__ = ["Installation", "Namespace", "Program", "find_obstacles"]

# What the agent starts must not see our folder: it is no part of its environment.
_AGENT = f"""import sys
sys.path.append({str(Path(__file__).parents[2])!r})
from tests.model.agent import main
main()"""


class Program(NamedTuple):
    """A program to run; killed after so many milliseconds where `kill` says it."""

    argv: tuple[str, ...]
    env: dict[str, str] | None = None
    text: str = ""
    kill: int | None = None
    whole: bool = True


class Namespace:
    """A fresh host on which the package is installed."""

    def __init__(self, installation: Installation) -> None:
        self._scratch = make_scratch()
        try:
            self._host = Host(self._scratch, (installation.layer,))
        except BaseException:
            remove_scratch(self._scratch)
            raise
        self._agent = subprocess.Popen(
            ["/usr/bin/nsenter", "-t", str(self._host.pid), "-n", "-m", "-u", "--",
             sys.executable, "-I", "-c", _AGENT],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)

    def close(self) -> None:
        assert self._agent.stdin is not None
        self._agent.stdin.close()
        self._agent.wait()
        self._host.close()
        remove_scratch(self._scratch)

    def run(self, *programs: Program) -> list[str]:
        """Run programs at the same time; what each said, and its status where that is not 0."""
        answers = self._ask("run", [program._asdict() for program in programs])
        return [said + f"(status {status})\n" * bool(status) for status, said in answers]

    def look(self) -> Snapshot:
        return read_snapshot(*self._ask("look"))

    def write(self, path: str, text: str) -> None:
        self._ask("write", path, text)

    def remove(self, path: str) -> None:
        self._ask("remove", path)

    def read(self, path: str) -> str:
        return str(self._ask("read", path))

    def start_monitor(self) -> None:
        self._ask("start_monitor")

    def stop_monitor(self, number: int) -> None:
        self._ask("stop_monitor", number)

    def stop_monitor_for(self, act: Callable[[], None]) -> None:
        """Do something of which the monitor, if there is one, sees only what is left."""
        self._ask("signal_monitor", SIGSTOP)
        act()
        self._ask("signal_monitor", SIGCONT)

    def do_at_rest(self, act: Callable[[], None]) -> None:
        """Do something while no round of the monitor, if there is one, is under way."""
        self._ask("stop_resting_monitor")
        act()
        self._ask("signal_monitor", SIGCONT)

    def reload_monitor(self) -> None:
        """Have the monitor look at everything again, and wait until it has."""
        self._ask("reload_monitor")

    def rest(self) -> None:
        """Wait until the monitor, if there is one, has nothing to do."""
        self._ask("rest")

    def open_tunnel(self, device: str) -> None:
        self._ask("open_tunnel", device)

    def close_tunnel(self, device: str) -> None:
        self._ask("close_tunnel", device)

    def ask(self, questions: Sequence[Question]) -> list[list[Arrival]]:
        """Send a datagram for each question; where each came in."""
        return [[Arrival(*one) for one in found] for found in self._ask("ask", questions)]

    def _ask(self, *request: Any) -> Any:
        assert self._agent.stdin is not None and self._agent.stdout is not None
        print(json.dumps(request), file=self._agent.stdin, flush=True)
        line = self._agent.stdout.readline()
        assert line, "the agent has ended"
        return json.loads(line)
