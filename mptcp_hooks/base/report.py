# SPDX-License-Identifier: GPL-2.0-or-later
"""What a person hears: one line each on stderr, from the hooks in syslog too."""

from __future__ import annotations

import sys
import syslog

from mptcp_hooks.base.errors import shorten


def say(program: str, text: str) -> None:
    """One line on stderr, as the program."""
    print(f"{program}: {make_printable(text)}", file=sys.stderr, flush=True)


def say_if_heard(program: str, text: str) -> None:
    """As say, where what comes after it must come whether or not anybody can read it."""
    try:
        say(program, text)
    except OSError:
        return


def say_and_log(program: str, text: str) -> None:
    """For the hooks, whose stderr may be nobody's, or gone."""
    syslog.openlog(program, 0, syslog.LOG_DAEMON)
    syslog.syslog(syslog.LOG_WARNING, make_printable(text))
    try:
        say(program, text)
    except OSError:
        # ifup's terminal went away; the log has it.
        return


class SystemLog:
    """In the place of stderr: each line goes to syslog as the program's, where no journal is.

    A line that begins with the program's name, as those of `say` do, goes without it.
    """

    encoding = "utf-8"

    def __init__(self, program: str) -> None:
        syslog.openlog(program, syslog.LOG_PID, syslog.LOG_DAEMON)
        self._prefix = f"{program}: "
        self._begun = ""

    def write(self, text: str) -> int:
        """Log what is whole lines by now."""
        *lines, self._begun = (self._begun + text).split("\n")
        for line in lines:
            syslog.syslog(syslog.LOG_NOTICE, make_printable(line.removeprefix(self._prefix)))
        return len(text)

    def flush(self) -> None:
        """Nothing waits but a line that is not whole."""


def show_command(line: str) -> None:
    """One command, as it can be pasted; work goes on where nobody can see it."""
    try:
        print(f"[#] {line}", file=sys.stderr, flush=True)
    except OSError:
        return


def describe_unexpected(error: Exception) -> str:
    """An error of ours in one line, with the place it came from."""
    trace = error.__traceback__
    while trace and trace.tb_next:
        trace = trace.tb_next
    where = f"{trace.tb_frame.f_code.co_filename}:{trace.tb_lineno}" if trace else "?"
    return f"unexpected {type(error).__name__} at {where}: {shorten(str(error))} (please report it)"


def make_printable(text: str) -> str:
    """One line of ASCII: an environment may hold bytes that no terminal or log should get."""
    escaped = text.encode("ascii", "backslashreplace").decode()
    return "".join(one if one.isprintable() else f"\\x{ord(one):02x}" for one in escaped)
