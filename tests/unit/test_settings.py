# SPDX-License-Identifier: GPL-2.0-or-later
"""The `mptcp-*` options of a stanza."""

from __future__ import annotations

import pytest

from mptcp_hooks.base.errors import Problem
from mptcp_hooks.intent.event import read_event
from mptcp_hooks.intent.settings import (
    NO_CONFIGURATION, Configuration, Wishes, judge_options, read_settings)

STANZA = {"IFACE": "eth1", "IF_ADDRESSES": "10.1.2.2/24 fd00:2::2/64",
          "IF_MPTCP_GATEWAY": "10.1.2.1"}


def read_gateway(environment: dict[str, str], remaining: slice = slice(None)) -> str:
    event = read_event(environment)
    assert event is not None
    return read_settings(
        event._replace(addresses=event.addresses[remaining]), NO_CONFIGURATION).gateways[0]


def test_a_gateway_is_of_one_of_the_stanzas_families() -> None:
    assert read_gateway({**STANZA, "ADDRFAM": "inet,inet6"}) == "10.1.2.1"
    with pytest.raises(Problem, match="must be an IPv6 address"):
        read_gateway({"IFACE": "eth1", "ADDRFAM": "inet6", "IF_MPTCP_GATEWAY": "10.1.2.1"})


def test_a_gateway_stays_right_when_the_addresses_that_it_is_for_are_gone() -> None:
    assert read_gateway(STANZA, slice(1, None)) == "10.1.2.1"


@pytest.mark.parametrize("families, gateways", [
    ("inet,inet6", ("10.1.2.1", "fd00:2::1")), ("inet", ("10.1.2.1",)), ("inet6", ("fd00:2::1",))])
@pytest.mark.parametrize("text", ["10.1.2.1 fd00:2::1", "10.1.2.1,fd00:2::1",
                                  "10.1.2.1\nfd00:2::1"])
def test_of_gateways_of_both_families_those_of_the_event_count(
    families: str, gateways: tuple[str, ...], text: str
) -> None:
    event = read_event({"IFACE": "eth1", "ADDRFAM": families, "IF_MPTCP_GATEWAY": text})
    assert event and read_settings(event, NO_CONFIGURATION).gateways == gateways


BRIDGE = {"IFACE": "br-wan", "ADDRFAM": "inet", "METHOD": "static", "IF_ADDRESS": "10.1.2.2",
          "IF_NETMASK": "24", "IF_GATEWAY": "10.1.2.1"}
LIST = "interfaces called br-* are left alone"
FILE = "/etc/mptcp-hooks/mptcp-hooks.conf excludes it"
EXCLUDED = NO_CONFIGURATION._replace(wishes=(Wishes("br-*", excluded=True),))
BY_ALTNAME = NO_CONFIGURATION._replace(
    wishes=(Wishes("lan*", excluded=True),), altnames=(("br-wan", "lan0"), ("eth0", "wan0")))


@pytest.mark.parametrize("configuration, changes, reason", [
    (NO_CONFIGURATION, {}, ""), (NO_CONFIGURATION, {"IF_GATEWAY": ""}, LIST),
    (NO_CONFIGURATION, {"IF_GATEWAY": "", "METHOD": "dhcp", "IF_ADDRESS": ""}, ""),
    (NO_CONFIGURATION, {"IF_GATEWAY": "", "METHOD": "manual", "IF_ADDRESS": ""}, LIST),
    (NO_CONFIGURATION, {"METHOD": "NetworkManager", "IP4_ADDRESS_0": "10.1.2.2/24 10.1.2.1",
                        "IP4_NUM_ADDRESSES": "1", "IP4_GATEWAY": "10.1.2.1"}, LIST),
    (NO_CONFIGURATION, {"IF_MPTCP": "off"}, "its stanza says 'mptcp off'"),
    (EXCLUDED, {}, FILE), (EXCLUDED, {"IF_MPTCP_GATEWAY": "10.1.2.1"}, ""),
    (BY_ALTNAME, {}, FILE), (BY_ALTNAME, {"IFACE": "lan0"}, FILE),
    (BY_ALTNAME, {"IFACE": "eth0"}, ""),
    (NO_CONFIGURATION, {"IFACE": "lo:1", "IF_GATEWAY": ""}, "an address of the loopback"),
])
def test_who_is_left_alone_and_why(
    configuration: Configuration, changes: dict[str, str], reason: str
) -> None:
    event = read_event(BRIDGE | changes)
    assert event is not None
    settings = read_settings(event, configuration)
    assert (settings.wanted, settings.reason) == (reason == "", reason)


def test_an_option_that_is_nearly_right_is_told_with_the_right_one() -> None:
    event = read_event({**STANZA, "IF_MPTCPGATEWAY": "10.1.2.1", "IF_MPTCP_WAYOUT": "off",
                        "IF_MPTCP_COLOUR": "red"})
    assert event is not None
    said = judge_options(event, read_settings(event, NO_CONFIGURATION))
    assert [line.partition("ignored")[2][:33] for line in said] == [
        " (did you mean mptcp-gateway?)", " (there are mptcp, mptcp-gateway,",
        " (did you mean mptcp-way-out?)"]


def test_an_option_of_a_name_without_end_is_told_in_part() -> None:
    event = read_event({**STANZA, "IF_MPTCP_" + "X" * 100_000: "1"})
    assert event is not None
    (said,) = judge_options(event, read_settings(event, NO_CONFIGURATION))
    assert said.startswith("eth1: no option is called mptcp-xxx") and len(said) < 400


NOT_BY_DEFAULT = NO_CONFIGURATION._replace(way_out=False)
EXCEPT_ETH1 = NO_CONFIGURATION._replace(wishes=(Wishes("eth1", way_out=False),))
ONLY_ETH1 = NOT_BY_DEFAULT._replace(wishes=(Wishes("eth*", way_out=False),
                                            Wishes("eth1", way_out=True)))


@pytest.mark.parametrize(("configuration", "option", "expected"), [
    (NO_CONFIGURATION, "", True), (NO_CONFIGURATION, "off", False),
    (NOT_BY_DEFAULT, "", False), (NOT_BY_DEFAULT, "yes", True),
    (EXCEPT_ETH1, "", False), (EXCEPT_ETH1, "yes", True),
    (ONLY_ETH1, "", True), (ONLY_ETH1, "off", False),
])
def test_a_stanza_says_before_a_section_and_that_before_the_default_who_is_a_way_out(
    configuration: Configuration, option: str, expected: bool
) -> None:
    event = read_event({**STANZA, **({"IF_MPTCP_WAY_OUT": option} if option else {})})
    assert event is not None
    assert read_settings(event, configuration).way_out == expected


def test_a_way_out_that_is_neither_is_wrong() -> None:
    event = read_event({**STANZA, "IF_MPTCP_WAY_OUT": "eth1"})
    assert event is not None
    with pytest.raises(Problem, match="eth1: mptcp-way-out 'eth1' is wrong"):
        read_settings(event, NO_CONFIGURATION)
