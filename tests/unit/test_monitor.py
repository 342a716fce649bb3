"""mptcp_monitor between its rounds: when one begins, what it is told, what is said of it."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Iterator

import pytest

from mptcp_hooks.base.errors import Problem
from mptcp_hooks.monitor import command
from mptcp_hooks.monitor.announcements import News
from mptcp_hooks.monitor.round import RoundResult

QUIET, FAILED = RoundResult((), (), False), RoundResult((), (), True)
URGENT = News(matters=True, urgent=True, devices=frozenset(), lost=False)
SIGNALS = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGIO)


class Pipe:
    """A descriptor that is readable while something was put into it."""

    def __init__(self) -> None:
        self._reading, self._writing = os.pipe()

    def fileno(self) -> int:
        return self._reading

    def put(self) -> None:
        os.write(self._writing, b"x")

    def take(self) -> None:
        os.read(self._reading, 1)

    def close(self) -> None:
        os.close(self._reading)
        os.close(self._writing)


class World:
    """What the monitor hears and does.

    `rounds` are what rounds were told, `acts` what each does meanwhile and how it ends. With
    the last of them SIGTERM comes. `time` is its clock, which goes on by a hundredth of a
    second with each look at it.
    """

    def __init__(self) -> None:
        self.rounds: list[tuple[bool, frozenset[str]]] = []
        self.acts: list[Callable[[], RoundResult]] = []
        self.kernel = Pipe()
        self.news: list[News] = []
        self.said: list[str] = []
        self.time = 0.0
        self.left = 10.0

    def look_at_the_clock(self) -> float:
        self.time += 0.01
        return self.time

    def keep_up(self, adopting: bool, resting: frozenset[str], show: object) -> RoundResult:
        self.rounds.append((adopting, resting))
        result = self.acts[len(self.rounds) - 1]()
        if len(self.rounds) == len(self.acts):
            os.kill(os.getpid(), signal.SIGTERM)
        return result

    def announce(self, result: RoundResult = QUIET) -> RoundResult:
        """Have the kernel announce a change while a round goes on."""
        self.news.append(URGENT)
        self.kernel.put()
        return result

    def watch(self, *acts: Callable[[], RoundResult]) -> list[tuple[bool, frozenset[str]]]:
        """Run a monitor to its end; what its rounds were told."""
        self.acts = list(acts)
        command.Monitor(None).run()
        return self.rounds


@pytest.fixture
def world(monkeypatch: pytest.MonkeyPatch) -> Iterator[World]:
    made = World()

    class Listener:
        def fileno(self) -> int:
            return made.kernel.fileno()

        def read(self) -> News:
            made.kernel.take()
            return made.news.pop(0)

    class Round:
        """A round in this process: over, and readable, as soon as begun, if it has time."""

        def __init__(self, work: Callable[[], RoundResult]) -> None:
            self._pipe = Pipe()
            self._result = work()
            if made.left:
                self._pipe.put()

        def fileno(self) -> int:
            return self._pipe.fileno()

        def read(self) -> bool:
            self._pipe.take()
            return True

        def find_time_left(self) -> float:
            return made.left

        def finish(self) -> RoundResult:
            self._pipe.close()
            return self._result

        def abandon(self) -> RoundResult:
            self._pipe.close()
            return RoundResult(("killed",), (), True)

    class Mailbox:
        def open(self) -> None:
            """Nobody leaves anything by itself here."""

    handlers = {number: signal.getsignal(number) for number in SIGNALS}
    for name, value in (
        ("Listener", Listener), ("Round", Round), ("Mailbox", Mailbox),
        ("keep_up", made.keep_up), ("monotonic", made.look_at_the_clock),
        ("say", lambda program, text: made.said.append(f"{program}: {text}")),
    ):
        monkeypatch.setattr(command, name, value)
    yield made
    signal.set_wakeup_fd(-1)
    for number, handler in handlers.items():
        signal.signal(number, handler)
    made.kernel.close()


def quiet() -> RoundResult:
    return QUIET


def test_the_first_round_comes_by_itself_and_takes_in_what_is_up(world: World) -> None:
    assert world.watch(quiet) == [(True, frozenset())]
    assert world.said == []


def test_an_announcement_begins_a_round_that_follows_alone(world: World) -> None:
    assert world.watch(world.announce, quiet) == [(True, frozenset()), (False, frozenset())]


def test_a_first_round_that_failed_is_made_up_for(world: World) -> None:
    assert world.watch(lambda: world.announce(FAILED), world.announce, quiet) == [
        (True, frozenset()), (True, frozenset()), (False, frozenset())]


def hang_up() -> RoundResult:
    os.kill(os.getpid(), signal.SIGHUP)
    return QUIET


def test_sighup_takes_in_anew_and_forgets_what_was_said(world: World) -> None:
    def say() -> RoundResult:
        hang_up()
        return RoundResult(("eth0: it is so",), (), False)

    assert world.watch(say, say, quiet) == [(True, frozenset())] * 3
    assert world.said == ["mptcp_monitor: eth0: it is so"] * 2


def test_what_was_said_is_said_again_an_hour_later(world: World) -> None:
    def say() -> RoundResult:
        world.time += 1000
        return world.announce(RoundResult(("eth0: it is so",), (), False))

    world.watch(*[say] * 6, quiet)
    assert len(world.said) == 2


def test_an_interface_that_is_fought_for_rests(world: World) -> None:
    def repair() -> RoundResult:
        return world.announce(RoundResult((), ("eth1",), False))

    rounds = world.watch(*[repair] * 12, quiet)
    assert [resting for _, resting in rounds][0] == frozenset()
    assert rounds[-1] == (False, frozenset({"eth1"}))
    assert ["eth1" in text for text in world.said] == [True]


def test_sighup_ends_the_rest(world: World) -> None:
    def repair() -> RoundResult:
        return world.announce(RoundResult((), ("eth1",), False))

    rounds = world.watch(*[repair] * 12, hang_up, quiet)
    assert rounds[-2:] == [(False, frozenset({"eth1"})), (True, frozenset())]


def test_what_a_hook_writes_begins_a_round(world: World) -> None:
    def write() -> RoundResult:
        os.kill(os.getpid(), signal.SIGIO)
        return QUIET

    assert world.watch(write, quiet) == [(True, frozenset()), (False, frozenset())]


def test_a_round_that_takes_too_long_is_ended_and_said(world: World) -> None:
    world.left = 0.0
    world.watch(quiet)
    assert world.said == ["mptcp_monitor: killed"]


def test_a_round_that_cannot_begin_is_a_failed_one(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(work: object) -> None:
        os.kill(os.getpid(), signal.SIGTERM)
        raise Problem("cannot begin a round: no memory")

    monkeypatch.setattr(command, "Round", fail)
    world.watch()
    assert world.said == ["mptcp_monitor: cannot begin a round: no memory"]


def test_the_journal_hears_a_warning(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("JOURNAL_STREAM", "8:1")
    world.watch(lambda: world.announce(RoundResult(("so",), (), False)), quiet)
    assert world.said == ["<4>mptcp_monitor: so"]


def test_it_takes_root(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.argv", ["mptcp_monitor"])
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    with pytest.raises(Problem, match="must be root"):
        command.run_mptcp_monitor()
