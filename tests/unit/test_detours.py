# SPDX-License-Identifier: GPL-2.0-or-later
"""Where new connections are led while main leads them to a dead uplink, on a machine in memory."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

from mptcp_hooks.base.errors import PROGRAM, Problem
from mptcp_hooks.base.folder import open_folder
from mptcp_hooks.base.model import Detour, Rule
from mptcp_hooks.engine import command_cache, render
from mptcp_hooks.engine.detours import make_detours_ready, settle_detours
from mptcp_hooks.engine.record import Store
from tests.unit.engine import Bench, open_bench, static, tell_version
from tests.unit.memory import Killed, State, fail_at, kill_at

ETH0, ETH1 = static("eth0", 4), static("eth1", 4)
# The numbers of the documentation, not those of the module: they stand in numbering.py's text.
BEFORE_MAIN, BEHIND_MAIN = 32765, 32767
# main without its default, then the table of eth1, and of eth0.
MAIN = Rule(BEFORE_MAIN, "", "", "", 254, 0, 77, mark="0xffffffff")
TO_ETH1, TO_ETH0 = (MAIN._replace(table=table, suppress=None, mark="") for table in (20003, 20002))
NO_WAY = Rule(BEHIND_MAIN, "", "", "", 0, None, 77)
DETOURS = (
    Detour(4, 20003, ("ip -4 rule del pref 32765 lookup 20003 protocol 77", "ip -4 rule del x")),
    Detour(6, 0, ("ip -6 rule del pref 32767 unreachable protocol 77",)),
)
# What is wanted, one after another, which differs in each way that it can.
COURSES: list[Mapping[int, int | None]] = [
    {4: 20003}, {4: 20002}, {4: 0}, {4: 20003, 6: 20002}, {4: None, 6: 20003}, {6: 0}, {4: None}]
# How many lines one of them takes at the most.
MOST = 5


@pytest.fixture
def bench() -> Iterator[Bench]:
    """Both uplinks are up, in both families."""
    with open_bench() as made:
        assert made.up(ETH0, ETH1, static("eth0", 6), static("eth1", 6)) == []
        made.before = made.machine.snapshot()
        yield made


def settle(bench: Bench, wanted: Mapping[int, int | None]) -> list[Problem]:
    with bench.open_store() as store:
        return settle_detours(store, bench.machine, wanted)


def list_rules(bench: Bench, family: int = 4) -> list[Rule]:
    """The rules of detours, in the order in which the kernel asks those of one preference."""
    return [rule for known, rule in bench.machine.rules
            if known == family and rule.preference in (BEFORE_MAIN, BEHIND_MAIN)]


def has_record(bench: Bench) -> bool:
    return (bench.folder / "detours").exists()


def load(bench: Bench) -> list[tuple[int, int]]:
    with bench.open_store() as store:
        return [(one.family, one.table) for one in store.load_detours()]


def without_detours(bench: Bench) -> State:
    state = bench.machine.snapshot()
    return state._replace(rules=tuple(
        (family, rule) for family, rule in state.rules if rule not in list_rules(bench, family)))


def test_where_nothing_is_wanted_nothing_is_run_and_there_is_no_file(bench: Bench) -> None:
    before = list(bench.machine.given)
    assert settle(bench, {}) == settle(bench, {4: None, 6: None}) == []
    assert bench.machine.given == before and not has_record(bench)
    assert bench.machine.snapshot() == bench.before


def test_main_keeps_all_but_its_default_and_the_rest_goes_to_the_table(bench: Bench) -> None:
    assert settle(bench, {4: 20003, 6: None}) == []
    # In this order: the own networks, and whatever else main knows, are asked first.
    assert list_rules(bench) == [MAIN, TO_ETH1] and list_rules(bench, 6) == []
    assert without_detours(bench) == bench.before
    assert load(bench) == [(4, 20003)]


def test_what_stands_is_not_made_again(bench: Bench) -> None:
    settle(bench, {4: 20003, 6: 0})
    before = tell_version(bench.folder / "detours")
    assert settle(bench, {4: 20003, 6: 0}) == [] and bench.machine.ran == []
    assert tell_version(bench.folder / "detours") == before


def test_it_goes_without_a_trace(bench: Bench) -> None:
    settle(bench, {4: 20003, 6: 0})
    assert settle(bench, {4: None, 6: None}) == []
    assert bench.machine.snapshot() == bench.before and not has_record(bench)


def test_a_family_of_which_nothing_is_said_has_none(bench: Bench) -> None:
    settle(bench, {4: 20003})
    assert settle(bench, {}) == []
    assert bench.machine.snapshot() == bench.before


def test_what_finds_no_way_is_refused_behind_main(bench: Bench) -> None:
    assert settle(bench, {4: 0}) == []
    assert list_rules(bench) == [NO_WAY]
    assert bench.machine.ran == ["rule add pref 32767 unreachable protocol 77"]
    assert load(bench) == [(4, 0)]


@pytest.mark.parametrize(("first", "then", "expected"), [
    (20003, 20002, [MAIN, TO_ETH0]), (20003, 0, [NO_WAY]), (0, 20003, [MAIN, TO_ETH1])])
def test_another_way_stands_before_the_old_one_goes(
    bench: Bench, first: int, then: int, expected: list[Rule]
) -> None:
    """At no time are new connections left to what main says."""
    settle(bench, {4: first})
    old = list_rules(bench)
    seen: list[list[Rule]] = []

    def look(line: str) -> str:
        seen.append(list_rules(bench))
        return ""

    bench.machine.obstacle = look
    assert settle(bench, {4: then}) == []
    assert list_rules(bench) == expected
    for rules in seen:
        assert all(rule in rules for rule in old) or all(rule in rules for rule in expected)
    # What both have in common is not touched at all.
    assert len(seen) == len(set(old) ^ set(expected))


def test_the_families_have_nothing_to_do_with_each_other(bench: Bench) -> None:
    settle(bench, {4: 20003, 6: 20002})
    assert (list_rules(bench), list_rules(bench, 6)) == ([MAIN, TO_ETH1], [MAIN, TO_ETH0])
    assert settle(bench, {4: None, 6: 20002}) == []
    assert (list_rules(bench), list_rules(bench, 6)) == ([], [MAIN, TO_ETH0])
    assert load(bench) == [(6, 20002)]
    assert settle(bench, {4: 20003, 6: 20003}) == []
    assert list_rules(bench) == list_rules(bench, 6) == [MAIN, TO_ETH1]
    # The same table of the other family is another detour.
    assert settle(bench, {4: 20003}) == []
    assert (list_rules(bench), list_rules(bench, 6)) == ([MAIN, TO_ETH1], [])


@pytest.mark.parametrize("table", [20003, 0])
def test_what_somebody_took_away_is_made_again(bench: Bench, table: int) -> None:
    """`ip rule flush`, and what restarts a network."""
    settle(bench, {4: table, 6: 20002})
    full = bench.machine.snapshot()
    for rule in list_rules(bench):
        bench.machine.rules.remove((4, rule))
    assert settle(bench, {4: table, 6: 20002}) == []
    assert bench.machine.snapshot() == full
    assert list_rules(bench)[:1] in ([MAIN], [NO_WAY])


def test_one_rule_that_is_missing_is_made_alone(bench: Bench) -> None:
    settle(bench, {4: 20003})
    bench.machine.rules.remove((4, TO_ETH1))
    assert settle(bench, {4: 20003}) == []
    assert bench.machine.ran == ["rule add pref 32765 lookup 20003 protocol 77"]
    assert list_rules(bench) == [MAIN, TO_ETH1]


def test_what_is_gone_already_can_be_taken_away(bench: Bench) -> None:
    settle(bench, {4: 20003})
    bench.machine.rules = [one for one in bench.machine.rules if one[1] != TO_ETH1]
    assert settle(bench, {}) == []
    assert bench.machine.snapshot() == bench.before and not has_record(bench)


def test_anothers_rules_of_the_same_preference_stay_and_count_for_none(bench: Bench) -> None:
    """The kernel hands out the preference before main's to who names none: `ip rule add`."""
    others = [(4, rule._replace(protocol=3)) for rule in (MAIN, TO_ETH1, NO_WAY)]
    bench.machine.rules += others
    assert settle(bench, {4: 20003}) == []
    assert [rule for rule in list_rules(bench) if rule.protocol == 77] == [MAIN, TO_ETH1]
    assert settle(bench, {}) == []
    assert list_rules(bench) == [rule for _, rule in others]


