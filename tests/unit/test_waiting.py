# SPDX-License-Identifier: GPL-2.0-or-later
"""What sock_diag(7) answers of TCP connections, as exchanges; and the timeouts that are counted."""

from __future__ import annotations

import errno
import struct
from ipaddress import ip_address
from pathlib import Path
from socket import AF_INET, AF_INET6

import pytest
from hypothesis import given
from hypothesis import strategies as some

from mptcp_hooks.base.errors import Problem
from mptcp_hooks.machine import waiting
from mptcp_hooks.machine.waiting import (
    Exchange, parse_exchange, parse_timeouts, read_exchanges, read_timeouts)
from tests.unit.netlink_messages import FakeSockets, ask_for_tcp, make_attributes

# The kernel's, not those of the module: a number that is wrong there must show here.
TCP_ESTABLISHED, TCP_SYN_SENT, TCP_FIN_WAIT1, TCP_TIME_WAIT = 1, 2, 4, 6
TCP_CLOSE_WAIT, TCP_LAST_ACK = 8, 9
INET_DIAG_INFO, INET_DIAG_SHUTDOWN, INET_DIAG_CLASS_ID = 2, 8, 17
# struct tcp_info: tcpi_retransmits, tcpi_last_ack_recv, and tcpi_bytes_acked.
RETRANSMITS_AT, LAST_ACK_AT, BYTES_ACKED_AT, INFO_SIZE = 2, 56, 120, 280
NEVER = float("inf")
OWN = frozenset(("10.1.1.2", "2001:db8::2"))
SERVER = "10.99.0.1"


def make_answer(
    local: str = "10.1.1.2", remote: str = SERVER, state: int = TCP_ESTABLISHED,
    retransmits: int = 0, silence: int = 0, acked: int = 0, size: int = INFO_SIZE,
) -> bytes:
    """A struct inet_diag_msg, and a struct tcp_info of that size among what else there is."""
    own, peer = (ip_address(host).packed for host in (local, remote))
    info = bytearray(INFO_SIZE)
    info[RETRANSMITS_AT] = retransmits
    info[LAST_ACK_AT:LAST_ACK_AT + 4] = struct.pack("=I", silence)
    info[BYTES_ACKED_AT:BYTES_ACKED_AT + 8] = struct.pack("=Q", acked)
    return struct.pack("=BBBB", AF_INET6 if len(own) == 16 else AF_INET, state, 0, 0) + (
        struct.pack(">HH", 40000, 443) + own.ljust(16, b"\0") + peer.ljust(16, b"\0") + bytes(32)
        + make_attributes((INET_DIAG_SHUTDOWN, b"\0"), (INET_DIAG_CLASS_ID, bytes(4)),
                          (INET_DIAG_INFO, bytes(info[:size]))))


def parse(answer: bytes) -> Exchange:
    found = parse_exchange(answer, OWN)
    assert found is not None
    return found


@pytest.mark.parametrize(("local", "remote", "shown"), [
    ("10.1.1.2", SERVER, ("10.1.1.2", SERVER)),
    ("2001:db8::2", "2001:db8::1", ("2001:db8::2", "2001:db8::1")),
    ("::ffff:10.1.1.2", "::ffff:10.99.0.1", ("10.1.1.2", SERVER)),
])
def test_a_connection_of_either_family(local: str, remote: str, shown: tuple[str, str]) -> None:
    answer = make_answer(local, remote, TCP_CLOSE_WAIT, 3, 1500, 2 ** 40)
    assert parse(answer) == Exchange(*shown, 443, TCP_CLOSE_WAIT, 3, 1.5, 2 ** 40, 40000)


@pytest.mark.parametrize("local", [
    "10.1.1.3", "10.1.1.0", "2001:db8::3", "::ffff:10.1.1.3", "::10.1.1.2", "127.0.0.1"])
def test_one_of_another_address_is_none_of_ours(local: str) -> None:
    remote = SERVER if "." in local and ":" not in local else "2001:db8::1"
    assert parse_exchange(make_answer(local, remote), OWN) is None


def test_an_address_of_the_other_family_with_the_same_bytes_is_none_of_ours() -> None:
    """10.1.1.2 and a01:102:: have the same in the field of an address."""
    answer = make_answer("a01:102::", "2001:db8::1")
    assert answer[8:24] == make_answer()[8:24] and parse_exchange(answer, OWN) is None


def test_one_that_was_never_answered_is_silent_without_end() -> None:
    """Its tcpi_last_ack_recv counts from when the machine began."""
    asking = parse(make_answer(state=TCP_SYN_SENT, retransmits=1, silence=40_872_796))
    assert (asking.retransmits, asking.silence, asking.established) == (1, NEVER, False)
    assert parse(make_answer(state=TCP_LAST_ACK)).established


@pytest.mark.parametrize(("left", "silence"), [
    (60_000, 0.0), (58_500, 1.5), (0, 60.0), (60_004, 0.0), (2 ** 32 - 1, 0.0)])
def test_one_that_has_ended_was_answered_when_its_minute_began(left: int, silence: float) -> None:
    """The kernel has no info of it, and tells how long it is kept (idiag_expires)."""
    ended = bytearray(make_answer(state=TCP_TIME_WAIT)[:72])
    ended[52:56] = struct.pack("=I", left)
    assert parse(bytes(ended))[3:7] == (TCP_TIME_WAIT, 0, silence, 0)


