# SPDX-License-Identifier: GPL-2.0-or-later
"""mptcp_monitor(8): sleeps until something changes, then has a round of upkeep done.

The kernel announces links, addresses, rules and routes; of endpoints nobody does, and what
happens to the record tells of them.

Each round runs in a process of its own: what it loads (jinja2, netifaces) is
gone with it, an error in it costs one round, and announcements are read
meanwhile. A burst is let settle; a lost carrier is acted on at once.
"""

from __future__ import annotations

import os
import select
import signal
from time import monotonic

from mptcp_hooks.base.entry import make_parser
from mptcp_hooks.base.errors import Problem
from mptcp_hooks.base.report import say_if_heard, show_command
from mptcp_hooks.base.value import TYPE_CHECKING
from mptcp_hooks.machine import journal
from mptcp_hooks.machine.claim import claim
from mptcp_hooks.machine.mailbox import Mailbox
from mptcp_hooks.machine.service import Status, add_log_option, catch_signals, heed_log_option
from mptcp_hooks.machine.system import Machine, find_device, find_ifindex
from mptcp_hooks.monitor.advertised import Heard
from mptcp_hooks.monitor.announcements import Listener, News
from mptcp_hooks.monitor.fights import OVERTAKEN, Fights
from mptcp_hooks.monitor.health import Health
from mptcp_hooks.monitor.history import History
from mptcp_hooks.monitor.look import Errand, look
from mptcp_hooks.monitor.on_change import OnChange
from mptcp_hooks.monitor.round import Round, RoundResult
from mptcp_hooks.monitor.schedule import Schedule
from mptcp_hooks.monitor.upkeep import keep_up

if TYPE_CHECKING:
    from collections.abc import Callable

PROGRAM = "mptcp_monitor"
# What was said is not said again so soon, in seconds, and is not remembered without end.
_SAID_FOR, _SAID_AT_MOST = 3600.0, 256
# How long the last round may take when the monitor is told to stop, in milliseconds.
_FAREWELL_AT_MOST = 2000
# What is written beside the record, or goes, is a reason for a round, and so is another resolver;
# but none to be impatient.
_CHANGE = News(matters=True, urgent=False, devices=frozenset(), lost=False)


def run_mptcp_monitor() -> int:
    """Exit status of mptcp_monitor(8): 0 when it was told to stop."""
    parser = make_parser(PROGRAM, "Keep the tables, rules and endpoints of interfaces true while "
                         "leases, router advertisements and cables come and go.")
    parser.add_argument("-v", "--verbose", action="store_true",
                        help="show each command on stderr before it runs")
    parser.add_argument("--stopped", action="store_true",
                        help="take back what only a running one keeps true, and end")
    add_log_option(parser)
    options = parser.parse_args()
    heed_log_option(PROGRAM, options)
    if os.geteuid() != 0:
        raise Problem("must be root")
    show = show_command if options.verbose else None
    if options.stopped:
        from mptcp_hooks.monitor.farewell import leave_to_hooks

        return leave_to_hooks(show, _tell)
    # Two of them would undo each other's work. It is held until this process ends, and its rounds.
    Monitor(show, claim()).run()
    return 0


