# SPDX-License-Identifier: GPL-2.0-or-later
"""What of the kernel's announcements matters to uplinks, and what is urgent."""

from __future__ import annotations

import errno
import struct
from collections.abc import Callable
from ipaddress import ip_address, ip_network
from socket import AF_INET, AF_INET6, AF_UNSPEC, MSG_TRUNC

import pytest

from mptcp_hooks.base.errors import Problem
from mptcp_hooks.base.numbering import LOCAL_TABLE, MAIN_TABLE, PROTOCOL
from mptcp_hooks.monitor import announcements
from mptcp_hooks.monitor.advertised import Advertised
from mptcp_hooks.monitor.announcements import Listener, News
from tests.unit.netlink_messages import make_attributes, make_message

# The kernel's, not those of the module: a number that is wrong there must show here.
AF_BRIDGE, RTPROT_DHCP = 7, 16
RTM_NEWLINK, RTM_DELLINK, RTM_NEWADDR, RTM_DELADDR, RTM_NEWNEIGH = 16, 17, 20, 21, 28
RTM_NEWROUTE, RTM_DELROUTE, RTM_NEWRULE, RTM_DELRULE = 24, 25, 32, 33
RTM_NEWNDUSEROPT, RTA_DST = 68, 1
IFLA_IFNAME, IFLA_MTU, FRA_FWMARK, FRA_TABLE, FRA_PROTOCOL = 3, 4, 10, 15, 21
FIB_RULE_INVERT = 0x2
IFA_ADDRESS, IFA_LOCAL, IFA_CACHEINFO, IFA_FLAGS = 1, 2, 6, 8
IFF_UP, IFF_RUNNING, IFF_PROMISC = 0x1, 0x40, 0x100
SOL_NETLINK, ADD_MEMBERSHIP, DROP_MEMBERSHIP, RTNLGRP_NEIGH = 270, 1, 2, 3
NUD_INCOMPLETE, NUD_REACHABLE, NUD_STALE, NUD_FAILED = 0x01, 0x02, 0x04, 0x20
IFA_F_TENTATIVE, IFA_F_MANAGETEMPADDR = 0x40, 0x100
CARRIES = IFF_UP | IFF_RUNNING
NOTHING = News(False, False, frozenset())
CHANGE_OF_2 = News(True, False, frozenset({2}))
LOSS_OF_2 = News(True, True, frozenset({2}))
LOST = News(True, False, frozenset(), lost=True)


class FakeSocket:
    """A netlink socket that has these datagrams, each with its flags, or fails so; then none."""

    def __init__(self, *given: bytes | OSError | tuple[bytes, int]) -> None:
        self.given = list(given)
        self.groups = 0
        self.joined: set[int] = set()
        self.blocking = True

    def __call__(self, *arguments: int) -> FakeSocket:
        return self

    def bind(self, address: tuple[int, int]) -> None:
        _, self.groups = address

    def setblocking(self, flag: bool) -> None:
        self.blocking = flag

    def setsockopt(self, level: int, option: int, group: int) -> None:
        assert level == SOL_NETLINK and option in (ADD_MEMBERSHIP, DROP_MEMBERSHIP)
        (self.joined.add if option == ADD_MEMBERSHIP else self.joined.remove)(group)

    def recvmsg(self, size: int) -> tuple[bytes, list[object], int, None]:
        if not self.given:
            raise BlockingIOError(errno.EAGAIN, "nothing there")
        one = self.given.pop(0)
        if isinstance(one, OSError):
            raise one
        buffer, marks = one if isinstance(one, tuple) else (one, 0)
        return buffer, [], marks, None


def listen(
    monkeypatch: pytest.MonkeyPatch, *given: bytes | OSError | tuple[bytes, int]
) -> tuple[Listener, FakeSocket]:
    fake = FakeSocket(*given)
    monkeypatch.setattr(announcements, "socket", fake)
    return Listener(), fake


def hear(
    monkeypatch: pytest.MonkeyPatch, *given: bytes | OSError | tuple[bytes, int]
) -> list[News]:
    """The news of each datagram by itself."""
    watching, fake = listen(monkeypatch)
    found = []
    for one in given:
        fake.given.append(one)
        found.append(watching.read())
    return found


