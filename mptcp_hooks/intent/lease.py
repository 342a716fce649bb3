# SPDX-License-Identifier: GPL-2.0-or-later
"""What a DHCP client's environment says of a lease, checked.

dhclient-script(8) and dhcpcd-run-hooks(8) tell their hooks the same in two
dialects. A lease is another machine's word: it is taken whole, or refused whole
and nothing is lost of what stood; of its resolvers alone those count that are right, since no
path depends on them. tests/environments/ holds recordings.
"""

from __future__ import annotations

from mptcp_hooks.base import address
from mptcp_hooks.base.errors import Problem, wrong_value
from mptcp_hooks.base.model import Lease
from mptcp_hooks.base.value import TYPE_CHECKING, NamedTuple
from mptcp_hooks.intent.event import check_name

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

_CURRENT = ("BOUND", "RENEW", "REBIND", "REBOOT", "TIMEOUT", "INFORM", "STATIC")
_ENDED = ("EXPIRE", "FAIL", "RELEASE", "STOP", "STOPPED", "NAK")
# What concerns IPv6, whose gateway and routes are in main, from router advertisements. Of these
# dhcpcd reads the resolvers itself, and then the kernel hears none.
_CURRENT_6 = ("BOUND6", "RENEW6", "REBIND6", "REBOOT6", "INFORM6")
_ENDED_6 = ("EXPIRE6", "RELEASE6", "STOP6")
_ADVERTISED, _STOPPED = "ROUTERADVERT", "STOPPED"
_LOOK_AGAIN = (*_CURRENT_6, *_ENDED_6, "DEPREF6", _ADVERTISED)
# By which word of IPv6's a resolver is named.
DHCP6, ADVERTISEMENT = "dhcp6", "advertisement"
_ROUTES_AT_MOST = 64
_RESOLVERS_AT_MOST = 16
_RESOLVERS, _RESOLVERS_6 = "new_domain_name_servers", "new_dhcp6_name_servers"
# dhcpcd's words for some routers on a link, and some options of each: when it heard a router and
# what time it is, and whom an option names for how long, in seconds.
_ROUTERS = tuple(f"nd{number}" for number in range(1, 5))
_AGES = ("acquired", "now")
_OPTIONS = tuple(f"rdnss{number}" for number in range(1, 5))
_ADVERTISEMENTS = tuple(
    f"{router}_{word}" for router in _ROUTERS for word in (
        *_AGES, *(f"{option}_{word}" for option in _OPTIONS for word in ("servers", "lifetime"))))
# What is read here of a client's environment.
TOLD = ("interface", "reason", "new_ip_address", "new_routers",
        "new_rfc3442_classless_static_routes", "new_classless_static_routes", _RESOLVERS,
        _RESOLVERS_6, *_ADVERTISEMENTS)
# A list has a tenth of it, however it is written; Linux lets a variable have 128 kB.
_TEXT_AT_MOST = 1 << 14


class LeaseEvent(NamedTuple):
    """A lease came, changed or ended (`lease` None). `noted` is False where only IPv6 did.

    `resolvers` are those that a word of IPv6's names now, by that word; of what it says nothing
    of they are what they were.
    """

    iface: str
    lease: Lease | None
    noted: bool
    resolvers: tuple[tuple[str, tuple[str, ...]], ...] = ()


def is_news(environment: Mapping[str, str]) -> bool:
    """Whether a client speaks of more than its own beginnings (PREINIT, CARRIER, ...)."""
    return environment.get("reason") in (*_CURRENT, *_ENDED, *_LOOK_AGAIN)


def read_lease_event(environment: Mapping[str, str]) -> LeaseEvent:
    """What happened to an interface's lease; Problem where a value is not what it must be."""
    iface = read_leased_interface(environment)
    reason = environment["reason"]
    return LeaseEvent(iface, read_lease(iface, environment) if reason in _CURRENT else None,
                      noted=reason not in _LOOK_AGAIN,
                      resolvers=tuple(_list_resolvers_6(reason, environment)))


def read_lease(iface: str, environment: Mapping[str, str]) -> Lease:
    """The lease in new_ip_address, new_routers, the classless static routes and the resolvers.

    With these routes, `routers` does not count (RFC 3442): the gateway is that of
    0.0.0.0/0. Problem (USAGE) names the wrong one.
    """
    own = _read_host(iface, "new_ip_address", _read_text(iface, "new_ip_address", environment))
    routes = _read_routes(iface, own, environment)
    resolvers = _list_resolvers(4, (_RESOLVERS,), environment)
    if routes:
        defaults = [gateway for destination, gateway in routes if destination == "0.0.0.0/0"]
        rest = tuple(route for route in routes if route[0] != "0.0.0.0/0")
        return Lease(own, (defaults or [""])[0], rest, resolvers)
    routers = [_read_router(iface, "new_routers", text, own)
               for text in _read_text(iface, "new_routers", environment).split()]
    return Lease(own, (routers or [""])[0], (), resolvers)


def read_leased_interface(environment: Mapping[str, str]) -> str:
    """The interface that a client speaks of; Problem where its name is none."""
    iface = environment.get("interface", "")
    check_name(iface)
    return iface


