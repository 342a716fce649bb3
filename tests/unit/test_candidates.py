# SPDX-License-Identifier: GPL-2.0-or-later
"""Which programs with plain TCP over an uplink are named, and the command that would force them."""

from __future__ import annotations

import os
import subprocess
import time
from pathlib import Path

import pytest

from mptcp_hooks.force.methods import BPF, GODEBUG, MPTCPIZE, Choice
from mptcp_hooks.machine.procfs import Origin, Process, find_unit, read_origin
from mptcp_hooks.machine.sockets import Socket
from mptcp_hooks.status.candidates import Candidate, Suspect, find_suspects, make_candidates
from mptcp_hooks.status.candidates_view import describe_candidates, draw_candidates
from mptcp_hooks.status.paint import Paint

ESTABLISHED, SYN_SENT, LISTEN = 1, 2, 10
UPLINKS = {"10.1.1.2": "eth0", "fd00:2::2": "eth1"}
SERVER, NOWHERE = ("10.99.0.1", 443), ("0.0.0.0", 0)
CURL, SSHD, SESSION = Process(30, "curl"), Process(10, "sshd"), Process(20, "sshd")
PLAIN = Socket(False, ESTABLISHED, ("10.1.1.2", 40000), SERVER, 1, False, False)
LISTENER = Socket(False, LISTEN, ("0.0.0.0", 22), NOWHERE, 2, False, False)
CAME_IN = Socket(False, ESTABLISHED, ("10.1.1.2", 22), SERVER, 3, False, False)
OWNERS = {1: (CURL,), 2: (SSHD,), 3: (SSHD, SESSION)}
LIBRARY = Choice(MPTCPIZE, "", "", b"LD_PRELOAD", b"/libmptcpwrap.so.0")
FETCH = Origin("/usr/bin/curl", "", "", ("curl", "-O", "https://example.org/a b"), "HOME=/root\0")
SERVICE = Origin("/usr/sbin/sshd", "ssh.service", "", (), "")


@pytest.mark.parametrize(("sockets", "suspects"), [
    ([PLAIN], [Suspect(CURL, ("eth0",))]),
    ([PLAIN, PLAIN._replace(local=("fd00:2::2", 40001))], [Suspect(CURL, ("eth0", "eth1"))]),
    # What came in is the listener's, whoever holds it by now.
    ([LISTENER, CAME_IN], [Suspect(SSHD, ("eth0",))]),
    ([CAME_IN._replace(inode=9), LISTENER], [Suspect(SSHD, ("eth0",))]),
    # Who listens at the same port of another address is another one.
    ([LISTENER._replace(local=("127.0.0.1", 22)), CAME_IN._replace(inode=1)],
     [Suspect(CURL, ("eth0",))]),
    ([LISTENER._replace(local=("::", 22)), CAME_IN._replace(inode=1)], [Suspect(SSHD, ("eth0",))]),
    ([LISTENER._replace(local=("10.1.1.2", 22)), LISTENER._replace(inode=1),
      CAME_IN._replace(inode=9)], [Suspect(SSHD, ("eth0",))]),
    # Of two that hold it the one that was there first.
    ([CAME_IN], [Suspect(SSHD, ("eth0",))]),
    # Not over an uplink, not connected, not plain, nobody's.
    ([PLAIN._replace(local=("127.0.0.1", 40000))], []),
    ([PLAIN._replace(state=SYN_SENT)], []),
    ([PLAIN._replace(subflow=True)], []),
    ([PLAIN._replace(inode=0)], []),
    # A program that asks for MPTCP, and has a peer that is without.
    ([PLAIN, PLAIN._replace(mptcp=True)], []),
    ([LISTENER._replace(mptcp=True), LISTENER._replace(subflow=True), CAME_IN], []),
])
def test_suspects(sockets: list[Socket], suspects: list[Suspect]) -> None:
    assert find_suspects(sockets, OWNERS, UPLINKS) == suspects


@pytest.mark.parametrize("manager", [Process(1, "systemd"), Process(1, "init"),
                                     Process(7, "systemd")])
@pytest.mark.parametrize("beside", [(), (SSHD,)])
def test_what_systemd_listens_for_is_no_suspect(
    manager: Process, beside: tuple[Process, ...]
) -> None:
    """Nobody can force systemd, and what it opened is as it is for the service beside it."""
    owners = {**OWNERS, 2: (*beside, manager)}
    assert find_suspects([LISTENER, CAME_IN], owners, UPLINKS) == []
    # What the service opens itself is its own.
    outgoing = PLAIN._replace(inode=3)
    assert find_suspects([LISTENER, CAME_IN, outgoing], owners, UPLINKS) == [
        Suspect(SSHD, ("eth0",))]


