# SPDX-License-Identifier: GPL-2.0-or-later
"""A stream of datagrams from an address of the client, of which each counts."""

from __future__ import annotations

import subprocess
import sys

from tests.lab.support import datagrams
from tests.lab.support.lab import Host, Lab


class Stream:
    """Datagrams from an address of the client to one of a host, 2,000 a second."""

    def __init__(self, lab: Lab, source: str, host: Host, address: str) -> None:
        self._receiver = self._start(host, "receive", address)
        self._sender = self._start(lab.client, "send", source, address)
        # Neighbours may have to be found first, who get nothing meanwhile.
        assert _read_word(self._receiver) == "heard"

    def count(self) -> tuple[int, int]:
        """Let it end; how many were sent, and how many came."""
        return self._end(self._sender), self._end(self._receiver)

    def _start(self, host: Host, *words: str) -> subprocess.Popen[str]:
        process = host.start(sys.executable, datagrams.__file__, *words, "5004")
        assert _read_word(process) == "ready"
        return process

    def _end(self, process: subprocess.Popen[str]) -> int:
        process.terminate()
        output, errors = process.communicate(timeout=10)
        assert process.returncode == 0, errors
        return int(output)


def _read_word(process: subprocess.Popen[str]) -> str:
    assert process.stdout is not None
    return process.stdout.readline().rstrip("\n")
