# SPDX-License-Identifier: GPL-2.0-or-later
"""What a hook was told that gave up: written without the lock, done by the next one, in order."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from unittest import mock

import pytest

from mptcp_hooks.base import folder
from mptcp_hooks.base.errors import LOCK, PROGRAM, Problem
from mptcp_hooks.base.folder import open_folder
from mptcp_hooks.engine import deferred, record, waiting
from mptcp_hooks.engine.carry_out import carry_out
from mptcp_hooks.engine.deferred import defer_told, settle, take_in
from mptcp_hooks.engine.record import Store
from mptcp_hooks.engine.work import Work
from mptcp_hooks.machine.runner import Kernel
from tests.unit.engine import Bench, open_bench

LEFT = "left to the next hook or command, or to mptcp_monitor"
UP = {"IFACE": "eth1", "ADDRFAM": "inet", "METHOD": "static", "IF_ADDRESS": "10.1.2.2",
      "IF_NETMASK": "24", "IF_GATEWAY": "10.1.2.1", "PATH": "/bin",
      "IF_MPTCP_FLAGS": "subflow backup"}
DHCP = {"IFACE": "eth1", "ADDRFAM": "inet", "METHOD": "dhcp"}
BOUND = {"interface": "eth1", "reason": "BOUND", "new_ip_address": "10.1.2.2",
         "new_routers": "10.1.2.9", "old_ip_address": "10.1.2.7"}


@contextmanager
def open_office() -> Iterator[tuple[Bench, Path]]:
    """A bench, whose record is where hooks leave things."""
    with open_bench() as bench:
        bench.list_recorded()
        path = bench.folder
        with ExitStack() as stack:
            for module in (deferred, record, waiting):
                stack.enter_context(mock.patch.object(module, "RECORD", str(bench.folder)))
            yield bench, path


def leave(hook: str, iface: str, environment: dict[str, str]) -> str:
    """What a hook does that waited for the lock in vain."""
    return defer_told(hook, iface, environment, LOCK)


def list_deferred(path: Path) -> list[str]:
    return sorted(file.name for file in path.glob("*.deferred"))


def take_in_all(bench: Bench) -> list[str]:
    """What is said while the next one takes in what was left."""
    said: list[str] = []
    with bench.open_store() as store:
        take_in(store, bench.machine, carry_out, said.append)
    return said


def test_the_hooks_of_one_interface_are_done_in_their_order() -> None:
    with open_office() as (bench, path):
        before = bench.machine.snapshot()
        for hook in ("if-up.d", "if-down.d", "if-post-down.d", "if-up.d"):
            assert leave(hook, "eth1", UP) == LEFT
        assert len(list_deferred(path)) == 4
        assert take_in_all(bench) == []
        assert [one.flags for one in bench.machine.endpoints if one.address == "10.1.2.2"] == [
            ("subflow", "backup")]
        assert list_deferred(path) == []
        bench.down("eth1")
        assert bench.machine.snapshot() == before


def test_only_what_a_hook_needs_is_written() -> None:
    with open_office() as (_, path):
        leave("if-up.d", "eth1", UP)
        leave("mptcp_lease", "eth1", BOUND)
        leave("if-down.d", "eth1", UP)
        up, lease, farewell = ((path / name).read_text() for name in list_deferred(path))
        assert "PATH" not in up and "IF_MPTCP_FLAGS=subflow backup" in up
        assert "old_ip_address" not in lease and "new_routers=10.1.2.9" in lease
        assert farewell == "mptcp-hooks 1\nif-down.d\nIFACE=eth1\nend\n"


def test_a_lease_and_pppd_are_heard_as_well() -> None:
    with open_office() as (bench, _):
        leave("if-up.d", "eth1", DHCP)
        leave("mptcp_lease", "eth1", BOUND)
        leave("ip-up.d", "eth0", {"PPP_IFACE": "eth0"})
        assert take_in_all(bench) == []
        assert bench.list_recorded() == ["eth0", "eth1"]
        assert any("10.1.2.9" in str(route) for route in bench.machine.snapshot().routes)
        leave("ip-down.d", "eth0", {"PPP_IFACE": "eth0"})
        assert take_in_all(bench) == []
        assert bench.list_recorded() == ["eth1"]


def test_an_interface_whose_address_has_gone_meanwhile_is_not_brought_up() -> None:
    with open_office() as (bench, path):
        leave("if-up.d", "eth1", UP)
        bench.machine.take_address("eth1", "10.1.2.2")
        assert take_in_all(bench) == []
        assert bench.machine.given == [] and list_deferred(path) == []


@pytest.mark.parametrize(("text", "words"), [
    ("", "damaged"), ("mptcp-hooks 1\nif-up.d\n", "damaged"), ("\0" * 100, "damaged"),
    ("mptcp-hooks 1\nend\n", "cannot be read"),
    ("mptcp-hooks 1\nif-up.d\nIFACE\nend\n", "cannot be read"),
    ("mptcp-hooks 1\nrm -r\nIFACE=eth1\nend\n", "is of no hook: 'rm -r'"),
    ("mptcp-hooks 1\nif-post-down.d\nend\n", "IFACE"),
    ("mptcp-hooks 1\nif-post-down.d\nIFACE=../eth0\nend\n", "IFACE"),
    ("mptcp-hooks 1\nif-up.d\nIFACE=eth1\nIF_ADDRESS=10.1.2.300\nend\n", "address"),
    ("mptcp-hooks 1\nmptcp_lease\ninterface=eth1\nend\n", "unexpected KeyError"),
])
def test_what_cannot_be_read_is_removed_with_one_line(text: str, words: str) -> None:
    with open_office() as (bench, path):
        (path / "00000000000000000001-eth1.deferred").write_text(text)
        leave("if-up.d", "eth1", UP)
        (said,) = take_in_all(bench)
        assert words in said
        assert list_deferred(path) == [] and bench.list_recorded() == ["eth1"]


def test_what_is_too_much_is_not_left_and_that_is_said() -> None:
    with open_office() as (_, path):
        assert "too much to be left" in leave(
            "if-up.d", "eth1", UP | {"IF_MPTCP_GATEWAY": "x" * 20000})
        for number in range(256):
            (path / f"{number:020}-eth0.deferred").write_text("")
        assert "too much to be left" in leave("if-up.d", "eth1", UP)
        assert len(list_deferred(path)) == 256


def test_a_name_that_is_none_of_an_interface_names_no_file() -> None:
    with open_office() as (_, path):
        assert "IFACE" in leave("mptcp_lease", "../eth1", BOUND | {"interface": "../eth1"})
        assert list_deferred(path) == []


@pytest.mark.parametrize("old", [False, True])
def test_what_hangs_stays_with_what_comes_after_it_for_ten_minutes(
    monkeypatch: pytest.MonkeyPatch, old: bool
) -> None:
    def hang(line: str) -> str:
        raise Problem("'ip -4 -batch -' did not end", in_vain=PROGRAM)

    with open_office() as (bench, path):
        leave("if-up.d", "eth1", UP)
        leave("if-post-down.d", "eth0", {"IFACE": "eth0"})
        bench.machine.obstacle = hang
        if old:
            monkeypatch.setattr(deferred, "_TRIED_FOR", 0.0)
            # The second finds nothing to undo, and runs nothing.
            assert take_in_all(bench) == ["'ip -4 -batch -' did not end"]
        else:
            with pytest.raises(Problem):
                take_in_all(bench)
        assert len(list_deferred(path)) == (0 if old else 2)


def test_who_gave_up_does_it_itself_where_the_lock_is_free_by_then() -> None:
    with open_office() as (bench, path):
        leave("if-up.d", "eth1", UP)
        holder = open_folder(str(bench.folder), lock=True)
        settle(bench.machine, carry_out, pytest.fail)
        assert len(list_deferred(path)) == 1
        holder.close()
        settle(bench.machine, carry_out, pytest.fail)
        assert list_deferred(path) == [] and bench.list_recorded() == ["eth1"]


def test_what_is_left_while_that_is_done_is_done_as_well() -> None:
    """Whoever leaves it finds the lock taken, and relies on whoever has it."""
    coming = ["if-down.d", "if-post-down.d"]

    def carry_out_meanwhile(store: Store, kernel: Kernel, work: Work) -> list[Problem]:
        if coming:
            assert leave(coming.pop(0), "eth1", UP) == LEFT
            settle(bench.machine, carry_out, pytest.fail)
        return carry_out(store, kernel, work)

    with open_office() as (bench, path):
        before = bench.machine.snapshot()
        leave("if-up.d", "eth1", UP)
        settle(bench.machine, carry_out_meanwhile, pytest.fail)
        assert list_deferred(path) == [] and coming == []
        assert bench.machine.snapshot() == before and bench.list_recorded() == []


@pytest.mark.parametrize(("text", "patience"), [
    (None, 5.0), ("{now}", 0.5), ("{earlier}", 5.0), ("nonsense", 5.0), ("1e999", 5.0)])
@pytest.mark.parametrize("note", [folder.WAITED, folder.KILLED])
def test_a_wait_in_vain_is_remembered_for_a_minute(
    note: str, text: str | None, patience: float
) -> None:
    now = time.monotonic()
    with open_office() as (_, path):
        if text is not None:
            (path / note).write_text("mptcp-hooks 1\n" + text.format(
                now=now, earlier=now - 61) + "\nend\n")
        assert waiting.find_patience(folder.WAITED, folder.KILLED) == patience
        assert waiting.find_patience(note) == patience


@pytest.mark.parametrize(("in_vain", "for_programs"), [(LOCK, 5.0), (PROGRAM, 0.5)])
def test_a_lock_that_was_waited_for_in_vain_makes_no_program_one_that_hangs(
    in_vain: str, for_programs: float
) -> None:
    """A busy machine is slow: what runs there is given its time."""
    with open_office():
        defer_told("if-up.d", "eth1", UP, in_vain)
        assert waiting.find_patience(folder.KILLED) == for_programs
        assert waiting.find_patience(folder.WAITED, folder.KILLED) == 0.5


def test_a_lock_that_is_kept_is_waited_for_in_vain(monkeypatch: pytest.MonkeyPatch) -> None:
    """A person is told who keeps it before that."""
    monkeypatch.setattr(waiting, "PATIENCE", 0.1)
    monkeypatch.setattr(waiting, "_PERSONS_PATIENCE", 0.3)
    monkeypatch.setattr(waiting, "_MOMENT", 0.1)
    said: list[str] = []
    with open_office() as (bench, _), bench.open_store():
        for say in (None, said.append):
            with pytest.raises(Problem) as raised:
                waiting.wait_for_lock(folder.open_unlocked(str(bench.folder)), say)
            assert f"keeps the lock {bench.folder}/.lock" in str(raised.value)
            assert "(process " in str(raised.value)
    (told,) = said
    assert told == f"waiting: {raised.value}"
