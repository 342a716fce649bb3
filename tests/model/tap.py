# SPDX-License-Identifier: GPL-2.0-or-later
"""Sends datagrams, and sees where they come in. It runs inside the namespace, in the agent."""

from __future__ import annotations

import fcntl
import os
import socket
import struct
from collections.abc import Iterator
from contextlib import suppress

# packet(7), Documentation/networking/tuntap.rst.
_EVERY_PROTOCOL, _OUTGOING = 0x0003, 4
_TUNSETIFF, _TUN_WITHOUT_HEADER = 0x400454CA, 0x1001
# Discard's; a payload is a mark and a number, and is the end of its packet.
_PORT, _MARK = 9, b"model"
_PAYLOAD = struct.Struct(f"!{len(_MARK)}sQ")
_AT_MOST = 2048
# Room for all that comes in between two questions; and when the last datagram is lost for good.
_SO_RCVBUFFORCE, _ROOM, _PATIENCE = 33, 1 << 23, 10.0
_FAMILIES = {4: socket.AF_INET, 6: socket.AF_INET6}
# Where the source is in a header of each version.
_SOURCES = {4: slice(12, 16), 6: slice(8, 24)}


class Tap:
    """Sees the datagrams that come in at any device, and those at the far ends of tunnels.

    All pairs of devices are of one namespace, so what is sent by one processor comes in in the
    order in which it was sent: when the last one, to this host itself, is there, each other is
    there or never will be.
    """

    def __init__(self) -> None:
        self._socket = socket.socket(socket.AF_PACKET, socket.SOCK_DGRAM,
                                     socket.htons(_EVERY_PROTOCOL))
        self._socket.setsockopt(socket.SOL_SOCKET, _SO_RCVBUFFORCE, _ROOM)
        self._socket.settimeout(_PATIENCE)
        self._sent = 0
        self._tunnels: dict[str, int] = {}

    def open_tunnel(self, device: str) -> None:
        """Make a device that leads to one peer, whose far end is here."""
        if device not in self._tunnels:
            self._tunnels[device] = os.open("/dev/net/tun", os.O_RDWR | os.O_NONBLOCK)
            fcntl.ioctl(self._tunnels[device], _TUNSETIFF,
                        struct.pack("16sH22x", device.encode(), _TUN_WITHOUT_HEADER))

    def close_tunnel(self, device: str) -> None:
        """Let it die, and its addresses and routes with it."""
        if device in self._tunnels:
            os.close(self._tunnels.pop(device))

    def ask(self, questions: list[tuple[int, str, str, str]]) -> list[list[tuple[str, str]]]:
        """Send a datagram for each, and say at which devices it came in, and from what address.

        A question is the family, the address and the device that the socket is bound to, ''
        for none, and whom it is for.
        """
        processors = os.sched_getaffinity(0)
        os.sched_setaffinity(0, {min(processors)})
        first = self._sent
        for question in questions:
            self._send(*question)
        self._send(4, "", "", "127.0.0.1")
        os.sched_setaffinity(0, processors)
        found: list[list[tuple[str, str]]] = [[] for _ in questions]
        for number, device, source in self._receive():
            # What waited for a neighbour since an earlier question is no answer to these.
            if number >= first:
                found[number - first].append((device, source))
        return found

    def _send(self, family: int, source: str, device: str, target: str) -> None:
        """Send one over a socket that is connected; what finds no way comes in nowhere."""
        payload = _PAYLOAD.pack(_MARK, self._sent)
        self._sent += 1
        with socket.socket(_FAMILIES[family], socket.SOCK_DGRAM) as one, suppress(OSError):
            if device:
                one.setsockopt(socket.SOL_SOCKET, socket.SO_BINDTODEVICE, device.encode())
            if source:
                one.bind((source, 0))
            one.connect((target, _PORT))
            one.send(payload)

    def _receive(self) -> Iterator[tuple[int, str, str]]:
        """The number, the device and the source of each, up to the last one of all."""
        number = -1
        while number != self._sent - 1:
            packet, (device, _, way, *_) = self._socket.recvfrom(_AT_MOST)
            found = _read_datagram(packet) if way != _OUTGOING else None
            if found:
                number, source = found
                if device != "lo":
                    yield number, device, source
        for device, tunnel in self._tunnels.items():
            for found in filter(None, map(_read_datagram, _drain(tunnel))):
                yield found[0], device, found[1]


def _drain(tunnel: int) -> Iterator[bytes]:
    with suppress(BlockingIOError):
        while True:
            yield os.read(tunnel, _AT_MOST)


def _read_datagram(packet: bytes) -> tuple[int, str] | None:
    """The number and the source of a datagram of ours; None for any other packet."""
    if len(packet) < _PAYLOAD.size:
        return None
    mark, number = _PAYLOAD.unpack(packet[-_PAYLOAD.size:])
    version = packet[0] >> 4
    if mark != _MARK or version not in _FAMILIES:
        return None
    return number, socket.inet_ntop(_FAMILIES[version], packet[_SOURCES[version]])
