# SPDX-License-Identifier: GPL-2.0-or-later
"""What is behind this machine, and by which uplink its answers leave: remarks on it. Pure.

What is forwarded has the source of others, and leaves as main has it, whatever it came in by:
unless a mark or a rule about that source says otherwise.
"""

from __future__ import annotations

from mptcp_hooks.base.address import contains, family_of, is_remote
from mptcp_hooks.base.numbering import MAIN_TABLE, SUPPRESSED_LENGTHS
from mptcp_hooks.base.value import TYPE_CHECKING, NamedTuple
from mptcp_hooks.engine.commands import FOLDERS, OWN_TEMPLATES
from mptcp_hooks.intent.belongings import judge_mark

if TYPE_CHECKING:
    from collections.abc import Iterator

    from mptcp_hooks.base.model import Installed, Route
    from mptcp_hooks.status.seen_routing import SeenRoute
    from mptcp_hooks.status.survey import PathStatus, Survey

    # The paths on record that shall stay.
    Standing = list[tuple[PathStatus, Installed]]

_LINES = "the firewall's lines of /usr/share/doc/mptcp-hooks/docs/containers.md"
# What no provider routes here (RFC 1918, RFC 6598, RFC 4193).
_PRIVATE = ("10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "100.64.0.0/10", "fc00::/7")


class Remark(NamedTuple):
    """As a finding: what kind, of which interface, in words, and what to do."""

    kind: str
    interface: str
    text: str
    remedy: str


def judge_behind(survey: Survey, standing: Standing) -> Iterator[Remark]:
    """All that is to be said of what is behind the machine."""
    for path, installed in standing:
        yield from _judge_template(installed)
        yield from _judge_marks_of_others(installed)
        yield from _judge_translation(survey, path, installed)
    for family in sorted(survey.forwarded):
        yield from _judge_subnets(survey, family, standing)


def _judge_template(installed: Installed) -> Iterator[Remark]:
    """A template of before makes nothing of what belongs to a path."""
    path = installed.path
    words = {word for line in installed.up for word in line.split(" ")}
    wanted = {"mark": (path.mark,) * bool(path.mark), "sources": path.sources,
              "announced addresses": path.announced * path.endpoint}
    lacking = [name for name, values in wanted.items() if not words.issuperset(values)]
    if lacking:
        yield Remark("old-template", path.iface, f"the templates in {OWN_TEMPLATES} have no lines "
                     f"for its {' and '.join(lacking)}", "take the lines about path.mark, "
                     "path.sources and path.endpoints over from the package's own up.j2 and "
                     f"down.j2 in {FOLDERS[1]}")


def _judge_marks_of_others(installed: Installed) -> Iterator[Remark]:
    path = installed.path
    for user in judge_mark(path.mark) if path.mark else ():
        yield Remark("mark-of-others", path.iface,
                     f"its mark {path.mark} is also used by others: {user}",
                     "another mptcp-mark, where that is on this machine")


def _judge_translation(
    survey: Survey, path: PathStatus, installed: Installed
) -> Iterator[Remark]:
    """What is handed on to others comes back with their source, not with the path's."""
    leading = _find_leading(survey, path.family)
    if path.family not in survey.forwarded or leading in ("", path.device):
        return
    if path.address in survey.translated and not _leads_marked(survey, path):
        yield Remark("no-mark", path.interface, f"what comes for {path.address} is handed on to "
                     f"others (DNAT), and their answers leave by {leading}, as main has it",
                     f"'mptcp-mark' in its stanza, and {_LINES}")
    elif installed.path.mark and path.family == 4 and path.device in survey.markless:
        yield Remark("mark-ignored", path.interface, "strict rp_filter does not look at marks: "
                     f"what comes by {path.device} for others is dropped",
                     f"sysctl -w net.ipv4.conf.{path.device}.src_valid_mark=1")


def _leads_marked(survey: Survey, path: PathStatus) -> bool:
    """Whether a rule, whosever, leads what has some mark to a table whose default is the path's."""
    device = survey.find_device(path.device)
    tables = {seen.table for seen in survey.routes if seen.family == path.family and device
              and seen.route.destination == "default" and seen.route.device == device.ifindex}
    return any(seen.rule.mark and seen.rule.table in tables for seen in survey.rules
               if seen.family == path.family and not seen.negated)


def _judge_subnets(survey: Survey, family: int, standing: Standing) -> Iterator[Remark]:
    """A provider's subnet behind the machine belongs to one uplink; main has one for all."""
    leading = _find_leading(survey, family)
    devices = {path.device for path, _ in standing if path.family == family}
    if len(devices) < 2 or leading not in devices:
        return
    for seen in survey.routes:
        behind = survey.name_of(seen.route.device)
        if (seen.family, seen.table) == (family, MAIN_TABLE) and behind not in devices \
                and _is_public(seen.route) and not _is_ruled(survey, seen):
            subnet = seen.route.destination
            yield Remark("no-source", behind, f"what comes from {subnet} behind it leaves by "
                         f"{leading}, as main has it", f"'mptcp-sources {subnet}' in the stanza of "
                         "the uplink that it is routed over")


def _find_leading(survey: Survey, family: int) -> str:
    """The device that main leads to what is beyond; '' where it has no default."""
    defaults = [seen.route for seen in survey.routes if (seen.family, seen.table) == (
        family, MAIN_TABLE) and seen.route.destination == "default" and seen.route.device]
    best = min(defaults, key=lambda route: route.order, default=None)
    return survey.name_of(best.device) if best else ""


def _is_public(route: Route) -> bool:
    """Whether it is a route to a subnet that a provider can have routed here."""
    base, _, length = route.destination.partition("/")
    return bool(length and route.device and route.kind == "unicast" and is_remote(base)
                and int(length) > SUPPRESSED_LENGTHS[family_of(base)]
                and not any(contains(private, base) for private in _PRIVATE))


def _is_ruled(survey: Survey, route: SeenRoute) -> bool:
    """Whether a rule, whosever, is for all that comes from a subnet."""
    base, _, length = route.route.destination.partition("/")
    return any(seen.family == route.family and seen.rule.source
               and contains(seen.rule.source, base)
               and int(seen.rule.source.partition("/")[2]) <= int(length)
               and seen.rule.incoming != "lo" for seen in survey.rules)
