"""Which paths an interface should have, and what the kernel must hold for them. Pure.

A path is one source address with its gateway: a table, the rules that lead to
it and, for most, an endpoint of the MPTCP path manager. docs/architecture.md
says why each choice is as it is.
"""

from __future__ import annotations

from mptcp_hooks.base import address
from mptcp_hooks.base.errors import Problem
from mptcp_hooks.base.model import Path
from mptcp_hooks.base.numbering import (
    ENDPOINTS_AT_MOST,
    MAIN_TABLE,
    PROTOCOL,
    TABLE_STEP,
    table_number,
)
from mptcp_hooks.base.value import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterable

    from mptcp_hooks.base.address import InterfaceAddress
    from mptcp_hooks.base.model import DeviceView, Endpoint, PathManager, TableUse
    from mptcp_hooks.intent.settings import Settings


class Plan(NamedTuple):
    """Paths, what a person must hear (warnings), and what -v adds (remarks)."""

    paths: tuple[Path, ...]
    warnings: tuple[str, ...]
    remarks: tuple[str, ...]

    def add(self, path: Path | None = None, warning: str = "", remark: str = "") -> Plan:
        """The plan with one thing more of each kind that is given."""
        return Plan(self.paths if path is None else (*self.paths, path),
                    (*self.warnings, warning) if warning else self.warnings,
                    (*self.remarks, remark) if remark else self.remarks)


class _Verdict(NamedTuple):
    endpoint: bool
    warning: str
    remark: str


def plan_paths(
    iface: str,
    settings: Settings,
    view: DeviceView,
    previous: tuple[Path, ...],
    others: tuple[Path, ...],
    manager: PathManager,
) -> Plan:
    """The paths of one event.

    `previous` are the paths on record that it renews, `others` those of the
    device's other stanzas and aliases. Problem where two paths would share a table.
    """
    plan = Plan((), (), ())
    for own in view.addresses:
        before = [path for path in previous if path.address == own.address]
        plan = _plan_address(plan, own, iface, settings, view, before, others, manager)
    if not view.mptcp_enabled and any(path.endpoint for path in plan.paths):
        plan = plan.add(warning=f"{iface}: net.mptcp.enabled is 0: endpoints do nothing until it "
                                "is 1")
    return plan


def _plan_address(
    plan: Plan,
    own: InterfaceAddress,
    iface: str,
    settings: Settings,
    view: DeviceView,
    before: list[Path],
    others: tuple[Path, ...],
    manager: PathManager,
) -> Plan:
    """The plan with one address more."""
    reason = _reason_to_skip(own, settings, view)
    if reason:
        return plan.add(remark=f"{iface}: {own.address}: {reason}")
    if own.address in settings.gateways:
        plan = plan.add(warning=f"{iface}: {own.address} is the interface's own address, not its "
                                "gateway: ignored as such")
    beside = [path for path in (*others, *plan.paths) if path.family == own.family]
    adjective = dict(view.adjectives).get(own.address, "")
    primary = not adjective and not any(path.primary for path in beside)
    verdict = _judge_endpoint(own, settings, primary, before, manager, view)
    if verdict.endpoint and adjective:
        verdict = _Verdict(False, "", f"a {adjective} address: no endpoint")
    path = _lay_path(iface, own, settings, view, primary, verdict.endpoint)
    first = not any(path.family == own.family for path in plan.paths)
    wanted = (settings.table if first else 0) or (settings.usual_table if primary else 0)
    return plan.add(
        path=path._replace(table=_choose_table(path, wanted, before, beside)),
        warning=f"{iface}: {verdict.warning}" if verdict.warning else "",
        remark=f"{iface}: {own.address}: {verdict.remark}" if verdict.remark else "")


def settle_order(view: DeviceView, previous: tuple[Path, ...]) -> DeviceView:
    """The view with its addresses in the order in which they should be first.

    The kernel lists the newest IPv6 address first; a path that stands keeps its
    table and its endpoint all the same.
    """
    adjectives = dict(view.adjectives)
    standing = {path.address: 0 if path.primary else 1 for path in previous}
    return view._replace(addresses=tuple(sorted(view.addresses, key=lambda one: standing.get(
        one.address, 3 if one.address in adjectives else 2))))


def find_gateway(own: InterfaceAddress, settings: Settings, view: DeviceView) -> str:
    """The gateway of the settings, of the stanza, or of the device's default route in main."""
    subnet = _subnet(own)
    alone = own.peer or own.length == address.BITS[own.family]
    # In main another address may be the one that the gateway is for.
    fit_for_main = [gateway for gateway in view.main_gateways
                    if alone or address.is_near(subnet, gateway)]
    for candidates in (settings.gateways, (own.gateway,), fit_for_main):
        fitting = [gateway for gateway in candidates
                   if gateway and address.family_of(gateway) == own.family
                   and gateway != own.address]
        near = [gateway for gateway in fitting if address.contains(subnet, gateway)]
        if fitting:
            return (near or fitting)[0]
    return ""


