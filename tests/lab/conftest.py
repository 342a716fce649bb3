"""The lab's fixtures; where a machine cannot hold the lab, its tests are skipped by name."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.lab.lab import Installation, Lab, find_obstacles


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    obstacles = find_obstacles()
    for item in items:
        if obstacles and Path(__file__).parent in item.path.parents:
            item.add_marker(pytest.mark.skip(reason=f"no lab: {obstacles}"))


@pytest.fixture(scope="session")
def installation(request: pytest.FixtureRequest) -> Iterator[Installation]:
    """The package, installed by dpkg once for all tests."""
    deb = request.config.getoption("--deb")
    assert deb, "run the lab by 'make test', or give --deb"
    made = Installation(deb.resolve())
    yield made
    made.close()


@pytest.fixture
def lab(installation: Installation) -> Iterator[Lab]:
    """Fresh hosts, the package installed on the client."""
    made = Lab((installation.layer,))
    yield made
    made.close()


@pytest.fixture
def link(lab: Lab) -> Lab:
    """eth1 with its address, before any hook ran."""
    lab.client.ip("link set eth1 up", "addr add 10.1.2.2/24 dev eth1")
    return lab
