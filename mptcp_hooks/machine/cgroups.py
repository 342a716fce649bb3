# SPDX-License-Identifier: GPL-2.0-or-later
"""Control groups of version 2 (cgroups(7)): one of its own for a command, and what becomes of it.

It is made below the caller's own, so that limits, accounting and systemd's way of
ending a service go on as they are.
"""

from __future__ import annotations

import os
from select import POLLPRI, poll

from mptcp_hooks.base.errors import Problem
from mptcp_hooks.base.textfile import read_text

_NAME = "mptcp_run-"
# systemd runs ExecStartPre there where a unit has Delegate= (systemd's CGROUP_DELEGATION).
_CONTROL = "/.control"
_MEMBERS, _EVENTS, _EMPTY = "cgroup.procs", "cgroup.events", "populated 0"


def find_own() -> str:
    """The folder of the caller's control group; Problem where there is none of version 2."""
    lines = read_text("/proc/self/cgroup").splitlines()
    paths = [line[3:] for line in lines if line.startswith("0::")]
    folders = [os.path.normpath(f"{mount_point}/{path.removeprefix(root)}")
               for path in paths for root, mount_point in _list_mounts()]
    # A mount may lie below another one, where nobody can reach it.
    found = next((folder for folder in folders if os.path.exists(f"{folder}/{_MEMBERS}")), None)
    if found is None:
        raise Problem("it needs control groups of version 2, and none are mounted where this "
                      "process could see its own")
    return found


def find_unit_group() -> str:
    """The folder of the control group of the systemd unit that the caller is a part of."""
    return find_own().removesuffix(_CONTROL)


def make_group(parent: str, pid: int) -> str:
    """A control group for a process, below `parent`; Problem where the kernel refuses.

    Those that were left behind there, because who would have removed them was killed,
    are removed first.
    """
    for name in os.listdir(parent):
        number = name.removeprefix(_NAME)
        if name.startswith(_NAME) and (number == str(pid) or not os.path.exists(
                f"/proc/{number}")):
            remove_group(f"{parent}/{name}")
    group = f"{parent}/{_NAME}{pid}"
    try:
        os.mkdir(group)
    except OSError as error:
        raise Problem(f"cannot make the control group {group}: {error.strerror}") from None
    return group


def join_group(group: str) -> None:
    """Put the caller into a group; what it starts from now on is there as well."""
    try:
        with open(f"{group}/{_MEMBERS}", "wb", buffering=0) as members:
            members.write(b"0")
    except OSError as error:
        raise Problem(f"cannot join the control group {group}: {error.strerror}") from None


def wait_until_empty(group: str) -> None:
    """Sleep until no process is in the group or below it (cgroups(7), cgroup.events)."""
    try:
        with open(f"{group}/{_EVENTS}", encoding="ascii") as events:
            watch = poll()
            watch.register(events, POLLPRI)
            while _EMPTY not in events.read():
                watch.poll()
                events.seek(0)
    except OSError:
        # Somebody else removed it, which can be done only to an empty one.
        return


def remove_group(group: str) -> None:
    """Remove an empty group and those that were made below it; one that is in use stays."""
    for folder, _, _ in os.walk(group, topdown=False):
        try:
            os.rmdir(folder)
        except OSError:
            return


def _list_mounts() -> list[tuple[str, str]]:
    """What is mounted, as seen from the caller's namespace, and where, of each cgroup2 mount."""
    lines = read_text("/proc/self/mountinfo").splitlines()
    parts = [line.partition(" - ") for line in lines]
    mounts = [mounted.split()[3:5] for mounted, _, kind in parts if kind.startswith("cgroup2 ")]
    return [(root.rstrip("/"), mount_point) for root, mount_point in mounts]
