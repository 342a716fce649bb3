"""Reads the machine, never changes it."""

from __future__ import annotations

import posix
from _socket import AF_INET, AF_INET6, SOCK_DGRAM
from _socket import if_indextoname, if_nameindex, if_nametoindex, inet_pton, socket
from fcntl import ioctl
from sys import byteorder
from time import monotonic, sleep

from mptcp_hooks import address, netlink
from mptcp_hooks.event import Stated
from mptcp_hooks.netlink import PathManager, Route, Rule
from mptcp_hooks.numbering import MAIN_TABLE
from mptcp_hooks.process import run_program
from mptcp_hooks.value import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterator

# SIOCGIFFLAGS and struct ifreq of netdevice(7), IFF_* of include/uapi/linux/if.h.
_GET_FLAGS, _REQUEST_SIZE, _NAME_SIZE = 0x8913, 40, 16
_UP, _POINT_TO_POINT, _RUNNING = 0x01, 0x10, 0x40
# IFA_F_* of include/uapi/linux/if_addr.h, as /proc/net/if_inet6 shows them.
_TEMPORARY, _FAILED, _DEPRECATED, _TENTATIVE = 0x01, 0x08, 0x20, 0x40
# The first that fits is the one that counts: a duplicate stays tentative as well.
_ADJECTIVES = {_FAILED: address.DUPLICATE, _TENTATIVE: address.TENTATIVE, _DEPRECATED: "deprecated",
               _TEMPORARY: "temporary"}
# ifupdown itself waits 6 s at the most (dad-attempts 60, dad-interval 0.1).
_DUPLICATE_CHECK_AT_MOST = 6.0


# What ifupdown adds to a static stanza by itself, inet's and inet6's, and which of it always.
_ADDED_LAST = {"IF_BROADCAST", "IF_DAD_INTERVAL"}
_ADDED = {*_ADDED_LAST, "IF_NETMASK", "IF_AUTOCONF", "IF_ACCEPT_RA", "IF_DAD_ATTEMPTS",
          "IF_PREFERRED_LIFETIME"}


class Link(NamedTuple):
    """A device's state: switched on, with a carrier, with one peer at most (PPP, tun)."""

    up: bool
    running: bool
    point_to_point: bool


class Host(NamedTuple):
    """What a plan must know of one device.

    `ifindex` is 0 where there is no such device, and `link` None. `adjectives`
    says of an IPv6 address why no endpoint may have it ("temporary").
    `main_gateways` are the gateways of the device's default routes in main, the
    preferred first; `mptcp_enabled` is net.mptcp.enabled. `silent` is what the
    record knows: the endpoints went with the carrier, which is not back.
    """

    device: str
    ifindex: int
    link: Link | None
    addresses: tuple[Stated, ...]
    adjectives: tuple[tuple[str, str], ...]
    main_gateways: tuple[str, ...]
    mptcp_enabled: bool
    silent: bool = False


class TableUse(NamedTuple):
    """What the kernel holds in and around one path's table."""

    rules: tuple[Rule, ...]
    routes: tuple[Route, ...]


def read_host(
    iface: str, families: tuple[int, ...], stated: tuple[Stated, ...], gateway: bool
) -> Host:
    """The device of `iface` with the addresses stated, and of families without those it has.

    `gateway` is whether main's default routes are asked for.
    """
    device = iface.partition(":")[0]
    ifindex = find_ifindex(device)
    unstated = tuple(family for family in families
                     if family not in {one.family for one in stated})
    return Host(
        device=device,
        ifindex=ifindex,
        link=read_link(device),
        addresses=(*stated, *(list_addresses(iface, unstated) if unstated else ())),
        adjectives=_read_adjectives(ifindex) if 6 in families else (),
        main_gateways=tuple(read_main_gateways(ifindex, families)) if gateway else (),
        mptcp_enabled=_is_mptcp_enabled(),
    )


def find_ifindex(device: str) -> int:
    """The device's number, 0 where there is no such device."""
    try:
        return if_nametoindex(device)
    except OSError:
        return 0


def find_device(ifindex: int) -> str:
    """The name of the device with that number, '' where there is none."""
    try:
        return if_indextoname(ifindex)
    except OSError:
        return ""


