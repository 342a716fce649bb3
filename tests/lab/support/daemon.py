# SPDX-License-Identifier: GPL-2.0-or-later
"""A program of ours that runs all the time, on a host as systemd starts it."""

from __future__ import annotations

import signal
import socket
from pathlib import Path
from typing import Protocol

from tests.lab.support.lab import Host


class HasClient(Protocol):
    """A lab; or what names another host that has the package."""

    @property
    def client(self) -> Host: ...


class Daemon:
    """A running one, which has said that it is ready."""

    def __init__(self, lab: HasClient, program: str, options: str = "") -> None:
        self._client = lab.client
        self._program = program
        self._log = f"/run/{program}.log"
        # /tmp is the machine's: the client's processes find a socket there.
        address = f"/tmp/{program}-{lab.client.pid}"
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as ready:
            ready.bind(address)
            # An emulated machine takes its time.
            ready.settimeout(60)
            try:
                self._process = self._client.start(
                    "env", f"NOTIFY_SOCKET={address}", "nice", "-n", "-10", "sh", "-c",
                    f"exec {program} {options} 2>>{self._log}")
                assert ready.recv(500).startswith(b"READY=1\n")
            finally:
                Path(address).unlink()

    @property
    def pid(self) -> int:
        return self._process.pid

    def signal(self, number: signal.Signals) -> None:
        self._process.send_signal(number)

    def is_running(self) -> bool:
        return self._process.poll() is None

    def stop(self) -> int:
        """End it as systemd does; its exit status."""
        self.signal(signal.SIGTERM)
        return self._process.wait(10)

    def read_log(self) -> list[str]:
        """What it said so far, the commands it ran as `[#] ip ...`."""
        return self._client.run("cat", self._log).splitlines()

    def read_words(self) -> list[str]:
        """What it said so far that is no command."""
        return [line.removeprefix(f"{self._program}: ") for line in self.read_log()
                if not line.startswith("[#]")]

    def read_status(self, field: str) -> int:
        """A number of /proc/PID/status."""
        lines = Path(f"/proc/{self.pid}/status").read_text().splitlines()
        (text,) = (line for line in lines if line.startswith(field + ":"))
        return int(text.split()[1])
