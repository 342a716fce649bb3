# SPDX-License-Identifier: GPL-2.0-or-later
"""mptcp_monitor: what the hooks began stays true while cables, addresses and people change it."""

from __future__ import annotations

import signal
import time
from pathlib import Path

import pytest

from tests.lab.support.lab import TWO_UPLINKS, Lab
from tests.lab.support.monitor import Monitor
from tests.lab.support.paths import (
    BOTH,
    FURTHER_RULES,
    MEGABYTE,
    RULES,
    check_both_paths,
    flush,
    plug,
    pull,
    rules_of_uplinks,
)
from tests.lab.support.stream import (
    PORT, measure_at_best, measure_bare, measure_wait, stream, wait_for_subflows)
from tests.lab.support.uplink import ETH1
from tests.lab.support.waiting import wait_for, wait_for_addresses

ONLY_FIRST = BOTH[:1]


@pytest.fixture
def up(lab: Lab) -> Lab:
    """Two static uplinks that the real ifup brought up."""
    lab.set_interfaces(TWO_UPLINKS)
    lab.ifup("-a")
    return lab


@pytest.fixture
def monitor(up: Lab) -> Monitor:
    return Monitor(up)


def test_a_cable_that_is_pulled_takes_the_endpoint_and_nothing_else(
    up: Lab, monitor: Monitor
) -> None:
    before, rules = up.snapshot(), up.rules()
    pull(up, 1)
    wait_for(lambda: up.endpoints() == ONLY_FIRST)
    assert up.transfer(MEGABYTE).uplinks[1] < 10_000
    assert up.rules() == rules
    plug(up, 1)
    wait_for(lambda: up.endpoints() == BOTH)
    assert up.snapshot() == before
    check_both_paths(up)
    assert [line for line in monitor.read_log() if line.startswith("[#]")] == [
        "[#] ip mptcp endpoint delete id 2", "[#] ip mptcp endpoint add 10.1.2.2 dev eth1 subflow"]


def test_an_endpoint_that_a_hook_makes_without_a_carrier_goes_again(
    up: Lab, monitor: Monitor
) -> None:
    """No rule changes then, and nobody announces an endpoint: the record tells of the hook."""
    pull(up, 1)
    wait_for(lambda: up.endpoints() == ONLY_FIRST)
    for folder in ("if-down.d", "if-up.d"):
        up.run_hook(folder, ETH1)
    wait_for(lambda: up.endpoints() == ONLY_FIRST)
    assert [line for line in monitor.read_log() if "endpoint delete" in line][1:]
    plug(up, 1)
    wait_for(lambda: up.endpoints() == BOTH)
    check_both_paths(up)


def test_a_running_transfer_survives_each_cable_in_turn(up: Lab, monitor: Monitor) -> None:
    with stream(up, PORT):
        wait_for_subflows(up, 2, PORT)
        for uplink in (1, 0):
            pull(up, uplink)
            wait_for(lambda: len(up.endpoints()) == 1)
            sent = up.count_sent()[1 - uplink]
            wait_for(lambda: up.count_sent()[1 - uplink] > sent + MEGABYTE)
            plug(up, uplink)
            wait_for(lambda: up.endpoints() == BOTH)
            wait_for_subflows(up, 2, PORT)


@pytest.mark.alone
def test_the_receiver_hardly_waits_when_a_cable_is_pulled(up: Lab) -> None:
    def measure() -> float:
        return measure_wait(up, lambda uplink: pull(up, uplink), lambda uplink: plug(up, uplink))

    bare = measure_bare(measure)
    Monitor(up)
    watched = measure_at_best(measure, bare / 7)
    assert watched < bare / 7, f"{watched * 1000:.0f} ms, bare {bare * 1000:.0f} ms"


@pytest.mark.alone
def test_the_receiver_hardly_waits_when_ifdown_is_planned(up: Lab) -> None:
    def take_down_without_hooks(uplink: int) -> None:
        up.client.run("sh", "-c", "for i in down post-down; do "
                      "mv /etc/network/if-$i.d/mptcp_down /run/$i; done")
        up.ifdown(f"eth{uplink}")

    def put_back(uplink: int) -> None:
        up.client.run("sh", "-c", "for i in down post-down; do "
                      "mv /run/$i /etc/network/if-$i.d/mptcp_down; done")
        up.client.run("mptcp_down", f"eth{uplink}")
        up.ifup(f"eth{uplink}")

    bare = measure_bare(lambda: measure_wait(up, take_down_without_hooks, put_back))
    Monitor(up)
    hooked = measure_at_best(lambda: measure_wait(
        up, lambda uplink: up.ifdown(f"eth{uplink}"), lambda uplink: up.ifup(f"eth{uplink}")),
        bare / 7)
    assert hooked < bare / 7, f"{hooked * 1000:.0f} ms, bare {bare * 1000:.0f} ms"


