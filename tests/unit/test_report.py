# SPDX-License-Identifier: GPL-2.0-or-later
"""What mptcp_status --report takes of people's files, and what it says where it can see nothing."""

from __future__ import annotations

from pathlib import Path

import pytest

from mptcp_hooks.base.errors import Problem
from mptcp_hooks.base.spawn import Outcome
from mptcp_hooks.status import report
from mptcp_hooks.status.looks import PathsLook
from mptcp_hooks.status.questions import AskedMachine
from mptcp_hooks.status.report import withhold, write_report


@pytest.mark.parametrize(("line", "shown"), [
    ("auto eth0", "auto eth0"), ("    gateway 10.1.1.1", "    gateway 10.1.1.1"),
    ("\tmptcp-flags subflow", "\tmptcp-flags subflow"), ("", ""), ("   ", "   "),
    ("    wpa-psk\tsecret", "    wpa-psk ..."), ("  #wpa-psk secret", "  # ..."),
    ("    post-up curl -u me:secret", "    post-up ..."), ("addresses secret", "addresses ..."),
    ("bond_mode 1", "bond_mode 1"), ("wireless-key s:secret", "wireless-key ..."),
])
def test_an_option_that_may_have_a_secret_is_named_alone(line: str, shown: str) -> None:
    assert list(withhold([line])) == [shown]


def test_what_goes_on_in_the_next_line_is_withheld_with_its_option() -> None:
    assert list(withhold(["up run \\", "  address secret \\", "  mtu secret", "mtu 1"])) == [
        "up ...", "  ...", "  ...", "mtu 1"]
    assert list(withhold(["address \\", "  10.1.1.1"])) == ["address \\", "  10.1.1.1 ..."]


class MuteMachine(AskedMachine):
    """Nothing is installed but ip, which says as much as nobody reads; there are no files."""

    def run(self, program: str, *arguments: str) -> Outcome:
        if program != "ip":
            raise Problem(f"the program {program!r} is not installed")
        return Outcome(1, "".join(f"line {number}\n" for number in range(5000)), "\x1b[2J\n")

    def read_file(self, path: str) -> str:
        return ""

    def read_clock(self) -> float:
        return 0.0


def fail() -> PathsLook:
    """A look that is not to be had."""
    raise Problem("'ip rule' failed: 10.1.1.1")


def test_a_report_says_what_it_cannot_see() -> None:
    lines = list(write_report(MuteMachine(), fail, False))
    assert lines[0].endswith(", 1970-01-01 00:00:00 UTC")
    begin = lines.index("=== mptcp_status ===")
    assert lines[begin + 1] == "('ip rule' failed: <private-v4-1>)"
    begin = lines.index("=== ip -4 rule ===")
    assert lines[begin + 1:begin + 3] == ["(2002 lines before these)", "line 2002"]
    assert lines[begin + 3000:begin + 3003] == ["\\x1b[2J", "(status 1)", ""]
    assert "(the program 'sysctl' is not installed)" in lines
    assert all(line.isascii() and line.isprintable() for line in lines)


def test_a_title_is_as_its_lines(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A record is called as its interface, and further files as anybody likes."""
    for name in ("enx525400abcdef.paths", "büro 10.1.1.1.conf"):
        (tmp_path / name).write_text("")
    monkeypatch.setattr(report, "RECORD", str(tmp_path))

    def list_titles(with_addresses: bool) -> list[str]:
        lines = write_report(MuteMachine(), fail, with_addresses)
        return [line for line in lines if line.startswith(f"=== {tmp_path}")]

    assert list_titles(False) == [f"=== {tmp_path}/b\\xfcro <private-v4-1>.conf ===",
                                  f"=== {tmp_path}/enx<mac-1>.paths ==="]
    assert list_titles(True) == [f"=== {tmp_path}/b\\xfcro 10.1.1.1.conf ===",
                                 f"=== {tmp_path}/enx525400abcdef.paths ==="]
