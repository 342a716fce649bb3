# SPDX-License-Identifier: GPL-2.0-or-later
"""Tunnels that new connections leave by: nothing leaves beside them, and uplinks answer."""

from __future__ import annotations

import signal
from collections.abc import Callable
from typing import NamedTuple

import pytest

from mptcp_hooks.base.numbering import FIRST_PREFERENCE, PREFERENCE_AT_MOST
from mptcp_hooks.machine.counters import read_counters
from tests.lab.support.boxes import put_box, read_netstat
from tests.lab.support.lab import SERVER_4, TWO_UPLINKS, Lab
from tests.lab.support.making import MakeLab
from tests.lab.support.monitor import Monitor
from tests.lab.support.openvpn import OPENVPN, OpenVpn
from tests.lab.support.paced import Stream
from tests.lab.support.paths import answers, check_both_paths, list_detours, pull, route_get
from tests.lab.support.status import ask, find, list_findings
from tests.lab.support.stream import stream, wait_for_subflows
from tests.lab.support.tunnel import WIREGUARD, Tunnel, wait_for_tunnel
from tests.lab.support.waiting import wait_for

CONFIGURATION = "/etc/mptcp-hooks/mptcp-hooks.conf"
KEPT = ("note", "tunnel", None)
# Transfers go there.
PORT, STREAM_PORT = 5001, 5002


class TailscaleLike:
    """WireGuard's wg0 with the rules of a Tailscale that has an exit node.

    What it has marked goes by main, and all else by table 52 (wgengine/router/router_linux.go).
    """

    RULES = ("5210 fwmark 0x80000/0xff0000 lookup main",
             "5230 fwmark 0x80000/0xff0000 lookup default",
             "5250 fwmark 0x80000/0xff0000 unreachable", "5270 lookup 52")

    def __init__(self, lab: Lab) -> None:
        self._client = lab.client
        self._tunnel = Tunnel(lab, "Table=off", "FwMark=0x80000")

    def up(self) -> None:
        self._tunnel.up()
        for family in (4, 6):
            self._client.ip(f"-{family} route add default dev wg0 table 52",
                            *(f"-{family} rule add pref {rule}" for rule in self.RULES))

    def down(self) -> None:
        for family in (4, 6):
            self._client.ip(*(f"-{family} rule del pref {rule}" for rule in self.RULES))
        self._tunnel.down()


class Vpn(NamedTuple):
    """A VPN, and whether it comes up before the uplinks."""

    name: str
    programs: tuple[str, ...]
    make: Callable[[Lab], Tunnel | TailscaleLike | OpenVpn]
    device: str
    first: bool = False


VPNS = (
    Vpn("wg-quick after ifup", WIREGUARD, Tunnel, "wg0"),
    Vpn("OpenVPN", OPENVPN, OpenVpn, "tun0"),
    Vpn("wg-quick before ifup", WIREGUARD, Tunnel, "wg0", True),
    Vpn("like Tailscale", WIREGUARD, TailscaleLike, "wg0"),
)


def count_in_clear(lab: Lab) -> list[int]:
    """How many packets of transfers each router has forwarded."""
    return [int(router.run("nft", "list", "ruleset").partition("counter packets ")[2].split()[0])
            for router in lab.routers]


def have_uplinks(lab: Lab, options: str = "") -> None:
    """Both uplinks, the second one with these options, and a counter on each router."""
    put_box(lab.routers, f"tcp dport {PORT} counter")
    lab.set_interfaces(TWO_UPLINKS + options)
    lab.ifup("-a")


def configure(lab: Lab, line: str, monitor: Monitor | None = None) -> None:
    lab.write(CONFIGURATION, f"[default]\n{line}\n")
    if monitor:
        monitor.signal(signal.SIGHUP)


def is_kept(lab: Lab) -> bool:
    """Whether connections that begin now get no subflow."""
    return lab.limits() == "add_addr_accepted 0 subflows 0"


@pytest.mark.parametrize("vpn", [
    VPNS[0], VPNS[1], *(pytest.param(one, marks=pytest.mark.long) for one in VPNS[2:])],
    ids=[vpn.name for vpn in VPNS])
