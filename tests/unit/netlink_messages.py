"""Messages as the kernel sends them over netlink, made by hand (netlink(7), rtnetlink(7))."""

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
