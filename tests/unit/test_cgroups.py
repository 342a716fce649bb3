# SPDX-License-Identifier: GPL-2.0-or-later
"""Control groups: which one is the caller's, and what is made and removed below it."""

from __future__ import annotations

import os
from pathlib import Path
from select import POLLPRI

import pytest

from mptcp_hooks.base.errors import Problem
from mptcp_hooks.machine import cgroups
from mptcp_hooks.machine.cgroups import (
    find_own,
    find_unit_group,
    join_group,
    make_group,
    remove_group,
    wait_until_empty,
)

# No process has it: PID_MAX_LIMIT of the kernel is 4194304.
NOBODYS = 99999999
OTHERS = "22 1 8:1 / / rw,relatime shared:1 - ext4 /dev/root rw\n"


def mount(root: str, mount_point: Path | str, number: int = 30) -> str:
    """A line of /proc/self/mountinfo, see proc(5)."""
    return f"{number} 22 0:26 {root} {mount_point} rw,nosuid shared:9 - cgroup2 cgroup2 rw\n"


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """A mounted tree of groups, of which some can be reached."""
    for name in (".", "a.service", "a.service/.control", "unified", "unified/a.service"):
        (tmp_path / name).mkdir(exist_ok=True)
        (tmp_path / name / "cgroup.procs").touch()
    return tmp_path


def see(monkeypatch: pytest.MonkeyPatch, groups: str, mounts: str) -> None:
    files = {"/proc/self/cgroup": groups, "/proc/self/mountinfo": mounts}
    monkeypatch.setattr(cgroups, "read_text", files.__getitem__)


@pytest.mark.parametrize(("groups", "mounts", "own"), [
    ("0::/a.service\n", "{all}", "a.service"), ("0::/\n", "{all}", ""),
    # Version 1 beside it.
    ("5:memory:/x\n1:name=systemd:/y\n0::/a.service\n", "{all}", "a.service"),
    # A container sees a part of the tree, by the name that it has outside.
    ("0::/outside/a.service\n", "{outside}", "a.service"), ("0::/outside\n", "{outside}", ""),
    # One that was mounted over another one, which nobody can reach any more.
    ("0::/a.service\n", "{hidden}{all}", "a.service"),
    ("0::/a.service\n", "{unified}", "unified/a.service"),
])
def test_the_group_of_the_caller(
    groups: str, mounts: str, own: str, tree: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    see(monkeypatch, groups, OTHERS + mounts.format(
        all=mount("/", tree), outside=mount("/outside", tree), hidden=mount("/", "/nowhere"),
        unified=mount("/", tree / "unified")))
    assert find_own() == os.path.normpath(tree / own)


@pytest.mark.parametrize(("groups", "mounts"), [
    ("", ""), ("0::/a.service\n", OTHERS), ("1:name=systemd:/a.service\n", "{all}"),
    ("0::/../elsewhere\n", "{all}"),
])
def test_a_caller_without_a_group_that_it_can_reach(
    groups: str, mounts: str, tree: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    see(monkeypatch, groups, mounts.format(all=mount("/", tree)))
    with pytest.raises(Problem, match="^it needs control groups of version 2, and none are"):
        find_own()


@pytest.mark.parametrize("groups", ["0::/a.service\n", "0::/a.service/.control\n"])
def test_the_group_of_a_unit_is_not_that_of_what_systemd_starts_before_it(
    groups: str, tree: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    see(monkeypatch, groups, mount("/", tree))
    assert find_unit_group() == str(tree / "a.service")


def test_a_new_group_takes_the_place_of_those_that_were_left_behind(tmp_path: Path) -> None:
    living = os.getppid()
    for name in (f"mptcp_run-{NOBODYS}", f"mptcp_run-{NOBODYS}/below", f"mptcp_run-{living}",
                 f"mptcp_run-{os.getpid()}", "other", f"{NOBODYS}"):
        (tmp_path / name).mkdir()
    group = make_group(str(tmp_path), os.getpid())
    assert group == f"{tmp_path}/mptcp_run-{os.getpid()}"
    assert sorted(os.listdir(tmp_path)) == sorted([
        f"mptcp_run-{living}", f"mptcp_run-{os.getpid()}", "other", f"{NOBODYS}"])


def test_a_group_that_cannot_be_made_is_a_problem(tmp_path: Path) -> None:
    """As one whose name is taken by what cannot be removed."""
    (tmp_path / f"mptcp_run-{os.getpid()}").touch()
    with pytest.raises(Problem) as raised:
        make_group(str(tmp_path), os.getpid())
    assert str(raised.value) == (
        f"cannot make the control group {tmp_path}/mptcp_run-{os.getpid()}: File exists")


def test_the_caller_joins_by_the_number_that_stands_for_itself(tmp_path: Path) -> None:
    join_group(str(tmp_path))
    assert (tmp_path / "cgroup.procs").read_text() == "0"
    with pytest.raises(Problem) as raised:
        join_group(f"{tmp_path}/gone")
    assert str(raised.value) == (
        f"cannot join the control group {tmp_path}/gone: No such file or directory")


def test_groups_are_removed_from_below(tmp_path: Path) -> None:
    (tmp_path / "group/below/further").mkdir(parents=True)
    (tmp_path / "group/beside").mkdir()
    remove_group(f"{tmp_path}/group")
    assert os.listdir(tmp_path) == []
    remove_group(f"{tmp_path}/group")


def test_a_group_that_is_in_use_stays(tmp_path: Path) -> None:
    """A file stands for a process: rmdir(2) refuses both."""
    (tmp_path / "group/below").mkdir(parents=True)
    (tmp_path / "group/below/process").touch()
    remove_group(f"{tmp_path}/group")
    assert (tmp_path / "group/below/process").exists()


def test_an_empty_group_is_not_waited_for(tmp_path: Path) -> None:
    (tmp_path / "cgroup.events").write_text("populated 0\nfrozen 0\n")
    wait_until_empty(str(tmp_path))
    wait_until_empty(f"{tmp_path}/gone")


def test_a_group_is_waited_for_until_it_is_empty(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Woken for another reason, it goes on to sleep."""
    texts = ["populated 1\nfrozen 1\n", "populated 0\nfrozen 0\n"]

    class Poll:
        """What a kernel tells of a change by, here by writing the next text."""

        events = 0

        def register(self, file: object, events: int) -> None:
            self.events = events

        def poll(self) -> None:
            assert self.events == POLLPRI
            (tmp_path / "cgroup.events").write_text(texts.pop(0))

    (tmp_path / "cgroup.events").write_text("populated 1\nfrozen 0\n")
    monkeypatch.setattr(cgroups, "poll", Poll)
    wait_until_empty(str(tmp_path))
    assert texts == []
