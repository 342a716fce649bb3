# SPDX-License-Identifier: GPL-2.0-or-later
"""mptcp_check on the lab's client as systemd starts it: ready when it says so."""

from __future__ import annotations

from typing import NamedTuple

from tests.lab.support.daemon import Daemon
from tests.lab.support.lab import Lab

_RESULTS = "/run/mptcp-hooks/.checks"


class Result(NamedTuple):
    """How the check of one address stands."""

    state: str
    since: int
    target: str


class Checker(Daemon):
    """A running mptcp_check, which has looked at the record once."""

    def __init__(self, lab: Lab) -> None:
        super().__init__(lab, "mptcp_check")


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
