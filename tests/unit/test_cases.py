# SPDX-License-Identifier: GPL-2.0-or-later
"""Golden command sets: tests/cases/NAME/ holds an environment, a view, and what they become.

    environment   VAR=value a line, as a network manager passes it
    host          `ifindex N`, `gateway ADDRESS` (of main), `point-to-point`, `other ADDRESS
                  TABLE` a line
    up, down      the command sets
"""

from __future__ import annotations

from pathlib import Path

import pytest

from mptcp_hooks.base.model import DeviceView, Limits, Link, Path as UplinkPath, PathManager
from mptcp_hooks.engine import commands
from mptcp_hooks.engine.plan import plan_paths
from mptcp_hooks.intent.event import read_event
from mptcp_hooks.intent.settings import NO_CONFIGURATION, read_settings
from tests.unit.recorded import read_environment

CASES = Path(__file__).parents[1] / "cases"
NAMES = sorted(case.parent.name for case in CASES.glob("*/environment"))


def make_paths(case: Path) -> tuple[UplinkPath, ...]:
    event = read_event(read_environment(case / "environment"))
    assert event is not None
    facts = [line.split() for line in (case / "host").read_text().splitlines()]
    (ifindex,) = (int(words[1]) for words in facts if words[0] == "ifindex")
    alone = ["point-to-point"] in facts
    view = DeviceView(event.device, ifindex, Link(True, True, alone), event.addresses, (),
                      tuple(words[1] for words in facts if words[0] == "gateway"), True,
                      present=frozenset(own.address for own in event.addresses))
    others = tuple(
        UplinkPath(event.device, event.device, ifindex, 4, words[1], "", "", False, True,
                   int(words[2]), True, True, ("subflow",))
        for words in facts if words[0] == "other")
    manager = PathManager((), Limits(2, 0))
    settings = read_settings(event, NO_CONFIGURATION)
    return plan_paths(event.iface, settings, view, (), others, manager).paths


@pytest.mark.parametrize("name", NAMES)
def test_golden_case(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    case = CASES / name
    monkeypatch.setattr(commands, "FOLDERS", commands.FOLDERS[1:])
    paths = make_paths(case)
    up = [line for path in paths for line in commands.build_up(path)]
    down = [line for path in paths for line in commands.build_down(path)]
    assert up == (case / "up").read_text().splitlines()
    assert down == (case / "down").read_text().splitlines()


@pytest.mark.parametrize("name", NAMES)
def test_down_undoes_each_line_of_up(name: str) -> None:
    case = CASES / name
    made = [set(line.split()) - {"add", "replace"}
            for line in (case / "up").read_text().splitlines()]
    for line in (case / "down").read_text().splitlines():
        words = set(line.split()) - {"del"}
        if "mptcp" not in words:
            assert any(words <= other for other in made), line
    assert len(made) == len((case / "down").read_text().splitlines())
