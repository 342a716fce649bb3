# SPDX-License-Identifier: GPL-2.0-or-later
"""The path manager's limits and its eight slots."""

from __future__ import annotations

import sys

import pytest

from tests.lab.support.lab import SERVER_6, TRANSFER, Lab
from tests.lab.support.monitor import Monitor
from tests.lab.support.paths import check_both_paths
from tests.lab.support.waiting import wait_for


def hook(lab: Lab, folder: str, number: int, **options: str) -> str:
    done = lab.run_hook(folder, {
        "IFACE": f"up{number}", "ADDRFAM": "inet", "METHOD": "static",
        "IF_ADDRESS": f"10.20.{number}.2", "IF_NETMASK": "24",
        "IF_GATEWAY": f"10.20.{number}.1", **options})
    assert done.returncode == 0
    return done.stderr


def make_uplinks(lab: Lab, count: int) -> None:
    for number in range(count):
        lab.client.ip(f"link add up{number} type veth peer name peer{number}",
                      f"link set up{number} up", f"addr add 10.20.{number}.2/24 dev up{number}")


def test_limits_come_with_the_first_endpoint_and_go_back_with_the_last(lab: Lab) -> None:
    make_uplinks(lab, 3)
    assert lab.limits() == "add_addr_accepted 0 subflows 2"
    for number in range(3):
        assert hook(lab, "if-up.d", number) == ""
        assert lab.limits() == "add_addr_accepted 8 subflows 8"
    for number in (0, 1):
        hook(lab, "if-down.d", number)
        assert lab.limits() == "add_addr_accepted 8 subflows 8"
    hook(lab, "if-down.d", 2)
    assert lab.limits() == "add_addr_accepted 0 subflows 2"


def test_the_configuration_wants_less_and_is_obeyed(lab: Lab) -> None:
    make_uplinks(lab, 6)
    lab.write("/etc/mptcp-hooks/mptcp-hooks.conf", "[default]\nlimits = 3\n")
    for number in range(6):
        assert hook(lab, "if-up.d", number) == ""
    assert lab.limits() == "add_addr_accepted 3 subflows 3"
    assert "limits = 3, which is too few for 6 endpoints" in lab.client.try_run(
        "mptcp_status").stdout
    assert "limits = 3 is fewer than 6 endpoints" in lab.client.try_run(
        "mptcp_up", "-v", "up0").stderr
    # The raise is ours: what is edited later moves it up and down.
    for number in (5, 4):
        lab.write("/etc/mptcp-hooks/mptcp-hooks.conf", f"[default]\nlimits = {number}\n")
        lab.client.run("mptcp_up", "--all")
        assert lab.limits() == f"add_addr_accepted {number} subflows {number}"
    for number in range(6):
        hook(lab, "if-post-down.d", number)
    assert lab.limits() == "add_addr_accepted 0 subflows 2"


def test_a_server_with_one_stanza_takes_all_subflows_of_a_client_with_six_uplinks(
    lab: Lab
) -> None:
    def count_joined() -> int:
        return sum(address.startswith("10.30.") for address in _list_peers(lab))

    lab.client.ip("link set eth0 up", "addr add 10.1.1.2/24 dev eth0")
    assert lab.run_hook("if-up.d", {
        "IFACE": "eth0", "ADDRFAM": "inet", "METHOD": "static", "IF_ADDRESS": "10.1.1.2",
        "IF_NETMASK": "24", "IF_GATEWAY": "10.1.1.1"}).stderr == ""
    lab.client.ip("route add default via 10.1.1.1")
    lab.routers[0].ip("route add 10.30.0.0/24 via 10.8.1.2")
    lab.server.run("ip", "mptcp", "limits", "set", "subflows", "8")
    for number in range(2, 8):
        lab.server.ip(f"addr add 10.30.0.{number}/32 dev lo")
        lab.server.run("ip", "mptcp", "endpoint", "add", f"10.30.0.{number}", "subflow")
    taking = lab.client.start(sys.executable, TRANSFER, "listen", "10.1.1.2", "5001")
    assert taking.stdout is not None and taking.stdout.readline() == "listening\n"
    lab.server.start(sys.executable, TRANSFER, "stream", "10.1.1.2", "5001", "20")
    wait_for(lambda: count_joined() == 6)


def _list_peers(lab: Lab) -> list[str]:
    """The addresses from which the client has established connections."""
    lines = lab.client.run("ss", "-tnHO", "state", "established", "sport", "=", ":5001")
    return [line.split()[-1] for line in lines.splitlines()]


def test_limits_that_make_no_sense_are_one_line(lab: Lab) -> None:
    for value in ("0", "9", "many", "-1", "4 4"):
        lab.write("/etc/mptcp-hooks/mptcp-hooks.conf", f"[default]\nlimits = {value}\n")
        done = lab.client.try_run("mptcp_up", "--check")
        assert done.returncode == 2
        assert done.stderr == (f"mptcp_up: /etc/mptcp-hooks/mptcp-hooks.conf:2: limits {value!r} "
                               "is wrong: it must be a number from 1 to 8\n")


