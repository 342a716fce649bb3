# SPDX-License-Identifier: GPL-2.0-or-later
"""A survey and its findings for programs: what `mptcp_status --json` answers. Pure.

The keys are a promise, written down in mptcp_status(1): none changes its meaning.
"""

from __future__ import annotations

from mptcp_hooks.base.numbering import (
    DETOUR,
    NAMES_TABLE,
    PROTOCOL,
    TABLE_BASE,
    WAY_OUT,
)
from mptcp_hooks.base.value import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable
    from typing import Any

    from mptcp_hooks.base.model import Endpoint, Limits
    from mptcp_hooks.status.finding import Finding
    from mptcp_hooks.status.survey import PathStatus, Survey


def describe_survey(
    survey: Survey, paths: Iterable[PathStatus], findings: Iterable[Finding]
) -> dict[str, Any]:
    """The answer of `mptcp_status --json`; JSON's own types alone."""
    return {
        "mptcp": {
            "available": survey.kernel.present,
            "enabled": survey.kernel.present and survey.kernel.enabled,
            "path_manager": "userspace" if survey.kernel.userspace else "kernel",
            "limits": _describe_limits(survey.limits),
        },
        "numbers": {
            "rule_first": survey.preferences[0],
            "rule_last": survey.preferences[1],
            "rules_of_new_connections": sorted({*DETOUR.values(), *WAY_OUT.values()}),
            "table_base": TABLE_BASE,
            "table_of_names": NAMES_TABLE,
            "protocol": PROTOCOL,
        },
        "paths": [_describe_path(survey, path) for path in paths],
        "findings": [_describe_finding(finding) for finding in findings],
        "unseen": list(survey.unseen),
    }


def _describe_limits(limits: Limits | None) -> dict[str, int] | None:
    return None if limits is None else {
        "subflows": limits.subflows, "add_addr_accepted": limits.add_addr_accepted}


def _describe_path(survey: Survey, path: PathStatus) -> dict[str, Any]:
    device = survey.find_device(path.device)
    return {
        "interface": path.interface,
        "device": path.device,
        "link": path.link,
        "family": path.family,
        "address": path.address or None,
        "prefix_length": path.length if path.address else None,
        "gateway": path.gateway or None,
        "table": path.table or None,
        "endpoint": _describe_endpoint(path.endpoint),
        "wants_endpoint": path.installed is not None and path.installed.path.endpoint,
        "announced": [{"address": one.address, **_show_endpoint(one)} for one in path.announced],
        "mark": (path.installed.path.mark if path.installed else "") or None,
        "sources": list(path.installed.path.sources) if path.installed else [],
        "on_record": path.installed is not None,
        "leaves_by": path.exit.device or None,
        "refusal": path.exit.refusal or None,
        "works": path.works,
        "backup": path.role or None,
        "outage": {"why": path.outage.why, "since": path.outage.since} if path.outage else None,
        "device_bytes_sent": device.sent if device else None,
        "device_bytes_received": device.received if device else None,
    }


def _describe_endpoint(endpoint: Endpoint | None) -> dict[str, Any] | None:
    return None if endpoint is None else _show_endpoint(endpoint)


def _show_endpoint(endpoint: Endpoint) -> dict[str, Any]:
    return {"id": endpoint.identity, "flags": list(endpoint.flags)}


def _describe_finding(finding: Finding) -> dict[str, Any]:
    return {
        "severity": finding.severity,
        "kind": finding.kind,
        "interface": finding.interface or None,
        "text": finding.text,
        "remedy": finding.remedy,
        "difference": list(finding.difference),
    }
