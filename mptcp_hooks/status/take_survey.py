# SPDX-License-Identifier: GPL-2.0-or-later
"""Takes the survey of this machine that mptcp_status shows: asks, and puts the answers together."""

from __future__ import annotations

from ipaddress import ip_network
from time import sleep

from mptcp_hooks.base.address import BITS, ELSEWHERE, contains, is_link_local, is_loopback
from mptcp_hooks.base.errors import Problem
from mptcp_hooks.base.model import BACKUP, Endpoint, Path
from mptcp_hooks.base.numbering import MAIN_TABLE
from mptcp_hooks.base.text import read_number
from mptcp_hooks.base.value import TYPE_CHECKING
from mptcp_hooks.engine.kept_to import choose_kept, list_beside
from mptcp_hooks.engine.lifelines import find_lifelines, group, measure_use
from mptcp_hooks.intent.event import MANAGED, MANUAL, PPP, method_of, recall_event
from mptcp_hooks.intent.pppd import is_its_name
from mptcp_hooks.intent.settings import read_settings
from mptcp_hooks.machine.counters import BLACKHOLE_TIMEOUT, COUNTERS, read_counters
from mptcp_hooks.machine.netlink import ENDPOINT_FLAGS
from mptcp_hooks.status.health import find_outage
from mptcp_hooks.status.seen_routing import is_inside, read_routes, read_rule
from mptcp_hooks.status.translations import Arrival, translates
from mptcp_hooks.status.survey import (
    DOWN,
    GONE,
    MPTCPD,
    NETWORK_MANAGER,
    NO_CARRIER,
    UP,
    Device,
    DeviceAddress,
    Exit,
    Further,
    KernelState,
    OffState,
    PathStatus,
    Survey,
)

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from typing import Any

    from mptcp_hooks.base.model import Installed, Stanza
    from mptcp_hooks.engine.lifelines import Use
    from mptcp_hooks.engine.record import Store
    from mptcp_hooks.intent.event import Event
    from mptcp_hooks.intent.settings import Configuration
    from mptcp_hooks.status.questions import AskedMachine

_FAMILY_WORDS = {"inet": 4, "inet6": 6}
_MPTCP = "/proc/sys/net/mptcp"
# What a connection that has just begun takes to join, and more.
_JOINED_WITHIN = 0.4
_LOOKS_AT_MOST, _BETWEEN_LOOKS = 5, 0.1


def take_survey(machine: AskedMachine, store: Store) -> Survey:
    """Look at the machine and at the record; again where a hook changes them meanwhile."""
    record = _read_record(store)
    for _ in range(_LOOKS_AT_MOST):
        survey = _read_survey(machine, *record)
        before, record = record, _read_record(store)
        if record == before and not _is_under_way(survey.stanzas):
            break
        sleep(_BETWEEN_LOOKS)
    paths = [one.path for _, stanza in survey.stanzas for one in stanza.paths]
    return _name_roles(survey, store)._replace(
        kept_to=choose_kept(store.load_tunnels(), list_beside(paths)))


def _name_roles(survey: Survey, store: Store) -> Survey:
    """The survey with the roles that are on record, of endpoints of ours that have them."""
    roles = {role.address: role.why for role in store.load_roles()}
    return survey._replace(paths=tuple(
        path._replace(role=roles.get(path.address, "")) if _has_role(path) else path
        for path in survey.paths))


def _has_role(path: PathStatus) -> bool:
    """Whether its endpoint is a backup, and not by the flags of the path."""
    return (path.installed is not None and path.endpoint is not None
            and path.installed.path.owns(path.endpoint) and BACKUP in path.endpoint.flags
            and BACKUP not in path.installed.path.flags)


def _is_under_way(stanzas: tuple[tuple[str, Stanza], ...]) -> bool:
    """Whether a hook has not told yet what it made; or never will, as it was killed."""
    return any(not installed.kernel for _, stanza in stanzas for installed in stanza.paths)


