# SPDX-License-Identifier: GPL-2.0-or-later
"""What the kernel answers over netlink, however it is cut off or garbled: nothing, or a value."""

from __future__ import annotations

import signal
import struct
from collections.abc import Callable, Iterator
from ipaddress import ip_address
from socket import AF_INET, AF_INET6

import pytest
from hypothesis import given
from hypothesis import strategies as some

from mptcp_hooks.base.errors import Problem
from mptcp_hooks.base.model import Endpoint, Limits, Path, PathManager, Route, Rule
from mptcp_hooks.machine import netlink, sockets
from mptcp_hooks.machine.netlink import (
    Refused,
    dump_rules,
    find_exit,
    find_rules,
    read_addresses,
    read_addresses_around,
    read_attributes,
    read_path_manager,
    read_routes,
    split_messages,
)
from mptcp_hooks.machine.runner import TableReader
from mptcp_hooks.machine.system import Machine
from mptcp_hooks.monitor import announcements
from mptcp_hooks.monitor.announcements import Listener, News
from tests.unit.netlink_messages import make_attributes, make_message

# The kernel's, not those of the module: a number that is wrong there must show here.
NLMSG_ERROR, NLMSG_DONE = 2, 3
RTM_NEWLINK, RTM_NEWADDR, RTM_NEWROUTE, RTM_NEWRULE = 16, 20, 24, 32
RTM_NEWNDUSEROPT = 68
FRA_SRC, FRA_PRIORITY, FRA_TABLE, FRA_OIFNAME, FRA_PROTOCOL = 2, 6, 15, 17, 21
FRA_SUPPRESS_PREFIXLEN = 14
RTA_DST, RTA_OIF, RTA_GATEWAY, RTA_MULTIPATH, RTA_TABLE = 1, 4, 5, 9, 15
CTRL_ATTR_FAMILY_ID, MPTCP_PM_FAMILY = 1, 30
ENDPOINT_ADDR, RCV_ADD_ADDRS, SUBFLOWS, ADDR_ID, ADDR_4 = 1, 2, 3, 2, 3
ENOENT, EPERM, EAFNOSUPPORT, ENETUNREACH = 2, 1, 97, 101
DONE = make_message(NLMSG_DONE, bytes(4))
OWN, ROUTER = ip_address("10.1.1.2").packed, ip_address("10.1.1.1").packed


def number(value: int) -> bytes:
    return struct.pack("=I", value)


def head(
    family: int, length: int = 0, table: int = 254, kind: int = 1, protocol: int = 77
) -> bytes:
    """A struct rtmsg, or fib_rule_hdr."""
    return struct.pack("=BBBBBBBBI", family, length, length, 0, table, protocol, 0, kind, 0)


PATH = Path("eth0", "eth0", 2, 4, "10.1.1.2", "10.1.1.0/24", "10.1.1.1", False, True, 20002, True,
            True, ("subflow",), wide=True)
HOPS = b"".join(struct.pack("=HBBi", 16, 0, 0, index) + make_attributes((RTA_GATEWAY, ROUTER))
                for index in (2, 3))
RULE = head(AF_INET, 32) + make_attributes(
    (FRA_SRC, OWN), (FRA_PRIORITY, number(20002)), (FRA_TABLE, number(20002)),
    (FRA_OIFNAME, b"eth0\0"), (FRA_PROTOCOL, b"\x4d"))
ROUTE = head(AF_INET) + make_attributes(
    (RTA_TABLE, number(254)), (RTA_GATEWAY, ROUTER), (RTA_OIF, number(2)))
MULTIPATH = head(AF_INET) + make_attributes((RTA_MULTIPATH, HOPS))
FAMILY = bytes(4) + make_attributes((CTRL_ATTR_FAMILY_ID, struct.pack("=H", MPTCP_PM_FAMILY)))
LIMITS = bytes(4) + make_attributes((RCV_ADD_ADDRS, number(2)), (SUBFLOWS, number(3)))
ENDPOINT = bytes(4) + make_attributes(
    (ENDPOINT_ADDR, make_attributes((ADDR_ID, b"\7"), (ADDR_4, OWN))))
