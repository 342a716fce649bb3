# SPDX-License-Identifier: GPL-2.0-or-later
"""What any version wrote is read for good, and of what cannot be read nothing stays behind.

Each folder of tests/cases/records is what a version had on record of the same machine:

    0.1.0             as it was released: a DHCP lease with a route, an alias that is leaving
    without-routes    before leases; with the endpoint in `kernel`
    without-restore   before the limits' way back was kept, further addresses in other tables
    without-end       before files had an end

The kernel is given what the `up` lines make. Nothing of it may be left when all is down.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mptcp_hooks.base.address import InterfaceAddress
from mptcp_hooks.base.model import Installed, Limits
from mptcp_hooks.engine import salvage
from tests.unit.engine import Bench, open_bench, static
from tests.unit.help import ROOT

CASES = sorted((ROOT / "tests/cases/records").iterdir())
NAMES = [case.name for case in CASES]
WHOLE = [case for case in CASES if case.name != "without-end"]
RELEASED = ROOT / "tests/cases/records/0.1.0"
LIMITS = Limits(3, 3)
ETH1 = "10.1.2.2"
ALIAS = InterfaceAddress(4, "10.1.2.9", 24, "", "")


@contextmanager
def recall(case: Path) -> Iterator[Bench]:
    """A machine in the middle of what a version had made of it, and that version's record."""
    with open_bench() as bench, pytest.MonkeyPatch.context() as patch:
        patch.setattr(salvage, "if_nametoindex", bench.machine.find_ifindex)
        device = bench.machine.devices["eth1"]
        bench.machine.plug("eth1", device.ifindex, *device.addresses, ALIAS)
        bench.before = bench.machine.snapshot()
        lines = [line for file in sorted(case.glob("*.paths"))
                 for line in file.read_text().splitlines()]
        ups = [line.removeprefix("up ") for line in lines if line.startswith("up ")]
        assert bench.machine.runner.apply_sets([tuple(ups)]) == []
        bench.machine.limits = LIMITS
        shutil.copytree(case, bench.folder, dirs_exist_ok=True)
        yield bench


def list_paths(bench: Bench) -> list[Installed]:
    with bench.open_store() as store:
        return [one for iface in store.list_interfaces() for stanza in store.load(iface)
                for one in stanza.paths]


def list_endpoints(bench: Bench) -> list[str]:
    return [one.address for one in bench.machine.endpoints]


def complain(bench: Bench) -> list[str]:
    """What a look at all that is on record has to say of it."""
    with bench.open_store() as store:
        for iface in store.list_interfaces():
            store.load(iface)
            store.load_lease(iface)
        store.load_limits()
        return list(store.take_complaints())


@pytest.mark.parametrize("case", CASES, ids=NAMES)
def test_what_any_version_made_is_taken_away_whole(case: Path) -> None:
    with recall(case) as bench:
        assert bench.machine.snapshot() != bench.before
        said = bench.down(*bench.list_recorded())
        assert len(said) == (0 if case in WHOLE else 4), said
        assert bench.machine.snapshot() == bench.before
        assert bench.list_recorded() == []


@pytest.mark.parametrize("case", WHOLE, ids=[case.name for case in WHOLE])
def test_what_has_an_end_is_read_in_full(case: Path) -> None:
    with recall(case) as bench:
        assert complain(bench) == []
        assert [one.path.address for one in list_paths(bench) if one.up] == [
            one.path.address for one in list_paths(bench)]
        assert {one.path.address for one in list_paths(bench)} == {
            "10.1.1.2", "fd00:1::2", ETH1, "10.1.2.9"}


def test_the_released_record_has_what_a_lease_said() -> None:
    with recall(RELEASED) as bench, bench.open_store() as store:
        lease = store.load_lease("eth0")
        assert lease is not None and lease.routes == (("10.5.0.0/16", "10.1.1.9"),)
        assert [stanza.state for stanza in store.load("eth1:1")] == ["leaving"]
    with recall(RELEASED) as bench:
        assert [one.path.routes for one in list_paths(bench)
                if one.path.address == "10.1.1.2"] == [lease.routes]


def test_a_record_without_an_end_keeps_what_was_told() -> None:
    with recall(ROOT / "tests/cases/records/without-end") as bench:
        before = list_endpoints(bench)
        assert len(complain(bench)) == 4
        assert bench.again() == []
        assert list_endpoints(bench) == before
        assert complain(bench) == []
        assert all(one.up and one.kernel for one in list_paths(bench))


@pytest.mark.parametrize("case", CASES, ids=NAMES)
def test_what_any_version_made_is_followed_and_then_taken_away(case: Path) -> None:
    with recall(case) as bench:
        assert bench.again() == []
        assert bench.down(*bench.list_recorded()) == []
        assert bench.machine.snapshot() == bench.before


