# SPDX-License-Identifier: GPL-2.0-or-later
"""mptcp_status --probe on the installed package: what each path is good for, by trying it."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.lab.support import listener
from tests.lab.support.boxes import block, put_box, remove_boxes
from tests.lab.support.lab import NOBODY, SERVER_4, SERVER_6, TWO_UPLINKS, TWO_UPLINKS_6, Lab
from tests.lab.support.making import MakeLab
from tests.lab.support.paths import plug, pull

PATHS = ("eth0", "eth1")
QUESTIONS = ("gateway", "tcp", "mptcp", "join")


@pytest.fixture(scope="module")
def shared(make_shared_lab: MakeLab) -> Lab:
    """Both uplinks of both families, and a server that has MPTCP at 443 and plain TCP at 80."""
    lab = make_shared_lab(routers=("nftables",))
    six = TWO_UPLINKS_6.partition("\n")[2]
    lab.set_interfaces(TWO_UPLINKS + six)
    lab.ifup("-a")
    for address in (SERVER_4, SERVER_6):
        started = lab.server.start(
            sys.executable, str(Path(listener.__file__)), address, "443", "80")
        assert started.stdout is not None and started.stdout.readline() == "listening\n"
    return lab


def probe(lab: Lab, *target: str, by: tuple[str, ...] = ()) -> dict[str, Any]:
    """What is answered about the paths of IPv4 by question; the status is that of all of them."""
    done = lab.client.try_run(*by, "mptcp_status", "--json", "--probe", *target)
    answer = json.loads(done.stdout)
    assert done.stderr == "" and done.returncode == (not answer["ok"])
    assert answer["ok"] == all(one["works"] for one in answer["probes"])
    return {question: tuple(summarise(one[question]) for one in answer["probes"]
                            if "." in one["address"]) for question in QUESTIONS}


def summarise(answer: dict[str, Any] | None) -> str | None:
    """Why there was no answer, `good`, or None where nobody was asked."""
    if answer is None:
        return None
    assert answer["good"] == (answer["why"] is None)
    assert answer["ms"] is None or answer["ms"] >= 0
    return answer["why"] or "good"


def test_all_is_good_also_without_root(shared: Lab) -> None:
    good = dict.fromkeys(QUESTIONS, ("good", "good"))
    before = shared.snapshot()
    assert probe(shared, SERVER_4) == good
    assert probe(shared, f"{SERVER_4}:443", by=NOBODY) == good
    assert shared.snapshot() == before


def test_the_gateway_alone_without_a_host(shared: Lab) -> None:
    assert probe(shared) == {"gateway": ("good", "good"), "tcp": (None, None),
                             "mptcp": (None, None), "join": (None, None)}
    lines = shared.client.run("mptcp_status", "eth1", "--probe").splitlines()
    assert lines[0].split() == ["INTERFACE", "ADDRESS", "GATEWAY"]
    assert [line.split()[:2] for line in lines[1:]] == [
        ["eth1", "10.1.2.2"], ["eth1", "fd00:2::2"]]


def test_a_host_of_ipv6_is_asked_by_paths_of_ipv6(shared: Lab) -> None:
    done = shared.client.try_run("mptcp_status", "--json", "--probe", f"[{SERVER_6}]:443")
    found = {one["address"]: [summarise(one[question]) for question in QUESTIONS]
             for one in json.loads(done.stdout)["probes"]}
    assert done.returncode == 0
    assert found["10.1.1.2"] == ["good", None, None, None]
    assert found["fd00:1::2"] == found["fd00:2::2"] == ["good"] * 4


def test_a_server_of_plain_tcp_and_a_port_that_nobody_serves(shared: Lab) -> None:
    assert probe(shared, f"{SERVER_4}:80") == {
        "gateway": ("good", "good"), "tcp": ("good", "good"),
        "mptcp": ("answered without MPTCP",) * 2, "join": (None, None)}
    assert probe(shared, f"{SERVER_4}:81") == {
        "gateway": ("good", "good"), "tcp": ("connection refused",) * 2,
        "mptcp": ("connection refused",) * 2, "join": (None, None)}


def test_a_provider_that_strips_joins_alone(shared: Lab) -> None:
    """As strip_joins of boxes.py has it, but only of SYNs with MP_JOIN."""
    put_box(shared.routers[1:], "tcp option mptcp subtype 1 reset tcp option mptcp")
    try:
        found = probe(shared, SERVER_4)
    finally:
        remove_boxes(shared)
    assert found["mptcp"] == ("good", "good") and found["join"][1] == "no subflow in 3 s"


def test_a_provider_that_drops_tcp(shared: Lab) -> None:
    block(shared, 1, "drop")
    try:
        found = probe(shared, SERVER_4)
    finally:
        remove_boxes(shared)
    silent = "no answer in 4 s"
    assert found == {"gateway": ("good", "good"), "tcp": ("good", silent),
                     "mptcp": ("good", silent), "join": (None, "no subflow in 3 s")}


def test_a_gateway_that_does_not_answer(shared: Lab) -> None:
    """The carrier stays: the router has no address any more."""
    shared.routers[1].ip("link set lan arp off")
    shared.client.run("ip", "neigh", "flush", "dev", "eth1")
    try:
        done = shared.client.try_run("mptcp_status", "eth1", "--probe")
    finally:
        shared.routers[1].ip("link set lan arp on")
    assert done.returncode == 1
    assert "no answer" in next(line for line in done.stdout.splitlines() if "10.1.2.2" in line)


def test_a_gateway_with_a_firewall_answers_all_the_same(shared: Lab) -> None:
    """Who says nothing to a packet is still asked for its link address."""
    router = shared.routers[1]
    router.run("nft", "-f", "-", text="table inet shut {\nchain in {\ntype filter hook input "
               "priority 0\nmeta l4proto udp drop\n}\n}\n")
    shared.client.run("ip", "neigh", "flush", "dev", "eth1")
    try:
        lines = shared.client.run("mptcp_status", "eth1", "--probe").splitlines()
    finally:
        remove_boxes(shared)
    assert [line.split()[2] for line in lines[1:]] == ["answers", "answers"]


@pytest.mark.long
def test_a_cable_that_is_out(shared: Lab) -> None:
    pull(shared, 1)
    try:
        found = probe(shared, SERVER_4)
    finally:
        plug(shared, 1)
    assert all(found[question][0] == "good" for question in ("gateway", "tcp", "mptcp"))
    assert found["join"][0] is None
    assert "good" not in (found[question][1] for question in QUESTIONS)


@pytest.mark.parametrize("target, status, said", [
    ("nobody.invalid", 1, "--probe: 'nobody.invalid' is not known: "),
    (f"{SERVER_4}:0", 2, f"--probe '{SERVER_4}:0' is wrong: it must be HOST or HOST:PORT"),
    (f"{SERVER_4}:http", 2, f"--probe '{SERVER_4}:http' is wrong: "),
    (f"[{SERVER_6}]:", 2, f"--probe '[{SERVER_6}]:' is wrong: "),
    ("a" * 300, 2, "--probe 'aaaaaa"),
])
def test_a_host_that_nobody_can_reach(shared: Lab, target: str, status: int, said: str) -> None:
    # Without a server named, a resolver asks none.
    shared.write("/etc/resolv.conf", "options attempts:1 timeout:1\n")
    done = shared.client.try_run("mptcp_status", "--probe", target)
    assert (done.returncode, done.stdout, done.stderr.count("\n")) == (status, "", 1)
    assert done.stderr.startswith(f"mptcp_status: {said}")


def test_without_a_path(lab: Lab) -> None:
    done = lab.client.try_run("mptcp_status", "--probe")
    assert (done.returncode, done.stdout, done.stderr) == (
        1, "", "mptcp_status: there is no path to probe: 'mptcp_up --all' makes what can be made\n")
