# SPDX-License-Identifier: GPL-2.0-or-later
"""What the real dpkg takes away with the package, and what it leaves: on a machine, in roots."""

from __future__ import annotations

import pytest

from mptcp_hooks.force.methods import MPTCPIZE
from mptcp_hooks.run.dropins import write_text
from tests.lab.support.booted import SYSTEMD, WITHOUT, BootedHost
from tests.lab.support.checker import has_results
from tests.lab.support.lab import TWO_UPLINKS, Host, Lab
from tests.lab.support.making import MakeLab
from tests.lab.support.package import RECORD_STAYS
from tests.lab.support.paths import BOTH
from tests.lab.support.waiting import wait_for

SERVICE = "mptcp-hooks.service"
UNITS = "/etc/systemd/system"
OURS = write_text([MPTCPIZE], {"LD_PRELOAD": "/usr/lib/libmptcpwrap.so.0"})
THEIRS = "# Ours alone.\n[Service]\nNice=5"
ROOT = "/mnt/root"
# A root of its own, with the package and the machine's programs, and with /run of the client.
MAKE_ROOT = """\
mount -t tmpfs tmpfs /mnt
mkdir -p /mnt/machine /mnt/root/dev /mnt/root/proc /mnt/root/run /mnt/root/sys /mnt/root/tmp
mount --bind / /mnt/machine
for name in etc usr var; do
    mkdir -p /mnt/upper/$name /mnt/work/$name /mnt/root/$name
    mount -t overlay overlay /mnt/root/$name -o \
"lowerdir=/mnt/machine/$name,upperdir=/mnt/upper/$name,workdir=/mnt/work/$name"
done
for name in bin sbin lib lib64; do cp -a /$name /mnt/root/; done
for name in dev proc sys run; do mount --rbind /$name /mnt/root/$name; done
rm -f /mnt/root/usr/sbin/policy-rc.d
cp "$1" /run/package.deb
chroot /mnt/root dpkg --install /run/package.deb
"""
# How dpkg may be told to work on that root, and what is done to the root before.
WAYS = {
    "in a chroot": (("chroot", ROOT, "dpkg"), ""),
    "in a chroot on a file system": (("chroot", ROOT, "dpkg"), f"mount --rbind {ROOT} {ROOT}"),
    "in a chroot without proc": (("chroot", ROOT, "dpkg"), f"umount --recursive {ROOT}/proc"),
    "with root": (("dpkg", f"--root={ROOT}"), ""),
    "with DPKG_ROOT": (("dpkg", f"--root={ROOT}", "--force-script-chrootless"), ""),
}
# They differ in what the package's scripts can see there.
ALIKE = [pytest.param(way, marks=pytest.mark.long)
         for way in ("in a chroot on a file system", "in a chroot without proc")]


@pytest.fixture
def up(lab: Lab) -> Lab:
    """Two uplinks, which are up."""
    lab.set_interfaces(TWO_UPLINKS)
    lab.ifup("-a")
    assert lab.endpoints() == BOTH
    return lab


def make_root(lab: Lab, deb: str, way: str) -> tuple[str, ...]:
    """The dpkg that works on the root."""
    lab.client.run("sh", "-ec", MAKE_ROOT, "sh", deb)
    dpkg, preparation = WAYS[way]
    lab.client.run("sh", "-ec", preparation)
    return dpkg


def write_drop_in(lab: Lab, unit: str, text: str, root: str = "") -> str:
    """Write a drop-in of our name; where it is."""
    path = f"{root}{UNITS}/{unit}.service.d/mptcp-hooks.conf"
    lab.write(path, text)
    return path


def find_service(lab: Lab) -> str:
    """How the client's service is, and its process."""
    return lab.client.run("systemctl", "show", SERVICE, "--property", "MainPID,ActiveState,"
                          "UnitFileState,NRestarts")


def is_there(host: Host, path: str) -> bool:
    return host.try_run("test", "-e", path).returncode == 0


def list_run(lab: Lab) -> str:
    """The record and what else is beside it, with its contents."""
    return lab.client.run("grep", "-r", "", "/run/mptcp-hooks")


def remove(lab: Lab, *dpkg: str) -> list[str]:
    """Have dpkg remove the package, which must work; what was said of what stays."""
    done = lab.client.try_run(*(dpkg or ("dpkg",)), "--remove", "mptcp-hooks")
    assert done.returncode == 0, done.stderr
    return [line for line in done.stderr.splitlines() if line.startswith("mptcp-hooks: ")]


def test_what_is_up_goes_with_the_package(lab: Lab) -> None:
    before = lab.snapshot()
    lab.set_interfaces(TWO_UPLINKS)
    lab.ifup("-a")
    assert remove(lab) == []
    assert lab.snapshot() == before
    assert not is_there(lab.client, "/run/mptcp-hooks")


