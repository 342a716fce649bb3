# SPDX-License-Identifier: GPL-2.0-or-later
"""A VM that boots from a disk to the end, with two network cards, on a host of a lab.

    ens5 - tap0 - bridge0 - the host's eth0
    ens6 - tap1 - bridge1 - the host's eth1

The host has no addresses itself. The processor is emulated: a boot takes a minute.
"""

from __future__ import annotations

import json
import socket
import time
from pathlib import Path

from tests.lab.support.lab import Host
from tests.virtual.disk import Disk
from tests.virtual.process1 import Init

CARDS = ("ens5", "ens6")
_SLOTS = (5, 6)
_QEMU = "qemu-system-x86_64"
# udev names cards by their slots.
_KERNEL_OPTIONS = "console=ttyS0 quiet mitigations=off panic=0 systemd.show_status=0"
_BOOTED_WITHIN = 900
_ANSWERED_WITHIN = 300


class Booted:
    """A VM on a host; `run` says what is done in it, once it is up."""

    def __init__(self, host: Host, disk: Disk, init: Init, scratch: Path) -> None:
        self._host, self._disk, self._init, self._scratch = host, disk, init, scratch
        for number in range(len(CARDS)):
            host.ip(f"tuntap add tap{number} mode tap", f"link add bridge{number} type bridge",
                    f"link set tap{number} up master bridge{number}",
                    f"link set eth{number} up master bridge{number}",
                    f"link set bridge{number} up")
        self._process = host.start(_QEMU, *self._list_options())
        self._agent = self._connect("agent", _BOOTED_WITHIN)
        self._asked, self._rest = 0, b""
        self._monitor = self._connect("monitor", _ANSWERED_WITHIN)

    def close(self) -> None:
        self._process.kill()
        self._process.wait()

    def run(self, command: str, seconds: float = _ANSWERED_WITHIN) -> str:
        """Run a shell's command, which must succeed; what it printed. Waits for the boot first."""
        status, said = self.try_run(command, seconds)
        assert status == 0, f"{command}: {status}\n{said}"
        return said

    def try_run(self, command: str, seconds: float = _ANSWERED_WITHIN) -> tuple[int, str]:
        self._asked += 1
        self._agent.settimeout(seconds)
        self._agent.sendall(json.dumps((self._asked, command)).encode() + b"\n")
        while True:
            number, status, said = json.loads(self._read_line())
            # What was asked before may have been given up.
            if number == self._asked:
                return status, said

    def _read_line(self) -> bytes:
        while b"\n" not in self._rest:
            part = self._agent.recv(65536)
            assert part, self.read_console()
            self._rest += part
        line, _, self._rest = self._rest.partition(b"\n")
        return line

    def wait_for_boot(self) -> None:
        """Wait until process 1 has nothing more to start; a failed unit is an error."""
        state = self.run(self._init.state, _BOOTED_WITHIN)
        assert state.strip() == "running", state

    def reboot(self) -> None:
        """Shut down in order, and boot again."""
        before = self.run("cat /proc/sys/kernel/random/boot_id")
        self.run(self._init.reboot)
        end = time.monotonic() + _BOOTED_WITHIN
        while time.monotonic() < end:
            time.sleep(10)
            try:
                if self.try_run("cat /proc/sys/kernel/random/boot_id", 20)[1] != before:
                    return
            except (TimeoutError, socket.timeout, ValueError):
                continue
        raise AssertionError(self.read_console())

    def warn(self, word: str) -> None:
        """Warn of a word under the name of one of our programs."""
        self.run(f"logger -p daemon.warning -t mptcp_up {word}")

    def list_warnings(self, word: str) -> list[str]:
        """What our programs have warned of since `warn` was called; a shutdown loses nothing."""
        said = self.run(self._init.warnings).splitlines()
        number, = (number for number, line in enumerate(said) if word in line)
        return said[number + 1:]

    def check_service(self) -> None:
        """Ours runs."""
        self.run(self._init.service)

    def unplug(self, card: int) -> None:
        """Take a network card out while all runs."""
        self._order(f"device_del card{card}")

    def plug(self, card: int) -> None:
        self._order(f"device_add {_describe_card(card)}")

    def read_console(self) -> str:
        """The last that the kernel said."""
        return (self._scratch / "console").read_text(errors="replace")[-2000:]

    def _order(self, line: str) -> None:
        self._monitor.sendall(line.encode() + b"\n")

    def _connect(self, name: str, seconds: float) -> socket.socket:
        path = self._scratch / name
        end = time.monotonic() + seconds
        while True:
            try:
                connection = socket.socket(socket.AF_UNIX)
                connection.connect(str(path))
                return connection
            except OSError:
                assert time.monotonic() < end and self._process.poll() is None, (
                    self._process.communicate()[1])
                time.sleep(0.1)

    def _list_options(self) -> list[str]:
        cards = [word for number in range(len(CARDS)) for word in (
            "-netdev", f"tap,id=net{number},ifname=tap{number},script=no,downscript=no",
            "-device", _describe_card(number))]
        return [
            "-nodefaults", "-no-user-config", "-display", "none", "-accel", "tcg,thread=multi",
            "-cpu", "max", "-smp", "2", "-m", "1024", "-kernel", str(self._disk.kernel),
            "-initrd", str(self._disk.initrd), "-append", _KERNEL_OPTIONS,
            "-serial", f"file:{self._scratch / 'console'}",
            "-drive", f"file={self._disk.image},if=virtio,format=raw,cache=unsafe",
            "-device", "virtio-serial-pci",
            "-chardev", f"socket,id=agent,path={self._scratch / 'agent'},server=on,wait=off",
            "-device", "virtserialport,chardev=agent,name=agent",
            "-monitor", f"unix:{self._scratch / 'monitor'},server=on,wait=off", *cards,
        ]


def _describe_card(number: int) -> str:
    return (f"virtio-net-pci,netdev=net{number},id=card{number},addr={_SLOTS[number]},"
            f"mac=52:54:00:00:00:0{number + 1}")
