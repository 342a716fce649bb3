# SPDX-License-Identifier: GPL-2.0-or-later
"""mptcp_run --method bpf on a kernel that has it: what is forced, what is not, what is left.

`make test-bpf` runs these in a VM with Debian 13's kernel; this machine's own may be too old, or
locked down.
"""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.lab.support.booted import SYSTEMD, WITHOUT, BootedHost
from tests.lab.support.forced import Traffic, bring_up, watch
from tests.lab.support.lab import SERVER_4, Host, Lab
from tests.lab.support.making import MakeHost, MakeLab
from tests.lab.support.paths import MEGABYTE
from tests.lab.support.peers.build import build_c, build_go
from tests.lab.support.waiting import Gate, wait_for
from tests.virtual.archive import Unavailable

pytestmark = pytest.mark.bpf

RUN = ("mptcp_run", "--method", "bpf")
# Long enough for the second subflow to carry its part on a VM that is busy when it should join.
SIZE = 16 * MEGABYTE
TCP, UDP, MPTCP = 6, 17, 262
# Opens sockets of all kinds, and says of each which protocol the kernel gave it.
OPEN = """\
import socket
for kind in (socket.SOCK_STREAM, socket.SOCK_STREAM | socket.SOCK_CLOEXEC, socket.SOCK_DGRAM):
    for family in (socket.AF_INET, socket.AF_INET6):
        for number in (0, socket.IPPROTO_TCP, socket.IPPROTO_UDP):
            try:
                made = socket.socket(family, kind, number)
            except OSError:
                continue
            print(made.getsockopt(socket.SOL_SOCKET, socket.SO_PROTOCOL), end=" ", flush=True)
"""
# Eight of streams, four of datagrams.
ALL_FORCED = [MPTCP] * 8 + [UDP] * 4
NONE_FORCED = [TCP] * 8 + [UDP] * 4
PYTHON = "/usr/bin/python3"


def mount_groups(host: Host) -> None:
    """What a machine has mounted, and a host of the lab, with a /sys of its own, has not."""
    host.run("mount", "-t", "cgroup2", "cgroup2", "/sys/fs/cgroup")
    host.run("mount", "-t", "bpf", "bpf", "/sys/fs/bpf")


@pytest.fixture(scope="module")
def host(make_host: MakeHost) -> Host:
    """A host with the package, for tests that need no uplink."""
    host = make_host()
    mount_groups(host)
    return host


@pytest.fixture(scope="module")
def uplinks(make_shared_lab: MakeLab) -> Lab:
    lab = make_shared_lab()
    mount_groups(lab.client)
    return bring_up(lab)


def list_groups(host: Host) -> list[str]:
    return host.run("find", "/sys/fs/cgroup", "-name", "mptcp_run-*").split()


def list_pins(host: Host) -> list[str]:
    return host.run("find", "/sys/fs/bpf", "-mindepth", "1").split()


def find_keepers(host: Host) -> list[int]:
    """The processes that hold a link of a BPF program."""
    found = host.run("sh", "-c", "grep -l '^link_type:.tracing' /proc/[0-9]*/fdinfo/* "
                     "2>/dev/null; true")
    return sorted({int(path.split("/")[2]) for path in found.split()})


def check_nothing_left(host: Host) -> None:
    wait_for(lambda: not list_groups(host) and not find_keepers(host))
    assert list_pins(host) == []


def open_all(host: Host, *before: str) -> list[int]:
    return [int(word) for word in host.run(*before, PYTHON, "-c", OPEN).split()]


def send(lab: Lab, *command: str) -> Traffic:
    """Have a program send, forced as its first words say."""
    receiver = lab.begin_receiving()
    traffic = watch(lab, *command, str(SIZE))
    output, errors = receiver.communicate(timeout=60)
    assert receiver.returncode == 0, f"{output}{errors}{traffic}"
    assert traffic.output.startswith(f"{SIZE} "), traffic
    return traffic


def find_go(name: str) -> str:
    try:
        return str(build_go(name))
    except Unavailable as reason:
        pytest.skip(f"no Go: {reason}")


