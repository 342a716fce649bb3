# SPDX-License-Identifier: GPL-2.0-or-later
"""VPNs that take main's default: wg-quick's rules, OpenVPN's halves, what comes of ours."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import pytest

from tests.lab.support.boxes import put_box
from tests.lab.support.lab import (
    SERVER_4,
    SERVER_6,
    TWO_UPLINKS,
    TWO_UPLINKS_6,
    Lab,
)
from tests.lab.support.making import MakeLab
from tests.lab.support.monitor import Monitor
from tests.lab.support.newcomer import PORT, connect, receive
from tests.lab.support.openvpn import OPENVPN, OpenVpn
from tests.lab.support.paced import Stream
from tests.lab.support.paths import (
    answers,
    check_both_paths,
    list_detours,
    plug,
    pull,
    route_get,
    rules_of,
)
from tests.lab.support.status import find
from tests.lab.support.tunnel import WIREGUARD, Tunnel, wait_for_tunnel
from tests.lab.support.uplink import ETH1
from tests.lab.support.waiting import wait_for

# Without a monitor a part of each connection leaves beside the tunnel.
UNKEPT = (("note", "tunnel", None),)
# How the templates say the preference of a rule for sockets bound to a device.
DEVICE_RULE = "{{{{ pref.shared_{0} if path.shared else pref.device_{0} }}}}"
TEMPLATES = "/etc/mptcp-hooks/templates"
# What the server is asked from; no VPN takes what the lab has of IPv6 for the Internet.
INTERNET = "2001:db8:99::1"
# As each says: OpenVPN's manual page on redirect-gateway, its server's usual `push "route-ipv6
# 2000::/3"`, and what it makes of `redirect-gateway ipv6`.
HALVES = ("0.0.0.0/1", "128.0.0.0/1")
PIECES = ("2000::/3", "::/3", "2000::/4", "3000::/4")


def bring_up(lab: Lab) -> None:
    """Both uplinks, with both families."""
    lab.set_interfaces(TWO_UPLINKS + TWO_UPLINKS_6.partition("\n")[2])
    lab.ifup("-a")


def list_expected() -> list[str]:
    """The rules of both uplinks and families, as `ip rule` prints them."""
    return [rule for number in (1, 2) for address, subnet in (
        (f"10.1.{number}.2", f"10.1.{number}.0/24"), (f"fd00:{number}::2", f"fd00:{number}::/64"))
        for rule in rules_of(address, subnet, f"eth{number - 1}", 20001 + number)]


def list_rules(lab: Lab) -> list[str]:
    return [*lab.rules(4), *lab.rules(6)]


def check_tunnel(lab: Lab) -> None:
    """What is bound to nothing goes by the tunnel, and arrives."""
    # Before, SYNs are lost, and the kernel blames a box on the way.
    wait_for_tunnel(lab)
    for server in (SERVER_4, SERVER_6):
        assert route_get(lab, server)["dev"] == "wg0"
        assert lab.transfer(1_000_000, server).whole


def check_tunnel_is_gone(lab: Lab, before: str) -> None:
    """All rules of ours stand, none is another's, and both paths of both families carry."""
    assert lab.snapshot() == before
    assert sorted(list_rules(lab)) == sorted(list_expected())
    # What was lost while the tunnel came stays counted, and may be blamed on a middlebox.
    assert [one for one in find(lab) if one[1] != "middlebox"] == []
    for server in (SERVER_4, SERVER_6):
        check_both_paths(lab, server)


@pytest.fixture
def tunnel_lab(make_lab: MakeLab) -> Lab:
    return make_lab(*WIREGUARD, server=WIREGUARD)


def test_wg_quick_down_takes_its_own_rules_alone_where_it_was_up_before_ifup(
    tunnel_lab: Lab
) -> None:
    lab, tunnel = tunnel_lab, Tunnel(tunnel_lab)
    tunnel.up()
    theirs = list_rules(lab)
    assert len(theirs) == 4
    bring_up(lab)
    before = "\n".join(line for line in lab.snapshot().splitlines() if line not in theirs)
    tunnel.greet()
    check_tunnel(lab)
    # Ours come first: what comes from an uplink's address leaves by that uplink.
    assert find(lab) == UNKEPT
    assert all(answers(lab, own) for own in ("10.1.1.2", "10.1.2.2", "fd00:1::2", "fd00:2::2"))
    tunnel.down()
    check_tunnel_is_gone(lab, before)


def test_wg_quick_down_takes_its_own_rules_alone_where_it_came_up_after_ifup(
    tunnel_lab: Lab
) -> None:
    lab, tunnel = tunnel_lab, Tunnel(tunnel_lab)
    bring_up(lab)
    before = lab.snapshot()
    tunnel.up()
    assert set(list_expected()) < set(list_rules(lab))
    check_tunnel(lab)
    # Its rules come first, and take what comes from an uplink's address as well.
    assert {kind for _, kind, _ in find(lab)} == {"shadowed", "tunnel"}
    tunnel.down()
    check_tunnel_is_gone(lab, before)


