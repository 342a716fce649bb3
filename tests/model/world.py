# SPDX-License-Identifier: GPL-2.0-or-later
"""What steps may name: devices, the addresses they can have, stanzas, and configurations."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterator
from typing import NamedTuple

FAMILIES = (4, 6)
DEVICES = ("wan0", "wan1", "wan2")
ALIAS = "wan0:1"
# By which address a router advertises itself on each link, RFC 4861, 4.2.
ROUTER = "fe80::1"
# What leads to one peer, and takes all while it is there.
TUNNEL = "tun0"
# The last place is the same address on each device.
PLACES = range(4)
CONFIGURATION = "/etc/mptcp-hooks/mptcp-hooks.conf"
# What a provider maps to addresses of ours.
_MAPPED = {4: "203.0.113.{}", 6: "2001:db8:a::{:x}"}
_WORDS = {4: "inet", 6: "inet6"}
_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"


class Own(NamedTuple):
    """An address that a device may have, and the gateway of its subnet."""

    family: int
    address: str
    length: int
    gateway: str

    @property
    def subnet(self) -> str:
        return str(ipaddress.ip_network(f"{self.address}/{self.length}", strict=False))


def find_own(device: str, place: int, family: int) -> Own:
    """Places 0 and 1 share a subnet, 2 has one of its own; 3 is the same on all devices."""
    number = 9 if place == 3 else 1 + (*DEVICES, TUNNEL).index(device)
    host, subnet = (3, 0) if place == 1 else (2, place // 2)
    if family == 4:
        return Own(4, f"10.{number}.{subnet}.{host}", 24, f"10.{number}.{subnet}.1")
    middle = f"{number}" if not subnet else f"{number}:{subnet}"
    return Own(6, f"fd00:{middle}::{host}", 64, f"fd00:{middle}::1")


def list_gateways(device: str) -> set[tuple[int, str]]:
    """The gateways of all subnets that a device may have, with their families."""
    return {(6, ROUTER)} | {(family, find_own(device, place, family).gateway)
                            for place in PLACES for family in FAMILIES}


def is_near(subnet: str, gateway: str) -> bool:
    """Whether a gateway is on the link whose subnet that is."""
    return gateway == ROUTER or ipaddress.ip_address(gateway) in ipaddress.ip_network(subnet)


def device_of(iface: str) -> str:
    return iface.partition(":")[0]


class Stanza(NamedTuple):
    """What a manager tells of an interface.

    `places` are the addresses it states, in each of its families; without any it states
    none, as dhcp does. `gateway` is whether it has the one of its first place, and
    `mptcp_gateway` whether its option has that of its first family. `mark` is what a firewall
    sets for it, and `announce` whether it has peers told of what is mapped to its addresses.
    """

    iface: str
    families: tuple[int, ...]
    places: tuple[int, ...] = ()
    gateway: bool = False
    mptcp_gateway: bool = False
    flags: tuple[str, ...] = ()
    table: int = 0
    off: bool = False
    mark: str = ""
    announce: bool = False

    @property
    def device(self) -> str:
        return device_of(self.iface)

    @property
    def has_options(self) -> bool:
        return bool(self.mptcp_gateway or self.flags or self.table or self.off or self.mark
                    or self.announce)

    def list_own(self) -> list[Own]:
        """The addresses stated."""
        return [find_own(self.device, place, family)
                for family in self.families for place in self.places]

    def list_gateways(self) -> list[str]:
        """The gateways stated, one of a family."""
        return [find_own(self.device, self.places[0], family).gateway
                for family in self.families if self.gateway and self.places]

    def find_option_gateway(self) -> str:
        place = (self.places or (0,))[0]
        return find_own(self.device, place, self.families[0]).gateway * self.mptcp_gateway

    def find_announced(self, family: int) -> str:
        """The address of a family that is mapped to its first one, '' for none.

        Two stanzas of an interface have different ones, as they have different addresses.
        """
        place = (self.places or (len(PLACES),))[-1]
        number = 1 + 8 * (*DEVICES, ALIAS).index(self.iface) + place
        return _MAPPED[family].format(number) if self.announce and family in self.families else ""

    def __str__(self) -> str:
        return " ".join([self.iface, ",".join(_WORDS[one] for one in self.families),
                         *self._list_words()])

    def _list_words(self) -> Iterator[str]:
        if self.places:
            yield "at=" + ",".join(map(str, self.places))
        yield from (word for word, is_there in (
            ("gateway", self.gateway), ("mptcp-gateway", self.mptcp_gateway), ("off", self.off),
            ("announce", self.announce))
            if is_there)
        if self.flags:
            yield "flags=" + ",".join(self.flags)
        if self.table:
            yield f"table={self.table}"
        if self.mark:
            yield f"mark={self.mark}"


def read_stanza(words: tuple[str, ...]) -> Stanza:
    """The stanza that `str` wrote."""
    iface, families, *options = words
    said = dict(option.split("=", 1) for option in options if "=" in option)
    return Stanza(
        iface=iface,
        families=tuple(family for family in FAMILIES
                       if _WORDS[family] in families.split(",")),
        places=tuple(map(int, said["at"].split(","))) if "at" in said else (),
        gateway="gateway" in options,
        mptcp_gateway="mptcp-gateway" in options,
        flags=tuple(said["flags"].split(",")) if "flags" in said else (),
        table=int(said.get("table", 0)),
        off="off" in options,
        mark=said.get("mark", ""),
        announce="announce" in options,
    )


def make_environment(iface: str, phase: str, stanza: Stanza | None) -> dict[str, str]:
    """The environment of a hook, which ifupdown makes of nothing."""
    mode = "start" if phase == "post-up" else "stop"
    environment = {"IFACE": iface, "LOGICAL": iface, "MODE": mode, "PHASE": phase,
                   "VERBOSITY": "0", "PATH": _PATH}
    return environment | (_tell(stanza) if stanza else {})


def _tell(stanza: Stanza) -> dict[str, str]:
    own = stanza.list_own()
    # ifupdown has one address in a stanza, ifupdown-ng and ifupdown2 have lists.
    plural = "ES" if len(own) > 1 else ""
    said = {
        "ADDRFAM": ",".join(_WORDS[family] for family in stanza.families),
        "METHOD": "static" if own else "dhcp",
        f"IF_ADDRESS{plural}": " ".join(f"{one.address}/{one.length}" for one in own),
        f"IF_GATEWAY{plural[1:]}": " ".join(stanza.list_gateways()),
        "IF_MPTCP_GATEWAY": stanza.find_option_gateway(),
        "IF_MPTCP_FLAGS": " ".join(stanza.flags),
        "IF_MPTCP_TABLE": str(stanza.table or ""),
        "IF_MPTCP": "off" if stanza.off else "",
        "IF_MPTCP_MARK": stanza.mark,
        "IF_MPTCP_ANNOUNCE": " ".join(map(stanza.find_announced, FAMILIES)).strip(),
    }
    return {name: value for name, value in said.items() if value}


class Configuration(NamedTuple):
    """What mptcp-hooks.conf says; `flags`, `tables`, `gateways` and `marked` of single devices."""

    usual_flags: tuple[str, ...] = ()
    managed: tuple[str, ...] = ()
    excluded: tuple[str, ...] = ()
    flags: tuple[tuple[str, tuple[str, ...]], ...] = ()
    tables: tuple[tuple[str, int], ...] = ()
    gateways: tuple[str, ...] = ()
    marked: tuple[str, ...] = ()
    broken: bool = False

    def write(self) -> str:
        """The file's text, '' for none."""
        lines = [f"flags = {' '.join(self.usual_flags)}"] * bool(self.usual_flags)
        for device in DEVICES:
            said = [f"{key} = {value}" for key, value in self._list_keys(device)]
            lines += [f"[{device}]", *said] * bool(said)
        lines += ["[wan9]", "mange = yes"] * self.broken
        return "\n".join(["[default]", *lines, ""]) if lines else ""

    def _list_keys(self, device: str) -> Iterator[tuple[str, str]]:
        if device in self.managed:
            yield "manage", "yes"
        if device in self.excluded:
            yield "exclude", "yes"
        if device in dict(self.flags):
            yield "flags", " ".join(dict(self.flags)[device])
        if device in dict(self.tables):
            yield "table", str(dict(self.tables)[device])
        if device in self.gateways:
            yield "gateway", " ".join(self.list_gateways(device))
        if device in self.marked:
            yield "mark", self.find_mark(device)

    def find_mark(self, device: str) -> str:
        """The mark that the file gives to a device, '' for none."""
        return _SECTION_MARKS[device] if device in self.marked else ""

    def list_gateways(self, device: str) -> list[str]:
        """The gateways that the file gives to a device, one of a family."""
        return [find_own(device, 0, family).gateway for family in FAMILIES
                if device in self.gateways]

    def __str__(self) -> str:
        lists = (("managed", self.managed), ("excluded", self.excluded),
                 ("gateways", self.gateways), ("marked", self.marked),
                 ("usual", self.usual_flags))
        return " ".join([
            *(f"{name}={','.join(value)}" for name, value in lists if value),
            *(f"flags:{device}={','.join(flags)}" for device, flags in self.flags),
            *(f"table:{device}={table}" for device, table in self.tables),
            *["broken"] * self.broken])


