# SPDX-License-Identifier: GPL-2.0-or-later
"""What a network manager's environment says, as one checked Event.

ifupdown (interfaces(5), "HOOK SCRIPTS"), ifupdown2, ifupdown-ng and
NetworkManager's 01-ifupdown speak dialects of the same environment; nothing
behind this module reads one. docs/managers.md shows them.
"""

from __future__ import annotations

from mptcp_hooks.base import address
from mptcp_hooks.base.address import InterfaceAddress
from mptcp_hooks.base.errors import Problem, wrong_value
from mptcp_hooks.base.value import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

NAME_LONGEST = 15  # IFNAMSIZ less its final zero
NAME_CHARACTERS = frozenset(
    "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_-.:@+"
)
# The METHOD of what we tell ourselves of an interface that pppd or the configuration names.
PPPD, MANAGED = "pppd", "manage"
# Those of a stanza which configures nothing by itself, and of one for pppd.
MANUAL, PPP = "manual", "ppp"
# Its addresses are stated, and change without another word.
NETWORKMANAGER = "NetworkManager"
_OPTIONS = "IF_MPTCP"
_ADDRFAMS = {"inet": 4, "inet6": 6}
_TOLD = ("IFACE", "ADDRFAM", "METHOD", "IF_ADDRESS", "IF_ADDRESSES", "IF_NETMASK",
         "IF_GATEWAY", "IF_GATEWAYS", "IF_POINTOPOINT", "IF_DNS_NAMESERVERS",
         "IF_DNS_NAMESERVER")
_TOLD_BY_NETWORKMANAGER = ("IP4_ADDRESS_", "IP6_ADDRESS_", "IP4_GATEWAY", "IP6_GATEWAY")


class Event(NamedTuple):
    """An interface came up. `addresses` is empty where the manager states none (dhcp, auto)."""

    iface: str
    device: str
    families: tuple[int, ...]
    addresses: tuple[InterfaceAddress, ...]
    options: tuple[tuple[str, str], ...]
    told: tuple[str, ...]


def read_event(environment: Mapping[str, str]) -> Event | None:
    """The event of an environment; None where it is about no single interface of ours.

    Raises Problem (USAGE) that names the interface and the option where a value
    is not what it must be.
    """
    iface = environment.get("IFACE", "")
    families = _read_families(environment.get("ADDRFAM", ""))
    if iface in ("--all", "lo") or environment.get("METHOD") == "loopback" or not families:
        return None
    check_name(iface)
    return Event(
        iface=iface,
        device=iface.partition(":")[0],
        families=families,
        # A list may name an address twice.
        addresses=tuple(dict.fromkeys(_read_addresses(iface, families, environment))),
        options=tuple(_read_options(environment)),
        told=tuple(sorted(f"{name}={value}" for name, value in environment.items()
                          if value and _is_worth_keeping(name))),
    )


def announce(iface: str, family: int, method: str) -> Event:
    """The event of an interface that no stanza describes; `method` is PPPD or MANAGED."""
    (word,) = (word for word, known in _ADDRFAMS.items() if known == family)
    return recall_event((f"IFACE={iface}", f"ADDRFAM={word}", f"METHOD={method}", "IF_MPTCP=yes"))


def recall_event(told: tuple[str, ...]) -> Event:
    """The event that was recorded as `told`."""
    event = read_event(dict(line.split("=", 1) for line in told))
    if event is None:
        raise Problem("the record tells of no interface")
    return event


def method_of(told: tuple[str, ...]) -> str:
    """The METHOD of what was told, '' where it had none."""
    return next((line[7:] for line in told if line.startswith("METHOD=")), "")


def split_list(text: str) -> list[str]:
    """The words of a value that is a list: blanks, lines or commas separate them."""
    return text.replace(",", " ").split()


def is_of_stanza(told: tuple[str, ...]) -> bool:
    """Whether it was told of a stanza, and not by NetworkManager, pppd or the configuration."""
    return method_of(told) not in (NETWORKMANAGER, PPPD, MANAGED)


def check_name(iface: str) -> None:
    """Raise Problem unless `iface` can name an interface or an alias such as eth0:1."""
    if not 0 < len(iface) <= NAME_LONGEST:
        raise wrong_value(iface or "''", "IFACE", iface, "a name of 1 to 15 characters")
    if not NAME_CHARACTERS.issuperset(iface) or iface[0] in "-.:":
        raise wrong_value(iface, "IFACE", iface, "a name of letters, digits and _ - . : @ +")


def _read_families(text: str) -> tuple[int, ...]:
    if not text:
        return (4, 6)
    return tuple(_ADDRFAMS[word] for word in text.split(",") if word in _ADDRFAMS)


