# SPDX-License-Identifier: GPL-2.0-or-later
"""Which uplinks are known from before: an interface is another one in another network."""

from __future__ import annotations

import pytest

from mptcp_hooks.engine.remembered import UPLINKS_AT_MOST, Remembered, is_same
from mptcp_hooks.monitor.acquaintances import Acquaintances, Meeting
from mptcp_hooks.monitor.judge import Best, Verdict

HOME, WORK = ("10.1.2.1", "fe80::1"), ("192.0.2.1", "fe80::1")
WEAK = Verdict(Best(2e6), "carries 2 of 50 Mbit/s")
GOOD = Verdict(Best(40e6), "")
AT_HOME = Remembered("wlan0", HOME, 2_000_000, 0, WEAK.why)
NOBODY = Meeting((), {})


@pytest.mark.parametrize("old, new, same", [
    (HOME, HOME, True), (HOME, HOME[::-1], True), (HOME, WORK, False),
    # A router advertisement, or a lease, comes a second later than the other.
    (HOME, HOME[:1], True), (HOME, HOME[1:], True), (HOME[:1], WORK[1:], False),
    # A second address of the link has a gateway of its own.
    (HOME, (*HOME, "10.1.3.1"), True),
    ((), (), True), ((), HOME, False), (HOME, (), False),
])
def test_a_network_is_known_by_its_gateways(
    old: tuple[str, ...], new: tuple[str, ...], same: bool
) -> None:
    assert is_same(old, new) == is_same(new, old) == same


def test_what_is_remembered_counts_where_it_was_found() -> None:
    friends = Acquaintances([AT_HOME])
    assert friends.meet({"wlan0": WORK, "eth0": HOME}, ()) == NOBODY
    # Back at home, whatever was found at work.
    assert friends.meet({"wlan0": HOME, "eth0": HOME}, {"wlan0"}) == Meeting(
        ("wlan0",), {"wlan0": WEAK})
    assert friends.meet({"wlan0": HOME, "eth0": HOME}, {"wlan0"}) == NOBODY


def test_one_that_went_and_came_back_elsewhere_is_a_stranger() -> None:
    friends = Acquaintances([])
    assert friends.meet({"wlan0": HOME}, ()) == NOBODY
    assert friends.meet({}, ()) == NOBODY
    assert friends.meet({"wlan0": HOME}, {"wlan0"}) == NOBODY
    assert friends.meet({}, ()) == NOBODY
    assert friends.meet({"wlan0": WORK}, {"wlan0"}) == Meeting(("wlan0",), {})


def test_one_without_a_gateway_for_a_moment_is_what_it_was() -> None:
    friends = Acquaintances([AT_HOME])
    assert friends.meet({"wlan0": HOME[:1]}, ()) == Meeting((), {"wlan0": WEAK})
    assert friends.meet({"wlan0": ()}, {"wlan0"}) == NOBODY
    assert friends.meet({"wlan0": HOME}, {"wlan0"}) == NOBODY
    assert friends.meet({"wlan0": ()}, {"wlan0"}) == NOBODY
    assert friends.meet({"wlan0": WORK}, {"wlan0"}).strangers == ("wlan0",)


def learn(
    friends: Acquaintances, gateways: tuple[str, ...], **verdicts: Verdict
) -> tuple[Remembered, ...] | None:
    """What there is to be remembered once wlan0 has been met behind gateways."""
    friends.meet({"wlan0": gateways}, ())
    return friends.learn(verdicts)


def test_each_network_of_an_interface_is_remembered() -> None:
    friends = Acquaintances([AT_HOME])
    at_work = Remembered("wlan0", WORK, 40_000_000, 0, "")
    assert learn(friends, WORK, wlan0=GOOD, eth7=WEAK) == (AT_HOME, at_work)
    assert learn(friends, WORK, wlan0=GOOD) is None
    # What is found anew takes the place of what was.
    assert learn(friends, HOME, wlan0=GOOD) == (at_work, at_work._replace(gateways=HOME))


def test_what_says_nothing_more_is_no_news() -> None:
    """As where the gateway of one family is not there yet, or none is for a moment."""
    friends = Acquaintances([AT_HOME._replace(gateways=HOME[:1])])
    for gateways in (HOME[:1], ()):
        assert learn(friends, gateways, wlan0=WEAK) is None
    assert learn(friends, HOME, wlan0=WEAK) == (AT_HOME,)
    assert learn(friends, HOME[1:], wlan0=WEAK) is None


def test_of_too_many_the_oldest_are_forgotten() -> None:
    friends = Acquaintances([])
    for number in range(UPLINKS_AT_MOST + 2):
        known = learn(friends, (f"10.9.{number}.1",), wlan0=WEAK)
    assert known is not None and len(known) == UPLINKS_AT_MOST
    assert known[0].gateways == ("10.9.2.1",)
