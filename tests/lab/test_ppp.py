# SPDX-License-Identifier: GPL-2.0-or-later
"""PPP links by pppd's own scripts: a tun device is ppp0, as pppd has it at each step."""

from __future__ import annotations

import signal
import sys
import time
from collections.abc import Callable

import pytest

from tests.lab.support import wire
from tests.lab.support.lab import SERVER_4, SERVER_6, TWO_UPLINKS, Lab
from tests.lab.support.making import MakeLab
from tests.lab.support.monitor import Monitor
from tests.lab.support.newcomer import (
    add_peers,
    answer_over,
    begin_waiting,
    connect,
    receive,
    wait_for_way,
)
from tests.lab.support.paths import (
    MEGABYTE,
    answers,
    check_both_paths,
    list_detours,
    plug,
    pull,
    rules_of,
    rules_of_uplinks,
)
from tests.lab.support.status import find, quote_remedy
from tests.lab.support.waiting import wait_for

OWN, PEER = "10.64.2.2", "10.64.2.1"
# What pppd gives its scripts besides the addresses, pppd(8).
TTY, SPEED, NAME = "/dev/ttyS1", "38400", "x"
CONFIGURATION = "/etc/mptcp-hooks/mptcp-hooks.conf"
ETH0 = TWO_UPLINKS.partition("iface eth1")[0].replace(" eth1", "")
STANZA = """\
iface ppp0 inet ppp
    provider x
    mptcp-flags subflow backup
"""
# Main has no default of eth0's, and so takes the link's.
LINK_FIRST = ETH0.replace("    gateway", "    mptcp-gateway") + STANZA.partition("    mptcp")[0]
ONLY_ETH0 = ["10.1.1.2 eth0 subflow"]
BOTH = [*ONLY_ETH0, f"{OWN} ppp0 subflow"]
NO_NAMES = ("", "../eth0", "../mptcp-hooks/eth0", "eth0/..", "ppp0;reboot", "$(reboot)", "ppp0\nx",
            "p" * 16, "-eth0", "--all", "p\xe9p", "..", ".", "ppp0 eth0")


class Link:
    """The client's ppp0 and the provider's, which lets through what comes from its clients.

    `defaultroute` is pppd's option of that name.
    """

    def __init__(self, lab: Lab) -> None:
        self.lab = lab
        self.defaultroute = False
        self.tty = TTY
        self.router = lab.routers[1]
        self.router.ip("rule add pref 10 iif ppp0 from 10.64.2.0/24 lookup main",
                       "rule add pref 11 iif ppp0 blackhole",
                       "-6 rule add pref 10 iif ppp0 from fd00:64:2::/64 lookup main",
                       "-6 rule add pref 11 iif ppp0 blackhole")
        lab.server.ip("route add 10.64.2.0/24 via 10.8.2.1",
                      "-6 route add fd00:64:2::/64 via fd00:8:2::1")

    def connect(self, own: str = OWN) -> None:
        """What pppd does before ip-up: the device, its addresses, up."""
        self._wire = self.router.start(
            sys.executable, wire.__file__, str(self.lab.client.pid), "ppp0",
            str(self.router.pid), "ppp0")
        assert self._wire.stdout is not None
        assert self._wire.stdout.readline() == "ready\n", self._wire.communicate()
        self.router.ip(f"addr add {PEER} peer {own}/32 dev ppp0", "link set ppp0 up")
        self.lab.client.ip(f"addr add {own} peer {PEER}/32 dev ppp0", "link set ppp0 up")
        # It replaces none that is there.
        if self.defaultroute and not self.lab.client.ask("route", "show", "default"):
            self.lab.client.ip("route add default dev ppp0")

    def disconnect(self) -> None:
        """What pppd does before ip-down: the address goes, and then the device."""
        self.lab.client.ip("link set ppp0 down", "addr flush dev ppp0")
        self.lose()

    def lose(self) -> None:
        """The modem is pulled out."""
        self._wire.kill()
        self._wire.wait()

    def cut(self) -> None:
        """The line is dead, and neither end has noticed."""
        self._wire.send_signal(signal.SIGSTOP)

    def mend(self) -> None:
        self._wire.send_signal(signal.SIGCONT)

    def dial(self, own: str = OWN) -> None:
        self.connect(own)
        self.run("ip-up", own, PEER)

    def hang_up(self, own: str = OWN) -> None:
        self.disconnect()
        self.run("ip-down", own, PEER)

    def run(self, script: str, own: str, peer: str, iface: str = "ppp0") -> None:
        """Run one of pppd's scripts as it does; it succeeds, and has nothing to say."""
        assert self.say(script, own, peer, iface) == ""

    def say(self, script: str, own: str, peer: str, iface: str) -> str:
        told = (iface, self.tty, SPEED, own, peer, NAME)
        done = self.lab.client.try_run(f"/etc/ppp/{script}", *told,
                                       env={"IFNAME": iface, "PPPLOGNAME": "root"})
        assert done.returncode == 0
        return done.stderr