def link(
    flags: int, kind: int = RTM_NEWLINK, index: int = 2, name: str = "eth0", mtu: int = 1500,
    family: int = AF_UNSPEC,
) -> bytes:
    return make_message(kind, struct.pack("=BxHiII", family, 1, index, flags, 0) + make_attributes(
        (IFLA_IFNAME, name.encode() + b"\0"), (IFLA_MTU, struct.pack("=I", mtu))))


def address(
    text: str, kind: int = RTM_NEWADDR, index: int = 2, flags: int = 0, lifetime: int = 3600,
    peer: str = "",
) -> bytes:
    packed = ip_address(text).packed
    family = AF_INET if len(packed) == 4 else AF_INET6
    whose = [(IFA_ADDRESS, ip_address(peer or text).packed), *[(IFA_LOCAL, packed)] * bool(peer)]
    return make_message(kind, struct.pack("=BBBBI", family, 24, flags & 0xFF, 0, index)
                        + make_attributes(*whose, (IFA_FLAGS, struct.pack("=I", flags)),
                                          (IFA_CACHEINFO, struct.pack("=4I", lifetime, 0, 0, 0))))


def route(kind: int, length: int, table: int, protocol: int) -> bytes:
    return make_message(kind, struct.pack("=BBBBBBBBI", AF_INET, length, 0, 0, table, protocol,
                                          0, 1, 0))


def neighbour(state: int, index: int = 2) -> bytes:
    return make_message(RTM_NEWNEIGH, struct.pack("=BxxxiHBB", AF_INET, index, state, 0, 1))


def rule(kind: int, protocol: int, *selectors: tuple[int, bytes], flags: int = 0) -> bytes:
    return make_message(kind, struct.pack("=BBBBBBBBI", AF_INET, 0, 0, 0, 0, 0, 0, 1, flags)
                        + make_attributes((FRA_TABLE, struct.pack("=I", 20002)),
                                          (FRA_PROTOCOL, bytes((protocol,))), *selectors))


def test_it_subscribes_to_links_and_to_what_both_families_have(
    monkeypatch: pytest.MonkeyPatch
) -> None:
    """RTNLGRP_LINK, those of IPv4 and IPv6 for addresses, routes and rules, and ND_USEROPT."""
    _, fake = listen(monkeypatch)
    assert [number + 1 for number in range(32) if fake.groups >> number & 1] == [
        1, 5, 7, 8, 9, 11, 19, 20]
    # Nothing else in the monitor waits for it.
    assert not fake.blocking


def test_a_link_that_only_tells_of_itself_is_no_news(monkeypatch: pytest.MonkeyPatch) -> None:
    """Statistics of a wireless link, another MTU, a flag that is not of its carrier."""
    assert hear(monkeypatch, link(CARRIES), link(CARRIES), link(CARRIES, mtu=1400),
                link(CARRIES | IFF_PROMISC)) == [CHANGE_OF_2, NOTHING, NOTHING, NOTHING]


def test_a_carrier_that_is_lost_is_urgent_and_one_that_comes_is_not(
    monkeypatch: pytest.MonkeyPatch
) -> None:
    assert hear(monkeypatch, link(CARRIES), link(IFF_UP), link(0), link(IFF_UP), link(CARRIES)) == [
        CHANGE_OF_2, LOSS_OF_2, CHANGE_OF_2, CHANGE_OF_2, CHANGE_OF_2]


def test_a_link_that_is_first_seen_without_a_carrier_may_have_lost_it(
    monkeypatch: pytest.MonkeyPatch
) -> None:
    assert hear(monkeypatch, link(IFF_UP)) == [LOSS_OF_2]


def test_a_device_that_goes_is_urgent_unless_its_carrier_went_before(
    monkeypatch: pytest.MonkeyPatch
) -> None:
    gone = link(0, kind=RTM_DELLINK)
    assert hear(monkeypatch, link(CARRIES), gone) == [CHANGE_OF_2, LOSS_OF_2]
    assert hear(monkeypatch, link(CARRIES), link(IFF_UP), gone) == [
        CHANGE_OF_2, LOSS_OF_2, CHANGE_OF_2]


def test_a_device_that_is_renamed_is_news(monkeypatch: pytest.MonkeyPatch) -> None:
    assert hear(monkeypatch, link(CARRIES), link(CARRIES, name="wan0")) == [CHANGE_OF_2] * 2


