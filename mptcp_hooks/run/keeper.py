# SPDX-License-Identifier: GPL-2.0-or-later
"""A process beside a forced command that keeps its BPF program until the last of it ends.

The command itself is started by execve(2) in the place of who asked for it: same
process, same parent, same terminal. So nobody is left to clean up after it but this
one, which no pipe, terminal or waiting parent knows of.
"""

from __future__ import annotations

import os
import signal
from contextlib import suppress

from mptcp_hooks.base.errors import Problem
from mptcp_hooks.machine import cgroups
from mptcp_hooks.run.bpf import Force

_READY = b"ready"
_DEAF_TO = (signal.SIGHUP, signal.SIGINT, signal.SIGTERM, signal.SIGUSR1)
_LONGEST_WORDS = 4096


def start_keeper(group: str) -> None:
    """Have the control group forced by a keeper, which removes it when nothing is in it any more.

    The caller joins the group next; its end, or its execve(2), tells the keeper to begin
    to look, by a pipe that is left open. Problem where the program cannot be loaded: then the
    group is gone.
    """
    hearing, answering = os.pipe()
    leaving, staying = os.pipe()
    child = os.fork()
    if child == 0:
        # The end of a child of ours would surprise the command, so it gets another parent.
        if os.fork() == 0:
            _keep(group, answering, leaving)
        os._exit(0)
    os.close(answering)
    os.close(leaving)
    # Where the caller ignores SIGCHLD the child is nobody's to wait for.
    with suppress(ChildProcessError):
        os.waitpid(child, 0)
    words = _read_all(hearing)
    os.close(hearing)
    if words != _READY:
        os.close(staying)
        raise Problem(os.fsdecode(words) or "the process that should load it was killed")


def _keep(group: str, answering: int, leaving: int) -> None:
    """The keeper's life; never returns."""
    status = 0
    try:
        _leave_caller({answering, leaving})
        Force(group)
        os.write(answering, _READY)
        os.close(answering)
        _read_all(leaving)
        cgroups.wait_until_empty(group)
    except (Problem, OSError) as error:
        os.write(answering, os.fsencode(str(error))[:_LONGEST_WORDS])
        status = 1
    finally:
        cgroups.remove_group(group)
        os._exit(status)


def _leave_caller(kept: set[int]) -> None:
    """Let go of the caller's terminal, folder and descriptors, which others wait to be closed."""
    os.setsid()
    os.chdir("/")
    for number in _DEAF_TO:
        signal.signal(number, signal.SIG_IGN)
    for descriptor in map(int, os.listdir("/proc/self/fd")):
        if descriptor not in kept:
            try:
                os.close(descriptor)
            except OSError:
                # The one that listed them.
                continue
    null = os.open(os.devnull, os.O_RDWR)
    for stream in range(3):
        if stream not in kept:
            os.dup2(null, stream)


def _read_all(descriptor: int) -> bytes:
    words = b""
    while piece := os.read(descriptor, _LONGEST_WORDS):
        words += piece
    return words