@pytest.fixture
def link(make_lab: MakeLab) -> Link:
    """eth0 is up, and a modem there; pppd is stopped before it asks the kernel for PPP."""
    lab = make_lab("ppp")
    lab.uplinks = ("eth0", "ppp0")
    lab.write("/usr/sbin/pppd", "#!/bin/sh\n")
    lab.write(f"/etc/ppp/peers/{NAME}", TTY)
    lab.set_interfaces(ETH0 + STANZA)
    lab.ifup("eth0")
    return Link(lab)


def paths_of(lab: Lab) -> str:
    """All that is ours but the limits, which stay raised as long as eth0 is there."""
    return lab.snapshot().removesuffix(lab.limits())


def check_path(link: Link, own: str = OWN, backup: bool = False) -> None:
    """The link's path is all that is there besides eth0's."""
    lab = link.lab
    table = 20000 + lab.ifindex("ppp0")
    assert lab.table(table) == [
        f"{PEER} dev ppp0 proto mptcp scope link src {own}",
        f"default dev ppp0 proto mptcp scope link src {own}",
        "unreachable default proto mptcp metric 4294967295"]
    assert sorted(lab.rules()) == sorted([
        *rules_of_uplinks(lab, 0), *rules_of(own, PEER, "ppp0", table, backup)])


def test_a_link_is_a_path_without_any_stanza(link: Link) -> None:
    before = paths_of(link.lab)
    link.dial()
    check_path(link)
    assert link.lab.endpoints() == BOTH
    check_both_paths(link.lab)
    link.hang_up()
    assert paths_of(link.lab) == before
    assert "ppp0" not in link.lab.client.run("ls", "/run/mptcp-hooks")


@pytest.mark.parametrize("stanza_first", [True, False])
def test_the_options_of_its_stanza_hold(link: Link, stanza_first: bool) -> None:
    """pppd goes to the background when it likes: ifup's hooks run before ip-up, or after it."""
    lab = link.lab
    before = paths_of(lab)
    if stanza_first:
        assert "mptcp_up" not in lab.ifup("ppp0")
        assert paths_of(lab) == before
        link.dial()
    else:
        link.dial()
        assert "mptcp_up" not in lab.ifup("ppp0")
    check_path(link, backup=True)
    assert lab.endpoints() == [*ONLY_ETH0, f"{OWN} ppp0 subflow backup"]
    link.hang_up()
    assert paths_of(lab) == before
    link.dial("10.64.2.3")
    check_path(link, "10.64.2.3", backup=True)
    assert lab.endpoints() == [*ONLY_ETH0, "10.64.2.3 ppp0 subflow backup"]
    lab.ifdown("ppp0")
    link.hang_up("10.64.2.3")
    assert paths_of(lab) == before
    assert "ppp0" not in lab.client.run("ls", "/run/mptcp-hooks")


def test_a_backup_link_takes_over_when_the_cable_is_pulled(link: Link) -> None:
    lab = link.lab
    Monitor(lab)
    lab.ifup("ppp0")
    link.dial()
    transfer = lab.begin_transfer(10 * MEGABYTE)
    wait_for(lambda: lab.count_sent()[0] > 2 * MEGABYTE)
    assert lab.count_sent()[1] < MEGABYTE / 10
    lab.routers[0].ip("link set lan down")
    sent = transfer.finish()
    assert sent.whole and min(sent.uplinks) > MEGABYTE, sent


