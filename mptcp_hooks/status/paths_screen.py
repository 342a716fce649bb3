# SPDX-License-Identifier: GPL-2.0-or-later
"""Draws a survey and its findings for a person: a line a path, then a line a finding. Pure."""

from __future__ import annotations

from mptcp_hooks.base.numbering import (
    DETOUR,
    NAMES_TABLE,
    PROTOCOL,
    TABLE_BASE,
    WAY_OUT,
)
from mptcp_hooks.base.text import align, count
from mptcp_hooks.base.value import TYPE_CHECKING, NamedTuple
from mptcp_hooks.status.finding import BROKEN
from mptcp_hooks.status.health import is_out, say_since
from mptcp_hooks.status.seen_routing import name_table
from mptcp_hooks.status.survey import UP, count_uplinks

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from mptcp_hooks.base.model import Endpoint
    from mptcp_hooks.status.finding import Finding
    from mptcp_hooks.status.paint import Paint
    from mptcp_hooks.status.survey import PathStatus, Survey

_HEADINGS = ("INTERFACE", "LINK", "ADDRESS", "GATEWAY", "TABLE", "ENDPOINT", "LEAVES BY IT")
_RATES = ("SENDS", "RECEIVES")
_NOTHING = "-"
# First, middle, last and only branch, in characters that every terminal has, and nicer ones.
_PLAIN, _DRAWN = ("+-", "+-", "+-", "--"), ("┬─", "├─", "└─", "──")
# The columns of the table of rates in which numbers stand.
_RATE_NUMBERS = (2, 4)
_UNITS = ((1e9, "Gbit/s"), (1e6, "Mbit/s"), (1e3, "kbit/s"))


class Rate(NamedTuple):
    """What an interface sends and receives, in bit/s."""

    sent: float
    received: float


class _Cell(NamedTuple):
    text: str
    dress: Callable[[str], str]


def draw_paths(
    paths: Iterable[PathStatus], rates: Mapping[str, Rate], paint: Paint
) -> list[str]:
    """A line a path under a line of headings, and a free one.

    `rates` by device add two columns, {} adds none.
    """
    shown = list(paths)
    if not shown:
        return []
    headings = _HEADINGS + _RATES * bool(rates)
    rows = [[_Cell(text, paint.bold) for text in headings],
            *(_dress_path(path, paint) + _list_rates(path, rates) * bool(rates)
              for path in shown)]
    table = align([cell.text for cell in row] for row in rows)
    branches = ["  ", *_draw_branches(len(shown), _DRAWN if paint.unicode else _PLAIN)]
    return [*(f"{branch} {_dress_row(row, padded)}".rstrip()
              for branch, row, padded in zip(branches, rows, table)), ""]


def draw_roles(paths: Iterable[PathStatus], paint: Paint) -> list[str]:
    """A line for each path that mptcp_monitor has as a backup, and why."""
    return [f"{paint.bold(path.interface)}: backup: {path.role}" for path in paths if path.role]


def draw_findings(findings: Iterable[Finding], paint: Paint) -> list[str]:
    """A line a finding with its remedy, and what is missing or not ours below it."""
    lines = []
    for finding in findings:
        dress = paint.bad if finding.severity == BROKEN else paint.doubtful
        subject = f"{finding.interface}: " * bool(finding.interface)
        lines.append(f"{dress(finding.severity + ':')} {subject}{finding.text}"
                     f"{paint.bold(' => ')}{finding.remedy}")
        lines += [f"    {(paint.bad if line[0] == '-' else paint.good)(line)}"
                  for line in finding.difference]
    return lines


def draw_summary(paths: Iterable[PathStatus], findings: Iterable[Finding], paint: Paint) -> str:
    """Whether multipath works here, in one line, of all paths and findings that there are."""
    notes = list(findings)
    broken = sum(finding.severity == BROKEN for finding in notes)
    ours = [path for path in paths if path.installed]
    uplinks = count_uplinks(ours)
    counts = f"{count(uplinks, 'uplink')}, {count(len(ours), 'path')}"
    if broken:
        return paint.bad(f"{count(broken, 'thing')} to repair")
    if uplinks < 2:
        return paint.doubtful(f"{counts}: one way for all connections")
    return paint.good(f"{counts}, all {'work' if notes else 'as they should be'}")


