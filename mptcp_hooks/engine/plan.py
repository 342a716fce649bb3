# SPDX-License-Identifier: GPL-2.0-or-later
"""Which paths an interface should have, and what the kernel must hold for them. Pure.

A path is one source address with its gateway: a table, the rules that lead to
it and, for most, an endpoint of the MPTCP path manager. docs/internals/architecture.md
says why each choice is as it is.
"""

from __future__ import annotations

from mptcp_hooks.base import address
from mptcp_hooks.base.errors import Problem
from mptcp_hooks.base.model import SIGNAL, Path
from mptcp_hooks.base.numbering import (
    ENDPOINTS_AT_MOST,
    FIRST_PREFERENCE,
    MAIN_TABLE,
    PROTOCOL,
    TABLE_STEP,
    find_free_table,
    number_rules,
    table_number,
)
from mptcp_hooks.base.value import TYPE_CHECKING, NamedTuple
from mptcp_hooks.intent.settings import Belongings, has_belongings

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable

    from mptcp_hooks.base.address import InterfaceAddress
    from mptcp_hooks.base.model import DeviceView, PathManager, TableUse
    from mptcp_hooks.intent.settings import Settings


class Plan(NamedTuple):
    """Paths, what a person must hear (warnings), and what -v adds (remarks).

    `crowded` are those whose address another device's subnet has as well, `unserved` those that
    would have the only endpoint of the plan, were not all taken. What the kernel refuses, since
    its link is down or not there, is none of these: nobody gives anything for it.
    """

    paths: tuple[Path, ...]
    warnings: tuple[str, ...]
    remarks: tuple[str, ...]
    crowded: tuple[Path, ...] = ()
    unserved: tuple[Path, ...] = ()

    def add(self, path: Path | None = None, warning: str = "", remark: str = "") -> Plan:
        """The plan with one thing more of each kind that is given."""
        return self._replace(
            paths=self.paths if path is None else (*self.paths, path),
            warnings=(*self.warnings, warning) if warning else self.warnings,
            remarks=(*self.remarks, remark) if remark else self.remarks)


class _Verdict(NamedTuple):
    endpoint: bool
    warning: str
    remark: str
    full: bool = False


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
    # With one of fc00::/7 nothing beyond the site is reached: whichever comes first of the
    # others is the first address of its family.
    for own in sorted(view.addresses, key=lambda own: address.is_unique_local(own.address)):
        plan = _plan_address(plan, own, iface, settings, view, previous, others,
                             manager.expecting(plan.paths))
    going = tuple(one for one in manager.left if any(path.owns(one) for path in previous)
                  and not any(path.owns(one) for path in plan.paths))
    if going and _is_full(manager.expecting(plan.paths)):
        # What one of its addresses has no more is another one's. Each time more of them go.
        return plan_paths(iface, settings, view, previous, others,
                          manager._replace(going=(*manager.going, *going)))
    if not view.mptcp_enabled and any(path.endpoint for path in plan.paths):
        plan = plan.add(warning=f"{iface}: net.mptcp.enabled is 0: endpoints have no effect "
                                "until it is 1")
    return plan._replace(crowded=tuple(path for path in plan.paths if any(
        address.contains(address.network(*other), path.address) for other in view.elsewhere)))


