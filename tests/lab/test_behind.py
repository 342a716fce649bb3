# SPDX-License-Identifier: GPL-2.0-or-later
"""What is behind the machine leaves by the uplink that it belongs to: docs/containers.md."""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

from tests.lab.support.behind import Behind, begin_answering, call
from tests.lab.support.lab import SERVER_4, SERVER_6, TRANSFER, TWO_UPLINKS, TWO_UPLINKS_6, Lab
from tests.lab.support.making import MakeLab
from tests.lab.support.monitor import Monitor
from tests.lab.support.paths import plug, pull, route_get
from tests.lab.support.status import ask, find
from tests.lab.support.waiting import wait_for

PAGE = Path(__file__).parents[2].joinpath("docs/containers.md").read_text()
# What stands there, in its order: for ports of containers, and for a LAN besides.
PORTS, LAN = re.findall(r"^```nft\n(.*?)^```", PAGE, re.M | re.S)
(COUNT_MARKS,) = re.findall(r"^```sh\n(.*?)^```", PAGE, re.M | re.S)
# Stanzas with marks, one with a subnet, and some that announce.
MARKED, ROUTED, ANNOUNCING = (
    re.sub("^    ", "", text, flags=re.M)
    for text in re.findall(r"\n\n((?:    (?:auto|iface) .*\n(?:    .*\n)*)+)", PAGE))
# By every name, and of the second of them by eth1's alone, there is a published port.
ARRIVALS = ["10.1.1.2", "10.1.2.2", "fd00:1::2", "fd00:2::2"]
# What Docker has iptables make of a port that is published (-p 8080:80).
PUBLISHED = """\
*nat
:DOCKER -
-A PREROUTING -m addrtype --dst-type LOCAL -j DOCKER
-A POSTROUTING -s {subnet} ! -o docker0 -j MASQUERADE
-A DOCKER ! -i docker0 -p tcp -m tcp --dport 8080 -j DNAT --to-destination {container}:80
COMMIT
"""
# What has a public address mean a private one, and the other way about.
MAPPED = """\
table ip cloud {{
    chain in {{ type nat hook prerouting priority dstnat; ip daddr {public} dnat to {own}; }}
    chain out {{ type nat hook postrouting priority srcnat; ip saddr {own} snat to {public}; }}
}}
"""


class Site(NamedTuple):
    """A lab, and what is behind its client."""

    lab: Lab
    behind: Behind


@pytest.fixture
def docker(make_lab: MakeLab) -> Iterator[Site]:
    """A container with a published port, in both families."""
    lab = make_lab("nftables", "iptables")
    container = Behind(lab, "docker0", "172.17.0.1/16", "172.17.0.2/16")
    container.join(lab, "docker0", "fd17::1/64", "fd17::2/64")
    begin_answering(container, 80)
    for program, subnet, own in (("iptables-nft", "172.17.0.0/16", "172.17.0.2"),
                                 ("ip6tables-nft", "fd17::/64", "[fd17::2]")):
        lab.client.run(f"{program}-restore", text=PUBLISHED.format(subnet=subnet, container=own))
    yield Site(lab, container)
    container.close()


@pytest.fixture
def lan(make_lab: MakeLab) -> Iterator[Site]:
    """A host of a LAN with two addresses, and the firewall's lines for it."""
    lab = make_lab("nftables")
    host = Behind(lab, "lan0", "192.168.7.1/24", "192.168.7.8/24")
    host.ip("addr add 192.168.7.9/24 dev eth0")
    lab.client.run("nft", "-f", "-", text=PORTS + LAN)
    yield Site(lab, host)
    host.close()


@pytest.fixture
def guest(lab: Lab) -> Iterator[Site]:
    """A virtual machine with an address of a subnet that eth1's provider routes to the client."""
    host = Behind(lab, "vmbr1", "203.0.113.65/29", "203.0.113.66/29")
    lab.routers[1].ip("route add 203.0.113.64/29 via 10.1.2.2",
                      "rule add pref 10 iif lan from 203.0.113.64/29 lookup main")
    lab.server.ip("route add 203.0.113.64/29 via 10.8.2.1")
    yield Site(lab, host)
    host.close()


