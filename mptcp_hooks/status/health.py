# SPDX-License-Identifier: GPL-2.0-or-later
"""Whether anything gets through over a path, as far as it is known, and in words. Pure."""

from __future__ import annotations

from mptcp_hooks.base.model import SILENT
from mptcp_hooks.base.text import describe_span
from mptcp_hooks.base.value import TYPE_CHECKING
from mptcp_hooks.engine.faults import (
    CHECK_FAILED,
    GATEWAY_SILENT,
    NO_CARRIER,
    SUSPECTED,
    UNSTEADY,
)
from mptcp_hooks.status.survey import DOWN, GONE, UP, Outage
from mptcp_hooks.status.survey import NO_CARRIER as LINK_NO_CARRIER

if TYPE_CHECKING:
    from mptcp_hooks.base.model import Installed, Stanza
    from mptcp_hooks.engine.faults import Fault
    from mptcp_hooks.status.survey import PathStatus

_IN_WORDS = {GONE: "is gone", DOWN: "is down", LINK_NO_CARRIER: "has no carrier",
             CHECK_FAILED: "fails its check", GATEWAY_SILENT: "has a silent gateway",
             UNSTEADY: "comes and goes", SUSPECTED: "gets no answers"}


def find_outage(
    link: str, stanza: Stanza, installed: Installed, fault: Fault | None, now: float
) -> Outage | None:
    """Why nothing gets through over a path, None where something may, or nobody said so.

    `fault` is what is noted of its address. A link that is not up says more than that, and only
    since when is not seen by looking at it.
    """
    path = installed.path
    if fault is not None and (link != UP) == (fault.why == NO_CARRIER):
        return Outage(fault.why, fault.since, max(0.0, now - fault.since))
    # The endpoint went with the carrier, and waits for the gateway.
    waits = (link == UP and stanza.state == SILENT and not path.endpoint
             and path.primary and path.gateway)
    return Outage(GATEWAY_SILENT, None, None) if waits else None


def is_out(path: PathStatus) -> bool:
    """Whether nothing gets through over a path; where it is only suspected, something may."""
    return path.link != UP or (path.outage is not None and path.outage.why != SUSPECTED)


def is_alive(path: PathStatus) -> bool:
    """Whether a path of ours carries what it should, as far as it is known."""
    return path.installed is not None and path.works and not is_out(path)


def describe_fault(path: PathStatus) -> str:
    """Why nothing gets through, the path's interface being the subject; '' where something may."""
    if path.link == UP and path.outage is None:
        return ""
    why = path.link if path.link != UP or path.outage is None else path.outage.why
    return _IN_WORDS[why] + say_since(path)


def name_state(path: PathStatus) -> str:
    """`up`, or why nothing gets through: the link's own state where it is not up."""
    return path.outage.why if path.link == UP and path.outage else path.link


def say_since(path: PathStatus) -> str:
    """For how long it has been so: the end of a sentence, '' where that is not known."""
    lasted = path.outage.lasted if path.outage else None
    return "" if lasted is None else f" for {describe_span(lasted)}"
