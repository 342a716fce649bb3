# SPDX-License-Identifier: GPL-2.0-or-later
"""Which process holds which socket, and which come of which: seen of the test's own."""

from __future__ import annotations

import os
import socket
import subprocess
from pathlib import Path

import pytest

from mptcp_hooks.machine import procfs
from mptcp_hooks.machine.procfs import (
    find_owners,
    list_descendants,
    list_sockets,
    read_origin,
)
from tests.unit.help import wait_until


def test_a_socket_is_held_by_all_that_inherited_it() -> None:
    with socket.socket() as ours:
        inode = os.fstat(ours.fileno()).st_ino
        assert inode in list_sockets(os.getpid())
        child = subprocess.Popen(["sleep", "60"], pass_fds=[ours.fileno()])
        try:
            wait_until(lambda: len(find_owners()[inode]) == 2)
            owners = {process.pid: process.name for process in find_owners()[inode]}
            # Until its execve(2) a child has the name of its parent.
            wait_until(lambda: "sleep" in {one.name for one in find_owners()[inode]})
        finally:
            child.kill()
            child.wait()
    assert set(owners) == {os.getpid(), child.pid}
    assert inode not in list_sockets(os.getpid())


def test_what_has_ended_holds_nothing() -> None:
    done = subprocess.Popen(["true"])
    done.wait()
    assert list_sockets(done.pid) == []
    assert list(list_descendants(done.pid)) == []


def test_a_name_that_no_terminal_should_get_is_shown_as_an_escape(
    monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(procfs, "read_text", lambda path: "\x1b[2J\n")
    with socket.socket() as ours:
        inode = os.fstat(ours.fileno()).st_ino
        assert {one.name for one in find_owners()[inode]} == {"\\x1b[2J"}


def test_descendants_are_found_however_deep() -> None:
    shell = subprocess.Popen(["sh", "-c", "(sh -c 'sleep 60 & echo $!; wait') & wait"],
                             stdout=subprocess.PIPE, text=True, start_new_session=True)
    assert shell.stdout is not None
    try:
        deepest = int(shell.stdout.readline())
        found = list(list_descendants(shell.pid))
        ours = list(list_descendants(os.getpid()))
    finally:
        os.killpg(shell.pid, 9)
        shell.communicate()
    assert deepest in found and shell.pid not in found
    assert {shell.pid, *found} <= {*ours}


@pytest.mark.parametrize("path", ["own", "own:/usr/bin", "", "."])
def test_what_a_process_was_called_with_is_known_whatever_path_we_have(
    path: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A person's own folder may come first, with another program of that name."""
    own = tmp_path / "own"
    own.mkdir()
    (own / "sleep").write_text("#!/bin/sh\n")
    (own / "sleep").chmod(0o755)
    monkeypatch.chdir(own)
    process = subprocess.Popen(["sleep", "60"], executable="/usr/bin/sleep")
    try:
        monkeypatch.setenv("PATH", path.replace("own", str(own)))
        # Until its execve(2) a child is as its parent.
        wait_until(lambda: read_origin(process.pid).words == ("sleep", "60"))
    finally:
        process.kill()
        process.wait()
