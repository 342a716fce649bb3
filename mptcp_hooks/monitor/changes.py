# SPDX-License-Identifier: GPL-2.0-or-later
"""How the states of paths change, as people's programs and the journal are told. Pure."""

from __future__ import annotations

from mptcp_hooks.base.value import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterable

    # The interface and the address of a path.
    Key = tuple[str, str]

ALIVE, DEAD, GONE = "alive", "dead", "gone"


class State(NamedTuple):
    """How a path is: alive, dead and `why`, or gone, where it is none any more, or not yet."""

    name: str
    why: str = ""


class Change(NamedTuple):
    """One path's state, and the one that was told of it before."""

    iface: str
    address: str
    new: State
    old: State

    def describe(self) -> str:
        """In one line, for a person."""
        why = f" ({self.new.why})" if self.new.why else ""
        return f"{self.iface}: {self.address} is {self.new.name}{why}, was {self.old.name}"


class Changes:
    """What is to be told of each path, one change at a time: what came between is left out."""

    def __init__(self) -> None:
        # None until the first round: what is there when the monitor begins is no change.
        self._now: dict[Key, State] | None = None
        self._told: dict[Key, State] = {}
        self._telling: set[Key] = set()

    def note(self, alive: Iterable[Key], faults: Iterable[tuple[str, str, str, str]]) -> None:
        """Take in which paths are alive, and which are out, each with its gateway, and why.

        What is out may be no path meanwhile.
        """
        states = dict.fromkeys(alive, State(ALIVE)) | {
            (iface, address): State(DEAD, why) for iface, address, _, why in faults}
        if self._now is None:
            self._told = states
        self._now = states

    def take_due(self) -> list[Change]:
        """What changed of paths of which nothing is being told; it is being told from now on."""
        now = self._now or {}
        keys = sorted({*now, *self._told} - self._telling)
        changes = [Change(*key, now.get(key, State(GONE)), self._told.get(key, State(GONE)))
                   for key in keys]
        due = [change for change in changes if change.new.name != change.old.name]
        for change in due:
            key = change.iface, change.address
            self._telling.add(key)
            if change.new.name == GONE:
                del self._told[key]
            else:
                self._told[key] = change.new
        return due

    def end(self, change: Change) -> None:
        """Note that a change was told."""
        self._telling.discard((change.iface, change.address))
