# SPDX-License-Identifier: GPL-2.0-or-later
"""A resolver that one uplink alone names is asked over that uplink, whatever main says."""

from __future__ import annotations

import signal
import time
from collections.abc import Callable, Iterator

import pytest

from tests.lab.support.boxes import put_box, remove_boxes
from tests.lab.support.dhcp import TWO_DHCP
from tests.lab.support.lab import SERVER_4, TWO_UPLINKS, TWO_UPLINKS_6, Lab
from tests.lab.support.making import MakeLab
from tests.lab.support.monitor import Monitor
from tests.lab.support.paths import plug, pull, route_get
from tests.lab.support.provider import SERVICES, Provider, with_providers
from tests.lab.support.resolver import ask, have_resolvers
from tests.lab.support.status import find
from tests.lab.support.tunnel import WIREGUARD, Tunnel, wait_for_tunnel
from tests.lab.support.waiting import wait_for

R, OTHER, R6 = "10.99.0.53", "10.99.0.54", "fd00:99::53"
TABLE = 20000
RULE = "32765: from all lookup 20000 proto mptcp"
# What stands before main while its default leads to an uplink that is out.
PAIR = ["32765: not from all fwmark 0xffffffff lookup main suppress_prefixlength 0 proto mptcp",
        "32765: from all lookup 20003 proto mptcp"]
NAMED = f"{TWO_UPLINKS}    dns-nameservers {R}\n"
ROUTE = [f"{R} via 10.1.2.1 dev eth1 proto mptcp src 10.1.2.2"]
# eth1's router is none for main; whom it names it says all the same.
ADVERTISED = """\
auto eth0 eth1
iface eth0 inet6 static
    address fd00:1::2/64
    gateway fd00:1::1
    dad-attempts 0
iface eth1 inet6 auto
    mptcp-gateway fd00:2::1
"""


def list_leading(lab: Lab, family: int = 4) -> list[str]:
    """The rules directly before main and behind it, in their order."""
    return [rule for rule in lab.rules(family) if rule.startswith(("32765:", "32767:"))]


def watch(lab: Lab, interfaces: str) -> Monitor:
    lab.set_interfaces(interfaces)
    lab.ifup("-a")
    monitor = Monitor(lab)
    monitor.rest()
    return monitor


@pytest.fixture
def named(lab: Lab) -> Iterator[Lab]:
    """Two static uplinks of which main knows the first, and the second names a resolver."""
    with have_resolvers(lab, R, OTHER):
        yield lab


def name_by_stanza(lab: Lab) -> None:
    lab.set_interfaces(NAMED)


def name_by_stanza_6(lab: Lab) -> None:
    lab.set_interfaces(f"{TWO_UPLINKS_6}    dns-nameservers {R6}\n")


def name_by_lease(lab: Lab) -> None:
    lab.set_interfaces(TWO_DHCP)
    _, first, second = with_providers(lab)
    first.serve_dhcp()
    second.serve_dhcp(resolvers=(R,))


def name_by_advertisement(lab: Lab) -> None:
    lab.set_interfaces(ADVERTISED)
    Provider(lab, 2).advertise(router_lifetime=0, resolvers=(R6,))


def name_by_lease_6(lab: Lab) -> None:
    lab.set_interfaces(ADVERTISED.replace("eth1 inet6 auto", "eth1 inet6 dhcp"))
    provider = Provider(lab, 2)
    provider.advertise(router_lifetime=0, managed=True)
    provider.serve_dhcp6(resolvers=(R6,))


@pytest.mark.parametrize("name, resolver", [
    (name_by_stanza, R), (name_by_stanza_6, R6), (name_by_lease, R), (name_by_lease_6, R6),
    (name_by_advertisement, R6)])
