# SPDX-License-Identifier: GPL-2.0-or-later
"""A host on which systemd is process 1, with a journal, D-Bus and ifupdown's networking.service.

It runs in namespaces of its own and in a control group of its own, with its own
/dev, /tmp and /run. Nothing of the machine's is wanted at its boot; what a test
starts or installs there runs as it does on a machine, sandboxes included.
"""

from __future__ import annotations

import os
import subprocess
import time
from contextlib import suppress
from pathlib import Path

from tests.lab.support.lab import LAID_OVER, Host, overlay

# The packages, and a dependency that it does without, see programs.py.
SYSTEMD, WITHOUT = ("systemd", "dbus"), ("udev",)
_SYSTEMD = "usr/lib/systemd/systemd"
_UNSHARE = ("unshare", "--pid", "--net", "--mount", "--uts", "--ipc", "--cgroup",
            "--propagation", "private", "--fork", "--kill-child", "--")
_DEVICES = "null zero full random urandom tty"
_MACHINE = f"""\
mount -t proc proc /proc
mount -t tmpfs -o mode=755 tmpfs /run
mkdir /run/network /run/lock /run/dev
for name in {_DEVICES}; do touch /run/dev/$name; mount --bind /dev/$name /run/dev/$name; done
mkdir /run/dev/pts /run/dev/shm
mount --rbind /run/dev /dev
mount -t devpts -o newinstance,ptmxmode=666,mode=620 devpts /dev/pts
ln -s pts/ptmx /dev/ptmx
ln -s /proc/self/fd /dev/fd
mount -t tmpfs tmpfs /dev/shm
mount -t sysfs sysfs /sys
mount -t cgroup2 cgroup2 /sys/fs/cgroup
mount -o remount,bind,ro /sys
mount --bind /proc/sys /proc/sys
mount --bind /proc/sys/net /proc/sys/net
mount -o remount,bind,ro /proc/sys
mount -o remount,bind,ro /
ip link set lo up
: >/etc/fstab
: >/etc/network/interfaces
"""
_BY_SYSTEMD = f"""\
rm -rf /usr/lib/systemd/system/*.wants /etc/systemd/system/*.wants /usr/sbin/policy-rc.d
echo 0123456789abcdef0123456789abcdef >/etc/machine-id
cat >/etc/systemd/system/lab.target <<end
[Unit]
Requires=basic.target
Wants=systemd-journald.service dbus.service networking.service
end
echo ready
exec env -i container=lab PATH=/usr/sbin:/usr/bin:/sbin:/bin /{_SYSTEMD} --system \\
    --unit=lab.target --show-status=no --log-target=journal </dev/null >/run/systemd.log 2>&1
"""
_SECONDS_TO_BOOT = 30
_GROUP = "mptcp-hooks-lab-"


class CannotBoot(Exception):
    """systemd does not boot in namespaces here, and why."""


class BootedHost(Host):
    """As Host, with systemd; entered, it is as a shell on that machine. CannotBoot says why not."""

    # What becomes process 1, and how, once there are a /dev, a /proc and a /run.
    program, way = _SYSTEMD, _BY_SYSTEMD

    def __init__(self, scratch: Path, layers: tuple[Path, ...] | None = None) -> None:
        if not any((root / self.program).exists() for root in (*(layers or ()), Path("/"))):
            raise CannotBoot(f"there is no /{self.program}")
        self._group = _make_group()
        laid_over = [*(overlay(scratch, layers or (), name) for name in LAID_OVER),
                     overlay(scratch, (), "tmp")]
        join = f"echo $$ >{self._group}/cgroup.procs; exec \"$@\""
        self._started: list[subprocess.Popen[str]] = []
        self._holder = subprocess.Popen(
            ["sh", "-ec", join, "sh", *_UNSHARE, "sh", "-ec", "\n".join((*laid_over, _MACHINE,
                                                                        self.way))],
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        try:
            self.pid = self._find_child()
            self._wait_for_boot()
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        """The end of process 1 is the end of all; the control groups are left to us."""
        self._holder.kill()
        self._holder.communicate()
        for process in self._started:
            process.communicate()
        remove_group(self._group)

    @property
    def entrance(self) -> tuple[str, ...]:
        return (*super().entrance, "-i", "-p", "-C")

    def _find_child(self) -> int:
        assert self._holder.stdout is not None
        if self._holder.stdout.readline() != "ready\n":
            raise CannotBoot(self._holder.communicate()[1].strip())
        children = Path(f"/proc/{self._holder.pid}/task/{self._holder.pid}/children")
        return int(children.read_text().split()[0])

    def _wait_for(self, *command: str) -> None:
        """Wait until a command succeeds."""
        end = time.monotonic() + _SECONDS_TO_BOOT
        while self.try_run(*command).returncode:
            if self._holder.poll() is not None or time.monotonic() > end:
                raise CannotBoot(f"/{self.program} does not come up")
            time.sleep(0.02)

    def _wait_for_boot(self) -> None:
        self._wait_for("test", "-S", "/run/systemd/private")
        state = self.try_run("systemctl", "is-system-running", "--wait").stdout.strip()
        if state != "running":
            failed = self.try_run("systemctl", "--failed", "--plain", "--no-legend").stdout
            raise CannotBoot(f"it comes up {state}: {failed.strip()}")


def _make_group() -> Path:
    """A control group of our own for all that runs on the host."""
    group = _find_groups() / f"{_GROUP}{os.getpid()}-{time.monotonic_ns()}"
    try:
        group.mkdir()
    except OSError as error:
        raise CannotBoot(f"no control group: {error}") from error
    return group


def _find_groups() -> Path:
    """Where control groups of version 2 are mounted."""
    for line in Path("/proc/self/mounts").read_text().splitlines():
        _, where, kind, *_ = line.split()
        if kind == "cgroup2":
            return Path(where)
    raise CannotBoot("no control groups of version 2 are mounted")


def find_group(pid: int) -> Path | None:
    """The control group that was made for a booted host, by its first process."""
    parts = Path(f"/proc/{pid}/cgroup").read_text().strip().split("/")
    names = [part for part in parts if part.startswith(_GROUP)]
    return _find_groups() / names[0] if names else None


def remove_group(group: Path) -> None:
    end = time.monotonic() + 10
    while group.exists() and time.monotonic() < end:
        # Those that ended a moment ago may still be counted there.
        for folder, _, _ in os.walk(group, topdown=False):
            with suppress(OSError):
                os.rmdir(folder)
        time.sleep(0.02)
