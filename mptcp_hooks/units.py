"""mptcp_run's --enable, --disable and --list: systemd services that are forced."""

from __future__ import annotations

import os
import re
import shlex
from glob import glob

from mptcp_hooks import dropins, pins
from mptcp_hooks.errors import FAILED, USAGE, Problem
from mptcp_hooks.means import read_means
from mptcp_hooks.methods import BPF, Choice, choose, extend
from mptcp_hooks.process import Outcome, run_program
from mptcp_hooks.program import find_program
from mptcp_hooks.report import say
from mptcp_hooks.value import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from argparse import Namespace
    from collections.abc import Iterable

_SUFFIX = ".service"
# Where systemd looks for programs (systemd.exec(5), "Environment variables").
_SEARCHED = b"/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
# systemd.unit(5), "Description"; an escape such as \x2d has a backslash.
_UNIT_NAME = re.compile(r"[\w:\\-][\w:.\\-]*(@[\w:.\\-]*)?\.service", re.ASCII)
# A template is asked about as one of its instances.
_TEMPLATE, _INSTANCE = f"@{_SUFFIX}", f"@mptcp{_SUFFIX}"
_PROPERTIES = ("Id", "LoadState", "ExecStart", "Environment", "EnvironmentFiles", "TriggeredBy",
               "RootDirectory", "RootImage")


class _Unit(NamedTuple):
    """What systemd knows of a service; `loaded` is false where it has none of that name."""

    name: str
    loaded: bool
    programs: tuple[str, ...]
    environment: dict[str, str]
    environment_files: tuple[str, ...]
    sockets: tuple[str, ...]
    root: str


def change_units(program: str, options: Namespace) -> int:
    """Do what one of the three options asks; Problem (USAGE) for a unit that is not there."""
    if options.list:
        _print_list()
    elif os.geteuid() != 0:
        raise Problem("must be root")
    elif options.enable is not None:
        _enable(program, _ask_unit(options.enable), options.method)
    else:
        _disable(program, _ask_unit(options.disable))
    return 0


def _print_list() -> None:
    methods = dropins.list_all()
    width = max(map(len, methods), default=0)
    for unit, method in methods.items():
        print(f"{unit:<{width}}  {method}")


def _enable(program: str, unit: _Unit, method: str) -> None:
    _refuse_foreign(unit)
    choices = [_choose_for(unit, path, method) for path in unit.programs]
    variables = _list_variables(unit, choices)
    methods = list(dict.fromkeys(choice.method for choice in choices))
    dropins.save(unit.name, dropins.write_text(methods, variables))
    if BPF not in methods:
        # With the other drop-in goes what would end it.
        pins.release(unit.name)
    _reload()
    for doubt in filter(None, [read_means().disabled, *(choice.doubt for choice in choices)]):
        say(program, f"{unit.name}: it may not work: {doubt}")
    print(f"{unit.name}: {', '.join(methods)}, from its next start on "
          f"(systemctl restart {shlex.quote(unit.name)})")
    for socket in unit.sockets:
        say(program, f"{unit.name}: systemd listens for it by {socket}, and that stays TCP: "
                     "see SocketProtocol= in systemd.socket(5), from systemd 257 on")


def _disable(program: str, unit: _Unit) -> None:
    removed = dropins.remove(unit.name)
    if not removed and not unit.loaded:
        raise _unknown(unit.name)
    pins.release(unit.name)
    if removed:
        _reload()
        print(f"{unit.name}: as it was, from its next start on "
              f"(systemctl restart {shlex.quote(unit.name)})")
    else:
        say(program, f"{unit.name}: was not enabled")


def _refuse_foreign(unit: _Unit) -> None:
    if not unit.loaded:
        raise _unknown(unit.name)
    if unit.root:
        raise Problem(f"{unit.name}: its programs are in {unit.root}, where "
                      "mptcp_run finds neither them nor a library for them")
    if not unit.programs:
        raise Problem(f"{unit.name}: it starts no program", USAGE)


def _unknown(name: str) -> Problem:
    return Problem(f"{name}: systemd knows no such unit", USAGE)


def _choose_for(unit: _Unit, path: str, method: str) -> Choice:
    try:
        program = find_program(path, {b"PATH": _SEARCHED})
    except Problem as problem:
        raise Problem(f"{unit.name}: {problem}", FAILED) from None
    choice = choose(method, program, read_means())
    if not choice.method:
        raise Problem(f"{unit.name}: nothing can force it: {choice.reason}")
    return choice


def _list_variables(unit: _Unit, choices: Iterable[Choice]) -> dict[str, str]:
    """The variables that the methods set, each with what the unit has in it already."""
    variables: dict[str, str] = {}
    for choice in choices:
        if choice.method == BPF:
            continue
        name = os.fsdecode(choice.variable)
        _refuse_overridden(unit, name, os.fsdecode(choice.value))
        old = variables.get(name, unit.environment.get(name, ""))
        variables[name] = os.fsdecode(extend(choice, os.fsencode(old)))
    return variables


def _refuse_overridden(unit: _Unit, name: str, value: str) -> None:
    """What EnvironmentFile= sets comes after every Environment= (systemd.exec(5))."""
    for path in (path for pattern in unit.environment_files for path in glob(pattern)):
        try:
            with open(path, encoding="utf-8", errors="replace") as file:
                lines = file.readlines()
        except OSError:
            continue
        if any(line.lstrip().startswith(f"{name}=") for line in lines):
            raise Problem(f"{unit.name}: {path} sets {name}, which a drop-in cannot add to: add "
                          f"{value} there")


def _ask_unit(text: str) -> _Unit:
    name = text if "." in text else text + _SUFFIX
    if not _UNIT_NAME.fullmatch(name):
        raise Problem(f"{text}: it must be the name of a service", USAGE)
    outcome = _ask_systemd("show", f"--property={','.join(_PROPERTIES)}", "--",
                           name.replace(_TEMPLATE, _INSTANCE))
    known: dict[str, list[str]] = {}
    for line in outcome.output.splitlines():
        key, _, value = line.partition("=")
        known.setdefault(key, []).extend([value] if value else [])
    return _read_unit(name, known)


def _read_unit(name: str, known: dict[str, list[str]]) -> _Unit:
    """What systemctl showed: a line a property, more for some that are lists."""
    def join(key: str) -> str:
        return " ".join(known.get(key, []))

    return _Unit(
        name=name if name.endswith(_TEMPLATE) else join("Id") or name,
        loaded=join("LoadState") == "loaded",
        programs=tuple(dict.fromkeys(
            value.removeprefix("{ path=").partition(" ; argv[]=")[0]
            for value in known.get("ExecStart", []))),
        environment=dict(
            word.partition("=")[::2] for word in shlex.split(join("Environment"))),
        environment_files=tuple(value.rpartition(" (ignore_errors=")[0]
                                for value in known.get("EnvironmentFiles", [])),
        sockets=tuple(unit for unit in join("TriggeredBy").split() if unit.endswith(".socket")),
        root=join("RootDirectory") or join("RootImage"))


def _reload() -> None:
    _ask_systemd("daemon-reload")


def _ask_systemd(*arguments: str) -> Outcome:
    outcome = run_program("systemctl", arguments)
    if outcome.status != 0:
        raise Problem(f"systemctl {arguments[0]} failed: {outcome.errors}")
    return outcome