def test_one_that_is_cut_off_is_none_or_tells_of_no_answer() -> None:
    whole = make_answer(retransmits=2, silence=10, acked=7)
    for size in range(len(whole)):
        found = parse_exchange(whole[:size], OWN)
        assert found is None or found[4:7] == (0, NEVER, 0)
        assert (found is None) == (size < 72)


def test_an_info_that_is_cut_off_tells_neither_of_a_wait_nor_of_an_answer() -> None:
    for size in range(BYTES_ACKED_AT + 8):
        assert parse(make_answer(retransmits=2, silence=10, acked=7, size=size))[4:7] == (
            0, NEVER, 0)
    assert parse(make_answer(retransmits=2, silence=10, acked=7, size=size + 1))[4:7] == (
        2, 0.01, 7)


@given(some.binary(max_size=400))
def test_noise_is_no_error(noise: bytes) -> None:
    parse_exchange(noise, OWN)


@given(some.lists(some.tuples(some.integers(0, 371), some.integers(0, 255)), max_size=8))
def test_a_garbled_message_is_no_error(places: list[tuple[int, int]]) -> None:
    garbled = bytearray(make_answer("2001:db8::2", "2001:db8::1"))
    for place, value in places:
        garbled[place % len(garbled)] = value
    parse_exchange(bytes(garbled), OWN)


@pytest.mark.parametrize(("ended", "more"), [(False, 0), (True, 1 << TCP_TIME_WAIT)])
def test_both_families_are_asked_for_by_their_state(
    ended: bool, more: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    kernel = FakeSockets(make_answer(), make_answer("10.1.3.2"),
                         make_answer("2001:db8::2", "2001:db8::1"))
    monkeypatch.setattr(waiting, "Conversation", kernel)
    assert [one.local for one in read_exchanges(OWN, ended)] == ["10.1.1.2", "2001:db8::2"]
    states = more + sum(1 << state for state in (
        TCP_ESTABLISHED, TCP_SYN_SENT, TCP_FIN_WAIT1, TCP_CLOSE_WAIT, TCP_LAST_ACK))
    assert kernel.requests == [ask_for_tcp(states)]


def test_what_stays_within_the_machine_tells_of_no_uplink(monkeypatch: pytest.MonkeyPatch) -> None:
    within = [make_answer(remote=remote) for remote in ("127.0.0.1", "10.1.1.2", SERVER)]
    kernel = FakeSockets(
        *within, make_answer("::ffff:10.1.1.2", "::ffff:127.0.0.1"),
        make_answer("2001:db8::2", "::1"), make_answer("2001:db8::2", "2001:db8::2"))
    monkeypatch.setattr(waiting, "Conversation", kernel)
    assert [one.remote for one in read_exchanges(OWN)] == [SERVER]


@pytest.mark.parametrize("refusal", [errno.ENOENT, errno.EOPNOTSUPP])
def test_a_kernel_without_tcp_diag_has_none_to_show(
    refusal: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(waiting, "Conversation", FakeSockets(refusal=refusal))
    assert read_exchanges(OWN) == []


def test_a_kernel_that_does_not_show_them_is_a_problem(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(waiting, "Conversation", FakeSockets(refusal=errno.EPERM))
    with pytest.raises(Problem) as raised:
        read_exchanges(OWN)
    assert str(raised.value) == "the kernel does not show its sockets: Operation not permitted"


def test_timeouts_among_other_counters() -> None:
    text = ("TcpExt: SyncookiesSent TCPTimeouts TCPSynRetrans\nTcpExt: 7 18446744073709551615 9\n"
            "MPTcpExt: TCPTimeouts\nMPTcpExt: 5\nIpExt: TCPTimeouts\nIpExt: 1\n")
    assert parse_timeouts(text) == 2 ** 64 - 1


@pytest.mark.parametrize("text", [
    "", "TcpExt: A\nTcpExt: 1\n", "TcpExt: A TCPTimeouts\nTcpExt: 1\n",
    "TcpExt: TCPTimeouts\nTcpExt: x\n", "TcpExt: TCPTimeouts\n", "TcpExt: TCPTimeouts\n" * 3,
    pytest.param(f"TcpExt: TCPTimeouts\nTcpExt: {'9' * 5000}\n", id="5000 digits"),
])
def test_where_they_are_not_counted_there_are_none(text: str) -> None:
    assert parse_timeouts(text) == 0


@given(some.text() | some.lists(some.sampled_from(
    ["TcpExt:", "TCPTimeouts", "7", "\n", " ", "-1"]), max_size=12).map("".join))
def test_counters_that_make_no_sense_are_no_error(text: str) -> None:
    assert parse_timeouts(text) >= 0


def test_they_are_read_from_the_kernel(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    counters = tmp_path / "netstat"
    monkeypatch.setattr(waiting, "COUNTERS", str(counters))
    assert read_timeouts() == 0
    counters.write_text("TcpExt: TCPTimeouts\nTcpExt: 3\n")
    assert read_timeouts() == 3
