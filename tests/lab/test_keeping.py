# SPDX-License-Identifier: GPL-2.0-or-later
"""Hosts that are to stay: those of a test that failed with --keep, and those made by hand."""

from __future__ import annotations

import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from tests.lab.support.booted import SYSTEMD, WITHOUT, BootedHost
from tests.lab.support.keeping import NoHost, remove_host
from tests.lab.support.lab import is_gone
from tests.lab.support.making import MakeLab

ROOT = Path(__file__).parents[2]
PYTEST = (sys.executable, "-m", "pytest", "-c", str(ROOT / "setup.cfg"), "--keep")
FIXTURES = "from tests.conftest import pytest_addoption\nfrom tests.lab.conftest import *\n"
ONE_FAILS = """\
def test_that_fails(lab):
    lab.write("/etc/left", "by the test")
    assert False

def test_that_passes(lab):
    pass
"""


def run(*command: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(command, cwd=ROOT, stdin=subprocess.DEVNULL, capture_output=True,
                          text=True, timeout=60)


def read_commands(text: str) -> dict[str, list[str]]:
    """What is printed for each host and for their removal, by its name."""
    return {name: shlex.split(command) for name, command in re.findall(
        r"^(client|router1|router2|server|remove): +(.*)$", text, re.MULTILINE)}


def check_removal(commands: dict[str, list[str]]) -> None:
    """The command removes all hosts, and finds none the second time."""
    assert run(*commands["remove"]).returncode == 0
    again = run(*commands["remove"])
    assert again.returncode == 1 and again.stderr.count("holds no host of the lab") == 4
    assert run(*commands["client"], "true").returncode != 0


def test_the_hosts_of_a_test_that_failed_stay(tmp_path: Path, deb: str) -> None:
    (tmp_path / "conftest.py").write_text(FIXTURES)
    (tmp_path / "test_two.py").write_text(ONE_FAILS)
    done = run(*PYTEST, "--deb", deb, str(tmp_path))
    assert "1 failed, 1 passed" in done.stdout and done.stdout.count("remove: ") == 1
    commands = read_commands(done.stdout)
    assert run(*commands["client"], "cat", "/etc/left").stdout == "by the test"
    assert "lan" in run(*commands["router2"], "ip", "link").stdout
    check_removal(commands)


def test_a_lab_made_by_hand_stays_with_what_is_begun_there(deb: str) -> None:
    commands = read_commands(run(sys.executable, "-m", "tests.lab.hosts", "make", deb).stdout)
    assert "mptcp_up" in run(*commands["client"], "mptcp_up", "--version").stdout
    daemon = run(*commands["client"], "sh", "-c", "sleep infinity >/dev/null 2>&1 & echo $!")
    check_removal(commands)
    assert is_gone(int(daemon.stdout))


def test_a_booted_host_goes_with_its_control_group(make_lab: MakeLab) -> None:
    client = make_lab(*SYSTEMD, without=WITHOUT, client=BootedHost).client
    groups = Path(f"/proc/{client.pid}/cgroup").read_text()
    remove_host(client.pid)
    assert client.try_run("true").returncode != 0
    (name,) = re.findall(r"mptcp-hooks-lab-[^/]*", groups)
    assert name not in run("find", "/sys/fs/cgroup", "-maxdepth", "2").stdout


def test_what_is_no_host_is_not_removed() -> None:
    with subprocess.Popen(["unshare", "--net", "--fork", "--kill-child", "sleep", "60"]) as other:
        try:
            for pid in (1, other.pid):
                with pytest.raises(NoHost):
                    remove_host(pid)
            assert other.poll() is None
        finally:
            other.kill()
