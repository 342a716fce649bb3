# SPDX-License-Identifier: GPL-2.0-or-later
"""Marks, further sources and announced addresses: what may be, what it becomes, who has it."""

from __future__ import annotations

import pytest

from mptcp_hooks.base.address import InterfaceAddress
from mptcp_hooks.base.errors import USAGE, Problem
from mptcp_hooks.base.mark import are_mixed, normalise_mark, parse_mark
from mptcp_hooks.base.model import Endpoint, Path, Tunnel
from mptcp_hooks.base.numbering import FIRST_PREFERENCE
from mptcp_hooks.engine import salvage
from mptcp_hooks.engine.carry_out import carry_out
from mptcp_hooks.engine.follow import prepare_adoption, prepare_all
from mptcp_hooks.intent.belongings import read_announced, read_mark, read_sources
from mptcp_hooks.intent.event import Event, read_event
from mptcp_hooks.intent.settings import (
    NO_CONFIGURATION,
    Belongings,
    Configuration,
    Wishes,
    note_mark,
    read_settings,
)
from mptcp_hooks.monitor.managed import prepare_managed
from tests.unit.engine import ADDRESSES, Bench, open_bench, static

BOTH = {"IFACE": "eth1", "ADDRFAM": "inet,inet6", "IF_ADDRESSES": "10.1.2.2/24 fd00:2::2/64"}
OF_ETH = NO_CONFIGURATION._replace(wishes=(
    Wishes("eth*", mark="0x1/0xff", sources=("198.51.100.0/24",), announced=("192.0.2.10",)),))
FOREIGN = Endpoint(7, "10.9.9.9", 0, ("signal",))


def make_event(**options: str) -> Event:
    event = read_event({**BOTH, **{f"IF_MPTCP_{name}": value for name, value in options.items()}})
    assert event is not None
    return event


def list_own(bench: Bench) -> list[tuple[str, int, tuple[str, ...]]]:
    return [(one.address, one.device, one.flags) for one in bench.machine.endpoints
            if one != FOREIGN]


@pytest.mark.parametrize("text, expected", [
    ("1", "0x1"), ("0x10", "0x10"), ("0X1/0xFF", "0x1/0xff"), ("256/65280", "0x100/0xff00"),
    ("4294967295", "0xffffffff"), ("0x1/0xffffffff", "0x1"), (" 7 ", "0x7"), ("off", "")])
def test_a_mark_has_one_spelling(text: str, expected: str) -> None:
    assert read_mark("eth1", "mptcp-mark", text) == expected
    assert not expected or normalise_mark(text.strip()) == expected


@pytest.mark.parametrize("text", [
    "", "0", "0x0/0xff", "x", "-1", "+1", "1_0", "0x", "4294967296", "0x100000000", "1/0x1ffffffff",
    "AB", "1E", "1/FF", "1/", "/1", "1/2/3", "1 2", "0x100/0xff", "1/0", "1\n2", "1" * 5000,
    "\u0661", "on"])
def test_what_is_no_mark_is_told(text: str) -> None:
    with pytest.raises(Problem, match="^eth1: mptcp-mark '.* is wrong: it must be ") as refusal:
        read_mark("eth1", "mptcp-mark", text)
    assert refusal.value.status == USAGE and len(str(refusal.value)) < 400


@pytest.mark.parametrize("one, other, expected", [
    ("1", "1", True), ("1", "2", False), ("1/0xff", "2/0xff", False), ("1/0xff", "1/0xff", True),
    ("1/0xff", "0x100/0xff00", False), ("1/0xff", "0x102/0xfff", True),
    ("1", "0x100/0xff00", True)])
def test_marks_of_two_uplinks_are_told_from_each_other(
    one: str, other: str, expected: bool
) -> None:
    assert are_mixed(parse_mark(one), parse_mark(other)) == expected
    assert are_mixed(parse_mark(other), parse_mark(one)) == expected


