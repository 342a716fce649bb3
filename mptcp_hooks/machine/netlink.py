# SPDX-License-Identifier: GPL-2.0-or-later
"""Questions to the kernel over netlink, and its answers as values. Reads only.

`ip -j` would say the same for another process and the json module, 10 ms in a
hook that has 12, and has no JSON for the MPTCP limits. Formats: rtnetlink(7),
genetlink, include/uapi/linux/fib_rules.h, rtnetlink.h and mptcp_pm.h.
"""

from __future__ import annotations

from _socket import AF_INET, AF_INET6, SOCK_RAW, inet_pton, socket
from posix import strerror
from sys import byteorder

from mptcp_hooks.base.address import unpack
from mptcp_hooks.base.errors import Problem
from mptcp_hooks.base.model import Endpoint, Limits, PathManager, Route, Rule
from mptcp_hooks.base.numbering import PROTOCOL
from mptcp_hooks.base.value import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator
    from struct import Struct
else:
    from _struct import Struct

AF_NETLINK = 16
NETLINK_ROUTE, NETLINK_GENERIC = 0, 16
SOL_NETLINK, _NETLINK_GET_STRICT_CHK = 270, 12
NETLINK_ADD_MEMBERSHIP, NETLINK_DROP_MEMBERSHIP = 1, 2
_NLM_F_REQUEST, _NLM_F_ACK, _NLM_F_DUMP_INTR, NLM_F_DUMP = 0x1, 0x4, 0x10, 0x300
_NLMSG_ERROR, _NLMSG_DONE = 2, 3
_RTM_GETADDR, _RTM_GETROUTE, _RTM_GETRULE = 22, 26, 34
_GENL_ID_CTRL, _CTRL_CMD_GETFAMILY, _CTRL_ATTR_FAMILY_ID, _CTRL_ATTR_FAMILY_NAME = 16, 3, 1, 2
_CTRL_ATTR_MCAST_GROUPS, _CTRL_ATTR_MCAST_GRP_NAME, _CTRL_ATTR_MCAST_GRP_ID = 7, 1, 2
GENL_HEADER_SIZE = 4

# include/uapi/linux/fib_rules.h
_FRA_DST, _FRA_SRC, _FRA_IIFNAME, _FRA_PRIORITY, _FRA_SUPPRESS_PREFIXLEN = 1, 2, 3, 6, 14
_FRA_FWMARK, _FRA_FWMASK = 10, 16
_FRA_TABLE, _FRA_OIFNAME, FRA_PROTOCOL = 15, 17, 21
_NO_SUPPRESS = b"\xff\xff\xff\xff"

# include/uapi/linux/if_addr.h: struct ifaddrmsg, and the own address where it has a peer.
_IFADDR = Struct("=BBBBI")
_IFA_ADDRESS, _IFA_LOCAL = 1, 2
# include/net/net_namespace.h
_LOOPBACK_IFINDEX = 1

# include/uapi/linux/rtnetlink.h
_RTA_DST, _RTA_OIF, _RTA_GATEWAY, _RTA_PRIORITY, _RTA_PREFSRC = 1, 4, 5, 6, 7
_RTA_MULTIPATH, _RTA_TABLE, _RTA_VIA, _RTA_PREF = 9, 15, 18, 20
# include/uapi/linux/icmpv6.h, ICMPV6_ROUTER_PREF_*: the ranks that are not 0.
_RANKS = {b"\1": 1, b"\3": -1}
# struct rtvia: the family comes before the address.
_RTVIA_ADDRESS_AT = 2
_NLA_TYPE_MASK = 0x3FFF

# include/uapi/linux/mptcp_pm.h
_MPTCP_PM_CMD_GET_ADDR, _MPTCP_PM_CMD_GET_LIMITS = 3, 6
_MPTCP_PM_ENDPOINT_ADDR = 1
_MPTCP_PM_ATTR_RCV_ADD_ADDRS, _MPTCP_PM_ATTR_SUBFLOWS = 2, 3
_MPTCP_PM_ADDR_ATTR_ID, _MPTCP_PM_ADDR_ATTR_ADDR4, _MPTCP_PM_ADDR_ATTR_ADDR6 = 2, 3, 4
_MPTCP_PM_ADDR_ATTR_PORT, _MPTCP_PM_ADDR_ATTR_FLAGS, _MPTCP_PM_ADDR_ATTR_IF_IDX = 5, 6, 7
_MPTCP_PM_VERSION = 1

