# SPDX-License-Identifier: GPL-2.0-or-later
"""What the kernel's MPTCP counters prove, and what they do not."""

from __future__ import annotations

import pytest

from mptcp_hooks.machine.counters import read_counters
from mptcp_hooks.status.counters import judge_counters
from tests.unit.counter_cases import CASES, find

NAMES = sorted(case.name for case in CASES.iterdir())
HEALTHY = read_counters((CASES / "healthy" / "client").read_text())
# What older kernels do not count, of what is judged.
NEWER = {"MPJoinSynTx", "MPJoinRejected", "MPCapableDataFallback",
         "DssFallback", "DSSCorruptionFallback", "DSSCorruptionReset"}


def judge(**changes: int) -> list[str]:
    return [evidence.text for evidence in judge_counters(HEALTHY | changes)]


@pytest.mark.parametrize("name", NAMES)
def test_recorded_case(name: str) -> None:
    assert find(CASES / name) == (CASES / name / "findings").read_text()


def test_the_lines_among_others() -> None:
    text = ("TcpExt: SyncookiesSent Blackhole\nTcpExt: 7 8\nMPTcpExt: MPCapableSYNTX Blackhole\n"
            "MPTcpExt: 18446744073709551615 0\nIpExt: InNoRoutes\nIpExt: 1\n")
    assert read_counters(text) == {"MPCapableSYNTX": 2 ** 64 - 1, "Blackhole": 0}


@pytest.mark.parametrize("text", [
    "", "TcpExt: A\nTcpExt: 1\n", "MPTcpExt: A B\n", "MPTcpExt: A\nMPTcpExt: x\n",
    "MPTcpExt: 1\n" * 3, pytest.param(f"MPTcpExt: A\nMPTcpExt: {'9' * 5000}\n", id="5000 digits"),
])
def test_no_counters(text: str) -> None:
    assert read_counters(text) == {}
    assert judge_counters(read_counters(text)) == []


@pytest.mark.parametrize("name", [
    "MPCapableFallbackSYNACK", "MPJoinSynTx", "MPJoinAckHMacFailure", "InfiniteMapRx",
    "MPCapableFallbackACK", "MPJoinNoTokenFound",
])
def test_a_counter_without_its_counterpart_proves_nothing(name: str) -> None:
    """It is unknown, not zero."""
    assert judge_counters({name: 9}) == []


@pytest.mark.parametrize(("bad", "good", "found"), [
    (2, 0, False), (3, 0, True), (3, 2, True), (3, 3, False), (100, 101, False),
])
def test_a_few_are_no_rule(bad: int, good: int, found: bool) -> None:
    for changes, text in (
        ({"MPCapableFallbackSYNACK": bad, "MPCapableSYNACKRX": good},
         f"{bad} of {bad + good} connections were answered without MPTCP, and are plain TCP"),
        ({"MPJoinSynTx": bad + good, "MPJoinSynAckRx": good},
         f"{bad} of {bad + good} further subflows were not answered with MPTCP"),
        ({"MPCapableFallbackACK": bad, "MPCapableACKRX": good},
         f"{bad} of {bad + good} clients asked for MPTCP and then went on without"),
        ({"MPJoinNoTokenFound": bad, "MPJoinSynRx": bad + good},
         f"{bad} of {bad + good} further subflows belong to connections that this server has not"),
        ({"MPJoinRejected": bad, "MPJoinAckRx": good, "MPJoinSynAckRx": 0, "MPJoinSynTx": 0},
         f"{bad} of {bad + good} further subflows were refused here"),
        ({"DssFallback": bad, "MPCapableSYNACKRX": bad, "MPCapableACKRX": good},
         f"{bad} of {bad + good} connections began with MPTCP and fell back to plain TCP"),
    ):
        assert judge(**changes) == [text] * found, changes


def test_a_client_that_refuses_at_the_end_of_connections() -> None:
    assert judge(MPJoinRejected=5, MPJoinSynTx=100, MPJoinSynAckRx=95) == []


@pytest.mark.parametrize(("name", "text"), [
    ("DataCsumErr", "data of a connection was altered under way once"),
    ("MPFailRx", "data of a connection was altered under way once"),
    ("DSSCorruptionReset", "data of a connection was altered under way once"),
    ("MPJoinSynAckHMacFailure", "the keys of 1 subflow were wrong"),
    ("MPJoinAckHMacFailure", "the keys of 1 subflow were wrong"),
])
def test_what_counts_at_once(name: str, text: str) -> None:
    assert judge(**{name: 1}) == [text]


def test_an_old_kernel_counts_refusals_as_wrong_keys() -> None:
    old = {name: value for name, value in HEALTHY.items() if name not in NEWER}
    assert judge_counters(old | {"MPJoinAckHMacFailure": 50}) == []
    assert len(judge_counters(old | {"MPJoinSynAckHMacFailure": 1})) == 1


def test_the_most_harmful_comes_first() -> None:
    assert [text.split(":")[0] for text in judge(
        MPJoinSynTx=9, MPCapableFallbackSYNACK=9, MPJoinSynAckRx=0)] == [
        "9 of 12 connections were answered without MPTCP, and are plain TCP",
        "9 of 9 further subflows were not answered with MPTCP"]
