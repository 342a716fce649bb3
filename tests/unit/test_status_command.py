# SPDX-License-Identifier: GPL-2.0-or-later
"""mptcp_status's options: whose paths, connections and candidates it shows, once or each second."""

from __future__ import annotations

import io
import json
import os
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from mptcp_hooks.base.errors import FAILED, USAGE
from mptcp_hooks.force.methods import BPF, Choice
from mptcp_hooks.machine.procfs import Origin, Process
from mptcp_hooks.machine.sockets import Socket
from mptcp_hooks.status import looks, watch
from mptcp_hooks.status.looks import ConnectionsLook, PathsLook, measure_rates
from mptcp_hooks.status.survey import UP, Device, KernelState, Survey
from mptcp_hooks.status.uplinks import Rate
from tests.unit.canned import run_status

CASES = Path(__file__).parents[1] / "cases"
CASE = CASES / "status/all-good"
CONNECTIONS = (CASES / "connections/two-subflows/ss.txt").read_text()
DEVICE = Device("eth0", 2, UP, (), 1000, 5000, False, 0, 0, False)
SURVEY = Survey(KernelState(True, True, False), None, (), (), (), (), (), (), frozenset(), "",
                {}, 0, (), frozenset(), None, (), ())
CURL = Process(4711, "curl")


def answer_ss(text: str) -> Callable[[str], str]:
    """The change of a machine on which ss(8) answers so."""
    return lambda machine: f"{machine.rstrip()}\n$ ss -Menita\n{text}"


@pytest.fixture
def owners(monkeypatch: pytest.MonkeyPatch) -> None:
    """The MPTCP connection of the case, and a plain one, are curl's."""
    monkeypatch.setattr(looks, "find_owners", lambda: {4615405: [CURL], 8: [CURL._replace(pid=9)]})


def test_one_interface_is_shown_by_itself() -> None:
    """What all of them come to is said of all alone."""
    code, screen = run_status(CASE, "eth1")
    whole = run_status(CASE)[1].splitlines()
    assert code == 0
    assert [line.split()[1] for line in screen.splitlines()[1:2]] == ["eth1"]
    assert "eth0" not in screen and "2 uplinks" not in screen
    assert "2 uplinks, 2 paths, all as they should be" in whole


def test_one_interface_is_answered_by_itself() -> None:
    _, answer = run_status(CASE, "--json", "eth1")
    assert [path["interface"] for path in json.loads(answer)["paths"]] == ["eth1"]


def test_what_is_wrong_with_another_interface_is_not_ones_own() -> None:
    code, answer = run_status(CASES / "status/no-carrier", "--json")
    (broken,) = {one["interface"] for one in json.loads(answer)["findings"]
                 if one["severity"] == "broken"}
    (other,) = {"eth0", "eth1"} - {broken}
    assert (code, run_status(CASES / "status/no-carrier", broken)[0]) == (FAILED, FAILED)
    code, answer = run_status(CASES / "status/no-carrier", "--json", other)
    assert (code, [one["interface"] for one in json.loads(answer)["findings"]]) == (0, [])


def test_an_interface_that_nobody_knows_is_wrong_usage(capsys: pytest.CaptureFixture[str]) -> None:
    assert run_status(CASE, "wlan0", "eth0", "ppp0") == (USAGE, "")
    assert capsys.readouterr().err == (
        "mptcp_status: ppp0: no such interface, and none on record\n")


def test_watch_draws_until_it_is_interrupted(monkeypatch: pytest.MonkeyPatch) -> None:
    """The first picture knows no rates; the status is that of the last look."""
    slept: list[float] = []

    def sleep(seconds: float) -> None:
        written = sys.stdout.buffer
        assert isinstance(written, io.BytesIO)
        # What is drawn is to be seen before it sleeps.
        assert written.getvalue().count(b"UPLINK") == len(slept) + 1
        slept.append(seconds)
        if len(slept) == 2:
            raise KeyboardInterrupt

    monkeypatch.setenv("TZ", "UTC")
    monkeypatch.setattr(watch, "sleep", sleep)
    code, screen = run_status(CASES / "status/no-carrier", "--watch")
    before, first, second = screen.split("00:16:40  ")
    assert (code, before) == (FAILED, "")
    assert "1 problem to repair\n" in first and "0 bit/s" not in first and "0 bit/s" in second
    # There is no terminal that could be cleared.
    assert "\x1b" not in screen and all(0 <= seconds <= 1 for seconds in slept)


