# SPDX-License-Identifier: GPL-2.0-or-later
"""A thousand steps of what happens to a machine: the kernel is as a simple model says after each.

`make model` does as many more as one has time for; every defect that it found has a test of its
own, the latest also the fewest steps that show it. The seeds are fixed, so that a failure is the
change's that shows it.
"""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.model.driver import Violation, replay, run
from tests.model.namespace import Installation, find_obstacles
from tests.model.steps import make_step

STEPS = 200
SEEDS = (8,)
# A path of IPv6 that peers are told of, beside a tunnel of IPv4 whose only path is wan2's.
_BESIDE_A_TUNNEL = (
    "configure gateways=wan2", "link up wan2", "address add wan2 4 0", "hook wan2 inet",
    "link up wan0", "address add wan0 6 0", "hook wan0 inet6 flags=signal", "monitor on",
    "tunnel up", "tunnel gone", "default add wan0 6", "monitor kill")
FOUND = {
    "an endpoint with other flags, of an address that went": (
        "ifup wan0 inet at=0 gateway", "address add wan0 4 2", "configure flags:wan0=signal",
        "address del wan0 4 0", "hook wan0 inet at=0 gateway"),
    "the tunnel's path goes later in the work": (
        *_BESIDE_A_TUNNEL, "address del wan2 4 0", "mptcp_up --all", "mptcp_up --all"),
    "the tunnel's path comes later in the work": (
        "ifup wan1 inet6 at=0 gateway", *_BESIDE_A_TUNNEL, "mptcp_down wan2", "mptcp_down wan0",
        "mptcp_up --all", "mptcp_up --all"),
    "who is left of a device, beside one that is refused": (
        "ifup wan0:1 inet,inet6 at=1 gateway", "address add wan0 4 0", "address add wan0 4 2",
        "hook wan0 inet mptcp-gateway", "ifup wan1 inet at=0 gateway", "foreign add route-intruder",
        "configure table:wan1=101", "address del wan0 4 1", "address del wan0 4 0",
        "mptcp_up --all"),
    "an address that comes later waits, whoever has the other endpoint": (
        "monitor on", "endpoint add device-less", "ifup wan1 inet,inet6 at=0 gateway",
        "link down wan1", "gateway silent wan1", "link up wan1", "address add wan1 6 0",
        "gateway answers wan1"),
    "a path that goes has a rule in common with one that stays": (
        "ifup wan1 inet6 at=2 gateway", "ifup wan1 inet6 at=0,1 gateway", "address del wan1 6 0",
        "hook wan1 inet6 at=0,1 gateway", "mptcp_up --all", "mptcp_up --all"),
}


@pytest.fixture(scope="module")
def model_installation(request: pytest.FixtureRequest) -> Iterator[Installation]:
    """The package, installed by dpkg."""
    if obstacles := find_obstacles():
        pytest.skip(f"no lab: {obstacles}")
    deb = request.config.getoption("--deb")
    assert deb, "run the model by 'make test', or give --deb"
    made = Installation(deb.resolve())
    yield made
    made.close()


@pytest.mark.parametrize("seed", SEEDS)
def test_the_kernel_is_as_the_model_says(model_installation: Installation, seed: int) -> None:
    check(run(model_installation, seed, STEPS))


@pytest.mark.parametrize("steps", FOUND.values(), ids=FOUND)
def test_what_was_found_does_not_come_back(
    model_installation: Installation, steps: tuple[str, ...]
) -> None:
    check(replay(model_installation, tuple(map(make_step, steps))))


def check(violation: Violation | None) -> None:
    """That there is none."""
    assert violation is None, "\n".join(map(str, (
        *violation.differences, "after:", *violation.steps, "which said:", violation.said)))
