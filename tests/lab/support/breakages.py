# SPDX-License-Identifier: GPL-2.0-or-later
"""What goes wrong with two uplinks: how to break it, what mptcp_status finds, how it is mended."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

from tests.lab.support.lab import TWO_UPLINKS, Lab
from tests.lab.support.paths import flush, plug, pull

LAN = TWO_UPLINKS.replace("    mptcp-gateway 10.1.2.1\n", "")
NO_ADDRESS = (TWO_UPLINKS.partition("iface eth1")[0]
              + "iface eth1 inet manual\n    mptcp-flags subflow\n")
ONE_SUBNET = TWO_UPLINKS.replace("10.1.2.2", "10.1.1.3").replace("10.1.2.1", "10.1.1.1")
ONE_UPLINK = TWO_UPLINKS.partition("iface eth1")[0].replace("auto eth0 eth1", "auto eth0")
SECOND_FAMILY = """\
iface eth0 inet6 static
    address fd00:1::2/64
    gateway fd00:1::1
iface eth1 inet6 static
    address fd00:2::2/64
    mptcp-gateway fd00:2::1
    mptcp-flags subflow backup
"""
ALIAS = """\
auto eth1:1
iface eth1:1 inet static
    address 10.1.2.9/24
    mptcp-gateway 10.1.2.1
"""
ONE_PEER = """\
auto eth0 eth1
iface eth0 inet static
    address 10.1.1.2/32
    pointopoint 10.9.9.9
    gateway 10.9.9.9
iface eth1 inet static
    address 10.1.2.2/32
    pointopoint 10.9.9.9
    mptcp-gateway 10.9.9.9
"""
LANS = """\
auto eth1 eth1:1
iface eth1 inet static
    address 10.1.2.2/24
    mptcp-flags signal
iface eth1:1 inet static
    address 10.1.2.1/24
    mptcp-flags signal
"""
CONFIGURATION = Path("/etc/mptcp-hooks/mptcp-hooks.conf")
TABLE = "$((20000 + $(cat /sys/class/net/eth1/ifindex)))"

Act = Callable[[Lab], None]


def run(*lines: str) -> Act:
    """What runs these lines in the client's shell."""
    def act(lab: Lab) -> None:
        for line in lines:
            lab.client.run("sh", "-ec", line)
    return act


def bring_up(lab: Lab) -> None:
    lab.set_interfaces(TWO_UPLINKS)
    lab.ifup("-a")


class Breakage(NamedTuple):
    """`finds` and `leaves` are what mptcp_status finds then, and when it is mended.

    Each is a severity, a kind, and an interface or None. `before` is done before the
    interfaces of `stanzas` come up.
    """

    name: str
    finds: tuple[tuple[str, str, str | None], ...]
    commit: Act = run()
    mend: Act = run()
    leaves: tuple[tuple[str, str, str | None], ...] = ()
    before: Act = run()
    stanzas: str = TWO_UPLINKS

    def prepare(self, lab: Lab) -> None:
        """Bring up what is there before it breaks."""
        lab.set_interfaces(self.stanzas)
        self.before(lab)
        lab.ifup("-a")


ONE_UPLINK_LEFT = (("note", "one-uplink", None),)

