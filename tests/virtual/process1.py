# SPDX-License-Identifier: GPL-2.0-or-later
"""Process 1 of a VM that boots: what has it start the agent, and how it is asked."""

from __future__ import annotations

from typing import NamedTuple

AGENT = "/root/agent.py"
_UNIT = f"""\
[Unit]
Description=Commands from outside
After=network-online.target networking.service

[Service]
ExecStart=/usr/bin/python3 {AGENT}
Restart=always

[Install]
WantedBy=multi-user.target
"""
# The agent answers once all of a runlevel's scripts have ended.
_INITTAB = f"""\
id:2:initdefault:
si::sysinit:/etc/init.d/rcS
l0:0:wait:/etc/init.d/rc 0
l2:2:wait:/etc/init.d/rc 2
l6:6:wait:/etc/init.d/rc 6
ag:2:respawn:/usr/bin/python3 {AGENT}
"""
_WARNINGS = "/var/log/warnings"


class Init(NamedTuple):
    """A process 1; all but its files are commands of a shell.

    `files` are to be on the disk, by their paths; `enable` is run in its root before the boot.
    `state` prints `running` once all has started, or what failed; `service` succeeds where ours
    runs; `warnings` prints what programs have warned of under the names of ours.
    """

    files: dict[str, str]
    enable: str
    state: str
    reboot: str
    service: str
    warnings: str


SYSTEMD = Init(
    # So that the journal outlives a shutdown.
    {"/etc/systemd/system/agent.service": _UNIT, "/var/log/journal/kept": ""},
    "systemctl enable agent.service",
    "systemctl is-system-running --wait || systemctl --failed --no-legend",
    # What is asked while it goes down is lost.
    "systemd-run --on-active=1 systemctl reboot",
    "systemctl is-active mptcp-hooks",
    "journalctl --quiet -o cat -p warning "
    "-t mptcp_up -t mptcp_down -t mptcp_monitor -t mptcp_check")
SYSVINIT = Init(
    {"/etc/inittab": _INITTAB, "/etc/syslog.conf": f"*.warning {_WARNINGS}\n", _WARNINGS: ""},
    "",
    "runlevel | grep -q '^. 2$' && echo running",
    "(sleep 1; shutdown -r now) </dev/null >/dev/null 2>&1 &",
    "service mptcp-hooks status",
    f"grep mptcp_ {_WARNINGS} || :")


def find_init(boot: str) -> Init:
    """The process 1 of a machine of this name, as the Makefile's test-boot lists them."""
    return SYSVINIT if boot.endswith("-sysvinit") else SYSTEMD
