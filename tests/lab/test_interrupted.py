# SPDX-License-Identifier: GPL-2.0-or-later
"""Every file that our programs touch and every question that they ask fails, or is their last.

Which those are is found by running them. What cannot be undone or made is on record then, and
the next run of any kind makes it right.
"""

from __future__ import annotations

import subprocess
from collections.abc import Callable
from typing import NamedTuple

import pytest

from tests.lab.support.faults import hang_after, list_noted, mend_ip, note_lines
from tests.lab.support.interrupted import Call, Program, kill_at, list_calls, refuse
from tests.lab.support.lab import Lab
from tests.lab.support.uplink import ETH1, LEAVE, down, up

pytestmark = pytest.mark.fault

_FOLDER = "/etc/network"
# What the hook starts: it is that which is looked at, and not the shell before it.
_EVENT = "/usr/share/mptcp-hooks/hooks/event"
_ROUND = """\
import sys
sys.path.insert(0, "/usr/share/mptcp-hooks")
from mptcp_hooks.base.errors import Problem
from mptcp_hooks.base.report import describe_unexpected
from mptcp_hooks.monitor.upkeep import Known, keep_up
try:
    said = keep_up(False, frozenset(), Known(), None).said
except Problem as problem:
    said = [problem]
except Exception as error:
    # As the monitor does, which begins another round then.
    said = [describe_unexpected(error)]
for line in said:
    print(line, file=sys.stderr)
"""


class Work(NamedTuple):
    """A program, what there is before it, and whether an interface is up after it.

    `never_fails` is whether it ends with 0 also where something failed.
    """

    program: Program
    prepare: Callable[[Lab], object]
    is_up: bool
    never_fails: bool = True


def _stay(lab: Lab) -> None:
    """Nothing of ours is there, and no commands are kept."""
    lab.client.run("sh", "-c", "rm -f /var/cache/mptcp-hooks/*")


def _lose(lab: Lab) -> None:
    """All rules of an uplink are gone, and nobody told us."""
    up(lab)
    lab.client.run("ip", "rule", "flush", "protocol", "77")


WORKS = {
    "up": Work(Program((_EVENT, f"{_FOLDER}/if-up.d/mptcp_up"), ETH1), _stay, True),
    "up-again": Work(Program((_EVENT, f"{_FOLDER}/if-up.d/mptcp_up"), ETH1), _lose, True),
    "farewell": Work(Program((_EVENT, f"{_FOLDER}/if-down.d/mptcp_down"), LEAVE), up, False),
    "down": Work(Program((_EVENT, f"{_FOLDER}/if-post-down.d/mptcp_down"), LEAVE), up, False),
    "mptcp_up": Work(Program(("mptcp_up", "--all")), _lose, True, never_fails=False),
    "mptcp_down": Work(Program(("mptcp_down", "eth1")), up, False, never_fails=False),
    "round": Work(Program(("/usr/bin/python3", "-Ic", _ROUND)), _lose, True, never_fails=False),
}


@pytest.mark.parametrize("name", list(WORKS))
def test_whatever_fails_or_is_the_last_the_next_run_makes_it_right(link: Lab, name: str) -> None:
    work = WORKS[name]
    before = link.snapshot()
    up(link)
    good = link.snapshot()
    down(link)
    work.prepare(link)
    calls = list_calls(link, work.program)
    after = link.snapshot()
    down(link)
    assert len(calls) > 10
    wrong = []
    for number, call in enumerate(calls):
        for killed in (False, True):
            heals = (number + killed) % 2 == 0
            work.prepare(link)
            said = _interrupt(link, work, call, killed, after)
            said += up(link) if heals else ""
            if heals and link.snapshot() != good:
                said += "; an up does not make it right"
            said += down(link)
            if link.snapshot() != before or link.client.run("ls", "/run/mptcp-hooks"):
                said += "; a down leaves something"
                link.client.try_run("mptcp_down", "--all")
            if said:
                wrong.append((killed, call, said))
    print(f"{name}: {len(calls)} calls, {2 * len(calls)} runs")
    assert not wrong, "\n".join(map(str, wrong))


@pytest.mark.parametrize("way", ["up", "down"])
def test_an_ip_that_hangs_at_any_line_is_ended_and_the_rest_done_later(
    link: Lab, way: str
) -> None:
    before = link.snapshot()
    up(link)
    good, lines = link.snapshot(), len(link.snapshot().splitlines())
    down(link)
    for count in range(lines):
        if way == "down":
            up(link)
        hang_after(link, count)
        said = up(link) if way == "up" else down(link)
        assert "was killed: left to the next hook" in said
        _check_next_run(link, good if count % 2 else "", before)


@pytest.mark.parametrize("name", ["farewell", "mptcp_up", "mptcp_down", "round"])
def test_whoever_else_waits_for_an_ip_that_hangs_goes_on_and_the_next_run_makes_it_right(
    link: Lab, name: str
) -> None:
    work = WORKS[name]
    before = link.snapshot()
    up(link)
    good = link.snapshot()
    down(link)
    work.prepare(link)
    note_lines(link)
    _run(link, work)
    mend_ip(link)
    lines = list_noted(link)
    down(link)
    assert lines
    for count in range(len(lines)):
        work.prepare(link)
        hang_after(link, count)
        done = _run(link, work)
        assert "was killed" in done.stderr and done.stderr.count("\n") <= 3, done.stderr
        assert done.returncode == 0 or not work.never_fails
        _check_next_run(link, good if count % 2 else "", before)


def _check_next_run(lab: Lab, good: str, before: str) -> None:
    """Mend `ip`, and see that an up leads to what is `good`, if there is any, and a down back."""
    mend_ip(lab)
    # For a minute from then on hooks would wait for half a second only.
    lab.client.run("rm", "-f", "/run/mptcp-hooks/.killed")
    if good:
        up(lab)
        assert lab.snapshot() == good
    down(lab)
    assert lab.snapshot() == before
    assert lab.client.run("ls", "/run/mptcp-hooks") == ""


def _run(lab: Lab, work: Work) -> subprocess.CompletedProcess[str]:
    return lab.client.try_run(*work.program.arguments, env=work.program.environment)


def _interrupt(lab: Lab, work: Work, call: Call, killed: bool, after: str) -> str:
    """Run a work that fails or ends at a call; what is wrong with how it ended."""
    if killed:
        done = kill_at(lab, work.program, call)
        return "" if done.returncode in (-9, 137) else f"ended with {done.returncode}"
    done = refuse(lab, work.program, call)
    if "Traceback" in done.stderr or (work.never_fails and done.returncode):
        return f"ended with {done.returncode}: {done.stderr}"
    if not done.stderr and lab.snapshot() != after:
        return "said nothing of what it did not do"
    return f"says much: {done.stderr}" if done.stderr.count("\n") > 3 else ""