@pytest.mark.parametrize("mark, told", [
    ("1", 0), ("0x1/0xff", 0), ("0x80000", 1), ("0x1/0xff00ff", 1), ("0x8001/0xf00f", 1),
    # What wg-quick asks for has bits of Kubernetes', too.
    ("0xca6c", 2), ("51820", 2), ("0x6c/0xff", 1), ("0xffc001", 2)])
def test_who_else_uses_a_mark_is_noted(mark: str, told: int) -> None:
    event = make_event(MARK=mark)
    notes = note_mark(event, read_settings(event, NO_CONFIGURATION))
    assert len(notes) == told and all(
        note.startswith("eth1: mptcp-mark ") for note in notes)
    usual = NO_CONFIGURATION._replace(wishes=(
        Wishes("eth1", mark=read_mark("eth1", "mark", mark)),))
    assert note_mark(make_event(), read_settings(make_event(), usual)) == [
        note.replace("mptcp-mark", "mark") for note in notes]
    assert note_mark(make_event(MARK="off"), read_settings(make_event(MARK="off"), usual)) == []


@pytest.mark.parametrize("text, expected", [
    ("203.0.113.64/29", ("203.0.113.64/29",)), ("203.0.113.7", ("203.0.113.7/32",)),
    ("2001:DB8:0::/48 10.0.0.0/8", ("2001:db8::/48", "10.0.0.0/8")),
    ("10.1.0.0/255.255.0.0", ("10.1.0.0/16",)), ("10.0.0.0/8 10.0.0.0/8", ("10.0.0.0/8",)),
    ("10.0.0.0/8\n10.1.0.0/16", ("10.0.0.0/8", "10.1.0.0/16")), ("off", ())])
def test_sources_are_subnets(text: str, expected: tuple[str, ...]) -> None:
    assert read_sources("eth1", "mptcp-sources", text) == expected


@pytest.mark.parametrize("text", [
    "", "0.0.0.0/0", "::/0", "default", "all", "0.0.0.0/1", "128.0.0.0/1", "2000::/3",
    "203.0.113.65/29", "10.0.0.0/33", "10.0.0.0/", "10.0.0.0/x", "224.0.0.0/4", "127.0.0.0/8",
    "fe80::/10", "ff00::/8", "off 10.0.0.0/8", " ".join(f"10.{n}.0.0/16" for n in range(65))])
def test_what_is_no_source_is_told(text: str) -> None:
    with pytest.raises(Problem, match="^eth1: mptcp-sources ") as refusal:
        read_sources("eth1", "mptcp-sources", text)
    assert refusal.value.status == USAGE


@pytest.mark.parametrize("text", [
    "", "x", "10.0.0.0/8", "127.0.0.1", "::1", "224.0.0.1", "ff02::1", "0.0.0.0", "::",
    "169.254.1.1", "fe80::1", "255.255.255.255", "off 192.0.2.1",
    " ".join(f"192.0.2.{n}" for n in range(1, 9))])
def test_what_nobody_can_connect_to_is_not_announced(text: str) -> None:
    with pytest.raises(Problem, match="^eth1: mptcp-announce ") as refusal:
        read_announced("eth1", "mptcp-announce", text)
    assert refusal.value.status == USAGE


@pytest.mark.parametrize("option, text", [
    ("mptcp_sources", "2001:db8::/48"), ("mptcp_announce", "2001:db8::1"),
    ("mptcp_announce", "10.1.2.2")])
def test_what_is_of_the_other_family_or_the_stanzas_own_is_refused(
    option: str, text: str
) -> None:
    with pytest.raises(Problem) as refusal:
        read_settings(static("eth1", 4, **{option: text}), NO_CONFIGURATION)
    assert refusal.value.status == USAGE and repr(text) in str(refusal.value)


