"""mptcp_status(8): whether multipath works here, and if not, what to do."""

from __future__ import annotations

import json
import sys
from argparse import ArgumentParser, Namespace
from time import monotonic, sleep

from mptcp_hooks import __version__
from mptcp_hooks.connections import Connection, read_connections, sum_interfaces
from mptcp_hooks.connections_view import describe_connections, draw_connections
from mptcp_hooks.describe import describe_survey
from mptcp_hooks.errors import FAILED, USAGE, Problem
from mptcp_hooks.findings import BROKEN, Finding, judge
from mptcp_hooks.machine import Machine
from mptcp_hooks.paint import Paint, choose_paint
from mptcp_hooks.record import open_store
from mptcp_hooks.report import say
from mptcp_hooks.screen import (
    Rate,
    describe_numbers,
    draw_findings,
    draw_paths,
    draw_rates,
    draw_summary,
)
from mptcp_hooks.survey import PathStatus, Survey, take_survey
from mptcp_hooks.value import NamedTuple

PROGRAM = "mptcp_status"
_PERIOD = 1.0
# To the top left corner, and all that is below away (ECMA-48).
_CLEAR = "\x1b[H\x1b[J"


class Look(NamedTuple):
    """What was seen at one moment, in seconds of a clock that never goes back.

    `connections` are empty where nobody asked for them.
    """

    moment: float
    survey: Survey
    findings: tuple[Finding, ...]
    connections: tuple[Connection, ...]


def run_mptcp_status() -> int:
    """Exit status of mptcp_status(8): 0 all good, 1 a path is broken, 2 wrong usage."""
    options = _read_arguments()
    try:
        look = _look(options)
        _refuse_unknown(look.survey, options.interfaces)
        if options.watch:
            return _watch(options, look)
        _show(options, look, {})
        return _judge_look(look)
    except Problem as problem:
        say(PROGRAM, str(problem))
        return problem.status


def _read_arguments() -> Namespace:
    parser = ArgumentParser(PROGRAM, allow_abbrev=False, description="Draw the paths of Multipath "
                            "TCP, and say what is wrong with them and what to do.")
    parser.add_argument("interfaces", nargs="*", metavar="IFACE",
                        help="an interface; without any, all of them")
    parser.add_argument("-c", "--connections", action="store_true",
                        help="show the live MPTCP connections and their subflows")
    parser.add_argument("-j", "--json", action="store_true", help="answer in JSON")
    parser.add_argument("-w", "--watch", action="store_true",
                        help="draw again every second, with rates, until interrupted")
    parser.add_argument("--version", action="version", version=f"{PROGRAM} {__version__}")
    options = parser.parse_args()
    if options.json and options.watch:
        parser.error("--watch draws for a person: give it without --json")
    return options


def _list_shown(options: Namespace, look: Look) -> list[PathStatus]:
    return [path for path in look.survey.paths
            if not options.interfaces or path.interface in options.interfaces]


def _watch(options: Namespace, look: Look) -> int:
    """Draw each second what is to be seen; the status is the last one's."""
    try:
        rates: dict[str, Rate] = {}
        while True:
            print(_CLEAR if sys.stdout.isatty() else "", end="")
            _show(options, look, rates)
            sys.stdout.flush()
            sleep(max(0.0, look.moment + _PERIOD - monotonic()))
            before, look = look, _look(options)
            rates = _measure_rates(before, look)
    except KeyboardInterrupt:
        return _judge_look(look)


def _look(options: Namespace) -> Look:
    machine = Machine()
    with open_store(lock=False) as store:
        survey = take_survey(machine, store)
    moment = monotonic()
    wanted = frozenset(options.interfaces)
    if not options.connections:
        return Look(moment, survey, tuple(one for one in judge(survey) if not wanted
                                          or one.interface in wanted | {""}), ())
    devices = {held.address: device.name for device in survey.devices
               for held in device.addresses}
    connections = read_connections(machine.ask_ss(), devices)
    return Look(moment, survey, (), tuple(one for one in connections if not wanted or wanted & {
        subflow.interface for subflow in one.subflows}))


def _refuse_unknown(survey: Survey, wanted: list[str]) -> None:
    known = {*(device.name for device in survey.devices), *(path.interface
                                                            for path in survey.paths)}
    for name in sorted({*wanted} - known):
        raise Problem(f"{name}: no such interface, and none on record", USAGE)


def _measure_rates(before: Look, after: Look) -> dict[str, Rate]:
    """What each device sent and received between two looks."""
    passed = after.moment - before.moment
    old = {device.name: device for device in before.survey.devices}
    return {device.name: Rate(
        max(0, device.sent - old[device.name].sent) * 8 / passed,
        max(0, device.received - old[device.name].received) * 8 / passed,
    ) for device in after.survey.devices if device.name in old}


def _judge_look(look: Look) -> int:
    return FAILED if any(one.severity == BROKEN for one in look.findings) else 0


def _show(options: Namespace, look: Look, rates: dict[str, Rate]) -> None:
    if options.json:
        print(json.dumps(_describe(options, look), indent=2))
    else:
        for line in _draw(options, look, rates, choose_paint(sys.stdout)):
            print(line)


def _describe(options: Namespace, look: Look) -> dict[str, object]:
    if options.connections:
        return describe_connections(look.connections, sum_interfaces(look.connections))
    return describe_survey(look.survey, _list_shown(options, look), look.findings)


def _draw(options: Namespace, look: Look, rates: dict[str, Rate], paint: Paint) -> list[str]:
    if options.connections:
        totals = sum_interfaces(look.connections)
        return [*draw_connections(look.connections, totals, paint),
                *draw_rates(rates, [total.interface for total in totals])]
    paths = _list_shown(options, look)
    return [
        *draw_paths(paths, rates, paint),
        *draw_findings(look.findings, paint),
        *(f"not seen: {text}" for text in look.survey.unseen),
        *[draw_summary(paths, look.findings, paint)] * (not options.interfaces),
        describe_numbers(),
    ]
