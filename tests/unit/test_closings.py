# SPDX-License-Identifier: GPL-2.0-or-later
"""Which subflows end while their connections go on, as the kernel's MPTCP events tell it."""

from __future__ import annotations

import ctypes
import errno
import struct
from collections.abc import Callable
from ipaddress import ip_address
from socket import SOL_SOCKET

import pytest
from hypothesis import given
from hypothesis import strategies as some

from mptcp_hooks.base.errors import Problem
from mptcp_hooks.machine.netlink import Refused
from mptcp_hooks.monitor import closings
from mptcp_hooks.monitor.closings import Closed, ClosingsListener, parse_events
from tests.unit.netlink_messages import FakeConversation, make_attributes, make_message

# The kernel's, not those of the module: a number that is wrong there must show here.
NETLINK_GENERIC, AF_NETLINK, SOL_NETLINK, NETLINK_ADD_MEMBERSHIP = 16, 16, 270, 1
CREATED, CLOSED, SUB_ESTABLISHED, SUB_CLOSED, SUB_PRIORITY = 1, 3, 10, 11, 13
ATTR_TOKEN, ATTR_FAMILY, ATTR_SADDR4, ATTR_SADDR6, ATTR_DADDR4 = 1, 2, 5, 6, 7
SO_ATTACH_FILTER, FAMILY_ID, GROUP_ID = 26, 30, 9
TOKEN = 0xC0FFEE


def make_event(address: str = "10.1.1.2", command: int = SUB_CLOSED, token: int = TOKEN) -> bytes:
    """A struct genlmsghdr and what comes after it."""
    packed = ip_address(address).packed
    own = ATTR_SADDR4 if len(packed) == 4 else ATTR_SADDR6
    return make_message(FAMILY_ID, bytes((command, 1, 0, 0)) + make_attributes(
        (ATTR_TOKEN, struct.pack("=I", token)), (ATTR_FAMILY, b"\2\0"), (own, packed),
        (ATTR_DADDR4, ip_address("10.99.0.1").packed)))


@pytest.mark.parametrize(("address", "shown"), [
    ("10.1.1.2", "10.1.1.2"), ("2001:db8::2", "2001:db8::2"), ("::ffff:10.1.1.2", "10.1.1.2")])
def test_a_subflow_that_ends_is_told_by_its_connection_and_address(
    address: str, shown: str
) -> None:
    assert parse_events(make_event(address)) == [Closed(TOKEN, shown)]


def test_all_of_a_datagram_are_told() -> None:
    assert parse_events(make_event() + make_event(command=CLOSED) + make_event("fd00::2")) == [
        Closed(TOKEN, "10.1.1.2"), Closed(TOKEN, "fd00::2")]


@pytest.mark.parametrize("command", [0, CREATED, CLOSED, SUB_ESTABLISHED, SUB_PRIORITY, 255])
def test_other_events_tell_of_none(command: int) -> None:
    assert parse_events(make_event(command=command)) == []


def test_one_without_a_token_or_an_address_tells_of_none() -> None:
    head = bytes((SUB_CLOSED, 1, 0, 0))
    token = make_attributes((ATTR_TOKEN, struct.pack("=I", TOKEN)))
    assert parse_events(make_event(token=0)) == []
    for payload in (b"", head, head + token, head + token + make_attributes((ATTR_SADDR4, b"1"))):
        assert parse_events(make_message(FAMILY_ID, payload)) == []


def test_a_datagram_that_is_cut_off_tells_of_what_is_whole() -> None:
    first, second = make_event(), make_event("2001:db8::2")
    whole = first + second
    assert [len(parse_events(whole[:size])) for size in range(len(whole) + 1)] == (
        [0] * len(first) + [1] * len(second) + [2])


def test_a_message_that_is_cut_off_tells_of_all_or_of_none() -> None:
    payload = make_event("2001:db8::2")[16:]
    for size in range(len(payload)):
        assert parse_events(make_message(FAMILY_ID, payload[:size])) in (
            [], [Closed(TOKEN, "2001:db8::2")])


@given(some.binary(max_size=200))
def test_noise_is_no_error(noise: bytes) -> None:
    parse_events(noise)
    parse_events(make_message(FAMILY_ID, bytes((SUB_CLOSED,)) + noise))


@given(some.lists(some.tuples(some.integers(0), some.integers(0, 255)), max_size=8))
def test_garbled_events_are_no_error(places: list[tuple[int, int]]) -> None:
    garbled = bytearray(make_event() + make_event("2001:db8::2"))
    for place, value in places:
        garbled[place % len(garbled)] = value
    parse_events(bytes(garbled))


class FakeSocket:
    """A netlink socket that has these datagrams, or fails so; then none.

    `passes` is whether the filter that it was given lets an event through, by its command.
    """

    def __init__(self, *given: bytes | OSError) -> None:
        self.given = list(given)
        self.groups: list[int] = []
        self.blocking = True
        self.closed = False
        self.passes: Callable[[int], bool] = lambda command: True

    def __call__(self, family: int, kind: int, protocol: int) -> FakeSocket:
        assert (family, protocol) == (AF_NETLINK, NETLINK_GENERIC)
        return self

    def fileno(self) -> int:
        return 5

    def bind(self, address: tuple[int, int]) -> None:
        """The group comes by itself."""

    def setblocking(self, flag: bool) -> None:
        self.blocking = flag

    def close(self) -> None:
        self.closed = True

    def setsockopt(self, level: int, option: int, value: int | bytes) -> None:
        if (level, option) == (SOL_NETLINK, NETLINK_ADD_MEMBERSHIP):
            assert isinstance(value, int)
            self.groups.append(value)
        elif (level, option) == (SOL_SOCKET, SO_ATTACH_FILTER):
            assert isinstance(value, bytes)
            number, start = struct.unpack("@HP", value)
            code = ctypes.string_at(start, 8 * number)
            self.passes = lambda command: run_filter(code, make_event(command=command))

    def recv(self, size: int) -> bytes:
        if not self.given:
            raise BlockingIOError(errno.EAGAIN, "nothing there")
        one = self.given.pop(0)
        if isinstance(one, OSError):
            raise one
        return one


