# SPDX-License-Identifier: GPL-2.0-or-later
"""What our programs that run all the time need: to hear signals, and to tell systemd how all is."""

from __future__ import annotations

import os
import signal
import sys
from socket import AF_UNIX, SOCK_DGRAM, socket

from mptcp_hooks.base.report import SystemLog, say
from mptcp_hooks.base.value import TYPE_CHECKING

if TYPE_CHECKING:
    from argparse import ArgumentParser, Namespace


def catch_signals(*numbers: signal.Signals) -> int:
    """A descriptor from which the numbers of these signals can be read as they come."""
    reading, writing = os.pipe()
    os.set_blocking(writing, False)
    signal.set_wakeup_fd(writing, warn_on_full_buffer=False)
    for number in numbers:
        signal.signal(number, lambda *_: None)
    # hooks/mptcp_monitor and hooks/mptcp_check have SIGHUP blocked until it can be heard.
    signal.pthread_sigmask(signal.SIG_UNBLOCK, numbers)
    return reading


def add_log_option(parser: ArgumentParser) -> None:
    """Let a program be told that nobody reads its stderr, as under start-stop-daemon(8)."""
    parser.add_argument("--syslog", action="store_true",
                        help="say everything to syslog instead of stderr")


def heed_log_option(program: str, options: Namespace) -> None:
    """Have all that is said from now on go where the option says."""
    if options.syslog:
        setattr(sys, "stderr", SystemLog(program))


class Status:
    """What systemd is told, where it asked to know (sd_notify(3)); at first, that we are up."""

    def __init__(self, program: str) -> None:
        self._program = program
        # What we start is not to speak for us.
        self._address = os.environ.pop("NOTIFY_SOCKET", "")
        self._told = ""

    def tell(self, text: str) -> None:
        """Say how all is, if that has changed."""
        if not self._address or text == self._told:
            return
        ready = "" if self._told else "READY=1\n"
        address = "\0" + self._address[1:] if self._address[0] == "@" else self._address
        try:
            with socket(AF_UNIX, SOCK_DGRAM) as notifying:
                notifying.sendto(f"{ready}STATUS={text}".encode("utf-8", "replace"), address)
        except OSError as error:
            # What is not told now is told the next time.
            if ready:
                say(self._program,
                    f"cannot tell {self._address} that it is ready: {error.strerror}")
                self._address = ""
            return
        self._told = text
