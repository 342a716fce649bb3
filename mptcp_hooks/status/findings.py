# SPDX-License-Identifier: GPL-2.0-or-later
"""What is wrong with the paths of a survey, the most harmful first, and what to do about it.

Pure. Each judge knows one thing that goes wrong; JUDGES is their order.
"""

from __future__ import annotations

from mptcp_hooks.base.address import BITS, contains
from mptcp_hooks.base.folder import CONFIGURATION_FILE
from mptcp_hooks.base.model import BACKUP, LEAVING, SIGNAL
from mptcp_hooks.base.numbering import ENDPOINTS_AT_MOST, MAIN_TABLE, PREFERENCES, PROTOCOL
from mptcp_hooks.base.text import count, describe_span
from mptcp_hooks.base.value import TYPE_CHECKING
from mptcp_hooks.engine.commands import FOLDERS, OWN_TEMPLATES
from mptcp_hooks.engine.faults import CHECK_FAILED, GATEWAY_SILENT, SUSPECTED, UNSTEADY
from mptcp_hooks.engine.limits import NO_SUBFLOWS, raise_limits
from mptcp_hooks.engine.spares import list_devices
from mptcp_hooks.intent.event import MANAGED, NETWORKMANAGER, is_of_stanza, method_of
from mptcp_hooks.intent.pppd import is_its_name
from mptcp_hooks.machine.counters import read_counters
from mptcp_hooks.status.behind import judge_behind
from mptcp_hooks.status.counters import judge_counters, subtract
from mptcp_hooks.status.finding import BROKEN, NOTE, Finding
from mptcp_hooks.status.foreign_rules import describe_move, list_conflicts, list_sources
from mptcp_hooks.status.health import describe_fault, is_alive, say_since
from mptcp_hooks.status.seen_routing import (
    compare_routing,
    format_route,
    is_inside,
    recall_routing,
    without_device_rules,
)
from mptcp_hooks.status.stanza_findings import (
    judge_edits,
    judge_exclusions,
    judge_failures,
    judge_gateways,
)
from mptcp_hooks.status.survey import (
    DETOURS,
    DOWN,
    GONE,
    MPTCPD,
    NAMES,
    NETWORK_MANAGER,
    NO_CARRIER,
    UP,
    count_uplinks,
)
from mptcp_hooks.status.way_out import find_way

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from mptcp_hooks.base.model import Endpoint, Installed, Path
    from mptcp_hooks.engine.lifelines import Use
    from mptcp_hooks.status.seen_routing import Difference, SeenRule
    from mptcp_hooks.status.survey import PathStatus, Survey

# service(8) starts and reloads it by systemd where that runs the machine, and elsewhere as well.
_SERVICE = "service mptcp-hooks"
# To ifup alone, what it has brought up is 'already configured'.
_IFUP_AGAIN, _SWITCH_ON = "ifdown {0}; ifup {0}", "ip link set {1} up && mptcp_up {0}"


def judge(survey: Survey) -> tuple[Finding, ...]:
    """All findings, those that break a path first, each kind in the order of its harm.

    What is wrong with both families of an interface in the same words is said once.
    """
    found = dict.fromkeys(finding for judge_one in JUDGES for finding in judge_one(survey))
    return tuple(sorted(found, key=lambda finding: finding.severity != BROKEN))


def judge_expected(
    survey: Survey, paths: Iterable[PathStatus], expected: int
) -> tuple[Finding, ...]:
    """That fewer of these paths are alive than somebody expects; nobody does where that is 0."""
    shown = list(paths)
    alive = [path for path in shown if is_alive(path)]
    if len(alive) >= expected:
        return ()
    dead = dict.fromkeys(path.interface for path in shown
                         if path not in alive and not _is_left_alone(survey, path))
    names = f"{', '.join(dead)} {'is' if len(dead) == 1 else 'are'} not" if dead else (
        "there are no more")
    return (Finding(BROKEN, "too-few-paths", "", f"{count(len(alive), 'path')} of {expected} "
                    f"expected {'is' if len(alive) == 1 else 'are'} alive: {names}",
                    "see what else is found, or expect fewer"),)


def _judge_kernel(survey: Survey) -> Iterator[Finding]:
    if not survey.kernel.present:
        yield Finding(BROKEN, "no-mptcp", "", "this kernel has no MPTCP",
                      "boot one with CONFIG_MPTCP, as Debian's and Ubuntu's have")
    elif not survey.kernel.enabled:
        yield Finding(BROKEN, "mptcp-disabled", "", "net.mptcp.enabled is 0: no connection "
                      "uses MPTCP", "sysctl -w net.mptcp.enabled=1")
    elif survey.kernel.userspace:
        yield Finding(BROKEN, "userspace-manager", "", "the path manager is in userspace: the "
                      "kernel does not use its endpoints", "sysctl -w net.mptcp.path_manager="
                      "kernel, or before Linux 6.16 net.mptcp.pm_type=0")


