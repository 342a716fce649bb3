# SPDX-License-Identifier: GPL-2.0-or-later
"""What netifaces tells of the machine, in each of its dialects."""

from __future__ import annotations

from types import ModuleType

import pytest

from mptcp_hooks.base.address import InterfaceAddress
from mptcp_hooks.machine import addresses
from mptcp_hooks.machine.system import Machine

Addresses = dict[int, list[dict[str, str]]]

IPV6_MASK = "ffff:ffff:ffff:ffff::/64"


@pytest.mark.parametrize("mask_key", ["netmask", "mask"])
def test_netifaces_and_netifaces2(mask_key: str, monkeypatch: pytest.MonkeyPatch) -> None:
    answer = {
        2: [{"addr": "10.1.1.2", mask_key: "255.255.255.0", "broadcast": "10.1.1.255"},
            {"addr": "10.64.0.2", mask_key: "255.255.255.255", "peer": "10.64.0.1"}],
        10: [{"addr": "fe80::1%eth0", mask_key: IPV6_MASK},
             {"addr": "FD00::2", mask_key: IPV6_MASK}],
    }
    library = ModuleType("netifaces")
    library.__dict__.update(AF_INET=2, AF_INET6=10, ifaddresses=lambda label: answer,
                            interfaces=lambda: ["eth0"])
    monkeypatch.setattr(addresses, "netifaces", library)
    assert list(Machine().list_addresses("eth0", (4, 6))) == [
        InterfaceAddress(4, "10.1.1.2", 24, "", ""),
        InterfaceAddress(4, "10.64.0.2", 32, "10.64.0.1", ""),
        InterfaceAddress(6, "fe80::1", 64, "", ""), InterfaceAddress(6, "fd00::2", 64, "", "")]
    assert [one.family for one in Machine().list_addresses("eth0", (6,))] == [6, 6]


def test_an_unknown_interface_in_both_dialects(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(label: str) -> Addresses:
        raise ValueError("You must specify a valid interface name.")

    def know_nothing(label: str) -> Addresses:
        return {}

    for answer in (refuse, know_nothing):
        library = ModuleType("netifaces")
        library.__dict__.update(AF_INET=2, AF_INET6=10, ifaddresses=answer,
                                interfaces=lambda: ["eth0"])
        monkeypatch.setattr(addresses, "netifaces", library)
        assert list(Machine().list_addresses("nosuch0", (4, 6))) == []
