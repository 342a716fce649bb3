# SPDX-License-Identifier: GPL-2.0-or-later
"""The lab's own means: DHCP and router advertisements by Debian's programs, none installed here."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.lab.support.lab import SERVER_6, Lab, is_gone
from tests.lab.support.making import MakeLab
from tests.lab.support.provider import SERVICES, Provider, Served, addresses
from tests.lab.support.waiting import wait_for

TWO_DHCP = """\
auto eth0 eth1
iface eth0 inet dhcp
iface eth1 inet dhcp
    metric 200
"""


def default_routes(lab: Lab, family: int = 4) -> list[tuple[str, str]]:
    return [(row["dev"], row["gateway"])
            for row in lab.client.ask(f"-{family}", "route", "show", "default")]


def look_at_the_machine() -> tuple[str, ...]:
    """All that a DHCP client could leave behind on the machine itself."""
    packages = subprocess.run(["dpkg-query", "--show"], capture_output=True, text=True, check=True)
    leases = [str(path) for path in Path("/var/lib").glob("dhcp*/*")]
    return packages.stdout, Path("/etc/resolv.conf").read_text(), os.uname().nodename, *leases


def test_each_router_leases_an_address(dhclient_lab: Served) -> None:
    lab, *providers = dhclient_lab
    for provider in providers:
        provider.serve_dhcp()
    lab.set_interfaces(TWO_DHCP)
    lab.ifup("-a")
    assert [addresses(lab, name) for name in ("eth0", "eth1")] == [["10.1.1.50"], ["10.1.2.50"]]
    assert default_routes(lab) == [("eth0", "10.1.1.1"), ("eth1", "10.1.2.1")]
    assert lab.transfer(1000).whole
    lab.ifdown("-a")
    assert addresses(lab, "eth0") == []


def test_a_renewal_brings_another_address(dhclient_lab: Served) -> None:
    lab, _, provider = dhclient_lab
    provider.serve_dhcp(renew=3)
    lab.set_interfaces("iface eth1 inet dhcp\n")
    lab.ifup("eth1")
    assert addresses(lab, "eth1") == ["10.1.2.50"]
    provider.serve_dhcp(first="10.2.2.60", gateway="10.2.2.254")
    wait_for(lambda: addresses(lab, "eth1") == ["10.2.2.60"])
    wait_for(lambda: default_routes(lab) == [("eth1", "10.2.2.254")])
    assert lab.transfer(1000).whole


def test_a_renewal_brings_another_gateway(dhclient_lab: Served) -> None:
    lab, _, provider = dhclient_lab
    provider.serve_dhcp(renew=3)
    lab.write("/etc/dhcp/dhclient-exit-hooks.d/zz-test", "echo $reason $new_routers >>/run/seen\n")
    lab.set_interfaces("iface eth1 inet dhcp\n")
    lab.ifup("eth1")
    provider.serve_dhcp(gateway="10.1.2.254", renew=3)
    wait_for(lambda: "RENEW 10.1.2.254" in lab.read("/run/seen"))
    assert addresses(lab, "eth1") == ["10.1.2.50"]
    # dhclient-script does not touch main's routes as long as the address stays.
    assert default_routes(lab) == [("eth1", "10.1.2.1")]


def test_routes_come_with_the_lease(dhclient_lab: Served) -> None:
    lab, _, provider = dhclient_lab
    provider.serve_dhcp(routes=(("0.0.0.0/0", "10.1.2.9"), ("10.50.0.0/16", "10.1.2.8")))
    lab.set_interfaces("iface eth1 inet dhcp\n")
    lab.ifup("eth1")
    assert default_routes(lab) == [("eth1", "10.1.2.9")]
    assert "10.50.0.0/16 via 10.1.2.8" in lab.client.run("ip", "route")


def test_an_address_is_advertised_and_renumbered(dhclient_lab: Served) -> None:
    lab, _, provider = dhclient_lab
    lab.client.ip("link set eth1 up")
    provider.advertise()
    (old,) = wait_for(lambda: addresses(lab, "eth1", 6))
    assert old.startswith(("fd00:2::", "fd00:2:0:"))
    assert [dev for dev, _ in default_routes(lab, 6)] == ["eth1"]
    provider.advertise(preferred=0)
    provider.advertise("fd00:2:1::/64")
    wait_for(lambda: len(addresses(lab, "eth1", 6)) == 2)
    (new,) = set(addresses(lab, "eth1", 6)) - {old}
    assert new.startswith("fd00:2:1:0:")
    assert "deprecated" in lab.client.run("ip", "-6", "-o", "addr", "show", "to", old)
    assert lab.transfer(1000, SERVER_6).whole
    provider.advertise("fd00:2:1::/64", router_lifetime=0)
    wait_for(lambda: not default_routes(lab, 6))


def test_dhcp6_leases_an_address(dhclient_lab: Served) -> None:
    lab, _, provider = dhclient_lab
    provider.advertise(managed=True)
    provider.serve_dhcp6()
    lab.set_interfaces("iface eth1 inet6 dhcp\n")
    lab.ifup("eth1")
    wait_for(lambda: "fd00:2::50" in addresses(lab, "eth1", 6))


def test_nothing_reaches_the_machine(dhclient_lab: Served) -> None:
    lab, provider, _ = dhclient_lab
    before = look_at_the_machine()
    provider.serve_dhcp()
    lab.set_interfaces("iface eth0 inet dhcp\n")
    lab.ifup("eth0")
    assert "10.1.1.50" in lab.read("/var/lib/dhcp/dhclient.eth0.leases")
    lab.write("/etc/resolv.conf", "nameserver 10.1.1.1\n")
    lab.client.run("hostname", "client")
    assert look_at_the_machine() == before


def test_a_daemon_ends_with_its_host(make_lab: MakeLab) -> None:
    lab = make_lab("isc-dhcp-client", routers=SERVICES, installed=False)
    Provider(lab, 1).serve_dhcp()
    lab.set_interfaces("iface eth0 inet dhcp\n")
    lab.ifup("eth0")
    pid = int(lab.read("/run/dhclient.eth0.pid"))
    os.kill(pid, 0)
    make_lab.close()
    wait_for(lambda: is_gone(pid))


def test_a_package_replaces_one_of_the_machine(make_lab: MakeLab) -> None:
    lab = make_lab("ifupdown2", installed=False)
    states = [lab.client.run("dpkg-query", "-W", "-f", "${db:Status-Status}", name)
              for name in ("ifupdown2", "ifupdown")]
    assert states == ["installed", "config-files"]


def test_a_package_that_is_not_there_skips_by_name(programs: Callable[..., Path]) -> None:
    with pytest.raises(pytest.skip.Exception, match="no package no-such-package"):
        programs("no-such-package")
