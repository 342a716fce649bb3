# SPDX-License-Identifier: GPL-2.0-or-later
"""mptcp_status --watch --json: a look each second, each a line of JSON."""

from __future__ import annotations

import json
import sys
from time import monotonic, sleep

from mptcp_hooks.base.value import TYPE_CHECKING
from mptcp_hooks.status.looks import measure_rates

if TYPE_CHECKING:
    from collections.abc import Callable

    from mptcp_hooks.status.looks import ConnectionsLook, PathsLook, Rates

    Look = PathsLook | ConnectionsLook

_PERIOD = 1.0


def stream(take_look: Callable[[], Look], look: Look) -> int:
    """Write looks until interrupted, the first of them `look`; the status is the last one's."""
    try:
        rates: Rates = {}
        while True:
            print(json.dumps({**look.describe(), "rates": _describe_rates(rates)},
                             separators=(",", ":")))
            sys.stdout.flush()
            sleep(max(0.0, look.moment + _PERIOD - monotonic()))
            before, look = look, take_look()
            rates = measure_rates(before, look)
    except KeyboardInterrupt:
        return look.status


def _describe_rates(rates: Rates) -> list[dict[str, object]]:
    """What each device carried since the line before, in bytes per second; none in the first."""
    return [{"device": name, "sent": round(rate.sent / 8), "received": round(rate.received / 8)}
            for name, rate in rates.items()]
