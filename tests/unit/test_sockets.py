# SPDX-License-Identifier: GPL-2.0-or-later
"""What sock_diag(7) answers, as sockets."""

from __future__ import annotations

import errno
import struct
from ipaddress import ip_address
from socket import AF_INET, AF_INET6

import pytest

from mptcp_hooks.base.errors import Problem
from mptcp_hooks.machine import sockets
from mptcp_hooks.machine.netlink import Refused
from mptcp_hooks.machine.sockets import Socket, read_sockets
from tests.unit.netlink_messages import FakeConversation, ask_for_tcp, make_attributes

# The kernel's, not those of the module: a number that is wrong there must show here.
IPPROTO_TCP, IPPROTO_MPTCP = 6, 262
SOCK_DIAG_BY_FAMILY, INET_DIAG_REQ_PROTOCOL = 20, 3
INET_DIAG_INFO, INET_DIAG_TOS, INET_DIAG_ULP_INFO, INET_ULP_INFO_NAME = 2, 5, 19, 1
TCP_ESTABLISHED, TCP_SYN_SENT, TCP_SYN_RECV, TCP_FIN_WAIT1, TCP_FIN_WAIT2 = 1, 2, 3, 4, 5
TCP_TIME_WAIT, TCP_CLOSE, TCP_CLOSE_WAIT, TCP_LAST_ACK, TCP_LISTEN, TCP_CLOSING = range(6, 12)
NETLINK_SOCK_DIAG, NLM_F_DUMP = 4, 0x300
# struct inet_diag_req_v2, before the attributes.
REQUEST_SIZE = 56
FALLBACK, OTHER_FLAG = 0x1, 0x2
ALL_STATES = 0xFFFFFFFF


class FakeKernel(FakeConversation):
    """Has these answers, or refusals, by protocol and family; TCP's are of both at once."""

    def __init__(self, answers: dict[tuple[int, int], list[bytes] | Refused]) -> None:
        super().__init__(NETLINK_SOCK_DIAG)
        self._answers = answers

    def ask(self, kind: int, request: bytes, flags: int) -> list[bytes]:
        if (kind, request, flags) == ask_for_tcp(ALL_STATES):
            return self._tell(IPPROTO_TCP, AF_INET) + self._tell(IPPROTO_TCP, AF_INET6)
        # All states, and struct mptcp_info with them.
        assert (kind, flags, request[2:8]) == (SOCK_DIAG_BY_FAMILY, NLM_F_DUMP,
                                               b"\x02\0\xff\xff\xff\xff")
        kind, protocol = struct.unpack_from("=HI", request, REQUEST_SIZE + 2)
        assert (kind, protocol) == (INET_DIAG_REQ_PROTOCOL, IPPROTO_MPTCP)
        assert request[1] == protocol & 0xFF
        return self._tell(protocol, request[0])

    def _tell(self, protocol: int, family: int) -> list[bytes]:
        answer = self._answers.get((protocol, family), [])
        if isinstance(answer, Refused):
            raise answer
        return answer


def make_answer(
    state: int, local: tuple[str, int], remote: tuple[str, int], inode: int, attributes: bytes = b""
) -> bytes:
    """A struct inet_diag_msg and what comes after it."""
    hosts = [ip_address(host).packed.ljust(16, b"\0") for host, _ in (local, remote)]
    family = AF_INET6 if ":" in local[0] else AF_INET
    return struct.pack("=BBBB", family, state, 0, 0) + struct.pack(">HH", local[1], remote[1]) + (
        b"".join(hosts) + bytes(12) + struct.pack("=5I", 0, 0, 0, 1000, inode)) + attributes


def tell_upper(name: bytes) -> bytes:
    """The attribute that names the protocol above a TCP socket."""
    return make_attributes((INET_DIAG_ULP_INFO, make_attributes((INET_ULP_INFO_NAME, name))))


def tell_flags(flags: int) -> bytes:
    """The attribute with a struct mptcp_info, of which so much is there as a kernel has."""
    return make_attributes((INET_DIAG_INFO, bytes(8) + struct.pack("=IIQ", flags, 77, 0)))


def read(
    monkeypatch: pytest.MonkeyPatch, answers: dict[tuple[int, int], list[bytes] | Refused]
) -> list[Socket]:
    monkeypatch.setattr(sockets, "Conversation", FakeKernel(answers))
    return read_sockets()


OWN, SERVER = ("10.1.1.2", 40000), ("10.99.0.1", 443)


