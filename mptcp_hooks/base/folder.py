"""A folder of root's own, whose files of text lines are read and replaced as a whole.

Everything goes through the folder's descriptor, after it was seen to belong to
root alone; no symbolic link is followed. `posix` is what `os` is made of: the
hooks save a millisecond by going there directly. Descriptors are not inherited, as
Python makes them.
"""

from __future__ import annotations

import posix
from fcntl import LOCK_EX, LOCK_NB, flock
from time import monotonic, sleep

from mptcp_hooks.base.errors import Problem

RECORD = "/run/mptcp-hooks"
KEPT = "/var/cache/mptcp-hooks"
# What people write: the configuration, which is optional, and templates.
OWN = "/etc/mptcp-hooks"
CONFIGURATION = "mptcp-hooks.conf"
PATHS_SUFFIX = ".paths"

_FORMAT = "mptcp-hooks 1"
_END = "end"
_LOCK = ".lock"
# A hook holds the lock for milliseconds; 64 at once are done long before.
_LOCK_AT_MOST = 30.0
# S_IFMT, S_IFREG, S_IFDIR, S_IFLNK, and S_IWGRP with S_IWOTH, of sys/stat.h.
_KIND, _REGULAR, _FOLDER, _LINK, _WRITABLE_BY_OTHERS = 0o170000, 0o100000, 0o40000, 0o120000, 0o22
# An interface with thousands of addresses has less; of anything else the rest is nobody's.
_READ_AT_MOST = 1 << 24


class Folder:
    """An open folder. Reading needs no rights; writing takes `open_folder(..., lock=True)`."""

    def __init__(self, path: str, directory: int | None, lock: int | None = None) -> None:
        self.path = path
        self._directory = directory
        self._lock = lock

    def close(self) -> None:
        """Close the folder and give the lock back."""
        for descriptor in (self._directory, self._lock):
            if descriptor is not None:
                posix.close(descriptor)

    def list_names(self) -> list[str]:
        """The names of all that is in the folder."""
        return [] if self._directory is None else posix.listdir(self._directory)

    def read_lines(self, name: str) -> list[str]:
        """The lines of a file; none where there is no such file.

        Problem where it is not a regular file of root's own, or not whole.
        """
        if self._directory is None:
            return []
        try:
            file = posix.open(name, posix.O_RDONLY | posix.O_NOFOLLOW
                              | posix.O_NONBLOCK, dir_fd=self._directory)
        except FileNotFoundError:
            return []
        except OSError as error:
            raise Problem(f"cannot read {self.path}/{name}: {error.strerror}") from None
        try:
            info = posix.fstat(file)
            if not is_regular(info) or not _is_roots_own(info):
                raise Problem(f"{self.path}/{name} is not a file of root's own: remove it")
            size = min(info.st_size, _READ_AT_MOST)
            text = posix.read(file, size).decode("utf-8", "surrogateescape")
        except OSError as error:
            raise Problem(f"cannot read {self.path}/{name}: {error.strerror}") from None
        finally:
            posix.close(file)
        first, *rest = text.split("\n")
        if first != _FORMAT or rest[-2:] != [_END, ""]:
            raise self.damaged(name)
        return rest[:-2]

    def write_lines(self, name: str, lines: list[str]) -> None:
        """Replace a file, so that a reader sees the old one or the new; no lines, no file."""
        if self._lock is None:
            raise Problem(f"{self.path} is open for reading only")
        try:
            if lines:
                self._replace(name, "\n".join([_FORMAT, *lines, _END, ""]))
            else:
                self._remove(name)
        except OSError as error:
            raise Problem(f"cannot write {self.path}/{name}: {error.strerror}") from None

    def damaged(self, name: str) -> Problem:
        """The Problem of a file whose lines make no sense."""
        return Problem(f"{self.path}/{name} is damaged: remove it and bring the interface up "
                       "again")

    def _replace(self, name: str, text: str) -> None:
        # O_NONBLOCK: opening a FIFO that lies in the way fails instead of waiting.
        beside = f".{name}.new"
        file = posix.open(beside, posix.O_WRONLY | posix.O_CREAT | posix.O_TRUNC
                          | posix.O_NOFOLLOW | posix.O_NONBLOCK, 0o644, dir_fd=self._directory)
        try:
            posix.fchmod(file, 0o644)
            write_all(file, text)
        finally:
            posix.close(file)
        posix.rename(beside, name, src_dir_fd=self._directory, dst_dir_fd=self._directory)

    def _remove(self, name: str) -> None:
        try:
            posix.unlink(name, dir_fd=self._directory)
        except FileNotFoundError:
            return


