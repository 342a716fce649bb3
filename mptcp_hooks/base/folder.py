# SPDX-License-Identifier: GPL-2.0-or-later
"""A folder of root's own, whose files of text lines are read and replaced as a whole.

Everything goes through the folder's descriptor, after it was seen to belong to
root alone; no symbolic link is followed. `posix` is what `os` is made of: the
hooks save a millisecond by going there directly. Descriptors are not inherited, as
Python makes them, but for the lock of open_unlocked.
"""

from __future__ import annotations

import posix
from fcntl import LOCK_EX, LOCK_NB, flock

from mptcp_hooks.base.errors import Problem

RECORD = "/run/mptcp-hooks"
KEPT = "/var/cache/mptcp-hooks"
# What people write: the configuration, which is optional, and templates.
OWN = "/etc/mptcp-hooks"
CONFIGURATION = "mptcp-hooks.conf"
CONFIGURATION_FILE = f"{OWN}/{CONFIGURATION}"
# The folder of its further files has its name with this behind.
FOLDER_SUFFIX = ".d"
PATHS_SUFFIX = ".paths"
LIMITS = "limits"
# What hooks were told that gave up: TIME-IFACE.deferred, the time with so many digits.
DEFERRED_SUFFIX = ".deferred"
# What only a monitor makes: where new connections go, resolvers that are asked over one uplink,
# which paths are backups, what new connections keep to, and where rules begin before others'.
DETOURS, NAMES, ROLES, TUNNELS, FRONT = MONITORS = "detours", "names", "roles", "tunnels", "front"
TIME_DIGITS = 20
# When a hook last waited for the lock in vain, and when it last killed a program.
WAITED, KILLED = ".waited", ".killed"

# The first line of each file. The number is another one when a reader of this one would take
# the lines for something else; a key that is new or missing is no reason (record.py).
_NAME, _NUMBER = "mptcp-hooks ", 1
_FORMAT = f"{_NAME}{_NUMBER}"
_DIGITS_AT_MOST = 9
END = "end"
_LOCK = ".lock"
# How long a hook waits for the lock, or for a program that it started, in seconds. Either
# takes milliseconds; 64 hooks at once are done long before.
PATIENCE = 5.0
# S_IFMT, S_IFREG, S_IFDIR, S_IFLNK, and S_IWGRP with S_IWOTH, of sys/stat.h.
_KIND, _REGULAR, _FOLDER, _LINK, _WRITABLE_BY_OTHERS = 0o170000, 0o100000, 0o40000, 0o120000, 0o22
# An interface with thousands of addresses has less; of anything else the rest is nobody's.
_READ_AT_MOST = 1 << 24
DAMAGED, NEWER = "is damaged", "is of a newer mptcp-hooks"


# Opened before they are needed, by path.
_ahead: dict[str, Folder] = {}


