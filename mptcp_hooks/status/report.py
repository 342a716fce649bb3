# SPDX-License-Identifier: GPL-2.0-or-later
"""mptcp_status --report: all that a bug report needs of this machine, as one text.

What the answer has of addresses is for placeholders.py. Of people's files it takes what is
about networks alone: the other lines of /etc/network/interfaces may have a secret.
"""

from __future__ import annotations

import json
import os
import re
from time import gmtime, strftime

from mptcp_hooks import __version__
from mptcp_hooks.base.address import network
from mptcp_hooks.base.errors import Problem
from mptcp_hooks.base.folder import CONFIGURATION, OWN, RECORD
from mptcp_hooks.base.report import make_printable
from mptcp_hooks.base.value import TYPE_CHECKING, NamedTuple
from mptcp_hooks.machine.counters import COUNTERS, read_counters
from mptcp_hooks.status.paint import Paint
from mptcp_hooks.status.placeholders import Placeholders

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from mptcp_hooks.status.looks import PathsLook
    from mptcp_hooks.status.questions import AskedMachine
    from mptcp_hooks.status.survey import Survey

# Managers, DHCP clients, and what else may have a part in it.
_PACKAGES = ("mptcp-hooks", "mptcpd", "mptcpize", "ifupdown", "ifupdown2", "ifupdown-ng",
             "iproute2", "network-manager", "dhcpcd", "dhcpcd-base", "isc-dhcp-client", "ppp",
             "systemd", "wireguard-tools", "openvpn", "python3", "python3-jinja2",
             "python3-netifaces")
_UNITS = ("mptcp-hooks", "mptcp-hooks-check")
_HOOKS = ("mptcp_up", "mptcp_down", "mptcp_lease", "mptcp-hooks")
_COMMANDS = (
    ("uname", "-srvm"),
    ("ip", "-V"),
    ("ip", "-s", "-d", "address"),
    ("ip", "-4", "rule"),
    ("ip", "-6", "rule"),
    ("ip", "-4", "route", "show", "table", "all"),
    ("ip", "-6", "route", "show", "table", "all"),
    ("ip", "mptcp", "endpoint"),
    ("ip", "mptcp", "limits"),
    ("sysctl", "net.mptcp"),
    ("systemctl", "is-active", *_UNITS),
    ("journalctl", "--no-pager", "--no-hostname", "-o", "short-iso", "-n", "1000",
     *(f"--unit={unit}" for unit in _UNITS)),
    ("journalctl", "--no-pager", "--no-hostname", "-o", "short-iso", "-n", "200",
     *(f"--identifier={name}" for name in _HOOKS)),
)
_INTERFACES = "/etc/network/interfaces"
# The options of interfaces(5) whose values are shown: none of them has a secret.
_SHOWN = re.compile(r"auto|allow-\S+|no-auto-down|no-scripts|source|source-directory|iface|inherits"
                    r"|mapping|script|address|netmask|gateway|pointopoint|metric|peer|accept_ra"
                    r"|autoconf|dhcp|request_prefix|hwaddress|mtu|mptcp-\S+|dns-nameservers"
                    r"|(bond|bridge|vlan)[-_]\S+")
_LINES_AT_MOST = 3000
_TITLE = "=== {} ==="


class Section(NamedTuple):
    """A part of the report: what was asked, and the lines of the answer."""

    title: str
    lines: tuple[str, ...]


def write_report(
    machine: AskedMachine, take_look: Callable[[], PathsLook], with_addresses: bool
) -> Iterator[str]:
    """The lines of the report, of ASCII alone; that the look fails is a part of it."""
    look: PathsLook | Problem
    try:
        look = take_look()
        subnets = _list_subnets(look.survey)
    except Problem as problem:
        look, subnets = problem, []
    placeholders = None if with_addresses else Placeholders(subnets)
    yield from _introduce(machine, with_addresses)
    for section in _list_sections(machine, look):
        # A file may be called as a device, and that as its link address.
        title, *lines = (make_printable(placeholders.replace(line) if placeholders else line)
                         for line in (section.title, *(_cut(section.lines) or ("(nothing)",))))
        yield from ("", _TITLE.format(title), *lines)