def test_nothing_of_new_connections_leaves_beside_a_tunnel_and_uplinks_answer(
    make_lab: MakeLab, vpn: Vpn
) -> None:
    lab = make_lab(*vpn.programs, server=vpn.programs, routers=("nftables",))
    tunnel = vpn.make(lab)
    configure(lab, "answer = yes")
    if vpn.first:
        tunnel.up()
    have_uplinks(lab)
    before = lab.rules()
    Monitor(lab)
    if vpn.first:
        check_in_the_tunnel(lab, vpn)
        tunnel.down()
        wait_for(lambda: not is_kept(lab))
    with stream(lab, STREAM_PORT):
        wait_for_subflows(lab, 2)
        if not vpn.first:
            tunnel.up()
            check_in_the_tunnel(lab, vpn)
            # What runs goes on beside it, over both.
            during = lab.count_sent()
            wait_for(lambda: all(now > then + 1_000_000
                                 for now, then in zip(lab.count_sent(), during)))
            wait_for_subflows(lab, 2)
            tunnel.down()
            wait_for(lambda: not is_kept(lab) and lab.rules() == before)
        # It has not stopped, nor has it lost a path.
        sent = sum(lab.count_sent())
        wait_for(lambda: sum(lab.count_sent()) > sent + 1_000_000)
        wait_for_subflows(lab, 2)
    assert find(lab) == ()
    check_both_paths(lab)
    assert min(count_in_clear(lab)) > 0


@pytest.mark.parametrize("bounced", [("eth0",), ("eth0", "eth1"), ()])
def test_nothing_of_what_runs_in_a_tunnel_leaves_beside_it_when_an_uplink_comes(
    make_lab: MakeLab, bounced: tuple[str, ...]
) -> None:
    """All uplinks go and come back, or the first of ours comes beside one that is not."""
    lab = make_lab(*WIREGUARD, server=WIREGUARD, routers=("nftables",))
    tunnel = Tunnel(lab)
    put_box(lab.routers, f"tcp dport {STREAM_PORT} counter")
    lab.set_interfaces(TWO_UPLINKS)
    Monitor(lab)
    if bounced:
        lab.ifup(*bounced)
    else:
        lab.client.ip("link set eth0 up", "addr add 10.1.1.2/24 dev eth0",
                      "route add default via 10.1.1.1")
    tunnel.up()
    wait_for_tunnel(lab)
    wait_for(lambda: "tunnels" in lab.client.run("ls", "/run/mptcp-hooks").split())
    # The tunnel is on record first, and then its limits are set.
    wait_for(lambda: not bounced or is_kept(lab))
    with stream(lab, STREAM_PORT):
        wait_for(lambda: count_in_tunnel(lab) > 100_000)
        if bounced:
            lab.client.run("ifdown", *bounced)
        for iface in bounced or ("eth1",):
            lab.ifup(iface)
            assert is_kept(lab)
        assert len(lab.endpoints()) == max(1, len(bounced))
        # It goes on, in the tunnel.
        sent = count_in_tunnel(lab)
        wait_for(lambda: count_in_tunnel(lab) > sent + 500_000)
        assert count_in_clear(lab) == [0, 0]
    tunnel.down()
    wait_for(lambda: not is_kept(lab))


def count_in_tunnel(lab: Lab) -> int:
    """How many bytes have left by it."""
    return int(lab.client.run("cat", "/sys/class/net/wg0/statistics/tx_bytes"))


def check_in_the_tunnel(lab: Lab, vpn: Vpn) -> None:
    """New connections are in it as a whole, uplinks answer beside it, and it is told."""
    wait_for(lambda: is_kept(lab))
    if vpn.device == "wg0":
        wait_for_tunnel(lab)
    assert route_get(lab, SERVER_4)["dev"] == vpn.device
    assert lab.transfer(2_000_000).whole
    assert count_in_clear(lab) == [0, 0]
    wait_for(lambda: find(lab) == (KEPT,))
    (told,) = list_findings(lab)
    assert f"leave by {vpn.device}," in told["text"] and "'vpn = beside'" in told["remedy"]
    assert answers(lab, "10.1.1.2") and answers(lab, "10.1.2.2")