@pytest.mark.parametrize("options, own, usual", [
    ({}, Belongings(), Belongings("0x1/0xff", ("198.51.100.0/24",), ("192.0.2.10",))),
    ({"MARK": "2"}, Belongings("0x2"), Belongings("", ("198.51.100.0/24",), ("192.0.2.10",))),
    ({"MARK": "off", "SOURCES": "off", "ANNOUNCE": "off"}, Belongings(), Belongings()),
    ({"SOURCES": "10.8.0.0/16"}, Belongings("", ("10.8.0.0/16",)),
     Belongings("0x1/0xff", (), ("192.0.2.10",))),
])
def test_a_stanzas_word_outweighs_a_sections_and_off_cancels_it(
    options: dict[str, str], own: Belongings, usual: Belongings
) -> None:
    settings = read_settings(make_event(**options), OF_ETH)
    assert (settings.own, settings.usual) == (own, usual)


def test_a_later_section_cancels_an_earlier_ones() -> None:
    wishes = Wishes("eth1", mark="", sources=(), announced=())
    both = OF_ETH._replace(wishes=(*OF_ETH.wishes, wishes))
    assert read_settings(make_event(), both).usual == Belongings()


def test_each_family_of_a_stanza_has_its_own() -> None:
    with open_bench() as bench:
        assert bench.up(make_event(
            GATEWAY="10.1.2.1", FLAGS="subflow signal", SOURCES="10.8.0.0/16 2001:db8::/48",
            ANNOUNCE="192.0.2.10 3fff::10")) == []
        assert list_own(bench) == [
            ("10.1.2.2", 3, ("subflow",)), ("192.0.2.10", 0, ("signal",)),
            ("fd00:2::2", 3, ("subflow",)), ("3fff::10", 0, ("signal",))]
        further = [(family, rule.source) for family, rule in bench.machine.rules
                   if rule.preference == 20008]
        assert further == [(4, "10.8.0.0/16"), (6, "2001:db8::/48")]


@pytest.mark.parametrize("flags, expected", [
    ("", [("10.1.2.2", 3, ("subflow",)), ("192.0.2.10", 0, ("signal",))]),
    ("signal", [("192.0.2.10", 0, ("signal",))]),
    ("signal backup", [("192.0.2.10", 0, ("signal", "backup"))]),
    ("subflow signal", [("10.1.2.2", 3, ("subflow",)), ("192.0.2.10", 0, ("signal",))]),
    ("subflow backup", [("10.1.2.2", 3, ("subflow", "backup")),
                        ("192.0.2.10", 0, ("signal", "backup"))]),
])
def test_what_is_announced_stands_in_for_the_own_address(
    flags: str, expected: list[tuple[str, int, tuple[str, ...]]]
) -> None:
    given = {"mptcp_flags": flags} if flags else {}
    with open_bench() as bench:
        assert bench.up(static("eth1", 4, mptcp_announce="192.0.2.10", **given)) == []
        assert list_own(bench) == expected
        assert bench.again() == [] and bench.machine.ran == []
        assert bench.down("eth1") == [] and bench.machine.snapshot() == bench.before


def test_one_more_announced_address_leaves_the_other_endpoints_alone() -> None:
    with open_bench() as bench:
        bench.up(static("eth1", 4, mptcp_announce="192.0.2.10"))
        assert bench.up(static("eth1", 4, mptcp_announce="192.0.2.10 192.0.2.11")) == []
        assert bench.machine.ran == ["mptcp endpoint add 192.0.2.11 signal"]
        assert bench.up(static("eth1", 4, mptcp_announce="192.0.2.11")) == []
        assert [line for line in bench.machine.ran if "mptcp" in line.split(" ")] == [
            "mptcp endpoint delete id 9"]


