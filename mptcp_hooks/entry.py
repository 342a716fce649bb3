"""What every command that people start begins and ends with."""

from __future__ import annotations

import os
import sys

from mptcp_hooks import __version__
from mptcp_hooks.errors import FAILED, Problem
from mptcp_hooks.report import describe_unexpected, say, say_if_heard
from mptcp_hooks.value import TYPE_CHECKING

if TYPE_CHECKING:
    from argparse import ArgumentParser
    from collections.abc import Callable

# 128 + SIGINT, as a shell says it.
_INTERRUPTED = 130


def make_parser(program: str, description: str, usage: str | None = None) -> ArgumentParser:
    """What reads a command's arguments: options are written out, and --version is one of them.

    `usage` is for a command whose line is more than its options and its positional arguments.
    """
    # What services start reads no arguments, and need not load it.
    from argparse import ArgumentParser

    parser = ArgumentParser(program, usage=usage, description=description, allow_abbrev=False)
    parser.add_argument("--version", action="version", version=f"{program} {__version__}")
    return parser


def main(run: Callable[[], int], program: str = "") -> None:
    """Run one of the commands and end with its status; output that cannot be written is 1.

    What went wrong is said once, as `program`: without one, as what the caller started.
    """
    program = program or os.path.basename(sys.argv[0])
    _replace_closed_streams()
    try:
        status = run()
        sys.stdout.flush()
    except Problem as problem:
        say_if_heard(program, str(problem))
        status = problem.status
    except OSError as error:
        # What is left of the output would fail again when Python ends.
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
        say(program, f"cannot write: {error.strerror}")
        status = FAILED
    except KeyboardInterrupt:
        status = _INTERRUPTED
    except Exception as error:
        say(program, describe_unexpected(error))
        status = FAILED
    sys.exit(status)


def _replace_closed_streams() -> None:
    """Have what is written to a stream that the caller closed, None to Python, read by nobody."""
    for name in ("stdout", "stderr"):
        if getattr(sys, name) is None:
            setattr(sys, name, open(os.devnull, "w", encoding="utf-8"))
