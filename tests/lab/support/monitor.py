"""mptcp_monitor on the lab's client as systemd starts it: ready when it says so."""

from __future__ import annotations

import re
import signal
import socket
import time
from pathlib import Path

from tests.lab.support.lab import Lab
from tests.lab.support.waiting import wait_for

_LOG = "/run/monitor.log"
# How peers are told again that an endpoint went, docs/architecture.md.
_AGAIN = re.compile(r"\[#\] ip mptcp endpoint add \S+ dev \S+ id (\d+) subflow\n"
                    r"\[#\] ip mptcp endpoint delete id \1\n")


class Monitor:
    """A running mptcp_monitor, its first round done."""

    def __init__(self, lab: Lab) -> None:
        self._client = lab.client
        # /tmp is the machine's: the client's processes find a socket there.
        address = f"/tmp/mptcp-hooks-{lab.client.pid}"
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as ready:
            ready.bind(address)
            ready.settimeout(20)
            try:
                self._process = self._client.start(
                    "env", f"NOTIFY_SOCKET={address}", "nice", "-n", "-10", "sh", "-c",
                    f"exec mptcp_monitor --verbose 2>>{_LOG}")
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
        return self._client.run("cat", _LOG).splitlines()

    def read_news(self) -> list[str]:
        """The same without that by which it only tells peers again that an endpoint went."""
        return _AGAIN.sub("", self._client.run("cat", _LOG)).splitlines()

    def read_words(self) -> list[str]:
        """What it said so far that is no command."""
        return [line.removeprefix("mptcp_monitor: ") for line in self.read_log()
                if not line.startswith("[#]")]

    def read_status(self, field: str) -> int:
        """A number of /proc/PID/status."""
        lines = Path(f"/proc/{self.pid}/status").read_text().splitlines()
        (text,) = (line for line in lines if line.startswith(field + ":"))
        return int(text.split()[1])

    def count_ticks(self) -> list[str]:
        """The processor time of its rounds, and of the system for them; proc(5)."""
        return Path(f"/proc/{self.pid}/stat").read_text().split()[15:17]

    def is_at_rest(self) -> bool:
        """Whether no round is under way, and none began in the time a burst settles in."""
        before = self.read_status("voluntary_ctxt_switches")
        # Longer than the 200 ms after which a round begins at the latest.
        time.sleep(0.3)
        return before == self.read_status("voluntary_ctxt_switches")

    def rest(self) -> None:
        """Wait until all that happened is dealt with."""
        wait_for(self.is_at_rest)
