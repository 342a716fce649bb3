# SPDX-License-Identifier: GPL-2.0-or-later
"""A look as a plugin of Nagios and its kin answers: a status, and one line. Pure.

Where they are written down: the Monitoring Plugins' Development Guidelines, "Plugin Output",
"Performance data" and "Plugin Return Codes".
"""

from __future__ import annotations

from mptcp_hooks.base.errors import shorten
from mptcp_hooks.base.report import make_printable
from mptcp_hooks.base.text import count
from mptcp_hooks.base.value import TYPE_CHECKING
from mptcp_hooks.machine.counters import read_counters
from mptcp_hooks.status.counters import count_fallbacks, count_joins
from mptcp_hooks.status.finding import BROKEN
from mptcp_hooks.status.health import is_alive

if TYPE_CHECKING:
    from collections.abc import Iterator

    from mptcp_hooks.base.errors import Problem
    from mptcp_hooks.status.finding import Finding
    from mptcp_hooks.status.looks import PathsLook

OK, WARNING, CRITICAL, UNKNOWN = range(4)
_WORDS = {OK: "OK", WARNING: "WARNING", CRITICAL: "CRITICAL", UNKNOWN: "UNKNOWN"}
# A pager shows a line of them.
_FINDINGS_SHOWN = 3


def answer_plugin(look: PathsLook, expected: int) -> tuple[int, str]:
    """The status and the line: the worst findings, who is alive, what is not seen, and the data.

    `expected` is how many paths should be alive, 0 where nobody said so.
    """
    status = OK
    if look.findings:
        status = CRITICAL if any(one.severity == BROKEN for one in look.findings) else WARNING
    alive = [path for path in look.paths if is_alive(path)]
    names = ", ".join(dict.fromkeys(path.interface for path in alive))
    state = f"{count(len(alive), 'path')} alive" + (f" ({names})" if names else "")
    unseen = (f"not seen: {what}" for what in look.survey.unseen)
    text = "; ".join((*_say_findings(look.findings), state, *unseen))
    measured = " ".join(_list_measures(look, len(alive), expected))
    return status, f"{_say(status, text)} | {measured}"


def answer_unknown(problem: Problem) -> tuple[int, str]:
    """The same where nothing could be seen, or the call is wrong."""
    return UNKNOWN, _say(UNKNOWN, str(problem))


def _say(status: int, text: str) -> str:
    # Behind a | comes performance data.
    return f"MPTCP {_WORDS[status]} - {make_printable(text).replace('|', '/')}"


def _say_findings(findings: tuple[Finding, ...]) -> Iterator[str]:
    for finding in findings[:_FINDINGS_SHOWN]:
        yield shorten(f"{finding.interface}: " * bool(finding.interface) + finding.text)
    if len(findings) > _FINDINGS_SHOWN:
        yield f"and {len(findings) - _FINDINGS_SHOWN} more"


def _list_measures(look: PathsLook, alive: int, expected: int) -> Iterator[str]:
    """LABEL=VALUE[UNIT];WARNING;CRITICAL;LEAST;MOST; a range `2:` is left below 2, c counts on."""
    ours = sum(path.installed is not None for path in look.paths)
    yield f"paths={alive};;{f'{expected}:' * bool(expected)};0;{ours}"
    yield f"findings={len(look.findings)}"
    counters = read_counters(look.survey.counters)
    yield f"fallbacks={sum(count_fallbacks(counters).values())}c"
    if joins := count_joins(counters):
        asked, answered = joins
        yield f"unanswered_joins={asked - answered}"
    for device in look.devices:
        label = make_printable(device.name).replace("'", "_").replace("=", "_").replace("|", "_")
        yield f"'{label}_sent'={device.sent}c"
        yield f"'{label}_received'={device.received}c"
