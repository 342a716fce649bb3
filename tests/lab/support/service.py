# SPDX-License-Identifier: GPL-2.0-or-later
"""The package's services on a client that has booted, as systemd shows them."""

from __future__ import annotations

from tests.lab.support.booted import SYSTEMD, WITHOUT, BootedHost
from tests.lab.support.lab import TWO_UPLINKS, Lab
from tests.lab.support.making import MakeLab

SERVICE, CHECKER = "mptcp-hooks.service", "mptcp-hooks-check.service"


def boot(make_lab: MakeLab, installed: bool, routers: tuple[str, ...] = ()) -> Lab:
    """A lab whose client has booted, and has networking.service bring up two uplinks."""
    lab = make_lab(*SYSTEMD, without=WITHOUT, client=BootedHost, installed=installed,
                   routers=routers)
    lab.set_interfaces(TWO_UPLINKS)
    lab.client.run("systemctl", "restart", "networking")
    return lab


def show(lab: Lab, name: str, service: str = SERVICE) -> str:
    """A property of the service."""
    return lab.client.run("systemctl", "show", service, "--value", "--property", name).strip()


def ask(lab: Lab, verb: str, service: str = SERVICE) -> str:
    return lab.client.try_run("systemctl", verb, service).stdout.strip()
