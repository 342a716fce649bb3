# SPDX-License-Identifier: GPL-2.0-or-later
"""mptcp_up and mptcp_down, for people: the hooks' work by hand, and its dry run."""

from __future__ import annotations

import os

from mptcp_hooks.base.entry import make_parser
from mptcp_hooks.base.errors import UNKNOWN, USAGE, Problem
from mptcp_hooks.base.report import say, show_command
from mptcp_hooks.base.value import TYPE_CHECKING
from mptcp_hooks.engine.carry_out import do_work
from mptcp_hooks.engine.follow import (
    is_known,
    list_told,
    prepare_all,
    prepare_named,
    recall_events,
)
from mptcp_hooks.engine.record import Store, open_store
from mptcp_hooks.engine.take_down import prepare_dismissal
from mptcp_hooks.intent.configuration import read_configuration
from mptcp_hooks.intent.event import Event, check_name
from mptcp_hooks.intent.ifupdown import (
    ask_events,
    ask_ifquery,
    list_edited,
    list_stated,
    list_up,
    read_events,
)
from mptcp_hooks.intent.stanza_lines import has_stanza, list_names
from mptcp_hooks.machine.system import Machine
from mptcp_hooks.updown.check import check_all, check_candidates

if TYPE_CHECKING:
    from argparse import ArgumentParser, Namespace
    from collections.abc import Callable, Iterable

    from mptcp_hooks.engine.work import Work

    Prepare = Callable[[Store, Machine], Work]


def run_mptcp_up() -> int:
    """Exit status of mptcp_up(8): 0 done, 1 a command failed, 2 wrong usage or value."""
    parser = _make_parser("mptcp_up", "Give interfaces a table, rules and an MPTCP endpoint.",
                          "every interface on record, or that ifupdown has up")
    parser.add_argument("--check", action="store_true",
                        help="only say what is wrong with mptcp-hooks.conf, the stanzas of the "
                             "interfaces (without any, of all) and the templates")
    parser.add_argument("--suggest", action="store_true",
                        help="only print lines for the configuration, or stanzas, for the uplinks "
                             "that are up")
    parser.add_argument("--config", metavar="FILE",
                        help="with --check: look at FILE, which is to be mptcp-hooks.conf or one "
                             "in mptcp-hooks.conf.d")
    parser.add_argument("--interfaces", dest="stanzas", metavar="FILE",
                        help="with --check: look at FILE, which is to be /etc/network/interfaces")
    options = parser.parse_args()
    _settle_files(parser, options)
    if options.suggest:
        return _suggest(parser, options)
    if options.check:
        return _check("mptcp_up", options)
    _settle_interfaces(parser, options)
    return _run("mptcp_up", options, lambda store, machine: _prepare_up(store, machine, options))


def run_mptcp_down() -> int:
    """Exit status of mptcp_down(8), as that of mptcp_up."""
    parser = _make_parser("mptcp_down", "Take away what mptcp_up gave to interfaces.",
                          "every interface on record")
    options = parser.parse_args()
    _settle_interfaces(parser, options)
    return _run("mptcp_down", options, lambda store, machine: _prepare_down(
        store, machine, options))


def _make_parser(program: str, purpose: str, everything: str) -> ArgumentParser:
    parser = make_parser(program, purpose)
    parser.add_argument("interfaces", nargs="*", metavar="IFACE",
                        help="an interface; without any, IFACE of the environment")
    parser.add_argument("-a", "--all", action="store_true", help=everything)
    parser.add_argument("-n", "--dry-run", "--no-act", action="store_true",
                        help="print the commands, change nothing; needs no root")
    parser.add_argument("-v", "--verbose", action="store_true",
                        help="show each command on stderr, and what is left alone and why")
    return parser


def _settle_files(parser: ArgumentParser, options: Namespace) -> None:
    """Leave with 2 where a file is named that nobody would look at, or an interface of none."""
    named = [file for file in (options.config, options.stanzas) if file is not None]
    if named and not options.check:
        parser.error("--config and --interfaces go with --check")
    if "" in named:
        parser.error("--config and --interfaces take the name of a file")
    if options.config and options.interfaces and not options.stanzas:
        parser.error("--config FILE looks at no stanzas: add --interfaces FILE, or name no IFACE")


def _settle_interfaces(parser: ArgumentParser, options: Namespace) -> None:
    """Find out which interfaces are meant; leaves with 2 where nobody says it."""
    if not options.interfaces and not options.all and os.environ.get("IFACE"):
        options.interfaces = [os.environ["IFACE"]]
    if bool(options.interfaces) == options.all:
        parser.error("name interfaces, or give --all")
    if len(options.interfaces) == 1:
        # Options in the environment without an IFACE are of the one interface that is named.
        os.environ.setdefault("IFACE", options.interfaces[0])