def test_a_further_address_that_is_announced_has_that_endpoint_alone() -> None:
    alias = read_event({"IFACE": "eth1:1", "ADDRFAM": "inet", "METHOD": "static",
                        "IF_ADDRESS": "10.1.2.3", "IF_NETMASK": "24", "IF_GATEWAY": "10.1.2.1",
                        "IF_MPTCP_ANNOUNCE": "192.0.2.11"})
    assert alias is not None
    with open_bench() as bench:
        bench.machine.plug("eth1", 3, *ADDRESSES["eth1"],
                           InterfaceAddress(4, "10.1.2.3", 24, "", ""))
        assert bench.up(static("eth1", 4), alias) == []
        assert list_own(bench) == [("10.1.2.2", 3, ("subflow",)), ("192.0.2.11", 0, ("signal",))]


def test_what_there_is_no_place_for_is_told_and_the_rest_announced() -> None:
    with open_bench() as bench:
        others = [Endpoint(20 + n, f"10.7.7.{n}", 0, ("subflow",)) for n in range(4)]
        bench.machine.endpoints += [*others, Endpoint(30, "192.0.2.12", 0, ("signal",))]
        announced = "192.0.2.12 192.0.2.10 192.0.2.11"
        assert bench.up(static("eth1", 4, mptcp_announce=announced)) == []
        assert [one.address for one in bench.machine.endpoints[6:]] == ["10.1.2.2", "192.0.2.10"]


@pytest.mark.parametrize("flags, left", [
    ("signal", []), ("signal backup", []), ("subflow signal", [("10.1.2.2", 3, ("subflow",))])])
def test_the_own_address_is_not_told_where_there_is_no_place_for_what_is_announced(
    flags: str, left: list[tuple[str, int, tuple[str, ...]]]
) -> None:
    with open_bench() as bench:
        # With the one that is there before they leave one place, for the own address alone.
        bench.machine.endpoints += [
            *(Endpoint(20 + n, f"10.7.7.{n}", 0, ("subflow",)) for n in range(5)),
            Endpoint(30, "192.0.2.12", 0, ("signal",))]
        assert bench.up(static("eth1", 4, mptcp_announce="192.0.2.12", mptcp_flags=flags)) == []
        assert list_own(bench)[6:] == left
        assert bench.again() == [] and bench.machine.ran == []


@pytest.mark.parametrize("lost, left", [
    ("192.0.2.11", [("10.1.2.2", 3, ("subflow",)), ("192.0.2.10", 0, ("signal",))]),
    ("10.1.2.2", [])])
def test_an_announced_endpoint_that_fails_costs_itself_and_the_own_one_all(
    lost: str, left: list[tuple[str, int, tuple[str, ...]]]
) -> None:
    event = static("eth1", 4, mptcp_announce="192.0.2.10 192.0.2.11")
    with open_bench() as bench:
        bench.machine.obstacle = lambda line: "Busy" * (f"endpoint add {lost}" in line)
        (problem,) = bench.up(event)
        assert "Busy" in str(problem) and list_own(bench) == left
        bench.machine.obstacle = lambda line: ""
        assert bench.again() == [] and len(list_own(bench)) == 3
        assert bench.down("eth1") == [] and bench.machine.snapshot() == bench.before


def test_where_all_are_taken_what_is_announced_stays() -> None:
    event = static("eth1", 4, mptcp_flags="signal", mptcp_announce="192.0.2.10")
    with open_bench() as bench:
        bench.machine.endpoints += [
            Endpoint(20 + n, f"10.7.7.{n}", 0, ("subflow",)) for n in range(6)]
        assert bench.up(event) == []
        assert bench.up(event) == [] == bench.again() and bench.machine.ran == []
        assert bench.machine.endpoints[-1].address == "192.0.2.10"


@pytest.mark.parametrize("flags", ["subflow", "signal"])
def test_beside_a_tunnel_nothing_is_announced(flags: str) -> None:
    event = static("eth1", 4, mptcp_flags=flags, mptcp_announce="192.0.2.10")
    with open_bench() as bench:
        with bench.open_store() as store:
            store.save_tunnels((Tunnel(4, "wg0"),))
        assert bench.up(event) == [] and list_own(bench) == []
        with bench.open_store() as store:
            store.save_tunnels(())
        assert bench.again() == [] and ("192.0.2.10", 0, ("signal",)) in list_own(bench)


