# SPDX-License-Identifier: GPL-2.0-or-later
"""New connections that are bound to nothing find a way while an uplink is out."""

from __future__ import annotations

import re
import signal
import sys
import time
from collections.abc import Callable, Iterator

import pytest

from tests.lab.support.boxes import block, remove_boxes
from tests.lab.support.dhcp import CLIENTS, TWO_DHCP, keep_only, list_defaults, list_rules
from tests.lab.support.lab import SERVER_4, SERVER_6, TWO_UPLINKS, TWO_UPLINKS_6, Lab
from tests.lab.support.making import MakeLab
from tests.lab.support.monitor import Monitor
from tests.lab.support.newcomer import (
    PORT,
    add_peers,
    answer_over,
    begin_waiting,
    connect,
    receive,
    wait_for_way,
)
from tests.lab.support.paths import list_detours, plug, pull, route_get
from tests.lab.support.provider import SERVICES, with_providers
from tests.lab.support.status import find
from tests.lab.support.waiting import wait_for

METRICS = TWO_UPLINKS.replace("mptcp-gateway 10.1.2.1", "gateway 10.1.2.1\n    metric 100")
DHCP_METRICS = """\
auto eth0 eth1
iface eth0 inet dhcp
    metric 100
iface eth1 inet dhcp
    metric 200
"""
AUTO = "auto eth0 eth1\niface eth0 inet6 auto\niface eth1 inet6 auto\n"
# What stands before main and behind it.
PAIR = ["32765: not from all fwmark 0xffffffff lookup main suppress_prefixlength 0 proto mptcp",
        "32765: from all lookup 20003 proto mptcp"]


def write_stanza(uplink: int, family: int, gateway: str = "gateway") -> str:
    """A static stanza of eth0 or eth1, with the option that has its gateway."""
    number = uplink + 1
    if family == 4:
        return (f"iface eth{uplink} inet static\n    address 10.1.{number}.2/24\n"
                f"    {gateway} 10.1.{number}.1\n")
    return (f"iface eth{uplink} inet6 static\n    address fd00:{number}::2/64\n"
            f"    {gateway} fd00:{number}::1\n    dad-attempts 0\n")


def bring_up_by(client: str, make_lab: MakeLab, interfaces: str = TWO_DHCP) -> Lab:
    """Two uplinks that a DHCP client, of CLIENTS, brings up."""
    lab, *providers = with_providers(make_lab(CLIENTS[client], routers=SERVICES))
    keep_only(lab, client)
    for provider in providers:
        provider.serve_dhcp()
    lab.set_interfaces(interfaces)
    lab.ifup("-a")
    return lab


@pytest.fixture(params=[
    *map(pytest.param, ("static", "dhcp", "static6", "advertised")),
    *(pytest.param(kind, marks=pytest.mark.long)
      for kind in ("metrics", "dhcp-metrics", "dhcpcd"))])
def uplinks(request: pytest.FixtureRequest, make_lab: MakeLab) -> Iterator[tuple[Lab, int]]:
    """Two uplinks that main leads to as their kind has it, and their family."""
    kind: str = request.param
    if kind.startswith("dhcp"):
        lab = bring_up_by("dhcpcd" if kind == "dhcpcd" else "dhclient", make_lab,
                          DHCP_METRICS if kind == "dhcp-metrics" else TWO_DHCP)
    else:
        lab = make_lab(routers=SERVICES if kind == "advertised" else ("nftables",))
        for provider in with_providers(lab)[1:] if kind == "advertised" else ():
            provider.advertise()
        lab.set_interfaces({"static": TWO_UPLINKS, "metrics": METRICS, "static6": TWO_UPLINKS_6,
                            "advertised": AUTO}[kind])
        lab.ifup("-a")
    family = 6 if kind in ("static6", "advertised") else 4
    with receive(lab):
        yield lab, family


def test_a_cable_that_is_pulled(uplinks: tuple[Lab, int]) -> None:
    lab, family = uplinks
    Monitor(lab)
    wait_for(lambda: len(lab.endpoints()) == 2)
    first = connect(lab, family).uplink
    assert first is not None
    pull(lab, first)
    wait_for_way(lab, 1 - first, family)