def _read_survey(
    machine: AskedMachine, stanzas: tuple[tuple[str, Stanza], ...],
    damaged: tuple[tuple[str, str], ...],
) -> Survey:
    configuration, mistakes = machine.read_configuration()
    counters = machine.read_file(COUNTERS)
    uses = tuple(_measure_uses(machine, stanzas))
    devices = tuple(_read_devices(machine))
    ifindexes = {device.name: device.ifindex for device in devices}
    survey = Survey(
        kernel=_read_kernel(machine),
        limits=machine.read_limits(),
        endpoints=_read_endpoints(machine, ifindexes),
        devices=devices,
        stanzas=stanzas,
        paths=(),
        rules=tuple(read_rule(family, row) for family in (4, 6)
                    for row in _list_rows(machine, family, "rule")),
        routes=tuple(route for family in (4, 6) for row in _list_rows(machine, family, "route")
                     for route in read_routes(family, row, ifindexes)),
        programs=frozenset(machine.list_running((MPTCPD, NETWORK_MANAGER))),
        counters=counters,
        excluded=dict(_list_excluded(stanzas, configuration)),
        wanted_limits=configuration.limits,
        uses=uses,
        lifelines=_list_lifelines(machine, uses),
        off=_find_off(machine, counters),
        damaged=damaged,
        mistakes=tuple(map(str, mistakes)),
        lacks=machine.list_lacks(),
        tunnels=machine.find_tunnels(
            sorted({installed.path.family for _, stanza in stanzas for installed in stanza.paths}),
            {ifindexes.get(iface.partition(":")[0], 0) for iface, _ in stanzas}),
        private=configuration.private,
        monitored=machine.is_monitored(),
        earlier=machine.load_earlier(),
        now=machine.read_clock(),
    )
    survey = survey._replace(excluded={
        **survey.excluded, **dict(_list_left_alone(machine, survey, configuration))})
    survey = survey._replace(paths=tuple(_list_paths(machine, survey)))
    survey = survey._replace(further=tuple(_list_further(machine, survey)))
    return _add_forwarding(machine, survey)


def _add_forwarding(machine: AskedMachine, survey: Survey) -> Survey:
    """The survey with what is behind this machine; the firewall is asked where it matters."""
    forwarded = frozenset(machine.list_forwarded())
    paths = [path for path in survey.paths if path.installed and path.family in forwarded]
    if len({path.device for path in paths}) < 2:
        return survey._replace(forwarded=forwarded)
    ruleset = machine.ask_ruleset()
    return survey._replace(
        forwarded=forwarded,
        translated=frozenset(path.address for path in paths if translates(
            ruleset, Arrival(path.family, path.device, path.address))),
        markless=frozenset(device.name for device in survey.devices
                           if device.strict and not machine.counts_marks(device.name)))


def _measure_uses(
    machine: AskedMachine, stanzas: tuple[tuple[str, Stanza], ...]
) -> Iterable[Use]:
    """How connections use each path with an endpoint; what has just begun lacks none yet."""
    paths = [installed.path for _, stanza in stanzas for installed in stanza.paths
             if installed.path.endpoint]
    uses = _look_at_uses(machine, paths)
    if not any(use.lost or use.lacking for use in uses):
        return uses
    machine.pause(_JOINED_WITHIN)
    return (_keep_common(use, later) for use, later in zip(uses, _look_at_uses(machine, paths)))


def _look_at_uses(machine: AskedMachine, paths: list[Path]) -> list[Use]:
    connections = group(machine.read_subflows())
    return [measure_use(path, connections) for path in paths]


def _list_lifelines(machine: AskedMachine, uses: Iterable[Use]) -> frozenset[str]:
    """The addresses whose endpoints must not go; asked only where somebody may think of it."""
    missed = [use.address for use in uses if use.lost or use.lacking]
    connections = group(machine.read_subflows()) if missed else {}
    return frozenset(address for address in missed
                     if find_lifelines(connections, frozenset((address,))))


def _keep_common(before: Use, after: Use) -> Use:
    """The later of two looks, with what both saw missing."""
    return after._replace(lost=tuple(sorted(set(before.lost) & set(after.lost))),
                          lacking=tuple(sorted(set(before.lacking) & set(after.lacking))))


def _find_off(machine: AskedMachine, counters: str) -> OffState | None:
    """Whether Multipath TCP is off; asked only where the kernel ever turned it off."""
    if not read_counters(counters).get("Blackhole"):
        return None
    off, noted = machine.find_off()
    if not off:
        return None
    timeout = read_number(machine.read_file(BLACKHOLE_TIMEOUT).strip()) or 0
    now = machine.read_clock()
    if noted is None or not noted.since <= now < noted.until:
        return OffState(None, None, timeout)
    return OffState(now - noted.since, noted.until - now, timeout, noted.outages)