def _read_addresses(
    iface: str, families: tuple[int, ...], environment: Mapping[str, str]
) -> Iterator[InterfaceAddress]:
    if environment.get("METHOD") == NETWORKMANAGER:
        yield from _read_networkmanager(iface, families, environment)
        return
    single = environment.get("IF_ADDRESS", "")
    texts = environment.get("IF_ADDRESSES", "").split() or [single] * bool(single)
    gateways = _read_gateways(iface, environment)
    for text in texts:
        stated = _read_one(iface, text, environment)
        if stated.family not in families:
            raise wrong_value(iface, "address", text, "an address of the stanza's family")
        yield _with_gateway(iface, stated, gateways, bool(environment.get("ADDRFAM")))


def _read_networkmanager(
    iface: str, families: tuple[int, ...], environment: Mapping[str, str]
) -> Iterator[InterfaceAddress]:
    for family in families:
        gateway = environment.get(f"IP{family}_GATEWAY", "")
        for number in range(_read_count(iface, family, environment)):
            text = environment.get(f"IP{family}_ADDRESS_{number}", "").partition(" ")[0]
            stated = _read_one(iface, text, {})
            usable = gateway not in ("", "0.0.0.0", "::")
            gateways = [_read_address(iface, "gateway", gateway)] if usable else []
            yield _with_gateway(iface, stated, gateways, True)


def _read_count(iface: str, family: int, environment: Mapping[str, str]) -> int:
    name = f"IP{family}_NUM_ADDRESSES"
    text = environment.get(name) or "0"
    if not (text.isascii() and text.isdigit() and len(text) <= 3):
        raise wrong_value(iface, name, text, "a number of addresses")
    return int(text)


def _read_one(iface: str, text: str, environment: Mapping[str, str]) -> InterfaceAddress:
    host, _, length = text.partition("/")
    own = _read_address(iface, "address", host)
    family = address.family_of(own)
    mask = length or environment.get("IF_NETMASK", "")
    peer = environment.get("IF_POINTOPOINT", "")
    if peer:
        peer = _read_address(iface, "pointopoint", peer)
        if address.family_of(peer) != family or peer == own:
            raise wrong_value(iface, "pointopoint", peer, f"the other end's IPv{family} address")
    return InterfaceAddress(
        family=family,
        address=own,
        length=_read_length(iface, own, mask, "32" if peer and family == 4 else ""),
        peer=peer,
        gateway="",
    )


def _read_length(iface: str, own: str, mask: str, usual: str) -> int:
    family = address.family_of(own)
    if not mask and not usual:
        return address.class_length(own) if family == 4 else 64
    try:
        return address.prefix_length(mask or usual, family)
    except ValueError:
        allowed = "a length (24) or a mask (255.255.255.0)" if family == 4 else "a length (64)"
        raise wrong_value(iface, "netmask", mask, allowed) from None


def _read_gateways(iface: str, environment: Mapping[str, str]) -> list[str]:
    listed = environment.get("IF_GATEWAYS", "").split()
    single = environment.get("IF_GATEWAY", "")
    texts = listed or [single] * bool(single)
    return [read_gateway(iface, "gateway", text) for text in texts]


def _with_gateway(
    iface: str, stated: InterfaceAddress, gateways: list[str], strict: bool
) -> InterfaceAddress:
    ours = [gateway for gateway in gateways if address.family_of(gateway) == stated.family]
    if gateways and not ours and strict and len(gateways) == 1:
        raise wrong_value(iface, "gateway", gateways[0], f"an IPv{stated.family} address")
    subnet = address.network(stated.address, stated.length)
    near = [gateway for gateway in ours if address.contains(subnet, gateway)]
    gateway = (near or ours or [""])[0]
    if gateway == stated.address:
        raise wrong_value(iface, "gateway", gateway,
                          "the router's address, not the interface's own")
    return stated._replace(gateway=gateway)


def read_gateway(iface: str, option: str, text: str) -> str:
    """A router's address, normalised; a zone (`fe80::1%eth0`) must be the interface's."""
    host, _, zone = text.partition("%")
    if zone not in ("", iface.partition(":")[0]):
        raise wrong_value(iface, option, text, "a router on this interface")
    return _read_address(iface, option, host)


def _read_address(iface: str, option: str, text: str) -> str:
    try:
        normal = address.normalise(text)
    except ValueError:
        raise wrong_value(iface, option, text, "an IPv4 or IPv6 address") from None
    if not address.is_unicast(normal):
        raise wrong_value(iface, option, text, "an address that one host can have")
    return normal


def _read_options(environment: Mapping[str, str]) -> Iterator[tuple[str, str]]:
    for name in sorted(filter(_is_option, environment)):
        if environment[name]:
            yield name[3:].lower().replace("_", "-"), environment[name]


def _is_option(name: str) -> bool:
    return name.startswith(_OPTIONS)


def _is_worth_keeping(name: str) -> bool:
    return (
        name in _TOLD
        or _is_option(name)
        or name.startswith(_TOLD_BY_NETWORKMANAGER)
        or name.endswith("_NUM_ADDRESSES")
    )
