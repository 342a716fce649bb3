# SPDX-License-Identifier: GPL-2.0-or-later
"""Hosts of the lab that stay when what made them is over: how to enter and to remove them."""

from __future__ import annotations

import os
import shlex
import sys
from collections.abc import Iterable
from pathlib import Path

from tests.lab.support.booted import find_group, remove_group
from tests.lab.support.lab import Host, end_process, find_processes, network_of


class NoHost(Exception):
    """A process that holds no host of the lab."""


def describe_kept(hosts: Iterable[tuple[str, Host]]) -> str:
    """The command that enters each host, and the one that removes them all."""
    named = list(hosts)
    lines = [f"{name + ':':9}{shlex.join(host.entrance)}" for name, host in named]
    remove = [sys.executable, "-m", "tests.lab.hosts", "remove",
              *(str(host.pid) for _, host in named)]
    return "\n".join([*lines, f"{'remove:':9}{shlex.join(remove)}"])


def remove_host(pid: int) -> None:
    """End all that runs on a host, which is named by the process that holds it, or NoHost."""
    network = network_of(pid)
    if network in ("", network_of(os.getpid())) or _name_parent(pid) != "unshare":
        raise NoHost(f"{pid} holds no host of the lab")
    group = find_group(pid)
    while running := find_processes(network):
        for each in running:
            end_process(each)
    if group is not None:
        remove_group(group)


def _name_parent(pid: int) -> str:
    """The name of the program that a process was started by."""
    stat = Path(f"/proc/{pid}/stat").read_text()
    parent = stat.rpartition(") ")[2].split()[1]
    return Path(f"/proc/{parent}/comm").read_text().strip()