@pytest.mark.parametrize("family, beside, told", [
    # A link-local address, one of a LAN, and one that is a path's.
    (6, InterfaceAddress(6, "fe80::2", 64, "", ""), True),
    (6, InterfaceAddress(6, "fd00:2::2", 64, "", ""), True),
    (6, InterfaceAddress(6, "fd00:2::2", 64, "", "fd00:2::1"), False),
    (4, InterfaceAddress(4, "10.1.2.2", 24, "", ""), True),
    (4, InterfaceAddress(4, "10.1.2.2", 24, "", "10.1.2.1"), False)])
def test_a_tunnel_of_a_family_in_which_an_uplink_has_an_address_and_no_path_changes_nothing(
    family: int, beside: InterfaceAddress, told: bool
) -> None:
    own = {6: "10.1.2.2", 4: "fd00:2::2"}[family]
    gateways = {6: "10.1.2.1", 4: "fd00:2::1"}[family], beside.gateway
    mapped = {6: "192.0.2.10", 4: "2001:db8::10"}[family]
    event = read_event({
        "IFACE": "eth1", "ADDRFAM": "inet,inet6", "METHOD": "dhcp", "IF_MPTCP_ANNOUNCE": mapped})
    assert event is not None
    with open_bench() as bench:
        (address,) = (one for one in ADDRESSES["eth1"] if one.address == own)
        bench.machine.plug("eth1", 3, address, beside._replace(gateway=""),
                           gateways=tuple(filter(None, gateways)))
        with bench.open_store() as store:
            store.save_tunnels((Tunnel(family, "wg0"),))
        assert bench.up(event) == []
        assert ((mapped, 0, ("signal",)) in list_own(bench)) == told
        assert bench.again() == bench.all() == bench.name(event) == []
        assert ((mapped, 0, ("signal",)) in list_own(bench)) == told


def test_a_path_that_goes_in_a_work_is_beside_no_tunnel_any_more() -> None:
    """For its sake peers were not told of the other address."""
    event = read_event({
        "IFACE": "eth1", "ADDRFAM": "inet,inet6", "METHOD": "dhcp", "IF_MPTCP_FLAGS": "signal"})
    assert event is not None
    with open_bench() as bench:
        bench.machine.plug("eth1", 3, *ADDRESSES["eth1"], gateways=("10.1.2.1", "fd00:2::1"))
        with bench.open_store() as store:
            store.save_tunnels((Tunnel(6, "wg0"),))
        assert bench.up(event) == [] == list_own(bench)
        bench.machine.take_address("eth1", "fd00:2::2")
        assert bench.again() == [] and list_own(bench) == [("10.1.2.2", 3, ("signal",))]


@pytest.mark.parametrize("told, other", [("eth0", "eth1"), ("eth1", "eth0")])
@pytest.mark.parametrize("family", [4, 6])
@pytest.mark.parametrize("way", ["all", "again", "name", "name reversed"])
def test_what_peers_are_told_goes_by_the_paths_that_there_are_after_the_work(
    told: str, other: str, family: int, way: str
) -> None:
    """The only path of a tunnel's family comes, or goes, with another interface."""
    signalled = static(told, 10 - family, mptcp_flags="signal")
    beside = read_event({"IFACE": other, "METHOD": "dhcp", "IF_MPTCP_FLAGS": "subflow",
                         "ADDRFAM": {4: "inet", 6: "inet6"}[family]})
    assert beside is not None
    events = signalled, beside
    (own,) = (one for one in ADDRESSES[other] if one.family == family)
    with open_bench() as bench:
        machine = bench.machine

        def do() -> list[tuple[str, int, tuple[str, ...]]]:
            if way in ("all", "again"):
                assert (bench.all() if way == "all" else bench.again()) == []
            else:
                assert bench.name(*(events[::-1] if "reversed" in way else events)) == []
            return [one for one in list_own(bench) if one[2] == ("signal",)]

        assert bench.up(*events) == []
        if way == "again":
            machine.endpoints = [one for one in machine.endpoints if one.flags != ("signal",)]
        else:
            assert bench.dismiss("eth0", "eth1") == []
        with bench.open_store() as store:
            store.save_tunnels((Tunnel(family, "wg0"),))
        assert do() == [] == do()
        machine.take_address(other, own.address)
        there = do()
        assert [flags for *_, flags in there] == [("signal",)]
        assert do() == there and machine.ran == []