def set_rp_filter(lab: Lab, value: int) -> None:
    lab.client.run("sysctl", "-qw", *(f"net.ipv4.conf.{name}.rp_filter={value}" for name in (
        "all", *lab.uplinks)))


def mark_6(text: str) -> str:
    """Stanzas of IPv6 for those of the page, with the marks that these have."""
    marks = re.findall(r"    mptcp-mark .*\n", text)
    first, second = TWO_UPLINKS_6.removeprefix("auto eth0 eth1\n").split("iface eth1")
    return f"{text}{first}{marks[0]}iface eth1{second}{marks[1]}" if marks else (
        f"{text}{first}iface eth1{second}")


def list_answering(lab: Lab) -> list[str]:
    """By which of the client's addresses the server gets an answer from behind."""
    return [one for one in ARRIVALS
            if call(lab.server, one, 8080, SERVER_6 if ":" in one else SERVER_4)]


def test_ports_of_containers_are_answered_by_the_uplink_that_they_are_asked_over(
    docker: Site
) -> None:
    lab = docker.lab
    before = lab.snapshot()
    lab.set_interfaces(mark_6(re.sub("    mptcp-mark .*\n", "", MARKED)))
    assert lab.ifup("-a") == ""
    assert list_answering(lab) == ["10.1.1.2", "fd00:1::2"]
    assert find(lab) == (("note", "no-mark", "eth1"),) * 2
    lab.ifdown("-a")

    lab.set_interfaces(mark_6(MARKED))
    assert lab.ifup("-a") == ""
    assert find(lab) == ()
    lab.client.run("nft", "-f", "-", text=PORTS)
    for value in (0, 2):
        set_rp_filter(lab, value)
        wait_for(lambda: list_answering(lab) == ARRIVALS)
    set_rp_filter(lab, 1)
    assert list_answering(lab) == [one for one in ARRIVALS if one != "10.1.2.2"]
    assert find(lab) == (("note", "mark-ignored", "eth1"),)
    lab.client.run("sh", "-ec", COUNT_MARKS)
    assert list_answering(lab) == ARRIVALS and find(lab) == ()
    # The container has main's way to all else, and is reached from here.
    assert call(lab.client, "172.17.0.2", 80) == "172.17.0.1"
    lab.ifdown("-a")
    assert lab.snapshot() == before


def test_a_host_of_the_lan_leaves_by_the_uplink_of_its_mark(lan: Site) -> None:
    lab, host = lan
    begin_answering(lab.server, 80)
    lab.set_interfaces(MARKED)
    lab.ifup("-a")
    for value in (0, 1, 2):
        set_rp_filter(lab, value)
        lab.client.run("sysctl", "-qw", f"net.ipv4.conf.all.src_valid_mark={int(value == 1)}")
        assert call(host, SERVER_4, 80, "192.168.7.8") == "10.1.2.2"
        assert call(host, SERVER_4, 80, "192.168.7.9") == "10.1.1.2"


