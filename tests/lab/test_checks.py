# SPDX-License-Identifier: GPL-2.0-or-later
"""Checks that the administrator asks for: what is sent, who answers, and what is noted of it."""

from __future__ import annotations

import signal
import time
from collections.abc import Callable, Iterator
from typing import NamedTuple

import pytest

from tests.lab.support.boxes import put_box, remove_boxes
from tests.lab.support.checker import Checker, find_failed, has_results, read_results
from tests.lab.support.lab import SERVER_4, SERVER_6, TWO_UPLINKS, TWO_UPLINKS_6, Host, Lab
from tests.lab.support.making import MakeLab
from tests.lab.support.monitor import Monitor
from tests.lab.support.newcomer import connect, receive
from tests.lab.support.paths import BOTH, plug, pull
from tests.lab.support.status import find
from tests.lab.support.waiting import wait_for

CONFIGURATION = "/etc/mptcp-hooks/mptcp-hooks.conf"
# Three failures at an interval of a second take 4.5 s at the most, two answers 3.5 s; the rest is
# for a machine that is busy, and less than what one more of either takes by default, ten seconds.
FAILED_WITHIN, BACK_WITHIN = 9.0, 8.0
# As ping(8) of 100 bytes, many times a second.
PING = """\
import socket, time
with socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_ICMP) as one:
    one.bind(("10.1.2.2", 0))
    message = bytes((8, 0, 0xf7, 0xff)) + bytes(96)
    while True:
        one.sendto(message, ("10.1.2.1", 0))
        time.sleep(0.05)
"""
ECHOS = "icmp type echo-request", "icmpv6 type echo-request"


@pytest.fixture
def boxed(make_lab: MakeLab) -> Lab:
    """Routers that can count and drop; nothing is up yet."""
    return make_lab(routers=("nftables",))


def configure(lab: Lab, text: str, every: int = 1) -> None:
    """What mptcp-hooks.conf says, with an interval for all."""
    lab.write(CONFIGURATION, f"[default]\ncheck-interval = {every}\n{text}\n")


def bring_up(lab: Lab, check: str, interfaces: str = TWO_UPLINKS) -> Checker:
    """Two uplinks that are checked."""
    configure(lab, f"check = {check}")
    lab.set_interfaces(interfaces)
    lab.ifup("-a")
    checker = Checker(lab)
    assert len(read_results(lab)) == 2 and find_failed(lab) == []
    return checker


def have_router_drop(router: Host, what: str, hook: str = "input") -> None:
    """Drop what is meant for the router itself."""
    router.run("nft", "-f", "-", text=f"table inet own {{\nchain {hook} {{\n"
               f"type filter hook {hook} priority 0\n{what} drop\n}}\n}}\n")


def count(router: Host, *rules: str) -> None:
    """Begin to count the packets that come from the client."""
    router.run("nft", "-f", "-", text="table inet seen {\nchain way {\n"
               "type filter hook prerouting priority -300\n"
               + "".join(f"iifname lan {rule} counter\n" for rule in rules) + "}\n}\n")


def read_counts(router: Host) -> list[int]:
    words = router.run("nft", "list", "table", "inet", "seen").split()
    return [int(words[at + 1]) for at, word in enumerate(words) if word == "packets"]


def time_failure(lab: Lab, own: str) -> float:
    began = time.monotonic()
    wait_for(lambda: find_failed(lab) == [own])
    return time.monotonic() - began


def time_return(lab: Lab) -> float:
    began = time.monotonic()
    wait_for(lambda: find_failed(lab) == [])
    return time.monotonic() - began


def check_outage(lab: Lab, own: str, break_it: Callable[[], None]) -> None:
    """The path that is broken fails in time, and comes back in time; the other one stays."""
    others = {path: result for path, result in read_results(lab).items() if path != own}
    break_it()
    assert time_failure(lab, own) < FAILED_WITHIN
    since = read_results(lab)[own].since
    assert abs(since - time.time()) < 2
    remove_boxes(lab)
    assert time_return(lab) < BACK_WITHIN
    assert read_results(lab)[own].since >= since
    # In that time it would have failed as well, if nobody had answered there.
    assert {path: read_results(lab)[path] for path in others} == others


