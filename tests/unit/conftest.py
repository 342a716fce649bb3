# SPDX-License-Identifier: GPL-2.0-or-later
"""How hypothesis tries: no clock decides about a test, and nothing is left in the tree.

`make fuzz` tries the same tests twenty times as long. There an input that takes a thousand times as
long as others, or more memory than a small machine has, is one that fails.
"""

from __future__ import annotations

import resource
from datetime import timedelta

import pytest
from hypothesis import HealthCheck, settings

_FUZZ = "fuzz"
_MEMORY_AT_MOST = 1 << 30

settings.register_profile("unit", deadline=None, database=None,
                          suppress_health_check=[HealthCheck.too_slow])
settings.register_profile(_FUZZ, settings.get_profile("unit"), max_examples=2_000,
                          deadline=timedelta(seconds=10))
settings.load_profile("unit")


def pytest_configure(config: pytest.Config) -> None:
    """Give the processes of `make fuzz` so much memory and no more."""
    if config.getoption("--hypothesis-profile") == _FUZZ:
        _, hard = resource.getrlimit(resource.RLIMIT_AS)
        resource.setrlimit(resource.RLIMIT_AS, (_MEMORY_AT_MOST, hard))
