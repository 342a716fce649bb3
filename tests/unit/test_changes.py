# SPDX-License-Identifier: GPL-2.0-or-later
"""How the states of paths change: each change is told once, and what came between is left out."""

from __future__ import annotations

from mptcp_hooks.monitor.changes import ALIVE, DEAD, GONE, Change, Changes, State

ONE, TWO = ("eth0", "10.1.1.2"), ("eth1", "10.1.2.2")
LIVE, OUT, AWAY = State(ALIVE), State(DEAD, "no carrier"), State(GONE)
FAULT = (*TWO, "10.1.2.1", "no carrier")


def begin() -> Changes:
    changes = Changes()
    assert changes.take_due() == []
    changes.note([ONE, TWO], [])
    return changes


def test_what_is_there_at_first_is_no_change() -> None:
    assert begin().take_due() == []
    changes = Changes()
    changes.note([ONE], [FAULT])
    assert changes.take_due() == []
    changes.note([ONE, TWO], [])
    assert changes.take_due() == [Change(*TWO, LIVE, OUT)]


def test_a_path_that_dies_and_comes_back() -> None:
    changes = begin()
    changes.note([ONE], [FAULT])
    (died,) = changes.take_due()
    assert died == Change(*TWO, OUT, LIVE)
    assert died.describe() == "eth1: 10.1.2.2 is dead (no carrier), was alive"
    changes.end(died)
    # Another reason is no other state.
    changes.note([ONE], [(*TWO, "10.1.2.1", "gateway silent")])
    assert changes.take_due() == []
    changes.note([ONE, TWO], [])
    (back,) = changes.take_due()
    assert (back.new, back.old.name) == (LIVE, DEAD)
    assert back.describe() == "eth1: 10.1.2.2 is alive, was dead"


def test_paths_that_come_and_go() -> None:
    changes = begin()
    changes.note([ONE], [])
    (went,) = changes.take_due()
    assert went == Change(*TWO, AWAY, LIVE)
    changes.end(went)
    changes.note([ONE, TWO], [])
    assert changes.take_due() == [Change(*TWO, LIVE, AWAY)]


def test_one_at_a_time_for_a_path_and_the_newest_counts() -> None:
    changes = begin()
    changes.note([ONE], [FAULT])
    (died,) = changes.take_due()
    changes.note([ONE, TWO], [])
    assert changes.take_due() == []
    changes.note([], [FAULT, (*ONE, "10.1.1.1", "no carrier")])
    # Another path does not wait for it.
    assert changes.take_due() == [Change(*ONE, OUT, LIVE)]
    changes.end(died)
    assert changes.take_due() == []
    changes.note([TWO], [])
    assert changes.take_due() == [Change(*TWO, LIVE, OUT)]