def _judge_off(survey: Survey) -> Iterator[Finding]:
    """Two SYNs with MP_CAPABLE that are lost, and a plain one that is not, are a firewall.

    So the kernel concludes (net/mptcp/ctrl.c), and a provider that is silent for seconds looks
    the same to it.
    """
    off = survey.off
    if off is None or not survey.kernel.enabled:
        return
    span = f"for up to {describe_span(off.timeout)}"
    if off.past is not None and off.left is not None:
        span = f"for {describe_span(off.past)} by now and {describe_span(off.left)} more, " + (
            f"since an outage of {' and '.join(off.outages)}" if off.outages
            else "and no path was out before")
    yield Finding(BROKEN, "mptcp-off", "", f"the kernel makes new connections plain TCP, {span}: "
                  "requests for MPTCP got no answer, plain TCP did",
                  f"'sysctl -w net.mptcp.blackhole_timeout={off.timeout}' ends it at once; if it "
                  "comes back, a firewall drops MPTCP: try another port or provider")


def _judge_use(survey: Survey) -> Iterator[Finding]:
    """An endpoint is not a subflow: which running connections lack a path that has one."""
    # What keeps to a tunnel has no further path.
    for use in () if survey.kept_to else survey.uses:
        missing = len(use.lost) + len(use.lacking)
        if not missing:
            continue
        total = count(use.using + missing, "running connection")
        # Without any join that was answered, the peers may be those that take none.
        joined = read_counters(survey.counters).get("MPJoinSynAckRx", 0)
        unused = not use.using and bool(joined or use.lost)
        yield Finding(BROKEN if unused else NOTE, "not-joined", use.iface,
                      f"{missing} of {total} {'has' if missing == 1 else 'have'} no subflow over "
                      f"{use.address}",
                      _have_join(use, use.address in survey.lifelines))


def _have_join(use: Use, is_lifeline: bool) -> str:
    """What has connections join again, without harm to one that has no other path."""
    watched = f"'{_SERVICE} start' makes mptcp_monitor do it"
    if is_lifeline:
        return f"{watched}, once no connection has {use.address} as its only path"
    return (f"'mptcp_down {use.iface}; mptcp_up {use.iface}' makes them try again, and interrupts "
            f"its use by the others for a moment; {watched}, unless that costs too much")


def _judge_records(survey: Survey) -> Iterator[Finding]:
    for iface, text in survey.damaged:
        what, foreign, _ = text.partition(": remove it")
        remedy = f"'mptcp_up {iface}', or 'mptcp_down {iface}' where it shall stay away" if (
            iface) else "'mptcp_up --all'"
        yield Finding(BROKEN, "record-damaged", iface, what,
                      "remove it, and then " * bool(foreign) + remedy)


def _judge_links(survey: Survey) -> Iterator[Finding]:
    remedies = {GONE: "plug it in, or 'ifdown {0}', or without a stanza 'mptcp_down {0}'",
                DOWN: _SWITCH_ON,
                NO_CARRIER: "see to its cable or radio"}
    texts = {GONE: "there is no such device", DOWN: "the link is down",
             NO_CARRIER: "the link has no carrier"}
    leaving = _list_leaving(survey)
    managed = {iface for iface, stanza in survey.stanzas if method_of(stanza.told) == MANAGED}
    ifups = _list_of_ifup(survey)
    # An address without a path is a LAN's: its cable is not our concern.
    for path in _first_of_each([path for path in survey.paths if path.installed
                                or not (path.table or path.address)]):
        meant = path.installed or path.interface not in survey.excluded
        if path.link != UP and path.interface not in leaving and meant:
            # A pattern names what a machine may have, used or not.
            severity = BROKEN if path.installed or path.interface not in managed else NOTE
            # An alias has no link of its own that ifup would switch on.
            own = path.interface in ifups and path.interface == path.device
            remedy = _IFUP_AGAIN if path.link == DOWN and own else remedies[path.link]
            yield Finding(severity, path.link.replace(" ", "-"), path.interface,
                          texts[path.link] + say_since(path),
                          remedy.format(path.interface, path.device))


def _judge_way_out(survey: Survey) -> Iterator[Finding]:
    """Whether new connections that are bound to nothing leave at all, and by which uplink."""
    for way in filter(None, (find_way(survey, family) for family in (4, 6))):
        whose = f"new connections over IPv{way.family}"
        if way.leading is None:
            if way.barred:
                yield Finding(BROKEN, "no-way-out", "", f"{whose} cannot leave: a tunnel had "
                              "main's default route, and what it kept private does not leave in "
                              "clear", f"start the tunnel again, or '{_SERVICE} restart' to have "
                              "them leave by the uplinks")
            elif not way.left:
                yield Finding(BROKEN, "no-way-out", "", f"{whose} cannot leave: main has no "
                              "default route, and no uplink is a way out", "'ifup' one that has a "
                              "gateway, or remove its 'mptcp-way-out off'")
            continue
        fault = describe_fault(way.leading) or "was out or silent a moment ago"
        cause = f"{way.leading.interface} {fault}"
        if way.taken:
            yield Finding(NOTE, "no-way-out", way.leading.interface, f"{whose} leave by "
                          f"{way.taken[0]}, because {cause}", "nothing to do: they use it again "
                          "shortly after it is back")
        elif way.left:
            yield Finding(BROKEN, "no-way-out", way.leading.interface, f"{whose} cannot leave: "
                          f"main leads them to {way.leading.interface}, and {cause}",
                          f"'{_SERVICE} start' makes mptcp_monitor send them by {way.left[0]}")
        else:
            yield Finding(BROKEN, "no-way-out", way.leading.interface, f"{whose} cannot leave: "
                          f"{cause}, and no other uplink is a way out", "bring one up, or remove "
                          "its 'mptcp-way-out off'")


