"""mptcp_monitor(8): sleeps until the kernel announces a change, then has a round of upkeep done.

Each round runs in a process of its own: what it loads (jinja2, netifaces) is
gone with it, an error in it costs one round, and announcements are read
meanwhile. A burst is let settle; a lost carrier is acted on at once.
"""

from __future__ import annotations

import os
import select
import signal
from argparse import ArgumentParser
from socket import AF_UNIX, SOCK_DGRAM, if_indextoname, socket
from time import monotonic

from mptcp_hooks import __version__
from mptcp_hooks.errors import Problem
from mptcp_hooks.report import describe_unexpected, say, show_command
from mptcp_hooks.upkeep import Report, keep_up
from mptcp_hooks.value import TYPE_CHECKING
from mptcp_hooks.watch import Watch

if TYPE_CHECKING:
    from collections.abc import Callable

    from mptcp_hooks.watch import News

PROGRAM = "mptcp_monitor"
NEVER = float("inf")
# After the last announcement of a burst, and after its first, in seconds.
_QUIET, _SETTLED_AT_MOST = 0.03, 0.2
# How long after a round that failed rules and routes begin no other; doubled each time.
_PAUSE_AT_LEAST, _PAUSE_AT_MOST = 1.0, 60.0
# So many repairs in so many seconds are a fight with another program.
_REPAIRS_AT_MOST, _REPAIRS_WITHIN = 5, 60.0


def run_mptcp_monitor() -> int:
    """Exit status of mptcp_monitor(8): 0 when it was told to stop."""
    parser = ArgumentParser(PROGRAM, allow_abbrev=False, description="Keep the tables, rules and "
                            "endpoints of interfaces true while leases, router advertisements and "
                            "cables come and go.")
    parser.add_argument("-v", "--verbose", action="store_true",
                        help="show each command on stderr before it runs")
    parser.add_argument("--version", action="version", version=f"{PROGRAM} {__version__}")
    options = parser.parse_args()
    try:
        if os.geteuid() != 0:
            raise Problem("must be root")
        Monitor(show_command if options.verbose else _show_nothing).run()
    except Problem as problem:
        say(PROGRAM, str(problem))
        return problem.status
    return 0


class Agenda:
    """When the next round is due; times in seconds of the monotonic clock.

    What a round makes and rolls back is announced like everything else: after
    one that failed, rules and routes alone begin no other for a while.
    """

    def __init__(self) -> None:
        self._first = self._due = NEVER
        self._earliest = self._pause = 0.0

    def note(self, news: News, now: float) -> None:
        """Put the round off while a burst goes on, or have it at once where it is urgent."""
        if news.matters:
            self._first = min(self._first, now)
            self._due = min(now + _QUIET, self._first + _SETTLED_AT_MOST)
        if news.devices or news.urgent:
            self._earliest = now
        if news.urgent:
            self._due = now

    def hurry(self, now: float) -> None:
        """Have a round at once, whatever was noted."""
        self._due = self._earliest = now

    def end(self, failed: bool, now: float) -> None:
        """Heed how a round ended."""
        self._pause = min(max(2 * self._pause, _PAUSE_AT_LEAST), _PAUSE_AT_MOST) if failed else 0
        self._earliest = now + self._pause

    def begin(self, now: float) -> bool:
        """Whether a round is due, which begins with this."""
        if max(self._due, self._earliest) > now:
            return False
        self._first = self._due = NEVER
        return True

    def wait(self, now: float) -> int | None:
        """How long until a round is due, in milliseconds for poll(2); None for ever."""
        if self._due == NEVER:
            return None
        # Rounded up: a poll that ends too early would be followed by another.
        return max(0, int((max(self._due, self._earliest) - now) * 1000) + 1)


class Patience:
    """Counts repairs, and names the interfaces on which another program undoes them all."""

    def __init__(self) -> None:
        self._repairs: dict[str, list[float]] = {}
        self.resting: frozenset[str] = frozenset()

    def note(self, repaired: tuple[str, ...], now: float) -> list[str]:
        """Count repairs; what a person should hear of interfaces that are given up for now."""
        for iface in repaired:
            times = [then for then in self._repairs.get(iface, ()) if now - then < _REPAIRS_WITHIN]
            self._repairs[iface] = [*times, now]
        lost = [iface for iface in dict.fromkeys(repaired)
                if len(self._repairs[iface]) >= _REPAIRS_AT_MOST]
        self.resting |= frozenset(lost)
        return [f"{iface}: another program takes away its rules or routes again and again: left "
                "as they are until its link or an address of it changes" for iface in lost]

    def forgive(self, devices: frozenset[int]) -> None:
        """Begin anew with devices whose link or addresses changed."""
        for name in map(_find_name, devices):
            for iface in [one for one in self._repairs if one.partition(":")[0] == name]:
                del self._repairs[iface]
                self.resting -= {iface}


