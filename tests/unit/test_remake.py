# SPDX-License-Identifier: GPL-2.0-or-later
"""Endpoints that are made again, and peers that are told again of those that went."""

from __future__ import annotations

from collections.abc import Mapping

import pytest

from mptcp_hooks.base.errors import Problem
from mptcp_hooks.base.model import SILENT, Endpoint
from mptcp_hooks.engine.carry_out import carry_out
from mptcp_hooks.engine.remake import (
    list_endpoints,
    list_identities,
    prepare_parting,
    prepare_remake,
    prepare_reminder,
)
from mptcp_hooks.engine.take_down import prepare_silence
from tests.unit.engine import Bench, open_bench, silence, static

ETH0, ETH1 = static("eth0", 4), static("eth1", 4)
FIRST, SECOND = "10.1.1.2", "10.1.2.2"


def remake(bench: Bench, *addresses: str) -> list[Problem]:
    with bench.open_store() as store:
        return carry_out(store, bench.machine, prepare_remake(
            store, bench.machine, frozenset(addresses)))


def remind(bench: Bench, identities: Mapping[str, tuple[int, ...]]) -> list[Problem]:
    with bench.open_store() as store:
        return carry_out(store, bench.machine, prepare_reminder(store, bench.machine, identities))


def part(bench: Bench, identities: Mapping[str, tuple[int, ...]]) -> list[Problem]:
    with bench.open_store() as store:
        return carry_out(store, bench.machine, prepare_parting(store, bench.machine, identities))


def own_endpoints(bench: Bench) -> dict[str, int]:
    with bench.open_store() as store:
        return dict(list_identities(store, bench.machine.read_path_manager()))


def read_record(bench: Bench, iface: str) -> tuple[object, ...]:
    with bench.open_store() as store:
        return store.load(iface)


def test_endpoints_are_made_again_and_nothing_else() -> None:
    with open_bench() as bench:
        bench.up(ETH0, ETH1)
        before, recorded = bench.machine.snapshot(), read_record(bench, "eth1")
        number = own_endpoints(bench)[SECOND]
        assert remake(bench, SECOND) == []
        assert bench.machine.ran == [f"mptcp endpoint delete id {number}",
                                     f"mptcp endpoint add {SECOND} dev eth1 subflow"]
        assert bench.machine.snapshot() == before
        assert read_record(bench, "eth1") == recorded


def test_an_endpoint_that_is_missing_is_made() -> None:
    with open_bench() as bench:
        bench.up(ETH1)
        before = bench.machine.snapshot()
        bench.machine.endpoints = [one for one in bench.machine.endpoints if one.identity == 7]
        assert remake(bench, SECOND) == []
        assert bench.machine.snapshot() == before


def test_anothers_endpoint_is_not_touched() -> None:
    with open_bench() as bench:
        bench.up(ETH1)
        bench.machine.endpoints[-1] = Endpoint(9, SECOND, 0, ("signal",))
        assert remake(bench, SECOND) == part(bench, {SECOND: (3,)}) == []
        assert bench.machine.ran == []


def test_peers_are_told_again_of_an_endpoint_that_is_away() -> None:
    with open_bench() as bench:
        bench.up(ETH0, ETH1)
        number = own_endpoints(bench)[SECOND]
        silence(bench, "eth1")
        before, recorded = bench.machine.snapshot(), read_record(bench, "eth1")
        assert remind(bench, {SECOND: (number,)}) == []
        assert bench.machine.ran == [
            f"mptcp endpoint add {SECOND} dev eth1 id {number} subflow",
            f"mptcp endpoint delete id {number}"]
        assert bench.machine.snapshot() == before
        assert read_record(bench, "eth1") == recorded


