# SPDX-License-Identifier: GPL-2.0-or-later
"""Lines that failed: what `ip` said of which, and what a person hears. Loaded where one did."""

from __future__ import annotations

from mptcp_hooks.base.errors import Problem
from mptcp_hooks.base.value import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from mptcp_hooks.base.line import Line

_FAILED = "Command failed -:"
# No batch comes near so many lines.
_DIGITS_AT_MOST = 9

# What the kernel or ip says, and what a person can do about it.
_HINTS = {
    "Nexthop has invalid gateway": "is that gateway on this link?",
    "too many addresses or duplicate one: -34": "the kernel's eight endpoints are taken, "
                                                "see 'ip mptcp endpoint'",
    "any valid address is expected": "this ip is too old for that flag, see mptcp-flags",
    "Cannot find device": "it went away meanwhile",
    "Invalid source address": "the interface does not have it, see 'ip address'",
    "Operation not permitted": "it takes root, or CAP_NET_ADMIN",
}


class Failure(NamedTuple):
    """One line that failed: the number of its set (from 0), the line, the kernel's words."""

    number: int
    line: str
    reason: str


def describe_failure(failure: Failure, iface: str = "") -> Problem:
    """A failure as a person hears it: the command, the kernel's words, a remedy if known."""
    who = f"{iface}: " if iface else ""
    hints = [f" ({hint})" for words, hint in _HINTS.items() if words in failure.reason]
    return Problem(f"{who}{failure.line}: {failure.reason}{''.join(hints)}")


def read_failures(group: list[Line], errors: str) -> tuple[list[Failure], str]:
    """The failures that `ip -force` named by number, and what it said beyond them."""
    failures = []
    said: list[str] = []
    for text in errors.splitlines():
        line = _find_failed(group, text)
        if line:
            failures.append(Failure(line.number, line.text, clean("\n".join(said))))
            said = []
        elif text:
            said.append(text)
    return failures, "\n".join(said)


def _find_failed(group: list[Line], text: str) -> Line | None:
    """The line that `ip -force` names by number; None where it names none that there is."""
    number = text.removeprefix(_FAILED)
    if number == text or not (number.isascii() and number.isdigit()
                              and len(number) <= _DIGITS_AT_MOST):
        return None
    return group[int(number) - 1] if 0 < int(number) <= len(group) else None


def clean(errors: str) -> str:
    """What the kernel or ip said, in one line, without ip's ways of introducing it."""
    lines = [line for line in errors.splitlines() if line and not line.startswith(_FAILED)]
    text = "; ".join(lines) or "failed without a word"
    for introduction in ("RTNETLINK answers: ", "Error: "):
        text = text.removeprefix(introduction)
    return text.removesuffix(".")
