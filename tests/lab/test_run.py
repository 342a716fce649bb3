# SPDX-License-Identifier: GPL-2.0-or-later
"""mptcp_run, installed: what the command gets is the caller's, and what it ends with too."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from pathlib import Path

import pytest

from tests.lab.support.lab import NOBODY, Host, Lab
from tests.lab.support.making import MakeHost
from tests.lab.support.waiting import Gate, wait_for

RUN = "mptcp_run"
LIBRARY = "/usr/lib/*/mptcpize/libmptcpwrap.so.0"
# What a command can tell of itself: folder, arguments, descriptors, signals.
TELL = """pwd; umask; echo "$0" "$@"; cd /proc/$$/fd; echo *
while read -r line; do case $line in Sig[IB]*) echo "$line" ;; esac; done </proc/$$/status"""
# A connection without MPTCP that stays.
CONNECT = """\
import os, signal, socket
listener = socket.create_server(("127.0.0.1", 0))
connection = socket.create_connection(listener.getsockname())
print(os.getpid(), flush=True)
signal.pause()
"""


@pytest.fixture(scope="module")
def host(make_host: MakeHost) -> Host:
    """A host with the package and mptcpize, for tests that need no uplink."""
    return make_host("mptcpize")


@pytest.fixture(scope="module")
def bare(make_host: MakeHost) -> Host:
    """A host with the package alone."""
    host = make_host()
    host.run("sh", "-c", f"rm -f {LIBRARY}*")
    return host


def shell(host: Host, line: str) -> subprocess.CompletedProcess[str]:
    return host.try_run("sh", "-c", line)


def start_ready(host: Host, *command: str) -> subprocess.Popen[str]:
    """Start a command; it says "ready" first of all."""
    process = host.start(*command)
    assert process.stdout is not None and process.stdout.readline() == "ready\n"
    return process


def ask_check(process: subprocess.Popen[str]) -> str:
    """What mptcp_run --check says so far."""
    process.send_signal(signal.SIGUSR1)
    assert process.stderr is not None
    return process.stderr.readline()


@pytest.mark.parametrize("check", ["", " --check"])
@pytest.mark.parametrize(("command", "status", "words"), [
    ("true", 0, ""), ("false", 1, ""), ("sh -c 'exit 77'", 77, ""),
    ("nosuch", 127, "mptcp_run: nosuch: command not found"),
    ("/etc/passwd", 126, "mptcp_run: /etc/passwd: is not executable, see chmod(1)"),
    ("/etc", 126, "mptcp_run: /etc: is a directory"),
])
def test_exit_statuses(host: Host, check: str, command: str, status: int, words: str) -> None:
    done = shell(host, f"{RUN}{check} {command}")
    if check and status < 100:
        words = "mptcp_run: no TCP connection was seen"
    assert (done.returncode, done.stdout, done.stderr.strip()) == (status, "", words)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL, signal.SIGUSR2, signal.SIGQUIT])
@pytest.mark.parametrize("check", [(), ("--check",)])
def test_a_signal_that_ends_the_command_ends_us(
    host: Host, number: signal.Signals, check: tuple[str, ...]
) -> None:
    done = host.try_run(RUN, *check, "sh", "-c", f"kill -{number} $$")
    assert done.returncode == -number


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGUSR2])
def test_check_passes_signals_on(host: Host, number: signal.Signals) -> None:
    # A shell heeds a trap between two commands.
    heard = f"trap 'echo heard; exit 5' {number}; echo ready; while :; do sleep 0.05; done"
    process = start_ready(host, RUN, "--check", "sh", "-c", heard)
    process.send_signal(number)
    output, _ = process.communicate(timeout=20)
    assert (output, process.returncode) == ("heard\n", 5)


def test_check_answers_on_a_signal(host: Host) -> None:
    gate = Gate(host)
    process = start_ready(host, RUN, "--check", "sh", "-c", f"echo ready; {gate.WAIT}")
    assert ask_check(process) == "mptcp_run: no TCP connection was seen\n"
    gate.open()
    process.communicate(timeout=20)
    assert process.returncode == 0


def count_waits(process: subprocess.Popen[str]) -> int:
    """How often a process went to sleep so far."""
    status = Path(f"/proc/{process.pid}/status").read_text()
    return int(status.partition("\nvoluntary_ctxt_switches:")[2].split()[0])


def test_check_goes_on_after_a_stop(host: Host) -> None:
    gate = Gate(host)
    for _ in range(3):
        process = start_ready(host, RUN, "--check", "sh", "-c", f"echo ready; {gate.WAIT}; exit 6")
        # It has looked and waited ten times: what comes of a wait that is cut off depends on it.
        often = count_waits(process) + 10
        wait_for(lambda: count_waits(process) >= often)
        process.send_signal(signal.SIGSTOP)
        # That is longer than it waits between two looks.
        time.sleep(0.3)
        process.send_signal(signal.SIGCONT)
        gate.open()
        _, errors = process.communicate(timeout=20)
        assert (process.returncode, errors) == (6, "mptcp_run: no TCP connection was seen\n")


def test_check_hears_nothing_that_its_caller_ignores(host: Host) -> None:
    done = shell(host, f"trap '' HUP; {RUN} --check sh -c 'kill -HUP $PPID; kill -HUP $$; exit 4'")
    assert done.returncode == 4


def test_nothing_but_one_variable_changes(host: Host) -> None:
    """The locale's variable, which Python sets for itself, among them."""
    names = {"EMPTY": "", "A b": "c\nd", "BASH_FUNC_x%%": "() { :; }", "PATH": os.environ["PATH"]}
    inside = ["env", "-i", *(f"{name}={value}" for name, value in names.items())]
    plain = host.run(*inside, "env", "-0").split("\0")
    forced = host.run(*inside, RUN, "env", "-0").split("\0")
    (added,) = set(forced) - set(plain)
    assert added.startswith("LD_PRELOAD=/usr/lib/") and set(plain) - set(forced) == set()
    assert forced == [*plain[:-1], added, ""]


