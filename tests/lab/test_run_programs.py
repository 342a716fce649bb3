# SPDX-License-Identifier: GPL-2.0-or-later
"""mptcp_run and real programs, client and server both forced: MPTCP by ss, bytes by each uplink."""

from __future__ import annotations

import platform
import re
import sys
from pathlib import Path

import pytest

from tests.lab.support.forced import SIZE, Traffic, bring_up, serve, watch
from tests.lab.support.lab import SERVER_4, Lab
from tests.lab.support.making import MakeLab
from tests.lab.support.peers.build import build_c, build_go, build_i386
from tests.virtual.archive import Unavailable

PACKAGES = ("curl", "iperf3", "mptcpize", "nginx", "openssh-client", "openssh-server")
URL = f"http://{SERVER_4}:8080/file"
LISTENING = "-MlnH sport = :8080"
FETCH = f"import urllib.request; print(len(urllib.request.urlopen('{URL}').read()))"
NGINX = f"""\
daemon off; user root; pid /run/nginx.pid; error_log stderr;
events {{}}
http {{
    access_log off;
    server {{ listen {SERVER_4}:8080; root /run/www; }}
}}
"""
SSH = ("ssh", "-F", "none", "-p", "8080", "-o", "StrictHostKeyChecking=no", "-o",
       "UserKnownHostsFile=/dev/null", "-o", "LogLevel=ERROR")


@pytest.fixture
def both(make_lab: MakeLab) -> Lab:
    """Two uplinks, and the same programs on the server, where the package does nothing else."""
    return bring_up(make_lab(*PACKAGES, server=PACKAGES))


@pytest.fixture
def web(both: Lab) -> Lab:
    """nginx, forced, with a file."""
    both.server.run("sh", "-c", f"mkdir /run/www && head -c {SIZE} /dev/urandom >/run/www/file")
    both.server.run("sh", "-c", "cat >/run/nginx.conf", text=NGINX)
    serve(both, "mptcp_run", "nginx", "-c", "/run/nginx.conf", ready=LISTENING)
    return both


@pytest.fixture(scope="module")
def go() -> str:
    """A Go program that heeds GODEBUG."""
    try:
        return str(build_go("go-new"))
    except Unavailable as reason:
        pytest.skip(f"no Go: {reason}")


def run(lab: Lab, *command: str) -> Traffic:
    return watch(lab, "mptcp_run", *command)


def test_curl_and_nginx(web: Lab) -> None:
    plain = watch(web, "curl", "-sSo", "/dev/null", URL)
    assert plain.is_plain(), plain
    forced = run(web, "curl", "-sSo", "/dev/null", URL)
    assert forced.is_over_both() and forced.errors == "", forced


def test_python(web: Lab) -> None:
    forced = run(web, "python3", "-c", FETCH)
    assert forced.is_over_both() and forced.output == f"{SIZE}\n", forced


@pytest.mark.parametrize("first_line", ["#!/bin/sh\n", "#!/usr/bin/env bash\n", ""])
def test_a_shell_script_that_is_found_by_path(web: Lab, first_line: str) -> None:
    """The script's own program is the shell; what it starts inherits the method."""
    web.write("/usr/local/bin/fetch", f"{first_line}cd / && curl -sSo /dev/null \"$1\"; exit 0\n")
    web.client.run("chmod", "755", "/usr/local/bin/fetch")
    forced = run(web, "fetch", URL)
    assert forced.is_over_both(), forced


def test_iperf3(both: Lab) -> None:
    server = serve(both, "mptcp_run", "iperf3", "--server", "--one-off", "--port", "8080",
                   ready=LISTENING)
    forced = run(both, "iperf3", "--client", SERVER_4, "--port", "8080", "--bytes", str(SIZE))
    assert forced.is_over_both(), forced
    server.communicate(timeout=20)


