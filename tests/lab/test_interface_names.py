# SPDX-License-Identifier: GPL-2.0-or-later
"""What an interface, a table or a gateway may be called, and who is left alone by its name."""

from __future__ import annotations

import pytest

from tests.lab.support.lab import SERVER_6, TWO_UPLINKS, Lab
from tests.lab.support.making import MakeLab
from tests.lab.support.monitor import Monitor
from tests.lab.support.paths import BOTH, check_both_paths
from tests.lab.support.provider import SERVICES, Provider
from tests.lab.support.status import ask, find
from tests.lab.support.uplink import up
from tests.lab.support.waiting import wait_for

CONFIGURATION = "/etc/mptcp-hooks/mptcp-hooks.conf"
ALTNAME = "enp3s0f1"
# Two bridges that are uplinks: one with an address of its own, one that asks for it.
BRIDGES = """\
auto br-wan lxdbr0
iface br-wan inet static
    address 10.1.1.2/24
    gateway 10.1.1.1
iface lxdbr0 inet dhcp
"""
DUAL_STACK = """\
auto vmbr0 vmbr1
iface vmbr0 inet static
    address 10.1.1.2/24
    gateway 10.1.1.1
iface vmbr0 inet6 static
    address fd00:1::2/64
    gateway fd00:1::1
iface vmbr1 inet static
    address 10.1.2.2/24
    mptcp-gateway 10.1.2.1, fd00:2::1
iface vmbr1 inet6 static
    address fd00:2::2/64
"""


def bridge(lab: Lab, **names: str) -> None:
    """Make each uplink the one port of a bridge."""
    for device, name in names.items():
        lab.client.ip(f"link add {name} type bridge", f"link set {device} master {name} up")


@pytest.mark.parametrize("name", ["br-wan", "lxdbr0", "veth-wan", "tun-wan"])
def test_a_stanza_with_a_gateway_is_meant_whatever_it_is_called(lab: Lab, name: str) -> None:
    lab.client.ip(f"link set eth1 name {name}")
    lab.set_interfaces(TWO_UPLINKS.replace("eth1", name).replace("mptcp-gateway 10.1.2.1",
                                                                 "gateway 10.1.2.1\n    metric 9"))
    assert lab.ifup("-a") == ""
    assert lab.endpoints() == [BOTH[0], f"10.1.2.2 {name} subflow"]


def test_bridges_are_uplinks_and_their_ports_are_no_remark(make_lab: MakeLab) -> None:
    lab = make_lab("isc-dhcp-client", routers=SERVICES)
    Provider(lab, 2).serve_dhcp()
    bridge(lab, eth0="br-wan", eth1="lxdbr0")
    lab.set_interfaces(BRIDGES + "auto eth0 eth1\niface eth0 inet manual\niface eth1 inet manual\n")
    lab.ifup("-a")
    assert lab.endpoints() == ["10.1.1.2 br-wan subflow", "10.1.2.50 lxdbr0 subflow"]
    check_both_paths(lab)
    assert find(lab) == ()
    # As it says nothing of ports, ifquery nothing of methods: mptcp_up finds the same.
    before = lab.snapshot()
    assert lab.client.run("mptcp_up", "lxdbr0", "br-wan") == "" and lab.snapshot() == before


def test_what_no_stanza_gives_a_gateway_is_left_alone_and_told_with_the_reason(lab: Lab) -> None:
    """A device with main's default route, and a name of the built-in list."""
    lab.client.ip("link set eth1 name docker0", "link set eth0 up", "addr add 10.1.1.2/24 dev eth0")
    assert up(lab, IFACE="eth0", IF_ADDRESS="10.1.1.2", IF_GATEWAY="10.1.1.1") == ""
    lab.client.ip("link set docker0 up", "addr add 10.1.2.2/24 dev docker0",
                  "route add default via 10.1.2.1 dev docker0 metric 5")
    assert up(lab, IFACE="docker0", IF_GATEWAY="") == "" and lab.endpoints() == BOTH[:1]
    (told,) = (one for one in ask(lab)["findings"] if one["kind"] == "excluded")
    assert (told["interface"], told["text"]) == (
        "docker0", "left alone: interfaces called docker* are left alone")
    done = lab.client.try_run("mptcp_up", "docker0")
    assert (done.returncode, done.stderr) == (
        0, "mptcp_up: docker0: left alone: interfaces called docker* are left alone\n")
    lab.write(CONFIGURATION, "[docker0]\nexclude = no\n")
    assert up(lab, IFACE="docker0", IF_GATEWAY="") == ""
    assert lab.endpoints() == [BOTH[0], "10.1.2.2 docker0 subflow"]


