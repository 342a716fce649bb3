"""The work of making endpoints again, as they are: the kernel joins one when it is made, once.

A subflow that a reset, a silent provider or a NAT's timeout took is gone for the life of its
connection otherwise (net/mptcp/pm_kernel.c: an id that was used is not available again until
its endpoint is deleted).
"""

from __future__ import annotations

from mptcp_hooks.base.errors import Problem
from mptcp_hooks.base.line import is_mptcp
from mptcp_hooks.base.value import TYPE_CHECKING
from mptcp_hooks.engine.commands import bind_ids
from mptcp_hooks.engine.work import UNCHANGED_LIMITS, Change, Undo, Work

if TYPE_CHECKING:
    from collections.abc import Iterator

    from mptcp_hooks.base.model import Installed, PathManager
    from mptcp_hooks.engine.record import Store
    from mptcp_hooks.machine.runner import Kernel


def prepare_remake(store: Store, kernel: Kernel, addresses: frozenset[str]) -> Work:
    """The work of deleting and adding the endpoints of ours that have these addresses.

    What is on record does not change: whoever is killed between the two leaves a path whose
    endpoint is missing, which the next work makes.
    """
    manager = kernel.read_path_manager()
    records = {}
    undo: list[Undo] = []
    changes: list[Change] = []
    problems: list[Problem] = []
    for iface in store.list_interfaces():
        try:
            stanzas = store.load(iface)
        except Problem as problem:
            problems.append(problem)
            continue
        meant = [one for stanza in stanzas for one in stanza.paths
                 if one.path.address in addresses and _has_endpoint(one, manager)]
        undo += [_prepare_end(one, manager) for one in meant]
        changes += [Change(one, one, tuple(filter(is_mptcp, one.up))) for one in meant]
        if meant:
            records[iface] = stanzas
    return Work((), tuple(records.items()), tuple(undo), tuple(changes), UNCHANGED_LIMITS,
                tuple(problems), (), ())


def list_endpoints(store: Store) -> Iterator[Installed]:
    """The paths on record that have an endpoint of ours."""
    for iface in store.list_interfaces():
        try:
            yield from (one for stanza in store.load(iface) for one in stanza.paths
                        if one.path.endpoint)
        except Problem:
            # The work that follows all that is on record says it.
            continue


def _has_endpoint(installed: Installed, manager: PathManager) -> bool:
    return any(installed.path.owns(one) for one in manager.endpoints or ())


def _prepare_end(installed: Installed, manager: PathManager) -> Undo:
    lines = tuple(filter(is_mptcp, installed.down))
    bound = bind_ids(lines, installed.path, manager.endpoints or ())
    return Undo(installed._replace(down=lines), bound)
