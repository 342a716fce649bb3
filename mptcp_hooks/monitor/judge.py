# SPDX-License-Identifier: GPL-2.0-or-later
"""Which uplinks are better off as backups, since they carry so little beside another one. Pure.

The kernel's scheduler gives each subflow what fits its window, and waits for the slowest piece:
beside an uplink of 50 Mbit/s one of 2 with a long queue makes everything slower than without
(docs/unequal.md has the figures). What an uplink carries is measured while it is used; one that
is a backup is not used, so it is tried again now and then. Times come in, in seconds of the
monotonic clock.
"""

from __future__ import annotations

from collections import deque

from mptcp_hooks.base.value import TYPE_CHECKING, NamedTuple
from mptcp_hooks.monitor.patience import lengthen

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from mptcp_hooks.monitor.meter import Second

# Of the better uplink's rate: an eighth and less gains too little for what it may cost, a third
# and more helps, as measured. Between them it does harm to a download that all carry slower
# together than the better one can; where there are pauses, and with uploads, that does not show,
# and a quarter and less is taken for harm.
_HARMS_ALWAYS, _HARMS, _HELPS = 0.125, 0.25, 0.33
# How many seconds are looked back over, and how many of them must say the same.
_SECONDS, _VOTES = 10, 4
# How many seconds tell what it carries by now.
_LATELY = 3
# An uplink is full while it carries about what it can, and has data on its way all the time.
_STEADY, _BUSY = 0.7, 0.9
# It is used in a tenth of a second in which it carries so much of its best, and fewer than so many
# tell nothing.
_USED, _TENTHS = 0.1, 3
# Beside one that carries up to so much of it, the better one may be blocked so that nobody sees
# what it could carry. So that is tried: for a few seconds, of which the first is for what is on
# its way, and after so many that said that it may be so.
_DOUBTFUL, _REST, _UNTOLD, _DOUBTS = 0.45, 5.0, 1, 4
# What is less than that is no rate at its best, in bit/s.
_RATE_AT_LEAST = 3e5
# What all together carry, of what they would without, where a trial went well.
_GAINS = 1.05
# How long a trial takes; how long until the next one, where all is as it was and where the better
# one has faded, doubled each time that it changed nothing; and for how long a role stays at least.
_TRIAL = 3.0
_AGAIN_AFTER, _FADED_AFTER, _AGAIN_AT_MOST, _STAYS_FOR = 60.0, 10.0, 600.0, 30.0
# What is over for so long, and nobody has looked at, ends without a verdict.
_OVERDUE = 2.0
_REMEMBERED_AT_MOST = 32
_NEVER = float("inf")


class Uplink(NamedTuple):
    """An uplink: whether anything gets through, and whether its role may change.

    What the administrator says of an endpoint's flags is never overridden.
    """

    iface: str
    alive: bool
    free: bool


class Best(NamedTuple):
    """What an uplink carried at its best, down and up, in bit/s."""

    down: float = 0.0
    up: float = 0.0


class Verdict(NamedTuple):
    """What was found of an uplink: what it carries, and why it is a backup; '' where it is none."""

    best: Best
    why: str


class _Rest(NamedTuple):
    """An uplink that is no backup rests for a moment, to see whether all is faster so.

    In which direction, what uploads carried before, by all uplinks together, in bit/s, what this
    one did, and in words.
    """

    ends: float
    way: _Way
    before: float
    best: Best
    why: str


