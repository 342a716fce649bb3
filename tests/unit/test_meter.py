# SPDX-License-Identifier: GPL-2.0-or-later
"""What uplinks carry each second, out of counters and connections."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as some

from mptcp_hooks.machine.traffic import Flow, Traffic
from mptcp_hooks.monitor.meter import Meter

IFACES = {"10.1.1.2": "eth0", "fd00:1::2": "eth0", "10.1.2.2": "eth1"}
FIRST = Flow("10.1.1.2", 1000, 443, 7, 0, 0, 0.0, 0.02)
SECOND = Flow("10.1.2.2", 1001, 443, 7, 0, 0, 0.0, 0.5)
NONE = {"eth0": Traffic(0, 0), "eth1": Traffic(0, 0)}


def receive(meter: Meter, *totals: int, every: float = 0.1) -> float:
    """Count what eth0 has received in all, and when that ends."""
    now = 100.0
    for total in totals:
        now += every
        meter.count({"eth0": Traffic(0, total), "eth1": Traffic(0, 0)}, now)
    return now


def test_moments_are_the_rates_between_counts() -> None:
    meter = Meter()
    meter.begin([], NONE, 100.0)
    now = receive(meter, 12_500, 12_500, 137_500)
    seconds = meter.end([], IFACES, now)
    assert seconds["eth0"].moments == pytest.approx((1e6, 0.0, 1e7))
    assert seconds["eth1"].moments == (0.0, 0.0, 0.0)


@pytest.mark.parametrize("every", [0.01, 5.0])
def test_a_pause_of_another_length_tells_no_moment(every: float) -> None:
    meter = Meter()
    meter.begin([], NONE, 100.0)
    now = receive(meter, 12_500, 25_000, every=every)
    assert meter.end([], IFACES, now)["eth0"].moments == ()


def test_counters_that_go_back_tell_none() -> None:
    """The device is another one, or the counter has wrapped."""
    meter = Meter()
    meter.begin([], {"eth0": Traffic(0, 10**9)}, 100.0)
    now = receive(meter, 12_500, 25_000)
    assert meter.end([], IFACES, now)["eth0"].moments == pytest.approx((1e6,))


def test_what_connections_did_in_between() -> None:
    meter = Meter()
    meter.begin([FIRST._replace(acked=10**6, received=10**6, busy=3.0), SECOND], NONE, 100.0)
    seconds = meter.end([
        FIRST._replace(acked=10**6 + 250_000, received=10**6 + 125_000, busy=3.95),
        SECOND._replace(acked=50_000, busy=2.0)], IFACES, 101.0)
    eth0, eth1 = seconds["eth0"], seconds["eth1"]
    assert (eth0.up, eth0.rtt) == (2e6, 0.02) and eth0.busy == pytest.approx(0.95)
    assert (eth0.shared_up, eth0.shared_down) == (2e6, 1e6)
    assert (eth1.up, eth1.busy, eth1.rtt, eth1.shared_up) == (4e5, 1.0, 0.5, 4e5)


@pytest.mark.parametrize("other", [
    # Plain TCP; another connection; a second subflow of the same one on the same uplink.
    SECOND._replace(token=0), SECOND._replace(token=8), SECOND._replace(local="fd00:1::2")])
def test_a_connection_of_one_uplink_shares_nothing(other: Flow) -> None:
    meter = Meter()
    meter.begin([], NONE, 100.0)
    seconds = meter.end([FIRST._replace(received=1000), other._replace(received=1000)],
                        IFACES, 101.0)
    assert [one.shared_down for one in seconds.values()] == [0.0, 0.0]


def test_one_that_is_new_has_done_all_of_it_since_and_one_that_began_anew_too() -> None:
    meter = Meter()
    meter.begin([FIRST._replace(acked=10**9)], NONE, 100.0)
    seconds = meter.end([FIRST._replace(acked=125_000), SECOND._replace(acked=125_000)],
                        IFACES, 101.0)
    assert (seconds["eth0"].up, seconds["eth1"].up) == (1e6, 1e6)


def test_of_ten_thousand_a_part_is_remembered() -> None:
    meter = Meter()
    flows = [FIRST._replace(own_port=number, acked=1000) for number in range(10_000)]
    meter.begin(flows, NONE, 100.0)
    assert len(meter._flows) == 4096


@given(some.lists(some.tuples(some.integers(0, 2**64), some.floats(0, 1e6))))
def test_no_counters_are_an_error(counts: list[tuple[int, float]]) -> None:
    meter = Meter()
    meter.begin([], NONE, 0.0)
    for number, now in counts:
        meter.count({"eth0": Traffic(number, number)}, now)
    assert all(moment >= 0 for moment in meter.end([], IFACES, 1.0)["eth0"].moments)
