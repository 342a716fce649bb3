# SPDX-License-Identifier: GPL-2.0-or-later
"""This machine as the engine sees it: the kernel, and questions about its devices.

The engine takes it as a value, so that its tests can give it another one.
"""

from __future__ import annotations

import posix
from _socket import AF_INET, SOCK_DGRAM
from _socket import if_indextoname, if_nameindex, if_nametoindex, socket
from fcntl import ioctl
from sys import byteorder
from time import monotonic, sleep

from mptcp_hooks.base import address
from mptcp_hooks.base.address import InterfaceAddress
from mptcp_hooks.base.errors import Problem
from mptcp_hooks.base.model import DeviceView, Link
from mptcp_hooks.base.numbering import MAIN_TABLE, PROTOCOL
from mptcp_hooks.base.value import TYPE_CHECKING
from mptcp_hooks.machine import netlink
from mptcp_hooks.machine.runner import Kernel

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from mptcp_hooks.base.model import Path, Route
    from mptcp_hooks.machine.subflows import Subflow

# ioctl and struct ifreq of netdevice(7), IFF_* of include/uapi/linux/if.h.
_SIOCGIFFLAGS, _IFREQ_SIZE, _IFNAMSIZ = 0x8913, 40, 16
_IFF_UP, _IFF_POINTOPOINT, _IFF_RUNNING = 0x01, 0x10, 0x40
# include/uapi/linux/if_addr.h, as /proc/net/if_inet6 shows them.
_IFA_F_TEMPORARY, _IFA_F_DADFAILED, _IFA_F_DEPRECATED, _IFA_F_TENTATIVE = 0x01, 0x08, 0x20, 0x40
# The first that fits is the one that counts: a duplicate stays tentative as well.
_ADJECTIVES = {_IFA_F_DADFAILED: address.DUPLICATE, _IFA_F_TENTATIVE: address.TENTATIVE,
               _IFA_F_DEPRECATED: "deprecated", _IFA_F_TEMPORARY: "temporary"}
# ifupdown itself waits 6 s at the most (dad-attempts 60, dad-interval 0.1).
_DUPLICATE_CHECK_AT_MOST = 6.0


class Machine(Kernel):
    """This machine: the kernel with what it holds of ours, and questions about the devices."""

    def view_device(
        self, iface: str, families: tuple[int, ...], stated: tuple[InterfaceAddress, ...],
        gateway: bool,
    ) -> DeviceView:
        """The device of `iface` with the addresses stated, and of families without those it has.

        `gateway` is whether its default routes are asked for.
        """
        named = iface.partition(":")[0]
        ifindex = self.find_ifindex(named)
        # A rule about a device has its own name, whichever of its names the interface goes by.
        device = find_device(ifindex) or named
        unstated = tuple(family for family in families
                         if family not in {one.family for one in stated})
        around = [netlink.read_addresses_around(family, ifindex) for family in families]
        return DeviceView(
            device=device,
            ifindex=ifindex,
            link=self.read_link(device),
            addresses=(*stated, *(self.list_addresses(iface, unstated) if unstated else ())),
            adjectives=_read_adjectives(ifindex) if 6 in families else (),
            default_gateways=self.read_default_gateways(ifindex, families) if gateway else (),
            direct=self.read_direct(ifindex, families) if gateway else (),
            mptcp_enabled=_is_mptcp_enabled(),
            elsewhere=tuple(other for _, others in around for other in others),
            present=frozenset(own for owns, _ in around for own in owns),
        )

    def find_ifindex(self, device: str) -> int:
        """The number of the device that has this name, 0 where there is none."""
        return find_ifindex(device)

    def list_of_device(self, device: str, ifaces: Iterable[str]) -> list[str]:
        """Those of `ifaces` that are this device, by any of its names, or an alias of it."""
        return choose_of_device(device, ifaces, self.find_ifindex)

    def read_link(self, device: str) -> Link | None:
        """The state of a device, None where there is no such device; Problem where nobody says."""
        name = device.encode("utf-8", "surrogateescape")[:_IFNAMSIZ - 1]
        try:
            asking = socket(AF_INET, SOCK_DGRAM)
        except OSError as error:
            raise Problem(f"cannot ask the kernel about {device}: {error.strerror}") from None
        try:
            answer = ioctl(asking, _SIOCGIFFLAGS, name.ljust(_IFREQ_SIZE, b"\0"))
        except OSError:
            return None
        finally:
            asking.close()
        flags = int.from_bytes(answer[_IFNAMSIZ:_IFNAMSIZ + 2], byteorder)
        return Link(bool(flags & _IFF_UP), bool(flags & _IFF_RUNNING),
                    bool(flags & _IFF_POINTOPOINT))

    def answers(self, path: Path) -> bool:
        """Whether what is sent by the path gets to its gateway; a hook takes that as given."""
        return True

    def list_addresses(
        self, label: str, families: tuple[int, ...]
    ) -> tuple[InterfaceAddress, ...]:
        """The addresses of an interface or alias; a device has them under each of its names."""
        names = [label] if ":" in label else [
            label, *(one for one in self.list_labels(label) if ":" not in one and one != label)]
        return tuple(dict.fromkeys(
            one for name in names for one in self.list_labelled(name, families)))

    def list_labelled(
        self, label: str, families: tuple[int, ...]
    ) -> tuple[InterfaceAddress, ...]:
        """The addresses that go by this very name, as ifupdown gives them an altname or alias."""
        # A stanza that states its addresses needs neither netifaces nor what asks it.
        from mptcp_hooks.machine.addresses import ask_addresses

        return tuple(ask_addresses(label, families))

    def list_labels(self, device: str) -> list[str]:
        """The names that the device's addresses go by: its own, and those of aliases."""
        from mptcp_hooks.machine.addresses import ask_labels

        return self.list_of_device(device, ask_labels())

    def find_present(
        self, iface: str, addresses: tuple[InterfaceAddress, ...]
    ) -> tuple[InterfaceAddress, ...]:
        """Those of `addresses` that the interface's device has, under whatever label."""
        ifindex = self.find_ifindex(iface.partition(":")[0])
        present = {own for family in {one.family for one in addresses} if ifindex
                   for own in netlink.read_addresses(family, ifindex)}
        return tuple(one for one in addresses if one.address in present)

    def list_devices(self) -> list[str]:
        """The names of all devices but the loopback."""
        return sorted(name for _, name in if_nameindex() if name != "lo")

    def read_default_gateways(self, ifindex: int, families: tuple[int, ...]) -> tuple[str, ...]:
        """The gateways of a device's default routes, each family's preferred first."""
        return tuple(route.gateway for family in families
                     for route in _list_defaults(ifindex, family)
                     if route.gateway and address.family_of(route.gateway) == family)

    def read_direct(self, ifindex: int, families: tuple[int, ...]) -> tuple[int, ...]:
        """The families of which the device has a default route without a gateway."""
        return tuple(family for family in families
                     if not all(route.gateway for route in _list_defaults(ifindex, family)))

    def read_table(self, family: int, table: int) -> list[Route]:
        """All routes of a table, one for each of their next hops."""
        return netlink.read_routes(family, table)

    def read_defaults(self, family: int) -> list[Route]:
        """Main's default routes of a family, one for each of their next hops."""
        return [route for route in self.read_table(family, MAIN_TABLE)
                if route.destination == "default" and route.device]

    def read_subflows(self) -> list[Subflow]:
        """All subflows of connections."""
        # Few works ask for them.
        from mptcp_hooks.machine.subflows import read_subflows

        return read_subflows()

    def find_exit(self, family: int, destination: str) -> int:
        """The ifindex that what is bound to nothing leaves by for an address, 0 for none."""
        return netlink.find_exit(family, destination)

    def leads_to_peer(self, ifindex: int) -> bool:
        """Whether a device leads to one peer: a tunnel, or PPP."""
        link = self.read_link(find_device(ifindex))
        return link is not None and link.point_to_point


