# SPDX-License-Identifier: GPL-2.0-or-later
"""mptcp_monitor between its rounds: when one begins, what it is told, what is said of it."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Iterator
from pathlib import Path
from socket import AF_UNIX, SOCK_DGRAM, socket
from threading import Timer

import pytest

from mptcp_hooks.base.errors import Problem
from mptcp_hooks.base.folder import open_folder
from mptcp_hooks.base.model import Lease, Link, Stanza
from mptcp_hooks.engine.name_record import save_resolvers
from mptcp_hooks.engine.record import Store
from mptcp_hooks.machine import mailbox, service
from mptcp_hooks.machine.system import Machine
from mptcp_hooks.monitor import command
from mptcp_hooks.monitor.advertised import Advertised
from mptcp_hooks.monitor.announcements import News
from mptcp_hooks.monitor.look import Errand
from mptcp_hooks.monitor.round import RoundResult
from mptcp_hooks.monitor.upkeep import Known

QUIET, FAILED = RoundResult((), (), False), RoundResult((), (), True)
URGENT = News(matters=True, urgent=True, devices=frozenset(), lost=False)
PLAIN = URGENT._replace(urgent=False)
NEVER = float("inf")
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


class Health:
    """What is known of connections, and of Multipath TCP.

    `pauses` are what it says to rounds, one after another, how soon another is to come; without
    end when there are no more. `due` are what looks that are to come may do, and `texts`
    what it says of all, `known` what it tells rounds of paths. `rounds`, `looks` and their
    `costs` are what it was told, `expected` how often a look was asked for.
    """

    def __init__(self) -> None:
        self.joins = self
        self.lost = {"10.1.2.2": {1}}
        self.due: list[Errand] = []
        self.pauses: list[float] = []
        self.texts: list[str] = []
        self.known = Known()
        self.closings: Pipe | None = None
        self.rounds: list[RoundResult] = []
        self.looks: list[RoundResult] = []
        self.costs: list[float] = []
        self.heard = self.expected = 0

    def expect(self, now: float) -> None:
        self.expected += 1

    def open(
        self, tell: Callable[[str], None], warn: Callable[[str], None], now: float
    ) -> Health:
        self.tell, self.warn = tell, warn
        return self

    def fileno(self, now: float) -> int:
        return self.closings.fileno() if self.closings else -1

    def hear(self, now: float) -> None:
        assert self.closings is not None
        self.closings.take()
        self.heard += 1

    def wait(self, now: float) -> float:
        return 0.0 if self.due else NEVER

    def attend(self, now: float) -> None:
        """Nothing is due between rounds but looks."""

    def begin_look(self, now: float) -> Errand | None:
        return self.due.pop(0) if self.due else None

    def recall(self, now: float) -> Known:
        return self.known

    def note_round(self, report: RoundResult, now: float) -> float:
        self.rounds.append(report)
        return self.pauses.pop(0) if self.pauses else NEVER

    def note_look(self, report: RoundResult, cost: float, now: float) -> float:
        self.looks.append(report)
        self.costs.append(cost)
        return NEVER

    def describe(self) -> str:
        return self.texts.pop(0) if self.texts else "no path"


def quiet() -> RoundResult:
    return QUIET


class World:
    """What the monitor hears and does.

    `rounds` and `recalled` are what rounds were told, `acts` what each does meanwhile and how it
    ends. With the last of them SIGTERM comes. `looks` are what looks were told, and `sight` is
    what each does meanwhile. `awaited` are the devices whose neighbours are listened for, and
    `watched` the resolvers whose ways are. `time` is its clock, which goes on by a hundredth of a
    second with each look at it.
    """

    def __init__(self) -> None:
        self.rounds: list[tuple[bool, frozenset[str]]] = []
        self.recalled: list[Known] = []
        self.acts: list[Callable[[], RoundResult]] = []
        self.health = Health()
        self.looks: list[tuple[Errand, object]] = []
        self.sight: Callable[[], RoundResult] = quiet
        self.awaited: list[frozenset[int]] = []
        self.watched: list[tuple[str, ...]] = []
        self.kernel = Pipe()
        self.news: list[News] = []
        self.said: list[str] = []
        self.time = 0.0
        self.left = 10.0

    def say(self, program: str, text: str) -> None:
        self.said.append(f"{program}: {text}")

    def look_at_the_clock(self) -> float:
        self.time += 0.01
        return self.time

    def keep_up(
        self, adopting: bool, resting: frozenset[str], known: Known, show: object
    ) -> RoundResult:
        self.rounds.append((adopting, resting))
        self.recalled.append(known)
        result = self.acts[len(self.rounds) - 1]()
        if len(self.rounds) == len(self.acts):
            os.kill(os.getpid(), signal.SIGTERM)
        return result

    def look(self, errand: Errand, lost: object, show: object) -> RoundResult:
        self.looks.append((errand, lost))
        return self.sight()

    def announce(self, result: RoundResult = QUIET, news: News = URGENT) -> RoundResult:
        """Have the kernel announce a change while a round goes on."""
        self.news.append(news)
        self.kernel.put()
        return result

    def watch(self, *acts: Callable[[], RoundResult]) -> list[tuple[bool, frozenset[str]]]:
        """Run a monitor to its end; what its rounds were told."""
        self.acts = list(acts)
        command.Monitor(None, -1).run()
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

        def await_neighbours(self, devices: frozenset[int]) -> None:
            made.awaited.append(devices)

        def watch(self, resolvers: tuple[str, ...]) -> None:
            made.watched.append(resolvers)

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

    class History:
        """Notes nothing on this machine."""

        def __init__(self, warn: Callable[[str], None], now: float) -> None:
            """None is due."""

        def wait(self, now: float) -> float:
            return NEVER

        def attend(self, now: float) -> None:
            """None is due."""

    handlers = {number: signal.getsignal(number) for number in SIGNALS}
    for name, value in (
        ("Listener", Listener), ("Round", Round), ("Mailbox", Mailbox),
        ("History", History),
        ("keep_up", made.keep_up), ("monotonic", made.look_at_the_clock),
        ("Health", made.health.open), ("look", made.look),
        ("find_ifindex", {"eth0": 2, "eth1": 3}.__getitem__),
        ("say_if_heard", made.say),
    ):
        monkeypatch.setattr(command, name, value)
    monkeypatch.setattr(service, "say", made.say)
    yield made
    signal.set_wakeup_fd(-1)
    for number, handler in handlers.items():
        signal.signal(number, handler)
    made.kernel.close()


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
    # Connections are looked at as well.
    assert world.health.expected == 2


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


def test_a_change_of_its_device_ends_the_rest_by_whichever_name(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A stanza may call a device by an altname, and an alias has a label."""
    monkeypatch.setattr(command, "find_ifindex", {"enp3s0": 2, "eth1": 3}.__getitem__)

    def repair() -> RoundResult:
        return world.announce(RoundResult((), ("enp3s0:1", "eth1"), False))

    def change() -> RoundResult:
        return world.announce(news=PLAIN._replace(devices=frozenset({2})))

    rounds = world.watch(*[repair] * 12, change, quiet)
    assert [resting for _, resting in rounds[-2:]] == [
        frozenset({"enp3s0:1", "eth1"}), frozenset({"eth1"})]


