# SPDX-License-Identifier: GPL-2.0-or-later
"""How much a peer may send first, as a table's default has it: RTAX_INITRWND, ip-route(8)."""

from __future__ import annotations

from struct import Struct

from mptcp_hooks.machine.netlink import ROUTE, dump_routes, read_attributes

# linux/rtnetlink.h
_RTA_DST, _RTA_METRICS, _RTAX_INITRWND = 1, 8, 14
_U32 = Struct("=I")


def read_first_window(family: int, table: int) -> int:
    """In packets; 0 where the table's default does not say it, or there is none."""
    for message in dump_routes(family, table):
        said = read_attributes(message, ROUTE.size)
        if _RTA_DST in said:
            continue
        window = read_attributes(said.get(_RTA_METRICS, b""), 0).get(_RTAX_INITRWND, b"")
        if len(window) == _U32.size:
            return int(_U32.unpack(window)[0])
    return 0