def test_wg_quick_comes_and_goes_while_ours_come_and_go(tunnel_lab: Lab) -> None:
    lab, tunnel = tunnel_lab, Tunnel(tunnel_lab)
    nothing = lab.snapshot()
    tunnel.up()
    bring_up(lab)
    tunnel.down()
    before = lab.snapshot()
    tunnel.up()
    lab.ifdown("eth1")
    lab.ifup("eth1")
    tunnel.down()
    check_tunnel_is_gone(lab, before)
    lab.ifdown("-a")
    assert lab.snapshot() == nothing


def test_new_connections_stay_in_the_tunnel_after_mptcp_down(tunnel_lab: Lab) -> None:
    lab, tunnel = tunnel_lab, Tunnel(tunnel_lab)
    tunnel.up()
    bring_up(lab)
    lab.client.run("mptcp_down", "--all")
    tunnel.greet()
    check_tunnel(lab)
    sent = lab.transfer(4_000_000)
    # The tunnel's own packets leave by eth0, as main has it.
    assert sent.whole and sent.uplinks[1] < 10_000
    lab.client.run("mptcp_up", "eth0", "eth1")
    assert set(list_expected()) < set(list_rules(lab))


def have_internet(lab: Lab) -> None:
    """The server's address in 2000::/3, which it asks uplinks from."""
    lab.server.ip(f"-6 addr add {INTERNET}/128 dev lo nodad", *(
        f"-6 route replace fd00:{number}::/64 via fd00:8:{number}::1 src {INTERNET}"
        for number in (1, 2)))
    for number, router in enumerate(lab.routers, start=1):
        router.ip(f"-6 route add {INTERNET} via fd00:8:{number}::2")


def test_a_machine_answers_at_its_uplinks_beside_two_halves_of_a_default(lab: Lab) -> None:
    have_internet(lab)
    bring_up(lab)
    before = lab.snapshot()
    lab.client.ip("tuntap add tun0 mode tun", "link set tun0 up", "addr add 10.3.0.2/24 dev tun0",
                  *(f"route add {half} dev tun0" for half in HALVES),
                  *(f"-6 route add {piece} dev tun0" for piece in PIECES))
    for server in (SERVER_4, INTERNET):
        assert route_get(lab, server)["dev"] == "tun0"
    assert find(lab) == UNKEPT
    assert all(answers(lab, own) for own in ("10.1.1.2", "10.1.2.2", "fd00:1::2", "fd00:2::2"))
    lab.client.ip("link del tun0")
    assert lab.snapshot() == before


def test_routes_that_are_narrower_than_what_vpns_push_stay_with_main(lab: Lab) -> None:
    bring_up(lab)
    lab.client.ip("tuntap add tun0 mode tun", "link set tun0 up",
                  "route add 64.0.0.0/2 dev tun0", "-6 route add 4000::/5 dev tun0")
    assert route_get(lab, "64.0.0.1", "from", "10.1.2.2")["dev"] == "tun0"
    assert route_get(lab, "4000::1", "from", "fd00:2::2")["dev"] == "tun0"


def test_a_machine_answers_at_its_uplinks_beside_openvpn(make_lab: MakeLab) -> None:
    lab = make_lab(*OPENVPN, server=OPENVPN)
    tunnel = OpenVpn(lab)
    bring_up(lab)
    before = lab.snapshot()
    tunnel.up()
    assert find(lab) == UNKEPT
    assert answers(lab, "10.1.1.2") and answers(lab, "10.1.2.2")
    # By the tunnel, and by each uplink beside it.
    assert lab.transfer(1_000_000).whole
    tunnel.down()
    assert lab.snapshot() == before
    check_both_paths(lab)


class Way(NamedTuple):
    """What makes true again what is on record, and what rules of before suppressed, if not as now.
    """

    name: str
    take: Callable[[Lab], object]
    length: str = ""


def run_hooks(lab: Lab) -> None:
    for number in (1, 2):
        four = ETH1 | {"IFACE": f"eth{number - 1}", "IF_ADDRESS": f"10.1.{number}.2",
                       "IF_GATEWAY": f"10.1.{number}.1"}
        six = four | {"ADDRFAM": "inet6", "IF_ADDRESS": f"fd00:{number}::2", "IF_NETMASK": "64",
                      "IF_GATEWAY": f"fd00:{number}::1"}
        for environment in (four, six):
            done = lab.run_hook("if-up.d", environment)
            assert (done.returncode, done.stderr) == (0, "")


WAYS = (Way("hooks", run_hooks, "0"), Way("all", lambda lab: lab.client.run("mptcp_up", "--all")),
        Way("monitor", Monitor))


def be_of_another_version(lab: Lab, length: str) -> None:
    """The templates as they were before, which an administrator may have a copy of."""
    suppress = "{{ suppress[path.family] }}"
    lab.client.run("mkdir", "-p", TEMPLATES)
    for name in ("up.j2", "down.j2"):
        text = lab.read(f"/usr/share/mptcp-hooks/templates/{name}")
        for word, before in ((suppress, length or suppress),
                             (DEVICE_RULE.format("specific"), "20003"),
                             (DEVICE_RULE.format("default"), "20004")):
            assert word in text
            text = text.replace(word, before)
        lab.write(f"{TEMPLATES}/{name}", "".join(
            line for line in text.splitlines(True) if "pref.subnet_" not in line))