class Round:
    """A round of upkeep under way, in a process of its own."""

    def __init__(self, work: Callable[[], Report]) -> None:
        self._output, writing = os.pipe()
        self._text = b""
        self._child = os.fork()
        if self._child == 0:
            _do_and_exit(work, writing)
        os.close(writing)

    def fileno(self) -> int:
        return self._output

    def read(self) -> bool:
        """Read what it says; whether that was all."""
        piece = os.read(self._output, 1 << 16)
        self._text += piece
        return not piece

    def finish(self) -> Report:
        """Wait for its end; what it reported."""
        while not self.read():
            continue
        os.close(self._output)
        os.waitpid(self._child, 0)
        lines = self._text.decode("utf-8", "surrogateescape").splitlines()
        pairs = [line.partition(" ") for line in lines]
        return Report(tuple(text for key, _, text in pairs if key == "said"),
                      tuple(text for key, _, text in pairs if key == "repaired"),
                      any(key == "failed" for key, _, _ in pairs))


class Monitor:
    """Watches, and begins rounds; ends on SIGTERM or SIGINT, SIGHUP has it look again."""

    def __init__(self, show: Callable[[str], None]) -> None:
        self._show = show
        self._watch = Watch()
        self._agenda = Agenda()
        self._patience = Patience()
        self._said: frozenset[str] = frozenset()
        self._signals = _catch_signals()

    def run(self) -> None:
        """Watch until a signal says to stop; a round that is under way is finished first."""
        running: Round | None = self._begin(adopting=True)
        stopping = False
        while not stopping:
            if running is None and self._agenda.begin(monotonic()):
                running = self._begin(adopting=False)
            for ready in self._wait(running):
                if ready == self._watch.fileno():
                    self._hear(self._watch.read())
                elif ready == self._signals:
                    stopping = self._heed_signals()
                elif running is not None and running.read():
                    self._tell(running.finish())
                    running = None
                    _notify_systemd()
        if running is not None:
            self._tell(running.finish())

    def _wait(self, running: Round | None) -> list[int]:
        poll = select.poll()
        for descriptor in (self._watch.fileno(), self._signals,
                           *([running.fileno()] if running else [])):
            poll.register(descriptor, select.POLLIN)
        timeout = None if running else self._agenda.wait(monotonic())
        return [descriptor for descriptor, _ in poll.poll(timeout)]

    def _begin(self, adopting: bool) -> Round:
        resting = self._patience.resting
        return Round(lambda: keep_up(adopting, resting, self._show))

    def _hear(self, news: News) -> None:
        self._patience.forgive(news.devices)
        self._agenda.note(news, monotonic())

    def _heed_signals(self) -> bool:
        """Whether one of the signals that came says to stop."""
        caught = os.read(self._signals, 64)
        if signal.SIGHUP in caught:
            self._patience = Patience()
            self._agenda.hurry(monotonic())
        return bool({signal.SIGTERM, signal.SIGINT} & set(caught))

    def _tell(self, report: Report) -> None:
        """Say what the last round has not said already."""
        self._agenda.end(report.failed, monotonic())
        news = [text for text in dict.fromkeys(report.said) if text not in self._said]
        self._said = frozenset(report.said)
        for text in (*news, *self._patience.note(report.repaired, monotonic())):
            say(PROGRAM, text)


def _do_and_exit(work: Callable[[], Report], output: int) -> None:
    """In the child: work, report, end. What stops the monitor lets its last round finish."""
    try:
        signal.pthread_sigmask(signal.SIG_BLOCK, (signal.SIGTERM, signal.SIGINT, signal.SIGHUP))
        report = _report(work)
        lines = [*(f"said {text}" for text in report.said),
                 *(f"repaired {iface}" for iface in report.repaired),
                 *["failed"] * report.failed]
        with open(output, "w", encoding="utf-8", errors="surrogateescape") as stream:
            stream.writelines(line + "\n" for line in lines)
    finally:
        os._exit(0)


def _report(work: Callable[[], Report]) -> Report:
    try:
        return work()
    except Problem as problem:
        return Report((str(problem),), (), True)
    except Exception as error:
        return Report((describe_unexpected(error),), (), True)


def _catch_signals() -> int:
    """A descriptor from which the numbers of signals can be read as they come."""
    reading, writing = os.pipe()
    os.set_blocking(writing, False)
    signal.set_wakeup_fd(writing, warn_on_full_buffer=False)
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(number, lambda *_: None)
    return reading


def _notify_systemd() -> None:
    """Say that the first round is over, where somebody asked to know (sd_notify(3))."""
    address = os.environ.pop("NOTIFY_SOCKET", "")
    if address:
        with socket(AF_UNIX, SOCK_DGRAM) as notifying:
            notifying.sendto(b"READY=1", address.replace("@", "\0", 1))


def _find_name(ifindex: int) -> str:
    try:
        return if_indextoname(ifindex)
    except OSError:
        return ""


def _show_nothing(line: str) -> None:
    """Without --verbose."""
