# SPDX-License-Identifier: GPL-2.0-or-later
"""NetworkManager, whose dispatcher runs the hooks by 01-ifupdown and makes endpoints itself."""

from __future__ import annotations

import pytest

from tests.lab.support.breakages import ONE_UPLINK
from tests.lab.support.lab import Lab
from tests.lab.support.making import MakeLab
from tests.lab.support.managers import NetworkManager
from tests.lab.support.monitor import Monitor
from tests.lab.support.paths import BOTH, RULES, check_both_paths, rules_of_uplinks
from tests.lab.support.provider import SERVICES, Provider, addresses
from tests.lab.support.waiting import wait_for

SHIMS = "/etc/NetworkManager/dispatcher.d/01-ifupdown"
WITHOUT_ENDPOINT = "mptcp-flags=disabled"


@pytest.fixture
def nm_lab(make_lab: MakeLab) -> Lab:
    """Fresh hosts, NetworkManager on the client, dnsmasq on the routers; nothing runs yet."""
    return make_lab("network-manager", without=("udev",), routers=SERVICES)


@pytest.fixture
def shim_lab(nm_lab: Lab) -> Lab:
    """The same where its package has 01-ifupdown, as Debian's had until Debian 12."""
    if nm_lab.client.try_run("sh", "-c", f"ls {SHIMS}").returncode:
        pytest.skip("this Debian's NetworkManager runs no hooks of ifupdown")
    return nm_lab


def start_static(lab: Lab, options: str = "") -> NetworkManager:
    """NetworkManager with two uplinks of fixed addresses, the work on them done."""
    manager = NetworkManager(lab)
    for number in (1, 2):
        manager.configure(f"eth{number - 1}", "method=manual\n"
                          f"address1=10.1.{number}.2/24,10.1.{number}.1", options)
    manager.start()
    wait_for(lambda: len(lab.rules()) == 2 * RULES and lab.endpoints() == BOTH)
    return manager


def default_of(lab: Lab, device: str) -> list[str]:
    """The default routes of a device's own table, as `GATEWAY ADDRESS`."""
    words = [line.split() for line in lab.table(20000 + lab.ifindex(device))]
    return [f"{route[2]} {route[-1]}" for route in words if route[0] == "default"]


def test_its_connections_get_tables_and_keep_its_own_endpoints(shim_lab: Lab) -> None:
    lab = shim_lab
    before = lab.snapshot()
    manager = start_static(lab)
    for number, device in ((1, "eth0"), (2, "eth1")):
        assert default_of(lab, device) == [f"10.1.{number}.1 10.1.{number}.2"]
    assert sorted(lab.rules()) == rules_of_uplinks(lab, 0, 1)
    check_both_paths(lab)
    manager.down("eth1")
    wait_for(lambda: len(lab.rules()) == RULES)
    assert lab.endpoints() == BOTH[:1]
    manager.up("eth1")
    wait_for(lambda: len(lab.rules()) == 2 * RULES and lab.endpoints() == BOTH)
    for device in ("eth0", "eth1"):
        manager.down(device)
    wait_for(lambda: lab.snapshot() == before)
    assert lab.client.run("ls", "/run/mptcp-hooks") == ""


def test_its_own_endpoints_are_not_ours_to_remove(shim_lab: Lab) -> None:
    start_static(shim_lab)
    shim_lab.client.run("mptcp_down", "--all")
    assert shim_lab.rules() == []
    assert shim_lab.endpoints() == BOTH


def test_where_it_makes_no_endpoint_ours_come_and_go(shim_lab: Lab) -> None:
    lab = shim_lab
    before = lab.snapshot()
    manager = start_static(lab, WITHOUT_ENDPOINT)
    check_both_paths(lab)
    manager.down("eth1")
    wait_for(lambda: len(lab.rules()) == RULES)
    assert lab.endpoints() == BOTH[:1]
    manager.down("eth0")
    wait_for(lambda: lab.snapshot() == before)


@pytest.mark.parametrize("options", ["", WITHOUT_ENDPOINT])
def test_leases_it_renews_are_followed(shim_lab: Lab, options: str) -> None:
    """No hook is called for these; the monitor sees the address and main's default change."""
    lab = shim_lab
    before = lab.snapshot()
    providers = [Provider(lab, number) for number in (1, 2)]
    for provider in providers:
        provider.serve_dhcp(renew=3)
    manager = NetworkManager(lab)
    for provider in providers:
        manager.configure(provider.device, "method=auto", options)
    Monitor(lab)
    manager.start()
    wait_for(lambda: lab.endpoints() == ["10.1.1.50 eth0 subflow", "10.1.2.50 eth1 subflow"])
    wait_for(lambda: default_of(lab, "eth1") == ["10.1.2.1 10.1.2.50"])
    providers[0].serve_dhcp(gateway="10.1.1.254")
    providers[1].serve_dhcp(first="10.2.2.60", gateway="10.2.2.254")
    wait_for(lambda: default_of(lab, "eth0") == ["10.1.1.254 10.1.1.50"])
    wait_for(lambda: addresses(lab, "eth1") == ["10.2.2.60"])
    wait_for(lambda: default_of(lab, "eth1") == ["10.2.2.254 10.2.2.60"])
    wait_for(lambda: lab.endpoints() == ["10.1.1.50 eth0 subflow", "10.2.2.60 eth1 subflow"])
    assert not [rule for rule in lab.rules() if "10.1.2.50" in rule]
    check_both_paths(lab)
    for device in ("eth0", "eth1"):
        manager.down(device)
    wait_for(lambda: lab.snapshot() == before)


def test_without_the_shim_the_configuration_names_its_interfaces(nm_lab: Lab) -> None:
    lab = nm_lab
    lab.client.run("sh", "-c", f"rm -f {SHIMS}")
    lab.write("/etc/mptcp-hooks/mptcp-hooks.conf", "[default]\nmanage = eth*\n")
    before = lab.snapshot()
    Monitor(lab)
    manager = start_static(lab)
    check_both_paths(lab)
    manager.down("eth1")
    wait_for(lambda: len(lab.rules()) == RULES)
    manager.down("eth0")
    wait_for(lambda: lab.snapshot() == before)


@pytest.mark.parametrize("named", [False, True])
def test_a_vpn_that_it_tells_of_is_an_uplink_only_if_it_is_named(lab: Lab, named: bool) -> None:
    """Whatever it is called: by 01-ifupdown the hooks hear of each connection that comes up."""
    if named:
        lab.write("/etc/mptcp-hooks/mptcp-hooks.conf", "[default]\nmanage = proton0\n")
    lab.set_interfaces(ONE_UPLINK)
    lab.ifup("eth0")
    before = lab.snapshot()
    lab.client.ip("tuntap add proton0 mode tun", "link set proton0 up",
                  "addr add 10.66.0.2/32 dev proton0", "route replace default dev proton0")
    done = lab.client.try_run("/etc/network/if-up.d/mptcp_up", env={
        "IFACE": "proton0", "METHOD": "NetworkManager", "ADDRFAM": "inet", "MODE": "start",
        "PHASE": "post-up", "IP4_NUM_ADDRESSES": "1", "IP4_ADDRESS_0": "10.66.0.2/32 0.0.0.0"})
    assert (done.returncode, done.stderr) == (0, "")
    assert (lab.snapshot() == before) != named
    assert ("10.66.0.2 proton0 subflow" in lab.endpoints()) == named