def test_sighup_ends_the_rest(world: World) -> None:
    def repair() -> RoundResult:
        return world.announce(RoundResult((), ("eth1",), False))

    rounds = world.watch(*[repair] * 12, hang_up, quiet)
    assert rounds[-2:] == [(False, frozenset({"eth1"})), (True, frozenset())]


@pytest.mark.parametrize("change", [
    lambda store: store.save("eth1", (Stanza(("IFACE=eth1",), ()),)),
    lambda store: store.save("eth0", ()),
    lambda store: store.save_lease("eth0", None),
    lambda store: save_resolvers(store.folder, "eth0", "dhcp6", ()),
], ids=["written", "gone", "a lease is gone", "resolvers are gone"])
def test_what_a_hook_changes_of_the_record_begins_a_round(
    world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
    change: Callable[[Store], None],
) -> None:
    """The end of a stanza without a path changes nothing in the kernel."""
    monkeypatch.setattr(command, "Mailbox", mailbox.Mailbox)
    monkeypatch.setattr(mailbox, "RECORD", str(tmp_path / "record"))

    # What is not heard would be waited for without end.
    end = Timer(30, os.kill, (os.getpid(), signal.SIGTERM))

    def act() -> RoundResult:
        end.start()
        change(store)
        return QUIET

    with Store(open_folder(str(tmp_path / "record"), lock=True)) as store:
        store.save("eth0", (Stanza(("IFACE=eth0",), ()),))
        store.save_lease("eth0", Lease("192.0.2.2", "192.0.2.1", ()))
        save_resolvers(store.folder, "eth0", "dhcp6", ("2001:db8::53",))
        rounds = world.watch(act, quiet)
    end.cancel()
    assert rounds == [(True, frozenset()), (False, frozenset())]


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