def find_intruder(path: Path, use: TableUse) -> str:
    """Who else uses the path's table or its address, in words; '' where nobody does."""
    host = f"{path.address}/{address.BITS[path.family]}"
    for route in use.routes:
        ours = route.protocol == PROTOCOL and (
            route.kind == "unreachable" or route.device == path.ifindex)
        if not ours or route.source not in ("", path.address):
            via = f" via {route.gateway}" if route.gateway else ""
            source = f" src {route.source}" if route.source else ""
            return _tell_use(path.table, f"somebody else (route {route.destination}{via}{source})")
    for rule in use.rules:
        marked = rule.protocol == PROTOCOL
        if marked and rule.source == host and rule.table not in (path.table, MAIN_TABLE):
            return _tell_twice(path, rule.table)
        ours = marked and rule.source in ("", host) and rule.device in ("", path.device)
        if rule.table == path.table and not ours:
            source = rule.source or "all"
            return _tell_use(path.table, f"somebody else (rule {rule.preference}: from {source} "
                                         f"lookup {rule.table})")
    return ""


def find_sharer(path: Path, others: Iterable[Path]) -> str:
    """Which other path of ours has the path's address or table, in words; '' where none has."""
    for other in others:
        if other.address == path.address:
            return _tell_twice(path, other.table)
        if other.device != path.device and (
                other.family, other.table) == (path.family, path.table):
            return _tell_use(path.table, f"{other.address} of {other.iface}")
    return ""


def _tell_twice(path: Path, table: int) -> str:
    return (f"{path.address} is the address of another interface already, with table {table}: "
            "one of them must change")


def _tell_use(table: int, user: str) -> str:
    return (f"table {table} is in use by {user}: give it another mptcp-table, or table in "
            "mptcp-hooks.conf")


def _reason_to_skip(own: InterfaceAddress, settings: Settings, view: DeviceView) -> str:
    adjective = dict(view.adjectives).get(own.address, "")
    if address.is_loopback(own.address) or address.is_link_local(own.address):
        return "a loopback or link-local address, left alone"
    if adjective == address.DUPLICATE:
        return "another machine has this address, left alone"
    if adjective == address.TENTATIVE:
        return "still checked for a duplicate, left alone until then"
    if not (_leaves_link(own, settings, view) or settings.chosen_flags):
        return "neither gateway nor peer, a LAN, left alone"
    return ""


def _leaves_link(own: InterfaceAddress, settings: Settings, view: DeviceView) -> bool:
    """Whether there is a way from the link to elsewhere: a gateway, or the one peer there is."""
    alone = view.link is not None and view.link.point_to_point
    return bool(find_gateway(own, settings, view) or own.peer or alone)


def _subnet(own: InterfaceAddress) -> str:
    if own.peer:
        return f"{own.peer}/{address.BITS[own.family]}"
    return address.network(own.address, own.length)


def _lay_path(
    iface: str, own: InterfaceAddress, settings: Settings, view: DeviceView, primary: bool,
    endpoint: bool,
) -> Path:
    subnet = _subnet(own)
    gateway = find_gateway(own, settings, view)
    alone = not own.peer and own.length == address.BITS[own.family]
    near = not gateway or address.is_near(subnet, gateway)
    default = _leaves_link(own, settings, view)
    return Path(
        iface=iface,
        device=view.device,
        ifindex=view.ifindex,
        family=own.family,
        address=own.address,
        subnet="" if alone else subnet,
        gateway=gateway,
        onlink=not near,
        default=default,
        table=0,
        primary=primary,
        endpoint=endpoint,
        flags=settings.flags,
        routes=tuple(route for route in own.routes if route[0] != subnet),
        way_out=settings.way_out and default and primary,
    )


def _choose_table(
    path: Path, wanted: int, before: list[Path], beside: list[Path]
) -> int:
    taken = {other.table: other for other in beside}
    if wanted in taken:
        other = taken[wanted]
        raise Problem(f"{path.iface}: "
                      f"{_tell_use(wanted, f'{other.address} of {other.iface}')}")
    if wanted:
        return wanted
    for old in before:
        ours = (old.table - table_number(path.ifindex, 0)) % TABLE_STEP == 0
        if ours and old.table not in taken:
            return old.table
    position = 0
    while table_number(path.ifindex, position) in taken:
        position += 1
    return table_number(path.ifindex, position)


def _judge_endpoint(
    own: InterfaceAddress,
    settings: Settings,
    primary: bool,
    before: list[Path],
    manager: PathManager,
    view: DeviceView,
) -> _Verdict:
    if not primary and not settings.chosen_flags:
        return _Verdict(False, "", "a further address of the device, no endpoint without "
                                   "mptcp-flags")
    if manager.limits is None:
        return _Verdict(False, "this kernel has no MPTCP: routing only", "")
    if own.address in view.silent:
        return _Verdict(False, "", "no endpoint until the carrier is back, and its gateway answers")
    present = [one for one in manager.endpoints or () if one.stands_for(own.address)]
    if not present:
        return _judge_slots(own, manager.endpoints or ())
    endpoint = present[0]
    if any(path.owns(endpoint) for path in before):
        return _Verdict(True, "", "")
    if endpoint.device in (0, view.ifindex):
        return _Verdict(False, "", f"endpoint {endpoint.identity} is there already, left to "
                                   "its maker")
    return _Verdict(False, f"endpoint {endpoint.identity} has {own.address} on another device "
                           "already, left to its maker: routing only", "")


def _judge_slots(own: InterfaceAddress, endpoints: tuple[Endpoint, ...]) -> _Verdict:
    if len(endpoints) < ENDPOINTS_AT_MOST:
        return _Verdict(True, "", "")
    listed = ", ".join(endpoint.address for endpoint in endpoints)
    return _Verdict(False, f"no endpoint for {own.address}, routing only: "
                           f"the kernel's {ENDPOINTS_AT_MOST} are taken by {listed}", "")