def test_a_gateway_that_is_silent(boxed: Lab) -> None:
    checker = bring_up(boxed, "gateway")
    check_outage(boxed, "10.1.2.2", lambda: have_router_drop(boxed.routers[1], ECHOS[0]))
    assert checker.read_words() == [
        "eth1: 10.1.2.2: no answer from gateway 3 times in a row",
        "eth1: 10.1.2.2: gateway answers again"]
    assert read_results(boxed)["10.1.1.2"].target == "gateway"


@pytest.mark.long
def test_an_address_behind_a_gateway_that_is_there(boxed: Lab) -> None:
    bring_up(boxed, SERVER_4)
    check_outage(boxed, "10.1.1.2", lambda: put_box(boxed.routers[:1], f"{ECHOS[0]} drop"))


@pytest.mark.long
def test_what_a_router_says_of_an_address_is_no_answer(boxed: Lab) -> None:
    bring_up(boxed, SERVER_4)
    check_outage(boxed, "10.1.1.2", lambda: put_box(
        boxed.routers[:1], f"{ECHOS[0]} reject with icmp type host-unreachable"))


@pytest.mark.long
@pytest.mark.parametrize("verdict", [
    "drop", "reject with icmpx type port-unreachable", "reject with icmpx type admin-prohibited"])
def test_a_port_that_a_firewall_keeps(boxed: Lab, verdict: str) -> None:
    """The port is closed, and its refusal is an answer; a firewall's word is none."""
    bring_up(boxed, f"tcp:{SERVER_4}:443")
    check_outage(boxed, "10.1.2.2", lambda: put_box(boxed.routers[1:], f"tcp dport 443 {verdict}"))


def test_a_port_where_somebody_listens(boxed: Lab) -> None:
    """What is opened is closed at once, and nothing of it lingers."""
    listener = boxed.server.start("/usr/bin/python3", "-c", "import socket, time\n"
                                  f"one = socket.create_server(('{SERVER_4}', 443))\n"
                                  "print('ready', flush=True); time.sleep(1000)")
    assert listener.stdout is not None and listener.stdout.readline() == "ready\n"
    bring_up(boxed, f"tcp:{SERVER_4}:443")
    assert boxed.client.run("ss", "-Htan", "dport", "=", ":443") == ""
    check_outage(boxed, "10.1.2.2", lambda: put_box(boxed.routers[1:], "tcp dport 443 drop"))


@pytest.mark.long
@pytest.mark.parametrize("target, broken", [
    ("gateway", lambda lab: have_router_drop(lab.routers[1], ECHOS[1])),
    (SERVER_6, lambda lab: put_box(lab.routers[1:], f"{ECHOS[1]} drop")),
    (f"tcp:[{SERVER_6}]:443", lambda lab: put_box(lab.routers[1:], "tcp dport 443 drop")),
    (f"tcp:[{SERVER_6}]:443", lambda lab: put_box(lab.routers[1:], "tcp dport 443 reject")),
])
def test_ipv6(boxed: Lab, target: str, broken: Callable[[Lab], None]) -> None:
    bring_up(boxed, target, TWO_UPLINKS_6)
    check_outage(boxed, "fd00:2::2", lambda: broken(boxed))


@pytest.mark.long
def test_a_link_local_gateway(boxed: Lab) -> None:
    boxed.routers[1].ip("-6 addr add fe80::1/64 dev lan nodad")
    bring_up(boxed, "gateway", TWO_UPLINKS_6.replace("mptcp-gateway fd00:2::1",
                                                     "mptcp-gateway fe80::1"))
    check_outage(boxed, "fd00:2::2", lambda: have_router_drop(boxed.routers[1], ECHOS[1]))


