# SPDX-License-Identifier: GPL-2.0-or-later
"""What uplinks carry, second by second, out of counters and connections. Pure.

Counters are read ten times a second while there is traffic: what a link can carry shows in its
best tenth of a second, also where a connection waits for another uplink most of the time.
"""

from __future__ import annotations

from mptcp_hooks.base.value import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from mptcp_hooks.machine.traffic import Flow, Traffic

    # An own address and port, and the peer's port.
    _Key = tuple[str, int, int]

# A pause that is much longer than it should be says nothing of a rate at its best.
_TENTH_AT_LEAST, _TENTH_AT_MOST = 0.05, 0.2
_REMEMBERED_AT_MOST = 4096


class Second(NamedTuple):
    """What an uplink carried in about a second, in bit/s.

    `moments` are what came in during each tenth, `up` is what was acknowledged. `busy` is the
    part of the time in which some connection had data on its way out. `shared_down` and
    `shared_up` are of connections that have other uplinks as well; `rtt` is the longest round
    trip, in seconds.
    """

    moments: tuple[float, ...]
    up: float
    busy: float
    shared_down: float
    shared_up: float
    rtt: float


class Meter:
    """Counts for uplinks, by their names."""

    def __init__(self) -> None:
        self._traffic: dict[str, Traffic] = {}
        self._counted_at = 0.0
        self._moments: dict[str, list[float]] = {}
        self._flows: dict[_Key, Flow] = {}
        self._began_at = 0.0

    def begin(self, flows: Iterable[Flow], traffic: Mapping[str, Traffic], now: float) -> None:
        """Begin a second with the connections and counters that there are."""
        self._flows = {_key(flow): flow for flow in list(flows)[:_REMEMBERED_AT_MOST]}
        self._traffic, self._counted_at, self._began_at = dict(traffic), now, now
        self._moments.clear()

    def count(self, traffic: Mapping[str, Traffic], now: float) -> None:
        """Take in the counters of a moment."""
        span = now - self._counted_at
        for name, after in traffic.items():
            before = self._traffic.get(name)
            # They begin anew with a device.
            if before is not None and after.received >= before.received \
                    and _TENTH_AT_LEAST <= span <= _TENTH_AT_MOST:
                self._moments.setdefault(name, []).append(
                    8 * (after.received - before.received) / span)
        self._traffic, self._counted_at = dict(traffic), now

    def end(
        self, flows: Iterable[Flow], ifaces: Mapping[str, str], now: float
    ) -> dict[str, Second]:
        """What was carried since it began; `ifaces` has the uplinks of own addresses."""
        span = max(now - self._began_at, _TENTH_AT_LEAST)
        changes = [(ifaces[flow.local], flow, *_subtract(flow, self._flows.get(_key(flow))))
                   for flow in flows if flow.local in ifaces]
        shared = _list_shared(changes)
        seconds = {}
        for name in set(ifaces.values()):
            own = [change for change in changes if change[0] == name]
            both = [change for change in own if change[1].token in shared]
            seconds[name] = Second(
                tuple(self._moments.get(name, ())), 8 * sum(change[2] for change in own) / span,
                min(1.0, max((change[4] for change in own), default=0.0) / span),
                8 * sum(change[3] for change in both) / span,
                8 * sum(change[2] for change in both) / span,
                max((change[1].rtt for change in own), default=0.0))
        return seconds


def _key(flow: Flow) -> _Key:
    return flow.local, flow.own_port, flow.port


def _subtract(flow: Flow, before: Flow | None) -> tuple[int, int, float]:
    """What was acknowledged and received since, and for how long it was busy.

    One that is new has done all of it since.
    """
    if before is None or flow.acked < before.acked or flow.received < before.received:
        return flow.acked, flow.received, flow.busy
    return (flow.acked - before.acked, flow.received - before.received,
            max(0.0, flow.busy - before.busy))


def _list_shared(changes: Iterable[tuple[str, Flow, int, int, float]]) -> set[int]:
    """The connections that have subflows on several uplinks."""
    found: dict[int, set[str]] = {}
    for name, flow, *_ in changes:
        if flow.token:
            found.setdefault(flow.token, set()).add(name)
    return {token for token, names in found.items() if len(names) > 1}