def open_folder(path: str, lock: bool) -> Folder:
    """The folder, made where it is missing if it is to be locked.

    Problem where it is not root's own, or somebody keeps the lock. Without
    `lock`, a folder that does not exist is an empty one.
    """
    if lock:
        _make(path)
    try:
        directory = posix.open(path, posix.O_RDONLY | posix.O_DIRECTORY | posix.O_NOFOLLOW)
    except FileNotFoundError:
        return Folder(path, None)
    except NotADirectoryError:
        raise Problem(f"{path} is not a directory: remove it") from None
    except OSError as error:
        raise Problem(f"cannot open {path}: {error.strerror}") from None
    try:
        refuse_foreign(path, posix.fstat(directory))
    except Problem:
        posix.close(directory)
        raise
    return Folder(path, directory, _take_lock(path, directory) if lock else None)


def refuse_foreign(path: str, info: posix.stat_result) -> None:
    """Raise Problem unless a file or folder is root's, and nobody else may write there."""
    if not _is_roots_own(info):
        raise Problem(f"{path} is not root's own: it must belong to root, "
                      "and nobody else may write there")


def is_regular(info: posix.stat_result) -> bool:
    """Whether it is a file, and not a folder, a FIFO or a device."""
    return info.st_mode & _KIND == _REGULAR


def is_folder(info: posix.stat_result) -> bool:
    """Whether it is a folder."""
    return info.st_mode & _KIND == _FOLDER


def is_link(info: posix.stat_result) -> bool:
    """Whether it is a symbolic link, seen by what does not follow it."""
    return info.st_mode & _KIND == _LINK


def write_all(descriptor: int, text: str) -> None:
    """Write all of a text, however much of it the kernel takes at a time."""
    left = text.encode("utf-8", "surrogateescape")
    while left:
        left = left[posix.write(descriptor, left):]


def exists(path: str, name: str) -> bool:
    """Whether there is anything by that name in a folder, whatever it is."""
    if "/" in name:
        return False
    try:
        posix.lstat(f"{path}/{name}")
    except FileNotFoundError:
        return False
    except OSError:
        return True
    return True


def _make(path: str) -> None:
    try:
        posix.mkdir(path, 0o755)
        # Whatever the umask: a dry run without rights reads there.
        posix.chmod(path, 0o755)
    except FileExistsError:
        return
    except OSError as error:
        raise Problem(f"cannot make {path}: {error.strerror}") from None


def _is_roots_own(info: posix.stat_result) -> bool:
    """Root's, and nobody else may write; for a process without rights, its own will do."""
    return info.st_uid in (0, posix.geteuid()) and not info.st_mode & _WRITABLE_BY_OTHERS


def _take_lock(path: str, directory: int) -> int:
    """A lock on a file that only root can open: whoever can read a file can lock it."""
    try:
        lock = posix.open(_LOCK, posix.O_WRONLY | posix.O_CREAT | posix.O_NOFOLLOW
                          | posix.O_NONBLOCK, 0o600, dir_fd=directory)
    except OSError as error:
        raise Problem(f"cannot lock {path}/{_LOCK}: {error.strerror}") from None
    end = monotonic() + _LOCK_AT_MOST
    while True:
        try:
            flock(lock, LOCK_EX | LOCK_NB)
            return lock
        except BlockingIOError:
            if monotonic() > end:
                raise Problem(f"another mptcp-hooks process holds {path}/{_LOCK} "
                              f"since {_LOCK_AT_MOST:.0f} s (see lslocks)") from None
            sleep(0.005)
