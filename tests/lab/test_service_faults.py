# SPDX-License-Identifier: GPL-2.0-or-later
"""The monitor inside its unit's sandbox while calls to the system fail, and while it is killed.

strace(1) is attached from outside: the sandbox stays as the unit has it.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial

import pytest

from tests.lab.support.interrupted import REFUSALS
from tests.lab.support.lab import Lab
from tests.lab.support.making import MakeLab
from tests.lab.support.paths import BOTH, RULES, check_both_paths, flush, plug, pull
from tests.lab.support.service import SERVICE, ask, boot, show
from tests.lab.support.waiting import wait_for

pytestmark = pytest.mark.fault

# What a round calls of that, but what does not fail: to write into a pipe, and to wait for a child.
CALLED = [name for name in REFUSALS if name not in ("chmod", "unlinkat", "wait4", "write")]
_TRACE, _TRACER = "/var/tmp/trace", "/var/tmp/tracer"


@pytest.fixture(scope="module")
def running(make_shared_lab: MakeLab) -> Lab:
    lab = boot(make_shared_lab, installed=True)
    lab.write(f"/etc/systemd/system/{SERVICE}.d/soon.conf", "[Service]\nRestartSec=0.1\n")
    lab.client.run("systemctl", "daemon-reload")
    lab.client.run("systemctl", "start", SERVICE)
    check_both_paths(lab)
    return lab


@contextmanager
def refusing(lab: Lab, name: str, which: str) -> Iterator[None]:
    """While this is entered, calls of a name fail in the monitor and in all that it starts."""
    process = lab.client.start(
        "sh", "-c", f"echo $$ >{_TRACER}; exec \"$@\"", "sh",
        "strace", "-f", "-o", _TRACE, "-p", show(lab, "MainPID"), "-e", f"trace={name}",
        "-e", f"inject={name}:error={REFUSALS[name]}:when={which}")
    try:
        wait_for(lambda: is_traced(lab))
        yield
    finally:
        lab.client.run("kill", "-INT", lab.read(_TRACER).strip())
        process.wait(20)


def is_traced(lab: Lab) -> bool:
    status = lab.read(f"/proc/{show(lab, 'MainPID')}/status")
    return "TracerPid:\t0\n" not in status


def count_refused(lab: Lab) -> int:
    return lab.client.try_run("cat", _TRACE).stdout.count("(INJECTED)")


def harm(lab: Lab) -> None:
    """Flush rules and pull a cable in one moment, for the monitor.

    Two rounds would make fewer calls each, and none that is the second of its name.
    """
    monitor = show(lab, "MainPID")
    lab.client.run("kill", "-STOP", monitor)
    try:
        flush(lab)
        pull(lab, 1)
    finally:
        lab.client.run("kill", "-CONT", monitor)


@pytest.mark.parametrize("which", ["1+1", "2+3"], ids=["all", "some"])
@pytest.mark.parametrize("name", CALLED)
def test_whatever_fails_in_the_sandbox_the_monitor_lives_and_mends_it(
    running: Lab, name: str, which: str
) -> None:
    # Who flushes again and again is taken for another program that fights.
    running.client.run("systemctl", "reload", SERVICE)
    full, begun = running.snapshot(), show(running, "MainPID")
    assert running.endpoints() == BOTH and len(running.rules()) == 2 * RULES
    since = running.client.run("date", "+%s.%N").strip()
    with refusing(running, name, which):
        harm(running)
        try:
            wait_for(lambda: count_refused(running))
        finally:
            plug(running, 1)
    wait_for(lambda: running.snapshot() == full, 60)
    said = running.client.run("journalctl", "-o", "cat", "-u", SERVICE, "--since", f"@{since}")
    assert (ask(running, "is-active"), show(running, "MainPID")) == ("active", begun)
    assert "Traceback" not in said and "unexpected" not in said


def test_killed_at_any_moment_it_comes_back_and_makes_all_right(running: Lab) -> None:
    running.client.run("systemctl", "reload", SERVICE)
    full = running.snapshot()
    for moment in range(12):
        act = partial(pull, uplink=moment % 2) if moment % 4 < 2 else partial(flush)
        begun = show(running, "MainPID")
        act(running)
        # From before its round to after it: no measure, but twelve different moments.
        time.sleep(moment * 0.04)
        running.client.run("kill", "-KILL", begun)
        for uplink in range(2):
            plug(running, uplink)
        wait_for(lambda: show(running, "MainPID") not in ("0", begun), 60)
        wait_for(lambda: ask(running, "is-active") == "active", 60)
        wait_for(lambda: running.snapshot() == full, 60)
    check_both_paths(running)


def test_it_goes_on_while_the_journal_dies(running: Lab) -> None:
    running.client.run("systemctl", "reload", SERVICE)
    full, begun = running.snapshot(), show(running, "MainPID")
    running.client.run("systemctl", "kill", "--signal=KILL", "systemd-journald")
    flush(running)
    pull(running, 1)
    plug(running, 1)
    wait_for(lambda: running.snapshot() == full, 60)
    assert (ask(running, "is-active"), show(running, "MainPID")) == ("active", begun)
