"""What other programs and libraries tell of the machine, in each of their dialects."""

from __future__ import annotations

import sys
from types import ModuleType

import pytest

from mptcp_hooks import system
from mptcp_hooks.event import Stated
from mptcp_hooks.process import Outcome

IPV6_MASK = "ffff:ffff:ffff:ffff::/64"


@pytest.mark.parametrize("mask_key", ["netmask", "mask"])
def test_netifaces_and_netifaces2(mask_key: str, monkeypatch: pytest.MonkeyPatch) -> None:
    addresses = {
        2: [{"addr": "10.1.1.2", mask_key: "255.255.255.0", "broadcast": "10.1.1.255"},
            {"addr": "10.64.0.2", mask_key: "255.255.255.255", "peer": "10.64.0.1"}],
        10: [{"addr": "fe80::1%eth0", mask_key: IPV6_MASK},
             {"addr": "FD00::2", mask_key: IPV6_MASK}],
    }
    library = ModuleType("netifaces")
    library.__dict__.update(AF_INET=2, AF_INET6=10, ifaddresses=lambda label: addresses)
    monkeypatch.setitem(sys.modules, "netifaces", library)
    assert list(system.list_addresses("eth0", (4, 6))) == [
        Stated(4, "10.1.1.2", 24, "", ""), Stated(4, "10.64.0.2", 32, "10.64.0.1", ""),
        Stated(6, "fe80::1", 64, "", ""), Stated(6, "fd00::2", 64, "", "")]
    assert [one.family for one in system.list_addresses("eth0", (6,))] == [6, 6]


def test_an_unknown_interface_in_both_dialects(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(label: str) -> dict[int, list[dict[str, str]]]:
        raise ValueError("You must specify a valid interface name.")

    for answer in (refuse, lambda label: {}):
        library = ModuleType("netifaces")
        library.__dict__.update(AF_INET=2, AF_INET6=10, ifaddresses=answer)
        monkeypatch.setitem(sys.modules, "netifaces", library)
        assert list(system.list_addresses("nosuch0", (4, 6))) == []


def test_ifquery_mixes_the_stanzas(monkeypatch: pytest.MonkeyPatch) -> None:
    def ifquery(program: str, arguments: tuple[str, ...], text: str = "") -> Outcome:
        if arguments[0] == "--state":
            return Outcome(0, "eth0=home\n", "")
        assert arguments == ("home",)
        return Outcome(0, "mptcp-flags: signal\naddress: 10.1.1.2\nnetmask: 24\n"
                       "mptcp-flags: subflow\nbackup\naddress: fd00::2\nnetmask: 64\n", "")

    monkeypatch.setattr(system, "run_program", ifquery)
    assert system.read_stanzas("eth0") == [
        {"IFACE": "eth0", "IF_MPTCP_FLAGS": "signal"},
        {"IFACE": "eth0", "ADDRFAM": "inet", "IF_ADDRESS": "10.1.1.2", "IF_NETMASK": "24",
         "IF_MPTCP_FLAGS": "subflow\nbackup"},
        {"IFACE": "eth0", "ADDRFAM": "inet6", "IF_ADDRESS": "fd00::2", "IF_NETMASK": "64"}]
