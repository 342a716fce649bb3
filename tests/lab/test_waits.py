# SPDX-License-Identifier: GPL-2.0-or-later
"""Nothing waits without end: a command that hangs, a lock that is held, a hook that was killed."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest

from tests.lab.support.faults import hang_ip, hang_with_lines, mend_ip
from tests.lab.support.lab import TWO_UPLINKS, Host, Lab
from tests.lab.support.making import MakeHost
from tests.lab.support.monitor import Monitor
from tests.lab.support.paths import BOTH, FURTHER_RULES, RULES, flush
from tests.lab.support.uplink import ETH1, LEAVE, down, up
from tests.lab.support.waiting import wait_for

LOCK = "/run/mptcp-hooks/.lock"
THREE_STANZAS = TWO_UPLINKS.replace("auto eth0 eth1", "auto eth0 eth1 eth1:1") + """\
iface eth1:1 inet static
    address 10.1.2.3/24
    mptcp-gateway 10.1.2.1
"""
ETH0 = {"IFACE": "eth0", "IF_ADDRESS": "10.1.1.2", "IF_GATEWAY": "10.1.1.1"}
# Six times as long were waited before, and a hook that hung did not end at all.
SECONDS_AT_MOST = 15


@contextmanager
def held_lock(lab: Lab) -> Iterator[int]:
    """The record's lock, held by somebody else: the process."""
    with held_lock_of(lab.client) as pid:
        yield pid


@contextmanager
def held_lock_of(host: Host) -> Iterator[int]:
    """The same on any host."""
    host.run("mkdir", "-p", "/run/mptcp-hooks")
    host.run("sh", "-c", f"umask 077; touch {LOCK}")
    holder = host.start("flock", "--no-fork", LOCK, "sleep", "infinity")
    wait_for(lambda: host.try_run("flock", "--nonblock", LOCK, "true").returncode)
    try:
        yield holder.pid
    finally:
        holder.kill()
        holder.wait()


def test_a_containers_lock_is_not_taken_for_the_machines(
    lab: Lab, make_host: MakeHost
) -> None:
    """The machine sees the processes of its containers, whose files have the same names."""
    lab.set_interfaces(TWO_UPLINKS)
    container = make_host()
    with held_lock_of(container), held_lock(lab) as holder:
        said = lab.ifup("eth1")
    assert said.startswith(f"mptcp_up: eth1: sleep (process {holder}) keeps the lock {LOCK}: left")


def measure(act: Callable[[], str]) -> tuple[float, str]:
    """How long it takes, and what was said."""
    began = time.monotonic()
    said = act()
    return time.monotonic() - began, said


def list_deferred(lab: Lab) -> list[str]:
    return [name for name in lab.client.run("ls", "/run/mptcp-hooks").split()
            if name.endswith(".deferred")]


def test_a_boot_waits_once_for_a_lock_that_is_held(lab: Lab) -> None:
    before = lab.snapshot()
    lab.set_interfaces(THREE_STANZAS)
    with held_lock(lab) as holder:
        seconds, said = measure(lambda: lab.ifup("-a"))
        assert seconds < SECONDS_AT_MOST
        assert said.count(f"sleep (process {holder}) keeps the lock {LOCK}: left to") == 3
        assert lab.snapshot() == before
        assert len(list_deferred(lab)) == 3
    assert lab.client.run("mptcp_up", "--all") == ""
    assert list_deferred(lab) == []
    assert len(lab.rules()) == 2 * RULES + FURTHER_RULES
    assert lab.endpoints() == BOTH


def test_so_does_a_shutdown(lab: Lab) -> None:
    before = lab.snapshot()
    lab.set_interfaces(THREE_STANZAS)
    lab.ifup("-a")
    with held_lock(lab):
        seconds, _ = measure(lambda: lab.ifdown("-a"))
        assert seconds < SECONDS_AT_MOST
        # Two of each.
        assert len(list_deferred(lab)) == 6
    lab.client.run("mptcp_up", "--all")
    assert lab.snapshot() == before
    assert lab.client.run("ls", "/run/mptcp-hooks") == ""