def _list_barred(survey: Survey) -> set[int]:
    """The families whose new connections find no way, since a tunnel that is gone had them."""
    ways = (find_way(survey, family) for family in (4, 6))
    return {way.family for way in ways if way and way.barred}


def _judge_tunnels(survey: Survey) -> Iterator[Finding]:
    """What leaves beside a tunnel leaves in clear, and tells the peer of other addresses."""
    meant = (f"'vpn = beside' in [default] of {CONFIGURATION_FILE}, if part of them may bypass "
             "it, unencrypted")
    if survey.kept_to:
        names = " and ".join(dict.fromkeys(one.device for one in survey.kept_to))
        if not {one.family for one in survey.kept_to} <= _list_barred(survey):
            yield Finding(NOTE, "tunnel", "", f"new connections leave by {names}, and have only "
                          "one path", meant)
        for path, installed in _list_installed(survey):
            if installed.path.endpoint and installed.path.tells:
                yield Finding(NOTE, "tunnel", path.interface, f"peers are told of {path.address} "
                              f"beside {names}, as a running connection has no other path",
                              "end that connection")
        return
    families = {installed.path.family for _, installed in _list_installed(survey)
                if installed.path.endpoint}
    beside = [one.device for one in survey.tunnels if one.family in families]
    if beside and survey.private:
        yield Finding(NOTE, "tunnel", "", f"new connections leave by {beside[0]}, but part of "
                      "each bypasses it, unencrypted", f"'{_SERVICE} start' makes "
                      f"mptcp_monitor keep them to it; or {meant}")


def _judge_weak_default(survey: Survey) -> Iterator[Finding]:
    """New connections begin by main's default, whatever that uplink carries beside others."""
    for path, installed in _list_installed(survey):
        defaults = [seen.route for seen in survey.routes
                    if (seen.family, seen.table) == (path.family, MAIN_TABLE)
                    and seen.route.destination == "default"]
        own = [route.order for route in defaults if route.device == installed.path.ifindex]
        others = [route.order for route in defaults if route.device != installed.path.ifindex]
        if not path.role or not own or min(own) > min(others, default=min(own)):
            continue
        remedy = (f"'metric {min(others)[0] + 100}' in its stanza, where it has a default route in "
                  "main" if others else "give another uplink 'gateway' instead of 'mptcp-gateway', "
                  f"and this one 'metric {min(own)[0] + 100}'")
        yield Finding(NOTE, "weak-default", path.interface, "new connections over "
                      f"IPv{path.family} start on it, as main leads there, and it {path.role}",
                      remedy)


def _judge_routing(survey: Survey) -> Iterator[Finding]:
    for path, found in _list_changed(survey):
        if found is None:
            yield Finding(BROKEN, "unfinished", path.interface, f"{path.address} was not set up "
                          "completely", _bring_back(path))
        else:
            yield _describe_change(path, found)


def _list_changed(survey: Survey) -> Iterator[tuple[PathStatus, Difference | None]]:
    """The paths whose rules and routes are not as they were set up, as _compare has it."""
    for path, installed in _list_installed(survey):
        if path.link in (UP, NO_CARRIER) and path.length is not None:
            found = _compare(survey, installed)
            if found is None or found.missing or found.added:
                yield path, found


def _compare(survey: Survey, installed: Installed) -> Difference | None:
    """What became of a path's routing; the rules of its device are its primary path's.

    None where nothing is known of how it was.
    """
    recorded, present = recall_routing(installed.kernel), survey.read_use(installed.path)
    if recorded is None:
        return None
    if not installed.path.primary:
        recorded, present = without_device_rules(recorded), without_device_rules(present)
    return compare_routing(installed.path.table, recorded, present, survey.name_of,
                           {seen.rule: seen.text for seen in survey.rules
                            if seen.family == installed.path.family})


def _describe_change(path: PathStatus, found: Difference) -> Finding:
    lines = (*(f"- {line}" for line in found.missing), *(f"+ {line}" for line in found.added))
    what = f"{path.address}: its rules or routes are not as they were set up"
    if found.missing:
        return Finding(BROKEN, "routing-changed", path.interface, what, _bring_back(path), lines)
    return Finding(NOTE, "routing-added", path.interface, f"{path.address}: another program "
                   "added rules or routes to it", "remove what is not wanted", lines)


