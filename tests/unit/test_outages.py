# SPDX-License-Identifier: GPL-2.0-or-later
"""What is said of paths that go out and come back, and of the way out of new connections."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from mptcp_hooks.engine.lifelines import Use
from mptcp_hooks.monitor.outages import Outages, Ways

BOTH, ONE = ("eth0", "eth1"), ("eth0",)
# The gateways that are silent.
GATEWAY = {"eth1": "gateway 10.1.2.1 silent"}
USES = (Use("eth0", "10.1.1.2", 3, (), (), (), ()), Use("eth1", "10.1.2.2", 2, (), (), (), ()))


def count(missing: int, returned: int) -> Callable[[str], tuple[int, int]]:
    """So many connections of eth1's address lack it still, and have it again."""
    return lambda address: (missing, returned) if address == "10.1.2.2" else (0, 0)


@pytest.fixture
def out() -> Outages:
    """Both were first seen at 1000; the carrier of eth1 was lost at 1100."""
    outages = Outages()
    outages.note(BOTH, (), (), (), {}, 1000.0)
    outages.note(ONE, ("eth1",), (), (), {}, 1100.0)
    return outages


def test_of_what_goes_well_nothing_is_said() -> None:
    outages = Outages()
    assert [outages.note(BOTH, (), (), (), {}, 1000.0 + number) for number in range(3)] == [[]] * 3
    assert outages.describe() == [] and not outages.returning
    assert outages.settle(USES, count(0, 0), 1003.0) == []


def test_a_carrier_that_is_lost_behind_a_silent_gateway_is_what_is_wrong_then() -> None:
    outages = Outages()
    outages.note(BOTH, (), (), (), {}, 1000.0)
    outages.note(ONE, ("eth1",), (), (), GATEWAY, 1100.0)
    assert outages.describe() == ["eth1: gateway 10.1.2.1 silent"]
    outages.note(ONE, ("eth1",), (), (), {}, 1101.0)
    assert outages.describe() == ["eth1: no carrier"]
    assert outages.note(ONE, ("eth1",), (), ("eth1",), {}, 1102.0) == [
        "eth1: carrier back, its gateway does not answer yet"]


def test_a_carrier_that_is_lost_is_said_once() -> None:
    outages = Outages()
    outages.note(BOTH, (), (), (), {}, 1000.0)
    assert outages.note(ONE, ("eth1",), (), (), {}, 1300.0) == [
        "eth1: carrier lost after 5 min: endpoint taken away"]
    assert outages.note(ONE, ("eth1",), (), (), {}, 1301.0) == []
    assert outages.describe() == ["eth1: no carrier"] and not outages.returning


def test_one_that_is_back_is_told_with_who_uses_it_again(out: Outages) -> None:
    assert out.note(BOTH, (), (), (), {}, 1160.0) == []
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
    out.note(BOTH, (), (), (), {}, 1160.0)
    assert out.settle(USES, count(missing, returned), 1162.0) == [f"eth1: back after 60 s{told}"]


def test_several_addresses_of_an_interface_are_counted_together(out: Outages) -> None:
    out.note(BOTH, (), (), (), {}, 1160.0)
    uses = *USES, Use("eth1", "fd00:2::2", 1, (), (), (), ())
    assert out.settle(uses, lambda address: (0, 2), 1162.0) == [
        "eth1: back after 60 s, 4 of 4 connections use it again"]


def test_one_that_goes_again_says_how_long_it_was_there(out: Outages) -> None:
    out.note(BOTH, (), (), (), {}, 1160.0)
    assert out.note(ONE, ("eth1",), (), (), {}, 1161.5) == [
        "eth1: carrier lost after 1.5 s: endpoint taken away"]
    assert not out.returning and out.settle(USES, count(0, 2), 1162.0) == []


def test_one_that_is_given_up_meanwhile_does_not_come_back(out: Outages) -> None:
    assert out.note(ONE, (), (), (), {}, 1160.0) == []
    assert out.describe() == [] and not out.returning


def test_a_gateway_that_is_waited_for_is_said_once(out: Outages) -> None:
    waiting = ["eth1: carrier back, its gateway does not answer yet"]
    assert out.note(ONE, ("eth1",), (), ("eth1",), {}, 1160.0) == waiting
    assert out.note(ONE, ("eth1",), (), ("eth1",), {}, 1161.0) == []
    assert out.describe() == ["eth1: its gateway does not answer"]
    assert out.note(ONE, ("eth1",), (), (), {}, 1162.0) == [] and out.describe() == [
        "eth1: no carrier"]
    assert out.note(ONE, ("eth1",), (), ("eth1",), {}, 1163.0) == waiting