# Of errno.h; the module would cost as much as one of ours.
_EPERM, ENOENT, ENODEV, EOPNOTSUPP, _EAFNOSUPPORT = 1, 2, 19, 95, 97
# Of include/linux/err.h.
_ERRNO_AT_MOST = 4095
# The kernel never fills more at once (net/netlink/af_netlink.c, netlink_recvmsg).
MESSAGES_AT_MOST = 1 << 15

_ADDRESS_SIZES = (4, 16)
_ADDRESS_FAMILY = {4: AF_INET, 6: AF_INET6}
_HEADER = Struct("=IHHII")
_ATTRIBUTE = Struct("=HH")
ROUTE = Struct("=BBBBBBBBI")
RULE = Struct("=BBBBBBBBI")
_HOP = Struct("=HBBi")
_U32 = Struct("=I")
_U16_SIZE = 2

# RTN_* of rtnetlink.h, and MPTCP_PM_ADDR_FLAG_* of mptcp_pm.h, as `ip` names them.
ROUTE_TYPES = {1: "unicast", 2: "local", 6: "blackhole", 7: "unreachable", 8: "prohibit",
               9: "throw"}
ENDPOINT_FLAGS = {"signal": 1, "subflow": 2, "backup": 4, "fullmesh": 8, "implicit": 16,
                  "laminar": 32}


def dump_rules(family: int) -> list[bytes]:
    """All rules of a family, as the kernel's messages; find_rules reads them."""
    request = RULE.pack(_ADDRESS_FAMILY[family], 0, 0, 0, 0, 0, 0, 0, 0)
    with Conversation(NETLINK_ROUTE) as kernel:
        try:
            return kernel.ask(_RTM_GETRULE, request, NLM_F_DUMP)
        except Refused as refused:
            # A kernel started with ipv6.disable=1.
            if refused.number != _EAFNOSUPPORT:
                raise refused.problem("the routing rules") from None
            return []


def find_rules(messages: list[bytes], about: tuple[bytes, ...]) -> list[Rule]:
    """The rules whose message holds one of the byte strings `about`.

    A machine with many uplinks has hundreds of rules: looking for bytes first
    leaves only the few to parse that name the table, address or device in question.
    """
    found = {number for wanted in about for number, message in enumerate(messages)
             if wanted in message}
    return [parse_rule(messages[number]) for number in sorted(found)
            if len(messages[number]) >= RULE.size]


def read_addresses(family: int, ifindex: int) -> list[str]:
    """The addresses of a device, whatever their labels; none of a device that is not there."""
    return [own for device, own, _ in _dump_addresses(family, ifindex) if device == ifindex]


def read_addresses_around(family: int, ifindex: int) -> tuple[list[str], list[tuple[str, int]]]:
    """The addresses of a device; and those of others but the loopback, with their lengths."""
    found = list(_dump_addresses(family, 0))
    return ([own for device, own, _ in found if device == ifindex],
            [(own, length) for device, own, length in found
             if device not in (ifindex, _LOOPBACK_IFINDEX)])


def _dump_addresses(family: int, device: int) -> Iterator[tuple[int, str, int]]:
    """The ifindex, address and length of those of one device, or of all (0)."""
    with Conversation(NETLINK_ROUTE) as kernel:
        if device:
            # Without it the kernel tells of all devices.
            kernel.check_strictly()
        try:
            messages = kernel.ask(
                _RTM_GETADDR, _IFADDR.pack(_ADDRESS_FAMILY[family], 0, 0, 0, device), NLM_F_DUMP)
        except Refused as refused:
            if refused.number not in (_EAFNOSUPPORT, ENODEV):
                raise refused.problem("the addresses of devices") from None
            return
    for message in messages:
        yield from _parse_address(message, family)


def read_routes(family: int, table: int, device: int = 0) -> list[Route]:
    """The routes of one table, or of all (0), of one device where `device` (an ifindex) is given.
    """
    return [route for message in dump_routes(family, table, device)
            for route in _parse_routes(message) if device in (0, route.device)]


def dump_routes(family: int, table: int, device: int = 0) -> list[bytes]:
    """What the kernel tells of each route, struct rtmsg and its attributes."""
    request = ROUTE.pack(_ADDRESS_FAMILY[family], 0, 0, 0, 0, 0, 0, 0, 0)
    if table:
        request += table_attribute(table)
    if device:
        request += make_attribute(_RTA_OIF, _U32.pack(device))
    with Conversation(NETLINK_ROUTE) as kernel:
        # Without it the kernel ignores the table and sends every route it has.
        kernel.check_strictly()
        try:
            messages = kernel.ask(_RTM_GETROUTE, request, NLM_F_DUMP)
        except Refused as refused:
            # A table that was never used, a device that has just gone.
            if refused.number not in (ENOENT, ENODEV):
                raise refused.problem("the routing tables") from None
            return []
    # A kernel that has no IPv6 is asked for it, and tells of what it has.
    return [message for message in messages if message[:1] == bytes((_ADDRESS_FAMILY[family],))
            and len(message) >= ROUTE.size]