def list_files(lab: Lab) -> set[str]:
    """All there is, but what dpkg, systemd, ifupdown and the kernel keep of themselves."""
    left_out = ("/var/lib/dpkg", "/var/log", "/run/systemd", "/run/log", "/run/user",
                "/run/network", "/sys/fs/cgroup", "/var/cache/man")
    skipped = " -o ".join(f"-path {path}" for path in left_out)
    found = lab.client.run("sh", "-c", "find /etc /usr /var /run /root /srv /opt /sys/fs "
                           f"\\( {skipped} \\) -prune -o -print")
    return {path for path in found.splitlines() if "mptcp-hooks-lab" not in path}


@pytest.mark.long
def test_purge_leaves_nothing_that_the_package_or_its_commands_made(
    make_lab: MakeLab, deb: str
) -> None:
    """And what people made, which dpkg tells them of."""
    lab = make_lab(*SYSTEMD, "mptcpize", without=WITHOUT, client=BootedHost, installed=False)
    lab.write(f"{UNITS}/web.service", "[Service]\nExecStart=/usr/bin/sleep infinity\n")
    lab.set_interfaces(TWO_UPLINKS)
    lab.client.run("systemctl", "daemon-reload")
    before, state = list_files(lab), lab.snapshot()
    lab.client.run("dpkg", "--install", deb)
    theirs = {f"/etc/mptcp-hooks/{name}" for name in (
        "mptcp-hooks.conf", "mptcp-hooks.conf.d/web.conf", "on-change.d/tell")}
    for path in theirs:
        lab.write(path, "")
    lab.write("/etc/mptcp-hooks/mptcp-hooks.conf", "[default]\ncheck = gateway\n")
    lab.ifup("-a")
    # Each start of a program of ours may compile what it loads.
    for command in ("mptcp_up --check", "mptcp_status", "mptcp_status --connections",
                    "mptcp_run true", "mptcp_run --enable web", "systemctl restart web",
                    f"systemctl restart {SERVICE}", "mptcp_down eth1", "mptcp_up eth1"):
        lab.client.run(*command.split())
    wait_for(lambda: lab.endpoints() == BOTH and has_results(lab))
    # What is remembered of an uplink takes a minute to be known.
    lab.write("/var/lib/mptcp-hooks/uplinks", "")
    lab.client.run("dpkg", "--purge", "mptcp-hooks")
    assert list_files(lab) ^ before == theirs | {
        "/etc/mptcp-hooks", "/etc/mptcp-hooks/mptcp-hooks.conf.d", "/etc/mptcp-hooks/on-change.d"}
    lab.ifdown("-a")
    assert lab.snapshot() == state


BROKEN_PYTHON = "ln -sf /bin/false /usr/bin/python3"


def test_a_python3_that_cannot_start_keeps_dpkg_from_nothing(lab: Lab, deb: str) -> None:
    """Half an upgrade of Python: it is upgraded, removed and purged, and says what stays."""
    lab.set_interfaces(TWO_UPLINKS)
    lab.ifup("-a")
    full = lab.snapshot()
    lab.client.run("sh", "-ec", BROKEN_PYTHON)
    done = lab.client.try_run("dpkg", "--install", deb)
    assert done.returncode == 0, done.stderr
    assert ("mptcp-hooks: its modules are not compiled, and hooks take longer "
            "(dpkg-reconfigure mptcp-hooks)") in done.stderr.splitlines()
    assert remove(lab) == [RECORD_STAYS]
    assert lab.snapshot() == full and is_there(lab.client, "/run/mptcp-hooks")
    lab.client.run("dpkg", "--purge", "mptcp-hooks")
    assert not is_there(lab.client, "/run/mptcp-hooks")
    assert not is_there(lab.client, "/usr/share/mptcp-hooks")


def test_an_administrators_drop_in_survives_and_that_of_mptcp_run_does_not(lab: Lab) -> None:
    theirs = write_drop_in(lab, "theirs", THEIRS)
    ours, edited = write_drop_in(lab, "ours", OURS), write_drop_in(lab, "edited", OURS + "Nice=5\n")
    beside = f"{UNITS}/edited.service.d/override.conf"
    lab.write(beside, THEIRS)
    assert remove(lab) == [f"mptcp-hooks: {theirs} stays: mptcp_run did not make it"]
    assert (lab.read(theirs), lab.read(beside)) == (THEIRS, THEIRS)
    assert not is_there(lab.client, ours.rpartition("/")[0])
    assert not is_there(lab.client, edited)


