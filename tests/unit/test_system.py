"""What other programs and libraries tell of the machine, in each of their dialects."""

from __future__ import annotations

import sys
from types import ModuleType

import pytest

from mptcp_hooks import system
from mptcp_hooks.event import Stated
from mptcp_hooks.process import Outcome

Addresses = dict[int, list[dict[str, str]]]

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
    def refuse(label: str) -> Addresses:
        raise ValueError("You must specify a valid interface name.")

    def know_nothing(label: str) -> Addresses:
        return {}

    for answer in (refuse, know_nothing):
        library = ModuleType("netifaces")
        library.__dict__.update(AF_INET=2, AF_INET6=10, ifaddresses=answer)
        monkeypatch.setitem(sys.modules, "netifaces", library)
        assert list(system.list_addresses("nosuch0", (4, 6))) == []


def test_ifquery_mixes_the_stanzas(monkeypatch: pytest.MonkeyPatch) -> None:
    """As ifupdown 0.8.41 prints two static stanzas, of which one states its options first."""
    def ifquery(program: str, arguments: tuple[str, ...], text: str = "") -> Outcome:
        if arguments[0] == "--state":
            return Outcome(0, "eth0=home\n", "")
        assert arguments == ("home",)
        return Outcome(0, "address: 10.1.1.2\nmptcp-flags: subflow\nbackup\nbroadcast: 10.1.1.255\n"
                       "netmask: 255.255.255.0\nmptcp-table: 7\naddress: fd00::2\nautoconf: 0\n"
                       "preferred-lifetime: \ndad-interval: 0.1\nnetmask: 64\n"
                       "mptcp-flags: signal\n", "")

    monkeypatch.setattr(system, "run_program", ifquery)
    first, second, third = system.read_stanzas("eth0")
    assert first["IF_ADDRESS"] == "10.1.1.2" and first["ADDRFAM"] == "inet"
    assert first["IF_MPTCP_FLAGS"] == "subflow\nbackup" and "IF_MPTCP_TABLE" not in first
    assert second["IF_ADDRESS"] == "fd00::2" and second["ADDRFAM"] == "inet6"
    assert second["IF_MPTCP_TABLE"] == "7" and "IF_MPTCP_FLAGS" not in second
    assert third == {"IFACE": "eth0", "IF_MPTCP_FLAGS": "signal"}


def test_a_stanza_without_address_before_a_static_one() -> None:
    assert system.split_stanzas([
        "mptcp-gateway: 10.1.1.1", "address: 10.1.1.2", "mptcp-gateway: 10.1.1.9",
        "broadcast: +", "netmask: 24",
    ]) == [{"IF_MPTCP_GATEWAY": "10.1.1.1"},
           {"IF_ADDRESS": "10.1.1.2", "IF_MPTCP_GATEWAY": "10.1.1.9", "IF_BROADCAST": "+",
            "IF_NETMASK": "24"}]


def test_what_is_no_stanza_is_no_error() -> None:
    """ifupdown-ng and ifupdown2 print the file's own form."""
    assert len(system.split_stanzas(["auto eth1", "iface eth1", "  address 10.1.1.2/24"])) == 1


def test_interfaces_in_the_order_they_came_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(system, "run_program",
                        lambda program, arguments: Outcome(0, "eth1:1=a\neth1=b\nlo=lo\n", ""))
    assert system.list_up_interfaces() == ["lo", "eth1", "eth1:1"]