def test_who_waits_for_a_gateway_and_lost_no_carrier_has_none_back() -> None:
    """Its endpoint is kept, or is another program's."""
    outages = Outages()
    kept = [f"eth1: {GATEWAY['eth1']}, but a connection has no other path: endpoint kept"]
    assert outages.note(BOTH, (), ("eth1",), ("eth1",), GATEWAY, 1010.0) == kept
    assert outages.note(ONE, (), (), ("eth1",), GATEWAY, 1020.0) == []


def test_an_endpoint_that_is_kept_is_said_once() -> None:
    outages = Outages()
    kept = ["eth1: no carrier, but a connection has no other path: endpoint kept"]
    assert outages.note(BOTH, (), ("eth1",), (), {}, 1010.0) == kept
    assert outages.note(BOTH, (), ("eth1",), (), {}, 1011.0) == []
    assert outages.note(ONE, ("eth1",), (), (), {}, 1020.0) == [
        "eth1: carrier lost after 10 s: endpoint taken away"]
    outages.note(BOTH, (), (), (), {}, 1030.0)
    assert outages.note(BOTH, (), ("eth1",), (), {}, 1040.0) == kept


def test_of_several_all_are_said_in_one_order() -> None:
    outages = Outages()
    outages.note(BOTH, (), (), (), {}, 0.0)
    assert outages.note((), ("eth1", "eth0"), (), (), {}, 3.0) == [
        f"{iface}: carrier lost after 3.0 s: endpoint taken away" for iface in BOTH]
    assert outages.describe() == ["eth0: no carrier", "eth1: no carrier"]


def test_what_was_out_from_the_start_nobody_lost() -> None:
    """The monitor may be started anew, and begin in the middle of an outage."""
    outages = Outages()
    assert outages.note(ONE, ("eth1",), (), (), {}, 1000.0) == []
    assert outages.describe() == ["eth1: no carrier"]
    outages.note(BOTH, (), (), (), {}, 1060.0)
    assert outages.settle(USES, count(0, 0), 1060.5) == ["eth1: back after 60 s"]
    assert outages.note(ONE, ("eth1",), (), (), {}, 1070.0) == [
        "eth1: carrier lost after 10 s: endpoint taken away"]


def test_how_long_it_was_there_counts_from_its_first_round() -> None:
    outages = Outages()
    outages.note(ONE, (), (), (), {}, 1000.0)
    outages.note(BOTH, (), (), (), {}, 1500.0)
    assert outages.note((), BOTH, (), (), {}, 1530.0) == [
        "eth0: carrier lost after 9 min: endpoint taken away",
        "eth1: carrier lost after 30 s: endpoint taken away"]


def test_what_was_taken_down_and_brought_up_counts_anew() -> None:
    outages = Outages()
    for paths, now in ((BOTH, 1000.0), (ONE, 1100.0), (BOTH, 1200.0)):
        outages.note(paths, (), (), (), {}, now)
    assert outages.note(ONE, ("eth1",), (), (), {}, 1210.0) == [
        "eth1: carrier lost after 10 s: endpoint taken away"]


def test_a_gateway_that_falls_silent_is_said_once_and_nothing_of_a_carrier() -> None:
    outages = Outages()
    outages.note(BOTH, (), (), (), {}, 1000.0)
    said = [outages.note(ONE, ("eth1",), (), ("eth1",), GATEWAY, 1300.0 + number)
            for number in range(3)]
    assert said == [["eth1: gateway 10.1.2.1 silent after 5 min: endpoint taken away"], [], []]
    assert outages.describe() == ["eth1: gateway 10.1.2.1 silent"]
    assert outages.note(BOTH, (), (), (), {}, 1360.0) == []
    assert outages.settle(USES, count(0, 2), 1361.0) == [
        "eth1: back after 60 s, 2 of 2 connections use it again"]


def test_after_a_gateway_that_fell_silent_a_lost_carrier_is_said_as_ever(
    out: Outages
) -> None:
    """What is known of one outage does not colour the next."""
    out.note(BOTH, (), (), (), {}, 1160.0)
    assert out.note(ONE, ("eth1",), (), ("eth1",), GATEWAY, 1170.0) == [
        "eth1: gateway 10.1.2.1 silent after 10 s: endpoint taken away"]
    out.note(BOTH, (), (), (), {}, 1180.0)
    assert out.note(ONE, ("eth1",), (), (), {}, 1190.0) == [
        "eth1: carrier lost after 10 s: endpoint taken away"]
    assert out.note(ONE, ("eth1",), (), ("eth1",), GATEWAY, 1191.0) == [
        "eth1: carrier back, its gateway does not answer yet"]


def test_each_interface_is_told_with_its_own_fault() -> None:
    outages = Outages()
    outages.note(BOTH, (), (), (), {}, 0.0)
    assert outages.note((), BOTH, (), ("eth1",), GATEWAY, 3.0) == [
        "eth0: carrier lost after 3.0 s: endpoint taken away",
        "eth1: gateway 10.1.2.1 silent after 3.0 s: endpoint taken away"]
    assert outages.describe() == ["eth0: no carrier", "eth1: gateway 10.1.2.1 silent"]