def _introduce(machine: AskedMachine, with_addresses: bool) -> Iterator[str]:
    moment = strftime("%Y-%m-%d %H:%M:%S", gmtime(machine.read_clock()))
    yield f"mptcp-hooks {__version__}: a report of this machine, {moment} UTC"
    yield ("Addresses are as they are." if with_addresses else
           "Addresses are placeholders, the same one for the same address.")
    yield ("Names of devices and what people wrote into settings stand here as they are: read it "
           "before you hand it on.")


def _list_sections(machine: AskedMachine, look: PathsLook | Problem) -> Iterator[Section]:
    yield Section("versions", tuple(_list_versions(machine)))
    yield from _show_look(look)
    yield from (Section(" ".join(command), _ask(machine, *command)) for command in _COMMANDS)
    counters = read_counters(machine.read_file(COUNTERS))
    yield Section("MPTCP counters", tuple(
        f"{name} {value}" for name, value in counters.items() if value))
    for path in (*_list_files(RECORD), *_list_files(OWN), *_list_files(f"{OWN}/{CONFIGURATION}.d")):
        yield Section(path, tuple(machine.read_file(path).splitlines()))
    for path in (_INTERFACES, *_list_files(f"{_INTERFACES}.d")):
        yield Section(path, tuple(withhold(machine.read_file(path).splitlines())))


def _show_look(look: PathsLook | Problem) -> Iterator[Section]:
    if isinstance(look, Problem):
        yield Section("mptcp_status", (f"({look})",))
    else:
        yield Section("mptcp_status", tuple(look.draw(Paint(False))))
        yield Section("mptcp_status --json",
                      tuple(json.dumps(look.describe(), indent=1).splitlines()))


def _list_versions(machine: AskedMachine) -> Iterator[str]:
    release = machine.read_file("/etc/os-release").splitlines()
    yield from (line for line in release if line.startswith("PRETTY_NAME="))
    # It fails where one of them is not there; then stderr has those, and stdout the others.
    told = _ask(machine, "dpkg-query", "-W", "-f", "${Package} ${Version}\n", *_PACKAGES)
    yield from (line for line in told if line.partition(" ")[0] in _PACKAGES)


def _ask(machine: AskedMachine, program: str, *arguments: str) -> tuple[str, ...]:
    """What a program says, and how it ended where it failed."""
    try:
        outcome = machine.run(program, *arguments)
    except Problem as problem:
        return (f"({problem})",)
    failed = (f"(status {outcome.status})",) * (outcome.status != 0)
    return (*outcome.output.splitlines(), *outcome.errors.splitlines(), *failed)


def _list_files(folder: str) -> list[str]:
    """The files in a folder, none where it is not there or not ours to read."""
    try:
        found = sorted(os.scandir(folder), key=lambda one: one.name)
    except OSError:
        return []
    return [one.path for one in found if one.is_file(follow_symlinks=False)
            and not one.name.startswith(".")]


def withhold(lines: Iterable[str]) -> Iterator[str]:
    """The lines of interfaces(5), of what may have a secret the option alone."""
    goes_on = False
    for line in lines:
        option = "".join(line.split(None, 1)[:1])
        shown = not option or _SHOWN.fullmatch(option) is not None
        if goes_on or not shown:
            name = "" if goes_on else "# " if option[0] == "#" else f"{option} "
            yield line[:len(line) - len(line.lstrip())] + f"{name}..."
        else:
            yield line
        goes_on = line.endswith("\\") and (goes_on or not shown)


def _cut(lines: tuple[str, ...]) -> tuple[str, ...]:
    """As many lines as somebody reads, the last ones: a journal's are the ones that matter."""
    more = len(lines) - _LINES_AT_MOST
    return lines if more <= 0 else (f"({more} lines before these)", *lines[-_LINES_AT_MOST:])


def _list_subnets(survey: Survey) -> list[str]:
    return [network(own.address, own.length) for device in survey.devices
            for own in device.addresses if own.usable]
