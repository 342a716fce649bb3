# SPDX-License-Identifier: GPL-2.0-or-later
"""What holds the BPF program of a service: a pin, from its start to its end."""

from __future__ import annotations

import os
import stat
from pathlib import Path
from types import SimpleNamespace

import pytest

from mptcp_hooks.base.errors import FAILED, USAGE, Problem
from mptcp_hooks.machine import cgroups
from mptcp_hooks.run import bpf, pins
from mptcp_hooks.run.pins import release, run_unit_hook


class FakeForce:
    """A kernel that takes any program; a pin is a new file with its group."""

    def __init__(self, group: str) -> None:
        self.group = group

    def pin(self, path: str) -> None:
        with open(path, "x", encoding="utf-8") as file:
            file.write(self.group)


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where the pins are, on a machine whose kernel and control groups have all it takes."""
    monkeypatch.setattr(pins, "_FOLDER", str(tmp_path / "pins"))
    monkeypatch.setattr(cgroups, "find_unit_group", lambda: "/sys/fs/cgroup/a.service")
    monkeypatch.setattr(bpf, "Force", FakeForce)
    return tmp_path / "pins"


def call(monkeypatch: pytest.MonkeyPatch, *arguments: str) -> int:
    monkeypatch.setattr("sys.argv", ["unit", *arguments])
    return run_unit_hook()


def own(path: Path, monkeypatch: pytest.MonkeyPatch, owner: int = 0, mode: int = 0o40755) -> None:
    """A folder that is there already and belongs to somebody."""
    path.mkdir()
    monkeypatch.setattr(os, "lstat", lambda path: SimpleNamespace(st_uid=owner, st_mode=mode))


def test_a_service_is_forced_from_its_start_to_its_end(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The BPF file system takes no dots in names."""
    assert call(monkeypatch, "force", "a.service") == 0
    assert [(path.name, path.read_text()) for path in folder.iterdir()] == [
        (r"a\x2eservice", "/sys/fs/cgroup/a.service")]
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    assert call(monkeypatch, "release", "a.service") == 0
    assert not folder.exists()


def test_what_a_crash_left_is_replaced(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    own(folder, monkeypatch)
    (folder / r"a\x2eservice").write_text("old")
    (folder / r"b\x2eservice").write_text("other")
    assert call(monkeypatch, "force", "a.service") == 0
    assert {path.name: path.read_text() for path in folder.iterdir()} == {
        r"a\x2eservice": "/sys/fs/cgroup/a.service", r"b\x2eservice": "other"}


def test_what_cannot_be_loaded_leaves_what_is_there(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(group: str) -> None:
        raise Problem("it needs libbpf (apt install libbpf1)")

    folder.mkdir()
    (folder / r"a\x2eservice").write_text("old")
    monkeypatch.setattr(bpf, "Force", refuse)
    with pytest.raises(Problem, match=r"^a\.service: bpf: it needs libbpf \(apt install libbpf1"):
        call(monkeypatch, "force", "a.service")
    assert (folder / r"a\x2eservice").read_text() == "old"


def test_a_template_is_released_with_all_of_its_instances(folder: Path) -> None:
    folder.mkdir()
    for unit in ("a@.service", "a@1.service", "a@x.y.service", "a.service", "aa@1.service",
                 "b@1.service"):
        (folder / unit.replace(".", r"\x2e")).touch()
    release("a@.service")
    assert sorted(path.name for path in folder.iterdir()) == sorted(
        name.replace(".", r"\x2e") for name in ("a.service", "aa@1.service", "b@1.service"))


@pytest.mark.parametrize("unit", ["a.service", "a@.service", "a@1.service"])
def test_what_nothing_forces_is_released_all_the_same(folder: Path, unit: str) -> None:
    release(unit)
    folder.mkdir()
    release(unit)
    assert not folder.exists()


@pytest.mark.parametrize(("owner", "mode"), [
    (1000, 0o40700), (0, 0o40720), (0, 0o40702), (0, 0o120777), (0, 0o100600),
])
def test_pins_go_to_no_folder_that_is_not_roots_own(
    owner: int, mode: int, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    own(folder, monkeypatch, owner, mode)
    # So that it is not empty.
    (folder / "other").touch()
    with pytest.raises(Problem) as raised:
        call(monkeypatch, "force", "a.service")
    assert str(raised.value) == (
        f"a.service: bpf: {folder} is not a folder of root's own: remove it")
    assert raised.value.status == FAILED and os.listdir(folder) == ["other"]


def test_a_machine_without_its_file_system_is_told_how_to_mount_it(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pins, "_FOLDER", f"{folder}/nowhere")
    with pytest.raises(Problem) as raised:
        call(monkeypatch, "force", "a.service")
    assert str(raised.value) == (
        f"a.service: bpf: cannot make {folder}/nowhere: No such file or directory "
        "(mount -t bpf bpf /sys/fs/bpf)")


def test_it_knows_two_words(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(Problem, match="^a.service: bpf: it is force or release,") as raised:
        call(monkeypatch, "hold", "a.service")
    assert raised.value.status == USAGE
