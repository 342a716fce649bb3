# SPDX-License-Identifier: GPL-2.0-or-later
"""What the monitor knows of running connections and of Multipath TCP itself, between its rounds.

It hears which subflows end, looks seldom at a few of the kernel's counters, and says when
connections are to be looked at; what it concludes is pure and stands in joins.py, outages.py
and blackhole.py.
"""

from __future__ import annotations

from time import CLOCK_BOOTTIME, clock_gettime, time

from mptcp_hooks.base.address import family_of
from mptcp_hooks.base.errors import Problem
from mptcp_hooks.base.text import count
from mptcp_hooks.base.value import TYPE_CHECKING
from mptcp_hooks.engine.faults import (
    GATEWAY_SILENT,
    NO_CARRIER,
    SUSPECTED,
    UNSTEADY,
    Fault,
    recall_faults,
    save_faults,
)
from mptcp_hooks.engine.off import Off, save_off
from mptcp_hooks.engine.remembered import load_uplinks, save_uplinks
from mptcp_hooks.machine.counters import end_blackhole, read_blackhole_timeout, read_mptcp_counters
from mptcp_hooks.monitor.acquaintances import Acquaintances
from mptcp_hooks.monitor.blackhole import BlackholeWatch
from mptcp_hooks.monitor.closings import ClosingsListener
from mptcp_hooks.monitor.flaps import Flaps
from mptcp_hooks.monitor.gauge import Gauge
from mptcp_hooks.monitor.joins import Joins
from mptcp_hooks.monitor.judge import Uplink
from mptcp_hooks.monitor.look import Errand
from mptcp_hooks.monitor.notice import PROVED_WITHIN, Notice
from mptcp_hooks.monitor.outages import Outages, Ways
from mptcp_hooks.monitor.recoveries import Recoveries
from mptcp_hooks.monitor.reminders import Reminders
from mptcp_hooks.monitor.upkeep import Known

if TYPE_CHECKING:
    from collections.abc import Callable

    from mptcp_hooks.monitor.round import RoundResult

    Say = Callable[[str], None]

# The counters tell of what nobody announces; five seconds are what a person waits.
_COUNTED_EVERY = 4.0
# How soon a round is to come again that waits for a gateway, or for a second path: a quarter of the
# time that it has been so. The kernel asks a gateway for three seconds and gives up.
_AGAIN_AT_LEAST, _AGAIN_AT_MOST, _LONG, _AGAIN_LATER = 0.15, 3.0, 300.0, 10.0
# An outage that was seen so long before the kernel's conclusion may have to do with it.
_TOLD_WITHIN = 600.0
# A busy machine has subflows that end all the time: they are heard some at a time.
_HEARD_EVERY = 0.2
_NEVER = float("inf")