def test_ifdown(uplinks: tuple[Lab, int]) -> None:
    """At once, and without the monitor, but where nobody else tells of what routers advertise."""
    lab, family = uplinks
    watched = "inet6 auto" in lab.read("/etc/network/interfaces")
    if watched:
        Monitor(lab)
    wait_for(lambda: len(lab.endpoints()) == 2)
    first = connect(lab, family).uplink
    assert first is not None
    lab.ifdown(f"eth{first}")
    if watched:
        wait_for_way(lab, 1 - first, family)
    assert connect(lab, family, within=1).uplink == 1 - first
    lab.ifup(f"eth{first}")
    wait_for(lambda: connect(lab, family, within=1).uplink is not None)


@pytest.fixture
def up(lab: Lab) -> Iterator[Lab]:
    """Two static uplinks, of which main knows the first."""
    lab.set_interfaces(TWO_UPLINKS)
    lab.ifup("-a")
    with receive(lab):
        yield lab


@pytest.mark.parametrize("family", [4, pytest.param(6, marks=pytest.mark.long)])
def test_the_first_uplink_has_new_connections_again_ten_seconds_after_it_is_back(
    lab: Lab, family: int
) -> None:
    lab.set_interfaces(TWO_UPLINKS if family == 4 else TWO_UPLINKS_6)
    lab.ifup("-a")
    monitor = Monitor(lab)
    with receive(lab):
        pull(lab, 0)
        wait_for(lambda: list_detours(lab, family))
        monitor.rest()
        assert set(find(lab)) == {("broken", "no-carrier", "eth0"), ("note", "no-way-out", "eth0")}
        assert re.search(r"eth0 +no carrier for [0-9.]+ s .*no: no carrier\n",
                         lab.client.try_run("mptcp_status").stdout)
        plug(lab, 0)
        time.sleep(5)
        assert connect(lab, family).uplink == 1
        wait_for(lambda: connect(lab, family).uplink == 0)
        assert list_detours(lab, family) == []
        wait_for(lambda: tells_alive(monitor, family))
        assert find(lab) == ()


@pytest.fixture
def dhcpcd(make_lab: MakeLab) -> Iterator[Lab]:
    """Two uplinks of dhcpcd's, both with a default route in main."""
    lab = bring_up_by("dhcpcd", make_lab)
    Monitor(lab)
    wait_for(lambda: len(lab.endpoints()) == 2)
    with receive(lab):
        yield lab


@pytest.mark.long
def test_dhcpcd_takes_the_route_of_an_uplink_away_that_has_no_carrier(dhcpcd: Lab) -> None:
    defaults = dhcpcd.client.ask("route", "show", "default")
    # What it gives to devices without a radio, where a stanza has no metric.
    assert [row["metric"] - dhcpcd.ifindex(row["dev"]) for row in defaults] == [1000, 1000]
    assert connect(dhcpcd).uplink == 0
    pull(dhcpcd, 0)
    wait_for_way(dhcpcd, 1)
    wait_for(lambda: list_defaults(dhcpcd) == ["eth1"])
    # Main leads there by itself.
    wait_for(lambda: not list_detours(dhcpcd))
    assert connect(dhcpcd).uplink == 1


@pytest.mark.long
def test_dhcpcd_brings_back_an_uplink_that_has_a_carrier_again(dhcpcd: Lab) -> None:
    before = sorted(dhcpcd.rules())
    pull(dhcpcd, 0)
    # It has no address any more.
    wait_for(lambda: list_rules(dhcpcd, "10.1.1.50", "eth0") == [])
    plug(dhcpcd, 0)
    wait_for(lambda: connect(dhcpcd).uplink == 0)
    wait_for(lambda: sorted(dhcpcd.rules()) == before)