def test_a_link_that_was_switched_off_gets_its_routes_back(up: Lab, monitor: Monitor) -> None:
    before = up.snapshot()
    up.client.ip("link set eth1 down")
    wait_for(lambda: up.endpoints() == ONLY_FIRST)
    monitor.rest()
    # The kernel drops the device's routes; what is left stops the traffic, not misleads it.
    assert up.table(20000 + up.ifindex("eth1")) == ["unreachable default proto mptcp metric "
                                                    "4294967295"]
    up.client.ip("link set eth1 up")
    wait_for(lambda: up.snapshot() == before)
    check_both_paths(up)


def test_an_address_takes_its_path_along_and_brings_it_back(up: Lab, monitor: Monitor) -> None:
    before = up.snapshot()
    up.client.ip("addr del 10.1.2.2/24 dev eth1")
    wait_for(lambda: up.endpoints() == ONLY_FIRST)
    monitor.rest()
    assert sorted(up.rules()) == rules_of_uplinks(up, 0)
    up.client.ip("addr add 10.1.2.2/24 dev eth1")
    wait_for(lambda: up.snapshot() == before)
    check_both_paths(up)


def test_a_device_that_is_pulled_out_leaves_nothing(up: Lab, monitor: Monitor) -> None:
    up.client.ip("link del eth1")
    wait_for(lambda: up.endpoints() == ONLY_FIRST)
    monitor.rest()
    assert sorted(up.rules()) == rules_of_uplinks(up, 0)
    assert up.transfer(MEGABYTE).whole
    up.client.try_run("ifdown", "eth1")
    assert up.client.run("ls", "/run/mptcp-hooks").split() == ["eth0.paths", "limits"]


def test_what_somebody_flushes_is_put_back(up: Lab, monitor: Monitor) -> None:
    before = up.snapshot()
    flush(up)
    wait_for(lambda: up.snapshot() == before)
    check_both_paths(up)


def test_a_fight_is_given_up_with_one_message_each(up: Lab, monitor: Monitor) -> None:
    def flush_and_wait() -> list[str]:
        flush(up)
        monitor.rest()
        return [line for line in monitor.read_log() if not line.startswith("[#]")]

    before = up.snapshot()
    # Not at the first: a link that has just come up is still changing.
    wait_for(lambda: len(flush_and_wait()) == 2)
    said = flush_and_wait()
    assert not up.rules()
    assert sorted(said) == [
        f"mptcp_monitor: {name}: another program keeps removing its rules or routes: not restored "
        "until its link or an address of it changes" for name in ("eth0", "eth1")]
    for uplink in (0, 1):
        pull(up, uplink)
        plug(up, uplink)
    wait_for(lambda: up.snapshot() == before)


def test_an_endpoint_of_others_is_left_to_them(up: Lab) -> None:
    up.ifdown("eth1")
    up.client.ip("link set eth1 up", "addr add 10.1.2.2/24 dev eth1")
    up.client.run("ip", "mptcp", "endpoint", "add", "10.1.2.2", "dev", "eth1", "subflow", "backup")
    monitor = Monitor(up)
    up.client.run("ip", "addr", "del", "10.1.2.2/24", "dev", "eth1")
    up.ifup("eth1")
    pull(up, 1)
    monitor.rest()
    assert "10.1.2.2 eth1 subflow backup" in up.endpoints()
    up.ifdown("eth1")
    monitor.rest()
    assert "10.1.2.2 eth1 subflow backup" in up.endpoints()


def test_it_ends_at_once_and_leaves_everything_working(up: Lab, monitor: Monitor) -> None:
    before = up.snapshot()
    assert monitor.stop() == 0
    assert up.snapshot() == before
    check_both_paths(up)
    again = Monitor(up)
    again.rest()
    assert up.snapshot() == before and again.read_log() == []


def test_hooks_go_on_without_it_and_it_finds_what_they_did(up: Lab, monitor: Monitor) -> None:
    before = up.snapshot()
    monitor.stop()
    up.ifdown("eth1")
    up.ifup("eth1")
    assert up.snapshot() == before
    Monitor(up)
    pull(up, 1)
    wait_for(lambda: up.endpoints() == ONLY_FIRST)


