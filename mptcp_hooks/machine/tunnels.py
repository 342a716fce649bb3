# SPDX-License-Identifier: GPL-2.0-or-later
"""What is a tunnel, and whether what is bound to nothing leaves by one. Changes nothing."""

from __future__ import annotations

from _socket import if_indextoname, if_nametoindex
from struct import Struct

from mptcp_hooks.base.address import ELSEWHERE
from mptcp_hooks.base.value import TYPE_CHECKING
from mptcp_hooks.machine.netlink import (
    NETLINK_ROUTE,
    Conversation,
    Refused,
    find_exit,
    read_attributes,
)

if TYPE_CHECKING:
    from collections.abc import Container

# rtnetlink(7), include/uapi/linux/if_link.h.
_RTM_GETLINK, _IFLA_LINKINFO, _IFLA_INFO_KIND = 18, 18, 1
_LINK = Struct("=BxHiII")
# What a tunnel's link kind may be, as ip-link(8) names it; tap devices are of the kind tun, and
# OpenVPN's in the kernel of the next two.
_KINDS = {b"tun", b"ovpn", b"ovpn-dco", b"wireguard", b"xfrm", b"vti", b"vti6", b"gre", b"gretap",
          b"ip6gre", b"ip6gretap", b"ipip", b"ip6tnl", b"sit", b"ppp"}


def find_tunnel(family: int, uplinks: Container[int]) -> str | None:
    """The tunnel that what is bound to nothing leaves by; '' for none, None where nothing leaves.

    It is asked for addresses that nobody has. What is one of the `uplinks` (ifindexes) is no
    tunnel, of whatever kind it is.
    """
    exits = {find_exit(family, one) for one in ELSEWHERE[family]} - {0}
    if not exits:
        return None
    return min((_find_name(one) for one in exits if one not in uplinks and _is_tunnel(one)),
               default="")


def is_tunnel(device: str) -> bool:
    """Whether a device is of a kind that VPNs and pppd make; not one that is not there."""
    try:
        ifindex = if_nametoindex(device)
    except OSError:
        return False
    return _is_tunnel(ifindex)


def _is_tunnel(ifindex: int) -> bool:
    request = _LINK.pack(0, 0, ifindex, 0, 0)
    with Conversation(NETLINK_ROUTE) as kernel:
        try:
            answer = kernel.ask_one(_RTM_GETLINK, request)
        except Refused:
            # It has just gone.
            return False
    info = read_attributes(answer, _LINK.size).get(_IFLA_LINKINFO, b"")
    return read_attributes(info, 0).get(_IFLA_INFO_KIND, b"").rstrip(b"\0") in _KINDS


def _find_name(ifindex: int) -> str:
    try:
        return if_indextoname(ifindex)
    except OSError:
        return str(ifindex)