@pytest.mark.parametrize("line", range(MOST))
@pytest.mark.parametrize(("first", "then"), list(zip(COURSES, COURSES[1:])))
def test_who_is_killed_leaves_what_the_next_mends(
    bench: Bench, first: Mapping[int, int | None], then: Mapping[int, int | None], line: int
) -> None:
    settle(bench, then)
    expected, recorded = bench.machine.snapshot(), load(bench)
    settle(bench, {})
    settle(bench, first)
    bench.machine.obstacle = kill_at(line)
    try:
        settle(bench, then)
    except Killed:
        assert has_record(bench)
    bench.machine.obstacle = lambda line: ""
    assert settle(bench, then) == []
    assert (bench.machine.snapshot(), load(bench)) == (expected, recorded)
    assert settle(bench, {}) == []
    assert bench.machine.snapshot() == bench.before and not has_record(bench)


@pytest.mark.parametrize("line", range(MOST))
@pytest.mark.parametrize(("first", "then"), list(zip(COURSES, COURSES[1:])))
def test_what_a_killed_one_was_about_may_be_wanted_no_more(
    bench: Bench, first: Mapping[int, int | None], then: Mapping[int, int | None], line: int
) -> None:
    settle(bench, first)
    bench.machine.obstacle = kill_at(line)
    try:
        settle(bench, then)
    except Killed:
        pass
    bench.machine.obstacle = lambda line: ""
    assert settle(bench, {}) == []
    assert bench.machine.snapshot() == bench.before and not has_record(bench)


