"""/run/mptcp-hooks: what we were told of each interface, and what we made of it.

The only module that writes there. One file an interface, `IFACE.paths`, and
`limits` for the path manager's; lines of text, each a key and a value. A file
is replaced as a whole, under the lock that only root can take (whoever can read
a file can lock it). Everything goes through the directory's descriptor, after
it was seen to be root's own.
"""

from __future__ import annotations

import os
import stat
from fcntl import LOCK_EX, LOCK_NB, flock
from time import monotonic, sleep

from mptcp_hooks.errors import Problem
from mptcp_hooks.netlink import Limits
from mptcp_hooks.plan import Path
from mptcp_hooks.value import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Any

DIRECTORY = "/run/mptcp-hooks"
_FORMAT = "mptcp-hooks 1"
_END = "end"
_SUFFIX = ".paths"
_LIMITS = "limits"
_LOCK = ".lock"
# A hook holds the lock for milliseconds; 64 at once are done long before.
_LOCK_AT_MOST = 30.0
_NUMBERS = ("ifindex", "family", "table")
_TRUTHS = ("onlink", "default", "primary", "endpoint")


class Installed(NamedTuple):
    """A path with the lines that made it and that undo it.

    `kernel` is what the kernel held right after (plan.describe_kernel), '' while
    it is not known to be whole.
    """

    path: Path
    up: tuple[str, ...]
    down: tuple[str, ...]
    kernel: str


class Stanza(NamedTuple):
    """One stanza: its environment as told, and the paths it has."""

    told: tuple[str, ...]
    paths: tuple[Installed, ...]


class LimitsRecord(NamedTuple):
    """The limits before our first endpoint, what we raised them to, whose endpoints are ours."""

    before: Limits
    raised: Limits
    owners: tuple[str, ...]


class Store:
    """The record. Reading needs no rights; writing needs `open_for_writing` and the lock."""

    def __init__(self, directory: int | None, lock: int | None = None) -> None:
        self._directory = directory
        self._lock = lock

    def __enter__(self) -> Store:
        return self

    def __exit__(self, *raised: object) -> None:
        # Closing its descriptor gives the lock back.
        for descriptor in (self._directory, self._lock):
            if descriptor is not None:
                os.close(descriptor)

    def load(self, iface: str) -> tuple[Stanza, ...]:
        """The stanzas on record of an interface; none where there is no record."""
        lines = self._read(iface + _SUFFIX)
        try:
            return tuple(_decode_stanzas(lines))
        except (ValueError, KeyError, IndexError, TypeError):
            raise _damaged(iface + _SUFFIX) from None

    def save(self, iface: str, stanzas: tuple[Stanza, ...]) -> None:
        """Replace an interface's record; an empty one leaves no file."""
        self._replace(iface + _SUFFIX, list(_encode_stanzas(stanzas)))

    def list_interfaces(self) -> list[str]:
        return sorted(name.removesuffix(_SUFFIX) for name in self._list()
                      if name.endswith(_SUFFIX))

    def list_labels(self, device: str) -> list[str]:
        """The interfaces on record that are `device` or an alias of it."""
        return [iface for iface in self.list_interfaces()
                if iface.partition(":")[0] == device]

    def load_limits(self) -> LimitsRecord | None:
        pairs = [line.split(" ", 1) for line in self._read(_LIMITS)]
        try:
            known = dict(pairs)
            return LimitsRecord(
                before=_decode_limits(known["before"]),
                raised=_decode_limits(known["raised"]),
                owners=tuple(value for key, value in pairs if key == "owner"),
            ) if pairs else None
        except (ValueError, KeyError, TypeError):
            raise _damaged(_LIMITS) from None

    def save_limits(self, limits: LimitsRecord | None) -> None:
        lines = [] if limits is None or not limits.owners else [
            "before {} {}".format(*limits.before),
            "raised {} {}".format(*limits.raised),
            *(f"owner {owner}" for owner in limits.owners),
        ]
        self._replace(_LIMITS, lines)

    def _list(self) -> list[str]:
        return [] if self._directory is None else os.listdir(self._directory)

    def _read(self, name: str) -> list[str]:
        if self._directory is None:
            return []
        try:
            file = os.open(name, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK,
                           dir_fd=self._directory)
        except FileNotFoundError:
            return []
        except OSError as error:
            raise Problem(f"cannot read {DIRECTORY}/{name}: {error.strerror}") from None
        if not stat.S_ISREG(os.fstat(file).st_mode):
            os.close(file)
            raise Problem(f"{DIRECTORY}/{name} is not a file: remove it")
        with open(file, encoding="utf-8", errors="surrogateescape") as lines:
            first, *rest = lines.read().split("\n")
        if first != _FORMAT or rest[-2:] != [_END, ""]:
            raise _damaged(name)
        return rest[:-2]

    def _replace(self, name: str, lines: list[str]) -> None:
        if self._lock is None:
            raise Problem(f"{DIRECTORY} is open for reading only")
        try:
            if not lines:
                os.unlink(name, dir_fd=self._directory)
                return
            beside = f".{name}.new"
            file = os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW
                           | os.O_CLOEXEC, 0o644, dir_fd=self._directory)
            with open(file, "w", encoding="utf-8", errors="surrogateescape") as whole:
                whole.write("\n".join([_FORMAT, *lines, _END, ""]))
            os.rename(beside, name, src_dir_fd=self._directory, dst_dir_fd=self._directory)
        except FileNotFoundError:
            # Nothing to remove: no record is what was wanted.
            if lines:
                raise
        except OSError as error:
            raise Problem(f"cannot write {DIRECTORY}/{name}: {error.strerror}") from None


