# SPDX-License-Identifier: GPL-2.0-or-later
"""Candidates for people, as lines of a screen, and for programs, as plain data. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from mptcp_hooks.base.report import make_printable
from mptcp_hooks.base.text import count
from mptcp_hooks.status.candidates import Candidate
from mptcp_hooks.status.connections_view import describe_processes, name_processes
from mptcp_hooks.status.layout import wrap, wrap_text
from mptcp_hooks.status.paint import Paint


def draw_candidates(candidates: Sequence[Candidate], paint: Paint) -> list[str]:
    """A line a candidate, with the command that would force it, under a heading."""
    if not candidates:
        return wrap_text("no plain TCP over an uplink that could be forced", paint.width)
    heading = wrap_text("plain TCP over an uplink that could be Multipath TCP", paint.width)
    return [*map(paint.bold, heading),
            *(line for candidate in candidates for line in _draw_candidate(candidate, paint))]


def describe_candidates(candidates: Sequence[Candidate]) -> list[dict[str, Any]]:
    """What --json prints of them."""
    return [{"program": candidate.program, "unit": candidate.unit or None,
             "processes": describe_processes(candidate.processes),
             "connections": candidate.connections, "interfaces": list(candidate.interfaces),
             "method": candidate.method, "command": candidate.command}
            for candidate in candidates]


def _draw_candidate(candidate: Candidate, paint: Paint) -> list[str]:
    text = (f"{name_processes(candidate.processes)}: "
            f"{count(candidate.connections, 'connection')} over {', '.join(candidate.interfaces)}")
    first, *more = text.split()
    return wrap([f"  {first}", *more, paint.bold("=>"),
                 *make_printable(candidate.command).split(" ")], paint.width, 4)