def test_there_are_as_many_lines_to_be_killed_at(bench: Bench) -> None:
    """The tests above have somebody killed at each."""
    most = 0
    for wanted in COURSES:
        settle(bench, wanted)
        most = max(most, len(bench.machine.ran))
    assert most == MOST


@pytest.mark.parametrize("table", [20003, 0])
def test_a_line_that_fails_is_told_and_tried_again(bench: Bench, table: int) -> None:
    # The last of those that make it.
    bench.machine.obstacle = fail_at(1 if table else 0)
    for _ in range(2):
        (problem,) = settle(bench, {4: table})
        assert str(problem).endswith("Invalid argument")
        assert str(table or "unreachable") in str(problem)
        assert load(bench) == [(4, table)]
    bench.machine.obstacle = lambda line: ""
    assert settle(bench, {4: table}) == []
    assert list_rules(bench) == ([MAIN, TO_ETH1] if table else [NO_WAY])
    assert settle(bench, {}) == []
    assert bench.machine.snapshot() == bench.before


@pytest.mark.parametrize("line", [0, 1])
def test_what_cannot_be_taken_away_is_told_and_tried_again(bench: Bench, line: int) -> None:
    settle(bench, {4: 20003})
    bench.machine.obstacle = fail_at(line)
    for _ in range(2):
        (problem,) = settle(bench, {4: None})
        assert str(problem).endswith("Invalid argument") and "rule del" in str(problem)
        assert load(bench) == [(4, 20003)]
    bench.machine.obstacle = lambda line: ""
    assert settle(bench, {4: None}) == []
    assert bench.machine.snapshot() == bench.before and not has_record(bench)


def test_a_family_that_fails_does_not_cost_the_other(bench: Bench) -> None:
    """A kernel without IPv6's policy routing."""
    bench.machine.obstacle = lambda line: (
        "RTNETLINK answers: Operation not supported" if "20002" in line else "")
    (problem,) = settle(bench, {4: 20003, 6: 20002})
    assert "-6" in str(problem)
    assert list_rules(bench) == [MAIN, TO_ETH1]


def test_with_the_last_path_all_of_it_goes(bench: Bench) -> None:
    settle(bench, {4: 20003, 6: 0})
    bench.farewell("eth0", "eth1")
    assert bench.down("eth0") == [] and list_rules(bench) == [MAIN, TO_ETH1]
    assert list_rules(bench, 6) == [NO_WAY]
    assert bench.down("eth1") == []
    assert list_rules(bench) == list_rules(bench, 6) == []
    # What is left is what another has beside us.
    assert {rule.protocol for _, rule in bench.machine.rules} == {0}
    assert os.listdir(bench.folder) == [".lock"]


def test_a_detour_that_cannot_go_with_the_last_path_is_told_and_goes_with_the_next(
    bench: Bench
) -> None:
    settle(bench, {4: 20003})
    bench.machine.obstacle = lambda line: (
        "Error: Busy." if line == "rule del pref 32765 lookup 20003 protocol 77" else "")
    bench.farewell("eth0", "eth1")
    (problem,) = bench.down("eth0", "eth1")
    assert str(problem).endswith("Busy") and list_rules(bench) == [TO_ETH1]
    bench.machine.obstacle = lambda line: ""
    assert bench.up(ETH0) == bench.down("eth0") == []
    assert list_rules(bench) == [] and not has_record(bench)


