"""What is said of paths that lose their carrier and come back."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from mptcp_hooks.engine.lifelines import Use
from mptcp_hooks.monitor.outages import Outages

BOTH, ONE = ("eth0", "eth1"), ("eth0",)
USES = (Use("eth0", "10.1.1.2", 3, (), (), (), ()), Use("eth1", "10.1.2.2", 2, (), (), (), ()))


def count(missing: int, returned: int) -> Callable[[str], tuple[int, int]]:
    """So many connections of eth1's address lack it still, and have it again."""
    return lambda address: (missing, returned) if address == "10.1.2.2" else (0, 0)


@pytest.fixture
def out() -> Outages:
    """Both were first seen at 1000; the carrier of eth1 was lost at 1100."""
    outages = Outages()
    outages.note(BOTH, (), (), (), 1000.0)
    outages.note(ONE, ("eth1",), (), (), 1100.0)
    return outages


def test_of_what_goes_well_nothing_is_said() -> None:
    outages = Outages()
    assert [outages.note(BOTH, (), (), (), 1000.0 + number) for number in range(3)] == [[]] * 3
    assert outages.describe() == [] and not outages.returning
    assert outages.settle(USES, count(0, 0), 1003.0) == []


def test_a_carrier_that_is_lost_is_said_once() -> None:
    outages = Outages()
    outages.note(BOTH, (), (), (), 1000.0)
    assert outages.note(ONE, ("eth1",), (), (), 1300.0) == [
        "eth1: carrier lost after 5 min: endpoint taken away"]
    assert outages.note(ONE, ("eth1",), (), (), 1301.0) == []
    assert outages.describe() == ["eth1: no carrier"] and not outages.returning


def test_one_that_is_back_is_told_with_who_uses_it_again(out: Outages) -> None:
    assert out.note(BOTH, (), (), (), 1160.0) == []
    assert out.returning and out.describe() == []
    # Others may come back yet.
    assert out.settle(USES, count(1, 1), 1161.0) == [] and out.returning
    assert out.settle(USES, count(0, 2), 1161.5) == [
        "eth1: back after 60 s, 2 of 2 connections use it again"]
    assert not out.returning and out.settle(USES, count(0, 2), 1162.0) == []


@pytest.mark.parametrize(("missing", "returned", "told"), [
    (0, 0, ""), (0, 1, ", 1 of 1 connection uses it again"),
    (1, 0, ", 0 of 1 connection uses it again"), (3, 7, ", 7 of 10 connections use it again"),
])
def test_after_two_seconds_it_is_said_how_many_do(
    out: Outages, missing: int, returned: int, told: str
) -> None:
    out.note(BOTH, (), (), (), 1160.0)
    assert out.settle(USES, count(missing, returned), 1162.0) == [f"eth1: back after 60 s{told}"]


def test_several_addresses_of_an_interface_are_counted_together(out: Outages) -> None:
    out.note(BOTH, (), (), (), 1160.0)
    uses = *USES, Use("eth1", "fd00:2::2", 1, (), (), (), ())
    assert out.settle(uses, lambda address: (0, 2), 1162.0) == [
        "eth1: back after 60 s, 4 of 4 connections use it again"]


def test_one_that_goes_again_says_how_long_it_was_there(out: Outages) -> None:
    out.note(BOTH, (), (), (), 1160.0)
    assert out.note(ONE, ("eth1",), (), (), 1161.5) == [
        "eth1: carrier lost after 1.5 s: endpoint taken away"]
    assert not out.returning and out.settle(USES, count(0, 2), 1162.0) == []


def test_one_that_is_given_up_meanwhile_does_not_come_back(out: Outages) -> None:
    assert out.note(ONE, (), (), (), 1160.0) == []
    assert out.describe() == [] and not out.returning


def test_a_gateway_that_is_waited_for_is_said_once(out: Outages) -> None:
    waiting = ["eth1: carrier back, its gateway does not answer yet"]
    assert out.note(ONE, ("eth1",), (), ("eth1",), 1160.0) == waiting
    assert out.note(ONE, ("eth1",), (), ("eth1",), 1161.0) == []
    assert out.describe() == ["eth1: its gateway does not answer"]
    assert out.note(ONE, ("eth1",), (), (), 1162.0) == [] and out.describe() == [
        "eth1: no carrier"]
    assert out.note(ONE, ("eth1",), (), ("eth1",), 1163.0) == waiting


def test_an_endpoint_that_is_kept_is_said_once() -> None:
    outages = Outages()
    kept = ["eth1: no carrier, but a connection has no other path: endpoint kept"]
    assert outages.note(BOTH, (), ("eth1",), (), 1010.0) == kept
    assert outages.note(BOTH, (), ("eth1",), (), 1011.0) == []
    assert outages.note(ONE, ("eth1",), (), (), 1020.0) == [
        "eth1: carrier lost after 10 s: endpoint taken away"]
    outages.note(BOTH, (), (), (), 1030.0)
    assert outages.note(BOTH, (), ("eth1",), (), 1040.0) == kept


def test_of_several_all_are_said_in_one_order() -> None:
    outages = Outages()
    outages.note(BOTH, (), (), (), 0.0)
    assert outages.note((), ("eth1", "eth0"), (), (), 3.0) == [
        f"{iface}: carrier lost after 3.0 s: endpoint taken away" for iface in BOTH]
    assert outages.describe() == ["eth0: no carrier", "eth1: no carrier"]


def test_what_was_out_from_the_start_nobody_lost() -> None:
    """The monitor may be started anew, and begin in the middle of an outage."""
    outages = Outages()
    assert outages.note(ONE, ("eth1",), (), (), 1000.0) == []
    assert outages.describe() == ["eth1: no carrier"]
    outages.note(BOTH, (), (), (), 1060.0)
    assert outages.settle(USES, count(0, 0), 1060.5) == ["eth1: back after 60 s"]
    assert outages.note(ONE, ("eth1",), (), (), 1070.0) == [
        "eth1: carrier lost after 10 s: endpoint taken away"]


def test_how_long_it_was_there_counts_from_its_first_round() -> None:
    outages = Outages()
    outages.note(ONE, (), (), (), 1000.0)
    outages.note(BOTH, (), (), (), 1500.0)
    assert outages.note((), BOTH, (), (), 1530.0) == [
        "eth0: carrier lost after 9 min: endpoint taken away",
        "eth1: carrier lost after 30 s: endpoint taken away"]


def test_what_was_taken_down_and_brought_up_counts_anew() -> None:
    outages = Outages()
    for paths, now in ((BOTH, 1000.0), (ONE, 1100.0), (BOTH, 1200.0)):
        outages.note(paths, (), (), (), now)
    assert outages.note(ONE, ("eth1",), (), (), 1210.0) == [
        "eth1: carrier lost after 10 s: endpoint taken away"]
