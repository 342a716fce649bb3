# SPDX-License-Identifier: GPL-2.0-or-later
"""What is read of each manager's recorded environment is what it says."""

from __future__ import annotations

import pytest

from mptcp_hooks.base.errors import Problem
from mptcp_hooks.intent.event import read_event, recall_event
from mptcp_hooks.intent.settings import NO_CONFIGURATION, read_settings
from tests.unit.recorded import (
    ENVIRONMENTS,
    SAYS,
    WRONG_FLAGS,
    list_environments,
    read_environment,
)


@pytest.mark.parametrize("name", sorted(SAYS))
def test_recorded_environment(name: str) -> None:
    event = read_event(read_environment(ENVIRONMENTS / name))
    expected = SAYS[name]
    if event is None or expected is None:
        assert (event, expected) == (None, None)
        return
    settings = read_settings(event, NO_CONFIGURATION)
    addresses = [f"{one.address}/{one.length} {one.gateway}".strip() for one in event.addresses]
    assert (event.iface, addresses, settings.table, settings.chosen_flags) == expected
    assert recall_event(event.told) == event


@pytest.mark.parametrize("name", sorted(WRONG_FLAGS))
def test_recorded_environment_with_an_unknown_flag(name: str) -> None:
    event = read_event(read_environment(ENVIRONMENTS / name))
    assert event is not None
    with pytest.raises(Problem, match="eth0: mptcp-flags 'upper' is wrong"):
        read_settings(event, NO_CONFIGURATION)


def test_every_recording_is_read_here() -> None:
    found = {str(path.relative_to(ENVIRONMENTS)) for path in list_environments("if-up.d")}
    assert found == set(SAYS) | WRONG_FLAGS
