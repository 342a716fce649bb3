# SPDX-License-Identifier: GPL-2.0-or-later
"""mptcp_up and mptcp_down as people call them, on a machine in memory."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator

import pytest

from mptcp_hooks.base.errors import USAGE, Problem
from mptcp_hooks.engine import record
from mptcp_hooks.intent import ifupdown
from mptcp_hooks.intent.settings import NO_CONFIGURATION
from mptcp_hooks.updown import command
from mptcp_hooks.updown.check import CheckResult
from tests.unit.engine import Bench, open_bench

ETH0 = {"IFACE": "eth0", "ADDRFAM": "inet", "METHOD": "static", "IF_ADDRESS": "10.1.1.2",
        "IF_NETMASK": "24", "IF_GATEWAY": "10.1.1.1"}
ETH1 = ETH0 | {"IFACE": "eth1", "IF_ADDRESS": "10.1.2.2", "IF_GATEWAY": "10.1.2.1"}


class Person:
    """Someone who types commands, and what ifquery knows of the stanzas."""

    def __init__(self, bench: Bench, patch: pytest.MonkeyPatch) -> None:
        self.bench = bench
        self.patch = patch
        self.stanzas = {"eth0": [ETH0], "eth1": [ETH1]}
        self.up: list[str] = []

    def type(self, program: str, *arguments: str, **environment: str) -> int:
        """Run a command with this environment alone; its status."""
        self.bench.machine.ran.clear()
        self.patch.setattr(sys, "argv", [program, *arguments])
        self.patch.setattr(os, "environ", dict(environment))
        run = {"mptcp_up": command.run_mptcp_up, "mptcp_down": command.run_mptcp_down}[program]
        return run()

    def endpoints(self) -> list[str]:
        return [one.address for one in self.bench.machine.endpoints if one.identity != 7]


@pytest.fixture
def person(monkeypatch: pytest.MonkeyPatch) -> Iterator[Person]:
    with open_bench() as bench:
        made = Person(bench, monkeypatch)
        monkeypatch.setattr(record, "RECORD", str(bench.folder))
        monkeypatch.setattr(os, "geteuid", lambda: 0)
        monkeypatch.setattr(command, "Machine", lambda show=None: bench.machine)
        monkeypatch.setattr(command, "read_configuration", lambda: (NO_CONFIGURATION, []))
        monkeypatch.setattr(command, "list_up", lambda: list(made.up))
        for module in (command, ifupdown):
            monkeypatch.setattr(module, "ask_ifquery",
                                lambda iface, logical="": made.stanzas.get(iface, []))
        monkeypatch.setattr(command, "list_stated", lambda ifaces: {
            iface: iface for iface in ifaces if iface in made.stanzas})
        monkeypatch.setattr(command, "ask_events", lambda iface: [])
        yield made


def test_up_and_down_of_a_stanza(person: Person) -> None:
    before = person.bench.machine.snapshot()
    assert person.type("mptcp_up", "eth1") == 0 and person.endpoints() == ["10.1.2.2"]
    assert person.type("mptcp_down", "eth1") == 0
    assert person.bench.machine.snapshot() == before


def test_without_arguments_the_environment_names_the_interface(person: Person) -> None:
    person.stanzas.clear()
    assert person.type("mptcp_up", **ETH1) == 0 and person.endpoints() == ["10.1.2.2"]
    assert person.type("mptcp_down", IFACE="eth1") == 0 and person.endpoints() == []


def test_options_without_an_iface_are_those_of_the_one_that_is_named(person: Person) -> None:
    person.stanzas.clear()
    options = {name: value for name, value in ETH1.items() if name != "IFACE"}
    assert person.type("mptcp_up", "eth1", **options, IF_MPTCP_FLAGS="subflow backup") == 0
    assert [one.flags for one in person.bench.machine.endpoints if one.identity != 7] == [
        ("subflow", "backup")]


def test_a_dry_run_prints_the_commands_and_changes_nothing(
    person: Person, capsys: pytest.CaptureFixture[str]
) -> None:
    before = person.bench.machine.snapshot()
    person.patch.setattr(os, "geteuid", lambda: 1000)
    assert person.type("mptcp_up", "--dry-run", "eth1") == 0
    shown = capsys.readouterr().out.splitlines()
    assert "ip mptcp endpoint add 10.1.2.2 dev eth1 subflow" in shown
    assert person.bench.machine.snapshot() == before and person.bench.machine.ran == []
    # What was printed is what is run.
    person.patch.setattr(os, "geteuid", lambda: 0)
    person.type("mptcp_up", "eth1")
    assert person.bench.machine.shown == shown


@pytest.mark.parametrize("program", ["mptcp_up", "mptcp_down"])
def test_it_takes_root(person: Person, program: str) -> None:
    person.patch.setattr(os, "geteuid", lambda: 1000)
    with pytest.raises(Problem, match="must be root"):
        person.type(program, "eth1")
    assert person.bench.machine.ran == []


@pytest.mark.parametrize("arguments, words", [
    ((), "name interfaces, or give --all"), (("--all", "eth1"), "name interfaces, or give --all"),
    (("--al",), "unrecognized arguments: --al"),
])
def test_wrong_usage(
    person: Person, capsys: pytest.CaptureFixture[str], arguments: tuple[str, ...], words: str
) -> None:
    with pytest.raises(SystemExit) as end:
        person.type("mptcp_up", *arguments)
    assert end.value.code == USAGE and words in capsys.readouterr().err


def test_a_name_that_is_none(person: Person) -> None:
    with pytest.raises(Problem) as raised:
        person.type("mptcp_up", "eth1", "../etc")
    assert raised.value.status == USAGE and person.endpoints() == []


def test_one_wrong_stanza_does_not_cost_the_others(
    person: Person, capsys: pytest.CaptureFixture[str]
) -> None:
    person.stanzas["eth0"] = [ETH0 | {"IF_MPTCP_TABLE": "main"}]
    assert person.type("mptcp_up", "eth0", "eth1") == USAGE
    assert person.endpoints() == ["10.1.2.2"]
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("mptcp_up: eth0: mptcp-table 'main' is wrong")


def test_what_fails_is_said_and_is_the_status(
    person: Person, capsys: pytest.CaptureFixture[str]
) -> None:
    person.bench.machine.take_address("eth1", "10.1.2.2")
    assert person.type("mptcp_up", "eth1") == 1
    assert "mptcp_up: eth1: ip -4 route" in capsys.readouterr().err


def test_what_is_on_record_counts_where_nobody_tells_of_a_stanza(person: Person) -> None:
    person.type("mptcp_up", "eth1")
    person.type("mptcp_down", "eth1")
    person.stanzas.clear()
    assert person.type("mptcp_up", "eth1") == 0 and person.endpoints() == ["10.1.2.2"]


def test_all_is_what_is_on_record_and_what_ifupdown_has_up(
    person: Person, capsys: pytest.CaptureFixture[str]
) -> None:
    person.type("mptcp_up", "eth1")
    person.type("mptcp_down", "--all")
    person.up = ["lo", "eth0", "eth1"]
    assert person.type("mptcp_up", "--all") == 0
    assert sorted(person.endpoints()) == ["10.1.1.2", "10.1.2.2"]
    assert capsys.readouterr().err == ""
    assert person.type("mptcp_down", "--all") == 0 and person.endpoints() == []


def test_verbose_says_what_is_left_alone(
    person: Person, capsys: pytest.CaptureFixture[str]
) -> None:
    person.stanzas["eth1"] = [ETH1 | {"IF_MPTCP": "off"}]
    assert person.type("mptcp_up", "-v", "eth1") == 0
    assert "mptcp_up: eth1: left alone" in capsys.readouterr().err


@pytest.mark.parametrize("problems, status", [((), 0), ((Problem("FILE:3: wrong", USAGE),), USAGE)])
def test_check(
    person: Person, capsys: pytest.CaptureFixture[str], problems: tuple[Problem, ...], status: int
) -> None:
    asked: list[list[str]] = []

    def check(ifaces: list[str]) -> CheckResult:
        asked.append(ifaces)
        return CheckResult(problems, ("eth0: a note",), ("checked FILE",))

    person.patch.setattr(command, "check_all", check)
    assert person.type("mptcp_up", "--check", "eth1") == status
    assert person.type("mptcp_up", "--check", "-v") == status
    wrong = ["mptcp_up: eth0: a note", *(f"mptcp_up: {problem}" for problem in problems)]
    assert capsys.readouterr().err.splitlines() == [*wrong, "mptcp_up: checked FILE", *wrong]
    assert asked == [["eth1"], []] and person.bench.machine.ran == []
