# SPDX-License-Identifier: GPL-2.0-or-later
"""Starts a forced command: all that it gets is the caller's, but for one variable.

Python changes two things of its process at its start: it may set LC_CTYPE (PEP 538),
and it ignores two signals. Neither may reach the command.
"""

from __future__ import annotations

import os
import signal

from mptcp_hooks.base.errors import Problem
from mptcp_hooks.base.textfile import read_text
from mptcp_hooks.base.value import TYPE_CHECKING
from mptcp_hooks.force.methods import Choice, extend
from mptcp_hooks.force.program import NOT_EXECUTABLE, Program
from mptcp_hooks.machine import cgroups

if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import NoReturn

_PYTHON_IGNORES = (signal.SIGPIPE, signal.SIGXFSZ)


def read_environment() -> dict[bytes, bytes]:
    """The environment that this process was started with, see proc(5).

    Where /proc is not there, it is the one that Python has made of it.
    """
    try:
        with open("/proc/self/environ", "rb") as file:
            entries = [entry.partition(b"=") for entry in file.read().split(b"\0")]
    except OSError:
        return dict(os.environb)
    return {name: value for name, equals, value in entries if name and equals}


def enter_group() -> None:
    """Be in a control group that bpf forces, with all that this process starts or becomes.

    Problem where it cannot be.
    """
    # ctypes takes as long as all else here.
    from mptcp_hooks.run.keeper import start_keeper

    group = cgroups.make_group(cgroups.find_own(), os.getpid())
    start_keeper(group)
    cgroups.join_group(group)


def replace_process(
    program: Program, words: list[str], environment: Mapping[bytes, bytes], choice: Choice,
    ignored: frozenset[int],
) -> NoReturn:
    """Become the command; Problem (NOT_EXECUTABLE) where the kernel refuses.

    `words` are what was typed, the command's name first, and `ignored` the signals that it shall
    not hear.
    """
    given = dict(environment)
    if choice.variable:
        given[choice.variable] = extend(choice, given.get(choice.variable, b""))
    # The name stands for the file, unless a shell must be told which file to read.
    arguments = [*program.start, *words[1:]] if len(program.start) > 1 else words
    for number in _PYTHON_IGNORES:
        if number not in ignored:
            signal.signal(number, signal.SIG_DFL)
    try:
        os.execve(program.start[0], arguments, given)
    except OSError as error:
        raise Problem(f"{program.path}: {error.strerror}", NOT_EXECUTABLE) from None


def guess_ignored() -> frozenset[int]:
    """Which of the signals that Python ignores were ignored before it: those of our parent.

    Nobody can tell any more. A shell, cron and systemd, which ignores SIGPIPE for its
    services, leave to what they start what they have themselves. Who ignores all of
    them is most likely a Python, which does it for itself alone.
    """
    ignored = _read_ignored(os.getppid())
    found = frozenset(number for number in _PYTHON_IGNORES if ignored >> (number - 1) & 1)
    return frozenset() if found == {*_PYTHON_IGNORES} else found


def _read_ignored(pid: int) -> int:
    """The signals that a process ignores, a bit each, see proc(5)."""
    lines = read_text(f"/proc/{pid}/status").split("\n")
    return next((int(line.split()[1], 16) for line in lines if line.startswith("SigIgn:")), 0)