def find_exit(family: int, destination: str) -> int:
    """The ifindex that what is bound to nothing leaves by for an address; 0 where it has no way.

    Of what forbids it in the way that `ip route get` shows, the device is that of the loopback.
    """
    packed = inet_pton(_ADDRESS_FAMILY[family], destination)
    request = ROUTE.pack(_ADDRESS_FAMILY[family], 8 * len(packed), 0, 0, 0, 0, 0, 0, 0)
    request += make_attribute(_RTA_DST, packed)
    with Conversation(NETLINK_ROUTE) as kernel:
        try:
            answer = kernel.ask_one(_RTM_GETROUTE, request)
        except Refused:
            return 0
    return _number(read_attributes(answer, ROUTE.size).get(_RTA_OIF))


def read_path_manager() -> PathManager:
    """What the path manager of this network namespace holds; Problem where it does not say."""
    with Conversation(NETLINK_GENERIC) as kernel:
        try:
            number = kernel.find_generic_family(b"mptcp_pm")
        except Refused:
            return PathManager((), None)
        limits = kernel.ask_one(number, _ask_path_manager(_MPTCP_PM_CMD_GET_LIMITS))
        return PathManager(_ask_endpoints(kernel, number), _parse_limits(limits))


def _ask_path_manager(command: int) -> bytes:
    """struct genlmsghdr: the command, the version, and two bytes that mean nothing."""
    return bytes((command, _MPTCP_PM_VERSION, 0, 0))


def _ask_endpoints(kernel: Conversation, number: int) -> tuple[Endpoint, ...] | None:
    try:
        messages = kernel.ask(number, _ask_path_manager(_MPTCP_PM_CMD_GET_ADDR), NLM_F_DUMP)
        endpoints = map(_parse_endpoint, messages)
        return tuple(endpoint for endpoint in endpoints if endpoint.address)
    except Refused as refused:
        if refused.number != _EPERM:
            raise refused.problem("the MPTCP endpoints") from None
        return None


def table_attribute(table: int) -> bytes:
    """How a rule's or route's message says its table (FRA_TABLE and RTA_TABLE are equal)."""
    return make_attribute(_RTA_TABLE, _U32.pack(table))


def source_attribute(packed: bytes) -> bytes:
    """How a rule's message says its source address (FRA_SRC)."""
    return make_attribute(_FRA_SRC, packed)


def mark_attribute(mark: int) -> bytes:
    """How a rule's message says the mark that it asks for (FRA_FWMARK)."""
    return make_attribute(_FRA_FWMARK, _U32.pack(mark))


def device_attribute(device: str) -> bytes:
    """How a rule's message says its outgoing device (FRA_OIFNAME)."""
    return make_attribute(_FRA_OIFNAME, device.encode("utf-8", "surrogateescape") + b"\0")


class Refused(Exception):
    """The kernel answered a question with an error: `number`, as errno(3) has it."""

    def __init__(self, number: int) -> None:
        super().__init__(strerror(number & _ERRNO_AT_MOST))
        self.number = number

    def problem(self, what: str) -> Problem:
        """The Problem of not being shown `what`."""
        return Problem(f"the kernel does not show {what}: {self}")


def _describe(error: OSError) -> Problem:
    return Problem(f"cannot ask the kernel over netlink: {error.strerror}")


