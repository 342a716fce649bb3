# SPDX-License-Identifier: GPL-2.0-or-later
"""Builds the programs that only bpf or GODEBUG can force, below build/peers, once.

`python3 -m tests.lab.support.peers.build` builds all of them: a VM has not the time to.
"""

from __future__ import annotations

import fcntl
import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.virtual.archive import Unavailable, fetch

_SOURCES = Path(__file__).parent
_BUILT = Path(__file__).parents[4] / "build" / "peers"
# The release, its package, and where in it Go is: one that heeds GODEBUG, and one before.
_GO = {"go-new": ("trixie", "1.24"), "go-old": ("bookworm", "1.19")}


def build_c(static: bool) -> Path:
    """The C program, with the C library in it or not."""
    name = "static" if static else "dynamic"
    return _build(name, "send.c", ["gcc", "-O2", "-Wall", "-Werror", *["-static"] * static], {})


def build_i386() -> Path:
    """The program of i386 that asks by socketcall(2); it takes no library."""
    return _build("socketcall", "socketcall.c", [
        "gcc", "-m32", "-O2", "-Wall", "-Werror", "-static", "-nostdlib", "-fno-pic",
        "-fno-stack-protector"], {})


def build_go(name: str) -> Path:
    """The Go program by one of the compilers; tests.virtual.archive.Unavailable where it is not."""
    suite, version = _GO[name]
    root = fetch(suite, f"golang-{version}-go", f"golang-{version}-src")
    compiler = root / f"usr/lib/go-{version}/bin/go"
    environment = {"CGO_ENABLED": "0", "GOTOOLCHAIN": "local", "GOPROXY": "off", "HOME": "/root",
                   "GOFLAGS": "-mod=mod", "GO111MODULE": "off",
                   "GOCACHE": str(_BUILT / f"{name}.cache")}
    return _build(name, "peer.go", [str(compiler), "build"], environment)


def _build(name: str, source: str, command: list[str], environment: dict[str, str]) -> Path:
    """The program by that name, built anew where its source is newer."""
    program, origin = _BUILT / name, _SOURCES / source
    with _hold():
        if not program.exists() or program.stat().st_mtime < origin.stat().st_mtime:
            subprocess.run([*command, "-o", program, origin], check=True,
                           env={"PATH": os.environ["PATH"], **environment})
    return program


@contextmanager
def _hold() -> Iterator[None]:
    """Keep tests that run at the same time from the folder."""
    _BUILT.mkdir(parents=True, exist_ok=True)
    with open(_BUILT / "lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


if __name__ == "__main__":
    print(build_c(True), build_c(False), sep="\n")
    for each in _GO:
        try:
            print(build_go(each))
        except Unavailable as reason:
            print(f"{each} is not built: {reason}")
