# SPDX-License-Identifier: GPL-2.0-or-later
"""What the administrator has checked of a path: whom to ask, how often, and when it has failed.

A machine where nobody asks for a check does not load this module.
"""

from __future__ import annotations

from mptcp_hooks.base import address
from mptcp_hooks.base.errors import wrong_value
from mptcp_hooks.base.value import NamedTuple
from mptcp_hooks.intent.event import split_list

GATEWAY, ECHO, TCP = "gateway", "echo", "tcp"
OFF = "off"
INTERVAL, FAILURES = 5, 3
_INTERVAL_AT_MOST, _FAILURES_AT_MOST = 3600, 100
# Each of them is asked at once, with a socket of its own.
_TARGETS_AT_MOST = 8
_PORT_LARGEST = 65535
_ALLOWED = "gateway, an address, tcp:ADDRESS:PORT or tcp:[ADDRESS]:PORT, or off alone"


class Target(NamedTuple):
    """Whom to ask: the path's GATEWAY or an address by ECHO (ICMP), or a port by TCP."""

    kind: str
    address: str = ""
    port: int = 0

    @property
    def name(self) -> str:
        """The target as people write it."""
        if self.kind == TCP:
            host = f"[{self.address}]" if address.family_of(self.address) == 6 else self.address
            return f"tcp:{host}:{self.port}"
        return self.address or self.kind

    def fits(self, family: int) -> bool:
        """Whether a path of that family can ask it."""
        return self.kind == GATEWAY or address.family_of(self.address) == family


class Check(NamedTuple):
    """A path's check: it asks its targets every `interval` seconds, and one answer is enough.

    After so many `failures` in a row it has failed. What it asks of the other family is
    no matter of the path's.
    """

    targets: tuple[Target, ...]
    interval: int = INTERVAL
    failures: int = FAILURES


def make_check(
    targets: tuple[Target, ...], interval: int | None, failures: int | None
) -> Check | None:
    """The check of what was said; None where there is nobody to ask."""
    return Check(targets, interval or INTERVAL, failures or FAILURES) if targets else None


def read_targets(where: str, option: str, text: str) -> tuple[Target, ...]:
    """Whom to ask, nobody where it is `off`; Problem (USAGE) names the option otherwise."""
    words = split_list(text)
    if words == [OFF]:
        return ()
    if not words:
        raise wrong_value(where, option, text, _ALLOWED)
    if len(words) > _TARGETS_AT_MOST:
        raise wrong_value(where, option, text, f"{_TARGETS_AT_MOST} targets at the most")
    return tuple(dict.fromkeys(_read_target(where, option, word) for word in words))


def read_own_targets(
    where: str, option: str, text: str, families: tuple[int, ...]
) -> tuple[Target, ...]:
    """As read_targets, for a stanza of these families, one of which must have a target."""
    targets = read_targets(where, option, text)
    if targets and not any(target.fits(family) for target in targets for family in families):
        of = " or ".join(f"IPv{family}" for family in families)
        raise wrong_value(where, option, text, f"of the stanza's family, {of}")
    return targets


def read_interval(where: str, option: str, text: str) -> int:
    """How many seconds are from one question to the next; Problem (USAGE) names the option."""
    return _read_number(where, option, text, _INTERVAL_AT_MOST, " of seconds")


def read_failures(where: str, option: str, text: str) -> int:
    """How many failures are a failed check; Problem (USAGE) names the option."""
    return _read_number(where, option, text, _FAILURES_AT_MOST, "")


def _read_target(where: str, option: str, word: str) -> Target:
    if word == GATEWAY:
        return Target(GATEWAY)
    if word.startswith(f"{TCP}:"):
        host, _, port = word.removeprefix(f"{TCP}:").rpartition(":")
        return Target(TCP, _read_host(where, option, word, host),
                      _read_port(where, option, word, port))
    return Target(ECHO, _read_address(where, option, word, word))


def _read_host(where: str, option: str, word: str, host: str) -> str:
    """The address before a port; one of IPv6 has colons itself, and stands in brackets."""
    bracketed = host.startswith("[") and host.endswith("]")
    text = host[1:-1] if bracketed else host
    if bracketed != (address.family_of(text) == 6):
        raise wrong_value(where, option, word, _ALLOWED)
    return _read_address(where, option, word, text)


def _read_address(where: str, option: str, word: str, text: str) -> str:
    try:
        normal = address.normalise(text)
    except ValueError:
        raise wrong_value(where, option, word, _ALLOWED) from None
    if not address.is_unicast(normal) or address.is_loopback(normal):
        raise wrong_value(where, option, word, "an address that another host can have")
    return normal


def _read_port(where: str, option: str, word: str, text: str) -> int:
    number = _parse_number(text)
    if not 1 <= number <= _PORT_LARGEST:
        raise wrong_value(where, option, word, f"with a port from 1 to {_PORT_LARGEST}")
    return number


def _read_number(where: str, option: str, text: str, at_most: int, unit: str) -> int:
    number = _parse_number(text.strip())
    if not 1 <= number <= at_most:
        raise wrong_value(where, option, text, f"a number{unit} from 1 to {at_most}")
    return number


def _parse_number(text: str) -> int:
    """A number of a few digits, 0 where it is none."""
    return int(text) if text.isascii() and text.isdigit() and len(text) <= 5 else 0