def _judge_endpoints(survey: Survey) -> Iterator[Finding]:
    if survey.endpoints is None:
        return
    for path, installed in _list_installed(survey):
        if path.length is not None and installed.path.endpoint:
            yield from _compare_endpoints(survey, path, installed.path)
        elif path.length is not None and not path.outage \
                and _lacks_endpoint(survey, path, installed.path):
            yield Finding(BROKEN, "endpoint-changed", path.interface,
                          f"{path.address} has no endpoint", _bring_back(path))


def _compare_endpoints(survey: Survey, path: PathStatus, wanted: Path) -> Iterator[Finding]:
    """What became of a path's endpoints of ours."""
    for meant in wanted.endpoints:
        own = meant.address == wanted.address
        present = path.endpoint if own else survey.find_endpoint(meant.address)
        ours = present is not None and wanted.owns(present)
        role = {BACKUP} if own and path.role else set()
        if present and ours and set(present.flags) == {*meant.flags, *role}:
            continue
        device = wanted.device if meant.device else ""
        lines = [f"- {_format_endpoint(meant.address, device, meant.flags)}"]
        if present:
            name = survey.name_of(present.device) if present.device else ""
            lines += [f"+ {_format_endpoint(present.address, name, present.flags)}"]
        # mptcp_up leaves one that is there as it is.
        remedy = f"mptcp_down {path.interface}; " * ours + _bring_back(path)
        yield Finding(BROKEN, "endpoint-changed", path.interface, f"{meant.address}: its endpoint "
                      + ("was changed" if present else "is gone"), remedy, tuple(lines))


def _judge_outages(survey: Survey) -> Iterator[Finding]:
    """Paths over which nothing gets through, or seems to, though their carrier is there."""
    for path, installed in _list_installed(survey):
        if path.link != UP or path.outage is None:
            continue
        makes = "mptcp_monitor makes the endpoint when "
        if path.outage.why == CHECK_FAILED:
            yield Finding(BROKEN, "check-failed", path.interface, _say_outage(
                path, installed, "its check gets no answer"),
                f"see to its provider; {makes}it gets one")
        elif path.outage.why == GATEWAY_SILENT:
            yield Finding(BROKEN, "gateway-silent", path.interface, _say_outage(
                path, installed, f"its gateway {path.gateway} does not answer"),
                f"see to the router; {makes}it answers, '{_bring_back(path)}' at once")
        elif path.outage.why == UNSTEADY:
            yield Finding(BROKEN, "unsteady", path.interface, _say_outage(
                path, installed, "it comes and goes"),
                f"see to its cable or radio; {makes}it has been there for a while")
        elif path.outage.why == SUSPECTED:
            yield Finding(NOTE, "suspected", path.interface, f"{path.address}: connections over it "
                          f"to several peers get no answer{say_since(path)}",
                          "see to its provider; new connections use other uplinks meanwhile, as "
                          "far as there are any, and with 'notice = off' in [default] they do not")


def _say_outage(path: PathStatus, installed: Installed, why: str) -> str:
    """Why a path is out, since when, and what became of its endpoint."""
    if installed.path.endpoint:
        return (f"{path.address}: {why}{say_since(path)}; its endpoint stays, as a connection has "
                "no other path")
    return f"{path.address} has no endpoint: {why}{say_since(path)}"


def _lacks_endpoint(survey: Survey, path: PathStatus, wanted: Path) -> bool:
    """Whether a path that had to do without may have one now: a carrier, a free slot.

    Where new connections keep to a tunnel, peers are not told of one.
    """
    free = len(survey.endpoints or ()) < ENDPOINTS_AT_MOST
    told = bool(survey.kept_to) and wanted.tells
    return (wanted.primary and path.endpoint is None and path.link == UP and free
            and survey.kernel.present and not told)


def _judge_exits(survey: Survey) -> Iterator[Finding]:
    """What leaves by another link than its own, and the rule that is to blame."""
    for path, installed in _list_installed(survey):
        if path.link != UP or path.length is None or path.works:
            continue
        text = f"traffic from {path.address} {_say_exit(path)}"
        rules = _list_shadows(survey, path)
        found = _compare(survey, installed)
        if rules:
            number = rules[0].partition(":")[0]
            last = max(PREFERENCES.values()) + installed.path.shift
            yield Finding(BROKEN, "shadowed", path.interface,
                          f"{text}: another rule comes before ours",
                          f"give it a preference above {last}, or 'ip -{path.family} rule del pref "
                          f"{number}'; 'answer = yes' in [default] of {CONFIGURATION_FILE} makes "
                          "mptcp_monitor put ours before it",
                          tuple(f"+ {line}" for line in rules))
        elif found and not found.missing:
            yield _describe_straying(survey, path, text)


def _say_exit(path: PathStatus) -> str:
    return f"leaves by {path.exit.device}" if path.exit.device else (
        f"does not leave ({path.exit.refusal})")