def test_a_subnet_that_is_routed_here_leaves_by_its_uplink(guest: Site) -> None:
    lab, host = guest
    begin_answering(lab.server, 80)
    lab.set_interfaces(TWO_UPLINKS)
    lab.ifup("-a")
    assert call(host, SERVER_4, 80) == "" and find(lab) == (("note", "no-source", "vmbr1"),)

    lab.set_interfaces(TWO_UPLINKS.partition("iface eth1")[0] + ROUTED)
    lab.ifdown("eth1")
    assert lab.ifup("eth1") == "" and find(lab) == ()
    for value in (0, 1, 2):
        set_rp_filter(lab, value)
        assert call(host, SERVER_4, 80) == "203.0.113.66"
        # The machine's own address among them, and what is nearer than a default.
        assert call(lab.client, SERVER_4, 80, "203.0.113.65") == "203.0.113.65"
    assert route_get(lab, "203.0.113.66", "from", "203.0.113.65")["dev"] == "vmbr1"
    (path,) = [one for one in ask(lab)["paths"] if one["interface"] == "eth1"]
    assert path["sources"] == ["203.0.113.64/29"]

    # A rule for what comes in there is at odds with that, whether it is asked before or behind.
    lab.client.ip("route add default via 10.1.1.1 dev eth0 table 100")
    for number, said in ((18000, "a rule before ours sends some packets from 203.0.113.64/29 by "
                                 "eth0"), (30000, "")):
        lab.client.ip(f"rule add pref {number} iif vmbr1 lookup 100")
        assert call(host, SERVER_4, 80) == ("" if said else "203.0.113.66")
        told = [one for one in ask(lab)["findings"] if one["kind"] == "partly-shadowed"]
        assert [one["text"] for one in told] == [said] * bool(said)
        for one in told:
            lab.client.run("sh", "-ec", one["remedy"].partition("'")[2].rpartition("'")[0])
            assert call(host, SERVER_4, 80) == "203.0.113.66" and find(lab) == ()
        lab.client.run("sh", "-c", "ip rule del iif vmbr1")
    lab.client.ip("tuntap add tun0 mode tun", "link set tun0 up",
                  "route add default dev tun0 table 101",
                  "rule add pref 30000 iif vmbr1 lookup 101")
    (last,) = [one for one in ask(lab)["findings"] if one["kind"] == "partly-shadowed"]
    assert last["text"] == ("a rule behind ours, which leads to tun0, never sees packets from "
                            "203.0.113.64/29")
    assert call(host, SERVER_4, 80) == "203.0.113.66"
    lab.client.run("sh", "-ec", last["remedy"].partition("'")[2].rpartition("'")[0])
    assert call(host, SERVER_4, 80) == "" and find(lab) == ()
    lab.client.run("sh", "-c", "ip rule del iif vmbr1; ip link del tun0")
    # What comes in elsewhere is none of ours, nor what is of others.
    for rule in ("iif lan9 lookup 100", "iif eth0 lookup 100",
                 "iif vmbr1 from 192.0.2.0/24 lookup 100"):
        lab.client.ip(f"rule add pref 18000 {rule}")
        assert find(lab) == (), rule
        lab.client.ip("rule del pref 18000")

    # One that somebody takes away is told, and put back.
    lab.client.ip("rule del pref 20007 from 203.0.113.64/29 lookup main suppress_prefixlength 1")
    assert find(lab) == (("broken", "routing-changed", "eth1"),)
    lab.client.run("mptcp_up", "eth1")
    assert find(lab) == ()


def test_clients_hear_of_the_address_that_a_provider_maps_to_ours(make_lab: MakeLab) -> None:
    lab = make_lab(routers=("nftables",))
    before = lab.snapshot()
    lab.set_interfaces(ANNOUNCING)
    assert lab.ifup("-a") == ""
    announced = ["203.0.113.10 - signal", "203.0.113.20 - signal"]
    assert lab.endpoints() == announced
    for number, router in enumerate(lab.routers, start=1):
        router.run("nft", "-f", "-", text=MAPPED.format(
            public=f"203.0.113.{number}0", own=f"10.1.{number}.2"))
        lab.server.ip(f"route add 203.0.113.{number}0 via 10.8.{number}.1")
    lab.server.run("ip", "mptcp", "limits", "set", "subflows", "8", "add_addr_accepted", "8")
    serving = lab.client.start(sys.executable, TRANSFER, "serve", "0.0.0.0", "5001")
    assert serving.stdout is not None and serving.stdout.readline() == "listening\n"
    carried = lab.count_carried()
    said = lab.server.run(sys.executable, TRANSFER, "send", "203.0.113.10", "5001", str(4 << 20))
    assert '"whole": true' in said
    assert all(now - then > 1 << 20 for now, then in zip(lab.count_carried(), carried))
    # The kernel's own note of the address that the subflow came to is nobody's fault.
    assert find(lab) == ()
    shown = lab.client.run("mptcp_status")
    assert "1 signal 203.0.113.10" in shown and "2 signal 203.0.113.20" in shown

    lab.client.run("ip", "mptcp", "endpoint", "delete", "id", "2")
    assert find(lab) == (("broken", "endpoint-changed", "eth1"),)
    # The monitor's first round makes it again, and what follows takes it with the cable.
    Monitor(lab)
    for change, expected in ((plug, announced), (pull, announced[:1]), (plug, announced)):
        change(lab, 1)
        wait_for(lambda: [one for one in lab.endpoints() if "signal" in one] == expected)
    lab.ifdown("-a")
    wait_for(lambda: lab.snapshot().replace("10.1.2.2 -\n", "") == before)