def _list_rows(machine: AskedMachine, family: int, what: str) -> Iterable[dict[str, Any]]:
    """All rules or routes of a family; none of IPv6 where the kernel was started without it."""
    everything = ("show", "table", "all") if what == "route" else ()
    ask = ("-N", f"-{family}", what, *everything)
    return machine.insist_ip(*ask) if family == 4 else machine.ask_ip(*ask).rows


def _read_devices(machine: AskedMachine) -> Iterator[Device]:
    for row in machine.insist_ip("-s", "address"):
        name, flags = row["ifname"], row["flags"]
        yield Device(
            name=name,
            ifindex=row["ifindex"],
            link=DOWN if "UP" not in flags else NO_CARRIER if "NO-CARRIER" in flags else UP,
            addresses=tuple(_read_addresses(row["addr_info"])),
            sent=row["stats64"]["tx"]["bytes"],
            received=row["stats64"]["rx"]["bytes"],
            strict=_read_setting(machine, name, "rp_filter") == 1,
            arp_ignore=_read_setting(machine, name, "arp_ignore"),
            arp_announce=_read_setting(machine, name, "arp_announce"),
            network_manager=_is_network_managers(machine, row["ifindex"]),
            altnames=tuple(row.get("altnames", ())),
            master=row.get("master", ""),
        )


def _read_addresses(rows: Iterable[dict[str, Any]]) -> Iterator[DeviceAddress]:
    for row in rows:
        # A peer's address is in `address`, and a temporary row may be empty.
        if row.get("family") in _FAMILY_WORDS and "local" in row:
            unusable = row.keys() & {"tentative", "dadfailed", "deprecated", "temporary"}
            outside = is_loopback(row["local"]) or is_link_local(row["local"])
            yield DeviceAddress(_FAMILY_WORDS[row["family"]], row["local"], row["prefixlen"],
                                not (unusable or outside))


def _read_setting(machine: AskedMachine, device: str, name: str) -> int:
    values = [machine.read_file(f"/proc/sys/net/ipv4/conf/{scope}/{name}").strip()
              for scope in ("all", device)]
    return max(int(value or 0) for value in values)


def _is_network_managers(machine: AskedMachine, ifindex: int) -> bool:
    """Whether NetworkManager says so in the file where it keeps a device's state."""
    lines = machine.read_file(f"/run/NetworkManager/devices/{ifindex}").splitlines()
    return "managed=true" in lines or "managed=full" in lines


def _read_kernel(machine: AskedMachine) -> KernelState:
    enabled = machine.read_file(f"{_MPTCP}/enabled").strip()
    manager = machine.read_file(f"{_MPTCP}/path_manager").strip()
    # What it was before Linux 6.16: 1 is userspace.
    kind = machine.read_file(f"{_MPTCP}/pm_type").strip()
    return KernelState(present=enabled != "", enabled=enabled != "0",
                       userspace=manager == "userspace" or (not manager and kind == "1"))


def _read_endpoints(
    machine: AskedMachine, ifindexes: dict[str, int]
) -> tuple[Endpoint, ...] | None:
    answer = machine.ask_ip("mptcp", "endpoint")
    if answer.refusal:
        return None
    return tuple(Endpoint(
        identity=row["id"],
        address=row["address"],
        # A device that is gone is shown by its number: if7.
        device=ifindexes.get(row.get("dev", ""), -1 if "dev" in row else 0),
        flags=tuple(flag for flag in ENDPOINT_FLAGS if row.get(flag)),
        port=row.get("port", 0),
    ) for row in answer.rows)


def _read_record(
    store: Store
) -> tuple[tuple[tuple[str, Stanza], ...], tuple[tuple[str, str], ...]]:
    """The stanzas of the records that can be read in full, and what is wrong with the others."""
    stanzas: list[tuple[str, Stanza]] = []
    refused: list[tuple[str, str]] = []
    for iface in store.list_interfaces():
        try:
            stanzas += [(iface, stanza) for stanza in store.load(iface)]
        except Problem as problem:
            refused.append((iface, str(problem)))
    try:
        store.load_limits()
    except Problem as problem:
        refused.append(("", str(problem)))
    damaged = (*store.damaged, *refused)
    names = {iface for iface, _ in damaged}
    return tuple(one for one in stanzas if one[0] not in names), damaged


def _list_excluded(
    stanzas: Iterable[tuple[str, Stanza]], configuration: Configuration
) -> Iterator[tuple[str, str]]:
    """The interfaces on record that are to be left alone by now, and why."""
    for iface, stanza in stanzas:
        reason = _find_reason(recall_event(stanza.told), configuration) if stanza.told else ""
        if reason:
            yield iface, reason