def _read_routes(
    iface: str, own: str, environment: Mapping[str, str]
) -> list[tuple[str, str]]:
    for name, split in (("new_rfc3442_classless_static_routes", _split_octets),
                        ("new_classless_static_routes", _split_pairs)):
        text = _read_text(iface, name, environment)
        if text:
            break
    else:
        return []
    try:
        pairs = list(split(text.split()))
    except ValueError:
        raise wrong_value(iface, name, text, "destinations and routers (RFC 3442)") from None
    if len(pairs) > _ROUTES_AT_MOST:
        raise Problem(f"{iface}: {name} has {len(pairs)} routes: {_ROUTES_AT_MOST} at the most")
    routes = {destination: _read_router(iface, name, gateway, own)
              for destination, gateway in pairs}
    for destination in routes:
        if address.is_loopback(destination) or not _is_unicast_subnet(destination):
            raise wrong_value(iface, name, destination, "a destination of unicast addresses")
    return list(routes.items())


def _list_resolvers_6(
    reason: str, environment: Mapping[str, str]
) -> Iterator[tuple[str, tuple[str, ...]]]:
    """What is said of IPv6's resolvers, by whom; dhcpcd that stops says nothing any more."""
    if reason in (*_CURRENT_6, *_ENDED_6, _STOPPED):
        names = (_RESOLVERS_6,) * (reason in _CURRENT_6)
        yield DHCP6, _list_resolvers(6, names, environment)
    if reason in (_ADVERTISED, _STOPPED):
        names = tuple(_list_advertised(environment)) if reason == _ADVERTISED else ()
        yield ADVERTISEMENT, _list_resolvers(6, names, environment)


def _list_advertised(environment: Mapping[str, str]) -> Iterator[str]:
    """The variables that name resolvers for a time that is not over; when it is, dhcpcd says so."""
    for router in _ROUTERS:
        heard, now = (_read_seconds(f"{router}_{word}", environment) for word in _AGES)
        for option in _OPTIONS:
            lifetime = _read_seconds(f"{router}_{option}_lifetime", environment)
            if heard + lifetime > now:
                yield f"{router}_{option}_servers"


def _read_seconds(name: str, environment: Mapping[str, str]) -> int:
    """A number of seconds, 0 where it is none."""
    text = environment.get(name, "")
    return int(text) if text.isascii() and text.isdigit() and len(text) <= 10 else 0


def _list_resolvers(
    family: int, names: tuple[str, ...], environment: Mapping[str, str]
) -> tuple[str, ...]:
    """The resolvers that one route each can lead to; what else there is of the lists is dropped."""
    found: dict[str, None] = {}
    for name in names:
        for word in environment.get(name, "")[:_TEXT_AT_MOST].split():
            try:
                resolver = address.normalise(word)
            except ValueError:
                continue
            if address.family_of(resolver) == family and address.is_remote(resolver):
                found[resolver] = None
    return tuple(found)[:_RESOLVERS_AT_MOST]


def _read_text(iface: str, name: str, environment: Mapping[str, str]) -> str:
    """The text of a variable, '' where there is none; Problem where no server can have sent it."""
    text = environment.get(name, "")
    if len(text) > _TEXT_AT_MOST:
        raise wrong_value(iface, name, text, f"of {_TEXT_AT_MOST} characters at the most")
    return text


def _split_octets(words: list[str]) -> Iterator[tuple[str, str]]:
    """RFC 3442 as dhclient prints it: a length, as many octets as it takes, four of a router."""
    octets = [int(word) for word in words if word.isascii() and word.isdigit() and int(word) < 256]
    if len(octets) != len(words):
        raise ValueError("not octets")
    start = 0
    while start < len(octets):
        length = octets[start]
        router = start + 1 + (length + 7) // 8
        if length > 32 or len(octets) < router + 4:
            raise ValueError("not whole")
        parts = [*octets[start + 1:router], 0, 0, 0, 0][:4]
        start = router + 4
        yield (address.network(".".join(map(str, parts)), length),
               ".".join(map(str, octets[router:start])))


def _split_pairs(words: list[str]) -> Iterator[tuple[str, str]]:
    """The same as dhcpcd prints it: subnet and router, subnet and router."""
    if len(words) % 2:
        raise ValueError("not pairs")
    for subnet, gateway in zip(words[::2], words[1::2]):
        base, _, length = subnet.partition("/")
        own = address.normalise(base)
        if address.family_of(own) != 4:
            raise ValueError("not IPv4")
        yield address.network(own, address.prefix_length(length, 4)), gateway


def _read_router(iface: str, name: str, text: str, own: str) -> str:
    """A router's address; '' for 0.0.0.0, which says that the destination is on the link."""
    if text == "0.0.0.0":
        return ""
    router = _read_host(iface, name, text)
    if router == own:
        raise wrong_value(iface, name, text, "the router's address, not the lease's own")
    return router


def _read_host(iface: str, name: str, text: str) -> str:
    allowed = "an IPv4 address that one host can have"
    try:
        host = address.normalise(text)
    except ValueError:
        raise wrong_value(iface, name, text, allowed) from None
    if address.family_of(host) != 4 or not address.is_unicast(host) or address.is_loopback(host):
        raise wrong_value(iface, name, text, allowed)
    return host


def _is_unicast_subnet(subnet: str) -> bool:
    base, _, length = subnet.partition("/")
    return length == "0" or base.startswith("0.") or address.is_unicast(base)
