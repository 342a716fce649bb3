# SPDX-License-Identifier: GPL-2.0-or-later
"""What belongs to one uplink comes to be another's: in one work, or by one interface alone."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import pytest

from mptcp_hooks.base.errors import USAGE, Problem
from mptcp_hooks.intent import ifupdown
from mptcp_hooks.intent.event import Event, read_event
from mptcp_hooks.intent.settings import NO_CONFIGURATION, Configuration, Wishes
from tests.unit.engine import Bench, open_bench, static
from tests.unit.memory import Killed, State, kill_at

PLAIN = static("eth0", 4), static("eth1", 4)
# The stanza's option, the section's key, and a value for either uplink.
KINDS: list[tuple[str, str, str, str]] = [
    ("mptcp_mark", "mark", "0x1", "0x2"),
    ("mptcp_sources", "sources", "10.7.1.0/24", "10.7.2.0/24"),
    ("mptcp_announce", "announced", "203.0.113.9", "203.0.113.8"),
]
kinds = pytest.mark.parametrize("option, key, one, other", KINDS)
# Of IPv6, what a section has, and what it has later.
SECTIONS_OF_6 = {
    "mark": ("0x3", "0x4"),
    "sources": ("fd00:7:1::/64", "fd00:7:2::/64"),
    "announced": ("2001:db8::9", "2001:db8::8"),
}


def section(device: str, key: str, text: str) -> Wishes:
    values: dict[str, Any] = {key: text if key == "mark" else (text,)}
    return Wishes(device, **values)


def configure(*sections: Wishes) -> Configuration:
    return NO_CONFIGURATION._replace(wishes=sections)


def dynamic(iface: str, **options: str) -> Event:
    """The event of a stanza that states no address; options as static has them."""
    event = read_event({"IFACE": iface, "ADDRFAM": "inet", "METHOD": "dhcp",
                        **{f"IF_{name.upper()}": value for name, value in options.items()}})
    assert event is not None
    return event


def show_anew(configuration: Configuration, events: Iterable[Event]) -> State:
    """What there is where nothing was before."""
    with open_bench(configuration) as bench:
        assert bench.up(*events) == []
        return show(bench)


def show(bench: Bench) -> State:
    """What there is, in an order of its own."""
    state = bench.machine.snapshot()
    return state._replace(rules=tuple(sorted(state.rules)), routes=tuple(sorted(state.routes)),
                          endpoints=tuple(sorted(state.endpoints)))


def list_own(bench: Bench, iface: str) -> list[tuple[str, tuple[str, ...], tuple[str, ...]]]:
    """What belongs to the paths that an interface has on record."""
    with bench.open_store() as store:
        return [(one.path.mark, one.path.sources, one.path.announced)
                for stanza in store.load(iface) for one in stanza.paths]


@kinds
@pytest.mark.parametrize("act", [Bench.all, Bench.again, lambda bench: bench.up(*PLAIN)])
def test_sections_that_are_swapped_come_true_in_one_work(
    option: str, key: str, one: str, other: str, act: Callable[[Bench], list[object]]
) -> None:
    swapped = configure(section("eth0", key, other), section("eth1", key, one))
    with open_bench(configure(section("eth0", key, one), section("eth1", key, other))) as bench:
        assert bench.up(*PLAIN) == []
        bench.configuration = swapped
        assert act(bench) == []
        assert show(bench) == show_anew(swapped, PLAIN)
        assert bench.again() == [] == bench.all() and bench.machine.ran == []
        assert bench.down("eth0", "eth1") == [] and bench.machine.snapshot() == bench.before


@kinds
def test_what_moves_to_another_section_comes_true_in_one_work(
    option: str, key: str, one: str, other: str
) -> None:
    with open_bench(configure(section("eth1", key, one))) as bench:
        bench.up(*PLAIN)
        bench.configuration = configure(section("eth0", key, one))
        assert bench.all() == []
        assert show(bench) == show_anew(bench.configuration, PLAIN)


@kinds
@pytest.mark.parametrize("edited", [("eth0", "eth1"), ("eth1", "eth0")])
def test_stanzas_that_are_swapped_come_true_in_one_work(
    option: str, key: str, one: str, other: str, edited: tuple[str, str]
) -> None:
    with open_bench() as bench:
        assert bench.up(static("eth0", 4, **{option: one}),
                        static("eth1", 4, **{option: other})) == []
        new = {"eth0": static("eth0", 4, **{option: other}),
               "eth1": static("eth1", 4, **{option: one})}
        assert bench.all(edited=[new[iface] for iface in edited]) == []
        assert show(bench) == show_anew(NO_CONFIGURATION, new.values())
        assert bench.again() == [] == bench.all() and bench.machine.ran == []


@pytest.mark.parametrize("key", SECTIONS_OF_6)
@pytest.mark.parametrize("edited", [False, True])
@pytest.mark.parametrize("holder", [static("eth0", 4, mptcp_mark="0x9"),
                                    static("eth1", 4, mptcp_mark="0x9")])
def test_a_stanza_that_the_work_does_not_renew_keeps_what_its_section_had(
    key: str, edited: bool, holder: Event
) -> None:
    old, new = SECTIONS_OF_6[key]
    apart, beside = static("eth1", 6), dynamic("eth1", mptcp_mark="0x9")
    with open_bench(configure(section("eth1", key, old))) as bench:
        assert bench.up(apart, holder) == []
        before = show(bench)
        bench.configuration = configure(*[section("eth1", key, new)] * edited)
        # The mark is another path's, which keeps it.
        assert bench.up(beside) == []
        assert show(bench) == before
        assert bench.up(apart) == [] and old not in str(list_own(bench, "eth1"))
        assert (new in str(list_own(bench, "eth1"))) == edited


def renumber(bench: Bench) -> Event:
    """The event of eth1 with another address, which it has by now."""
    (old,) = PLAIN[1].addresses
    bench.machine.take_address("eth1", old.address)
    device = bench.machine.devices["eth1"]
    bench.machine.devices["eth1"] = device._replace(addresses=(
        *device.addresses, old._replace(address="10.1.2.9")))
    event = read_event({
        "IFACE": "eth1", "ADDRFAM": "inet", "METHOD": "static", "IF_ADDRESS": "10.1.2.9",
        "IF_NETMASK": "24", "IF_GATEWAY": "10.1.2.1"})
    assert event is not None
    return event


def lower(bench: Bench) -> list[Problem]:
    """A link that goes down, and what `mptcp_up --all` does then."""
    device = bench.machine.devices["eth1"]
    bench.machine.devices["eth1"] = device._replace(link=device.link._replace(up=False))
    return bench.all()


def leave(bench: Bench) -> list[Problem]:
    """A round between the two hooks of ifdown."""
    return bench.farewell("eth1") or bench.again()


@kinds
@pytest.mark.parametrize("act", [lower, leave])
def test_a_stanza_that_does_not_come_keeps_what_nobody_wants(
    option: str, key: str, one: str, other: str, act: Callable[[Bench], list[Problem]]
) -> None:
    marked = {"mptcp_mark": "0x9"}
    with open_bench(configure(section("eth1", key, one))) as bench:
        assert bench.up(static("eth0", 4, **marked), PLAIN[1]) == []
        assert bench.up(dynamic("eth0", **marked)) == []
        before = list_own(bench, "eth1")
        assert one in str(before)
        bench.configuration = NO_CONFIGURATION
        assert act(bench) == []
        assert list_own(bench, "eth1") == before


@kinds
def test_a_stanza_that_does_not_come_gives_up_what_another_one_wants(
    option: str, key: str, one: str, other: str
) -> None:
    with open_bench(configure(section("eth1", key, one))) as bench:
        assert bench.up(*PLAIN) == []
        bench.configuration = configure(section("eth0", key, one))
        assert lower(bench) == []
        assert one in str(list_own(bench, "eth0")) and one not in str(list_own(bench, "eth1"))


@kinds
@pytest.mark.parametrize("edited", [("eth0", "eth1"), ("eth1", "eth0")])
def test_what_moves_from_a_stanza_with_another_address_by_now_comes_true_in_one_work(
    option: str, key: str, one: str, other: str, edited: tuple[str, str]
) -> None:
    with open_bench() as bench:
        assert bench.up(PLAIN[0], static("eth1", 4, **{option: one})) == []
        new = {"eth0": static("eth0", 4, **{option: one}), "eth1": renumber(bench)}
        assert bench.all(edited=[new[iface] for iface in edited]) == []
        assert one in str(list_own(bench, "eth0")) and one not in str(list_own(bench, "eth1"))


def test_marks_that_get_a_mask_come_true_in_one_work() -> None:
    new = static("eth0", 4, mptcp_mark="1/0xff"), static("eth1", 4, mptcp_mark="2/0xff")
    with open_bench() as bench:
        bench.up(static("eth0", 4, mptcp_mark="1"), static("eth1", 4, mptcp_mark="2"))
        assert bench.all(edited=new) == []
        assert show(bench) == show_anew(NO_CONFIGURATION, new)


@kinds
def test_what_one_gives_up_by_its_stanza_another_gets_by_its_section(
    option: str, key: str, one: str, other: str
) -> None:
    with open_bench() as bench:
        bench.up(PLAIN[0], static("eth1", 4, **{option: one}))
        bench.configuration = configure(section("eth0", key, one))
        assert bench.all(edited=[static("eth1", 4, **{option: other})]) == []
        assert one in str(list_own(bench, "eth0")) and other in str(list_own(bench, "eth1"))


@kinds
def test_one_alone_comes_up_without_what_another_has_not_given_up_yet(
    option: str, key: str, one: str, other: str
) -> None:
    swapped = configure(section("eth0", key, other), section("eth1", key, one))
    with open_bench(configure(section("eth0", key, one), section("eth1", key, other))) as bench:
        bench.up(*PLAIN)
        bench.configuration = swapped
        bench.farewell("eth0")
        bench.down("eth0")
        (problem,) = bench.up(PLAIN[0])
        assert str(problem).startswith(f"eth0: not yet with mptcp-{option[6:]} {other}: eth1 ")
        assert "mptcp_up --all" in str(problem)
        assert list_own(bench, "eth0") == [("", (), ())]
        assert other in str(list_own(bench, "eth1"))
        assert "10.1.1.2" in [own for own, _, _ in bench.machine.snapshot().endpoints]
        assert bench.all() == []
        assert show(bench) == show_anew(swapped, PLAIN)


@kinds
def test_so_it_does_where_only_the_file_of_stanzas_tells_of_it(
    option: str, key: str, one: str, other: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    new = {"eth0": static("eth0", 4, **{option: other}), "eth1": static("eth1", 4, **{option: one})}
    with open_bench() as bench:
        bench.up(static("eth0", 4, **{option: one}), static("eth1", 4, **{option: other}))
        monkeypatch.setattr(ifupdown, "ask_ifquery", lambda iface, logical: [
            dict(line.partition("=")[::2] for line in new[iface].told)])
        bench.farewell("eth0")
        bench.down("eth0")
        (problem,) = bench.up(new["eth0"])
        assert "eth0: not yet with " in str(problem) and list_own(bench, "eth0") == [("", (), ())]
        # What changes besides is followed meanwhile.
        bench.machine.endpoints = [one for one in bench.machine.endpoints
                                   if one.address != "10.1.1.2"]
        assert len(bench.again()) == 1
        assert "10.1.1.2" in [own for own, _, _ in bench.machine.snapshot().endpoints]
        assert bench.all(edited=[new["eth1"]]) == []
        assert show(bench) == show_anew(NO_CONFIGURATION, new.values())


@kinds
def test_what_both_are_to_have_sets_nothing_up(
    option: str, key: str, one: str, other: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    standing, refused = static("eth1", 4, **{option: one}), static("eth0", 4, **{option: one})
    monkeypatch.setattr(ifupdown, "ask_ifquery", lambda iface, logical: [
        dict(line.partition("=")[::2] for line in standing.told)])
    with open_bench() as bench:
        bench.up(standing)
        before = bench.machine.snapshot()
        (problem,) = bench.up(refused)
        assert problem.status == USAGE and bench.machine.snapshot() == before
        assert list_own(bench, "eth0") == []


def test_a_stanza_that_cannot_be_read_gives_nothing_up() -> None:
    new = static("eth0", 4, mptcp_mark="2"), static("eth1", 4, mptcp_mark="1/")
    with open_bench() as bench:
        bench.up(static("eth0", 4, mptcp_mark="1"), static("eth1", 4, mptcp_mark="2"))
        before = bench.machine.snapshot()
        problems = bench.all(edited=new)
        assert [problem.status for problem in problems] == [USAGE] * 2
        assert bench.machine.snapshot() == before


@kinds
def test_one_that_is_refused_keeps_what_it_had(
    option: str, key: str, one: str, other: str
) -> None:
    with open_bench() as bench:
        bench.up(static("eth0", 4, **{option: one}), static("eth1", 4, **{option: other}))
        before = bench.machine.snapshot()
        (problem,) = bench.all(edited=[static("eth1", 4, **{option: one})])
        assert problem.status == USAGE and bench.machine.snapshot() == before


@kinds
@pytest.mark.parametrize("number", range(0, 24))
def test_a_kill_in_the_middle_leaves_nothing_behind(
    option: str, key: str, one: str, other: str, number: int
) -> None:
    new = static("eth0", 4, **{option: other}), static("eth1", 4, **{option: one})
    with open_bench() as bench:
        bench.up(static("eth0", 4, **{option: one}), static("eth1", 4, **{option: other}))
        bench.machine.obstacle = kill_at(number)
        try:
            bench.all(edited=new)
        except Killed:
            pass
        bench.machine.obstacle = lambda line: ""
        assert bench.all(edited=new) == []
        assert show(bench) == show_anew(NO_CONFIGURATION, new)
        assert bench.down("eth0", "eth1") == [] and bench.machine.snapshot() == bench.before