def test_a_static_program(uplinks: Lab) -> None:
    program = str(build_c(static=True))
    plain = send(uplinks, program, SERVER_4, "5001")
    assert plain.is_plain(SIZE), plain
    forced = send(uplinks, "mptcp_run", "-v", program, SERVER_4, "5001")
    assert forced.is_over_both(SIZE), forced
    assert forced.errors == f"mptcp_run: {program}: bpf, since {program} is static\n"
    check_nothing_left(uplinks.client)


def test_an_older_go(uplinks: Lab) -> None:
    program = find_go("go-old")
    forced = send(uplinks, "mptcp_run", "-v", program, "send", f"{SERVER_4}:5001")
    assert forced.is_over_both(SIZE), forced
    assert "bpf, since" in forced.errors and "(go1.19" in forced.errors
    check_nothing_left(uplinks.client)


@pytest.mark.parametrize(("raise_rights", "words"), [
    (("chmod", "4755"), "setuid"), (("setcap", "cap_net_raw+ep"), "given capabilities"),
])
def test_a_program_with_rights_of_its_own(
    uplinks: Lab, tmp_path: Path, raise_rights: tuple[str, ...], words: str
) -> None:
    if not shutil.which(raise_rights[0]):
        pytest.skip(f"no {raise_rights[0]} here")
    program = tmp_path / "sender"
    shutil.copy(build_c(static=False), program)
    os.chown(program, 65534, 65534)
    subprocess.run([*raise_rights, program], check=True)
    forced = send(uplinks, "mptcp_run", "-v", str(program), SERVER_4, "5001")
    assert forced.is_over_both(SIZE), forced
    assert f"bpf, since {program} is {words}" in forced.errors
    check_nothing_left(uplinks.client)


def test_a_script_and_all_that_it_starts(uplinks: Lab) -> None:
    """With --check, whose process stays beside them."""
    program = build_c(static=True)
    uplinks.write("/usr/local/bin/sends", f"#!/bin/sh\n(exec {program} \"$@\")\n")
    uplinks.client.run("chmod", "755", "/usr/local/bin/sends")
    forced = send(uplinks, *RUN, "--check", "sends", SERVER_4, "5001")
    assert forced.is_over_both(SIZE), forced
    assert forced.errors.startswith("mptcp_run: 1 connection, MPTCP, 2 subflows: eth")
    check_nothing_left(uplinks.client)


def test_streams_in_the_group_and_nothing_else(host: Host) -> None:
    assert open_all(host) == NONE_FORCED
    assert open_all(host, *RUN) == ALL_FORCED
    assert open_all(host) == NONE_FORCED
    check_nothing_left(host)


def start_waiting(host: Host, code: str = OPEN) -> subprocess.Popen[str]:
    """A forced command that does `code`, then again, and waits."""
    again = f"code = {code!r}\nwhile True:\n exec(code)\n print(flush=True)\n input()\n"
    process = subprocess.Popen(host._enter((*RUN, PYTHON, "-c", again)), stdin=subprocess.PIPE,
                               stdout=subprocess.PIPE, text=True)
    assert read_answer(process) == ALL_FORCED
    return process


def read_answer(process: subprocess.Popen[str]) -> list[int]:
    assert process.stdout is not None
    return [int(word) for word in process.stdout.readline().split()]


def ask_again(process: subprocess.Popen[str]) -> list[int]:
    assert process.stdin is not None
    process.stdin.write("\n")
    process.stdin.flush()
    return read_answer(process)


def test_siblings_and_two_at_once(host: Host) -> None:
    """The program of one is asked about the sockets of the other, and must leave them to it."""
    first, second = start_waiting(host), start_waiting(host)
    assert len(list_groups(host)) == 2 and len(find_keepers(host)) == 2
    assert open_all(host) == NONE_FORCED
    assert ask_again(first) == ask_again(second) == ALL_FORCED
    first.communicate()
    wait_for(lambda: len(list_groups(host)) == 1)
    assert ask_again(second) == ALL_FORCED
    second.communicate()
    check_nothing_left(host)


def test_a_group_below_it(host: Host) -> None:
    """As systemd, or a container, makes them for what it starts."""
    line = ("group=$(find /sys/fs/cgroup -name mptcp_run-$$)/below; mkdir $group; "
            "echo $$ >$group/cgroup.procs; exec \"$@\"")
    assert open_all(host, *RUN, "sh", "-c", line, "sh") == ALL_FORCED
    check_nothing_left(host)


