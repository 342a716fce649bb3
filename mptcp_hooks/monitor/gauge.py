# SPDX-License-Identifier: GPL-2.0-or-later
"""Looks at what uplinks carry, as often as there is traffic to be seen, and has them judged.

Nothing is done where there is one uplink, or where no role may change. While nobody sends or
receives much, one look at the counters a second is all; while somebody does, ten, and one at the
connections. Both are paid out of a share of the time, so that a machine with ten thousand
connections is looked at seldom.
"""

from __future__ import annotations

from time import process_time

from mptcp_hooks.base.errors import Problem
from mptcp_hooks.base.value import TYPE_CHECKING
from mptcp_hooks.machine.counters import read_mptcp_counters
from mptcp_hooks.machine.system import name_device
from mptcp_hooks.machine.traffic import read_flows, read_traffic
from mptcp_hooks.monitor.judge import Judge, Uplink
from mptcp_hooks.monitor.meter import Meter

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from mptcp_hooks.machine.traffic import Flow, Traffic
    from mptcp_hooks.monitor.judge import Verdict

_SECOND, _TENTH = 1.0, 0.1
# Whoever carries less in a second, in bytes, has nothing to be judged by.
_BUSY_FROM = 25_000
# Of a machine that begins to be busy these many seconds are looked at, in a row, where any of the
# first ones speaks against an uplink, and else those alone; later each third one, and each tenth
# where there is no backup and nothing has changed for a minute.
_AT_FIRST, _UNDOUBTED, _SELDOM, _MORE_SELDOM, _SETTLED_AFTER = 10, 5, 3.0, 10.0, 60.0
# An uplink that carries so many times as much as when it was looked at, or as little, for so many
# seconds, is looked at anew, and not again before as long as that takes twice.
_OTHER, _OTHER_FOR, _ANEW_AFTER = 2.5, 2, 20.0
# Of the time, what looks at connections may take, and ahead of it, in seconds.
_SHARE, _CREDIT = 1 / 1000, 0.2
_NEVER = float("inf")


