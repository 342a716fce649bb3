# SPDX-License-Identifier: GPL-2.0-or-later
"""mptcp_run --enable, --disable and --list, by a real systemd; what bpf does is in test_run_bpf."""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest

from tests.lab.support.booted import SYSTEMD, WITHOUT, BootedHost
from tests.lab.support.forced import bring_up
from tests.lab.support.lab import SERVER_4, Lab
from tests.lab.support.making import MakeLab
from tests.lab.support.peers.build import build_go
from tests.lab.support.waiting import wait_for
from tests.virtual.archive import Unavailable

WEB = """\
[Unit]
Description=Web server of the test

[Service]
Environment=FIRST=1
Environment="SECOND=two words" GODEBUG=gctrace=0
EnvironmentFile=-/etc/default/web
ExecStart=/usr/bin/python3 /usr/local/lib/serve
DynamicUser=yes
"""
SERVE = """\
import socket
listener = socket.create_server(("10.1.1.2", 8080))
connections = []
while True:
    connections.append(listener.accept())
"""
GO = """\
[Service]
Environment=GODEBUG=gctrace=0
ExecStart={program} serve 10.1.1.2:8080
"""
PATH = "/usr/lib/systemd/system/{name}.service"
DROP_IN = "/etc/systemd/system/{name}.service.d/mptcp-hooks.conf"


@pytest.fixture(scope="module")
def booted(make_shared_lab: MakeLab) -> Lab:
    """A client with systemd and two uplinks."""
    lab = make_shared_lab(*SYSTEMD, "mptcpize", without=WITHOUT, client=BootedHost)
    lab.write("/usr/local/lib/serve", SERVE)
    return bring_up(lab)


@pytest.fixture
def web(booted: Lab) -> Iterator[Lab]:
    """A vendor's unit, which runs."""
    install(booted, "web", WEB)
    yield booted
    booted.client.try_run("mptcp_run", "--disable", "web")
    booted.client.run("sh", "-c", "systemctl stop web; rm -f /etc/default/web; "
                      f"rm {PATH.format(name='web')}; systemctl daemon-reload")


def install(lab: Lab, name: str, text: str) -> None:
    lab.write(PATH.format(name=name), text)
    lab.client.run("systemctl", "daemon-reload")
    restart(lab, name)


def restart(lab: Lab, name: str) -> None:
    lab.client.run("systemctl", "restart", name)
    wait_for(lambda: lab.client.run("ss", "-tlnH", "sport", "=", ":8080"))


def is_mptcp(lab: Lab) -> bool:
    """Whether the server listens for MPTCP."""
    return bool(lab.client.run("ss", "-MlnH", "sport", "=", ":8080"))


def read_environment(lab: Lab, name: str) -> set[str]:
    pid = lab.client.run("systemctl", "show", name, "--value", "--property=MainPID").strip()
    return set(lab.read(f"/proc/{pid}/environ").split("\0"))


def test_a_service_from_its_next_start_on_and_back(web: Lab) -> None:
    before = read_environment(web, "web")
    assert web.client.run("mptcp_run", "--list") == "" and not is_mptcp(web)
    assert web.client.run("mptcp_run", "--enable", "web") == (
        "web.service: mptcpize, from its next start on (systemctl restart web.service)\n")
    assert not is_mptcp(web)
    restart(web, "web")
    assert is_mptcp(web)
    assert web.read(PATH.format(name="web")) == WEB
    (added,) = {one for one in read_environment(web, "web") - before if "LD_PRELOAD" in one}
    assert added.startswith("LD_PRELOAD=/usr/lib/") and added.endswith("/libmptcpwrap.so.0")
    kept = {"FIRST=1", "SECOND=two words", "GODEBUG=gctrace=0"}
    assert kept <= read_environment(web, "web")
    assert web.client.run("mptcp_run", "--list") == "web.service  mptcpize\n"
    assert "web.service: as it was" in web.client.run("mptcp_run", "--disable", "web.service")
    restart(web, "web")
    assert not is_mptcp(web) and web.client.run("mptcp_run", "--list") == ""
    folder = DROP_IN.format(name="web").rpartition("/")[0]
    assert web.client.try_run("ls", folder).returncode != 0