SOCKET = struct.pack("=BBBB", AF_INET, 1, 0, 0) + bytes(68)
LINK = struct.pack("=BxHiII", 0, 1, 2, 0x41, 0) + make_attributes((3, b"eth0\0"))
ADDRESS = struct.pack("=BBBBI", AF_INET, 24, 0, 0, 2) + make_attributes((1, OWN), (8, number(0)))
# struct nduseroptmsg with the RDNSS option of RFC 8106: one address, for a minute.
RDNSS = struct.pack("=BxHiBBxxxxxx", AF_INET6, 24, 2, 134, 0) + struct.pack(
    "!BBxxI", 25, 3, 60) + ip_address("2001:db8::53").packed
MESSAGES = {RTM_NEWRULE: (RULE,), RTM_NEWROUTE: (ROUTE, MULTIPATH), RTM_NEWLINK: (LINK,),
            RTM_NEWADDR: (ADDRESS,), RTM_NEWNDUSEROPT: (RDNSS,),
            MPTCP_PM_FAMILY: (FAMILY, LIMITS, ENDPOINT, SOCKET)}
WHOLE = [make_message(kind, payload) for kind, payloads in MESSAGES.items()
         for payload in payloads]


@some.composite
def datagrams(draw: some.DrawFn) -> bytes:
    """Messages of any kind, some bytes of them others, and their end anywhere; or plain noise."""
    if draw(some.integers(0, 9)) == 0:
        return draw(some.binary(max_size=200))
    garbled = bytearray(b"".join(draw(some.lists(some.sampled_from(WHOLE), min_size=1))))
    for place in draw(some.lists(some.integers(0, len(garbled) - 2), max_size=6)):
        # A length that is none, too small or too large is what a parser stumbles over.
        garbled[place:place + 2] = draw(some.sampled_from(
            [b"\0\0", b"\1\0", b"\3\0", b"\xff\xff", b"\xff\x80"]))
    return bytes(garbled[:draw(some.integers(0, len(garbled)))])


class FakeSocket:
    """A netlink socket that answers with these datagrams, and with nothing more in the end."""

    def __init__(self, *given: bytes) -> None:
        self._given = [*given]

    def __call__(self, *arguments: int) -> FakeSocket:
        return self

    def _ignore(self, *arguments: object) -> None:
        """It is as good as any."""

    bind = send = setsockopt = setblocking = close = _ignore

    def recv(self, size: int) -> bytes:
        return self._given.pop(0) if self._given else DONE

    def recvmsg(self, size: int) -> tuple[bytes, list[object], int, None]:
        if not self._given:
            raise BlockingIOError
        return self._given.pop(0), [], 0, None


@pytest.fixture(autouse=True)
def clock() -> Iterator[None]:
    """What goes round for ever fails."""
    def fail(*_: object) -> None:
        raise AssertionError("it does not end")

    before = signal.signal(signal.SIGALRM, fail)
    signal.alarm(120)
    yield
    signal.alarm(0)
    signal.signal(signal.SIGALRM, before)


