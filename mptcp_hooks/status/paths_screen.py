# SPDX-License-Identifier: GPL-2.0-or-later
"""Draws a survey and its findings for a person: a line a path, then a line a finding. Pure."""

from __future__ import annotations

from functools import partial

from mptcp_hooks.base.numbering import (
    DETOUR,
    NAMES_TABLE,
    PROTOCOL,
    TABLE_BASE,
    WAY_OUT,
)
from mptcp_hooks.base.text import count
from mptcp_hooks.base.value import TYPE_CHECKING
from mptcp_hooks.status.finding import BROKEN
from mptcp_hooks.status.health import is_out, name_state, say_since
from mptcp_hooks.status.layout import Cell, Column, lay_out, leave, wrap
from mptcp_hooks.status.seen_routing import name_table
from mptcp_hooks.status.survey import UP, count_uplinks

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from mptcp_hooks.base.model import Endpoint
    from mptcp_hooks.status.finding import Finding
    from mptcp_hooks.status.paint import Paint
    from mptcp_hooks.status.survey import PathStatus, Survey

_NOTHING = "-"
# First, middle, last and only branch, in characters that every terminal has, and nicer ones.
_PLAIN, _DRAWN = ("+-", "+-", "+-", "--"), ("┬─", "├─", "└─", "──")
_BRANCH = 3
_DETAILS = 4


def draw_paths(paths: Iterable[PathStatus], paint: Paint) -> list[str]:
    """A line a path under a line of headings, and a free one.

    Of what does not fit, TABLE goes first, then GATEWAY, ENDPOINT, LEAVES BY IT; then addresses
    are cut.
    """
    shown = list(paths)
    if not shown:
        return []
    branches = _draw_branches(len(shown), _DRAWN if paint.unicode else _PLAIN)

    def list_cells(
        heading: str, dress_path: Callable[[PathStatus, Paint], Cell]
    ) -> tuple[Cell, ...]:
        return (Cell(heading, paint.bold), *(dress_path(path, paint) for path in shown))

    columns = [
        Column((Cell("   INTERFACE", paint.bold), *(
            Cell(f"{branch} {path.interface}", partial(_dress_name, paint))
            for branch, path in zip(branches, shown)))),
        Column(list_cells("LINK", _dress_link)),
        Column(list_cells("ADDRESS", _dress_address), may_be_cut=True),
        Column(list_cells("GATEWAY", _dress_gateway), rank=3),
        Column(list_cells("TABLE", _dress_table), rank=4),
        Column(list_cells("ENDPOINT", _dress_endpoint), rank=2),
        Column(list_cells("LEAVES BY IT", _dress_exit), rank=1),
    ]
    return [*lay_out(columns, paint.width, paint.mark), ""]


def draw_roles(paths: Iterable[PathStatus], paint: Paint) -> list[str]:
    """A line for each path that mptcp_monitor has as a backup, and why."""
    return [line for path in paths if path.role for line in wrap(
        [paint.bold(path.interface) + ":", "backup:", *path.role.split()], paint.width,
        len(path.interface) + 2)]


def draw_findings(findings: Iterable[Finding], paint: Paint) -> list[str]:
    """A line a finding with its remedy, and what is missing or not ours below it."""
    return [line for finding in findings for line in _draw_finding(finding, paint)]


def _draw_finding(finding: Finding, paint: Paint) -> list[str]:
    dress = paint.bad if finding.severity == BROKEN else paint.doubtful
    subject = [f"{finding.interface}:"] * bool(finding.interface)
    lines = wrap([dress(finding.severity + ":"), *subject, *finding.text.split(), paint.bold("=>"),
                  *finding.remedy.split()], paint.width, len(finding.severity) + 2)
    for difference in finding.difference:
        changed = paint.bad if difference[0] == "-" else paint.good
        lines += _indent(wrap(difference.split(), paint.width and paint.width - _DETAILS, 2),
                         changed)
    return lines