def test_a_link_that_is_lost_and_dialled_again_during_a_transfer(link: Link) -> None:
    lab = link.lab
    before = paths_of(lab)
    monitor = Monitor(lab)
    link.dial()
    transfer = lab.begin_transfer(20 * MEGABYTE)
    wait_for(lambda: lab.count_sent()[1] > MEGABYTE)
    link.lose()
    wait_for(lambda: lab.endpoints() == ONLY_ETH0)
    link.run("ip-down", OWN, PEER)
    assert paths_of(lab) == before
    link.dial("10.64.2.3")
    check_path(link, "10.64.2.3")
    assert lab.endpoints() == [*ONLY_ETH0, "10.64.2.3 ppp0 subflow"]
    wait_for(lambda: lab.count_sent()[1] > MEGABYTE)
    assert transfer.finish().whole
    monitor.rest()
    check_path(link, "10.64.2.3")


def test_a_link_that_is_lost_without_a_word_is_taken_down_by_hand(link: Link) -> None:
    """Nobody told ifupdown of it: its ifdown does nothing."""
    link.dial()
    link.lose()
    assert find(link.lab)[0] == ("broken", "gone", "ppp0")
    link.lab.client.run("mptcp_down", "ppp0")
    assert find(link.lab) == (("note", "one-uplink", None), ("note", "taken-down", "ppp0"))


def test_another_address_without_a_hangup(link: Link) -> None:
    """A pppd that was killed says nothing."""
    link.dial()
    link.disconnect()
    link.dial("10.64.2.3")
    check_path(link, "10.64.2.3")
    assert link.lab.endpoints() == [*ONLY_ETH0, "10.64.2.3 ppp0 subflow"]
    check_both_paths(link.lab)


def test_a_global_address_comes_later_than_ipv6_up(link: Link) -> None:
    lab = link.lab
    lab.client.ip("-6 addr add fd00:1::2/64 dev eth0 nodad",
                  "-6 route add default via fd00:1::1 dev eth0")
    before = paths_of(lab)
    monitor = Monitor(lab)
    link.dial()
    link.run("ipv6-up", "fe80::2", "fe80::1")
    monitor.rest()
    assert lab.rules(6) == [] and lab.endpoints() == BOTH
    link.router.ip("-6 addr add fd00:64:2::1/64 dev ppp0 nodad")
    lab.client.ip("-6 addr add fd00:64:2::2/64 dev ppp0")
    wait_for(lambda: lab.endpoints() == [*BOTH, "fd00:64:2::2 ppp0 subflow"])
    routes = lab.table(20000 + lab.ifindex("ppp0"), 6)
    assert [line for line in routes
            if line.startswith("default dev ppp0 proto mptcp src fd00:64:2::2 ")], routes
    check_path(link)
    check_both_paths(lab)
    check_both_paths(lab, SERVER_6)
    link.run("ipv6-down", "fe80::2", "fe80::1")
    assert lab.rules(6) == [] and lab.endpoints() == BOTH
    check_path(link)
    monitor.rest()
    assert lab.endpoints() == BOTH
    link.hang_up()
    monitor.rest()
    assert paths_of(lab) == before


def test_main_may_prefer_the_link(link: Link) -> None:
    """pppd's `replacedefaultroute`."""
    link.dial()
    link.lab.client.ip("route replace default dev ppp0")
    link.run("ip-up", OWN, PEER)
    check_path(link)
    (answer,) = link.lab.client.ask("route", "get", SERVER_4, "from", "10.1.1.2")
    assert answer["dev"] == "eth0"
    check_both_paths(link.lab)