@pytest.mark.parametrize("family", [4, 6])
@pytest.mark.parametrize("told, other", [("eth0", "eth1"), ("eth1", "eth0")])
@pytest.mark.parametrize("other_is", ["edited", "edited with it", "new"])
def test_what_peers_are_told_of_goes_by_what_an_edit_or_a_newcomer_brings(
    told: str, other: str, family: int, other_is: str
) -> None:
    """Their part of the work is added by itself, after that of what is on record."""
    signalled = static(told, 10 - family, mptcp_flags="signal")
    plain, beside = static(other, 10 - family), static(other, family)
    with open_bench() as bench:
        assert bench.up(signalled, *[plain] * (other_is != "new")) == []
        bench.machine.endpoints = [one for one in bench.machine.endpoints
                                   if one.flags != ("signal",)]
        with bench.open_store() as store:
            store.save_tunnels((Tunnel(family, "wg0"),))
        edited = [signalled] * (other_is == "edited with it") + [beside]
        for _ in range(2):
            assert (bench.all(beside) if other_is == "new" else bench.all(edited=edited)) == []
            assert [one for one in list_own(bench) if one[2] == ("signal",)] == []


@pytest.mark.parametrize("way", ["managed", "adopted", "all"])
def test_what_is_taken_in_beside_a_path_that_comes_after_it_is_not_told(way: str) -> None:
    """Of IPv4's addresses peers would be told, and there is a tunnel of IPv6."""
    events = [static("eth1", 4, mptcp_flags="signal"), static("eth1", 6)]
    named = NO_CONFIGURATION._replace(wishes=(Wishes("eth1", managed=True, flags=("signal",)),))
    with open_bench(named if way == "managed" else NO_CONFIGURATION) as bench:
        with bench.open_store() as store:
            store.save_tunnels((Tunnel(6, "wg0"),))
            given = bench.machine, events, bench.configuration
            if way == "managed":
                work = prepare_managed(store, bench.machine, bench.configuration, frozenset())
            elif way == "adopted":
                work = prepare_adoption(store, *given, {})
            else:
                work = prepare_all(store, *given)
            assert carry_out(store, bench.machine, work) == []
            paths = [one.path for stanza in store.load("eth1") for one in stanza.paths]
        assert {path.family for path in paths} == {4, 6}
        assert not any("signal" in flags for *_, flags in list_own(bench))


def test_beside_a_tunnel_peers_hear_of_no_more_than_before() -> None:
    """The own endpoint stands; what its address is mapped to had no place until now."""
    event = static("eth1", 4, mptcp_announce="192.0.2.10")
    with open_bench() as bench:
        others = [Endpoint(20 + n, f"10.7.7.{n}", 0, ("subflow",)) for n in range(6)]
        bench.machine.endpoints += others
        assert bench.up(event) == []
        with bench.open_store() as store:
            store.save_tunnels((Tunnel(4, "wg0"),))
        bench.machine.endpoints = [one for one in bench.machine.endpoints if one not in others]
        alone = list_own(bench)
        assert [address for address, *_ in alone] == ["10.1.2.2"]
        assert bench.again() == bench.all() == bench.up(event) == []
        assert list_own(bench) == alone
        with bench.open_store() as store:
            store.save_tunnels(())
        assert bench.again() == [] and ("192.0.2.10", 0, ("signal",)) in list_own(bench)