BREAKAGES = (
    Breakage("all-good", ()),
    Breakage("two-families", (), stanzas=TWO_UPLINKS + SECOND_FAMILY),
    # Neither is the other's neighbour.
    Breakage("two-addresses-of-a-lan", (), stanzas=ONE_UPLINK + LANS),
    # More specific than half of a default route, and that counts for all.
    Breakage("strays", (("broken", "strays", "eth1"),), run("ip route add 192.0.0.0/2 dev eth0"),
             run("ip route del 192.0.0.0/2")),
    # As OpenVPN makes it.
    Breakage("halves-of-a-default", (), run("ip route add 0.0.0.0/1 via 10.1.1.1",
                                            "ip route add 128.0.0.0/1 via 10.1.1.1"),
             run("ip route del 0.0.0.0/1", "ip route del 128.0.0.0/1")),
    Breakage("mptcp-disabled", (("broken", "mptcp-disabled", None),),
             run("sysctl -qw net.mptcp.enabled=0"), run("sysctl -qw net.mptcp.enabled=1")),
    Breakage("userspace-manager", (("broken", "userspace-manager", None),),
             run("sysctl -qw net.mptcp.pm_type=1"), run("sysctl -qw net.mptcp.pm_type=0")),
    Breakage("no-path", (("broken", "no-path", None),), stanzas="",
             mend=bring_up),
    Breakage("record-damaged", (("broken", "record-damaged", "eth1"),),
             run("echo >>/run/mptcp-hooks/eth1.paths"), run("mptcp_up eth1")),
    Breakage("unfinished", (("broken", "unfinished", "eth1"),),
             run("sed -i 's/^kernel .*/kernel /' /run/mptcp-hooks/eth1.paths"),
             run("mptcp_up eth1")),
    Breakage("record-of-another-version", (("broken", "unfinished", "eth1"),),
             run("sed -i 's/^kernel .*/kernel ([(1, 2)], [])/' /run/mptcp-hooks/eth1.paths"),
             run("mptcp_up eth1")),
    Breakage("no-carrier", (("broken", "no-carrier", "eth1"),),
             lambda lab: pull(lab, 1), lambda lab: plug(lab, 1)),
    Breakage("link-down", (("broken", "down", "eth1"),),
             run("ip link set eth1 down"), run("ifdown eth1; ifup eth1")),
    Breakage("link-down-with-two-families", (("broken", "down", "eth1"),),
             run("ip link set eth1 down"),
             run("ip link set eth1 up", "ip addr add fd00:2::2/64 dev eth1 nodad",
                 "mptcp_up eth1"), stanzas=TWO_UPLINKS + SECOND_FAMILY),
    Breakage("device-gone", (("broken", "gone", "eth1"),),
             run("ip link del eth1"), run("ifdown eth1 2>&1"), ONE_UPLINK_LEFT),
    Breakage("address-gone", (("broken", "address-gone", "eth1"),),
             run("ip addr del 10.1.2.2/24 dev eth1"), run("ifdown eth1; ifup eth1")),
    Breakage("rule-missing", (("broken", "routing-changed", "eth1"),),
             run("ip rule del pref 20000 from 10.1.2.2"), run("mptcp_up eth1")),
    Breakage("source-rule-missing", (("broken", "routing-changed", "eth1"),),
             run("ip rule del pref 20002 from 10.1.2.2"), run("mptcp_up eth1")),
    Breakage("route-missing", (("broken", "routing-changed", "eth1"),),
             run(f"ip route del default dev eth1 table {TABLE}"), run("mptcp_up eth1")),
    Breakage("route-changed", (("broken", "routing-changed", "eth1"),),
             run(f"ip route replace default via 10.1.2.9 dev eth1 table {TABLE}"),
             run("mptcp_up eth1")),
    Breakage("rule-added", (("note", "routing-added", "eth1"),),
             run("ip rule add pref 30000 from 10.1.2.2 lookup main"),
             run("ip rule del pref 30000")),
    Breakage("all-flushed", (("broken", "routing-changed", "eth0"),
                             ("broken", "routing-changed", "eth1")),
             flush, run("mptcp_up --all")),
    Breakage("endpoint-missing", (("broken", "endpoint-changed", "eth0"),),
             run("ip mptcp endpoint delete id 1"), run("mptcp_up eth0")),
    Breakage("endpoint-changed", (("broken", "endpoint-changed", "eth1"),),
             run("ip mptcp endpoint change id 2 backup"),
             run("mptcp_down eth1; mptcp_up eth1")),
    Breakage("shadowed", (("broken", "shadowed", "eth1"),),
             run("ip route add default via 10.1.1.1 table 99",
                 "ip rule add pref 100 from 10.1.2.0/24 lookup 99"),
             run("ip rule del pref 100")),
    # The rules of the device went with its first path.
    Breakage("alias-left", (("note", "taken-down", "eth1"),), run("mptcp_down eth1"),
             run("mptcp_up eth1"), stanzas=TWO_UPLINKS + ALIAS),
    # As wg-quick makes it: without a preference it comes before all others.
    Breakage("shadowed-by-a-vpn", (("broken", "shadowed", "eth1"),),
             run("ip route add default dev eth0 table 51820",
                 "ip rule add not fwmark 51820 table 51820"),
             run("ip rule del not fwmark 51820 table 51820")),
    Breakage("shadowed-by-a-refusal", (("broken", "shadowed", "eth1"),),
             run("ip rule add pref 100 from 10.1.2.0/24 prohibit"),
             run("ip rule del pref 100")),
    Breakage("route-of-main", (("broken", "strays", "eth1"),),
             run("ip route add 192.0.0.0/2 via 10.1.1.1"),
             run("ip route del 192.0.0.0/2")),
    Breakage("documentation-blocked", (), run("ip route add unreachable 192.0.2.0/24"),
             run("ip route del 192.0.2.0/24")),
    Breakage("reverse-path", (("broken", "routing-changed", "eth1"),),
             run("sysctl -qw net.ipv4.conf.all.rp_filter=1",
                 "ip rule del pref 20002 from 10.1.2.2",
                 "ip rule del pref 20004 from 10.1.2.0/24"), run("mptcp_up eth1")),
    Breakage("limits-low", (("broken", "limits-low", None),),
             run("ip mptcp limits set subflow 0 add_addr_accepted 0"),
             run("ip mptcp limits set subflow 8 add_addr_accepted 8")),
    Breakage("slots-full", (("broken", "slots-full", "eth1"),
                            *[("note", "endpoint-vanished", None)] * 7),
             before=run(*(f"ip mptcp endpoint add 10.9.9.{host} subflow"
                          for host in range(1, 8))),
             mend=run(*(f"ip mptcp endpoint delete id {identity}" for identity in range(1, 8)),
                      "mptcp_up eth1")),
    # A place is free again, and nobody gave it to the path that had to do without.
    Breakage("endpoint-lacking", (("broken", "endpoint-changed", "eth1"),),
             run(*(f"ip mptcp endpoint delete id {identity}" for identity in range(1, 8))),
             run("mptcp_up eth1"),
             before=run(*(f"ip mptcp endpoint add 10.9.9.{host} subflow"
                          for host in range(1, 8)))),
    # What ifdown does between its two hooks; it may be cut off there.
    Breakage("being-taken-down", (("note", "taken-down", "eth1"),),
             run("IFACE=eth1 ADDRFAM=inet METHOD=static IF_ADDRESS=10.1.2.2 IF_NETMASK=24 "
                 "/etc/network/if-down.d/mptcp_down", "ip addr flush dev eth1"),
             run("ifdown eth1 2>&1; ifup eth1")),
    Breakage("one-subnet", (("note", "one-subnet", "eth1"),), stanzas=ONE_SUBNET,
             mend=run("sysctl -qw net.ipv4.conf.all.arp_ignore=1 "
                      "net.ipv4.conf.all.arp_announce=2")),
    # Two lines of one provider: PPP gives both the same peer.
    Breakage("one-peer", (), stanzas=ONE_PEER),
    Breakage("no-gateway", (*ONE_UPLINK_LEFT, ("note", "no-gateway", "eth1")),
             stanzas=LAN, mend=run("ifdown eth1"), leaves=ONE_UPLINK_LEFT),
    Breakage("no-address", (*ONE_UPLINK_LEFT, ("note", "no-address", "eth1")),
             stanzas=NO_ADDRESS, mend=run("ifdown eth1"), leaves=ONE_UPLINK_LEFT),
    Breakage("taken-down", (*ONE_UPLINK_LEFT, ("note", "taken-down", "eth1")),
             run("mptcp_down eth1"), run("mptcp_up eth1")),
    Breakage("not-set-up", (*ONE_UPLINK_LEFT, ("note", "not-set-up", "eth1")),
             run("ip link set eth1 up", "ip addr add 10.1.2.2/24 dev eth1",
                 "ip route add default via 10.1.2.1 dev eth1 metric 9"),
             run("mptcp_up eth1"), stanzas=ONE_UPLINK),
    Breakage("wrong-configuration", (("note", "configuration", None),),
             run(f"mkdir -p {CONFIGURATION.parent}; echo nonsense >{CONFIGURATION}"),
             run(f"rm {CONFIGURATION}")),
    Breakage("old-template", (("note", "old-template", None),),
             run("mkdir -p /etc/mptcp-hooks/templates", "cd /etc/mptcp-hooks/templates; sed "
                 "'/if detour and/,/^{% endif/d' /usr/share/mptcp-hooks/templates/down.j2 "
                 ">down.j2"),
             run("rm -r /etc/mptcp-hooks/templates")),
    Breakage("older-template", (("note", "old-template", None),),
             run("mkdir -p /etc/mptcp-hooks/templates", "cd /etc/mptcp-hooks/templates; sed "
                 "'/if name and/,/^{% endif/d' /usr/share/mptcp-hooks/templates/up.j2 >up.j2"),
             run("rm -r /etc/mptcp-hooks/templates")),
    # What a stanza leaves alone is told of as that, and a VPN is not to be complained of.
    Breakage("left-alone", (*ONE_UPLINK_LEFT, ("note", "excluded", "eth1")),
             run("ifup eth1", "ip route add default via 10.1.2.1 dev eth1 metric 9",
                 "ip tuntap add tun0 mode tun; ip link set tun0 up",
                 "ip addr add 10.3.0.2/24 dev tun0; ip route add default dev tun0 metric 5"),
             leaves=(*ONE_UPLINK_LEFT, ("note", "excluded", "eth1")),
             stanzas=ONE_UPLINK + TWO_UPLINKS.partition("iface eth1")[2].join(
                 ["iface eth1", "    mptcp off\n"])),
    Breakage("endpoint-vanished", (("note", "endpoint-vanished", None),),
             run("ip mptcp endpoint add 10.9.9.9 subflow"),
             run("ip mptcp endpoint delete id 3")),
)
