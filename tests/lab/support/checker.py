"""mptcp_check on the lab's client as systemd starts it: ready when it says so."""

from __future__ import annotations

import signal
import socket
from pathlib import Path
from typing import NamedTuple

from tests.lab.support.lab import Lab

_LOG = "/run/check.log"
_RESULTS = "/run/mptcp-hooks/.checks"


class Result(NamedTuple):
    """How the check of one address stands."""

    state: str
    since: int
    target: str


class Checker:
    """A running mptcp_check, which has looked at the record once."""

    def __init__(self, lab: Lab) -> None:
        self._client = lab.client
        # /tmp is the machine's: the client's processes find a socket there.
        address = f"/tmp/mptcp-hooks-check-{lab.client.pid}"
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as ready:
            ready.bind(address)
            ready.settimeout(20)
            try:
                self._process = self._client.start(
                    "env", f"NOTIFY_SOCKET={address}", "sh", "-c",
                    f"exec mptcp_check 2>>{_LOG}")
                assert ready.recv(500).startswith(b"READY=1\n")
            finally:
                Path(address).unlink()

    @property
    def pid(self) -> int:
        return self._process.pid

    def signal(self, number: signal.Signals) -> None:
        self._process.send_signal(number)

    def stop(self) -> int:
        """End it as systemd does; its exit status."""
        self.signal(signal.SIGTERM)
        return self._process.wait(10)

    def read_words(self) -> list[str]:
        """What it said so far."""
        return [line.removeprefix("mptcp_check: ")
                for line in self._client.run("cat", _LOG).splitlines()]

    def read_status(self, field: str) -> int:
        """A number of /proc/PID/status."""
        lines = Path(f"/proc/{self.pid}/status").read_text().splitlines()
        (text,) = (line for line in lines if line.startswith(field + ":"))
        return int(text.split()[1])


def read_results(lab: Lab) -> dict[str, Result]:
    """How the checks stand by their addresses, as they are noted."""
    lines = lab.client.try_run("cat", _RESULTS).stdout.splitlines()[1:-1]
    results = {}
    for own, state, since, target in (line.split(" ", 3) for line in lines):
        results[own] = Result(state, int(since), target)
    return results


def find_failed(lab: Lab) -> list[str]:
    """The addresses whose check has failed."""
    return sorted(own for own, result in read_results(lab).items() if result.state == "failed")


def has_results(lab: Lab) -> bool:
    """Whether there is a file of results at all."""
    return lab.client.try_run("test", "-e", _RESULTS).returncode == 0
