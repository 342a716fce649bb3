# SPDX-License-Identifier: GPL-2.0-or-later
"""What sock_diag(7) answers of MPTCP connections, as subflows."""

from __future__ import annotations

import errno
import struct
from ipaddress import ip_address
from socket import AF_INET, AF_INET6

import pytest
from hypothesis import given
from hypothesis import strategies as some

from mptcp_hooks.base.errors import Problem
from mptcp_hooks.machine import subflows
from mptcp_hooks.machine.subflows import Subflow, parse_subflow, read_subflows
from tests.unit.netlink_messages import FakeSockets, ask_for_tcp, make_attributes

# The kernel's, not those of the module: a number that is wrong there must show here.
TCP_ESTABLISHED, TCP_SYN_SENT, TCP_CLOSE_WAIT = 1, 2, 8
INET_DIAG_INFO, INET_DIAG_ULP_INFO, INET_ULP_INFO_NAME, INET_ULP_INFO_MPTCP = 2, 19, 1, 3
TOKEN_REM, TOKEN_LOC, FLAGS = 1, 2, 8
MCAP_REM, MCAP_LOC, JOIN_REM, JOIN_LOC = 0x1, 0x2, 0x4, 0x8
# struct tcp_info: tcpi_retransmits, and tcpi_last_ack_recv.
RETRANSMITS_AT, LAST_ACK_AT = 2, 56
TOKEN = 0xC0FFEE


def number(value: int) -> bytes:
    return struct.pack("=I", value)


def make_answer(
    local: str = "10.1.1.2", remote: str = "10.99.0.1", state: int = TCP_ESTABLISHED,
    token: int = TOKEN, flags: int = MCAP_LOC, retransmits: int = 0, silence: int = 0,
) -> bytes:
    """A struct inet_diag_msg with a struct tcp_info, and what the kernel tells of a subflow."""
    own, peer = (ip_address(host).packed for host in (local, remote))
    info = bytearray(232)
    info[RETRANSMITS_AT] = retransmits
    info[LAST_ACK_AT:LAST_ACK_AT + 4] = number(silence)
    known = make_attributes((TOKEN_REM, number(TOKEN + 1)), (TOKEN_LOC, number(token)),
                            (FLAGS, number(flags)))
    upper = make_attributes((INET_ULP_INFO_NAME, b"mptcp\0"), (INET_ULP_INFO_MPTCP, known))
    return struct.pack("=BBBB", AF_INET6 if len(own) == 16 else AF_INET, state, 0, 0) + (
        struct.pack(">HH", 40000, 443) + own.ljust(16, b"\0") + peer.ljust(16, b"\0") + bytes(32)
        + make_attributes((INET_DIAG_INFO, bytes(info)), (INET_DIAG_ULP_INFO, upper)))


def parse(answer: bytes) -> Subflow:
    found = parse_subflow(answer)
    assert found is not None
    return found


@pytest.mark.parametrize(("local", "remote", "shown"), [
    ("10.1.1.2", "10.99.0.1", ("10.1.1.2", "10.99.0.1")),
    ("2001:db8::2", "2001:db8::1", ("2001:db8::2", "2001:db8::1")),
    ("::ffff:10.1.1.2", "::ffff:10.99.0.1", ("10.1.1.2", "10.99.0.1")),
])
def test_a_subflow_of_either_family(local: str, remote: str, shown: tuple[str, str]) -> None:
    assert parse(make_answer(local, remote, retransmits=3, silence=1500)) == Subflow(
        TOKEN, *shown, TCP_ESTABLISHED, 3, 1.5, True)


@pytest.mark.parametrize(("flags", "asked"), [
    (MCAP_LOC, True), (JOIN_LOC, True), (MCAP_REM, False), (JOIN_REM, False), (0, False),
    (MCAP_REM | JOIN_LOC, True), (MCAP_REM | JOIN_REM | 0xF0, False),
])
def test_who_asked_for_it_is_in_its_flags(flags: int, asked: bool) -> None:
    assert parse(make_answer(flags=flags)).asked == asked


