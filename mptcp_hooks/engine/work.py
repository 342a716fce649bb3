# SPDX-License-Identifier: GPL-2.0-or-later
"""Work: what bringing interfaces up or down takes, prepared and not yet done.

A Work is plain data: printing its lines is the dry run, carry_out does it. The
work of going down is prepared in `take_down`, that of coming up in `bring_up`.
"""

from __future__ import annotations

from mptcp_hooks.base.line import is_endpoint_add, is_mptcp
from mptcp_hooks.base.model import Installed
from mptcp_hooks.base.value import TYPE_CHECKING, NamedTuple
from mptcp_hooks.engine.commands import is_about_id

if TYPE_CHECKING:
    from collections.abc import Container

    from mptcp_hooks.base.errors import Problem
    from mptcp_hooks.base.model import Lease, LimitsRecord, Stanza

    # The stanzas on record of each interface.
    Records = dict[str, tuple[Stanza, ...]]


class Undo(NamedTuple):
    """What of a path on record is to go, and the lines for it, with the endpoint's id in place.

    `installed.down` has those lines alone: they are what stays on record where they fail.
    """

    installed: Installed
    lines: tuple[str, ...]


class Change(NamedTuple):
    """One path that is set up: what was on record of it, what will be, the lines to run.

    `late` are lines that take away what was in another table, and rules whose place new
    ones take, once these stand: what is under way meanwhile always has its rules and table.
    """

    before: Installed | None
    after: Installed
    lines: tuple[str, ...]
    late: tuple[str, ...] = ()


class LimitsChange(NamedTuple):
    """The path manager's limits: what is on record, what will be, the lines to run.

    `wanted` is what they are by, as for settle_limits.
    """

    before: LimitsRecord | None
    after: LimitsRecord | None
    raising: tuple[str, ...]
    restoring: tuple[str, ...]
    wanted: int | None = None


UNCHANGED_LIMITS = LimitsChange(None, None, (), ())


class Work(NamedTuple):
    """In order: `undo` runs, then the limits are raised, the changes made, what they take the
    place of goes, the limits are restored.

    `pending` is what is on record of an interface meanwhile, `records` what will
    be then. `leases` are those to note before anything else, None for one that ended, and
    `resolvers` likewise what is said of IPv6's, as interface, by whom, and which.
    `problems` cost an interface its paths; `warnings` and `remarks` (for -v) cost nothing.
    """

    pending: tuple[tuple[str, tuple[Stanza, ...]], ...]
    records: tuple[tuple[str, tuple[Stanza, ...]], ...]
    undo: tuple[Undo, ...]
    changes: tuple[Change, ...]
    limits: LimitsChange
    problems: tuple[Problem, ...]
    warnings: tuple[str, ...]
    remarks: tuple[str, ...]
    leases: tuple[tuple[str, Lease | None], ...] = ()
    resolvers: tuple[tuple[str, str, tuple[str, ...]], ...] = ()

    def list_lines(self) -> list[str]:
        """All lines in the order they run."""
        gone = [line for undo in self.undo for line in undo.lines]
        made = [line for change in self.changes for line in change.lines]
        moved = [line for change in self.changes for line in change.late]
        return [*gone, *self.limits.raising, *made, *moved, *self.limits.restoring]


def keep_remainder(installed: Installed) -> Installed:
    """What stays on record of a path that could not be undone: how to undo it."""
    return installed._replace(up=(), kernel="")


def forget_announced(installed: Installed, lost: Container[str]) -> Installed:
    """The same path without some of the addresses that are announced for it."""
    path = installed.path
    left = tuple(one for one in path.announced if one not in lost)
    gone = [one for one in path.announced if one not in left]
    return installed._replace(
        path=path._replace(announced=left),
        up=tuple(line for line in installed.up
                 if not any(is_endpoint_add(line, one) for one in gone)),
        down=tuple(line for line in installed.down
                   if not any(is_about_id(line, one) for one in gone)))


def forget_endpoint(installed: Installed) -> Installed:
    """The same path as routing only."""
    return Installed(
        path=installed.path._replace(endpoint=False),
        up=tuple(line for line in installed.up if not is_mptcp(line)),
        down=tuple(line for line in installed.down if not is_mptcp(line)),
        kernel=installed.kernel,
    )