def test_what_is_ours_in_the_kernel_is_for_those_who_ask() -> None:
    assert "ours: rules" not in run_status(CASE)[1]
    assert run_status(CASE, "-v")[1].splitlines()[-1].startswith("ours: rules 19994 to 20008 and ")


@pytest.mark.usefixtures("owners")
def test_connections_with_their_processes() -> None:
    code, screen = run_status(CASE, "--connections", change=answer_ss(CONNECTIONS))
    assert code == 0
    head = next(line for line in screen.splitlines() if "10.99.0.1:5001" in line)
    assert head.endswith("-> 10.99.0.1:5001, curl (4711)")
    assert {line.split()[0] for line in screen.splitlines() if line.startswith("  ")} == {
        "eth0", "eth1"}


@pytest.mark.usefixtures("owners")
@pytest.mark.parametrize(("interfaces", "number"), [((), 1), (("eth1",), 1), (("lo",), 0)])
def test_connections_over_some_interfaces(interfaces: tuple[str, ...], number: int) -> None:
    _, answer = run_status(CASE, "-j", "-c", *interfaces, change=answer_ss(CONNECTIONS))
    found = json.loads(answer)
    assert len(found["connections"]) == number and "candidates" not in found


@pytest.mark.usefixtures("owners")
@pytest.mark.parametrize(("answer", "words"), [
    ("! 255 Cannot open netlink socket: Protocol not supported\n",
     "Cannot open netlink socket: Protocol not supported"), ("! 1 \n", "status 1")])
def test_sockets_that_ss_does_not_show(
    answer: str, words: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run_status(CASE, "--connections", change=answer_ss(answer)) == (FAILED, "")
    assert capsys.readouterr().err == f"mptcp_status: ss failed: {words}\n"


@pytest.fixture
def plain(owners: None, monkeypatch: pytest.MonkeyPatch) -> None:
    """A connection of plain TCP over eth1, whose program bpf could force."""
    monkeypatch.setattr(looks, "read_sockets", lambda: [
        Socket(False, 1, ("10.1.2.2", 5000), ("10.99.0.1", 80), 8, False, False)])
    monkeypatch.setattr(looks, "read_origin", lambda pid: Origin(
        f"/proc/{pid}/file", "", "", ("it", str(pid)), ""))
    monkeypatch.setattr(looks, "choose", lambda method, program, means: Choice(
        BPF, program.path))


@pytest.mark.usefixtures("plain")
@pytest.mark.parametrize(("user", "unseen"), [
    (0, []), (1000, ["not seen: the programs of others, which root sees"])])
def test_candidates(user: int, unseen: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: user)
    code, screen = run_status(CASE, "--candidates", change=answer_ss(CONNECTIONS))
    lines = screen.splitlines()
    start = lines.index("plain TCP over an uplink that could be Multipath TCP")
    assert code == 0 and lines[0].endswith("curl (4711)")
    assert lines[start + 1:] == ["  curl (9): 1 connection over eth1 => mptcp_run it 9", *unseen]


@pytest.mark.usefixtures("plain")
def test_candidates_over_other_interfaces() -> None:
    _, answer = run_status(CASE, "-j", "--candidates", "eth0", change=answer_ss(CONNECTIONS))
    assert json.loads(answer)["candidates"] == []
    _, answer = run_status(CASE, "-j", "--candidates", "eth1", change=answer_ss(CONNECTIONS))
    assert [one["command"] for one in json.loads(answer)["candidates"]] == ["mptcp_run it 9"]


def look(moment: float, *devices: Device) -> ConnectionsLook:
    return ConnectionsLook(moment, frozenset(), SURVEY._replace(devices=devices), (), {}, 0.0)


def test_rates_are_what_passed_between_two_looks() -> None:
    """In bits a second; what a device lost of its count, as a new one of that name, is none."""
    eth1 = DEVICE._replace(name="eth1")
    before = PathsLook(10.0, frozenset(), SURVEY._replace(
        devices=(DEVICE, eth1, DEVICE._replace(name="gone"))), (), 0.0)
    after = look(12.0, DEVICE._replace(sent=3000, received=4999),
                 eth1._replace(sent=0, received=5500), DEVICE._replace(name="new"))
    assert measure_rates(before, after) == {"eth0": Rate(8000.0, 0.0), "eth1": Rate(0.0, 2000.0)}
