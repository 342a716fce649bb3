# SPDX-License-Identifier: GPL-2.0-or-later
"""A program of ours on the lab's client, whose system calls are listed, refused, or its last.

strace(1) does it: what it counts are calls of the same name, from 1, in the program itself
and not in what that starts.
"""

from __future__ import annotations

import re
import subprocess
from typing import NamedTuple

from tests.lab.support.lab import Lab

# What each is refused with. They are those that change something, ask the kernel, or start
# or wait for a program.
REFUSALS = {
    "mkdir": "ENOSPC", "chmod": "EPERM", "openat": "ENOSPC", "flock": "ENOLCK", "fchmod": "EPERM",
    "write": "ENOSPC", "renameat": "ENOSPC", "unlinkat": "EROFS", "getdents64": "EIO",
    "socket": "EMFILE", "bind": "ENOMEM", "sendto": "ENOBUFS", "recvfrom": "ENOBUFS",
    "pipe2": "EMFILE", "memfd_create": "EMFILE", "clone3": "EAGAIN", "wait4": "ECHILD",
}
_TRACE = "/run/trace"
_LINE = re.compile(r"(\w+)\((.*)")
# Until it opens one of these it is Python that begins, and not yet ours.
_FIRST = re.compile(r'"(/etc|/run|/var/\w+)/mptcp-hooks"')
# What the interpreter loads is no work of ours.
_LOADED = re.compile(r'"(/usr|/lib|/etc/ld\.so|/proc/self)|"[^"/]*\.(py|pyc|so)"')


class Call(NamedTuple):
    """The call of a name that comes `number`th, and what strace shows of it."""

    name: str
    number: int
    text: str


class Program(NamedTuple):
    """What is started, and the whole environment that it has; None is ours."""

    arguments: tuple[str, ...]
    environment: dict[str, str] | None = None


def list_calls(lab: Lab, program: Program) -> list[Call]:
    """Run a program to its end; its calls that can be refused, from its first word about us."""
    assert _trace(lab, program).returncode == 0
    counts = dict.fromkeys(REFUSALS, 0)
    calls, begun = [], False
    loading: set[str] = set()
    for line in lab.read(_TRACE).splitlines():
        found = _LINE.match(line)
        if found is None or found[1] not in REFUSALS:
            continue
        name, text = found[1], found[2]
        counts[name] += 1
        begun = begun or bool(_FIRST.search(text))
        if begun and not _is_loading(name, text, loading):
            calls.append(Call(name, counts[name], text))
    return calls


def refuse(lab: Lab, program: Program, call: Call) -> subprocess.CompletedProcess[str]:
    """Run a program, one call of which fails."""
    return _inject(lab, program, call, f"error={REFUSALS[call.name]}")


def kill_at(lab: Lab, program: Program, call: Call) -> subprocess.CompletedProcess[str]:
    """Run a program that is killed at one of its calls."""
    return _inject(lab, program, call, "signal=KILL")


def _inject(
    lab: Lab, program: Program, call: Call, what: str
) -> subprocess.CompletedProcess[str]:
    return _trace(lab, program, "-e", f"inject={call.name}:{what}:when={call.number}")


def _trace(lab: Lab, program: Program, *options: str) -> subprocess.CompletedProcess[str]:
    return lab.client.try_run("strace", "-o", _TRACE, "-s", "64", "-e",
                              f"trace={','.join(REFUSALS)}", *options, *program.arguments,
                              env=program.environment)


def _is_loading(name: str, text: str, folders: set[str]) -> bool:
    """Whether the interpreter looks for a module: in a folder that it opened for that."""
    descriptor = text.split(",")[0]
    if name == "openat":
        loaded = bool(_LOADED.search(text))
        (folders.add if loaded else folders.discard)(text.rpartition("= ")[2])
        return loaded
    return name == "getdents64" and descriptor in folders
