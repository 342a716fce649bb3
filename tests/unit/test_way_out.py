# SPDX-License-Identifier: GPL-2.0-or-later
"""By which table new connections leave while main leads them to an uplink that is out."""

from __future__ import annotations

from collections.abc import Iterable

import pytest
from hypothesis import given
from hypothesis import strategies as some

from mptcp_hooks.base.model import Path, Route
from mptcp_hooks.monitor.way_out import Uplinks, choose_table

# Three uplinks on devices 2, 3 and 4, whose addresses end in their numbers; a tunnel, and
# somebody else's uplink.
FIRST, SECOND, THIRD, TUNNEL, FOREIGN = 2, 3, 4, 9, 11


def lay(number: int, flags: tuple[str, ...] = ("subflow",), way_out: bool = True) -> Path:
    return Path(f"eth{number}", f"eth{number}", number, 4, f"10.1.{number}.2",
                f"10.1.{number}.0/24", f"10.1.{number}.1", False, True, 20000 + number, True,
                True, flags, (), way_out)


def lead(*devices: int, metric: int = 0) -> list[Route]:
    """Default routes of main by these devices."""
    return [Route("default", "unicast", f"10.1.{device}.1", device, "", metric, 3)
            for device in devices]


THREE = lay(FIRST), lay(SECOND), lay(THIRD)


def know(
    paths: Iterable[Path] = THREE, out: Iterable[int] = (), fresh: Iterable[int] = (),
    tunnels: Iterable[int] = (),
) -> Uplinks:
    """What is known: by their devices, who is out, and who is back since a moment ago."""
    known = tuple(paths)
    return Uplinks(known, frozenset(one.address for one in known if one.ifindex not in out),
                   frozenset(f"10.1.{number}.2" for number in fresh), frozenset(tunnels))


def test_with_all_alive_main_decides() -> None:
    for device in (FIRST, SECOND, THIRD):
        assert choose_table(know(), lead(device), None) is None
    assert choose_table(know(), [], None) is None
    assert choose_table(know(()), lead(FIRST), None) is None


@pytest.mark.parametrize(("out", "table"), [
    ([FIRST], 20003), ([FIRST, SECOND], 20004), ([FIRST, THIRD], 20003)])
def test_a_default_by_a_dead_uplink_is_led_to_one_that_is_alive(
    out: list[int], table: int
) -> None:
    assert choose_table(know(out=out), lead(FIRST), None) == table


def test_of_two_routers_with_one_metric_the_higher_rank_leads() -> None:
    """As routers of IPv6 say it of themselves: the kernel asks no other while that one is there."""
    low, (high,) = lead(FIRST, SECOND, metric=1024), lead(THIRD, metric=1024)
    low[0] = low[0]._replace(rank=-1)
    defaults = [*low, high._replace(rank=1)]
    assert choose_table(know(out=[FIRST]), defaults, None) is None
    assert choose_table(know(out=[THIRD]), defaults, None) == 20003


def test_where_nobody_is_alive_main_decides() -> None:
    nobody = know(out=(FIRST, SECOND, THIRD))
    for recorded in (None, 20003):
        assert choose_table(nobody, lead(FIRST), recorded) is None
        assert choose_table(nobody, [], recorded) is None


def test_one_that_main_does_not_lead_to_may_be_out() -> None:
    assert choose_table(know(out=(SECOND, THIRD)), lead(FIRST), None) is None


def test_of_several_defaults_the_one_with_the_least_metric_counts() -> None:
    defaults = [*lead(FIRST, metric=100), *lead(SECOND, metric=50), *lead(THIRD, metric=200)]
    assert choose_table(know(out=(FIRST, THIRD)), defaults, None) is None
    # dhclient's and NetworkManager's metrics are an order that somebody wants.
    assert choose_table(know(out=[SECOND]), defaults, None) == 20002
    assert choose_table(know(out=(FIRST, SECOND)), defaults, None) == 20004


def test_mains_metrics_decide_and_who_has_none_comes_last() -> None:
    defaults = [*lead(FIRST), *lead(THIRD, metric=1024)]
    assert choose_table(know(out=[FIRST]), defaults, None) == 20004
    assert choose_table(know(out=[FIRST]), lead(FIRST), None) == 20003
    # Of several routes by one device the best counts.
    twice = [*lead(FIRST), *lead(SECOND, metric=5), *lead(THIRD, metric=1), *lead(THIRD, metric=9)]
    assert choose_table(know(out=[FIRST]), twice, None) == 20004


