# SPDX-License-Identifier: GPL-2.0-or-later
"""What programs answer mptcp_status, which may be anything."""

from __future__ import annotations

import pytest

from mptcp_hooks.base.errors import Problem
from mptcp_hooks.base.spawn import Outcome
from mptcp_hooks.status.questions import Answer, AskedMachine


class Saying(AskedMachine):
    """A machine whose programs end so, and say this."""

    def __init__(self, status: int, output: str, errors: str = "") -> None:
        self._outcome = Outcome(status, output, errors)

    def run(self, program: str, *arguments: str) -> Outcome:
        return self._outcome


@pytest.mark.parametrize(("output", "rows"), [
    ("", ()), ("[]", ()), ("[{},{}]", ()), ('[{"dev":"eth0"},{}]', ({"dev": "eth0"},)),
    # A name has the characters that it has.
    ('[{"dev":"\x01"}]', ({"dev": "\x01"},)),
])
def test_rows(output: str, rows: tuple[dict[str, str], ...]) -> None:
    assert Saying(0, output).ask_ip("rule") == Answer(rows, "")


@pytest.mark.parametrize("output", [
    "Usage: ip ...", "[", "[{}", "7", "{}", "[7]", '"text"', "[" * 100_000, "[{}]\0",
    pytest.param('[{"table":' + "9" * 5000 + "}]", id="5000 digits"),
])
def test_what_makes_no_sense_is_no_answer(output: str) -> None:
    answer = Saying(0, output).ask_ip("rule")
    assert answer == Answer((), "its answer makes no sense")
    with pytest.raises(Problem, match="^'ip rule' failed: its answer makes no sense$"):
        Saying(0, output).insist_ip("rule")


def test_a_refusal_is_told_in_part() -> None:
    answer = Saying(2, "", "RTNETLINK answers: " + "no" * 500_000).ask_ip("rule")
    assert answer.refusal.startswith("nono") and len(answer.refusal) < 300
