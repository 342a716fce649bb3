# SPDX-License-Identifier: GPL-2.0-or-later
"""Where our rules stand in front of others'."""

from __future__ import annotations

import pytest

from mptcp_hooks.base.model import Rule
from mptcp_hooks.base.numbering import FIRST_PREFERENCE
from mptcp_hooks.machine.foreign import ForeignRule
from mptcp_hooks.monitor.front import SIZE, choose_front

USUAL = FIRST_PREFERENCE


def rule(preference: int) -> ForeignRule:
    return ForeignRule(Rule(preference, "", "", "", 7, None, 0), False, False, False, 0)


@pytest.mark.parametrize(("taking", "others", "preference"), [
    ((), (), USUAL),
    ((), (5, USUAL - 1), USUAL),
    ((USUAL + SIZE,), (), USUAL),
    ((USUAL - 1,), (), USUAL - 1 - SIZE),
    # wg-quick's other rule takes a number of those before it.
    ((19999,), (19998,), 19998 - SIZE),
    # Tailscale's for what it has marked stay in front.
    ((5270,), (5210, 5230, 5250), 5270 - SIZE),
    ((5270,), (5210, 5230, 5250, 5268), 5268 - SIZE),
    ((5270, 19999), (), 5270 - SIZE),
    ((SIZE + 1,), (), 1),
    ((SIZE,), (), 0),
    ((SIZE + 1,), (1,), 0),
])
def test_ours_begin_before_the_foremost_that_takes_all(
    taking: tuple[int, ...], others: tuple[int, ...], preference: int
) -> None:
    front = choose_front(USUAL, map(rule, taking), map(rule, (*taking, *others)))
    assert front.preference == preference
    assert (front.foremost is None) == (preference == USUAL)