def _list_left_alone(
    machine: AskedMachine, survey: Survey, configuration: Configuration
) -> Iterator[tuple[str, str]]:
    """The devices with a gateway in main that nobody tells of, since they are left alone."""
    for device in survey.devices:
        if not any(_find_main_gateways(survey, device).values()):
            continue
        try:
            events = machine.ask_stanzas(device.name)
        except Problem:
            # A wrong one does not say so.
            continue
        reasons = [_find_reason(event, configuration) for event in events]
        if any(reasons) and not any(
                _is_told(survey, device, own) for own in device.addresses):
            yield device.name, next(filter(None, reasons))


def _find_reason(event: Event, configuration: Configuration) -> str:
    """Why an interface is to be left alone, '' where it is not; a wrong option does not say so."""
    try:
        return read_settings(event, configuration).reason
    except Problem:
        return ""


def _list_paths(
    machine: AskedMachine, survey: Survey
) -> Iterator[PathStatus]:
    """Each stanza on record with its paths, and then what others made."""
    drawn = set()
    faults = {fault.address: fault for fault in machine.list_faults()}
    for iface, stanza in survey.stanzas:
        drawn |= {installed.path.address for installed in stanza.paths}
        for installed in stanza.paths:
            seen = _look_at_path(machine, survey, iface, installed)
            yield seen._replace(outage=find_outage(
                seen.link, stanza, installed, faults.get(seen.address), machine.read_clock()))
        if stanza.told and not stanza.paths:
            event = recall_event(stanza.told)
            found = list(_list_pathless(survey, iface, event))
            if not found or not found[0].address and _needs_none(survey, event):
                continue
            # Who named a device in the configuration did not say that it has both families.
            if method_of(stanza.told) != MANAGED or found[0].address or not _has_paths(
                    survey, iface):
                yield from found
    for device in survey.devices:
        gateways = {} if device.name in survey.excluded else _find_main_gateways(survey, device)
        for own in device.addresses:
            if own.address not in drawn:
                yield from _look_at_foreign(machine, survey, device, own, gateways)


def _needs_none(survey: Survey, event: Event) -> bool:
    """Whether an interface without an address is as it should be: a port, or left to others.

    So is a stanza for pppd, whose devices are called ppp0 and so on, whatever the stanza is called.
    """
    device = survey.find_device(event.device)
    port = device is not None and device.master != ""
    method = method_of(event.told)
    by_pppd = device is None and method == PPP and not is_its_name(event.device)
    return port or by_pppd or method == MANUAL and not event.options


def _has_paths(survey: Survey, iface: str) -> bool:
    return any(stanza.paths for name, stanza in survey.stanzas if name == iface)


def _list_pathless(survey: Survey, iface: str, event: Event) -> Iterator[PathStatus]:
    """A stanza without a path: the addresses that might have one, or nothing but its link."""
    device = survey.find_device(event.device)
    link = device.link if device else GONE
    usable = [one for one in (device.addresses if device else ())
              if one.usable and one.family in event.families]
    owners = {stated.path.address: name for name, stanza in survey.stanzas
              for stated in stanza.paths}
    free = [one for one in usable if one.address not in owners]
    # Two managers may tell of one interface, and one of them has the paths.
    shared = any(owners.get(one.address) == iface for one in usable)
    nothing = DeviceAddress(event.families[0], "", 0, False)
    for one in free or [nothing] * (not shared):
        yield PathStatus(
            interface=iface, device=event.device, link=link, family=one.family,
            address=one.address, length=one.length, gateway="", table=0,
            endpoint=None, exit=Exit("", "", ""), installed=None)


def _look_at_foreign(
    machine: AskedMachine, survey: Survey, device: Device, own: DeviceAddress,
    gateways: dict[int, str],
) -> Iterator[PathStatus]:
    """An address that is no path of ours: with an endpoint, or of an uplink nobody told of."""
    endpoint = next((one for one in survey.endpoints or () if one.address == own.address), None)
    uplink = own.usable and own.family in gateways and not _is_told(survey, device, own)
    if endpoint or uplink:
        yield PathStatus(
            interface=device.name, device=device.name, link=device.link, family=own.family,
            address=own.address, length=own.length,
            gateway=gateways.get(own.family, "") * uplink, table=MAIN_TABLE,
            endpoint=endpoint, installed=None,
            exit=_ask_exit(machine, own.family, own.address,
                           _choose_elsewhere(survey, own.family)))