def make(choice: Choice, *origins: Origin) -> tuple[Candidate, ...]:
    suspects = [Suspect(Process(number, "it"), ("eth1", "eth0"))
                for number in range(len(origins))]
    return make_candidates(suspects, origins.__getitem__, lambda pid: choice)


@pytest.mark.parametrize(("origin", "command"), [
    (FETCH, "mptcp_run curl -O 'https://example.org/a b'"),
    (SERVICE, "mptcp_run --enable ssh.service"),
    # It calls itself something else.
    (FETCH._replace(words=()), "mptcp_run /usr/bin/curl ..."),
    (FETCH._replace(user="alice", words=("curl", "x")), "runuser -u alice -- mptcp_run curl x"),
    (SERVICE._replace(user="www-data"), "mptcp_run --enable ssh.service"),
])
def test_the_command_that_would_force_it(origin: Origin, command: str) -> None:
    assert make(LIBRARY, origin) == (Candidate(
        origin.program, origin.unit, (Process(0, "it"),), 2, ("eth0", "eth1"), MPTCPIZE, command),)


def test_a_service_is_one_candidate() -> None:
    (candidate,) = make(Choice(BPF, ""), SERVICE, SERVICE)
    assert candidate.processes == (Process(0, "it"), Process(1, "it"))
    assert (candidate.connections, candidate.interfaces) == (4, ("eth0", "eth1"))


@pytest.mark.parametrize(("choice", "origin"), [
    (Choice("", "it is static"), FETCH),
    # What takes root, and is somebody else's.
    (Choice(BPF, ""), FETCH._replace(user="alice")),
    # Whose file we may not see.
    (LIBRARY, FETCH._replace(program="")),
    # Forced already, and its sockets are none that the method can change.
    (LIBRARY, FETCH._replace(environment="LD_PRELOAD=/a.so:/libmptcpwrap.so.0\0")),
    (Choice(GODEBUG, "", "", b"GODEBUG", b"multipathtcp=1"),
     FETCH._replace(environment="GODEBUG=multipathtcp=1\0")),
])
def test_what_cannot_be_forced_is_not_named(choice: Choice, origin: Origin) -> None:
    assert make(choice, origin) == ()


@pytest.mark.parametrize(("groups", "unit"), [
    ("0::/system.slice/ssh.service\n", "ssh.service"),
    ("0::/system.slice/system-foo.slice/foo@1.service/mptcp_run-7\n", "foo@1.service"),
    ("5:memory:/x.service\n1:name=systemd:/system.slice/ssh.service\n", "ssh.service"),
    ("0::/user.slice/user-0.slice/session-1.scope\n", ""),
    ("0::/user.slice/user-1.slice/user@1.service/app.slice/x.service\n", ""),
    ("5:memory:/x.service\n0::/\n", ""), ("0::/system.slice/a:b.service\n", "a:b.service"),
    ("0::/system.slice/a.service/evil/b.service\n", "a.service"),
    ("0::/machine.slice/box.service/payload/system.slice/b.service\n", ""), ("", ""),
])
def test_the_unit_of_a_process(groups: str, unit: str) -> None:
    assert find_unit(groups) == unit


@pytest.mark.parametrize(("name", "words"), [
    ("sleep", ("sleep", "60")), ("/bin/sleep", ("/bin/sleep", "60")), ("other", ()),
    ("/usr/bin/python3", ()), ("", ()),
])
def test_what_a_process_was_called_with(name: str, words: tuple[str, ...]) -> None:
    process = subprocess.Popen(["bash", "-c", f"exec -a '{name}' sleep 60"])
    cmdline = Path(f"/proc/{process.pid}/cmdline")
    try:
        wait = time.monotonic() + 10
        # While a process becomes another program there is a moment without any words.
        while not cmdline.read_bytes().endswith(b"\0" b"60\0") and time.monotonic() < wait:
            time.sleep(0.01)
        origin = read_origin(process.pid)
    finally:
        process.kill()
        process.communicate()
    assert origin.program == os.path.realpath("/bin/sleep")
    assert (origin.words, origin.user) == (words, "")


def test_lines_and_data() -> None:
    found = make(LIBRARY, FETCH._replace(words=("curl", "\x1b[2J")), SERVICE)
    assert draw_candidates(found, Paint(False)) == [
        "plain TCP over an uplink that could be Multipath TCP",
        "  it (0): 2 connections over eth0, eth1 => mptcp_run curl '\\x1b[2J'",
        "  it (1): 2 connections over eth0, eth1 => mptcp_run --enable ssh.service"]
    assert describe_candidates(found)[1] == {
        "program": "/usr/sbin/sshd", "unit": "ssh.service",
        "processes": [{"pid": 1, "name": "it"}], "connections": 2,
        "interfaces": ["eth0", "eth1"], "method": "mptcpize",
        "command": "mptcp_run --enable ssh.service"}
    assert draw_candidates((), Paint(False)) == [
        "no plain TCP over an uplink that could be forced"]
