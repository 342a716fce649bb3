# SPDX-License-Identifier: GPL-2.0-or-later
"""Asks programs and /proc for what mptcp_status shows; changes nothing.

The hooks ask the kernel themselves (netlink.py) because `ip -j` costs more than all
else they do. A person can wait for it, and can ask the same to see whether it is so.
"""

from __future__ import annotations

import json
import os
from time import sleep, time

from mptcp_hooks.base.errors import Problem, shorten
from mptcp_hooks.base.folder import exists
from mptcp_hooks.base.model import Tunnel
from mptcp_hooks.base.spawn import Outcome, run_program
from mptcp_hooks.base.textfile import read_text
from mptcp_hooks.base.value import TYPE_CHECKING, NamedTuple
from mptcp_hooks.engine.checks import load_checks
from mptcp_hooks.engine.commands import OWN_TEMPLATES, can_lead
from mptcp_hooks.engine.counted import load_counted
from mptcp_hooks.engine.faults import CHECK_FAILED, Fault, load_faults
from mptcp_hooks.engine.names import can_name
from mptcp_hooks.engine.off import load_off
from mptcp_hooks.intent.configuration import read_configuration
from mptcp_hooks.intent.ifupdown import (
    ask_events,
    ask_ifquery,
    is_missing,
    list_complaints,
    list_up,
)
from mptcp_hooks.intent.stanza_lines import list_stanza_lines
from mptcp_hooks.machine.claim import is_claimed
from mptcp_hooks.machine.counters import is_mptcp_off
from mptcp_hooks.machine.netlink import read_path_manager
from mptcp_hooks.machine.subflows import read_subflows
from mptcp_hooks.machine.traffic import read_flows
from mptcp_hooks.machine.tunnels import find_tunnel
from mptcp_hooks.status.connections import SS_ARGUMENTS
from mptcp_hooks.status.survey import DETOURS, NAMES

if TYPE_CHECKING:
    from collections.abc import Container, Iterable
    from typing import Any

    from mptcp_hooks.base.model import Limits
    from mptcp_hooks.engine.counted import Counted
    from mptcp_hooks.engine.off import Off
    from mptcp_hooks.intent.event import Event
    from mptcp_hooks.intent.settings import Configuration
    from mptcp_hooks.intent.stanza_lines import StanzaLine
    from mptcp_hooks.machine.subflows import Subflow
    from mptcp_hooks.machine.traffic import Flow

# Of a machine with many routes or connections, in seconds.
_ANSWER_AT_MOST = 60.0
# Where systemd runs, sd_booted(3).
_SYSTEMD = "/run/systemd/system"
_FAMILIES = {4: "ipv4", 6: "ipv6"}
_KERNELS_WORDS = "RTNETLINK answers: "


class Answer(NamedTuple):
    """What a program said: its JSON rows, or in a few words why there are none."""

    rows: tuple[dict[str, Any], ...]
    refusal: str


