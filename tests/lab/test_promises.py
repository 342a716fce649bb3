# SPDX-License-Identifier: GPL-2.0-or-later
"""The seven promises of docs/internals/architecture.md, each against the real kernel."""

from __future__ import annotations

import re
from itertools import takewhile
from signal import SIGINT

import pytest

from tests.lab.support.faults import break_ip, kill_after, mend_ip
from tests.lab.support.lab import TWO_UPLINKS, Lab
from tests.lab.support.paths import RULES
from tests.lab.support.uplink import ETH1, LEAVE, down, up
from tests.lab.support.waiting import wait_for

# linux/netlink.h
NETLINK_ROUTE, NETLINK_GENERIC = 0, 16


def list_heard(lab: Lab) -> set[int]:
    """The netlink protocols of which an `ip` of the client's waits for messages."""
    rows = [line.split() for line in lab.read("/proc/net/netlink").splitlines()[1:]]
    return {int(protocol) for _, protocol, pid, *_ in rows
            if "(ip) S" in lab.client.try_run("cat", f"/proc/{pid}/stat").stdout}


def test_up_twice_says_nothing_to_the_kernel(link: Lab) -> None:
    up(link)
    before = link.snapshot()
    monitor = link.client.start("ip", "monitor", "rule", "route")
    events = link.client.start("ip", "mptcp", "monitor")
    wait_for(lambda: list_heard(link) == {NETLINK_ROUTE, NETLINK_GENERIC})
    assert up(link) == ""
    assert link.snapshot() == before
    # What was said before this is read before it.
    link.client.ip("rule add pref 7 lookup main")
    assert monitor.stdout is not None
    said = list(takewhile(lambda line: not line.startswith("7:"), monitor.stdout))
    # The kernel's own detection of duplicates may speak meanwhile.
    assert [line for line in said if "fe80" not in line] == []
    events.send_signal(SIGINT)
    assert events.communicate()[0] == ""


@pytest.mark.parametrize("damage", [
    "rule flush", "route flush table {table}", "rule del pref 20002", "mptcp endpoint flush",
    "route replace default via 10.1.2.99 dev eth1 table {table} proto 77", "link set eth1 down",
])
def test_up_again_puts_back_what_is_missing(link: Lab, damage: str) -> None:
    up(link)
    before = link.snapshot()
    table = 20000 + link.ifindex("eth1")
    link.client.ip(damage.format(table=table))
    assert link.snapshot() != before
    if damage.startswith("link"):
        link.client.ip("link set eth1 up")
    if damage == "rule flush":
        link.client.ip("rule add pref 32766 lookup main", "rule add pref 32767 lookup default")
    assert up(link) == ""
    assert link.snapshot() == before


def test_a_changed_gateway_takes_the_place_of_the_old_one_alone(link: Lab) -> None:
    up(link)
    identity = link.client.ask("mptcp", "endpoint")
    assert up(link, IF_GATEWAY="10.1.2.254") == ""
    table = link.table(20000 + link.ifindex("eth1"))
    assert [line.split(" dev")[0] for line in table if "via" in line] == ["default via 10.1.2.254"]
    assert link.client.ask("mptcp", "endpoint") == identity


def test_changed_flags_and_table_leave_nothing_of_the_old(link: Lab) -> None:
    before = link.snapshot()
    up(link)
    assert up(link, IF_MPTCP_FLAGS="subflow backup", IF_MPTCP_TABLE="777") == ""
    assert link.endpoints() == ["10.1.2.2 eth1 subflow backup"]
    assert link.table(20000 + link.ifindex("eth1")) == []
    assert not [rule for rule in link.rules() if "lookup 2000" in rule]
    assert len(link.rules()) == RULES
    down(link)
    assert link.snapshot() == before


def test_mptcp_off_takes_away_what_stood(link: Lab) -> None:
    before = link.snapshot()
    up(link)
    assert up(link, IF_MPTCP="off") == ""
    assert link.snapshot() == before


