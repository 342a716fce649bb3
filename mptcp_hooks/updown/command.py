"""mptcp_up and mptcp_down, for people: the hooks' work by hand, and its dry run."""

from __future__ import annotations

import os

from mptcp_hooks.base.entry import make_parser
from mptcp_hooks.base.errors import USAGE, Problem
from mptcp_hooks.base.report import say, show_command
from mptcp_hooks.base.value import TYPE_CHECKING
from mptcp_hooks.engine.carry_out import do_work
from mptcp_hooks.engine.follow import list_told, prepare_all, prepare_named, recall_events
from mptcp_hooks.engine.record import Store, open_store
from mptcp_hooks.engine.take_down import prepare_dismissal
from mptcp_hooks.intent.configuration import read_configuration
from mptcp_hooks.intent.event import Event, check_name
from mptcp_hooks.intent.ifupdown import ask_events, ask_ifquery, list_up, read_events
from mptcp_hooks.machine.system import Machine
from mptcp_hooks.updown.check import check_all, check_candidates

if TYPE_CHECKING:
    from argparse import ArgumentParser, Namespace
    from collections.abc import Callable

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
    return _run("mptcp_down", options, lambda store, machine: prepare_dismissal(
        store, machine, store.list_interfaces() if options.all else options.interfaces))


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
    told = list_told(store) if options.all else []
    meant = [iface for iface in list_up() if iface not in told] if options.all \
        else list(dict.fromkeys(options.interfaces))
    events: list[Event] = []
    for iface in meant:
        try:
            events += _list_events(store, iface)
        except Problem as problem:
            problems.append(problem)
    prepare = prepare_all if options.all else prepare_named
    work = prepare(store, machine, events, configuration)
    return work._replace(problems=(*problems, *work.problems))


def _list_events(store: Store, iface: str) -> list[Event]:
    """The events of one interface: IF_* of the environment if they are its, else its stanzas'."""
    environment = dict(os.environ)
    given = any(name.startswith("IF_") for name in environment)
    if given and environment.get("IFACE", "") == iface:
        return read_events([environment])
    return _ask_or_recall(store, iface)


def _ask_or_recall(store: Store, iface: str) -> list[Event]:
    """The events of an interface's stanzas; where nobody can tell them, what is on record."""
    return read_events(ask_ifquery(iface)) or recall_events(store, iface) or ask_events(iface)