def test_a_flood_of_events_while_it_sleeps_is_one_look_at_everything(
    up: Lab, monitor: Monitor
) -> None:
    before = up.snapshot()
    monitor.rest()
    monitor.signal(signal.SIGSTOP)
    up.client.run("ip", "-batch", "-", text="".join(
        f"addr {verb} 10.66.{number // 250}.{number % 250 + 1}/32 dev lo\n"
        for number in range(5000) for verb in ("add", "del")))
    flush(up)
    pull(up, 1)
    monitor.signal(signal.SIGCONT)
    wait_for(lambda: up.endpoints() == ONLY_FIRST)
    plug(up, 1)
    wait_for(lambda: up.snapshot() == before)
    monitor.rest()
    assert monitor.read_status("VmHWM") <= 20_000


def test_it_rests_when_nothing_of_an_uplink_changes(up: Lab, monitor: Monitor) -> None:
    """Other programs' routes and renewed lifetimes wake it, and begin no round."""
    def renew_lifetime(seconds: int) -> None:
        up.client.ip("addr change 10.1.1.2/24 dev eth0 valid_lft 500 preferred_lft "
                     f"{seconds}")

    wait_for_addresses(up.client)
    renew_lifetime(400)
    monitor.rest()
    before = monitor.count_ticks()
    renew_lifetime(300)
    up.client.ip("route add 10.77.0.0/16 via 10.1.1.9", "route del 10.77.0.0/16 via 10.1.1.9")
    monitor.rest()
    assert monitor.count_ticks() == before
    assert monitor.read_status("VmRSS") <= 20_000 and monitor.read_log() == []


def test_ifdown_is_not_undone_by_it(up: Lab, monitor: Monitor) -> None:
    before = up.snapshot()
    # Half a second is enough for a round that the lines before it would begin.
    up.set_interfaces(TWO_UPLINKS + "    pre-down ip link set eth0 mtu 1400\n"
                      "    pre-down ip addr add 10.1.1.77/24 dev eth0\n    pre-down sleep 0.5\n"
                      "    pre-down ip mptcp endpoint >/run/endpoints\n")
    up.ifdown("eth1")
    assert "10.1.2.2" not in up.read("/run/endpoints")
    monitor.rest()
    assert up.endpoints() == ONLY_FIRST
    up.ifdown("eth0")
    monitor.rest()
    assert up.endpoints() == [] and up.rules() == []
    up.set_interfaces(TWO_UPLINKS)
    up.ifup("-a")
    wait_for(lambda: up.snapshot() == before)


def test_several_at_once_with_it_are_as_one_after_another(up: Lab, monitor: Monitor) -> None:
    before = up.snapshot()
    for verb in ("ifdown", "ifup"):
        running = [up.client.start(verb, name) for name in ("eth0", "eth1")]
        assert [process.wait(20) for process in running] == [0, 0]
    monitor.rest()
    # A round in between may see the first uplink without a carrier, and new connections return to
    # one that was out after a while only.
    wait_for(lambda: up.snapshot() == before)
    check_both_paths(up)


def test_what_ifupdown_has_up_is_taken_in_at_the_start(up: Lab) -> None:
    before = up.snapshot()
    up.client.run("mptcp_down", "--all")
    monitor = Monitor(up)
    assert up.rules() == [] and up.endpoints() == []
    monitor.stop()
    # As if the package had come only now.
    up.client.run("rm", "-r", "/run/mptcp-hooks")
    monitor = Monitor(up)
    assert up.snapshot() == before
    check_both_paths(up)


def test_what_a_person_took_down_stays_down(up: Lab, monitor: Monitor) -> None:
    before = up.snapshot()
    up.client.run("mptcp_down", "eth1")
    pull(up, 1)
    plug(up, 1)
    monitor.reload()
    assert up.endpoints() == ONLY_FIRST and len(up.rules()) == RULES
    up.client.run("mptcp_up", "--all")
    assert up.snapshot() == before


def test_what_fails_is_said_once_and_tried_now_and_then(up: Lab, monitor: Monitor) -> None:
    template = up.read("/usr/share/mptcp-hooks/templates/up.j2")
    up.write("/etc/mptcp-hooks/templates/up.j2",
             template + "ip -4 route add 192.0.2.0/24 via 192.0.2.1 dev eth1 table 20003\n")
    flush(up)
    wait_for(lambda: any("invalid gateway" in line for line in monitor.read_log()))
    began = monitor.read_log().count("[#] ip -4 route add 192.0.2.0/24 via 192.0.2.1 dev eth1 "
                                     "table 20003")
    # In this time there are some more tries, and not as many as there could be.
    time.sleep(2)
    again = [line for line in monitor.read_log() if "192.0.2" in line]
    # Four tries more at the most. Each shows the line twice for each of two paths: in the
    # batch that stops at it, and in the one that goes on.
    assert began <= len(again) <= began + 16, again
    said = [line for line in again if not line.startswith("[#]")]
    assert len(said) == 2 and all("Nexthop has invalid gateway" in line for line in said)
    up.client.run("rm", "-r", "/etc/mptcp-hooks/templates")
    pull(up, 1)
    wait_for(lambda: up.endpoints() == ONLY_FIRST)