@pytest.mark.parametrize("out", [0, 1])
def test_uplinks_of_one_family_each_are_no_way_out_for_each_other(lab: Lab, out: int) -> None:
    """eth0 has IPv4 alone and eth1 IPv6 alone; main leads to both."""
    lab.set_interfaces(f"auto eth0 eth1\n{write_stanza(0, 4)}{write_stanza(1, 6)}")
    lab.ifup("-a")
    Monitor(lab)
    before = lab.rules(4), lab.rules(6)
    lost, kept = (4, 6) if out == 0 else (6, 4)
    with receive(lab):
        pull(lab, out)
        wait_for(lambda: len(lab.endpoints()) == 1)
        # No rule is to come in that time.
        time.sleep(0.5)
        assert (lab.rules(4), lab.rules(6)) == before
        assert connect(lab, lost, within=1).uplink is None
        assert connect(lab, kept).uplink == 1 - out
        plug(lab, out)
        wait_for(lambda: len(lab.endpoints()) == 2)
        assert connect(lab, lost).uplink == out
    assert (lab.rules(4), lab.rules(6)) == before


@pytest.fixture(params=[4, 6])
def mixed(request: pytest.FixtureRequest, lab: Lab) -> Iterator[tuple[Lab, int]]:
    """eth0 has both families, and main's defaults; eth1 has this family alone."""
    family: int = request.param
    lab.set_interfaces(f"auto eth0 eth1\n{write_stanza(0, 4)}{write_stanza(0, 6)}"
                       f"{write_stanza(1, family, 'mptcp-gateway')}")
    lab.ifup("-a")
    with receive(lab):
        yield lab, family


def test_an_uplink_of_one_family_is_a_way_out_in_that_family_alone(
    mixed: tuple[Lab, int]
) -> None:
    lab, family = mixed
    other = 10 - family
    Monitor(lab)
    assert [connect(lab, one).uplink for one in (4, 6)] == [0, 0]
    before = lab.rules(other)
    pull(lab, 0)
    wait_for_way(lab, 1, family)
    assert connect(lab, other, within=1).uplink is None
    assert len(list_detours(lab, family)) == 2 and lab.rules(other) == before
    lab.ifdown("eth0")
    wait_for(lambda: list_detours(lab, family) == lab.rules(other) == [])
    assert connect(lab, family).uplink == 1
    assert connect(lab, other, within=1).uplink is None
    lab.ifdown("eth1")
    assert lab.rules(4) == lab.rules(6) == []


@pytest.mark.long
def test_an_uplink_of_both_families_is_back_in_both(mixed: tuple[Lab, int]) -> None:
    lab, family = mixed
    Monitor(lab)
    before = lab.rules(4), lab.rules(6)
    pull(lab, 0)
    wait_for(lambda: list_detours(lab, family))
    plug(lab, 0)
    # In the family in which there is no other way it does not have to prove itself.
    wait_for(lambda: connect(lab, 10 - family).uplink == 0, 5)
    assert connect(lab, family).uplink == 1
    wait_for(lambda: connect(lab, family).uplink == 0)
    assert (lab.rules(4), lab.rules(6)) == before


def test_both_out_and_each_of_them_back(up: Lab) -> None:
    Monitor(up)
    before = up.rules()
    for uplink in (0, 1):
        pull(up, uplink)
    wait_for(lambda: not up.endpoints())
    time.sleep(0.5)
    assert up.rules() == before
    plug(up, 1)
    wait_for(lambda: list_detours(up) == PAIR)
    assert connect(up).uplink == 1
    plug(up, 0)
    wait_for(lambda: up.rules() == before)
    assert connect(up).uplink == 0


def test_what_is_forwarded_for_a_lan_finds_the_way_too(up: Lab) -> None:
    Monitor(up)
    pull(up, 0)
    wait_for(lambda: list_detours(up) == PAIR)
    up.client.ip("link add lan0 type veth peer name lan1", "link set lan1 up",
                 "addr add 192.0.2.1/24 dev lan0", "link set lan0 up")
    up.client.run("sh", "-c", "echo 1 >/proc/sys/net/ipv4/ip_forward")
    way = route_get(up, SERVER_4, "from", "192.0.2.7", "iif", "lan0")
    assert (way["dev"], way["gateway"]) == ("eth1", "10.1.2.1")


@pytest.mark.parametrize("options, gone", [
    ("mptcp-way-out off", []), ("mptcp-flags subflow backup", ["32769"])])