def test_of_several_paths_those_are_silent_that_are_out() -> None:
    """One family's gateway may be silent, and the other's answer."""
    with open_bench() as bench:
        bench.up(ETH1, static("eth1", 6))
        rules = bench.machine.snapshot().rules
        with bench.open_store() as store:
            (out,) = (one.path for one in list_endpoints(store) if one.path.family == 4)
            assert carry_out(store, bench.machine,
                             prepare_silence(store, bench.machine, [out])) == []
        assert list(own_endpoints(bench)) == ["fd00:2::2"]
        assert bench.machine.snapshot().rules == rules
        with bench.open_store() as store:
            assert {stanza.paths[0].path.family: stanza.state
                    for stanza in store.load("eth1")} == {4: SILENT, 6: ""}


def test_one_that_stands_is_away_after_it_and_the_next_work_makes_it() -> None:
    with open_bench() as bench:
        bench.up(ETH0, ETH1)
        before = bench.machine.snapshot()
        number = own_endpoints(bench)[SECOND]
        assert part(bench, {SECOND: (3, 4)}) == []
        assert bench.machine.ran == [f"mptcp endpoint delete id {number}"] + [
            line for former in (3, 4) for line in (
                f"mptcp endpoint add {SECOND} dev eth1 id {former} subflow",
                f"mptcp endpoint delete id {former}")]
        assert list(own_endpoints(bench)) == [FIRST]
        assert remake(bench, SECOND) == []
        assert bench.machine.snapshot() == before


def test_one_that_has_come_back_meanwhile_is_left_alone() -> None:
    """It may be the last that a connection has."""
    with open_bench() as bench:
        bench.up(ETH0, ETH1)
        assert remind(bench, {SECOND: (3,)}) == []
        assert bench.machine.ran == []


def test_an_id_that_another_endpoint_has_now_is_not_told() -> None:
    with open_bench() as bench:
        bench.up(ETH0, ETH1)
        silence(bench, "eth1")
        assert remind(bench, {SECOND: (own_endpoints(bench)[FIRST], 7)}) == []
        assert bench.machine.ran == []


@pytest.mark.parametrize("killed_at", ["add", "delete"])
def test_whoever_is_killed_in_the_middle_leaves_what_the_next_work_mends(killed_at: str) -> None:
    with open_bench() as bench:
        bench.up(ETH0, ETH1)
        number = own_endpoints(bench)[SECOND]
        silence(bench, "eth1")
        before = bench.machine.snapshot()

        def kill(line: str) -> str:
            if f"endpoint {killed_at}" in line:
                raise KeyboardInterrupt
            return ""

        bench.machine.obstacle = kill
        with pytest.raises(KeyboardInterrupt):
            remind(bench, {SECOND: (number,)})
        bench.machine.obstacle = lambda line: ""
        # A hook takes what stands, though it is out, for the last that a connection has; a round
        # of upkeep begins with this.
        silence(bench, "eth1")
        assert bench.again() == []
        assert bench.machine.snapshot() == before
        with bench.open_store() as store:
            assert [one.path.address for one in list_endpoints(store)] == [FIRST]
            assert [stanza.state for stanza in store.load("eth1")] == [SILENT]


def test_an_endpoint_that_is_only_signalled_is_not_told_of() -> None:
    with open_bench() as bench:
        bench.up(static("eth1", 4, mptcp_flags="signal"))
        assert part(bench, {SECOND: (3,)}) == []
        silence(bench, "eth1")
        assert remind(bench, {SECOND: (3,)}) == []
        assert bench.machine.ran == []


def test_an_interface_that_is_down_is_not_told_of() -> None:
    with open_bench() as bench:
        bench.up(ETH0, ETH1)
        bench.farewell("eth0")
        bench.down("eth1")
        assert remind(bench, {FIRST: (3,), SECOND: (4,)}) == []
        assert bench.machine.ran == []


def test_a_record_that_cannot_be_read_costs_itself() -> None:
    with open_bench() as bench:
        bench.up(ETH0, ETH1)
        (bench.folder / "eth0.paths").write_text("nonsense\n")
        number = own_endpoints(bench)[SECOND]
        assert list(own_endpoints(bench)) == [SECOND]
        assert len(remake(bench, FIRST, SECOND)) <= 1
        assert f"mptcp endpoint delete id {number}" in bench.machine.ran
