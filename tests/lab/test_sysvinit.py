# SPDX-License-Identifier: GPL-2.0-or-later
"""Without systemd, by a real sysvinit: what starts at the boot, what follows, and what is said."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.lab.support.lab import TWO_UPLINKS, Lab
from tests.lab.support.making import MakeLab
from tests.lab.support.package import make_newer
from tests.lab.support.paths import BOTH, check_both_paths, plug, pull
from tests.lab.support.sysv import SYSVINIT, SysvHost
from tests.lab.support.waiting import wait_for

PROGRAMS = ("mptcp_monitor", "mptcp_check")


@pytest.fixture
def booted(make_lab: MakeLab) -> Lab:
    return make_lab(*SYSVINIT, client=SysvHost)


def ask(lab: Lab, verb: str) -> int:
    return lab.client.try_run("service", "mptcp-hooks", verb).returncode


def list_running(lab: Lab) -> list[str]:
    """The processes of the client that are ours, by their files of process ids."""
    return [name for name in PROGRAMS
            if lab.client.try_run("sh", "-c", f"kill -0 $(cat /run/{name}.pid)").returncode == 0]


def test_a_cable_that_is_pulled_takes_its_endpoint_and_syslog_has_it(booted: Lab) -> None:
    booted.set_interfaces(TWO_UPLINKS)
    booted.client.run("service", "networking", "restart")
    wait_for(lambda: booted.endpoints() == BOTH)
    pull(booted, 1)
    wait_for(lambda: booted.endpoints() == BOTH[:1])
    # Of a cable that is back before the round is over nothing need be said.
    said = wait_for(lambda: [line for line in list_said(booted) if line.startswith("eth1: ")])
    assert "endpoint taken away" in said[0], said
    assert any(line.startswith("[#] ip mptcp endpoint delete ") for line in list_said(booted))
    plug(booted, 1)
    wait_for(lambda: booted.endpoints() == BOTH)
    check_both_paths(booted)


def list_said(lab: Lab) -> list[str]:
    """What syslog has of the monitor."""
    return [line.partition("mptcp_monitor")[2].partition(": ")[2]
            for line in lab.client.run("logread").splitlines() if "mptcp_monitor" in line]


def test_what_the_configuration_names_is_set_up_after_a_reload(booted: Lab) -> None:
    for number in (1, 2):
        booted.client.ip(f"link set eth{number - 1} up",
                         f"addr add 10.1.{number}.2/24 dev eth{number - 1}",
                         f"route add default via 10.1.{number}.1 dev eth{number - 1} "
                         f"metric {number}00")
    booted.write("/etc/mptcp-hooks/mptcp-hooks.conf", "[default]\nmanage = eth*\n")
    assert ask(booted, "reload") == 0
    wait_for(lambda: booted.endpoints() == BOTH)


def test_the_script_starts_each_program_once_and_stops_it(booted: Lab) -> None:
    assert (ask(booted, "status"), list_running(booted)) == (0, list(PROGRAMS))
    first = booted.read("/run/mptcp_monitor.pid")
    assert ask(booted, "start") == 0 and booted.read("/run/mptcp_monitor.pid") == first
    assert ask(booted, "restart") == 0 and booted.read("/run/mptcp_monitor.pid") != first
    # At once: the programs cannot hear a signal yet.
    assert ask(booted, "reload") == 0 and list_running(booted) == list(PROGRAMS)
    assert ask(booted, "stop") == 0 and list_running(booted) == []
    assert (ask(booted, "status"), ask(booted, "reload")) == (3, 1)
    assert ask(booted, "stop") == ask(booted, "start") == 0
    booted.client.run("dpkg", "--remove", "mptcp-hooks")
    assert list_running(booted) == []
    booted.client.run("dpkg", "--purge", "mptcp-hooks")
    assert booted.client.run("find", "/etc", "/run", "-name", "*mptcp*") == ""


def test_an_upgrade_starts_both_anew_and_keeps_what_is_up(
    booted: Lab, deb: str, tmp_path: Path
) -> None:
    booted.set_interfaces(TWO_UPLINKS)
    booted.client.run("service", "networking", "restart")
    wait_for(lambda: booted.endpoints() == BOTH)
    full, first = booted.snapshot(), booted.read("/run/mptcp_monitor.pid")
    booted.client.run("dpkg", "--install", make_newer(deb, tmp_path))
    assert booted.read("/run/mptcp_monitor.pid") != first
    assert list_running(booted) == list(PROGRAMS) and booted.snapshot() == full
    booted.client.run("dpkg", "--purge", "mptcp-hooks")
    assert list_running(booted) == [] and booted.endpoints() == booted.rules() == []


def test_a_stranger_that_has_the_number_by_now_is_left_alone(booted: Lab) -> None:
    """Nothing removes the file of a monitor that was killed, and its number can be used again."""
    noted = "/run/mptcp_monitor.pid"
    booted.client.run("sh", "-c", f"kill -KILL $(cat {noted})")
    wait_for(lambda: list_running(booted) == ["mptcp_check"])
    stranger = booted.client.start("sh", "-c", "echo $$; exec sleep 600")
    assert stranger.stdout is not None
    number = stranger.stdout.readline()
    booted.write(noted, number)
    assert ask(booted, "status") != 0 and ask(booted, "reload") != 0
    assert ask(booted, "start") == 0 and booted.read(noted) != number
    assert list_running(booted) == list(PROGRAMS) and stranger.poll() is None
    booted.write(noted, number)
    ask(booted, "stop")
    assert stranger.poll() is None


def test_mptcp_run_says_what_enabling_a_service_needs(booted: Lab) -> None:
    done = booted.client.try_run("mptcp_run", "--enable", "ssh")
    assert (done.returncode, done.stderr) == (
        1, "mptcp_run: this needs systemd, which does not run this machine: have the service's own "
        "script start its program by mptcp_run\n")