@pytest.mark.parametrize(("out", "table"), [
    ([], None), ([FIRST], 20003), ([SECOND], 20002), ([FIRST, SECOND], 20004), ([THIRD], None)])
def test_a_default_of_several_next_hops_needs_all_of_them(
    out: list[int], table: int | None
) -> None:
    """The kernel spreads connections over them, and so does it over IPv6's equal metrics."""
    assert choose_table(know(out=out), lead(FIRST, SECOND, metric=7), None) == table


def test_a_backup_is_taken_last() -> None:
    paths = lay(FIRST), lay(SECOND, ("subflow", "backup")), lay(THIRD)
    assert choose_table(know(paths, out=[FIRST]), lead(FIRST), None) == 20004
    assert choose_table(know(paths, out=[FIRST, THIRD]), lead(FIRST), None) == 20003
    # What main says outweighs it.
    defaults = [*lead(FIRST), *lead(SECOND, metric=100)]
    assert choose_table(know(paths, out=[FIRST]), defaults, None) == 20003


def test_an_uplink_that_is_no_way_out_is_never_taken() -> None:
    paths = lay(FIRST), lay(SECOND, way_out=False), lay(THIRD)
    assert choose_table(know(paths, out=[FIRST]), lead(FIRST), None) == 20004
    assert choose_table(know(paths, out=[FIRST, THIRD]), lead(FIRST), None) is None
    # Nor is it led away from, while it lives, where main leads to it.
    assert choose_table(know(paths), lead(SECOND), None) is None
    assert choose_table(know(paths, out=[SECOND]), lead(SECOND), None) == 20002


def test_without_a_default_in_main_the_ways_out_behind_it_count() -> None:
    """Their rules lead to one that is out as well as to any other."""
    assert choose_table(know(out=[FIRST]), [], None) == 20003
    assert choose_table(know(out=[FIRST, SECOND]), [], 20003) == 20004
    # What is no way out has no rule there.
    paths = lay(FIRST, way_out=False), lay(SECOND), lay(THIRD)
    assert choose_table(know(paths, out=[FIRST]), [], None) is None
    assert choose_table(know(paths, out=[FIRST, SECOND]), [], None) == 20004


@pytest.mark.parametrize("defaults", [lead(FIRST), []])
def test_one_uplink_alone_is_led_to_nobody(defaults: list[Route]) -> None:
    alone = (lay(FIRST),)
    assert choose_table(know(alone), defaults, 20003) is None
    assert choose_table(know(alone, out=[FIRST], fresh=[FIRST]), defaults, 20003) is None
    assert choose_table(know(alone, fresh=[FIRST]), defaults, 20003) is None


def test_one_that_is_back_since_a_moment_ago_is_waited_with() -> None:
    """What is not connected does not survive a switch, and it may go again."""
    assert choose_table(know(fresh=[FIRST]), lead(FIRST), 20003) == 20003
    assert choose_table(know(), lead(FIRST), 20003) is None


def test_who_is_back_since_a_moment_ago_is_taken_where_there_is_no_other() -> None:
    assert choose_table(know(out=[FIRST], fresh=[SECOND]), lead(FIRST), 20004) == 20004
    assert choose_table(know(out=[FIRST, THIRD], fresh=[SECOND]), lead(FIRST), None) == 20003


def test_all_that_are_back_since_a_moment_ago_are_left_to_main() -> None:
    assert choose_table(know(fresh=(FIRST, SECOND, THIRD)), lead(FIRST), None) is None
    # All but main's are out: there is nobody to be led to.
    assert choose_table(know(out=(SECOND, THIRD), fresh=[FIRST]), lead(FIRST), None) is None


def test_a_default_by_somebody_elses_device_is_left_alone() -> None:
    for recorded in (None, 20003):
        assert choose_table(know(out=[FIRST]), lead(FOREIGN), recorded) is None
    both = [*lead(FIRST), *lead(FOREIGN, metric=100)]
    # It is no way out of ours.
    assert choose_table(know(out=[FIRST]), both, None) == 20003
    assert choose_table(know(out=[FIRST]), lead(FIRST, FOREIGN), None) is None


