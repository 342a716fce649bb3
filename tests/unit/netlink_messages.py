# SPDX-License-Identifier: GPL-2.0-or-later
"""Netlink by hand: messages as the kernel sends them (rtnetlink(7)), and who answers for it."""

from __future__ import annotations

import struct

from mptcp_hooks.machine.netlink import Refused


def make_message(kind: int, payload: bytes) -> bytes:
    """One message with its header, padded to the next."""
    header = struct.pack("=IHHII", 16 + len(payload), kind, 0, 0, 0)
    return header + payload + bytes(-len(payload) % 4)


def make_attributes(*attributes: tuple[int, bytes]) -> bytes:
    """Attributes by their kinds, each padded to the next."""
    return b"".join(struct.pack("=HH", 4 + len(value), kind) + value + bytes(-len(value) % 4)
                    for kind, value in attributes)


class FakeConversation:
    """Stands in for netlink's Conversation with a protocol; who derives from it answers."""

    def __init__(self, protocol: int) -> None:
        self._protocol = protocol

    def __call__(self, protocol: int) -> FakeConversation:
        assert protocol == self._protocol
        return self

    def __enter__(self) -> FakeConversation:
        return self

    def __exit__(self, *raised: object) -> None:
        """As the real one, which closes its socket."""


class FakeSockets(FakeConversation):
    """Answers for sock_diag(7), or refuses with this number; it was asked `requests`."""

    def __init__(self, *answers: bytes, refusal: int = 0) -> None:
        super().__init__(protocol=4)
        self._answers = answers
        self._refusal = refusal
        self.requests: list[tuple[int, bytes, int]] = []

    def ask(self, kind: int, request: bytes, flags: int) -> list[bytes]:
        self.requests.append((kind, request, flags))
        if self._refusal:
            raise Refused(self._refusal)
        return list(self._answers)


def ask_for_tcp(states: int) -> tuple[int, bytes, int]:
    """The question for TCP sockets of both families in these states, with struct tcp_info.

    TCPDIAG_GETSOCK with a struct inet_diag_req, and NLM_F_DUMP.
    """
    return 18, struct.pack("=BBBB48xII", 0, 0, 0, 1 << 2 - 1, states, 0), 0x300
