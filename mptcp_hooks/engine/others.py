# SPDX-License-Identifier: GPL-2.0-or-later
"""What the paths of others give up for those that an event brings, and keep of what goes.

Nearly always there is nothing: a hook does not load this module then.
"""

from __future__ import annotations

from mptcp_hooks.base.address import InterfaceAddress
from mptcp_hooks.base.errors import Problem
from mptcp_hooks.base.line import is_mptcp
from mptcp_hooks.base.model import Installed
from mptcp_hooks.base.value import TYPE_CHECKING
from mptcp_hooks.engine import commands
from mptcp_hooks.engine.belongings import demote, is_first, spare_one
from mptcp_hooks.engine.compare import replace_stanzas
from mptcp_hooks.engine.plan import takes, yields
from mptcp_hooks.engine.work import Change, Undo
from mptcp_hooks.intent.event import recall_event
from mptcp_hooks.intent.settings import read_settings

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from mptcp_hooks.base.model import Path, Stanza
    from mptcp_hooks.engine.books import Books
    from mptcp_hooks.engine.plan import Plan


def spare_standing(books: Books) -> None:
    """Have nothing go that a path has as well which stays and is not made anew.

    Two paths lead a subnet where a hook found the address of the first one away: the kernel refused
    its change, and it stands as it was. Then one rule leads past both to main's own routes. What
    the kernel has of such a path is noted anew.
    """
    remade = [change.after for change in books.changes if not all(map(is_mptcp, change.lines))]
    standing = [one for one in books.list_planned() if one.up and one not in remade]
    kept = {line for one in standing for line in _list_routing(one.down)}
    going = {line for one in books.undo for line in one.lines}
    if kept.isdisjoint(going):
        return
    left = [Undo(one.installed._replace(down=_leave_out(kept, one.installed.down)),
                 _leave_out(kept, one.lines)) for one in books.undo]
    books.undo = [one for one in left if one.lines]
    for one in standing:
        if not going.isdisjoint(_list_routing(one.down)) and _is_there(books, one.path):
            mine = [change for change in books.changes if change.after == one]
            change = mine[0] if mine else Change(one, one, ())
            books.changes = [other for other in books.changes if other not in mine]
            books.changes.append(change._replace(
                after=one._replace(kernel=""), lines=(*_list_routing(one.up), *change.lines)))


def _list_routing(lines: Iterable[str]) -> list[str]:
    return [line for line in lines if not is_mptcp(line)]


def _leave_out(those: set[str], lines: Iterable[str]) -> tuple[str, ...]:
    return tuple(line for line in lines if line not in those)


def narrow(books: Books, planned: Plan) -> None:
    """Have no other path lead what comes from a crowded subnet away, but for its address."""
    change_each(books, lambda stanza, path: path._replace(wide=False) if any(
        takes(path, one) for one in planned.crowded) else path)


def make_way(
    books: Books, planned: Plan, others: tuple[Stanza, ...], left: tuple[Stanza, ...]
) -> bool:
    """Have those of fc00::/7 give up being the device's first where a global one comes.

    `left` is what the device's `others` keep. Whether any of their paths gave way.
    """
    kept = [one.path for stanza in left for one in stanza.paths]
    yielding = {path for path in kept if path.primary and any(
        one.primary and one.family == path.family and yields(path, one.address)
        for one in planned.paths)}

    def judge(stanza: Stanza, path: Path) -> Path:
        if path not in yielding or stanza not in others or not stanza.told:
            return path
        settings = read_settings(recall_event(stanza.told), books.configuration)
        return demote(path, settings, is_first(path, stanza), kept)

    if yielding:
        change_each(books, judge)
    return bool(yielding)


def change_each(books: Books, judge: Callable[[Stanza, Path], Path]) -> None:
    """Change the paths of all stanzas that are known as `judge` has it."""
    for iface, stanzas in tuple(books.records.items()):
        books.records[iface] = tuple(books.note_reduced(stanza, stanza._replace(paths=tuple(
            change_other(books, one, judge(stanza, one.path))
            if one.up else one for one in stanza.paths))) for stanza in stanzas)


