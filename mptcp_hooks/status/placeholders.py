# SPDX-License-Identifier: GPL-2.0-or-later
"""Puts placeholders in the place of addresses in a text that goes to others. Pure.

The same address always has the same placeholder, and one that is in a subnet of this machine
says so: `<net1>`, `<net1-host2>`, `<public-v4-1>`, `<mac-3>`, and a DUID is `<id-1>`. What names
nobody stays: unspecified, loopback and multicast addresses, netmasks, those that we ask for the
way to the internet with, and subnets of eight bits or less.
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
# What may hold addresses, from one end of a word to another's: `100.fd00::1` of `eth0.100.fd00::1`.
# JSON has `\n` for the end of a line.
_RUN = (r"(?:(?<![0-9A-Za-z])|(?<=\\[nrt]))(?P<run>[0-9A-Fa-f.:]{2,})(?![0-9A-Za-z])"
        r"(?P<length>/\d{1,3})?")
_CANDIDATE = re.compile(f"{_DEVICE}|{_RUN}")
# Where an address in a run may begin, and where it may end: a colon ends a sentence as well.
_PART = re.compile(r"[0-9A-Fa-f]+|::")
# Some programs leave a link address's zeros out.
_MAC = re.compile(r"[0-9A-Fa-f]{1,2}(?::[0-9A-Fa-f]{1,2}){5}")
# A DUID, a client's or an InfiniBand device's, which may have a link address in it.
_ID = re.compile(r"[0-9A-Fa-f]{1,4}(?::[0-9A-Fa-f]{1,4}){6,}")
# Of octets, the longest (RFC 8415, 11.1).
_PARTS_AT_MOST = 130
_LONGER = re.compile(r"\.\d")
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
        return self._replace_in(match["run"], match["length"] or "")

    def _replace_in(self, run: str, length: str) -> str:
        """A run with a placeholder for each address in it, and the length behind the last one."""
        parts = list(_PART.finditer(run))
        shown, done = "", 0
        for index, first in enumerate(parts):
            begin = first.start()
            if begin < done:
                continue
            ends = (part.end() for part in reversed(parts[index:index + _PARTS_AT_MOST]))
            for end in ends:
                name = self._name_one(run, begin, end, length)
                if name:
                    shown, done = shown + run[done:begin] + name, end
                    break
        return shown + run[done:] + length

    def _name_one(self, run: str, begin: int, end: int, length: str) -> str:
        """What stands for this piece of a run, empty where it is no address."""
        text = run[begin:end].lower()
        if _MAC.fullmatch(text):
            return self._name_mac("".join(pair.zfill(2) for pair in text.split(":")))
        address = _read_address(text)
        if address is None:
            groups = [group.lstrip("0") for group in text.split(":")]
            return self._name(":".join(groups), "id") if _ID.fullmatch(text) else ""
        if address.version == 4 and _LONGER.match(run, end):
            return ""
        nobody = _names_nobody(address, length if end == len(run) else "")
        return run[begin:end] if nobody else self._name_address(address)

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


def _read_address(text: str) -> Address | None:
    try:
        return ip_address(text)
    except ValueError:
        return None


def _names_nobody(address: Address, length: str) -> bool:
    """Whether everybody has it, or nobody; a netmask looks like an address of class E."""
    if (address.is_unspecified or address.is_loopback or address.is_multicast
            or str(address) in ELSEWHERE[address.version]
            or (address.version == 4 and int(address) >> 28 == 15)):
        return True
    bits = int(length[1:]) if length else address.max_prefixlen
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