def test_another_address_without_a_down_replaces_the_first(link: Lab) -> None:
    up(link)
    link.client.ip("addr del 10.1.2.2/24 dev eth1", "addr add 10.1.2.3/24 dev eth1")
    assert up(link, IF_ADDRESS="10.1.2.3") == ""
    assert link.endpoints() == ["10.1.2.3 eth1 subflow"]
    assert not [rule for rule in link.rules() if "10.1.2.2" in rule]


def test_down_undoes_what_was_done_whatever_the_file_says_now(lab: Lab) -> None:
    before = lab.snapshot()
    lab.set_interfaces(TWO_UPLINKS)
    lab.ifup("-a")
    lab.set_interfaces(TWO_UPLINKS.replace("10.1.2.2", "10.1.2.9").replace("10.1.1.1", "10.1.1.8"))
    lab.client.try_run("ifdown", "-a")
    assert lab.snapshot() == before


def test_down_after_the_device_has_gone(lab: Lab) -> None:
    lab.client.ip("link add usb0 type veth peer name usb1", "link set usb0 up",
                  "addr add 10.5.0.2/24 dev usb0")
    before = lab.snapshot()
    environment = ETH1 | {"IFACE": "usb0", "IF_ADDRESS": "10.5.0.2", "IF_GATEWAY": "10.5.0.1"}
    assert lab.run_hook("if-up.d", environment).stderr == ""
    assert lab.snapshot() != before
    lab.client.ip("link del usb0")
    assert lab.run_hook("if-post-down.d", LEAVE | {"IFACE": "usb0"}).stderr == ""
    assert lab.snapshot() == before


def test_a_device_that_came_back_with_another_number(lab: Lab) -> None:
    environment = ETH1 | {"IFACE": "usb0", "IF_ADDRESS": "10.5.0.2", "IF_GATEWAY": "10.5.0.1"}
    before = lab.snapshot()
    for _ in range(2):
        lab.client.ip("link add usb0 type veth peer name usb1", "link set usb0 up",
                      "addr add 10.5.0.2/24 dev usb0")
        assert lab.run_hook("if-up.d", environment).stderr == ""
        table = 20000 + lab.ifindex("usb0")
        assert len(lab.table(table)) == 3
        assert lab.endpoints() == ["10.5.0.2 usb0 subflow"]
        assert {rule.split("lookup ")[1].split()[0] for rule in lab.rules()} == {
            "main", str(table)}
        lab.client.ip("link del usb0")
    lab.run_hook("if-post-down.d", LEAVE | {"IFACE": "usb0"})
    assert lab.snapshot() == before


def test_foreign_things_stay(link: Lab) -> None:
    link.client.ip(
        "rule add pref 100 from 10.1.2.2 lookup 99", "route add default via 10.1.2.9 table 99",
        "rule add pref 20002 from 10.1.2.2 lookup 99 protocol 3",
        "mptcp endpoint add 10.9.9.9 signal", "mptcp limits set subflows 5 add_addr_accepted 4")
    before = link.snapshot() + "".join(link.table(99))
    up(link)
    assert link.limits() == "add_addr_accepted 8 subflows 8"
    down(link)
    assert link.snapshot() + "".join(link.table(99)) == before


def test_an_endpoint_of_somebody_else_is_success_and_stays(link: Lab) -> None:
    link.client.ip("mptcp endpoint add 10.1.2.2 dev eth1 subflow fullmesh")
    endpoint = link.client.ask("mptcp", "endpoint")
    assert up(link) == ""
    assert len(link.rules()) == RULES
    assert "left to its maker" in up(link, VERBOSITY="1")
    assert down(link) == ""
    assert link.client.ask("mptcp", "endpoint") == endpoint


@pytest.mark.parametrize("words", ["rule del pref 20002", "mptcp endpoint delete",
                                   "mptcp limits set"])
