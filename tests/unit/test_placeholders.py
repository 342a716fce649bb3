# SPDX-License-Identifier: GPL-2.0-or-later
"""Addresses become placeholders in what goes to others, and nothing else does."""

from __future__ import annotations

from ipaddress import IPv4Address, IPv6Address

import pytest
from hypothesis import given
from hypothesis import strategies as some

from mptcp_hooks.status.placeholders import Placeholders

SUBNETS = ("10.1.1.0/24", "2001:db9:1::/64", "10.1.0.0/16", "10.9.9.9/32")


@pytest.mark.parametrize(("text", "shown"), [
    ("from 10.1.1.2 lookup 20002", "from <net1-host1> lookup 20002"),
    ("10.1.1.0/24 brd 10.1.1.255", "<net1>/24 brd <net1-broadcast>"),
    ("10.1.7.1 of the larger one", "<net3-host1> of the larger one"),
    ("[2001:db9:1::5]:443", "[<net2-host1>]:443"),
    ("10.9.9.9 1.2.3.4:80 1.2.3.4", "<private-v4-1> <public-v4-1>:80 <public-v4-1>"),
    ("100.64.3.4, 169.254.7.7.", "<shared-v4-1>, <link-local-v4-1>."),
    ("fe80::a:b%eth0 fd00::1/64", "<link-local-v6-1>%eth0 <private-v6-1>/64"),
    ("::ffff:10.1.1.2", "::ffff:<net1-host1>"),
    ("gateway=10.1.1.1 dev:10.1.1.1 inet6:2001:db9:1::5",
     "gateway=<net1-host1> dev:<net1-host1> inet6:<net2-host1>"),
    ("ens18:fd00::1 inet6.fd00::1, eth0.100.fd00::1",
     "ens18:<private-v6-1> inet6.<private-v6-1>, eth0.100.<private-v6-1>"),
    ("inet.1.2.3.4 ...fd00::1 ..1.2.3.4", "inet.<public-v4-1> ...<private-v6-1> ..<public-v4-1>"),
    ("00:01:00:01:2a:b3:c4:d5:52:54:00:ab:cd:ef 0:1:0:1:2a:b3:c4:d5:52:54:0:ab:cd:ef",
     "<id-1> <id-1>"),
    ("01:52:54:00:ab:cd:ef: it", "<id-1>: it"),
    (r'"up a\nfd00::1\n1.2.3.4"', r'"up a\n<private-v6-1>\n<public-v4-1>"'),
    ("1:2:3:4:5:6:7:8 01:02:03:04:05:06:07:08/64", "<public-v6-1> <public-v6-1>/64"),
    ("bridge_id 8000.2:54:0:ab:cd:ef designated_root 8000.02:54:00:ab:cd:ef",
     "bridge_id 8000.<mac-1> designated_root 8000.<mac-1>"),
    ("ens18:52:54:00:ab:cd:ef: lladdr.52:54:00:ab:cd:ef", "ens18:<mac-1>: lladdr.<mac-1>"),
    ("12:34:56:1.2.3.4 eth0.100.1.2.3.4 wg_1.2.3.4.conf 1.2.3.4:8.8.8.8/32",
     "12:34:56:<public-v4-1> eth0.100.<public-v4-1> wg_<public-v4-1>.conf "
     "<public-v4-1>:<public-v4-2>/32"),
    ("1.2.3.4:52:54:00:ab:cd:ef", "<public-v4-1>:<mac-1>"),
    ("52:54:00:AB:cd:ef enx525400abcdef", "<mac-1> enx<mac-1>"),
    ("00:00:00:00:00:00 ff:ff:ff:ff:ff:ff", "00:00:00:00:00:00 ff:ff:ff:ff:ff:ff"),
])
def test_an_address_has_a_placeholder(text: str, shown: str) -> None:
    assert Placeholders(SUBNETS).replace(text) == shown


@pytest.mark.parametrize("text", [
    "default 0.0.0.0/1 128.0.0.0/1 2000::/3 10.0.0.0/8 ::/0", "127.0.0.1 ::1 :: 0.0.0.0",
    "netmask 255.255.255.0", "224.0.0.0/4 ff02::1", "to 192.0.2.1", "12:34:56 at 19:30:01.5",
    "eth0:1", "6.1.0-28 300.1.2.3", "0x4d: deadbeef", "C++::find", "1.2.3", "a::zz",
    "Foo::Bar::12", "0000:00:1f.6", "21:22:24.123456", "..........", "::::",
])
def test_what_names_nobody_stays(text: str) -> None:
    assert Placeholders(SUBNETS).replace(text) == text


def test_the_same_address_has_the_same_placeholder_in_each_line() -> None:
    placeholders = Placeholders(())
    assert [placeholders.replace(text) for text in ("8.8.8.8", "9.9.9.9 8.8.8.8", "9.9.9.9")] == [
        "<public-v4-1>", "<public-v4-2> <public-v4-1>", "<public-v4-2>"]
    assert placeholders.replace("2001:DB9:0::1 2001:db9::1") == "<public-v6-1> <public-v6-1>"


_ADDRESSES = some.one_of(
    some.integers(0x0B000000, 0x5FFFFFFF).map(IPv4Address),
    some.integers(0x2000 << 112, (0x3000 << 112) - 1).map(IPv6Address)).map(str)


_BEFORE = ("", " ", "(", "\"", "'", "=", "eth0 ", "-> ", ",", "[", "ens18:", "inet6.", "eth0.100:",
           "wlp3s0.", "...", "eth0.4094.")


@given(_ADDRESSES, some.sampled_from(_BEFORE),
       some.sampled_from(("", " ", ")", "\"", "'", "]:80", "/24 x", "%eth0", ",", ";", ":")))
def test_no_address_is_left(address: str, before: str, behind: str) -> None:
    assert address not in Placeholders(SUBNETS).replace(before + address + behind)
