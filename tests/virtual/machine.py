# SPDX-License-Identifier: GPL-2.0-or-later
"""A VM under qemu that runs one command in this machine's root directory, on another kernel.

    qemu's stdout  <- port 1: what the command prints
    status         <- port 2: how it ended
    console        <- what the kernel says

The processor is emulated, which is slow and works everywhere. What the command writes
stays in the VM's memory. It has no network card.
"""

from __future__ import annotations

import os
import platform
import select
import shlex
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import IO

from tests.virtual.archive import Unavailable, fetch
from tests.virtual.initrd import pack
from tests.virtual.kernel import Kernel, fetch_kernel, read_module

_HERE = Path(__file__).parent
_SCRATCH = Path(__file__).parents[2] / "build" / "virtual"
_QEMU = "qemu-system-x86_64"
# For the machine's root directory, and for what lies over it to take what is written.
_FIRST = ("virtio_pci", "virtio_console", "9pnet_virtio", "9p", "overlay")
# A kernel that panics restarts at once, which qemu takes for its end.
_KERNEL_OPTIONS = "console=ttyS0 quiet panic=-1 mitigations=off hostname=virtual"


class Broken(Exception):
    """The VM ended before its command did."""


class Late(Exception):
    """The command did not end in time."""


def find_obstacles() -> str:
    """Why this machine cannot hold the VM, '' where it can."""
    if platform.machine() != "x86_64":
        return f"the VM is for x86_64, and this is {platform.machine()}"
    if os.geteuid() != 0:
        return "not root"
    if shutil.which(_QEMU) is None:
        return f"{_QEMU} is not installed, which is in the package qemu-system-x86"
    return ""


def run(command: list[str], limit: float, suite: str) -> int:
    """Run a command in a VM that lasts `limit` seconds at most; the command's exit status.

    `suite` is the release of Debian that the kernel is of.

    What it prints goes to stdout. Unavailable says why there is no kernel to boot; Broken and
    Late that it did not come to the command's end.
    """
    kernel = fetch_kernel(suite, _FIRST)
    busybox = find_busybox(fetch(suite, "busybox-static"))
    _SCRATCH.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=_SCRATCH) as name:
        scratch = Path(name)
        (scratch / "initrd").write_bytes(_make_initrd(kernel, busybox, command))
        _boot(kernel, scratch, limit)
        return _read_status(scratch)


def find_busybox(folder: Path) -> Path:
    """Where a release's package has it: Debian 12's does not know of /usr yet."""
    for name in ("usr/bin/busybox", "bin/busybox"):
        if (folder / name).exists():
            return folder / name
    raise Unavailable("busybox-static has no busybox")


def _make_initrd(kernel: Kernel, busybox: Path, command: list[str]) -> bytes:
    files = {
        "init": (_HERE / "init").read_bytes(),
        "run-command": (_HERE / "run-command").read_bytes(),
        "bin/busybox": busybox.read_bytes(),
        "settings": f"MODULES={shlex.quote(str(kernel.modules))}\n".encode(),
        "command": _write_command(command).encode(),
    }
    for number, module in enumerate(kernel.first):
        files[f"modules/{number:02} {module.name}"] = read_module(module)
    return pack(files)


def _write_command(command: list[str]) -> str:
    """The command as a script. PATH is the caller's, as it says which python3 is meant.

    The rest of its environment stays here: what is secret there has no place in a file.
    """
    environment = ["HOME=/root", "LC_ALL=C.UTF-8", f"PATH={os.environ.get('PATH', os.defpath)}"]
    return (f"cd {shlex.quote(os.getcwd())} || exit 126\n"
            f"exec {shlex.join(['env', '-i', *environment, *command])}\n")


def _boot(kernel: Kernel, scratch: Path, limit: float) -> None:
    """Have a VM from its start to its end.

    It is killed when this process ends, whatever way. Nothing comes to its stdin, which stays
    open all the same: it would take the end of that for the end of port 1.
    """
    qemu = subprocess.Popen(
        ["setpriv", "--pdeathsig", "KILL", _QEMU, *_list_options(kernel)],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, cwd=scratch, start_new_session=True,
    )
    try:
        assert qemu.stdout is not None
        _copy_output(qemu.stdout, time.monotonic() + limit)
    finally:
        qemu.kill()
        qemu.communicate()


def _list_options(kernel: Kernel) -> list[str]:
    return [
        "-nodefaults", "-no-user-config", "-no-reboot", "-display", "none",
        "-accel", "tcg,thread=multi", "-cpu", "max", "-smp", "2", "-m", "2048",
        "-kernel", str(kernel.image), "-initrd", "initrd", "-append", _KERNEL_OPTIONS,
        "-serial", "file:console",
        "-device", "virtio-serial-pci",
        "-chardev", "stdio,id=output,signal=off",
        "-device", "virtserialport,chardev=output,nr=1",
        "-chardev", "file,id=status,path=status",
        "-device", "virtserialport,chardev=status,nr=2",
        "-fsdev", "local,id=machine,path=/,security_model=none,readonly=on,multidevs=remap",
        "-device", "virtio-9p-pci,fsdev=machine,mount_tag=machine",
    ]


def _copy_output(source: IO[bytes], deadline: float) -> None:
    """Copy what comes, at once, to stdout up to its end, which is Late after the deadline."""
    while (left := deadline - time.monotonic()) > 0:
        if select.select([source], [], [], left)[0]:
            part = os.read(source.fileno(), 65536)
            if not part:
                return
            sys.stdout.buffer.write(part)
            sys.stdout.buffer.flush()
    raise Late


def _read_status(scratch: Path) -> int:
    """The status that the VM left; Broken has the last that its kernel said where there is none."""
    status = (scratch / "status").read_text() if (scratch / "status").exists() else ""
    if status:
        return int(status)
    console = scratch / "console"
    said = console.read_text(errors="replace").splitlines() if console.exists() else []
    raise Broken("the VM ended before its command did\n" + "\n".join(said[-20:]))