def _judge_partial(survey: Survey) -> Iterator[Finding]:
    """Rules of others for some packets alone, which are at odds with ours; see foreign_rules.py."""
    paths = [installed.path for path, installed in _list_installed(survey)
             if path.link == UP and path.length is not None and not installed.path.shared]
    devices = {name: device.ifindex for device in survey.devices for name in device.names}
    for conflict in list_conflicts(survey.rules, survey.routes, paths, devices):
        names = " and ".join(survey.name_of(one) if one else "no device"
                             for one in sorted(conflict.exits))
        addresses = " and ".join(one for path in conflict.paths
                                 for one in list_sources(conflict.seen, path))
        text = (f"a rule before ours sends some packets from {addresses} by {names}"
                if conflict.before else
                f"a rule behind ours, which leads to {names}, never sees packets from "
                f"{addresses}")
        yield Finding(NOTE, "partly-shadowed", conflict.paths[0].iface, text,
                      f"where it is made, give it another preference: '{describe_move(conflict)}'",
                      (f"+ {conflict.seen.text}",))


def _describe_straying(survey: Survey, path: PathStatus, text: str) -> Finding:
    """Where no rule is to blame, a route of main may be: ours come after all but its default."""
    length = _find_suppressed_length(survey, path)
    routes = [seen.route for seen in survey.routes
              if (seen.family, seen.table) == (path.family, MAIN_TABLE)
              and is_inside(path.exit.destination, seen.route)
              and int(seen.route.destination.partition("/")[2]) > length
              and survey.name_of(seen.route.device) != path.device]
    if routes:
        return Finding(BROKEN, "strays", path.interface, f"{text}: a route of main is narrower "
                       "than the default", "make a default route of it, or remove it",
                       tuple(f"+ {format_route(MAIN_TABLE, route, survey.name_of)}"
                             for route in routes))
    return Finding(BROKEN, "strays", path.interface, text, "see which route takes it: 'ip route "
                   f"get fibmatch {path.exit.destination} from {path.address}'")


def _find_suppressed_length(survey: Survey, path: PathStatus) -> int:
    """Up to which length a route of main counts as a default, by the path's rules that stand."""
    own = f"{path.address}/{BITS[path.family]}"
    return min((seen.rule.suppress for seen in survey.rules
                if (seen.rule.source, seen.rule.table) == (own, MAIN_TABLE)
                and not seen.rule.destination and seen.rule.suppress is not None), default=0)


def _list_shadows(survey: Survey, path: PathStatus) -> list[str]:
    """The rules of others that the kernel comes to before the path's own, and that lead away."""
    shift = path.installed.path.shift if path.installed else 0
    return [seen.text for seen in survey.rules
            if seen.family == path.family and seen.rule.protocol != PROTOCOL
            and 0 < seen.rule.preference < PREFERENCES["source_default"] + shift
            and seen.rule.suppress is None and seen.covers(path.address)
            and _decides(survey, seen, path.exit.destination)]


def _decides(survey: Survey, seen: SeenRule, destination: str) -> bool:
    """Whether a rule ends the search for a route: a table without one is passed over."""
    return not seen.rule.table or any(
        route.route.destination == "default" or contains(route.route.destination, destination)
        for route in survey.routes
        if (route.family, route.table) == (seen.family, seen.rule.table)
        and route.route.kind != "throw")


def _judge_shared(survey: Survey) -> Iterator[Finding]:
    for path, installed in _list_installed(survey):
        if installed.path.shared:
            others = [other.interface for other, one in _list_installed(survey)
                      if other.address == path.address and not one.path.shared]
            yield Finding(BROKEN, "shared-address", path.interface,
                          f"{path.address} is the address of {' and '.join(others) or 'another'} "
                          f"as well: only what is bound to {path.device} leaves by it",
                          "give one of the two networks another subnet, where it has its router "
                          "or modem")


def _judge_further(survey: Survey) -> Iterator[Finding]:
    """Addresses that came beside those of paths, and that no rule of a subnet leads."""
    for one in survey.further:
        way = (f"leaves by {one.exit.device}" if one.exit.device
               else f"cannot leave ({one.exit.refusal})")
        where = "another device has an address in its subnet" if one.inside else (
            "it is in no subnet of an uplink")
        yield Finding(BROKEN if one.inside else NOTE, "further-address", one.interface,
                      f"traffic from {one.address} of {one.device} {way}: {where}",
                      f"if it is the uplink's, a stanza of its own ('iface {one.device}:1 ...') "
                      f"with 'mptcp-gateway {one.gateway or 'ADDRESS'}'")


def _judge_reverse_path(survey: Survey) -> Iterator[Finding]:
    """rp_filter 1 drops what comes in where the answer would not go out (ip-sysctl.rst).

    A rule of ours that is missing is told of as such.
    """
    told = [path for path, found in _list_changed(survey) if found is None or found.missing]
    for path in survey.paths:
        device = survey.find_device(path.device)
        # An address without a table is a LAN's: who speaks to it is on its link.
        if device and device.strict and path.family == 4 and path.table and not path.works \
                and not _has_rule(survey, path) and path not in told:
            yield Finding(BROKEN, "reverse-path", path.interface, f"{path.address} has no rule, "
                          f"and strict rp_filter drops what comes in by {path.device}",
                          _bring_back(path) if path.installed else _say_how_to_tell(path.device))