def test_several_at_once_and_what_is_wrong_costs_itself_alone(web: Lab) -> None:
    install(web, "other", WEB.replace("serve", "none"))
    done = web.client.try_run("mptcp_run", "--enable", "web", "nosuch", "other", "--method", "bpf",
                              "basic.target", "web")
    assert (done.returncode, done.stdout) == (2, "")
    done = web.client.try_run("mptcp_run", "--enable", "web", "nosuch", "other", "web")
    assert (done.returncode, done.stderr) == (
        2, "mptcp_run: nosuch.service: systemd knows no such unit\n")
    assert [line.partition(":")[0] for line in done.stdout.splitlines()] == [
        "web.service", "other.service"]
    assert web.client.run("mptcp_run", "--list").split() == [
        "other.service", "mptcpize", "web.service", "mptcpize"]
    web.client.run("mptcp_run", "--disable", "web", "other")
    assert web.client.run("mptcp_run", "--list") == ""


def test_twice_is_once(web: Lab) -> None:
    web.client.run("mptcp_run", "--enable", "web")
    once = web.read(DROP_IN.format(name="web"))
    web.client.run("mptcp_run", "--enable", "web")
    assert web.read(DROP_IN.format(name="web")) == once


def test_go_keeps_its_other_settings(booted: Lab) -> None:
    try:
        program = build_go("go-new")
    except Unavailable as reason:
        pytest.skip(f"no Go: {reason}")
    install(booted, "peer", GO.format(program=program))
    assert not is_mptcp(booted)
    assert "peer.service: godebug" in booted.client.run("mptcp_run", "--enable", "peer")
    restart(booted, "peer")
    assert is_mptcp(booted)
    assert "GODEBUG=gctrace=0,multipathtcp=1" in read_environment(booted, "peer")
    booted.client.run("mptcp_run", "--disable", "peer")
    booted.client.run("systemctl", "stop", "peer")


def test_a_file_that_has_the_last_word(web: Lab) -> None:
    web.write("/etc/default/web", "LD_PRELOAD=/usr/lib/libother.so\n")
    done = web.client.try_run("mptcp_run", "--enable", "web")
    assert done.returncode == 1 and "\n" not in done.stderr.strip()
    assert done.stderr.startswith("mptcp_run: web.service: /etc/default/web sets LD_PRELOAD, which "
                                  "a drop-in cannot add to: add /usr/lib/")
    assert web.client.run("mptcp_run", "--list") == ""


def test_what_the_vendor_adds_later_is_taken_in(web: Lab) -> None:
    web.client.run("mptcp_run", "--enable", "web")
    web.write(PATH.format(name="web"), WEB + "Environment=LD_PRELOAD=libdl.so.2\n")
    web.client.run("systemctl", "daemon-reload")
    web.client.run("mptcp_run", "--enable", "web")
    restart(web, "web")
    assert is_mptcp(web)
    assert any(one.startswith("LD_PRELOAD=libdl.so.2:/usr/lib/")
               for one in read_environment(web, "web"))


def test_a_refusal_leaves_what_was_enabled(web: Lab) -> None:
    web.client.run("mptcp_run", "--enable", "web")
    web.write("/etc/default/web", " LD_PRELOAD = /usr/lib/libother.so\n")
    assert web.client.try_run("mptcp_run", "--enable", "web").returncode == 1
    assert web.client.run("mptcp_run", "--list") == "web.service  mptcpize\n"
    assert "libmptcpwrap" in web.client.run("systemctl", "show", "-p", "Environment", "web")


@pytest.mark.parametrize("text", ["Environment=", "UnsetEnvironment=LD_PRELOAD"])
def test_another_drop_in_that_takes_it_away_is_said(web: Lab, text: str) -> None:
    path = "/etc/systemd/system/web.service.d/override.conf"
    web.write(path, f"[Service]\n{text}\n")
    done = web.client.try_run("mptcp_run", "--enable", "web")
    web.client.run("rm", path)
    assert done.returncode == 0 and "takes LD_PRELOAD away again" in done.stderr


def test_a_method_that_does_nothing_is_said(web: Lab) -> None:
    done = web.client.try_run("mptcp_run", "--method", "godebug", "--enable", "web")
    assert done.returncode == 0 and "godebug does nothing where /usr/bin/python3" in done.stderr


@pytest.mark.parametrize(("arguments", "status", "words"), [
    (("--enable", "nosuch"), 2, "nosuch.service: systemd knows no such unit"),
    (("--disable", "nosuch"), 2, "nosuch.service: systemd knows no such unit"),
    (("--enable", "basic.target"), 2, "basic.target: it must be the name of a service"),
    (("--enable", "../../etc/x"), 2, "../../etc/x: it must be the name of a service"),
    (("--disable", "web"), 0, "web.service: was not enabled"),
])
def test_what_is_said(web: Lab, arguments: tuple[str, ...], status: int, words: str) -> None:
    done = web.client.try_run("mptcp_run", *arguments)
    assert done.returncode == status
    assert done.stderr.startswith(f"mptcp_run: {words}") and len(done.stderr.splitlines()) == 1
    assert web.client.run("mptcp_run", "--list") == ""


