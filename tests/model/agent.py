# SPDX-License-Identifier: GPL-2.0-or-later
"""Runs inside the namespace, for its whole life: requests come in as lines of JSON, answers go out.

Started by nsenter once, since starting nsenter for each command takes longer than the command.
It knows nothing of what it runs.
"""

from __future__ import annotations

import ctypes
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import IO, Any

from tests.model.tap import Tap

_SET_CHILD_SUBREAPER = 36  # PR_SET_CHILD_SUBREAPER of prctl(2)
_QUESTIONS = ("rule show\nroute show table all\naddr show\nlink show\n"
              "mptcp endpoint show\nmptcp limits show\n")
_LOG = Path("/run/monitor.log")
# Longer than a round is put off after a change (mptcp_monitor's 30 ms).
_QUIET, _STEP = 0.1, 0.02
# Seconds; with the machine's load one round takes some of them, and few follow each other.
_RESTLESS = 300.0

monitor: subprocess.Popen[bytes] | None = None


class Started:
    """A program under way, in a session of its own."""

    def __init__(self, argv: list[str], env: dict[str, str] | None, text: str) -> None:
        self._said: IO[bytes] = tempfile.TemporaryFile()
        self._process = subprocess.Popen(argv, env=env, stdin=subprocess.PIPE, stdout=self._said,
                                         stderr=self._said, start_new_session=True)
        assert self._process.stdin is not None
        self._process.stdin.write(text.encode())
        self._process.stdin.close()

    def kill(self, whole: bool) -> None:
        """End it as the kernel's killer of processes would; `whole` with all it started."""
        if whole:
            os.killpg(self._process.pid, signal.SIGKILL)
        else:
            self._process.kill()

    def wait(self) -> tuple[int, str]:
        status = self._process.wait()
        self._said.seek(0)
        return status, self._said.read().decode(errors="replace")


def run(programs: list[dict[str, Any]]) -> list[tuple[int, str]]:
    """Run programs at the same time; each is its argv, and may have env, text and kill."""
    started = [Started(one["argv"], one.get("env"), one.get("text", "")) for one in programs]
    for one, process in zip(programs, started):
        if one.get("kill") is not None:
            time.sleep(one["kill"] / 1000)
            process.kill(one["whole"])
    answers = [process.wait() for process in started]
    await_orphans()
    return answers


def await_orphans() -> None:
    """Wait for what a program that was killed has left running."""
    while True:
        children = _read_children(os.getpid())
        orphans = [int(pid) for pid in children if monitor is None or int(pid) != monitor.pid]
        if not orphans:
            return
        os.waitpid(orphans[0], 0)


def look() -> list[str]:
    """What `ip` says of both families."""
    started = [Started(["ip", "-j", "-N", family, "-batch", "-"], None, _QUESTIONS)
               for family in ("-4", "-6")]
    return [process.wait()[1] for process in started]


def write(path: str, text: str) -> None:
    Path(path).parent.mkdir(parents=True, exist_ok=True)
    Path(path).write_text(text)


def remove(path: str) -> None:
    Path(path).unlink(missing_ok=True)


def read(path: str) -> str:
    return Path(path).read_text() if Path(path).exists() else ""


def start_monitor() -> None:
    """Start mptcp_monitor, and wait for its first round."""
    global monitor
    if monitor is None:
        with _LOG.open("ab") as log:
            monitor = subprocess.Popen(["mptcp_monitor", "--verbose"], stdin=subprocess.DEVNULL,
                                       stdout=log, stderr=log, start_new_session=True)
        while _read_caught(monitor.pid) & (1 << signal.SIGHUP - 1) == 0:
            time.sleep(_STEP)
        rest()


def stop_monitor(number: int) -> None:
    """End mptcp_monitor by a signal, and wait for the round that it leaves."""
    global monitor
    if monitor is not None:
        monitor.send_signal(number)
        monitor.wait()
        monitor = None
        await_orphans()


def signal_monitor(number: int) -> None:
    if monitor is not None:
        monitor.send_signal(number)


def reload_monitor() -> None:
    if monitor is not None:
        monitor.send_signal(signal.SIGHUP)
        rest()


def stop_resting_monitor() -> None:
    """Stop the monitor by SIGSTOP, with no round under way: nothing of ours runs until SIGCONT."""
    while monitor is not None:
        rest()
        monitor.send_signal(signal.SIGSTOP)
        while _read_state(monitor.pid) != " T":
            time.sleep(_STEP)
        if not _read_children(monitor.pid):
            break
        monitor.send_signal(signal.SIGCONT)


def rest() -> None:
    """Wait until the monitor sleeps, with no round under way and none due.

    One that undoes in each round what it did in the one before never does.
    """
    began = since = time.monotonic()
    before = ""
    while monitor is not None and time.monotonic() - since < _QUIET:
        assert time.monotonic() - began < _RESTLESS, "the monitor does not come to rest"
        now = _read_activity(monitor.pid)
        # While a round takes its time, the monitor itself does nothing but wait for it.
        busy = not now.startswith(" S ") or _read_children(monitor.pid)
        if now != before or busy:
            since, before = time.monotonic(), now
        time.sleep(_STEP)


def _read_caught(pid: int) -> int:
    """The signals that a process catches, as a set of bits; proc(5)."""
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return next(int(line.split()[1], 16) for line in lines if line.startswith("SigCgt:"))


def _read_activity(pid: int) -> str:
    """What of a process changes whenever it does anything."""
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    told = [line for line in lines if "ctxt_switches" in line]
    return " ".join([_read_state(pid), *told])


def _read_state(pid: int) -> str:
    """The state of a process, after a space; proc(5)."""
    state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2][:2]
    assert state != " Z", "the monitor has ended by itself"
    return state


def _read_children(pid: int) -> list[str]:
    return Path(f"/proc/{pid}/task/{pid}/children").read_text().split()


tap = Tap()

_ACTIONS: dict[str, Callable[..., Any]] = {
    "run": run, "look": look, "write": write, "remove": remove, "read": read,
    "start_monitor": start_monitor, "stop_monitor": stop_monitor,
    "stop_resting_monitor": stop_resting_monitor, "signal_monitor": signal_monitor,
    "reload_monitor": reload_monitor, "rest": rest,
    "ask": tap.ask, "open_tunnel": tap.open_tunnel, "close_tunnel": tap.close_tunnel}


def main() -> None:
    ctypes.CDLL(None).prctl(_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
    for line in sys.stdin:
        name, *arguments = json.loads(line)
        answer = _ACTIONS[name](*arguments)
        print(json.dumps(answer), flush=True)