@pytest.mark.parametrize("flags, beside, after", [
    ("subflow signal", [("10.1.2.2", 3, ("subflow",))], ("signal", "subflow")),
    ("subflow signal backup", [("10.1.2.2", 3, ("subflow", "backup"))],
     ("signal", "subflow", "backup")),
    # Nothing would use it.
    ("signal", [], ("signal",))])
def test_beside_a_tunnel_an_endpoint_that_stands_is_signalled_once_that_has_gone(
    flags: str, beside: list[tuple[str, int, tuple[str, ...]]], after: tuple[str, ...]
) -> None:
    """Its stanza is edited meanwhile."""
    event = static("eth1", 4, mptcp_flags=flags)
    with open_bench() as bench:
        assert bench.up(static("eth1", 4)) == []
        with bench.open_store() as store:
            store.save_tunnels((Tunnel(4, "wg0"),))
        assert bench.up(event) == [] and list_own(bench) == beside
        assert bench.up(event) == bench.again() == bench.all() == []
        assert list_own(bench) == beside
        with bench.open_store() as store:
            store.save_tunnels(())
        assert bench.again() == [] and list_own(bench) == [("10.1.2.2", 3, after)]


def test_beside_a_tunnel_what_peers_were_told_stays_told() -> None:
    """It is the monitor's to take it away, once no connection needs it."""
    event = static("eth1", 4, mptcp_flags="subflow signal")
    with open_bench() as bench:
        assert bench.up(event) == []
        told = list_own(bench)
        with bench.open_store() as store:
            store.save_tunnels((Tunnel(4, "wg0"),))
        assert bench.up(event) == bench.again() == [] and list_own(bench) == told


@pytest.mark.parametrize("flags", ["", "subflow", "signal"])
def test_what_is_announced_goes_from_one_address_of_a_stanza_to_the_other_in_one_work(
    flags: str
) -> None:
    event = read_event({"IFACE": "eth1", "ADDRFAM": "inet6", "METHOD": "static",
                        "IF_ADDRESSES": "fd00:2::2/64 fd00:2::3/64", "IF_GATEWAY": "fd00:2::1",
                        "IF_MPTCP_ANNOUNCE": "3fff::10", "IF_MPTCP_FLAGS": flags})
    assert event is not None
    one, other = (InterfaceAddress(6, own, 64, "", "") for own in ("fd00:2::2", "fd00:2::3"))
    with open_bench() as bench:
        bench.machine.plug("eth1", 3, one, other)
        assert bench.up(event) == []
        for held in ((other,), (one, other)):
            bench.machine.plug("eth1", 3, *held)
            assert bench.again() == [] and ("3fff::10", 0, ("signal",)) in list_own(bench)
            assert [path.address for path in list_paths(bench, "eth1") if path.announced] == [
                held[0].address]
            assert bench.again() == [] and bench.machine.ran == []
        assert bench.down("eth1") == [] and bench.machine.snapshot() == bench.before


def test_the_record_of_the_limits_alone_has_all_endpoints_go(
    monkeypatch: pytest.MonkeyPatch
) -> None:
    with open_bench() as bench:
        monkeypatch.setattr(salvage, "if_nametoindex", bench.machine.find_ifindex)
        bench.up(static("eth1", 4, mptcp_announce="192.0.2.10"))
        (bench.folder / "eth1.paths").unlink()
        assert bench.down("eth1") == [] and list_own(bench) == []


def test_an_interface_without_a_carrier_announces_nothing() -> None:
    event = static("eth1", 4, mptcp_flags="signal", mptcp_announce="192.0.2.10")
    with open_bench() as bench:
        bench.up(event)
        assert bench.farewell("eth1") == [] and list_own(bench) == []
        assert bench.up(event) == []
        assert list_own(bench) == [("192.0.2.10", 0, ("signal",))]


