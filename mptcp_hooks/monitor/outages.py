# SPDX-License-Identifier: GPL-2.0-or-later
"""Outages in words: when a path lost its carrier, for how long, and who uses it again. Pure.

Times come in, in seconds of a clock that goes on while the machine sleeps.
"""

from __future__ import annotations

from mptcp_hooks.base.text import count, describe_span
from mptcp_hooks.base.value import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from mptcp_hooks.engine.lifelines import Use

    # How many connections lost an address and still lack it, and how many have it again.
    Counts = Callable[[str], tuple[int, int]]

# How long connections have to come back before it is said how many did.
_BACK_WITHIN = 2.0


class _Return(NamedTuple):
    duration: float
    at: float


class Outages:
    """The interfaces whose endpoints are away, and those that have just come back."""

    def __init__(self) -> None:
        self._since: dict[str, float] = {}
        self._out: dict[str, float] = {}
        self._back: dict[str, _Return] = {}
        self._kept: frozenset[str] = frozenset()
        self._waiting: frozenset[str] = frozenset()
        # Those that are out under their carrier, and why: nothing of theirs came back yet.
        self._mute: dict[str, str] = {}
        self._faults: Mapping[str, str] = {}

    def note(
        self, paths: Iterable[str], silent: Iterable[str], kept: Iterable[str],
        waiting: Iterable[str], faults: Mapping[str, str], now: float,
    ) -> list[str]:
        """Take in which interfaces have endpoints, and which not; what is to be said of it.

        `faults` has, in words, why interfaces are out that have a carrier.
        """
        self._faults = faults
        # What was silent, and is neither that nor waits, has lost its carrier since.
        self._mute = {iface: fault for iface, fault in self._mute.items()
                      if iface in {*faults, *waiting}}
        for iface in paths:
            self._since.setdefault(iface, now)
        said = [*self._note_silent(frozenset(silent), faults, now),
                *self._note_kept(frozenset(kept), faults), *self._note_waiting(frozenset(waiting))]
        self._since = {iface: since for iface, since in self._since.items() if iface in paths}
        for iface in [one for one in self._out if one not in silent]:
            began = self._out.pop(iface)
            if iface in paths:
                self._since[iface] = now
                self._back[iface] = _Return(now - began, now)
        return said

    def settle(self, uses: Iterable[Use], counts: Counts, now: float) -> list[str]:
        """Say of interfaces that came back how many connections use them, once it is known."""
        said = []
        known = list(uses)
        for iface, back in list(self._back.items()):
            pairs = [counts(use.address) for use in known if use.iface == iface]
            missing, returned = (sum(numbers) for numbers in zip(*pairs)) if pairs else (0, 0)
            if missing and now - back.at < _BACK_WITHIN:
                continue
            del self._back[iface]
            told = f", {returned} of {count(missing + returned, 'connection')} " + (
                "uses it again" if missing + returned == 1 else "use it again")
            said.append(f"{iface}: back after {describe_span(back.duration)}"
                        + told * bool(missing + returned))
        return said

    def describe(self) -> list[str]:
        """What is out, and why, for the unit's status."""
        return [f"{iface}: " + self._describe_outage(iface) for iface in sorted(self._out)]

    def _describe_outage(self, iface: str) -> str:
        if iface in self._waiting and iface not in self._mute:
            return "its gateway does not answer"
        return self._faults.get(iface, self._mute.get(iface, "no carrier"))

    @property
    def returning(self) -> bool:
        """Whether it is still to be said of an interface who uses it again."""
        return bool(self._back)

    def _note_silent(
        self, silent: frozenset[str], faults: Mapping[str, str], now: float
    ) -> list[str]:
        said = []
        for iface in sorted(silent - set(self._out)):
            self._back.pop(iface, None)
            self._out[iface] = now
            since = self._since.pop(iface, None)
            # What was out when the monitor began, it did not take away.
            if iface in faults:
                self._mute[iface] = faults[iface]
            if since is None:
                continue
            what = faults.get(iface, "carrier lost")
            said.append(f"{iface}: {what} after {describe_span(now - since)}: endpoint taken away")
        self._mute = {iface: fault for iface, fault in self._mute.items() if iface in silent}
        return said

    def _note_kept(self, kept: frozenset[str], faults: Mapping[str, str]) -> list[str]:
        new, self._kept = sorted(kept - self._kept), kept
        return [f"{iface}: {faults.get(iface, 'no carrier')}, but a connection has no other path: "
                "endpoint kept" for iface in new]

    def _note_waiting(self, waiting: frozenset[str]) -> list[str]:
        # Those whose endpoint is kept, or another program's, wait and lost no carrier.
        meant = waiting & set(self._out) - set(self._mute)
        new, self._waiting = sorted(meant - self._waiting), meant
        return [f"{iface}: carrier back, its gateway does not answer yet" for iface in new]


class _Detour(NamedTuple):
    """New connections of a family leave by `iface`, since main leads them to `origin`.

    That was out from `since` on, and is back since `back`; None where it is not.
    """

    origin: str
    iface: str
    since: float
    back: float | None


class Ways:
    """By which interfaces new connections leave that main would lead to a dead uplink."""

    def __init__(self) -> None:
        self._detours: dict[int, _Detour] = {}

    def note(
        self, ways: Iterable[tuple[int, str, str]], faults: Mapping[tuple[str, int], str],
        now: float,
    ) -> list[str]:
        """Take in which interface leads each family, and by which it leaves; what is to be said.

        `faults` has, in words, why interfaces are out, by interface and family.
        """
        known = {family: (origin, iface) for family, origin, iface in ways}
        told: dict[tuple[str, str], list[str]] = {}
        for family in (4, 6):
            origin, iface = known.get(family, ("", ""))
            fault = faults.get((origin, family), "")
            before = self._detours.pop(family, None)
            if iface:
                self._detours[family] = _go_on(before, origin, iface, bool(fault), now)
                if before is None or (before.origin, before.iface) != (origin, iface):
                    words = f"{origin}: {fault}: " if fault else "", iface
                    told.setdefault(words, []).append(f"IPv{family}")
            elif before is not None:
                words = _describe_return(before, now) if (
                    origin == before.origin and not fault) else ("", "main's default route again")
                told.setdefault(words, []).append(f"IPv{family}")
        return [f"{cause}new connections over {' and '.join(families)} leave by {iface}"
                for (cause, iface), families in told.items()]


def _go_on(
    before: _Detour | None, origin: str, iface: str, out: bool, now: float
) -> _Detour:
    """What is known of a detour by now."""
    if before is None or before.origin != origin:
        return _Detour(origin, iface, now, None if out else now)
    back = None if out else now if before.back is None else before.back
    return before._replace(iface=iface, back=back)


def _describe_return(detour: _Detour, now: float) -> tuple[str, str]:
    """Why a detour ends, and where new connections go from now on."""
    span = describe_span((now if detour.back is None else detour.back) - detour.since)
    return f"{detour.origin}: alive again after {span}: ", "it"
