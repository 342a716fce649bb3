# SPDX-License-Identifier: GPL-2.0-or-later
"""What systemd knows of a service; `show` is its own way to tell programs (systemctl(1))."""

from __future__ import annotations

import os
import re
import shlex

from mptcp_hooks.base.errors import USAGE, Problem
from mptcp_hooks.base.spawn import run_program
from mptcp_hooks.base.value import NamedTuple

# There where systemd is process 1, sd_booted(3).
BOOTED = "/run/systemd/system"

_SUFFIX = ".service"
# systemd.unit(5), "Description": a name with a dot that is followed by anything else has none.
_SUFFIXES = (_SUFFIX, ".socket", ".device", ".mount", ".automount", ".swap", ".target", ".path",
             ".timer", ".slice", ".scope")
# systemd.unit(5), "Description"; an escape such as \x2d has a backslash.
_UNIT_NAME = re.compile(r"[\w:\\-][\w:.\\-]*(@[\w:.\\-]*)?\.service", re.ASCII)
# A template is asked about as one of its instances.
_TEMPLATE, _INSTANCE = f"@{_SUFFIX}", f"@mptcp{_SUFFIX}"
_PROPERTIES = ("Id", "LoadState", "Environment", "EnvironmentFiles", "UnsetEnvironment",
               "TriggeredBy", "RootDirectory", "RootImage")
_PROGRAM = "{ path="
# systemd reads all units anew at a daemon-reload; in seconds.
_ANSWER_AT_MOST = 90.0


class Unit(NamedTuple):
    """What systemd knows of a service.

    `state` is its LoadState ("loaded", "not-found", "masked" ...), `programs` the paths of all
    ExecStart=, `environment_files` patterns, `unset` what UnsetEnvironment= takes away, `sockets`
    the units that listen for it, `root` the folder or image that it sees as /, '' for /.
    """

    name: str
    state: str
    programs: tuple[str, ...]
    environment: dict[str, str]
    environment_files: tuple[str, ...]
    unset: tuple[str, ...]
    sockets: tuple[str, ...]
    root: str


def ask_unit(text: str) -> Unit:
    """A service by its name, whose suffix may be left out; Problem (USAGE) for any other name."""
    name = text if text.endswith(_SUFFIXES) else text + _SUFFIX
    if not _UNIT_NAME.fullmatch(name):
        raise Problem(f"{text}: it must be the name of a service", USAGE)
    asked = name.replace(_TEMPLATE, _INSTANCE)
    known: dict[str, list[str]] = {}
    for line in _show(",".join(_PROPERTIES), asked):
        key, _, value = line.partition("=")
        known.setdefault(key, []).extend([value] if value else [])
    # By itself: what a program is called with may have lines that look like properties.
    commands = _show("ExecStart", asked, "--value")
    return _read_unit(name, known, commands)


def name_for_restart(unit: str) -> str:
    """What `systemctl restart` takes: of a template one of its instances."""
    return shlex.quote(unit) if not unit.endswith(_TEMPLATE) else unit.replace("@", "@INSTANCE")


def reload_units() -> None:
    """Have systemd read its files again."""
    _ask("daemon-reload")


def _read_unit(name: str, known: dict[str, list[str]], commands: list[str]) -> Unit:
    """What systemctl showed: a line a property, more for some that are lists."""
    return Unit(
        name=name if name.endswith(_TEMPLATE) else _join(known, "Id") or name,
        state=_join(known, "LoadState"),
        programs=tuple(dict.fromkeys(
            command.removeprefix(_PROGRAM).partition(" ; argv[]=")[0]
            for command in commands if command.startswith(_PROGRAM))),
        environment=dict(
            word.partition("=")[::2] for word in shlex.split(_join(known, "Environment"))),
        environment_files=tuple(value.rpartition(" (ignore_errors=")[0]
                                for value in known.get("EnvironmentFiles", [])),
        unset=tuple(word.partition("=")[0]
                    for word in shlex.split(_join(known, "UnsetEnvironment"))),
        sockets=tuple(unit for unit in _join(known, "TriggeredBy").split()
                      if unit.endswith(".socket")),
        root=_join(known, "RootDirectory") or _join(known, "RootImage"))


def _join(known: dict[str, list[str]], key: str) -> str:
    return " ".join(known.get(key, []))


def _show(properties: str, unit: str, *options: str) -> list[str]:
    return _ask("show", f"--property={properties}", *options, "--", unit).splitlines()


def _ask(*arguments: str) -> str:
    if not os.path.isdir(BOOTED):
        raise Problem("this needs systemd, which does not run this machine: have the service's own "
                      "script start its program by mptcp_run")
    outcome = run_program("systemctl", arguments, at_most=_ANSWER_AT_MOST)
    if outcome.status != 0:
        raise Problem(f"systemctl {arguments[0]} failed: {outcome.errors}")
    return outcome.output
