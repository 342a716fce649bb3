# SPDX-License-Identifier: GPL-2.0-or-later
"""The path manager's limits and its eight slots."""

from __future__ import annotations

import sys

from tests.lab.support.lab import TRANSFER, Lab
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
