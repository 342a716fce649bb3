# SPDX-License-Identifier: GPL-2.0-or-later
"""The package's service, by a real systemd: installed alone, in its sandbox, stopped, removed."""

from __future__ import annotations

import pytest

from tests.lab.support.boxes import put_box, remove_boxes
from tests.lab.support.checker import find_failed, has_results, read_results
from tests.lab.support.lab import SERVER_4, Lab
from tests.lab.support.making import MakeLab
from tests.lab.support.paths import BOTH, RULES, check_both_paths, flush, plug, pull
from tests.lab.support.service import CHECKER, SERVICE, ask, boot, show
from tests.lab.support.waiting import wait_for

ONLY_NET_ADMIN, ONLY_NET_RAW = 1 << 12, 1 << 13
KILOBYTES_AT_MOST = 20_000


@pytest.fixture
def bare(make_lab: MakeLab) -> Lab:
    """Without the package."""
    return boot(make_lab, installed=False)


@pytest.fixture
def running(make_lab: MakeLab) -> Lab:
    """With the package there before networking.service, and its service started."""
    lab = boot(make_lab, installed=True)
    lab.client.run("systemctl", "start", SERVICE)
    return lab


def read_status(lab: Lab, field: str, service: str = SERVICE) -> str:
    """A field of proc(5)'s status of the service's main process."""
    lines = lab.read(f"/proc/{show(lab, 'MainPID', service)}/status").splitlines()
    (text,) = (line for line in lines if line.startswith(field + ":"))
    return text.split()[1]


def test_installing_the_package_is_enough(bare: Lab, deb: str) -> None:
    bare.client.run("dpkg", "-i", deb)
    assert (ask(bare, "is-active"), ask(bare, "is-enabled")) == ("active", "enabled")
    assert bare.endpoints() == BOTH and len(bare.rules()) == 2 * RULES
    check_both_paths(bare)
    assert int(read_status(bare, "VmRSS")) <= KILOBYTES_AT_MOST
    assert show(bare, "CapabilityBoundingSet") == "cap_net_admin"
    assert int(read_status(bare, "CapBnd"), 16) == ONLY_NET_ADMIN
    pull(bare, 1)
    wait_for(lambda: bare.endpoints() == BOTH[:1])
    plug(bare, 1)
    wait_for(lambda: bare.endpoints() == BOTH)


def test_it_turns_multipath_tcp_on_again_inside_its_sandbox(make_lab: MakeLab) -> None:
    """Of all sysctls it may write just the one that does it."""
    lab = boot(make_lab, installed=True, routers=("nftables",))
    lab.client.run("systemctl", "start", SERVICE)
    put_box(lab.routers[:1], "tcp option mptcp exists drop")
    assert lab.transfer(1000).whole
    remove_boxes(lab)
    if "Blackhole" not in lab.read("/proc/net/netstat"):
        pytest.skip("this kernel does not turn it off")
    wait_for(lambda: "Multipath TCP is on again" in lab.client.run(
        "journalctl", "-o", "cat", "-u", SERVICE))
    check_both_paths(lab)
    inside = ("nsenter", "-t", show(lab, "MainPID"), "-m", "sh", "-c")
    for name, status in (("blackhole_timeout", 0), ("enabled", 2)):
        file = f"/proc/sys/net/mptcp/{name}"
        assert lab.client.try_run(*inside, f"cat {file} >{file}").returncode == status


def test_its_status_line_has_the_sum(running: Lab) -> None:
    def read() -> str:
        return show(running, "StatusText")

    assert read() == "2 paths: eth0, eth1"
    pull(running, 1)
    # Whoever has looked at connections by then says of how many.
    wait_for(lambda: read() in ("1 path: eth0; eth1: no carrier",
                                "1 path: eth0 used by 0 connections; eth1: no carrier"))
    plug(running, 1)
    wait_for(lambda: read().startswith("2 paths: eth0"))
    wait_for(lambda: "eth1: back after " in running.client.run(
        "journalctl", "-o", "cat", "-u", SERVICE))


