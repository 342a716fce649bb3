# SPDX-License-Identifier: GPL-2.0-or-later
"""A real dpkg on a machine that is up, whatever is wrong there: nothing that is up is lost."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.lab.support.booted import SYSTEMD, WITHOUT, BootedHost
from tests.lab.support.lab import TWO_UPLINKS, Lab
from tests.lab.support.making import MakeLab
from tests.lab.support.package import NEWER, RECORD_STAYS, make_newer
from tests.lab.support.paths import BOTH, MEGABYTE, check_both_paths
from tests.lab.support.status import find
from tests.lab.support.waiting import wait_for

SERVICE = "mptcp-hooks.service"
SHARE = "/usr/share/mptcp-hooks"
MODULES_NOT_COMPILED = ("mptcp-hooks: its modules are not compiled, and hooks take longer "
                        "(dpkg-reconfigure mptcp-hooks)")
FILL = "dd if=/dev/zero of={folder}/full bs=4k 2>/dev/null || :"
# A disk of its own for a folder, with what is in it.
ON_A_SMALL_DISK = """\
cp -a {folder} /run/kept
mount -t tmpfs -o size={size},mode=755 tmpfs {folder}
cp -a /run/kept/. {folder}/
rm -rf /run/kept
"""


@pytest.fixture
def up(lab: Lab) -> Lab:
    """Two uplinks, which are up."""
    lab.set_interfaces(TWO_UPLINKS)
    lab.ifup("-a")
    return lab


@pytest.fixture
def booted(make_lab: MakeLab, deb: str) -> Lab:
    """The same on a host with systemd, and the service."""
    lab = make_lab(*SYSTEMD, "mptcpize", without=WITHOUT, client=BootedHost, installed=False)
    lab.client.run("dpkg", "--install", deb)
    lab.set_interfaces(TWO_UPLINKS)
    lab.client.run("systemctl", "restart", "networking")
    wait_for(lambda: lab.endpoints() == BOTH)
    return lab


def run_dpkg(lab: Lab, *arguments: str) -> list[str]:
    """Run dpkg, which must succeed; what our scripts and programs said."""
    done = lab.client.try_run("dpkg", *arguments)
    assert done.returncode == 0, done.stdout + done.stderr
    # Others leave their lines without an end.
    return re.findall(r"mptcp[-_]\w+: .*", done.stderr)


def fail_dpkg(lab: Lab, *arguments: str) -> None:
    assert lab.client.try_run("dpkg", *arguments).returncode == 1


def read_state(lab: Lab) -> list[str]:
    """The state of the package, and its version."""
    return lab.client.run("dpkg-query", "--show", "--showformat", "${db:Status-Status} ${Version}",
                          "mptcp-hooks").split()


def check_that_hooks_work(lab: Lab) -> None:
    """Down and up again, without a word, gives what was there."""
    full = lab.snapshot()
    assert lab.ifdown("eth1") == "" and lab.endpoints() == BOTH[:1]
    assert lab.ifup("eth1") == "" and lab.snapshot() == full
    assert find(lab) == ()


def show(lab: Lab, name: str) -> str:
    return lab.client.run("systemctl", "show", SERVICE, "--value", "--property", name).strip()


@pytest.mark.long
def test_an_upgrade_keeps_a_transfer_and_the_service_goes_on(
    booted: Lab, deb: str, tmp_path: Path
) -> None:
    full, before = booted.snapshot(), show(booted, "MainPID")
    transfer = booted.begin_transfer(16 * MEGABYTE)
    run_dpkg(booted, "--install", make_newer(deb, tmp_path))
    sent = transfer.finish()
    assert sent.whole and min(sent.uplinks) > 2 * MEGABYTE, sent
    assert read_state(booted) == ["installed", NEWER]
    assert show(booted, "ActiveState") == "active" and show(booted, "MainPID") != before
    assert booted.snapshot() == full
    booted.ifdown("-a")
    assert booted.endpoints() == [] and booted.rules() == []


@pytest.mark.long
def test_an_upgrade_that_fails_leaves_the_version_before_at_work(
    booted: Lab, deb: str, tmp_path: Path
) -> None:
    full, version = booted.snapshot(), read_state(booted)
    fail_dpkg(booted, "--install", make_newer(deb, tmp_path, preinst="exit 1"))
    assert read_state(booted) == version and show(booted, "ActiveState") == "active"
    assert booted.snapshot() == full
    check_both_paths(booted)
    check_that_hooks_work(booted)


@pytest.mark.long
def test_a_package_that_is_half_configured_works_and_is_configured_later(
    booted: Lab, deb: str, tmp_path: Path
) -> None:
    full = booted.snapshot()
    newer = make_newer(deb, tmp_path, postinst="[ -e /run/may ] || exit 1")
    fail_dpkg(booted, "--install", newer)
    assert read_state(booted) == ["half-configured", NEWER] and booted.snapshot() == full
    check_that_hooks_work(booted)
    booted.client.run("touch", "/run/may")
    assert run_dpkg(booted, "--configure", "mptcp-hooks") == []
    assert read_state(booted) == ["installed", NEWER] and booted.snapshot() == full
    assert show(booted, "ActiveState") == "active"


def test_a_package_that_is_half_configured_goes_with_all_that_it_made(
    lab: Lab, deb: str, tmp_path: Path
) -> None:
    before = lab.snapshot()
    fail_dpkg(lab, "--install", make_newer(deb, tmp_path, postinst="exit 1"))
    lab.set_interfaces(TWO_UPLINKS)
    assert lab.ifup("-a") == "" and lab.endpoints() == BOTH
    assert run_dpkg(lab, "--purge", "mptcp-hooks") == []
    assert lab.snapshot() == before


def test_of_a_package_that_is_only_unpacked_dpkg_asks_nothing_and_a_line_says_what_stays(
    up: Lab, deb: str
) -> None:
    """dpkg runs no prerm then."""
    full = up.snapshot()
    assert run_dpkg(up, "--unpack", deb) == [] and up.snapshot() == full
    check_that_hooks_work(up)
    assert run_dpkg(up, "--remove", "mptcp-hooks") == [RECORD_STAYS]
    assert up.snapshot() == full
    run_dpkg(up, "--install", deb)
    up.client.run("mptcp_down", "--all")
    assert up.endpoints() == [] and up.rules() == []


@pytest.mark.parametrize("damage", [
    "for file in *.paths; do echo nonsense >$file; done",
    *(pytest.param(damage, marks=pytest.mark.long) for damage in (
        "rm *.paths; mkdir eth0.paths eth1.paths", "head -c 100000 /dev/urandom >eth1.paths",
        "echo nonsense >limits", "chown nobody .")),
])
def test_a_record_that_is_garbage_costs_no_upgrade_and_no_removal(
    up: Lab, deb: str, tmp_path: Path, damage: str
) -> None:
    full = up.snapshot()
    up.client.run("sh", "-ec", f"cd /run/mptcp-hooks; {damage}")
    assert run_dpkg(up, "--install", make_newer(deb, tmp_path)) == []
    assert up.snapshot() == full
    said = run_dpkg(up, "--remove", "mptcp-hooks")
    assert said and len(said) <= 3
    run_dpkg(up, "--purge", "mptcp-hooks")
    up.client.run("test", "!", "-e", "/run/mptcp-hooks")
    assert "proto mptcp" not in up.snapshot()


@pytest.mark.parametrize("folder", [
    "/run", pytest.param("/var/cache/mptcp-hooks", marks=pytest.mark.long)])
def test_a_full_disk_keeps_dpkg_from_nothing(
    up: Lab, deb: str, tmp_path: Path, folder: str
) -> None:
    full = up.snapshot()
    newer = make_newer(deb, tmp_path)
    if folder == "/run":
        up.client.run("mount", "-o", "remount,size=1m", "/run")
    else:
        up.client.run("sh", "-ec", ON_A_SMALL_DISK.format(folder=folder, size="16m"))
    up.client.run("sh", "-c", FILL.format(folder=folder))
    assert run_dpkg(up, "--install", newer) == [] and up.snapshot() == full
    assert run_dpkg(up, "--remove", "mptcp-hooks") == []
    run_dpkg(up, "--purge", "mptcp-hooks")
    assert up.endpoints() == [] and up.rules() == []


def test_a_disk_that_is_full_once_it_is_unpacked_costs_a_line(
    up: Lab, deb: str, tmp_path: Path
) -> None:
    up.client.run("sh", "-ec", ON_A_SMALL_DISK.format(folder=SHARE, size="16m"))
    newer = make_newer(deb, tmp_path, postinst=FILL.format(folder=SHARE))
    said = run_dpkg(up, "--install", newer)
    assert said[-1:] == [MODULES_NOT_COMPILED]
    assert read_state(up) == ["installed", NEWER]
    check_that_hooks_work(up)
    run_dpkg(up, "--purge", "mptcp-hooks")
    assert up.endpoints() == [] and up.rules() == []


@pytest.mark.long
def test_a_disk_that_is_full_before_leaves_the_version_before(
    up: Lab, deb: str, tmp_path: Path
) -> None:
    version = read_state(up)
    up.client.run("sh", "-ec", ON_A_SMALL_DISK.format(folder=SHARE, size="16m"))
    fail_dpkg(up, "--install", make_newer(deb, tmp_path, preinst=FILL.format(folder=SHARE)))
    assert read_state(up) == version
    check_that_hooks_work(up)


@pytest.mark.parametrize("breakage", [
    "rm /usr/bin/python3", pytest.param("rm -r /usr/lib/python3*", marks=pytest.mark.long)])
def test_without_a_python3_it_is_upgraded_and_removed(
    up: Lab, deb: str, tmp_path: Path, breakage: str
) -> None:
    """A purge takes what is ours then, and leaves what is not."""
    up.client.ip("mptcp endpoint add 10.1.1.7 dev eth0 subflow", "rule add pref 7 lookup 99")
    full = up.snapshot()
    up.client.run("sh", "-ec", breakage)
    said = run_dpkg(up, "--install", make_newer(deb, tmp_path))
    assert said[-1] == MODULES_NOT_COMPILED
    said = run_dpkg(up, "--remove", "mptcp-hooks")
    assert said[-1] == RECORD_STAYS and up.snapshot() == full
    run_dpkg(up, "--purge", "mptcp-hooks")
    assert "proto mptcp" not in up.snapshot()
    assert (up.endpoints(), up.rules()) == (
        ["10.1.1.7 eth0 subflow"], ["7: from all lookup 99"])


@pytest.mark.long
def test_where_etc_systemd_cannot_be_written_dpkg_does_the_rest(
    booted: Lab, deb: str, tmp_path: Path
) -> None:
    full = booted.snapshot()
    booted.write("/etc/systemd/system/web.service", "[Service]\nExecStart=/usr/bin/sleep 9\n")
    booted.client.run("systemctl", "daemon-reload")
    booted.client.run("mptcp_run", "--enable", "web")
    booted.client.run("sh", "-ec", "mount --bind /etc/systemd /etc/systemd; "
                      "mount -o remount,bind,ro /etc/systemd")
    assert run_dpkg(booted, "--install", make_newer(deb, tmp_path)) == []
    assert booted.snapshot() == full and show(booted, "ActiveState") == "active"
    assert run_dpkg(booted, "--remove", "mptcp-hooks") == [
        "mptcp-hooks: /etc/systemd/system/web.service.d/mptcp-hooks.conf stays: it cannot be "
        "removed"]
    assert booted.endpoints() == [] and booted.rules() == []
    assert show(booted, "ActiveState") == "inactive"
    run_dpkg(booted, "--purge", "mptcp-hooks")
    run_dpkg(booted, "--install", deb)


@pytest.mark.long
def test_a_managed_uplink_does_not_come_back_while_the_package_goes(booted: Lab) -> None:
    booted.write("/etc/mptcp-hooks/mptcp-hooks.conf", "[default]\nmanage = eth*\n")
    booted.client.run("systemctl", "reload", SERVICE)
    wait_for(lambda: "2 paths" in show(booted, "StatusText"))
    run_dpkg(booted, "--remove", "mptcp-hooks")
    assert booted.endpoints() == [] and booted.rules() == []
