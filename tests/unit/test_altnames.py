# SPDX-License-Identifier: GPL-2.0-or-later
"""The names of devices, out of the kernel's messages."""

from __future__ import annotations

import pytest

from mptcp_hooks.machine import altnames
from mptcp_hooks.machine.altnames import list_altnames
from tests.unit.netlink_messages import make_attributes

NESTED = 1 << 15
IFNAME, PROP_LIST, ALT_IFNAME = 3, 52, 53


def make_link(*names: str) -> bytes:
    further = make_attributes(*((ALT_IFNAME, name.encode() + b"\0") for name in names[1:]))
    properties = ((PROP_LIST | NESTED, further),) if further else ()
    return bytes(16) + make_attributes((IFNAME, names[0].encode() + b"\0"), *properties)


class Kernel:
    """It has these links."""

    def __init__(self, *links: bytes) -> None:
        self._links = list(links)

    def __call__(self, protocol: int) -> Kernel:
        return self

    def __enter__(self) -> Kernel:
        return self

    def __exit__(self, *raised: object) -> None:
        """Nothing is open."""

    def ask(self, kind: int, request: bytes, flags: int) -> list[bytes]:
        return self._links


@pytest.mark.parametrize("links, names", [
    ((), ()), ((("lo",), ("eth0",)), ()),
    ((("lo",), ("eth0", "enp3s0", "enx001122334455"), ("eth1", "wan")),
     (("eth0", "enp3s0", "enx001122334455"), ("eth1", "wan"))),
])
def test_devices_that_have_more_than_one_name(
    monkeypatch: pytest.MonkeyPatch, links: tuple[tuple[str, ...], ...],
    names: tuple[tuple[str, ...], ...]
) -> None:
    monkeypatch.setattr(altnames, "Conversation", Kernel(*(make_link(*one) for one in links)))
    assert list_altnames() == names


def test_a_message_that_is_cut_off_names_nobody(monkeypatch: pytest.MonkeyPatch) -> None:
    whole = make_link("eth0", "enp3s0")
    for length in range(len(whole) - 12):
        monkeypatch.setattr(altnames, "Conversation", Kernel(whole[:length]))
        assert list_altnames() == ()
