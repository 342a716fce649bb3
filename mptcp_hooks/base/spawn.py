# SPDX-License-Identifier: GPL-2.0-or-later
"""Starts programs and waits for them, but not for ever: no shell, no pipe that can fill.

subprocess would cost the hook 8 ms to import, `os` 1 ms; posix_spawn, a pipe in
and memory files out do what is needed of it. `ip -batch` can be started ahead:
it loads while the hook still plans, and waits for its lines.

A program that takes too long is killed with all that it started: each has a process
group of its own. An alarm ends the waiting, setitimer(2): it needs no module that is not
there already, and interrupts the writing of the input too.
"""

from __future__ import annotations

import posix

from mptcp_hooks.base.errors import Problem
from mptcp_hooks.base.folder import PATIENCE, write_all
from mptcp_hooks.base.value import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from signal import ITIMER_REAL, SIG_DFL, SIG_UNBLOCK, SIGALRM, SIGCHLD
    from signal import pthread_sigmask, setitimer, signal
else:
    # The same, without `enum` and `re`, which the public face makes its names with.
    from _signal import ITIMER_REAL, SIG_DFL, SIG_UNBLOCK, SIGALRM, SIGCHLD
    from _signal import pthread_sigmask, setitimer, signal

# ifupdown-ng gives its hooks no PATH, and ifupdown2 gives them the caller's.
_DIRECTORIES = ("/usr/sbin", "/usr/bin", "/sbin", "/bin")
_ENVIRONMENT = {"PATH": ":".join(_DIRECTORIES), "LC_ALL": "C"}
# More than `ip -j` says of a router with a million routes; of a flood the rest is nobody's.
_SAID_AT_MOST = 1 << 28


class Outcome(NamedTuple):
    """How a program ended: its exit status (negative for a signal) and what it said."""

    status: int
    output: str
    errors: str


class _Started(NamedTuple):
    """A running program: the descriptors of its input and of the files it writes to."""

    child: int
    input: int
    output: int
    errors: int


_ahead: dict[tuple[str, ...], _Started] = {}


def run_program(
    program: str, arguments: tuple[str, ...], text: str = "", at_most: float = PATIENCE
) -> Outcome:
    """Run `program` with `text` as its standard input, for `at_most` seconds.

    Problem where it cannot be started, and (`in_vain` is PROGRAM) where it does not end in
    time: nobody knows then what it did.
    """
    call = (program, *arguments)
    started = _ahead.pop(call) if call in _ahead else _start(call)
    status = _finish(call, started, text, at_most)
    return Outcome(status, _read(started.output), _read(started.errors))


def run_batch(option: str, force: bool, text: str, at_most: float = PATIENCE) -> Outcome:
    """Run lines through `ip -batch`, as run_program; `option` is -4, -6 or nothing."""
    return run_program("ip", _batch_arguments(option, force), text, at_most)


def start_batch_ahead(option: str, force: bool) -> None:
    """Start the `ip -batch` that the next run_batch with the same options will use."""
    call = ("ip", *_batch_arguments(option, force))
    _ahead[call] = _start(call)


def dismiss_ahead() -> None:
    """End what was started ahead and not needed: it was given no line, and has done nothing."""
    while _ahead:
        from mptcp_hooks.base.overdue import DYING_AT_MOST, kill

        call, started = _ahead.popitem()
        kill(started.child)
        _finish(call, started, "", DYING_AT_MOST)
        for stream in (started.output, started.errors):
            posix.close(stream)


def _batch_arguments(option: str, force: bool) -> tuple[str, ...]:
    return (*filter(None, [option, "-force" if force else ""]), "-batch", "-")


def _start(call: tuple[str, ...]) -> _Started:
    # Whoever started us may ignore it: then nobody can wait for a child, waitpid(2).
    signal(SIGCHLD, SIG_DFL)
    path = _find(call[0])
    opened: list[int] = []
    try:
        opened += posix.pipe()
        opened += posix.memfd_create("output"), posix.memfd_create("errors")
        reading, writing, output, errors = opened
        child = posix.posix_spawn(path, call, _ENVIRONMENT, file_actions=[
            (posix.POSIX_SPAWN_DUP2, stream, number)
            for number, stream in enumerate((reading, output, errors))], setpgroup=0)
    except OSError as error:
        for stream in opened:
            posix.close(stream)
        raise Problem(f"cannot start {call[0]}: {error.strerror}") from None
    posix.close(reading)
    return _Started(child, writing, output, errors)


def _finish(call: tuple[str, ...], started: _Started, text: str, at_most: float) -> int:
    """Hand a program its input, and wait for its end: its exit status."""
    killed: list[int] = []

    def end(*_: object) -> None:
        from mptcp_hooks.base.overdue import end_overdue

        end_overdue(call, started.child, at_most, killed)

    signal(SIGALRM, end)
    # Whoever started us may have blocked it.
    pthread_sigmask(SIG_UNBLOCK, (SIGALRM,))
    setitimer(ITIMER_REAL, at_most)
    try:
        _hand(started.input, text)
        _, status = posix.waitpid(started.child, 0)
    finally:
        setitimer(ITIMER_REAL, 0)
    if killed:
        from mptcp_hooks.base.overdue import describe_overdue

        raise describe_overdue(call, at_most)
    return posix.waitstatus_to_exitcode(status)


def _hand(descriptor: int, text: str) -> None:
    try:
        write_all(descriptor, text)
    except BrokenPipeError:
        # It ended before it read all; its status and words say why.
        pass
    posix.close(descriptor)


def _find(program: str) -> str:
    for directory in _DIRECTORIES:
        path = f"{directory}/{program}"
        if posix.access(path, posix.X_OK):
            return path
    raise Problem(f"the program {program!r} is not installed")


def _read(stream: int) -> str:
    try:
        size = min(posix.fstat(stream).st_size, _SAID_AT_MOST)
        return posix.pread(stream, size, 0).decode(errors="replace")
    finally:
        posix.close(stream)
