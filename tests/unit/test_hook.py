# SPDX-License-Identifier: GPL-2.0-or-later
"""What managers start, without a manager: each folder's act, on a machine in memory."""

from __future__ import annotations

import os
import posix
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

from mptcp_hooks import hook
from mptcp_hooks.base import folder, report, spawn
from mptcp_hooks.base.errors import Problem
from mptcp_hooks.base.model import Role, Tunnel
from mptcp_hooks.engine import record
from mptcp_hooks.engine.commands import build_end_of_name, build_name
from mptcp_hooks.engine.detours import settle_detours
from mptcp_hooks.engine.name_record import Name, save_names
from mptcp_hooks.intent import configuration
from mptcp_hooks.machine import claim, runner, system
from tests.unit.engine import Bench, open_bench
from tests.unit.memory import Killed, MemoryMachine, kill_at

ETH1 = {"IFACE": "eth1", "ADDRFAM": "inet", "METHOD": "static", "IF_ADDRESS": "10.1.2.2",
        "IF_NETMASK": "24", "IF_GATEWAY": "10.1.2.1"}
NETWORK, PPP = "/etc/network", "/etc/ppp"
LEASE = "/usr/share/mptcp-hooks/hooks/mptcp_lease"


class Door(NamedTuple):
    """A bench behind the hooks, what they said, and how to call one."""

    bench: Bench
    said: list[str]
    patch: pytest.MonkeyPatch

    def call(self, path: str, environment: dict[str, str]) -> None:
        """Have a manager run the hook; nothing may come out of it."""
        self.patch.setattr(posix, "environ", {
            name.encode(): value.encode() for name, value in environment.items()})
        hook.run_hook(path)


@pytest.fixture
def door(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Door]:
    said: list[str] = []
    with open_bench() as bench:
        for module in (folder, record):
            monkeypatch.setattr(module, "RECORD", str(bench.folder))
        monkeypatch.setattr(folder, "OWN", str(tmp_path))
        monkeypatch.setattr(configuration, "PATH", str(tmp_path / folder.CONFIGURATION))
        monkeypatch.setattr(system, "Machine", lambda show, batch: bench.machine)
        monkeypatch.setattr(runner, "Kernel", lambda show, batch: bench.machine)
        monkeypatch.setattr(system, "wait_for_duplicate_check", lambda device, addresses: set())
        monkeypatch.setattr(spawn, "start_batch_ahead", lambda option, force: None)
        monkeypatch.setattr(report, "say_and_log",
                            lambda program, text: said.append(f"{program}: {text}"))
        yield Door(bench, said, monkeypatch)


def test_a_stanza_comes_leaves_and_is_gone(door: Door) -> None:
    before = door.bench.machine.snapshot()
    door.call(f"{NETWORK}/if-up.d/mptcp_up", ETH1)
    routed = door.bench.machine.snapshot()
    assert ("10.1.2.2", 3, ("subflow",)) in routed.endpoints
    door.call(f"{NETWORK}/if-down.d/mptcp_down", ETH1)
    assert door.bench.machine.snapshot() == routed._replace(
        endpoints=before.endpoints, limits=before.limits)
    door.call(f"{NETWORK}/if-post-down.d/mptcp_down", ETH1)
    assert door.bench.machine.snapshot() == before
    assert door.said == []


@pytest.mark.parametrize("changes", [
    {"IFACE": "lo", "METHOD": "loopback"}, {"IFACE": "--all", "ADDRFAM": "meta"},
    {"IFACE": "docker0", "IF_GATEWAY": ""}, {"IF_MPTCP": "off"},
])
def test_what_is_not_ours_does_nothing(door: Door, changes: dict[str, str]) -> None:
    before = door.bench.machine.snapshot()
    for place in ("if-up.d/mptcp_up", "if-down.d/mptcp_down", "if-post-down.d/mptcp_down"):
        door.call(f"{NETWORK}/{place}", ETH1 | changes)
    assert door.bench.machine.snapshot() == before
    assert not door.bench.folder.exists() and door.said == []


def test_a_wrong_value_is_one_line(door: Door) -> None:
    door.call(f"{NETWORK}/if-up.d/mptcp_up", ETH1 | {"IF_GATEWAY": "nowhere"})
    (line,) = door.said
    assert line.startswith("mptcp_up: eth1: gateway 'nowhere' is wrong")


@pytest.mark.parametrize("error, words", [
    (Problem("eth1: too bad"), "mptcp_up: eth1: too bad"),
    (ZeroDivisionError("of ours"), "mptcp_up: eth1: unexpected ZeroDivisionError at "),
])
def test_no_error_leaves_a_hook(door: Door, error: Exception, words: str) -> None:
    def fail(show: object, batch: object) -> None:
        raise error

    door.patch.setattr(system, "Machine", fail)
    door.call(f"{NETWORK}/if-up.d/mptcp_up", ETH1)
    (line,) = door.said
    assert line.startswith(words)


def test_the_configuration_counts_and_what_is_wrong_in_it_is_said(door: Door) -> None:
    Path(configuration.PATH).write_text("[eth1]\nflags = subflow backup\nnonsense = 1\n")
    door.call(f"{NETWORK}/if-up.d/mptcp_up", ETH1)
    assert ("10.1.2.2", 3, ("subflow", "backup")) in door.bench.machine.snapshot().endpoints
    assert ["nonsense" in line for line in door.said] == [True]


def test_a_lease_is_noted_and_applied(door: Door) -> None:
    door.call(f"{NETWORK}/if-up.d/mptcp_up", {"IFACE": "eth1", "ADDRFAM": "inet", "METHOD": "dhcp"})
    door.call(LEASE, {"interface": "eth1", "reason": "PREINIT"})
    assert len(door.bench.machine.endpoints) == 1
    door.call(LEASE, {
        "interface": "eth1", "reason": "BOUND", "new_ip_address": "10.1.2.2",
        "new_routers": "10.1.2.1"})
    assert len(door.bench.machine.endpoints) == 2 and door.said == []