class _Record:
    """What is known of one uplink."""

    def __init__(self) -> None:
        self.best = Best()
        self.why = ""
        self.seconds: deque[Second] = deque(maxlen=_SECONDS)
        # The reasons of seconds in which it did harm; '' for the others.
        self.votes: deque[str] = deque(maxlen=_SECONDS)
        self.trial_ends = _NEVER
        self.tried_at = -_NEVER
        self.failures = 0
        # Since when it is no backup any more, by a trial.
        self.active_since = -_NEVER
        # The seconds that said that all may be slower with it.
        self.doubts: deque[bool] = deque(maxlen=_SECONDS)
        self.rest: _Rest | None = None
        self.rested_at, self.rests = -_NEVER, 0

    @property
    def on_trial(self) -> bool:
        """Whether it is used in spite of its role, to see what it carries by now."""
        return self.trial_ends < _NEVER

    def measure(self, way: _Way) -> float:
        """What it carried at its best in the last seconds."""
        return max(map(way.read_best, self.seconds), default=0.0)

    def measure_lately(self, way: _Way) -> float:
        """What it carries at its best by now, where it was full all that while; 0 where not."""
        last = list(self.seconds)[-_LATELY:]
        best = max(map(way.read_best, last), default=0.0)
        return best if len(last) == _LATELY and all(way.is_full(one, best) for one in last) else 0.0

    def is_full(self, way: _Way) -> bool:
        """Whether it carried all that it can in the last second."""
        return bool(self.seconds) and way.is_full(self.seconds[-1], self.measure(way))

    def measure_all(self) -> Best:
        return Best(self.measure(_DOWN), self.measure(_UP))


class _Way(NamedTuple):
    """A direction, and what there is to be read of it."""

    read_best: Callable[[Second], float]
    read_rate: Callable[[Best], float]
    read_shared: Callable[[Second], float]
    is_full: Callable[[Second, float], bool]


def _is_full_down(second: Second, best: float) -> bool:
    """Whether an uplink carried about as much as it can, while it was used at all.

    What is asked for piece by piece leaves pauses.
    """
    used = sum(moment > _USED * best for moment in second.moments)
    full = sum(moment >= _STEADY * best for moment in second.moments)
    return best > 0 and used >= _TENTHS and full >= _STEADY * used


_DOWN = _Way(lambda one: max(one.moments, default=0.0), lambda best: best.down,
             lambda one: one.shared_down, _is_full_down)
_UP = _Way(lambda one: one.up, lambda best: best.up, lambda one: one.shared_up,
           lambda one, best: one.busy >= _BUSY)


def _is_lasting(second: Second, best: float) -> bool:
    """Whether something came in over an uplink all the time."""
    return best > 0 and all(moment > _USED * best for moment in second.moments)


def _average(second: Second) -> float:
    return sum(second.moments) / max(1, len(second.moments))