def test_a_wait_in_vain_is_forgotten_after_a_minute(link: Lab) -> None:
    with held_lock(link):
        first, _ = measure(lambda: up(link))
        second, _ = measure(lambda: up(link))
        assert first > 4 > 3 > second
        # As if it had been 61 s ago.
        link.client.run("sed", "-i", "s/^[0-9].*/-1/", "/run/mptcp-hooks/.waited")
        third, _ = measure(lambda: up(link))
        assert third > 4


def test_a_lock_that_was_waited_for_in_vain_makes_no_ip_one_that_hangs(link: Lab) -> None:
    """A busy machine is slow, and its `ip` is given its time, as on any other."""
    before = link.snapshot()
    with held_lock(link):
        assert "left to" in up(link)
    hang_ip(link, 2)
    assert up(link) == ""
    assert link.endpoints() == ["10.1.2.2 eth1 subflow"] and len(link.rules()) == RULES
    assert down(link) == ""
    assert link.snapshot() == before


def test_the_next_hook_takes_in_what_another_left(link: Lab) -> None:
    """In the order in which it came: an up, a down, an up with another address."""
    before = link.snapshot()
    link.client.ip("addr add 10.1.2.3/24 dev eth1", "link set eth0 up",
                   "addr add 10.1.1.2/24 dev eth0")
    with held_lock(link):
        up(link)
        assert down(link).count("left to") == 2
        up(link, IF_ADDRESS="10.1.2.3")
        assert link.snapshot() == before
    assert up(link, **ETH0) == ""
    assert link.endpoints() == ["10.1.1.2 eth0 subflow", "10.1.2.3 eth1 subflow"]
    assert not [rule for rule in link.rules() if "10.1.2.2" in rule]
    assert list_deferred(link) == []
    for iface in ("eth0", "eth1"):
        link.run_hook("if-post-down.d", LEAVE | {"IFACE": iface})
    assert link.snapshot() == before


def test_interfaces_that_are_not_ours_do_not_wait(link: Lab) -> None:
    with held_lock(link):
        up(link)
        for iface in ("lo", "--all", "docker0", "th1"):
            for folder in ("if-down.d", "if-post-down.d"):
                assert link.run_hook(folder, LEAVE | {"IFACE": iface}).stderr == ""
        assert len(list_deferred(link)) == 1


def test_a_way_down_is_not_overtaken_by_the_way_up_that_was_left(link: Lab) -> None:
    """Nothing of the interface is on record yet when it goes."""
    before = link.snapshot()
    with held_lock(link):
        up(link)
    down(link)
    assert link.snapshot() == before and list_deferred(link) == []


def test_a_lease_that_was_left_is_applied(link: Lab) -> None:
    bound = {"interface": "eth1", "reason": "BOUND", "new_ip_address": "10.1.2.2",
             "new_routers": "10.1.2.9"}
    up(link, METHOD="dhcp", IF_ADDRESS="", IF_NETMASK="", IF_GATEWAY="")
    assert link.rules() == []
    with held_lock(link):
        said = link.client.try_run("/usr/share/mptcp-hooks/hooks/mptcp_lease", env=bound).stderr
        assert said.startswith("mptcp_lease: eth1: sleep (process ")
    link.client.run("mptcp_up", "--all")
    assert "via 10.1.2.9" in " ".join(link.table(20000 + link.ifindex("eth1")))


def test_whoever_holds_the_lock_does_what_was_left_meanwhile(link: Lab) -> None:
    """A hook gave up while another still worked: nobody else need come."""
    before = link.snapshot()
    up(link)
    full = link.snapshot()
    down(link)
    assert link.snapshot() == before
    link.write("/etc/mptcp-hooks/templates/up.j2",
               link.read("/usr/share/mptcp-hooks/templates/up.j2"))
    hang_ip(link, 3)
    holder = link.client.start("env", "-i", *[f"{name}={value}" for name, value in {
        **ETH1, **ETH0}.items()],
        "/etc/network/if-up.d/mptcp_up")
    wait_for(lambda: link.client.try_run("flock", "--nonblock", LOCK, "true").returncode)
    link.client.run("sh", "-c", "printf 'mptcp-hooks 1\\n%s\\nend\\n' $(cut -d' ' -f1 "
                    "/proc/uptime) >/run/mptcp-hooks/.waited")
    assert "left to" in up(link)
    mend_ip(link)
    holder.wait()
    assert full.splitlines()[0] in link.snapshot()
    assert "10.1.2.2 eth1 subflow" in link.endpoints() and list_deferred(link) == []


