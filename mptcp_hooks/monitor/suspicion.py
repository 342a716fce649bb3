# SPDX-License-Identifier: GPL-2.0-or-later
"""Which uplinks are silent though their carrier is there: what connections over them tell. Pure.

A provider that is out behind its gateway is announced by nobody. But who uses it waits, for
one server as for another, and nobody is answered. One server that is down, a port behind a
firewall or a lossy line look like that to single connections only, while others are answered.
Times come in, in seconds of the monotonic clock.
"""

from __future__ import annotations

from itertools import islice

from mptcp_hooks.base.value import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable

    from mptcp_hooks.machine.waiting import Exchange

    # Of a connection over one own address: the peer's address and port, and this end's port.
    Connection = tuple[str, int, int]

# Without an answer to anybody for so many seconds a gateway is worth a question, and the uplink
# is suspected. On a line that loses one packet of three, ten connections went without one for the
# first of them, and never for the second.
_SIGN_AFTER, _SUSPECTED_AFTER = 1.0, 2.0
# A SYN is sent again after a second, or later (RFC 6298, 2.1).
_SYN_AGAIN = 1.0
# Who waits, by timeouts in a row: one may be the loss of one packet, or of its answer.
_WAITS, _WAITS_WHERE_ESTABLISHED = 1, 2
_CONNECTIONS, _PEERS = 3, 2
# How long a suspicion lasts that nothing refutes. After the longer pause, or after the shorter
# one with an answer in between, that begins anew.
_PATIENCE, _PATIENCE_AT_MOST = 30.0, 600.0
_PAUSE, _PAUSE_AFTER_ANSWER = 3600.0, 600.0
# While something waits; and the longer it does, the more seldom. Whoever joins it is counted.
_LOOKED_EVERY, _LOOKED_AT_LEAST = 1.0, 30.0
# Of the time, what looks may take for good, and in seconds what they may take ahead; where
# no uplink is silent they leave a part of that. So they take 3.5 s of an hour at most, and one.
_SHARE, _CREDIT, _RESERVE = 1 / 1200, 0.5, 0.25
# The share that looks in a row may take of the credit.
_SHARE_IN_A_ROW = 1 / 50
_REMEMBERED_AT_MOST, _ADDRESSES_AT_MOST = 4096, 32
_NEVER = float("inf")


class _Wait(NamedTuple):
    """Since when, at the latest, a connection waits, and what was acknowledged by then."""

    since: float
    acked: int


class _Uplink:
    """What is known of one own address; `heard` is when a peer answered over it last.

    `sign` is whether its gateway is worth a question, `suspected` since when it is, None where
    it is not.
    """

    def __init__(self) -> None:
        self.heard = -_NEVER
        self.sign = False
        self.suspected: float | None = None
        self._waits: dict[Connection, _Wait] = {}
        self._patience = 0.0
        self._began = self._ended = self._given_up = -_NEVER

    def note(self, known: list[Exchange], most: int, alone: bool, now: float) -> None:
        """Take in all that leave from it, and remember `most` of them.

        One that is `alone` is not suspected: there is nothing better to have.
        """
        self.heard = max([self.heard, *(now - one.silence for one in known)])
        self._remember([one for one in known if one.retransmits], most, now)
        # The look before must have shown a sign: only after one it was asked what had ended.
        silent, self.sign = self.sign and self._is_silent(known, now), self._shows_sign(now)
        if self.suspected is None:
            if silent and not alone:
                self._lose_patience(now)
                self.suspected = self._began = now
        elif alone or self.heard > self.suspected or now >= self._find_end():
            if not alone and self.heard <= self.suspected:
                # What it was suspected for is no reason to suspect it again.
                self._given_up = now
            self.suspected, self._ended = None, now

    def find_look(self, now: float) -> float:
        """When to look again without being told of timeouts, without end where there is no need."""
        if self.suspected is not None:
            return min(now + _LOOKED_EVERY, self._find_end())
        youngest = self._find_youngest()
        if youngest == -_NEVER:
            return _NEVER
        return now + min(max(_LOOKED_EVERY, (now - youngest) / 4), _LOOKED_AT_LEAST)

    def _shows_sign(self, now: float) -> bool:
        """Whether somebody waits, and nobody was answered for a while."""
        return self._find_youngest() > -_NEVER and now - self.heard >= _SIGN_AFTER

    def _is_silent(self, known: Iterable[Exchange], now: float) -> bool:
        """Whether so many wait, for so many peers, that it is not the peers."""
        witnesses = [one for one in known if self._is_fresh(one) and one.retransmits >= (
            _WAITS_WHERE_ESTABLISHED if one.established else _WAITS)]
        return (now - self.heard >= _SUSPECTED_AFTER and len(witnesses) >= _CONNECTIONS
                and len({one.remote for one in witnesses}) >= _PEERS)

    def _find_youngest(self) -> float:
        """Since when the last one waits of those that began after the last answer."""
        return max((wait.since for wait in self._waits.values() if wait.since >= self._answered),
                   default=-_NEVER)

    def _find_end(self) -> float:
        return self._began + self._patience

    @property
    def _answered(self) -> float:
        """What began to wait before that proves nothing: others were answered since."""
        return max(self.heard, self._given_up)

    def _is_fresh(self, exchange: Exchange) -> bool:
        wait = self._waits.get(_name(exchange))
        return wait is not None and wait.since >= self._answered

    def _remember(self, waiting: Iterable[Exchange], most: int, now: float) -> None:
        """Keep those that go on waiting, and as many others as there is room for."""
        before, self._waits = self._waits, {}
        new: dict[Connection, _Wait] = {}
        for one in waiting:
            name = _name(one)
            wait = before.get(name)
            # One that was answered, and waits once more, began anew.
            if wait is not None and wait.acked == one.acked:
                self._waits[name] = wait
            else:
                new[name] = _Wait(now if one.established else now - _SYN_AGAIN * one.retransmits,
                                  one.acked)
        self._waits |= islice(new.items(), max(0, most - len(self._waits)))

    def _lose_patience(self, now: float) -> None:
        answered = self.heard > self._began
        if now - self._ended >= (_PAUSE_AFTER_ANSWER if answered else _PAUSE):
            self._patience = _PATIENCE
        elif not answered:
            self._patience = min(2 * self._patience, _PATIENCE_AT_MOST)


