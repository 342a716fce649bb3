# SPDX-License-Identifier: GPL-2.0-or-later
"""Leases of no honest server: dhclient-script goes on, and nothing is lost of what stood."""

from __future__ import annotations

import subprocess

import pytest

from tests.lab.support.dhcp import has_path, list_record
from tests.lab.support.lab import Lab
from tests.lab.support.uplink import LEAVE, up

HOOK = "/etc/dhcp/dhclient-exit-hooks.d/mptcp-hooks"
# As run_hook of dhclient-script(8) sources it, with the strictest options a script can have.
SCRIPT = f"""\
set >/run/before
. {HOOK}
echo "status $?"
set >/run/after
cmp /run/before /run/after && echo goes on
"""
LEASE = {
    "PATH": "/usr/sbin:/sbin:/bin:/usr/sbin:/usr/bin", "reason": "BOUND", "interface": "eth1",
    "new_ip_address": "10.1.2.50", "new_subnet_mask": "255.255.255.0", "new_routers": "10.1.2.1",
    "new_rfc3442_classless_static_routes": "16 10 50 10 1 2 8 0 10 1 2 1",
}
CLASSLESS = "new_rfc3442_classless_static_routes"
PAIRS = "new_classless_static_routes"
MANY_ROUTES = " ".join(f"24 10 {number // 250} {number % 250} 10 1 2 8" for number in range(300))
GARBAGE = "\udcff\udc80\x1b[2J\r\x07\u202e"


def tell(lab: Lab, **changes: str | None) -> subprocess.CompletedProcess[str]:
    """Tell the hook of a lease as dhclient-script does; None leaves a variable out."""
    told = {name: value for name, value in (LEASE | changes).items() if value is not None}
    return lab.client.try_run("/bin/dash", "-euc", SCRIPT, env=told)


@pytest.fixture
def leased(lab: Lab) -> Lab:
    """eth1 with a lease that was noted and applied."""
    lab.client.ip("link set eth1 up", "addr add 10.1.2.50/24 dev eth1")
    assert tell(lab).stderr == ""
    assert up(lab, METHOD="dhcp", IF_ADDRESS="", IF_NETMASK="", IF_GATEWAY="") == ""
    assert has_path(lab, "10.1.2.50", "10.1.2.1", routes=(("10.50.0.0/16", "10.1.2.8"),))
    return lab


HOSTILE: list[tuple[str, dict[str, str | None]]] = [
    ("new_ip_address '0.0.0.0' is wrong", {"new_ip_address": "0.0.0.0"}),
    ("new_ip_address '224.0.0.1' is wrong", {"new_ip_address": "224.0.0.1"}),
    ("new_ip_address '127.0.0.1' is wrong", {"new_ip_address": "127.0.0.1"}),
    ("new_ip_address 'fd00::1' is wrong", {"new_ip_address": "fd00::1"}),
    ("new_ip_address '$(reboot)' is wrong", {"new_ip_address": "$(reboot)"}),
    ("new_ip_address '' is wrong", {"new_ip_address": None}),
    ("new_routers '10.1.2.1;' is wrong", {CLASSLESS: None, "new_routers": "10.1.2.1; reboot"}),
    ("new_routers '$(id)' is wrong", {CLASSLESS: None, "new_routers": "$(id)"}),
    ("new_routers '`id`' is wrong", {CLASSLESS: None, "new_routers": "10.1.2.1 `id`"}),
    ("new_routers '10.1.2.50' is wrong", {CLASSLESS: None, "new_routers": "10.1.2.50"}),
    ("new_routers '255.255.255.255' is", {CLASSLESS: None, "new_routers": "255.255.255.255"}),
    ("new_routers '", {CLASSLESS: None, "new_routers": GARBAGE}),
    ("new_routers 'xxxx", {CLASSLESS: None, "new_routers": "x" * 100_000}),
    (f"{CLASSLESS} has 300 routes: 64 at the most", {CLASSLESS: MANY_ROUTES}),
    # Lists of 100 kB; Linux lets a variable have 128.
    ("it must be of 16384 characters at the most", {CLASSLESS: "24 10 1 9 10 1 2 8 " * 5500}),
    ("it must be of 16384 characters at the most",
     {CLASSLESS: None, PAIRS: "10.9.0.0/16 10.1.2.8 " * 5000}),
    ("it must be of 16384 characters at the most",
     {CLASSLESS: None, "new_routers": "10.1.2.8 " * 11_000}),
    ("it must be of 16384 characters at the most", {"new_ip_address": "1" * 100_000}),
    ("IFACE 'xxxx", {"interface": "x" * 100_000}),
    (f"{CLASSLESS} '16 10 50 10 1 2' is wrong", {CLASSLESS: "16 10 50 10 1 2"}),
    (f"{CLASSLESS} '33 10 50 1 1 1 10 1 2 8' is wrong", {CLASSLESS: "33 10 50 1 1 1 10 1 2 8"}),
    (f"{CLASSLESS} '0 10 1 2 256' is wrong", {CLASSLESS: "0 10 1 2 256"}),
    (f"{CLASSLESS} '0 10 1 2 $(id)' is wrong", {CLASSLESS: "0 10 1 2 $(id)"}),
    (f"{CLASSLESS} '10.1.2.50' is wrong", {CLASSLESS: "0 10 1 2 50"}),
    (f"{CLASSLESS} '224.0.0.0/4' is wrong", {CLASSLESS: "4 224 10 1 2 8"}),
    (f"{CLASSLESS} '127.0.0.0/8' is wrong", {CLASSLESS: "8 127 10 1 2 8"}),
    (f"{CLASSLESS} '", {CLASSLESS: GARBAGE}),
    (f"{PAIRS} '10.50.0.0/16' is wrong", {CLASSLESS: None, PAIRS: "10.50.0.0/16"}),
    (f"{PAIRS} 'fd00::/8 fe80::1' is wrong", {CLASSLESS: None, PAIRS: "fd00::/8 fe80::1"}),
    (f"{PAIRS} 'reboot' is wrong", {CLASSLESS: None, PAIRS: "10.50.0.0/16 reboot"}),
    ("IFACE '../x' is wrong", {"interface": "../x"}),
    ("IFACE '/etc/passwd' is wrong", {"interface": "/etc/passwd"}),
    ("IFACE 'eth1 eth0' is wrong", {"interface": "eth1 eth0"}),
    ("IFACE 'eth1;reboot' is wrong", {"interface": "eth1;reboot"}),
    ("IFACE 'a23456789012345x' is wrong", {"interface": "a23456789012345x"}),
    ("IFACE '", {"interface": GARBAGE}),
    ("IFACE '' is wrong", {"interface": None}),
    ("IFACE '../x' is wrong", {"interface": "../x", "reason": "RELEASE"}),
]