def test_a_limit_that_somebody_set_meanwhile_stays(lab: Lab) -> None:
    make_uplinks(lab, 2)
    hook(lab, "if-up.d", 0)
    lab.client.ip("mptcp limits set subflows 7 add_addr_accepted 1")
    hook(lab, "if-up.d", 1)
    assert lab.limits() == "add_addr_accepted 8 subflows 8"
    hook(lab, "if-post-down.d", 0)
    hook(lab, "if-post-down.d", 1)
    assert lab.limits() == "add_addr_accepted 1 subflows 7"


def test_fullmesh_takes_all_there_is(lab: Lab) -> None:
    make_uplinks(lab, 1)
    hook(lab, "if-up.d", 0, IF_MPTCP_FLAGS="subflow fullmesh")
    assert lab.limits() == "add_addr_accepted 8 subflows 8"


def test_the_ninth_endpoint_is_one_warning_and_routing_all_the_same(lab: Lab) -> None:
    make_uplinks(lab, 9)
    for number in range(8):
        assert hook(lab, "if-up.d", number) == ""
    said = hook(lab, "if-up.d", 8)
    assert said == (
        "mptcp_up: up8: no endpoint for 10.20.8.2, routing only: the kernel's 8 are taken by "
        + ", ".join(f"10.20.{number}.2" for number in range(8)) + "\n")
    assert len(lab.endpoints()) == 8
    assert len([rule for rule in lab.rules() if "10.20.8.2" in rule]) == 3
    assert lab.limits() == "add_addr_accepted 8 subflows 8"
    hook(lab, "if-post-down.d", 0)
    assert hook(lab, "if-up.d", 8) == ""
    assert "10.20.8.2 up8 subflow" in lab.endpoints()


def make_seven_and_one_more(lab: Lab) -> None:
    """Seven uplinks that have the eight endpoints, and an eighth without its address."""
    make_uplinks(lab, 8)
    lab.client.ip("addr add 10.20.0.3/24 dev up0", "addr flush dev up7")
    for number in range(7):
        assert hook(lab, "if-up.d", number) == ""
    assert hook(lab, "if-up.d", 0, IFACE="up0:1", IF_ADDRESS="10.20.0.3",
                IF_MPTCP_FLAGS="subflow") == ""


@pytest.mark.parametrize("lack, word", [
    ("address", "Invalid prefsrc address"), ("link", "Device for nexthop is not up"),
    ("device", "Cannot find device")])
def test_nobody_gives_an_endpoint_for_what_the_kernel_refuses(
    lab: Lab, lack: str, word: str
) -> None:
    make_seven_and_one_more(lab)
    if lack == "link":
        lab.client.ip("addr add 10.20.7.2/24 dev up7", "link set up7 down")
    elif lack == "device":
        lab.client.ip("link del up7")
    standing = lab.snapshot()
    assert word in hook(lab, "if-up.d", 7)
    assert lab.snapshot() == standing
    if lack == "device":
        lab.client.ip("link add up7 type veth peer name peer7")
    lab.client.ip("link set up7 up", "addr replace 10.20.7.2/24 dev up7")
    assert hook(lab, "if-up.d", 7) == ""
    # Who has two gives now.
    assert "10.20.7.2 up7 subflow" in lab.endpoints() and len(lab.endpoints()) == 8
    assert "10.20.0.3 up0 subflow" not in lab.endpoints()


def test_who_has_two_endpoints_of_an_address_gives_one_alone(lab: Lab) -> None:
    make_uplinks(lab, 7)
    lab.client.ip("addr add 10.20.0.3/24 dev up0")
    for number in range(6):
        assert hook(lab, "if-up.d", number) == ""
    assert hook(lab, "if-up.d", 0, IFACE="up0:1", IF_ADDRESS="10.20.0.3",
                IF_MPTCP_FLAGS="subflow signal", IF_MPTCP_ANNOUNCE="203.0.113.10") == ""
    assert "203.0.113.10 - signal" in lab.endpoints() and len(lab.endpoints()) == 8
    assert hook(lab, "if-up.d", 6) == ""
    endpoints = lab.endpoints()
    assert "10.20.6.2 up6 subflow" in endpoints and len(endpoints) == 8
    assert [one for one in endpoints if "10.20.0.3" in one]
    assert "203.0.113.10 - signal" not in endpoints
    # Nothing is left for another run to do.
    assert lab.client.run("mptcp_up", "--all") == "" and lab.endpoints() == endpoints