def test_whoever_wants_it_uses_all_paths_beside_a_tunnel(make_lab: MakeLab) -> None:
    lab = make_lab(*OPENVPN, server=OPENVPN, routers=("nftables",))
    tunnel = OpenVpn(lab)
    have_uplinks(lab)
    tunnel.up()
    # Nobody sees to it yet, and that is told.
    (told,) = list_findings(lab)
    assert told["kind"] == "tunnel" and "service mptcp-hooks start" in told["remedy"]
    monitor = Monitor(lab)
    assert is_kept(lab)
    configure(lab, "vpn = beside", monitor)
    wait_for(lambda: not is_kept(lab))
    assert find(lab) == ()
    assert lab.transfer(2_000_000).whole and min(count_in_clear(lab)) > 0
    configure(lab, "", monitor)
    wait_for(lambda: is_kept(lab))
    monitor.stop()
    lab.client.run("mptcp_monitor", "--stopped")
    assert lab.limits() == "add_addr_accepted 8 subflows 8"


def test_through_a_tunnel_no_peer_is_told_of_an_address(make_lab: MakeLab) -> None:
    lab = make_lab(*WIREGUARD, server=WIREGUARD, routers=("nftables",))
    tunnel = Tunnel(lab)
    have_uplinks(lab, "    mptcp-flags signal\n")
    endpoints = lab.endpoints()
    Monitor(lab)
    tunnel.up()
    wait_for(lambda: is_kept(lab) and lab.endpoints() == ["10.1.1.2 eth0 subflow"])
    wait_for_tunnel(lab)
    before = count_told(lab)
    assert lab.transfer(1_000_000).whole and count_told(lab) == before
    tunnel.down()
    wait_for(lambda: sorted(lab.endpoints()) == sorted(endpoints))
    assert lab.transfer(1_000_000).whole and count_told(lab) > before


def test_what_is_to_be_signalled_from_now_on_is_once_the_tunnel_is_down(make_lab: MakeLab) -> None:
    """A stanza gets the flag while a connection from before the tunnel is alive."""
    lab = make_lab(*WIREGUARD, server=WIREGUARD, routers=("nftables",))
    tunnel = Tunnel(lab)
    have_uplinks(lab)
    endpoints = lab.endpoints()
    Monitor(lab)
    with stream(lab, STREAM_PORT):
        wait_for_subflows(lab, 2)
        tunnel.up()
        wait_for(lambda: is_kept(lab))
        before = count_told(lab)
        lab.set_interfaces(TWO_UPLINKS + "    mptcp-flags subflow signal\n")
        assert lab.client.run("mptcp_up", "eth1") == ""
        assert lab.endpoints() == endpoints and is_kept(lab)
        assert "not told of 10.1.2.2" in lab.client.try_run("mptcp_up", "-v", "eth1").stderr
        # The endpoint is as it should be, though the stanza says more; wg-quick's rules are told.
        assert {kind for _, kind, _ in find(lab)} == {"shadowed", "tunnel"}
        wait_for_tunnel(lab)
        # Neither a connection that begins now tells it, nor the one that is under way.
        assert lab.transfer(1_000_000).whole and count_in_clear(lab) == [0, 0]
        wait_for_subflows(lab, 2)
        assert count_told(lab) == before
        tunnel.down()
        wait_for(lambda: lab.endpoints() == ["10.1.1.2 eth0 subflow",
                                             "10.1.2.2 eth1 subflow signal"])
        wait_for(lambda: count_told(lab) > before)


def test_beside_a_tunnel_for_ipv6_alone_peers_are_told_of_uplinks_of_ipv4(
    make_lab: MakeLab
) -> None:
    """One of them has an address of a LAN's for IPv6; ifupdown2 calls once for both families."""
    lab = make_lab("ifupdown2")
    lab.client.ip("tuntap add tun0 mode tun", "link set tun0 up",
                  "-6 addr add fd00:77::2/64 dev tun0", "-6 route add default dev tun0")
    lab.set_interfaces("""\
iface eth0
    address 10.1.1.2/24
    gateway 10.1.1.1
iface eth1
    address 10.1.2.2/24
    address fd00:2::2/64
    mptcp-gateway 10.1.2.1
    mptcp-flags subflow signal
""")
    Monitor(lab)
    wait_for(lambda: "tunnels" in lab.client.run("ls", "/run/mptcp-hooks").split())
    before = count_told(lab)
    lab.ifup("eth0", "eth1")
    assert lab.endpoints() == ["10.1.1.2 eth0 subflow", "10.1.2.2 eth1 subflow signal"]
    assert not is_kept(lab)
    assert lab.transfer(1_000_000).whole and count_told(lab) > before