def draw_rates(rates: Mapping[str, Rate], interfaces: Iterable[str]) -> list[str]:
    """What each of these interfaces carries now, all connections together; none while unknown."""
    rows = [(name, "sends", format_rate(rates[name].sent),
             "receives", format_rate(rates[name].received))
            for name in interfaces if name in rates]
    heading = ["", "now, with all else they carry"] * bool(rows)
    return [*heading, *("  " + " ".join(cells) for cells in align(rows, _RATE_NUMBERS))]


def describe_numbers(survey: Survey) -> str:
    """Which numbers in the kernel are ours."""
    first, last = survey.preferences
    return (f"ours: rules {first} to {last} and {min(DETOUR.values())} to "
            f"{max(WAY_OUT.values())}, tables {NAMES_TABLE} and {TABLE_BASE} + the interface's "
            f"index, protocol {PROTOCOL} (mptcp)")


def format_rate(rate: float) -> str:
    """Bit/s in the largest unit that leaves a digit before the point."""
    return next((f"{rate / size:.1f} {unit}" for size, unit in _UNITS if rate >= size),
                f"{rate:.0f} bit/s")


def _draw_branches(count: int, shapes: tuple[str, str, str, str]) -> list[str]:
    first, middle, last, only = shapes
    return [only] if count == 1 else [first, *[middle] * (count - 2), last]


def _dress_path(path: PathStatus, paint: Paint) -> list[_Cell]:
    length = _NOTHING if path.length is None else str(path.length)
    return [
        _Cell(path.interface, paint.bold),
        _dress_link(path, paint),
        _Cell(f"{path.address}/{length}" if path.address else _NOTHING, _leave),
        _Cell(path.gateway or _NOTHING, _leave),
        _Cell(name_table(path.table) if path.table else _NOTHING,
              _leave if path.installed else paint.doubtful),
        _dress_endpoint(path, paint),
        _dress_exit(path, paint),
    ]


def _dress_link(path: PathStatus, paint: Paint) -> _Cell:
    if path.link == UP and path.outage is None:
        return _Cell(path.link, paint.good)
    return _Cell(_describe_fault(path) + say_since(path),
                 paint.bad if is_out(path) else paint.doubtful)


def _describe_fault(path: PathStatus) -> str:
    """Why nothing gets through: the link's own state where it is not up."""
    return path.outage.why if path.link == UP and path.outage else path.link


def _dress_endpoint(path: PathStatus, paint: Paint) -> _Cell:
    wanted = path.installed is not None and path.installed.path.endpoint
    shown = [path.endpoint] if path.endpoint else []
    if not (shown or path.announced):
        return _Cell(_NOTHING, paint.bad if wanted else _leave)
    text = ", ".join([*map(_name_endpoint, shown), *(
        f"{_name_endpoint(one)} {one.address}" for one in path.announced)])
    return _Cell(text, paint.good) if wanted else _Cell(f"{text} (not ours)", paint.doubtful)


def _name_endpoint(endpoint: Endpoint) -> str:
    return " ".join([str(endpoint.identity), *endpoint.flags])


def _dress_exit(path: PathStatus, paint: Paint) -> _Cell:
    if not path.table:
        return _Cell(_NOTHING, _leave)
    if path.exit.device == path.device:
        fault = _describe_fault(path)
        return _Cell(f"no: {fault}", paint.bad) if is_out(path) else _Cell("yes", paint.good)
    way = f"no, by {path.exit.device}" if path.exit.device else f"no: {path.exit.refusal}"
    return _Cell(way, paint.bad)


def _list_rates(path: PathStatus, rates: Mapping[str, Rate]) -> list[_Cell]:
    rate = rates.get(path.device, Rate(0, 0))
    return [_Cell(format_rate(value), _leave) for value in rate]


def _leave(text: str) -> str:
    return text


def _dress_row(row: list[_Cell], padded: list[str]) -> str:
    """A row in its colours; these have no width, so the padding stays as it is."""
    return "  ".join(cell.dress(cell.text) + wide[len(cell.text):]
                     for cell, wide in zip(row, padded))
