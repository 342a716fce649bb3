# SPDX-License-Identifier: GPL-2.0-or-later
"""One path that is checked: asks its targets when that is due, and hears who answers."""

from __future__ import annotations

from mptcp_hooks.base.value import TYPE_CHECKING
from mptcp_hooks.checker.probes import begin_probe
from mptcp_hooks.checker.verdict import Verdict

if TYPE_CHECKING:
    from collections.abc import Callable

    from mptcp_hooks.checker.duties import Duty
    from mptcp_hooks.checker.probes import Connection, Echo

# What has not answered after so many seconds has failed, or with the next question's time. The
# question whose failure makes the check fail has less: those before it had all of theirs.
_PATIENCE, _LAST_PATIENCE = 3.0, 1.0
_NEVER = float("inf")


class Watch:
    """The questions of one path, and what they told so far.

    `carries` says whether a device has a carrier: without one nobody is asked. `since`
    is when the verdict became what it is, in seconds of the epoch.
    """

    def __init__(self, duty: Duty, carries: Callable[[str], bool], now: float, date: int) -> None:
        self.duty = duty
        self.since = date
        self._carries = carries
        self._verdict = Verdict(duty.failures)
        self._due, self._end = now, _NEVER
        self._probes: list[Echo | Connection] = []

    @property
    def failed(self) -> bool:
        """Whether its check has failed."""
        return self._verdict.failed

    def list_probes(self) -> list[Echo | Connection]:
        """What is to be listened to."""
        return list(self._probes)

    def wait(self, now: float) -> float:
        """How long until there is something to do, in seconds."""
        return max(0.0, min(self._due, self._end) - now)

    def hear(self, probe: Echo | Connection, now: float, date: int) -> bool:
        """Read what came; whether the verdict changed by it."""
        if probe not in self._probes:
            # One that was heard before it answered for all.
            return False
        answered = probe.read()
        if answered is None:
            return False
        if answered:
            return self._conclude(True, now, date)
        probe.close()
        self._probes.remove(probe)
        return not self._probes and self._conclude(False, now, date)

    def attend(self, now: float, date: int) -> bool:
        """Do what is due; whether the verdict changed by it."""
        changed = now >= self._end and self._conclude(False, now, date)
        if now >= self._due:
            changed |= self._ask(now, date)
        return changed

    def close(self) -> None:
        """Give up what is on its way."""
        for probe in self._probes:
            probe.close()
        self._probes.clear()
        self._end = _NEVER

    def _ask(self, now: float, date: int) -> bool:
        interval = self.duty.interval
        # A time that was missed is not made up for.
        self._due = self._due + interval if self._due + interval > now else now + interval
        if not self._carries(self.duty.device):
            self._verdict.pause()
            return False
        begun = [begin_probe(self.duty, target) for target in self.duty.targets]
        self._probes = [probe for probe in begun if probe is not None]
        patience = _LAST_PATIENCE if self._verdict.failing_next else _PATIENCE
        self._end = min(now + min(interval, patience), self._due)
        return not self._probes and self._conclude(False, now, date)

    def _conclude(self, answered: bool, now: float, date: int) -> bool:
        """End an interval; one whose carrier went meanwhile tells nothing."""
        self.close()
        if not answered and not self._carries(self.duty.device):
            self._verdict.pause()
            return False
        changed = self._verdict.note(answered, now)
        if changed:
            self.since = date
        return changed
