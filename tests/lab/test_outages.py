# SPDX-License-Identifier: GPL-2.0-or-later
"""What was lost comes back: uplinks that go and come under running connections, by their bytes."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable

import pytest

from tests.lab.support.boxes import drop_acknowledgements, remove_boxes
from tests.lab.support.crowd import Crowd
from tests.lab.support.dhcp import TWO_DHCP
from tests.lab.support.lab import SERVER_4, TWO_UPLINKS, TWO_UPLINKS_6, Lab
from tests.lab.support.making import MakeLab
from tests.lab.support.monitor import Monitor
from tests.lab.support.paths import BOTH, answers, plug, pull
from tests.lab.support.provider import SERVICES, Served, with_providers
from tests.lab.support.status import find
from tests.lab.support.uplink import ETH1
from tests.lab.support.waiting import wait_for, wait_for_addresses

# After the moment when the gateway can answer, in seconds. `make bench` measures how long it takes;
# here it is that it happens by itself, on a machine that may be busy. A round begins some programs,
# which is all that takes long where the processor is emulated.
BACK_WITHIN, PROGRAMS = 5.5, 10
# The monitor waits no longer for connections before it says how many are back.
SAID_AFTER = 2.0
# When it is given up.
AT_MOST = 60.0
SIGNALLING = TWO_UPLINKS.replace("/24\n", "/24\n    mptcp-flags signal\n")
AUTO = "auto eth0 eth1\niface eth0 inet6 auto\niface eth1 inet6 auto\n"


@pytest.fixture
def up(lab: Lab) -> Lab:
    """Two static uplinks that the real ifup brought up."""
    lab.set_interfaces(TWO_UPLINKS)
    lab.ifup("-a")
    return lab


def find_limit(lab: Lab) -> float:
    """Until when it is to be back, in seconds."""
    began = time.monotonic()
    lab.client.run("mptcp_status", "--version")
    return BACK_WITHIN + PROGRAMS * (time.monotonic() - began)


def have_outage(lab: Lab, crowd: Crowd, uplink: int, seconds: float) -> float:
    """Pull a cable, wait, and plug it in; how long until all connections use it again."""
    crowd.wait_until_whole()
    pull(lab, uplink)
    time.sleep(seconds)
    plug(lab, uplink)
    return crowd.measure_return(uplink, AT_MOST)


@pytest.mark.parametrize("family", [4, 6])
def test_a_running_connection_gets_its_subflow_back(lab: Lab, family: int) -> None:
    lab.set_interfaces(TWO_UPLINKS if family == 4 else TWO_UPLINKS_6)
    lab.ifup("-a")
    monitor = Monitor(lab)
    crowd = Crowd(lab, family=family)
    for uplink, seconds in ((1, 0.5), (1, 3.0), (0, 2.5)):
        took = have_outage(lab, crowd, uplink, seconds)
        assert took < find_limit(lab)
    # Ten seconds later it says that new connections leave by it again, too.
    (back,) = wait_for(lambda: [said for said in monitor.read_words()
                                if said.startswith("eth0: back after ")])
    assert back.endswith(" s, 1 of 1 connection uses it again") or (
        took > SAID_AFTER and back.endswith(" s, 0 of 1 connection uses it again"))
    assert crowd.list_broken() == ""
    # A busy machine's kernel may have given up on the gateway before the cable was pulled.
    assert any(said.startswith("eth1: carrier lost after ") for said in monitor.read_words())
    assert monitor.read_words()[0].endswith(" s: endpoint taken away")


def test_two_hundred_connections_get_theirs_back(up: Lab) -> None:
    # In the crush of an outage one of thousands misses all that it is told, and takes no third one
    # with the kernel's own limits.
    up.server.run("ip", "mptcp", "limits", "set", "subflows", "8")
    Monitor(up)
    crowd = Crowd(up, 200)
    for uplink in (1, 0):
        assert have_outage(up, crowd, uplink, 3.0) < find_limit(up) + 1
    assert crowd.list_broken() == ""


def test_a_peer_that_missed_that_an_endpoint_went_is_told_again(make_lab: MakeLab) -> None:
    """RM_ADDR is one packet; who missed it keeps the dead subflow, and takes no more than two."""
    lab = make_lab(routers=("nftables",))
    lab.set_interfaces(TWO_UPLINKS)
    lab.ifup("-a")
    if os.uname().release.startswith("6.1."):
        # A peer with this kernel counts some subflows for good that end as soon as they began.
        lab.server.run("ip", "mptcp", "limits", "set", "subflows", "8")
    Monitor(lab)
    crowd = Crowd(lab, 3)

    def count_at_peer(uplink: int) -> int:
        return lab.server.run("ss", "-tnHO", "state", "established", "sport", "=", ":5009").count(
            f" 10.1.{uplink + 1}.2:")

    for uplink in (1, 0, 1, 0):
        crowd.wait_until_whole()
        drop_acknowledgements(lab, 1 - uplink)
        # What is lost in the first tenth of a second is not said by itself again.
        pull(lab, uplink)
        wait_for(lambda: len(lab.endpoints()) == 1)
        time.sleep(0.1)
        assert count_at_peer(uplink) == 3
        remove_boxes(lab)
        wait_for(lambda: not count_at_peer(uplink))
        plug(lab, uplink)
        assert crowd.measure_return(uplink, AT_MOST) < find_limit(lab)
    assert crowd.list_broken() == ""


def test_a_servers_connections_get_theirs_back(lab: Lab) -> None:
    """The lab's client is the server, and tells the peer of both addresses."""
    lab.set_interfaces(SIGNALLING)
    lab.ifup("-a")
    lab.server.run("ip", "mptcp", "limits", "set", "subflows", "8", "add_addr_accepted", "8")
    Monitor(lab)
    crowd = Crowd(lab, backwards=True)
    for uplink in (1, 0):
        assert have_outage(lab, crowd, uplink, 2.5) < find_limit(lab)
    assert crowd.list_broken() == ""