class Gauge:
    """`say` hears of changed roles, `warn` what cannot be seen."""

    def __init__(self, say: Callable[[str], None], warn: Callable[[str], None]) -> None:
        self._warn = warn
        self._judge = Judge(say)
        self._meter = Meter()
        self._ifaces: dict[str, str] = {}
        self._devices: dict[str, str] = {}
        self._judged = False
        self._traffic: dict[str, Traffic] = {}
        # When the counters are read next; until when a second is looked at, None while none is.
        self._look_at = 0.0
        self._second_ends: float | None = None
        # When the next one is due, of those that are looked at now and then.
        self._rests_until = 0.0
        # What each uplink carried at its best in a second since all were looked at anew, in bytes,
        # and in how many of the last seconds one was far from that.
        self._rates: dict[str, float] = {}
        self._others = self._looked = self._joins = 0
        self._changed_at = self._anew_at = 0.0
        self._credit, self._credited_at = _CREDIT, 0.0

    def note_uplinks(self, uplinks: Iterable[Uplink], ifaces: Mapping[str, str]) -> None:
        """Take in the uplinks, and which one each own address is of."""
        meant = tuple(uplinks)
        self._judge.note_uplinks(meant)
        self._judged = any(uplink.free for uplink in meant)
        self._ifaces = dict(ifaces)
        # Aliases are of one device.
        self._devices = {iface: name_device(iface.partition(":")[0]) for iface in ifaces.values()}

    def recall(self, verdicts: Mapping[str, Verdict]) -> None:
        """Take what was found before, by uplinks, for what they are now."""
        for iface, verdict in verdicts.items():
            self._judge.recall(iface, verdict)

    def forget(self, ifaces: Iterable[str]) -> None:
        """Know nothing more of uplinks: their interfaces are others by now."""
        for iface in ifaces:
            self._judge.forget_uplink(iface)
            self._rates.pop(iface, None)

    def list_verdicts(self) -> dict[str, Verdict]:
        """What was found of each uplink."""
        return self._judge.list_verdicts()

    def list_roles(self) -> dict[str, str]:
        """The uplinks that are to be backups, and why."""
        return self._judge.list_roles()

    def wait(self, now: float) -> float:
        """How long until there is something to look at, in seconds; without end where is none."""
        return max(0.0, self._look_at - now) if self._has_choice() else _NEVER

    def attend(self, now: float) -> bool:
        """Look where it is due; whether roles are other ones by it."""
        if not self._has_choice():
            # What is counted when there is one again is not what a second carried.
            self._second_ends, self._traffic = None, {}
            return False
        if now < self._look_at:
            return False
        before = self._judge.list_roles()
        self._judge.end_overdue(now)
        return self._look(now) or self._judge.list_roles() != before

    def _look(self, now: float) -> bool:
        known = read_traffic()
        traffic = {iface: known[device] for iface, device in self._devices.items()
                   if device in known}
        if self._second_ends is None:
            self._consider_second(traffic, now)
            return False
        self._meter.count(traffic, now)
        self._look_at = now + _TENTH
        if now < self._second_ends:
            return False
        return self._end_second(traffic, now)

    def _has_choice(self) -> bool:
        return self._judged and len(set(self._devices.values())) > 1

    def _consider_second(self, traffic: dict[str, Traffic], now: float) -> None:
        """Begin to look at a second where somebody sends or receives much."""
        before, self._traffic = self._traffic, traffic
        self._look_at = now + _SECOND
        rates = {iface: _measure(after, before[iface]) for iface, after in traffic.items()
                 if iface in before}
        if not _is_busy(rates):
            self._looked = 0
            self._rests_until = now
            self._rates.clear()
            return
        self._note_rates(rates, now)
        if now < self._rests_until:
            return
        flows = self._read_flows(now)
        if flows is not None:
            self._meter.begin(flows, traffic, now)
            self._second_ends, self._look_at = now + _SECOND - _TENTH / 2, now + _TENTH

    def _note_rates(self, rates: Mapping[str, float], now: float) -> None:
        """Have all looked at anew, of which an uplink carries much less by now, or more."""
        # What is a backup, or rests, carries nothing because of that.
        backups = self._judge.list_roles()
        other = any(_is_other(rate, self._rates.get(iface, rate)) for iface, rate in rates.items()
                    if iface not in backups)
        self._others = (self._others + 1) * other
        if self._others >= _OTHER_FOR and now - self._anew_at >= _ANEW_AFTER:
            self._anew_at = self._rests_until = now
            self._others = self._looked = 0
            self._rates.clear()
            self._judge.forget()

    def _end_second(self, traffic: dict[str, Traffic], now: float) -> bool:
        """Judge by what was seen; whether roles are other ones by it."""
        self._second_ends, self._looked = None, self._looked + 1
        rates = {iface: _measure(after, self._traffic[iface]) for iface, after in traffic.items()
                 if iface in self._traffic}
        self._traffic = traffic
        self._note_rates(rates, now)
        self._rates = {iface: max(rate, self._rates.get(iface, 0)) for iface, rate in rates.items()}
        before = self._judge.list_roles()
        flows = self._read_flows(now)
        if flows is None:
            return False
        self._judge.note(self._meter.end(flows, self._ifaces, now), self._count_joins(), now)
        changed = self._judge.list_roles() != before
        if changed:
            self._changed_at, self._looked = now, 0
        at_first = _AT_FIRST if self._judge.doubts else _UNDOUBTED
        if self._judge.on_trial or (self._looked < at_first and _is_busy(rates)):
            # The next second begins at once.
            self._meter.begin(flows, traffic, now)
            self._second_ends, self._look_at = now + _SECOND - _TENTH / 2, now + _TENTH
            return changed
        self._look_at = self._rests_until = now + _SECOND
        if self._looked >= at_first:
            settled = not self._judge.list_roles() and now - self._changed_at > _SETTLED_AFTER
            self._rests_until = now + (_MORE_SELDOM if settled else _SELDOM)
        return changed

    def _count_joins(self) -> bool:
        """Whether connections of this end got a second subflow since the last question."""
        before, self._joins = self._joins, read_mptcp_counters().get("MPJoinSynAckRx", 0)
        return self._joins > before

    def _read_flows(self, now: float) -> list[Flow] | None:
        """The connections of uplinks, None where they cannot be seen or cost too much for now."""
        self._credit = min(_CREDIT, self._credit + _SHARE * (now - self._credited_at))
        self._credited_at = now
        if self._credit <= 0:
            return None
        began = process_time()
        try:
            return read_flows(frozenset(self._ifaces))
        except Problem as problem:
            self._warn(str(problem))
            return None
        finally:
            self._credit -= process_time() - began


def _measure(after: Traffic, before: Traffic) -> float:
    """What was sent or received, whichever is more, in bytes."""
    return max(after.sent - before.sent, after.received - before.received)


def _is_busy(rates: Mapping[str, float]) -> bool:
    return max(rates.values(), default=0) >= _BUSY_FROM


def _is_other(now: float, before: float) -> bool:
    """Whether two rates are far from each other, and one of them tells anything."""
    return max(now, before) >= max(_BUSY_FROM, _OTHER * min(now, before))
