# SPDX-License-Identifier: GPL-2.0-or-later
"""The works about endpoints that stay as they are: making them again, and repeating that they went.

The kernel joins an endpoint when it is made, once: a subflow that a reset, a silent provider
or a NAT's timeout took is gone for the life of its connection otherwise (net/mptcp/pm_kernel.c:
an id that was used is not available again until its endpoint is deleted).

Peers hear that an endpoint went by RM_ADDR, which nobody repeats (RFC 8684, 3.4.2). One that
missed it counts the dead subflow, and refuses the next one where it allows no more.
"""

from __future__ import annotations

from mptcp_hooks.base.errors import Problem
from mptcp_hooks.base.line import is_mptcp
from mptcp_hooks.base.model import SILENT
from mptcp_hooks.base.value import TYPE_CHECKING
from mptcp_hooks.engine.commands import bind_ids, build_down
from mptcp_hooks.engine.work import UNCHANGED_LIMITS, Change, Undo, Work

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping

    from mptcp_hooks.base.model import Installed, Path, PathManager, Stanza
    from mptcp_hooks.engine.record import Store
    from mptcp_hooks.machine.runner import Kernel

# Flags of endpoints from which the kernel opens subflows, ip-mptcp(8).
OPENING = {"subflow", "fullmesh"}


def prepare_remake(store: Store, kernel: Kernel, addresses: frozenset[str]) -> Work:
    """The work of deleting and adding the endpoints of ours that have these addresses.

    What is on record does not change: whoever is killed between the two leaves a path whose
    endpoint is missing, which the next work makes.
    """
    manager = kernel.read_path_manager()
    recorded, problems = _load_all(store)
    meant = [one for stanzas in recorded.values() for one in _list_standing(stanzas)
             if one.path.address in addresses and not _is_anothers(one.path, manager)]
    undo = tuple(_prepare_end(one, manager) for one in meant)
    changes = tuple(Change(one, one, tuple(filter(is_mptcp, one.up))) for one in meant)
    ifaces = {one.path.iface for one in meant}
    records = tuple((iface, stanzas) for iface, stanzas in recorded.items() if iface in ifaces)
    return Work((), records, undo, changes, UNCHANGED_LIMITS, problems, (), ())


def prepare_reminder(
    store: Store, kernel: Kernel, identities: Mapping[str, Iterable[int]]
) -> Work:
    """The work of telling all peers once more that endpoints went, by address and former ids.

    The kernel says it again when an endpoint with that id is made and deleted: its SYN need
    not get anywhere. Meanwhile the endpoints are on record. One that has come back is left alone.
    """
    return _prepare_repetition(store, kernel, identities, lambda stanza, path: (
        stanza.state == SILENT and not path.endpoint))


def prepare_parting(
    store: Store, kernel: Kernel, identities: Mapping[str, Iterable[int]]
) -> Work:
    """The work of taking endpoints away that are to be made again, and of telling all peers.

    As prepare_reminder says it; afterwards there are none, and on record they are.
    """
    return _prepare_repetition(store, kernel, identities, lambda stanza, path: path.endpoint)


def _prepare_repetition(
    store: Store, kernel: Kernel, identities: Mapping[str, Iterable[int]],
    is_meant: Callable[[Stanza, Path], bool],
) -> Work:
    manager = kernel.read_path_manager()
    recorded, problems = _load_all(store)
    pending: list[tuple[str, tuple[Stanza, ...]]] = []
    undo: list[Undo] = []
    for iface, stanzas in recorded.items():
        meant = {one: _with_endpoint(one) for stanza in stanzas for one in stanza.paths
                 if one.path.address in identities and is_meant(stanza, one.path)
                 and _is_told_by_us(one.path, manager)}
        if meant:
            pending.append((iface, _replace_paths(stanzas, lambda one: meant.get(one, one))))
        undo += [_prepare_reminders(one, identities[one.path.address], manager)
                 for one in meant.values()]
    ifaces = {iface for iface, _ in pending}
    records = tuple((iface, stanzas) for iface, stanzas in recorded.items() if iface in ifaces)
    return Work(tuple(pending), records, tuple(undo), (), UNCHANGED_LIMITS, problems, (), ())


def list_paths(store: Store) -> Iterator[Path]:
    """All paths on record."""
    return (one.path for one in list_installed(store))


def list_installed(store: Store) -> Iterator[Installed]:
    """The same with their lines."""
    # What cannot be read, the work that follows all that is on record says.
    recorded, _ = _load_all(store)
    for stanzas in recorded.values():
        yield from (one for stanza in stanzas for one in stanza.paths)


def list_endpoints(store: Store) -> Iterator[Installed]:
    """The paths on record that have an endpoint of ours."""
    recorded, _ = _load_all(store)
    for stanzas in recorded.values():
        yield from _list_standing(stanzas)


def list_identities(store: Store, manager: PathManager) -> Iterator[tuple[str, int]]:
    """The addresses of our endpoints that stand, and the kernel's ids of them."""
    for installed in list_endpoints(store):
        yield from ((installed.path.address, one.identity) for one in manager.endpoints or ()
                    if installed.path.owns(one))


def _load_all(store: Store) -> tuple[dict[str, tuple[Stanza, ...]], tuple[Problem, ...]]:
    """What is on record of each interface, and what cannot be read of it."""
    recorded = {}
    problems = []
    for iface in store.list_interfaces():
        try:
            recorded[iface] = store.load(iface)
        except Problem as problem:
            problems.append(problem)
    return recorded, tuple(problems)


def _list_standing(stanzas: Iterable[Stanza]) -> Iterator[Installed]:
    return (one for stanza in stanzas for one in stanza.paths if one.path.endpoint)


def _is_told_by_us(path: Path, manager: PathManager) -> bool:
    """Whether the kernel opens subflows from the path's endpoint, and that is ours.

    Where it is only signalled, the peer opens them: what was lost there is none of ours.
    """
    return bool(OPENING & set(path.flags)) and not _is_anothers(path, manager)


def _is_anothers(path: Path, manager: PathManager) -> bool:
    """Whether somebody else has an endpoint of one of the path's addresses."""
    return any(one.stands_for(address) and not path.owns(one)
               for one in manager.endpoints or () for address in path.list_owned())


def _with_endpoint(installed: Installed) -> Installed:
    path = installed.path._replace(endpoint=True)
    return installed._replace(path=path, down=build_down(path))


def _replace_paths(
    stanzas: Iterable[Stanza], change: Callable[[Installed], Installed]
) -> tuple[Stanza, ...]:
    return tuple(one._replace(paths=tuple(map(change, one.paths))) for one in stanzas)


def _prepare_end(installed: Installed, manager: PathManager) -> Undo:
    lines = tuple(filter(is_mptcp, installed.down))
    bound = bind_ids(lines, installed.path, manager.endpoints or ())
    return Undo(installed._replace(down=lines), bound)


def _prepare_reminders(
    installed: Installed, identities: Iterable[int], manager: PathManager
) -> Undo:
    """The end of the path's endpoint, then that of each one that it had before."""
    path = installed.path
    end = _prepare_end(installed, manager)
    taken = {one.identity for one in manager.endpoints or () if not path.owns(one)}
    lines = [line for identity in identities if identity not in taken for line in (
        f"ip mptcp endpoint add {path.address} dev {path.device} id {identity} subflow",
        f"ip mptcp endpoint delete id {identity}")]
    return end._replace(lines=(*end.lines, *lines))
