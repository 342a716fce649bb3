# SPDX-License-Identifier: GPL-2.0-or-later
"""What the kernel tells of a gateway's entry, and the lines that ask for it."""

from __future__ import annotations

import errno
import struct
from ipaddress import ip_address
from socket import AF_INET, AF_INET6

import pytest
from hypothesis import given
from hypothesis import strategies as some

from mptcp_hooks.base.errors import Problem
from mptcp_hooks.base.line import find_fault, find_neighbour_fault
from mptcp_hooks.base.spawn import Outcome
from mptcp_hooks.machine import neighbours
from mptcp_hooks.machine.neighbours import (
    Entry, build_oblivion, build_probe, build_question, has_answered, has_failed, is_failing,
    is_known, read_entry, read_message)
from mptcp_hooks.machine.netlink import Refused
from mptcp_hooks.machine.runner import Runner
from tests.unit.netlink_messages import FakeConversation, make_attributes

# The kernel's, not those of the module: a number that is wrong there must show here.
NONE, INCOMPLETE, REACHABLE, STALE, DELAY, PROBE = 0, 0x01, 0x02, 0x04, 0x08, 0x10
FAILED, NOARP, PERMANENT = 0x20, 0x40, 0x80
NETLINK_ROUTE, RTM_GETNEIGH, NDA_DST, NDA_LLADDR = 0, 30, 1, 2
GATEWAYS = ("10.1.1.1", "fe80::1", "2001:db8::1")
# Names that a device may have.
DEVICES = ("eth0", "enp1s0.42", "wg-home", "br_lan", "x" * 15)
RULE = "ip -4 rule add pref 20002 from 10.1.1.2 lookup 20003 protocol 77"


LINK_ADDRESS = bytes.fromhex("0200000000a7")


def make_answer(
    family: int = AF_INET, ifindex: int = 2, state: int = REACHABLE, link: bytes = LINK_ADDRESS
) -> bytes:
    """A struct ndmsg and what comes after it."""
    return struct.pack("=BBHiHBB", family, 0, 0, ifindex, state, 0, 1) + make_attributes(
        (NDA_DST, ip_address("10.1.1.1").packed), *[(NDA_LLADDR, link)] * bool(link))


def test_a_message_tells_the_device_and_the_state() -> None:
    assert read_message(make_answer(ifindex=70000, state=STALE)) == (70000, STALE)


def test_one_that_is_cut_off_tells_of_nobody() -> None:
    whole = make_answer(ifindex=7, state=FAILED)
    read = [read_message(whole[:size]) for size in range(len(whole))]
    assert read == [(0, 0)] * 12 + [(7, FAILED)] * (len(whole) - 12)


@given(some.binary(max_size=64))
def test_noise_is_no_error(noise: bytes) -> None:
    read_message(noise)


@pytest.mark.parametrize(("state", "answered", "failing"), [
    (NONE, False, False), (INCOMPLETE, False, True), (REACHABLE, True, False),
    (STALE, True, False), (DELAY, True, False), (PROBE, True, False), (FAILED, False, True),
    (NOARP, True, False), (PERMANENT, True, False),
])
def test_who_has_answered_and_who_is_asked_in_vain(
    state: int, answered: bool, failing: bool
) -> None:
    assert (has_answered(state), is_failing(state)) == (answered, failing)
    assert has_failed(state) == (state == FAILED)


def test_what_the_kernel_learned_and_may_be_wrong_about() -> None:
    """What was set by hand, and what needs no answer, is not proved by asking."""
    states = (NONE, INCOMPLETE, REACHABLE, STALE, DELAY, PROBE, FAILED, NOARP, PERMANENT)
    assert [state for state in states if is_known(state)] == [REACHABLE, STALE, DELAY, PROBE]


class FakeKernel(FakeConversation):
    """Has this answer, or refuses with this number; what it was asked is in `request`."""

    def __init__(self, answer: bytes | int) -> None:
        super().__init__(NETLINK_ROUTE)
        self._answer = answer
        self.request = b""

    def ask_one(self, kind: int, request: bytes) -> bytes:
        assert kind == RTM_GETNEIGH
        self.request = request
        if isinstance(self._answer, int):
            raise Refused(self._answer)
        return self._answer