@pytest.mark.parametrize("before", [
    "cd /usr;", "trap '' PIPE;", "trap '' INT TERM;", "exec 5</dev/null 7>/dev/null;",
    "exec <&-;", "exec 2>&-;", "umask 077;",
])
def test_the_command_is_where_and_as_it_would_be(host: Host, before: str) -> None:
    """In the same shell without mptcp_run, and with it."""
    call = f"sh -c {quote(TELL)} name 'a b' -- --check; exit $?"
    plain, forced = shell(host, f"{before} {call}"), shell(host, f"{before} {RUN} {call}")
    assert plain.stdout == forced.stdout and "name a b -- --check" in plain.stdout
    assert forced.stderr == plain.stderr


def quote(text: str) -> str:
    return "'" + text.replace("'", "'\\''") + "'"


def test_the_command_takes_our_place(host: Host) -> None:
    """Same process, whose parent is who called; a broken pipe ends it, as it does in a shell."""
    first, second = shell(host, f"echo $$; exec {RUN} sh -c 'echo $$'").stdout.split()
    assert first == second
    assert shell(host, f"{{ {RUN} yes; echo $? >&2; }} | head -1").stderr == "141\n"


SUDOERS = "nobody ALL=(root) NOPASSWD: ALL\n"
# A person's own folder comes first, with programs that root's would find there.
PERSON = (*NOBODY, "env", "PATH=/run/own:/usr/sbin:/usr/bin:/sbin:/bin")


@pytest.fixture(scope="module")
def sudo(make_host: MakeHost) -> Host:
    """A host with the package, mptcpize and sudo, on which nobody has a folder of programs."""
    host = make_host("mptcpize", "sudo")
    host.run("sh", "-ec", """mkdir /run/own
for name in tool ip ss ifquery systemctl; do
    printf '#!/bin/sh\necho "$0 $(id -u)" >>/run/seen\n' >/run/own/$name; chmod 755 /run/own/$name
done""")
    return host


def run_by_sudo(
    host: Host, *command: str, sudoers: str = SUDOERS
) -> subprocess.CompletedProcess[str]:
    """Run a command as a person does who may do so by sudo; /run/seen has whose tools ran."""
    host.run("sh", "-ec", "rm -f /run/seen; cat >/etc/sudoers.d/lab", text=sudoers)
    return host.try_run(*PERSON, "sudo", "-n", *command)


def test_by_sudo_the_command_is_looked_for_where_sudo_says(sudo: Host) -> None:
    done = run_by_sudo(sudo, "mptcp_run", "tool")
    assert (done.returncode, done.stderr) == (127, "mptcp_run: tool: command not found\n")
    # As `sudo env tool` does.
    done = run_by_sudo(sudo, "mptcp_run", "tool", sudoers=SUDOERS + "Defaults !secure_path\n")
    assert (done.returncode, sudo.run("cat", "/run/seen")) == (0, "/run/own/tool 0\n")