def change_other(books: Books, installed: Installed, path: Path) -> Installed:
    """What comes of a path on record that is to be another one."""
    if path == installed.path:
        return installed
    # This work may be about to make it.
    pending = [change for change in books.changes if change.after == installed]
    if not pending and not _is_there(books, installed.path):
        return cut(books, installed, path)
    before = [one.before for one in pending if one.before] if pending else [installed]
    manager = books.manager
    if pending:
        # What is there already has an id, by which it is taken away; the rest is yet to be made.
        books.manager = manager._replace(endpoints=tuple(
            one for one in manager.endpoints or ()
            if one.identity or not installed.path.owns(one)))
    try:
        change = books.prepare_change(path, before, pending)
    except Problem as problem:
        books.problems.append(problem)
        books.manager = manager
        return installed
    if pending:
        books.changes.remove(pending[0])
    for one in before:
        books.undo_outdated(one, [change])
    books.changes.append(change)
    books.manager = books.manager.expecting([path])
    return change.after


def _is_there(books: Books, path: Path) -> bool:
    """Whether the kernel takes routes of a path: its address is there, and its link is up."""
    link = books.machine.read_link(path.device)
    own = InterfaceAddress(path.family, path.address, 0, "", "")
    return link is not None and link.up and bool(books.machine.find_present(path.device, (own,)))


def cut(books: Books, installed: Installed, path: Path) -> Installed:
    """What is left of a path on record that is to have less, and is as it was otherwise.

    Nothing of it is made anew: it may have lost its address, and who renews it finds that.
    """
    if path == installed.path or not installed.up:
        return installed
    if any(change.after == installed for change in books.changes):
        return change_other(books, installed, path)
    gone = {*commands.build_up(installed.path), *commands.build_down(installed.path)} - {
        *commands.build_up(path), *commands.build_down(path)}
    left = Installed(
        path, tuple(line for line in installed.up if line not in gone),
        tuple(line for line in installed.down if line not in gone),
        installed.kernel if all(map(is_mptcp, gone)) else "")
    books.undo_outdated(installed, [Change(installed, left, ())])
    return left


def end_former_names(books: Books, path: Path) -> None:
    """End the paths that stanzas have of a path's device by a name that it has no more."""
    books.look_at_all()
    for iface, stanzas in tuple(books.records.items()):
        for stanza in stanzas:
            former = {one.path.device for one in stanza.paths if one.path.ifindex == path.ifindex}
            if former and not books.machine.list_of_device(path.device, sorted(former)):
                for one in stanza.paths:
                    books.undo_outdated(one, [])
                books.records[iface] = replace_stanzas(
                    books.records[iface], (stanza,), (stanza._replace(paths=()),))
                books.remarks.append(f"{iface}: its device is called {path.device} now")


def make_room(books: Books, unserved: Iterable[Path]) -> bool:
    """Have an uplink that has two endpoints give one to one that has none, if there is any."""
    endpoints = books.manager.left
    wanting = {path.ifindex for path in unserved}
    if wanting <= {one.device for one in endpoints}:
        return False
    from mptcp_hooks.engine.lifelines import group
    from mptcp_hooks.engine.spares import find_spare, list_devices

    books.look_at_all()
    paths = [one.path for one in books.list_planned()]
    devices = list_devices(paths, endpoints)
    if wanting <= set(devices) or len(set(devices)) == len(devices):
        return False
    try:
        connections = group(books.machine.read_subflows())
    except Problem:
        # Some connection may have the last of its subflows there.
        return False
    spare = find_spare(paths, endpoints, connections)
    if spare is None:
        return False
    books.records = {iface: tuple(books.note_reduced(stanza, stanza._replace(paths=tuple(
        cut(books, one, spare_one(one.path, endpoints))
        if one.path == spare else one for one in stanza.paths)))
        for stanza in stanzas) for iface, stanzas in books.records.items()}
    return True


def note_given_up(
    books: Books, others: tuple[Stanza, ...], left: tuple[Stanza, ...]
) -> None:
    """Note what is left of other stanzas that gave up paths."""
    new = dict(zip(others, left))
    books.records = {iface: tuple(books.note_reduced(stanza, new.get(stanza, stanza))
                                  for stanza in stanzas)
                     for iface, stanzas in books.records.items()}
