# SPDX-License-Identifier: GPL-2.0-or-later
"""Where Debian keeps Python packages; the hooks start without it (`python3 -S`)."""

from __future__ import annotations

import sys

_DISTRIBUTION = "/usr/lib/python3/dist-packages"


def reach_libraries() -> None:
    """Make netifaces and jinja2 importable."""
    if _DISTRIBUTION not in sys.path:
        sys.path.append(_DISTRIBUTION)