def test_an_endpoint_that_is_kept_behind_a_silent_gateway_is_said_once() -> None:
    outages = Outages()
    said = [outages.note(BOTH, (), ("eth1",), (), GATEWAY, 1010.0 + number) for number in range(2)]
    assert said == [["eth1: gateway 10.1.2.1 silent, but a connection has no other path: "
                     "endpoint kept"], []]


SILENT_4 = {("eth0", 4): "gateway 10.1.1.1 silent"}
NO_CARRIER = {("eth0", 4): "no carrier", ("eth0", 6): "no carrier"}
NOBODY: dict[tuple[str, int], str] = {}
AGAIN = "leave by main's default route again"


def lead(**by: str) -> list[tuple[int, str, str]]:
    """Main leads all to eth0; `by` is what families leave by, '' where that is over."""
    return [(int(family[-1]), "eth0", iface) for family, iface in by.items()]


@pytest.fixture
def led() -> Ways:
    """IPv4 leaves by eth1 since 1000.0."""
    ways = Ways()
    ways.note(lead(v4="eth1"), SILENT_4, 1000.0)
    return ways


def test_while_main_decides_nothing_is_said_of_it() -> None:
    ways = Ways()
    assert [ways.note(known, {}, 1000.0) for known in ((), lead(v4=""), ())] == [[]] * 3


def test_a_way_out_is_said_once_and_why_and_its_end() -> None:
    ways = Ways()
    assert [ways.note(lead(v4="eth1"), SILENT_4, 1000.0 + second) for second in range(3)] == [
        ["eth0: gateway 10.1.1.1 silent: new connections over IPv4 leave by eth1"], [], []]
    # It is waited with for a while after it is back.
    assert [ways.note(known, {}, now) for known, now in (
        (lead(v4="eth1"), 1040.0), (lead(v4=""), 1050.0), ((), 1060.0))] == [
        [], ["eth0: alive again after 40 s: new connections over IPv4 leave by it"], []]


def test_an_uplink_that_goes_again_while_it_is_waited_with_was_out_all_the_time(led: Ways) -> None:
    for faults, now in ((NOBODY, 1020.0), (SILENT_4, 1025.0), (NOBODY, 1100.0)):
        assert led.note(lead(v4="eth1"), faults, now) == []
    assert led.note(lead(v4=""), {}, 1120.0) == [
        "eth0: alive again after 100 s: new connections over IPv4 leave by it"]


@pytest.mark.parametrize(("known", "faults"), [
    # Nothing is alive any more; main leads elsewhere by now; nothing of ours is left.
    (lead(v4=""), SILENT_4), ([(4, "eth1", "")], SILENT_4), ([(4, "eth1", "")], {}), ((), {})])
def test_an_end_without_a_return_is_said_as_what_it_is(
    led: Ways, known: list[tuple[int, str, str]], faults: dict[tuple[str, int], str]
) -> None:
    assert led.note(known, faults, 1010.0) == [f"new connections over IPv4 {AGAIN}"]


def test_another_way_out_is_said(led: Ways) -> None:
    assert led.note(lead(v4="eth2"), SILENT_4, 1010.0) == [
        "eth0: gateway 10.1.1.1 silent: new connections over IPv4 leave by eth2"]


def test_one_whose_uplink_is_back_by_now_is_said_without_a_reason() -> None:
    """As a monitor says that begins then."""
    assert Ways().note(lead(v4="eth1"), {}, 1000.0) == ["new connections over IPv4 leave by eth1"]


def test_families_that_go_the_same_way_for_the_same_reason_are_told_in_one_line() -> None:
    ways = Ways()
    assert ways.note(lead(v4="eth2", v6="eth2"), NO_CARRIER, 1000.0) == [
        "eth0: no carrier: new connections over IPv4 and IPv6 leave by eth2"]
    assert ways.note(lead(v4="", v6=""), {}, 1005.0) == [
        "eth0: alive again after 5.0 s: new connections over IPv4 and IPv6 leave by it"]


def test_a_family_that_stays_is_not_told_of(led: Ways) -> None:
    assert led.note(lead(v4="eth1", v6="eth1"), NO_CARRIER, 1010.0) == [
        "eth0: no carrier: new connections over IPv6 leave by eth1"]
    assert led.note(lead(v4="", v6="eth1"), NO_CARRIER, 1020.0) == [
        f"new connections over IPv4 {AGAIN}"]


def test_families_that_go_different_ways_are_told_each(led: Ways) -> None:
    assert led.note(lead(v4="", v6="eth2"), NO_CARRIER, 1010.0) == [
        f"new connections over IPv4 {AGAIN}",
        "eth0: no carrier: new connections over IPv6 leave by eth2"]
