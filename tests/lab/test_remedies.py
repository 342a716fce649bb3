# SPDX-License-Identifier: GPL-2.0-or-later
"""What messages tell a person to do leads to the end: remedies, followed as they are printed."""

from __future__ import annotations

import re
import signal
from typing import Any

import pytest

from tests.lab.support.breakages import (
    BREAKAGES,
    LAN,
    ONE_UPLINK,
    ONE_UPLINK_LEFT,
    Breakage,
)
from tests.lab.support.lab import TWO_UPLINKS, Lab
from tests.lab.support.monitor import Monitor
from tests.lab.support.paths import RULES
from tests.lab.support.status import NO_MONITOR, ask, find, quote_remedy
from tests.lab.support.uplink import ETH1, down, up
from tests.lab.support.waiting import wait_for

PROGRAMS = ("ip", "ifdown", "ifup", "mptcp_down", "mptcp_up", "sysctl")
BROKEN = [one for one in BREAKAGES if set(one.finds) - set(one.leaves)]
# Remedies that begin with what is to be done in an editor, or with a choice.
BY_HAND = ("configuration", "no-gateway", "no-path")
# One remedy may show the next thing that is wrong.
ROUNDS = 3


def read_command(remedy: str) -> str:
    """The command line that a remedy names, '' where it is for a person's hands and eyes.

    Of alternatives it is the first one that is a command.
    """
    for way in re.split(r", or ", remedy):
        quoted = [one for one in re.findall(r"'([^']*)'", way) if one.split()[0] in PROGRAMS]
        if quoted:
            return "; ".join(quoted)
        if way.split()[0] in PROGRAMS:
            return re.split(r" \(|, ", way)[0]
    return ""


def follow(lab: Lab, finding: dict[str, Any], breakage: Breakage) -> None:
    command = "" if finding["kind"] in BY_HAND else read_command(finding["remedy"])
    if finding["kind"] == "userspace-manager":
        command = re.sub(r"^(.*), or before Linux [^ ]* (.*)", r"\1 || sysctl -w \2",
                         finding["remedy"])
    if command:
        lab.client.try_run("sh", "-c", command)
    else:
        breakage.mend(lab)


@pytest.mark.parametrize("breakage", BROKEN, ids=[one.name for one in BROKEN])
def test_what_mptcp_status_advises_is_done_and_then_all_is_well(
    lab: Lab, breakage: Breakage
) -> None:
    breakage.prepare(lab)
    breakage.commit(lab)
    for _ in range(ROUNDS):
        for finding in ask(lab)["findings"]:
            found = (finding["severity"], finding["kind"], finding["interface"])
            if finding["kind"] != NO_MONITOR and found not in breakage.leaves:
                follow(lab, finding, breakage)
    assert find(lab) == breakage.leaves


def test_a_configuration_that_was_corrected_is_read_again(lab: Lab) -> None:
    (breakage,) = (one for one in BREAKAGES if one.name == "wrong-configuration")
    breakage.prepare(lab)
    breakage.commit(lab)
    (found,) = (one for one in ask(lab)["findings"] if one["kind"] != NO_MONITOR)
    command = re.findall(r"'([^']*)'", found["remedy"])[0].split()
    assert lab.client.try_run(*command).stderr != ""
    breakage.mend(lab)
    assert lab.client.run(*command) == "" and find(lab) == ()


def test_an_uplink_that_was_taken_for_a_lan_is_given_its_gateway(lab: Lab) -> None:
    lab.set_interfaces(LAN)
    lab.ifup("-a")
    option, command, off = quote_remedy(lab, "no-gateway")
    assert (option, off) == ("mptcp-gateway ADDRESS", "mptcp off")
    lab.set_interfaces(TWO_UPLINKS)
    lab.client.run("sh", "-c", command)
    assert find(lab) == ()
    lab.set_interfaces(LAN + f"    {off}\n")
    lab.client.run("sh", "-c", command)
    assert find(lab) == ONE_UPLINK_LEFT


def test_a_lan_of_a_manager_is_named_in_the_configuration(lab: Lab) -> None:
    lab.set_interfaces(ONE_UPLINK)
    lab.ifup("-a")
    lab.client.ip("link set eth1 up", "addr add 10.1.2.2/24 dev eth1")
    lab.write("/etc/mptcp-hooks/mptcp-hooks.conf", "[default]\nmanage = eth1\n")
    monitor = Monitor(lab)
    gateway, reload, exclude = quote_remedy(lab, "no-gateway")
    assert reload == "service mptcp-hooks reload"
    write_section(lab, monitor, gateway.replace("ADDRESS", "10.1.2.1"))
    wait_for(lambda: find(lab) == ())
    write_section(lab, monitor, exclude)
    wait_for(lambda: find(lab) == ONE_UPLINK_LEFT)


def write_section(lab: Lab, monitor: Monitor, line: str) -> None:
    """Write a line about managed eth1, and do what systemd and the init script do then."""
    lab.write("/etc/mptcp-hooks/mptcp-hooks.conf",
              f"[default]\nmanage = eth1\n[eth1]\n{line}\n")
    monitor.signal(signal.SIGHUP)


