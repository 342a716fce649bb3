# SPDX-License-Identifier: GPL-2.0-or-later
"""Outages of all lengths, twenty in a row, and a minute: `make outages`, which takes its time."""

from __future__ import annotations

import random
import re
import time

import pytest

from tests.lab.support.boxes import block, remove_boxes
from tests.lab.support.crowd import Crowd
from tests.lab.support.hole import Hole
from tests.lab.support.lab import TWO_UPLINKS, TWO_UPLINKS_6, Lab
from tests.lab.support.making import MakeLab
from tests.lab.support.monitor import Monitor
from tests.lab.support.paths import check_both_paths, plug, pull

pytestmark = pytest.mark.long
# After the moment when the gateway can answer, which the router needs a second for.
BACK_WITHIN = 3.0
FAMILIES = {4: TWO_UPLINKS, 6: TWO_UPLINKS_6}


def have_outages(lab: Lab, crowd: Crowd, seconds: list[float]) -> None:
    """Each uplink in turn, once all connections use both."""
    for number, span in enumerate(seconds):
        crowd.wait_until_whole()
        pull(lab, number % 2)
        time.sleep(span)
        plug(lab, number % 2)
        assert crowd.measure_return(number % 2, 30) < BACK_WITHIN, (number, span)
    assert crowd.list_broken() == ""


@pytest.mark.parametrize("count", [1, 200])
@pytest.mark.parametrize("backwards", [False, True], ids=["client", "server"])
@pytest.mark.parametrize("family", [4, 6])
def test_twenty_outages_of_seconds(lab: Lab, family: int, backwards: bool, count: int) -> None:
    flags = "signal" if backwards else "subflow"
    lab.set_interfaces(re.sub(r"(?m)^( +address .*)$", rf"\1\n    mptcp-flags {flags}",
                              FAMILIES[family]))
    lab.ifup("-a")
    lab.server.run("ip", "mptcp", "limits", "set", "subflows", "8", "add_addr_accepted", "8")
    Monitor(lab)
    spans = random.Random(family)
    have_outages(lab, Crowd(lab, count, family, backwards),
                 [spans.uniform(2, 12) for _ in range(20)])


@pytest.mark.parametrize("family", [4, 6])
def test_outages_of_all_lengths(lab: Lab, family: int) -> None:
    lab.set_interfaces(FAMILIES[family])
    lab.ifup("-a")
    Monitor(lab)
    have_outages(lab, Crowd(lab, family=family), [0.1, 0.5, 1, 2, 3, 5, 12, 60, 60])


@pytest.mark.parametrize("mptcp", [True, False], ids=["mptcp", "plain"])
def test_providers_that_are_silent_for_one_to_ten_seconds(make_lab: MakeLab, mptcp: bool) -> None:
    lab = make_lab(routers=("nftables",))
    lab.set_interfaces(TWO_UPLINKS)
    lab.ifup("-a")
    Monitor(lab)
    hole = Hole(lab)
    for seconds in range(1, 11):
        hole.be(seconds, mptcp)
        time.sleep(5)
        check_both_paths(lab)


@pytest.mark.parametrize("seconds", [2, 10, 30])
def test_a_provider_that_resets_all_and_another_that_drops_all(
    make_lab: MakeLab, seconds: float
) -> None:
    lab = make_lab(routers=("nftables",))
    lab.set_interfaces(TWO_UPLINKS)
    lab.ifup("-a")
    Monitor(lab)
    crowd = Crowd(lab, 3)
    reset = "reject with tcp reset"
    for uplink, verdict in ((1, reset), (0, "drop"), (0, reset), (1, "drop")):
        crowd.wait_until_whole(120)
        block(lab, uplink, verdict)
        time.sleep(seconds)
        remove_boxes(lab)
        assert crowd.measure_return(uplink, 60) < 10
    assert crowd.list_broken() == ""
