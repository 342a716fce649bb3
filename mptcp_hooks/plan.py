"""Which paths an interface should have, and what the kernel must hold for them. Pure.

A path is one source address with its gateway: a table, the rules that lead to
it and, for most, an endpoint of the MPTCP path manager. docs/architecture.md
says why each choice is as it is.
"""

from __future__ import annotations

from mptcp_hooks import address
from mptcp_hooks.errors import Problem
from mptcp_hooks.netlink import Limits
from mptcp_hooks.numbering import (
    ENDPOINTS_AT_MOST,
    MAIN_TABLE,
    PROTOCOL,
    TABLE_STEP,
    table_number,
)
from mptcp_hooks.value import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterable

    from mptcp_hooks.event import Stated
    from mptcp_hooks.netlink import Endpoint, PathManager
    from mptcp_hooks.settings import Settings
    from mptcp_hooks.system import Host, TableUse


class Path(NamedTuple):
    """One source address and how it leaves.

    `subnet` is '' for a /32 or /128 without a peer, `gateway` '' on a
    point-to-point link; `onlink` where the gateway is outside the subnet.
    `default` is whether the table gets a default route at all. `primary` is
    the first path of its family on the device: sockets bound to the device use
    it. `endpoint` is whether an endpoint of ours belongs to it. `routes` are the
    lease's: destination, and gateway or ''.
    """

    iface: str
    device: str
    ifindex: int
    family: int
    address: str
    subnet: str
    gateway: str
    onlink: bool
    default: bool
    table: int
    primary: bool
    endpoint: bool
    flags: tuple[str, ...]
    routes: tuple[tuple[str, str], ...] = ()


class Plan(NamedTuple):
    """Paths, what a person must hear (warnings), and what -v adds (remarks)."""

    paths: tuple[Path, ...]
    warnings: tuple[str, ...]
    remarks: tuple[str, ...]


class _Verdict(NamedTuple):
    endpoint: bool
    warning: str
    remark: str


def plan_paths(
    iface: str,
    settings: Settings,
    host: Host,
    previous: tuple[Path, ...],
    others: tuple[Path, ...],
    manager: PathManager,
) -> Plan:
    """The paths of one event.

    `previous` are the paths on record that it renews, `others` those of the
    device's other stanzas and aliases. Problem where two paths would share a table.
    """
    paths: list[Path] = []
    warnings: list[str] = []
    remarks: list[str] = []
    adjectives = dict(host.adjectives)
    for stated in host.addresses:
        beside = [path for path in (*others, *paths) if path.family == stated.family]
        before = [path for path in previous if path.address == stated.address]
        reason = _reason_to_skip(stated, settings, host)
        if reason:
            remarks.append(f"{iface}: {stated.address}: {reason}")
            continue
        if stated.address in settings.gateways:
            warnings.append(f"{iface}: {stated.address} is the interface's own address, not its "
                            "gateway: ignored as such")
        primary = stated.address not in adjectives and not any(path.primary for path in beside)
        verdict = _judge_endpoint(stated, settings, primary, before, manager, host)
        if verdict.endpoint and stated.address in adjectives:
            verdict = _Verdict(False, "", f"a {adjectives[stated.address]} address: no endpoint")
        if verdict.warning:
            warnings.append(f"{iface}: {verdict.warning}")
        if verdict.remark:
            remarks.append(f"{iface}: {stated.address}: {verdict.remark}")
        path = _lay_path(iface, stated, settings, host, primary, verdict.endpoint)
        first = not any(path.family == stated.family for path in paths)
        wanted = settings.table if first else 0
        usual = settings.usual_table if primary else 0
        paths.append(path._replace(table=_choose_table(path, wanted or usual, before, beside)))
    if not host.mptcp_enabled and any(path.endpoint for path in paths):
        warnings.append(f"{iface}: net.mptcp.enabled is 0: endpoints do nothing until it is 1")
    return Plan(tuple(paths), tuple(warnings), tuple(remarks))


