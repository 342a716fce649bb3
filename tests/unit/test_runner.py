# SPDX-License-Identifier: GPL-2.0-or-later
"""What `ip -batch` says of its lines may be anything: what ran is never guessed."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as some

from mptcp_hooks.base import spawn
from mptcp_hooks.base.spawn import Outcome, run_program
from mptcp_hooks.machine.failures import Failure
from mptcp_hooks.machine.runner import Runner, tell_failure

LINES = tuple(f"ip -4 rule del pref {number}" for number in (1, 2, 3))
NAMED = "Command failed -:"
REFUSED = "RTNETLINK answers: Operation not permitted"


class Noisy:
    """An ip that refuses the second line, and of a whole batch says only this."""

    def __init__(self, errors: str) -> None:
        self._errors = errors
        self.batches: list[str] = []

    def __call__(self, option: str, force: bool, text: str) -> Outcome:
        self.batches.append(text)
        if force:
            return Outcome(2, "", self._errors)
        return Outcome(2, "", REFUSED) if "pref 2" in text else Outcome(0, "", "")


def undo(ip: Noisy) -> list[Failure]:
    return Runner(None, ip).undo_sets([LINES])


def test_a_number_names_the_line_that_failed() -> None:
    ip = Noisy(f"{REFUSED}\n{NAMED}2\n")
    assert undo(ip) == [Failure(0, LINES[1], "Operation not permitted")]
    assert len(ip.batches) == 1


@pytest.mark.parametrize("number", [
    "", "x", "0", "4", "-1", "+2", " 2", "2 ", "2.0", "0x2", "\N{SUPERSCRIPT TWO}", "2\0",
    "\N{ARABIC-INDIC DIGIT TWO}", pytest.param("9" * 5000, id="5000 digits"),
])
def test_a_number_that_makes_no_sense_has_each_line_run_by_itself(number: str) -> None:
    ip = Noisy(f"{REFUSED}\n{NAMED}{number}\n")
    assert undo(ip) == [Failure(0, LINES[1], "Operation not permitted")]
    assert [text.strip() for text in ip.batches[1:]] == [line[6:] for line in LINES]


@given(some.lists(some.one_of(
    some.text(), some.sampled_from([REFUSED, "", "\0", "x" * 1_000_000]),
    some.integers(-9, 9).map(lambda number: f"{NAMED}{number}"),
    some.text().map(lambda number: NAMED + number)), max_size=8).map("\n".join))
def test_whatever_it_says_each_failure_is_of_a_line(errors: str) -> None:
    assert {failure.line for failure in undo(Noisy(errors))} <= {*LINES}


def test_a_long_noise_is_told_in_part() -> None:
    noise = "noise\0" * 200_000
    (failure,) = undo(Noisy(f"{noise}\n{NAMED}3\n"))
    text = str(tell_failure(failure, "eth0"))
    assert text.startswith(f"eth0: {LINES[2]}: noise") and len(text) < 9000


def test_of_a_flood_a_part_is_read(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(spawn, "_SAID_AT_MOST", 1000)
    outcome = run_program("sh", ("-c", "yes | head -c 5000; yes | head -c 5000 >&2"))
    assert (len(outcome.output), len(outcome.errors)) == (1000, 1000)
