"""mptcp_run, installed: what the command gets is the caller's, and what it ends with too."""

from __future__ import annotations

import os
import signal
import subprocess
import time

import pytest

from tests.lab.support.lab import Host, Lab
from tests.lab.support.making import MakeHost
from tests.lab.support.waiting import wait_for

RUN = "mptcp_run"
LIBRARY = "/usr/lib/*/mptcpize/libmptcpwrap.so.0"
# What a command can tell of itself: folder, arguments, descriptors, signals.
TELL = """pwd; umask; echo "$0" "$@"; cd /proc/$$/fd; echo *
while read -r line; do case $line in Sig[IB]*) echo "$line" ;; esac; done </proc/$$/status"""


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
    heard = f"trap 'echo heard; exit 5' {number}; echo ready; while :; do sleep 0.05; done"
    process = host.start(RUN, "--check", "sh", "-c", heard)
    assert process.stdout is not None and process.stdout.readline() == "ready\n"
    process.send_signal(number)
    output, _ = process.communicate(timeout=20)
    assert (output, process.returncode) == ("heard\n", 5)


def test_check_answers_on_a_signal(host: Host) -> None:
    process = host.start(RUN, "--check", "sh", "-c", "echo ready; read line; sleep 0.5")
    assert process.stdout is not None and process.stderr is not None
    assert process.stdout.readline() == "ready\n"
    process.send_signal(signal.SIGUSR1)
    assert process.stderr.readline() == "mptcp_run: no TCP connection was seen\n"
    process.communicate(timeout=20)
    assert process.returncode == 0


def test_check_goes_on_after_a_stop(host: Host) -> None:
    for _ in range(3):
        process = host.start(RUN, "--check", "sh", "-c", "sleep 0.8; exit 6")
        time.sleep(0.3)
        process.send_signal(signal.SIGSTOP)
        time.sleep(0.3)
        process.send_signal(signal.SIGCONT)
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
    line = ("(python3 -c 'import socket, time; l = socket.create_server((\"127.0.0.1\", 0)); "
            "c = socket.create_connection(l.getsockname()); time.sleep(1)' &); sleep 0.8")
    process = host.start(RUN, "--check", "--method", "godebug", "sh", "-c", line)
    _, errors = process.communicate(timeout=20)
    assert process.returncode == 1
    assert errors.splitlines()[-1] == "mptcp_run: 0 of 1 TCP connection were MPTCP, with 0 subflows"
    wait_for(lambda: not host.run("ss", "-tnH"))
