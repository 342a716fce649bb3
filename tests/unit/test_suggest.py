# SPDX-License-Identifier: GPL-2.0-or-later
"""What may be written down of uplinks: sections and stanzas, each with a line of explanation."""

from __future__ import annotations

import pytest

from mptcp_hooks.base.address import InterfaceAddress
from mptcp_hooks.updown.suggest import (
    IFUPDOWN,
    NETWORK_MANAGER,
    NETWORKD,
    NOBODY,
    Uplink,
    suggest,
)

OWN = InterfaceAddress(4, "10.1.1.2", 24, "", "")
OWN6 = InterfaceAddress(6, "2001:db8::2", 64, "", "")
WIRED = Uplink("eth0", NOBODY, False, (OWN, OWN6), ("10.1.1.1", "fe80::1"))
MOBILE = WIRED._replace(device="wwan0", manager=NETWORK_MANAGER)


def test_nobodys_get_stanzas() -> None:
    lines = suggest([WIRED, WIRED._replace(device="wwan1", gateways=("10.1.1.1", "2001:db8::1"))])
    assert [line for line in lines if line and not line.startswith("#")] == [
        "auto eth0", "iface eth0 inet static", "    address 10.1.1.2/24", "    gateway 10.1.1.1",
        "iface eth0 inet6 auto",
        "auto wwan1", "iface wwan1 inet static", "    address 10.1.1.2/24",
        "    mptcp-gateway 10.1.1.1", "    mptcp-flags subflow backup",
        "iface wwan1 inet6 static", "    address 2001:db8::2/64",
        "    mptcp-gateway 2001:db8::1", "    mptcp-flags subflow backup"]
    assert lines[0].startswith("# Nothing known configures eth0 at boot")
    assert "# wwan1 looks like a mobile uplink: used where the others fail." in lines


@pytest.mark.parametrize("first, gateway", [
    (WIRED._replace(manager=IFUPDOWN), "mptcp-gateway"),
    (WIRED._replace(manager=IFUPDOWN, gateways=("fe80::1",)), "gateway"),
    # Theirs have metrics, and are not there yet when networking begins.
    (WIRED._replace(manager=NETWORKD), "gateway"),
    (MOBILE, "gateway"),
    (WIRED, "mptcp-gateway"),
    # It gets no stanza of that family.
    (WIRED._replace(addresses=(OWN6,)), "gateway"),
])
def test_one_stanza_of_a_family_has_the_default_route(first: Uplink, gateway: str) -> None:
    lines = suggest([first, WIRED._replace(device="eth1", gateways=("10.1.1.1",))])
    assert f"    {gateway} 10.1.1.1" in lines


def test_those_of_managers_get_sections() -> None:
    assert suggest([WIRED._replace(manager=NETWORKD), MOBILE]) == [
        "# systemd-networkd and NetworkManager configure eth0 and wwan0: lines for "
        "/etc/mptcp-hooks/mptcp-hooks.conf,",
        "# which 'systemctl reload mptcp-hooks' makes true.", "[default]", "manage = eth0 wwan0",
        "", "# wwan0 looks like a mobile uplink: used where the others fail.", "[wwan0]",
        "flags = subflow backup"]


def test_what_is_written_already_needs_nothing() -> None:
    assert suggest([WIRED._replace(manager=IFUPDOWN), MOBILE._replace(named=True)]) == [
        "# eth0: its stanza in /etc/network/interfaces is enough.",
        "# wwan0: /etc/mptcp-hooks/mptcp-hooks.conf names it already."]


def test_one_uplink_is_too_few() -> None:
    assert suggest([MOBILE])[-1].startswith("# wwan0 is the only uplink that is up")
    assert suggest([])[0].startswith("# No interface has a default route")
