# SPDX-License-Identifier: GPL-2.0-or-later
"""mptcp_up --suggest: what a person may write down of the uplinks that are up. Writes nothing."""

from __future__ import annotations

from mptcp_hooks.base.folder import CONFIGURATION_FILE
from mptcp_hooks.base.textfile import read_text
from mptcp_hooks.base.value import TYPE_CHECKING, NamedTuple
from mptcp_hooks.intent.configuration import DEFAULT, read_configuration
from mptcp_hooks.intent.pattern import fits
from mptcp_hooks.intent.settings import LEFT_ALONE
from mptcp_hooks.intent.stanza_lines import PATH, list_stanza_lines

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from mptcp_hooks.base.address import InterfaceAddress
    from mptcp_hooks.machine.system import Machine

NETWORK_MANAGER, NETWORKD, IFUPDOWN, NOBODY = "NetworkManager", "systemd-networkd", "ifupdown", ""
_FAMILIES = (4, 6)
# What is paid by the byte or slow, by the names that the kernel and udev give such devices.
_MOBILE = ("wwan*", "wwp*", "wwx*", "usb*")


class Uplink(NamedTuple):
    """A device with a default route, who configures it, and whether the configuration names it.

    `addresses` are its global ones of the families of its `gateways`.
    """

    device: str
    manager: str
    named: bool
    addresses: tuple[InterfaceAddress, ...]
    gateways: tuple[str, ...]


def read_uplinks(machine: Machine) -> list[Uplink]:
    """The devices that lead to a gateway, but for those of containers and VPNs."""
    known, _ = read_configuration()
    stanzas = {line.iface.partition(":")[0] for line in list_stanza_lines()}
    found = []
    for device in machine.list_devices():
        ifindex = machine.find_ifindex(device)
        gateways = machine.read_default_gateways(ifindex, _FAMILIES)
        if not gateways or any(fits(device, pattern) for pattern in LEFT_ALONE):
            continue
        families = {6 if ":" in gateway else 4 for gateway in gateways}
        found.append(Uplink(
            device, IFUPDOWN if device in stanzas else _find_manager(ifindex),
            known.names(device),
            tuple(one for one in machine.list_addresses(device, _FAMILIES)
                  if one.family in families and not one.address.startswith("fe80:")), gateways))
    return found


def suggest(uplinks: Iterable[Uplink]) -> list[str]:
    """Sections and stanzas, each below a line that says what it is for, and what needs none."""
    all_of_them = list(uplinks)
    if not all_of_them:
        return ["# No interface has a default route with a gateway: bring the uplinks up first."]
    blocks = [*_list_settled(all_of_them), *_suggest_sections(all_of_them),
              *_suggest_stanzas(all_of_them)]
    if len(all_of_them) == 1:
        blocks.append([f"# {all_of_them[0].device} is the only uplink that is up: Multipath TCP "
                       "needs two."])
    return "\n\n".join("\n".join(block) for block in blocks).split("\n")


def _list_settled(uplinks: list[Uplink]) -> Iterator[list[str]]:
    lines = [f"# {one.device}: " + (f"its stanza in {PATH} is enough." if one.manager == IFUPDOWN
                                    else f"{CONFIGURATION_FILE} names it already.")
             for one in uplinks if one.named or one.manager == IFUPDOWN]
    if lines:
        yield lines


def _suggest_sections(uplinks: list[Uplink]) -> Iterator[list[str]]:
    """What the configuration is to name, as no hook tells of it."""
    meant = [one for one in uplinks if not one.named and one.manager in (NETWORK_MANAGER, NETWORKD)]
    if not meant:
        return
    managers = list(dict.fromkeys(one.manager for one in meant))
    devices = [one.device for one in meant]
    verb = "configures" if len(managers) == 1 else "configure"
    yield [f"# {' and '.join(managers)} {verb} {' and '.join(devices)}: lines for "
           f"{CONFIGURATION_FILE},", "# which 'systemctl reload mptcp-hooks' makes true.",
           f"[{DEFAULT}]", f"manage = {' '.join(devices)}"]
    for one in meant:
        if _is_mobile(one.device):
            yield [_say_mobile(one.device),
                   f"[{one.device}]", "flags = subflow backup"]


def _suggest_stanzas(uplinks: list[Uplink]) -> Iterator[list[str]]:
    # ifup fails with a second default route of a family, or puts it in place of the first one.
    led = {family for one in uplinks if one.manager == IFUPDOWN
           for family in _FAMILIES if _list_gateways(one, family)}
    for one in uplinks:
        if one.manager != NOBODY or one.named:
            continue
        stanzas = {family: list(_write_stanza(one, family, family in led)) for family in _FAMILIES}
        led |= {family for family, lines in stanzas.items() if lines}
        yield [f"# Nothing known configures {one.device} at boot: stanzas for {PATH}; where the",
               "# provider's DHCP gives the address, 'inet dhcp' without address and gateway.",
               *[_say_mobile(one.device)] * _is_mobile(one.device), f"auto {one.device}",
               *(line for lines in stanzas.values() for line in lines)]


def _list_gateways(one: Uplink, family: int) -> list[str]:
    return [gateway for gateway in one.gateways if (":" in gateway) == (family == 6)]


def _write_stanza(one: Uplink, family: int, led: bool) -> Iterator[str]:
    """A stanza for the first address of a family, nothing where there is none.

    `led` is whether another stanza has main's default route of this family.
    """
    own = [address for address in one.addresses if address.family == family]
    gateways = _list_gateways(one, family)
    if gateways and gateways[0].startswith("fe80:"):
        # A router advertised it, and gives the address, too.
        yield f"iface {one.device} inet6 auto"
    elif own and gateways:
        yield f"iface {one.device} {'inet6' if family == 6 else 'inet'} static"
        yield f"    address {own[0].address}/{own[0].length}"
        yield f"    {'mptcp-' * led}gateway {gateways[0]}"
    else:
        return
    if _is_mobile(one.device):
        yield "    mptcp-flags subflow backup"


def _find_manager(ifindex: int) -> str:
    """Who says in the file where it keeps a device's state that it configures it."""
    lines = read_text(f"/run/NetworkManager/devices/{ifindex}").splitlines()
    if "managed=true" in lines or "managed=full" in lines:
        return NETWORK_MANAGER
    lines = read_text(f"/run/systemd/netif/links/{ifindex}").splitlines()
    # A link that no .network file is for is "unmanaged" (networkctl(1)).
    if any(line in ("ADMIN_STATE=configured", "ADMIN_STATE=configuring") for line in lines):
        return NETWORKD
    return NOBODY


def _say_mobile(device: str) -> str:
    return f"# {device} looks like a mobile uplink: used where the others fail."


def _is_mobile(device: str) -> bool:
    return any(fits(device, pattern) for pattern in _MOBILE)
