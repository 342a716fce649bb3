# SPDX-License-Identifier: GPL-2.0-or-later
"""Which paths have the role of a backup while another one carries more: the monitor's word.

The role is the flag `backup` of the path's endpoint, put on and off as it stands (ip-mptcp(8)):
the kernel tells peers of running connections by MP_PRIO (RFC 8684, 3.3.8), and no subflow goes.
What is on record of the path does not change: its flags are the administrator's, and where
they are compared with the kernel's, PathManager.mark_roles has marked the role.

Where main leads new connections to such a path, each of them begins there, and the peer sends all
that the first window lets it before the other path has joined. A window of one packet, in the
default of the path's own table, keeps that short (docs/internals/performance.md has what it
does). Nobody compares that attribute, and whoever makes the route anew takes it away.
"""

from __future__ import annotations

from mptcp_hooks.base.model import BACKUP
from mptcp_hooks.base.value import TYPE_CHECKING
from mptcp_hooks.engine.remake import list_installed
from mptcp_hooks.machine.runner import tell_failure

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from mptcp_hooks.base.errors import Problem
    from mptcp_hooks.base.model import Endpoint, Installed, Path, Role
    from mptcp_hooks.engine.record import Store
    from mptcp_hooks.machine.runner import Kernel

# What `ip mptcp endpoint change` sets to what it names, or takes away.
_CHANGED = ("fullmesh",)


# What it is that a peer may send first, and how the default of a table of ours begins.
_ONE_PACKET = " initrwnd 1"
_DEFAULT = "route replace default "


def settle_roles(
    store: Store, kernel: Kernel, wanted: Iterable[Role], leading: Iterable[str] = ()
) -> list[Problem]:
    """Make true which endpoints of ours are backups; what failed.

    `leading` are the addresses of paths that main leads new connections to.

    All that may have the role are on record before the kernel is told: whoever is killed
    between leaves what the next one takes back.
    """
    new = tuple(wanted)
    recorded = store.load_roles()
    backups = {role.address for role in new}
    known = backups | {role.address for role in recorded}
    # One whose endpoint is away for now has its window still.
    installed = [one for one in list_installed(store) if one.path.address in known]
    paths = {one.path.address: one.path for one in installed if one.path.endpoint}
    endpoints = kernel.read_path_manager().endpoints or () if paths else ()
    lines = (*_list_changes(paths, endpoints, backups),
             *_list_windows(installed, kernel, backups & set(leading)))
    if not lines and new == recorded:
        return []
    late = tuple(role for role in recorded if role.address not in backups)
    store.save_roles((*new, *late) if lines else new)
    if not lines:
        return []
    failures = kernel.runner.apply_sets([(line,) for line in lines])
    # What failed is tried again.
    store.save_roles((*new, *late) if failures else new)
    return [tell_failure(failure) for failure in failures]


def _list_windows(
    installed: Iterable[Installed], kernel: Kernel, meant: set[str]
) -> Iterator[str]:
    """The lines that make the first window of defaults small, and what it was."""
    for one in installed:
        path = one.path
        made = [line for line in one.up if line.startswith(f"ip -{path.family} {_DEFAULT}")]
        # A template may have its own.
        if not (path.default and made) or "initrwnd" in made[0]:
            continue
        wanted = path.primary and not path.shared and path.address in meant
        if wanted != (kernel.read_first_window(path.family, path.table) == 1):
            yield made[0] + _ONE_PACKET * wanted


def _list_changes(
    paths: dict[str, Path], endpoints: Iterable[Endpoint], backups: set[str]
) -> Iterator[str]:
    """The lines that put the flag on and off; a path that has it by its own flags keeps it."""
    for endpoint in endpoints:
        path = paths.get(endpoint.address)
        if path is None or not path.owns(endpoint) or BACKUP in path.flags:
            continue
        wanted = endpoint.address in backups
        if wanted != (BACKUP in endpoint.flags):
            words = [BACKUP if wanted else f"no{BACKUP}",
                     *(flag for flag in _CHANGED if flag in endpoint.flags)]
            yield f"ip mptcp endpoint change id {endpoint.identity} {' '.join(words)}"