def test_kill_9_of_the_command(host: Host) -> None:
    process = start_waiting(host)
    process.kill()
    process.communicate()
    check_nothing_left(host)
    assert open_all(host) == NONE_FORCED


def test_what_the_command_leaves_behind_is_forced_until_it_ends(host: Host) -> None:
    gate = Gate(host)
    line = (f"({gate.WAIT}; {PYTHON} -c '{OPEN}' >/run/opened; {gate.WAIT}) >/dev/null 2>&1 & "
            "exec kill -9 $$")
    done = host.try_run(*RUN, "bash", "-c", line)
    assert done.returncode in (-signal.SIGKILL, 128 + signal.SIGKILL)
    assert len(list_groups(host)) == 1
    gate.open()
    wait_for(lambda: host.try_run("cat", "/run/opened").stdout.count(" ") == len(ALL_FORCED))
    assert list(map(int, host.run("cat", "/run/opened").split())) == ALL_FORCED
    gate.open()
    check_nothing_left(host)


def test_kill_9_of_the_keeper(host: Host) -> None:
    """Nothing is forced any more, and the next run takes the group away that was left."""
    process = start_waiting(host)
    (keeper,) = find_keepers(host)
    os.kill(keeper, signal.SIGKILL)
    wait_for(lambda: not find_keepers(host))
    assert ask_again(process) == NONE_FORCED
    process.communicate()
    assert len(list_groups(host)) == 1
    assert open_all(host, *RUN) == ALL_FORCED
    check_nothing_left(host)


def test_no_stream_of_the_caller_is_held(host: Host) -> None:
    """`mptcp_run ... | cat` ends with the command, though another one of its group goes on."""
    began = time.monotonic()
    host.run("sh", "-c", f"{' '.join(RUN)} sh -c 'sleep 30 >/dev/null 2>&1 & echo $!' | cat "
             ">/run/pid")
    assert time.monotonic() - began < 20
    host.run("sh", "-c", "kill $(cat /run/pid)")
    check_nothing_left(host)


def test_statuses_and_place(host: Host) -> None:
    assert host.try_run(*RUN, "sh", "-c", "exit 7").returncode == 7
    assert host.try_run(*RUN, "sh", "-c", "kill -TERM $$").returncode == -signal.SIGTERM
    assert host.try_run(*RUN, "nosuch").returncode == 127
    first, second = host.run("sh", "-c", f"echo $$; exec {' '.join(RUN)} sh -c 'echo $$'").split()
    assert first == second
    plain, forced = host.run("env"), host.run(*RUN, "env")
    assert plain == forced
    check_nothing_left(host)


@pytest.mark.parametrize(("before", "words"), [
    (("setpriv", "--reuid=65534", "--clear-groups"), "it needs root"),
    (("setpriv", "--bounding-set=-bpf,-perfmon,-sys_admin", "--inh-caps=-all"),
     "the kernel does not permit it"),
    (("unshare", "--mount", "sh", "-c", "umount /sys/fs/cgroup; exec \"$@\"", "sh"),
     "it needs control groups of version 2"),
    (("unshare", "--mount", "sh", "-c", "mount -o remount,bind,ro /sys/fs/cgroup; exec \"$@\"",
      "sh"), "cannot make the control group"),
    (("unshare", "--mount", "sh", "-c", "mount -t tmpfs none /usr/share/mptcp-hooks/bpf; "
      "exec \"$@\"", "sh"), ".bpf.o, which the build makes"),
    (("unshare", "--mount", "sh", "-c", "mount -t tmpfs none /sys/kernel/btf; exec \"$@\"", "sh"),
     "it needs a kernel with BTF"),
    (("unshare", "--mount", "sh", "-c", "for lib in /usr/lib/*/libbpf.so.1; do mount --bind "
      "/dev/null $lib; done; exec \"$@\"", "sh"), "it needs libbpf.so.1 (apt install libbpf1; "),
])
def test_what_is_missing_is_said_by_name(host: Host, before: tuple[str, ...], words: str) -> None:
    done = host.try_run(*before, *RUN, "echo", "done")
    assert (done.returncode, done.stdout) == (125, "")
    assert words in done.stderr and len(done.stderr.splitlines()) == 1
    static = str(build_c(static=True))
    going = host.try_run(*before, "mptcp_run", static)
    assert going.returncode == 2
    assert going.stderr.startswith(f"mptcp_run: {static} goes without Multipath TCP: {static} is "
                                   "static")
    assert words in going.stderr and len(going.stderr.splitlines()) == 1
    check_nothing_left(host)


