# SPDX-License-Identifier: GPL-2.0-or-later
"""What belongs to one uplink by now, and to another one still: who has it after the work.

A machine where nothing belongs to an uplink but its address does not load this module.
"""

from __future__ import annotations

from mptcp_hooks.base.address import family_of
from mptcp_hooks.base.errors import Problem
from mptcp_hooks.base.value import TYPE_CHECKING
from mptcp_hooks.engine.belongings import choose_belongings, is_first, keep_belongings
from mptcp_hooks.engine.clashes import (
    find_announced,
    find_contested,
    find_waiting,
    leave_out,
    tell_waiting,
)
from mptcp_hooks.intent.event import recall_event
from mptcp_hooks.intent.settings import read_settings

if TYPE_CHECKING:
    from collections.abc import Callable, Container, Iterable

    from mptcp_hooks.base.model import Installed, Path, Stanza
    from mptcp_hooks.engine.books import Books
    from mptcp_hooks.engine.plan import Plan
    from mptcp_hooks.intent.event import Event
    from mptcp_hooks.intent.settings import Settings

    # Whether an event takes the place of a stanza on record.
    Replaces = Callable[[Stanza, Event], bool]


def settle_contest(
    books: Books, event: Event, settings: Settings, replaced: tuple[Stanza, ...],
    is_replaced: Replaces,
) -> Settings:
    """The settings without what other paths still have that is not to be theirs any more.

    Those that this work is yet to renew give it up first. What is left out is said.
    """
    contested = {stanza for stanza, _ in _list_contested(books, event, settings, replaced)}
    if contested:
        _give_back(books, contested, is_replaced)
    for stanza, path in _list_contested(books, event, settings, replaced):
        edited = _find_next(stanza, _ask_edited(books, path.iface), is_replaced)
        kept = _keep_meant(books, path, stanza, edited or recall_event(stanza.told))
        waiting = find_waiting(settings, event, path, kept)
        if any(waiting):
            books.problems.append(tell_waiting(event.iface, waiting, path.iface))
            settings = leave_out(settings, waiting)
    return settings


def _list_contested(
    books: Books, event: Event, settings: Settings, replaced: tuple[Stanza, ...]
) -> list[tuple[Stanza, Path]]:
    """The paths of other stanzas that have what the event wants for its own."""
    stated = {(event.device, own.address) for own in event.addresses}
    return [(stanza, one.path) for stanzas in books.records.values() for stanza in stanzas
            if stanza.told and stanza not in replaced for one in stanza.paths
            if (one.path.device, one.path.address) not in stated
            and any(find_contested(settings, event, one.path))]


def _ask_edited(books: Books, iface: str) -> list[Event]:
    """What the stanzas of an interface say now, where that is not what was told of them."""
    # Nobody asks but where there is a contest.
    from mptcp_hooks.intent.ifupdown import list_edited

    try:
        return list_edited(iface, [one.told for one in books.records[iface] if one.told],
                           books.configuration)
    except Problem:
        return []


def _give_back(books: Books, contested: Container[Stanza], is_replaced: Replaces) -> None:
    """Have those that are yet to be renewed give up what is not to be theirs any more.

    Who has nothing that is wanted keeps all: it may not be renewed after all, as where its link is
    down, and would have nothing instead.
    """
    for iface, events in books.coming.items():
        if iface in books.records:
            books.records[iface] = tuple(
                _reduce(books, stanza, _find_next(stanza, events, is_replaced))
                if stanza in contested else stanza for stanza in books.records[iface])


def _find_next(
    stanza: Stanza, events: Iterable[Event], is_replaced: Replaces
) -> Event | None:
    """The one of `events` that takes the place of a stanza."""
    return next((event for event in events if is_replaced(stanza, event)), None)


def _reduce(books: Books, stanza: Stanza, event: Event | None) -> Stanza:
    """What is left of a stanza whose place an event is to take; all of it where none is."""
    if event is None:
        return stanza
    from mptcp_hooks.engine.others import cut

    return books.note_reduced(stanza, stanza._replace(paths=tuple(
        cut(books, one, _keep_meant(books, one.path, stanza, event)) for one in stanza.paths)))


def _keep_meant(books: Books, path: Path, stanza: Stanza, event: Event) -> Path:
    """A path of a stanza with what is still to belong to it by an event."""
    try:
        settings = read_settings(event, books.configuration)
    except Problem:
        # Who adds it says so.
        return path
    return keep_belongings(path, choose_belongings(
        path.family, settings, is_first(path, stanza), path.primary))


def judge_announced(
    books: Books, iface: str, settings: Settings, planned: Plan, old: list[Installed]
) -> None:
    """Raise Problem where an address cannot be announced for the interface."""
    first = {path.family for path in planned.paths if path.primary}
    announced = (*settings.own.announced, *(
        one for one in settings.usual.announced if family_of(one) in first))
    if announced:
        own = {one.address for device in books.machine.list_devices()
               for label in {device, *books.machine.list_labels(device)}
               for one in books.machine.list_addresses(label, (4, 6))}
        for _, problem in find_announced(
                iface, announced, own, books.list_others_planned(old)):
            raise problem
