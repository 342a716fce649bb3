"""Starts a program and waits for it: no shell, nothing inherited, no pipe that can fill.

subprocess would cost the hook 8 ms to import, `os` 1 ms; posix_spawn with memory files as
the standard streams does what is needed of it.
"""

from __future__ import annotations

import posix

from mptcp_hooks.errors import Problem
from mptcp_hooks.value import NamedTuple

# ifupdown-ng gives its hooks no PATH, and ifupdown2 gives them the caller's.
_DIRECTORIES = ("/usr/sbin", "/usr/bin", "/sbin", "/bin")
_ENVIRONMENT = {"PATH": ":".join(_DIRECTORIES), "LC_ALL": "C"}


class Outcome(NamedTuple):
    status: int
    output: str
    errors: str


def run_program(program: str, arguments: tuple[str, ...], text: str = "") -> Outcome:
    """Run `program` with `text` as its standard input; Problem where it cannot be started."""
    streams = [posix.memfd_create(name) for name in ("input", "output", "errors")]
    try:
        posix.write(streams[0], text.encode())
        posix.lseek(streams[0], 0, 0)
        child = posix.posix_spawn(
            _find(program),
            (program, *arguments),
            _ENVIRONMENT,
            file_actions=[(posix.POSIX_SPAWN_DUP2, stream, number)
                          for number, stream in enumerate(streams)],
        )
        _, status = posix.waitpid(child, 0)
        return Outcome(_exit_status(status), _read(streams[1]), _read(streams[2]))
    finally:
        for stream in streams:
            posix.close(stream)


def _exit_status(status: int) -> int:
    """What os.waitstatus_to_exitcode says: negative for a signal."""
    return posix.WEXITSTATUS(status) if posix.WIFEXITED(status) else -posix.WTERMSIG(status)


def _find(program: str) -> str:
    for directory in _DIRECTORIES:
        path = f"{directory}/{program}"
        if posix.access(path, posix.X_OK):
            return path
    raise Problem(f"the program {program!r} is not installed")


def _read(stream: int) -> str:
    size = posix.fstat(stream).st_size
    return posix.pread(stream, size, 0).decode(errors="replace")
