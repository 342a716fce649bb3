# SPDX-License-Identifier: GPL-2.0-or-later
"""How hypothesis tries: no clock decides about a test, and nothing is left in the tree.

`make fuzz` tries the same tests twenty times as long.
"""

from __future__ import annotations

from hypothesis import HealthCheck, settings

settings.register_profile("unit", deadline=None, database=None,
                          suppress_health_check=[HealthCheck.too_slow])
settings.register_profile("fuzz", settings.get_profile("unit"), max_examples=2_000)
settings.load_profile("unit")
