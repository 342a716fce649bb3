# SPDX-License-Identifier: GPL-2.0-or-later
"""Runs people's programs, /etc/mptcp-hooks/on-change.d, when the state of a path changes.

The monitor never waits for them: a process of its own runs those of one change, one after another
and each for ten seconds at the most. Of one path there is one such process at a time.
"""

from __future__ import annotations

import os
import select
import signal
import sys
from contextlib import suppress

from mptcp_hooks.base.errors import Problem
from mptcp_hooks.base.folder import OWN, is_link, is_regular, list_names, refuse_foreign
from mptcp_hooks.base.report import describe_unexpected, say_if_heard
from mptcp_hooks.base.value import TYPE_CHECKING
from mptcp_hooks.monitor.changes import Changes

if TYPE_CHECKING:
    from mptcp_hooks.monitor.changes import Change

FOLDER = f"{OWN}/on-change.d"
PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
_AT_MOST = 10.0
_NULL = "/dev/null"


class OnChange:
    """Tells people's programs of changes; `program` is who says what is wrong with them.

    `claimed` is the descriptor by which the monitor is the only one.
    """

    def __init__(self, program: str, claimed: int) -> None:
        self._program = program
        self._claimed = claimed
        self.changes = Changes()
        # The processes that are under way, by a descriptor that is readable when one has ended.
        self._running: dict[int, tuple[int, Change]] = {}

    def filenos(self) -> list[int]:
        """The descriptors that are readable when there is something to finish."""
        return list(self._running)

    def begin_due(self) -> list[Change]:
        """Begin to tell what is due; the changes."""
        due = self.changes.take_due()
        for change in due:
            if list_names(FOLDER):
                self._begin(change)
            else:
                self.changes.end(change)
        return due

    def finish(self, descriptor: int) -> None:
        """Take in that one of the processes has ended."""
        pid, change = self._running.pop(descriptor)
        os.close(descriptor)
        os.waitpid(pid, 0)
        self.changes.end(change)

    def _begin(self, change: Change) -> None:
        # Whoever started us may ignore it: then nobody can wait for a child, waitpid(2).
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        try:
            pid = os.fork()
        except OSError as error:
            self.changes.end(change)
            say_if_heard(self._program, f"cannot run the programs of {FOLDER}: {error.strerror}")
            return
        if pid == 0:
            _run_and_exit(self._program, change, self._claimed)
        self._running[os.pidfd_open(pid)] = pid, change


def _run_and_exit(program: str, change: Change, claimed: int) -> None:
    """In the child: it outlives a monitor that stops, and is in the way of no other one."""
    try:
        os.close(claimed)
        # The monitor is not to hear of what ends this process.
        signal.set_wakeup_fd(-1)
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, lambda *_: sys.exit())
        for problem in run_all(change):
            say_if_heard(program, str(problem))
    except Exception as error:
        say_if_heard(program, describe_unexpected(error))
    finally:
        os._exit(0)


def run_all(change: Change) -> list[Problem]:
    """Run all programs, in the order of their names; what is wrong with each costs itself alone."""
    try:
        _refuse_folder()
    except Problem as problem:
        return [problem]
    problems = []
    for name in sorted(list_names(FOLDER)):
        if name.startswith("."):
            continue
        try:
            _run(f"{FOLDER}/{name}", change)
        except Problem as problem:
            problems.append(problem)
    return problems


def _refuse_folder() -> None:
    for folder in (OWN, FOLDER):
        try:
            refuse_foreign(folder, os.stat(folder, follow_symlinks=False))
        except OSError as error:
            raise Problem(f"{folder}: cannot be read: {error.strerror}") from None


def _run(path: str, change: Change) -> None:
    """Run a program to its end; Problem where it may not, fails, or takes too long."""
    try:
        info = os.stat(path, follow_symlinks=False)
        if is_link(info):
            raise Problem(f"{path} is a symbolic link, which is not followed: put the program "
                          "itself there")
        refuse_foreign(path, info)
        if not is_regular(info):
            raise Problem(f"{path} is not a file: remove it")
        if not info.st_mode & 0o100:
            raise Problem(f"{path} is not executable: chmod +x it, or remove it")
        child = _start(path, change)
    except OSError as error:
        raise Problem(f"{path}: cannot be run: {error.strerror}") from None
    _wait(path, child)


def _start(path: str, change: Change) -> int:
    """Start it in a session of its own, without a word to say, and with nothing inherited."""
    environment = {
        "PATH": PATH, "LC_ALL": "C.UTF-8", "IFACE": change.iface, "ADDRESS": change.address,
        "STATE": change.new.name, "OLD_STATE": change.old.name, "WHY": change.new.why}
    return os.posix_spawn(
        path, [path], environment, setsid=True, setsigmask=[],
        setsigdef=set(signal.valid_signals()) - {signal.SIGKILL, signal.SIGSTOP},
        file_actions=[(os.POSIX_SPAWN_OPEN, 0, _NULL, os.O_RDONLY, 0),
                      (os.POSIX_SPAWN_OPEN, 1, _NULL, os.O_WRONLY, 0),
                      (os.POSIX_SPAWN_OPEN, 2, _NULL, os.O_WRONLY, 0)])


def _wait(path: str, child: int) -> None:
    end = select.poll()
    descriptor = os.pidfd_open(child)
    end.register(descriptor, select.POLLIN)
    in_time = False
    try:
        in_time = bool(end.poll(1000 * _AT_MOST))
    finally:
        os.close(descriptor)
        if not in_time:
            # With all that it started, but for what left its group.
            with suppress(ProcessLookupError):
                os.killpg(child, signal.SIGKILL)
    _, status = os.waitpid(child, 0)
    if not in_time:
        raise Problem(f"{path} took more than {_AT_MOST:.0f} s and was killed")
    if status:
        raise Problem(f"{path} failed: {_word_status(os.waitstatus_to_exitcode(status))}")


def _word_status(status: int) -> str:
    return f"exit status {status}" if status > 0 else f"ended by signal {-status}"