class Monitor:
    """Watches, and begins rounds; ends on SIGTERM or SIGINT, SIGHUP has it look again.

    `claimed` is the descriptor by which it is the only one.
    """

    def __init__(self, show: Callable[[str], None] | None, claimed: int) -> None:
        self._show = show
        self._listener = Listener()
        self._schedule = Schedule()
        self._fights = Fights()
        self._races = Fights(OVERTAKEN)
        self._health = Health(_tell, self._warn, monotonic())
        self._on_change = OnChange(PROGRAM, claimed)
        self._heard = Heard()
        self._history = History(self._warn, monotonic())
        self._status = Status(PROGRAM)
        self._round: Round | None = None
        # Whether what is under way is a look at connections alone.
        self._looking = False
        # Whether the next round takes in what ifupdown has up, and whether the last one did.
        self._adopting, self._adopted = True, False
        self._said: dict[str, float] = {}
        self._signals = catch_signals(
            signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGIO)
        self._mailbox = Mailbox()

    def run(self) -> None:
        """Watch until a signal says to stop."""
        self._mailbox.open()
        self._schedule.hurry(monotonic())
        stopping = False
        while not stopping:
            if self._health.attend(monotonic()):
                self._schedule.hurry(monotonic())
            self._history.attend(monotonic())
            if self._heard.end(monotonic()):
                self._schedule.note(_CHANGE, monotonic())
            if self._round is None:
                self._begin_what_is_due()
            for ready in self._wait():
                if ready == self._listener.fileno():
                    self._hear(self._listener.read())
                elif ready == self._signals:
                    stopping = self._heed_signals()
                elif ready in self._on_change.filenos():
                    self._on_change.finish(ready)
                    self._tell_changes()
                elif self._round is None or ready != self._round.fileno():
                    self._health.hear(monotonic())
                elif self._round.read():
                    self._end_round(self._round.finish())
            if self._round is not None and not self._round.find_time_left():
                self._end_round(self._round.abandon())
        self._await_last_round()

    def _wait(self) -> list[int]:
        poll = select.poll()
        running = [self._round.fileno()] if self._round else []
        closings = self._health.fileno(monotonic())
        heard = [closings] if closings >= 0 else []
        for descriptor in (self._listener.fileno(), self._signals, *heard, *running,
                           *self._on_change.filenos()):
            poll.register(descriptor, select.POLLIN)
        return [descriptor for descriptor, _ in poll.poll(self._find_timeout())]

    def _find_timeout(self) -> int | None:
        """How long to wait for whatever comes first, in milliseconds; None for ever."""
        now = monotonic()
        if self._round:
            return _to_milliseconds(self._round.find_time_left())
        return _to_milliseconds(min(self._schedule.wait(now), self._health.wait(now),
                                    self._heard.wait(now), self._history.wait(now)))

    def _begin_what_is_due(self) -> None:
        """Begin a round of upkeep, or a look at connections, where one is due."""
        now = monotonic()
        if self._schedule.begin(now):
            self._begin_round()
            return
        errand = self._health.begin_look(now)
        if errand is not None:
            self._begin_look(errand)

    def _begin_look(self, errand: Errand) -> None:
        lost = self._health.joins.lost
        self._begin(lambda: look(errand, lost, self._show), looking=True)

    def _begin_round(self) -> None:
        adopting, resting = self._adopting, self._fights.resting
        self._adopting, self._adopted = False, adopting
        known = self._health.recall(monotonic())._replace(
            heard=self._heard.named, raced=self._races.resting)
        self._begin(lambda: keep_up(adopting, resting, known, self._show), looking=False)

    def _begin(self, work: Callable[[], RoundResult], looking: bool) -> None:
        self._looking = looking
        try:
            self._round = Round(work)
        except Problem as problem:
            self._end_round(RoundResult((str(problem),), (), True))

    def _end_round(self, report: RoundResult) -> None:
        now = monotonic()
        self._round = None
        for text in (*report.said, *self._fights.note(report.repaired, now),
                     *self._races.note(report.overtaken, now)):
            self._say(text, now)
        if self._looking:
            self._schedule.return_within(self._health.note_look(report, report.cost, now), now)
        else:
            self._end_upkeep(report, now)
        self._status.tell(self._health.describe())

    def _end_upkeep(self, report: RoundResult, now: float) -> None:
        for table in report.overtaken:
            _tell(f"uplinks' addresses answer: our rules stand before that of {table} now")
        self._schedule.end(report.failed, now)
        self._schedule.return_within(self._health.note_round(report, now), now)
        self._listener.await_neighbours(frozenset(map(find_ifindex, report.waiting)))
        if report.paths is not None:
            self._listener.watch(report.resolvers)
            self._on_change.changes.note(report.alive, report.faults)
            self._tell_changes()
        if report.failed:
            self._adopting |= self._adopted
        self._mailbox.open()

    def _tell_changes(self) -> None:
        """Have people's programs, and the journal's readers, know how paths changed."""
        for change in self._on_change.begin_due():
            if journal.is_heard():
                journal.note(PROGRAM, change.describe(), {
                    "MPTCP_IFACE": change.iface, "MPTCP_ADDRESS": change.address,
                    "MPTCP_STATE": change.new.name, "MPTCP_OLD_STATE": change.old.name,
                    "MPTCP_WHY": change.new.why})

    def _hear(self, news: News) -> None:
        now = monotonic()
        self._schedule.note(news, now)
        off = [ifindex for ifindex in news.devices if _is_off(ifindex)]
        if self._heard.note(news.advertised, now) | self._heard.forget(off):
            self._schedule.note(_CHANGE, now)
        if news.lost:
            self._fights.forgive_all()
        # By any of its names: a stanza may call it by an altname.
        self._fights.forgive(lambda name: find_ifindex(name) in news.devices)

    def _heed_signals(self) -> bool:
        """Whether one of the signals that came says to stop."""
        caught = os.read(self._signals, 64)
        if signal.SIGHUP in caught:
            self._said.clear()
            self._fights.forgive_all()
            self._races.forgive_all()
            self._adopting = True
            self._schedule.hurry(monotonic())
            self._health.joins.expect(monotonic())
        if signal.SIGIO in caught:
            self._schedule.note(_CHANGE, monotonic())
        return bool({signal.SIGTERM, signal.SIGINT} & set(caught))

    def _await_last_round(self) -> None:
        """A round that is at work finishes it; one that waits for another program is ended."""
        if self._round is None:
            return
        poll = select.poll()
        poll.register(self._round.fileno(), select.POLLIN)
        while poll.poll(_FAREWELL_AT_MOST):
            if self._round.read():
                return
        self._round.abandon()

    def _warn(self, text: str) -> None:
        self._say(text, monotonic())

    def _say(self, text: str, now: float) -> None:
        """Say what was not said in the last hour; news of an hour ago may be news again."""
        self._said = {said: then for said, then in self._said.items() if now - then < _SAID_FOR}
        if text not in self._said:
            say_if_heard(_find_prefix() + PROGRAM, text)
        if len(self._said) < _SAID_AT_MOST:
            self._said.setdefault(text, now)


def _to_milliseconds(seconds: float) -> int | None:
    """For poll(2), rounded up: one that ends too early would be followed by another."""
    return None if seconds == float("inf") else int(seconds * 1000) + 1


def _is_off(ifindex: int) -> bool:
    """Whether a device is switched off, or gone: the kernel forgets what routers said on it."""
    try:
        link = Machine().read_link(find_device(ifindex))
    except Problem:
        # What comes of it, the next announcement of the device tells.
        return False
    return link is None or not link.up


def _tell(text: str) -> None:
    """Say what a person may want to know, each time that it happens."""
    say_if_heard(PROGRAM, text)


def _find_prefix() -> str:
    """What makes a line a warning in the journal (sd-daemon(3)), where that is what hears it."""
    return "<4>" if journal.is_heard() else ""
