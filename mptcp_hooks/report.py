"""What a person hears: one line each on stderr, from the hooks in syslog too."""

from __future__ import annotations

import sys


class Reporter:
    """Speaks as one program; `log` is for the hooks, whose stderr nobody may see."""

    def __init__(self, program: str, log: bool) -> None:
        self._program = program
        self._log = log

    def say(self, text: str) -> None:
        try:
            print(f"{self._program}: {text}", file=sys.stderr, flush=True)
        except OSError:
            # ifup's terminal went away; the log still has it.
            self._log = True
        if self._log:
            import syslog

            syslog.openlog(self._program, 0, syslog.LOG_DAEMON)
            syslog.syslog(syslog.LOG_WARNING, text)

    def show(self, line: str) -> None:
        """One command, as it can be pasted."""
        print(f"[#] {line}", file=sys.stderr, flush=True)
