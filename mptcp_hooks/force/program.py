# SPDX-License-Identifier: GPL-2.0-or-later
"""Finds what a command starts: through PATH, and through a script to its interpreter.

As execvp(3) and execve(2) do it, so that what is looked at is what runs.
"""

from __future__ import annotations

import os
import stat

from mptcp_hooks.base.errors import Problem, quote
from mptcp_hooks.base.value import TYPE_CHECKING, NamedTuple
from mptcp_hooks.force.elf import ELFMAG, Elf, read_elf

if TYPE_CHECKING:
    from collections.abc import Mapping

# As shells and env(1) end for a command that is not there, or that cannot be started.
NOT_FOUND, NOT_EXECUTABLE = 127, 126

_SHELL = "/bin/sh"
# execvp(3): where PATH is not set.
_DEFAULT_PATH = "/bin:/usr/bin"
# The kernel looks no further into a script's first line (include/uapi/linux/binfmts.h).
_FIRST_LINE = 256
# How many scripts may run each other (fs/exec.c, exec_binprm).
_DEEPEST = 5
_CAPABILITIES = "security.capability"


class Program(NamedTuple):
    """What a command starts in the end.

    `path` is the file of the command, and `start` the words before its arguments that
    execve(2) gets: the path, or a shell and the path. `binary` is the ELF file that
    runs, `elf` its facts; None, with the reason in `flaw`, where it is not known.
    `raised` says what gives it rights that its caller has not, '' where nothing does.
    """

    path: str
    start: tuple[str, ...]
    binary: str
    elf: Elf | None
    flaw: str
    raised: str


def find_program(name: str, environment: Mapping[bytes, bytes]) -> Program:
    """The program that a command's first word names.

    Problem, with NOT_FOUND or NOT_EXECUTABLE as its status, where the kernel would not start it.
    """
    search = os.fsdecode(environment.get(b"PATH", os.fsencode(_DEFAULT_PATH)))
    path = _find_path(name, search)
    start: tuple[str, ...] = (path,)
    binary, flaw = path, ""
    for _ in range(_DEEPEST):
        first = _read_start(binary)
        if first.startswith(b"#!"):
            binary = _find_interpreter(binary, first, search)
            continue
        if first.startswith(ELFMAG):
            break
        if b"\0" in first or binary != path:
            flaw = f"{binary} is neither a script nor an ELF file"
            break
        # execvp(3) has the shell run what the kernel does not know.
        binary, start = _SHELL, (_SHELL, path)
    else:
        raise Problem(f"{path}: too many interpreters, one for another", NOT_EXECUTABLE)
    elf, flaw = (None, flaw) if flaw else _inspect(binary)
    return Program(path, start, binary, elf, flaw, _find_rights(binary))


def inspect_file(path: str) -> Program:
    """A file that runs already, such as /proc/PID/exe; nothing is refused."""
    elf, flaw = _inspect(path)
    return Program(path, (path,), path, elf, flaw, _find_rights(path))


def _find_path(name: str, search: str) -> str:
    if "/" in name:
        _check_executable(name, name)
        return name
    refusal = Problem(f"{name}: command not found", NOT_FOUND)
    for folder in search.split(":") if name else ():
        # An empty entry of PATH is the working directory.
        path = f"{folder}/{name}" if folder else f"./{name}"
        try:
            _check_executable(path, name)
            return path
        except Problem as problem:
            # What may not be started is told only where nothing else by that name may be.
            refusal = problem if problem.status == NOT_EXECUTABLE else refusal
    raise refusal


def _check_executable(path: str, name: str) -> None:
    try:
        mode = os.stat(path).st_mode
    except (FileNotFoundError, NotADirectoryError, ValueError):
        raise Problem(f"{name}: command not found", NOT_FOUND) from None
    except OSError as error:
        raise Problem(f"{path}: {error.strerror}", NOT_EXECUTABLE) from None
    if stat.S_ISDIR(mode):
        raise Problem(f"{path}: is a directory", NOT_EXECUTABLE)
    if not stat.S_ISREG(mode):
        raise Problem(f"{path}: is not a regular file", NOT_EXECUTABLE)
    if not os.access(path, os.X_OK):
        raise Problem(f"{path}: is not executable, see chmod(1)", NOT_EXECUTABLE)


def _read_start(path: str) -> bytes:
    """The first bytes of a file; of one that may be run and not read, those of an ELF file."""
    try:
        with open(path, "rb", buffering=0) as file:
            return file.read(_FIRST_LINE)
    except OSError:
        return ELFMAG


def _find_interpreter(script: str, first: bytes, search: str) -> str:
    line = os.fsdecode(first[2:].partition(b"\n")[0])
    # Blanks and tabs alone: a carriage return is a part of the name, and makes it wrong.
    words = line.replace("\t", " ").strip(" ").split(" ", 1)
    if not words[0]:
        raise Problem(f"{script}: its first line names no interpreter", NOT_EXECUTABLE)
    try:
        _check_executable(words[0], words[0])
    except Problem:
        raise Problem(f"{script}: its interpreter {quote(words[0])} cannot be started",
                      NOT_EXECUTABLE) from None
    named = _find_word_of_env(words[1:]) if os.path.basename(words[0]) == "env" else ""
    if not named:
        return words[0]
    try:
        return _find_path(named, search)
    except Problem:
        # env(1) has more ways to name a command than are read here, and says what is wrong.
        return words[0]


def _find_word_of_env(rest: list[str]) -> str:
    """The command in what a first line says to env(1), whose options and NAME=VALUE come before."""
    words = " ".join(rest).split()
    return next((word for word in words if not word.startswith("-") and "=" not in word), "")


def _inspect(path: str) -> tuple[Elf | None, str]:
    """The facts of an ELF file, or why they are not known."""
    try:
        # A device or a FIFO that became of the file meanwhile does not make this wait.
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
    except OSError as error:
        return None, f"{path} cannot be read: {error.strerror}"
    try:
        return read_elf(descriptor, path), ""
    except Problem as problem:
        return None, str(problem)
    finally:
        os.close(descriptor)


def _find_rights(path: str) -> str:
    """What makes the dynamic loader forget LD_PRELOAD (ld.so(8), secure-execution mode)."""
    try:
        mode = os.stat(path).st_mode
    except OSError:
        return ""
    if mode & stat.S_ISUID:
        return "setuid"
    # Without the group's x it means a lock, not a group (inode(7)).
    if mode & stat.S_ISGID and mode & stat.S_IXGRP:
        return "setgid"
    return "given capabilities, see getcap(8)," if _has_capabilities(path) else ""


def _has_capabilities(path: str) -> bool:
    try:
        return bool(os.getxattr(path, _CAPABILITIES))
    except OSError:
        return False