def test_a_resolver_that_one_uplink_names_is_asked_over_it_while_it_is_alive(
    make_lab: MakeLab, name: Callable[[Lab], None], resolver: str
) -> None:
    lab = make_lab("isc-dhcp-client", routers=SERVICES)
    family = 6 if ":" in resolver else 4
    with have_resolvers(lab, resolver):
        name(lab)
        lab.ifup("-a")
        # Without the monitor nothing is done for it.
        assert ask(lab, resolver) == "eth0" and lab.table(TABLE, family) == []
        monitor = Monitor(lab)
        wait_for(lambda: lab.table(TABLE, family))
        assert ask(lab, resolver) == "eth1"
        # No other host is, and main is as it was.
        assert route_get(lab, f"{resolver[:-2]}77")["dev"] == "eth0"
        assert list_leading(lab, family) == [RULE] and find(lab) == ()
        pull(lab, 1)
        wait_for(lambda: lab.table(TABLE, family) == [])
        assert ask(lab, resolver) == "eth0"
        plug(lab, 1)
        wait_for(lambda: lab.table(TABLE, family))
        assert ask(lab, resolver) == "eth1"
        monitor.stop()
        lab.client.run("mptcp_monitor", "--stopped")
        assert list_leading(lab, family) == lab.table(TABLE, family) == []
        assert ask(lab, resolver) == "eth0"


def test_a_resolver_that_both_name_is_asked_where_main_leads(named: Lab) -> None:
    watch(named, NAMED.replace("    gateway", f"    dns-nameservers {OTHER} {R}\n    gateway"))
    assert list_leading(named) == [RULE]
    # The first one's own, which main would lead there as well.
    assert named.table(TABLE) == [f"{OTHER} via 10.1.1.1 dev eth0 proto mptcp src 10.1.1.2"]
    assert ask(named, R) == ask(named, OTHER) == "eth0"
    # That the first is out does not make it the second one's alone.
    pull(named, 0)
    wait_for(lambda: list_leading(named) == [RULE, *PAIR])
    wait_for(lambda: named.table(TABLE) == [])
    assert ask(named, OTHER) == "eth1"


def test_where_main_has_a_narrower_route_that_counts(named: Lab) -> None:
    watch(named, NAMED)
    assert ask(named, R) == "eth1"
    named.client.ip("route add 10.99.0.48/29 via 10.1.1.1")
    wait_for(lambda: named.table(TABLE) == [])
    assert ask(named, R) == "eth0"
    named.client.ip("route del 10.99.0.48/29")
    wait_for(lambda: named.table(TABLE) == ROUTE)
    assert ask(named, R) == "eth1"


def test_a_lease_that_names_another_resolver(make_lab: MakeLab) -> None:
    lab, first, second = with_providers(make_lab("isc-dhcp-client", routers=SERVICES))
    with have_resolvers(lab, R, OTHER):
        first.serve_dhcp()
        second.serve_dhcp(resolvers=(R,), renew=3)
        watch(lab, TWO_DHCP)
        assert [ask(lab, one) for one in (R, OTHER)] == ["eth1", "eth0"]
        second.serve_dhcp(resolvers=(OTHER,), renew=3)
        wait_for(lambda: OTHER in "".join(lab.table(TABLE)))
        assert [ask(lab, one) for one in (R, OTHER)] == ["eth0", "eth1"]


def test_advertised_resolvers_come_and_go_and_the_same_again_is_no_news(
    make_lab: MakeLab
) -> None:
    lab = make_lab(routers=SERVICES)
    second = Provider(lab, 2)
    with have_resolvers(lab, R6):
        second.advertise(router_lifetime=0)
        monitor = watch(lab, ADVERTISED)
        wait_for(lambda: len(lab.endpoints()) == 2)
        assert ask(lab, R6) == "eth0" and list_leading(lab, 6) == []
        second.advertise(router_lifetime=0, resolvers=(R6,))
        wait_for(lambda: lab.table(TABLE, 6))
        assert ask(lab, R6) == "eth1"
        # Several come in a second; of a round each there would be no rest.
        wait_for(lambda: is_idle_for(monitor, 1.5))
        second.advertise(router_lifetime=0, resolvers=(R6,), named=0)
        wait_for(lambda: lab.table(TABLE, 6) == [])
        assert ask(lab, R6) == "eth0"
        # Whom nobody names any more is named until the time is over.
        second.advertise(router_lifetime=0, resolvers=(R6,), named=3)
        wait_for(lambda: lab.table(TABLE, 6))
        second.stop_advertising(farewell=False)
        wait_for(lambda: lab.table(TABLE, 6) == [])
        assert ask(lab, R6) == "eth0"