def settle_order(host: Host, previous: tuple[Path, ...]) -> Host:
    """The host with its addresses in the order in which they should be first.

    The kernel lists the newest IPv6 address first; a path that stands keeps its
    table and its endpoint all the same.
    """
    adjectives = dict(host.adjectives)
    standing = {path.address: 0 if path.primary else 1 for path in previous}
    return host._replace(addresses=tuple(sorted(host.addresses, key=lambda one: standing.get(
        one.address, 3 if one.address in adjectives else 2))))


def find_gateway(stated: Stated, settings: Settings, host: Host) -> str:
    """The gateway of the settings, of the stanza, or of the device's default route in main."""
    subnet = _subnet(stated)
    alone = stated.peer or stated.length == address.BITS[stated.family]
    # In main another address may be the one that the gateway is for.
    fit_for_main = [gateway for gateway in host.main_gateways
                    if alone or _is_near(subnet, gateway)]
    for candidates in (settings.gateways, (stated.gateway,), fit_for_main):
        fitting = [gateway for gateway in candidates
                   if gateway and address.family_of(gateway) == stated.family
                   and gateway != stated.address]
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
            return (f"{path.address} is the address of another interface already, with table "
                    f"{rule.table}: one of them must change")
        ours = marked and rule.source in ("", host) and rule.device in ("", path.device)
        if rule.table == path.table and not ours:
            source = rule.source or "all"
            return _tell_use(path.table, f"somebody else (rule {rule.preference}: from {source} "
                                         f"lookup {rule.table})")
    return ""


def find_sharer(path: Path, others: Iterable[Path]) -> str:
    """Which of our paths on other devices has the path's table, in words; '' where none has."""
    for other in others:
        if other.device != path.device and (
                other.family, other.table) == (path.family, path.table):
            return _tell_use(path.table, f"{other.address} of {other.iface}")
    return ""


def _tell_use(table: int, user: str) -> str:
    return (f"table {table} is in use by {user}: give it another mptcp-table, or table in "
            "mptcp-hooks.conf")


def describe_routing(use: TableUse) -> str:
    """What the kernel holds about a path, as one line: two equal lines, nothing has changed."""
    return repr(([tuple(rule) for rule in use.rules], [tuple(route) for route in use.routes]))


def without_endpoints(manager: PathManager, paths: Iterable[Path]) -> PathManager:
    """The path manager as it is when the endpoints of these paths are gone."""
    gone = tuple(paths)
    return manager._replace(endpoints=tuple(
        one for one in manager.endpoints or ()
        if not any(owns_endpoint(path, one) for path in gone)))


def owns_endpoint(path: Path, endpoint: Endpoint) -> bool:
    """Whether the kernel's endpoint is the one that was made for a path on record."""
    return path.endpoint and _is_rival(endpoint, path.address) and endpoint.device == path.ifindex


def _is_rival(endpoint: Endpoint, own: str) -> bool:
    """Whether an endpoint stands where one for the address `own` would.

    One with a port of its own does not; nor does an implicit one, which the
    kernel made for a peer's sake and gives up for a real one
    (net/mptcp/pm_kernel.c, mptcp_pm_nl_append_new_local_addr).
    """
    return endpoint.address == own and not endpoint.port and "implicit" not in endpoint.flags


def raise_limits(current: Limits, endpoints: Iterable[tuple[str, ...]]) -> Limits:
    """What the path manager's limits must be at least for endpoints with these flags.

    Each endpoint is one more subflow of a connection, and lets it accept one
    more address of the peer; a fullmesh endpoint multiplies with the peer's.
    """
    flags = list(endpoints)
    need = ENDPOINTS_AT_MOST if any("fullmesh" in one for one in flags) else len(flags)
    need = min(need, ENDPOINTS_AT_MOST)
    return Limits(max(current.subflows, need), max(current.add_addr_accepted, need))