def read_link(device: str) -> Link | None:
    """The state of a device, None where there is no such device."""
    request = device.encode()[:_NAME_SIZE - 1].ljust(_REQUEST_SIZE, b"\0")
    asking = socket(AF_INET, SOCK_DGRAM)
    try:
        answer = ioctl(asking, _GET_FLAGS, request)
    except OSError:
        return None
    finally:
        asking.close()
    flags = int.from_bytes(answer[_NAME_SIZE:_NAME_SIZE + 2], byteorder)
    return Link(bool(flags & _UP), bool(flags & _RUNNING), bool(flags & _POINT_TO_POINT))


def list_addresses(label: str, families: tuple[int, ...]) -> Iterator[Stated]:
    """The addresses of an interface or alias, from netifaces or netifaces2.

    They differ in the mask's key and in what they say of an unknown interface.
    """
    from mptcp_hooks.libraries import reach_libraries

    reach_libraries()
    import netifaces

    try:
        found = netifaces.ifaddresses(label)
    except ValueError:
        return
    for family, key in ((4, netifaces.AF_INET), (6, netifaces.AF_INET6)):
        for entry in found.get(key, ()) if family in families else ():
            own = address.normalise(entry["addr"].partition("%")[0])
            mask = entry.get("netmask") or entry["mask"]
            length = address.prefix_length(mask, family)
            peer = entry.get("peer", "") if length == address.BITS[family] else ""
            yield Stated(family, own, length, peer if peer != own else "", "")


def wait_for_duplicate_check(device: str, addresses: tuple[Stated, ...]) -> set[str]:
    """Return when no address is tentative any more: the kernel refuses it as a source until then.

    ifupdown 0.8.42 to 0.8.44 and every manager of inet6 auto run the hooks earlier.
    What is tentative even then, as on a link without a carrier, is returned.
    """
    ours = {stated.address for stated in addresses if stated.family == 6}
    end = monotonic() + _DUPLICATE_CHECK_AT_MOST
    while ours:
        ours &= {own for own, adjective in _read_adjectives(find_ifindex(device))
                 if adjective == address.TENTATIVE}
        if monotonic() > end:
            break
        if ours:
            sleep(0.05)
    return ours


class RuleReader:
    """All rules of the machine as they were at the first question, one read a family."""

    def __init__(self) -> None:
        self._dumps: dict[int, list[bytes]] = {}

    def find(self, family: int, about: tuple[bytes, ...]) -> tuple[Rule, ...]:
        """The rules of a family that hold one of these attributes (netlink.find_rules)."""
        if family not in self._dumps:
            self._dumps[family] = netlink.dump_rules(family)
        return tuple(netlink.find_rules(self._dumps[family], about))


def read_table_use(
    family: int, own: str, device: str, table: int, rules: RuleReader
) -> TableUse:
    """The routes of a table, and the rules that name it, the address or the device."""
    packed = inet_pton(AF_INET if family == 4 else AF_INET6, own)
    about = (netlink.table_attribute(table), netlink.source_attribute(packed),
             netlink.device_attribute(device))
    return TableUse(rules.find(family, about), tuple(netlink.read_routes(family, table)))


def read_path_manager() -> PathManager:
    """The endpoints and limits of the kernel's MPTCP path manager."""
    return netlink.read_path_manager()


def read_stanzas(iface: str, logical: str = "") -> list[dict[str, str]]:
    """What ifquery says of an interface, as the environments its hooks would have.

    ifquery prints the stanzas one after another without a line between them.
    `logical` is whose they are, if not those that the interface is up with. Empty
    where ifupdown does not know the interface, or where ifquery is that of ifupdown2 or
    ifupdown-ng, which print the file's own lines.
    """
    outcome = run_program("ifquery", (logical or _find_logical(iface),))
    lines = outcome.output.splitlines()
    if outcome.status != 0 or any(line.startswith("iface ") for line in lines):
        return []
    return [{"IFACE": iface, **_family_of_stanza(stanza), **stanza}
            for stanza in split_stanzas(lines)]