class AskedMachine:
    """This machine, as programs and files tell of it."""

    def run(self, program: str, *arguments: str) -> Outcome:
        """How a program that only tells something ended, and what it said."""
        return run_program(program, arguments, at_most=_ANSWER_AT_MOST)

    def ask_ip(self, *arguments: str) -> Answer:
        """What `ip -j ARGUMENTS` says."""
        outcome = self.run("ip", "-j", *arguments)
        if outcome.status != 0:
            words = outcome.errors.strip().splitlines() or [f"status {outcome.status}"]
            return Answer((), shorten(
                words[-1].removeprefix(_KERNELS_WORDS).removeprefix("Error: ")))
        rows = _parse_rows(outcome.output)
        return Answer((), "its answer makes no sense") if rows is None else Answer(rows, "")

    def insist_ip(self, *arguments: str) -> tuple[dict[str, Any], ...]:
        """The rows of `ip -j ARGUMENTS`; Problem where it has none to show for a reason."""
        answer = self.ask_ip(*arguments)
        if answer.refusal:
            raise Problem(f"'ip {' '.join(arguments)}' failed: {answer.refusal}")
        return answer.rows

    def ask_ss(self) -> str:
        """All TCP and MPTCP sockets, as ss(8) prints them: it knows no JSON."""
        outcome = self.run("ss", *SS_ARGUMENTS)
        if outcome.status != 0:
            raise Problem(f"ss failed: {outcome.errors.strip() or f'status {outcome.status}'}")
        return outcome.output

    def read_file(self, path: str) -> str:
        """The text of a small file, '' where there is none that we may read."""
        return read_text(path)

    def read_limits(self) -> Limits | None:
        """The path manager's limits, which `ip -j` does not print; None without MPTCP."""
        return read_path_manager().limits

    def read_subflows(self) -> list[Subflow]:
        """The subflows of running connections, which only root sees."""
        return read_subflows() if os.geteuid() == 0 else []

    def read_flows(self, addresses: frozenset[str]) -> list[Flow]:
        """The TCP connections and subflows of these own addresses; none where none are shown."""
        try:
            return read_flows(addresses)
        except Problem:
            return []

    def list_faults(self) -> tuple[Fault, ...]:
        """Why paths are out, as mptcp_monitor noted, and mptcp_check of those it asks for."""
        seen = [one for one in load_faults() if one.why != CHECK_FAILED]
        return (*seen, *(Fault(one.address, CHECK_FAILED, one.since)
                         for one in load_checks() if one.failed))

    def list_lacks(self) -> tuple[str, ...]:
        """What somebody's own templates have no lines for; of what is wrong nothing is said."""
        if not any(exists(OWN_TEMPLATES, name) for name in ("up.j2", "down.j2")):
            return ()
        try:
            return (DETOURS,) * (not can_lead(4, 1)) + (NAMES,) * (not can_name())
        except Problem:
            # 'mptcp_up --check' says it.
            return ()

    def list_forwarded(self) -> tuple[int, ...]:
        """The families of which this machine forwards packets."""
        return tuple(family for family, word in _FAMILIES.items() if self.read_file(
            f"/proc/sys/net/{word}/conf/all/forwarding").strip() not in ("", "0"))

    def ask_ruleset(self) -> tuple[dict[str, Any], ...]:
        """The objects of the firewall's ruleset, none where nft is not there or shows nothing."""
        try:
            outcome = self.run("nft", "-j", "list", "ruleset")
        except Problem:
            return ()
        rows = _parse_rows(f"[{outcome.output or '{}'}]") if outcome.status == 0 else None
        return tuple(rows[0].get("nftables", ())) if rows else ()

    def counts_marks(self, device: str) -> bool:
        """Whether rp_filter looks at marks on a device, which it does not unless it is told to."""
        return any(self.read_file(f"/proc/sys/net/ipv4/conf/{scope}/src_valid_mark").strip() == "1"
                   for scope in ("all", device))

    def find_tunnels(
        self, families: Iterable[int], uplinks: Container[int]
    ) -> tuple[Tunnel, ...]:
        """By which tunnel new connections of each family leave; none of the uplinks is one."""
        found = ((family, find_tunnel(family, uplinks)) for family in families)
        return tuple(Tunnel(family, device) for family, device in found if device)

    def find_off(self) -> tuple[bool, Off | None]:
        """Whether the kernel makes new connections plain TCP, and since when, if it was noted."""
        return is_mptcp_off(), load_off()

    def read_clock(self) -> float:
        """Seconds of the epoch."""
        return time()

    def pause(self, seconds: float) -> None:
        """Let the machine go on for a moment."""
        sleep(seconds)

    def list_running(self, names: Iterable[str]) -> list[str]:
        """Which of these programs run in this network; the kernel knows 15 characters of a name."""
        numbers = [name for name in os.listdir("/proc") if name.isdigit()]
        found = {(self.read_file(f"/proc/{number}/comm").strip(), number) for number in numbers}
        asked = tuple(names)
        running = {name for name, number in found if name in asked and _is_near(number)}
        return [name for name in asked if name in running]

    def read_configuration(self) -> tuple[Configuration, list[Problem]]:
        """What mptcp-hooks.conf says, and what is wrong with it."""
        return read_configuration()

    def ask_stanzas(self, iface: str) -> list[Event]:
        """What ifupdown's file says of an interface: at least that there is one."""
        return ask_events(iface)

    def ask_environments(self, iface: str) -> list[dict[str, str]]:
        """What ifupdown's file says of an interface, as its hooks would have it; else nothing."""
        return ask_ifquery(iface)

    def list_stanza_lines(self) -> list[StanzaLine]:
        """The lines of all stanzas."""
        return list_stanza_lines()

    def list_up(self) -> list[str]:
        """The interfaces that ifupdown has up."""
        return list_up()

    def list_complaints(self) -> list[str]:
        """What is wrong with ifupdown's files, if they are there."""
        return [line for line in list_complaints() if not is_missing(line)]

    def ask_what_ifup_said(self, iface: str) -> str:
        """The line before that by which ifup gave up on an interface, where a journal has it."""
        if not os.path.isdir(_SYSTEMD):
            return ""
        outcome = self.run("journalctl", "--boot", "--quiet", "--no-pager", "--output=cat",
                           "--identifier=ifup", "--lines=1000")
        lines = outcome.output.splitlines()
        ends = [number for number, line in enumerate(lines)
                if line == f"ifup: failed to bring up {iface}"]
        return shorten(lines[ends[-1] - 1]) if ends and ends[-1] else ""

    def is_monitored(self) -> bool:
        """Whether mptcp_monitor runs."""
        return is_claimed()

    def load_earlier(self) -> Counted | None:
        """What the kernel had counted some time ago; None where nobody noted it."""
        return load_counted()


def _parse_rows(output: str) -> tuple[dict[str, Any], ...] | None:
    """The rows that `ip -j` printed, None where it printed anything else.

    It prints an empty object for what it leaves out, nothing for nothing, and names with the
    control characters that they have.
    """
    try:
        rows = json.loads(output or "[]", strict=False)
    except (ValueError, RecursionError):
        return None
    if not isinstance(rows, list) or not all(isinstance(row, dict) for row in rows):
        return None
    return tuple(row for row in rows if row)


def _is_near(pid: str) -> bool:
    """Whether a process is in this network namespace; one that went meanwhile is not.

    /proc/PID/ns/net is shown to its owner alone (ptrace(2)), /proc/PID/net to everybody: the
    kernel numbers its files by namespace (fs/proc/proc_net.c).
    """
    try:
        return os.path.samestat(os.stat(f"/proc/{pid}/net/dev"), os.stat("/proc/self/net/dev"))
    except OSError:
        return False