def _suggest(parser: ArgumentParser, options: Namespace) -> int:
    # Whoever sets up paths does not load it.
    from mptcp_hooks.updown.suggest import read_uplinks, suggest

    if options.interfaces or options.all or options.check or options.dry_run:
        parser.error("--suggest is about all uplinks that are up, and goes with nothing else")
    for line in suggest(read_uplinks(Machine())):
        print(line)
    return 0


def _check(program: str, options: Namespace) -> int:
    """USAGE where anything is wrong, which is said; nothing is changed."""
    if options.config or options.stanzas:
        findings = check_candidates(
            options.config or "", options.stanzas or "", options.interfaces)
    else:
        findings = check_all(options.interfaces)
    checked = findings.checked if options.verbose else ()
    for text in (*checked, *findings.notes, *findings.problems):
        say(program, str(text))
    return USAGE if findings.problems else 0


def _run(program: str, options: Namespace, prepare: Prepare) -> int:
    for iface in options.interfaces:
        check_name(iface)
    act = _print_work if options.dry_run else _do_work
    problems = act(program, prepare, options.verbose)
    return max((problem.status for problem in problems), default=0)


def _print_work(program: str, prepare: Prepare, verbose: bool) -> list[Problem]:
    """The dry run: what `sh` can read, and on stderr all that a person may want to know."""
    with open_store() as store:
        work = prepare(store, Machine())
    for line in work.list_lines():
        print(line)
    for text in (*work.warnings, *work.remarks, *map(str, work.problems)):
        say(program, text)
    return list(work.problems)


def _do_work(program: str, prepare: Prepare, verbose: bool) -> list[Problem]:
    if os.geteuid() != 0:
        raise Problem("must be root (try --dry-run)")
    machine = Machine(show_command if verbose else None)
    _, problems = do_work(machine, lambda store: prepare(store, machine),
                          lambda text: say(program, text), verbose, patient=True)
    return problems


def _prepare_up(store: Store, machine: Machine, options: Namespace) -> Work:
    """The work for all interfaces meant; one whose stanza is wrong does not cost the others."""
    configuration, problems = read_configuration()
    if options.all:
        told = list_told(store)
        events = _gather((iface for iface in list_up() if iface not in told),
                         lambda iface: _ask_or_recall(store, iface), problems)
        stated = list_stated(told)
        edited = _gather(stated, lambda iface: list_edited(
            iface, [event.told for event in recall_events(store, iface)], configuration,
            stated[iface]), problems)
        work = prepare_all(store, machine, events, configuration, edited)
    else:
        events = _gather(_list_meant(store, machine, options.interfaces),
                         lambda iface: _list_events(store, machine, iface), problems)
        work = prepare_named(store, machine, events, configuration)
    return work._replace(problems=(*problems, *work.problems))


def _list_meant(store: Store, machine: Machine, ifaces: Iterable[str]) -> list[str]:
    """The interfaces as their stanzas or the record call them: a device may have several names."""
    known = dict.fromkeys((*store.list_interfaces(), *list_names()))
    plain = [name for name in known if ":" not in name]
    return list(dict.fromkeys(
        iface if iface in known else next(iter(machine.list_of_device(iface, plain)), iface)
        for iface in ifaces))


def _gather(
    ifaces: Iterable[str], list_events: Callable[[str], list[Event]], problems: list[Problem]
) -> list[Event]:
    """The events of interfaces; of one that has none for a reason that is noted."""
    events: list[Event] = []
    for iface in ifaces:
        try:
            events += list_events(iface)
        except Problem as problem:
            problems.append(problem)
    return events


def _list_events(store: Store, machine: Machine, iface: str) -> list[Event]:
    """The events of one interface: IF_* of the environment if they are its, else its stanzas'."""
    environment = dict(os.environ)
    given = any(name.startswith("IF_") for name in environment)
    if given and environment.get("IFACE", "") == iface:
        return read_events([environment])
    _refuse_unknown(store, machine, iface)
    return _ask_or_recall(store, iface)


def _refuse_unknown(store: Store, machine: Machine, iface: str) -> None:
    """Raise Problem (USAGE) for a name that is no device, not on record, and in no stanza."""
    if not is_known(store, machine, iface) and not has_stanza(iface):
        raise Problem(f"{iface}: {UNKNOWN}", USAGE)


def _prepare_down(store: Store, machine: Machine, options: Namespace) -> Work:
    """The work for all interfaces meant; one that nobody knows does not cost the others."""
    if options.all:
        return prepare_dismissal(store, machine, store.list_interfaces())
    problems: list[Problem] = []
    meant = _list_meant(store, machine, options.interfaces)
    for iface in meant:
        try:
            _refuse_unknown(store, machine, iface)
        except Problem as problem:
            problems.append(problem)
    work = prepare_dismissal(store, machine, meant)
    return work._replace(problems=(*problems, *work.problems))


def _ask_or_recall(store: Store, iface: str) -> list[Event]:
    """The events of an interface's stanzas; where nobody can tell them, what is on record."""
    return read_events(ask_ifquery(iface)) or recall_events(store, iface) or ask_events(iface)
