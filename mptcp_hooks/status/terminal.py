# SPDX-License-Identifier: GPL-2.0-or-later
"""A terminal as a screen of its own: what stood there before comes back when it is left."""

from __future__ import annotations

import os
import select
import signal
import sys
import termios
import tty
from time import monotonic

from mptcp_hooks.base.value import TYPE_CHECKING

if TYPE_CHECKING:
    from types import FrameType
    from typing import Any, TextIO

# xterm's control sequences, which terminals of today share: the alternate screen and back, the
# cursor hidden and shown; home, the end of a line and of the screen cleared (ECMA-48).
_ENTER, _LEAVE = b"\x1b[?1049h\x1b[?25l", b"\x1b[?25h\x1b[?1049l"
_HOME, _CLEAR_LINE, _CLEAR_REST = "\x1b[H", "\x1b[2K", "\x1b[J"
_QUIT = b"qQ"
_KEYS_AT_ONCE = 64


def has_screen(stream: TextIO) -> bool:
    """Whether a stream is a terminal that can be drawn on."""
    return stream.isatty() and os.environ.get("TERM", "dumb") != "dumb"


class Terminal:
    """The terminal of `output`, from `with` to its end; keys are read if stdin is one as well."""

    def __init__(self, output: TextIO) -> None:
        self._output = output
        self._before: list[Any] | None = None
        self._stopping = False
        self._resized, self._awake = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)

    def __enter__(self) -> Terminal:
        signal.signal(signal.SIGWINCH, self._wake)
        signal.signal(signal.SIGTSTP, self._note_stop)
        for number in (signal.SIGTERM, signal.SIGHUP):
            signal.signal(number, _end)
        self._take()
        return self

    def __exit__(self, *_: object) -> None:
        self._give_back()

    @property
    def has_keys(self) -> bool:
        """Whether somebody can press a key."""
        return self._before is not None

    def draw(self, lines: list[str]) -> None:
        """Show these lines, which fit, in place of what is shown."""
        text = "\n".join(_CLEAR_LINE + line for line in lines)
        self._output.write(f"{_HOME}{text}{_CLEAR_REST}")
        self._output.flush()

    def wait(self, until: float) -> bool:
        """Wait until then, or until the size is another one; whether somebody wants to leave.

        Who pressed Ctrl-Z gets the shell now, and not while somebody asks something.
        """
        keys = [sys.stdin.fileno()] * self.has_keys
        ready, _, _ = select.select([self._resized, *keys], [], [], max(0.0, until - monotonic()))
        if self._resized in ready:
            os.read(self._resized, _KEYS_AT_ONCE)
        if self._stopping:
            self._stop()
        if not keys or keys[0] not in ready:
            return False
        pressed = os.read(keys[0], _KEYS_AT_ONCE)
        # A terminal that is gone has no keys either.
        return not pressed or not set(_QUIT).isdisjoint(pressed)

    def _take(self) -> None:
        if sys.stdin is not None and sys.stdin.isatty():
            self._before = termios.tcgetattr(sys.stdin)
            tty.setcbreak(sys.stdin)
        self._send(_ENTER)

    def _give_back(self) -> None:
        self._send(_LEAVE)
        if self._before is not None:
            termios.tcsetattr(sys.stdin, termios.TCSADRAIN, self._before)

    def _send(self, sequence: bytes) -> None:
        os.write(self._output.fileno(), sequence)

    def _wake(self, *_: object) -> None:
        # A pipe that is full wakes as well.
        try:
            os.write(self._awake, b".")
        except BlockingIOError:
            return

    def _note_stop(self, *_: object) -> None:
        self._stopping = True
        self._wake()

    def _stop(self) -> None:
        """The shell gets its screen, and this process gets its own when it goes on."""
        self._stopping = False
        self._give_back()
        signal.signal(signal.SIGTSTP, signal.SIG_DFL)
        os.kill(os.getpid(), signal.SIGTSTP)
        signal.signal(signal.SIGTSTP, self._note_stop)
        self._take()


def _end(number: int, _frame: FrameType | None) -> None:
    """Leave the screen as it was, and end with what a shell says of the signal."""
    raise SystemExit(128 + number)