def _plan_address(
    plan: Plan,
    own: InterfaceAddress,
    iface: str,
    settings: Settings,
    view: DeviceView,
    previous: tuple[Path, ...],
    others: tuple[Path, ...],
    manager: PathManager,
) -> Plan:
    """The plan with one address more."""
    before = [path for path in previous if path.address == own.address]
    beside = [path for path in (*others, *plan.paths) if path.family == own.family]
    adjective = dict(view.adjectives).get(own.address, "")
    reason = _reason_to_skip(own, settings, view, beside)
    if not reason and adjective and not before and _is_led(own.address, beside):
        # They come and go every day, and need no table of their own.
        reason = f"a {adjective} address: leaves by the rules of its subnet"
    if reason:
        return plan.add(remark=f"{iface}: {own.address}: {reason}")
    if own.address in settings.gateways:
        plan = plan.add(warning=f"{iface}: {own.address} is the interface's own address, not its "
                                "gateway: ignored as such")
    primary = not adjective and not any(
        path.primary and not yields(path, own.address) for path in beside)
    first = not any(path.family == own.family for path in plan.paths)
    belongings = _choose_belongings(own.family, settings, first, primary)
    holder = dict(view.held).get(own.address, "")
    if holder:
        said = f"{own.address} is the address of {holder} as well"
        if not primary:
            # Nothing would lead to its table.
            return plan.add(warning=f"{iface}: {said}: left alone")
        verdict = _Verdict(False, f"{said}: only what is bound to {view.device} leaves by it, "
                           "until one of them changes", "")
    else:
        wants = primary or bool(settings.chosen_flags or belongings.announced)
        tells = SIGNAL in settings.flags or bool(belongings.announced)
        verdict = _judge_endpoint(own, wants, tells, before, manager, view)
    if verdict.endpoint and adjective:
        verdict = _Verdict(False, "", f"a {adjective} address: no endpoint")
    path = _lay_path(iface, own, settings, view, primary, verdict.endpoint)
    path = share(path) if holder else path._replace(
        wide=_may_be_wide(path, own, view, beside))
    if any(belongings):
        from mptcp_hooks.engine.belongings import add_belongings, judge_announced

        path = add_belongings(path, settings, belongings)
        path, warnings, remarks = judge_announced(path, previous, manager, view.tunnel)
        plan = plan._replace(warnings=(*plan.warnings, *warnings),
                             remarks=(*plan.remarks, *remarks))
    if path.endpoint:
        path, remark = _settle_flags(path, own, before, manager, view)
        plan = plan.add(remark=remark)
    # One that yields has it until it has gone elsewhere.
    usual = 0 if not primary or any(
        other.table == settings.usual_table and yields(other, own.address)
        for other in beside) else settings.usual_table
    wanted = (settings.table if first else 0) or usual
    path = path._replace(table=wanted or _choose_table(path, before, beside))
    if sharer := find_sharer(path, plan.paths):
        # Who else has it on record is asked once it is known whether the address is left alone.
        raise Problem(f"{iface}: {sharer}")
    if verdict.full and _is_up(view) and not any(one.endpoint for one in plan.paths):
        plan = plan._replace(unserved=(*plan.unserved, path))
    return plan.add(
        path=path,
        warning=f"{iface}: {verdict.warning}" if verdict.warning else "",
        remark=f"{iface}: {own.address}: {verdict.remark}" if verdict.remark else "")


def settle_order(view: DeviceView, previous: tuple[Path, ...]) -> DeviceView:
    """The view with its addresses in the order in which they should be first.

    The kernel lists the newest IPv6 address first; a path that stands keeps its
    table and its endpoint all the same.
    """
    adjectives = dict(view.adjectives)
    standing = {path.address: (0 if path.primary else 1, place)
                for place, path in enumerate(previous)}
    return view._replace(addresses=tuple(sorted(view.addresses, key=lambda one: standing.get(
        one.address, (3 if one.address in adjectives else 2, 0)))))


def yields(path: Path, own: str) -> bool:
    """Whether a path of the same device and family gives its place as the first to an address."""
    return address.is_unique_local(path.address) and not address.is_unique_local(own)


def _choose_belongings(family: int, settings: Settings, first: bool, primary: bool) -> Belongings:
    if not has_belongings(settings):
        return Belongings()
    # Few machines have any: the others do not load it.
    from mptcp_hooks.engine.belongings import choose_belongings

    return choose_belongings(family, settings, first, primary)