@pytest.mark.long
def test_one_of_two_targets_that_answers_is_enough(boxed: Lab) -> None:
    bring_up(boxed, f"gateway tcp:{SERVER_4}:443 2001:db8::1")
    assert read_results(boxed)["10.1.2.2"].target == f"gateway tcp:{SERVER_4}:443"
    have_router_drop(boxed.routers[1], ECHOS[0])
    time.sleep(FAILED_WITHIN + 1)
    assert find_failed(boxed) == []
    put_box(boxed.routers[1:], "tcp dport 443 drop")
    assert time_failure(boxed, "10.1.2.2") < FAILED_WITHIN


@pytest.mark.long
def test_a_stanza_has_the_last_word(boxed: Lab) -> None:
    configure(boxed, f"check = 10.8.9.9\n[eth0]\ncheck = tcp:{SERVER_4}:443")
    boxed.set_interfaces(TWO_UPLINKS + "    mptcp-check off\n")
    boxed.ifup("-a")
    Checker(boxed)
    assert {own: result.target for own, result in read_results(boxed).items()} == {
        "10.1.1.2": f"tcp:{SERVER_4}:443"}


def test_what_is_sent_leaves_by_the_path(boxed: Lab) -> None:
    """Each router sees its own path's address alone, as often as the interval has it."""
    for number, router in enumerate(boxed.routers, start=1):
        count(router, f"ip saddr 10.1.{number}.2 {ECHOS[0]}", f"ip saddr 10.1.{number}.2 tcp flags "
              "& (syn | ack) == syn", f"ip saddr != 10.1.{number}.2")
    bring_up(boxed, f"{SERVER_4} tcp:{SERVER_4}:443")
    # Nothing else is to happen while all is well.
    time.sleep(4)
    assert find_failed(boxed) == []
    for router in boxed.routers:
        echos, connections, others = read_counts(router)
        assert 4 <= echos <= 6 and echos == connections and others == 0


def test_where_nobody_asks_nothing_is_sent(boxed: Lab) -> None:
    boxed.set_interfaces(TWO_UPLINKS)
    boxed.ifup("-a")
    for router in boxed.routers:
        count(router, ECHOS[0], "meta l4proto tcp")
    checker = Checker(boxed)
    # It goes to sleep a moment after it says that it is ready.
    time.sleep(1)
    before = checker.read_status("voluntary_ctxt_switches")
    # A timer would come in that time.
    time.sleep(6)
    assert checker.read_status("voluntary_ctxt_switches") == before
    assert [read_counts(router) for router in boxed.routers] == [[0, 0], [0, 0]]
    assert not has_results(boxed) and checker.stop() == 0


@pytest.mark.long
def test_a_check_that_is_asked_for_later(boxed: Lab) -> None:
    """By a reload, by a path that comes; and it goes with its path, and with the file."""
    boxed.set_interfaces(TWO_UPLINKS)
    boxed.ifup("eth0")
    checker = Checker(boxed)
    assert read_results(boxed) == {}
    configure(boxed, "check = gateway")
    checker.signal(signal.SIGHUP)
    wait_for(lambda: list(read_results(boxed)) == ["10.1.1.2"])
    began = read_results(boxed)["10.1.1.2"]
    boxed.ifup("eth1")
    wait_for(lambda: list(read_results(boxed)) == ["10.1.1.2", "10.1.2.2"])
    boxed.ifdown("eth1")
    wait_for(lambda: list(read_results(boxed)) == ["10.1.1.2"])
    assert read_results(boxed)["10.1.1.2"] == began
    boxed.ifdown("eth0")
    wait_for(lambda: not has_results(boxed))
    assert checker.read_words() == []


@pytest.mark.long
def test_a_check_that_is_no_longer_asked_for(boxed: Lab) -> None:
    checker = bring_up(boxed, "gateway")
    have_router_drop(boxed.routers[1], ECHOS[0])
    wait_for(lambda: find_failed(boxed) == ["10.1.2.2"])
    configure(boxed, "check = gateway\n[eth1]\ncheck = off")
    checker.signal(signal.SIGHUP)
    wait_for(lambda: list(read_results(boxed)) == ["10.1.1.2"])
    configure(boxed, "")
    checker.signal(signal.SIGHUP)
    wait_for(lambda: not has_results(boxed))