def test_what_a_stanza_says(lab: Lab, options: str, gone: list[str]) -> None:
    lab.set_interfaces(f"{TWO_UPLINKS}    {options}\n")
    lab.ifup("-a")
    Monitor(lab)
    assert [rule.partition(":")[0] for rule in lab.rules() if rule.startswith("3276")] == [
        "32768", *gone]
    with receive(lab):
        pull(lab, 0)
        wait_for(lambda: not [one for one in lab.endpoints() if "eth0" in one])
        time.sleep(0.5)
        assert connect(lab, within=2).uplink == (1 if gone else None)


def test_with_the_configuration_nobody_has_a_way_out(lab: Lab) -> None:
    lab.write("/etc/mptcp-hooks/mptcp-hooks.conf",
              "[default]\nway-out = off\n[eth1]\nway-out = on\n")
    lab.set_interfaces(TWO_UPLINKS)
    lab.ifup("-a")
    assert [rule for rule in lab.rules() if rule.startswith("3276")] == [
        "32768: from all lookup 20003 proto mptcp"]


@pytest.mark.parametrize("end", [
    lambda lab, monitor: monitor.signal(signal.SIGKILL),
    lambda lab, monitor: lab.client.run("ip", "rule", "flush", "protocol", "mptcp")],
    ids=["killed", "flushed"])
def test_what_is_left_of_a_switch_is_made_right(
    up: Lab, end: Callable[[Lab, Monitor], object]
) -> None:
    monitor = Monitor(up)
    pull(up, 0)
    wait_for(lambda: list_detours(up) == PAIR)
    end(up, monitor)
    if monitor.is_running():
        wait_for(lambda: list_detours(up) == PAIR)
        return
    plug(up, 0)
    time.sleep(0.5)
    assert list_detours(up) == PAIR
    Monitor(up)
    assert list_detours(up) == []


def test_with_the_last_path_all_of_it_goes(up: Lab) -> None:
    """Also where nobody is left who watches."""
    monitor = Monitor(up)
    pull(up, 0)
    wait_for(lambda: list_detours(up) == PAIR)
    monitor.signal(signal.SIGKILL)
    up.ifdown("-a")
    assert up.rules() == [] and "detours" not in up.client.run("ls", "/run/mptcp-hooks")


def test_a_tunnel_that_had_the_default_and_died(up: Lab) -> None:
    """What it kept private does not leave in clear until somebody gives main a default again."""
    Monitor(up)
    up.client.ip("tuntap add tun0 mode tun", "addr add 10.9.0.2 peer 10.9.0.1 dev tun0",
                 "link set tun0 up", "route replace default via 10.9.0.1")
    wait_for(lambda: list_detours(up) == ["32767: from all unreachable proto mptcp"])
    up.client.ip("link del tun0")
    time.sleep(0.5)
    assert connect(up, within=1).uplink is None
    assert find(up) == (("broken", "no-way-out", None),)
    up.client.ip("route add default via 10.1.1.1")
    wait_for(lambda: list_detours(up) == [])
    assert connect(up).uplink == 0 and find(up) == ()


def test_a_restart_leads_past_a_tunnel_that_died(up: Lab) -> None:
    """As mptcp_status advises where nobody starts it again."""
    monitor = Monitor(up)
    up.client.ip("tuntap add tun0 mode tun", "addr add 10.9.0.2 peer 10.9.0.1 dev tun0",
                 "link set tun0 up", "route replace default via 10.9.0.1")
    wait_for(lambda: list_detours(up) == ["32767: from all unreachable proto mptcp"])
    up.client.ip("link del tun0")
    wait_for(lambda: find(up) == (("broken", "no-way-out", None),))
    assert "start the tunnel again, or 'service mptcp-hooks restart'" in up.client.try_run(
        "mptcp_status").stdout
    # What the unit does then.
    assert monitor.stop() == 0
    up.client.run("mptcp_monitor", "--stopped")
    Monitor(up)
    assert connect(up).uplink is not None and find(up) == ()


