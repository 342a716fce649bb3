# SPDX-License-Identifier: GPL-2.0-or-later
"""When the agent takes a monitor for one that rests."""

from __future__ import annotations

import signal
import subprocess
import time
from collections.abc import Iterator

import pytest

from tests.model import agent

_ROUND = 0.5


@pytest.fixture(name="since")
def make_monitor(monkeypatch: pytest.MonkeyPatch) -> Iterator[float]:
    """A monitor that waits for a round of its, then for nothing; when it began."""
    since = time.monotonic()
    with subprocess.Popen(["sh", "-c", f"sleep {_ROUND}; exec sleep 60"]) as monitor:
        monkeypatch.setattr(agent, "monitor", monitor)
        yield since
        monitor.kill()


def test_a_monitor_that_waits_for_its_round_does_not_rest(since: float) -> None:
    agent.rest()
    assert time.monotonic() - since > _ROUND


def test_a_monitor_is_stopped_once_its_round_has_ended(since: float) -> None:
    agent.stop_resting_monitor()
    assert time.monotonic() - since > _ROUND
    agent.signal_monitor(signal.SIGCONT)
    agent.rest()
