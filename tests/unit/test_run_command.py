# SPDX-License-Identifier: GPL-2.0-or-later
"""mptcp_run's own part: which method is taken for a command, what is said, and what is started."""

from __future__ import annotations

from argparse import Namespace
from collections.abc import Callable

import pytest

from mptcp_hooks.base.errors import Problem
from mptcp_hooks.force.means import Means
from mptcp_hooks.force.methods import Choice
from mptcp_hooks.force.program import NOT_EXECUTABLE, NOT_FOUND, Program
from mptcp_hooks.run import command, units, watch_command
from mptcp_hooks.run.command import run_mptcp_run
from tests.unit.forced_programs import ALL, BARE, DYNAMIC, GO_1_21, STATIC, UNKNOWN

DISABLED = ALL._replace(disabled="this kernel has no Multipath TCP")


class Started(Exception):
    """The process would be another program's now."""


class Machine:
    """What there is, and what was done with it."""

    def __init__(self) -> None:
        self.program = DYNAMIC
        self.means = ALL
        self.groups = 0
        self.group_lack = ""

    def find_program(self, name: str, environment: dict[bytes, bytes]) -> Program:
        assert (name, environment) == ("it", {b"A": b"1"})
        return self.program

    def read_means(self) -> Means:
        return self.means

    def enter_group(self) -> None:
        if self.group_lack:
            raise Problem(self.group_lack)
        self.groups += 1

    def replace_process(self, program: Program, words: list[str], environment: dict[bytes, bytes],
                        choice: Choice, ignored: frozenset[int]) -> None:
        assert (program, environment, ignored) == (self.program, {b"A": b"1"}, frozenset({13}))
        raise Started(words, choice.method)


@pytest.fixture
def machine(monkeypatch: pytest.MonkeyPatch) -> Machine:
    made = Machine()
    for name in ("find_program", "read_means", "enter_group", "replace_process"):
        monkeypatch.setattr(command, name, getattr(made, name))
    monkeypatch.setattr(command, "read_environment", lambda: {b"A": b"1"})
    monkeypatch.setattr(command, "guess_ignored", lambda: frozenset({13}))
    return made


def run(monkeypatch: pytest.MonkeyPatch, line: str) -> int:
    monkeypatch.setattr("sys.argv", ["mptcp_run", *line.split()])
    return run_mptcp_run()


@pytest.mark.parametrize(("program", "means", "options", "method", "words"), [
    (DYNAMIC, ALL, "", "mptcpize", ""), (GO_1_21, ALL, "", "godebug", ""),
    (STATIC, ALL, "", "bpf", ""),
    (DYNAMIC, ALL, "-v", "mptcpize", "it: mptcpize, since /usr/bin/it is dynamic and uses glibc"),
    (DYNAMIC, ALL, "--method bpf", "bpf", ""),
    (DYNAMIC, ALL, "--method bpf -v", "bpf", "it: bpf, since bpf was asked for"),
    (STATIC, ALL, "--method mptcpize", "mptcpize",
     "it may go without Multipath TCP: mptcpize does nothing where /usr/bin/it is static"),
    (STATIC, BARE, "", "", "it goes without Multipath TCP: /usr/bin/it is static; bpf could, but "
     "it needs root"),
    (DYNAMIC, DISABLED, "-v", "",
     "it goes without Multipath TCP: this kernel has no Multipath TCP"),
])
def test_what_is_started_and_what_is_said(
    program: Program, means: Means, options: str, method: str, words: str, machine: Machine,
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str],
) -> None:
    machine.program, machine.means = program, means
    with pytest.raises(Started) as started:
        run(monkeypatch, f"{options} it -x --method")
    assert started.value.args == (["it", "-x", "--method"], method)
    assert machine.groups == (method == "bpf")
    assert capsys.readouterr() == ("", f"mptcp_run: {words}\n" * bool(words))


@pytest.mark.parametrize(("means", "method", "words"), [
    (BARE, "bpf", "bpf: it needs root"), (DISABLED, "bpf", DISABLED.disabled),
    (BARE, "mptcpize", "mptcpize: its library is not installed (apt install mptcpize)"),
])
def test_without_the_method_that_was_asked_for_nothing_starts(
    means: Means, method: str, words: str, machine: Machine, monkeypatch: pytest.MonkeyPatch
) -> None:
    machine.means = means
    with pytest.raises(Problem) as raised:
        run(monkeypatch, f"--method {method} it")
    assert str(raised.value) == f"it is not started: {words}"
    assert (raised.value.status, machine.groups) == (125, 0)


def test_a_group_that_cannot_be_forced_costs_a_command_nothing_else(
    machine: Machine, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    machine.program, machine.group_lack = UNKNOWN, "the kernel does not permit it"
    with pytest.raises(Started) as started:
        run(monkeypatch, "it")
    assert started.value.args == (["it"], "")
    assert capsys.readouterr().err == (
        f"mptcp_run: it goes without Multipath TCP: {UNKNOWN.flaw}; bpf: the kernel does not "
        "permit it\n")
    with pytest.raises(Problem, match="^it is not started: bpf was asked for; bpf: the kernel "):
        run(monkeypatch, "--method bpf it")


@pytest.mark.parametrize("status", [NOT_FOUND, NOT_EXECUTABLE])
def test_a_command_that_is_not_there_is_a_problem_of_its_own(
    status: int, machine: Machine, monkeypatch: pytest.MonkeyPatch
) -> None:
    def find_none(name: str, environment: dict[bytes, bytes]) -> Program:
        raise Problem(f"{name}: so", status)

    monkeypatch.setattr(command, "find_program", find_none)
    with pytest.raises(Problem, match="^it: so$") as raised:
        run(monkeypatch, "--method bpf it")
    assert raised.value.status == status


def test_check_has_a_witness_start_it(machine: Machine, monkeypatch: pytest.MonkeyPatch) -> None:
    def watch(program: str, start: Callable[[], None]) -> int:
        with pytest.raises(Started) as started:
            start()
        assert (program, started.value.args) == ("mptcp_run", (["it", "a"], "mptcpize"))
        return 42

    monkeypatch.setattr(watch_command, "watch_command", watch)
    assert run(monkeypatch, "--check it a") == 42


@pytest.mark.parametrize(("line", "asked"), [
    ("--list", (True, None, None)), ("--enable a b", (False, ["a", "b"], None)),
    ("--method bpf --disable b.service", (False, None, ["b.service"])),
    ("--enable=", (False, [""], None)),
])
def test_units_are_changed_without_a_command(
    line: str, asked: tuple[object, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    def change_units(program: str, options: Namespace) -> int:
        assert program == "mptcp_run"
        assert (options.list, options.enable, options.disable) == asked
        return 7

    monkeypatch.setattr(units, "change_units", change_units)
    assert run(monkeypatch, line) == 7
