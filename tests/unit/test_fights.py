# SPDX-License-Identifier: GPL-2.0-or-later
"""When the monitor gives an interface up, and when it begins anew."""

from __future__ import annotations

from mptcp_hooks.monitor.fights import Fights


def test_several_paths_of_an_interface_are_one_repair() -> None:
    fights = Fights()
    assert fights.note(("eth0",) * 9, 1.0) == [] and fights.resting == frozenset()


def test_many_repairs_at_once_are_given_up_with_one_line() -> None:
    fights = Fights()
    said = [fights.note(("eth0",), now) for now in range(5)]
    assert said[:4] == [[]] * 4 and len(said[4]) == 1 and said[4][0].startswith("eth0: ")
    assert fights.resting == {"eth0"}


def test_few_repairs_in_a_long_time_are_no_fight() -> None:
    fights = Fights()
    assert not [text for number in range(50) for text in fights.note(("eth0",), number * 20)]


def test_a_change_of_the_link_forgives() -> None:
    fights = Fights()
    for now in range(5):
        fights.note(("lo", "lo:1", "eth0"), now)
    assert fights.resting == {"lo", "lo:1", "eth0"}
    fights.forgive(lambda name: name in ("lo", "eth1"))
    assert fights.resting == {"eth0"}
    assert fights.note(("lo",), 6) == []
