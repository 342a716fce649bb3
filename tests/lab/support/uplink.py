# SPDX-License-Identifier: GPL-2.0-or-later
"""One uplink of the lab's client by its hooks alone: eth1, the environment, up and down."""

from __future__ import annotations

from tests.lab.support.lab import Lab

ETH1 = {
    "IFACE": "eth1", "LOGICAL": "eth1", "ADDRFAM": "inet", "METHOD": "static", "MODE": "start",
    "PHASE": "post-up", "VERBOSITY": "0", "IF_ADDRESS": "10.1.2.2", "IF_NETMASK": "24",
    "IF_GATEWAY": "10.1.2.1",
}
LEAVE = {"IFACE": "eth1", "ADDRFAM": "inet", "METHOD": "static", "MODE": "stop"}


def up(lab: Lab, **changes: str) -> str:
    done = lab.run_hook("if-up.d", ETH1 | changes)
    assert done.returncode == 0
    return done.stderr


def down(lab: Lab) -> str:
    said = ""
    for folder in ("if-down.d", "if-post-down.d"):
        done = lab.run_hook(folder, LEAVE)
        assert done.returncode == 0
        said += done.stderr
    return said
