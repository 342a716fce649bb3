# SPDX-License-Identifier: GPL-2.0-or-later
"""ICMP echo: the bytes that are sent, and which of those that come are an answer."""

from __future__ import annotations

import struct
from socket import inet_aton

import pytest
from hypothesis import given
from hypothesis import strategies as some

from mptcp_hooks.checker.packets import Question, answers_4, answers_6, build_4, build_6

QUESTION = Question(0x1234, 7, b"0123456789abcdef")
ROUTER = inet_aton("192.0.2.1")


def make_header(source: bytes = ROUTER, protocol: int = 1, options: bytes = b"") -> bytes:
    """An IPv4 header, whose checksum nobody looks at."""
    return struct.pack("!BBHHHBBH4s4s", 0x40 | (20 + len(options)) // 4, 0, 0, 0, 0, 64, protocol,
                       0, source, inet_aton("192.0.2.2")) + options


def reply_4(question: Question = QUESTION, kind: int = 0, code: int = 0) -> bytes:
    return struct.pack("!BBHHH", kind, code, 0, question.identity, question.number) + question.data


def reply_6(question: Question = QUESTION) -> bytes:
    return reply_4(question, 129)


def add_up(message: bytes) -> int:
    """The sum of RFC 1071, which is all ones over a message with its checksum."""
    total: int = sum(struct.unpack(f"!{len(message) // 2}H", message))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return total


def test_a_question_of_icmp_has_its_checksum() -> None:
    sent = build_4(QUESTION)
    assert (sent[:2], sent[4:]) == (b"\x08\0", b"\x12\x34\0\x07" + QUESTION.data)
    assert add_up(sent) == 0xFFFF


@given(some.integers(0, 0xFFFF), some.integers(0, 0xFFFF), some.binary(max_size=40))
def test_every_checksum_is_right(identity: int, number: int, data: bytes) -> None:
    sent = build_4(Question(identity, number, data))
    assert add_up(sent + bytes(len(sent) % 2)) == 0xFFFF


def test_a_question_of_icmpv6_is_left_to_the_kernel() -> None:
    assert build_6(QUESTION) == b"\x80\0\0\0\x12\x34\0\x07" + QUESTION.data


def test_an_answer_is_one() -> None:
    assert answers_4(make_header() + reply_4(), QUESTION, ROUTER)
    assert answers_4(make_header(options=bytes(8)) + reply_4(), QUESTION, ROUTER)
    assert answers_6(reply_6(), QUESTION)


@pytest.mark.parametrize("other", [
    QUESTION._replace(identity=1), QUESTION._replace(number=8), QUESTION._replace(data=b""),
    QUESTION._replace(data=QUESTION.data + b"\0"), QUESTION._replace(data=b"0123456789abcdeF"),
])
def test_the_answer_to_another_question_is_none(other: Question) -> None:
    assert not answers_4(make_header() + reply_4(other), QUESTION, ROUTER)
    assert not answers_6(reply_6(other), QUESTION)


@pytest.mark.parametrize("packet", [
    make_header(inet_aton("192.0.2.9")) + reply_4(),
    make_header(protocol=17) + reply_4(),
    make_header() + reply_4(kind=8), make_header() + reply_4(kind=3),
    make_header() + reply_4(code=1), make_header() + reply_6(),
    b"\x65" + make_header()[1:] + reply_4(), b"\x44" + make_header()[1:] + reply_4(),
    b"\x4f" + make_header()[1:] + reply_4(), reply_4(), b"",
])
def test_what_else_comes_over_ipv4_is_none(packet: bytes) -> None:
    assert not answers_4(packet, QUESTION, ROUTER)


@pytest.mark.parametrize("message", [b"", reply_4(), reply_4(kind=128), reply_4(kind=129, code=1)])
def test_what_else_comes_over_ipv6_is_none(message: bytes) -> None:
    assert not answers_6(message, QUESTION)


def test_what_is_cut_off_is_none() -> None:
    whole = make_header() + reply_4()
    assert not any(answers_4(whole[:size], QUESTION, ROUTER) for size in range(len(whole)))
    assert not any(answers_6(reply_6()[:size], QUESTION) for size in range(len(reply_6())))


@given(some.binary(max_size=120))
def test_noise_is_no_answer(noise: bytes) -> None:
    assert not answers_4(noise, QUESTION, ROUTER)
    assert not answers_4(make_header() + noise, QUESTION, ROUTER)
    assert not answers_6(noise, QUESTION)