def find_gateway(own: InterfaceAddress, settings: Settings, view: DeviceView) -> str:
    """The gateway of the settings, of the stanza, or of the device's default route in main."""
    subnet = _subnet(own)
    alone = own.peer or own.length == address.BITS[own.family]
    # In main another address may be the one that the gateway is for.
    fit_for_main = [gateway for gateway in view.default_gateways
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
    """Who else uses the path's table, in words; '' where nobody does."""
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
        # Another host's is another path's; a subnet's may be of what belonged to this one.
        known = rule.source in ("", host, *path.sources) or not rule.source.endswith(
            f"/{address.BITS[path.family]}")
        ours = marked and known and rule.device in ("", path.device)
        if rule.table == path.table and not ours:
            source = rule.source or "all"
            return _tell_use(path.table, f"somebody else (rule {rule.preference}: from {source} "
                                         f"lookup {rule.table})")
    return ""


def find_holder(path: Path, use: TableUse, others: Collection[Path]) -> str:
    """Which path of another device has the path's address, in words; '' where none has.

    `use` is what the kernel holds of others there. One of the same device is find_sharer's.
    A host that is among another path's further sources is no address of it.
    """
    host = f"{path.address}/{address.BITS[path.family]}"
    # The others' rules stand where ours do, or where they stood before these moved.
    further = {number_rules(shift)["further_default"]
               for shift in (path.shift, *(other.shift for other in others))}
    for other in others:
        if other.address == path.address and not other.shared:
            return other.iface if other.device != path.device else ""
    for rule in use.rules:
        if rule.protocol == PROTOCOL and rule.source == host and rule.table not in (
                path.table, MAIN_TABLE) and rule.preference not in further:
            return f"the interface with table {rule.table}"
    return ""


def share(path: Path) -> Path:
    """The path where another device has its address: for sockets bound to its own alone."""
    return path._replace(endpoint=False, way_out=False, wide=False, shared=True)


def find_sharer(path: Path, others: Iterable[Path]) -> str:
    """Which other path has the path's table, or its address on its device; '' where none has."""
    for other in others:
        if other.address == path.address and other.device == path.device:
            return _tell_twice(path, other.table)
        if (other.family, other.table) == (path.family, path.table):
            return _tell_use(path.table, f"{other.address} of {other.iface}")
    return ""


def takes(other: Path, path: Path) -> bool:
    """Whether `other` leads what comes from the path's subnet away by another device."""
    return (other.wide and other.device != path.device
            and address.contains(other.subnet, path.address))


def _tell_twice(path: Path, table: int) -> str:
    return (f"{path.address} is the address of another stanza already, with table {table}: "
            "one of them must change")


def _tell_use(table: int, user: str) -> str:
    return (f"table {table} is in use by {user}: give it another mptcp-table, or table in "
            "mptcp-hooks.conf")


def _is_led(own: str, beside: Iterable[Path]) -> bool:
    """Whether the rules of a subnet lead what comes from an address."""
    return any(path.wide and address.contains(path.subnet, own) for path in beside)


def _reason_to_skip(
    own: InterfaceAddress, settings: Settings, view: DeviceView, beside: Iterable[Path]
) -> str:
    adjective = dict(view.adjectives).get(own.address, "")
    if address.is_loopback(own.address) or address.is_link_local(own.address):
        return "a loopback or link-local address, left alone"
    if adjective == address.DUPLICATE:
        return "another machine has this address, left alone"
    if adjective == address.TENTATIVE:
        return "still checked for a duplicate, left alone until then"
    if not (_leaves_link(own, settings, view) or settings.chosen_flags):
        return ("no gateway of its own: leaves by the rules of its subnet"
                if _is_led(own.address, beside)
                else "no gateway, a LAN, left alone")
    return ""


def _leaves_link(own: InterfaceAddress, settings: Settings, view: DeviceView) -> bool:
    """Whether there is a way from the link to elsewhere: a gateway, or the one peer there is.

    What main has a default route by without a gateway is one as well, as many modems are. Of a
    device that is not there yet a peer tells; on Ethernet that is what a cable leads to.
    """
    alone = view.link.point_to_point if view.link else bool(own.peer)
    return bool(find_gateway(own, settings, view) or alone or own.family in view.direct)


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
        shift=settings.preference - FIRST_PREFERENCE,
    )


def _may_be_wide(
    path: Path, own: InterfaceAddress, view: DeviceView, beside: list[Path]
) -> bool:
    """Whether all of a subnet that is the path's can leave by it: nobody else has a part in it.

    What another device has in it may be another uplink's, or a tunnel's, and is not for us. Of
    addresses that are stated, one that the device does not have leaves it to one that it has.
    """
    return bool(
        path.default and path.subnet and not own.peer
        and (own.address in view.present or not any(
            other.address in view.present and _subnet(other) == path.subnet
            for other in view.addresses))
        and not any(other.wide and other.subnet == path.subnet for other in beside)
        and not any(address.contains(path.subnet, other) for other, _ in view.elsewhere))


