# SPDX-License-Identifier: GPL-2.0-or-later
"""Recorded output of ss, tests/cases/connections/NAME/, and what is made of it.

    ss.txt             what `ss -Menita` printed, see tests/lab/record_connections.py
    devices            `ADDRESS DEVICE` a line: what devices the host's addresses are on
    screen.txt         what mptcp_status --connections draws
    connections.json   what it answers with --json
"""

from __future__ import annotations

import json
from pathlib import Path

from mptcp_hooks.status.connections import Connection, read_connections, sum_interfaces
from mptcp_hooks.status.connections_view import describe_connections, draw_connections, draw_totals
from mptcp_hooks.status.paint import Paint

CASES = Path(__file__).parents[1] / "cases" / "connections"


def read_case(case: Path) -> tuple[Connection, ...]:
    lines = (case / "devices").read_text().splitlines()
    devices = dict(line.split() for line in lines)
    return read_connections((case / "ss.txt").read_text(), devices)


def draw_case(case: Path) -> str:
    connections = read_case(case)
    totals = draw_totals(sum_interfaces(connections), Paint(False))
    screen = [*draw_connections(connections, {}, Paint(False)), *[""] * bool(totals), *totals]
    return "\n".join(screen) + "\n"


def describe_case(case: Path) -> str:
    connections = read_case(case)
    answer = describe_connections(connections, sum_interfaces(connections), {})
    return json.dumps(answer, indent=1) + "\n"