def open_for_reading() -> Store:
    """The record for a dry run, which needs no rights; empty where there is none."""
    try:
        return Store(_open_directory())
    except FileNotFoundError:
        return Store(None)


def open_for_writing() -> Store:
    """The record, locked; Problem where it is not root's own or somebody keeps the lock."""
    try:
        os.mkdir(DIRECTORY, 0o755)
    except FileExistsError:
        pass
    except OSError as error:
        raise Problem(f"cannot make {DIRECTORY}: {error.strerror}") from None
    try:
        directory = _open_directory()
    except FileNotFoundError:
        raise Problem(f"{DIRECTORY} is a symbolic link to nothing: remove it") from None
    return Store(directory, _take_lock(directory))


def _open_directory() -> int:
    try:
        directory = os.open(DIRECTORY, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
    except FileNotFoundError:
        raise
    except OSError:
        raise Problem(f"{DIRECTORY} is not a directory: remove it") from None
    held = os.fstat(directory)
    if held.st_uid != 0 or held.st_mode & (stat.S_IWGRP | stat.S_IWOTH):
        os.close(directory)
        raise Problem(f"{DIRECTORY} is not root's own: it must belong to root, "
                      "and nobody else may write there")
    return directory


def _take_lock(directory: int) -> int:
    try:
        lock = os.open(_LOCK, os.O_WRONLY | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600,
                       dir_fd=directory)
    except OSError as error:
        raise Problem(f"cannot lock {DIRECTORY}/{_LOCK}: {error.strerror}") from None
    end = monotonic() + _LOCK_AT_MOST
    while True:
        try:
            flock(lock, LOCK_EX | LOCK_NB)
            return lock
        except BlockingIOError:
            if monotonic() > end:
                raise Problem(f"another mptcp-hooks process holds {DIRECTORY}/{_LOCK} "
                              f"since {_LOCK_AT_MOST:.0f} s (see lslocks)") from None
            sleep(0.005)


def _damaged(name: str) -> Problem:
    return Problem(f"the record {DIRECTORY}/{name} is damaged: remove it and bring the "
                   "interface up again")


def _encode_stanzas(stanzas: tuple[Stanza, ...]) -> Iterator[str]:
    for stanza in stanzas:
        yield "stanza"
        for line in stanza.told:
            yield "told " + line.replace("\\", "\\\\").replace("\n", "\\n")
        for installed in stanza.paths:
            yield "path"
            for field, value in zip(Path._fields, installed.path):
                yield f"{field} {' '.join(value) if isinstance(value, tuple) else value}"
            yield from (f"up {line}" for line in installed.up)
            yield from (f"down {line}" for line in installed.down)
            yield f"kernel {installed.kernel}"


def _decode_stanzas(lines: list[str]) -> Iterator[Stanza]:
    for block in _split(lines, "stanza"):
        head, *paths = _split(["path", *block], "path")
        told = tuple(_decode_told(line.removeprefix("told ")) for line in head)
        yield Stanza(told, tuple(_decode_path(path) for path in paths))


def _decode_told(text: str) -> str:
    return "\\".join(piece.replace("\\n", "\n") for piece in text.split("\\\\"))


def _decode_path(lines: list[str]) -> Installed:
    pairs = [line.split(" ", 1) for line in lines]
    known = dict(pairs)
    return Installed(
        path=Path(*(_decode_field(field, known[field]) for field in Path._fields)),
        up=tuple(value for key, value in pairs if key == "up"),
        down=tuple(value for key, value in pairs if key == "down"),
        kernel=known["kernel"],
    )


def _decode_field(field: str, text: str) -> Any:
    if field in _NUMBERS:
        return int(text)
    if field in _TRUTHS:
        return {"True": True, "False": False}[text]
    return tuple(text.split()) if field == "flags" else text


def _decode_limits(text: str) -> Limits:
    subflows, add_addr_accepted = text.split()
    return Limits(int(subflows), int(add_addr_accepted))


def _split(lines: list[str], heading: str) -> list[list[str]]:
    """The lines between headings; what stands before the first must be nothing."""
    blocks: list[list[str]] = []
    for line in lines:
        if line == heading:
            blocks.append([])
        else:
            blocks[-1].append(line)
    return blocks