def count_told(lab: Lab) -> int:
    """How many addresses the server was told of."""
    return read_counters(read_netstat(lab.server)).get("AddAddr", 0)


def test_whoever_puts_its_rule_in_front_again_and_again_has_it_there_until_a_reload(
    lab: Lab
) -> None:
    lab.set_interfaces(TWO_UPLINKS)
    lab.ifup("-a")
    configure(lab, "answer = yes")
    monitor = Monitor(lab)
    lab.client.ip("tuntap add tun0 mode tun", "link set tun0 up",
                  "route add default dev tun0 table 100")

    def do_answer() -> bool:
        return [route_get(lab, SERVER_4, "from", f"10.1.{number}.2")["dev"]
                for number in (1, 2)] == ["eth0", "eth1"]

    usual = lab.rules()
    # Not one of these keeps anything from ours.
    harmless = ["pref 90 nop", "pref 91 goto 92", "pref 92 lookup 101", "pref 93 goto 94"]
    lab.client.ip("route add throw default table 101", *(f"rule add {one}" for one in harmless))
    monitor.rest()
    assert lab.rules()[len(harmless):] == usual and do_answer()
    # But what leads past them does.
    lab.client.ip("rule add pref 95 goto 32766")
    assert not do_answer()
    wait_for(do_answer)
    lab.client.ip("rule del pref 95", *(f"rule del {one}" for one in harmless))
    wait_for(lambda: lab.rules() == usual)
    for _ in range(5):
        # Without a preference it is before all that there are.
        lab.client.ip("rule add lookup 100")
        assert not do_answer()
        wait_for(do_answer)
    lab.client.ip("rule add lookup 100")
    said = "table 100: another program keeps putting its rule in front of ours"
    wait_for(lambda: any(said in line for line in monitor.read_words()))
    monitor.rest()
    assert not do_answer() and {kind for _, kind, _ in find(lab)} == {"shadowed", "tunnel"}
    monitor.signal(signal.SIGHUP)
    wait_for(do_answer)
    monitor.stop()
    lab.client.run("mptcp_monitor", "--stopped")
    # A hook leaves them there.
    lab.ifdown("eth1")
    lab.ifup("eth1")
    assert do_answer()


def test_rules_of_uplinks_move_without_a_lost_packet(lab: Lab) -> None:
    lab.set_interfaces(TWO_UPLINKS)
    lab.ifup("-a")
    usual, routes, endpoints = lab.rules(), lab.snapshot(), lab.endpoints()
    # Back, once behind where they were, and once before, as far as either goes.
    for preference in (PREFERENCE_AT_MOST, 1, FIRST_PREFERENCE):
        streams = [Stream(lab, "10.1.2.2", lab.routers[0], "10.1.1.1"),
                   Stream(lab, "10.1.2.2", lab.server, SERVER_4)]
        configure(lab, f"preference = {preference}")
        lab.client.run("mptcp_up", "--all")
        assert find(lab) == ()
        assert lab.rules() == sorted((_move(rule, preference - FIRST_PREFERENCE) for rule in usual),
                                     key=lambda rule: int(rule.partition(":")[0]))
        counts = [stream.count() for stream in streams]
        assert all(sent == came > 100 for sent, came in counts), counts
    assert lab.snapshot() == routes and lab.endpoints() == endpoints
    configure(lab, "preference = 300")
    lab.ifdown("eth1")
    lab.ifup("eth1")
    assert {int(rule.partition(":")[0]) for rule in lab.rules() if "10.1.2.2" in rule} == {
        number + 300 - FIRST_PREFERENCE for number in (20000, 20001, 20002)}


