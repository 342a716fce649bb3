# SPDX-License-Identifier: GPL-2.0-or-later
"""The further names of devices, as `ip link property add dev eth0 altname enp3s0` gives them."""

from __future__ import annotations

from mptcp_hooks.base.value import TYPE_CHECKING
from mptcp_hooks.machine.netlink import (
    NETLINK_ROUTE,
    NLM_F_DUMP,
    Conversation,
    Refused,
    list_attributes,
    make_attribute,
    read_attributes,
)

if TYPE_CHECKING:
    from struct import Struct
else:
    from _struct import Struct

# include/uapi/linux/rtnetlink.h, if_link.h; without counters an answer is a third as long.
_RTM_GETLINK = 18
_LINK = Struct("=BxHiII")
_IFLA_IFNAME, _IFLA_EXT_MASK, _IFLA_PROP_LIST, _IFLA_ALT_IFNAME = 3, 29, 52, 53
_RTEXT_FILTER_SKIP_STATS = Struct("=I").pack(8)


def list_altnames() -> tuple[tuple[str, ...], ...]:
    """The names of each device that has more than one, its own first."""
    request = _LINK.pack(0, 0, 0, 0, 0)
    request += make_attribute(_IFLA_EXT_MASK, _RTEXT_FILTER_SKIP_STATS)
    with Conversation(NETLINK_ROUTE) as kernel:
        try:
            links = kernel.ask(_RTM_GETLINK, request, NLM_F_DUMP)
        except Refused as refused:
            raise refused.problem("the names of devices") from None
    return tuple(names for names in map(_read_names, links) if len(names) > 1)


def _read_names(link: bytes) -> tuple[str, ...]:
    said = read_attributes(link, _LINK.size)
    further = [value for kind, value in list_attributes(said.get(_IFLA_PROP_LIST, b""), 0)
               if kind == _IFLA_ALT_IFNAME]
    return tuple(name.rstrip(b"\0").decode("utf-8", "surrogateescape")
                 for name in (said.get(_IFLA_IFNAME, b""), *further))
