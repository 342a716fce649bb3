# SPDX-License-Identifier: GPL-2.0-or-later
"""Small parts: addresses, the light NamedTuple, the version."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from mptcp_hooks import __version__
from mptcp_hooks.base import address, value
from mptcp_hooks.base.numbering import NAMES_TABLE, TABLES_OF_THE_KERNEL, table_number


@pytest.mark.parametrize("text, normal", [
    ("10.1.1.2", "10.1.1.2"), ("FD00:A:0::2", "fd00:a::2"),
    ("2001:0db8:0000:0000:0000:0000:0000:0001", "2001:db8::1"),
    ("::ffff:1.2.3.4", "::ffff:1.2.3.4"),
])
def test_normalise(text: str, normal: str) -> None:
    assert address.normalise(text) == normal


@pytest.mark.parametrize("text", ["", "10.1.1", "10.1.1.256", "010.1.1.2", "10.1.1.2 ", "1.2.3.4/8",
                                  "fe80::1%eth0", "::1::", "host", "10.1.1.2\n"])
def test_normalise_refuses(text: str) -> None:
    with pytest.raises(ValueError):
        address.normalise(text)


@pytest.mark.parametrize("text, family, length", [
    ("24", 4, 24), ("0", 4, 0), ("255.255.255.0", 4, 24), ("255.255.255.255", 4, 32),
    ("64", 6, 64), ("ffff:ffff:ffff:ffff::", 6, 64), ("ffff:ffff:ffff:ffff::/64", 6, 64),
])
def test_prefix_length(text: str, family: int, length: int) -> None:
    assert address.prefix_length(text, family) == length


@pytest.mark.parametrize("text, family", [
    ("33", 4), ("129", 6), ("255.0.255.0", 4), ("255.255.255.0", 6), ("-1", 4), ("", 4),
    ("²⁴", 4), ("ffff::ffff", 6),
])
def test_prefix_length_refuses(text: str, family: int) -> None:
    with pytest.raises(ValueError):
        address.prefix_length(text, family)


def test_networks() -> None:
    assert address.network("10.1.2.3", 20) == "10.1.0.0/20"
    assert address.network("fd00:2::2", 64) == "fd00:2::/64"
    assert address.contains("10.1.0.0/20", "10.1.15.255")
    assert not address.contains("10.1.0.0/20", "10.1.16.0")
    assert not address.contains("10.1.0.0/20", "fd00::1")
    assert [address.class_length(text) for text in ("10.0.0.1", "172.16.0.1", "192.168.0.1")] == [
        8, 16, 24]


@pytest.mark.parametrize("subnet, address_of_all", [
    ("10.1.2.0/24", "10.1.2.255"), ("10.1.0.0/20", "10.1.15.255"), ("10.1.2.8/30", "10.1.2.11"),
    ("0.0.0.0/0", "255.255.255.255"), ("10.1.2.8/31", ""), ("10.1.2.8/32", ""),
    ("fd00:2::/64", ""), ("fd00:2::/24", "")])
def test_the_address_of_all_hosts_of_a_subnet(subnet: str, address_of_all: str) -> None:
    assert address.broadcast(subnet) == address_of_all


@pytest.mark.parametrize("text, remote", [
    ("10.1.1.2", True), ("192.0.2.53", True), ("2001:db8::53", True), ("fd00::53", True),
    ("0.0.0.0", False), ("0.1.2.3", False), ("127.0.0.53", False), ("169.254.1.1", False),
    ("224.0.0.251", False), ("255.255.255.255", False), ("::", False), ("::1", False),
    ("fe80::53", False), ("ff02::fb", False)])
def test_what_a_route_can_lead_to(text: str, remote: bool) -> None:
    assert address.is_remote(text) == remote


def test_kinds_of_address() -> None:
    assert [address.is_unicast(text) for text in
            ("10.1.1.2", "0.0.0.0", "224.0.0.1", "255.255.255.255", "::", "ff02::1", "fe80::1")
            ] == [True, False, False, False, False, False, True]
    assert address.is_link_local("169.254.3.4") and address.is_link_local("fe80::1")
    assert not address.is_link_local("fec0::1")
    assert address.is_loopback("127.9.9.9") and address.is_loopback("::1")


class Sample(value.NamedTuple):
    """As the classes of the package are made."""

    first: int
    second: str = "x"

    @property
    def both(self) -> str:
        return f"{self.first}{self.second}"


def test_the_light_named_tuple_is_like_the_real_one() -> None:
    sample = Sample(1)
    assert sample == (1, "x") == Sample(first=1, second="x")
    assert sample._replace(second="y").both == "1y"
    assert Sample._fields == ("first", "second")
    assert repr(sample) == "Sample(first=1, second='x')"
    assert {sample: "hashable"}[Sample(1, "x")] == "hashable"
    with pytest.raises(AttributeError):
        sample.first = 2  # type: ignore[misc]


@pytest.mark.parametrize("values, named", [((), {}), ((1, "x", 2), {}), ((1,), {"third": 3}),
                                           ((1,), {"first": 2})])
def test_the_light_named_tuple_refuses(values: tuple[int, ...], named: dict[str, int]) -> None:
    with pytest.raises(TypeError):
        Sample(*values, **named)  # type: ignore[arg-type]


def test_tables_do_not_meet() -> None:
    numbers = {table_number(ifindex, place) for ifindex in range(1, 300) for place in range(8)}
    assert len(numbers) == 299 * 8
    assert not numbers & {*TABLES_OF_THE_KERNEL, NAMES_TABLE}


def test_the_version_is_that_of_the_changelog() -> None:
    changelog = (Path(__file__).parents[2] / "debian" / "changelog").read_text()
    newest = re.match(r"mptcp-hooks \((.*)\)", changelog)
    assert newest and newest[1] == __version__
