# SPDX-License-Identifier: GPL-2.0-or-later
"""The stanzas of the manual and of README, brought up by the real ifup as they are written.

README's screen is what mptcp_status draws then.

The lab gives its devices the names of an example's `auto` line; whatever its addresses
are, the providers behind them are asked for leases and prefixes alone. Left out is only
what the lab has no radio for, the lines `wpa-...`.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from textwrap import dedent
from typing import NamedTuple

import pytest

from tests.lab.support.dhcp import CLIENTS, keep_only
from tests.lab.support.lab import SERVER_4, SERVER_6, Host, Lab
from tests.lab.support.making import MakeLab
from tests.lab.support.monitor import Monitor
from tests.lab.support.newcomer import connect, receive, wait_for_way
from tests.lab.support.paths import list_detours, plug, pull, rules_of
from tests.lab.support.provider import SERVICES, Provider
from tests.lab.support.waiting import wait_for

ROOT = Path(__file__).parents[2]
README = "README"
# The router's own address, which it advertises.
ADVERTISED = ""

Interface = ipaddress.IPv4Interface | ipaddress.IPv6Interface


class Uplink(NamedTuple):
    """What an example makes of a device; what is `announced` has the endpoint in its place."""

    device: str
    gateway: str
    flags: str = "subflow"
    family: int = 4
    announced: str = ""
    sources: str = ""


TWO_WIRED = (Uplink("eth0", "10.1.1.1"), Uplink("eth1", "10.1.2.1"))
BECOMES = {
    README: TWO_WIRED,
    "Two wired uplinks": TWO_WIRED,
    "A provider whose resolver answers its customers alone": TWO_WIRED,
    "Wi-Fi with LTE as backup": (Uplink("wlan0", "10.1.1.1"),
                                 Uplink("wwan0", "10.1.2.1", "subflow backup")),
    "A server with two providers": (Uplink("eth0", "192.0.2.1", "signal"),
                                    Uplink("eth1", "198.51.100.1", "signal")),
    "A server behind its provider's NAT": (
        Uplink("eth0", "10.1.1.1", "signal", announced="192.0.2.10"),
        Uplink("eth1", "10.1.2.1", "signal", announced="198.51.100.10")),
    "A subnet for virtual machines": (
        TWO_WIRED[0], TWO_WIRED[1]._replace(sources="203.0.113.64/29")),
    "DHCP on both uplinks": TWO_WIRED,
    "IPv6 only": (Uplink("eth0", ADVERTISED, family=6),
                  Uplink("eth1", "2001:db8:2::1", family=6)),
}


def read_examples() -> dict[str, list[str]]:
    """The examples of stanzas that there are, by the titles that they stand under."""
    return {title: stanzas for title, blocks in [(README, read_readme()), *read_page()]
            if (stanzas := [block for block in blocks if "iface " in block])}


def read_page() -> Iterator[tuple[str, list[str]]]:
    """The literal blocks of the page on stanzas' options, by their subsections."""
    text = (ROOT / "man/mptcp-hooks-interfaces.5").read_text().replace("\\-", "-")
    for part in re.split(r"^\.S[SH] ", text, flags=re.MULTILINE)[1:]:
        title, _, body = part.partition("\n")
        yield title, re.findall(r"^\.nf\n(.*?)^\.fi$", body, re.MULTILINE | re.DOTALL)


def read_readme() -> list[str]:
    """README's indented blocks."""
    text = (ROOT / "README.md").read_text()
    return [dedent(block) for block in re.findall(r"(?:^    .*\n)+", text, re.MULTILINE)]


Site = Callable[..., Lab]


@pytest.fixture
def build_site(make_lab: MakeLab) -> Site:
    """`build_site(stanzas, client)`: a lab whose devices and providers are those of stanzas.

    The client is that of DHCP, where they want one.
    """
    def build(stanzas: str, client: str = "dhclient") -> Lab:
        lab = make_lab(*[CLIENTS[client]] * ("inet dhcp" in stanzas), routers=SERVICES)
        keep_only(lab, client)
        (names,) = re.findall(r"^auto (.*)$", stanzas, re.MULTILINE)
        for number, name in enumerate(names.split(), start=1):
            lab.client.ip(f"link set eth{number - 1} name {name}")
            serve(Provider(lab, number), stanzas, name)
        lab.set_interfaces(re.sub(r"^ +wpa-.*\n", "", stanzas, flags=re.MULTILINE))
        return lab

    return build