def _has_rule(survey: Survey, path: PathStatus) -> bool:
    """Whether a rule sends all that comes from the address to a table of its own."""
    own = f"{path.address}/32"
    return any(seen.rule.source == own and not seen.rule.destination
               and seen.rule.table != MAIN_TABLE for seen in survey.rules)


def _judge_behind(survey: Survey) -> Iterator[Finding]:
    for remark in judge_behind(survey, list(_list_installed(survey))):
        yield Finding(NOTE, *remark)


def _judge_limits(survey: Survey) -> Iterator[Finding]:
    # An implicit endpoint is what the kernel noted of a subflow that it has opened already.
    flags = [one.flags for one in survey.endpoints or () if "implicit" not in one.flags]
    if survey.limits is None or not flags or (survey.kept_to and survey.limits == NO_SUBFLOWS):
        return
    needed = raise_limits(survey.limits, flags, survey.wanted_limits)
    # The first subflow of a connection does not count.
    short = survey.limits.subflows < sum("signal" not in one for one in flags) - 1
    ours = any(installed.path.endpoint for _, installed in _list_installed(survey))
    if short and needed == survey.limits:
        yield Finding(NOTE, "limits-low", "", f"mptcp-hooks.conf has limits = "
                      f"{survey.wanted_limits}, which is too few for {len(flags)} endpoints",
                      "raise or remove it, if that is not meant")
        return
    if short or (ours and needed != survey.limits):
        yield Finding(
            BROKEN if short else NOTE, "limits-low", "",
            f"a connection may have {survey.limits.subflows} more subflows and take "
            f"{survey.limits.add_addr_accepted} addresses of its peer, for "
            f"{len(flags)} endpoints", "ip mptcp limits set subflows "
            f"{needed.subflows} add_addr_accepted {needed.add_addr_accepted}")


def _judge_slots(survey: Survey) -> Iterator[Finding]:
    endpoints = survey.endpoints or ()
    if len(endpoints) < ENDPOINTS_AT_MOST:
        return
    foreign = [one for one in endpoints if not _is_ours(survey, one)]
    remedy = (f"free the one of {foreign[0].address}, 'ip mptcp endpoint delete id "
              f"{foreign[0].identity}', then ") if foreign else (
        "take a path of another interface down, then ")
    served = list_devices((one.path for _, one in _list_installed(survey)), endpoints)
    for path, installed in _list_installed(survey):
        if installed.path.primary and not (path.endpoint or path.announced) \
                and path.link == UP and not installed.path.shared:
            alone = installed.path.ifindex not in served
            yield Finding(BROKEN if alone else NOTE, "slots-full", path.interface,
                          f"{path.address} has no endpoint: the kernel's {ENDPOINTS_AT_MOST} are "
                          "taken", f"{remedy}'mptcp_up {path.interface}'")


def _is_ours(survey: Survey, endpoint: Endpoint) -> bool:
    return any(installed.path.owns(endpoint)
               for _, installed in _list_installed(survey))


def _judge_subnets(survey: Survey) -> Iterator[Finding]:
    """Two links in one subnet answer for each other's addresses, unless told not to (ARP)."""
    paths = [path for path in survey.paths if path.family == 4 and path.installed
             and not path.installed.path.subnet.endswith("/32")]
    for number, path in enumerate(paths):
        for other in paths[:number]:
            if path.installed and other.installed and path.device != other.device \
                    and path.installed.path.subnet == other.installed.path.subnet != "" \
                    and not _are_apart(survey, path, other):
                yield Finding(NOTE, "one-subnet", path.interface,
                              f"{other.interface} and {path.interface} are in one subnet, "
                              f"{path.installed.path.subnet}, and answer for each other",
                              "sysctl -w net.ipv4.conf.all.arp_ignore=1 "
                              "net.ipv4.conf.all.arp_announce=2")


def _are_apart(survey: Survey, *paths: PathStatus) -> bool:
    devices = [survey.find_device(path.device) for path in paths]
    return all(device and device.arp_ignore in (1, 2) and device.arp_announce == 2
               for device in devices)


def _judge_addresses(survey: Survey) -> Iterator[Finding]:
    for path, _ in _list_installed(survey):
        # A link that is switched off takes its IPv6 addresses along.
        if path.length is None and path.link in (UP, NO_CARRIER):
            endpoint = ", but its endpoint is there" if path.endpoint else ""
            yield Finding(BROKEN, "address-gone", path.interface, f"{path.address} is gone"
                          f"{endpoint}", f"{_IFUP_AGAIN.format(path.interface)} (with "
                          "mptcp-hooks.service running, its path goes by itself)")


def _judge_vanished(survey: Survey) -> Iterator[Finding]:
    """Endpoints of addresses that nobody has; those of our paths are told of with the path.

    One that is signalled, and has no device, is of an address that somebody maps to ours.
    """
    present = {one.address for device in survey.devices for one in device.addresses}
    for endpoint in survey.endpoints or ():
        announced = endpoint.device == 0 and SIGNAL in endpoint.flags
        if endpoint.address not in present and "implicit" not in endpoint.flags \
                and not announced and not any(path.endpoint == endpoint for path in survey.paths):
            yield Finding(NOTE, "endpoint-vanished", "",
                          f"endpoint {endpoint.address}: no interface has that address",
                          f"ip mptcp endpoint delete id {endpoint.identity}")


