# SPDX-License-Identifier: GPL-2.0-or-later
"""Netlink by hand: messages as the kernel sends them (rtnetlink(7)), and who answers for it."""

from __future__ import annotations

import struct


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
