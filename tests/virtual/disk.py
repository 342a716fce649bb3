# SPDX-License-Identifier: GPL-2.0-or-later
"""The disk of a VM that boots: a root of Debian with the package installed by apt.

The root itself is made by mmdebstrap and kept, see ROOT in the Makefile's test-boot.
"""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path
from typing import NamedTuple

from tests.virtual.archive import Unavailable, fetch
from tests.virtual.initrd import pack
from tests.virtual.kernel import Kernel, fetch_kernel, read_module
from tests.virtual.machine import find_busybox

_HERE = Path(__file__).parent
ROOT = _HERE.parents[1] / "build" / "roots" / "boot"
# For the disk; all else is loaded by the system that is on it.
_FIRST = ("virtio_pci", "virtio_blk", "ext4", "crc32c_generic")
_SIZE = "2G"
_UNIT = """\
[Unit]
Description=Commands from outside
After=network-online.target networking.service

[Service]
ExecStart=/usr/bin/python3 /root/agent.py
Restart=always

[Install]
WantedBy=multi-user.target
"""


class Disk(NamedTuple):
    """What qemu boots: a kernel, its first file system, and a disk."""

    kernel: Path
    initrd: Path
    image: Path


def make_disk(deb: Path, suite: str, scratch: Path, files: dict[str, str]) -> Disk:
    """A disk in `scratch` with the package, and these files by their paths.

    Unavailable says why there is none.
    """
    if not ROOT.exists():
        raise Unavailable(f"{ROOT} is not there, which `make test-boot` makes")
    kernel = fetch_kernel(suite, _FIRST)
    root = scratch / "root"
    _run("cp", "-a", str(ROOT), str(root))
    shutil.copy(deb, root / "package.deb")
    _run("unshare", "--fork", "--kill-child", "--pid", "--net", "--mount", f"--root={root}",
         "--mount-proc", "env", "-i", "PATH=/usr/sbin:/usr/bin", "DEBIAN_FRONTEND=noninteractive",
         "apt-get", "install", "-y", "--no-install-recommends", "/package.deb")
    modules = root / "usr/lib/modules" / kernel.modules.name
    modules.parent.mkdir(exist_ok=True)
    _run("cp", "-a", str(kernel.modules), str(modules))
    _write(root, {"/root/agent.py": (_HERE / "agent.py").read_text(),
                  "/etc/systemd/system/agent.service": _UNIT, "/etc/fstab": "",
                  "/etc/hostname": "virtual\n", **files})
    _run("systemctl", f"--root={root}", "enable", "agent.service")
    image = scratch / "image"
    _run("mke2fs", "-q", "-t", "ext4", "-d", str(root), str(image), _SIZE)
    shutil.rmtree(root)
    (scratch / "initrd").write_bytes(_make_initrd(kernel, suite))
    return Disk(kernel.image, scratch / "initrd", image)


def _make_initrd(kernel: Kernel, suite: str) -> bytes:
    busybox = find_busybox(fetch(suite, "busybox-static"))
    return pack({
        "init": (_HERE / "boot").read_bytes(), "bin/busybox": busybox.read_bytes(),
        **{f"modules/{number:02} {module.name}": read_module(module)
           for number, module in enumerate(kernel.first)}})


def _write(root: Path, files: dict[str, str]) -> None:
    for name, text in files.items():
        path = root / name.lstrip("/")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)


def _run(*order: str) -> None:
    done = subprocess.run(order, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                          stderr=subprocess.STDOUT, text=True)
    assert done.returncode == 0, f"{order}: {done.stdout}"
