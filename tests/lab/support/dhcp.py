# SPDX-License-Identifier: GPL-2.0-or-later
"""Uplinks whose address and gateway come with a lease: what must be in the kernel then."""

from __future__ import annotations

from tests.lab.support.lab import Lab
from tests.lab.support.paths import rules_of

TWO_DHCP = """\
auto eth0 eth1
iface eth0 inet dhcp
iface eth1 inet dhcp
"""
# eth1 alone by DHCP, where the test is about what becomes of its lease.
ONE_DHCP = """\
auto eth0 eth1
iface eth0 inet static
    address 10.1.1.2/24
    gateway 10.1.1.1
iface eth1 inet dhcp
"""
ETH0 = "10.1.1.2 eth0 subflow"
ETH1 = "10.1.2.50 eth1 subflow"

# The packages of DHCP clients, by the clients' names.
CLIENTS = {"dhclient": "isc-dhcp-client", "dhcpcd": "dhcpcd-base", "udhcpc": "udhcpc"}

Route = tuple[str, str]


def keep_only(lab: Lab, client: str) -> None:
    """Have no DHCP client on the client but that one, of CLIENTS."""
    lab.client.run("rm", "-f", *(f"/sbin/{name}" for name in CLIENTS if name != client))
    if client == "dhcpcd":
        # Else it asks 5 s for another machine with the address.
        lab.write("/etc/dhcpcd.conf", lab.read("/etc/dhcpcd.conf") + "\nnoarp\n")


def has_path(
    lab: Lab, address: str, gateway: str, device: str = "eth1", table: int = 0,
    routes: tuple[Route, ...] = (), backup: bool = False,
) -> bool:
    """Whether the kernel has the rules and the table of a lease, exactly."""
    table = table or 20000 + lab.ifindex(device)
    subnet = address.rpartition(".")[0] + ".0/24"
    plain = rules_of(address, subnet, device, table, backup)
    # The own subnet must come before what main knows of a lease's wider destination.
    rules = [rule.replace("20000:", "19998:") for rule in plain] if routes else plain
    for destination, _ in routes:
        length = destination.partition("/")[2]
        rules += [f"19999: from {address} to {destination} lookup main suppress_prefixlength "
                  f"{length} proto mptcp",
                  f"20000: from {address} to {destination} lookup {table} proto mptcp"]
    there = list_rules(lab, address, device, table)
    return sorted(rules) == there and lab.table(table) == sorted([
        f"{subnet} dev {device} proto mptcp scope link src {address}",
        *(f"{destination} via {router} dev {device} proto mptcp src {address} onlink"
          for destination, router in routes),
        f"default via {gateway} dev {device} proto mptcp src {address}",
        "unreachable default proto mptcp metric 4294967295",
    ])


def list_rules(lab: Lab, address: str, device: str, table: int = 0) -> list[str]:
    """The rules that name an address, its subnet or a device, or lead all to its table, sorted."""
    table = table or 20000 + lab.ifindex(device)
    named = (f"from {address} ", f"from {address.rpartition('.')[0]}.0/24 iif lo ",
             f"oif {device} ", f"from all lookup {table} ")
    return sorted(rule for rule in lab.rules() if any(name in rule for name in named))


def list_defaults(lab: Lab) -> list[str]:
    """The devices of main's default routes."""
    return [row["dev"] for row in lab.client.ask("-4", "route", "show", "default")]


def list_record(lab: Lab) -> str:
    """All that is on record, as text."""
    return lab.client.run("sh", "-c", "cd /run/mptcp-hooks && tail -n +1 * </dev/null")