def test_what_a_bridge_tells_of_its_ports_is_no_news(monkeypatch: pytest.MonkeyPatch) -> None:
    assert hear(monkeypatch, link(CARRIES), link(0, kind=RTM_DELLINK, family=AF_BRIDGE),
                link(CARRIES)) == [CHANGE_OF_2, NOTHING, NOTHING]


@pytest.mark.parametrize("text", ["10.1.1.2", "2001:db8::2"])
def test_an_address_is_news_once_and_not_when_its_lifetime_is_renewed(
    text: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert hear(monkeypatch, address(text), address(text, lifetime=7200),
                address(text, index=3)) == [
        CHANGE_OF_2, NOTHING, CHANGE_OF_2._replace(devices=frozenset({3}))]


def test_an_address_that_goes_is_urgent_and_is_news_when_it_comes_back(
    monkeypatch: pytest.MonkeyPatch
) -> None:
    gone = address("10.1.1.2", kind=RTM_DELADDR)
    assert hear(monkeypatch, address("10.1.1.2"), gone, address("10.1.1.2"), gone, gone) == [
        CHANGE_OF_2, LOSS_OF_2, CHANGE_OF_2, LOSS_OF_2, LOSS_OF_2]


def test_an_address_that_is_no_duplicate_is_news_by_all_its_flags(
    monkeypatch: pytest.MonkeyPatch
) -> None:
    """IFA_FLAGS has more of them than the header has room for."""
    flags = (IFA_F_TENTATIVE, 0, 0, IFA_F_MANAGETEMPADDR)
    assert hear(monkeypatch, *(address("2001:db8::2", flags=one) for one in flags)) == [
        CHANGE_OF_2, CHANGE_OF_2, NOTHING, CHANGE_OF_2]


def test_addresses_with_one_peer_are_told_apart(monkeypatch: pytest.MonkeyPatch) -> None:
    first, second = (address(own, peer="10.9.9.9") for own in ("10.1.1.2", "10.1.1.3"))
    assert hear(monkeypatch, first, second, first) == [CHANGE_OF_2, CHANGE_OF_2, NOTHING]


def test_of_more_addresses_than_it_has_room_for_it_hears_too_much_and_not_too_little(
    monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(announcements, "_REMEMBERED_AT_MOST", 2)
    ours = [address(f"10.1.1.{host}") for host in (1, 2, 3)]
    assert hear(monkeypatch, *ours, ours[2], ours[0]) == [
        CHANGE_OF_2, CHANGE_OF_2, CHANGE_OF_2, NOTHING, CHANGE_OF_2]


@pytest.mark.parametrize("kind", [RTM_NEWROUTE, RTM_DELROUTE])
@pytest.mark.parametrize(("length", "table", "protocol", "matters"), [
    (0, MAIN_TABLE, RTPROT_DHCP, True), (24, MAIN_TABLE, RTPROT_DHCP, False),
    (0, 100, RTPROT_DHCP, True), (24, 100, RTPROT_DHCP, False),
    (24, 252, PROTOCOL, True), (0, 252, PROTOCOL, True),
    (0, LOCAL_TABLE, RTPROT_DHCP, False),
])
def test_routes_of_ours_and_defaults_matter(
    kind: int, length: int, table: int, protocol: int, matters: bool,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    assert hear(monkeypatch, route(kind, length, table, protocol)) == [
        NOTHING._replace(matters=matters)]


@pytest.mark.parametrize("kind", [RTM_NEWROUTE, RTM_DELROUTE])
@pytest.mark.parametrize(("prefix", "table"), [
    ("0.0.0.0/1", 100), ("0.0.0.0/1", MAIN_TABLE), ("128.0.0.0/1", MAIN_TABLE),
    ("2000::/3", MAIN_TABLE)])
def test_a_piece_of_a_default_which_is_a_tunnels_is_urgent(
    prefix: str, table: int, kind: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert hear(monkeypatch, lead(prefix, table, kind)) == [
        NOTHING._replace(matters=True, urgent=True)]


@pytest.mark.parametrize("kind", [RTM_NEWRULE, RTM_DELRULE])
def test_rules_of_ours_matter_and_others_that_take_everything(
    kind: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    matters = NOTHING._replace(matters=True)
    marked = (FRA_FWMARK, struct.pack("=I", 0xca6c))
    assert hear(monkeypatch, rule(kind, PROTOCOL), rule(kind, 2), rule(kind, 2, marked),
                rule(kind, 2, marked, flags=FIB_RULE_INVERT)) == [
        matters, matters, NOTHING, matters]


@pytest.fixture
def watched(monkeypatch: pytest.MonkeyPatch) -> Callable[..., News]:
    """The news of a message where it is listened for the ways to two resolvers."""
    listener, fake = listen(monkeypatch)
    listener.watch(("192.0.2.53", "2001:db8::53"))

    def hear_one(message: bytes) -> News:
        fake.given.append(message)
        return listener.read()

    return hear_one


def lead(prefix: str, table: int = MAIN_TABLE, kind: int = RTM_NEWROUTE) -> bytes:
    """A route of somebody else, as the kernel announces it; of a default it says no more."""
    network = ip_network(prefix)
    family = AF_INET if network.version == 4 else AF_INET6
    return make_message(kind, struct.pack(
        "=BBBBBBBBI", family, network.prefixlen, 0, 0, table, RTPROT_DHCP, 0, 1, 0)
        + make_attributes(*[(RTA_DST, network.network_address.packed)] * bool(network.prefixlen)))


@pytest.mark.parametrize("kind", [RTM_NEWROUTE, RTM_DELROUTE])
@pytest.mark.parametrize("prefix", ["0.0.0.0/0", "0.0.0.0/1", "128.0.0.0/1", "::/0", "2000::/3",
                                    "::/3", "3000::/4"])
def test_a_default_or_a_piece_of_one_is_urgent_where_a_resolver_may_be_in_it(
    prefix: str, kind: int, watched: Callable[..., News]
) -> None:
    """It may be a tunnel's, which keeps private what it takes."""
    assert watched(lead(prefix, kind=kind)) == NOTHING._replace(matters=True, urgent=True)


@pytest.mark.parametrize(("prefix", "matters"), [
    ("192.0.0.0/2", True), ("192.0.2.0/24", True), ("192.0.2.53/32", True),
    ("192.0.2.52/32", False), ("192.0.3.0/24", False), ("10.0.0.0/8", False),
    ("2001:db8::/32", True), ("2001:db8::53/128", True), ("2000::/5", True),
    ("2001:db9::/32", False), ("fd00::/8", False)])
def test_a_route_that_leads_to_a_resolver_matters(
    prefix: str, matters: bool, watched: Callable[..., News]
) -> None:
    assert watched(lead(prefix)) == NOTHING._replace(matters=matters)
    assert watched(lead(prefix, table=100)) == NOTHING


def test_without_a_resolver_nobody_hears_of_such_routes(monkeypatch: pytest.MonkeyPatch) -> None:
    watching, fake = listen(monkeypatch)
    watching.watch(("192.0.2.53",))
    for resolvers, matters in ((("2001:db8::53",), False), ((), False), (("192.0.2.53",), True)):
        watching.watch(resolvers)
        fake.given.append(lead("192.0.2.0/24"))
        assert watching.read().matters == matters
        fake.given.append(lead("0.0.0.0/0"))
        assert watching.read().urgent == matters


def test_rules_of_others_matter_where_they_may_lead_a_resolver(
    watched: Callable[..., News]
) -> None:
    assert watched(rule(RTM_NEWRULE, 2)) == NOTHING._replace(matters=True)


def test_a_route_of_ours_matters_though_nothing_is_in_it(watched: Callable[..., News]) -> None:
    assert watched(route(RTM_DELROUTE, 24, 252, PROTOCOL)).matters
    assert watched(route(RTM_DELROUTE, 24, MAIN_TABLE, PROTOCOL)).matters


def test_what_routers_say_of_resolvers_is_handed_on(monkeypatch: pytest.MonkeyPatch) -> None:
    said = [make_message(RTM_NEWNDUSEROPT, struct.pack(
        "=BxHiBBxxxxxx", AF_INET6, 24, index, 134, 0) + struct.pack("!BBxxI", 25, 3, 60)
        + ip_address("2001:db8::53").packed) for index in (2, 3)]
    watching, _ = listen(monkeypatch, said[0] + said[1], said[0])
    first, second = (Advertised(index, ("2001:db8::53",), 60) for index in (2, 3))
    assert watching.read() == NOTHING._replace(advertised=(first, second, first))
    assert hear(monkeypatch, said[0][:30], make_message(RTM_NEWNDUSEROPT, bytes(40))) == [
        NOTHING, NOTHING]


def test_what_else_the_kernel_announces_is_no_news(monkeypatch: pytest.MonkeyPatch) -> None:
    assert hear(monkeypatch, make_message(RTM_NEWNEIGH, bytes(12)), b"") == [NOTHING, NOTHING]


def test_neighbours_are_listened_for_while_a_path_waits_for_one(
    monkeypatch: pytest.MonkeyPatch
) -> None:
    watching, fake = listen(monkeypatch)
    seen = []
    for devices in ((), (2,), (2, 3), (), ()):
        watching.await_neighbours(frozenset(devices))
        seen.append(set(fake.joined))
    assert seen == [set(), {RTNLGRP_NEIGH}, {RTNLGRP_NEIGH}, set(), set()]


def test_a_gateway_that_answers_where_one_is_waited_for_is_urgent(
    monkeypatch: pytest.MonkeyPatch
) -> None:
    watching, fake = listen(monkeypatch)
    watching.await_neighbours(frozenset((2,)))
    found = []
    for one in (neighbour(NUD_INCOMPLETE), neighbour(NUD_FAILED), neighbour(NUD_REACHABLE, 3),
                neighbour(NUD_REACHABLE), neighbour(NUD_STALE), neighbour(NUD_STALE)[:20]):
        fake.given.append(one)
        found.append(watching.read())
    answered = NOTHING._replace(matters=True, urgent=True)
    assert found == [NOTHING, NOTHING, NOTHING, answered, answered, NOTHING]


def test_all_messages_of_a_datagram_and_all_datagrams_are_one_news(
    monkeypatch: pytest.MonkeyPatch
) -> None:
    watching, _ = listen(
        monkeypatch, rule(RTM_NEWRULE, 2) + link(IFF_UP) + link(CARRIES, index=3),
        address("10.1.1.2", index=4))
    assert watching.read() == News(True, True, frozenset({2, 3, 4}))
    assert watching.read() == NOTHING


def test_of_a_flood_a_part_is_read_at_a_time(monkeypatch: pytest.MonkeyPatch) -> None:
    watching, fake = listen(monkeypatch, *(link(CARRIES, index=index) for index in range(1, 41)))
    seen = [len(watching.read().devices) for _ in range(4)]
    assert (seen, fake.given) == ([16, 16, 8, 0], [])


@pytest.mark.parametrize("loss", [OSError(errno.ENOBUFS, ""), (b"", MSG_TRUNC)])
def test_after_a_loss_anything_may_have_changed(
    loss: OSError | tuple[bytes, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    """What was known of links and addresses is not any more: the same again is news."""
    both = link(CARRIES) + address("10.1.1.2")
    assert hear(monkeypatch, both, both, loss, both) == [
        CHANGE_OF_2, NOTHING, LOST, CHANGE_OF_2]


def test_nothing_is_believed_of_a_datagram_that_is_cut_off(
    monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = link(IFF_UP) + address("10.1.1.2", kind=RTM_DELADDR) + rule(RTM_NEWRULE, PROTOCOL)
    cut = [(whole[:size], MSG_TRUNC) for size in range(len(whole))]
    assert hear(monkeypatch, *cut) == [LOST] * len(whole)


def test_a_loss_among_other_news_is_told_with_them(monkeypatch: pytest.MonkeyPatch) -> None:
    watching, _ = listen(monkeypatch, link(IFF_UP), OSError(errno.ENOBUFS, ""), link(CARRIES))
    assert watching.read() == News(True, True, frozenset({2}), lost=True)


def test_a_kernel_that_cannot_be_heard_is_a_problem(monkeypatch: pytest.MonkeyPatch) -> None:
    watching, _ = listen(monkeypatch, OSError(errno.EBADF, "Bad file descriptor"))
    with pytest.raises(Problem) as raised:
        watching.read()
    assert str(raised.value) == "cannot hear the kernel over netlink: Bad file descriptor"


def test_a_kernel_that_takes_no_subscription_is_a_problem(
    monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*arguments: int) -> None:
        raise PermissionError(errno.EPERM, "Operation not permitted")

    monkeypatch.setattr(announcements, "socket", refuse)
    with pytest.raises(Problem, match="^cannot hear the kernel over netlink: Operation not perm"):
        Listener()