def test_the_pair_before_main_stays_where_it_is(lab: Lab) -> None:
    lab.set_interfaces(TWO_UPLINKS)
    lab.ifup("-a")
    monitor = Monitor(lab)
    pull(lab, 0)
    wait_for(lambda: list_detours(lab))
    before = list_detours(lab)
    configure(lab, "preference = 300", monitor)
    wait_for(lambda: not [rule for rule in lab.rules() if rule.startswith("2000")])
    assert list_detours(lab) == before and lab.transfer(100_000).whole
    assert route_get(lab, SERVER_4)["dev"] == "eth1"


def _move(rule: str, shift: int) -> str:
    preference, _, words = rule.partition(":")
    number = int(preference)
    return f"{number + shift if number < 32000 else number}:{words}"


@pytest.mark.parametrize("wrong", [0, PREFERENCE_AT_MOST + 1, 32766])
def test_a_preference_without_room_is_one_line_and_moves_nothing(lab: Lab, wrong: int) -> None:
    lab.set_interfaces(TWO_UPLINKS)
    lab.ifup("-a")
    usual = lab.rules()
    configure(lab, f"preference = {wrong}")
    for argument in ("--check", "--all"):
        done = lab.client.try_run("mptcp_up", argument)
        assert done.returncode == 2 and done.stderr.count("\n") == 1, done.stderr
        assert f"{CONFIGURATION}:2: preference '{wrong}' is wrong" in done.stderr
    assert lab.rules() == usual


# Of each, what a packet of that kind is asked for by.
SELECTORS = {
    "to 10.99.0.0/24": (), "ipproto tcp": ("ipproto", "tcp"),
    "ipproto tcp dport 443": ("ipproto", "tcp", "dport", "443"),
    "ipproto udp sport 1000-2000": ("ipproto", "udp", "sport", "1500"),
    "uidrange 1000-1999": ("uid", "1500"), "tos 0x10": ("tos", "0x10"),
    "fwmark 0x7/0xff": ("mark", "7"), "from 10.1.0.0/16 to 10.99.0.0/24": (),
}


def test_rules_for_some_packets_that_are_at_odds_with_ours_are_named_with_what_mends_them(
    lab: Lab
) -> None:
    lab.set_interfaces(TWO_UPLINKS)
    lab.ifup("-a")
    lab.client.ip("tuntap add tun0 mode tun", "link set tun0 up",
                  "route add default dev tun0 table 100",
                  "route add default via 10.1.2.1 dev eth1 table 101")
    ordinary = lab.rules()
    for selector, asked in SELECTORS.items():
        way = (SERVER_4, "from", "10.1.1.2", *asked)
        if not selector.startswith("fwmark"):
            # The other uplink's provider would drop it.
            follow_remedy(lab, f"pref 18000 {selector} lookup 101", way, "eth1", "eth0")
        follow_remedy(lab, f"pref 30000 {selector} lookup 100", way, "eth0", "tun0")
    lab.client.ip("rule add pref 18000 fwmark 7 lookup 101", "rule add pref 18001 iif eth1 "
                  "lookup 101", "rule add pref 30001 to 10.99.0.0/24 lookup 101")
    assert find(lab) == ()
    lab.client.ip("rule del pref 18000", "rule del pref 18001", "rule del pref 30001")
    assert lab.rules() == ordinary


def follow_remedy(
    lab: Lab, rule: str, way: tuple[str, ...], wrong: str, right: str
) -> None:
    """A rule leads a packet of the first uplink astray, is named, and is moved as it is told."""
    lab.client.ip(f"rule add {rule}")
    assert route_get(lab, *way)["dev"] == wrong, rule
    named = [one for one in ask(lab)["findings"] if one["kind"] == "partly-shadowed"]
    assert len(named) == 1 and named[0]["interface"] == "eth0", (rule, ask(lab)["findings"])
    (line,) = named[0]["difference"]
    assert line.startswith(f"+ {rule.split()[1]}: from ")
    commands = named[0]["remedy"].partition("'")[2].rpartition("'")[0]
    lab.client.run("sh", "-ec", commands)
    assert route_get(lab, *way)["dev"] == right, rule
    assert find(lab) == (), rule
    moved = commands.partition(" rule add ")[2].partition(" &&")[0]
    lab.client.ip(f"rule del {moved}")