def test_what_a_tunnel_had_finds_no_way_until_main_has_a_default_again() -> None:
    assert choose_table(know(tunnels=[TUNNEL]), lead(TUNNEL), None) == 0
    assert choose_table(know(out=[FIRST], tunnels=[TUNNEL]), lead(TUNNEL), 20003) == 0
    # The tunnel is gone, and its default with it: for as long as it likes.
    assert choose_table(know(), [], 0) == 0
    assert choose_table(know(out=[FIRST]), [], 0) == 0
    assert choose_table(know(fresh=[FIRST]), [], 0) == 0
    # Whoever puts a default into main means it.
    assert choose_table(know(), lead(FIRST), 0) is None
    assert choose_table(know(out=[FIRST]), lead(FIRST), 0) == 20003
    assert choose_table(know(), lead(FOREIGN), 0) is None
    # And it is forgotten then.
    assert choose_table(know(), [], None) is None


def test_what_a_dead_tunnel_had_finds_no_way_though_all_uplinks_go_and_come() -> None:
    assert choose_table(know(()), [], 0) == 0
    assert choose_table(know((), tunnels=[TUNNEL]), lead(TUNNEL), 0) == 0
    assert choose_table(know(()), lead(FOREIGN), 0) is None
    # Where there was none, there is nothing to guard.
    assert choose_table(know((), tunnels=[TUNNEL]), lead(TUNNEL), None) is None


def test_a_tunnel_beside_an_uplinks_better_default_keeps_nothing_private() -> None:
    both = [*lead(FIRST), *lead(TUNNEL, metric=50)]
    assert choose_table(know(tunnels=[TUNNEL]), both, None) is None
    assert choose_table(know(out=[FIRST], tunnels=[TUNNEL]), both, None) == 20003
    best = [*lead(FIRST, metric=100), *lead(TUNNEL, metric=50)]
    assert choose_table(know(out=[FIRST], tunnels=[TUNNEL]), best, None) == 0


def test_where_nothing_of_ours_leads_out_a_tunnels_default_needs_no_guard() -> None:
    none = know([lay(FIRST, way_out=False)], tunnels=[TUNNEL])
    assert choose_table(none, lead(TUNNEL), None) is None


DEVICES = some.sampled_from((FIRST, SECOND, THIRD))
SETS = some.frozensets(DEVICES)
PATHS = some.lists(some.builds(
    lay, DEVICES, some.sampled_from([("subflow",), ("subflow", "backup")]), some.booleans()),
    unique_by=lambda path: path.ifindex)
ROUTES = some.lists(some.builds(
    lambda device, metric: lead(device, metric=metric)[0],
    some.sampled_from((FIRST, SECOND, THIRD, TUNNEL, FOREIGN)), some.integers(0, 2)), max_size=5)
RECORDED = some.sampled_from((None, 0, 20002, 20003))


@given(PATHS, SETS, SETS, ROUTES, RECORDED)
def test_nobody_is_led_to_what_is_out_or_no_way_out(
    paths: list[Path], out: frozenset[int], fresh: frozenset[int], defaults: list[Route],
    recorded: int | None,
) -> None:
    table = choose_table(know(paths, out, fresh, [TUNNEL]), defaults, recorded)
    assert table in {None, 0, *(path.table for path in paths
                                if path.ifindex not in out and path.way_out)}
    if table == 0:
        # None but what a tunnel has, or had.
        assert TUNNEL in {route.device for route in defaults} or (not defaults and recorded == 0)


@given(PATHS, SETS, SETS, ROUTES, RECORDED)
def test_where_mains_best_default_is_by_uplinks_that_have_been_alive_for_long_main_decides(
    paths: list[Path], out: frozenset[int], fresh: frozenset[int], defaults: list[Route],
    recorded: int | None,
) -> None:
    # The best of these routes are those of the paths' that are alive.
    good = [path.ifindex for path in paths if path.ifindex not in out | fresh]
    behind = [route._replace(metric=route.metric + 1) for route in defaults]
    chosen = choose_table(
        know(paths, out, fresh, [TUNNEL]), [*behind, *lead(*good)], recorded)
    assert not good or chosen is None


@given(PATHS, SETS, SETS, ROUTES, RECORDED)
def test_no_order_of_paths_or_routes_counts(
    paths: list[Path], out: frozenset[int], fresh: frozenset[int], defaults: list[Route],
    recorded: int | None,
) -> None:
    expected = choose_table(know(paths, out, fresh, [TUNNEL]), defaults, recorded)
    assert choose_table(
        know(paths[::-1], out, fresh, [TUNNEL]), defaults[::-1], recorded) == expected
