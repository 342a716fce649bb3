"""What a person hears: one line each on stderr, from the hooks in syslog too."""

from __future__ import annotations

import sys
import syslog


def say(program: str, text: str) -> None:
    print(f"{program}: {text}", file=sys.stderr, flush=True)


def say_and_log(program: str, text: str) -> None:
    """For the hooks, whose stderr may be nobody's, or gone."""
    syslog.openlog(program, 0, syslog.LOG_DAEMON)
    syslog.syslog(syslog.LOG_WARNING, text)
    try:
        say(program, text)
    except OSError:
        # ifup's terminal went away; the log has it.
        return


def show_command(line: str) -> None:
    """One command, as it can be pasted."""
    print(f"[#] {line}", file=sys.stderr, flush=True)
