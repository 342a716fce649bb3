# SPDX-License-Identifier: GPL-2.0-or-later
"""ICMP echo: the bytes of a question, and whether a packet is the answer to it. Pure.

RFC 792 and RFC 4443. An answer repeats the identifier, the number and the data, which nobody
can guess who has not seen the question.
"""

from __future__ import annotations

from struct import Struct

from mptcp_hooks.base.value import NamedTuple

ECHO_REPLY_4, ECHO_REPLY_6 = 0, 129
_ECHO_4, _ECHO_6 = 8, 128
_IPPROTO_ICMP = 1
# Type, code, checksum, identifier, number.
_HEADER = Struct("!BBHHH")
# Version and length, the protocol and the source of an IPv4 header, and how long that is at least.
_PROTOCOL_AT, _SOURCE_AT, _SIZE_4 = 9, 12, 20


class Question(NamedTuple):
    """One echo request."""

    identity: int
    number: int
    data: bytes


def build_4(question: Question) -> bytes:
    """The question of ICMP."""
    return _pack(_ECHO_4, question, _sum(_pack(_ECHO_4, question, 0)))


def build_6(question: Question) -> bytes:
    """The question of ICMPv6, whose checksum the kernel fills in, with the addresses."""
    return _pack(_ECHO_6, question, 0)


def answers_4(packet: bytes, question: Question, source: bytes) -> bool:
    """Whether a packet, with its IPv4 header, is the answer from an address (4 bytes)."""
    size = 4 * (packet[0] & 0x0F) if packet else 0
    if size < _SIZE_4 or len(packet) < size or packet[0] >> 4 != 4:
        return False
    if packet[_PROTOCOL_AT] != _IPPROTO_ICMP:
        return False
    return (packet[_SOURCE_AT:_SOURCE_AT + 4] == source
            and _answers(packet[size:], ECHO_REPLY_4, question))


def answers_6(message: bytes, question: Question) -> bool:
    """Whether a message, which comes without a header, is the answer."""
    return _answers(message, ECHO_REPLY_6, question)


def _pack(kind: int, question: Question, checksum: int) -> bytes:
    return _HEADER.pack(kind, 0, checksum, question.identity, question.number) + question.data


def _answers(message: bytes, wanted: int, question: Question) -> bool:
    if len(message) < _HEADER.size:
        return False
    kind, code, _, identity, number = _HEADER.unpack_from(message)
    return (kind, code) == (wanted, 0) and question == Question(
        identity, number, message[_HEADER.size:])


def _sum(message: bytes) -> int:
    """The checksum of RFC 1071."""
    padded = message + bytes(len(message) % 2)
    total = sum(int.from_bytes(padded[at:at + 2], "big") for at in range(0, len(padded), 2))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return ~total & 0xFFFF
