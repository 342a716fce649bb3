# SPDX-License-Identifier: GPL-2.0-or-later
"""Addresses as text in, as text out: parsed, normalised, compared.

The standard `ipaddress` module costs the hook 3 ms to import; the C library's
inet_pton, which is stricter about IPv4 (no leading zeros, four parts), does the
parsing, and integers the rest. Families are 4 and 6 throughout the package.
"""

from __future__ import annotations

from _socket import AF_INET, AF_INET6, inet_ntop, inet_pton

from mptcp_hooks.base.value import NamedTuple

BITS = {4: 32, 6: 128}
# What an IPv6 address is that another machine has, and one that is still checked for that.
DUPLICATE, TENTATIVE = "a duplicate", "tentative"
# Addresses that nobody has (RFC 5737, RFC 3849, RFC 9637): the way to them is the way to the
# internet, but where somebody has a route for them, as to block them.
ELSEWHERE = {4: ("192.0.2.1", "198.51.100.1", "203.0.113.1"), 6: ("2001:db8::1", "3fff::1")}
_SOCKET_FAMILY = {4: AF_INET, 6: AF_INET6}


class InterfaceAddress(NamedTuple):
    """One address of an interface: as its manager states it, or as the device has it.

    All texts are normalised, and '' where nothing is known. `routes` are those that
    came with a lease: destination, and gateway or ''.
    """

    family: int
    address: str
    length: int
    peer: str
    gateway: str
    routes: tuple[tuple[str, str], ...] = ()


def family_of(text: str) -> int:
    """4 or 6, by the look of an address that need not be right."""
    return 6 if ":" in text else 4


def normalise(text: str) -> str:
    """The one spelling of an IPv4 or IPv6 address; ValueError where it is neither."""
    family = family_of(text)
    try:
        return _text(_number(text), family)
    except OSError:
        raise ValueError(f"{text!r} is not an IP address") from None


def network(address: str, length: int) -> str:
    """The subnet of an address, as `10.1.1.0/24`."""
    family = family_of(address)
    return f"{_text(_number(address) & _mask(length, family), family)}/{length}"


def contains(subnet: str, address: str) -> bool:
    """Whether an address of either family is in `subnet` (`10.1.1.0/24`)."""
    base, _, length = subnet.partition("/")
    return family_of(base) == family_of(address) and network(address, int(length)) == subnet


def is_near(subnet: str, gateway: str) -> bool:
    """Whether the kernel finds the gateway on the link: fe80::/10 always is, 169.254/16 not."""
    return contains(subnet, gateway) or contains("fe80::/10", gateway)


def broadcast(subnet: str) -> str:
    """The address of all hosts of a subnet, '' where it has none: IPv6, and links between two."""
    base, _, length = subnet.partition("/")
    if family_of(base) == 6 or int(length) > 30:
        return ""
    return _text(_number(base) | (1 << (BITS[4] - int(length))) - 1, 4)


def prefix_length(text: str, family: int) -> int:
    """A netmask as ifupdown and netifaces write it, as a length.

    `24`, `255.255.255.0`, `64`, `ffff:ffff::` and netifaces' `ffff:ffff::/64`;
    ValueError where it is none of these, or has holes.
    """
    if text.isascii() and text.isdigit():
        length = int(text)
        if length > BITS[family]:
            raise ValueError(f"{text!r} is longer than an IPv{family} address")
        return length
    mask = normalise(text.partition("/")[0])
    length = _number(mask).bit_count()
    if family_of(mask) != family or _number(mask) != _mask(length, family):
        raise ValueError(f"{text!r} is not an IPv{family} netmask")
    return length


def class_length(address: str) -> int:
    """The length of an IPv4 address's class (RFC 791), which ifupdown leaves to the kernel."""
    first = int(address.partition(".")[0])
    return 8 if first < 128 else 16 if first < 192 else 24


def is_unicast(address: str) -> bool:
    """Whether one host can own the address: not unspecified, multicast or reserved."""
    if family_of(address) == 4:
        return 0 < int(address.partition(".")[0]) < 224
    return address != "::" and not address.startswith("ff")


def is_loopback(address: str) -> bool:
    """127.0.0.0/8 (RFC 1122) or ::1 (RFC 4291)."""
    return address.startswith("127.") or address == "::1"


def is_link_local(address: str) -> bool:
    """169.254.0.0/16 (RFC 3927) or fe80::/10 (RFC 4291)."""
    return contains("169.254.0.0/16", address) or contains("fe80::/10", address)


def is_unique_local(address: str) -> bool:
    """fc00::/7 (RFC 4193): nothing beyond the own site can answer it."""
    return contains("fc00::/7", address)


def is_remote(address: str) -> bool:
    """Whether a host beyond the own link can own the address, and one route can lead to it."""
    return is_unicast(address) and not is_loopback(address) and not is_link_local(address)


def unpack(packed: bytes) -> str:
    """An address as the kernel sends it, 4 or 16 bytes."""
    return inet_ntop(AF_INET if len(packed) == 4 else AF_INET6, packed)


def _number(text: str) -> int:
    return int.from_bytes(inet_pton(_SOCKET_FAMILY[family_of(text)], text), "big")


def _text(number: int, family: int) -> str:
    return inet_ntop(_SOCKET_FAMILY[family], number.to_bytes(BITS[family] // 8, "big"))


def _mask(length: int, family: int) -> int:
    return (1 << BITS[family]) - (1 << (BITS[family] - length))