@pytest.mark.parametrize("command", [
    ("mptcp_up", "--all"), ("mptcp_up", "--check"), ("mptcp_down", "--all"), ("mptcp_status",),
    ("mptcp_status", "--connections"), ("mptcp_status", "--candidates"),
    ("mptcp_run", "--enable", "nosuch"), ("mptcp_run", "--list"), ("mptcp_run", "true"),
])
def test_by_sudo_nothing_else_of_a_person_runs(sudo: Host, command: tuple[str, ...]) -> None:
    """And what a command preloads is preloaded to none that it starts by itself."""
    preload = "LD_PRELOAD=/run/own/library.so"
    done = run_by_sudo(sudo, preload, *command, sudoers=SUDOERS + "Defaults !secure_path\n")
    assert sudo.try_run("cat", "/run/seen").stdout == ""
    # The command itself, and what it becomes.
    assert done.stderr.count("/run/own/library.so") == 1 + (command[-1] == "true"), done.stderr


def test_sudo_hands_no_library_over_by_itself(sudo: Host) -> None:
    allowed = "nobody ALL=(root) NOPASSWD: /usr/sbin/mptcp_run\n"
    done = run_by_sudo(sudo, "LD_PRELOAD=/run/own/library.so", "mptcp_run", "true",
                       sudoers=allowed)
    assert (done.returncode, done.stdout) == (1, "") and "not allowed to set" in done.stderr
    done = run_by_sudo(sudo, "mptcp_run", "sh", "-c", "echo $LD_PRELOAD", sudoers=allowed)
    assert (done.returncode, done.stderr) == (0, "") and "/run/own" not in done.stdout


def test_a_daemon_is_not_waited_for(host: Host) -> None:
    began = time.monotonic()
    done = shell(host, f"{RUN} sh -c 'sleep 30 >/dev/null 2>&1 &' | cat")
    assert done.returncode == 0 and time.monotonic() - began < 20


def test_verbose_says_what_and_why(host: Host) -> None:
    done = host.try_run(RUN, "-v", "true")
    assert done.stderr == ("mptcp_run: true: mptcpize, since /usr/bin/true is dynamic and uses "
                           "glibc\n")


def test_without_mptcpize_it_says_which_package_to_install(bare: Host) -> None:
    done = bare.try_run("setpriv", "--reuid=65534", "--clear-groups", RUN, "echo", "done")
    assert (done.returncode, done.stdout) == (0, "done\n")
    assert done.stderr == (
        "mptcp_run: echo goes without Multipath TCP: /usr/bin/echo is dynamic and uses glibc; "
        "mptcpize could, but its library is not installed (apt install mptcpize); bpf could, but "
        "it needs root\n")


@pytest.mark.parametrize(("method", "words"), [
    ("mptcpize", "mptcpize: its library is not installed (apt install mptcpize)"),
    ("bpf", "bpf: it needs root"),
])
def test_a_method_that_is_asked_for_is_insisted_upon(bare: Host, method: str, words: str) -> None:
    done = bare.try_run("setpriv", "--reuid=65534", "--clear-groups", RUN, "--method", method,
                        "echo", "done")
    assert (done.returncode, done.stdout, done.stderr) == (
        125, "", f"mptcp_run: echo is not started: {words}\n")


def test_mptcp_that_is_switched_off_is_said_before(link: Lab) -> None:
    link.client.run("sysctl", "-qw", "net.mptcp.enabled=0")
    code = "import socket; socket.socket(); print('a socket')"
    done = link.client.try_run(RUN, "python3", "-c", code)
    assert (done.returncode, done.stdout) == (0, "a socket\n")
    assert done.stderr == ("mptcp_run: python3 goes without Multipath TCP: net.mptcp.enabled is 0 "
                           "(sysctl -w net.mptcp.enabled=1)\n")


def test_what_others_left_running_is_counted_too(host: Host) -> None:
    """The command's own child ended; what that started in the background belongs to it still."""
    gate = Gate(host)
    line = (f"(python3 -c '{CONNECT}' >/run/pid 2>/dev/null &); echo ready; {gate.WAIT}")
    process = start_ready(host, RUN, "--check", "--method", "godebug", "sh", "-c", line)
    wait_for(lambda: "1 connection, TCP" in ask_check(process))
    gate.open()
    _, errors = process.communicate(timeout=20)
    assert process.returncode == 1
    # The kernel counts the SYN as a byte.
    assert errors.splitlines()[-1] == "mptcp_run: 1 connection, TCP: lo 1 B"
    host.run("sh", "-c", "kill $(cat /run/pid)")
    wait_for(lambda: not host.run("ss", "-tnH"))