@pytest.mark.parametrize("tty", ["/dev/pts/3", ""])
def test_a_vpn_of_pppds_is_no_uplink_until_it_is_named(link: Link, tty: str) -> None:
    """Nothing leaves beside it, as beside any other tunnel: of PPTP and SSTP, and of L2TP."""
    lab = link.lab
    monitor = Monitor(lab)
    link.tty = tty
    link.connect()
    lab.client.ip("route replace default dev ppp0")
    said = link.say("ip-up", OWN, PEER, "ppp0")
    assert said == ("mptcp_up: ppp0: left alone, as a VPN has such a link: if it is an uplink, "
                    f"'manage = ppp0' in [default] of {CONFIGURATION}\n")
    wait_for(lambda: ("note", "tunnel", None) in find(lab))
    assert ("note", "not-set-up", "ppp0") in find(lab)
    assert lab.endpoints() == ONLY_ETH0 and not any("ppp0" in rule for rule in lab.rules())
    sent = lab.begin_transfer(4 * MEGABYTE).finish()
    assert sent.whole and sent.uplinks[0] < MEGABYTE / 10, sent
    lab.write(CONFIGURATION, "[default]\nmanage = ppp0\n")
    link.run("ip-up", OWN, PEER)
    monitor.rest()
    check_path(link)
    assert lab.endpoints() == BOTH
    link.hang_up()
    assert lab.endpoints() == ONLY_ETH0


def test_of_a_vpn_that_is_excluded_or_that_networkmanager_made_nothing_is_said(link: Link) -> None:
    """By 01-ifupdown the hooks hear of each of NetworkManager's connections; this one is a tun."""
    lab = link.lab
    lab.write(CONFIGURATION, "[ppp*]\nexclude = yes\n")
    Monitor(lab)
    link.tty = "/dev/pts/3"
    link.connect()
    lab.client.ip("route replace default dev ppp0")
    link.run("ip-up", OWN, PEER)
    lab.client.run("rm", CONFIGURATION)
    said = lab.client.try_run("/etc/network/if-up.d/mptcp_up", env={
        "IFACE": "ppp0", "METHOD": "NetworkManager", "ADDRFAM": "inet",
        "IP4_NUM_ADDRESSES": "1", "IP4_ADDRESS_0": f"{OWN}/32 0.0.0.0"}).stderr
    wait_for(lambda: ("note", "tunnel", None) in find(lab))
    assert (said, lab.endpoints()) == ("", ONLY_ETH0)
    sent = lab.begin_transfer(4 * MEGABYTE).finish()
    assert sent.whole and sent.uplinks[0] < MEGABYTE / 10, sent


@pytest.mark.parametrize("line", ["[default]\nmanage = ppp*", "[ppp0]\nexclude = no"])
def test_the_configuration_says_that_a_link_is_an_uplink(link: Link, line: str) -> None:
    link.lab.write(CONFIGURATION, f"{line}\n")
    link.tty = "/dev/pts/3"
    link.dial()
    check_path(link)
    check_both_paths(link.lab)


def test_a_link_over_another_program_is_an_uplink_if_it_has_a_stanza(link: Link) -> None:
    """As PPPoE by a program of its own has it."""
    link.tty = "/dev/pts/3"
    link.lab.ifup("ppp0")
    link.dial()
    check_path(link, backup=True)


def test_a_stanza_that_is_not_called_as_its_link_lacks_nothing(link: Link) -> None:
    """The device has the next free number, and its path is told of by ip-up alone."""
    lab = link.lab
    lab.set_interfaces(ETH0 + STANZA.partition("    mptcp")[0].replace("ppp0", "dsl-provider"))
    lab.ifup("dsl-provider")
    link.dial()
    check_path(link)
    assert find(lab) == ()


def test_a_link_that_is_called_as_its_stanza_has_the_options_of_that(link: Link) -> None:
    """By pppd's `ifname`, as --check has it; the device has that name before ip-up."""
    lab = link.lab
    lab.set_interfaces(ETH0 + STANZA.replace("ppp0", "dsl"))
    assert "its options count for a link of that name" in lab.client.try_run(
        "mptcp_up", "--check").stderr
    lab.write(f"/etc/ppp/peers/{NAME}", f"{TTY}\nifname dsl\n")
    assert lab.client.try_run("mptcp_up", "--check").stderr == ""
    lab.ifup("dsl")
    link.connect()
    lab.client.ip("link set ppp0 down", "link set ppp0 name dsl", "link set dsl up")
    link.run("ip-up", OWN, PEER, "dsl")
    assert lab.endpoints() == [*ONLY_ETH0, f"{OWN} dsl subflow backup"]
    assert answers(lab, OWN) and find(lab) == ()


