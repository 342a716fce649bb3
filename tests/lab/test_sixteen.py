# SPDX-License-Identifier: GPL-2.0-or-later
"""Sixteen interfaces that come and go at once, again and again, in whatever company.

A hook that waits five seconds for the others in vain, on a busy machine, says so and leaves what
it was told to whoever has the lock: nothing is lost.
"""

from __future__ import annotations

import signal
import subprocess

import pytest

from tests.lab.support.lab import Lab
from tests.lab.support.monitor import Monitor
from tests.lab.support.paths import RULES
from tests.lab.support.waiting import wait_for

pytestmark = pytest.mark.fault

_NUMBERS = range(16)
_TIMES = 50
# Where other tests are busy too.
_LONG = 120.0
_ENDPOINTS_AT_MOST = 8
_SAID = ("left to the next hook", "waiting: ", "the kernel's 8 are taken")


def _plug(lab: Lab) -> None:
    """Sixteen devices, each with an address, and a far end that answers as its gateway."""
    for number in _NUMBERS:
        lab.client.ip(f"link add up{number} type veth peer name peer{number}",
                      f"link set peer{number} up", f"link set up{number} up",
                      f"addr add 10.20.{number}.2/24 dev up{number}",
                      f"neigh replace 10.20.{number}.1 lladdr 02:00:00:00:00:01 dev up{number} "
                      "nud permanent")


def _start(lab: Lab, folder: str, program: str) -> list[subprocess.Popen[str]]:
    return [lab.client.start(
        "env", "-i", f"IFACE=up{number}", "ADDRFAM=inet", "METHOD=static",
        f"IF_ADDRESS=10.20.{number}.2", "IF_NETMASK=24", f"IF_GATEWAY=10.20.{number}.1",
        f"/etc/network/{folder}/{program}") for number in _NUMBERS]


def _end(processes: list[subprocess.Popen[str]]) -> None:
    """Wait for programs, which must succeed and have nothing to say but that others are busy."""
    said = [process.communicate(timeout=120)[1] for process in processes]
    assert [process.returncode for process in processes] == [0] * len(processes), said
    lines = [line for text in said for line in text.splitlines()]
    assert not [line for line in lines if not any(words in line for words in _SAID)], lines


def _count(lab: Lab) -> tuple[int, int]:
    return len(lab.rules()), len(lab.endpoints())


@pytest.mark.parametrize("company", ["nobody", "mptcp_up", "monitor", "reload"])
def test_all_come_and_all_go_without_a_trace(lab: Lab, company: str) -> None:
    _plug(lab)
    before = lab.snapshot()
    monitor = Monitor(lab) if company in ("monitor", "reload") else None
    for _ in range(_TIMES):
        hooks = _start(lab, "if-up.d", "mptcp_up")
        others = [lab.client.start("mptcp_up", "--all")] * (company == "mptcp_up")
        if monitor and company == "reload":
            # What `systemctl reload` sends.
            monitor.signal(signal.SIGHUP)
        _end([*hooks, *others])
        wait_for(lambda: _count(lab) == (RULES * len(_NUMBERS), _ENDPOINTS_AT_MOST), _LONG)
        hooks = _start(lab, "if-post-down.d", "mptcp_down")
        others = [lab.client.start("mptcp_up", "--all")] * (company == "mptcp_up")
        if monitor and company == "reload":
            # What `systemctl reload` sends.
            monitor.signal(signal.SIGHUP)
        _end([*hooks, *others])
        wait_for(lambda: lab.snapshot() == before, _LONG)
    if monitor:
        monitor.stop()
    assert lab.snapshot() == before
    assert lab.client.run("ls", "/run/mptcp-hooks") == ""
