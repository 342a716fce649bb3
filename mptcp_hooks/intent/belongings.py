# SPDX-License-Identifier: GPL-2.0-or-later
"""What belongs to an uplink besides its own address: marks, further sources, announced addresses.

A machine where nobody names any does not load this module.
"""

from __future__ import annotations

from mptcp_hooks.base import address
from mptcp_hooks.base.errors import Problem, wrong_value
from mptcp_hooks.base.mark import ALL_BITS, format_mark, parse_mark
from mptcp_hooks.base.numbering import SUPPRESSED_LENGTHS
from mptcp_hooks.base.value import TYPE_CHECKING
from mptcp_hooks.intent.event import split_list

if TYPE_CHECKING:
    from collections.abc import Callable

    from mptcp_hooks.intent.event import Event

OFF = "off"
MARK, SOURCES, ANNOUNCE = "mptcp-mark", "mptcp-sources", "mptcp-announce"
_SOURCES_AT_MOST = 64
# One of the eight endpoints that the kernel has is the uplink's own.
_ANNOUNCED_AT_MOST = 7
# Whose bits of marks these are: of Tailscale (util/linuxfw), of kube-proxy (masquerade and
# drop); wg-quick asks for all bits of its own.
_BITS_OF_OTHERS = (("Tailscale", 0xFF0000), ("Kubernetes", 0xC000))
_WG_QUICKS = 0xCA6C


def read_own(
    event: Event, said: dict[str, str]
) -> tuple[str, tuple[str, ...], tuple[str, ...]]:
    """A stanza's mark, sources and announced addresses, empty where it says nothing of them.

    Problem (USAGE) tells which of its options is wrong.
    """
    return (read_mark(event.iface, MARK, said[MARK]) if MARK in said else "",
            _read_own(event, SOURCES, said, read_sources),
            _read_own(event, ANNOUNCE, said, read_announced))


def read_mark(where: str, option: str, text: str) -> str:
    """A mark as `N` or `N/MASK`, '' where it is `off`; Problem (USAGE) names the option."""
    word = text.strip()
    if word == OFF:
        return ""
    try:
        number, mask = parse_mark(word)
    except ValueError:
        raise wrong_value(where, option, text, "N or N/MASK, of 32 bits each, or off") from None
    if number == 0:
        raise wrong_value(where, option, text, "another number than 0, which all has that "
                          "nobody marked")
    if number & ~mask:
        raise wrong_value(where, option, text, "a number within its mask, as 0x100/0xff00 is")
    return format_mark(number, mask)


def read_sources(where: str, option: str, text: str) -> tuple[str, ...]:
    """Subnets, none where it is `off`; Problem (USAGE) names the option."""
    return _read_words(where, option, text, _SOURCES_AT_MOST, _read_subnet)


def read_announced(where: str, option: str, text: str) -> tuple[str, ...]:
    """Addresses that peers hear of, none where it is `off`; Problem (USAGE) names the option."""
    return _read_words(where, option, text, _ANNOUNCED_AT_MOST, _read_announced)


def judge_mark(mark: str) -> list[str]:
    """Who else is known to use a mark, or bits of its mask, in words."""
    number, mask = parse_mark(mark)
    bits = number if mask == ALL_BITS else mask
    return [*(f"{who} uses {used:#x} of all marks" for who, used in _BITS_OF_OTHERS if bits & used),
            *["wg-quick gives it to what WireGuard sends"] * (_WG_QUICKS & mask == number)]


def tell_users(where: str, mark: str) -> list[str]:
    """What is to be said of a mark that stands at `where`, and is known to be others'."""
    return [f"{where}: {user}: take another one where that is on this machine"
            for user in judge_mark(mark)]


def _read_own(
    event: Event, option: str, said: dict[str, str],
    read: Callable[[str, str, str], tuple[str, ...]],
) -> tuple[str, ...]:
    """As `read` has it, of a stanza, whose family each must be of."""
    found = read(event.iface, option, said[option]) if option in said else ()
    for one in found:
        if address.family_of(one) not in event.families:
            (family,) = event.families
            raise wrong_value(event.iface, option, one, f"of the stanza's family, IPv{family}")
        if option == ANNOUNCE and one in [own.address for own in event.addresses]:
            raise tell_own(event.iface, one)
    return found


def tell_own(iface: str, announced: str) -> Problem:
    """The Problem of an address that is to be announced, and is the machine's own."""
    return wrong_value(iface, ANNOUNCE, announced, "an address that somebody on the way maps to "
                       "the interface's, not one that this machine has")


def _read_words(
    where: str, option: str, text: str, at_most: int, read: Callable[[str, str, str], str]
) -> tuple[str, ...]:
    words = split_list(text)
    if words == [OFF]:
        return ()
    found = tuple(dict.fromkeys(read(where, option, word) for word in words))
    if not found or len(found) > at_most:
        raise wrong_value(where, option, text, f"one to {at_most} of them, or off alone")
    return found


def _read_subnet(where: str, option: str, word: str) -> str:
    host, slash, length = word.partition("/")
    try:
        base = address.normalise(host)
        family = address.family_of(base)
        bits = address.prefix_length(length, family) if slash else address.BITS[family]
    except ValueError:
        raise wrong_value(where, option, word, "a subnet such as 10.1.2.0/24, or off") from None
    subnet = address.network(base, bits)
    if bits <= SUPPRESSED_LENGTHS[family]:
        raise wrong_value(where, option, word, "a subnet, and not as good as all addresses")
    if subnet != f"{base}/{bits}":
        raise wrong_value(where, option, word, f"a subnet, as {subnet} is")
    if not address.is_remote(base):
        raise wrong_value(where, option, word, "a subnet of addresses that hosts can have")
    return subnet


def _read_announced(where: str, option: str, word: str) -> str:
    try:
        normal = address.normalise(word)
    except ValueError:
        raise wrong_value(where, option, word, "an IPv4 or IPv6 address, or off") from None
    if not address.is_remote(normal):
        raise wrong_value(where, option, word, "an address that peers can connect to")
    return normal
