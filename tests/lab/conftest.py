# SPDX-License-Identifier: GPL-2.0-or-later
"""The lab's fixtures; where a machine cannot hold the lab, its tests are skipped by name."""

from __future__ import annotations

import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TypeVar

import pytest

from tests.lab.support.keeping import describe_kept
from tests.lab.support.lab import Installation, Lab, OnMachine, begin_run, find_obstacles
from tests.lab.support.making import MakeHost, MakeLab, Maker
from tests.lab.support.programs import NoSuchPackage, Programs
from tests.lab.support.provider import SERVICES, Served, with_providers


_Maker = TypeVar("_Maker", bound=Maker)
# Those of the fixtures that are set up, by the fixtures' names.
MAKERS = pytest.StashKey[dict[str, Maker]]()


def pytest_configure(config: pytest.Config) -> None:
    _hear_signals()
    begin_run()
    makers: dict[str, Maker] = {}
    config.stash[MAKERS] = makers


def _hear_signals() -> None:
    """Have what the tests start heed the signals that whoever started us ignores.

    nohup(1) and a shell's & hand that down; a handler of ours ends with execve(2), signal(7).
    """
    for number in (signal.SIGHUP, signal.SIGINT, signal.SIGQUIT):
        if signal.getsignal(number) is signal.SIG_IGN:
            signal.signal(number, lambda *_: None)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    obstacles = find_obstacles()
    for item in items:
        if obstacles and Path(__file__).parent in item.path.parents:
            item.add_marker(pytest.mark.skip(reason=f"no lab: {obstacles}"))


def pytest_runtest_makereport(
    item: pytest.Function, call: pytest.CallInfo[None]
) -> pytest.TestReport:
    """With --keep, have the hosts of a test that failed stay, and the report tell of them."""
    report = pytest.TestReport.from_item_and_call(item, call)
    if report.failed and item.config.getoption("--keep"):
        hosts = [host for name, maker in item.config.stash[MAKERS].items()
                 if name in item.fixturenames for host in maker.keep()]
        if hosts:
            report.sections.append(("hosts that are kept", describe_kept(hosts)))
    return report


@pytest.fixture(scope="session")
def deb(request: pytest.FixtureRequest) -> str:
    """The path of the package."""
    path = request.config.getoption("--deb")
    if not path and request.config.getoption("--installed"):
        pytest.skip("the test installs the package: that is what --deb names")
    assert path, "run the lab by 'make test', or give --deb"
    return str(path.resolve())


@pytest.fixture(scope="session")
def installation(request: pytest.FixtureRequest) -> Iterator[Installation | OnMachine]:
    """The package, installed by dpkg once for all tests; or that of the machine."""
    made: Installation | OnMachine
    if request.config.getoption("--installed"):
        made = OnMachine()
    else:
        made = Installation(Path(request.getfixturevalue("deb")))
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


@contextmanager
def in_use(request: pytest.FixtureRequest, maker: _Maker) -> Iterator[_Maker]:
    """The maker of a fixture as long as that is set up; it closes what it made."""
    assert request.fixturename is not None
    makers = request.config.stash[MAKERS]
    makers[request.fixturename] = maker
    yield maker
    del makers[request.fixturename]
    maker.close()


@pytest.fixture
def make_lab(
    request: pytest.FixtureRequest, installation: Installation | OnMachine,
    programs: Callable[..., Path]
) -> Iterator[MakeLab]:
    """`make_lab("ppp")` is a lab with that package on the client, closed after the test."""
    with in_use(request, MakeLab(installation, programs)) as maker:
        yield maker


@pytest.fixture(scope="module")
def make_shared_lab(
    request: pytest.FixtureRequest, installation: Installation | OnMachine,
    programs: Callable[..., Path]
) -> Iterator[MakeLab]:
    """As `make_lab`, closed after all tests of the module."""
    with in_use(request, MakeLab(installation, programs)) as maker:
        yield maker


@pytest.fixture(scope="module")
def make_host(
    request: pytest.FixtureRequest, installation: Installation | OnMachine,
    programs: Callable[..., Path]
) -> Iterator[MakeHost]:
    """`make_host("mptcpize")` is one host with that package, for all tests of the module."""
    with in_use(request, MakeHost(installation, programs)) as maker:
        yield maker


@pytest.fixture
def lab(make_lab: MakeLab) -> Lab:
    """Fresh hosts, the package installed on the client."""
    return make_lab()


@pytest.fixture
def link(lab: Lab) -> Lab:
    """eth1 with its address, before any hook ran."""
    lab.client.ip("link set eth1 up", "addr add 10.1.2.2/24 dev eth1")
    return lab


@pytest.fixture
def dhclient_lab(make_lab: MakeLab) -> Served:
    """Fresh hosts, dhclient on the client, and what serves it on each uplink; nothing yet."""
    return with_providers(make_lab("isc-dhcp-client", routers=SERVICES))