def test_it_takes_root_and_no_arguments(lab: Lab) -> None:
    refused = lab.client.try_run("setpriv", "--reuid=65534", "--clear-groups", "mptcp_monitor")
    assert (refused.returncode, refused.stderr) == (1, "mptcp_monitor: must be root\n")
    assert lab.client.try_run("mptcp_monitor", "eth0").returncode == 2
    assert lab.client.run("mptcp_monitor", "--version").startswith("mptcp_monitor ")


def test_each_stanza_of_an_interface_is_followed_by_itself(lab: Lab) -> None:
    lab.set_interfaces("".join(
        f"iface eth1 inet static\n    address 10.1.2.{host}/24\n    mptcp-gateway 10.1.2.1\n"
        for host in (2, 3, 4)))
    lab.ifup("eth1")
    Monitor(lab)
    before = lab.snapshot()
    lab.client.ip("addr del 10.1.2.2/24 dev eth1", "addr add 10.1.2.3/24 dev eth1",
                  "addr add 10.1.2.4/24 dev eth1")
    wait_for(lambda: lab.endpoints() == ["10.1.2.3 eth1 subflow"])
    lab.client.ip("addr add 10.1.2.2/24 dev eth1")
    wait_for(lambda: len(lab.rules()) == len([line for line in before.splitlines()
                                              if line[0].isdigit() and ": " in line]))
    lab.ifdown("eth1")
    assert lab.rules() == [] and lab.endpoints() == []


def test_one_flush_of_many_addresses_is_no_fight(up: Lab, monitor: Monitor) -> None:
    up.client.ip(*(f"-6 addr add fd00:2::{host}/64 dev eth1 nodad" for host in range(2, 6)),
                 "-6 route add default via fd00:2::1 dev eth1")
    up.client.run("mptcp_up", "eth1", env={"PATH": "/usr/sbin:/usr/bin", "IFACE": "eth1",
                                           "ADDRFAM": "inet6", "IF_MPTCP": "yes"})
    monitor.rest()
    before = up.snapshot()
    assert len(up.rules(6)) == RULES + 3 * FURTHER_RULES
    for _ in range(2):
        flush(up)
        wait_for(lambda: up.snapshot() == before)
    assert not [line for line in monitor.read_log() if "another program keeps" in line]


@pytest.mark.parametrize("family, server, router", [
    ("-4", "10.1.1.1", "10.1.2.1"), ("-6", "fd00:1::1", "fd00:2::1"),
])
def test_a_default_route_with_two_next_hops_is_read(
    lab: Lab, family: str, server: str, router: str
) -> None:
    for uplink in (1, 2):
        lab.client.ip(f"link set eth{uplink - 1} up", f"addr add 10.1.{uplink}.2/24 "
                      f"dev eth{uplink - 1}",
                      f"-6 addr add fd00:{uplink}::2/64 dev eth{uplink - 1} nodad")
    lab.client.run("ip", family, "route", "add", "default", "nexthop", "via", server, "dev",
                   "eth0", "nexthop", "via", router, "dev", "eth1")
    for name, gateway in (("eth0", server), ("eth1", router)):
        lab.client.run("mptcp_up", name)
        table = lab.table(20000 + lab.ifindex(name), int(family[1]))
        assert any(line.startswith(f"default via {gateway} dev {name}") for line in table)


def test_a_round_that_is_killed_is_done_again(up: Lab, monitor: Monitor) -> None:
    monitor.rest()
    before = up.snapshot()
    # The round waits for the record, and is killed there.
    holder = up.client.start("flock", "--no-fork", "/run/mptcp-hooks/.lock", "sleep", "infinity")
    flush(up)
    children = f"/proc/{monitor.pid}/task/{monitor.pid}/children"
    child = wait_for(lambda: up.client.run("cat", children).split())
    up.client.run("kill", "-KILL", *child)
    holder.kill()
    wait_for(lambda: up.snapshot() == before)
    assert "mptcp_monitor: a round of upkeep was killed" in monitor.read_log()


