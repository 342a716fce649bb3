# SPDX-License-Identifier: GPL-2.0-or-later
"""How hypothesis tries: no clock decides about a test, and nothing is left in the tree."""

from __future__ import annotations

from hypothesis import HealthCheck, settings

settings.register_profile("unit", deadline=None, database=None,
                          suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("unit")
