# SPDX-License-Identifier: GPL-2.0-or-later
"""Which paths are backups by the monitor's judgement, on a machine in memory."""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest

from mptcp_hooks.base.errors import Problem
from mptcp_hooks.base.model import Endpoint, Role
from mptcp_hooks.engine.carry_out import carry_out
from mptcp_hooks.engine.remake import list_paths
from mptcp_hooks.engine.roles import settle_roles
from mptcp_hooks.engine.take_down import prepare_silence
from mptcp_hooks.intent.event import read_event
from tests.unit.engine import ADDRESSES, Bench, open_bench, static, tell_version
from tests.unit.memory import Killed, fail_at, kill_at

ETH0, ETH1 = static("eth0", 4), static("eth1", 4)
FIRST, SECOND = "10.1.1.2", "10.1.2.2"
SLOW = Role(SECOND, "carries 2 of 50 Mbit/s, 800 ms when loaded")


@pytest.fixture
def bench() -> Iterator[Bench]:
    with open_bench() as made:
        assert made.up(ETH0, ETH1) == []
        yield made


def settle(bench: Bench, *wanted: Role, leading: tuple[str, ...] = ()) -> list[Problem]:
    with bench.open_store() as store:
        return settle_roles(store, bench.machine, wanted, leading)


def load(bench: Bench) -> tuple[Role, ...]:
    with bench.open_store() as store:
        return store.load_roles()


def list_flags(bench: Bench) -> dict[str, tuple[str, ...]]:
    return {one.address: one.flags for one in bench.machine.endpoints}


def test_where_nothing_is_wanted_nothing_is_run_and_there_is_no_file(bench: Bench) -> None:
    bench.machine.ran.clear()
    assert settle(bench) == [] and bench.machine.ran == []
    assert not (bench.folder / "roles").exists()


def test_the_flag_is_put_on_and_off_as_the_endpoint_stands(bench: Bench) -> None:
    (identity,) = [one.identity for one in bench.machine.endpoints if one.address == SECOND]
    full = bench.machine.snapshot()
    assert settle(bench, SLOW) == []
    assert bench.machine.ran == [f"mptcp endpoint change id {identity} backup"]
    assert list_flags(bench)[SECOND] == ("subflow", "backup") and load(bench) == (SLOW,)
    assert list_flags(bench)[FIRST] == ("subflow",)
    assert settle(bench) == []
    assert bench.machine.ran == [f"mptcp endpoint change id {identity} nobackup"]
    assert bench.machine.snapshot() == full and not (bench.folder / "roles").exists()


def test_what_stands_is_not_made_again_and_what_was_taken_off_is(bench: Bench) -> None:
    settle(bench, SLOW)
    before = tell_version(bench.folder / "roles")
    assert settle(bench, SLOW) == [] and bench.machine.ran == []
    assert tell_version(bench.folder / "roles") == before
    endpoints = bench.machine.endpoints
    endpoints[:] = [one._replace(flags=("subflow",)) for one in endpoints]
    assert settle(bench, SLOW) == []
    assert list_flags(bench)[SECOND] == ("subflow", "backup")


def test_a_peer_may_send_one_packet_first_where_main_leads_to_a_backup(bench: Bench) -> None:
    (table,) = {rule.table for _, rule in bench.machine.rules if rule.source == f"{SECOND}/32"
                and rule.table > 20000}
    full = bench.machine.snapshot()
    for _ in range(2):
        assert settle(bench, SLOW, leading=(SECOND,)) == []
        assert bench.machine.windows[4, table] == 1
    assert sum("initrwnd" in line for line in bench.machine.given) == 1
    # Neither a hook nor a round takes it for a change.
    bench.machine.ran.clear()
    assert bench.up(ETH0, ETH1) == [] and bench.machine.ran == []
    # Main leads elsewhere, and back; and the role ends.
    assert settle(bench, SLOW, leading=(FIRST,)) == [] and bench.machine.windows[4, table] == 0
    assert settle(bench, SLOW, leading=(SECOND,)) == [] and bench.machine.windows[4, table] == 1
    assert settle(bench, leading=(SECOND,)) == [] and bench.machine.windows[4, table] == 0
    assert bench.machine.snapshot() == full


def test_what_has_the_address_too_keeps_its_window(bench: Bench) -> None:
    """Two modems of one make: the role is of the first one's endpoint."""
    other = read_event({"IFACE": "eth0", "ADDRFAM": "inet", "METHOD": "static",
                        "IF_ADDRESS": SECOND, "IF_NETMASK": "24", "IF_GATEWAY": "10.1.2.1"})
    assert other is not None
    bench.down("eth0")
    bench.machine.plug("eth0", 2, *ADDRESSES["eth1"])
    assert bench.up(other) == []
    assert settle(bench, SLOW, leading=(SECOND,)) == []
    assert {table: size for (_, table), size in bench.machine.windows.items() if size} == {20003: 1}