def test_what_could_not_be_undone_is_tried_again(up: Lab, monitor: Monitor) -> None:
    monitor.rest()
    before = up.snapshot()
    up.write("/run/ip", "#!/bin/sh\nexit 1\n")
    up.client.run("sh", "-ec", "chmod +x /run/ip; cp $(readlink -f /usr/sbin/ip) /run/ip.real; "
                  "mount --bind /run/ip $(readlink -f /usr/sbin/ip); "
                  "/run/ip.real addr del 10.1.2.2/24 dev eth1")
    wait_for(lambda: any("failed without a word" in line for line in monitor.read_log()))
    up.client.run("sh", "-c", "umount $(readlink -f /usr/sbin/ip)")
    wait_for(lambda: up.endpoints() == ONLY_FIRST and len(up.rules()) == RULES)
    up.client.ip("addr add 10.1.2.2/24 dev eth1")
    wait_for(lambda: up.snapshot() == before)


def test_an_ifdown_that_was_cut_off_leaves_nothing_once_its_address_is_gone(
    up: Lab, monitor: Monitor
) -> None:
    up.run_hook("if-down.d", {"IFACE": "eth1"})
    up.client.ip("addr del 10.1.2.2/24 dev eth1")
    wait_for(lambda: len(up.rules()) == RULES)
    up.client.ip("addr add 10.1.2.2/24 dev eth1")
    monitor.rest()
    assert up.endpoints() == ONLY_FIRST and len(up.rules()) == RULES


def test_a_device_that_is_renamed_is_another(up: Lab, monitor: Monitor) -> None:
    up.client.ip("link set eth1 name wan1")
    wait_for(lambda: up.endpoints() == ONLY_FIRST and len(up.rules()) == RULES)


@pytest.mark.parametrize("change", ["s/a/a/", "/^kernel/s/.*/kernel /"])
def test_a_stanza_that_is_on_record_twice_is_one_again(up: Lab, change: str) -> None:
    """As a hook leaves it that is killed while what was and what will be are both on record."""
    before, record = up.snapshot(), up.read("/run/mptcp-hooks/eth1.paths")
    lines = record.splitlines()[1:-1]
    up.write("/run/mptcp-hooks/eth1.paths",
             "\n".join(["mptcp-hooks 1", *lines, *lines, "end", ""]))
    up.client.run("sed", "-i", f"0,/^kernel/{{{change}}}", "/run/mptcp-hooks/eth1.paths")
    monitor = Monitor(up)
    monitor.rest()
    assert [line for line in monitor.read_log() if "unexpected" in line] == []
    assert up.snapshot() == before and up.read("/run/mptcp-hooks/eth1.paths") == record
    up.ifdown("eth1")
    assert up.endpoints() == ONLY_FIRST and len(up.rules()) == RULES


def has_signal(pid: int, field: str, number: signal.Signals) -> bool:
    """Whether a process blocks (SigBlk) or catches (SigCgt) a signal, proc(5)."""
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return any(int(line.split()[1], 16) >> number - 1 & 1
               for line in lines if line.startswith(field + ":"))


@pytest.mark.parametrize("start", [
    # What starts it may see to it that nothing is lost from the first moment on.
    ("env", "--block-signal=HUP", "mptcp_monitor"), ("nohup", "mptcp_monitor"),
    ("mptcp_monitor",),
])
def test_a_reload_in_its_first_moments_is_not_its_end(up: Lab, start: tuple[str, ...]) -> None:
    process = up.client.start(*start, "--verbose")
    if start[0] == "mptcp_monitor":
        # Python itself takes a moment until it reads a program.
        while not has_signal(process.pid, "SigBlk", signal.SIGHUP):
            assert not has_signal(process.pid, "SigCgt", signal.SIGTERM)
    else:
        wait_for(lambda: "mptcp_monitor" in Path(f"/proc/{process.pid}/comm").read_text())
    while process.poll() is None and not has_signal(process.pid, "SigCgt", signal.SIGTERM):
        process.send_signal(signal.SIGHUP)
    wait_for(lambda: not has_signal(process.pid, "SigBlk", signal.SIGHUP))
    assert process.poll() is None
    up.write("/etc/mptcp-hooks/mptcp-hooks.conf", "[eth0]\nexclude = yes\n")
    process.send_signal(signal.SIGHUP)
    wait_for(lambda: up.endpoints() == BOTH[1:])
    process.send_signal(signal.SIGTERM)
    assert process.wait(10) == 0