@pytest.mark.parametrize("cut", range(0, len((RELEASED / "eth1.paths").read_text()), 29))
def test_a_record_that_was_cut_off_leaves_nothing_behind(cut: int) -> None:
    """Its endpoint goes at once; the rest where the path can be told, or after it came up."""
    for first_up in (False, True):
        with recall(RELEASED) as bench:
            file = bench.folder / "eth1.paths"
            text = file.read_text()[:cut]
            file.write_text(text)
            if first_up:
                bench.up(static("eth1", 4))
                assert list_endpoints(bench).count(ETH1) == 1
            bench.down(*bench.list_recorded())
            assert ETH1 not in list_endpoints(bench)
            if first_up or "routes \n" in text:
                assert bench.machine.snapshot() == bench.before


@given(st.data())
def test_of_a_record_that_was_written_into_the_rest_is_used(data: st.DataObject) -> None:
    with recall(RELEASED) as bench:
        file = bench.folder / "eth1.paths"
        lines = file.read_text().split("\n")
        number = data.draw(st.integers(0, len(lines) - 2))
        broken = lines[number]
        lines[number] = data.draw(st.sampled_from(["", "nonsense", "down flush", broken[:-1] + "\0",
                                                   "path", "stanza", "end", "kernel"]))
        file.write_text("\n".join(lines))
        complain(bench)
        assert complain(bench) == []
        bench.up(static("eth1", 4))
        bench.down(*bench.list_recorded())
        assert bench.machine.snapshot() == bench.before


def test_a_record_that_is_nonsense_loses_no_endpoint() -> None:
    with recall(RELEASED) as bench:
        (bench.folder / "eth1.paths").write_text("nonsense")
        bench.down("eth1")
        assert ETH1 not in list_endpoints(bench)


def test_a_record_that_somebody_removed_is_made_again_with_its_endpoint() -> None:
    with recall(RELEASED) as bench:
        (bench.folder / "eth1.paths").unlink()
        assert bench.up(static("eth1", 4)) == []
        assert [one.path.endpoint for one in list_paths(bench)
                if one.path.address == ETH1] == [True]
        assert bench.down(*bench.list_recorded()) == []
        assert bench.machine.snapshot() == bench.before


def test_a_key_of_a_newer_version_is_passed_over() -> None:
    with recall(RELEASED) as bench:
        for file in bench.folder.glob("*.*"):
            file.write_text(file.read_text().replace("address ", "colour blue\naddress "))
        assert complain(bench) == []
        assert all(one.up for one in list_paths(bench))


def test_a_newer_format_is_named_and_undone() -> None:
    with recall(RELEASED) as bench:
        for file in bench.folder.glob("*.paths"):
            file.write_text(file.read_text().replace("mptcp-hooks 1", "mptcp-hooks 2").replace(
                "family ", "kind of path "))
        file = bench.folder / "eth1.paths"
        text = file.read_text()
        assert f"{file} is of a newer mptcp-hooks: what can be read of it is used, and " \
            "'mptcp_up eth1' finds what else it made" in complain(bench)
        file.write_text(text)
        (problem,) = bench.down("eth0", "eth1", "eth1:1")
        assert str(file) in str(problem)
        assert bench.machine.snapshot() == bench.before


@pytest.mark.parametrize("number", ["0", "-2", "x", "", "9" * 5000])
def test_what_is_no_number_of_a_format_is_damage(number: str) -> None:
    with recall(RELEASED) as bench:
        (bench.folder / "eth1.paths").write_text(f"mptcp-hooks {number}\nstanza\nend\n")
        (said,) = complain(bench)
        assert "is damaged" in said


@pytest.mark.parametrize("text, restored", [
    ("mptcp-hooks 1\nbefore 2 0\nraised 3 3\nowner eth1 10.1.2.2\n", True),
    ("mptcp-hooks 1\nraised 3 3\nowner eth1 10.1.2.2\nend\n", False),
    ("nonsense", False),
])
def test_limits_that_cannot_be_read_are_said_once_and_stay(text: str, restored: bool) -> None:
    with recall(RELEASED) as bench:
        (bench.folder / "limits").write_text(text)
        (said,) = complain(bench)
        assert said == (f"{bench.folder}/limits is damaged: limits of the path manager that it "
                        "does not tell stay as they are")
        assert complain(bench) == []
        bench.down(*bench.list_recorded())
        assert bench.machine.limits == (bench.before.limits if restored else LIMITS)
        assert not (bench.folder / "limits").exists()


def test_a_lease_that_cannot_be_read_is_said_once() -> None:
    with recall(RELEASED) as bench:
        (bench.folder / "eth0.lease").write_text("mptcp-hooks 1\naddress 10.1.1.2\nend\n")
        (said,) = complain(bench)
        assert said == (f"{bench.folder}/eth0.lease is damaged: the lease's gateway and routes "
                        "count again when it is renewed")
        assert complain(bench) == []
