# SPDX-License-Identifier: GPL-2.0-or-later
"""The disk of a VM that boots: a root of Debian with the package installed by apt.

The root itself is made by mmdebstrap and kept, see BOOTS in the Makefile.
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
from tests.virtual.process1 import AGENT, find_init

_HERE = Path(__file__).parent
_ROOTS = _HERE.parents[1] / "build" / "roots"
# For the disk; all else is loaded by the system that is on it.
_FIRST = ("virtio_pci", "virtio_blk", "ext4", "crc32c_generic")
_SIZE = "2G"


class Disk(NamedTuple):
    """What qemu boots: a kernel, its first file system, and a disk."""

    kernel: Path
    initrd: Path
    image: Path


def make_disk(deb: Path, boot: str, scratch: Path, files: dict[str, str]) -> Disk:
    """A disk in `scratch` with the package, and these files by their paths.

    `boot` is a release of Debian, with `-sysvinit` behind it where that is process 1.
    Unavailable says why there is none.
    """
    kept = _ROOTS / f"boot-{boot}"
    if not kept.exists():
        raise Unavailable(f"{kept} is not there, which `make test-boot` makes")
    suite, init = boot.partition("-")[0], find_init(boot)
    kernel = fetch_kernel(suite, _FIRST)
    root = scratch / "root"
    _run("cp", "-a", str(kept), str(root))
    shutil.copy(deb, root / "package.deb")
    _run_inside(root, "apt-get install -y --no-install-recommends /package.deb")
    modules = root / "usr/lib/modules" / kernel.modules.name
    modules.parent.mkdir(exist_ok=True)
    _run("cp", "-a", str(kernel.modules), str(modules))
    _write(root, {AGENT: (_HERE / "agent.py").read_text(), **init.files, **files,
                  "/etc/fstab": "/dev/vda / ext4 defaults 0 0\n", "/etc/hostname": "virtual\n"})
    _run_inside(root, init.enable)
    image = scratch / "image"
    _run("mke2fs", "-q", "-t", "ext4", "-d", str(root), str(image), _SIZE)
    shutil.rmtree(root)
    (scratch / "initrd").write_bytes(_make_initrd(kernel, suite))
    return Disk(kernel.image, scratch / "initrd", image)


def _run_inside(root: Path, command: str) -> None:
    """Run a shell's command in a root; what it leaves running ends with it."""
    _run("unshare", "--fork", "--kill-child", "--pid", "--net", "--mount", f"--root={root}",
         "--mount-proc", "env", "-i", "PATH=/usr/sbin:/usr/bin:/sbin:/bin",
         "DEBIAN_FRONTEND=noninteractive", "sh", "-c", command)


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