def test_a_round_comes_back_as_soon_as_it_is_told_to(world: World) -> None:
    silent = RoundResult(paths=("eth0",), silent=("eth1",))
    world.health.pauses = [0.02, 0.03]
    assert world.watch(lambda: silent, quiet, quiet) == [
        (True, frozenset()), (False, frozenset()), (False, frozenset())]
    assert world.health.rounds == [silent, QUIET, QUIET]


def test_a_round_is_told_what_is_known_of_paths_as_it_begins(world: World) -> None:
    later = Known(frozenset({"10.1.1.2"}), frozenset({"10.1.2.2"}))

    def learn() -> RoundResult:
        world.health.known = later
        return world.announce()

    world.watch(learn, quiet)
    assert world.recalled == [Known(), later]


def test_a_look_begins_when_it_is_due_and_is_no_round(world: World) -> None:
    """Least of all a first one that failed, or one that is to be tried less often."""
    errand = Errand({"10.1.2.2": ()}, {})
    world.health.due = [errand]
    failed = FAILED._replace(cost=0.25)
    world.sight = lambda: world.announce(failed, PLAIN)
    assert world.watch(quiet, quiet) == [(True, frozenset()), (False, frozenset())]
    assert world.looks == [(errand, world.health.lost)]
    assert (world.health.looks, world.health.rounds) == ([failed], [QUIET] * 2)
    assert world.health.costs == [0.25]
    assert world.time < 1


def test_a_round_goes_before_a_look(world: World) -> None:
    def see() -> RoundResult:
        assert len(world.rounds) == 2
        os.kill(os.getpid(), signal.SIGTERM)
        return QUIET

    world.health.due = [Errand({}, {})]
    world.sight = see
    world.acts = [world.announce, quiet, quiet]
    command.Monitor(None, -1).run()
    assert len(world.looks) == 1


def test_what_a_look_says_is_said(world: World) -> None:
    world.health.due = [Errand({}, {})]
    world.sight = lambda: world.announce(RoundResult(("eth1: it is so",)))
    world.watch(quiet, quiet)
    assert world.said == ["mptcp_monitor: eth1: it is so"]


def test_a_subflow_that_ends_is_heard_of(world: World) -> None:
    world.health.closings = Pipe()

    def close() -> RoundResult:
        assert world.health.closings is not None
        world.health.closings.put()
        return QUIET

    world.health.pauses = [0.05]
    world.watch(close, quiet)
    assert world.health.heard == 1
    world.health.closings.close()


def test_it_listens_for_the_gateways_that_are_waited_for(world: World) -> None:
    waiting = RoundResult(waiting=("eth0", "eth1"))
    world.watch(lambda: world.announce(waiting), quiet)
    assert world.awaited == [frozenset((2, 3)), frozenset()]


ADVERTISED = Advertised(3, ("2001:db8::53",), 60)
NAMED = frozenset({(3, "2001:db8::53")})
HEARD = News(False, False, frozenset(), advertised=(ADVERTISED,))


def test_a_resolver_that_a_router_advertises_begins_a_round_that_knows_it(world: World) -> None:
    """The same again begins none: that comes every few seconds."""
    times: list[float] = []

    def hear() -> RoundResult:
        times.append(world.time)
        return world.announce(news=HEARD)

    # The third round is one that was to come anyway.
    world.health.pauses = [NEVER, 0.5]
    world.watch(hear, hear, hear)
    assert [known.heard for known in world.recalled] == [frozenset(), NAMED, NAMED]
    assert times[1] - times[0] < 0.3 and times[2] - times[1] >= 0.5


def test_a_resolver_that_is_withdrawn_begins_a_round(world: World) -> None:
    gone = HEARD._replace(advertised=(ADVERTISED._replace(lifetime=0),))
    world.watch(lambda: world.announce(news=HEARD), lambda: world.announce(news=gone), quiet)
    assert [known.heard for known in world.recalled] == [frozenset(), NAMED, frozenset()]