KEEP_OPEN = f"{OPEN}print(flush=True)\nimport signal\nsignal.pause()\n"
UNIT = """\
[Service]
User=nobody
NoNewPrivileges=yes
ProtectSystem=strict
PrivateDevices=yes
ProtectControlGroups=yes
ExecStart=/usr/bin/python3 /usr/local/lib/open
StandardOutput=append:/run/opened
"""


@pytest.fixture
def booted(make_lab: MakeLab) -> Lab:
    return make_lab(*SYSTEMD, without=WITHOUT, client=BootedHost)


PINS = ["/sys/fs/bpf/mptcp-hooks", r"/sys/fs/bpf/mptcp-hooks/opens\x2eservice"]
HOOK = "/usr/share/mptcp-hooks/hooks/unit"
# Ends by itself, as if somebody had killed it, where /run/killed names what it is to do.
MORTAL = f"""\
#!/bin/sh
[ "$1" != "$(cat /run/killed)" ] || kill -9 $$
exec {HOOK}.whole "$@"
"""


def enable(booted: Lab) -> Callable[[], list[int]]:
    """Have bpf force a service; what starts it, and tells what its sockets are."""
    client = booted.client
    booted.write("/usr/local/lib/open", KEEP_OPEN)
    booted.write("/etc/systemd/system/opens.service", UNIT)
    client.run("systemctl", "daemon-reload")
    client.run("mount", "-t", "bpf", "bpf", "/sys/fs/bpf")
    assert "opens.service: bpf" in client.run("mptcp_run", "--method", "bpf", "--enable", "opens")
    assert client.run("mptcp_run", "--list") == "opens.service  bpf\n"

    def start() -> list[int]:
        client.run("rm", "-f", "/run/opened")
        client.run("systemctl", "restart", "opens")
        wait_for(lambda: "\n" in client.try_run("cat", "/run/opened").stdout)
        return [int(word) for word in booted.read("/run/opened").split()]

    return start


def test_a_service_whose_hooks_are_killed(booted: Lab) -> None:
    """What the one after it leaves pinned, the next one before it replaces."""
    client = booted.client
    start = enable(booted)
    client.run("mv", HOOK, f"{HOOK}.whole")
    booted.write(HOOK, MORTAL)
    client.run("chmod", "755", HOOK)
    booted.write("/run/killed", "")
    assert start() == ALL_FORCED
    booted.write("/run/killed", "release")
    client.run("systemctl", "stop", "opens")
    assert list_pins(client) == PINS
    booted.write("/run/killed", "")
    assert start() == ALL_FORCED and list_pins(client) == PINS
    client.run("systemctl", "stop", "opens")
    assert list_pins(client) == []
    booted.write("/run/killed", "force")
    # It goes without Multipath TCP, and not at all would be worse.
    assert start() == NONE_FORCED and list_pins(client) == []
    booted.write("/run/killed", "")
    assert start() == ALL_FORCED


def test_a_service(booted: Lab) -> None:
    """Its user has no rights at all, and its sandbox hides the control groups."""
    client = booted.client
    start = enable(booted)
    assert start() == ALL_FORCED
    assert list_pins(client) == PINS
    client.run("systemctl", "kill", "--signal=KILL", "opens")
    wait_for(lambda: list_pins(client) == [])
    assert start() == ALL_FORCED
    client.run("mptcp_run", "--method", "godebug", "--enable", "opens")
    assert list_pins(client) == []
    client.run("mptcp_run", "--method", "bpf", "--enable", "opens")
    assert start() == ALL_FORCED
    client.run("mptcp_run", "--disable", "opens")
    assert list_pins(client) == []
    assert start() == NONE_FORCED