def read_configuration(words: tuple[str, ...]) -> Configuration:
    """The configuration that `str` wrote."""
    said = dict(word.split("=", 1) for word in words if "=" in word)
    lists = {name: tuple(text.split(",")) for name, text in said.items()}
    return Configuration(
        usual_flags=lists.get("usual", ()),
        managed=lists.get("managed", ()),
        excluded=lists.get("excluded", ()),
        flags=tuple((name.removeprefix("flags:"), value) for name, value in lists.items()
                    if name.startswith("flags:")),
        tables=tuple((name.removeprefix("table:"), int(said[name])) for name in said
                     if name.startswith("table:")),
        gateways=lists.get("gateways", ()),
        marked=lists.get("marked", ()),
        broken="broken" in words,
    )


class Foreign(NamedTuple):
    """Something of another program's: the lines of `ip` that make it and take it away."""

    add: str
    delete: str


def _rule(family: int, text: str) -> Foreign:
    return Foreign(f"ip -{family} rule add {text} protocol 99",
                   f"ip -{family} rule del {text} protocol 99")


def _route(family: int, text: str) -> Foreign:
    return Foreign(f"ip -{family} route add {text} protocol 99",
                   f"ip -{family} route del {text} protocol 99")


# The address of an endpoint is the last word of its name.
FOREIGN = {
    "rule-early": _rule(4, "pref 90 to 192.0.2.0/24 lookup 254"),
    "rule-beside": _rule(4, "pref 20001 from 10.1.0.2 lookup 254"),
    "rule-suppress": _rule(4, "pref 20002 lookup 254 suppress_prefixlength 0"),
    "rule-device": _rule(6, "pref 20006 oif wan1 lookup 254"),
    "rule-late": _rule(6, "pref 32000 from fd00:1::2 lookup 254"),
    "route-main": _route(4, "unreachable 198.51.100.0/24"),
    "route-table": _route(4, "unreachable 198.51.100.0/24 table 4711"),
    "route-intruder": _route(4, "unreachable 198.51.100.0/24 table 101"),
    "rule-intruder": _rule(6, "pref 500 lookup 102"),
}
FOREIGN_ENDPOINTS = {
    "elsewhere": ("192.0.2.1", "", "signal"),
    "elsewhere-6": ("2001:db8::1", "", "subflow"),
    "elsewhere-full": ("192.0.2.2", "", "subflow fullmesh"),
    "device-less": ("10.2.0.2", "", "subflow"),
    "same-device": ("fd00:2::2", "wan1", "subflow backup"),
    "other-device": ("10.3.0.2", "lo", "subflow"),
}
TABLES = (101, 102)
# Each interface has its own, which two stanzas of it want at once.
MARKS = {iface: f"0x{number:x}" for number, iface in enumerate((*DEVICES, ALIAS), start=0x61)}
_SECTION_MARKS = {device: f"0x{number:x}" for number, device in enumerate(DEVICES, start=0x71)}