def test_a_unit_whose_program_is_not_there(booted: Lab) -> None:
    booted.write(PATH.format(name="lost"), "[Service]\nExecStart=/nowhere/lost\n")
    booted.client.run("systemctl", "daemon-reload")
    done = booted.client.try_run("mptcp_run", "--enable", "lost")
    assert (done.returncode, done.stderr) == (
        1, "mptcp_run: lost.service: /nowhere/lost: command not found\n")


def test_without_root_nothing_changes(web: Lab) -> None:
    done = web.client.try_run("setpriv", "--reuid=65534", "--clear-groups", "mptcp_run",
                              "--enable", "web")
    assert (done.returncode, done.stderr) == (1, "mptcp_run: must be root\n")


def test_a_socket_of_systemds_stays_tcp(web: Lab) -> None:
    web.write("/etc/systemd/system/web.socket", "[Socket]\nListenStream=9999\n")
    web.client.run("sh", "-c", "systemctl daemon-reload; systemctl stop web; "
                   "systemctl start web.socket")
    done = web.client.try_run("mptcp_run", "--enable", "web")
    assert done.returncode == 0 and "by web.socket: if that is TCP" in done.stderr
    web.client.run("sh", "-c", "systemctl stop web.socket; rm /etc/systemd/system/web.socket")


def test_a_service_is_a_candidate_until_it_is_enabled(web: Lab) -> None:
    """A client of it keeps a plain connection open; the service is who could do better."""
    client = web.server.start("python3", "-c", "import signal, socket; c = socket.create_"
                              "connection(('10.1.1.2', 8080)); signal.pause()")
    wait_for(lambda: web.client.run("ss", "-tnH", "state", "established", "sport", "=", ":8080"))

    def ask() -> list[dict[str, object]]:
        found: list[dict[str, object]] = json.loads(
            web.client.run("mptcp_status", "--candidates", "--json"))["candidates"]
        return [one for one in found if one["unit"] == "web.service"]

    (candidate,) = ask()
    assert candidate["command"] == "mptcp_run --enable web.service"
    assert (candidate["interfaces"], candidate["method"]) == (["eth0"], "mptcpize")
    line = web.client.run("mptcp_status", "--candidates").splitlines()[-1]
    assert line.endswith(": 1 connection over eth0 => mptcp_run --enable web.service")
    web.client.run(*str(candidate["command"]).split())
    restart(web, "web")
    assert ask() == []
    client.kill()
    person = ("setpriv", "--reuid=65534", "--clear-groups")
    seen = web.client.run(*person, "mptcp_status", "--candidates").splitlines()
    assert seen[-1] == "not seen: the programs of others, which root sees"


def test_a_command_is_a_candidate_unless_it_is_forced(booted: Lab) -> None:
    code = (f"import os, signal, socket; c = socket.create_connection(('{SERVER_4}', 7777)); "
            "print(os.getpid(), flush=True); signal.pause()")
    server = booted.server.start("python3", "-c", "import signal, socket; l = socket.socket(2, "
                                 "1, 262); l.bind(('', 7777)); l.listen(); signal.pause()")
    wait_for(lambda: booted.server.run("ss", "-MlnH", "sport", "=", ":7777"))

    def look(*before: str) -> tuple[list[dict[str, object]], list[dict[str, object]]]:
        """Candidates and connections while a client runs."""
        client = booted.client.start(*before, "/usr/bin/python3", "-c", code)
        assert client.stdout is not None
        pid = client.stdout.readline().strip()
        answer = json.loads(booted.client.run("mptcp_status", "--candidates", "--json"))
        booted.client.run("kill", "-KILL", pid)
        client.communicate(timeout=20)
        return answer["candidates"], answer["connections"]

    (candidate,), none = look()
    assert none == [] and candidate["method"] == "mptcpize" and candidate["unit"] is None
    assert str(candidate["command"]).startswith("mptcp_run /usr/bin/python3 -c 'import os")
    assert str(candidate["program"]).startswith("/usr/bin/python3")
    nobody, (connection,) = look("mptcp_run")
    assert nobody == []
    assert [process["name"] for process in connection["processes"]] == ["python3"]  # type: ignore
    server.kill()


def test_nothing_is_left_when_the_package_goes(web: Lab) -> None:
    """Stands last: the host, from which the package is gone then, is that of all tests here."""
    web.client.run("mptcp_run", "--enable", "web")
    web.client.run("dpkg", "--remove", "mptcp-hooks")
    assert web.client.try_run("ls", DROP_IN.format(name="web")).returncode != 0
    restart(web, "web")
    assert not is_mptcp(web)