def test_sockets_of_both_protocols_and_families(monkeypatch: pytest.MonkeyPatch) -> None:
    own6, server6 = ("2001:db8::2", 40001), ("2001:db8::1", 80)
    assert read(monkeypatch, {
        (IPPROTO_TCP, AF_INET): [make_answer(TCP_ESTABLISHED, OWN, SERVER, 7)],
        (IPPROTO_TCP, AF_INET6): [make_answer(TCP_CLOSE_WAIT, own6, server6, 8)],
        (IPPROTO_MPTCP, AF_INET): [make_answer(TCP_ESTABLISHED, OWN, SERVER, 9)],
        (IPPROTO_MPTCP, AF_INET6): [make_answer(TCP_LISTEN, ("::", 22), ("::", 0), 10)],
    }) == [
        Socket(False, TCP_ESTABLISHED, OWN, SERVER, 7, False, False),
        Socket(False, TCP_CLOSE_WAIT, own6, server6, 8, False, False),
        Socket(True, TCP_ESTABLISHED, OWN, SERVER, 9, False, False),
        Socket(True, TCP_LISTEN, ("::", 22), ("::", 0), 10, False, False)]


def test_an_ipv4_connection_of_an_ipv6_socket_has_ipv4_addresses(
    monkeypatch: pytest.MonkeyPatch
) -> None:
    answer = make_answer(TCP_ESTABLISHED, ("::ffff:10.1.1.2", 40000), ("::ffff:10.99.0.1", 443), 7)
    (socket,) = read(monkeypatch, {(IPPROTO_TCP, AF_INET6): [answer]})
    assert (socket.local, socket.remote) == (OWN, SERVER)


@pytest.mark.parametrize(("attributes", "subflow"), [
    (tell_upper(b"mptcp\0"), True), (tell_upper(b"tls\0"), False), (b"", False),
    (make_attributes((INET_DIAG_ULP_INFO, b"")), False),
    (make_attributes((INET_DIAG_TOS, b"\0")) + tell_upper(b"mptcp\0"), True),
])
def test_a_subflow_is_known_by_what_is_above_it(
    attributes: bytes, subflow: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    answer = make_answer(TCP_ESTABLISHED, OWN, SERVER, 7, attributes)
    (socket,) = read(monkeypatch, {(IPPROTO_TCP, AF_INET): [answer]})
    assert (socket.subflow, socket.mptcp, socket.fallback) == (subflow, False, False)


@pytest.mark.parametrize(("protocol", "attributes", "fallback"), [
    (IPPROTO_MPTCP, tell_flags(FALLBACK), True),
    (IPPROTO_MPTCP, tell_flags(FALLBACK | OTHER_FLAG), True),
    (IPPROTO_MPTCP, tell_flags(OTHER_FLAG), False), (IPPROTO_MPTCP, b"", False),
    # What TCP tells there is a struct of its own.
    (IPPROTO_TCP, tell_flags(FALLBACK), False),
])
def test_a_fallback_is_in_the_flags_of_mptcp(
    protocol: int, attributes: bytes, fallback: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    answer = make_answer(TCP_ESTABLISHED, OWN, SERVER, 7, attributes)
    (socket,) = read(monkeypatch, {(protocol, AF_INET): [answer]})
    assert socket.fallback == fallback


@pytest.mark.parametrize(("state", "connected", "listens"), [
    *((state, True, False) for state in (TCP_ESTABLISHED, TCP_FIN_WAIT1, TCP_FIN_WAIT2,
                                         TCP_CLOSE_WAIT, TCP_LAST_ACK, TCP_CLOSING)),
    *((state, False, False) for state in (TCP_SYN_SENT, TCP_SYN_RECV, TCP_TIME_WAIT, TCP_CLOSE)),
    (TCP_LISTEN, False, True),
])
def test_states(state: int, connected: bool, listens: bool) -> None:
    socket = Socket(False, state, OWN, SERVER, 7, False, False)
    assert (socket.connected, socket.listens) == (connected, listens)


def test_a_kernel_that_does_not_show_mptcp_shows_tcp(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without mptcp_diag."""
    (socket,) = read(monkeypatch, {
        (IPPROTO_TCP, AF_INET): [make_answer(TCP_ESTABLISHED, OWN, SERVER, 7)],
        (IPPROTO_MPTCP, AF_INET): Refused(errno.ENOENT),
        (IPPROTO_MPTCP, AF_INET6): Refused(errno.ENOENT)})
    assert socket.inode == 7


def test_a_kernel_that_shows_no_sockets_is_a_problem(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(Problem) as raised:
        read(monkeypatch, {(IPPROTO_TCP, AF_INET): Refused(errno.EPERM)})
    assert str(raised.value) == "the kernel does not show its sockets: Operation not permitted"