def test_openssh(both: Lab, tmp_path: Path) -> None:
    key, host_key = tmp_path / "key", tmp_path / "host_key"
    for path in (key, host_key):
        both.client.run("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(path))
    both.server.run("mkdir", "-p", "/run/sshd")
    # An account without a password, not one that is locked.
    both.server.run("usermod", "--password", "*", "root")
    serve(both, "mptcp_run", "/usr/sbin/sshd", "-D", "-e", "-f", "/dev/null", "-p", "8080",
          "-o", f"HostKey={host_key}", "-o", f"AuthorizedKeysFile={key}.pub",
          "-o", "StrictModes=no", "-o", "UsePAM=no", ready=LISTENING)
    forced = run(both, "sh", "-c", f"{' '.join(SSH)} -i {key} root@{SERVER_4} "
                 f"head -c {SIZE} /dev/zero | wc -c")
    assert forced.is_over_both() and forced.output.strip() == str(SIZE), forced


def test_what_a_variable_had_stays(web: Lab) -> None:
    """Another library that the caller has loaded, as well as ours."""
    forced = watch(web, "env", "LD_PRELOAD=libm.so.6", "mptcp_run", "python3", "-c",
                   f"{FETCH}; print(open('/proc/self/maps').read().count('libm.so.6') > 0)")
    assert forced.is_over_both() and forced.output == f"{SIZE}\nTrue\n", forced


def test_check_counts_them(web: Lab) -> None:
    forced = run(web, "--check", "curl", "-sSo", "/dev/null", URL)
    assert forced.is_over_both(), forced
    said = re.fullmatch(r"mptcp_run: 1 connection, MPTCP, 2 subflows: (.*) (.*) MB, (.*) (.*) MB\n",
                        forced.errors)
    assert said and {said[1], said[3]} == {"eth0", "eth1"}, forced
    # All of the file but for what came after the last look, and nothing of what packets add.
    assert 0.9 * SIZE < 1e6 * (float(said[2]) + float(said[4])) < 1.1 * SIZE, forced


def test_check_of_what_is_not_forced(web: Lab) -> None:
    plain = run(web, "--method", "godebug", "--check", "curl", "-sSo", "/dev/null", URL)
    assert plain.status == 1 and not plain.connections
    assert plain.errors.splitlines() == [
        "mptcp_run: curl may go without Multipath TCP: godebug does nothing where /usr/bin/curl is "
        "dynamic and uses glibc",
        plain.errors.splitlines()[1]]
    assert plain.errors.splitlines()[1].startswith("mptcp_run: 1 connection, TCP: eth")


def test_check_of_a_server_that_is_without(both: Lab) -> None:
    both.server.run("mkdir", "-p", "/run/www")
    both.server.run("sh", "-c", f"head -c {SIZE} /dev/zero >/run/www/file")
    serve(both, sys.executable, "-m", "http.server", "--bind", SERVER_4, "--directory", "/run/www",
          "8080", ready="-tlnH sport = :8080")
    plain = run(both, "--check", "curl", "-sSo", "/dev/null", URL)
    assert plain.status == 1 and min(plain.uplinks) < SIZE / 20
    assert "1 connection, TCP, " in plain.errors and "; 1 fell back to plain TCP" in plain.errors


@pytest.mark.parametrize("setting", [(), ("env", "GODEBUG=gctrace=0,multipathtcp=0")])
def test_go(both: Lab, go: str, setting: tuple[str, ...]) -> None:
    """Client and server; what the caller said of it comes first, and the last one counts."""
    place = f"{SERVER_4}:8080"
    for command, over_both in (((go,), False), (("mptcp_run", go), True)):
        kind = LISTENING if over_both else LISTENING.replace("M", "t")
        server = serve(both, *setting, *command, "serve", place, ready=kind)
        client = watch(both, *setting, *command, "send", place, str(SIZE))
        server.communicate(timeout=20)
        assert client.output == f"{SIZE}\n"
        assert client.is_over_both() if over_both else client.is_plain(), client


@pytest.mark.parametrize("before", [(), ("setpriv", "--reuid=65534", "--clear-groups")])
def test_off(both: Lab, go: str, before: tuple[str, ...]) -> None:
    """Client and server that ask for it by themselves are without, by root and by a person."""
    place, asking = f"{SERVER_4}:8080", ("env", "GODEBUG=multipathtcp=1")
    for off in ((), ("mptcp_run", "--off"), ("mptcp_run", "--off", "--check")):
        receiver = both.begin_receiving()
        client = watch(both, *before, *asking, *off, go, "send", f"{SERVER_4}:5001", str(SIZE))
        receiver.communicate(timeout=20)
        assert client.is_plain() if off else client.is_over_both(), client
    assert client.errors.startswith("mptcp_run: 1 connection, TCP: eth"), client
    server = serve(both, *before, *asking, "mptcp_run", "--off", go, "serve", place,
                   ready=LISTENING.replace("M", "t"))
    both.client.run("mptcp_run", go, "send", place, "1000")
    server.communicate(timeout=20)


def test_off_takes_away_what_would_force(both: Lab) -> None:
    """mptcpize's library would not take TCP instead; what is open already is told."""
    ask = ("import socket, sys; one = socket.create_server(('', 0)); "
           "print(one.getsockopt(1, 38)); ")
    assert both.client.run("mptcp_run", "python3", "-c", ask) == "262\n"
    assert both.client.run("mptcp_run", "mptcp_run", "--off", "python3", "-c", ask) == "6\n"
    given = ask.replace("create_server(('', 0))", "socket(2, 1, 262)") + (
        "import os; os.dup2(one.fileno(), 7); "
        "os.execvp('mptcp_run', ['mptcp_run', '--off', 'true'])")
    done = both.client.try_run("python3", "-c", given)
    assert (done.returncode, done.stdout) == (0, "262\n")
    assert done.stderr.startswith("mptcp_run: descriptor 7 is an MPTCP socket, and stays one")


@pytest.mark.skipif(platform.machine() != "x86_64", reason="no other machine runs i386's")
def test_off_says_of_whom_it_cannot_keep_from_it(lab: Lab) -> None:
    """Of the program itself, and of what runs a script."""
    program = str(build_i386())
    lab.write("/run/script", f"#!{program}\n")
    lab.client.run("chmod", "+x", "/run/script")
    for command in (program, "/run/script"):
        done = lab.client.try_run("mptcp_run", "--off", command)
        assert done.returncode == 0 and done.stderr == (
            f"mptcp_run: {command} may use Multipath TCP anyway: i386 programs open sockets "
            "with socketcall(2), which a filter cannot inspect\n")
    assert lab.client.try_run("mptcp_run", "--off", "true").stderr == ""


def test_a_setuid_go_by_a_person(both: Lab, go: str) -> None:
    """Go heeds GODEBUG where a dynamic loader would forget LD_PRELOAD."""
    both.client.run("install", "--mode=4755", go, "/usr/local/bin/peer")
    receiver = both.begin_receiving()
    client = watch(both, "setpriv", "--reuid=65534", "--clear-groups", "mptcp_run", "peer",
                   "send", f"{SERVER_4}:5001", str(SIZE))
    receiver.communicate(timeout=20)
    assert client.is_over_both(), client


def test_a_static_program_goes_without_where_nothing_can(both: Lab) -> None:
    """As a person without root, whom bpf is closed to."""
    program = str(build_c(static=True))
    receiver = both.begin_receiving()
    client = watch(both, "setpriv", "--reuid=65534", "--clear-groups", "mptcp_run", program,
                   SERVER_4, "5001", str(SIZE))
    receiver.communicate(timeout=20)
    assert client.is_plain(), client
    assert client.errors == (f"mptcp_run: {program} goes without Multipath TCP: {program} is "
                             "static; bpf could, but it needs root\n")