def test_what_a_dead_tunnel_kept_private_outlives_the_last_path(up: Lab) -> None:
    """Those that come next may find no default in main either; without a monitor it goes."""
    monitor = Monitor(up)
    up.client.ip("tuntap add tun0 mode tun", "addr add 10.9.0.2 peer 10.9.0.1 dev tun0",
                 "link set tun0 up", "route replace default via 10.9.0.1")
    wait_for(lambda: list_detours(up) == ["32767: from all unreachable proto mptcp"])
    up.client.ip("link del tun0")
    up.client.run("mptcp_down", "--all")
    up.client.run("mptcp_up", "--all")
    time.sleep(0.5)
    assert list_detours(up) == ["32767: from all unreachable proto mptcp"]
    assert connect(up, within=1).uplink is None
    monitor.signal(signal.SIGKILL)
    up.client.run("mptcp_down", "--all")
    assert up.rules() == [] and "detours" not in up.client.run("ls", "/run/mptcp-hooks")


def tells_alive(monitor: Monitor, family: int) -> bool:
    return any(re.fullmatch(r"eth0: alive again after [0-9.]+ s: new connections over "
                            f"IPv{family} leave by it", one) for one in monitor.read_words())


def silence_gateway(lab: Lab, uplink: int) -> None:
    """Have a router be deaf and mute on a link whose carrier stays."""
    lab.routers[uplink].run("nft", "add table netdev mute")
    for hook in ("ingress", "egress"):
        lab.routers[uplink].run("nft", f"add chain netdev mute {hook}s {{ type filter hook {hook} "
                                "device lan priority 0; policy drop; }")


@pytest.mark.parametrize("family", [4, pytest.param(6, marks=pytest.mark.long)])
def test_a_gateway_that_falls_silent_under_its_carrier(make_lab: MakeLab, family: int) -> None:
    lab = make_lab(routers=("nftables",))
    lab.set_interfaces(TWO_UPLINKS if family == 4 else TWO_UPLINKS_6)
    lab.ifup("-a")
    monitor = Monitor(lab)
    with receive(lab):
        assert connect(lab, family).uplink == 0
        silence_gateway(lab, 0)
        # The first sign is somebody who waits, and sends again after a second.
        begin_waiting(lab, SERVER_4 if family == 4 else SERVER_6)
        wait_for(lambda: list_detours(lab, family))
        assert connect(lab, family, within=1).uplink == 1
        assert len(lab.endpoints()) == 1
        gateway = "10.1.1.1" if family == 4 else "fd00:1::1"
        wait_for(lambda: any(one.startswith(f"eth0: gateway {gateway} silent after ")
                             for one in monitor.read_words()))
        assert (f"eth0: gateway {gateway} silent: new connections over IPv{family} leave by eth1"
                in monitor.read_words())
        assert set(find(lab)) == {("broken", "gateway-silent", "eth0"),
                                  ("note", "no-way-out", "eth0")}
        assert re.search(r"eth0 +gateway silent for [0-9.]+ s .*no: gateway silent\n",
                         lab.client.try_run("mptcp_status").stdout)
        lab.routers[0].run("nft", "flush", "ruleset")
        wait_for(lambda: len(lab.endpoints()) == 2)
        wait_for(lambda: connect(lab, family).uplink == 0)
        assert list_detours(lab, family) == []
        wait_for(lambda: tells_alive(monitor, family))
        assert find(lab) == ()


def test_a_provider_that_is_dead_behind_its_gateway(make_lab: MakeLab) -> None:
    """Nobody asked for a check: it is those that wait who tell."""
    lab = make_lab(routers=("nftables",))
    lab.set_interfaces(TWO_UPLINKS)
    lab.ifup("-a")
    monitor = Monitor(lab)
    peers = add_peers(lab)
    with receive(lab):
        assert connect(lab).uplink == 0
        block(lab, 0, "drop")
        waiting = [begin_waiting(lab, peer) for peer in peers]
        wait_for(lambda: list_detours(lab) == PAIR)
        assert connect(lab).uplink == 1
        # It may be wrong: running connections keep their endpoint.
        assert len(lab.endpoints()) == 2
        assert "eth0: connections over 10.1.1.2 wait, for several peers, and none answers" in (
            monitor.read_words())
        assert set(find(lab)) == {("note", "suspected", "eth0"), ("note", "no-way-out", "eth0")}
        for one in waiting:
            one.kill()
        remove_boxes(lab)
        answer_over(lab, "10.1.1.2")
        wait_for(lambda: connect(lab).uplink == 0)