class Folder:
    """An open folder. Reading needs no rights; writing takes the lock."""

    def __init__(self, path: str, directory: int | None, lock: int | None = None) -> None:
        self.path = path
        self._directory = directory
        self._lock = lock

    @property
    def writable(self) -> bool:
        """Whether it was opened for more than reading."""
        return self._lock is not None

    def close(self) -> None:
        """Close the folder and give the lock back."""
        for descriptor in (self._directory, self._lock):
            if descriptor is not None:
                posix.close(descriptor)

    def lock(self) -> bool:
        """Take the lock of a folder that was opened for it, unless somebody else has it.

        Problem where there can be none.
        """
        assert self._lock is not None
        try:
            flock(self._lock, LOCK_EX | LOCK_NB)
        except BlockingIOError:
            return False
        except OSError as error:
            raise Problem(f"cannot lock {self.path}: {error.strerror}") from None
        return True

    def list_names(self) -> list[str]:
        """The names of all that is in the folder."""
        try:
            return [] if self._directory is None else posix.listdir(self._directory)
        except OSError as error:
            raise Problem(f"cannot read {self.path}: {error.strerror}") from None

    def read_lines(self, name: str) -> tuple[list[str], str]:
        """The lines of a file (none where there is no such file), and what is wrong with it.

        The latter is '' or DAMAGED, where they may not be all, or NEWER. Then its first and its
        last line stand among them, but not one that was cut off. Problem where it is not a
        regular file of root's own.
        """
        if self._directory is None:
            return [], ""
        try:
            file = posix.open(name, posix.O_RDONLY | posix.O_NOFOLLOW
                              | posix.O_NONBLOCK, dir_fd=self._directory)
        except FileNotFoundError:
            return [], ""
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
        if first == _FORMAT and rest[-2:] == [END, ""]:
            return rest[:-2], ""
        return [first, *rest][:-1], NEWER if _is_newer(first) else DAMAGED

    def write_lines(self, name: str, lines: list[str]) -> None:
        """Replace a file, so that a reader sees the old one or the new; no lines, no file."""
        if self._lock is None:
            raise Problem(f"{self.path} is open for reading only")
        try:
            if lines:
                self.replace(name, lines)
            else:
                self._remove(name)
        except OSError as error:
            raise Problem(f"cannot write {self.path}/{name}: {error.strerror}") from None

    def replace(self, name: str, lines: list[str], ending: str = "new") -> None:
        """Replace a file, as write_lines, without a look at the lock; OSError where it cannot.

        Who has no lock has an `ending` of its own, for what it writes first.
        """
        beside = f".{name}.{ending}"
        # O_NONBLOCK: opening a FIFO that lies in the way fails instead of waiting.
        file = posix.open(beside, posix.O_WRONLY | posix.O_CREAT | posix.O_TRUNC
                          | posix.O_NOFOLLOW | posix.O_NONBLOCK, 0o644, dir_fd=self._directory)
        try:
            posix.fchmod(file, 0o644)
            write_all(file, "\n".join([_FORMAT, *lines, END, ""]))
        finally:
            posix.close(file)
        posix.rename(beside, name, src_dir_fd=self._directory, dst_dir_fd=self._directory)

    def _remove(self, name: str) -> None:
        try:
            posix.unlink(name, dir_fd=self._directory)
        except FileNotFoundError:
            return


def open_folder(path: str, lock: bool) -> Folder:
    """The folder, made where it is missing if it is to be locked, which is not waited for.

    Problem where it is not root's own, or somebody has the lock. Without
    `lock`, a folder that does not exist is an empty one.
    """
    if not lock:
        return Folder(path, _open_directory(path))
    folder = _open_for_lock(path)
    if not folder.lock():
        folder.close()
        raise Problem(f"somebody has the lock {path}/{_LOCK}")
    return folder


def open_unlocked(path: str) -> Folder:
    """The folder with its lock file open, for Folder.lock.

    What is started from now on has the lock as soon as that is taken: flock(2).
    """
    return _ahead.pop(path) if path in _ahead else _open_for_lock(path, inherited=True)


def open_ahead(path: str) -> None:
    """Do what open_unlocked does, for it to find."""
    _ahead[path] = _open_for_lock(path, inherited=True)


def _open_for_lock(path: str, inherited: bool = False) -> Folder:
    """The folder with its lock file, which only root can open: who can read one can lock it."""
    _make(path)
    directory = _open_directory(path)
    try:
        lock = posix.open(_LOCK, posix.O_WRONLY | posix.O_CREAT | posix.O_NOFOLLOW
                          | posix.O_NONBLOCK, 0o600, dir_fd=directory)
        posix.set_inheritable(lock, inherited)
    except OSError as error:
        if directory is not None:
            posix.close(directory)
        raise Problem(f"cannot lock {path}/{_LOCK}: {error.strerror}") from None
    return Folder(path, directory, lock)


def _open_directory(path: str) -> int | None:
    """A folder of root's own, None where there is none; Problem where it is anything else."""
    try:
        directory = posix.open(path, posix.O_RDONLY | posix.O_DIRECTORY | posix.O_NOFOLLOW)
    except FileNotFoundError:
        return None
    except NotADirectoryError:
        raise Problem(f"{path} is not a directory: remove it") from None
    except OSError as error:
        raise Problem(f"cannot open {path}: {error.strerror}") from None
    try:
        refuse_foreign(path, posix.fstat(directory))
    except Problem:
        posix.close(directory)
        raise
    return directory


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


def list_names(path: str) -> list[str]:
    """The names of all that is in a folder; none where there is no such folder."""
    try:
        return posix.listdir(path)
    except OSError:
        return []


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


def _is_newer(first: str) -> bool:
    number = first.removeprefix(_NAME)
    return (first != number and number.isascii() and number.isdigit()
            and len(number) <= _DIGITS_AT_MOST and int(number) > _NUMBER)