@pytest.mark.parametrize("option, text, reason", [
    ("mptcp off", "", "its stanza says 'mptcp off'"),
    ("metric 9", "[eth1]\nexclude = yes\n", f"{CONFIGURATION} excludes it"),
])
def test_an_uplink_that_somebody_excluded_is_told_as_excluded(
    lab: Lab, option: str, text: str, reason: str
) -> None:
    lab.write(CONFIGURATION, text)
    lab.set_interfaces(TWO_UPLINKS.replace(
        "mptcp-gateway 10.1.2.1", f"gateway 10.1.2.1\n    metric 9\n    {option}".replace(
            "    metric 9\n    metric", "    metric")))
    assert lab.ifup("-a") == "" and lab.endpoints() == BOTH[:1]
    assert [(one["interface"], one["text"]) for one in ask(lab)["findings"]
            if one["kind"] in ("excluded", "not-set-up")] == [("eth1", f"left alone: {reason}")]


def test_a_stanza_may_be_of_an_altname(lab: Lab) -> None:
    before = lab.snapshot()
    lab.client.ip(f"link property add dev eth1 altname {ALTNAME}")
    lab.set_interfaces(TWO_UPLINKS.replace("eth1", ALTNAME))
    assert lab.ifup("-a") == "" and lab.endpoints() == BOTH
    assert find(lab) == ()
    check_both_paths(lab)
    full = lab.snapshot()
    assert ALTNAME not in full
    for name in ("eth1", ALTNAME):
        assert [path["device"] for path in ask(lab, name)["paths"]] == ["eth1"]
        assert lab.client.run("mptcp_up", name) == "" and lab.snapshot() == full
    monitor = Monitor(lab)
    lab.client.ip("rule del pref 20002 from 10.1.2.2")
    monitor.rest()
    assert lab.snapshot() == full
    monitor.stop()
    assert lab.client.run("mptcp_down", "eth1") == "" and lab.endpoints() == BOTH[:1]
    assert lab.client.run("mptcp_up", "--all") == "" and lab.snapshot() == full
    lab.ifdown("-a")
    assert lab.snapshot() == before


@pytest.mark.parametrize("section", [ALTNAME, "enp*", "eth1"])
def test_a_section_may_be_of_an_altname(link: Lab, section: str) -> None:
    lab = link
    lab.client.ip(f"link property add dev eth1 altname {ALTNAME}")
    lab.write(CONFIGURATION, f"[{section}]\nmanage = yes\nflags = subflow, backup\n")
    assert up(lab, IFACE="eth1") == "" and lab.endpoints() == ["10.1.2.2 eth1 subflow backup"]
    lab.client.run("mptcp_down", "eth1")
    lab.client.run("rm", "-r", "/run/mptcp-hooks")
    assert up(lab, IFACE=ALTNAME) == "" and lab.endpoints() == ["10.1.2.2 eth1 subflow backup"]
    lab.client.run("mptcp_down", ALTNAME)
    lab.client.run("rm", "-r", "/run/mptcp-hooks")
    # Whoever configures it tells nobody.
    Monitor(lab).rest()
    assert lab.endpoints() == ["10.1.2.2 eth1 subflow backup"]


@pytest.mark.parametrize("file", ["/etc/iproute2/rt_tables", "/etc/iproute2/rt_tables.d/lte.conf",
                                  "/usr/share/iproute2/rt_tables.d/lte.conf"])
