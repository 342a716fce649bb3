# SPDX-License-Identifier: GPL-2.0-or-later
"""How much each uplink carries, now and in the last seconds, beside its most; and as a table. Pure.

A rate is of the device, with all that it carries, not only Multipath TCP.
"""

from __future__ import annotations

from mptcp_hooks.base.value import TYPE_CHECKING, NamedTuple
from mptcp_hooks.engine.remembered import is_same
from mptcp_hooks.status.health import is_out, name_state
from mptcp_hooks.status.layout import Cell, Column, lay_out
from mptcp_hooks.status.survey import UP

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from mptcp_hooks.engine.remembered import Remembered
    from mptcp_hooks.status.paint import Paint
    from mptcp_hooks.status.survey import Device, PathStatus

# The seconds of history that are shown.
HISTORY = 10
_BAR = 7
# `999.9 kbit/s`, `999 ms`: what moves each second must not move its column.
_RATE, _RTT = 12, 6
_UNITS = ((1e9, "Gbit/s"), (1e6, "Mbit/s"), (1e3, "kbit/s"))
_NOTHING = "-"
# In bit/s: a link that was idle all the time is not full of its few packets.
_MOST_AT_LEAST = 3e5
# Eighths from the bottom, and from the left; and what every terminal has.
_HEIGHTS, _PLAIN_HEIGHTS = "▁▂▃▄▅▆▇█", "_.-~=+*#"
_WIDTHS, _PLAIN_WIDTHS = "▏▎▍▌▋▊▉█", "#"


class Rate(NamedTuple):
    """What an interface sends and receives, in bit/s."""

    sent: float
    received: float


class Uplink(NamedTuple):
    """A device with paths, and what it carries.

    `paths` are all of it, `rtt` the round trip of its connections in seconds, None where it has
    none. `history` are the rates of the last seconds, the last one now's; `most` is the most that
    it is known to have carried each way.
    """

    name: str
    paths: tuple[PathStatus, ...]
    rtt: float | None
    history: tuple[Rate, ...]
    most: Rate

    @property
    def now(self) -> Rate | None:
        """What it carries now, None before that was measured."""
        return self.history[-1] if self.history else None

    @property
    def troubled(self) -> PathStatus | None:
        """The first path over which nothing gets through, or seems to."""
        return next((path for path in self.paths if path.link != UP or path.outage), None)


class _Way(NamedTuple):
    """One direction of an uplink: the rates of the last seconds, and the most."""

    name: str
    rates: list[float]
    most: float


class RateLog:
    """Remembers what devices carried since it was made; `remembered` is what was found before."""

    def __init__(self, remembered: Iterable[Remembered]) -> None:
        self._remembered = tuple(remembered)
        self._first: dict[str, Device] = {}
        self._last: dict[str, Device] = {}
        self._history: dict[str, list[Rate]] = {}
        self._most: dict[str, Rate] = {}

    def note(self, devices: Iterable[Device], rates: Mapping[str, Rate]) -> None:
        """Take in a second: what the devices have carried by now, and what they carry."""
        self._last = {device.name: device for device in devices}
        self._first = {**self._last, **self._first}
        for name, rate in rates.items():
            self._history[name] = [*self._history.get(name, ()), rate][-HISTORY:]
            most = self._most.get(name, Rate(0, 0))
            self._most[name] = Rate(max(most.sent, rate.sent), max(most.received, rate.received))

    def list_uplinks(
        self, paths: Iterable[PathStatus], rtts: Mapping[str, float]
    ) -> list[Uplink]:
        """The uplinks that the paths are of, in their order."""
        theirs: dict[str, list[PathStatus]] = {}
        for path in paths:
            theirs.setdefault(path.device, []).append(path)
        return [Uplink(name, tuple(own), rtts.get(name), tuple(self._history.get(name, ())),
                       self._find_most(name, own)) for name, own in theirs.items()]

    def sum_up(self, names: Iterable[str]) -> list[tuple[str, int, int]]:
        """What each of these devices sent and received in all since the first look, in bytes."""
        return [(name, max(0, self._last[name].sent - self._first[name].sent),
                 max(0, self._last[name].received - self._first[name].received))
                for name in names if name in self._last]

    def _find_most(self, name: str, paths: Sequence[PathStatus]) -> Rate:
        """Behind another gateway it is another uplink, of which nothing else is known."""
        seen = self._most.get(name, Rate(0, 0))
        gateways = tuple(path.gateway for path in paths if path.installed and path.gateway)
        known = next((one for one in reversed(self._remembered)
                      if one.iface == name and is_same(one.gateways, gateways)), None)
        return seen if known is None else Rate(
            max(seen.sent, known.up), max(seen.received, known.down))


