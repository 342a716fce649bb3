# SPDX-License-Identifier: GPL-2.0-or-later
"""What ifquery tells of stanzas, in each of its dialects."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pytest

from mptcp_hooks.base.spawn import Outcome
from mptcp_hooks.intent import ifupdown
from mptcp_hooks.intent.event import read_event
from mptcp_hooks.intent.settings import NO_CONFIGURATION


def test_ifquery_mixes_the_stanzas(monkeypatch: pytest.MonkeyPatch) -> None:
    """As ifupdown 0.8.41 prints two static stanzas, of which one states its options first."""
    def ifquery(program: str, arguments: tuple[str, ...], text: str = "") -> Outcome:
        if arguments[0] == "--state":
            return Outcome(0, "eth0=home\n", "")
        assert arguments == ("home",)
        return Outcome(0, "address: 10.1.1.2\nmptcp-flags: subflow\nbackup\nbroadcast: 10.1.1.255\n"
                       "netmask: 255.255.255.0\nmptcp-table: 7\naddress: fd00::2\nautoconf: 0\n"
                       "preferred-lifetime: \ndad-interval: 0.1\nnetmask: 64\n"
                       "mptcp-flags: signal\n", "")

    monkeypatch.setattr(ifupdown, "run_program", ifquery)
    first, second, third = ifupdown.read_stanzas("eth0")
    assert first["IF_ADDRESS"] == "10.1.1.2" and first["ADDRFAM"] == "inet"
    assert first["IF_MPTCP_FLAGS"] == "subflow\nbackup" and "IF_MPTCP_TABLE" not in first
    assert second["IF_ADDRESS"] == "fd00::2" and second["ADDRFAM"] == "inet6"
    assert second["IF_MPTCP_TABLE"] == "7" and "IF_MPTCP_FLAGS" not in second
    assert third == {"IFACE": "eth0", "IF_MPTCP_FLAGS": "signal"}


def test_a_stanza_without_address_before_a_static_one() -> None:
    assert ifupdown.split_stanzas([
        "mptcp-gateway: 10.1.1.1", "address: 10.1.1.2", "mptcp-gateway: 10.1.1.9",
        "broadcast: +", "netmask: 24",
    ]) == [{"IF_MPTCP_GATEWAY": "10.1.1.1"},
           {"IF_ADDRESS": "10.1.1.2", "IF_MPTCP_GATEWAY": "10.1.1.9", "IF_BROADCAST": "+",
            "IF_NETMASK": "24"}]


def test_the_lines_of_the_file_tell_stanzas_apart() -> None:
    """A dhcp stanza without options, a static one, and an auto one that is told apart by them."""
    assert ifupdown.split_stanzas(
        ["address: 10.1.1.2", "mptcp_gateway: 10.1.1.1", "up: true", "broadcast: +",
         "netmask: 24", "mptcp: off", "accept_ra: 2"],
        [(), ("IF_ADDRESS", "IF_MPTCP_GATEWAY", "IF_UP"), ("IF_MPTCP",), ()]) == [
        {}, {"IF_ADDRESS": "10.1.1.2", "IF_MPTCP_GATEWAY": "10.1.1.1", "IF_UP": "true",
             "IF_BROADCAST": "+", "IF_NETMASK": "24"},
        {"IF_MPTCP": "off", "IF_ACCEPT_RA": "2"}, {}]


def test_an_option_that_stands_in_two_stanzas_is_the_seconds_when_it_comes_again() -> None:
    both = "IF_ADDRESS", "IF_MPTCP_FLAGS"
    assert ifupdown.split_stanzas(
        ["address: 10.1.1.2", "mptcp-flags: subflow", "backup", "address: fd00::2",
         "mptcp-flags: signal"], [both, both]) == [
        {"IF_ADDRESS": "10.1.1.2", "IF_MPTCP_FLAGS": "subflow\nbackup"},
        {"IF_ADDRESS": "fd00::2", "IF_MPTCP_FLAGS": "signal"}]


V4, V6 = "10.1.1.2", "fd00::2"
ADDED = "broadcast: 10.1.1.255\nnetmask: 255.255.255.0\n"
ADDED6 = "autoconf: 0\npreferred-lifetime: \ndad-attempts: 60\ndad-interval: 0.1\n"
STATIC = f"iface eth0 inet static\n address {V4}/24\n"
STATIC6 = f"iface eth0 inet6 static\n address {V6}\n netmask 64\n"


@pytest.mark.parametrize("text, printed, stanzas", [
    # Of what ifupdown adds to one, the next one states some.
    (STATIC + STATIC6, f"address: {V4}\n{ADDED}address: {V6}\nnetmask: 64\n{ADDED6}",
     [("inet", "static", V4, "255.255.255.0", ""), ("inet6", "static", V6, "64", "")]),
    (STATIC.replace("/24", "/24\n mptcp-table 7")
     + STATIC6.replace(" address", " accept_ra 0\n address").replace("\n netmask ", "/"),
     f"address: {V4}\nmptcp-table: 7\n{ADDED}accept_ra: 0\naddress: {V6}\n{ADDED6}netmask: 64\n",
     [("inet", "static", V4, "255.255.255.0", "7"), ("inet6", "static", V6, "64", "")]),
    # Two of each, of which one of each is in CIDR, with what is added to one with a gateway.
    (STATIC + STATIC.replace("/24", "\n netmask 24") + STATIC6.replace("\n netmask ", "/")
     + STATIC6,
     f"address: {V4}\n{ADDED}address: {V4}\nnetmask: 255.255.255.0\nbroadcast: 10.1.1.255\n"
     f"address: {V6}\n{ADDED6}netmask: 64\naccept_ra: 0\n"
     f"address: {V6}\nnetmask: 64\n{ADDED6}",
     [("inet", "static", V4, "255.255.255.0", ""), ("inet", "static", V4, "255.255.255.0", ""),
      ("inet6", "static", V6, "64", ""), ("inet6", "static", V6, "64", "")]),
    ("iface eth0 inet6 auto\n accept_ra 2\n" + STATIC + " accept_ra 1\n",
     f"accept_ra: 2\nrequest_prefix: 0\naddress: {V4}\naccept_ra: 1\n{ADDED}",
     [("inet6", "auto", "", "", ""), ("inet", "static", V4, "255.255.255.0", "")]),
    # A command that comes twice has a line for each.
    (STATIC + " up a\n post-up b\n mptcp-table 7\n" + STATIC6 + " up c\n mptcp-table 8\n",
     f"address: {V4}\nup: a\nup: b\nmptcp-table: 7\n{ADDED}"
     f"address: {V6}\nnetmask: 64\nup: c\nmptcp-table: 8\n{ADDED6}",
     [("inet", "static", V4, "255.255.255.0", "7"), ("inet6", "static", V6, "64", "8")]),
    # Those of the first stanza of that name, of the family if one is named.
    (STATIC6.replace("eth0", "wan") + STATIC.replace("eth0", "wan") + " up a\n"
     + "iface lan inet static inherits wan\n mptcp-table 7\n"
     + "iface eth0 inet inherits lan\n up b\n address 10.9.9.9\n"
     + "iface eth0 inherits wan\n mptcp-table 8\n",
     f"address: {V4}\nup: a\nmptcp-table: 7\nup: b\n{ADDED}"
     f"address: {V6}\nnetmask: 64\nmptcp-table: 8\n{ADDED6}",
     [("inet", "static", V4, "255.255.255.0", "7"), ("inet6", "static", V6, "64", "8")]),
    # What stands in the file and is not printed costs nothing.
    (STATIC + " mtu 1400\n" + STATIC6 + " mtu 1400\n",
     f"address: {V4}\n{ADDED}address: {V6}\nnetmask: 64\n{ADDED6}",
     [("inet", "static", V4, "255.255.255.0", ""), ("inet6", "static", V6, "64", "")]),
])
def test_each_stanza_has_what_it_states_and_what_ifupdown_adds(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, text: str, printed: str,
    stanzas: list[tuple[str, ...]]
) -> None:
    """As ifupdown 0.8.41 prints them."""
    file = tmp_path / "interfaces"
    file.write_text(text)
    monkeypatch.setattr(ifupdown, "run_program", lambda *_: Outcome(0, printed, ""))
    assert [tuple(one.get(name, "") for name in (
        "ADDRFAM", "METHOD", "IF_ADDRESS", "IF_NETMASK", "IF_MPTCP_TABLE"))
        for one in ifupdown.read_stanzas("eth0", "eth0", str(file))] == stanzas


HELD = {"IFACE": "eth1", "ADDRFAM": "inet", "METHOD": "static", "IF_ADDRESS": "10.1.2.2",
        "IF_NETMASK": "255.255.255.0", "IF_MPTCP_GATEWAY": "10.1.2.1"}
OFF = {"IFACE": "eth1", "ADDRFAM": "inet6", "METHOD": "auto", "IF_MPTCP": "off"}


@pytest.mark.parametrize("environments, changed", [
    ([HELD], set()), ([HELD, OFF], set()), ([HELD | {"IF_UP": "true"}], set()),
    ([HELD | {"IF_MPTCP_TABLE": "7"}], {"IF_MPTCP_TABLE"}),
    ([HELD | {"IF_ADDRESS": "10.1.2.3"}], {"IF_ADDRESS"}),
    ([HELD | {"IF_MPTCP": "off"}], {"IF_ADDRESS", "IF_NETMASK", "IF_MPTCP_GATEWAY"}),
])
def test_what_of_a_stanza_was_edited(
    environments: list[dict[str, str]], changed: set[str]
) -> None:
    event = read_event(HELD)
    assert event and ifupdown.find_edits([event.told], environments, NO_CONFIGURATION) == changed


SIXTH = {"IFACE": "eth1", "ADDRFAM": "inet6", "METHOD": "static", "IF_ADDRESS": "fd00:2::2",
         "IF_NETMASK": "64"}
DHCP = {"IFACE": "eth1", "ADDRFAM": "inet", "METHOD": "dhcp"}
AUTO = {"IFACE": "eth1", "ADDRFAM": "inet6", "METHOD": "auto"}
FLAGS = {"IF_MPTCP_FLAGS": "subflow backup"}


@pytest.mark.parametrize("before, after, changed", [
    ([HELD | FLAGS, SIXTH], [HELD, SIXTH | FLAGS], {"IF_MPTCP_FLAGS"}),
    ([HELD | FLAGS, SIXTH], [HELD | FLAGS, SIXTH | FLAGS], {"IF_MPTCP_FLAGS"}),
    ([HELD | FLAGS, SIXTH | FLAGS], [HELD, SIXTH | FLAGS], {"IF_MPTCP_FLAGS"}),
    ([HELD | FLAGS, SIXTH | FLAGS], [SIXTH | FLAGS, HELD | FLAGS], set()),
    # Between stanzas that state nothing else.
    ([DHCP | FLAGS, AUTO], [DHCP, AUTO | FLAGS], {"IF_MPTCP_FLAGS"}),
    # One that goes, of which the other one has all but its address.
    ([HELD, SIXTH], [HELD], {"IF_ADDRESS", "IF_NETMASK"}),
    ([HELD], [HELD, SIXTH], {"IF_ADDRESS", "IF_NETMASK"}),
])
def test_what_is_moved_from_one_stanza_to_another_was_edited(
    before: list[dict[str, str]], after: list[dict[str, str]], changed: set[str]
) -> None:
    events = [event for event in map(read_event, before) if event]
    assert ifupdown.find_edits(
        [event.told for event in events], after, NO_CONFIGURATION) == changed


@pytest.mark.parametrize("errors, found", [
    ("ifquery: unknown interface eth9\n", []),
    ("error: main exception: cannot find interfaces: eth9\n", []),
    ("ifquery: x:1: unknown method\nifquery: couldn't read interfaces file \"x\"\n",
     ["ifquery: x:1: unknown method"]),
    ("ifquery: couldn't open interfaces file \"x\": Permission denied\n"
     "ifquery: unknown interface eth1\n",
     ["ifquery: couldn't open interfaces file \"x\": Permission denied"]),
])
def test_what_keeps_the_files_from_being_read(errors: str, found: list[str]) -> None:
    assert ifupdown.find_complaints(errors) == found
    assert not any(map(ifupdown.is_missing, found))


def test_a_file_that_is_not_there_is_known_for_that() -> None:
    (said,) = ifupdown.find_complaints(
        "ifquery: couldn't open interfaces file \"x\": No such file or directory\n"
        "ifquery: unknown interface eth9\n")
    assert ifupdown.is_missing(said)


def test_what_is_no_stanza_is_no_error() -> None:
    """ifupdown-ng and ifupdown2 print the file's own form."""
    assert len(ifupdown.split_stanzas(["auto eth1", "iface eth1", "  address 10.1.1.2/24"])) == 1


def test_interfaces_in_the_order_they_came_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ifupdown, "run_program",
                        lambda program, arguments: Outcome(0, "eth1:1=a\neth1=b\nlo=lo\n", ""))
    assert ifupdown.list_up_interfaces() == ["lo", "eth1", "eth1:1"]


def test_whose_stanzas_interfaces_have_is_asked_once_for_all(
    monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[Sequence[str]] = []

    def answer(program: str, arguments: Sequence[str]) -> Outcome:
        asked.append(arguments)
        return Outcome(0, "wlan0=home\neth1=eth1\n", "")

    monkeypatch.setattr(ifupdown, "has_ifupdown", lambda: True)
    monkeypatch.setattr(ifupdown, "run_program", answer)
    monkeypatch.setattr(ifupdown, "list_names", lambda: ["home", "eth1", "eth2", "eth3"])
    assert ifupdown.list_stated(["wlan0", "eth1", "eth2", "wwan0"]) == {
        "wlan0": "home", "eth1": "eth1", "eth2": "eth2"}
    assert asked == [("--state",)]