class Judge:
    """`say` hears of each change of a role."""

    def __init__(self, say: Callable[[str], None]) -> None:
        self._say = say
        self._uplinks: dict[str, Uplink] = {}
        self._records: dict[str, _Record] = {}
        self._joined: deque[bool] = deque(maxlen=_SECONDS)
        self._totals: deque[float] = deque(maxlen=_SECONDS)
        # What all uplinks together sent, that was acknowledged.
        self._ups: deque[float] = deque(maxlen=_SECONDS)

    def note_uplinks(self, uplinks: Iterable[Uplink]) -> None:
        """Take in which uplinks there are."""
        self._uplinks = {uplink.iface: uplink for uplink in uplinks}
        for iface in self._uplinks:
            self._records.setdefault(iface, _Record())
        for iface in [one for one in self._records if one not in self._uplinks][
                :-_REMEMBERED_AT_MOST]:
            del self._records[iface]

    def recall(self, iface: str, verdict: Verdict) -> None:
        """Take what was found of an uplink before for what it is now, until it is used."""
        record = self._records.setdefault(iface, _Record())
        record.best, record.why = verdict

    def forget_uplink(self, iface: str) -> None:
        """Know nothing more of an uplink, which is another one by now."""
        record = self._records.pop(iface, None)
        if iface in self._uplinks:
            self._records[iface] = _Record()
        if record and record.why:
            self._say(f"{iface}: no backup any more: it is behind another gateway")

    def list_verdicts(self) -> dict[str, Verdict]:
        """What was found of each uplink that was ever judged."""
        return {iface: Verdict(record.best, record.why)
                for iface, record in self._records.items() if any(record.best)}

    def list_roles(self) -> dict[str, str]:
        """The uplinks that are to be backups, and why."""
        return {iface: why for iface, uplink in self._uplinks.items()
                for why in [self._find_reason(iface)]
                if uplink.free and why and self._is_spared(iface)}

    def _find_reason(self, iface: str) -> str:
        """Why an uplink is to be a backup for now; '' if not."""
        record = self._records[iface]
        return record.rest.why if record.rest else record.why * (not record.on_trial)

    def forget(self) -> None:
        """Judge by what is carried from now on alone: it is another rate than it was."""
        for record in self._records.values():
            record.seconds.clear()
        self._totals.clear()
        self._ups.clear()

    def end_overdue(self, now: float) -> None:
        """Have what is tried end that nobody looked at, as while connections cost too much."""
        for record in self._records.values():
            if record.trial_ends + _OVERDUE < now:
                record.trial_ends = _NEVER
                record.failures += 1
            if record.rest and record.rest.ends + _OVERDUE < now:
                record.rest = None
                record.rests += 1

    @property
    def on_trial(self) -> bool:
        """Whether it is tried just now what another role of an uplink would do."""
        return any(record.on_trial or record.rest for record in self._records.values())

    @property
    def doubts(self) -> bool:
        """Whether any of the last seconds spoke for another role of an uplink."""
        return any(any(record.votes) or any(record.doubts) for record in self._records.values())

    def note(self, seconds: Mapping[str, Second], joined: bool, now: float) -> None:
        """Take in what each uplink carried in a second, and judge them all.

        `joined` is whether connections got a second subflow meanwhile: most are so short that
        nobody sees them.
        """
        self._joined.append(joined)
        for iface in self._uplinks:
            if iface in seconds:
                self._records[iface].seconds.append(seconds[iface])
        self._add_totals(seconds)
        self._ups.append(sum(one.up for one in seconds.values()))
        for iface, uplink in self._uplinks.items():
            record = self._records[iface]
            if not (uplink.free and uplink.alive and iface in seconds):
                continue
            if record.on_trial:
                self._conclude(iface, record, now)
            elif record.rest:
                self._end_rest(iface, record, record.rest, now)
            elif record.why:
                self._consider_trial(iface, record, now)
            else:
                self._consider_backup(iface, record, now)
                self._consider_rest(iface, record, now)

    def _is_spared(self, iface: str) -> bool:
        """Whether another uplink is alive that carries more and is no backup itself."""
        return any(other.alive and not self._records[other.iface].why
                   and not self._records[other.iface].rest
                   for other in self._uplinks.values() if other.iface != iface)

    def _find_better(self, iface: str, way: _Way) -> _Record | None:
        """The uplink that carries most beside this one; None where none carries more."""
        others = [self._records[other.iface] for other in self._uplinks.values()
                  if other.alive and other.iface != iface]
        best = max(others, key=lambda record: record.measure(way), default=None)
        return best if best and best.measure(way) >= max(
            _RATE_AT_LEAST, self._records[iface].measure(way)) else None

    def _consider_backup(self, iface: str, record: _Record, now: float) -> None:
        """Make a backup of one that was seen to do harm for some seconds."""
        reasons = filter(None, (self._find_harm(iface, record, way) for way in (_DOWN, _UP)))
        record.votes.append(next(reasons, ""))
        harms = [why for why in record.votes if why]
        if len(harms) >= _VOTES and now - record.tried_at >= _STAYS_FOR:
            self._make_backup(iface, record, Verdict(record.measure_all(), harms[-1]), now)

    def _make_backup(self, iface: str, record: _Record, verdict: Verdict, now: float) -> None:
        # Where the last trial was wrong, the next one comes later, as after one that failed.
        wrong = now - record.active_since < _AGAIN_AFTER
        record.failures = (record.failures + 1) * wrong
        record.best, record.why = verdict
        record.tried_at, record.rests = now, 0
        record.votes.clear()
        record.doubts.clear()
        self._say(f"{iface}: backup: {record.why}")

    def _consider_rest(self, iface: str, record: _Record, now: float) -> None:
        """Have one rest for a moment by which all may be slower, though that does not show."""
        doubtful = [way for way in (_UP, _DOWN) if not record.why
                    and self._is_doubtful(iface, record, way)]
        record.doubts.append(bool(doubtful))
        pause = lengthen(_AGAIN_AFTER, record.rests, _AGAIN_AT_MOST)
        if not doubtful or sum(record.doubts) < _DOUBTS or now - record.rested_at < pause:
            return
        lately = list(self._ups)[-int(_REST):]
        record.rest = _Rest(now + _REST, doubtful[0], sum(lately) / len(lately),
                            record.measure_all(), self._compare(iface, record, doubtful[0]))
        record.rested_at = now
        record.doubts.clear()

    def _is_doubtful(self, iface: str, record: _Record, way: _Way) -> bool:
        """Whether one is full that carries less than half of what a better one shows."""
        better = self._find_better(iface, way)
        if better is None or not (record.is_full(way) and self._is_main_way(way)):
            return False
        # Of what comes in, one that is full itself shows all that it can.
        blocked = way is _UP or not better.is_full(way)
        return blocked and self._is_shared(record, better, way) and _RATE_AT_LEAST <= (
            record.measure(way)) <= _DOUBTFUL * better.measure(way)

    def _end_rest(self, iface: str, record: _Record, rest: _Rest, now: float) -> None:
        """Make a backup of one without which all is faster."""
        if now < rest.ends:
            return
        record.rest = None
        better = self._find_better(iface, rest.way)
        if better and self._is_main_way(rest.way) and self._was_harmed(better, rest):
            own, most = rest.way.read_rate(rest.best), better.measure(rest.way)
            why = describe_rates(own, most, 0.0)
            self._make_backup(iface, record, Verdict(rest.best, why), now)
            return
        record.rests += 1

    def _was_harmed(self, better: _Record, rest: _Rest) -> bool:
        """Whether without the other one uploads are faster, or a better one shows its rate."""
        if rest.way is _UP:
            known = list(self._ups)[_UNTOLD - int(_REST):]
            return sum(known) / len(known) >= _GAINS * rest.before
        return rest.best.down <= _HARMS * better.measure(_DOWN)

    def _compare(self, iface: str, record: _Record, way: _Way) -> str:
        """What one carries beside the better one, in words."""
        better = self._find_better(iface, way)
        return describe_rates(record.measure(way), better.measure(way) if better else 0.0,
                              max(one.rtt for one in record.seconds))

    def _find_harm(self, iface: str, record: _Record, way: _Way) -> str:
        """How an uplink harms connections in a direction that use others as well; '' if not."""
        better = self._find_better(iface, way)
        own = record.measure(way)
        if better is None or own < _RATE_AT_LEAST or not (
                record.is_full(way) and self._is_main_way(way)):
            return ""
        if not self._is_shared(record, better, way) or not self._is_too_weak(record, better, way):
            return ""
        return self._compare(iface, record, way)

    def _is_shared(self, record: _Record, better: _Record, way: _Way) -> bool:
        """Whether connections use both; of most that are short nobody sees more than joins."""
        here, there = (sum(map(way.read_shared, one.seconds)) for one in (record, better))
        return 0 < here <= there or (way is _DOWN and any(self._joined))

    def _is_main_way(self, way: _Way) -> bool:
        """Whether more goes in this direction than in the other, whose answers are small."""
        last = [self._records[iface].seconds[-1] for iface in self._uplinks
                if self._records[iface].seconds]
        down, up = sum(map(_average, last)), sum(one.up for one in last)
        return (down >= up) == (way is _DOWN)

    def _is_too_weak(self, record: _Record, better: _Record, way: _Way) -> bool:
        """Whether one does harm beside the better one, by what both carry."""
        own, most = record.measure(way), better.measure(way)
        if own <= _HARMS_ALWAYS * most or own > _HELPS * most:
            return own <= _HARMS_ALWAYS * most
        lasting = [total for total in self._totals if total]
        if way is _UP or not lasting:
            return own <= _HARMS * most
        return bool(self._totals[-1]) and sum(lasting) / len(lasting) < most

    def _add_totals(self, seconds: Mapping[str, Second]) -> None:
        """Take in what all uplinks together received; 0 where there were pauses in it."""
        known = [self._records[iface] for iface in self._uplinks if iface in seconds]
        lasting = any(_is_lasting(one.seconds[-1], one.measure(_DOWN)) for one in known)
        self._totals.append(sum(map(_average, (one.seconds[-1] for one in known))) * lasting)

    def _consider_trial(self, iface: str, record: _Record, now: float) -> None:
        """Use a backup again for a moment, where more would help and it may carry more by now."""
        full = any(better is not None and better.is_full(way) and _is_wanting(better, way)
                   for way in (_DOWN, _UP) for better in (self._find_better(iface, way),))
        record.votes.append("full" * full)
        faded = self._has_faded(iface, record)
        pause = lengthen(_FADED_AFTER if faded else _AGAIN_AFTER, record.failures, _AGAIN_AT_MOST)
        if (faded or record.votes.count("full") >= _VOTES) and now - record.tried_at >= pause:
            record.trial_ends, record.tried_at = now + _TRIAL, now
            record.seconds.clear()
            record.votes.clear()

    def _has_faded(self, iface: str, record: _Record) -> bool:
        """Whether the others carry so little by now that this one would help."""
        for way, own in ((_DOWN, record.best.down), (_UP, record.best.up)):
            better = self._find_better(iface, way)
            if better is not None and self._is_main_way(way):
                return 0 < better.measure_lately(way) < own / _HELPS
        return False

    def _conclude(self, iface: str, record: _Record, now: float) -> None:
        """End a trial: it stays active where it carries enough by now."""
        if now < record.trial_ends:
            return
        record.trial_ends = _NEVER
        if any(self._helps(iface, record, way) for way in (_DOWN, _UP)):
            record.why, record.active_since = "", now
            self._say(f"{iface}: active again: carries "
                      f"{describe_rate(max(record.measure_all()))} Mbit/s by now")
            return
        if any(record.measure_all()):
            record.best = record.measure_all()
        record.failures += 1

    def _helps(self, iface: str, record: _Record, way: _Way) -> bool:
        own = record.measure(way)
        # Those that have faded have more behind them.
        others = max((max(map(way.read_best, list(self._records[other.iface].seconds)[-_LATELY:]),
                          default=0.0)
                      for other in self._uplinks.values()
                      if other.alive and other.iface != iface), default=0.0)
        if own <= max(_RATE_AT_LEAST, _HARMS_ALWAYS * others):
            return False
        return own >= _HELPS * others or (
            way is _DOWN and self._totals[-1] > _GAINS * others)


def _is_wanting(record: _Record, way: _Way) -> bool:
    """Whether an uplink that is full is so since there is more to carry, and no slow stream."""
    return record.measure(way) >= 10 * _RATE_AT_LEAST


def describe_rates(own: float, most: float, rtt: float) -> str:
    """What an uplink carries beside another one, in bit/s, and its round trip in seconds."""
    loaded = f", {1000 * rtt:.0f} ms when loaded" if rtt >= 0.1 else ""
    return f"carries {describe_rate(own)} of {describe_rate(most)} Mbit/s{loaded}"


def describe_rate(rate: float) -> str:
    """Bit/s in Mbit/s, with two digits that count."""
    megabits = rate / 1e6
    return f"{megabits:.0f}" if megabits >= 10 else f"{megabits:.1f}".removesuffix(".0")
