# SPDX-License-Identifier: GPL-2.0-or-later
"""mptcp_status(1): whether multipath works here, and if not, what to do."""

from __future__ import annotations

import json
import sys
from functools import partial
from time import sleep

from mptcp_hooks.base.entry import make_parser
from mptcp_hooks.base.errors import FAILED, UNKNOWN, USAGE, Problem, quote
from mptcp_hooks.base.text import read_number
from mptcp_hooks.base.value import TYPE_CHECKING
from mptcp_hooks.intent.stanza_lines import has_stanza
from mptcp_hooks.status.looks import (
    describe_moment,
    look_at_candidates,
    look_at_connections,
    look_at_paths,
    measure_rates,
)
from mptcp_hooks.status.nagios import answer_plugin, answer_unknown
from mptcp_hooks.status.openmetrics import draw_metrics
from mptcp_hooks.status.paint import choose_paint
from mptcp_hooks.status.probe import probe, read_target
from mptcp_hooks.status.probe_view import describe_probes, draw_probes
from mptcp_hooks.status.questions import AskedMachine
from mptcp_hooks.status.report import write_report
from mptcp_hooks.status.stream import stream
from mptcp_hooks.status.watch import watch

if TYPE_CHECKING:
    from argparse import ArgumentParser, Namespace
    from collections.abc import Callable, Iterable
    from typing import NoReturn, TypeVar

    from mptcp_hooks.status.looks import ConnectionsLook, PathsLook
    from mptcp_hooks.status.survey import Survey

    Look = PathsLook | ConnectionsLook
    _L = TypeVar("_L", PathsLook, ConnectionsLook, Look)

PROGRAM = "mptcp_status"
_PERIOD = 1.0
_EXPECTED_AT_MOST = 999
_PATHS = ""
# The answers there are, and what each of them goes with.
_GOES_WITH = {
    "report": ("with_addresses",),
    "nagios": ("expect", "interfaces"),
    "openmetrics": ("expect", "interfaces"),
    "probe": ("json", "interfaces"),
    "candidates": ("connections", "json", "watch", "verbose", "interfaces"),
    "connections": ("json", "watch", "verbose", "interfaces"),
    _PATHS: ("expect", "json", "watch", "verbose", "interfaces"),
}


def run_mptcp_status() -> int:
    """Exit status of mptcp_status(1): 0 all good, 1 a path is broken, 2 wrong usage."""
    if any(word.startswith("--nagios") for word in sys.argv[1:]):
        return _answer_plugin()
    options = _read_arguments(_make_parser())
    if options.report:
        return _report(options)
    if options.openmetrics:
        return _answer_metrics(options)
    if options.probe is not None:
        return _probe(options)
    take_look = _choose_look(options)
    look = _take_first(take_look, options)
    if options.watch:
        if options.json:
            return stream(take_look, look)
        return watch(take_look, look, options.verbose)
    if options.json:
        print(json.dumps(look.describe(), indent=2))
    else:
        _draw(look, options.verbose)
    return look.status


def _choose_look(options: Namespace) -> Callable[[], Look]:
    interfaces = frozenset(options.interfaces)
    if options.candidates:
        return partial(look_at_candidates, interfaces)
    if options.connections:
        return partial(look_at_connections, interfaces)
    return _choose_paths(options)


def _choose_paths(options: Namespace) -> Callable[[], PathsLook]:
    return partial(look_at_paths, frozenset(options.interfaces), _read_expected(options.expect))


def _read_expected(text: str | None) -> int:
    """How many paths somebody expects, 0 for nobody; Problem where it is no such number."""
    number = 0 if text is None else read_number(text)
    if number is None or number == 0 and text is not None or number > _EXPECTED_AT_MOST:
        raise Problem(f"--expect {quote(text or '')} is wrong: it must be a number from 1 to "
                      f"{_EXPECTED_AT_MOST}", USAGE)
    return number


def _take_first(take_look: Callable[[], _L], options: Namespace) -> _L:
    """The first look; Problem where one of the interfaces is nobody's."""
    look = take_look()
    _refuse_unknown(look.survey, options.interfaces)
    return look


def _report(options: Namespace) -> int:
    for line in write_report(AskedMachine(), partial(look_at_paths, frozenset()),
                             options.with_addresses):
        print(line)
    return 0