def test_what_could_not_be_undone_stays_on_record(link: Lab, words: str) -> None:
    before = link.snapshot()
    up(link)
    break_ip(link, words)
    said = down(link)
    mend_ip(link)
    assert "Cannot allocate memory" in said and words in said
    assert link.snapshot() != before
    if "limits" in words:
        # The limits are tried again with the next work of any kind.
        up(link)
    link.client.run("mptcp_down", "--all")
    assert link.snapshot() == before
    down(link)
    assert link.client.run("ls", "/run/mptcp-hooks") == ""


def test_of_a_path_that_lives_on_only_what_failed_is_tried_again(link: Lab) -> None:
    before = link.snapshot()
    up(link)
    break_ip(link, "route del default via 10.1.2.1 ")
    assert "Cannot allocate memory" in up(link, IF_GATEWAY="10.1.2.254")
    mend_ip(link)
    full = link.snapshot()
    assert link.client.run("mptcp_up", "--all", "--dry-run").splitlines() == [
        f"ip -4 route del default via 10.1.2.1 table {20000 + link.ifindex('eth1')} protocol 77"]
    link.client.run("mptcp_up", "--all")
    assert link.snapshot() == full
    assert down(link) == ""
    assert link.snapshot() == before


def test_a_roll_back_that_fails_stays_on_record(link: Lab) -> None:
    before = link.snapshot()
    link.client.ip("addr del 10.1.2.2/24 dev eth1")
    break_ip(link, "rule del")
    said = up(link)
    mend_ip(link)
    assert "route replace" in said and "rule del" in said
    assert link.snapshot() != before
    assert down(link) == ""
    assert link.snapshot() == before


def test_endpoints_with_a_port_and_implicit_ones_are_not_in_the_way(link: Lab) -> None:
    link.client.ip("mptcp endpoint add 10.1.2.2 id 9 dev eth1 signal port 5000")
    before = link.snapshot()
    assert up(link) == ""
    assert link.endpoints() == ["10.1.2.2 eth1 signal", "10.1.2.2 eth1 subflow"]
    assert down(link) == ""
    assert link.snapshot() == before


def test_the_kernels_implicit_endpoint_gives_way(lab: Lab) -> None:
    lab.server.ip("mptcp endpoint add 10.8.2.2 dev wan2 signal")
    lab.set_interfaces(TWO_UPLINKS.replace("mptcp-gateway 10.1.2.1", "mptcp off"))
    lab.ifup("-a")
    lab.client.ip("mptcp limits set subflows 4 add_addr_accepted 4",
                  "route add 10.8.2.0/24 via 10.1.2.1")
    transfer = lab.begin_transfer(4_000_000)
    wait_for(lambda: any(row["address"] == "10.1.2.2"
                         for row in lab.client.ask("mptcp", "endpoint")))
    lab.set_interfaces(TWO_UPLINKS)
    assert lab.client.run("mptcp_up", "eth1") == ""
    assert "10.1.2.2 eth1 subflow" in lab.endpoints()
    assert transfer.finish().whole


def test_a_failed_command_rolls_the_path_back(link: Lab) -> None:
    before = link.snapshot()
    link.client.ip("addr del 10.1.2.2/24 dev eth1")
    said = up(link)
    assert re.fullmatch(
        r"mptcp_up: eth1: ip -4 route replace 10\.1\.2\.0/24 dev eth1 .*: "
        r"Invalid argument.*\n|mptcp_up: eth1: ip -4 route replace .*: .*prefsrc.*\n", said), said
    assert link.snapshot() == before
    assert link.client.run("ls", "/run/mptcp-hooks") == ""


def test_a_failed_change_restores_what_stood(link: Lab) -> None:
    up(link)
    before = link.snapshot()
    said = up(link, IF_GATEWAY="10.1.2.2", IF_MPTCP_FLAGS="subflow backup")
    assert "gateway '10.1.2.2' is wrong" in said
    link.write("/etc/mptcp-hooks/templates/up.j2", link.read(
        "/usr/share/mptcp-hooks/templates/up.j2").replace("metric 4294967295", "via 1.2.3.4"))
    said = up(link, IF_GATEWAY="10.1.2.77", IF_MPTCP_FLAGS="subflow backup")
    assert said.startswith("mptcp_up: eth1: ip -4 route replace unreachable default via 1.2.3.4")
    assert said.count("\n") == 1
    link.client.run("rm", "/etc/mptcp-hooks/templates/up.j2")
    assert link.snapshot() == before
    assert up(link) == ""
    assert link.snapshot() == before


