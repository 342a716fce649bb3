# SPDX-License-Identifier: GPL-2.0-or-later
"""Promise 4 of the path manager's limits: a failed change leaves them as they were."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from mptcp_hooks.base.model import Limits, Tunnel
from mptcp_hooks.intent.settings import NO_CONFIGURATION
from tests.unit.engine import Bench, limits_of, list_owners, open_bench, static

ETH0, ETH1 = static("eth0", 4), static("eth1", 4)
# Beside a tunnel there is no endpoint for it: peers would be told of its address.
EDITED = static("eth1", 4, gateway="10.1.2.9", mptcp_flags="signal")
RAISED = Limits(8, 8)


def refuse(part: str) -> Callable[[str], str]:
    """An obstacle for all lines that have this in them."""
    return lambda line: "Error: Invalid argument." * (part in line)


def tunnel(bench: Bench) -> None:
    """Have a monitor note a tunnel."""
    with bench.open_store() as store:
        store.save_tunnels((Tunnel(4, "tun0"),))


def test_limits_stay_with_the_last_endpoint_if_a_roll_back_restores_it() -> None:
    with open_bench() as bench:
        tunnel(bench)
        bench.up(ETH1)
        standing = bench.machine.snapshot()
        bench.machine.obstacle = refuse("replace default via 10.1.2.9")
        assert len(bench.up(EDITED)) == 1
        assert bench.machine.snapshot() == standing
        assert standing.limits == Limits(0, 0) and list_owners(bench) == ("eth1 10.1.2.2",)
        bench.down("eth1")
        assert bench.machine.snapshot() == bench.before


def test_an_endpoint_that_a_roll_back_restores_keeps_the_limits_when_others_go() -> None:
    with open_bench() as bench:
        tunnel(bench)
        bench.up(ETH0, ETH1)
        bench.machine.obstacle = refuse("replace default via 10.1.2.9")
        assert len(bench.up(EDITED)) == 1
        assert list_owners(bench) == ("eth0 10.1.1.2", "eth1 10.1.2.2")
        bench.down("eth0")
        assert limits_of(bench) == Limits(0, 0)
        bench.down("eth1")
        assert bench.machine.snapshot() == bench.before


def test_limits_stay_with_the_last_endpoint_if_the_only_one_that_comes_fails() -> None:
    """Of one work: one of eth1's is restored, and one of eth0's is not made."""
    with open_bench() as bench:
        tunnel(bench)
        bench.up(ETH1)
        bench.machine.obstacle = lambda line: refuse("replace default via 10.1.2.9")(line) or (
            refuse("endpoint add 10.1.1.2")(line))
        assert len(bench.up(EDITED, ETH0)) == 2
        assert list_owners(bench) == ("eth1 10.1.2.2",) and limits_of(bench) == Limits(0, 0)
        bench.down("eth0", "eth1")
        assert bench.machine.snapshot() == bench.before


def test_limits_are_as_an_endpoint_that_a_roll_back_restores_needs_them() -> None:
    """One that has fullmesh multiplies with the peer's addresses."""
    with open_bench(NO_CONFIGURATION._replace(limits=4)) as bench:
        bench.up(static("eth1", 4, mptcp_flags="subflow fullmesh"))
        assert limits_of(bench) == RAISED
        bench.machine.obstacle = refuse("replace default via 10.1.2.9")
        assert len(bench.up(static("eth1", 4, gateway="10.1.2.9"))) == 1
        assert limits_of(bench) == RAISED
        bench.machine.obstacle = lambda line: ""
        assert not bench.up(static("eth1", 4)) and limits_of(bench) == Limits(4, 4)
        bench.down("eth1")
        assert bench.machine.snapshot() == bench.before


def test_nothing_leaves_beside_a_tunnel_if_a_roll_back_restores_what_opens_subflows() -> None:
    """It was to be signalled, and nothing else would have opened any."""
    with open_bench() as bench:
        bench.up(static("eth0", 4, mptcp_flags="signal"), ETH1)
        tunnel(bench)
        # As a monitor takes it away.
        bench.machine.endpoints = [
            one for one in bench.machine.endpoints if one.address != "10.1.1.2"]
        assert not bench.up(ETH1) and limits_of(bench) == Limits(0, 0)
        standing = bench.machine.snapshot()
        bench.machine.obstacle = refuse("replace default via 10.1.2.9")
        assert len(bench.up(EDITED)) == 1
        assert bench.machine.snapshot() == standing


@pytest.mark.parametrize("family", [4, 6])
def test_limits_stay_with_a_path_whose_endpoint_somebody_deleted(family: int) -> None:
    """Its address is gone, and its link down: what is on record of it stays as it was."""
    with open_bench() as bench:
        event = static("eth1", family)
        bench.up(event)
        bench.machine.endpoints.pop()
        bench.machine.take_address("eth1", event.addresses[0].address)
        bench.machine.obstacle = refuse(" dev eth1 ")
        for _ in range(2):
            assert bench.up(event)
            assert limits_of(bench) == RAISED and len(list_owners(bench)) == 1
        bench.machine.obstacle = lambda line: ""
        bench.down("eth1")
        assert bench.machine.snapshot() == bench.before
