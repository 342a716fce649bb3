# SPDX-License-Identifier: GPL-2.0-or-later
"""What mptcp_up and the monitor do with stanzas on record, and hooks do not."""

from __future__ import annotations

from mptcp_hooks.base.model import LEAVING, SILENT, Stanza
from mptcp_hooks.base.numbering import ENDPOINTS_AT_MOST
from mptcp_hooks.base.value import TYPE_CHECKING, NamedTuple
from mptcp_hooks.engine.bring_up import WorkBuilder, tell_exclusion
from mptcp_hooks.engine.compare import replace_stanzas
from mptcp_hooks.intent.settings import read_settings

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from mptcp_hooks.base.errors import Problem
    from mptcp_hooks.base.model import Endpoint, Path, PathManager
    from mptcp_hooks.engine.work import Change, Records, Undo
    from mptcp_hooks.intent.event import Event

    # Paths, by ifindex and address.
    Places = set[tuple[int, str]]


LAST_TURN = 2


class Lost(NamedTuple):
    """The paths that go, and were in the way of what was planned before that was known.

    `firsts` were the first ones of devices that have none such any more, beside which others were
    planned as further ones; `rest` are those of others that were refused or shared something.
    """

    firsts: Places
    rest: Places

    def find_turn(self, stanzas: Iterable[Stanza]) -> int:
        """The turn of who has these stanzas; those who lose none of the paths have the last.

        Who is to be the first of a device may lose one of the rest: it comes after who was that.
        """
        places = {_place(one.path) for stanza in stanzas for one in stanza.paths}
        return 0 if places & self.firsts else 1 if places & self.rest else LAST_TURN


_NOTHING_LOST = Lost(set(), set())


class _State(NamedTuple):
    """What a builder has to do and to say, by the names of its attributes."""

    records: Records
    undo: tuple[Undo, ...]
    changes: tuple[Change, ...]
    manager: PathManager
    problems: tuple[Problem, ...]
    warnings: tuple[str, ...]
    remarks: tuple[str, ...]
    coming: dict[str, tuple[Event, ...]]
    reduced: dict[Stanza, Stanza]
    shared: set[str]