def _indent(lines: Iterable[str], dress: Callable[[str], str]) -> list[str]:
    return [" " * _DETAILS + dress(line) for line in lines]


def draw_unseen(texts: Iterable[str], paint: Paint) -> list[str]:
    """A line for what could not be seen."""
    return [line for text in texts for line in wrap(
        ["not", "seen:", *text.split()], paint.width, len("not seen: "))]


def draw_summary(paths: Iterable[PathStatus], findings: Iterable[Finding], paint: Paint) -> str:
    """Whether multipath works here, in one line, of all paths and findings that there are."""
    notes = list(findings)
    broken = sum(finding.severity == BROKEN for finding in notes)
    ours = [path for path in paths if path.installed]
    uplinks = count_uplinks(ours)
    counts = f"{count(uplinks, 'uplink')}, {count(len(ours), 'path')}"
    if broken:
        return paint.bad(f"{count(broken, 'problem')} to repair")
    if uplinks < 2:
        return paint.doubtful(f"{counts}: all connections share it")
    return paint.good(f"{counts}, all {'work' if notes else 'as they should be'}")


def describe_numbers(survey: Survey, paint: Paint) -> list[str]:
    """Which numbers in the kernel are ours."""
    first, last = survey.preferences
    text = (f"ours: rules {first} to {last} and {min(DETOUR.values())} to "
            f"{max(WAY_OUT.values())}, tables {NAMES_TABLE} and {TABLE_BASE} + the interface's "
            f"index, protocol {PROTOCOL} (mptcp)")
    return wrap(text.split(), paint.width, len("ours: "))


def _draw_branches(count: int, shapes: tuple[str, str, str, str]) -> list[str]:
    first, middle, last, only = shapes
    return [only] if count == 1 else [first, *[middle] * (count - 2), last]


def _dress_name(paint: Paint, text: str) -> str:
    """An interface behind its branch."""
    return text[:_BRANCH] + paint.bold(text[_BRANCH:])


def _dress_link(path: PathStatus, paint: Paint) -> Cell:
    if path.link == UP and path.outage is None:
        return Cell(path.link, paint.good)
    return Cell(name_state(path) + say_since(path), paint.bad if is_out(path) else paint.doubtful)


def _dress_address(path: PathStatus, _: Paint) -> Cell:
    length = _NOTHING if path.length is None else str(path.length)
    return Cell(f"{path.address}/{length}" if path.address else _NOTHING)


def _dress_gateway(path: PathStatus, _: Paint) -> Cell:
    return Cell(path.gateway or _NOTHING)


def _dress_table(path: PathStatus, paint: Paint) -> Cell:
    return Cell(name_table(path.table) if path.table else _NOTHING,
                leave if path.installed else paint.doubtful)


def _dress_endpoint(path: PathStatus, paint: Paint) -> Cell:
    wanted = path.installed is not None and path.installed.path.endpoint
    shown = [path.endpoint] if path.endpoint else []
    if not (shown or path.announced):
        return Cell(_NOTHING, paint.bad if wanted else leave)
    text = ", ".join([*map(_name_endpoint, shown), *(
        f"{_name_endpoint(one)} {one.address}" for one in path.announced)])
    return Cell(text, paint.good) if wanted else Cell(f"{text} (not ours)", paint.doubtful)


def _name_endpoint(endpoint: Endpoint) -> str:
    return " ".join([str(endpoint.identity), *endpoint.flags])


def _dress_exit(path: PathStatus, paint: Paint) -> Cell:
    if not path.table:
        return Cell(_NOTHING)
    if path.exit.device == path.device:
        fault = name_state(path)
        return Cell(f"no: {fault}", paint.bad) if is_out(path) else Cell("yes", paint.good)
    way = f"no, by {path.exit.device}" if path.exit.device else f"no: {path.exit.refusal}"
    return Cell(way, paint.bad)