def find_device(ifindex: int) -> str:
    """The name of the device with that number, '' where there is none."""
    try:
        return if_indextoname(ifindex)
    except OSError:
        return ""


def name_device(name: str) -> str:
    """The device's own name, for any of those it has; the same where there is no such device."""
    return find_device(find_ifindex(name)) or name


def wait_for_duplicate_check(
    device: str, addresses: tuple[InterfaceAddress, ...]
) -> set[str]:
    """Return when no address is tentative any more: the kernel refuses it as a source until then.

    ifupdown 0.8.42 to 0.8.44 and every manager of inet6 auto run the hooks earlier.
    What is tentative even then, as on a link without a carrier, is returned.
    """
    ours = {one.address for one in addresses if one.family == 6}
    end = monotonic() + _DUPLICATE_CHECK_AT_MOST
    while ours:
        ours &= {own for own, adjective in _read_adjectives(find_ifindex(device))
                 if adjective == address.TENTATIVE}
        if monotonic() > end:
            break
        if ours:
            sleep(0.05)
    return ours


def choose_of_device(
    device: str, ifaces: Iterable[str], find: Callable[[str], int]
) -> list[str]:
    """Those of `ifaces` that are a device or its aliases, where `find` tells a name's ifindex.

    An alias is no device; asked for one, the kernel tells the number of the device that has it
    (dev_ioctl() in net/core/dev_ioctl.c cuts the name off at the colon).
    """
    ifindex = 0 if ":" in device else find(device)
    bases = {iface: iface.partition(":")[0] for iface in ifaces}
    return [iface for iface, base in bases.items()
            if base == device or ifindex and find(base) == ifindex]


def find_ifindex(device: str) -> int:
    """The number of the device that has this name, also an altname; 0 where there is none."""
    try:
        return if_nametoindex(device)
    except OSError:
        return 0


def _read_adjectives(ifindex: int) -> tuple[tuple[str, str], ...]:
    try:
        # A device's name may be any bytes, dev_valid_name() in net/core/dev.c.
        with open("/proc/net/if_inet6", encoding="utf-8", errors="surrogateescape") as lines:
            rows = [line.split(None, 5) for line in lines]
    except FileNotFoundError:
        # A kernel started with ipv6.disable=1.
        return ()
    found = []
    for packed, index, _, _, flags, *_ in rows:
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


def _list_defaults(ifindex: int, family: int) -> list[Route]:
    """A device's default routes in main, or if it has none there in tables of other programs.

    networkd (RouteTable=), NetworkManager (route-table) and images of clouds put them there.
    A device that is not there (0) has none.
    """
    # What is read of device 0 are the routes of all devices.
    for table in (MAIN_TABLE, 0) if ifindex else ():
        found = [route for route in netlink.read_routes(family, table, ifindex)
                 if route.destination == "default" and route.kind == "unicast"
                 and route.protocol != PROTOCOL]
        if found:
            return sorted(found, key=lambda route: route.order)
    return []