def test_where_notice_is_off_nobody_is_suspected_until_it_is_on(make_lab: MakeLab) -> None:
    lab = make_lab(routers=("nftables",))
    lab.set_interfaces(TWO_UPLINKS)
    lab.ifup("-a")
    lab.write("/etc/mptcp-hooks/mptcp-hooks.conf", "[default]\nnotice = off\n")
    monitor = Monitor(lab)
    peers = add_peers(lab)
    with receive(lab):
        block(lab, 0, "drop")
        waiting = [begin_waiting(lab, peer) for peer in peers]
        # Twice as long as it takes where it is on.
        time.sleep(8)
        assert list_detours(lab) == []
        assert "suspected" not in {kind for _, kind, _ in find(lab)}
        lab.write("/etc/mptcp-hooks/mptcp-hooks.conf", "")
        monitor.signal(signal.SIGHUP)
        wait_for(lambda: list_detours(lab) == PAIR)
        assert connect(lab).uplink == 1
        for one in waiting:
            one.kill()


def test_a_gateway_that_was_silent_before_an_idle_link_is_used(make_lab: MakeLab) -> None:
    """A datagram is all that is sent, as a resolver does; nobody hears whether it arrived."""
    lab = make_lab(routers=("nftables",))
    lab.set_interfaces(TWO_UPLINKS)
    lab.ifup("-a")
    Monitor(lab)
    with receive(lab):
        assert connect(lab).uplink == 0
        silence_gateway(lab, 0)
        (row,) = lab.client.ask("neigh", "show", "10.1.1.1")
        lab.client.ip(f"neigh replace 10.1.1.1 lladdr {row['lladdr']} dev eth0 nud stale")
        time.sleep(2)
        assert len(lab.endpoints()) == 2
        lab.client.run(sys.executable, "-c", "import socket; socket.socket(socket.AF_INET, "
                       f"socket.SOCK_DGRAM).sendto(b'', ('{SERVER_4}', 53))")
        wait_for(lambda: list_detours(lab) == PAIR)
        assert connect(lab).uplink == 1


@pytest.mark.long
def test_a_gateway_that_never_answers_and_one_who_sends_all_the_time(make_lab: MakeLab) -> None:
    """Each packet after a failure begins a new question: the failure itself is hardly seen."""
    lab = make_lab(routers=("nftables",))
    lab.set_interfaces(TWO_UPLINKS)
    lab.ifup("-a")
    Monitor(lab)
    silence_gateway(lab, 0)
    began = time.monotonic()
    lab.client.start(sys.executable, "-c", "import socket, time\n"
                     "sender = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)\n"
                     f"while True: sender.sendto(b'', ('{SERVER_4}', 53)); time.sleep(0.05)")
    wait_for(lambda: list_detours(lab) == PAIR)
    assert time.monotonic() - began < 6.5


@pytest.mark.long
def test_a_silent_gateway_of_a_path_whose_endpoint_is_anothers(make_lab: MakeLab) -> None:
    """New connections do not leave by it, and do again when it answers."""
    lab = make_lab(routers=("nftables",))
    lab.client.ip("mptcp endpoint add 10.1.1.2 dev eth0 subflow")
    lab.set_interfaces(TWO_UPLINKS)
    lab.ifup("-a")
    monitor = Monitor(lab)
    with receive(lab):
        assert connect(lab).uplink == 0
        silence_gateway(lab, 0)
        lab.client.start(sys.executable, "-c", "import socket\n"
                         f"socket.create_connection(('{SERVER_4}', {PORT}), 60)")
        wait_for(lambda: list_detours(lab) == PAIR)
        assert len(lab.endpoints()) == 2
        lab.routers[0].run("nft", "flush", "ruleset")
        wait_for(lambda: list_detours(lab) == [])
        assert connect(lab).uplink == 0
        # It is not ours that was taken away, or came back.
        assert not any("endpoint" in one or "back after" in one for one in monitor.read_words())
