# SPDX-License-Identifier: GPL-2.0-or-later
"""One thing that is wrong, as every judge tells of it."""

from __future__ import annotations

from mptcp_hooks.base.value import NamedTuple

BROKEN, NOTE = "broken", "note"


class Finding(NamedTuple):
    """One thing that is wrong.

    `severity` is BROKEN where it takes a path away, else NOTE. `kind` names the
    thing for programs. `interface` is '' where it is the whole machine's.
    `difference` are lines that begin with `-` (missing) or `+` (not ours).
    """

    severity: str
    kind: str
    interface: str
    text: str
    remedy: str
    difference: tuple[str, ...] = ()