def test_what_was_left_and_cannot_be_read_is_removed(link: Lab) -> None:
    up(link)
    for number, lines in enumerate((["nothing"], ["if-up.d", "told"], ["rm", "IFACE=eth1"],
                                    ["if-post-down.d", "IFACE=../eth1"])):
        link.write(f"/run/mptcp-hooks/{number:020}-eth1.deferred",
                   "\n".join(["mptcp-hooks 1", *lines, "end", ""]))
    link.write("/run/mptcp-hooks/9.deferred", "mptcp-hooks 1\n")
    said = up(link)
    assert said.count("\n") == 5, said
    assert up(link) == "" and list_deferred(link) == []


def test_an_ip_that_hangs_costs_a_boot_seconds(lab: Lab) -> None:
    lab.set_interfaces(THREE_STANZAS.replace("gateway 10.1.1.1", "mptcp-gateway 10.1.1.1"))
    lab.client.ip("link set eth0 up", "addr add 10.1.1.2/24 dev eth0", "link set eth1 up",
                  "addr add 10.1.2.2/24 dev eth1", "addr add 10.1.2.3/24 dev eth1")
    before = lab.snapshot()
    hang_ip(lab, 3600)
    stanzas = [ETH0, ETH1, {"IFACE": "eth1:1", "IF_ADDRESS": "10.1.2.3"}]
    seconds, said = measure(lambda: "".join(up(lab, **stanza) for stanza in stanzas))
    assert seconds < SECONDS_AT_MOST
    assert said.count("was killed: left to the next hook") == 3
    assert said.startswith("mptcp_up: eth0: 'ip -4 -batch -' did not end within 5 s")
    mend_ip(lab)
    assert lab.snapshot() == before
    # What hung is gone: nobody holds the lock any more.
    assert lab.client.run("flock", "--nonblock", LOCK, "echo", "free") == "free\n"
    lab.client.run("mptcp_up", "--all")
    assert lab.endpoints() == BOTH and list_deferred(lab) == []


def test_an_ip_that_hangs_on_the_way_down_does_not_hold_it(link: Lab) -> None:
    before = link.snapshot()
    up(link)
    hang_ip(link, 3600)
    seconds, said = measure(lambda: down(link))
    assert seconds < SECONDS_AT_MOST and said.count("was killed") == 2
    mend_ip(link)
    link.client.run("mptcp_up", "--all")
    assert link.snapshot() == before
    assert link.client.run("ls", "/run/mptcp-hooks") == ""


def test_so_it_does_where_the_real_ifup_starts_our_hooks(lab: Lab) -> None:
    lab.set_interfaces(THREE_STANZAS)
    hang_ip(lab, 3600)
    seconds, said = measure(lambda: lab.ifup("-a"))
    assert seconds < SECONDS_AT_MOST and said.count("was killed") == 3
    mend_ip(lab)
    lab.client.run("mptcp_up", "--all")
    assert lab.endpoints() == BOTH and list_deferred(lab) == []


@pytest.mark.parametrize("folder", ["if-up.d", "if-post-down.d"])
def test_the_ip_of_a_hook_that_was_killed_keeps_the_lock(link: Lab, folder: str) -> None:
    """Though it was started before the hook had the lock."""
    before = link.snapshot()
    if folder == "if-post-down.d":
        up(link)
    hang_with_lines(link, 3)
    name = "mptcp_up" if folder == "if-up.d" else "mptcp_down"
    hook = link.client.start("env", "-i", *[f"{key}={value}" for key, value in ETH1.items()],
                             f"/etc/network/{folder}/{name}")
    caller = wait_for(lambda: link.client.try_run("cat", "/run/ip.caller").stdout)
    # The shell around it, which the managers start, says so.
    os.kill(int(caller), signal.SIGKILL)
    assert f"{name}: not done: python3 ended with 137" in hook.communicate()[1]
    assert link.client.try_run("flock", "--nonblock", LOCK, "true").returncode == 1
    mend_ip(link)
    # Waits for the `ip`, which by then has done what it was told.
    assert down(link) == ""
    assert link.snapshot() == before
    assert link.client.run("ls", "/run/mptcp-hooks") == ""


