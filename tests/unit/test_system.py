# SPDX-License-Identifier: GPL-2.0-or-later
"""What netifaces tells of the machine, in each of its dialects."""

from __future__ import annotations

from io import BytesIO, TextIOWrapper
from types import ModuleType

import pytest

from mptcp_hooks.base.address import DUPLICATE, TENTATIVE, InterfaceAddress
from mptcp_hooks.machine import addresses, system
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


def test_a_device_may_be_called_by_any_bytes(monkeypatch: pytest.MonkeyPatch) -> None:
    """dev_valid_name() in net/core/dev.c; such a one is nobody's reason to stop."""
    rows = (b"fe800000000000000000000000000001 05 40 20 80 b\xc3\xbcro0\n"
            b"20010db8000000000000000000000002 02 40 00 08     eth0\n"
            b"20010db8000000000000000000000003 03 40 00 40 \xff\xc2\xa0x\n")
    monkeypatch.setattr(system, "open", lambda _, **how: TextIOWrapper(BytesIO(rows), **how),
                        raising=False)
    assert [system._read_adjectives(number) for number in (2, 3, 5)] == [
        (("2001:db8::2", DUPLICATE),), (("2001:db8::3", TENTATIVE),), ()]
    assert Machine().read_link("\udcffx") is None


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


def test_an_alias_is_no_device_whatever_number_the_kernel_tells_for_it() -> None:
    def find(name: str) -> int:
        return {"eth1": 3, "enp3s0": 3, "eth0": 2}.get(name.partition(":")[0], 0)

    on_record = ["eth0", "eth1", "eth1:1"]
    assert system.choose_of_device("enp3s0", on_record, find) == ["eth1", "eth1:1"]
    assert system.choose_of_device("eth1:1", on_record, find) == []