def test_the_window_is_as_it_was_though_the_endpoint_is_away_by_then(bench: Bench) -> None:
    with bench.open_store() as store:
        (path,) = [one for one in list_paths(store) if one.address == SECOND]
    assert settle(bench, SLOW, leading=(SECOND,)) == []
    with bench.open_store() as store:
        assert carry_out(store, bench.machine,
                         prepare_silence(store, bench.machine, [path])) == []
    assert SECOND not in list_flags(bench) and bench.machine.windows[4, path.table] == 1
    assert settle(bench, leading=(SECOND,)) == []
    assert bench.machine.windows[4, path.table] == 0


def test_another_reason_is_noted_without_a_command(bench: Bench) -> None:
    settle(bench, SLOW)
    other = Role(SECOND, "carries 3 of 50 Mbit/s")
    assert settle(bench, other) == [] and bench.machine.ran == [] and load(bench) == (other,)


@pytest.mark.parametrize("flags, words", [
    ("subflow fullmesh", "backup fullmesh"), ("signal subflow", "backup"), ("laminar", "backup")])
def test_other_flags_stay(flags: str, words: str) -> None:
    """The kernel takes a flag away that a change could name and does not."""
    with open_bench() as bench:
        bench.up(ETH0, static("eth1", 4, mptcp_flags=flags))
        before = list_flags(bench)
        assert settle(bench, SLOW) == []
        assert bench.machine.ran[-1].endswith(f" {words}")
        assert set(list_flags(bench)[SECOND]) == {*flags.split(), "backup"}
        settle(bench)
        assert list_flags(bench) == before


def test_a_backup_by_its_own_flags_is_one_without_us(bench: Bench) -> None:
    bench.up(static("eth1", 4, mptcp_flags="subflow backup"))
    full = bench.machine.snapshot()
    bench.machine.ran.clear()
    assert settle(bench, SLOW) == [] and bench.machine.ran == []
    assert settle(bench) == [] and bench.machine.ran == []
    assert bench.machine.snapshot() == full


def test_somebody_elses_endpoint_is_not_touched(bench: Bench) -> None:
    endpoints = bench.machine.endpoints
    endpoints[:] = [one for one in endpoints if one.address != SECOND]
    endpoints.append(Endpoint(99, SECOND, 0, ("subflow",)))
    bench.machine.ran.clear()
    assert settle(bench, SLOW) == [] and bench.machine.ran == []


def test_neither_a_hook_nor_a_round_takes_a_role_for_a_change(bench: Bench) -> None:
    settle(bench, SLOW)
    full = bench.machine.snapshot()
    bench.machine.ran.clear()
    assert bench.up(ETH0, ETH1) == []
    assert bench.machine.ran == [] and bench.machine.snapshot() == full


@pytest.mark.parametrize("later", ["up", "again"])
def test_a_role_that_a_person_makes_a_flag_is_the_same_endpoint(bench: Bench, later: str) -> None:
    """It stands as it is to be, and its subflows live on; nor is it made again each time."""
    settle(bench, SLOW)
    endpoints = bench.machine.snapshot().endpoints
    meant = static("eth1", 4, mptcp_flags="subflow backup")
    bench.machine.ran.clear()
    for _ in range(2):
        assert bench.up(meant) == [] and bench.machine.snapshot().endpoints == endpoints
        assert not any("mptcp" in line for line in bench.machine.ran)
    # The monitor that hears of it lends nothing any more, and takes nothing back.
    assert settle(bench) == [] and not (bench.folder / "roles").exists()
    assert (bench.up(meant) if later == "up" else bench.again()) == []
    assert bench.machine.ran == [] and bench.machine.snapshot().endpoints == endpoints


def test_an_interface_with_a_role_goes_without_a_trace(bench: Bench) -> None:
    settle(bench, SLOW)
    assert bench.down("eth1") == [] and bench.down("eth0") == []
    assert bench.machine.snapshot() == bench.before and not (bench.folder / "roles").exists()


def test_what_the_kernel_refuses_is_told_and_tried_again(bench: Bench) -> None:
    bench.machine.obstacle = fail_at(0)
    (problem,) = settle(bench, SLOW)
    assert "endpoint change" in str(problem)
    assert list_flags(bench)[SECOND] == ("subflow",)
    bench.machine.obstacle = lambda line: ""
    assert settle(bench, SLOW) == [] and list_flags(bench)[SECOND] == ("subflow", "backup")


@pytest.mark.parametrize("wanted", [(SLOW,), ()])
def test_who_is_killed_on_the_way_is_made_up_for(bench: Bench, wanted: tuple[Role, ...]) -> None:
    full = bench.machine.snapshot()
    settle(bench, *[] if wanted else [SLOW])
    bench.machine.obstacle = kill_at(0)
    with pytest.raises(Killed):
        settle(bench, *wanted)
    bench.machine.obstacle = lambda line: ""
    assert load(bench) == (SLOW,)
    settle(bench)
    assert bench.machine.snapshot() == full


def test_a_record_that_makes_no_sense_is_no_role(bench: Bench) -> None:
    settle(bench, SLOW)
    file = bench.folder / "roles"
    os.truncate(file, file.stat().st_size - 3)
    assert load(bench) == ()