@pytest.mark.parametrize(("gateway", "family"), [("10.1.1.1", AF_INET), ("fe80::1", AF_INET6)])
def test_the_state_of_a_gateway_on_a_device(
    gateway: str, family: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    kernel = FakeKernel(make_answer(state=DELAY))
    monkeypatch.setattr(neighbours, "Conversation", kernel)
    assert read_entry(gateway, 3) == Entry(DELAY, "02:00:00:00:00:a7")
    assert kernel.request == struct.pack("=BBHiHBB", family, 0, 0, 3, 0, 0, 0) + make_attributes(
        (NDA_DST, ip_address(gateway).packed))


@pytest.mark.parametrize("answer", [errno.ENOENT, errno.ENODEV, b""])
def test_a_gateway_without_an_entry_has_no_state(
    answer: bytes | int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(neighbours, "Conversation", FakeKernel(answer))
    assert read_entry("10.1.1.1", 3) == Entry(NONE, "")


def test_on_a_device_that_is_gone_there_is_none(monkeypatch: pytest.MonkeyPatch) -> None:
    """A path is planned for it all the same; the kernel refuses the question as malformed."""
    monkeypatch.setattr(neighbours, "Conversation", FakeKernel(errno.EINVAL))
    assert read_entry("10.1.1.1", 0) == Entry(NONE, "")


def test_a_gateway_that_never_answered_has_no_link_address(
    monkeypatch: pytest.MonkeyPatch
) -> None:
    kernel = FakeKernel(make_answer(state=FAILED, link=b""))
    monkeypatch.setattr(neighbours, "Conversation", kernel)
    assert read_entry("10.1.1.1", 3) == Entry(FAILED, "")


def test_a_kernel_that_does_not_show_it_is_a_problem(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(neighbours, "Conversation", FakeKernel(errno.EPERM))
    with pytest.raises(Problem) as raised:
        read_entry("10.1.1.1", 3)
    assert str(raised.value) == (
        "the kernel does not show the neighbour 10.1.1.1: Operation not permitted")


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize("gateway", GATEWAYS)
def test_its_lines_are_neighbours_and_no_commands(gateway: str, device: str) -> None:
    for line in (build_oblivion(gateway, device), build_question(gateway, device),
                 build_probe(gateway, device, "02:00:00:00:00:a7"),
                 # InfiniBand's have twenty bytes.
                 build_probe(gateway, device, ":".join(["ff"] * 20))):
        assert find_neighbour_fault(line) == "" and find_fault(line) != ""


@pytest.mark.parametrize("line", [
    "", "ip", "ip -4 neigh", "ip -4 neigh flush all", "ip -4 neigh flush dev eth0",
    "ip -4 neigh add 10.1.1.1 dev eth0 use", "ip -4 neigh change 10.1.1.1 dev eth0 use",
    "ip -4 neigh show 10.1.1.1 dev eth0", "ip -4 neighbour del 10.1.1.1 dev eth0",
    "ip -4 neigh delete 10.1.1.1 dev eth0", "ip neigh del 10.1.1.1 dev eth0",
    "ip -6 neigh del 10.1.1.1 dev eth0", "ip -4 neigh replace fe80::1 dev eth0 use",
    "ip -0 neigh del 10.1.1.1 dev eth0", "ip -4 neigh del 10.1.1.1", "ip -4 neigh del 10.1.1.1 dev",
    "ip -4 neigh del 10.1.1.1 via eth0", "ip -4 neigh del 10.1.1.1 dev eth0 use",
    "ip -4 neigh del 10.1.1.1 dev eth0 proxy", "ip -4 neigh replace 10.1.1.1 dev eth0",
    "ip -4 neigh replace 10.1.1.1 dev eth0 lladdr 02:00:00:00:00:01",
    "ip -4 neigh replace 10.1.1.1 lladdr 02:00:00:00:00:01 dev eth0",
    "ip -4 neigh replace 10.1.1.1 lladdr 02:00:00:00:00:01 dev eth0 use",
    "ip -4 neigh replace 10.1.1.1 lladdr 02:00:00:00:00:01 dev eth0 nud permanent",
    "ip -4 neigh replace 10.1.1.1 lladdr 02:00:00:00:00:01 dev eth0 nud probe proxy",
    "ip -4 neigh del 10.1.1.1 lladdr 02:00:00:00:00:01 dev eth0 nud probe",
    "ip -4 neigh replace 10.1.1.1 lladdr 02:00:00:00:00:0g dev eth0 nud probe",
    "ip -4 neigh replace 10.1.1.1 lladdr 10.1.1.9 dev eth0 nud probe",
    "ip -4 neigh replace 10.1.1.1 lladdr  dev eth0 nud probe",
    "ip -4 neigh replace 10.1.1.1 dev eth0 nud probe",
    "ip -4 neigh replace 10.1.1.1 dev eth0 use nud permanent",
    "ip -4 neigh replace 10.1.1.1 dev eth0 use ", " ip -4 neigh del 10.1.1.1 dev eth0",
    "ip  -4 neigh del 10.1.1.1 dev eth0", "tc -4 neigh del 10.1.1.1 dev eth0",
    "ip -4 neigh del 10.1.1.1 dev eth0\n", "ip -4 neigh del 10.1.1.1 dev eth0\nrule flush",
    "ip -4 neigh del 10.1.1.1 dev eth0;reboot", "ip -4 neigh del 10.1.1.1 dev eth0\0",
    "ip -4 neigh del 10.1.1.1 dev eth\N{LATIN SMALL LETTER E WITH ACUTE}",
    "ip -4 neigh del 10.1.1.1 dev \udcff", "ip -4 neigh del 10.1.1.1 dev $(id)",
    "ip -4 neigh del 10.1.1.1\tdev eth0", RULE,
])
def test_whatever_else_is_none_of_them(line: str) -> None:
    assert find_neighbour_fault(line).endswith("is not an 'ip neigh' command that asks for a "
                                               "gateway")


@pytest.mark.parametrize("line", [
    "ip -4 neigh del router.example dev eth0", "ip -4 neigh replace localhost dev eth0 use",
    "ip -4 neigh del all dev eth0", "ip -4 neigh del 10.1.1 dev eth0",
    "ip -4 neigh del 10.1.1.0/24 dev eth0", "ip -4 neigh del  dev eth0",
    "ip -6 neigh del : dev eth0", "ip -6 neigh del fe80::1%eth0 dev eth0",
    "ip -4 neigh del 10.1.1.1 dev ",
])
def test_what_is_no_address_or_no_device_is_none_of_them(line: str) -> None:
    assert find_neighbour_fault(line) != ""


@given(some.text() | some.lists(some.sampled_from(
    ["ip", "-4", "-6", "neigh", "del", "replace", "10.1.1.1", "fe80::1", "dev", "eth0", "use",
     "lladdr", "02:a7", "nud", "probe", ""]), max_size=12).map(" ".join) | some.builds(
    lambda words: " ".join(["ip", "-4", "neigh", "replace", "10.1.1.1", *words]),
    some.permutations(["lladdr", "02:a7", "dev", "eth0", "nud", "probe"])))
def test_what_is_let_through_is_what_the_package_builds(line: str) -> None:
    if not find_neighbour_fault(line):
        words = line.split(" ")
        built = [build_oblivion(words[4], words[6]), build_question(words[4], words[6])]
        if "lladdr" in words:
            built = [build_probe(words[4], words[8], words[6])]
        assert line in built


class Ip:
    """An `ip` that runs all it is given, or says of each that there is no such entry."""

    def __init__(self, errors: str = "") -> None:
        self._errors = errors
        self.batches: list[tuple[str, str]] = []

    def __call__(self, option: str, force: bool, text: str) -> Outcome:
        self.batches.append((option, text))
        return Outcome(2 if self._errors else 0, "", self._errors)


def test_they_run_together_and_are_not_shown() -> None:
    """They come again and again while a gateway is silent."""
    shown: list[str] = []
    ip = Ip()
    lines = build_oblivion("10.1.1.1", "eth0"), build_question("10.1.1.1", "eth0")
    assert Runner(shown.append, ip).ask_neighbours(lines) == []
    assert ip.batches == [("-4", "neigh del 10.1.1.1 dev eth0\n"
                                 "neigh replace 10.1.1.1 dev eth0 use\n")]
    assert shown == []


def test_an_entry_that_has_gone_is_no_failure() -> None:
    ip = Ip("RTNETLINK answers: No such file or directory\nCommand failed -:1\n")
    assert Runner(None, ip).ask_neighbours((build_oblivion("10.1.1.1", "eth0"),)) == []


@pytest.mark.parametrize("line", [RULE, "ip -4 neigh flush all", "ip mptcp endpoint flush"])
def test_where_neighbours_are_asked_nothing_else_runs(line: str) -> None:
    ip = Ip()
    (failure,) = Runner(None, ip).ask_neighbours((line,))
    assert (failure.line, ip.batches) == (line, [])
    assert failure.reason.startswith("not run, since ")


def test_who_makes_and_undoes_paths_asks_no_neighbours() -> None:
    line = build_question("10.1.1.1", "eth0")
    ip = Ip()
    runner = Runner(None, ip)
    for failures in (runner.apply_sets([(line,)]), runner.undo_sets([(line,)])):
        assert [failure.line for failure in failures] == [line]
    assert ip.batches == []