def be_as_before(rule: str, length: str) -> str:
    """A rule as it was then; '' of one that there was not."""
    if " iif lo " in rule:
        return ""
    for word, before in (("20005:", "20003:"), ("20006:", "20004:"),
                         ("prefixlength 1", f"prefixlength {length or 1}"),
                         ("prefixlength 4", f"prefixlength {length or 4}")):
        rule = rule.replace(word, before)
    return rule


@pytest.mark.parametrize("way", WAYS, ids=[way.name for way in WAYS])
def test_rules_of_before_are_moved_without_a_lost_packet(lab: Lab, way: Way) -> None:
    be_of_another_version(lab, way.length)
    bring_up(lab)
    old = [rule for one in list_expected() if (rule := be_as_before(one, way.length))]
    assert sorted(list_rules(lab)) == sorted(old)
    assert find(lab) == ()
    endpoints = lab.client.run("ip", "mptcp", "endpoint")
    # The first two go where main knows better: router2 would drop them. A packet that is
    # dropped, or takes another way, is missing.
    streams = [Stream(lab, "10.1.2.2", lab.routers[0], "10.1.1.1"),
               Stream(lab, "fd00:2::2", lab.routers[0], "fd00:1::1"),
               Stream(lab, "10.1.2.2", lab.server, SERVER_4),
               Stream(lab, "fd00:2::2", lab.server, SERVER_6),
               Stream(lab, "%eth1", lab.routers[1], "10.8.2.1"),
               Stream(lab, "%eth1", lab.routers[1], "fd00:8:2::1")]
    lab.client.run("rm", "-r", TEMPLATES)
    way.take(lab)
    assert sorted(list_rules(lab)) == sorted(list_expected())
    counts = [stream.count() for stream in streams]
    assert all(sent == came > 100 for sent, came in counts), counts
    assert sum(sent for sent, _ in counts) > 2000
    assert lab.client.run("ip", "mptcp", "endpoint") == endpoints
    # The hook was told other options than the file has, by this test.
    assert [one for one in find(lab) if one[1] != "edited"] == []


@pytest.mark.parametrize("order, watched", [
    ("uplinks first", True), *(pytest.param(*one, marks=pytest.mark.long) for one in (
        ("tunnel first", True), ("uplinks first", False)))])
def test_nothing_leaves_in_clear_while_a_cable_is_out(
    make_lab: MakeLab, order: str, watched: bool
) -> None:
    """Ours lead past the dead uplink what the tunnel leaves to main: its own packets."""
    lab = make_lab(*WIREGUARD, server=WIREGUARD, routers=("nftables",))
    tunnel = Tunnel(lab)
    for act in (tunnel.up, lambda: bring_up(lab))[::1 if order == "tunnel first" else -1]:
        act()
    if watched:
        Monitor(lab)
    tunnel.greet()
    check_tunnel(lab)
    put_box(lab.routers, f"tcp dport {PORT} counter")
    ours = sorted(rule for rule in list_rules(lab) if "proto mptcp" in rule)
    with receive(lab):
        assert connect(lab).seconds < 5
        pull(lab, 0)
        wait_for(lambda: bool(list_detours(lab)) == watched)
        for _ in range(3):
            assert route_get(lab, SERVER_4)["dev"] == "wg0"
            connect(lab, within=1)
        plug(lab, 0)
        wait_for(lambda: connect(lab, within=5).seconds < 5, 60)
    for router in lab.routers:
        assert "counter packets 0 bytes 0" in router.run("nft", "list", "ruleset")
    tunnel.down()
    # For ten seconds there may be detours.
    detours = [*list_detours(lab, 4), *list_detours(lab, 6)]
    assert sorted(rule for rule in list_rules(lab) if rule not in detours) == ours


@pytest.mark.long
def test_beside_a_tunnel_a_detour_ends_as_it_does_else(tunnel_lab: Lab) -> None:
    lab, tunnel = tunnel_lab, Tunnel(tunnel_lab)
    bring_up(lab)
    Monitor(lab)
    tunnel.up()
    before = list_rules(lab)
    pull(lab, 0)
    wait_for(lambda: list_detours(lab))
    plug(lab, 0)
    wait_for(lambda: list_rules(lab) == before)


def test_a_tunnel_that_comes_and_goes_while_a_cable_is_out(tunnel_lab: Lab) -> None:
    """wg-quick down deletes all rules that read as its own do, and none of ours does."""
    lab, tunnel = tunnel_lab, Tunnel(tunnel_lab)
    bring_up(lab)
    Monitor(lab)
    pull(lab, 0)
    wait_for(lambda: list_detours(lab))
    before = list_rules(lab)
    tunnel.up()
    assert route_get(lab, SERVER_4)["dev"] == "wg0"
    tunnel.down()
    assert list_rules(lab) == before
    assert route_get(lab, SERVER_4)["dev"] == "eth1"