def _judge_managers(survey: Survey) -> Iterator[Finding]:
    recorded = {path.interface for path in survey.paths if _is_recorded(path)}
    if MPTCPD in survey.programs and recorded:
        yield Finding(NOTE, "mptcpd", "", "mptcpd runs too, and makes and deletes endpoints by "
                      "rules of its own", "systemctl disable --now mptcpd")
    if NETWORK_MANAGER not in survey.programs:
        return
    for iface, stanza in survey.stanzas:
        device = survey.find_device(iface.partition(":")[0])
        told_by = method_of(stanza.told)
        if device and device.network_manager and stanza.told and told_by not in (
                NETWORKMANAGER, MANAGED):
            yield Finding(NOTE, "network-manager", iface, "ifupdown and NetworkManager both "
                          "manage it", f"'nmcli device set {device.name} managed no', which may "
                          f"take the paths away, and then 'mptcp_up {iface}'")


def _judge_pathless(survey: Survey) -> Iterator[Finding]:
    leaving = _list_leaving(survey)
    for path in _first_of_each([path for path in survey.paths
                                if not path.table or path.interface in leaving]):
        if path.installed:
            yield Finding(NOTE, "taken-down", path.interface, "its paths are being taken away",
                          f"{_bring_back(path)}, if that came to no end")
        elif path.interface in leaving and path.interface not in survey.excluded:
            yield Finding(NOTE, "taken-down", path.interface, "mptcp_down took its paths away",
                          f"mptcp_up {path.interface}")
        elif path.interface in survey.excluded or (
                path.link == UP and path.address and _is_led(survey, path)):
            continue
        elif path.link == UP and path.address:
            yield Finding(NOTE, "no-gateway", path.interface, f"{path.address} has no gateway: "
                          "treated as a LAN and left alone", _say_what_it_is(
                              path.interface, path.interface in _list_of_ifup(survey)))
        elif path.link == UP:
            yield Finding(NOTE, "no-address", path.interface, f"it has no IPv{path.family} address "
                          "yet", "see to its DHCP server or router")


def _say_what_it_is(iface: str, of_ifup: bool) -> str:
    """How to tell of an uplink that looks like a LAN, and of a LAN that nothing more is said."""
    if of_ifup:
        # mptcp_up alone hears nothing of the option where ifquery is ifupdown2's or ifupdown-ng's.
        return (f"if it is an uplink, 'mptcp-gateway ADDRESS' in its stanza, and then "
                f"'{_IFUP_AGAIN.format(iface)}'; if it is a LAN, 'mptcp off' there")
    return (f"if it is an uplink, 'gateway = ADDRESS' in [{iface}] of {CONFIGURATION_FILE}, and "
            f"then '{_SERVICE} reload'; if it is a LAN, 'exclude = yes' there")


def _list_of_ifup(survey: Survey) -> set[str]:
    """The interfaces on record that ifup told of."""
    return {iface for iface, stanza in survey.stanzas
            if stanza.told and is_of_stanza(stanza.told)}


def _is_left_alone(survey: Survey, path: PathStatus) -> bool:
    """Whether an address is a LAN's, or its interface nobody's business here."""
    lan = (not path.installed and not path.table and path.link == UP and path.address != ""
           and path.interface not in _list_leaving(survey))
    return lan or path.interface in survey.excluded


def _is_led(survey: Survey, path: PathStatus) -> bool:
    """Whether the rules of a subnet lead an address that has no path of its own."""
    return any(one.path.wide and one.path.device == path.device
               and contains(one.path.subnet, path.address)
               for _, one in _list_installed(survey))


def _judge_untold(survey: Survey) -> Iterator[Finding]:
    tunnels = {one.device for one in survey.tunnels}
    for path in _first_of_each([path for path in survey.paths
                                if path.table == MAIN_TABLE and not path.installed]):
        if path.endpoint:
            if path.link == UP and not path.works:
                yield Finding(NOTE, "foreign-endpoint", path.interface, f"{path.address} has an "
                              "endpoint that another program made, and no rules of ours: what is "
                              f"sent from there {_say_exit(path)}", "nothing to do, if that "
                              f"program has rules for it; else {_say_how_to_tell(path.device)}")
        elif path.link == UP and path.gateway:
            yield Finding(NOTE, "not-set-up", path.interface, f"an IPv{path.family} uplink "
                          "that mptcp-hooks has not been told about", _say_how_to_tell(path.device))
        elif path.link == UP and (is_its_name(path.device) or path.device not in tunnels):
            # VPNs have pppd, too.
            yield Finding(NOTE, "not-set-up", path.interface, f"an IPv{path.family} uplink "
                          "without a gateway, or a VPN, that mptcp-hooks has not been told about",
                          f"nothing to do for a VPN; else {_say_how_to_tell(path.device)}")


