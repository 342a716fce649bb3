# SPDX-License-Identifier: GPL-2.0-or-later
"""What probes came to, as a screen and as data. Pure."""

from __future__ import annotations

from mptcp_hooks.base.text import align
from mptcp_hooks.base.value import TYPE_CHECKING

if TYPE_CHECKING:
    from mptcp_hooks.machine.probes import Answer
    from mptcp_hooks.status.paint import Paint
    from mptcp_hooks.status.probe import Probe, Target

_HEADINGS = ("INTERFACE", "ADDRESS", "GATEWAY", "TCP", "MPTCP", "JOIN")


def draw_probes(probes: list[Probe], target: Target | None, paint: Paint) -> list[str]:
    """A line a path under a line of headings; of the gateway alone without a target."""
    shown = len(_HEADINGS) if target else _HEADINGS.index("TCP")
    table = [list(_HEADINGS[:shown]), *(
        [one.path.interface, one.path.address, *map(_say, _list_answers(one))][:shown]
        for one in probes)]
    head, *rows = align(table)
    return [paint.bold("  ".join(head).rstrip()), *(
        _dress(row, [None, None, *_list_answers(one)], paint) for row, one in zip(rows, probes))]


def describe_probes(probes: list[Probe], target: Target | None) -> dict[str, object]:
    """The answer for programs: milliseconds; null where something was not asked."""
    return {
        "host": target.host if target else None,
        "port": target.port if target else None,
        "probes": [{
            "interface": one.path.interface,
            "address": one.path.address,
            "works": one.works,
            **dict(zip(("gateway", "tcp", "mptcp", "join"),
                       map(_describe, _list_answers(one)))),
        } for one in probes],
    }


def _list_answers(one: Probe) -> tuple[Answer | None, ...]:
    return (one.gateway, one.tcp, one.mptcp, one.join)


def _dress(row: list[str], answers: list[Answer | None], paint: Paint) -> str:
    cells = [cell if answer is None else (paint.good if answer.good else paint.bad)(cell)
             for cell, answer in zip(row, answers)]
    return "  ".join(cells).rstrip()


def _say(answer: Answer | None) -> str:
    if answer is None:
        return "-"
    if answer.seconds is None:
        return answer.why or "answers"
    return f"{1000 * answer.seconds:.1f} ms"


def _describe(answer: Answer | None) -> dict[str, object] | None:
    return None if answer is None else {
        "good": answer.good,
        "ms": None if answer.seconds is None else round(1000 * answer.seconds, 3),
        "why": answer.why or None,
    }