class Keeper(WorkBuilder):
    """A builder that knows what may become of stanzas besides that they come up."""

    def holds(self, iface: str, stanza: Stanza) -> bool:
        """Whether a stanza is still as it was on record, but for what it gave up to others."""
        return not {stanza, self.reduced.get(stanza)}.isdisjoint(self.list_stanzas(iface))

    def add_together(self, come: Callable[[Lost], None]) -> None:
        """Add what comes, such that each part of it is planned with what goes by the others.

        Only the plan of a stanza tells that its path goes, as where its gateway has gone. By then
        others may have been planned as further ones beside it, or for bound sockets alone as it has
        their address, or been refused its table. So all is taken back and added once more: `come`
        gets the paths that were in the way, to add first who has them. It is the same with the only
        path of a tunnel's family, that goes or comes, for what peers are told of; and with an
        endpoint that goes: others may have been planned without one for want of its place.

        A part may be added so itself: what it heeds at last is known to the whole.
        """
        before = self._note_state()
        whole = self.heeded, self.foreseen
        self.heeded = set()
        come(_NOTHING_LOST)
        lost = Lost(self._list_headless(), self._list_in_the_way(before))
        if any(lost):
            self._take_back(before)
            come(lost)
        if self._foresee_tunnel():
            self._take_back(before)
            come(lost)
        if going := self._list_going(before.manager):
            self._take_back(before)
            self.manager = self.manager._replace(going=(*self.manager.going, *going))
            come(lost)
        self.heeded, self.foreseen = self.heeded | whole[0], whole[1]

    def _foresee_tunnel(self) -> bool:
        """Have plans heed the tunnel that is kept to by what is planned; whether any did not."""
        if self.foreseen is not None:
            # By the whole, of which this is a part.
            return False
        heeded, self.foreseen = self.heeded, self.find_tunnel((), [])
        self.heeded = {self.foreseen}
        return not heeded <= self.heeded

    def _note_state(self) -> _State:
        """What is to be done and said so far."""
        return _State(
            dict(self.records), tuple(self.undo), tuple(self.changes), self.manager,
            tuple(self.problems), tuple(self.warnings), tuple(self.remarks),
            dict(self.coming), dict(self.reduced), set(self.shared))

    def _take_back(self, state: _State) -> None:
        """Have nothing to do or say but what there was; what was read since is kept."""
        self.records = {**self.on_file, **state.records}
        self.undo, self.changes = [*state.undo], [*state.changes]
        self.manager = state.manager
        self.problems, self.warnings = [*state.problems], [*state.warnings]
        self.remarks = [*state.remarks]
        self.coming, self.reduced = dict(state.coming), dict(state.reduced)
        self.shared = set(state.shared)
        self.heeded = set() if self.foreseen is None else {self.foreseen}

    def _list_going(self, before: PathManager) -> list[Endpoint]:
        """The endpoints that go, where places are left that others may have asked for by then."""
        now = self.manager.left
        going = [one for one in before.left
                 if not any(other.stands_for(one.address) for other in now)]
        return going if len(now) < ENDPOINTS_AT_MOST <= len(now) + len(going) else []

    def _list_headless(self) -> Places:
        """What was the first path of devices that have paths, and none any more that is that."""
        left = {(one.path.ifindex, one.path.family) for one in self.list_planned()}
        headless = left & (_list_all_led(self.on_file) - _list_all_led(self.records))
        return {_place(path) for path in _list_paths(self.on_file)
                if path.primary and (path.ifindex, path.family) in headless}

    def _list_in_the_way(self, before: _State) -> Places:
        """The paths that go, and whose address others were planned to share.

        Where somebody was refused anything since, it may be that of any path that goes.
        """
        refused = len(self.problems) > len(before.problems)
        if not (refused or self.shared):
            return set()
        planned = {_place(path) for path in _list_paths(self.records) if not path.shared}
        return {_place(path) for path in _list_paths({**self.on_file, **before.records})
                if not path.shared and (refused or path.address in self.shared)} - planned

    def want(self, event: Event) -> None:
        """As `add`, for what a person names: it stays on record where it is excluded."""
        self.settle(event, self.list_replaced(event), forgetting=False)

    def expect(self, event: Event) -> None:
        """Add that an event is on record without paths: it gets them when its link is up."""
        self.told.add(event.told)
        self._take_place(event.iface, self.list_replaced(event), (Stanza(event.told, ()),))

    def renew(self, stanza: Stanza, event: Event) -> None:
        """Add what it takes that a stanza on record becomes what `event` says of it.

        One that the configuration excludes may be meant again: it stays on record.
        """
        self.settle(event, self._list_same(event.iface, stanza), forgetting=False)

    def empty(self, iface: str, stanza: Stanza) -> None:
        """Add what it takes that a stanza on record has no path left; it may get some again."""
        self._take_place(iface, self._list_same(iface, stanza), (stanza._replace(paths=()),))

    def drop(self, iface: str, stanza: Stanza) -> None:
        """Add what it takes that a stanza is as if it had never come."""
        self._take_place(iface, self._list_same(iface, stanza), ())

    def call_back(self, iface: str, stanza: Stanza) -> None:
        """Add that what is leaving, or was taken away, may come back by itself again."""
        for one in self._list_same(iface, stanza):
            if one.state == LEAVING:
                self.records[iface] = replace_stanzas(
                    self.list_stanzas(iface), (one,), (one._replace(state=""),))

    def wake(self, iface: str, stanza: Stanza) -> None:
        """Add that a stanza's paths do not wait for a carrier or a gateway any more."""
        self.records[iface] = tuple(
            one._replace(state="") if one.told == stanza.told and one.state == SILENT else one
            for one in self.list_stanzas(iface))

    def is_meant(self, event: Event) -> bool:
        """Whether the interface is to have paths: its options and the configuration say it."""
        return read_settings(event, self.configuration).wanted

    def say_exclusion(self, event: Event) -> None:
        """Have a person who names an interface hear why it is left alone, if it is."""
        settings = read_settings(event, self.configuration)
        if not settings.wanted:
            self.warnings.append(tell_exclusion(event, settings))

    def list_of_device(self, device: str) -> tuple[Stanza, ...]:
        """The stanzas of a device, by whichever of its names, without those of its aliases."""
        names = self.choose_names(
            device, sorted(iface for iface in {
                device, *self.store.list_interfaces(), *self.records} if ":" not in iface))
        return tuple(stanza for name in names for stanza in self.list_stanzas(name))

    def _take_place(
        self, iface: str, replaced: tuple[Stanza, ...], new: tuple[Stanza, ...]
    ) -> None:
        """Put stanzas without paths, or none, in the place of what is on record."""
        for installed in self.forgo_changes([one for each in replaced for one in each.paths]):
            self.undo_outdated(installed, [])
        self.records[iface] = replace_stanzas(self.list_stanzas(iface), replaced, new)

    def _list_same(self, iface: str, stanza: Stanza) -> tuple[Stanza, ...]:
        """What is on record of one stanza: twice where a hook was killed between old and new."""
        return tuple(one for one in self.list_stanzas(iface) if one.told == stanza.told)


def list_led(stanzas: Iterable[Stanza]) -> set[tuple[int, int]]:
    """The devices, by ifindex and family, whose first path is of one of the stanzas."""
    return {(one.path.ifindex, one.path.family) for stanza in stanzas
            for one in stanza.paths if one.path.primary}


def _list_all_led(records: Records) -> set[tuple[int, int]]:
    return list_led(stanza for stanzas in records.values() for stanza in stanzas)


def _list_paths(records: Records) -> Iterator[Path]:
    return (one.path for stanzas in records.values() for stanza in stanzas for one in stanza.paths)


def _place(path: Path) -> tuple[int, str]:
    return path.ifindex, path.address