def tell_lease(lab: Lab, device: str, *resolvers: str) -> None:
    """What a DHCP client says of a lease of the address that the device has."""
    number = int(device[-1:]) + 1
    lab.client.run("/usr/share/mptcp-hooks/hooks/mptcp_lease", env={
        "reason": "RENEW", "interface": device, "new_ip_address": f"10.1.{number}.2",
        "new_routers": f"10.1.{number}.1", "new_domain_name_servers": " ".join(resolvers)})


def test_resolvers_that_dhcpcd_hears_of_routers(make_lab: MakeLab) -> None:
    """It reads their advertisements itself, and has the kernel read none."""
    lab = make_lab("dhcpcd-base", routers=SERVICES)
    second = Provider(lab, 2)
    with have_resolvers(lab, R6):
        second.advertise(router_lifetime=0, resolvers=(R6,))
        lab.client.run("sysctl", "-qw", "net.ipv6.conf.eth1.accept_ra=0")
        monitor = watch(lab, ADVERTISED.replace(
            "inet6 auto", "inet6 manual\n    up ip link set eth1 up"))
        dhcpcd = lab.client.start("dhcpcd", "--ipv6only", "--nobackground", "eth1")
        wait_for(lambda: len(lab.endpoints()) == 2)
        wait_for(lambda: lab.table(TABLE, 6))
        assert ask(lab, R6) == "eth1"
        second.advertise(router_lifetime=0, resolvers=(R6,), named=0)
        wait_for(lambda: lab.table(TABLE, 6) == [])
        second.advertise(router_lifetime=0, resolvers=(R6,))
        wait_for(lambda: lab.table(TABLE, 6))
        dhcpcd.terminate()
        wait_for(lambda: lab.table(TABLE, 6) == [])
        assert ask(lab, R6) == "eth0" and monitor.is_running()
        wait_for(lambda: "resolvers" not in lab.client.run("ls", "/run/mptcp-hooks"))


def is_idle_for(monitor: Monitor, seconds: float) -> bool:
    before = monitor.count_ticks()
    time.sleep(seconds)
    return monitor.count_ticks() == before


def count_asked(lab: Lab) -> list[bool]:
    """Of each router, whether it saw anything for a resolver go by in clear."""
    return ["counter packets 0 bytes 0" not in router.run("nft", "list", "ruleset")
            for router in lab.routers]


@pytest.mark.parametrize("order", ["names first", "tunnel first"])
def test_beside_wg_quick_nobody_is_asked_in_clear(make_lab: MakeLab, order: str) -> None:
    lab = make_lab(*WIREGUARD, server=WIREGUARD, routers=("nftables",))
    tunnel = Tunnel(lab)
    with have_resolvers(lab, R):
        if order == "tunnel first":
            tunnel.up()
        watch(lab, NAMED)
        if order == "names first":
            assert ask(lab, R) == "eth1"
            tunnel.up()
        wait_for_tunnel(lab)
        put_box(lab.routers, "udp dport 53 counter")
        for _ in range(3):
            assert ask(lab, R) == "wg0"
        wait_for(lambda: lab.table(TABLE) == [])
        assert ask(lab, R) == "wg0" and count_asked(lab) == [False, False]
        tunnel.down()
        wait_for(lambda: lab.table(TABLE) == ROUTE)
        assert ask(lab, R) == "eth1" and count_asked(lab) == [False, True]


@pytest.mark.parametrize("routes", [
    ("route add 0.0.0.0/1 dev tun0", "route add 128.0.0.0/1 dev tun0"),
    ("route add 0.0.0.0/1 dev tun0",), ("route replace default dev tun0",)],
    ids=["def1", "half", "default"])