def test_it_works_inside_its_sandbox(running: Lab) -> None:
    full = running.snapshot()
    assert running.endpoints() == BOTH
    flush(running)
    wait_for(lambda: running.snapshot() == full)
    running.client.ip("addr del 10.1.2.2/24 dev eth1")
    wait_for(lambda: running.endpoints() == BOTH[:1])
    running.client.ip("addr add 10.1.2.2/24 dev eth1")
    wait_for(lambda: running.snapshot() == full)
    running.client.run("systemctl", "restart", "networking")
    wait_for(lambda: running.snapshot() == full)
    journal = running.client.run("journalctl", "--output", "cat", "--unit", SERVICE)
    assert "[#] ip mptcp endpoint add 10.1.2.2 dev eth1 subflow" in journal
    assert "Traceback" not in journal and "unexpected" not in journal and "cannot" not in journal


def test_people_hear_of_changes_by_programs_and_by_fields_of_the_journal(running: Lab) -> None:
    """A program has the service's sandbox, and may ask systemd for more."""
    running.write("/etc/mptcp-hooks/on-change.d/tell",
                  "#!/bin/sh\nsystemctl start --no-block \"told@$IFACE-$STATE.service\"\n")
    running.client.run("chmod", "755", "/etc/mptcp-hooks/on-change.d/tell")
    running.write("/etc/systemd/system/told@.service",
                  "[Service]\nExecStart=/bin/touch /var/tmp/told-%i\n")
    running.client.run("systemctl", "daemon-reload")
    wait_for(lambda: show(running, "StatusText").startswith("2 paths: eth0"))
    for act, told in ((pull, "dead"), (plug, "alive")):
        act(running, 1)
        wait_for(lambda: running.client.try_run("test", "-e", f"/var/tmp/told-eth1-{told}")
                 .returncode == 0)
    asked = ("journalctl", "-o", "cat", "-u", SERVICE, "MPTCP_IFACE=eth1", "MPTCP_OLD_STATE=alive")
    assert running.client.run(*asked, "MPTCP_STATE=dead") == (
        "eth1: 10.1.2.2 is dead (no carrier), was alive\n")


def test_a_reload_reads_the_configuration_and_new_addresses_are_rendered(running: Lab) -> None:
    running.ifdown("eth1")
    running.client.ip("link set eth1 up", "addr add 10.1.2.7/24 dev eth1",
                      "route add default via 10.1.2.1 dev eth1 metric 200")
    running.write("/etc/mptcp-hooks/mptcp-hooks.conf", "[default]\nmanage = eth*\n")
    running.client.run("systemctl", "reload", SERVICE)
    wait_for(lambda: running.endpoints() == [BOTH[0], "10.1.2.7 eth1 subflow"])
    check_both_paths(running)
    kept = "/var/cache/mptcp-hooks/eth1.commands"
    wait_for(lambda: "10.1.2.7" in running.client.try_run("cat", kept).stdout)
    assert ask(running, "is-active") == "active"


def test_stopping_it_leaves_everything_working(running: Lab) -> None:
    full = running.snapshot()
    running.client.run("systemctl", "stop", SERVICE)
    assert (ask(running, "is-active"), show(running, "Result")) == ("inactive", "success")
    assert running.snapshot() == full
    check_both_paths(running)
    assert running.ifdown("-a") == ""
    assert running.endpoints() == [] and running.rules() == []


def test_stopping_it_while_a_cable_is_out_leaves_what_the_hooks_make(running: Lab) -> None:
    """Nobody would take the detour away later, nor bring the endpoint back."""
    full, rules = running.snapshot(), running.rules()
    pull(running, 0)
    wait_for(lambda: running.rules() != rules and running.endpoints() == BOTH[1:])
    wait_for(lambda: "for" in running.client.try_run("mptcp_status", "eth0").stdout)
    running.client.run("systemctl", "stop", SERVICE)
    # Since when it is out is nobody's word any more.
    running.client.run("test", "!", "-e", "/run/mptcp-hooks/.faults")
    assert running.rules() == rules and sorted(running.endpoints()) == BOTH
    plug(running, 0)
    wait_for(lambda: running.snapshot() == full)
    check_both_paths(running)


def test_removing_the_package_leaves_no_service(bare: Lab, deb: str) -> None:
    before = bare.snapshot()
    bare.client.run("dpkg", "-i", deb)
    bare.client.run("mptcp_down", "--all")
    bare.client.run("dpkg", "--remove", "mptcp-hooks")
    assert ask(bare, "is-active") == "inactive"
    assert bare.client.try_run("pgrep", "-f", "mptcp_monitor").stdout == ""
    assert bare.snapshot() == before
    bare.client.run("dpkg", "--purge", "mptcp-hooks")
    assert bare.client.run("find", "/etc", "/usr/sbin", "/usr/share", "/usr/lib/systemd",
                           "/var/cache", "/var/lib/systemd", "-name", "mptcp[-_]*") == ""
    assert show(bare, "LoadState") == "not-found"


