# SPDX-License-Identifier: GPL-2.0-or-later
"""What devices and connections carried, read out of /proc/net/dev and sock_diag's messages."""

from __future__ import annotations

import struct
from socket import AF_INET, AF_INET6, inet_pton

import pytest
from hypothesis import given
from hypothesis import strategies as some

from mptcp_hooks.machine import traffic
from mptcp_hooks.machine.traffic import Flow, Traffic, parse_flow, parse_traffic, read_flows
from tests.unit.netlink_messages import FakeSockets, ask_for_tcp, make_attributes

TEXT = """\
Inter-|   Receive                                                |  Transmit
 face |bytes    packets errs drop fifo frame compressed multicast|bytes    packets errs drop \
fifo colls carrier compressed
    lo:    1120      14    0    0    0     0          0         0     1120      14    0    0    \
0     0       0          0
  eth0: 5000000000 4000000    0    0    0     0          0         0 70000000  900000    0    0\
    0     0       0          0
wlan0:1:  10 1 0 0 0 0 0 0 20 1 0 0 0 0 0 0
"""
TCP_ESTABLISHED = 1
OWN = frozenset(("10.1.1.2", "fd00:1::2"))


def make_info(size: int = 248) -> bytes:
    """struct tcp_info with what is read of it."""
    info = bytearray(size)
    for at, form, value in ((68, "=I", 20_000), (120, "=Q", 1_000_000), (128, "=Q", 2_000_000),
                            (168, "=Q", 3_500_000)):
        if at + struct.calcsize(form) <= size:
            struct.pack_into(form, info, at, value)
    return bytes(info)


def make_answer(local: str = "10.1.1.2", remote: str = "198.51.100.7", size: int = 248,
                token: int = 0) -> bytes:
    """struct inet_diag_msg of a socket, its info, and what MPTCP says of it."""
    family = AF_INET6 if ":" in local else AF_INET
    ends = b"".join(inet_pton(family, one).ljust(16, b"\0") for one in (local, remote))
    header = struct.pack("=BBBB", family, 1, 0, 0) + struct.pack("!HH", 4000, 443) + ends
    header += bytes(72 - len(header))
    upper = make_attributes((1, b"mptcp\0"), (3, make_attributes((2, struct.pack("=I", token)))))
    return header + make_attributes((2, make_info(size)), *[(19, upper)] * bool(token))


def test_devices_have_what_they_sent_and_received() -> None:
    assert parse_traffic(TEXT) == {
        "lo": Traffic(1120, 1120), "eth0": Traffic(70_000_000, 5_000_000_000),
        "wlan0:1": Traffic(20, 10)}


@pytest.mark.parametrize("text", ["", "eth0:", "eth0: 1 2 3", "eth0: " + "x " * 16,
                                  "eth0: " + "9" * 5000 + " 0" * 15])
def test_what_makes_no_sense_is_no_device(text: str) -> None:
    assert parse_traffic(text) == {}


@given(some.text())
def test_no_text_is_an_error(text: str) -> None:
    parse_traffic(text)


@pytest.mark.parametrize(("local", "remote"), [
    ("10.1.1.2", "198.51.100.7"), ("fd00:1::2", "2001:db8::7")])
@pytest.mark.parametrize("token", [0, 77])
def test_a_connection_of_an_uplink(local: str, remote: str, token: int) -> None:
    assert parse_flow(make_answer(local, remote, token=token), OWN) == Flow(
        local, 4000, 443, token, 1_000_000, 2_000_000, 3.5, 0.02)


@pytest.mark.parametrize("answer", [
    make_answer("10.9.9.9"), make_answer(remote="10.1.1.2"), make_answer(remote="127.0.0.1"),
    # A kernel whose struct ends before what is read.
    make_answer(size=168), b"", make_answer()[:60]])
def test_what_is_of_no_uplink_or_tells_too_little_is_none(answer: bytes) -> None:
    assert parse_flow(answer, OWN) is None


@given(some.binary(max_size=400))
def test_noise_is_no_error(noise: bytes) -> None:
    parse_flow(noise, OWN)
    parse_flow(make_answer()[:72] + noise, OWN)


def test_both_families_are_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    kernel = FakeSockets(make_answer("10.1.1.2", "198.51.100.7"),
                         make_answer("fd00:1::2", "2001:db8::7"))
    monkeypatch.setattr(traffic, "Conversation", kernel)
    assert [flow.local for flow in read_flows(OWN)] == ["10.1.1.2", "fd00:1::2"]
    assert kernel.requests == [ask_for_tcp(1 << TCP_ESTABLISHED)]
