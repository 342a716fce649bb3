# SPDX-License-Identifier: GPL-2.0-or-later
"""The build of the package: the same bytes wherever and however often, and what an old compiler
leaves out."""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.unit.help import ROOT

# What a clone has, less what hides itself.
_LEFT_OUT = shutil.ignore_patterns("build", "dist", ".*", "__pycache__", "*.bpf.o")
# What Ubuntu 22.04's bpf-gcc says of -gbtf.
_OLD_COMPILER = "#!/bin/sh\necho \"error: unrecognised debug output level 'btf'\" >&2\nexit 1\n"


def copy_sources(to: Path) -> Path:
    shutil.copytree(ROOT, to, ignore=_LEFT_OUT)
    return to


def build(sources: Path, umask: int = 0o022, **environment: str) -> dict[str, str]:
    """The hashes of what a build of sources and package puts beside them, by name."""
    done = subprocess.run(
        ["dpkg-buildpackage", "--no-sign", "--build=source,all"], cwd=sources, text=True,
        env={**os.environ, "DEB_BUILD_OPTIONS": "nocheck", **environment}, umask=umask,
        capture_output=True)
    assert done.returncode == 0, done.stdout + done.stderr
    return {path.name: hashlib.sha256(path.read_bytes()).hexdigest()
            for path in sources.parent.iterdir() if path.suffix in (".deb", ".dsc", ".xz")}


def leave_what_work_leaves(sources: Path) -> None:
    """Caches of tools, an object of before, and what was built of it."""
    for folder in (".hypothesis/examples", ".mypy_cache", "build/roots", "tests/unit/__pycache__"):
        (sources / folder).mkdir(parents=True)
        (sources / folder / "left").write_text("left")
    (sources / "bpf/force.little.bpf.o").write_text("stale")


@pytest.mark.long
def test_two_builds_in_a_row_and_elsewhere_are_the_same(tmp_path: Path) -> None:
    here = copy_sources(tmp_path / "here/mptcp-hooks")
    first = build(here)
    assert len(first) == 3
    leave_what_work_leaves(here)
    assert build(here) == first
    elsewhere = copy_sources(tmp_path / "quite/elsewhere/mptcp-hooks")
    assert build(elsewhere, umask=0o077, TZ="Asia/Tokyo", LC_ALL="C", HOME="/nonexistent") == first


def read_elf_order(path: Path) -> int:
    """1 for a file of little-endian numbers, 2 for big-endian, for a program of BPF's (elf(5))."""
    head = path.read_bytes()[:20]
    order = head[5]
    assert int.from_bytes(head[18:20], "little" if order == 1 else "big") == 247
    return order


def test_there_is_an_object_for_either_order_of_bytes(tmp_path: Path) -> None:
    sources = copy_sources(tmp_path / "sources")
    subprocess.run(["make", "install", f"DESTDIR={tmp_path / 'made'}"], cwd=sources, check=True,
                   capture_output=True)
    folder = tmp_path / "made/usr/share/mptcp-hooks/bpf"
    assert {path.name: read_elf_order(path) for path in folder.iterdir()} == {
        "force.little.bpf.o": 1, "force.big.bpf.o": 2}


def test_a_compiler_that_is_too_old_costs_bpf_alone_and_a_line(tmp_path: Path) -> None:
    sources = copy_sources(tmp_path / "sources")
    compiler = tmp_path / "bin/bpf-gcc"
    compiler.parent.mkdir()
    compiler.write_text(_OLD_COMPILER)
    compiler.chmod(0o755)
    done = subprocess.run(
        ["make", "install", f"DESTDIR={tmp_path / 'made'}"], cwd=sources, text=True,
        env={**os.environ, "PATH": f"{compiler.parent}:{os.environ['PATH']}"}, capture_output=True)
    assert (done.returncode, done.stderr) == (0, "")
    (line,) = [line for line in done.stdout.splitlines() if line.startswith("bpf-gcc is")]
    assert "mptcp_run forces nothing by bpf" in line
    assert list((tmp_path / "made/usr/share/mptcp-hooks/bpf").iterdir()) == []
