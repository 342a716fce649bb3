"""What ifquery tells of stanzas, in each of its dialects."""

from __future__ import annotations

import pytest

from mptcp_hooks.base.spawn import Outcome
from mptcp_hooks.intent import ifupdown


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

    monkeypatch.setattr(ifupdown, "run_program", ifquery)
    first, second, third = ifupdown.read_stanzas("eth0")
    assert first["IF_ADDRESS"] == "10.1.1.2" and first["ADDRFAM"] == "inet"
    assert first["IF_MPTCP_FLAGS"] == "subflow\nbackup" and "IF_MPTCP_TABLE" not in first
    assert second["IF_ADDRESS"] == "fd00::2" and second["ADDRFAM"] == "inet6"
    assert second["IF_MPTCP_TABLE"] == "7" and "IF_MPTCP_FLAGS" not in second
    assert third == {"IFACE": "eth0", "IF_MPTCP_FLAGS": "signal"}


def test_a_stanza_without_address_before_a_static_one() -> None:
    assert ifupdown.split_stanzas([
        "mptcp-gateway: 10.1.1.1", "address: 10.1.1.2", "mptcp-gateway: 10.1.1.9",
        "broadcast: +", "netmask: 24",
    ]) == [{"IF_MPTCP_GATEWAY": "10.1.1.1"},
           {"IF_ADDRESS": "10.1.1.2", "IF_MPTCP_GATEWAY": "10.1.1.9", "IF_BROADCAST": "+",
            "IF_NETMASK": "24"}]


def test_what_is_no_stanza_is_no_error() -> None:
    """ifupdown-ng and ifupdown2 print the file's own form."""
    assert len(ifupdown.split_stanzas(["auto eth1", "iface eth1", "  address 10.1.1.2/24"])) == 1


def test_interfaces_in_the_order_they_came_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ifupdown, "run_program",
                        lambda program, arguments: Outcome(0, "eth1:1=a\neth1=b\nlo=lo\n", ""))
    assert ifupdown.list_up_interfaces() == ["lo", "eth1", "eth1:1"]