@pytest.mark.long
def test_without_a_carrier_nobody_is_asked(boxed: Lab) -> None:
    bring_up(boxed, "gateway")
    pull(boxed, 1)
    # Longer than a failure takes.
    time.sleep(FAILED_WITHIN + 1)
    assert find_failed(boxed) == [] and len(read_results(boxed)) == 2
    plug(boxed, 1)
    time.sleep(FAILED_WITHIN + 1)
    assert find_failed(boxed) == []


@pytest.mark.long
def test_when_it_ends_nothing_is_left(boxed: Lab) -> None:
    checker = bring_up(boxed, "gateway")
    assert checker.stop() == 0 and not has_results(boxed)
    checker = Checker(boxed)
    have_router_drop(boxed.routers[1], ECHOS[0])
    wait_for(lambda: find_failed(boxed) == ["10.1.2.2"])
    checker.signal(signal.SIGKILL)
    assert find_failed(boxed) == ["10.1.2.2"]
    # Whoever comes next has seen nothing yet.
    Checker(boxed)
    assert find_failed(boxed) == []


@pytest.mark.long
def test_no_file_is_written_while_nothing_changes(boxed: Lab) -> None:
    bring_up(boxed, "gateway")
    look = ("stat", "-c", "%i %Y", "/run/mptcp-hooks/.checks")
    before = boxed.client.run(*look)
    time.sleep(2.5)
    assert boxed.client.run(*look) == before


@pytest.mark.long
def test_an_answer_to_somebody_else_is_none(boxed: Lab) -> None:
    """A person's ping goes on while what is ours is dropped."""
    bring_up(boxed, "gateway")
    boxed.client.start("/usr/bin/python3", "-c", PING)
    check_outage(boxed, "10.1.2.2", lambda: have_router_drop(
        boxed.routers[1], f"{ECHOS[0]} meta length < 100"))


class Outage(NamedTuple):
    """A provider that is dead behind its gateway, as its check says."""

    lab: Lab
    checker: Checker
    monitor: Monitor


@pytest.fixture
def failed(boxed: Lab) -> Iterator[Outage]:
    """The check of the first uplink has failed, and the monitor has heeded it."""
    checker = bring_up(boxed, f"tcp:{SERVER_4}:9")
    monitor = Monitor(boxed)
    with receive(boxed):
        assert connect(boxed).uplink == 0
        put_box(boxed.routers[:1], f"ip daddr {SERVER_4} drop")
        wait_for(lambda: find_failed(boxed) == ["10.1.1.2"])
        wait_for(lambda: "eth0: check failed: new connections over IPv4 leave by eth1"
                 in monitor.read_words())
        yield Outage(boxed, checker, monitor)


def test_a_path_whose_check_failed_is_out_as_long_as_that_is_said(failed: Outage) -> None:
    """Running connections and new ones leave it; without whoever asks, it counts no more."""
    lab = failed.lab
    assert lab.endpoints() == BOTH[1:] and connect(lab).uplink == 1
    assert {kind for _, kind, _ in find(lab)} == {"check-failed", "no-way-out"}
    assert any(one.startswith("eth0: check failed after ") for one in failed.monitor.read_words())
    failed.checker.stop()
    wait_for(lambda: len(lab.endpoints()) == 2)


def test_a_path_whose_check_failed_is_used_again_when_somebody_answers(failed: Outage) -> None:
    remove_boxes(failed.lab)
    wait_for(lambda: sorted(failed.lab.endpoints()) == BOTH)


@pytest.mark.long
def test_new_connections_leave_by_a_path_that_answers_again(failed: Outage) -> None:
    remove_boxes(failed.lab)
    wait_for(lambda: connect(failed.lab).uplink == 0)
    assert find(failed.lab) == ()