@pytest.fixture
def answer(monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Have each conversation begin with these payloads, each with the kind of an answer."""
    def give(*payloads: bytes) -> None:
        given = [make_message(RTM_NEWROUTE, payload) for payload in payloads]
        monkeypatch.setattr(netlink, "socket", FakeSocket(*given))

    return give


def test_what_is_whole_is_read(answer: Callable[..., None]) -> None:
    answer(ROUTE, MULTIPATH)
    plain = Route("default", "unicast", "10.1.1.1", 2, "", 0, 77)
    assert read_routes(4, 254) == [plain, plain, plain._replace(device=3)]
    answer(RULE)
    assert find_rules(dump_rules(4), (OWN,)) == [
        Rule(20002, "10.1.1.2/32", "", "eth0", 20002, None, 77)]


def test_a_router_of_a_high_rank_comes_before_one_of_a_low(answer: Callable[..., None]) -> None:
    """What they say of themselves, RFC 4191: of one metric the kernel takes the higher."""
    def make_default(own: str, rank: int) -> bytes:
        return head(AF_INET6, protocol=9) + make_attributes(
            (RTA_TABLE, number(254)), (RTA_GATEWAY, ip_address(own).packed), (RTA_OIF, number(2)),
            (6, number(1024)), (20, bytes((rank,))))

    for order in ((3, 0, 1), (1, 3, 0)):
        answer(*(make_default(f"fe80::{rank}", rank) for rank in order))
        assert Machine().read_default_gateways(2, (6,)) == ("fe80::1", "fe80::", "fe80::3")


def test_a_device_that_is_not_there_has_no_default_routes(answer: Callable[..., None]) -> None:
    """Whoever asks for those of device 0 is told all, as a tunnel's, which has no gateway."""
    def make_default(*gateway: tuple[int, bytes]) -> bytes:
        return head(AF_INET, protocol=3) + make_attributes(
            (RTA_TABLE, number(254)), (RTA_OIF, number(2)), *gateway)

    for ifindex, gateways, direct in ((2, ("10.1.1.1",), (4,)), (0, (), ())):
        answer(make_default(), make_default((RTA_GATEWAY, ROUTER)))
        assert Machine().read_default_gateways(ifindex, (4,)) == gateways
        answer(make_default(), make_default((RTA_GATEWAY, ROUTER)))
        assert Machine().read_direct(ifindex, (4,)) == direct


def test_addresses_are_a_devices_whatever_their_labels(answer: Callable[..., None]) -> None:
    alias = ADDRESS + make_attributes((3, b"eth0:1\0"))
    other = struct.pack("=BBBBI", AF_INET, 16, 0, 0, 3) + make_attributes((2, ROUTER))
    answer(alias, other)
    assert read_addresses(4, 2) == ["10.1.1.2"]
    answer(alias, other)
    assert read_addresses_around(4, 2) == (["10.1.1.2"], [("10.1.1.1", 16)])


def make_rule(preference: int, table: int, protocol: int, *more: tuple[int, bytes]) -> bytes:
    return head(AF_INET) + make_attributes(
        (FRA_PRIORITY, number(preference)), (FRA_TABLE, number(table)), *more,
        (FRA_PROTOCOL, bytes((protocol,))))


def test_rules_that_lead_new_connections_away_are_told_from_those_of_paths(
    answer: Callable[..., None]
) -> None:
    """They name the table of a path. Others may have rules of the same preference."""
    answer(RULE, make_rule(32765, 254, 77, (FRA_SUPPRESS_PREFIXLEN, number(0))),
           make_rule(32765, 20002, 77), make_rule(32765, 20002, 3), make_rule(32767, 253, 2),
           make_rule(32767, 0, 77), make_rule(32768, 20002, 77))
    tables = TableReader()
    detour = Rule(32765, "", "", "", 254, 0, 77)
    assert tables.read_detours(4) == [
        detour, detour._replace(table=20002, suppress=None), Rule(32767, "", "", "", 0, None, 77)]
    assert [(rule.preference, rule.protocol) for rule in tables.read_use(
        PATH).rules] == [(20002, 77), (32765, 3), (32768, 77)]


def test_the_rule_of_names_is_no_detour_and_stands_where_the_kernel_asks_it(
    answer: Callable[..., None]
) -> None:
    host = head(AF_INET, 32, 20000 & 0xFF) + make_attributes(
        (RTA_DST, ip_address("192.0.2.53").packed), (RTA_TABLE, number(20000)),
        (RTA_GATEWAY, ROUTER), (RTA_OIF, number(2)))
    answer(make_rule(32765, 20000, 3), make_rule(32765, 254, 77), make_rule(32765, 20000, 77),
           make_rule(32767, 20000, 77), make_rule(20004, 20000, 77))
    tables = TableReader()
    assert [rule.table for rule in tables.read_detours(4)] == [254]
    answer(host)
    use = tables.read_names(4)
    assert [rule.table for rule in use.rules] == [254, 20000]
    assert use.routes == (Route("192.0.2.53/32", "unicast", "10.1.1.1", 2, "", 0, 77),)


def refuse(error: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(netlink, "socket", FakeSocket(
        make_message(NLMSG_ERROR, struct.pack("=i", -error))))


def test_a_kernel_without_a_family_has_no_rules_and_no_routes_of_it(
    answer: Callable[..., None], monkeypatch: pytest.MonkeyPatch
) -> None:
    """One started with ipv6.disable=1 refuses the first, and tells of IPv4 for the second."""
    refuse(EAFNOSUPPORT, monkeypatch)
    assert dump_rules(6) == []
    answer(ROUTE, MULTIPATH)
    assert read_routes(6, 254) == []


def test_rules_that_are_not_shown_are_a_problem(monkeypatch: pytest.MonkeyPatch) -> None:
    refuse(EPERM, monkeypatch)
    with pytest.raises(Problem, match="^the kernel does not show the routing rules: "):
        dump_rules(4)


def test_where_an_address_would_be_sent(
    answer: Callable[..., None], monkeypatch: pytest.MonkeyPatch
) -> None:
    answer(head(AF_INET, 32) + make_attributes((RTA_DST, OWN), (RTA_OIF, number(3))))
    assert Machine().find_exit(4, "192.0.2.1") == 3
    # Of a way that is forbidden, as by a blackhole.
    answer(head(AF_INET, 32, kind=6) + make_attributes((RTA_DST, OWN)))
    assert find_exit(4, "192.0.2.1") == 0
    refuse(ENETUNREACH, monkeypatch)
    assert find_exit(6, "2001:db8::1") == 0


def test_mains_defaults_are_all_that_lead_out_by_a_device(answer: Callable[..., None]) -> None:
    subnet = head(AF_INET, 24) + make_attributes(
        (RTA_DST, ROUTER), (RTA_TABLE, number(254)), (RTA_OIF, number(4)))
    unreachable = head(AF_INET, kind=7) + make_attributes((RTA_TABLE, number(254)))
    answer(subnet, ROUTE, MULTIPATH, unreachable)
    assert [(route.gateway, route.device) for route in Machine().read_defaults(4)] == [
        ("10.1.1.1", 2), ("10.1.1.1", 2), ("10.1.1.1", 3)]


def test_a_path_manager_is_read(monkeypatch: pytest.MonkeyPatch) -> None:
    given = [make_message(MPTCP_PM_FAMILY, payload) + end for payload, end in (
        (FAMILY, DONE), (LIMITS, DONE), (ENDPOINT, DONE))]
    monkeypatch.setattr(netlink, "socket", FakeSocket(*given))
    assert read_path_manager() == PathManager((Endpoint(7, "10.1.1.2", 0, (), 0),), Limits(3, 2))


@pytest.mark.parametrize("length", [0, 1, 3, 9, 0xFFFF])
def test_an_attribute_of_a_length_that_cannot_be_is_the_end(length: int) -> None:
    before = make_attributes((1, b"abcd"))
    assert read_attributes(before + struct.pack("=HH", length, 2) + b"efgh", 0) == {1: b"abcd"}


@pytest.mark.parametrize("length", [0, 4, 15, 21, 0xFFFFFFFF])
def test_a_message_of_a_length_that_cannot_be_is_the_end(length: int) -> None:
    before = make_message(16, b"abcd")
    wrong = struct.pack("=IHHII", length, 17, 0, 0, 0) + b"efgh"
    assert list(split_messages(before + wrong)) == [(16, 0, b"abcd")]


@pytest.mark.parametrize("length", [0, 7, 17, 0xFFFF])
def test_a_next_hop_of_a_length_that_cannot_be_is_the_end(
    length: int, answer: Callable[..., None]
) -> None:
    wrong = HOPS[:16] + struct.pack("=HBBi", length, 0, 0, 3) + bytes(8)
    answer(head(AF_INET) + make_attributes((RTA_MULTIPATH, wrong)))
    assert [route.device for route in read_routes(4, 254)] == [2]


def test_what_is_cut_off_is_no_rule_and_no_route(answer: Callable[..., None]) -> None:
    for size in range(len(head(AF_INET))):
        answer(ROUTE[:size])
        assert read_routes(4, 254) == []
        assert find_rules([RULE[:size]], (b"",)) == []


def test_a_device_whose_name_is_no_text_is_named_all_the_same() -> None:
    """Any bytes may be a name, dev_valid_name() in net/core/dev.c; a rule of others has them."""
    message = head(AF_INET) + make_attributes((FRA_OIFNAME, b"\xff0\0"))
    assert [rule.device for rule in find_rules([message], (b"",))] == ["\udcff0"]


@pytest.mark.parametrize("payload", [b"", bytes(4), bytes(5)])
def test_a_family_without_its_number_is_not_there(
    payload: bytes, answer: Callable[..., None]
) -> None:
    answer(payload)
    assert read_path_manager() == PathManager((), None)


@given(some.lists(datagrams(), max_size=6))
def test_whatever_is_answered_is_a_value_or_a_refusal(given_: list[bytes]) -> None:
    def ask() -> Iterator[Callable[[], object]]:
        yield lambda: find_rules(dump_rules(4), (b"",))
        yield lambda: read_routes(6, 20002)
        yield lambda: find_exit(4, "192.0.2.1")
        yield lambda: read_addresses(4, 2)
        yield read_path_manager
        yield sockets.read_sockets

    for question in ask():
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(netlink, "socket", FakeSocket(*given_))
            try:
                question()
            except (Problem, Refused) as refused:
                assert str(refused)


@given(some.lists(datagrams(), max_size=6))
def test_whatever_is_announced_is_news_or_none(given_: list[bytes]) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(announcements, "socket", FakeSocket(*given_))
        assert isinstance(Listener().read(), News)


@pytest.mark.parametrize(("kind", "payload", "size"), [
    (RTM_NEWLINK, LINK, 16), (RTM_NEWADDR, ADDRESS, 8), (RTM_NEWROUTE, head(AF_INET), 12),
])
def test_an_announcement_that_is_cut_off_says_nothing(
    kind: int, payload: bytes, size: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of its struct, ifinfomsg, ifaddrmsg or rtmsg, each byte is there."""
    for length in range(size):
        monkeypatch.setattr(announcements, "socket",
                            FakeSocket(make_message(kind, payload[:length])))
        assert Listener().read() == News(False, False, frozenset())
    monkeypatch.setattr(announcements, "socket", FakeSocket(make_message(kind, payload[:size])))
    assert Listener().read().matters


@pytest.mark.parametrize("message", [b"", SOCKET[:-1], bytes([99]) + SOCKET[1:]])
def test_a_socket_that_is_cut_off_or_of_no_family_is_none(
    message: bytes, answer: Callable[..., None]
) -> None:
    answer(message, SOCKET)
    assert len(sockets.read_sockets()) == 1


@pytest.mark.parametrize("family", [AF_INET, AF_INET6])
def test_an_error_of_no_number_is_refused_all_the_same(
    family: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    wrong = make_message(NLMSG_ERROR, struct.pack("=i", -2 ** 31))
    monkeypatch.setattr(netlink, "socket", FakeSocket(wrong))
    with pytest.raises(Problem, match="^the kernel does not show the routing tables: "):
        read_routes(4 if family == AF_INET else 6, 254)