def test_an_uplink_that_nobody_told_of_is_named_in_the_configuration(lab: Lab) -> None:
    lab.set_interfaces(ONE_UPLINK)
    lab.ifup("-a")
    lab.client.ip("link set eth1 up", "addr add 10.1.2.2/24 dev eth1",
                  "route add default via 10.1.2.1 dev eth1 metric 9")
    monitor = Monitor(lab)
    line, reload = quote_remedy(lab, "not-set-up")
    lab.write("/etc/mptcp-hooks/mptcp-hooks.conf", f"[default]\n{line}\n")
    # What systemd and the init script do then.
    assert reload == "service mptcp-hooks reload"
    monitor.signal(signal.SIGHUP)
    wait_for(lambda: find(lab) == ())


@pytest.mark.parametrize("stanza, reason", [
    ("static\n address 10.1.2.2/24", "10.1.2.2: no gateway, a LAN, left alone"),
    ("static\n address 10.1.2.2/24\n mptcp-gateway 10.1.2.1\n mptcp off",
     "left alone: its stanza says 'mptcp off'"),
    ("manual\n up ip link set eth1 up", "no address yet"),
])
def test_mptcp_up_says_why_an_interface_has_no_path(lab: Lab, stanza: str, reason: str) -> None:
    lab.set_interfaces(f"{ONE_UPLINK}auto eth1\niface eth1 inet {stanza}\n")
    lab.ifup("-a")
    (found,) = [one for one in ask(lab)["findings"] if one["kind"] == "one-uplink"]
    command = read_command(found["remedy"])
    assert lab.client.try_run(*command.split()).stderr == f"mptcp_up: eth1: {reason}\n"


@pytest.mark.parametrize("trap, remedy", [
    ("touch /run/mptcp-hooks", "rm /run/mptcp-hooks"),
    ("ln -s /run/nowhere /run/mptcp-hooks", "rm /run/mptcp-hooks"),
    ("mkdir -m 777 /run/mptcp-hooks", "chmod go-w /run/mptcp-hooks"),
    ("mkdir /run/mptcp-hooks; chown nobody /run/mptcp-hooks", "chown root /run/mptcp-hooks"),
    ("mkdir -p /run/mptcp-hooks/eth1.paths", "rmdir /run/mptcp-hooks/eth1.paths"),
    ("mkdir -p /run/mptcp-hooks/limits", "rmdir /run/mptcp-hooks/limits"),
    ("mkdir -p /etc/mptcp-hooks/mptcp-hooks.conf", "rmdir /etc/mptcp-hooks/mptcp-hooks.conf"),
    ("sysctl -qw net.mptcp.enabled=0", "sysctl -qw net.mptcp.enabled=1"),
])
def test_what_is_in_the_way_is_named_and_once_it_is_mended_all_is_well(
    link: Lab, trap: str, remedy: str
) -> None:
    before = link.snapshot()
    link.client.run("sh", "-ec", trap)
    said = up(link)
    path = next(word for word in reversed(remedy.split()) if "/" in word or "=" in word)
    assert path.partition("=")[0] in said
    assert any(words in said for words in ("remove it", "must belong to root", "until it is 1"))
    link.client.run("sh", "-ec", remedy)
    assert up(link) == ""
    assert link.endpoints() == ["10.1.2.2 eth1 subflow"] and len(link.rules()) == RULES
    assert down(link) == ""
    assert link.snapshot() == before


@pytest.mark.parametrize("where", ["mptcp-table", "table in mptcp-hooks.conf"])
def test_a_table_that_is_taken_is_exchanged_for_another(link: Lab, where: str) -> None:
    link.client.ip("route add default via 10.1.2.9 dev eth1 table 101")
    before = link.snapshot()
    assert where in up(link, IF_MPTCP_TABLE="101")
    if where == "mptcp-table":
        assert up(link, IF_MPTCP_TABLE="102") == ""
    else:
        link.write("/etc/mptcp-hooks/mptcp-hooks.conf", "[eth1]\ntable = 102\n")
        assert up(link) == ""
    assert link.table(102) != []
    down(link)
    assert link.snapshot() == before


def test_an_address_of_two_interfaces_is_changed_on_one(lab: Lab) -> None:
    lab.client.ip("link set eth0 up", "link set eth1 up", "addr add 10.1.9.2/24 dev eth0",
                  "addr add 10.1.9.2/24 dev eth1")
    usual = {"IF_ADDRESS": "10.1.9.2", "IF_GATEWAY": "10.1.9.1"}
    assert lab.run_hook("if-up.d", ETH1 | usual | {"IFACE": "eth0"}).stderr == ""
    assert "until one of them changes" in up(lab, **usual)
    lab.client.ip("addr del 10.1.9.2/24 dev eth1", "addr add 10.1.9.3/24 dev eth1")
    assert up(lab, **usual | {"IF_ADDRESS": "10.1.9.3"}) == ""
    assert lab.endpoints() == ["10.1.9.2 eth0 subflow", "10.1.9.3 eth1 subflow"]
