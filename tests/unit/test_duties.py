# SPDX-License-Identifier: GPL-2.0-or-later
"""Which paths are checked, as the record and mptcp-hooks.conf have it."""

from __future__ import annotations

from pathlib import Path as File

import pytest

from mptcp_hooks.base.errors import Problem
from mptcp_hooks.base.model import LEAVING, SILENT, Installed, Path, Stanza
from mptcp_hooks.checker.duties import Duty, list_duties, make_duty
from mptcp_hooks.engine import record
from mptcp_hooks.engine.record import Store, lock_store
from mptcp_hooks.intent import configuration
from mptcp_hooks.intent.checks import ECHO, GATEWAY, TCP, Check, Target

FOUR = Path("eth1", "eth1", 3, 4, "10.1.2.2", "10.1.2.0/24", "10.1.2.1", False, True, 20003, True,
            True, ("subflow",))
SIX = FOUR._replace(family=6, address="fd00:2::2", subnet="fd00:2::/64", gateway="fe80::1")
ROUTER = Target(GATEWAY)
NEAR, FAR, WEB = (Target(ECHO, "10.1.2.1"), Target(ECHO, "2001:db8::1"),
                  Target(TCP, "192.0.2.1", 443))
TOLD = ("IFACE=eth1", "METHOD=dhcp")


@pytest.fixture
def store(tmp_path: File, monkeypatch: pytest.MonkeyPatch) -> Store:
    """A record, unlocked, and no configuration yet."""
    monkeypatch.setattr(record, "RECORD", str(tmp_path / "record"))
    monkeypatch.setattr(configuration, "PATH", str(tmp_path / "mptcp-hooks.conf"))
    return lock_store()


def save(store: Store, *paths: Path, told: tuple[str, ...] = TOLD, state: str = "") -> None:
    installed = tuple(Installed(path, (), (), "") for path in paths)
    store.save(paths[0].iface, (Stanza(told, installed, state),))


def configure(text: str) -> None:
    File(configuration.PATH).write_text(text)


@pytest.mark.parametrize("path, targets, asked, name", [
    (FOUR, (ROUTER,), (NEAR,), "gateway"),
    (SIX, (ROUTER,), (Target(ECHO, "fe80::1"),), "gateway"),
    (FOUR, (WEB, FAR, ROUTER), (WEB, NEAR), "tcp:192.0.2.1:443 gateway"),
    (SIX, (WEB, FAR), (FAR,), "2001:db8::1"),
    (FOUR, (ROUTER, NEAR), (NEAR,), "gateway 10.1.2.1"),
])
def test_whom_a_path_asks(
    path: Path, targets: tuple[Target, ...], asked: tuple[Target, ...], name: str
) -> None:
    assert make_duty(path, Check(targets, 7, 2)) == Duty(
        "eth1", "eth1", 3, path.address, asked, name, 7, 2)


@pytest.mark.parametrize("path, targets", [
    (FOUR, (FAR,)), (SIX, (WEB,)), (FOUR._replace(gateway=""), (ROUTER, FAR))])
def test_who_has_nobody_to_ask_has_no_duty(path: Path, targets: tuple[Target, ...]) -> None:
    assert make_duty(path, Check(targets)) is None


def test_nobody_asks_for_anything(store: Store) -> None:
    save(store, FOUR, SIX)
    assert list_duties() == []


def test_the_configuration_asks_for_every_path(store: Store) -> None:
    configure("[default]\ncheck = gateway\n")
    save(store, FOUR, SIX)
    assert [(duty.address, duty.name, duty.interval) for duty in list_duties()] == [
        ("10.1.2.2", "gateway", 5), ("fd00:2::2", "gateway", 5)]


def test_the_stanza_on_record_asks(store: Store) -> None:
    configure("[default]\ncheck = gateway\ncheck-failures = 9\n")
    save(store, FOUR, SIX, told=(*TOLD, "IF_MPTCP_CHECK=2001:db8::1"))
    assert [(duty.address, duty.name, duty.failures) for duty in list_duties()] == [
        ("fd00:2::2", "2001:db8::1", 9)]
    save(store, FOUR, SIX, told=(*TOLD, "IF_MPTCP_CHECK=off"))
    assert list_duties() == []


@pytest.mark.parametrize("told, state, count", [
    (TOLD, SILENT, 1), (TOLD, LEAVING, 0), ((), "", 0),
    # Of older versions, or of what a template of somebody's wrote: one does not cost the others.
    (("IFACE=eth1", "IF_MPTCP_CHECK=nobody"), "", 0), (("IFACE=lo",), "", 0)])
def test_whose_paths_are_asked_for(
    store: Store, told: tuple[str, ...], state: str, count: int
) -> None:
    configure("[default]\ncheck = gateway\n")
    save(store, FOUR, told=told, state=state)
    save(store, FOUR._replace(iface="eth7", device="eth7", address="10.1.7.2"),
         told=("IFACE=eth7",))
    assert len(list_duties()) == count + 1


def test_an_address_that_stands_there_twice_is_checked_once(store: Store) -> None:
    configure("[default]\ncheck = gateway\n")
    save(store, FOUR, FOUR._replace(gateway="10.1.2.9", table=7))
    assert [(duty.address, duty.targets[0].address) for duty in list_duties()] == [
        ("10.1.2.2", "10.1.2.9")]


def test_a_wrong_line_of_the_configuration_costs_itself_alone(store: Store) -> None:
    configure("[default]\ncheck-interval = 0\ncheck = gateway\n")
    save(store, FOUR)
    assert [duty.interval for duty in list_duties()] == [5]


def test_a_record_that_is_nobodys_costs_itself_alone(store: Store, tmp_path: File) -> None:
    configure("[default]\ncheck = gateway\n")
    save(store, FOUR)
    (tmp_path / "record/eth7.paths").mkdir()
    assert [duty.iface for duty in list_duties()] == ["eth1"]


def test_a_folder_that_is_none_is_a_problem(store: Store, tmp_path: File) -> None:
    store.folder.close()
    (tmp_path / "record/.lock").unlink()
    (tmp_path / "record").rmdir()
    assert list_duties() == []
    (tmp_path / "record").write_text("")
    with pytest.raises(Problem, match="is not a directory"):
        list_duties()