def test_a_link_that_nobody_told_of_is_shown_and_named(link: Link) -> None:
    """It was there before the package was."""
    lab = link.lab
    link.connect()
    lab.client.ip("route replace default dev ppp0")
    monitor = Monitor(lab)
    monitor.rest()
    line, reload = quote_remedy(lab, "not-set-up")
    assert (line, reload) == ("manage = ppp0", "service mptcp-hooks reload")
    lab.write(CONFIGURATION, f"[default]\n{line}\n")
    # What systemd and the init script do then.
    monitor.signal(signal.SIGHUP)
    wait_for(lambda: find(lab) == ())
    check_path(link)
    check_both_paths(lab)


@pytest.fixture
def first(link: Link) -> Link:
    """The link, which main's default leads to, and then eth0."""
    link.lab.ifdown("eth0")
    link.lab.set_interfaces(LINK_FIRST)
    link.lab.ifup("ppp0")
    link.defaultroute = True
    link.dial()
    link.lab.ifup("eth0")
    return link


@pytest.mark.parametrize("end, watched", [
    (Link.hang_up, False), pytest.param(Link.hang_up, True, marks=pytest.mark.long),
    (Link.lose, True)])
def test_new_connections_leave_by_the_cable_while_there_is_no_link(
    first: Link, end: Callable[[Link], None], watched: bool
) -> None:
    """Where pppd has ended, its hook does it; of a modem that was pulled out the kernel tells."""
    lab = first.lab
    if watched:
        Monitor(lab)
    with receive(lab):
        assert connect(lab).uplink == 1
        end(first)
        wait_for_way(lab, 0)
        first.dial()
        wait_for(lambda: connect(lab).uplink == 1)
        wait_for(lambda: not list_detours(lab))


@pytest.mark.long
def test_a_line_that_is_dead_is_noticed_by_those_who_wait(first: Link) -> None:
    """There is no gateway that could be asked, and pppd has an echo of its own, or has not."""
    lab = first.lab
    Monitor(lab)
    peers = add_peers(lab)
    with receive(lab):
        first.cut()
        waiting = [begin_waiting(lab, peer) for peer in peers]
        began = time.monotonic()
        wait_for(lambda: list_detours(lab))
        assert time.monotonic() - began < 6
        assert connect(lab).uplink == 0
        for one in waiting:
            one.kill()
        first.mend()
        answer_over(lab, OWN)
        wait_for(lambda: connect(lab).uplink == 1)


def test_new_connections_leave_by_the_link_while_a_cable_is_out(link: Link) -> None:
    """Though it is a backup, and main does not know of it."""
    lab = link.lab
    link.defaultroute = True
    lab.ifup("ppp0")
    link.dial()
    Monitor(lab)
    with receive(lab):
        assert connect(lab).uplink == 0
        pull(lab, 0)
        wait_for_way(lab, 1)


@pytest.mark.long
def test_the_cable_has_new_connections_again_when_it_is_back(link: Link) -> None:
    lab = link.lab
    link.dial()
    before = lab.rules()
    Monitor(lab)
    with receive(lab):
        pull(lab, 0)
        wait_for(lambda: connect(lab, within=1).uplink == 1)
        plug(lab, 0)
        wait_for(lambda: connect(lab).uplink == 0)
        assert lab.rules() == before


def test_a_name_that_is_none_costs_nothing(link: Link) -> None:
    before = link.lab.snapshot()
    for name in NO_NAMES:
        for script, lines in (("ip-up", 1), ("ipv6-up", 1), ("ip-down", 0), ("ipv6-down", 0)):
            said = link.say(script, OWN, PEER, name).splitlines()
            ours = [line for line in said if line.startswith("mptcp_")]
            assert len(ours) == lines, (name, said)
            assert all(": IFACE " in line for line in ours), (name, said)
        assert link.lab.snapshot() == before, name
    assert link.lab.client.run("ls", "/run/mptcp-hooks").split() == ["eth0.paths", "limits"]
