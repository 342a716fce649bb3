# SPDX-License-Identifier: GPL-2.0-or-later
"""The kernel's MPTCP counters as text, and the sysctl that ends what it concluded."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as some

from mptcp_hooks.base.errors import Problem
from mptcp_hooks.machine import counters
from mptcp_hooks.machine.counters import (
    end_blackhole, read_blackhole_timeout, read_counters, read_mptcp_counters)

NETSTAT = """\
TcpExt: SyncookiesSent SyncookiesRecv
TcpExt: 1 2
MPTcpExt: MPCapableSYNRX MPCapableSYNACKRX Blackhole
MPTcpExt: 3 18446744073709551615 0
IpExt: InNoRoutes
IpExt: 4
"""


def test_counters_are_those_of_mptcp() -> None:
    assert read_counters(NETSTAT) == {
        "MPCapableSYNRX": 3, "MPCapableSYNACKRX": 2**64 - 1, "Blackhole": 0}


@pytest.mark.parametrize("text", [
    "", "TcpExt: A\nTcpExt: 1\n", "MPTcpExt: A B\n", "MPTcpExt: A\nMPTcpExt: 1\nMPTcpExt: 2\n",
    "MPTcpExt:\nMPTcpExt:\n", "MPTcpExt: A\nMPTcpExt: x\n", "MPTcpExt: A\nMPTcpExt: -1\n",
    "MPTcpExt: A\nMPTcpExt: \N{SUPERSCRIPT TWO}\n", "MPTcpExt: A\nMPTcpExt: " + "9" * 5000,
    "\0\udcff" * 9,
])
def test_of_an_odd_text_there_are_none(text: str) -> None:
    assert read_counters(text) == {}


def test_a_line_that_is_cut_off_tells_of_what_it_has() -> None:
    assert read_counters("MPTcpExt: A B C\nMPTcpExt: 1 2") == {"A": 1, "B": 2}
    assert read_counters("MPTcpExt: A\nMPTcpExt: 1 2") == {"A": 1}


@given(some.text() | some.lists(some.text(), max_size=3).map(
    lambda lines: "".join(f"MPTcpExt:{line}\n" for line in lines)))
def test_noise_is_no_error(text: str) -> None:
    read_counters(text)


def test_they_are_read_as_they_are_now(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(counters, "COUNTERS", str(tmp_path / "netstat"))
    assert read_mptcp_counters() == {}
    (tmp_path / "netstat").write_text(NETSTAT)
    assert read_mptcp_counters()["MPCapableSYNRX"] == 3


@pytest.fixture
def timeout(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """What stands for the sysctl; there is none yet."""
    path = tmp_path / "blackhole_timeout"
    monkeypatch.setattr(counters, "BLACKHOLE_TIMEOUT", str(path))
    return path


def test_a_kernel_without_the_sysctl_never_turns_it_off(timeout: Path) -> None:
    assert read_blackhole_timeout() == 0


@pytest.mark.parametrize("text", ["", "\n", "x\n", "-1\n"])
def test_a_sysctl_that_makes_no_sense_is_none(timeout: Path, text: str) -> None:
    timeout.write_text(text)
    assert read_blackhole_timeout() == 0


def test_it_ends_by_writing_the_same_value(
    timeout: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    timeout.write_text("1800\n")
    assert read_blackhole_timeout() == 1800
    # What is written stands in the other one alone.
    written = tmp_path / "written"
    monkeypatch.setattr(counters, "open", lambda path, mode, encoding: (
        written.open(mode, encoding=encoding)), raising=False)
    end_blackhole()
    assert written.read_text() == "1800\n"


def test_who_may_not_write_it_is_told_who_can(
    timeout: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(path: str, mode: str, encoding: str) -> None:
        raise OSError(30, "Read-only file system")

    timeout.write_text("3600\n")
    monkeypatch.setattr(counters, "open", refuse, raising=False)
    with pytest.raises(Problem) as raised:
        end_blackhole()
    assert str(raised.value) == (
        f"cannot write {timeout}: Read-only file system: let who may write it run "
        "'sysctl -w net.mptcp.blackhole_timeout=3600'")


@pytest.mark.parametrize("text", [None, "", "x\n", "0\n"])
def test_where_its_value_is_not_known_or_0_nothing_is_written(
    timeout: Path, monkeypatch: pytest.MonkeyPatch, text: str | None
) -> None:
    """To write 0 would turn it off for good."""
    opened: list[str] = []
    monkeypatch.setattr(counters, "open", lambda path, *rest, **more: opened.append(path),
                        raising=False)
    if text is not None:
        timeout.write_text(text)
    with pytest.raises(Problem, match="cannot be read: it stays as it is"):
        end_blackhole()
    assert opened == []