class _Budget:
    """How soon looks may follow one another, by what the last one took."""

    def __init__(self) -> None:
        self._credit, self._cost, self._since = _CREDIT, 0.0, -_NEVER

    def spend(self, seconds: float, now: float) -> None:
        earned = (now - self._since) * _SHARE
        self._credit = min(self._credit + earned, _CREDIT) - seconds
        self._cost, self._since = seconds, now

    def find_time(self, reserve: float) -> float:
        """When there is credit for as much once more, and the reserve."""
        missing = max(0.0, self._cost + reserve - self._credit)
        return self._since + max(self._cost / _SHARE_IN_A_ROW, missing / _SHARE)


class Suspicions:
    """What own addresses are suspected of, and when connections are to be looked at for that.

    Looks take a thousandth of the time at most, over an hour: what they may take for good is
    less, and what they may take ahead makes up for the rest. Half of that is for times when an
    uplink is silent, so that a busy machine, where timeouts are counted all the time, has not
    spent it by then. With a thousand sockets there looks come every six seconds, and when one
    saw a first sign, every second for a minute.
    """

    def __init__(self) -> None:
        self._uplinks: dict[str, _Uplink] = {}
        self._due = self._due_where_silent = _NEVER
        self._looked = -_NEVER
        self._budget = _Budget()

    @property
    def signs(self) -> frozenset[str]:
        """The addresses whose gateway is worth a question.

        Where there are some, the next look is to be told of connections that have ended too:
        what they say may end the sign, and nobody is suspected without it.
        """
        return frozenset(address for address, uplink in self._uplinks.items() if uplink.sign)

    @property
    def suspected(self) -> dict[str, float]:
        """The addresses that are, each with since when; all of them where all are silent."""
        return {address: uplink.suspected for address, uplink in self._uplinks.items()
                if uplink.suspected is not None}

    def expect(self, now: float) -> None:
        """Look soon: timeouts were counted, so somebody begins to wait, or goes on."""
        soon = max(now, self._looked + _LOOKED_EVERY)
        self._due = min(self._due, soon)
        if self._due_where_silent < _NEVER:
            self._due_where_silent = min(self._due_where_silent, soon)

    def wait(self, now: float) -> float:
        """How long until a look is due, in seconds; without end where none is."""
        return max(0.0, min(max(self._due, self._budget.find_time(_RESERVE)),
                            max(self._due_where_silent, self._budget.find_time(0.0))) - now)

    def note(
        self, exchanges: Iterable[Exchange], addresses: Collection[str], now: float
    ) -> None:
        """Take in what a look saw of all that leaves from these addresses.

        They are those of all paths, of the suspected ones too: one alone is never suspected.
        """
        self._uplinks = {address: self._uplinks.get(address) or _Uplink()
                         for address in islice(dict.fromkeys(addresses), _ADDRESSES_AT_MOST)}
        leaving: dict[str, list[Exchange]] = {address: [] for address in self._uplinks}
        for one in exchanges:
            if one.local in leaving:
                leaving[one.local].append(one)
        self._looked, self._due, self._due_where_silent = now, _NEVER, _NEVER
        for address, uplink in self._uplinks.items():
            uplink.note(leaving[address], _REMEMBERED_AT_MOST // len(leaving), len(leaving) < 2,
                        now)
            if uplink.sign or uplink.suspected is not None:
                self._due_where_silent = min(self._due_where_silent, uplink.find_look(now))
            else:
                self._due = min(self._due, uplink.find_look(now))

    def note_cost(self, seconds: float, now: float) -> None:
        """Note how long a look took that ends now, in seconds of a core."""
        self._budget.spend(seconds, now)


def _name(exchange: Exchange) -> Connection:
    return exchange.remote, exchange.port, exchange.own_port