@pytest.mark.long
@pytest.mark.parametrize("kind", ["dhcp", "advertised"])
def test_uplinks_that_others_configure(make_lab: MakeLab, kind: str) -> None:
    lab, *providers = with_providers(make_lab("isc-dhcp-client", routers=SERVICES))
    for provider in providers:
        provider.serve_dhcp() if kind == "dhcp" else provider.advertise()
    lab.set_interfaces(TWO_DHCP if kind == "dhcp" else AUTO)
    lab.ifup("-a")
    Monitor(lab)
    wait_for(lambda: len(lab.endpoints()) == 2)
    crowd = Crowd(lab, family=4 if kind == "dhcp" else 6)
    assert have_outage(lab, crowd, 1, 3.0) < find_limit(lab)
    assert crowd.list_broken() == ""


def test_a_lease_that_ends_and_is_given_again(dhclient_lab: Served) -> None:
    lab, first, second = dhclient_lab
    first.serve_dhcp()
    second.serve_dhcp(renew=3)
    lab.set_interfaces(TWO_DHCP)
    lab.ifup("-a")
    Monitor(lab)
    crowd = Crowd(lab)
    crowd.wait_until_whole()
    second.refuse_dhcp()
    wait_for(lambda: len(lab.endpoints()) == 1)
    second.serve_dhcp()
    wait_for(lambda: len(lab.endpoints()) == 2, 60)
    assert crowd.measure_return(1, AT_MOST) < find_limit(lab)


@pytest.mark.parametrize("gone, back", [
    (lambda lab: lab.ifdown("eth1"), lambda lab: lab.ifup("eth1")),
    (lambda lab: lab.client.ip("addr del 10.1.2.2/24 dev eth1"),
     lambda lab: lab.client.ip("addr add 10.1.2.2/24 dev eth1")),
    (lambda lab: lab.client.ip("link set eth1 down"),
     lambda lab: lab.client.ip("link set eth1 up")),
], ids=["ifdown", "address", "link"])
def test_what_was_taken_away_on_purpose(
    up: Lab, gone: Callable[[Lab], object], back: Callable[[Lab], object]
) -> None:
    Monitor(up)
    crowd = Crowd(up)
    crowd.wait_until_whole()
    gone(up)
    time.sleep(2)
    back(up)
    assert crowd.measure_return(1, AT_MOST) < find_limit(up)
    assert crowd.list_broken() == ""


def test_a_machine_that_slept(up: Lab) -> None:
    """Nothing of it ran while the cable was out; all that is left to hear is that it was."""
    monitor = Monitor(up)
    crowd = Crowd(up)
    crowd.wait_until_whole()
    monitor.signal(signal.SIGSTOP)
    pull(up, 1)
    time.sleep(3)
    plug(up, 1)
    time.sleep(0.5)
    monitor.signal(signal.SIGCONT)
    assert crowd.measure_return(1, AT_MOST) < find_limit(up)


def test_a_gateway_that_needs_longer_than_the_carrier(up: Lab) -> None:
    monitor = Monitor(up)
    crowd = Crowd(up)
    crowd.wait_until_whole()
    up.routers[1].ip("addr del 10.1.2.1/24 dev lan")
    pull(up, 1)
    wait_for(lambda: up.endpoints() == BOTH[:1])
    # The endpoint goes before the round that notes the outage.
    monitor.rest()
    plug(up, 1)
    wait_for(lambda: monitor.read_words()[-1:] == [
        "eth1: carrier back, its gateway does not answer yet"])
    time.sleep(4)
    assert up.endpoints() == BOTH[:1]
    assert "10.1.2.2 has no endpoint: its gateway 10.1.2.1 does not answer" in (
        up.client.try_run("mptcp_status").stdout)
    up.routers[1].ip("addr add 10.1.2.1/24 dev lan")
    assert crowd.measure_return(1, AT_MOST) < find_limit(up)
    # What is asked again and again is not said each time.
    assert len(monitor.read_log()) <= 6


