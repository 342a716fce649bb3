# SPDX-License-Identifier: GPL-2.0-or-later
"""Connections for people, as a screen, and for programs, as plain data."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from mptcp_hooks.base.text import align, count
from mptcp_hooks.machine.procfs import Process
from mptcp_hooks.status.connections import Connection, Subflow, Total
from mptcp_hooks.status.paint import Paint

Owners = Mapping[int, Sequence[Process]]

_UNITS = ("kB", "MB", "GB", "TB", "PB", "EB")
_INDENT = "  "
# The columns of a subflow and of a total in which numbers stand; that of a subflow's state.
_SUBFLOW_NUMBERS, _TOTAL_NUMBERS = (7, 9, 11), (1, 3, 5)
_STATE = 4
_PROCESSES_SHOWN = 3


def draw_connections(
    connections: tuple[Connection, ...], totals: tuple[Total, ...], owners: Owners, paint: Paint
) -> list[str]:
    """A block a connection, a line a subflow, then a line an interface; all lines aligned.

    `owners` has the processes that hold a connection, by its inode.
    """
    if not connections:
        return ["no MPTCP connections"]
    rows = iter(align([_list_cells(subflow) for connection in connections
                       for subflow in connection.subflows], _SUBFLOW_NUMBERS))
    screen = []
    for connection in connections:
        subflows = [_draw_subflow(next(rows), subflow, paint) for subflow in connection.subflows]
        screen += [_draw_head(connection, owners, paint), *subflows, ""]
    return [*screen, *_draw_totals(totals, paint)] if totals else screen[:-1]


def describe_connections(
    connections: tuple[Connection, ...], totals: tuple[Total, ...], owners: Owners
) -> dict[str, Any]:
    """What --json prints: bytes, milliseconds; null where something could not be seen."""
    return {
        "connections": [_describe_connection(connection, owners) for connection in connections],
        "totals": [{"interface": total.interface or None, "subflows": total.subflows,
                    "bytes_sent": total.bytes_sent, "bytes_received": total.bytes_received}
                   for total in totals],
    }


def format_bytes(number: int) -> str:
    """`999 B`, `5.4 MB`: three digits and a unit of a thousand."""
    if number < 1000:
        return f"{number} B"
    size, unit = float(number), ""
    for unit in _UNITS:
        size /= 1000
        # From here on it is rounded to 1000 of this unit, or more.
        if size < 999.5:
            break
    return f"{size:.{1 if size < 99.95 else 0}f} {unit}"


def _list_cells(subflow: Subflow) -> tuple[str, ...]:
    rtt = "-" if subflow.rtt is None else f"{subflow.rtt:.1f} ms"
    return (subflow.interface or "-", subflow.local, "->", subflow.remote, subflow.state,
            "backup" if subflow.backup else "", "sent", format_bytes(subflow.bytes_sent),
            "received", format_bytes(subflow.bytes_received), "rtt", rtt)


def _draw_subflow(cells: list[str], subflow: Subflow, paint: Paint) -> str:
    well = subflow.state == "ESTAB" and not subflow.unanswered
    cells[_STATE] = (paint.good if well else paint.doubtful)(cells[_STATE])
    # A column in which nothing stands, as that for backups mostly, takes no room.
    return _INDENT + " ".join(filter(None, cells)) + _warn(subflow, paint)


def _warn(subflow: Subflow, paint: Paint) -> str:
    if not subflow.unanswered:
        return ""
    return " " + paint.bad(f"no answer to {count(subflow.unanswered, 'retransmission')}")


def name_processes(processes: Sequence[Process]) -> str:
    """`curl (4711)`, of many the first."""
    names = [f"{process.name} ({process.pid})" for process in processes[:_PROCESSES_SHOWN]]
    more = len(processes) - _PROCESSES_SHOWN
    return ", ".join(names) + (f" and {more} more" if more > 0 else "")


def _draw_head(connection: Connection, owners: Owners, paint: Paint) -> str:
    processes = name_processes(owners.get(connection.inode, ()))
    head = paint.bold(f"{connection.local} -> {connection.remote}") + (
        f", {processes}" if processes else "")
    remarks = [text for text in (_name_state(connection), _name_lack(connection)) if text]
    return head + "".join(", " + paint.doubtful(text) for text in remarks)


def _name_state(connection: Connection) -> str:
    if not connection.state:
        return "state not visible"
    return "" if connection.state == "ESTAB" else connection.state


def _name_lack(connection: Connection) -> str:
    """Why this is less than an MPTCP connection with its subflows."""
    if connection.fallback:
        return "fell back to TCP"
    return "" if connection.subflows else "no subflow visible"


def _draw_totals(totals: tuple[Total, ...], paint: Paint) -> list[str]:
    rows = [(total.interface or "-", count(total.subflows, "subflow"), "sent",
             format_bytes(total.bytes_sent), "received", format_bytes(total.bytes_received))
            for total in totals]
    return [paint.bold("in all"),
            *(_INDENT + " ".join(cells) for cells in align(rows, _TOTAL_NUMBERS))]


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
        "unanswered": subflow.unanswered,
    }