def test_each_is_refused_with_one_line_and_nothing_is_lost(leased: Lab) -> None:
    before, record = leased.snapshot(), list_record(leased)
    for said, changes in HOSTILE:
        done = tell(leased, **changes)
        assert (done.returncode, done.stdout) == (0, "status 0\ngoes on\n"), (changes, done)
        assert done.stderr.startswith("mptcp_lease: ") and said in done.stderr, (said, done.stderr)
        assert done.stderr.count("\n") == 1 and len(done.stderr) < 500, done.stderr
        assert done.stderr.strip().isascii() and done.stderr.strip().isprintable()
        assert (leased.snapshot(), list_record(leased)) == (before, record), changes


@pytest.mark.parametrize("reason", ["PREINIT", "MEDIUM", "CARRIER", "TEST", "$(reboot)", "", None,
                                    GARBAGE])
def test_what_is_no_news_of_a_lease_is_not_looked_at(leased: Lab, reason: str | None) -> None:
    before, record = leased.snapshot(), list_record(leased)
    done = tell(leased, reason=reason, interface="../x", new_ip_address=GARBAGE)
    assert (done.returncode, done.stdout, done.stderr) == (0, "status 0\ngoes on\n", "")
    assert (leased.snapshot(), list_record(leased)) == (before, record)


def test_the_same_lease_again_changes_nothing(leased: Lab) -> None:
    before, record = leased.snapshot(), list_record(leased)
    done = tell(leased, reason="RENEW", old_ip_address="10.1.2.50")
    assert (done.stdout, done.stderr) == ("status 0\ngoes on\n", "")
    assert (leased.snapshot(), list_record(leased)) == (before, record)


def test_a_lease_of_an_interface_that_nobody_told_of_waits(leased: Lab) -> None:
    before = leased.snapshot()
    done = tell(leased, interface="eth0", new_ip_address="10.1.1.50", new_routers="10.1.1.1")
    assert (done.stdout, done.stderr) == ("status 0\ngoes on\n", "")
    assert leased.snapshot() == before
    assert "eth0.lease" in list_record(leased)
    assert tell(leased, interface="eth0", reason="RELEASE").stderr == ""
    assert "eth0.lease" not in list_record(leased)


def test_a_lease_that_comes_while_the_interface_goes_down_brings_nothing_back(
    leased: Lab
) -> None:
    leased.run_hook("if-down.d", LEAVE)
    before = leased.snapshot()
    assert tell(leased, reason="RENEW", new_routers="10.1.2.254", **{CLASSLESS: None}).stderr == ""
    assert leased.snapshot() == before and leased.endpoints() == []


@pytest.mark.parametrize("missing", ["hooks/mptcp_lease", "hooks/event"])
def test_the_sourced_file_of_a_package_half_removed_is_silent(leased: Lab, missing: str) -> None:
    before = leased.snapshot()
    leased.client.run("rm", f"/usr/share/mptcp-hooks/{missing}")
    done = tell(leased, new_routers="$(reboot)", **{CLASSLESS: None})
    assert (done.returncode, done.stdout, done.stderr) == (0, "status 0\ngoes on\n", "")
    assert leased.snapshot() == before


def test_a_package_without_its_modules_says_so_in_one_line(leased: Lab) -> None:
    before = leased.snapshot()
    leased.client.run("rm", "-r", "/usr/share/mptcp-hooks/mptcp_hooks")
    done = tell(leased)
    assert (done.returncode, done.stdout) == (0, "status 0\ngoes on\n")
    assert done.stderr.count("\n") == 1 and "did nothing" in done.stderr, done.stderr
    assert leased.snapshot() == before