def run_filter(code: bytes, packet: bytes) -> bool:
    """What a classic BPF program says of a packet, as far as the module writes such programs."""
    program = list(struct.iter_unpack("=HBBI", code))
    accumulator = position = 0
    while True:
        operation, if_so, if_not, value = program[position]
        position += 1
        if operation == 0x30:
            accumulator = packet[value]
        elif operation == 0x15:
            position += if_so if accumulator == value else if_not
        else:
            assert operation == 0x06
            return bool(value)


class FakeKernel(FakeConversation):
    """Has the group, or refuses to tell of it."""

    def __init__(self, refusal: int) -> None:
        super().__init__(NETLINK_GENERIC)
        self._refusal = refusal

    def find_generic_group(self, family: bytes, name: bytes) -> int:
        assert (family, name) == (b"mptcp_pm", b"mptcp_pm_events")
        if self._refusal:
            raise Refused(self._refusal)
        return GROUP_ID


def listen(
    monkeypatch: pytest.MonkeyPatch, *given: bytes | OSError, refusal: int = 0
) -> tuple[ClosingsListener, FakeSocket]:
    fake = FakeSocket(*given)
    monkeypatch.setattr(closings, "socket", fake)
    monkeypatch.setattr(closings, "Conversation", FakeKernel(refusal))
    return ClosingsListener(), fake


def test_it_subscribes_to_its_group_and_lets_one_kind_through(
    monkeypatch: pytest.MonkeyPatch
) -> None:
    watching, fake = listen(monkeypatch)
    assert (watching.fileno(), fake.groups, fake.blocking) == (5, [GROUP_ID], False)
    assert [command for command in range(256) if fake.passes(command)] == [SUB_CLOSED]


def test_a_kernel_without_such_events_tells_of_none(monkeypatch: pytest.MonkeyPatch) -> None:
    watching, _ = listen(monkeypatch, refusal=errno.ENOENT)
    assert (watching.fileno(), watching.refusal) == (-1, "")
    watching.listen_again(5.0)


def test_who_may_not_hear_them_hears_none(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(self: FakeSocket, address: tuple[int, int]) -> None:
        raise PermissionError(errno.EPERM, "Operation not permitted")

    monkeypatch.setattr(FakeSocket, "bind", refuse)
    watching, fake = listen(monkeypatch)
    assert watching.fileno() == -1 and fake.closed
    assert watching.refusal == "Operation not permitted"


def test_what_waits_is_read_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    watching, _ = listen(monkeypatch, make_event(), make_event("fd00::2"))
    assert watching.read(5.0) == [Closed(TOKEN, "10.1.1.2"), Closed(TOKEN, "fd00::2")]
    assert watching.read(5.0) == [] and not watching.deaf_until


def test_of_a_flood_a_part_is_read_at_a_time(monkeypatch: pytest.MonkeyPatch) -> None:
    watching, _ = listen(monkeypatch, *[make_event()] * 100)
    assert [len(watching.read(5.0)) for _ in range(3)] == [64, 36, 0]


def test_after_a_loss_anybody_may_have_ended(monkeypatch: pytest.MonkeyPatch) -> None:
    watching, _ = listen(monkeypatch, make_event(), OSError(errno.ENOBUFS, ""), make_event())
    assert watching.read(5.0) == [Closed(TOKEN, "10.1.1.2"), Closed(0, ""),
                                  Closed(TOKEN, "10.1.1.2")]


def test_a_kernel_that_cannot_be_heard_is_a_problem(monkeypatch: pytest.MonkeyPatch) -> None:
    watching, _ = listen(monkeypatch, OSError(errno.EBADF, "Bad file descriptor"))
    with pytest.raises(Problem) as raised:
        watching.read(5.0)
    assert str(raised.value) == "cannot hear the kernel's MPTCP events: Bad file descriptor"


def test_all_of_a_loss_of_16384_are_heard_and_of_more_none_for_ten_seconds(
    monkeypatch: pytest.MonkeyPatch
) -> None:
    watching, fake = listen(monkeypatch, make_event() * 16384)
    assert len(watching.read(5.0)) == 16384 and not watching.deaf_until
    fake.given = [make_event()]
    assert len(watching.read(5.0)) == 1 and watching.deaf_until == 15
    assert not any(fake.passes(command) for command in range(256))
    watching.listen_again(14.9)
    assert watching.deaf_until == 15 and not fake.passes(SUB_CLOSED)
    watching.listen_again(15.1)
    assert not watching.deaf_until and fake.passes(SUB_CLOSED) and not fake.passes(CLOSED)
    fake.given = [make_event() * 400]
    assert len(watching.read(15.2)) == 400 and not watching.deaf_until


@pytest.mark.parametrize(("number", "deaf"), [(50, False), (80, True)])
def test_50_a_second_are_heard_for_ever_and_no_more(
    monkeypatch: pytest.MonkeyPatch, number: int, deaf: bool
) -> None:
    watching, fake = listen(monkeypatch)
    for second in range(1, 1000):
        fake.given = [make_event() * number]
        watching.read(float(second))
    assert bool(watching.deaf_until) == deaf


def test_after_a_quiet_day_no_more_are_heard_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    watching, _ = listen(monkeypatch, make_event() * 16385)
    watching.read(86400.0)
    assert watching.deaf_until
