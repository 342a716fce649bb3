# SPDX-License-Identifier: GPL-2.0-or-later
"""What is wrong with what people wrote of interfaces, and what is left alone. Pure."""

from __future__ import annotations

from mptcp_hooks.base.address import contains, family_of
from mptcp_hooks.base.folder import CONFIGURATION_FILE
from mptcp_hooks.base.numbering import MAIN_TABLE
from mptcp_hooks.base.value import TYPE_CHECKING
from mptcp_hooks.intent.event import is_of_stanza, method_of
from mptcp_hooks.intent.settings import LEADING_METHODS
from mptcp_hooks.status.finding import BROKEN, NOTE, Finding

if TYPE_CHECKING:
    from collections.abc import Iterator

    from mptcp_hooks.base.model import Path
    from mptcp_hooks.status.survey import Failure, Survey


def judge_failures(survey: Survey) -> Iterator[Finding]:
    """Interfaces that ifup gave up on, as where main has a default route already."""
    for failure in survey.failures:
        said = f" ({failure.said})" * bool(failure.said)
        second = failure.gateway and _has_other_default(survey, failure)
        cause = ": main has a default route already, and its 'gateway' would be a second one"
        mend = (f"write 'mptcp-gateway {failure.gateway}' instead in {failure.place}"
                if second else "mend that")
        yield Finding(BROKEN, "not-up", failure.iface, f"not up: ifup failed{said}"
                      f"{cause * bool(second)}", f"{mend}, and then 'ifdown --force "
                      f"{failure.iface}; ifup {failure.iface}'")


def _has_other_default(survey: Survey, failure: Failure) -> bool:
    """Whether main has a default route without a metric, by another device."""
    return any(
        (seen.family, seen.table) == (family_of(failure.gateway), MAIN_TABLE)
        and seen.route.destination == "default" and not seen.route.metric
        and survey.name_of(seen.route.device) != failure.device for seen in survey.routes)


def judge_edits(survey: Survey) -> Iterator[Finding]:
    """Stanzas that were edited since their interface came up."""
    for edit in survey.edits:
        if edit.wrong:
            yield Finding(NOTE, "configuration", edit.iface, f"its stanza is wrong: {edit.wrong}",
                          f"correct it, and then 'mptcp_up {edit.iface}'")
        else:
            yield Finding(NOTE, "edited", edit.iface, "its stanza has changed since it came up",
                          f"ifdown {edit.iface}; ifup {edit.iface}" if edit.by_ifup
                          else f"mptcp_up {edit.iface}")


def judge_exclusions(survey: Survey) -> Iterator[Finding]:
    """Interfaces that would be uplinks, but for somebody's word or the built-in list."""
    standing = {path.interface for path in survey.paths if path.installed}
    for iface, reason in survey.excluded.items():
        if iface in standing:
            # Its paths go with the next round, or by hand.
            continue
        yield Finding(NOTE, "excluded", iface, f"left alone: {reason}", "nothing, if that is "
                      f"meant; else 'mptcp yes' in its stanza, or 'exclude = no' in [{iface}] of "
                      f"{CONFIGURATION_FILE}")


def judge_gateways(survey: Survey) -> Iterator[Finding]:
    """Gateways that somebody wrote, and that no route of main's leads to."""
    for iface, stanza in survey.stanzas:
        if not is_of_stanza(stanza.told) or method_of(stanza.told) in LEADING_METHODS:
            continue
        for path in (installed.path for installed in stanza.paths):
            if path.onlink and path.subnet and not _leads_to_gateway(survey, path):
                yield Finding(
                    NOTE, "gateway-outside", iface, f"its gateway {path.gateway} is outside "
                    f"{path.subnet}", f"correct it; if the link has it all the same, say so by "
                    f"'up ip route add {path.gateway} dev {path.device}' in its stanza")


def _leads_to_gateway(survey: Survey, path: Path) -> bool:
    """Whether main has the gateway for a neighbour, as who means it that way has it."""
    return any(
        (seen.family, seen.table) == (path.family, MAIN_TABLE) and not seen.route.gateway
        and seen.route.device == path.ifindex and seen.route.destination != "default"
        and contains(_as_subnet(seen.route.destination), path.gateway) for seen in survey.routes)


def _as_subnet(destination: str) -> str:
    """A destination as `ip -j` has it, which leaves the length of one host out."""
    whole = 128 if ":" in destination else 32
    return destination if "/" in destination else f"{destination}/{whole}"
