# SPDX-License-Identifier: GPL-2.0-or-later
"""mptcp_status on the lab's client, as programs ask it."""

from __future__ import annotations

import json
import re
from typing import Any

from tests.lab.support.lab import Lab

NO_MONITOR = "no-monitor"


def ask(lab: Lab, *arguments: str) -> Any:
    """What the command says in JSON; its status is that of what it found."""
    done = lab.client.try_run("mptcp_status", "--json", *arguments)
    assert done.stderr == "", done.stderr
    answer = json.loads(done.stdout)
    broken = any(one["severity"] == "broken" for one in answer.get("findings", ()))
    assert done.returncode == broken
    return answer


def find(lab: Lab) -> tuple[tuple[str, str, str | None], ...]:
    """The severity, kind and interface of each finding of list_findings."""
    return tuple((one["severity"], one["kind"], one["interface"]) for one in list_findings(lab))


def list_findings(lab: Lab) -> list[dict[str, Any]]:
    """All findings but for a monitor that is missing: in most tests there is none."""
    return [one for one in ask(lab)["findings"] if one["kind"] != NO_MONITOR]


def quote_remedy(lab: Lab, kind: str) -> list[str]:
    """What stands in quotes in the remedy of the one finding of a kind, in order."""
    (found,) = (one for one in ask(lab)["findings"] if one["kind"] == kind)
    return re.findall(r"'([^']*)'", found["remedy"])
