# SPDX-License-Identifier: GPL-2.0-or-later
"""The work of taking interfaces down, out of their record alone."""

from __future__ import annotations

from mptcp_hooks.base.errors import Problem
from mptcp_hooks.base.line import is_mptcp
from mptcp_hooks.base.model import LEAVING, SILENT
from mptcp_hooks.base.value import TYPE_CHECKING
from mptcp_hooks.engine.commands import bind_ids
from mptcp_hooks.engine.limits import settle_limits
from mptcp_hooks.engine.work import Undo, Work, forget_endpoint

if TYPE_CHECKING:
    from collections.abc import Callable, Container, Iterable

    from mptcp_hooks.base.model import Installed, Path, PathManager, Stanza
    from mptcp_hooks.engine.record import Store
    from mptcp_hooks.engine.work import Records
    from mptcp_hooks.machine.runner import Kernel


def prepare_down(store: Store, kernel: Kernel, ifaces: Iterable[str]) -> Work:
    """The work of taking away all that is on record of these interfaces."""
    return prepare_removal(store, kernel, ifaces, lambda path, line: True, lambda stanzas: ())


def prepare_dismissal(store: Store, kernel: Kernel, ifaces: Iterable[str]) -> Work:
    """The work of taking all of these interfaces away until a person or ifup wants them again.

    What was told stays on record, so that nothing takes them in anew by itself.
    """
    return prepare_removal(store, kernel, ifaces, lambda path, line: True,
                           lambda stanzas: tuple(stanza._replace(paths=(), state=LEAVING)
                                                 for stanza in stanzas if stanza.told))


def prepare_farewell(store: Store, kernel: Kernel, ifaces: Iterable[str]) -> Work:
    """The work of taking away the endpoints alone, while the link still carries.

    Nothing comes back by itself until the interfaces are brought up again.
    """
    return prepare_removal(store, kernel, ifaces, _is_endpoints, lambda stanzas: tuple(
        stanza._replace(state=LEAVING) for stanza in _forget_endpoints(stanzas)))


def prepare_silence(store: Store, kernel: Kernel, paths: Iterable[Path]) -> Work:
    """The work of taking away the endpoints of paths that are out, until they are back."""
    meant = list(paths)
    addresses = {path.address for path in meant}
    return prepare_removal(
        store, kernel, sorted({path.iface for path in meant}),
        lambda path, line: is_mptcp(line) and path.address in addresses,
        lambda stanzas: tuple(_silence(stanza, addresses) for stanza in stanzas))


def prepare_withdrawal(
    store: Store, kernel: Kernel, paths: Iterable[Path], wanted: int
) -> Work:
    """The work of beginning to keep new connections to the tunnels that are on record.

    The endpoints of `paths` go, of which peers would be told; `wanted` is as for settle_limits.
    """
    meant = list(paths)
    addresses = {path.address for path in meant}
    return prepare_removal(
        store, kernel, sorted({path.iface for path in meant}),
        lambda path, line: is_mptcp(line) and path.address in addresses,
        lambda stanzas: tuple(stanza._replace(paths=_without_endpoints(stanza, addresses))
                              for stanza in stanzas), wanted)


def prepare_removal(
    store: Store,
    kernel: Kernel,
    ifaces: Iterable[str],
    is_meant: Callable[[Path, str], bool],
    remains: Callable[[tuple[Stanza, ...]], tuple[Stanza, ...]],
    wanted: int | None = None,
) -> Work:
    """The work of undoing the lines that are meant; what `remains` of each record.

    `wanted` is as for settle_limits.
    """
    manager = kernel.read_path_manager()
    recorded, problems = _load_each(store, ifaces)
    records = {iface: remains(stanzas) for iface, stanzas in recorded.items()}
    limits, obstacles = settle_limits(store, manager, records, wanted)
    return Work(
        pending=(),
        records=tuple(records.items()),
        undo=tuple(_list_undo(recorded, manager, is_meant)),
        changes=(),
        limits=limits,
        # What could not be read of the record may be left.
        problems=(*problems, *obstacles, *map(Problem, store.take_complaints())),
        warnings=(),
        remarks=(),
    )


def _list_undo(
    recorded: Records, manager: PathManager, is_meant: Callable[[Path, str], bool]
) -> Iterable[Undo]:
    for stanzas in recorded.values():
        for installed in (one for stanza in stanzas for one in stanza.paths):
            meant = tuple(line for line in installed.down if is_meant(installed.path, line))
            yield Undo(installed._replace(down=meant),
                       bind_ids(meant, installed.path, manager.endpoints or ()))


def _load_each(store: Store, ifaces: Iterable[str]) -> tuple[Records, list[Problem]]:
    """What is on record of each interface; a damaged record does not cost the others."""
    recorded: Records = {}
    problems: list[Problem] = []
    for iface in ifaces:
        try:
            stanzas = store.load(iface)
        except Problem as problem:
            problems.append(problem)
            continue
        if stanzas:
            recorded[iface] = stanzas
    return recorded, problems


def _silence(stanza: Stanza, addresses: Container[str]) -> Stanza:
    """The stanza without the endpoints of these addresses, if it has any of them."""
    paths = _without_endpoints(stanza, addresses)
    return stanza if paths == stanza.paths else stanza._replace(
        paths=paths, state=stanza.state or SILENT)


def _without_endpoints(stanza: Stanza, addresses: Container[str]) -> tuple[Installed, ...]:
    return tuple(forget_endpoint(one) if one.path.address in addresses else one
                 for one in stanza.paths)


def _is_endpoints(path: Path, line: str) -> bool:
    return is_mptcp(line)


def _forget_endpoints(stanzas: tuple[Stanza, ...]) -> tuple[Stanza, ...]:
    return tuple(stanza._replace(paths=tuple(map(forget_endpoint, stanza.paths)))
                 for stanza in stanzas)
