# SPDX-License-Identifier: GPL-2.0-or-later
"""What a machine lacks for bpf is said by name, and libraries are known by their architecture."""

from __future__ import annotations

import os
from pathlib import Path
from types import SimpleNamespace

import pytest

from mptcp_hooks.base.errors import Problem
from mptcp_hooks.force import means
from mptcp_hooks.force.means import Library, read_means
from mptcp_hooks.machine import cgroups
from tests.unit.elf_files import AMD64, PC, make_elf


@pytest.fixture
def machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A machine that has all, in files that a test can take away."""
    for name, text in (("enabled", "1\n"), ("vmlinux", ""), ("object", ""),
                       ("lockdown", "none [integrity] confidentiality\n")):
        (tmp_path / name).write_text(text)
    monkeypatch.setattr(means, "_ENABLED", str(tmp_path / "enabled"))
    monkeypatch.setattr(means, "_LOCKDOWN", str(tmp_path / "lockdown"))
    monkeypatch.setattr(means, "TYPES", str(tmp_path / "vmlinux"))
    monkeypatch.setattr(means, "OBJECT", str(tmp_path / "object"))
    monkeypatch.setattr(means, "_LIBRARIES", str(tmp_path / "*.so.*"))
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    monkeypatch.setattr(os, "uname", lambda: SimpleNamespace(release="6.12.43+deb13-amd64"))
    monkeypatch.setattr(cgroups, "find_own", lambda: "/sys/fs/cgroup")
    return tmp_path


def test_a_machine_that_has_all(machine: Path) -> None:
    assert read_means() == ("", (), "")


@pytest.mark.parametrize(("text", "words"), [
    ("0\n", "net.mptcp.enabled is 0 (sysctl -w net.mptcp.enabled=1)"), ("1\n", ""),
    (None, "this kernel has no Multipath TCP"),
])
def test_multipath_tcp_itself(machine: Path, text: str | None, words: str) -> None:
    (machine / "enabled").unlink()
    if text is not None:
        (machine / "enabled").write_text(text)
    assert read_means().disabled == words


@pytest.mark.parametrize(("name", "text", "words"), [
    ("vmlinux", None, "it needs a kernel with BTF, and there is no {machine}/vmlinux"),
    ("object", None, "it needs {machine}/object, which the build makes with gcc-bpf 12 or later"),
    ("lockdown", "none integrity [confidentiality]\n",
     "the kernel is locked down ({machine}/lockdown says confidentiality)"),
    ("lockdown", None, ""),
])
def test_files_that_bpf_takes(machine: Path, name: str, text: str | None, words: str) -> None:
    (machine / name).unlink()
    if text is not None:
        (machine / name).write_text(text)
    assert read_means().bpf_lack == words.format(machine=machine)


@pytest.mark.parametrize(("release", "enough"), [
    ("6.5.13", False), ("6.6.0", True), ("6.1.0-37-amd64", False), ("5.19.0", False),
    ("6.12.43+deb13-amd64", True), ("7.2-rc1", True), ("6.6-rc1", True), ("10.0.1", True),
    ("6", False), ("strange", False),
])
def test_kernels(
    machine: Path, release: str, enough: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "uname", lambda: SimpleNamespace(release=release))
    assert read_means().bpf_lack == (
        "" if enough else f"it needs Linux 6.6 or later, and this is {release}")


def test_who_asks(machine: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    assert read_means().bpf_lack == "it needs root"


def test_control_groups(machine: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def find_none() -> str:
        raise Problem("none are mounted")

    monkeypatch.setattr(cgroups, "find_own", find_none)
    assert read_means().bpf_lack == "none are mounted"


def test_libraries(machine: Path) -> None:
    for name, content in (("a.so.0", make_elf()), ("a.so.0.0.1", make_elf()),
                          ("b.so.0", make_elf(PC, "")), ("c.so.0", b"\x7fELF"), ("d.so.0", b"")):
        (machine / name).write_bytes(content)
    (machine / "e.so.0").mkdir()
    assert read_means().libraries == (
        Library(str(machine / "a.so.0"), AMD64.answer()),
        Library(str(machine / "b.so.0"), PC.answer()))
