# SPDX-License-Identifier: GPL-2.0-or-later
"""Which addresses interfaces have, by netifaces or netifaces2."""

from __future__ import annotations

from mptcp_hooks.base import address
from mptcp_hooks.base.address import InterfaceAddress
from mptcp_hooks.base.libraries import reach_libraries
from mptcp_hooks.base.value import TYPE_CHECKING

reach_libraries()

import netifaces  # noqa: E402

if TYPE_CHECKING:
    from collections.abc import Iterator


def ask_labels() -> list[str]:
    """The names of all interfaces and aliases that have an address, and of all devices."""
    return list(netifaces.interfaces())


def ask_addresses(label: str, families: tuple[int, ...]) -> Iterator[InterfaceAddress]:
    """The addresses of an interface or alias; none of one that is unknown.

    The two libraries differ in the mask's key and in what they say of an unknown interface.
    """
    try:
        found = netifaces.ifaddresses(label)
    except ValueError:
        return
    for family, key in ((4, netifaces.AF_INET), (6, netifaces.AF_INET6)):
        for entry in found.get(key, ()) if family in families else ():
            own = address.normalise(entry["addr"].partition("%")[0])
            mask = entry.get("netmask") or entry["mask"]
            length = address.prefix_length(mask, family)
            peer = entry.get("peer", "") if length == address.BITS[family] else ""
            yield InterfaceAddress(family, own, length, peer if peer != own else "", "")
