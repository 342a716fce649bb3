# SPDX-License-Identifier: GPL-2.0-or-later
"""Puts placeholders in the place of addresses in a text that goes to others. Pure.

The same address always has the same placeholder, and one that is in a subnet of this machine
says so: `<net1>`, `<net1-host2>`, `<public-v4-1>`, `<mac-3>`. What names nobody stays:
unspecified, loopback and multicast addresses, netmasks, those that we ask for the way to the
internet with, and subnets of eight bits or less.
"""

from __future__ import annotations

import re
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network

from mptcp_hooks.base.address import ELSEWHERE
from mptcp_hooks.base.value import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

    Address = IPv4Address | IPv6Address
    Network = IPv4Network | IPv6Network

# Devices of USB and Wi-Fi may have a name with their link address in it (systemd.net-naming).
_DEVICE = r"\b(?P<kind>en|wl|ww)x(?P<packed>[0-9a-f]{12})\b"
_MAC = r"(?<![\w:])(?P<mac>[0-9A-Fa-f]{2}(?::[0-9A-Fa-f]{2}){5})(?![\w:])"
_V4 = r"\d{1,3}(?:\.\d{1,3}){3}"
# What may be an address, if it can be read as one, with a length, as of a subnet. `dev:fd00::1`
# has one behind a word.
_V6 = (r"(?:(?<![\w.:])|(?<=[G-Zg-z_]:)|(?<=[G-Zg-z_]\d:))"
       rf"(?:[0-9A-Fa-f]{{0,4}}:){{2,7}}(?:{_V4}|[0-9A-Fa-f]{{0,4}})")
_IP = rf"(?P<ip>{_V6}|(?<![\w.]){_V4})(?!\w|\.\d)(?P<length>/\d{{1,3}})?"
_CANDIDATE = re.compile("|".join((_DEVICE, _MAC, _IP)))
_NAMES_NOBODY = 8
_SHARED = ip_network("100.64.0.0/10")


class Placeholders:
    """Names addresses in the order in which they come; `subnets` are those of the machine."""

    def __init__(self, subnets: Iterable[str]) -> None:
        known = dict.fromkeys(ip_network(subnet, strict=False) for subnet in subnets)
        self._names: dict[str, str] = {}
        self._counts: dict[str, int] = {}
        self._subnets = {net: f"net{number}" for number, net in enumerate(
            (net for net in known if net.prefixlen < net.max_prefixlen), start=1)}

    def replace(self, text: str) -> str:
        """The text with a placeholder for each address."""
        return _CANDIDATE.sub(self._replace_one, text)

    def _replace_one(self, match: re.Match[str]) -> str:
        if match["packed"]:
            return f"{match['kind']}x{self._name_mac(match['packed'])}"
        if match["mac"]:
            return self._name_mac(match["mac"].replace(":", "").lower())
        address, behind = _read_address(match["ip"])
        behind += match["length"] or ""
        if address is None or _names_nobody(address, behind):
            return match[0]
        return self._name_address(address) + behind

    def _name_mac(self, packed: str) -> str:
        names_nobody = packed in ("0" * 12, "f" * 12)
        return ":".join(re.findall("..", packed)) if names_nobody else self._name(packed, "mac")

    def _name_address(self, address: Address) -> str:
        if isinstance(address, IPv6Address) and address.ipv4_mapped:
            return f"::ffff:{self._name_address(address.ipv4_mapped)}"
        around = [net for net in self._subnets if address in net]
        if not around:
            return self._name(str(address), _say_kind(address))
        inside = max(around, key=lambda net: net.prefixlen)
        if address == inside.network_address:
            return f"<{self._subnets[inside]}>"
        if address == inside.broadcast_address and address.version == 4:
            return f"<{self._subnets[inside]}-broadcast>"
        return self._name(str(address), f"{self._subnets[inside]}-host")

    def _name(self, key: str, kind: str) -> str:
        if key not in self._names:
            self._counts[kind] = self._counts.get(kind, 0) + 1
            separator = "" if kind.endswith("host") else "-"
            self._names[key] = f"<{kind}{separator}{self._counts[kind]}>"
        return self._names[key]


def _read_address(text: str) -> tuple[Address | None, str]:
    """An address, None where it is none, and what stands behind it: a colon may end a sentence."""
    for own, behind in ((text, ""), (text.removesuffix(":"), ":")):
        try:
            return ip_address(own), behind
        except ValueError:
            continue
    return None, ""


def _names_nobody(address: Address, behind: str) -> bool:
    """Whether everybody has it, or nobody; a netmask looks like an address of class E."""
    length = behind.partition("/")[2]
    if (address.is_unspecified or address.is_loopback or address.is_multicast
            or str(address) in ELSEWHERE[address.version]
            or (address.version == 4 and int(address) >> 28 == 15)):
        return True
    bits = int(length) if length else address.max_prefixlen
    return bits <= _NAMES_NOBODY and int(address) & (1 << address.max_prefixlen - bits) - 1 == 0


def _say_kind(address: Address) -> str:
    """What sort of address it is, which may matter though nobody knows whose it is."""
    if address.is_link_local:
        kind = "link-local"
    elif address in _SHARED:
        kind = "shared"
    elif address.is_private:
        kind = "private"
    else:
        kind = "public"
    return f"{kind}-v{address.version}"
