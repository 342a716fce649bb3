"""Starts programs and waits for them: no shell, nothing inherited, no pipe that can fill.

subprocess would cost the hook 8 ms to import, `os` 1 ms; posix_spawn, a pipe in
and memory files out do what is needed of it. `ip -batch` can be started ahead:
it loads while the hook still plans, and waits for its lines.
"""

from __future__ import annotations

import posix

from mptcp_hooks.base.errors import Problem
from mptcp_hooks.base.folder import write_all
from mptcp_hooks.base.value import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from signal import SIG_DFL, SIGCHLD, signal
else:
    # The same, without `enum` and `re`, which the public face makes its names with.
    from _signal import SIG_DFL, SIGCHLD, signal

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


def run_program(program: str, arguments: tuple[str, ...], text: str = "") -> Outcome:
    """Run `program` with `text` as its standard input; Problem where it cannot be started."""
    call = (program, *arguments)
    return _finish(_ahead.pop(call) if call in _ahead else _start(call), text)


def run_batch(option: str, force: bool, text: str) -> Outcome:
    """Run lines through `ip -batch`; `option` is -4, -6 or nothing."""
    return run_program("ip", _batch_arguments(option, force), text)


def start_batch_ahead(option: str, force: bool) -> None:
    """Start the `ip -batch` that the next run_batch with the same options will use."""
    call = ("ip", *_batch_arguments(option, force))
    _ahead[call] = _start(call)


def dismiss_ahead() -> None:
    """End what was started ahead and not needed: without lines it does nothing."""
    while _ahead:
        _, started = _ahead.popitem()
        _finish(started, "")


def _batch_arguments(option: str, force: bool) -> tuple[str, ...]:
    return (*filter(None, [option, "-force" if force else ""]), "-batch", "-")


def _start(call: tuple[str, ...]) -> _Started:
    # Whoever started us may ignore it: then nobody can wait for a child, waitpid(2).
    signal(SIGCHLD, SIG_DFL)
    reading, writing = posix.pipe()
    output, errors = posix.memfd_create("output"), posix.memfd_create("errors")
    try:
        child = posix.posix_spawn(_find(call[0]), call, _ENVIRONMENT, file_actions=[
            (posix.POSIX_SPAWN_DUP2, stream, number)
            for number, stream in enumerate((reading, output, errors))])
    finally:
        posix.close(reading)
    return _Started(child, writing, output, errors)


def _finish(started: _Started, text: str) -> Outcome:
    try:
        write_all(started.input, text)
    except BrokenPipeError:
        # It ended before it read all; its status and words say why.
        pass
    posix.close(started.input)
    _, status = posix.waitpid(started.child, 0)
    return Outcome(posix.waitstatus_to_exitcode(status), _read(started.output),
                   _read(started.errors))


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