def test_a_reload_right_after_a_start_waits_for_it(running: Lab) -> None:
    for _ in range(5):
        running.client.run("systemctl", "restart", "--no-block", SERVICE)
        running.client.run("systemctl", "reload", SERVICE)
    wait_for(lambda: ask(running, "is-active") == "active")
    assert show(running, "NRestarts") == "0"
    assert read_status(running, "SigBlk")[-1] == "0"


def test_the_checker_comes_and_goes_with_it(bare: Lab, deb: str) -> None:
    """The package alone has it there, at rest; a reload is heard, and each end and start."""
    # Those five seconds are the unit's own.
    bare.write(f"/etc/systemd/system/{SERVICE}.d/soon.conf", "[Service]\nRestartSec=0.1\n")
    bare.client.run("dpkg", "-i", deb)
    assert (ask(bare, "is-active", CHECKER), ask(bare, "is-enabled", CHECKER)) == (
        "active", "enabled")
    assert show(bare, "StatusText", CHECKER) == "no path has a check"
    assert int(read_status(bare, "VmRSS", CHECKER)) <= KILOBYTES_AT_MOST
    bare.write("/etc/mptcp-hooks/mptcp-hooks.conf", "[default]\ncheck = gateway\n")
    bare.client.run("systemctl", "reload", SERVICE)
    wait_for(lambda: show(bare, "StatusText", CHECKER) == "2 paths checked; none failed")
    bare.client.run("systemctl", "stop", SERVICE)
    wait_for(lambda: ask(bare, "is-active", CHECKER) == "inactive")
    assert show(bare, "Result", CHECKER) == "success" and not has_results(bare)
    bare.client.run("systemctl", "start", SERVICE)
    wait_for(lambda: ask(bare, "is-active", CHECKER) == "active")
    before = show(bare, "MainPID", CHECKER)
    bare.client.run("kill", "-KILL", show(bare, "MainPID"))
    wait_for(lambda: show(bare, "MainPID", CHECKER) not in ("0", before))
    wait_for(lambda: ask(bare, "is-active") == ask(bare, "is-active", CHECKER) == "active")
    wait_for(lambda: len(read_results(bare)) == 2)


def test_the_checker_works_inside_its_sandbox(make_lab: MakeLab) -> None:
    """By ICMP on one path, by TCP on the other, and with no other right than to a raw socket."""
    lab = boot(make_lab, installed=True, routers=("nftables",))
    lab.write("/etc/mptcp-hooks/mptcp-hooks.conf", "[default]\ncheck-interval = 1\n"
              f"[eth0]\ncheck = {SERVER_4}\n[eth1]\ncheck = tcp:{SERVER_4}:443\n")
    lab.client.run("systemctl", "start", CHECKER)
    assert ask(lab, "is-active") == "active"
    assert int(read_status(lab, "CapBnd", CHECKER), 16) == ONLY_NET_RAW
    assert int(read_status(lab, "CapEff", CHECKER), 16) == ONLY_NET_RAW
    wait_for(lambda: len(read_results(lab)) == 2)
    for uplink, what in enumerate(("icmp type echo-request", "tcp dport 443")):
        put_box(lab.routers[uplink:uplink + 1], f"{what} drop")
    wait_for(lambda: find_failed(lab) == ["10.1.1.2", "10.1.2.2"])
    wait_for(lambda: show(lab, "StatusText", CHECKER)
             == "2 paths checked; no answer: eth0 (10.1.1.2), eth1 (10.1.2.2)")
    remove_boxes(lab)
    # Each answers, by what it was asked by.
    wait_for(lambda: find_failed(lab) == [])
    journal = lab.client.run("journalctl", "--output", "cat", "--unit", CHECKER)
    assert "mptcp_check: eth0: 10.1.1.2: 10.99.0.1 answers again" in journal
    assert "mptcp_check: eth1: 10.1.2.2: tcp:10.99.0.1:443 answers again" in journal
    assert "Traceback" not in journal and "unexpected" not in journal and "cannot" not in journal
    assert show(lab, "NRestarts", CHECKER) == "0"
