# SPDX-License-Identifier: GPL-2.0-or-later
"""How long to wait with what was of no use before. Pure."""

from __future__ import annotations

# A float has no room for the thousand doublings of some days.
_DOUBLED_AT_MOST = 30


def lengthen(first: float, times: int, most: float) -> float:
    """`first` seconds, doubled for each of so many times, and `most` at the most."""
    return min(first * float(1 << min(times, _DOUBLED_AT_MOST)), most)
