# SPDX-License-Identifier: GPL-2.0-or-later
"""The installed package: what lies where, and what is left when it goes."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.lab.support.lab import TWO_UPLINKS, Host, Lab
from tests.lab.support.making import MakeHost

SOURCE = Path(__file__).parents[2]
PAGES = sorted(SOURCE.glob("man/*"))
INSTALLED = "/usr/share/mptcp-hooks/hooks"
IN_SHELL = "start_event"
PROGRAMS = sorted(path.name for path in SOURCE.glob("hooks/*") if path.name != "dhcp")
# Every interpreter imports it first of all, wherever it finds it first.
POISON = "import posix; posix.close(posix.open('/run/imported', posix.O_CREAT))\n"


@pytest.fixture(scope="module")
def host(make_host: MakeHost) -> Host:
    """Modules of somebody's in /run/app, which whoever imports leaves /run/imported."""
    made = make_host()
    made.run("mkdir", "-p", "/run/app/encodings")
    made.run("tee", "/run/app/encodings/__init__.py", text=POISON)
    return made


def is_poisoned(host: Host, *command: str) -> bool:
    """Whether a command that is started with a PYTHONPATH imports from there."""
    host.run("rm", "-f", "/run/imported")
    done = host.try_run("env", "PYTHONPATH=/run/app", *command)
    poisoned = host.try_run("test", "-e", "/run/imported").returncode == 0
    assert poisoned or done.returncode == 0, done.stderr
    return poisoned


def test_first_lines_are_the_sources(host: Host) -> None:
    """Tools of a build rewrite them, and -I and -S are what keeps callers' modules out."""
    found = host.run("find", INSTALLED, "-type", "f", "-perm", "/111", "-printf", "%f\n")
    assert sorted(found.split()) == PROGRAMS
    for name in PROGRAMS:
        (first, *_) = host.run("cat", f"{INSTALLED}/{name}").splitlines()
        (wanted, *_) = (SOURCE / "hooks" / name).read_text().splitlines()
        assert (name, first) == (name, wanted) and (" -I" in wanted or name == IN_SHELL)


@pytest.mark.parametrize("command", [
    ("mptcp_run", "true"), ("mptcp_status", "--version"), ("mptcp_up", "--version"),
    ("mptcp_down", "--version"), ("mptcp_monitor", "--version"), ("mptcp_check", "--version"),
    (f"{INSTALLED}/unit", "release", "web.service"), (f"{INSTALLED}/mptcp_lease",),
    ("/etc/network/if-up.d/mptcp_up",), ("/etc/network/if-post-down.d/mptcp_down",),
    ("/etc/ppp/ip-up.d/mptcp_up",),
    ("sh", "-c", ". /etc/dhcp/dhclient-exit-hooks.d/mptcp-hooks"),
], ids="_".join)
def test_nobody_imports_the_modules_of_the_caller(host: Host, command: tuple[str, ...]) -> None:
    assert is_poisoned(host, "/usr/bin/python3", "-c", "")
    assert not is_poisoned(host, *command)


def test_the_hooks_are_links_that_run_parts_runs(lab: Lab) -> None:
    for folder, name in (("if-up.d", "mptcp_up"), ("if-down.d", "mptcp_down"),
                         ("if-post-down.d", "mptcp_down")):
        path = f"/etc/network/{folder}/{name}"
        assert path in lab.client.run("run-parts", "--test", f"/etc/network/{folder}")
        lab.client.run("test", "-h", path)


def test_the_hooks_of_others_are_links_to_what_is_there(lab: Lab) -> None:
    for path in ("dhcp/dhclient-exit-hooks.d/mptcp-hooks", "ppp/ip-up.d/mptcp_up",
                 "ppp/ip-down.d/mptcp_down", "ppp/ipv6-up.d/mptcp_up",
                 "ppp/ipv6-down.d/mptcp_down"):
        lab.client.run("test", "-h", f"/etc/{path}")
        lab.client.run("test", "-s", f"/etc/{path}")
    for path in ("lib/dhcpcd/dhcpcd-hooks", "libexec/dhcpcd-hooks"):
        lab.client.run("test", "-s", f"/usr/{path}/90-mptcp-hooks")


def test_names_and_settings_of_the_kernel(lab: Lab) -> None:
    lab.client.ip("rule add pref 7 from 10.1.1.2 lookup 99 protocol 77")
    assert "proto mptcp" in lab.client.run("ip", "rule")
    assert lab.client.try_run("ip", "rule").stderr == ""
    lab.client.run("sysctl", "-qw", "net.mptcp.enabled=0")
    lab.client.run("sysctl", "-q", "-p", "/usr/lib/sysctl.d/50-mptcp-hooks.conf")
    assert lab.client.run("cat", "/proc/sys/net/mptcp/enabled") == "1\n"


def test_removal_leaves_no_hook_behind(lab: Lab) -> None:
    lab.set_interfaces(TWO_UPLINKS)
    lab.ifup("-a")
    lab.client.run("mptcp_down", "--all")
    lab.client.run("dpkg", "--remove", "mptcp-hooks")
    folders = ("/etc/network", "/etc/dhcp", "/etc/ppp", "/usr/lib/dhcpcd", "/usr/libexec")
    found = lab.client.try_run("find", *folders, "-name", "*mptcp*")
    assert found.stdout == ""
    assert lab.client.try_run("ls", "/usr/share/mptcp-hooks").returncode != 0
    assert lab.ifdown("-a") == ""


def test_upgrade_keeps_what_is_up(lab: Lab, deb: str) -> None:
    lab.set_interfaces(TWO_UPLINKS)
    before = lab.snapshot()
    lab.ifup("-a")
    full = lab.snapshot()
    lab.client.run("dpkg", "-i", deb)
    assert lab.snapshot() == full
    lab.ifdown("-a")
    assert lab.snapshot() == before


def test_the_example_is_where_the_manual_page_says_and_right(lab: Lab) -> None:
    path = "/usr/share/doc/mptcp-hooks/examples/mptcp-hooks.conf"
    assert path.replace("-", "\\-") in lab.client.run(
        "zcat", lab.client.run("man", "--where", "mptcp-hooks.conf").strip())
    assert lab.client.run("ls", "/etc/mptcp-hooks") == "mptcp-hooks.conf.d\non-change.d\n"
    lab.write("/etc/mptcp-hooks/mptcp-hooks.conf",
              lab.client.run("sed", "s/^#\\([^ ]\\)/\\1/", path))
    assert "flags = subflow backup" in lab.read("/etc/mptcp-hooks/mptcp-hooks.conf").splitlines()
    assert lab.client.try_run("mptcp_up", "--check").stderr == ""


def test_manual_pages_are_where_man_finds_them(lab: Lab) -> None:
    for page in PAGES:
        name, _, section = page.name.rpartition(".")
        (path,) = lab.client.run("man", "--where", section, name).splitlines()
        assert path.startswith(f"/usr/share/man/man{section}/mptcp")
