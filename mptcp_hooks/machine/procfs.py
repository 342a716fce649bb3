# SPDX-License-Identifier: GPL-2.0-or-later
"""Which process holds which socket, and which processes come of which, see proc(5)."""

from __future__ import annotations

import os
import pwd
import shutil
from contextlib import suppress

from mptcp_hooks.base.report import make_printable
from mptcp_hooks.base.textfile import read_text
from mptcp_hooks.base.value import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterator

# Where systemd looks for programs (systemd.exec(5), "Environment variables"), and most others
# do. Who asks may have a PATH of his own, and keep it over sudo(8).
SEARCHED = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

_SOCKET = "socket:["


class Process(NamedTuple):
    """One process: its number, and the name that the kernel knows it by, 15 characters at most.

    A process may call itself anything: what no terminal should get is shown as an escape.
    """

    pid: int
    name: str


class Origin(NamedTuple):
    """Where a process comes from.

    `program` is the file that it runs, '' where we may not see it; `unit` the system's service
    that it is of, '' for none; `user` whose it is, '' for our own. `words` are what it was
    called with, none where it calls itself something that is not its file: then nobody
    knows any more. `environment` is as it was then.
    """

    program: str
    unit: str
    user: str
    words: tuple[str, ...]
    environment: str


def find_owners() -> dict[int, list[Process]]:
    """The processes that hold each socket, by its inode; only root sees those of others."""
    owners: dict[int, list[Process]] = {}
    for pid in _list_numbers("/proc"):
        inodes = set(list_sockets(pid))
        if inodes:
            process = Process(pid, make_printable(read_text(f"/proc/{pid}/comm").rstrip("\n")))
            for inode in inodes:
                owners.setdefault(inode, []).append(process)
    return owners


def list_sockets(pid: int) -> list[int]:
    """The inodes of the sockets that a process holds; none of one that ended or is not ours."""
    folder = f"/proc/{pid}/fd"
    found = []
    for number in _list_numbers(folder):
        with suppress(OSError):
            target = os.readlink(f"{folder}/{number}")
            if target.startswith(_SOCKET):
                found.append(int(target[len(_SOCKET):-1]))
    return found


def list_descendants(pid: int) -> Iterator[int]:
    """The children of a process, their children, and so on, however deep."""
    parents = [pid]
    while parents:
        parent = parents.pop()
        folder = f"/proc/{parent}/task"
        for thread in _list_numbers(folder):
            for child in map(int, read_text(f"{folder}/{thread}/children").split()):
                yield child
                parents.append(child)


def read_origin(pid: int) -> Origin:
    """Where a process comes from, as far as we may see it."""
    try:
        program = os.readlink(f"/proc/{pid}/exe").removesuffix(" (deleted)")
    except OSError:
        program = ""
    return Origin(program, find_unit(read_text(f"/proc/{pid}/cgroup")), _find_user(pid),
                  _read_words(pid), read_text(f"/proc/{pid}/environ"))


def _read_words(pid: int) -> tuple[str, ...]:
    """What a process was called with, if its first word leads to the file that it runs."""
    words = tuple(read_text(f"/proc/{pid}/cmdline").removesuffix("\0").split("\0"))
    name = words[0]
    if "/" not in name:
        name = shutil.which(name, path=SEARCHED) or ""
    try:
        # A relative path is one from where the process is, most likely still.
        same = os.path.samefile(os.path.join(f"/proc/{pid}/cwd", name), f"/proc/{pid}/exe")
    except OSError:
        return ()
    return words if name and same else ()


def _find_user(pid: int) -> str:
    try:
        owner = os.stat(f"/proc/{pid}").st_uid
        return "" if owner == os.geteuid() else pwd.getpwuid(owner).pw_name
    except (OSError, KeyError):
        return "?"


def find_unit(groups: str) -> str:
    """The system's service in the text of /proc/PID/cgroup, in systemd's own hierarchy."""
    for line in groups.splitlines():
        _, controllers, path = line.split(":", 2)
        names = path.split("/")
        services = [name for name in names if name.endswith(".service")]
        # What a person's own systemd runs, or a container's, is not the system's to change; and
        # below its own group a service may call others what it likes.
        if controllers in ("", "name=systemd") and services and names[1:2] == ["system.slice"]:
            return services[0]
    return ""


def _list_numbers(folder: str) -> list[int]:
    """The entries of a folder whose names are numbers; none where it is gone, or not ours."""
    try:
        return [int(name) for name in os.listdir(folder) if name.isdigit()]
    except OSError:
        return []