class Conversation:
    """One netlink socket; a question at a time."""

    def __init__(self, protocol: int) -> None:
        try:
            self._socket = socket(AF_NETLINK, SOCK_RAW, protocol)
            self._socket.bind((0, 0))
        except OSError as error:
            raise _describe(error) from None

    def __enter__(self) -> Conversation:
        return self

    def __exit__(self, *raised: object) -> None:
        self._socket.close()

    def check_strictly(self) -> None:
        """Make the kernel heed all of a request (NETLINK_GET_STRICT_CHK, netlink(7))."""
        self._socket.setsockopt(SOL_NETLINK, _NETLINK_GET_STRICT_CHK, 1)

    def find_generic_family(self, name: bytes) -> int:
        """The number of a generic netlink family; Refused where the kernel has none."""
        number = _number(self._ask_family(name).get(_CTRL_ATTR_FAMILY_ID, b"")[:_U16_SIZE])
        if not number:
            raise Refused(ENOENT)
        return number

    def find_generic_group(self, family: bytes, name: bytes) -> int:
        """The number of a family's multicast group; Refused where the kernel has none."""
        groups = read_attributes(self._ask_family(family).get(_CTRL_ATTR_MCAST_GROUPS, b""), 0)
        for group in groups.values():
            said = read_attributes(group, 0)
            if said.get(_CTRL_ATTR_MCAST_GRP_NAME, b"").rstrip(b"\0") == name:
                return _number(said.get(_CTRL_ATTR_MCAST_GRP_ID))
        raise Refused(ENOENT)

    def _ask_family(self, name: bytes) -> dict[int, bytes]:
        request = bytes((_CTRL_CMD_GETFAMILY, 1, 0, 0))
        request += make_attribute(_CTRL_ATTR_FAMILY_NAME, name + b"\0")
        return read_attributes(self.ask_one(_GENL_ID_CTRL, request), GENL_HEADER_SIZE)

    def ask_one(self, kind: int, request: bytes) -> bytes:
        """The payload of an answer that is one message, empty where there is none."""
        return (self.ask(kind, request, _NLM_F_ACK) or [b""])[0]

    def ask(self, kind: int, request: bytes, flags: int) -> list[bytes]:
        """The payloads of the answer; Refused with the kernel's errno.

        What changed while it was told is told again: half of it would be old.
        """
        while True:
            answer, interrupted = self._ask_once(kind, request, flags)
            if not interrupted:
                return answer

    def _send(self, message: bytes) -> None:
        try:
            self._socket.send(message)
        except OSError as error:
            raise _describe(error) from None

    def _receive(self) -> bytes:
        try:
            return self._socket.recv(MESSAGES_AT_MOST)
        except OSError as error:
            # The kernel has no memory for it, netlink(7).
            raise _describe(error) from None

    def _ask_once(self, kind: int, request: bytes, flags: int) -> tuple[list[bytes], bool]:
        length = _HEADER.size + len(request)
        self._send(_HEADER.pack(length, kind, _NLM_F_REQUEST | flags, 1, 0) + request)
        answer: list[bytes] = []
        interrupted = False
        while True:
            for kind, marks, payload in split_messages(self._receive()):
                interrupted = interrupted or bool(marks & _NLM_F_DUMP_INTR)
                if kind in (_NLMSG_ERROR, _NLMSG_DONE):
                    if payload[:4] != b"\0\0\0\0":
                        raise Refused(-int.from_bytes(payload[:4], byteorder, signed=True))
                    return answer, interrupted
                answer.append(payload)


def split_messages(buffer: bytes) -> Iterator[tuple[int, int, bytes]]:
    """The kind, the flags and the payload of each message that one recv brought.

    A length that cannot be is the end, here and in all else that netlink(3) measures.
    """
    offset = 0
    while offset + _HEADER.size <= len(buffer):
        length, kind, flags, _, _ = _HEADER.unpack_from(buffer, offset)
        if not _HEADER.size <= length <= len(buffer) - offset:
            return
        yield kind, flags, buffer[offset + _HEADER.size:offset + length]
        offset += (length + 3) & ~3


def make_attribute(kind: int, value: bytes) -> bytes:
    """One attribute of a message, padded (rtnetlink(7), struct rtattr)."""
    return _ATTRIBUTE.pack(4 + len(value), kind) + value + bytes(-len(value) % 4)


def read_attributes(message: bytes, offset: int) -> dict[int, bytes]:
    """The attributes of a message by their kinds, from `offset` on."""
    return dict(list_attributes(message, offset))


def list_attributes(message: bytes, offset: int) -> Iterator[tuple[int, bytes]]:
    """The attributes of a message in their order, from `offset` on; a kind may come again."""
    while offset + _ATTRIBUTE.size <= len(message):
        length, kind = _ATTRIBUTE.unpack_from(message, offset)
        if not _ATTRIBUTE.size <= length <= len(message) - offset:
            return
        yield kind & _NLA_TYPE_MASK, message[offset + 4:offset + length]
        offset += (length + 3) & ~3


def _number(value: bytes | None, default: int = 0) -> int:
    return default if value is None else int.from_bytes(value, byteorder)


def _address(value: bytes | None) -> str:
    return unpack(value) if value and len(value) in _ADDRESS_SIZES else ""


def _name(value: bytes | None) -> str:
    return (value or b"").rstrip(b"\0").decode("utf-8", "surrogateescape")


def _prefix(value: bytes | None, length: int) -> str:
    text = _address(value)
    return f"{text}/{length}" if text else ""


