# SPDX-License-Identifier: GPL-2.0-or-later
"""Which resolvers a stanza names, and what is wrong with the rest."""

from __future__ import annotations

import pytest

from mptcp_hooks.base.errors import USAGE
from mptcp_hooks.intent.event import Event, read_event, recall_event
from mptcp_hooks.intent.resolvers import read_resolvers
from tests.unit.engine import open_bench, static
from tests.unit.recorded import ENVIRONMENTS, read_environment

R, OTHER, R6 = "192.0.2.53", "192.0.2.54", "2001:db8::53"
STANZA = {"IFACE": "eth1", "ADDRFAM": "inet", "METHOD": "static", "IF_ADDRESS": "10.1.2.2",
          "IF_NETMASK": "24", "IF_GATEWAY": "10.1.2.1"}


def tell(**more: str) -> Event:
    event = read_event(STANZA | more)
    assert event is not None
    # As it comes back from the record.
    return recall_event(event.told)


@pytest.mark.parametrize("text, named", [
    (R, (R,)), (f"{R} {R6}\t{OTHER} {R}", (R, R6, OTHER)), (f"{R}\n{OTHER}", (R, OTHER)),
    ("2001:DB8:0::53", (R6,)), ("", ()), (" \n ", ()),
    # Right for those who read resolv.conf, and nothing that a route could lead to.
    (f"127.0.0.53 ::1 fe80::1 fe80::1%eth1 169.254.1.1 {R}", (R,))])
def test_the_resolvers_of_a_stanza(text: str, named: tuple[str, ...]) -> None:
    assert read_resolvers(tell(IF_DNS_NAMESERVERS=text)) == (named, ())


def test_either_option_counts() -> None:
    both = read_resolvers(tell(IF_DNS_NAMESERVER=R, IF_DNS_NAMESERVERS=OTHER))
    assert sorted(both.named) == [R, OTHER]
    assert read_resolvers(tell()).named == ()


@pytest.mark.parametrize("manager", ["ifupdown", "ifupdown2", "ifupdown-ng"])
def test_each_manager_tells_of_them(manager: str) -> None:
    event = read_event(read_environment(ENVIRONMENTS / manager / "static-cidr/if-up.d.env"))
    assert event is not None
    assert read_resolvers(recall_event(event.told)).named == ("10.0.0.53",)


ONE = "an address that one host can have"


@pytest.mark.parametrize("word, allowed", [
    ("255.255.255.255", ONE), ("224.0.0.251", ONE), ("ff02::fb", ONE), ("0.0.0.0", ONE),
    ("::", ONE), ("10.1.2.255", f"{ONE}, and this one is all of 10.1.2.0/24"),
    ("resolver", "an IPv4 or IPv6 address"), ("192.0.2.053", "an IPv4 or IPv6 address"),
    ("192.0.2.53,", "an IPv4 or IPv6 address"), ("$(reboot)", "an IPv4 or IPv6 address"),
    ("2001:db8::53%eth1", "without %: it is no address of one link")])
def test_a_wrong_word_is_named_with_its_line_and_the_others_count(
    word: str, allowed: str
) -> None:
    found = read_resolvers(tell(IF_DNS_NAMESERVERS=f"{OTHER}\n{R} {word} {R6}"))
    assert found.named == (OTHER, R, R6)
    (mistake,) = found.mistakes
    assert (mistake.option, mistake.line) == ("dns-nameservers", f"{R} {word} {R6}")
    assert mistake.problem.status == USAGE and str(mistake.problem) == (
        f"eth1: dns-nameservers '{word}' is wrong: it must be {allowed}")


def test_sixteen_resolvers_and_no_more() -> None:
    many = [f"192.0.2.{host}" for host in range(1, 18)]
    found = read_resolvers(tell(IF_DNS_NAMESERVERS=" ".join([*many, many[0]])))
    assert found.named == tuple(many[:16])
    assert [str(one.problem) for one in found.mistakes] == [
        "eth1: dns-nameservers '192.0.2.17' is wrong: it must be one of 16 at the most"]


def test_a_wrong_resolver_costs_no_path() -> None:
    with open_bench() as bench:
        assert bench.up(static("eth1", 4, dns_nameservers="255.255.255.255")) == []
        assert len(bench.machine.endpoints) == 2