def draw_uplinks(uplinks: Sequence[Uplink], paint: Paint) -> list[str]:
    """Two lines an uplink, what it sends and receives, under a line of headings.

    Of what does not fit the figures of what it carried at its best go first, then the last
    seconds, the round trip, the bar.
    """
    if not uplinks:
        return []
    ways = [way for one in uplinks for way in _list_ways(one)]
    columns = [
        _head("UPLINK", _put_first(Cell(one.name, paint.bold) for one in uplinks), paint),
        _head("STATE", _put_first(_dress_state(one, paint) for one in uplinks), paint,
              may_be_cut=True),
        _head("RTT", _put_first(Cell(_format_rtt(one.rtt)) for one in uplinks), paint, rank=2,
              right=True),
        _head("", [Cell(way.name) for way in ways], paint),
        _head("NOW", [Cell(_format_now(way.rates)) for way in ways], paint, right=True),
        _head("", [Cell(_draw_bar(way, paint.unicode), paint.good) for way in ways], paint, rank=1),
        _head("MOST", [Cell(_format_most(way.most)) for way in ways], paint, rank=4, right=True),
        _head(f"LAST {HISTORY} S", [Cell(_draw_history(way, paint.unicode), paint.good)
                                    for way in ways], paint, rank=3),
    ]
    return lay_out(columns, paint.width, paint.mark)


def choose_uplinks(uplinks: Sequence[Uplink], number: int) -> list[Uplink]:
    """So many of them, in their order: those in trouble before others, then the busiest."""
    chosen = sorted(uplinks, key=_weigh, reverse=True)[:number]
    return [one for one in uplinks if one in chosen]


def format_rate(rate: float) -> str:
    """Bit/s in the largest unit that leaves a digit before the point."""
    return next((f"{rate / size:.1f} {unit}" for size, unit in _UNITS if rate >= size),
                f"{rate:.0f} bit/s")


def _weigh(uplink: Uplink) -> tuple[bool, float]:
    return uplink.troubled is not None, sum(uplink.now or (0.0,))


def _list_ways(uplink: Uplink) -> list[_Way]:
    return [_Way("sends", [rate.sent for rate in uplink.history], uplink.most.sent),
            _Way("receives", [rate.received for rate in uplink.history], uplink.most.received)]


def _put_first(cells: Iterable[Cell]) -> list[Cell]:
    """What stands in the first of an uplink's two lines."""
    return [one for cell in cells for one in (cell, Cell(""))]


def _head(
    heading: str, cells: Iterable[Cell], paint: Paint, rank: int = 0, right: bool = False,
    may_be_cut: bool = False,
) -> Column:
    return Column((Cell(heading, paint.bold), *cells), rank, right, may_be_cut)


def _dress_state(uplink: Uplink, paint: Paint) -> Cell:
    """How its first path fares that something is wrong with."""
    path = uplink.troubled
    if path is None:
        backup = any(one.role for one in uplink.paths)
        return Cell("up, backup" if backup else UP, paint.good)
    # With both families, one of them may work.
    whose = f"IPv{path.family} " * (path.link == UP and len(uplink.paths) > 1)
    return Cell(whose + name_state(path), paint.bad if is_out(path) else paint.doubtful)


def _format_now(rates: Sequence[float]) -> str:
    return (format_rate(rates[-1]) if rates else _NOTHING).rjust(_RATE)


def _format_most(most: float) -> str:
    return (format_rate(most) if most else _NOTHING).rjust(_RATE)


def _format_rtt(rtt: float | None) -> str:
    text = _NOTHING if rtt is None else f"{rtt * 1000:.{0 if rtt >= 0.01 else 1}f} ms"
    return text.rjust(_RTT)


def _draw_bar(way: _Way, unicode: bool) -> str:
    """How full it is: the whole bar is the most that it has carried."""
    steps, empty = (_WIDTHS, "░") if unicode else (_PLAIN_WIDTHS, ".")
    share = _fill(way.rates[-1], way.most) if way.rates else 0
    whole, part = divmod(round(share * _BAR * len(steps)), len(steps))
    return (steps[-1] * whole + (steps[part - 1] if part else "")).ljust(_BAR, empty)


def _draw_history(way: _Way, unicode: bool) -> str:
    """A character a second, the last one at the right."""
    heights = _HEIGHTS if unicode else _PLAIN_HEIGHTS
    return "".join(heights[round(_fill(rate, way.most) * (len(heights) - 1))]
                   for rate in way.rates).rjust(HISTORY)


def _fill(rate: float, most: float) -> float:
    """From 0 to 1: which part of the most a rate is."""
    return min(1.0, rate / max(most, _MOST_AT_LEAST))
