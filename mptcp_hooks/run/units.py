# SPDX-License-Identifier: GPL-2.0-or-later
"""mptcp_run's --enable, --disable and --list: systemd services that are forced."""

from __future__ import annotations

import os
import re
from glob import glob

from mptcp_hooks.base.errors import FAILED, USAGE, Problem
from mptcp_hooks.base.report import say
from mptcp_hooks.base.text import align
from mptcp_hooks.base.textfile import read_text
from mptcp_hooks.base.value import TYPE_CHECKING
from mptcp_hooks.force.means import read_means
from mptcp_hooks.force.methods import BPF, Choice, choose, extend
from mptcp_hooks.force.program import find_program
from mptcp_hooks.machine.procfs import SEARCHED
from mptcp_hooks.run import dropins, pins
from mptcp_hooks.run.systemd import Unit, ask_unit, name_for_restart, reload_units

if TYPE_CHECKING:
    from argparse import Namespace
    from collections.abc import Callable, Iterable, Mapping


def change_units(program: str, options: Namespace) -> int:
    """Do what one of the three options asks; Problem for units that cannot be changed."""
    if options.list:
        _print_list()
    elif os.geteuid() != 0:
        raise Problem("must be root")
    elif options.enable is not None:
        _change_each(program, options.enable,
                     lambda unit: _enable(program, unit, options.method))
    else:
        _change_each(program, options.disable, lambda unit: _disable(program, unit))
    return 0


def _change_each(program: str, names: list[str], change: Callable[[Unit], None]) -> None:
    """Change units one after another; one that cannot be does not cost the others.

    The worst Problem comes last, as this one's; the others are said.
    """
    problems = []
    for name in dict.fromkeys(names):
        try:
            change(ask_unit(name))
        except Problem as problem:
            problems.append(problem)
    problems.sort(key=lambda one: one.status)
    for lesser in problems[:-1]:
        say(program, str(lesser))
    if problems:
        raise problems[-1]


def _print_list() -> None:
    for cells in align(dropins.list_all().items()):
        print("  ".join(cells).rstrip())


def _enable(program: str, unit: Unit, method: str) -> None:
    old = dropins.read(unit.name)
    try:
        if dropins.remove(unit.name):
            # The unit's own environment shows only without what we said of it before.
            reload_units()
        choices, variables = _plan(ask_unit(unit.name), method)
        dropins.save(unit.name, dropins.write_text(_name_methods(choices), variables))
    except Problem:
        if old:
            dropins.save(unit.name, old)
            reload_units()
        raise
    if BPF not in _name_methods(choices):
        # With the other drop-in goes what would end it.
        pins.release(unit.name)
    reload_units()
    print(f"{unit.name}: {', '.join(_name_methods(choices))}, from its next start on "
          f"(systemctl restart {name_for_restart(unit.name)})")
    for doubt in _list_doubts(ask_unit(unit.name), choices, variables):
        say(program, f"{unit.name}: {doubt}")


def _disable(program: str, unit: Unit) -> None:
    removed = dropins.remove(unit.name)
    if not removed and unit.state == "not-found":
        raise _unknown(unit.name)
    pins.release(unit.name)
    if removed:
        reload_units()
        print(f"{unit.name}: as it was, from its next start on "
              f"(systemctl restart {name_for_restart(unit.name)})")
    else:
        say(program, f"{unit.name}: was not enabled")


def _plan(unit: Unit, method: str) -> tuple[list[Choice], dict[str, str]]:
    """The choice for each program of a unit, and the variables that they take."""
    _refuse_foreign(unit)
    choices = [_choose_for(unit, path, method) for path in unit.programs]
    return choices, _list_variables(unit, choices)


def _refuse_foreign(unit: Unit) -> None:
    if unit.state == "not-found":
        raise _unknown(unit.name)
    if unit.state != "loaded":
        raise Problem(f"{unit.name}: systemd has not loaded it, it is {unit.state} (systemctl "
                      f"status {name_for_restart(unit.name)})")
    if unit.root:
        raise Problem(f"{unit.name}: its programs are in {unit.root}, where "
                      "mptcp_run finds neither them nor a library for them")
    if not unit.programs:
        raise Problem(f"{unit.name}: it starts no program", USAGE)


def _unknown(name: str) -> Problem:
    return Problem(f"{name}: systemd knows no such unit", USAGE)


def _choose_for(unit: Unit, path: str, method: str) -> Choice:
    try:
        program = find_program(path, {b"PATH": os.fsencode(SEARCHED)})
    except Problem as problem:
        raise Problem(f"{unit.name}: {problem}", FAILED) from None
    choice = choose(method, program, read_means())
    if not choice.method:
        raise Problem(f"{unit.name}: nothing can force it: {choice.reason}")
    return choice


def _name_methods(choices: Iterable[Choice]) -> list[str]:
    return list(dict.fromkeys(choice.method for choice in choices))


def _list_variables(unit: Unit, choices: Iterable[Choice]) -> dict[str, str]:
    """The variables that the methods set, each with what the unit has in it already."""
    variables: dict[str, str] = {}
    for choice in choices:
        if not choice.variable:
            continue
        name = os.fsdecode(choice.variable)
        _refuse_overridden(unit, name, os.fsdecode(choice.value))
        old = variables.get(name, unit.environment.get(name, ""))
        variables[name] = os.fsdecode(extend(choice, os.fsencode(old)))
    return variables


def _refuse_overridden(unit: Unit, name: str, value: str) -> None:
    """What EnvironmentFile= sets comes after every Environment= (systemd.exec(5))."""
    setting = re.compile(rf"^[ \t]*{name}[ \t]*=", re.MULTILINE)
    for path in (path for pattern in unit.environment_files for path in glob(pattern)):
        # What cannot be read systemd could not read either.
        if setting.search(read_text(path)):
            raise Problem(f"{unit.name}: {path} sets {name}, which a drop-in cannot add to: add "
                          f"{value} there")


def _list_doubts(
    unit: Unit, choices: Iterable[Choice], variables: Mapping[str, str]
) -> Iterable[str]:
    """Why an enabled service may not use Multipath TCP all the same, or not all of its sockets."""
    disabled = read_means().disabled
    if disabled:
        yield f"its sockets will fail: {disabled}"
    for choice in choices:
        if choice.doubt:
            yield f"{choice.method} does nothing where {choice.doubt}"
    for name, value in variables.items():
        if unit.environment.get(name) != value or name in unit.unset:
            yield (f"another drop-in, or UnsetEnvironment=, takes {name} away again (systemctl cat "
                   f"{name_for_restart(unit.name)})")
    for socket in unit.sockets:
        yield (f"systemd listens for it by {socket}: if that is TCP, it stays so, see "
               "SocketProtocol= in systemd.socket(5), from systemd 257 on")
