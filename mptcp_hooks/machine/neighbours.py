# SPDX-License-Identifier: GPL-2.0-or-later
"""The kernel's neighbour entry of a gateway: whether that answered, and how it is asked.

Reads over netlink; what asks anew are lines of `ip neigh`, which `line.find_neighbour_fault`
lets through and nothing else does. Formats: include/uapi/linux/neighbour.h; how long what
lasts: Documentation/networking/ip-sysctl.rst, neigh/default/*.
"""

from __future__ import annotations

from socket import AF_INET, AF_INET6, inet_pton
from struct import Struct

from mptcp_hooks.base.address import family_of
from mptcp_hooks.base.value import NamedTuple
from mptcp_hooks.machine.netlink import (
    ENODEV,
    ENOENT,
    NETLINK_ROUTE,
    Conversation,
    Refused,
    make_attribute,
    read_attributes,
)

RTM_NEWNEIGH, _RTM_GETNEIGH = 28, 30
_NDA_DST, _NDA_LLADDR = 1, 2
# struct ndmsg: family, ifindex, state, flags, type.
NEIGHBOUR = Struct("=BxxxiHBB")
_INCOMPLETE, _REACHABLE, _STALE, _DELAY, _PROBE, _FAILED = 0x01, 0x02, 0x04, 0x08, 0x10, 0x20
_NOARP, _PERMANENT = 0x40, 0x80
# The gateway has answered, or spoken first; or the link needs no answer. With the carrier the
# kernel forgets all that it learned before (net/core/neighbour.c, neigh_carrier_down).
_ANSWERED = _REACHABLE | _STALE | _DELAY | _PROBE | _NOARP | _PERMANENT
_FAILING = _INCOMPLETE | _FAILED


def has_answered(state: int) -> bool:
    """Whether a neighbour in that state (NUD_*) has answered."""
    return bool(state & _ANSWERED)


def is_failing(state: int) -> bool:
    """Whether the kernel asks a neighbour in vain: what is sent to it waits, and is dropped."""
    return bool(state & _FAILING)


def has_proved(state: int) -> bool:
    """Whether a neighbour has answered a question; one that speaks may not hear."""
    return bool(state & (_REACHABLE | _NOARP | _PERMANENT))


def has_failed(state: int) -> bool:
    """Whether the kernel asked a neighbour and got no answer, to the end."""
    return bool(state & _FAILED)


class Entry(NamedTuple):
    """The kernel's entry of a gateway: its state (NUD_*), and its link address, '' for none."""

    state: int
    link_address: str


_NO_ENTRY = Entry(0, "")


def read_entry(gateway: str, ifindex: int) -> Entry:
    """What the kernel has of a gateway on a device; Problem where it does not say.

    Where there is no such device, it has nothing.
    """
    if not ifindex:
        return _NO_ENTRY
    family = AF_INET6 if family_of(gateway) == 6 else AF_INET
    request = NEIGHBOUR.pack(family, ifindex, 0, 0, 0)
    request += make_attribute(_NDA_DST, inet_pton(family, gateway))
    with Conversation(NETLINK_ROUTE) as kernel:
        try:
            answer = kernel.ask_one(_RTM_GETNEIGH, request)
        except Refused as refused:
            if refused.number not in (ENOENT, ENODEV):
                raise refused.problem(f"the neighbour {gateway}") from None
            return _NO_ENTRY
    link_address = read_attributes(answer, NEIGHBOUR.size).get(_NDA_LLADDR, b"")
    return Entry(read_message(answer)[1], ":".join(f"{byte:02x}" for byte in link_address))


def read_message(message: bytes) -> tuple[int, int]:
    """The ifindex and the state that a message tells of; 0 and 0 where it is none."""
    if len(message) < NEIGHBOUR.size:
        return 0, 0
    _, ifindex, state, _, _ = NEIGHBOUR.unpack_from(message)
    return ifindex, state


def is_unsure(state: int) -> bool:
    """Whether somebody sends to a neighbour that did not answer lately, and waits for that."""
    return bool(state & _DELAY)


def is_known(state: int) -> bool:
    """Whether the kernel would send to a neighbour without asking for it, and may be wrong."""
    return bool(state & (_REACHABLE | _STALE | _DELAY | _PROBE))


def build_oblivion(gateway: str, device: str) -> str:
    """The line that has the kernel forget a gateway's entry, and what waits behind it."""
    return f"ip -{family_of(gateway)} neigh del {gateway} dev {device}"


def build_probe(gateway: str, device: str, link_address: str) -> str:
    """The line that has the kernel prove at once that a gateway is still there.

    It fails after three questions, a second between them; left alone the kernel may take 53 s to
    find that out (net/core/neighbour.c, neigh_timer_handler).
    """
    return (f"ip -{family_of(gateway)} neigh replace {gateway} lladdr {link_address} dev {device} "
            "nud probe")


def build_question(gateway: str, device: str) -> str:
    """The line that has the kernel ask a gateway at once: three times, a second between them."""
    return f"ip -{family_of(gateway)} neigh replace {gateway} dev {device} use"
