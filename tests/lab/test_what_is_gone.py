"""Addresses, devices and rules that go at the wrong moment: nothing leaks, nothing is forgotten."""

from __future__ import annotations

import pytest

from tests.lab.support.faults import meddle, mend_ip
from tests.lab.support.lab import Lab
from tests.lab.support.uplink import ETH1, down, up
from tests.lab.support.waiting import wait_for

DUAL = """\
iface eth1 inet static
    address 10.1.2.2/24
    gateway 10.1.2.1
iface eth1 inet6 static
    address fd00:2::2/64
    gateway fd00:2::1
    dad-attempts 0
"""
ETH1_6 = ETH1 | {"ADDRFAM": "inet6", "IF_ADDRESS": "fd00:2::2", "IF_NETMASK": "64",
                 "IF_GATEWAY": "fd00:2::1"}


@pytest.fixture
def dual(lab: Lab) -> Lab:
    """eth1 with a stanza of each family, up."""
    lab.set_interfaces(DUAL)
    lab.ifup("eth1")
    assert len(lab.endpoints()) == 2
    return lab


@pytest.mark.parametrize("gone", ["addr del 10.1.2.2/24 dev eth1", "-6 addr del fd00:2::2/64 dev "
                                  "eth1", "link set eth1 down", "link del eth1"])
@pytest.mark.parametrize("again", [("--all",), ("eth1",)])
def test_what_is_gone_leaks_nothing(lab: Lab, gone: str, again: tuple[str, ...]) -> None:
    before = lab.snapshot()
    lab.set_interfaces(DUAL)
    lab.ifup("eth1")
    lab.client.ip(gone)
    lab.client.try_run("mptcp_up", *again)
    lab.client.try_run("ifdown", "--force", "eth1")
    assert lab.snapshot() == before
    assert lab.client.run("ls", "/run/mptcp-hooks") == ""


def test_all_says_nothing_of_an_address_that_is_away_and_keeps_it_in_mind(dual: Lab) -> None:
    full = dual.snapshot()
    # The kernel drops the IPv6 address.
    dual.client.ip("link set eth1 down", "link set eth1 up")
    assert dual.client.run("mptcp_up", "--all") == ""
    assert dual.endpoints() == ["10.1.2.2 eth1 subflow"]
    dual.client.ip("-6 addr add fd00:2::2/64 dev eth1 nodad")
    assert dual.client.run("mptcp_up", "--all") == ""
    assert dual.snapshot() == full


@pytest.mark.parametrize("deleted", [
    "-4 rule del pref 20002 from 10.1.2.2", "-4 rule del pref 20003 oif eth1",
    "-4 route del unreachable default table {table}", "-4 route del 10.1.2.0/24 table {table}",
])
def test_what_is_deleted_before_we_look_comes_back(link: Lab, deleted: str) -> None:
    up(link)
    full = link.snapshot()
    down(link)
    meddle(link, deleted.format(table=20000 + link.ifindex("eth1")))
    up(link)
    mend_ip(link)
    assert link.snapshot() != full
    assert link.client.run("mptcp_up", "--all") == ""
    assert link.snapshot() == full


def test_the_flags_of_an_endpoint_are_looked_at_and_not_remembered(link: Lab) -> None:
    up(link)
    full = link.snapshot()
    (endpoint,) = link.client.ask("mptcp", "endpoint")
    link.client.run("ip", "mptcp", "endpoint", "change", "id", str(endpoint["id"]), "backup")
    wait_for(lambda: link.snapshot() != full)
    assert link.client.run("mptcp_up", "--all") == ""
    assert link.snapshot() == full
