# SPDX-License-Identifier: GPL-2.0-or-later
"""mptcp_status(1): whether multipath works here, and if not, what to do."""

from __future__ import annotations

import json
import sys
from functools import partial
from time import monotonic, sleep

from mptcp_hooks.base.entry import make_parser
from mptcp_hooks.base.errors import UNKNOWN, USAGE, Problem
from mptcp_hooks.base.value import TYPE_CHECKING
from mptcp_hooks.intent.stanza_lines import has_stanza
from mptcp_hooks.status.looks import (
    look_at_candidates,
    look_at_connections,
    look_at_paths,
    measure_rates,
)
from mptcp_hooks.status.paint import choose_paint

if TYPE_CHECKING:
    from argparse import Namespace
    from collections.abc import Callable, Iterable

    from mptcp_hooks.status.looks import ConnectionsLook, PathsLook, Rates
    from mptcp_hooks.status.survey import Survey

    Look = PathsLook | ConnectionsLook

PROGRAM = "mptcp_status"
_PERIOD = 1.0
# To the top left corner, and all that is below away (ECMA-48).
_CLEAR = "\x1b[H\x1b[J"


def run_mptcp_status() -> int:
    """Exit status of mptcp_status(1): 0 all good, 1 a path is broken, 2 wrong usage."""
    options = _read_arguments()
    look_at: Callable[[frozenset[str]], Look] = look_at_paths
    if options.candidates:
        look_at = look_at_candidates
    elif options.connections:
        look_at = look_at_connections
    take_look = partial(look_at, frozenset(options.interfaces))
    look = take_look()
    _refuse_unknown(look.survey, options.interfaces)
    if options.watch:
        return _watch(take_look, look)
    if options.json:
        print(json.dumps(look.describe(), indent=2))
    else:
        _draw(look, {})
    return look.status


def _read_arguments() -> Namespace:
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
                        help="draw again every second, with rates, until interrupted")
    options = parser.parse_args()
    if options.json and options.watch:
        parser.error("--watch draws for a person: give it without --json")
    return options


def _refuse_unknown(survey: Survey, wanted: Iterable[str]) -> None:
    known = {*(name for device in survey.devices for name in device.names),
             *(path.interface for path in survey.paths)}
    for name in sorted({*wanted} - known):
        if not has_stanza(name):
            raise Problem(f"{name}: {UNKNOWN}", USAGE)


def _watch(take_look: Callable[[], Look], look: Look) -> int:
    """Draw each second what is to be seen; the status is the last one's."""
    try:
        rates: Rates = {}
        while True:
            print(_CLEAR if sys.stdout.isatty() else "", end="")
            _draw(look, rates)
            sys.stdout.flush()
            sleep(max(0.0, look.moment + _PERIOD - monotonic()))
            before, look = look, take_look()
            rates = measure_rates(before, look)
    except KeyboardInterrupt:
        return look.status


def _draw(look: Look, rates: Rates) -> None:
    for line in look.draw(rates, choose_paint(sys.stdout)):
        print(line)