def test_what_has_no_token_is_no_subflow() -> None:
    """As it is for who may not administrate the network, and of a connection that fell back."""
    assert parse_subflow(make_answer(token=0)) is None


def test_a_socket_of_plain_tcp_is_no_subflow() -> None:
    head = make_answer()[:72]
    for upper in (b"", make_attributes((INET_DIAG_ULP_INFO, b"")), make_attributes(
            (INET_DIAG_ULP_INFO, make_attributes((INET_ULP_INFO_NAME, b"tls\0"))))):
        assert parse_subflow(head + make_attributes((INET_DIAG_INFO, bytes(232))) + upper) is None


def test_one_that_is_cut_off_is_none_or_the_same() -> None:
    whole = make_answer()
    found = {size: parse_subflow(whole[:size]) for size in range(len(whole) + 1)}
    assert found.pop(len(whole)) == parse(whole)
    assert set(found.values()) == {None}


def test_an_info_that_is_cut_off_tells_of_no_trouble() -> None:
    upper = make_answer()[72 + 4 + 232:]
    for size in range(232):
        info = bytes((0xFF,)) * size
        read = parse(make_answer()[:72] + make_attributes((INET_DIAG_INFO, info)) + upper)
        assert read.retransmits == (0xFF if size > RETRANSMITS_AT else 0)
        assert (read.silence > 0) == (size >= LAST_ACK_AT + 4)


@given(some.binary(max_size=400))
def test_noise_is_no_error(noise: bytes) -> None:
    parse_subflow(noise)


@given(some.lists(some.tuples(some.integers(0, 391), some.integers(0, 255)), max_size=8))
def test_a_garbled_message_is_no_error(places: list[tuple[int, int]]) -> None:
    garbled = bytearray(make_answer("2001:db8::2", "2001:db8::1"))
    for place, value in places:
        garbled[place % len(garbled)] = value
    parse_subflow(bytes(garbled))


@pytest.mark.parametrize(("state", "retransmits", "established", "stuck"), [
    (TCP_ESTABLISHED, 0, True, False), (TCP_ESTABLISHED, 4, True, False),
    (TCP_ESTABLISHED, 5, True, True), (TCP_CLOSE_WAIT, 0, True, False),
    (TCP_CLOSE_WAIT, 9, True, True), (TCP_SYN_SENT, 0, False, False),
    (TCP_SYN_SENT, 1, False, False), (TCP_SYN_SENT, 2, False, True),
])
def test_what_carries_is_established_and_has_answers(
    state: int, retransmits: int, established: bool, stuck: bool
) -> None:
    one = parse(make_answer(state=state, retransmits=retransmits))
    assert (one.established, one.stuck) == (established, stuck)
    assert one.carries == (established and not stuck)


def test_subflows_of_both_families_are_asked_for_by_their_state(
    monkeypatch: pytest.MonkeyPatch
) -> None:
    kernel = FakeSockets(make_answer(), make_answer(token=0),
                         make_answer("2001:db8::2", "2001:db8::1"))
    monkeypatch.setattr(subflows, "Conversation", kernel)
    assert [one.local for one in read_subflows()] == ["10.1.1.2", "2001:db8::2"]
    assert kernel.requests == [ask_for_tcp(0x106)]


@pytest.mark.parametrize("refusal", [errno.ENOENT, errno.EOPNOTSUPP])
def test_a_kernel_without_tcp_diag_has_none_to_show(
    refusal: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(subflows, "Conversation", FakeSockets(refusal=refusal))
    assert read_subflows() == []


def test_a_kernel_that_does_not_show_them_is_a_problem(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(subflows, "Conversation", FakeSockets(refusal=errno.EPERM))
    with pytest.raises(Problem) as raised:
        read_subflows()
    assert str(raised.value) == "the kernel does not show its sockets: Operation not permitted"