def test_a_table_may_have_the_name_that_iproute2_knows(lab: Lab, file: str) -> None:
    lab.client.run("mkdir", "-p", file.rpartition("/")[0])
    lab.client.run("sh", "-c", f"echo '505\tlte # by name' >>{file}")
    lab.set_interfaces(TWO_UPLINKS + "    mptcp-table lte\n")
    assert lab.ifup("-a") == "" and "default via 10.1.2.1" in "".join(lab.table(505))
    # What it was, and not what it is called, goes.
    lab.client.run("rm", file)
    assert lab.ifdown("eth1") == "" and lab.table(505) == []
    said = lab.ifup("eth1")
    assert said == ("mptcp_up: eth1: mptcp-table 'lte' is wrong: it must be a number from 1 to "
                    "4294967295, or a name that rt_tables has\n")


def test_one_line_has_the_gateways_of_both_families_where_a_manager_merges_stanzas(
    make_lab: MakeLab
) -> None:
    lab = make_lab("ifupdown2")
    bridge(lab, eth0="vmbr0", eth1="vmbr1")
    lab.set_interfaces(DUAL_STACK)
    monitor = Monitor(lab)
    assert "mptcp" not in lab.ifup("-a")
    wait_for(lambda: lab.endpoints() == [f"{own} subflow" for own in (
        "10.1.1.2 vmbr0", "10.1.2.2 vmbr1", "fd00:1::2 vmbr0", "fd00:2::2 vmbr1")])
    monitor.rest()
    check_both_paths(lab)
    check_both_paths(lab, SERVER_6)
    assert lab.client.run("mptcp_up", "--check") == ""
    lab.set_interfaces(DUAL_STACK.replace(", fd00:2::1", "") + "    mptcp-gateway fd00:2::1\n")
    done = lab.client.try_run("mptcp_up", "--check")
    assert (done.returncode, done.stderr) == (
        2, "mptcp_up: /etc/network/interfaces:13: vmbr1: ifupdown2 tells of the first "
           "mptcp-gateway of an interface alone: write 'mptcp-gateway 10.1.2.1 fd00:2::1' in "
           "/etc/network/interfaces:10\n")


def test_the_same_line_does_for_a_manager_that_tells_of_a_family_at_a_time(lab: Lab) -> None:
    bridge(lab, eth0="vmbr0", eth1="vmbr1")
    text = DUAL_STACK + "    mptcp-gateway 10.1.2.1 fd00:2::1\n"
    lab.set_interfaces(text.replace("inet6 static", "inet6 static\n    dad-attempts 0"))
    assert lab.ifup("-a") == "" and len(lab.endpoints()) == 4
    check_both_paths(lab, SERVER_6)
    assert lab.client.run("mptcp_up", "--check") == ""


def test_two_gateways_of_one_family_are_refused(lab: Lab) -> None:
    lab.set_interfaces(TWO_UPLINKS.replace("10.1.2.1\n", "10.1.2.1 10.1.2.9\n"))
    assert lab.ifup("-a") == (
        "mptcp_up: eth1: mptcp-gateway '10.1.2.1 10.1.2.9' is wrong: it must be a router's "
        "address, one of each family at the most\n")
    assert lab.endpoints() == BOTH[:1]


@pytest.mark.parametrize("command", ["mptcp_down", "mptcp_up", "mptcp_status"])
def test_an_alias_that_is_not_there_is_unknown_and_not_its_device(
    lab: Lab, command: str
) -> None:
    """The kernel takes the number of eth1:1 to be eth1's."""
    lab.set_interfaces(TWO_UPLINKS)
    lab.ifup("-a")
    before = lab.snapshot()
    done = lab.client.try_run(command, "eth1:1")
    assert (done.returncode, done.stderr) == (
        2, f"{command}: eth1:1: no such interface, and none on record\n")
    assert lab.snapshot() == before
    check_both_paths(lab)


def test_an_alias_that_is_not_on_record_is_taken_in_alone(lab: Lab) -> None:
    lab.set_interfaces(TWO_UPLINKS)
    lab.ifup("-a")
    lab.client.ip("addr add 10.1.2.7/24 dev eth1 label eth1:1")
    before = lab.snapshot()
    assert lab.client.run("mptcp_up", "eth1:1") == ""
    assert lab.client.run("ls", "/run/mptcp-hooks").split() == [
        "eth0.paths", "eth1.paths", "eth1:1.paths", "limits"]
    lab.client.run("mptcp_down", "eth1:1")
    assert lab.snapshot() == before
    check_both_paths(lab)
