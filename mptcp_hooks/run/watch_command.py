# SPDX-License-Identifier: GPL-2.0-or-later
"""Runs a command as a child and watches which sockets it and what comes of it open.

The kernel is asked every 10 ms, or less often where asking takes long, so that it takes
a tenth of a core at most. What lives shorter than that may be missed.
"""

from __future__ import annotations

import os
import resource
import signal
from contextlib import suppress
from ctypes import CDLL
from select import POLLIN, poll
from time import process_time

from mptcp_hooks.base.errors import FAILED, Problem
from mptcp_hooks.base.report import say_if_heard
from mptcp_hooks.base.value import TYPE_CHECKING
from mptcp_hooks.machine.addresses import ask_addresses, ask_labels
from mptcp_hooks.machine.procfs import list_descendants, list_sockets
from mptcp_hooks.machine.sockets import read_sockets
from mptcp_hooks.run.tally import Tally

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from typing import NoReturn

_PERIOD = 0.01
_LOOK_SHARE = 10
_ASKS = signal.SIGUSR1
_PASSED_ON = (signal.SIGHUP, signal.SIGINT, signal.SIGQUIT, signal.SIGTERM, signal.SIGALRM,
              signal.SIGUSR2)
_HEARD = frozenset((*_PASSED_ON, _ASKS, signal.SIGCHLD))
# sigaction(2): sent by a process. What a terminal sends the command gets as well as we.
_BY_PROCESS_AT_MOST = 0
_PR_SET_CHILD_SUBREAPER = 36


def watch_command(
    program: str, start: Callable[[], NoReturn], wanted: bool = True
) -> int:
    """Run `start`, which becomes the command, in a child; what it was is said in the end.

    The status of mptcp_run: FAILED where Multipath TCP is `wanted`, there were connections and
    none was MPTCP, else the command's. A signal that ended the command ends this process in any
    case.
    Problem, before anything starts, where the kernel does not show sockets.
    """
    read_sockets()
    _adopt_orphans()
    # Where the caller ignores it nobody could wait for a child.
    old_action = signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    old_mask = signal.pthread_sigmask(signal.SIG_BLOCK, _HEARD)
    child = os.fork()
    if child == 0:
        signal.signal(signal.SIGCHLD, old_action)
        signal.pthread_sigmask(signal.SIG_SETMASK, old_mask)
        _become(program, start)
    tally = Tally()
    status = _watch(program, child, tally)
    count = tally.count()
    say_if_heard(program, count.describe(_list_devices()))
    if status < 0:
        return _end_by(-status)
    return FAILED if wanted and count.failed else status


def _become(program: str, start: Callable[[], NoReturn]) -> NoReturn:
    try:
        start()
    except Problem as problem:
        say_if_heard(program, str(problem))
        os._exit(problem.status)


def _adopt_orphans() -> None:
    """Have what the command leaves behind in the background come to us, see prctl(2)."""
    CDLL(None).prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)


def _watch(program: str, child: int, tally: Tally) -> int:
    """Look until the child ends; its exit status, negative for a signal."""
    end = poll()
    end.register(os.pidfd_open(child), POLLIN)
    while True:
        # The processor's time: a look during which we were stopped took no longer than others.
        began = process_time()
        _look(tally)
        end.poll(1000 * max(_PERIOD, (process_time() - began) * _LOOK_SHARE))
        for heard in _hear():
            if heard.si_signo == signal.SIGCHLD:
                status = _reap(child)
                if status is not None:
                    # What is closed by now is nobody's, and may still tell what it carried.
                    tally.note(read_sockets(), ())
                    return status
            elif heard.si_signo == _ASKS:
                say_if_heard(program, tally.count().describe(_list_devices()))
            elif heard.si_code <= _BY_PROCESS_AT_MOST:
                os.kill(child, heard.si_signo)


def _hear() -> Iterator[signal.struct_siginfo]:
    """The signals that came meanwhile.

    Without waiting for one: of a wait that a stop cut off Python returns what nobody sent.
    """
    while heard := signal.sigtimedwait(_HEARD, 0):
        yield heard


def _look(tally: Tally) -> None:
    held = {inode for pid in list_descendants(os.getpid()) for inode in list_sockets(pid)}
    if held:
        tally.note(read_sockets(), held)


def _list_devices() -> dict[str, str]:
    """The device of each address that this machine has."""
    return {address.address: label.partition(":")[0] for label in ask_labels()
            for address in ask_addresses(label, (4, 6))}


def _reap(child: int) -> int | None:
    """The child's status once it has ended; others that came to us end here as well."""
    while True:
        try:
            pid, status = os.waitpid(-1, os.WNOHANG)
        except ChildProcessError:
            return None
        if pid == 0:
            return None
        if pid == child:
            return os.waitstatus_to_exitcode(status)


def _end_by(number: int) -> int:
    """End as the command did; where that signal ends nobody, as a shell would say it."""
    # Its core would be one of Python.
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    # SIGKILL is never anything else, and may not be named here.
    with suppress(OSError):
        signal.signal(number, signal.SIG_DFL)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, {number})
    os.kill(os.getpid(), number)
    return 128 + number
