# SPDX-License-Identifier: GPL-2.0-or-later
"""The kernel's MPTCP counters, and the state that it ends when it is told to (net/mptcp/ctrl.c)."""

from __future__ import annotations

from errno import ENOPROTOOPT, EOPNOTSUPP
from socket import AF_INET, SOCK_STREAM, socket

from mptcp_hooks.base.errors import Problem
from mptcp_hooks.base.text import read_number
from mptcp_hooks.base.textfile import read_text
from mptcp_hooks.base.value import TYPE_CHECKING
from mptcp_hooks.machine.sockets import IPPROTO_MPTCP

if TYPE_CHECKING:
    from collections.abc import Mapping

COUNTERS = "/proc/net/netstat"
BLACKHOLE_TIMEOUT = "/proc/sys/net/mptcp/blackhole_timeout"
_PREFIX = "MPTcpExt:"
# include/linux/socket.h and include/uapi/linux/mptcp.h.
_SOL_MPTCP, _MPTCP_INFO, _SIZE_AT_MOST = 284, 1, 256
_CONNECTED_WITHIN = 1.0


def read_counters(text: str) -> dict[str, int]:
    """The MPTCP counters in /proc/net/netstat; none where the kernel has no MPTCP.

    Two lines, names and values in the same order.
    """
    lines = [line.split()[1:] for line in text.splitlines() if line.startswith(_PREFIX)]
    if len(lines) != 2:
        return {}
    known = {name: read_number(value) for name, value in zip(*lines)}
    return {name: number for name, number in known.items() if number is not None}


def read_mptcp_counters() -> Mapping[str, int]:
    """The counters as they are now."""
    return read_counters(read_text(COUNTERS))


def read_blackhole_timeout() -> int:
    """For how many seconds a blackhole turns MPTCP off at first; 0 where the kernel never does."""
    return read_number(read_text(BLACKHOLE_TIMEOUT).strip()) or 0


def is_mptcp_off() -> bool:
    """Whether the kernel makes new connections plain TCP by itself: one within the machine tells.

    Nothing leaves it. False as well where there can be no such connection.
    """
    try:
        with socket(AF_INET, SOCK_STREAM, IPPROTO_MPTCP) as listening, \
                socket(AF_INET, SOCK_STREAM, IPPROTO_MPTCP) as asking:
            listening.bind(("127.0.0.1", 0))
            listening.listen(1)
            asking.settimeout(_CONNECTED_WITHIN)
            asking.connect(listening.getsockname())
            asking.getsockopt(_SOL_MPTCP, _MPTCP_INFO, _SIZE_AT_MOST)
    except OSError as error:
        return error.errno in (EOPNOTSUPP, ENOPROTOOPT)
    return False


def end_blackhole() -> None:
    """Have the kernel use MPTCP again for new connections, by writing the same value.

    Problem where the sysctl may not be written.
    """
    timeout = read_blackhole_timeout()
    if not timeout:
        raise Problem(f"{BLACKHOLE_TIMEOUT} cannot be read: it stays as it is")
    try:
        with open(BLACKHOLE_TIMEOUT, "w", encoding="ascii") as file:
            file.write(f"{timeout}\n")
    except OSError as error:
        raise Problem(f"cannot write {BLACKHOLE_TIMEOUT}: {error.strerror}: let who may write it "
                      f"run 'sysctl -w net.mptcp.blackhole_timeout={timeout}'") from None