@pytest.mark.parametrize("option, said", [
    ("mark = 0x1/0xff", "eth1: mptcp-mark '0x1/0xff' is wrong: it must be another number"),
    ("mark = 1", "eth1: mptcp-mark '0x1' is wrong: it must be another number"),
    ("mark = 0x100/0x1ff", "eth1: mptcp-mark '0x100/0x1ff' is wrong: it must be another number"),
    ("sources = 198.51.100.8/30", "eth1: mptcp-sources '198.51.100.8/30' is wrong: it must be of "
                                  "one uplink"),
    ("announce = 203.0.113.10", "eth1: mptcp-announce '203.0.113.10' is wrong: it must be "
                                "announced by one interface"),
    ("announce = 10.1.1.2", "eth1: mptcp-announce '10.1.1.2' is wrong: it must be an address that "
                            "somebody on the way maps to the interface's"),
])
def test_what_is_another_uplinks_sets_nothing_up(
    shared: Lab, option: str, said: str
) -> None:
    standing = shared.snapshot()
    shared.write("/etc/mptcp-hooks/mptcp-hooks.conf", f"[eth1]\n{option}\n")
    assert said in shared.ifup("eth1")
    assert shared.snapshot() == standing
    done = shared.client.try_run("mptcp_up", "eth1")
    assert done.returncode == 2 and said in done.stderr and len(done.stderr.splitlines()) == 1
    checked = shared.client.try_run("mptcp_up", "--check")
    assert checked.returncode == 2 and f"/etc/network/interfaces:8: {said}" in checked.stderr
    shared.ifdown("eth1")


def test_marks_that_are_swapped_come_true_by_one_command(lab: Lab) -> None:
    text = TWO_UPLINKS.replace("gateway 10.1.1.1\n", "gateway 10.1.1.1\n    mptcp-mark {0}\n") + (
        "    mptcp-mark {1}\n")
    lab.set_interfaces(text.format(1, 2))
    assert lab.ifup("-a") == ""
    lab.set_interfaces(text.format(2, 1))
    lab.ifdown("eth0")
    assert "eth0: not yet with mptcp-mark 0x2: eth1 still has it" in lab.ifup("eth0")
    assert lab.endpoints() == ["10.1.1.2 eth0 subflow", "10.1.2.2 eth1 subflow"]
    assert "dev eth1 " in lab.client.run("ip", "route", "get", SERVER_4, "mark", "2")
    done = lab.client.try_run("mptcp_up", "--all")
    assert (done.returncode, done.stderr) == (0, "")
    assert "dev eth0 " in lab.client.run("ip", "route", "get", SERVER_4, "mark", "2")
    assert "dev eth1 " in lab.client.run("ip", "route", "get", SERVER_4, "mark", "1")


@pytest.fixture(scope="module")
def shared(make_shared_lab: MakeLab) -> Lab:
    """A client whose eth0 has all that can be one uplink's alone."""
    lab = make_shared_lab()
    lab.set_interfaces(TWO_UPLINKS.replace("gateway 10.1.1.1\n", """gateway 10.1.1.1
    mptcp-mark 0x1/0xff
    mptcp-sources 198.51.100.0/24
    mptcp-announce 203.0.113.10
"""))
    assert lab.ifup("eth0") == ""
    return lab