class Health:
    """`tell` hears what a person may want to know, `warn` what is wrong."""

    def __init__(self, tell: Say, warn: Say, now: float) -> None:
        self.joins = Joins()
        self._tell, self._warn = tell, warn
        self._closings = ClosingsListener()
        if self._closings.refusal:
            warn(f"cannot hear the kernel's MPTCP events: {self._closings.refusal}: subflows that "
                 "are lost on the way are found later, or with a reload")
        self._reminders = Reminders()
        self._reminding_since: float | None = None
        self._outages = Outages()
        self._ways = Ways()
        self._recoveries = Recoveries()
        self._flaps = Flaps()
        self._gauge = Gauge(tell, warn)
        # What is remembered of uplinks, None until it was read.
        self._acquaintances: Acquaintances | None = None
        # The roles that the round under way was told.
        self._given: tuple[tuple[str, str], ...] = ()
        self._blackhole = BlackholeWatch()
        self._notice = Notice(warn)
        self._doubted: frozenset[str] = frozenset()
        # What is on record, None where that is another one's word.
        self._faults: tuple[Fault, ...] | None = None
        self._paths: tuple[str, ...] = ()
        self._tunnels: tuple[str, ...] = ()
        self._users: tuple[tuple[str, int], ...] = ()
        self._count_at = self._hear_at = now
        self._opened = self._stale = 0
        self._out_at: dict[str, float] = {}
        self._waiting_since: float | None = None

    def fileno(self, now: float) -> int:
        """The descriptor that is readable when a subflow ended; -1 for none, or not now."""
        return self._closings.fileno() if now >= self._hear_at else -1

    def hear(self, now: float) -> None:
        """Take in which subflows ended."""
        self._hear_at = now + _HEARD_EVERY
        closed = self._closings.read(now)
        self.joins.hear([one for one in closed if one.token], now)
        if not all(one.token for one in closed):
            # Some were lost, which may be anybody's.
            self.joins.expect(now)

    def wait(self, now: float) -> float:
        """How long until there is something to do, in seconds."""
        deaf = self._closings.deaf_until
        return max(0.0, min(self.joins.wait(now), self._reminders.wait(now),
                            self._notice.wait(now), self._gauge.wait(now),
                            self._count_at - now if self._paths else _NEVER,
                            deaf - now if deaf else _NEVER,
                            self._hear_at - now if now < self._hear_at else _NEVER))

    def attend(self, now: float) -> bool:
        """Do what is due between rounds: look at counters and sockets, and listen again.

        Whether a round is due because of it.
        """
        if self._closings.listen_again(now):
            self.joins.heed_new(now)
        if self._paths and now >= self._count_at:
            self._count_at = now + _COUNTED_EVERY
            self._look_at_counters(now)
        changed, said = self._notice.attend(now)
        for text in said:
            self._tell(text)
        return self._gauge.attend(now) or changed

    def begin_look(self, now: float) -> Errand | None:
        """What a look that begins may do; None where none is due."""
        remaking = self.joins.begin(now)
        reminding = self._reminders.begin(now)
        proving = self._notice.take_signs(now)
        if remaking is None and not reminding and not proving:
            return None
        self._reminding_since = now if reminding else None
        # Where a box reset a subflow, or forgot it, the peer may still count it.
        return Errand({address: self._reminders.list_known(address)
                       if self.joins.lost.get(address) else ()
                       for address in remaking or ()}, reminding, proving)

    def note_round(self, report: RoundResult, now: float) -> float:
        """Take in what a round of upkeep saw; how soon it is to come again, without end if not."""
        if report.paths is None:
            return _NEVER
        self._reminders.note(report.endpoints, now)
        if set(report.paths) - set(self._paths):
            # A first look tells which addresses these have.
            self.joins.expect(now)
        self._paths = report.paths
        mute = {iface: _word_fault(gateway, fault)
                for iface, _, gateway, fault in report.faults if fault != NO_CARRIER}
        self._notice.note_paths(report.addresses, report.suspecting)
        date = _look_at_clock()
        for text in (*self._outages.note(report.paths, report.silent, report.kept, report.waiting,
                                         mute, date),
                     *self._ways.note(report.ways, self._word_faults(report), date)):
            self._tell(text)
        self._note_tunnels(report.tunnels, now)
        self._note_faults(report)
        self._note_uplinks(report)
        self._doubted = frozenset(address for _, address, _, fault in report.faults
                                  if fault == GATEWAY_SILENT)
        self._recoveries.note((address for _, address, _, _ in report.faults), now)
        self._note_flaps(report, now)
        self._note_outages({*report.silent, *report.kept}, now)
        if report.made or self._outages.returning:
            self.joins.expect(now)
        if self._given != tuple(self._gauge.list_roles().items()):
            # What is remembered of an uplink that has just come is not true yet.
            return 0.0
        return min(self._find_pause(bool(report.waiting or report.kept), now),
                   self._flaps.wait(now),
                   self._recoveries.wait(now) if any(iface for _, _, iface in report.ways)
                   else _NEVER)

    def recall(self, now: float) -> Known:
        """What a round that begins is to know of paths."""
        self._given = tuple(self._gauge.list_roles().items())
        return Known(self._recoveries.list_fresh(now), self._notice.suspected, self._doubted,
                     self._notice.list_asked(now), self._flaps.list_unsteady(now),
                     roles=self._given)

    def note_look(self, report: RoundResult, cost: float, now: float) -> float:
        """Take in what a look saw, which took so many seconds; how soon a round is to come."""
        if self._reminding_since is not None:
            self._reminders.note_cost(now - self._reminding_since, now)
        if report.uses is None:
            self.joins.note_failure(now)
            return _NEVER
        self._reminders.note(report.endpoints, now)
        self._reminders.settle([use.address for use in report.uses
                                if not use.lost and not use.joining])
        self.joins.note(report.uses, report.remade, cost, now)
        self._note_outages({use.iface for use in report.uses if use.lost}, now)
        for text in self._outages.settle(report.uses, self._count, _look_at_clock()):
            self._tell(text)
        if self._outages.returning:
            self.joins.expect(now)
        self._users = tuple((use.iface, use.using) for use in report.uses)
        # A gateway that did not prove that it is there is out from then on.
        return PROVED_WITHIN if report.proved else _NEVER

    def describe(self) -> str:
        """All in one line, for the unit's status."""
        users = dict(self._users)
        named = (f"{iface} used by {count(users[iface], 'connection')}" if iface in users else iface
                 for iface in self._paths)
        off = ["Multipath TCP is off for new connections"] * self._blackhole.off
        return "; ".join([f"{count(len(self._paths), 'path')}: {', '.join(named)}" if self._paths
                          else "no path", *self._outages.describe(), *off])

    def _word_faults(self, report: RoundResult) -> dict[tuple[str, int], str]:
        """Why paths are out, or may be, by interface and family."""
        suspected = {(iface, family_of(address)): "its connections get no answer"
                     for address, iface, _, _ in report.addresses
                     if address in self._notice.suspected}
        return suspected | {(iface, family_of(address)): _word_fault(gateway, fault)
                            for iface, address, gateway, fault in report.faults}

    def _note_uplinks(self, report: RoundResult) -> None:
        """Take in whose traffic is to be measured."""
        out = {address for _, address, _, _ in report.faults}
        ifaces = {address: iface for address, iface, _, _ in report.addresses}
        alive = {iface for address, iface in ifaces.items() if address not in out}
        self._gauge.note_uplinks([Uplink(iface, iface in alive, iface in report.free)
                                  for iface in dict.fromkeys(ifaces.values())], ifaces)
        self._remember(report)

    def _remember(self, report: RoundResult) -> None:
        """Take up what is remembered of uplinks that are new, and remember what was found."""
        gateways: dict[str, tuple[str, ...]] = {}
        for _, iface, gateway, _ in report.addresses:
            gateways[iface] = (*gateways.get(iface, ()), *[gateway] * bool(gateway))
        if self._acquaintances is None:
            known, fault = load_uplinks()
            self._acquaintances = Acquaintances(known)
            if fault:
                self._warn(fault)
        met = self._acquaintances.meet(gateways, self._gauge.list_verdicts())
        self._gauge.forget(met.strangers)
        self._gauge.recall(met.recalled)
        found = self._acquaintances.learn(self._gauge.list_verdicts())
        if found is None:
            return
        try:
            save_uplinks(found)
        except Problem as problem:
            self._warn(str(problem))

    def _note_flaps(self, report: RoundResult, now: float) -> None:
        """Note which paths are out, for themselves, and say which wait from now on for that."""
        ifaces = {address: iface for iface, address, _, fault in report.faults
                  if fault != UNSTEADY}
        for iface in sorted({ifaces[address] for address in self._flaps.note(ifaces, now)}):
            self._tell(f"{iface}: comes and goes: its endpoint waits until it has been up for "
                       "a while")

    def _note_tunnels(self, tunnels: tuple[str, ...], now: float) -> None:
        """Tell which tunnels new connections keep to; those that did may miss paths afterwards."""
        if tunnels == self._tunnels:
            return
        self._tunnels = tunnels
        if tunnels:
            self._tell(f"new connections leave by {' and '.join(tunnels)}, and get no subflow "
                       "outside it")
        else:
            self._tell("new connections no longer leave by a tunnel, and use all paths again")
            self.joins.expect(now)

    def _note_faults(self, report: RoundResult) -> None:
        """Put on record which paths are out, or may be, and since when."""
        reasons = dict.fromkeys(self._notice.suspected, SUSPECTED) | {
            address: fault for _, address, _, fault in report.faults}
        before = recall_faults() if self._faults is None else self._faults
        since = {(one.address, one.why): one.since for one in before}
        faults = tuple(Fault(address, why, since.get((address, why), int(time())))
                       for address, why in sorted(reasons.items()))
        if faults == self._faults:
            return
        try:
            save_faults(faults)
        except Problem as problem:
            self._warn(str(problem))
            return
        self._faults = faults

    def _count(self, address: str) -> tuple[int, int]:
        return len(self.joins.lost.get(address, ())), self.joins.returned.get(address, 0)

    def _find_pause(self, waits: bool, now: float) -> float:
        if not waits:
            self._waiting_since = None
            return _NEVER
        if self._waiting_since is None:
            self._waiting_since = now
        waited = now - self._waiting_since
        most = _AGAIN_AT_MOST if waited < _LONG else _AGAIN_LATER
        return min(max(_AGAIN_AT_LEAST, waited / 4), most)

    def _note_outages(self, ifaces: set[str], now: float) -> None:
        """Note that interfaces are out, or that connections lost them."""
        self._out_at = {**{iface: then for iface, then in self._out_at.items()
                           if now - then < _TOLD_WITHIN}, **dict.fromkeys(ifaces, now)}
        if ifaces:
            self._blackhole.note_outage(now)

    def _look_at_counters(self, now: float) -> None:
        counters = read_mptcp_counters()
        opened = counters.get("MPCapableSYNACKRX", 0)
        if opened > self._opened and len(self._paths) > 1:
            self.joins.heed_new(now)
        stale = counters.get("SubflowStale", 0)
        if stale > self._stale:
            self.joins.heed_new(now)
        self._opened, self._stale = opened, stale
        noted = self._blackhole.times if self._blackhole.off else 0
        if self._blackhole.judge(counters, now):
            self._end_blackhole()
        elif self._blackhole.off and self._blackhole.times > noted:
            self._note_off(now)

    def _end_blackhole(self) -> None:
        try:
            end_blackhole()
        except Problem as problem:
            self._blackhole.off = True
            self._warn(str(problem))
            return
        try:
            save_off(None)
        except Problem as problem:
            self._warn(str(problem))
        self._tell("the kernel took a silent provider for a firewall: Multipath TCP is on "
                   "again")

    def _note_off(self, now: float) -> None:
        """Leave it to the kernel, and note for how long it does without Multipath TCP."""
        outages = tuple(sorted(iface for iface, then in self._out_at.items()
                               if now - then < _TOLD_WITHIN))
        seconds = read_blackhole_timeout() << min(self._blackhole.times - 1, 6)
        began = int(time())
        try:
            save_off(Off(began, began + seconds, outages))
        except Problem as problem:
            self._warn(str(problem))
        self._warn("a firewall drops requests for Multipath TCP, but not plain TCP: the kernel"
                   f" turns it off for new connections, for {seconds} s")


def _word_fault(gateway: str, fault: str) -> str:
    return f"gateway {gateway} silent" if fault == GATEWAY_SILENT else fault


def _look_at_clock() -> float:
    """Seconds that go on while the machine sleeps, clock_gettime(2)."""
    return clock_gettime(CLOCK_BOOTTIME)
