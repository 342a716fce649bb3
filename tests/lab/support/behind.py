# SPDX-License-Identifier: GPL-2.0-or-later
"""Hosts behind the lab's client, on bridges of it: a container, a host of a LAN, a guest."""

from __future__ import annotations

import sys
from pathlib import Path

from tests.lab.support.lab import Host, Lab

_CALLS = str(Path(__file__).with_name("calls.py"))


class Behind(Host):
    """A host on a bridge of the client's, which forwards for it; both addresses have a length."""

    def __init__(self, lab: Lab, bridge: str, gateway: str, address: str) -> None:
        super().__init__(lab.scratch / bridge)
        self.address = address.partition("/")[0]
        lab.client.ip(f"link add {bridge} type bridge",
                      f"link add {bridge}p type veth peer name eth0 netns {self.pid}",
                      f"link set {bridge}p master {bridge} up")
        # Neither end waits a second until it may ask for the other.
        lab.client.run("sysctl", "-qw", f"net.ipv6.conf.{bridge}.accept_dad=0")
        self.run("sysctl", "-qw", "net.ipv6.conf.eth0.accept_dad=0")
        lab.client.ip(f"link set {bridge} up")
        self.ip("link set eth0 up")
        self.join(lab, bridge, gateway, address)
        lab.client.run("sysctl", "-qw", "net.ipv4.ip_forward=1", "net.ipv6.conf.all.forwarding=1")

    def join(self, lab: Lab, bridge: str, gateway: str, address: str) -> None:
        """Have one more address each, and a way by it."""
        option, onlink = ("-6 ", " nodad") if ":" in address else ("", "")
        lab.client.ip(f"{option}addr add {gateway} dev {bridge}{onlink}")
        self.ip(f"{option}addr add {address} dev eth0{onlink}",
                f"{option}route add default via {gateway.partition('/')[0]}")


def begin_answering(host: Host, port: int) -> None:
    """Have a host tell whoever calls it which address that is."""
    answering = host.start(sys.executable, _CALLS, "answer", str(port))
    assert answering.stdout is not None
    assert answering.stdout.readline() == "ready\n", answering.communicate()


def call(host: Host, address: str, port: int, source: str = "") -> str:
    """What one says whom a host calls, '' where nothing comes back."""
    return host.run(sys.executable, _CALLS, "call", address, str(port),
                    *[source] * bool(source)).strip()
