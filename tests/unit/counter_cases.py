# SPDX-License-Identifier: GPL-2.0-or-later
"""Recorded MPTCP counters, tests/cases/counters/NAME/, and what is found in them.

    client, server   their MPTcpExt of /proc/net/netstat, as the scenes of
                     tests/lab/support/boxes.py leave it
    findings         `END: TEXT` and, under it, the remedy, for each finding
"""

from __future__ import annotations

from pathlib import Path

from mptcp_hooks.machine.counters import read_counters
from mptcp_hooks.status.counters import judge_counters

CASES = Path(__file__).parents[1] / "cases" / "counters"


def find(case: Path) -> str:
    return "".join(f"{end}: {evidence.text}\n    {evidence.remedy}\n"
                   for end in ("client", "server")
                   for evidence in judge_counters(read_counters((case / end).read_text())))
