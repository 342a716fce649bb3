# SPDX-License-Identifier: GPL-2.0-or-later
"""In front of which rules of others ours are to stand, so that uplinks answer. Pure.

What comes up after us, and has no preference of its own, has its rules in front of ours: wg-quick
and all that asks the kernel for one. Where such a rule takes everything, what comes in at an
uplink's address is answered by it, and the peer hears nothing.
"""

from __future__ import annotations

from mptcp_hooks.base.numbering import FIRST_PREFERENCE, PREFERENCES
from mptcp_hooks.base.value import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterable

    from mptcp_hooks.machine.foreign import ForeignRule

# How many preferences our rules have from the first to the last.
SIZE = max(PREFERENCES.values()) - FIRST_PREFERENCE + 1


class Front(NamedTuple):
    """Where our rules begin, 0 where there is no room for them, and before which rule, if any."""

    preference: int
    foremost: ForeignRule | None


def choose_front(
    usual: int, taking: Iterable[ForeignRule], others: Iterable[ForeignRule]
) -> Front:
    """Where our rules are to begin: as usual, or before the foremost rule that takes everything.

    `taking` are those, of both families, and `others` all rules that are not ours: in the
    place of none of them may ours stand, and as few as can be are to come after ours.
    """
    before = [one for one in taking if one.rule.preference < usual + SIZE]
    if not before:
        return Front(usual, None)
    foremost = min(before, key=lambda one: one.rule.preference)
    taken = {one.rule.preference for one in others}
    end = foremost.rule.preference - SIZE
    free = (first for first in range(end, 0, -1) if taken.isdisjoint(range(first, first + SIZE)))
    return Front(next(free, 0), foremost)
