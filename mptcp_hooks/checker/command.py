# SPDX-License-Identifier: GPL-2.0-or-later
"""mptcp_check(8): asks whether paths work, where the administrator wants that.

One loop, and no timer where nobody is to be asked: it sleeps until something is written into
the record's folder, or SIGHUP comes.
"""

from __future__ import annotations

import os
import select
import signal
from time import monotonic, time

from mptcp_hooks.base.entry import make_parser
from mptcp_hooks.base.errors import Problem
from mptcp_hooks.base.report import say
from mptcp_hooks.base.text import count
from mptcp_hooks.base.value import TYPE_CHECKING
from mptcp_hooks.checker.duties import list_duties
from mptcp_hooks.checker.watch import Watch
from mptcp_hooks.engine.checks import CheckResult, save_checks
from mptcp_hooks.machine.mailbox import Mailbox
from mptcp_hooks.machine.service import Status, add_log_option, catch_signals, heed_log_option
from mptcp_hooks.machine.system import Machine

if TYPE_CHECKING:
    from mptcp_hooks.checker.duties import Duty
    from mptcp_hooks.checker.probes import Connection, Echo

PROGRAM = "mptcp_check"
# What hooks write comes in bursts, which settle in as long; in seconds.
_SETTLED_IN = 0.1
_NEVER = float("inf")


def run_mptcp_check() -> int:
    """Exit status of mptcp_check(8): 0 when it was told to stop."""
    parser = make_parser(PROGRAM, "Ask the targets of `check` and mptcp-check whether paths work.")
    add_log_option(parser)
    heed_log_option(PROGRAM, parser.parse_args())
    if os.geteuid() != 0:
        raise Problem("must be root")
    checker = Checker()
    try:
        checker.run()
    finally:
        checker.close()
    return 0


class Checker:
    """Watches all paths that have a check; ends on SIGTERM or SIGINT, SIGHUP has it look again."""

    def __init__(self) -> None:
        self._signals = catch_signals(signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGIO)
        self._mailbox = Mailbox()
        self._status = Status(PROGRAM)
        self._watches: dict[Duty, Watch] = {}
        self._look_at = monotonic()
        self._saved: tuple[CheckResult, ...] = ()

    def run(self) -> None:
        """Check until a signal says to stop."""
        # What one that was killed left is nobody's word any more; and there is a folder now.
        save_checks(())
        self._mailbox.open()
        stopping = False
        while not stopping:
            self._attend()
            self._save()
            stopping = self._listen()

    def close(self) -> None:
        """Give up what is on its way, and take back what was noted."""
        for watch in self._watches.values():
            watch.close()
        save_checks(())

    def _attend(self) -> None:
        """Do what is due."""
        now = monotonic()
        if now >= self._look_at:
            self._look(now)
        for watch in self._watches.values():
            if watch.attend(now, int(time())):
                _tell(watch)

    def _look(self, now: float) -> None:
        """Read which paths are to be checked; those that are already go on as they are."""
        self._look_at = _NEVER
        self._mailbox.open()
        before, self._watches = self._watches, {}
        for duty in list_duties():
            self._watches[duty] = before.pop(duty) if duty in before else Watch(
                duty, _carries, now, int(time()))
        for watch in before.values():
            watch.close()

    def _listen(self) -> bool:
        """Wait for whatever comes first, and heed it; whether a signal says to stop."""
        poll = select.poll()
        poll.register(self._signals, select.POLLIN)
        asked: dict[int, tuple[Watch, Echo | Connection]] = {}
        for watch in self._watches.values():
            for probe in watch.list_probes():
                poll.register(probe.fileno(), probe.events)
                asked[probe.fileno()] = watch, probe
        stopping = False
        for ready, _ in poll.poll(self._find_timeout()):
            if ready == self._signals:
                stopping = self._heed_signals()
            else:
                watch, probe = asked[ready]
                if watch.hear(probe, monotonic(), int(time())):
                    _tell(watch)
        return stopping

    def _find_timeout(self) -> int | None:
        """How long to wait, in milliseconds; None for ever."""
        now = monotonic()
        left = min((watch.wait(now) for watch in self._watches.values()), default=_NEVER)
        left = max(0.0, min(left, self._look_at - now))
        # Rounded up: one that ends too early would be followed by another.
        return None if left == _NEVER else int(left * 1000) + 1

    def _heed_signals(self) -> bool:
        caught = os.read(self._signals, 64)
        if signal.SIGHUP in caught:
            self._look_at = monotonic()
        if signal.SIGIO in caught:
            self._look_at = min(self._look_at, monotonic() + _SETTLED_IN)
        return bool({signal.SIGTERM, signal.SIGINT} & set(caught))

    def _save(self) -> None:
        """Note how the checks stand, where that has changed, and tell systemd."""
        results = tuple(CheckResult(watch.duty.address, watch.failed, watch.since, watch.duty.name)
                        for watch in self._watches.values())
        if results != self._saved:
            save_checks(results)
            self._saved = results
        self._status.tell(_describe(list(self._watches.values())))


def _carries(device: str) -> bool:
    """Whether a device is there and has a carrier."""
    link = Machine(None).read_link(device)
    return link is not None and link.running


def _tell(watch: Watch) -> None:
    """Say what became of a path's check."""
    duty = watch.duty
    if watch.failed:
        say(PROGRAM, f"{duty.iface}: {duty.address}: no answer from {duty.name} "
                     f"{count(duty.failures, 'time')} in a row")
    else:
        say(PROGRAM, f"{duty.iface}: {duty.address}: {duty.name} answers again")


def _describe(watches: list[Watch]) -> str:
    """How all is, in one line."""
    if not watches:
        return "no path has a check"
    failed = [watch.duty for watch in watches if watch.failed]
    named = ", ".join(f"{duty.iface} ({duty.address})" for duty in failed)
    return f"{count(len(watches), 'path')} checked; " + (
        f"no answer: {named}" if failed else "none failed")