def restore_limits(current: Limits, raised: Limits, before: Limits) -> Limits:
    """The limits without our raise; one that somebody else set since then stays."""
    return Limits(*(old if now == ours else now
                    for now, ours, old in zip(current, raised, before)))


def _reason_to_skip(stated: Stated, settings: Settings, host: Host) -> str:
    adjective = dict(host.adjectives).get(stated.address, "")
    if address.is_loopback(stated.address) or address.is_link_local(stated.address):
        return "a loopback or link-local address, left alone"
    if adjective == address.DUPLICATE:
        return "another machine has this address, left alone"
    if adjective == address.TENTATIVE:
        return "still checked for a duplicate, left alone until then"
    if not (_leaves_link(stated, settings, host) or settings.chosen_flags):
        return "neither gateway nor peer, a LAN, left alone"
    return ""


def _leaves_link(stated: Stated, settings: Settings, host: Host) -> bool:
    """Whether there is a way from the link to elsewhere: a gateway, or the one peer there is."""
    alone = host.link is not None and host.link.point_to_point
    return bool(find_gateway(stated, settings, host) or stated.peer or alone)


def _is_near(subnet: str, gateway: str) -> bool:
    """Whether the kernel finds the gateway on the link: fe80::/10 always is, 169.254/16 not."""
    return address.contains(subnet, gateway) or address.contains("fe80::/10", gateway)


def _subnet(stated: Stated) -> str:
    if stated.peer:
        return f"{stated.peer}/{address.BITS[stated.family]}"
    return address.network(stated.address, stated.length)


def _lay_path(
    iface: str, stated: Stated, settings: Settings, host: Host, primary: bool, endpoint: bool
) -> Path:
    subnet = _subnet(stated)
    gateway = find_gateway(stated, settings, host)
    alone = not stated.peer and stated.length == address.BITS[stated.family]
    near = not gateway or _is_near(subnet, gateway)
    return Path(
        iface=iface,
        device=host.device,
        ifindex=host.ifindex,
        family=stated.family,
        address=stated.address,
        subnet="" if alone else subnet,
        gateway=gateway,
        onlink=not near,
        default=_leaves_link(stated, settings, host),
        table=0,
        primary=primary,
        endpoint=endpoint,
        flags=settings.flags,
        routes=tuple(route for route in stated.routes if route[0] != subnet),
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
    place = 0
    while table_number(path.ifindex, place) in taken:
        place += 1
    return table_number(path.ifindex, place)


def _judge_endpoint(
    stated: Stated,
    settings: Settings,
    primary: bool,
    before: list[Path],
    manager: PathManager,
    host: Host,
) -> _Verdict:
    if not primary and not settings.chosen_flags:
        return _Verdict(False, "", "a further address of the device, no endpoint without "
                                   "mptcp-flags")
    if manager.limits is None:
        return _Verdict(False, "this kernel has no MPTCP: routing only", "")
    if host.silent:
        return _Verdict(False, "", "no carrier, no endpoint until it returns")
    present = [one for one in manager.endpoints or () if _is_rival(one, stated.address)]
    if not present:
        return _judge_slots(stated, manager.endpoints or ())
    endpoint = present[0]
    if any(owns_endpoint(path, endpoint) for path in before):
        return _Verdict(True, "", "")
    if endpoint.device in (0, host.ifindex):
        return _Verdict(False, "", f"endpoint {endpoint.identity} is there already, left to "
                                   "its maker")
    return _Verdict(False, f"endpoint {endpoint.identity} has {stated.address} on another device "
                           "already, left to its maker: routing only", "")


def _judge_slots(stated: Stated, endpoints: tuple[Endpoint, ...]) -> _Verdict:
    if len(endpoints) < ENDPOINTS_AT_MOST:
        return _Verdict(True, "", "")
    listed = ", ".join(endpoint.address for endpoint in endpoints)
    return _Verdict(False, f"no endpoint for {stated.address}, routing only: "
                           f"the kernel's {ENDPOINTS_AT_MOST} are taken by {listed}", "")
