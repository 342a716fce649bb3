# SPDX-License-Identifier: GPL-2.0-or-later
"""The process that keeps a command's group forced: nobody waits for it, and it waits for all."""

from __future__ import annotations

import os
import signal
import subprocess
from pathlib import Path

import pytest

from tests.unit.help import ROOT, wait_until

# A caller whose kernel forces any group, or does what `force` says, until a file says that all
# of it has ended; it ends itself when nobody writes to it any more.
CALLER = f"""
import os, signal, sys, time
sys.path.insert(0, {str(ROOT)!r})
from mptcp_hooks.base.errors import Problem
from mptcp_hooks.machine import cgroups
from mptcp_hooks.run import keeper

class Force:
    def __init__(self, group):
        {{force}}

def wait_until_empty(group):
    while not os.path.exists(group + "/empty"):
        time.sleep(0.01)
    os.unlink(group + "/empty")

keeper.Force = Force
cgroups.wait_until_empty = wait_until_empty
{{before}}
try:
    keeper.start_keeper(sys.argv[1])
except Problem as problem:
    print(problem)
else:
    print("forced", flush=True)
    {{after}}
    sys.stdin.read()
"""


@pytest.fixture
def group(tmp_path: Path) -> Path:
    """What stands for a control group: a folder."""
    path = tmp_path / "group"
    path.mkdir()
    return path


def call(
    group: Path, force: str = "pass", before: str = "pass", after: str = "pass"
) -> subprocess.Popen[str]:
    script = CALLER.format(force=force, before=before, after=after)
    return subprocess.Popen(["/usr/bin/python3", "-Ic", script, str(group)], text=True,
                            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE)


def read_line(caller: subprocess.Popen[str]) -> str:
    assert caller.stdout is not None
    return caller.stdout.readline()


@pytest.mark.parametrize("before", [
    "pass", "signal.signal(signal.SIGCHLD, signal.SIG_IGN)",
    # It has fewer descriptors to begin with.
    "os.close(2)",
])
def test_it_stays_until_the_last_of_the_group_ends(group: Path, before: str) -> None:
    caller = call(group, before=before)
    assert read_line(caller) == "forced\n"
    # The caller has ended, and what it started has not. What it wrote to is closed.
    assert caller.communicate(timeout=20) == ("", "")
    assert caller.returncode == 0 and group.exists()
    (group / "empty").touch()
    wait_until(lambda: not group.exists())


def test_it_begins_to_look_when_the_caller_has_ended(group: Path) -> None:
    """Before that nobody is in the group."""
    (group / "empty").touch()
    caller = call(group, after="time.sleep(0.3); print('later', flush=True)")
    assert [read_line(caller), read_line(caller)] == ["forced\n", "later\n"]
    assert (group / "empty").exists()
    caller.communicate(timeout=20)
    wait_until(lambda: not group.exists())


def test_it_begins_to_look_when_the_caller_becomes_another_program(group: Path) -> None:
    (group / "empty").touch()
    caller = call(group, after="os.execv('/bin/cat', ['cat'])")
    assert read_line(caller) == "forced\n"
    wait_until(lambda: not group.exists())
    assert caller.poll() is None
    caller.communicate(timeout=20)


def test_it_is_no_child_of_the_command(group: Path) -> None:
    """What waits for all of its children does not wait for it."""
    caller = call(group, after="""
    with open(f'/proc/self/task/{os.getpid()}/children') as children:
        print(children.read().split(), flush=True)
""")
    assert [read_line(caller), read_line(caller)] == ["forced\n", "[]\n"]
    caller.communicate(timeout=20)
    (group / "empty").touch()
    wait_until(lambda: not group.exists())


def test_it_keeps_nothing_of_the_caller_and_hears_no_signal_for_it(group: Path) -> None:
    """A terminal that is closed, or a folder that is unmounted, is none of its concern."""
    caller = call(group, force="open(group + '.pid', 'w').write(str(os.getpid()))")
    assert read_line(caller) == "forced\n"
    pid = int(Path(f"{group}.pid").read_text())
    folder = Path(f"/proc/{pid}")
    assert (os.getsid(pid), os.readlink(folder / "cwd")) == (pid, "/")
    files = {path.name: os.readlink(path) for path in (folder / "fd").iterdir()}
    pipes = [name for name, file in files.items() if file != "/dev/null"]
    assert {"0", "1", "2"} <= files.keys() - {*pipes} and len(pipes) == 1
    for number in (signal.SIGHUP, signal.SIGINT, signal.SIGTERM, signal.SIGUSR1):
        os.kill(pid, number)
    caller.communicate(timeout=20)
    (group / "empty").touch()
    wait_until(lambda: not group.exists())


@pytest.mark.parametrize(("force", "words"), [
    ("raise Problem('the kernel does not permit it')", "the kernel does not permit it"),
    ("open('/nowhere')", "[Errno 2] No such file or directory: '/nowhere'"),
])
def test_what_cannot_be_forced_is_told_and_its_group_goes(
    group: Path, force: str, words: str
) -> None:
    caller = call(group, force=force)
    assert read_line(caller) == f"{words}\n"
    wait_until(lambda: not group.exists())
    assert caller.communicate(timeout=20) == ("", "")


def test_a_keeper_that_is_killed_is_told_of(group: Path) -> None:
    caller = call(group, force="os.kill(os.getpid(), signal.SIGKILL)")
    assert read_line(caller) == "the process that should load it was killed\n"
    assert caller.communicate(timeout=20) == ("", "")