def test_no_symbolic_link_is_followed(lab: Lab) -> None:
    for path in ("/srv-folder/mptcp-hooks.conf", "/srv-file"):
        lab.write(f"/etc{path}", OURS)
    folder, file = f"{UNITS}/folder.service.d", f"{UNITS}/file.service.d"
    lab.client.run("ln", "-s", "/etc/srv-folder", folder)
    lab.client.run("mkdir", file)
    lab.client.run("ln", "-s", "/etc/srv-file", f"{file}/mptcp-hooks.conf")
    assert remove(lab) == [f"mptcp-hooks: {path}/mptcp-hooks.conf stays: a symbolic link leads "
                           "there" for path in (file, folder)]
    assert lab.read(f"{folder}/mptcp-hooks.conf") == lab.read(f"{file}/mptcp-hooks.conf") == OURS


@pytest.mark.parametrize("obstacle", [
    "mkdir -p mptcp-hooks.conf", "mkfifo mptcp-hooks.conf", "ln -s /nowhere mptcp-hooks.conf",
    "cd ..; rmdir 'a b.service.d'; ln -s . 'a b.service.d'; ln -s /dev/null mptcp-hooks.conf",
    "cp /run/ours mptcp-hooks.conf; mount --bind . .; mount -o remount,bind,ro .",
])
def test_nothing_that_lies_there_keeps_the_package(lab: Lab, obstacle: str) -> None:
    lab.write("/run/ours", OURS)
    folder = f"{UNITS}/a b.service.d"
    lab.client.run("mkdir", folder)
    lab.client.run("sh", "-ec", f"cd '{folder}'; {obstacle}")
    remove(lab)
    assert lab.client.try_run("dpkg", "--status", "mptcp-hooks").stdout.splitlines()[1] == (
        "Status: deinstall ok config-files")


@pytest.mark.parametrize("way", ["in a chroot", "with root", "with DPKG_ROOT", *ALIKE])
def test_the_package_of_a_root_takes_nothing_of_the_machines(up: Lab, deb: str, way: str) -> None:
    before = (up.snapshot(), list_run(up))
    dpkg = make_root(up, deb, way)
    here, theirs = write_drop_in(up, "web", OURS), write_drop_in(up, "other", THEIRS, ROOT)
    below = write_drop_in(up, "web", OURS, ROOT)
    compiled = up.client.run("find", "/usr/share/mptcp-hooks", "-name", "*.pyc")
    said = remove(up, *dpkg)
    assert (up.snapshot(), list_run(up)) == before
    assert compiled == up.client.run("find", "/usr/share/mptcp-hooks", "-name", "*.pyc") != ""
    assert (up.read(here), up.read(theirs)) == (OURS, THEIRS)
    assert not is_there(up.client, below)
    assert not is_there(up.client, f"{ROOT}/usr/sbin/mptcp_up")
    assert "stay: the package goes from another root" in said[-1] and len(said) == 2
    # What is remembered of uplinks goes with it as well.
    up.client.run("mkdir", "/var/lib/mptcp-hooks", f"{ROOT}/var/lib/mptcp-hooks")
    up.client.run(*dpkg, "--purge", "mptcp-hooks")
    for folder in ("/var/cache/mptcp-hooks", "/var/lib/mptcp-hooks"):
        assert is_there(up.client, folder) and not is_there(up.client, ROOT + folder)
    assert up.ifdown("-a") == "" and up.endpoints() == []


def test_a_link_out_of_a_root_leads_to_no_drop_in_of_the_machines(lab: Lab, deb: str) -> None:
    dpkg = make_root(lab, deb, "with DPKG_ROOT")
    here = write_drop_in(lab, "web", OURS)
    lab.client.run("rm", "-r", f"{ROOT}{UNITS}")
    lab.client.run("ln", "-s", UNITS, f"{ROOT}{UNITS}")
    assert f"mptcp-hooks: {ROOT}{here} stays: a symbolic link leads there" in remove(lab, *dpkg)
    assert lab.read(here) == OURS


@pytest.mark.parametrize("way", ["in a chroot", "with DPKG_ROOT", *ALIKE[1:]])
def test_the_package_of_a_root_leaves_the_machines_service_alone(
    make_lab: MakeLab, deb: str, way: str
) -> None:
    """Installed over itself, removed and purged there, while it runs here."""
    lab = make_lab(*SYSTEMD, without=WITHOUT, client=BootedHost)
    lab.client.run("systemctl", "enable", "--now", SERVICE)
    before = find_service(lab)
    dpkg = make_root(lab, deb, way)
    lab.client.run(*dpkg, "--install", "/run/package.deb")
    assert find_service(lab) == before
    remove(lab, *dpkg)
    lab.client.run(*dpkg, "--purge", "mptcp-hooks")
    assert find_service(lab) == before