def test_a_fifth_uplink_gets_an_endpoint_beside_four_that_announce_an_address_each(
    lab: Lab
) -> None:
    make_uplinks(lab, 4)
    lab.client.ip("link set eth0 up", "addr add 10.1.1.2/24 dev eth0",
                  "route add default via 10.1.1.1")
    for number in range(1, 4):
        assert hook(lab, "if-up.d", number, IF_MPTCP_ANNOUNCE=f"203.0.113.{number}") == ""
    assert hook(lab, "if-up.d", 0, IFACE="eth0", IF_ADDRESS="10.1.1.2", IF_GATEWAY="10.1.1.1",
                IF_MPTCP_ANNOUNCE="203.0.113.9") == ""
    assert len(lab.endpoints()) == 8
    lab.client.ip("link set eth1 up", "addr add 10.1.2.2/24 dev eth1")
    assert hook(lab, "if-up.d", 0, IFACE="eth1", IF_ADDRESS="10.1.2.2",
                IF_GATEWAY="10.1.2.1") == ""
    endpoints = lab.endpoints()
    assert "10.1.2.2 eth1 subflow" in endpoints and len(endpoints) == 8
    # What is announced goes, of one uplink alone: each keeps the own one.
    assert len([one for one in endpoints if "203.0.113." in one]) == 3
    assert lab.client.run("mptcp_up", "--all") == "" and lab.endpoints() == endpoints
    check_both_paths(lab)


def test_an_uplink_with_the_address_of_another_one_gets_an_endpoint_for_its_other_family(
    lab: Lab
) -> None:
    """As two modems with one address each for IPv4, whose IPv6 subnets differ."""
    lab.client.ip("link set eth0 up", "link set eth1 up", "addr add 10.1.1.2/24 dev eth0",
                  "addr add 10.1.1.2/24 dev eth1", "-6 addr add fd00:1::2/64 dev eth0 nodad",
                  "-6 addr add fd00:1::3/64 dev eth0 nodad",
                  "-6 addr add fd00:2::2/64 dev eth1 nodad", "-6 route add default via fd00:1::1")
    take_five(lab)
    assert hook(lab, "if-up.d", 0, IFACE="eth0", IF_ADDRESS="10.1.1.2", IF_GATEWAY="10.1.1.1") == ""
    six = {"ADDRFAM": "inet6", "IF_NETMASK": "64", "IF_GATEWAY": "fd00:1::1"}
    assert hook(lab, "if-up.d", 0, IFACE="eth0", IF_ADDRESS="fd00:1::2", **six) == ""
    assert hook(lab, "if-up.d", 0, IFACE="eth0:1", IF_ADDRESS="fd00:1::3", **six,
                IF_MPTCP_FLAGS="subflow") == ""
    said = hook(lab, "if-up.d", 1, IFACE="eth1", ADDRFAM="inet,inet6", IF_ADDRESS="",
                IF_NETMASK="", IF_ADDRESSES="10.1.1.2/24 fd00:2::2/64", IF_GATEWAY="",
                IF_MPTCP_GATEWAY="10.1.1.1 fd00:2::1")
    assert "10.1.1.2 is the address of eth0 as well" in said
    endpoints = lab.endpoints()
    assert "fd00:2::2 eth1 subflow" in endpoints and len(endpoints) == 8
    assert "fd00:1::3 eth0 subflow" not in endpoints
    check_both_paths(lab, SERVER_6)


def take_five(lab: Lab) -> None:
    """Have somebody else take five of the kernel's eight."""
    for number in range(5):
        lab.client.run("ip", "mptcp", "endpoint", "add", f"192.0.2.{number}", "signal")


def test_one_that_is_out_beside_an_address_of_anothers_has_no_place_given_and_taken_for_good(
    lab: Lab
) -> None:
    """Its monitor comes to rest: what waits is found as the plan is without the shared address."""
    lab.client.ip("link set eth0 up", "link set eth1 up", "addr add 10.9.9.2/24 dev eth0",
                  "addr add 10.1.2.2/24 dev eth1", "addr add 10.9.9.2/24 dev eth1",
                  "-6 addr add fd00:2::2/64 dev eth1 nodad",
                  "-6 addr add fd00:2::3/64 dev eth1 nodad")
    take_five(lab)
    assert hook(lab, "if-up.d", 0, IFACE="eth0", IF_ADDRESS="10.9.9.2", IF_GATEWAY="10.9.9.1") == ""
    lab.routers[0].ip("link set lan down")
    monitor = Monitor(lab)
    said = hook(lab, "if-up.d", 1, IFACE="eth1", ADDRFAM="inet,inet6", METHOD="dhcp",
                IF_ADDRESS="", IF_NETMASK="", IF_GATEWAY="", IF_MPTCP_FLAGS="subflow",
                IF_MPTCP_GATEWAY="10.1.2.1 fd00:2::1")
    assert "10.9.9.2 is the address of eth0 as well" in said
    monitor.rest()
    assert len(lab.endpoints()) == 8
    # Either may be the device's first.
    for own in ("fd00:2::2", "fd00:2::3"):
        note_failed(lab, own)
        monitor.reload()
        assert len(lab.endpoints()) == 7 and not any(own in one for one in lab.endpoints())
        note_failed(lab)
        monitor.reload()
        assert len(lab.endpoints()) == 8


def note_failed(lab: Lab, *own: str) -> None:
    """Note that the checks of these addresses have failed, as mptcp_check does."""
    lab.client.run(sys.executable, "-Ic", """\
import sys
sys.path.insert(0, "/usr/share/mptcp-hooks")
from mptcp_hooks.engine.checks import CheckResult, save_checks
save_checks(tuple(CheckResult(own, True, 0, "gateway") for own in sys.argv[1:]))
""", *own)