def _look_at_path(
    machine: AskedMachine, survey: Survey, iface: str, installed: Installed
) -> PathStatus:
    path = installed.path
    device = survey.find_device(path.device)
    length = next((one.length for one in (device.addresses if device else ())
                   if one.address == path.address), None)
    return PathStatus(
        interface=iface, device=path.device, link=device.link if device else GONE,
        family=path.family, address=path.address, length=length,
        gateway=path.gateway, table=path.table,
        endpoint=_find_endpoint(survey, path), installed=installed,
        announced=tuple(one for one in survey.endpoints or () if path.owns(one)
                        and one.address in path.announced),
        exit=_ask_exit(machine, path.family, path.address, _choose_destination(survey, path),
                       *["oif", path.device] * path.shared))


def _list_further(machine: AskedMachine, survey: Survey) -> Iterator[Further]:
    """What leaves elsewhere of uplinks whose own path does not, and is no LAN's."""
    known = {path.address for path in survey.paths}
    uplinks = {(path.device, path.family): path for path in reversed(survey.paths)
               if path.works and path.installed and path.installed.path.default}
    for device in survey.devices:
        for own in device.addresses:
            uplink = uplinks.get((device.name, own.family))
            if uplink and own.address not in known and not is_link_local(own.address):
                inside = _is_in_subnet(survey, device.name, own.address)
                found = _ask_exit(machine, own.family, own.address, uplink.exit.destination)
                if (inside or own.length == BITS[own.family]) and found.device != device.name:
                    yield Further(uplink.interface, device.name, own.address, uplink.gateway,
                                  inside, found)


def _is_in_subnet(survey: Survey, device: str, own: str) -> bool:
    """Whether an address is in the subnet of a path of its device."""
    return any(contains(installed.path.subnet, own) for _, stanza in survey.stanzas
               for installed in stanza.paths
               if installed.path.subnet and installed.path.device == device)


def _find_endpoint(survey: Survey, path: Path) -> Endpoint | None:
    """The endpoint of the path's address: ours, or else somebody's."""
    # Where another address is announced, a peer's subflow has the kernel make an implicit one.
    there = [one for one in survey.endpoints or () if one.address == path.address
             and not (path.announced and "implicit" in one.flags)]
    ours = [one for one in there if path.owns(one)]
    return next(iter((*ours, *there)), None)


def _choose_destination(survey: Survey, path: Path) -> str:
    """Where traffic of a path is for: anywhere, or a neighbour where there is no way beyond."""
    if path.default or not path.subnet:
        return _choose_elsewhere(survey, path.family)
    ours = {path.address, *(one.address for device in survey.devices
                            for one in device.addresses)}
    neighbours = (str(host) for host in ip_network(path.subnet).hosts())
    return next((one for one in neighbours if one not in ours),
                _choose_elsewhere(survey, path.family))


def _choose_elsewhere(survey: Survey, family: int) -> str:
    """The first address elsewhere that main has no route of its own for; the first if all have."""
    special = [seen.route for seen in survey.routes
               if (seen.family, seen.table) == (family, MAIN_TABLE)]
    destinations = ELSEWHERE[family]
    return next((one for one in destinations
                 if not any(is_inside(one, route) for route in special)), destinations[0])


def _ask_exit(
    machine: AskedMachine, family: int, source: str, destination: str, *how: str
) -> Exit:
    answer = machine.ask_ip(f"-{family}", "route", "get", destination, "from", source, *how)
    if answer.refusal:
        return Exit(destination, "", answer.refusal)
    return Exit(destination, answer.rows[0].get("dev", ""), "")


def _find_main_gateways(survey: Survey, device: Device) -> dict[int, str]:
    """By family, the gateway of the device's default route in main; '' of one without."""
    defaults = [seen for seen in survey.routes if seen.table == MAIN_TABLE
                and seen.route.destination == "default" and seen.route.device == device.ifindex]
    return {seen.family: seen.route.gateway for seen in reversed(defaults)}


def _is_told(survey: Survey, device: Device, own: DeviceAddress) -> bool:
    """Whether a stanza on record is about addresses of that family on the device."""
    events = (recall_event(stanza.told) for _, stanza in survey.stanzas if stanza.told)
    return any(event.device in device.names and own.family in event.families
               for event in events)