def test_a_flag_that_ip_does_not_know_costs_only_the_endpoint(link: Lab) -> None:
    help_text = link.client.try_run("ip", "mptcp", "help").stderr
    if "laminar" in help_text:
        pytest.skip("this ip knows every flag")
    before = link.snapshot()
    said = up(link, IF_MPTCP_FLAGS="subflow laminar")
    assert said.startswith("mptcp_up: eth1: ip mptcp endpoint add 10.1.2.2 dev eth1 subflow "
                           "laminar: ")
    assert "too old" in said and said.count("\n") == 1
    assert len(link.rules()) == RULES and link.endpoints() == []
    assert down(link) == ""
    assert link.snapshot() == before


def test_hooks_of_many_interfaces_run_at_once(lab: Lab) -> None:
    before = lab.snapshot()
    numbers = range(12)
    for number in numbers:
        lab.client.ip(f"link add up{number} type veth peer name peer{number}",
                      f"link set up{number} up", f"addr add 10.20.{number}.2/24 dev up{number}")
    clean = lab.snapshot()
    assert clean == before
    for program, folder in (("mptcp_up", "if-up.d"), ("mptcp_down", "if-post-down.d")):
        running = [lab.client.start(
            "env", "-i", f"IFACE=up{number}", "ADDRFAM=inet", "METHOD=static",
            f"IF_ADDRESS=10.20.{number}.2", "IF_NETMASK=24", f"IF_GATEWAY=10.20.{number}.1",
            f"/etc/network/{folder}/{program}") for number in numbers]
        lines = [line for process in running
                 for line in process.communicate(timeout=60)[1].splitlines()]
        # On a slow machine some wait in vain, and leave it to those that have the lock.
        said = [line for line in lines if "left to the next hook" not in line]
        assert [process.returncode for process in running] == [0] * len(numbers)
        if program == "mptcp_up":
            assert len(lab.rules()) == RULES * len(numbers)
            assert len(lab.endpoints()) == 8
            assert sum("the kernel's 8 are taken" in line for line in said) == 4
            assert lab.limits() == "add_addr_accepted 8 subflows 8"
        else:
            assert said == []
    assert lab.snapshot() == before


def check_cut_off(link: Lab, folder: str, environment: dict[str, str]) -> None:
    """A hook whose python3 is killed says so, and costs ifup nothing."""
    done = link.run_hook(folder, environment)
    assert done.returncode == 0 and "python3 ended with 137" in done.stderr


@pytest.mark.parametrize("count", [1, 3, 5, 8])
def test_a_way_up_that_was_cut_off(link: Lab, count: int) -> None:
    before = link.snapshot()
    for mended in (False, True):
        kill_after(link, count)
        check_cut_off(link, "if-up.d", ETH1)
        mend_ip(link)
        assert link.snapshot() != before
        assert (up(link) if mended else down(link)) == ""
        assert len(link.rules()) == (RULES if mended else 0)
    assert link.endpoints() == ["10.1.2.2 eth1 subflow"]
    assert down(link) == ""
    assert link.snapshot() == before


@pytest.mark.parametrize("count", [1, 3, 5])
def test_a_way_down_that_was_cut_off(link: Lab, count: int) -> None:
    before = link.snapshot()
    for mended in (True, False):
        up(link)
        kill_after(link, count)
        check_cut_off(link, "if-post-down.d", LEAVE)
        mend_ip(link)
        assert link.snapshot() != before
        assert (up(link) if mended else down(link)) == ""
        assert len(link.rules()) == (RULES if mended else 0)
    assert link.snapshot() == before