def test_a_ppp_link_comes_and_hangs_up(door: Door) -> None:
    before = door.bench.machine.snapshot()
    device = door.bench.machine.devices["eth1"]
    door.bench.machine.devices["ppp0"] = device._replace(
        ifindex=9, link=device.link._replace(point_to_point=True),
        addresses=(device.addresses[0]._replace(address="10.64.0.2", length=32,
                                                peer="10.64.0.1"),))
    for number in ("", "v6"):
        door.call(f"{PPP}/ip{number}-up.d/mptcp_up", {"PPP_IFACE": "ppp0"})
    assert ("10.64.0.2", 9, ("subflow",)) in door.bench.machine.snapshot().endpoints
    for number in ("", "v6"):
        door.call(f"{PPP}/ip{number}-down.d/mptcp_down", {"PPP_IFACE": "ppp0"})
    assert door.bench.machine.snapshot() == before and door.said == []


def test_verbose_shows_each_command(door: Door) -> None:
    shown: list[object] = []

    def make(show: object, batch: object) -> MemoryMachine:
        shown.append(show)
        return door.bench.machine

    door.patch.setattr(system, "Machine", make)
    door.call(f"{NETWORK}/if-up.d/mptcp_up", ETH1)
    door.call(f"{NETWORK}/if-up.d/mptcp_up", ETH1 | {"VERBOSITY": "1"})
    assert shown == [None, report.show_command]


def _lead(bench: Bench) -> None:
    """Make all that a monitor makes, which is gone by then."""
    with bench.open_store() as store:
        rule = Name(4, "", down=build_end_of_name(Name(4, "")))
        save_names(store.folder, (rule,))
        assert bench.machine.runner.apply_sets([build_name(rule)]) == []
        assert settle_detours(store, bench.machine, {4: 20003, 6: 0}) == []
        store.save_roles((Role("10.1.2.2", "slow"),))
        store.save_tunnels((Tunnel(4, "tun0"),))
        store.save_front(5000)


# Each takes the last path away.
_ENDS = {
    "down": (f"{NETWORK}/if-post-down.d/mptcp_down", ETH1),
    "off": (f"{NETWORK}/if-up.d/mptcp_up", ETH1 | {"IF_MPTCP": "off"}),
}


@pytest.mark.parametrize("end", list(_ENDS))
def test_who_is_killed_on_the_last_path_leaves_what_a_monitor_made_to_the_next(
    door: Door, end: str
) -> None:
    bench = door.bench
    before = bench.machine.snapshot()
    line = 0
    while not _is_through(door, end, line):
        door.call(*_ENDS[end])
        assert bench.machine.snapshot() == before
        assert os.listdir(bench.folder) == [".lock"]
        line += 1
    # Those of a path, and four of what a monitor made.
    assert line > 10 and door.said == []


def _is_through(door: Door, end: str, line: int) -> bool:
    """Have the last path go, and all end before a line; whether there were not so many lines."""
    door.call(f"{NETWORK}/if-up.d/mptcp_up", ETH1)
    _lead(door.bench)
    door.bench.machine.obstacle = kill_at(line)
    try:
        door.call(*_ENDS[end])
    except Killed:
        return False
    finally:
        door.bench.machine.obstacle = lambda line: ""
    return True


@pytest.mark.parametrize("line", [
    "rule del pref 32767 unreachable protocol 77", "rule del pref 32765 lookup 20003 protocol 77",
    "rule del pref 32765 lookup 20000 protocol 77"])
@pytest.mark.parametrize(("place", "environment"), [
    (f"{NETWORK}/if-post-down.d/mptcp_down", {"IFACE": "docker0"}),
    (f"{PPP}/ip-down.d/mptcp_down", {"PPP_IFACE": "ppp0"}),
])
def test_what_a_monitor_made_and_could_not_be_taken_away_goes_when_any_interface_does(
    door: Door, place: str, environment: dict[str, str], line: str
) -> None:
    before = door.bench.machine.snapshot()
    door.call(f"{NETWORK}/if-up.d/mptcp_up", ETH1)
    _lead(door.bench)
    door.bench.machine.obstacle = lambda given: "Error: Busy." if given == line else ""
    door.call(*_ENDS["down"])
    (said,) = door.said
    assert said.endswith("Busy")
    assert door.bench.list_recorded() == [] and door.bench.machine.snapshot() != before
    door.bench.machine.obstacle = lambda given: ""
    door.call(place, environment)
    assert door.bench.machine.snapshot() == before and len(door.said) == 1


def test_what_a_monitor_keeps_without_a_path_is_left_to_it(door: Door) -> None:
    door.patch.setattr(claim, "is_claimed", lambda: True)
    before = door.bench.machine.snapshot()
    door.call(f"{NETWORK}/if-up.d/mptcp_up", ETH1)
    _lead(door.bench)
    door.call(*_ENDS["down"])
    kept = door.bench.machine.snapshot()
    assert len(kept.rules) == len(before.rules) + 1
    door.call(f"{NETWORK}/if-post-down.d/mptcp_down", {"IFACE": "docker0"})
    assert door.bench.machine.snapshot() == kept
    # One that was killed has nobody take it away but the next hook.
    door.patch.setattr(claim, "is_claimed", lambda: False)
    door.call(f"{NETWORK}/if-post-down.d/mptcp_down", {"IFACE": "docker0"})
    assert door.bench.machine.snapshot() == before and door.said == []