def _answer_plugin() -> int:
    """What Nagios shows, a wrong call and a Problem among it: 2 would be CRITICAL there."""
    parser = _make_parser()
    setattr(parser, "error", _refuse)
    try:
        options = _read_arguments(parser)
        look = _take_first(_choose_paths(options), options)
        status, line = answer_plugin(look, _read_expected(options.expect))
    except Problem as problem:
        status, line = answer_unknown(problem)
    print(line)
    return status


def _refuse(text: str) -> NoReturn:
    """What argparse has to say, as a Problem."""
    raise Problem(text, USAGE)


def _answer_metrics(options: Namespace) -> int:
    """Metrics, with the rates of a second; 0 whatever they say, or a broken path had none."""
    take_look = _choose_paths(options)
    before = _take_first(take_look, options)
    sleep(_PERIOD)
    look = take_look()
    connections = look_at_connections(frozenset(options.interfaces)).connections
    for line in draw_metrics(look, measure_rates(before, look), connections):
        print(line)
    return 0


def _make_parser() -> ArgumentParser:
    parser = make_parser(PROGRAM, "Draw the paths of Multipath TCP, and say what is wrong with "
                         "them and what to do.")
    parser.add_argument("interfaces", nargs="*", metavar="IFACE",
                        help="an interface; without any, all of them")
    parser.add_argument("-c", "--connections", action="store_true",
                        help="show the live MPTCP connections, their processes and subflows")
    parser.add_argument("--candidates", action="store_true",
                        help="the same, and programs whose plain TCP could be MPTCP, with the "
                             "command to do it")
    parser.add_argument("-j", "--json", action="store_true", help="answer in JSON")
    parser.add_argument("-w", "--watch", action="store_true",
                        help="draw again every second, with what each uplink carries, until q "
                             "or Ctrl-C; with --json a line each time")
    parser.add_argument("-v", "--verbose", action="store_true",
                        help="say too which rules and tables in the kernel are ours")
    parser.add_argument("--probe", nargs="?", const="", metavar="HOST[:PORT]",
                        help="try each path: its gateway, and TCP and MPTCP towards a host, at "
                             "port 443 where none is named; without one its gateway alone")
    parser.add_argument("--expect", metavar="N",
                        help="fewer paths than N that are alive are something broken")
    parser.add_argument("--nagios", action="store_true",
                        help="answer in one line with performance data, and 0, 1, 2 or 3, as a "
                             "plugin of Nagios does")
    parser.add_argument("--openmetrics", action="store_true",
                        help="answer with metrics for Prometheus, after a second for the rates")
    parser.add_argument("--report", action="store_true",
                        help="write all that a bug report needs, without addresses")
    parser.add_argument("--with-addresses", action="store_true",
                        help="with --report: leave addresses as they are")
    return parser


def _read_arguments(parser: ArgumentParser) -> Namespace:
    options: Namespace = parser.parse_args()
    if wrong := _find_clash(options):
        parser.error(wrong)
    return options


def _probe(options: Namespace) -> int:
    """Try the paths: FAILED where one of them does not work."""
    target = read_target(options.probe)
    look = _take_first(_choose_paths(options), options)
    probes = probe(look.survey, look.paths, target)
    works = all(one.works for one in probes)
    if options.json:
        print(json.dumps({"ok": works, **describe_moment(look.time),
                          **describe_probes(probes, target)}, indent=2))
    else:
        for line in draw_probes(probes, target, choose_paint(sys.stdout)):
            print(line)
    return 0 if works else FAILED


def _find_clash(options: Namespace) -> str:
    """What is wrong with options that are each right, '' where nothing is."""
    given = [name for name, value in vars(options).items() if value not in (None, False, [])]
    answer = next((name for name in _GOES_WITH if name in given), _PATHS)
    wrong = next((name for name in given if name not in (answer, *_GOES_WITH[answer])), None)
    if wrong is None:
        return ""
    if answer == _PATHS:
        return "--with-addresses goes with --report alone"
    what = "an interface" if wrong == "interfaces" else f"--{wrong.replace('_', '-')}"
    return f"--{answer} is an answer of its own: give it without {what}"


def _refuse_unknown(survey: Survey, wanted: Iterable[str]) -> None:
    known = {*(name for device in survey.devices for name in device.names),
             *(path.interface for path in survey.paths)}
    for name in sorted({*wanted} - known):
        if not has_stanza(name):
            raise Problem(f"{name}: {UNKNOWN}", USAGE)


def _draw(look: Look, verbose: bool) -> None:
    paint = choose_paint(sys.stdout)
    for line in [*look.draw(paint), *look.explain(paint) * verbose]:
        print(line)
