# SPDX-License-Identifier: GPL-2.0-or-later
"""Connections for people, as a screen, and for programs, as plain data."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from mptcp_hooks.base.text import count, format_bytes
from mptcp_hooks.machine.procfs import Process
from mptcp_hooks.status.connections import Connection, Subflow, Total
from mptcp_hooks.status.layout import Cell, Column, lay_out, wrap
from mptcp_hooks.status.paint import Paint

Owners = Mapping[int, Sequence[Process]]

_INDENT = "  "
_PROCESSES_SHOWN = 3


def draw_connections(
    connections: tuple[Connection, ...], owners: Owners, paint: Paint
) -> list[str]:
    """A block a connection, a line a subflow, all of them aligned, and a free line between blocks.

    `owners` has the processes that hold a connection, by its inode. Of what does not fit, states
    go first, where all are well, then the lowest round trip, retransmissions, the round trip; then
    addresses are cut.
    """
    if not connections:
        return ["no MPTCP connections"]
    subflows = [subflow for connection in connections for subflow in connection.subflows]
    rows = iter(_lay_out(_list_columns(subflows, paint), paint))
    screen = []
    for connection in connections:
        screen += [*_draw_head(connection, owners, paint),
                   *(next(rows) for _ in connection.subflows), ""]
    return screen[:-1]


def draw_totals(totals: tuple[Total, ...], paint: Paint) -> list[str]:
    """A line an interface with the sums of its subflows, under a heading; none without any."""
    columns = [
        Column(tuple(Cell(total.interface or "-") for total in totals)),
        Column(tuple(Cell(count(total.subflows, "subflow")) for total in totals), right=True),
        _label("sent", [format_bytes(total.bytes_sent) for total in totals]),
        _label("received", [format_bytes(total.bytes_received) for total in totals]),
        _label("resent", [_format_number(total.retransmissions) for total in totals], 1),
        _label("lowest rtt", [_format_time(total.lowest_rtt) for total in totals], 2),
    ]
    return [paint.bold("in all"), *_lay_out(columns, paint)] if totals else []


def describe_connections(
    connections: tuple[Connection, ...], totals: tuple[Total, ...], owners: Owners
) -> dict[str, Any]:
    """What --json prints: bytes, milliseconds; null where something could not be seen."""
    return {
        "connections": [_describe_connection(connection, owners) for connection in connections],
        "totals": [{"interface": total.interface or None, "subflows": total.subflows,
                    "bytes_sent": total.bytes_sent, "bytes_received": total.bytes_received,
                    "retransmissions": total.retransmissions,
                    "lowest_rtt_ms": total.lowest_rtt}
                   for total in totals],
    }


def _lay_out(columns: Sequence[Column], paint: Paint) -> list[str]:
    width = paint.width and paint.width - len(_INDENT)
    return [_INDENT + row for row in lay_out(columns, width, paint.mark, " ")]


def _list_columns(subflows: Sequence[Subflow], paint: Paint) -> list[Column]:
    well = all(map(_is_well, subflows))
    return [
        Column(tuple(Cell(one.interface or "-") for one in subflows)),
        Column(tuple(Cell(one.local) for one in subflows), may_be_cut=True),
        Column((Cell("->"),) * len(subflows)),
        Column(tuple(Cell(one.remote) for one in subflows), may_be_cut=True),
        Column(tuple(_dress_state(one, paint) for one in subflows), rank=4 * well),
        # A column in which nothing stands, as that for backups mostly, takes no room.
        Column(tuple(Cell("backup" * one.backup) for one in subflows)),
        _label("sent", [format_bytes(one.bytes_sent) for one in subflows]),
        _label("received", [format_bytes(one.bytes_received) for one in subflows]),
        _label("rtt", [_format_time(one.rtt) or "-" for one in subflows], 1),
        _label("lowest", [_format_time(one.lowest_rtt) for one in subflows], 3),
        _label("resent", [_format_number(one.retransmissions) for one in subflows], 2),
        Column(tuple(_dress_warning(one, paint) for one in subflows)),
    ]


def _label(label: str, values: Sequence[str], rank: int = 0) -> Column:
    """Values at the right, each with its label; nothing where there is none."""
    width = max(map(len, values), default=0)
    return Column(tuple(Cell(f"{label} {value.rjust(width)}" if value else "")
                        for value in values), rank)


def _format_time(milliseconds: float | None) -> str:
    """Nothing for None; below a millisecond a digit more."""
    if milliseconds is None:
        return ""
    return f"{milliseconds:.{1 if milliseconds >= 1 else 2}f} ms"


def _format_number(number: int) -> str:
    return str(number or "")


def _is_well(subflow: Subflow) -> bool:
    return subflow.state == "ESTAB" and not subflow.unanswered


def _dress_state(subflow: Subflow, paint: Paint) -> Cell:
    return Cell(subflow.state, paint.good if _is_well(subflow) else paint.doubtful)


def _dress_warning(subflow: Subflow, paint: Paint) -> Cell:
    if not subflow.unanswered:
        return Cell("")
    return Cell(f"no answer to {count(subflow.unanswered, 'retransmission')}", paint.bad)


def name_processes(processes: Sequence[Process]) -> str:
    """`curl (4711)`, of many the first."""
    names = [f"{process.name} ({process.pid})" for process in processes[:_PROCESSES_SHOWN]]
    more = len(processes) - _PROCESSES_SHOWN
    return ", ".join(names) + (f" and {more} more" if more > 0 else "")


def _draw_head(connection: Connection, owners: Owners, paint: Paint) -> list[str]:
    """Its two ends, who holds it, and what is to be known of it, with commas between them."""
    parts = [[paint.bold(one) for one in (connection.local, "->", connection.remote)],
             name_processes(owners.get(connection.inode, ())).split(),
             *([paint.doubtful(text)] for text in (
                 _name_state(connection), _name_lack(connection)) if text)]
    shown = [part for part in parts if part]
    for part in shown[:-1]:
        part[-1] += ","
    return wrap([word for part in shown for word in part], paint.width, 2 * len(_INDENT))


def _name_state(connection: Connection) -> str:
    if not connection.state:
        return "state not visible"
    return "" if connection.state == "ESTAB" else connection.state


def _name_lack(connection: Connection) -> str:
    """Why this is less than an MPTCP connection with its subflows."""
    if connection.fallback:
        return "fell back to TCP"
    return "" if connection.subflows else "no subflow visible"


def describe_processes(processes: Sequence[Process]) -> list[dict[str, Any]]:
    """Processes as programs get them."""
    return [{"pid": process.pid, "name": process.name} for process in processes]


def _describe_connection(connection: Connection, owners: Owners) -> dict[str, Any]:
    return {
        "local": connection.local,
        "remote": connection.remote,
        "state": connection.state or None,
        "fallback": connection.fallback,
        "token": connection.token or None,
        "inode": connection.inode or None,
        "processes": describe_processes(owners.get(connection.inode, ())),
        "subflows": [_describe_subflow(subflow) for subflow in connection.subflows],
    }


def _describe_subflow(subflow: Subflow) -> dict[str, Any]:
    return {
        "interface": subflow.interface or None,
        "local": subflow.local,
        "remote": subflow.remote,
        "state": subflow.state,
        "backup": subflow.backup,
        "id": subflow.identity,
        "bytes_sent": subflow.bytes_sent,
        "bytes_received": subflow.bytes_received,
        "rtt_ms": subflow.rtt,
        "lowest_rtt_ms": subflow.lowest_rtt,
        "retransmissions": subflow.retransmissions,
        "unanswered": subflow.unanswered,
    }