def split_stanzas(lines: list[str]) -> list[dict[str, str]]:
    """ifquery's lines as the IF_* of each stanza; what comes first may be no stanza at all.

    What comes after the options that ifupdown itself adds at the end of a static
    stanza begins the next one, and so does an option that the stanza has
    already. If it had it before its address, that address began a stanza.
    """
    stanzas: list[dict[str, str]] = [{}]
    name = ""
    for line in lines:
        option, colon, value = line.partition(":")
        if not colon:
            # A repeated option continues on a line of its own.
            stanzas[-1][name] = f"{stanzas[-1].get(name, '')}\n{line}"
            continue
        name = "IF_" + option.upper().replace("-", "_")
        current = stanzas[-1]
        if _ADDED_LAST & current.keys() and name not in _ADDED:
            stanzas.append({})
        elif name in current:
            stanzas.append(_cut_at_address(current) if name in _before_address(current) else {})
        stanzas[-1][name] = value.strip()
    return stanzas


def _before_address(stanza: dict[str, str]) -> list[str]:
    names = list(stanza)
    return names[:names.index("IF_ADDRESS")] if "IF_ADDRESS" in stanza else []


def _cut_at_address(stanza: dict[str, str]) -> dict[str, str]:
    first = _before_address(stanza)
    return {name: stanza.pop(name) for name in list(stanza) if name not in first}


def read_complaints() -> str:
    """What is wrong with ifupdown's files, in ifquery's words; '' where they can be read."""
    return run_program("ifquery", ("--list",)).errors


def list_up_interfaces() -> list[str]:
    """The interfaces that ifupdown has up, in the order they came up, aliases after devices."""
    outcome = run_program("ifquery", ("--state",))
    newest_first = [line.partition("=")[0] for line in outcome.output.splitlines()]
    return sorted(reversed(newest_first), key=lambda iface: ":" in iface)


def read_dhclient_leases(iface: str) -> list[str]:
    """The lines of the leases that ifupdown's dhclient keeps of an interface; none without."""
    try:
        with open(f"/var/lib/dhcp/dhclient.{iface}.leases", encoding="utf-8",
                  errors="replace") as lines:
            return lines.readlines()
    except FileNotFoundError:
        return []


def list_devices() -> list[str]:
    """The names of all devices but the loopback."""
    return sorted(name for _, name in if_nameindex() if name != "lo")


def has_ifupdown() -> bool:
    """Whether ifquery can be asked."""
    return any(posix.access(f"{directory}/ifquery", posix.X_OK)
               for directory in ("/usr/sbin", "/sbin"))


def _find_logical(iface: str) -> str:
    outcome = run_program("ifquery", ("--state", iface))
    return outcome.output.strip().partition("=")[2] or iface


def _family_of_stanza(stanza: dict[str, str]) -> dict[str, str]:
    text = stanza.get("IF_ADDRESS", "")
    if not text:
        return {}
    return {"ADDRFAM": "inet6" if address.family_of(text) == 6 else "inet"}


def _read_adjectives(ifindex: int) -> tuple[tuple[str, str], ...]:
    try:
        with open("/proc/net/if_inet6", encoding="ascii") as lines:
            rows = [line.split() for line in lines]
    except FileNotFoundError:
        # A kernel started with ipv6.disable=1.
        return ()
    found = []
    for packed, index, _, _, flags, _ in rows:
        fitting = [adjective for flag, adjective in _ADJECTIVES.items() if int(flags, 16) & flag]
        if int(index, 16) == ifindex and fitting:
            found.append((address.unpack(bytes.fromhex(packed)), fitting[0]))
    return tuple(found)


def _is_mptcp_enabled() -> bool:
    """Whether new connections may use MPTCP; a kernel without it says nothing here."""
    try:
        file = posix.open("/proc/sys/net/mptcp/enabled", posix.O_RDONLY)
    except FileNotFoundError:
        return True
    try:
        return posix.read(file, 1) != b"0"
    finally:
        posix.close(file)


def read_main_gateways(ifindex: int, families: tuple[int, ...]) -> Iterator[str]:
    """The gateways of a device's default routes in main, each family's preferred first."""
    for family in families:
        routes = netlink.read_routes(family, MAIN_TABLE, ifindex)
        defaults = [route for route in routes
                    if route.destination == "default" and route.gateway]
        for route in sorted(defaults, key=lambda route: route.metric):
            if address.family_of(route.gateway) == family:
                yield route.gateway