@pytest.mark.parametrize("one, other", [
    ({"mptcp_mark": "1/0xff"}, {"mptcp_mark": "1/0xff"}),
    ({"mptcp_mark": "1/0xff"}, {"mptcp_mark": "2"}),
    ({"mptcp_sources": "10.8.0.0/16"}, {"mptcp_sources": "10.8.1.0/24"}),
    ({"mptcp_sources": "10.8.1.0/24"}, {"mptcp_sources": "10.8.0.0/16"}),
    ({"mptcp_announce": "192.0.2.10"}, {"mptcp_announce": "192.0.2.11 192.0.2.10"}),
])
@pytest.mark.parametrize("together", [True, False])
def test_what_is_one_uplinks_is_refused_to_the_second(
    one: dict[str, str], other: dict[str, str], together: bool
) -> None:
    first, second = static("eth0", 4, **one), static("eth1", 4, **other)
    with open_bench() as bench:
        if not together:
            assert bench.up(first) == []
        problems = bench.up(*(first, second)[not together:])
        assert [problem.status for problem in problems] == [USAGE]
        assert str(problems[0]).startswith("eth1: mptcp-")
        # It is another one's in the other family, and free when that has gone.
        assert bench.up(static("eth1", 6)) == []
        assert bench.down("eth0") == [] and bench.up(second) == []


def test_an_address_that_the_machine_has_is_not_announced() -> None:
    with open_bench() as bench:
        (problem,) = bench.up(static("eth1", 4, mptcp_announce="10.1.1.2"))
        assert problem.status == USAGE and bench.machine.snapshot() == bench.before


def test_a_section_that_fits_two_is_the_firsts() -> None:
    marked: Configuration = NO_CONFIGURATION._replace(wishes=(Wishes("eth*", mark="0x1"),))
    with open_bench(marked) as bench:
        (problem,) = bench.up(static("eth0", 4), static("eth1", 4))
        assert problem.status == USAGE and str(problem).startswith("eth1: mptcp-mark ")


def list_paths(bench: Bench, iface: str) -> list[Path]:
    """The paths that an interface has on record."""
    with bench.open_store() as store:
        return [one.path for stanza in store.load(iface) for one in stanza.paths]


@pytest.mark.parametrize("device, known", [("eth0", True), ("eth1", True), ("eth0", False)])
def test_a_host_among_the_sources_of_one_uplink_may_be_anothers_address(
    device: str, known: bool
) -> None:
    """Its rules by source stand before those of further sources, and take it."""
    first = static(device, 4, mptcp_sources="10.1.2.9")
    second = read_event({"IFACE": "eth1", "ADDRFAM": "inet", "METHOD": "static",
                         "IF_ADDRESS": "10.1.2.9", "IF_NETMASK": "24",
                         "IF_GATEWAY": "10.1.2.1", "IF_MPTCP_FLAGS": "subflow"})
    assert second is not None
    with open_bench() as bench:
        bench.machine.plug("eth1", 3, *ADDRESSES["eth1"],
                           InterfaceAddress(4, "10.1.2.9", 24, "", ""))
        assert bench.up(first) == []
        if not known:
            (bench.folder / f"{device}.paths").unlink()
        # Where nothing is on record of it, nobody knows where its rules stood before.
        for preference in (FIRST_PREFERENCE, 18000)[:1 + known]:
            bench.configuration = NO_CONFIGURATION._replace(preference=preference)
            for again in (False, True):
                assert (bench.again() if again else bench.up(second)) == []
                (path,) = (one for one in list_paths(bench, "eth1") if one.address == "10.1.2.9")
                assert not path.shared and path.endpoint
                assert "10.1.2.9" in [own for own, _, _ in list_own(bench)]
