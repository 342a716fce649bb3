# SPDX-License-Identifier: GPL-2.0-or-later
"""What pppd says of its links: /etc/ppp/ip-up.d, ip-down.d, ipv6-up.d and ipv6-down.d.

Debian's /etc/ppp/ip-up hands on what pppd(8) passes, the interface by its real
name. Addresses are the kernel's to tell: a link has one peer, and IPv6's global
addresses come later.
"""

from __future__ import annotations

from mptcp_hooks.base.errors import wrong_value
from mptcp_hooks.base.value import TYPE_CHECKING
from mptcp_hooks.intent.event import check_name

if TYPE_CHECKING:
    from collections.abc import Mapping


# Where Linux has the other ends of pseudo terminals, pts(4).
_PSEUDO = "/dev/pts/"
_NAMES = "ppp"


def is_like_vpn(environment: Mapping[str, str]) -> bool:
    """Whether pppd speaks over another program, or over a socket, as VPNs have it.

    A modem is a terminal, and PPPoE by pppd's own plugin is the name of its device. PPTP, SSTP and
    openfortivpn give pppd a pseudo terminal, L2TP may give it a socket, which has no name.
    """
    tty = environment.get("PPP_TTY")
    return tty is not None and (not tty or tty.startswith(_PSEUDO))


def is_its_name(device: str) -> bool:
    """Whether pppd calls its devices so, where no option of it gives another name (pppd(8))."""
    return device.startswith(_NAMES)


def find_name(options: str) -> str:
    """The name that a file of options gives the link, by pppd's `ifname`; '' where by none."""
    words = [line.partition("#")[0].split() for line in options.splitlines()]
    names = [line[1] for line in words if len(line) > 1 and line[0] == "ifname"]
    return names[-1] if names else ""


def read_interface(environment: Mapping[str, str]) -> str:
    """The interface that pppd speaks of; Problem where its name is none."""
    iface = environment.get("PPP_IFACE", "")
    check_name(iface)
    if iface == "lo":
        raise wrong_value(iface, "PPP_IFACE", iface, "the device that pppd made")
    return iface
