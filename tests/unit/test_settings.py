"""The `mptcp-*` options of a stanza."""

from __future__ import annotations

import pytest

from mptcp_hooks.base.errors import Problem
from mptcp_hooks.intent.event import read_event
from mptcp_hooks.intent.settings import NO_CONFIGURATION, judge_options, read_settings

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


def test_an_option_of_a_name_without_end_is_told_in_part() -> None:
    event = read_event({**STANZA, "IF_MPTCP_" + "X" * 100_000: "1"})
    assert event is not None
    (said,) = judge_options(event, read_settings(event, NO_CONFIGURATION))
    assert said.startswith("eth1: no option is called mptcp-xxx") and len(said) < 400
