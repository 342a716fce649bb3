# SPDX-License-Identifier: GPL-2.0-or-later
"""What every command that people start begins and ends with."""

from __future__ import annotations

import os
import sys

from mptcp_hooks import __version__
from mptcp_hooks.base.errors import FAILED, Problem
from mptcp_hooks.base.report import describe_unexpected, say
from mptcp_hooks.base.value import TYPE_CHECKING

if TYPE_CHECKING:
    from argparse import ArgumentParser
    from collections.abc import Callable
    from typing import Any, TextIO

# 128 + SIGINT, as a shell says it.
_INTERRUPTED = 130


def make_parser(program: str, description: str, usage: str | None = None) -> ArgumentParser:
    """What reads a command's arguments: options are written out, and --version is one of them.

    `usage` is for a command whose line is more than its options and its positional arguments.
    """
    # What services start reads no arguments, and need not load it.
    from mptcp_hooks.base.arguments import Parser

    parser = Parser(program, usage=usage, description=description, allow_abbrev=False)
    parser.add_argument("--version", action="version", version=f"{program} {__version__}")
    return parser


def main(run: Callable[[], int], program: str = "") -> None:
    """Run one of the commands and end with its status; output that cannot be written is FAILED.

    What went wrong is said once, as `program`: without one, as what the caller started.
    """
    name = program or os.path.basename(sys.argv[0])
    _replace_closed_streams()
    output = _Output(sys.stdout)
    setattr(sys, "stdout", output)
    status = _guard(name, run)
    sys.exit(_guard(name, output.finish) or status)


class _Output:
    """Standard output, whose errors are Problems: any other OSError is a fault of ours."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)

    def write(self, text: str) -> int:
        """As a text file's; Problem where it cannot."""
        try:
            return self._stream.write(text)
        except OSError as error:
            raise self._give_up(error) from None

    def flush(self) -> None:
        """As a text file's; Problem where it cannot."""
        try:
            self._stream.flush()
        except OSError as error:
            raise self._give_up(error) from None

    def finish(self) -> int:
        """Write what is left, and the exit status of that."""
        self.flush()
        return 0

    def _give_up(self, error: OSError) -> Problem:
        _discard(self._stream)
        return Problem(f"cannot write: {error.strerror}")


def _guard(program: str, act: Callable[[], int]) -> int:
    """The status that an act ends with; what it failed of is said in one line."""
    try:
        return act()
    except SystemExit as end:
        # argparse ends so, once it has said --help or what is wrong with an option.
        return int(end.code or 0)
    except Problem as problem:
        _say(program, str(problem))
        return problem.status
    except KeyboardInterrupt:
        return _INTERRUPTED
    except Exception as error:
        _say(program, describe_unexpected(error))
        return FAILED


def _say(program: str, text: str) -> None:
    """One line on stderr, where that can be written to: the status says it as well."""
    try:
        say(program, text)
    except OSError:
        _discard(sys.stderr)


def _discard(stream: TextIO) -> None:
    """Have what is left of a stream go nowhere: it would fail again when Python ends."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())


def _replace_closed_streams() -> None:
    """Have what is written to a stream that the caller closed, None to Python, read by nobody."""
    for name in ("stdout", "stderr"):
        if getattr(sys, name) is None:
            setattr(sys, name, open(os.devnull, "w", encoding="utf-8"))