def _choose_table(path: Path, before: list[Path], beside: list[Path]) -> int:
    """The table that a path has on record if it is one of ours, else one that is free."""
    taken = {other.table for other in beside}
    for old in before:
        ours = (old.table - table_number(path.ifindex, 0)) % TABLE_STEP == 0
        if ours and old.table not in taken:
            return old.table
    return find_free_table(path.ifindex, taken)


def _judge_endpoint(
    own: InterfaceAddress,
    wants: bool,
    tells: bool,
    before: list[Path],
    manager: PathManager,
    view: DeviceView,
) -> _Verdict:
    """Whether an address that `wants` an endpoint of ours gets one, and if not, why.

    `tells` is whether peers would be told of the address, or of what is announced for it.
    """
    if not wants:
        return _Verdict(False, "", "a further address of the device, no endpoint without "
                                   "mptcp-flags")
    if manager.limits is None:
        return _Verdict(False, "this kernel has no MPTCP: routing only", "")
    # Where others are announced, the own one may have none.
    present = [one for one in manager.left if one.stands_for(own.address)
               or any(path.owns(one) for path in before)]
    if not present and own.address in view.silent:
        return _Verdict(False, "", "no endpoint until the carrier is back, and its gateway answers")
    if not present and _is_away(own, view) and (before or _is_up(view)):
        # Where its routing stands, the kernel would have an endpoint of any address; where there is
        # none yet, it refuses that and says so, and another uplink's would be given for nothing. On
        # a link that is down it refuses all of them: a dry run shows what is to come.
        if before:
            return _Verdict(False, f"no endpoint for {own.address}, which {view.device} does not "
                                   "have: routing only", "")
        return _Verdict(False, "", f"no endpoint before {view.device} has it")
    if not present and view.tunnel and tells:
        return _Verdict(False, "", "no endpoint while what is bound to nothing leaves by "
                                   f"{view.tunnel}: its peers would be told of the address")
    if not present:
        return _judge_slots(own, manager)
    endpoint = present[0]
    if any(path.owns(endpoint) for path in before):
        return _Verdict(True, "", "")
    if endpoint.device in (0, view.ifindex):
        return _Verdict(False, "", f"endpoint {endpoint.identity} is there already, left to "
                                   "its maker")
    return _Verdict(False, f"endpoint {endpoint.identity} has {own.address} on another device "
                           "already, left to its maker: routing only", "")


def _settle_flags(
    path: Path, own: InterfaceAddress, before: list[Path], manager: PathManager, view: DeviceView
) -> tuple[Path, str]:
    """The path with the flags that its endpoint has for now; with what -v adds."""
    standing = next((one.flags for one in before if one.endpoint), path.flags)
    if standing != path.flags and _is_away(own, view):
        # The endpoint would be made anew, and some flags change the routing, which the kernel
        # refuses of an address that is away.
        return path._replace(flags=standing), (f"{path.iface}: {path.address}: other flags once "
                                               f"{view.device} has it again")
    if view.tunnel and SIGNAL in path.flags:
        from mptcp_hooks.engine.belongings import judge_signal

        return judge_signal(path, manager, view.tunnel)
    return path, ""


def _is_away(own: InterfaceAddress, view: DeviceView) -> bool:
    """Whether an address is on no link: the kernel makes no path from there, and leaves what was.

    With an address go the routes of IPv4 from there in main alone (net/ipv4/fib_semantics.c,
    fib_sync_down_addr).
    """
    return bool(view.ifindex) and own.address not in view.present and own.address not in dict(
        view.elsewhere)


def _is_up(view: DeviceView) -> bool:
    """Whether the kernel makes paths of a device: it has no routes by a link that is down."""
    return view.link is not None and view.link.up


def _is_full(manager: PathManager) -> bool:
    return len(manager.left) >= ENDPOINTS_AT_MOST


def _judge_slots(own: InterfaceAddress, manager: PathManager) -> _Verdict:
    if not _is_full(manager):
        return _Verdict(True, "", "")
    listed = ", ".join(endpoint.address for endpoint in manager.left)
    return _Verdict(False, f"no endpoint for {own.address}, routing only: "
                           f"the kernel's {ENDPOINTS_AT_MOST} are taken by {listed}", "", True)
