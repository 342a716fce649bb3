# SPDX-License-Identifier: GPL-2.0-or-later
"""Runs a command in a VM: Debian's kernel, and this machine's files, which stay as they are.

The command starts in the directory that this is called from, as root; its exit status is ours.
Others are: 77 no VM can be had here, and stdout says why; 124 it took too long; 125 the VM broke.
"""

from __future__ import annotations

import argparse
import os
import signal
import sys

from tests.virtual.archive import Unavailable
from tests.virtual.machine import Broken, Late, find_obstacles, run

_SKIPPED = 77
_LATE = 124
_BROKEN = 125


def main() -> int:
    options = _parse_arguments()
    signal.signal(signal.SIGTERM, _interrupt)
    try:
        return _run([options.command, *options.arguments], options.minutes, options.suite)
    except KeyboardInterrupt:
        return 128 + signal.SIGINT
    except BrokenPipeError:
        # Python writes what it still holds at its end, to nobody, and would complain again.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 128 + signal.SIGPIPE


def _parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python3 -m tests.virtual", description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--minutes", type=float, default=40, metavar="N",
                        help="end the VM after this time (default: %(default)s)")
    parser.add_argument("--suite", default="trixie",
                        help="the release of Debian that the kernel is of (default: %(default)s)")
    parser.add_argument("command", metavar="COMMAND")
    parser.add_argument("arguments", metavar="ARG", nargs=argparse.REMAINDER)
    return parser.parse_args()


def _run(command: list[str], minutes: float, suite: str) -> int:
    """Run the command, and say in a line why it was not, or not to its end."""
    if obstacle := find_obstacles():
        return _skip(obstacle)
    try:
        return run(command, minutes * 60, suite)
    except Unavailable as error:
        return _skip(str(error))
    except Late:
        print(f"tests.virtual: not done after {minutes:g} minutes", file=sys.stderr)
        return _LATE
    except Broken as error:
        print(f"tests.virtual: {error}", file=sys.stderr)
        return _BROKEN


def _skip(obstacle: str) -> int:
    print(f"tests.virtual: skipped: {obstacle}")
    return _SKIPPED


def _interrupt(*_: object) -> None:
    """Make SIGTERM an exception, so that the VM ends on the way out."""
    raise KeyboardInterrupt


sys.exit(main())