def serve(provider: Provider, stanzas: str, device: str) -> None:
    if f"iface {device} inet dhcp\n" in stanzas:
        provider.serve_dhcp()
    if f"iface {device} inet6 auto\n" in stanzas:
        provider.advertise()


def test_no_example_is_left_out() -> None:
    assert {title: len(stanzas) for title, stanzas in read_examples().items()} == {
        title: 1 for title in BECOMES}


@pytest.mark.parametrize("title", BECOMES)
def test_an_example_does_what_it_says(build_site: Site, title: str) -> None:
    (stanzas,) = read_examples()[title]
    lab = build_site(stanzas)
    before = lab.snapshot()
    assert "mptcp" not in lab.ifup("-a")
    if "inet6 auto\n" in stanzas:
        Monitor(lab)
    wait_for(lambda: len(lab.endpoints()) == len(BECOMES[title]))
    check_paths(lab, BECOMES[title])
    assert "mptcp" not in lab.ifdown("-a")
    wait_for(lambda: lab.snapshot() == before)


@pytest.fixture(params=["dhclient", "dhcpcd"])
def radios(request: pytest.FixtureRequest, build_site: Site) -> Iterator[Lab]:
    """Wi-Fi with LTE as backup, by each DHCP client; new connections leave by Wi-Fi."""
    (stanzas,) = read_examples()["Wi-Fi with LTE as backup"]
    lab = build_site(stanzas, request.param)
    lab.ifup("-a")
    Monitor(lab)
    wait_for(lambda: len(lab.endpoints()) == 2)
    with receive(lab):
        assert connect(lab).uplink == 0
        yield lab


def test_new_connections_leave_by_lte_while_there_is_no_wifi(radios: Lab) -> None:
    pull(radios, 0)
    wait_for_way(radios, 1)


@pytest.mark.long
def test_new_connections_leave_by_wifi_again_when_it_is_back(radios: Lab) -> None:
    pull(radios, 0)
    wait_for(lambda: connect(radios, within=1).uplink == 1)
    plug(radios, 0)
    # The DHCP client takes its time until main leads there again.
    wait_for(lambda: connect(radios).uplink == 0 and not list_detours(radios))


def test_readme_shows_what_mptcp_status_draws(lab: Lab) -> None:
    (stanzas,) = read_examples()[README]
    lab.set_interfaces(stanzas)
    lab.ifup("-a")
    Monitor(lab).rest()
    drawn = lab.client.run("env", "LC_ALL=C.UTF-8", "mptcp_status")
    for device, table in (("eth0", "20002"), ("eth1", "20003")):
        drawn = drawn.replace(str(20000 + lab.ifindex(device)), table)
    # The screen has a free line, and so is two blocks.
    assert drawn in "\n".join(read_readme())


def check_paths(lab: Lab, uplinks: tuple[Uplink, ...]) -> None:
    """The kernel has the endpoints and rules of these uplinks alone, and follows them."""
    endpoints, rules = [], []
    for number, uplink in enumerate(uplinks):
        own = find_address(lab.client, uplink.device, uplink.family, "global")
        table = 20000 + lab.ifindex(uplink.device)
        endpoints.append(f"{uplink.announced} - {uplink.flags}" if uplink.announced else
                         f"{own.ip} {uplink.device} {uplink.flags}")
        rules += rules_of(str(own.ip), str(own.network), uplink.device, table,
                          "backup" in uplink.flags)
        if uplink.sources:
            rules += [f"20007: from {uplink.sources} lookup main suppress_prefixlength 1 proto "
                      "mptcp", f"20008: from {uplink.sources} lookup {table} proto mptcp"]
        server = SERVER_4 if uplink.family == 4 else SERVER_6
        (answer,) = lab.client.ask("route", "get", server, "from", str(own.ip))
        gateway = uplink.gateway or str(find_address(lab.routers[number], "lan").ip)
        assert (answer["dev"], answer["gateway"]) == (uplink.device, gateway)
    assert lab.endpoints() == sorted(endpoints)
    assert sorted(lab.rules(4) + lab.rules(6)) == sorted(rules)


def find_address(host: Host, device: str, family: int = 6, scope: str = "link") -> Interface:
    """The one address of a family and a scope that a device has."""
    (row,) = host.ask(f"-{family}", "addr", "show", "dev", device, "scope", scope)
    # What `ip` was asked to leave out it shows as nothing.
    (own,) = [one for one in row["addr_info"] if one]
    return ipaddress.ip_interface(f"{own['local']}/{own['prefixlen']}")
