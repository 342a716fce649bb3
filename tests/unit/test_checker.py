# SPDX-License-Identifier: GPL-2.0-or-later
"""mptcp_check between its questions: when it looks at the record, what it notes and says."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Iterator
from pathlib import Path
from socket import AF_UNIX, SOCK_DGRAM, socket

import pytest

from mptcp_hooks.base.errors import FAILED, Problem
from mptcp_hooks.checker import command, watch
from mptcp_hooks.checker.command import Checker, run_mptcp_check
from mptcp_hooks.checker.duties import Duty
from mptcp_hooks.engine import checks
from mptcp_hooks.engine.checks import CheckResult, load_checks, save_checks
from mptcp_hooks.intent.checks import ECHO, Target
from mptcp_hooks.machine import mailbox

SIGNALS = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGIO)
ONE = Duty("eth1", "eth1", 3, "192.0.2.2", (Target(ECHO, "192.0.2.1"),), "gateway", 1, 1)
TWO = ONE._replace(iface="eth2", device="eth2", address="192.0.2.130")


class World:
    """What there is to be checked, look by look; the last one has SIGTERM come.

    Nobody can be asked, so each check with a carrier fails at once. `noted` is what is noted,
    `said` what is said.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.looks: list[Callable[[], list[Duty]]] = []
        self.noted: list[tuple[CheckResult, ...]] = []
        self.said: list[str] = []
        self.carriers = {"eth1": False, "eth2": False}

    def list_duties(self) -> list[Duty]:
        look = self.looks.pop(0)
        duties = look()
        if not self.looks:
            os.kill(os.getpid(), signal.SIGTERM)
        return duties

    def save_checks(self, results: tuple[CheckResult, ...]) -> None:
        self.noted.append(results)
        save_checks(results)

    def say(self, program: str, text: str) -> None:
        self.said.append(f"{program}: {text}")

    def check(self, *looks: Callable[[], list[Duty]]) -> list[list[tuple[str, bool]]]:
        """What is noted of addresses, and whether they failed, while it looks so often."""
        self.looks = list(looks)
        checker = Checker()
        try:
            checker.run()
        finally:
            checker.close()
        assert not (self.folder / ".checks").exists()
        return [[(one.address, one.failed) for one in results] for results in self.noted]


@pytest.fixture
def world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[World]:
    made = World(tmp_path / "record")
    for module in (checks, mailbox):
        monkeypatch.setattr(module, "RECORD", str(made.folder))
    for name, value in (("list_duties", made.list_duties), ("save_checks", made.save_checks),
                        ("say", made.say), ("_carries", made.carriers.__getitem__)):
        monkeypatch.setattr(command, name, value)
    monkeypatch.setattr(watch, "begin_probe", lambda duty, target: None)
    handlers = {number: signal.getsignal(number) for number in SIGNALS}
    yield made
    signal.set_wakeup_fd(-1)
    for number, handler in handlers.items():
        signal.signal(number, handler)


def nothing() -> list[Duty]:
    return []


def test_where_nobody_asks_nothing_is_noted(world: World) -> None:
    assert world.check(nothing) == [[], []] and world.said == []


def test_sighup_has_it_look_again_and_what_stays_goes_on(world: World) -> None:
    def hang_up() -> list[Duty]:
        os.kill(os.getpid(), signal.SIGHUP)
        return [ONE]

    world.carriers["eth1"] = True
    assert world.check(hang_up, lambda: [ONE, TWO]) == [
        [], [(ONE.address, True)], [(ONE.address, True), (TWO.address, False)], []]
    assert world.said == ["mptcp_check: eth1: 192.0.2.2: no answer from gateway 1 time in a row"]


def test_a_check_that_changed_begins_anew(world: World) -> None:
    def hang_up() -> list[Duty]:
        os.kill(os.getpid(), signal.SIGHUP)
        return [ONE]

    def change() -> list[Duty]:
        world.carriers["eth1"] = False
        return [ONE._replace(interval=7)]

    world.carriers["eth1"] = True
    assert world.check(hang_up, change) == [
        [], [(ONE.address, True)], [(ONE.address, False)], []]


@pytest.mark.parametrize("change", [
    lambda folder: (folder / "eth2.paths").write_text(""),
    lambda folder: (folder / "eth1.paths").unlink(),
], ids=["written", "gone"])
def test_what_happens_beside_the_record_is_heard(
    world: World, change: Callable[[Path], object]
) -> None:
    def act() -> list[Duty]:
        change(world.folder)
        return []

    world.folder.mkdir(mode=0o755)
    (world.folder / "eth1.paths").write_text("")
    assert world.check(act, lambda: [TWO])[-2:] == [[(TWO.address, False)], []]


def test_what_one_that_was_killed_left_is_taken_away(world: World) -> None:
    save_checks((CheckResult("192.0.2.9", True, 7, "gateway"),))
    assert world.check(nothing)[0] == [] and load_checks() == ()


def test_a_problem_takes_the_results_along(world: World) -> None:
    def fail() -> list[Duty]:
        raise Problem("the record is gone")

    def hang_up() -> list[Duty]:
        os.kill(os.getpid(), signal.SIGHUP)
        return [ONE]

    with pytest.raises(Problem, match="the record is gone") as raised:
        world.check(hang_up, fail)
    assert raised.value.status == FAILED and not (world.folder / ".checks").exists()


def test_systemd_hears_how_it_stands(
    world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def hang_up() -> list[Duty]:
        os.kill(os.getpid(), signal.SIGHUP)
        return [ONE, TWO]

    world.carriers["eth1"] = True
    with socket(AF_UNIX, SOCK_DGRAM) as hearing:
        hearing.bind(str(tmp_path / "notify"))
        hearing.setblocking(False)
        monkeypatch.setenv("NOTIFY_SOCKET", str(tmp_path / "notify"))
        world.check(hang_up, nothing)
        assert [hearing.recv(500).decode() for _ in range(2)] == [
            "READY=1\nSTATUS=2 paths checked; no answer: eth1 (192.0.2.2)",
            "STATUS=no path has a check"]


def test_it_takes_root(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.argv", ["mptcp_check"])
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    with pytest.raises(Problem, match="must be root"):
        run_mptcp_check()
