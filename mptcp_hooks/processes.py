"""Which process holds which socket, and which processes come of which, see proc(5)."""

from __future__ import annotations

import os
from contextlib import suppress

from mptcp_hooks.value import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterator

_SOCKET = "socket:["


class Process(NamedTuple):
    """One process: its number, and the name that the kernel knows it by, 15 characters at most."""

    pid: int
    name: str


def find_owners() -> dict[int, tuple[Process, ...]]:
    """The processes that hold each socket, by its inode; only root sees those of others."""
    owners: dict[int, tuple[Process, ...]] = {}
    for pid in _list_numbers("/proc"):
        inodes = set(list_sockets(pid))
        if inodes:
            process = Process(pid, read_text(pid, "comm").rstrip("\n"))
            owners.update((inode, (*owners.get(inode, ()), process)) for inode in inodes)
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
    """The children of a process, their children, and so on."""
    for thread in _list_numbers(f"/proc/{pid}/task"):
        for child in map(int, read_text(pid, f"task/{thread}/children").split()):
            yield child
            yield from list_descendants(child)


def read_text(pid: int, name: str) -> str:
    """A file of a process; '' of one that ended, or is not ours."""
    try:
        with open(f"/proc/{pid}/{name}", encoding="utf-8", errors="surrogateescape") as file:
            return file.read()
    except OSError:
        return ""


def _list_numbers(folder: str) -> list[int]:
    """The entries of a folder whose names are numbers; none where it is gone, or not ours."""
    try:
        return [int(name) for name in os.listdir(folder) if name.isdigit()]
    except OSError:
        return []