def list_kinds(lab: Lab) -> list[str]:
    return [kind for _, kind, _ in find(lab)]


@pytest.mark.long
def test_a_cable_that_comes_and_goes(up: Lab) -> None:
    """Its endpoint is made no more for moments; and once it stays."""
    monitor = Monitor(up)
    crowd = Crowd(up)
    crowd.wait_until_whole()
    for last in (False, False, False, True):
        pull(up, 1)
        wait_for(lambda: up.endpoints() == BOTH[:1])
        # The endpoint goes before the round that notes the outage.
        monitor.rest()
        plug(up, 1)
        # It is to be there for two seconds at the most, which mptcp_status can take.
        wait_for(lambda: "unsteady" in list_kinds(up) if last else up.endpoints() == BOTH)
    pull(up, 1)
    wait_for(lambda: "no-carrier" in list_kinds(up))
    # mptcp_status asks the kernel, and may be quicker than the monitor.
    monitor.rest()
    plug(up, 1)
    assert 4 < crowd.measure_return(1, 60) < 60
    assert up.endpoints() == BOTH
    wait_for(lambda: not {"unsteady", "no-carrier"} & {*list_kinds(up)})
    assert sum("comes and goes" in text for text in monitor.read_words()) == 1


def test_a_path_that_never_worked_is_none_beside_another(up: Lab) -> None:
    """The stanza of eth1 names a gateway that is nowhere."""
    up.ifdown("eth1")
    up.set_interfaces(TWO_UPLINKS.replace("mptcp-gateway 10.1.2.1", "mptcp-gateway 10.1.2.77"))
    up.ifup("eth1")
    monitor = Monitor(up)
    crowd = Crowd(up)
    wait_for(lambda: crowd.carries(0))
    pull(up, 0)
    # What is known to be silent goes, and eth0's stays.
    wait_for(lambda: up.endpoints() == BOTH[:1])
    time.sleep(2)
    assert up.endpoints() == BOTH[:1]
    plug(up, 0)
    assert crowd.measure_return(0, 20) < 10
    assert crowd.list_broken() == ""
    assert "eth0: no carrier, but a connection has no other path: endpoint kept" in (
        monitor.read_words())


def test_a_monitor_that_starts_in_the_middle_of_an_outage(up: Lab) -> None:
    crowd = Crowd(up)
    crowd.wait_until_whole()
    pull(up, 1)
    time.sleep(1)
    Monitor(up)
    wait_for(lambda: up.endpoints() == BOTH[:1])
    time.sleep(2)
    plug(up, 1)
    assert crowd.measure_return(1, AT_MOST) < find_limit(up)


@pytest.mark.parametrize("next_one", [Monitor, lambda lab: lab.run_hook("if-up.d", ETH1)],
                         ids=["monitor", "hook"])
def test_a_monitor_that_is_killed_in_an_outage(
    up: Lab, next_one: Callable[[Lab], object]
) -> None:
    """The next monitor, or the next hook, makes the endpoint that it took."""
    monitor = Monitor(up)
    crowd = Crowd(up)
    crowd.wait_until_whole()
    pull(up, 1)
    wait_for(lambda: up.endpoints() == BOTH[:1])
    monitor.rest()
    monitor.signal(signal.SIGKILL)
    plug(up, 1)
    # The kernel opens a subflow once: what it sends before the gateway is there is lost.
    wait_for(lambda: answers(up, "10.1.2.2"))
    assert up.endpoints() == BOTH[:1]
    next_one(up)
    assert crowd.measure_return(1, AT_MOST) < find_limit(up)


def test_a_busy_server_is_not_listened_to(up: Lab) -> None:
    """Connections that come and go make events by the thousand; the monitor sleeps."""
    monitor = Monitor(up)
    wait_for_addresses(up.client)
    monitor.rest()
    before, began = monitor.read_status("voluntary_ctxt_switches"), time.monotonic()
    up.server.start("python3", "-c", _LISTEN)
    up.client.run("python3", "-c", _CONNECT)
    # Each second it looks whether anybody waits in vain, and ten times at what uplinks carry,
    # however many connections there are and however long they take.
    looks = 11 * (time.monotonic() - began)
    assert monitor.read_status("voluntary_ctxt_switches") - before < looks + 3


_LISTEN = f"""
import socket
l = socket.socket(2, 1, 262); l.setsockopt(1, 2, 1); l.bind(('{SERVER_4}', 5008)); l.listen(200)
while True:
    l.accept()[0].close()
"""
_CONNECT = f"""
import socket, time
time.sleep(0.3)
for _ in range(1000):
    s = socket.socket(2, 1, 262); s.connect(('{SERVER_4}', 5008)); s.recv(1); s.close()
"""
