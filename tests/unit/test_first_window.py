# SPDX-License-Identifier: GPL-2.0-or-later
"""How much a peer may send first by a table's default, out of what the kernel tells of routes."""

from __future__ import annotations

from socket import AF_INET, AF_INET6, inet_pton
from struct import pack

import pytest

from mptcp_hooks.machine import first_window
from mptcp_hooks.machine.first_window import read_first_window
from mptcp_hooks.machine.netlink import ROUTE, make_attribute

_RTA_DST, _RTA_PRIORITY, _RTA_METRICS, _RTAX_MTU, _RTAX_INITRWND = 1, 6, 8, 2, 14
UNREACHABLE = 7


def route(family: int, *attributes: bytes, length: int = 0, kind: int = 1) -> bytes:
    return ROUTE.pack(family, length, 0, 0, 0, 77, 0, kind, 0) + b"".join(attributes)


def metrics(**values: int) -> bytes:
    types = {"mtu": _RTAX_MTU, "initrwnd": _RTAX_INITRWND}
    return make_attribute(_RTA_METRICS, b"".join(
        make_attribute(types[name], pack("=I", value)) for name, value in values.items()))


@pytest.mark.parametrize("family", [4, 6])
@pytest.mark.parametrize(("said", "window"), [
    ((), 0), ((metrics(mtu=1400),), 0), ((metrics(initrwnd=1),), 1),
    ((metrics(mtu=1400, initrwnd=20),), 20), ((make_attribute(_RTA_METRICS, b"\1"),), 0)])
def test_the_default_says_it(
    monkeypatch: pytest.MonkeyPatch, family: int, said: tuple[bytes, ...], window: int
) -> None:
    number, subnet = (AF_INET, "10.1.2.0") if family == 4 else (AF_INET6, "fd00:2::")
    last = make_attribute(_RTA_PRIORITY, pack("=I", 0xFFFFFFFF))
    monkeypatch.setattr(first_window, "dump_routes", lambda family, table: [
        route(number, make_attribute(_RTA_DST, inet_pton(number, subnet)), metrics(initrwnd=7),
              length=24),
        route(number, *said), route(number, last, kind=UNREACHABLE)])
    assert read_first_window(family, 20003) == window


def test_a_table_without_a_default_does_not(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(first_window, "dump_routes", lambda family, table: [])
    assert read_first_window(4, 20003) == 0