def test_a_command_that_does_not_end_leaves_the_last_path_on_record(bench: Bench) -> None:
    """So that whoever does it another time ends it all."""
    settle(bench, {4: 20003})

    def hang(line: str) -> str:
        if line.startswith("rule del pref 32765"):
            raise Problem("ip was killed", in_vain=PROGRAM)
        return ""

    bench.machine.obstacle = hang
    with pytest.raises(Problem):
        bench.down("eth0", "eth1")
    assert bench.list_recorded() == ["eth0", "eth1"]
    bench.machine.obstacle = lambda line: ""
    assert bench.down("eth0", "eth1") == []
    assert list_rules(bench) == [] and os.listdir(bench.folder) == [".lock"]


def test_a_record_that_is_not_ours_to_read_costs_no_other(bench: Bench) -> None:
    settle(bench, {4: 20003})
    assert bench.down("eth0") == []
    (bench.folder / "eth0.paths").mkdir()
    (problem,) = bench.down("eth1")
    assert "eth0.paths is not a file of root's own" in str(problem)
    # Nobody knows whether there is a path.
    assert bench.list_recorded() == ["eth0"] and list_rules(bench) == [MAIN, TO_ETH1]


def test_a_detour_is_none_of_what_a_path_has(bench: Bench) -> None:
    """It names the path's table: a path that is followed stays as it is for all that."""
    settle(bench, {4: 20003})
    full = bench.machine.snapshot()
    assert bench.again() == [] and bench.machine.ran == []
    assert bench.machine.snapshot() == full


def begin_process(patch: pytest.MonkeyPatch, kept: Path) -> None:
    """Have nothing but what is kept on disk."""
    patch.setattr(command_cache, "KEPT", str(kept))
    for name in ("_open", "_fresh", "_read"):
        patch.setattr(command_cache, name, {})


def test_what_was_made_ready_is_not_rendered_when_it_is_wanted(
    bench: Bench, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """To import jinja2 alone takes longer than all else of a switch."""
    rendered: list[str] = []

    def fail(name: str, *_: object) -> tuple[str, ...]:
        rendered.append(name)
        raise Problem("rendered")

    # As many as there is room for, and one more, which is not worth another's place.
    for tables in ([0], range(20002, 20010)):
        begin_process(monkeypatch, tmp_path / "kept")
        for family in (4, 6):
            make_detours_ready(family, tables)
    monkeypatch.setattr(render, "render_commands", fail)
    for table in (*range(20002, 20009), 0):
        begin_process(monkeypatch, tmp_path / "kept")
        assert settle(bench, {4: table, 6: table}) == []
        assert list_rules(bench) == list_rules(bench, 6) == (
            [MAIN, TO_ETH1._replace(table=table)] if table else [NO_WAY])
    assert settle(bench, {}) == [] and rendered == []
    with pytest.raises(Problem):
        settle(bench, {4: 20009})
    assert rendered == ["down.j2"]


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(open_folder(str(tmp_path), lock=True))


def test_what_is_saved_is_loaded(store: Store, tmp_path: Path) -> None:
    assert store.load_detours() == () and not store.has_detours()
    store.save_detours(DETOURS)
    assert store.load_detours() == DETOURS and store.has_detours()
    # They are no interface's.
    assert store.list_interfaces() == []
    store.save_detours(())
    assert store.load_detours() == () and not store.has_detours()
    assert os.listdir(tmp_path) == [".lock"]


def test_of_a_damaged_record_nothing_is_believed(store: Store, tmp_path: Path) -> None:
    store.save_detours(DETOURS)
    whole = (tmp_path / "detours").read_bytes()
    for length in range(len(whole)):
        (tmp_path / "detours").write_bytes(whole[:length])
        assert store.load_detours() == ()


@pytest.mark.parametrize(("old", "new"), [
    ("family 4", "family four"), ("family 4\n", ""), ("family 4", "family"),
    ("table 20003\n", ""), ("table 20003", "table eth1"), ("detour\n", "")])
def test_nonsense_is_no_error(store: Store, tmp_path: Path, old: str, new: str) -> None:
    store.save_detours(DETOURS[:1])
    text = (tmp_path / "detours").read_text()
    assert old in text
    (tmp_path / "detours").write_text(text.replace(old, new))
    assert store.load_detours() == ()


def test_what_was_written_into_a_record_is_not_run(bench: Bench) -> None:
    settle(bench, {4: 20003})
    with bench.open_store() as store:
        store.save_detours((Detour(4, 20003, ("ip -4 rule flush",)),))
    (problem,) = settle(bench, {})
    assert "not run" in str(problem) and bench.machine.ran == []
