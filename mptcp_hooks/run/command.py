# SPDX-License-Identifier: GPL-2.0-or-later
"""mptcp_run(1): starts a program so that its TCP is Multipath TCP."""

from __future__ import annotations

import sys
from functools import partial

from mptcp_hooks.base.entry import make_parser
from mptcp_hooks.base.errors import Problem
from mptcp_hooks.base.report import say_if_heard
from mptcp_hooks.base.value import TYPE_CHECKING
from mptcp_hooks.force.means import Means, read_means
from mptcp_hooks.force.methods import AUTO, BPF, METHODS, Choice, choose
from mptcp_hooks.force.program import find_program
from mptcp_hooks.run.launch import enter_group, guess_ignored, read_environment, replace_process

if TYPE_CHECKING:
    from argparse import Namespace
    from typing import NoReturn

PROGRAM = "mptcp_run"
# As env(1), timeout(1) and their like end when it was not the command that failed.
NOT_STARTED = 125

# What begins a list of units, up to the end.
_LISTING = ("--enable", "--disable")


def run_mptcp_run() -> int:
    """Exit status of mptcp_run(1) where no command takes its place."""
    own, command = split_arguments(sys.argv[1:])
    options = _read_arguments(own, command)
    if not command:
        from mptcp_hooks.run.units import change_units

        return change_units(PROGRAM, options)
    return _run_without(options, command) if options.off else _run_command(options, command)


def split_arguments(arguments: list[str]) -> tuple[list[str], list[str]]:
    """Our own options, units among them, and the command with its words, which are never ours."""
    number = 0
    while number < len(arguments) and arguments[number].startswith("-"):
        if arguments[number] == "--":
            return arguments[:number], arguments[number + 1:]
        if arguments[number] in _LISTING:
            return arguments, []
        number += 2 if arguments[number] == "--method" else 1
    return arguments[:number], arguments[number:]


def _read_arguments(own: list[str], command: list[str]) -> Namespace:
    parser = make_parser(
        PROGRAM, "Run a command so that its TCP connections are Multipath TCP's, or have a systemd "
        "service run so.", usage=f"{PROGRAM} [OPTION...] [--] COMMAND [ARG...]")
    parser.add_argument("--method", choices=(AUTO, *METHODS), default=AUTO,
                        help="how; without it, what fits the program and is there")
    parser.add_argument("--off", action="store_true",
                        help="run the command without Multipath TCP, though it asks for it")
    parser.add_argument("-v", "--verbose", action="store_true",
                        help="say which method was chosen, and why")
    parser.add_argument("--check", action="store_true",
                        help="say in the end, and on SIGUSR1, how many TCP connections were "
                             "MPTCP, and what each uplink carried; 1 if it had connections and "
                             "none was")
    units = parser.add_mutually_exclusive_group()
    units.add_argument("--enable", nargs="+", metavar="UNIT",
                       help="have services forced from their next start")
    units.add_argument("--disable", nargs="+", metavar="UNIT", help="take that back")
    units.add_argument("--list", action="store_true", help="the services that are forced, and how")
    options = parser.parse_args(own)
    about_units = options.list or options.enable is not None or options.disable is not None
    if about_units == bool(command):
        parser.error("give a command, or one of --enable and --disable with units, or --list")
    if options.off and (about_units or options.method != AUTO):
        parser.error("--off is for commands, and goes with no --method")
    if about_units and options.check:
        parser.error("--check is for commands: see mptcp_status --connections")
    return options


def _run_command(options: Namespace, command: list[str]) -> int:
    environment = read_environment()
    program = find_program(command[0], environment)
    means = read_means()
    choice = choose(options.method, program, means)
    choice = _make_ready(_heed_disabled(choice, means))
    _tell(choice, command[0], options)
    start = partial(replace_process, program, command, environment, choice, guess_ignored())
    if options.check:
        from mptcp_hooks.run.watch_command import watch_command

        return watch_command(PROGRAM, start)
    start()


def _run_without(options: Namespace, command: list[str]) -> int:
    # Few commands are started so: the others do not load it.
    from mptcp_hooks.run.off import (
        find_way_around,
        leave_out_library,
        list_inherited,
        refuse_mptcp,
    )

    environment = leave_out_library(read_environment())
    program = find_program(command[0], environment)
    for number in list_inherited():
        say_if_heard(PROGRAM, f"descriptor {number} is an MPTCP socket, and stays one: who opened "
                              "it must ask for TCP (systemd by SocketProtocol=tcp of its socket)")
    way_around = find_way_around(program)
    if way_around:
        say_if_heard(PROGRAM, f"{command[0]} may use Multipath TCP anyway: {way_around}")
    ignored = guess_ignored()

    def start() -> NoReturn:
        try:
            refuse_mptcp()
        except Problem as problem:
            raise Problem(f"{command[0]} is not started: {problem}", NOT_STARTED) from None
        replace_process(program, command, environment, Choice("", "--off"), ignored)

    if options.check:
        from mptcp_hooks.run.watch_command import watch_command

        return watch_command(PROGRAM, start, wanted=False)
    start()


def _heed_disabled(choice: Choice, means: Means) -> Choice:
    """No forcing where the kernel would refuse each socket that was forced."""
    return Choice("", means.disabled) if means.disabled else choice


def _make_ready(choice: Choice) -> Choice:
    """The choice, or none where what it takes cannot be made ready."""
    try:
        if choice.method == BPF:
            enter_group()
        return choice
    except Problem as problem:
        return Choice("", f"{choice.reason}; {BPF}: {problem}")


def _tell(choice: Choice, name: str, options: Namespace) -> None:
    """Say what becomes of the command; Problem where it shall not start like that."""
    if not choice.method and options.method != AUTO:
        raise Problem(f"{name} is not started: {choice.reason}", NOT_STARTED)
    if not choice.method:
        say_if_heard(PROGRAM, f"{name} goes without Multipath TCP: {choice.reason}")
    elif choice.doubt:
        say_if_heard(PROGRAM, f"{name} may go without Multipath TCP: {choice.method} does "
                              f"nothing where {choice.doubt}")
    elif options.verbose:
        say_if_heard(PROGRAM, f"{name}: {choice.method}, since {choice.reason}")
