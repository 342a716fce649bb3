# SPDX-License-Identifier: GPL-2.0-or-later
"""A thousand steps of what happens to a machine: the kernel is as a simple model says after each.

`make model` does as many more as one has time for; every defect that it found has a test of its
own. The seeds are fixed, so that a failure is the change's that shows it.
"""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.model.driver import run
from tests.model.namespace import Installation, find_obstacles

STEPS = 200
SEEDS = (8,)


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
    violation = run(model_installation, seed, STEPS)
    assert violation is None, "\n".join(map(str, (
        *violation.differences, "after:", *violation.steps, "which said:", violation.said)))
