"""Outages in words: when a path lost its carrier, for how long, and who uses it again. Pure.

Times come in, in seconds of a clock that goes on while the machine sleeps.
"""

from __future__ import annotations

from mptcp_hooks.base.text import count, describe_span
from mptcp_hooks.base.value import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

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

    def note(
        self, paths: Iterable[str], silent: Iterable[str], kept: Iterable[str],
        waiting: Iterable[str], now: float,
    ) -> list[str]:
        """Take in which interfaces have endpoints, and which not; what is to be said of it."""
        for iface in paths:
            self._since.setdefault(iface, now)
        said = [*self._note_silent(frozenset(silent), now),
                *self._note_kept(frozenset(kept)), *self._note_waiting(frozenset(waiting))]
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
        return [f"{iface}: " + ("its gateway does not answer" if iface in self._waiting
                                else "no carrier") for iface in sorted(self._out)]

    @property
    def returning(self) -> bool:
        """Whether it is still to be said of an interface who uses it again."""
        return bool(self._back)

    def _note_silent(self, silent: frozenset[str], now: float) -> list[str]:
        said = []
        for iface in sorted(silent - set(self._out)):
            self._back.pop(iface, None)
            self._out[iface] = now
            since = self._since.pop(iface, None)
            # What was out when the monitor began, it did not take away.
            if since is not None:
                said.append(f"{iface}: carrier lost after {describe_span(now - since)}: endpoint "
                            "taken away")
        return said

    def _note_kept(self, kept: frozenset[str]) -> list[str]:
        new, self._kept = sorted(kept - self._kept), kept
        return [f"{iface}: no carrier, but a connection has no other path: endpoint kept"
                for iface in new]

    def _note_waiting(self, waiting: frozenset[str]) -> list[str]:
        new, self._waiting = sorted(waiting - self._waiting), waiting
        return [f"{iface}: carrier back, its gateway does not answer yet" for iface in new]
