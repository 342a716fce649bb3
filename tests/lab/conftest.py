"""The lab's fixtures; where a machine cannot hold the lab, its tests are skipped by name."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.lab.support.lab import Installation, Lab, find_obstacles
from tests.lab.support.programs import NoSuchPackage, Programs
from tests.lab.support.provider import Provider


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


@pytest.fixture(scope="session")
def programs() -> Iterator[Callable[..., Path]]:
    """`programs("isc-dhcp-client")` is a layer with it; skips where Debian does not have it."""
    made: dict[tuple[tuple[str, ...], ...], Programs] = {}

    def get_layer(*packages: str, without: tuple[str, ...] = ()) -> Path:
        key = (packages, without)
        try:
            if key not in made:
                made[key] = Programs(packages, without)
        except NoSuchPackage as missing:
            pytest.skip(f"this Debian has no package {missing}")
        return made[key].layer

    yield get_layer
    for each in made.values():
        each.close()


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


@pytest.fixture
def dhclient_lab(
    installation: Installation, programs: Callable[..., Path]
) -> Iterator[tuple[Lab, Provider, Provider]]:
    """Fresh hosts, dhclient on the client, and what serves it on each uplink; nothing yet."""
    made = Lab((installation.layer, programs("isc-dhcp-client")),
               router_layers=(programs("dnsmasq-base", "radvd"),))
    yield made, Provider(made, 1), Provider(made, 2)
    made.close()