def _parse_address(message: bytes, family: int) -> Iterator[tuple[int, str, int]]:
    if len(message) < _IFADDR.size:
        return
    told, length, _, _, ifindex = _IFADDR.unpack_from(message)
    said = read_attributes(message, _IFADDR.size)
    own = _address(said.get(_IFA_LOCAL) or said.get(_IFA_ADDRESS))
    if told == _ADDRESS_FAMILY[family] and own:
        yield ifindex, own, length


def parse_rule(message: bytes) -> Rule:
    """The rule of a message that is as long as a rule's at least."""
    _, to_length, from_length, _, table, _, _, _, _ = RULE.unpack_from(message)
    said = read_attributes(message, RULE.size)
    suppress = said.get(_FRA_SUPPRESS_PREFIXLEN)
    return Rule(
        preference=_number(said.get(_FRA_PRIORITY)),
        source=_prefix(said.get(_FRA_SRC), from_length),
        destination=_prefix(said.get(_FRA_DST), to_length),
        device=_name(said.get(_FRA_OIFNAME)),
        table=_number(said.get(_FRA_TABLE), table),
        suppress=None if suppress in (None, _NO_SUPPRESS) else _number(suppress),
        protocol=_number(said.get(FRA_PROTOCOL)),
        incoming=_name(said.get(_FRA_IIFNAME)),
        mark=_read_mark(said),
    )


def _read_mark(said: dict[int, bytes]) -> str:
    if _FRA_FWMARK not in said and _FRA_FWMASK not in said:
        return ""
    from mptcp_hooks.base.mark import ALL_BITS, format_mark

    return format_mark(_number(said.get(_FRA_FWMARK)), _number(said.get(_FRA_FWMASK), ALL_BITS))


def _parse_routes(message: bytes) -> Iterator[Route]:
    """The route of a message, or one for each next hop of a multipath route."""
    _, length, _, _, _, protocol, _, kind, _ = ROUTE.unpack_from(message)
    said = read_attributes(message, ROUTE.size)
    for device, hop in _list_hops(said):
        yield Route(
            destination=_prefix(said.get(_RTA_DST), length) or "default",
            kind=ROUTE_TYPES.get(kind, str(kind)),
            gateway=_address(hop.get(_RTA_GATEWAY))
            or _address(hop.get(_RTA_VIA, b"")[_RTVIA_ADDRESS_AT:]),
            device=device,
            source=_address(said.get(_RTA_PREFSRC)),
            metric=_number(said.get(_RTA_PRIORITY)),
            protocol=protocol,
            rank=_RANKS.get(said.get(_RTA_PREF, b""), 0),
        )


def _list_hops(said: dict[int, bytes]) -> Iterator[tuple[int, dict[int, bytes]]]:
    """Each next hop's device and attributes; RTA_MULTIPATH holds struct rtnexthop."""
    hops = said.get(_RTA_MULTIPATH)
    if hops is None:
        yield _number(said.get(_RTA_OIF)), said
        return
    offset = 0
    while offset + _HOP.size <= len(hops):
        length, _, _, device = _HOP.unpack_from(hops, offset)
        if not _HOP.size <= length <= len(hops) - offset:
            return
        yield device, read_attributes(hops[offset:offset + length], _HOP.size)
        offset += (length + 3) & ~3


def _parse_endpoint(message: bytes) -> Endpoint:
    said = read_attributes(
        read_attributes(message, GENL_HEADER_SIZE).get(_MPTCP_PM_ENDPOINT_ADDR, b""), 0)
    flags = _number(said.get(_MPTCP_PM_ADDR_ATTR_FLAGS))
    return Endpoint(
        identity=_number(said.get(_MPTCP_PM_ADDR_ATTR_ID)),
        address=_address(said.get(_MPTCP_PM_ADDR_ATTR_ADDR4)
                         or said.get(_MPTCP_PM_ADDR_ATTR_ADDR6)),
        device=_number(said.get(_MPTCP_PM_ADDR_ATTR_IF_IDX)),
        flags=tuple(name for name, bit in ENDPOINT_FLAGS.items() if flags & bit),
        port=_number(said.get(_MPTCP_PM_ADDR_ATTR_PORT)),
    )


def _parse_limits(message: bytes) -> Limits:
    said = read_attributes(message, GENL_HEADER_SIZE)
    return Limits(subflows=_number(said.get(_MPTCP_PM_ATTR_SUBFLOWS)),
                  add_addr_accepted=_number(said.get(_MPTCP_PM_ATTR_RCV_ADD_ADDRS)))


# As every rule of ours has it.
OUR_RULE = make_attribute(FRA_PROTOCOL, bytes((PROTOCOL,)))