def test_beside_a_tunnel_that_has_mains_default_nobody_is_asked_in_clear(
    make_lab: MakeLab, routes: tuple[str, ...]
) -> None:
    lab = make_lab(routers=("nftables",))
    with have_resolvers(lab, R):
        watch(lab, NAMED)
        assert ask(lab, R) == "eth1"
        lab.client.ip("tuntap add tun0 mode tun", "addr add 10.9.0.2 peer 10.9.0.1 dev tun0",
                      "link set tun0 up")
        lab.client.ip(*routes)
        began = time.monotonic()
        wait_for(lambda: lab.table(TABLE) == [])
        assert time.monotonic() - began < 1
        put_box(lab.routers, "udp dport 53 counter")
        assert ask(lab, R) == "" and count_asked(lab) == [False, False]
        lab.client.ip("link del tun0")
        if "default" in routes[0]:
            # What it kept private is held back until somebody gives main a default again.
            time.sleep(0.5)
            assert ask(lab, R) == "" and count_asked(lab) == [False, False]
            lab.client.ip("route add default via 10.1.1.1")
        wait_for(lambda: lab.table(TABLE) == ROUTE)
        assert ask(lab, R) == "eth1"
        remove_boxes(lab)


def test_names_come_before_a_detour_whichever_was_first(named: Lab) -> None:
    watch(named, TWO_UPLINKS)
    pull(named, 0)
    wait_for(lambda: list_leading(named) == PAIR)
    tell_lease(named, "eth1", R)
    wait_for(lambda: list_leading(named) == [RULE, *PAIR])
    assert ask(named, R) == "eth1"
    plug(named, 0)
    wait_for(lambda: list_leading(named) == [RULE])
    pull(named, 0)
    wait_for(lambda: list_leading(named) == [RULE, *PAIR])
    assert ask(named, R) == "eth1"


def test_with_the_last_path_all_of_it_goes(named: Lab) -> None:
    """Also where nobody is left who watches."""
    monitor = watch(named, NAMED)
    monitor.signal(signal.SIGKILL)
    assert list_leading(named) == [RULE] and named.table(TABLE) == ROUTE
    named.ifdown("eth0")
    assert list_leading(named) == [RULE]
    named.ifdown("eth1")
    assert named.rules() == named.table(TABLE) == []
    assert "names" not in named.client.run("ls", "/run/mptcp-hooks")


@pytest.mark.parametrize("take", [
    "ip rule flush protocol mptcp", "ip route flush table 20000",
    "rm /run/mptcp-hooks/names; ip route flush table 20000"])
def test_what_somebody_takes_away_is_put_back(named: Lab, take: str) -> None:
    watch(named, NAMED)
    named.client.run("sh", "-c", take)
    wait_for(lambda: (list_leading(named), named.table(TABLE)) == ([RULE], ROUTE))
    assert ask(named, R) == "eth1"


def test_a_table_that_is_somebody_elses_is_left_to_him(named: Lab) -> None:
    named.client.ip("link set eth0 up", f"route add 192.0.2.0/24 dev eth0 table {TABLE}")
    monitor = watch(named, NAMED)
    assert list_leading(named) == []
    assert any("table 20000 has IPv4 routes of somebody else" in one
               for one in monitor.read_words())
    assert ask(named, R) == "eth0"


def test_a_wrong_resolver_is_said_with_file_and_line_and_the_rest_works(named: Lab) -> None:
    monitor = watch(named, TWO_UPLINKS + f"    dns-nameservers 255.255.255.255 10.1.2.255 {R}\n")
    done = named.client.try_run("mptcp_up", "--check")
    one = "an address that one host can have"
    assert done.returncode == 2 and done.stderr.splitlines() == [
        "mptcp_up: /etc/network/interfaces:8: eth1: dns-nameservers '255.255.255.255' is wrong: it "
        f"must be {one}",
        "mptcp_up: /etc/network/interfaces:8: eth1: dns-nameservers '10.1.2.255' is wrong: it "
        f"must be {one}, and this one is all of 10.1.2.0/24"]
    # Which costs no path, and is said in the journal once.
    assert len(named.endpoints()) == 2
    assert named.table(TABLE) == ROUTE and ask(named, R) == "eth1"
    pull(named, 0)
    monitor.rest()
    assert sum("dns-nameservers" in line for line in monitor.read_words()) == 2


def test_connections_to_a_resolver_leave_by_its_uplink_too(named: Lab) -> None:
    """DNS over TCP and TLS; what is bound to an address leaves by that one's own uplink."""
    watch(named, NAMED)
    assert route_get(named, R)["prefsrc"] == "10.1.2.2"
    assert route_get(named, R, "from", "10.1.1.2")["dev"] == "eth0"
    assert route_get(named, SERVER_4)["dev"] == "eth0"
