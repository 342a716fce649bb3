# SPDX-License-Identifier: GPL-2.0-or-later
"""Debian's kernel, with what its first file systems need, from a release that this may not be."""

from __future__ import annotations

import lzma
import re
import subprocess
from pathlib import Path
from typing import NamedTuple

from tests.virtual.archive import Unavailable, fetch, find_dependency, list_dependencies


class Kernel(NamedTuple):
    """The image to boot, the folder of its modules, and those without which no root is mounted."""

    image: Path
    modules: Path
    first: tuple[Path, ...]


def fetch_kernel(suite: str, needed: tuple[str, ...]) -> Kernel:
    """Debian's current kernel of a release; Unavailable says why there is none.

    `needed` are the modules without which its root is not mounted.
    From Linux 7 on its image and its modules are packages of their own.
    """
    package = find_dependency(suite, "linux-image-amd64", r"linux-image-\d.*")
    parts = list_dependencies(suite, package, r"linux-(binary|modules)-\d.*")
    folder = fetch(suite, package, *parts)
    version = package.removeprefix("linux-image-")
    modules = _index_modules(folder, version)
    older = folder / "boot" / f"vmlinuz-{version}"
    return Kernel(older if older.exists() else modules / "vmlinuz", modules,
                  _find_first(folder, version, modules, needed))


def read_module(path: Path) -> bytes:
    """A module, decompressed: busybox takes it as it is."""
    content = path.read_bytes()
    return lzma.decompress(content) if path.suffix == ".xz" else content


def _index_modules(folder: Path, version: str) -> Path:
    """Write the lists that modprobe reads, which an installation would; the modules' folder."""
    link = folder / "lib"
    if not link.exists():
        # kmod looks into /lib alone, which on an installed Debian is a link like this one.
        try:
            link.symlink_to("usr/lib")
        except FileExistsError:
            pass
    modules = folder / "lib" / "modules" / version
    # The last of them that depmod writes.
    if not (modules / "modules.devname").exists():
        _run_kmod("depmod", "-b", str(folder), version)
    return modules


def _find_first(
    folder: Path, version: str, modules: Path, needed: tuple[str, ...]
) -> tuple[Path, ...]:
    """The files of the first modules, each after those that it needs.

    One that has no file is in the image: newer kernels have virtio there.
    """
    apart = [name for name in needed if any(modules.rglob(f"{name}.ko*"))]
    shown = _run_kmod("modprobe", "-d", str(folder), "-S", version, "--show-depends", "-a", *apart)
    paths = re.findall(r"^insmod (.*?) *$", shown, re.MULTILINE)
    return tuple(Path(path) for path in dict.fromkeys(paths))


def _run_kmod(*order: str) -> str:
    try:
        done = subprocess.run(order, stdin=subprocess.DEVNULL, capture_output=True, text=True)
    except FileNotFoundError:
        raise Unavailable(f"{order[0]} is not installed, which is in the package kmod") from None
    if done.returncode:
        raise Unavailable(f"{order[0]}: {done.stderr.strip().partition(chr(10))[0]}")
    return done.stdout