def test_a_resolver_whose_time_is_over_begins_a_round(world: World) -> None:
    short = HEARD._replace(advertised=(ADVERTISED._replace(lifetime=0.5),))
    world.watch(lambda: world.announce(news=short), quiet, quiet)
    assert [known.heard for known in world.recalled] == [frozenset(), NAMED, frozenset()]
    assert world.time >= 0.5


@pytest.mark.parametrize(("link", "heard"), [
    (None, frozenset()), (Link(False, False, False), frozenset()),
    # The kernel keeps what it was told while a cable is out.
    (Link(True, False, False), NAMED), (Link(True, True, False), NAMED)])
def test_a_device_that_is_off_or_gone_names_nobody(
    world: World, link: Link | None, heard: frozenset[tuple[int, str]],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(command, "find_device", {2: "eth0", 3: "eth1"}.__getitem__)
    monkeypatch.setattr(Machine, "read_link", lambda machine, device: (
        link if device == "eth1" else Link(True, True, False)))
    world.watch(lambda: world.announce(news=HEARD), lambda: world.announce(
        news=PLAIN._replace(devices=frozenset({2, 3}))), quiet)
    assert [known.heard for known in world.recalled] == [frozenset(), NAMED, heard]


def test_it_listens_for_the_ways_to_resolvers_until_a_round_says_otherwise(world: World) -> None:
    naming = RoundResult(paths=("eth0",), resolvers=("192.0.2.53",))
    killed = RoundResult(paths=None)
    world.watch(lambda: world.announce(naming), lambda: world.announce(killed),
                lambda: world.announce(RoundResult(paths=("eth0",))), quiet)
    assert world.watched == [("192.0.2.53",), ()]


def test_news_of_connections_is_said_each_time_and_a_warning_once_an_hour(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("JOURNAL_STREAM", "8:1")

    def say() -> RoundResult:
        world.health.tell("eth1: back")
        world.health.warn("it is off")
        return world.announce()

    world.watch(say, say, quiet)
    assert world.said == ["mptcp_monitor: eth1: back", "<4>mptcp_monitor: it is off",
                          "mptcp_monitor: eth1: back"]


@pytest.fixture
def systemd(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[], list[str]]]:
    """What systemd was told since the last question."""
    with socket(AF_UNIX, SOCK_DGRAM) as hearing:
        hearing.bind(str(tmp_path / "notify"))
        hearing.setblocking(False)
        monkeypatch.setenv("NOTIFY_SOCKET", str(tmp_path / "notify"))

        def hear() -> list[str]:
            told = []
            while True:
                try:
                    told.append(hearing.recv(4096).decode())
                except BlockingIOError:
                    return told

        yield hear


def test_systemd_hears_of_a_device_of_any_bytes(systemd: Callable[[], list[str]]) -> None:
    service.Status("it").tell("1 path: \udcffx")
    assert systemd() == ["READY=1\nSTATUS=1 path: ?x"]


def test_systemd_hears_that_it_is_ready_and_each_change(
    world: World, systemd: Callable[[], list[str]]
) -> None:
    told: list[str] = []

    def act() -> RoundResult:
        assert "NOTIFY_SOCKET" not in os.environ
        told.extend(systemd())
        return world.announce()

    world.health.texts = ["1 path: eth0", "1 path: eth0", "no path"]
    world.watch(act, act, act, act, quiet)
    assert told[0] == "READY=1\nSTATUS=1 path: eth0"
    assert [*told[1:], *systemd()] == ["STATUS=no path"]


def test_systemd_may_have_an_address_without_a_file(monkeypatch: pytest.MonkeyPatch) -> None:
    with socket(AF_UNIX, SOCK_DGRAM) as hearing:
        hearing.bind("")
        name = hearing.getsockname()[1:].decode()
        monkeypatch.setenv("NOTIFY_SOCKET", f"@{name}")
        service.Status("mptcp_monitor").tell("no path")
        assert hearing.recv(4096) == b"READY=1\nSTATUS=no path"


def test_a_systemd_that_does_not_hear_is_said_once(
    world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("NOTIFY_SOCKET", f"{tmp_path}/none")
    world.health.texts = ["1 path: eth0"]
    world.watch(world.announce, world.announce, quiet)
    assert world.said == [f"mptcp_monitor: cannot tell {tmp_path}/none that it is ready: "
                          "No such file or directory"]


def test_it_takes_root(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.argv", ["mptcp_monitor"])
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    with pytest.raises(Problem, match="must be root"):
        command.run_mptcp_monitor()
