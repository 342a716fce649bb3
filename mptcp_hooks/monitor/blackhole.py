# SPDX-License-Identifier: GPL-2.0-or-later
"""Whether Multipath TCP was turned off for the whole machine, and whether that is to end. Pure.

Two SYNs with MP_CAPABLE that get no answer, and a plain one that does, are a firewall to the
kernel (6.12 and later, net/mptcp/ctrl.c): all new connections are plain TCP for an hour then,
twice as long each further time. A provider that is silent for two seconds looks the same to
it. Whoever tries once more can tell: behind a firewall the next connection fails likewise.
"""

from __future__ import annotations

from mptcp_hooks.base.value import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

# A firewall costs the first connection after each attempt some seconds.
_ATTEMPTS_AT_MOST, _ATTEMPTS_WITHIN = 8, 3600.0
# An outage explains what the kernel concludes so long after it: a third SYN takes 7 s.
_OUTAGE_LASTS = 15.0
_OFF_TIMES = "Blackhole"
# Each proves that a SYN with an MPTCP option was answered.
_ANSWERS = ("MPCapableSYNACKRX", "MPJoinSynAckRx")


class BlackholeWatch:
    """What the kernel's counters told, and what was tried.

    `off` is whether it is left to the kernel, `times` how often it was since the last attempt.
    """

    def __init__(self) -> None:
        self.off = False
        self.times = 0
        self._counted = 0
        self._answers: int | None = None
        self._attempts: list[float] = []
        self._outage = float("-inf")

    def note_outage(self, now: float) -> None:
        """Note that a path was seen to be out, or connections to have lost it."""
        self._outage = now

    def judge(self, counters: Mapping[str, int], now: float) -> bool:
        """Whether the kernel's conclusion is to end, by its counters as they are now."""
        times = counters.get(_OFF_TIMES, 0)
        # A counter that went back is another one's: the kernel began anew.
        new, self._counted = max(0, times - self._counted), times
        self.times += new
        if not new and not self.off:
            return False
        answers = sum(counters.get(name, 0) for name in _ANSWERS)
        self.off = True
        if not self._is_worth_it(answers, now):
            return False
        self._attempts = [*self._attempts, now]
        self._answers = answers
        self.off, self.times = False, 0
        return True

    def _is_worth_it(self, answers: int, now: float) -> bool:
        self._attempts = [then for then in self._attempts if now - then < _ATTEMPTS_WITHIN]
        if len(self._attempts) >= _ATTEMPTS_AT_MOST:
            return False
        first = self._answers is None or not self._attempts
        answered = self._answers is not None and answers > self._answers
        return first or answered or now - self._outage < _OUTAGE_LASTS
