# SPDX-License-Identifier: GPL-2.0-or-later
"""The resolvers that routers advertise: the option as the kernel passes it on, and until when."""

from __future__ import annotations

import struct
from ipaddress import ip_address

import pytest
from hypothesis import given
from hypothesis import strategies as some

from mptcp_hooks.monitor.advertised import Advertised, Heard, read_option

# The kernel's and RFC 8106's, not those of the module.
AF_INET6, ROUTER_ADVERTISEMENT, RDNSS, DNSSL = 10, 134, 25, 31
R, OTHER = "2001:db8::53", "2001:db8::54"
NEVER = float("inf")


def option(*resolvers: str, lifetime: int = 60, kind: int = RDNSS, units: int = 0) -> bytes:
    """A ND option; its length is in eights of bytes."""
    addresses = b"".join(ip_address(one).packed for one in resolvers)
    return struct.pack("!BBHI", kind, units or 1 + len(addresses) // 8, 0, lifetime) + addresses


def message(
    options: bytes, ifindex: int = 3, icmp: int = ROUTER_ADVERTISEMENT, size: int = -1
) -> bytes:
    """struct nduseroptmsg, the options, and an attribute with who sent it (NDUSEROPT_SRCADDR)."""
    size = len(options) if size < 0 else size
    return struct.pack("=BBHiBBHI", AF_INET6, 0, size, ifindex, icmp, 0, 0, 0) + options + (
        struct.pack("=HH", 20, 1) + ip_address("fe80::1").packed)


def test_resolvers_and_their_lifetime() -> None:
    assert read_option(message(option(R))) == Advertised(3, (R,), 60)
    assert read_option(message(option(R, OTHER, lifetime=0), ifindex=7)) == Advertised(
        7, (R, OTHER), 0)
    assert read_option(message(option(R, lifetime=0xFFFFFFFF))) == Advertised(3, (R,), NEVER)
    assert read_option(message(option(R, lifetime=0xFFFFFFFE))) == Advertised(
        3, (R,), 4294967294)


def test_what_no_route_can_lead_to_is_left_out() -> None:
    said = message(option("fe80::53", "::1", R, "ff02::fb", "::"))
    assert read_option(said) == Advertised(3, (R,), 60)


@pytest.mark.parametrize("said", [
    message(option(R, kind=DNSSL)), message(option(R), icmp=136), message(option()),
    message(option(R, units=9)), message(option(R, units=255)), message(option(R), size=8),
    message(option(R)[:2] + bytes(6)), message(option(R, units=0)[:1] + b"\0" + bytes(6)), b""])
def test_what_is_none_says_nothing(said: bytes) -> None:
    assert read_option(said) is None


def test_half_an_address_is_none() -> None:
    """A length that is even (RFC 8106: it must be odd) has room for half of one."""
    assert read_option(message(option(R, units=4) + bytes(8))) == Advertised(3, (R,), 60)
    assert read_option(message(option(units=2) + bytes(8))) == Advertised(3, (), 60)


def test_what_is_cut_off_says_nothing() -> None:
    whole = message(option(R, OTHER))
    for length in range(16 + 40):
        assert read_option(whole[:length]) is None
    assert read_option(whole[:56]) == Advertised(3, (R, OTHER), 60)


@given(some.binary(max_size=120))
def test_whatever_comes_is_resolvers_or_nothing(noise: bytes) -> None:
    for said in (noise, message(noise), message(option(R) + noise), message(option()[:2] + noise)):
        found = read_option(said)
        assert found is None or all(ip_address(one).version == 6 for one in found.resolvers)


def say(*resolvers: str, lifetime: float = 60, ifindex: int = 3) -> list[Advertised]:
    return [Advertised(ifindex, resolvers, lifetime)]


def test_the_same_again_is_no_news_and_lasts_longer() -> None:
    heard = Heard()
    assert heard.named == frozenset() and heard.wait(0) == NEVER
    assert heard.note(say(R), 0) and heard.named == {(3, R)}
    assert not heard.note(say(R), 50) and heard.wait(50) == 60
    assert not heard.end(109) and heard.wait(109) == 1
    assert heard.end(110) and heard.named == frozenset() and heard.wait(110) == NEVER
    assert not heard.end(120)


def test_another_resolver_is_news_and_so_is_one_that_is_withdrawn() -> None:
    heard = Heard()
    assert heard.note(say(R), 0)
    assert heard.note(say(R, OTHER), 1) and heard.named == {(3, R), (3, OTHER)}
    assert heard.note(say(R, lifetime=0), 2) and heard.named == {(3, OTHER)}
    assert not heard.note(say(R, lifetime=0), 3)
    assert heard.note(say(R, ifindex=4), 4) and heard.named == {(3, OTHER), (4, R)}
    # Another device's word is its own.
    assert not heard.note(say(R, lifetime=0), 5)


def test_what_comes_and_goes_between_two_looks_is_no_news() -> None:
    heard = Heard()
    assert not heard.note([*say(R), *say(R, lifetime=0)], 0)
    assert not heard.note([], 0)


def test_a_resolver_without_an_end_has_none() -> None:
    heard = Heard()
    assert heard.note(say(R, lifetime=NEVER), 0) and heard.wait(1e9) == NEVER
    assert not heard.end(1e9) and heard.named == {(3, R)}
    assert heard.note(say(R, lifetime=0), 1e9)


def test_a_device_that_is_off_names_nobody() -> None:
    heard = Heard()
    heard.note([*say(R), *say(R, ifindex=4)], 0)
    assert not heard.forget([5]) and not heard.forget([])
    assert heard.forget([3, 5]) and heard.named == {(4, R)}


def test_who_floods_a_link_fills_his_own_room_alone() -> None:
    heard = Heard()
    many = [f"2001:db8:1::{number:x}" for number in range(1, 40)]
    heard.note(say(*many), 0)
    assert heard.named == {(3, one) for one in many[:16]}
    assert not heard.note(say(R), 1)
    assert heard.note(say(R, ifindex=4), 1)
    # What ends makes room.
    assert heard.note(say(many[0], lifetime=0), 2) and heard.note(say(R), 3)
    assert len(heard.named) == 17