def _judge_configuration(survey: Survey) -> Iterator[Finding]:
    for mistake in survey.mistakes:
        yield Finding(NOTE, "configuration", "", mistake, "correct it; 'mptcp_up --check' reads it "
                      "again")


def _judge_templates(survey: Survey) -> Iterator[Finding]:
    outcomes = {DETOURS: "new connections go where main leads them, whatever is out",
                NAMES: "resolvers are asked where main leads, whoever names them"}
    for lack in survey.lacks:
        yield Finding(NOTE, "old-template", "", f"the templates in {OWN_TEMPLATES} have no lines "
                      f"for {lack}: {outcomes[lack]}", f"take the lines about '{lack[:-1]}' over "
                      f"from the package's own up.j2 and down.j2 in {FOLDERS[1]}")


def _judge_number(survey: Survey) -> Iterator[Finding]:
    paths = [path for path in survey.paths if path.installed]
    if survey.damaged:
        return
    if not paths:
        yield Finding(BROKEN, "no-path", "", "no interface has a path",
                      "ifup one that has a gateway, or name it in 'manage' of "
                      f"{CONFIGURATION_FILE}")
    elif count_uplinks(paths) == 1:
        yield Finding(NOTE, "one-uplink", "", "there is only one uplink: connections have no "
                      "second path", _find_second(paths) or "bring another one up" + (
                          "; 'mptcp_up --all -v' says why one has no path"
                          if _have_reasons(survey) else ""))


def _have_reasons(survey: Survey) -> bool:
    """Whether there are interfaces of which something was told, or that ifupdown has up."""
    return bool(survey.untold) or any(
        stanza.told and not stanza.paths for _, stanza in survey.stanzas)


def _find_second(paths: list[PathStatus]) -> str:
    """What makes a second path of an address that has a gateway of its own, and no endpoint."""
    used = {path.gateway for path in paths if path.installed and path.installed.path.primary}
    return next((f"'mptcp-flags subflow' in the stanza of {path.interface}, which has another "
                 "gateway, makes it one" for path in paths if path.installed
                 and not path.installed.path.primary and path.gateway not in {*used, ""}), "")


def _judge_monitor(survey: Survey) -> Iterator[Finding]:
    if not survey.monitored and any(_list_installed(survey)):
        yield Finding(NOTE, "no-monitor", "", "mptcp_monitor does not run: cables, leases and "
                      "router advertisements are not followed",
                      "'systemctl enable --now mptcp-hooks', "
                      f"or '{_SERVICE} start' without systemd")


def _judge_traffic(survey: Survey) -> Iterator[Finding]:
    counted, since = read_counters(survey.counters), "since the machine started"
    if survey.earlier:
        counted = subtract(counted, survey.earlier.counters)
        since = f"in the last {describe_span(survey.now - survey.earlier.at)}"
    for evidence in judge_counters(counted):
        yield Finding(NOTE, "middlebox", "", f"{evidence.text}, {since}", evidence.remedy)


def _list_installed(survey: Survey) -> Iterator[tuple[PathStatus, Installed]]:
    """The paths on record that shall stay: not what could not go, and not what is going."""
    leaving = _list_leaving(survey)
    for path in survey.paths:
        if path.installed and path.installed.up and path.interface not in leaving:
            yield path, path.installed


def _list_leaving(survey: Survey) -> set[str]:
    return {iface for iface, stanza in survey.stanzas if stanza.state == LEAVING}


def _is_recorded(path: PathStatus) -> bool:
    return path.table != MAIN_TABLE or path.installed is not None


def _first_of_each(paths: list[PathStatus]) -> list[PathStatus]:
    """The first path of each interface."""
    return list({path.interface: path for path in reversed(paths)}.values())[::-1]


def _bring_back(path: PathStatus) -> str:
    return f"mptcp_up {path.interface}"


def _say_how_to_tell(device: str) -> str:
    return (f"a stanza for ifup, or 'manage = {device}' in {CONFIGURATION_FILE} and '{_SERVICE} "
            "reload'")


def _format_endpoint(address: str, device: str, flags: tuple[str, ...]) -> str:
    return " ".join(["endpoint", address, *[f"dev {device}"] * bool(device), *flags])


JUDGES: tuple[Callable[[Survey], Iterator[Finding]], ...] = (
    _judge_kernel, _judge_off, _judge_number, _judge_records, _judge_links, _judge_way_out,
    _judge_weak_default, _judge_addresses, _judge_routing, _judge_endpoints, _judge_outages,
    _judge_use, _judge_tunnels, _judge_exits, _judge_partial, _judge_shared, _judge_further,
    _judge_reverse_path, _judge_behind, _judge_limits, _judge_slots, _judge_subnets,
    _judge_vanished, _judge_managers, _judge_configuration, _judge_templates, judge_failures,
    judge_edits, judge_gateways, judge_exclusions, _judge_pathless, _judge_untold, _judge_monitor,
    _judge_traffic,
)
