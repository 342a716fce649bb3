# SPDX-License-Identifier: GPL-2.0-or-later
"""Hears of uplinks that are silent though their carrier is there, without anybody being asked.

A counter of the kernel's says each second whether anybody waited in vain; only then the sockets
are looked at (suspicion.py has what they mean). And gateways' entries say whether somebody
sends to one that has not answered lately, as at the first use of an idle link. Where there is
one uplink, nothing is done at all: there is nothing better to have.
"""

from __future__ import annotations

from time import process_time

from mptcp_hooks.base.errors import Problem
from mptcp_hooks.base.value import TYPE_CHECKING
from mptcp_hooks.machine.neighbours import has_failed, is_failing, is_unsure, read_entry
from mptcp_hooks.machine.waiting import read_exchanges, read_timeouts
from mptcp_hooks.monitor.suspicion import Suspicions

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

_COUNTED_EVERY = 1.0
# A gateway has answered, or was given up, three seconds after the question.
_ANSWERED_WITHIN, PROVED_WITHIN = 3.1, 3.2
# One that has just answered is not asked again so soon.
_PROVED_EVERY = 10.0
_NEVER = float("inf")


class Notice:
    """`warn` hears what cannot be seen."""

    def __init__(self, warn: Callable[[str], None]) -> None:
        self._warn = warn
        self._suspicions = Suspicions()
        self._ifaces: dict[str, str] = {}
        self._gateways: dict[str, tuple[str, int]] = {}
        self._unsure: frozenset[str] = frozenset()
        self._failed: frozenset[str] = frozenset()
        self._failing_since: dict[str, float] = {}
        self._mute: frozenset[str] = frozenset()
        self._suspecting = True
        self._known: frozenset[str] = frozenset()
        self._proved: dict[str, float] = {}
        self._timeouts = 0
        self._count_at = 0.0

    @property
    def suspected(self) -> frozenset[str]:
        """The addresses of uplinks over which several connections wait in vain."""
        return frozenset(self._suspicions.suspected) if self._suspecting else frozenset()

    def note_paths(
        self, addresses: Iterable[tuple[str, str, str, int]], suspecting: bool
    ) -> None:
        """Take in paths, each with interface, gateway and ifindex; whether to suspect any."""
        paths = list(addresses)
        self._ifaces = {address: iface for address, iface, _, _ in paths}
        self._gateways = {address: (gateway, ifindex)
                          for address, _, gateway, ifindex in paths if gateway}
        self._suspecting = suspecting
        self._proved = {address: then for address, then in self._proved.items()
                        if address in self._ifaces}

    def wait(self, now: float) -> float:
        """How long until there is something to look at, in seconds; without end where is none."""
        if not self._has_choice():
            return _NEVER
        return max(0.0, min(self._count_at - now, self._suspicions.wait(now)))

    def attend(self, now: float) -> tuple[bool, list[str]]:
        """Look where it is due.

        Whether a round is due because of it, and what is to be said of uplinks that are
        suspected, or no more.
        """
        if not self._has_choice():
            return False, []
        failed, mute = self._failed, self._mute
        if now >= self._count_at:
            self._count_at = now + _COUNTED_EVERY
            before, self._timeouts = self._timeouts, read_timeouts()
            if self._timeouts > before:
                self._suspicions.expect(now)
            self._look_at_gateways(now)
        if not self._suspicions.wait(now):
            self._look(now)
        said = self._tell_changes()
        return bool(said or self._failed - failed or self._mute - mute), said

    def take_signs(self, now: float) -> frozenset[str]:
        """The addresses whose gateways are to prove that they are there, each now and then."""
        due = frozenset(address for address in self._suspicions.signs | self._unsure
                        if now - self._proved.get(address, -_NEVER) >= _PROVED_EVERY)
        self._proved |= dict.fromkeys(due, now)
        return due

    def list_asked(self, now: float) -> frozenset[str]:
        """The addresses whose gateways were asked a moment ago, and have answered if they will."""
        return self._mute | {address for address, then in self._proved.items()
                             if _ANSWERED_WITHIN <= now - then < _PROVED_EVERY}

    def _has_choice(self) -> bool:
        return len(set(self._ifaces.values())) > 1

    def _look_at_gateways(self, now: float) -> None:
        """See which gateways somebody sends to that did not answer lately, or not at all.

        To one that never answered the kernel's question ends in vain after three seconds, and the
        next packet begins a new one: who sends all the time hides that it failed.
        """
        try:
            states = {address: read_entry(gateway, ifindex).state
                      for address, (gateway, ifindex) in self._gateways.items()}
        except Problem as problem:
            self._warn(str(problem))
            return
        self._unsure = frozenset(one for one, state in states.items() if is_unsure(state))
        self._failed = frozenset(one for one, state in states.items() if has_failed(state))
        self._failing_since = {one: self._failing_since.get(one, now)
                               for one, state in states.items() if is_failing(state)}
        self._mute = frozenset(one for one, since in self._failing_since.items()
                               if now - since >= _ANSWERED_WITHIN)

    def _look(self, now: float) -> None:
        began = process_time()
        try:
            # An answer to a connection that has ended by now refutes it as well.
            ended = bool(self._suspicions.signs or self._suspicions.suspected)
            exchanges = read_exchanges(frozenset(self._ifaces), ended)
        except Problem as problem:
            self._warn(str(problem))
            exchanges = []
        self._suspicions.note(exchanges, self._ifaces, now)
        self._suspicions.note_cost(process_time() - began, now)

    def _tell_changes(self) -> list[str]:
        known, self._known = self._known, self.suspected
        return [*(f"{self._ifaces[address]}: connections over {address} wait, for several peers, "
                  "and none answers" for address in sorted(self._known - known)),
                *(f"{self._ifaces[address]}: {address} is not suspected any more"
                  for address in sorted(known - self._known) if address in self._ifaces)]