def test_the_lock_of_what_is_kept_is_not_waited_for(link: Lab) -> None:
    kept = "/var/cache/mptcp-hooks"
    link.client.run("sh", "-c", f"umask 077; touch {kept}/.lock")
    holder = link.client.start("flock", "--no-fork", f"{kept}/.lock", "sleep", "infinity")
    wait_for(lambda: link.client.try_run("flock", "--nonblock", f"{kept}/.lock",
                                         "true").returncode)
    seconds, said = measure(lambda: up(link))
    holder.kill()
    assert (said, seconds < 3) == ("", True)
    assert link.client.run("ls", kept) == ""


def test_a_person_hears_who_keeps_the_lock_and_can_wait_longer(link: Lab) -> None:
    up(link)
    with held_lock(link) as holder:
        command = link.client.start("mptcp_up", "--all")
        assert command.stderr is not None
        assert command.stderr.readline() == (
            f"mptcp_up: waiting: sleep (process {holder}) keeps the lock {LOCK}\n")
        # Longer than a hook waits.
        time.sleep(6)
        assert command.poll() is None
    assert command.communicate() == ("", "")
    assert command.returncode == 0


def test_the_monitor_takes_in_what_a_hook_left_by_itself(link: Lab) -> None:
    """Though nothing happens any more, and a round of its own waited in vain meanwhile."""
    before = link.snapshot()
    up(link)
    full = link.snapshot()
    down(link)
    assert link.snapshot() == before
    monitor = Monitor(link)
    monitor.rest()
    with held_lock(link):
        assert "left to" in up(link)
    wait_for(lambda: link.snapshot() == full)
    assert list_deferred(link) == []
    assert monitor.stop() == 0


def test_a_round_that_hangs_is_ended_when_the_monitor_stops(link: Lab) -> None:
    """Nobody has the lock after that."""
    up(link)
    monitor = Monitor(link)
    monitor.rest()
    hang_ip(link, 3600)
    flush(link)
    wait_for(lambda: link.client.try_run("test", "-e", "/run/ip.hangs").returncode == 0)
    seconds, _ = measure(lambda: str(monitor.stop()))
    assert seconds < SECONDS_AT_MOST
    mend_ip(link)
    assert link.client.run("flock", "--nonblock", LOCK, "echo", "free") == "free\n"
    assert down(link) == ""


@pytest.mark.long
def test_a_round_whose_ip_hangs_is_done_again(link: Lab) -> None:
    up(link)
    full = link.snapshot()
    monitor = Monitor(link)
    monitor.rest()
    hang_ip(link, 3600)
    flush(link)
    wait_for(lambda: [line for line in monitor.read_log() if "did not end within 5 s" in line])
    # A hook meanwhile neither waits long nor is it lost.
    seconds, _ = measure(lambda: up(link))
    assert seconds < SECONDS_AT_MOST
    mend_ip(link)
    wait_for(lambda: link.snapshot() == full, 60)
    assert monitor.stop() == 0


@pytest.mark.long
def test_a_round_that_never_ends_is_killed(link: Lab) -> None:
    """Here it reads a template that has no end; a hook's patience is not for that."""
    up(link)
    monitor = Monitor(link)
    monitor.rest()
    link.write("/etc/mptcp-hooks/templates/up.j2",
               "{% for a in range(99999) %}{% for b in range(99999) %}{% endfor %}{% endfor %}")
    monitor.signal(signal.SIGHUP)
    wait_for(lambda: "mptcp_monitor: a round of upkeep took more than 60 s and was killed"
             in monitor.read_log(), 90)
    link.client.run("rm", "/etc/mptcp-hooks/templates/up.j2")
    assert monitor.stop() == 0
    assert link.client.run("flock", "--nonblock", LOCK, "echo", "free") == "free\n"
