# SPDX-License-Identifier: GPL-2.0-or-later
"""mptcp_up --check: all that people wrote for mptcp-hooks, read as the hooks would read it."""

from __future__ import annotations

import os
from functools import partial

from mptcp_hooks.base.errors import USAGE, Problem
from mptcp_hooks.base.folder import FOLDER_SUFFIX, is_regular, list_names
from mptcp_hooks.base.model import Limits, Path
from mptcp_hooks.base.text import find_like
from mptcp_hooks.base.textfile import read_text
from mptcp_hooks.base.value import TYPE_CHECKING, NamedTuple
from mptcp_hooks.engine import commands
from mptcp_hooks.engine.clashes import find_announced, find_clashes
from mptcp_hooks.engine.name_record import Name
from mptcp_hooks.engine.belongings import choose_belongings
from mptcp_hooks.intent import configuration, ifupdown, stanza_lines
from mptcp_hooks.intent.belongings import tell_users
from mptcp_hooks.intent.event import NAME_LONGEST, PPP, method_of, read_event
from mptcp_hooks.intent.pppd import find_name, is_its_name
from mptcp_hooks.intent.resolvers import read_resolvers
from mptcp_hooks.intent.settings import (
    has_belongings,
    judge_options,
    read_settings,
)
from mptcp_hooks.intent.stanza_lines import (
    StanzaLine,
    has_mappings,
    list_stanza_lines,
    list_started,
)
from mptcp_hooks.updown.check_lines import judge_lines, judge_outside
from mptcp_hooks.updown.rivals import TABLE, choose_rivals, find_shared_tables

if TYPE_CHECKING:
    from collections.abc import Iterator

    from mptcp_hooks.intent.configuration import Heading
    from mptcp_hooks.intent.event import Event
    from mptcp_hooks.intent.settings import Configuration, Settings

# Addresses that are nobody's: RFC 5737, RFC 3849.
_PLAIN = Path(
    iface="sample", device="sample", ifindex=1, family=4, address="192.0.2.2",
    subnet="192.0.2.0/24", gateway="192.0.2.1", onlink=False, default=True, table=20001,
    primary=True, endpoint=True, flags=("subflow", "backup"))
# A path of each kind that a template may make a difference of.
_SAMPLES = (
    _PLAIN,
    _PLAIN._replace(family=6, address="2001:db8::2", subnet="2001:db8::/64", gateway="fe80::1"),
    _PLAIN._replace(gateway="198.51.100.1", onlink=True),
    _PLAIN._replace(subnet="", gateway=""),
    _PLAIN._replace(gateway="", default=False),
    _PLAIN._replace(primary=False, endpoint=False),
    _PLAIN._replace(mark="0x1/0xff", sources=("203.0.113.0/24",), announced=("203.0.113.9",)),
    _PLAIN._replace(routes=(("198.51.100.0/24", "192.0.2.9"), ("203.0.113.0/24", ""))),
)
_NAMES = (
    Name(4, ""),
    Name(4, "192.0.2.53", "198.51.100.1", "sample", 1, True, "192.0.2.2"),
    Name(6, "2001:db8::53", "", "sample", 1, False, "2001:db8::2"),
)


class CheckResult(NamedTuple):
    """What is wrong, one line each, what may be meant, and what was looked at."""

    problems: tuple[Problem, ...]
    notes: tuple[str, ...]
    checked: tuple[str, ...]


_NOTHING = CheckResult((), (), ())
# Where pppd has the files that `provider` names, pppd(8).
_PEERS = "/etc/ppp/peers"
# A file with ten thousand stanzas has half of it.
_SIZE_AT_MOST = 1 << 21


def check_all(ifaces: list[str]) -> CheckResult:
    """What is wrong with the configuration, stanzas (of `ifaces`, or all) and templates."""
    reading = configuration.read_installed()
    stanzas = _check_file(stanza_lines.PATH, ifaces, reading.configuration) \
        if ifupdown.has_ifupdown() else _NOTHING
    return _join(
        CheckResult(tuple(reading.problems),
                    tuple(_note_sections(reading.headings, stanza_lines.PATH)),
                    (f"checked {' and '.join(_list_installed())}",)),
        stanzas,
        CheckResult(tuple(_check_templates()), (), (
            f"checked the templates in {' and '.join(commands.FOLDERS)}",)))


def check_candidates(config: str, interfaces: str, ifaces: list[str]) -> CheckResult:
    """What is wrong with files that are to take the place of the installed ones, '' for none.

    Nothing is said of files that are not named; stanzas are judged by the installed
    configuration where `config` is not named.
    """
    reading = configuration.read_candidate(config) if config else None
    known = reading.configuration if reading else configuration.read_installed().configuration
    notes = _note_sections(reading.headings, interfaces or stanza_lines.PATH) if reading else ()
    own = CheckResult(tuple(reading.problems), tuple(notes), (
        f"checked {config}",)) if reading else _NOTHING
    return _join(own, _check_candidate(interfaces, ifaces, known) if interfaces else _NOTHING)


def _check_candidate(path: str, ifaces: list[str], known: Configuration) -> CheckResult:
    why = _ask_unreadable(path)
    if why:
        return _NOTHING._replace(problems=(Problem(f"{path}: cannot be read: {why}", USAGE),))
    return _check_file(path, ifaces, known)


def _ask_unreadable(path: str) -> str:
    """Why a file of stanzas cannot be read, '' where it can: ifquery would read nothing."""
    if not ifupdown.has_ifupdown():
        return "ifquery is not there (it is of the package ifupdown)"
    try:
        file = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
    except OSError as error:
        return str(error.strerror)
    try:
        info = os.fstat(file)
    finally:
        os.close(file)
    if not is_regular(info):
        return "it is not a file"
    too_large = info.st_size > _SIZE_AT_MOST
    return f"{info.st_size} bytes are too many, {_SIZE_AT_MOST} may be" if too_large else ""


def _check_file(path: str, ifaces: list[str], known: Configuration) -> CheckResult:
    """What is wrong with the stanzas of ifupdown's file, and what it sources."""
    lines = list_stanza_lines(path)
    started = list_started(path)
    names = ifaces or list(dict.fromkeys(line.iface for line in lines))
    # What cannot be read was said: ifquery would say it of each interface.
    complaints = [Problem(line, USAGE) for line in ifupdown.list_complaints(path)]
    stanzas = {} if complaints else {
        name: ifupdown.read_stanzas(name, name, path) for name in names}
    events = [event for name in stanzas for event in _read_events(name, stanzas[name])]
    problems = [
        *complaints, *_list_unknown(ifaces, lines, path),
        *(problem for name in stanzas
          for problem in _check_stanzas(name, stanzas[name], known, lines)),
        *_check_clashes(choose_rivals(events, lines, started, has_mappings(path)), known, lines),
        *judge_lines(lines, names, started)]
    return CheckResult(tuple(problems), tuple(_list_notes(events, known, lines)), (
        f"checked the stanzas of {' '.join(names) or 'no interface'} in {path}",))


def _join(*results: CheckResult) -> CheckResult:
    """All of them as one, in which nothing is said twice."""
    told = {str(problem): problem for result in results for problem in result.problems}
    return CheckResult(
        tuple(told.values()),
        tuple(note for result in results for note in result.notes),
        tuple(what for result in results for what in result.checked))


def _list_installed() -> list[str]:
    folder = f"{configuration.PATH}{FOLDER_SUFFIX}"
    further = sorted(filter(configuration.is_further, list_names(folder)))
    return [configuration.PATH, *(f"{folder}/{name}" for name in further)]


def _note_sections(headings: list[Heading], path: str) -> Iterator[str]:
    """What is right in the configuration, and may not be meant all the same."""
    yield from _note_names(headings, path)
    for where, name, mark in headings:
        if mark:
            yield from tell_users(f"{where}: [{name}]: mark {mark}", mark)


def _note_names(headings: list[Heading], path: str) -> Iterator[str]:
    """Sections that are of no interface here, and nearly of one: right where it is to come.

    `path` is the file of stanzas that counts.
    """
    there = {*list_names("/sys/class/net"), *(line.iface for line in list_stanza_lines(path))}
    for where, name, _ in headings:
        # Another number is another interface, and may be to come.
        swapped = [one for one in sorted(there) if sorted(one) == sorted(name) and one != name
                   and _cut_letters(one) == _cut_letters(name)]
        alike = find_like(name, [one for one in there if _cut_letters(one) == _cut_letters(name)])
        meant = next(iter(swapped), alike)
        if meant and name not in there:
            yield f"{where}: no interface is called {name}: did you mean [{meant}]?"


def _cut_letters(name: str) -> str:
    return "".join(filter(str.isdigit, name))


def _list_unknown(
    ifaces: list[str], lines: list[StanzaLine], path: str
) -> Iterator[Problem]:
    known = {line.iface for line in lines}
    for name in ifaces:
        if name not in known:
            yield Problem(f"{name}: there is no stanza of it in {path}", USAGE)


def _check_stanzas(
    name: str, stanzas: list[dict[str, str]], known: Configuration, lines: list[StanzaLine]
) -> Iterator[Problem]:
    for environment in stanzas:
        for option, text in _judge_stanza(name, environment, known):
            yield Problem(f"{_locate(lines, name, *option)}{text}", USAGE)


def _judge_stanza(
    name: str, environment: dict[str, str], known: Configuration
) -> Iterator[tuple[tuple[str, str], str]]:
    """What the hooks would say of a stanza: of which option, with its value, or of none."""
    try:
        # A logical interface may have a longer name than a device.
        event = read_event(environment | {"IFACE": name[:NAME_LONGEST]})
    except Problem as problem:
        yield ("", ""), str(problem)
        return
    if event is None:
        return
    for option in event.options:
        alone = event._replace(options=(option,))
        try:
            texts = judge_options(alone, read_settings(alone, known))
        except Problem as problem:
            texts = [str(problem)]
        yield from ((option, text) for text in texts)
    settings = _settle(event, known)
    if settings is None or settings.wanted:
        for mistake in read_resolvers(event).mistakes:
            yield (mistake.option, mistake.line), str(mistake.problem)
    if settings and settings.wanted:
        yield from judge_outside(event, settings.gateways, environment)


def _list_notes(
    events: list[Event], known: Configuration, lines: list[StanzaLine]
) -> Iterator[str]:
    """What is right in stanzas, and may not be meant all the same."""
    for event in events:
        yield from _note_dialled(event, lines)
        try:
            mark = read_settings(event, known).own.mark
        except Problem:
            continue
        if mark:
            where = _locate(lines, event.iface, "mptcp-mark", "")
            yield from tell_users(f"{where}{event.iface}: mptcp-mark {mark}", mark)


def _note_dialled(event: Event, lines: list[StanzaLine]) -> Iterator[str]:
    """A stanza for pppd with options, whose link has another name unless pppd is told this one."""
    if not event.options or method_of(event.told) != PPP or is_its_name(event.device):
        return
    # What ifupdown's method takes where none is stated.
    provider = next((line.value for line in lines
                     if (line.iface, line.option) == (event.iface, "provider")), "provider")
    file = f"{_PEERS}/{provider}"
    if not _is_hidden(file) and find_name(read_text(file)) != event.device:
        (option, value), *_ = event.options
        yield (f"{_locate(lines, event.iface, option, value)}{event.iface}: its options count for "
               f"a link of that name, and pppd calls its links ppp0 and so on: name the stanza so, "
               f"or write 'ifname {event.device}' in {file}")


def _is_hidden(path: str) -> bool:
    """Whether a person may not read a file, or may not even know whether it is there."""
    try:
        os.stat(path)
    except OSError as error:
        return isinstance(error, PermissionError)
    return not os.access(path, os.R_OK)


def _check_clashes(
    events: list[Event], known: Configuration, lines: list[StanzaLine]
) -> Iterator[Problem]:
    """What is to be of one uplink alone, and stands in a stanza before, too."""
    for iface, shared in find_shared_tables(events, known):
        yield Problem(f"{_locate(lines, iface, TABLE, '')}{shared}", USAGE)
    own = {stated.address for event in events for stated in event.addresses}
    earlier: list[Path] = []
    for event in events:
        paths = _list_samples(event, known, earlier)
        for path in paths:
            for option, problem in (*find_clashes(path, earlier), *find_announced(
                    path.iface, path.announced, own, earlier)):
                yield Problem(f"{_locate(lines, path.iface, option, '')}{problem}", USAGE)
        earlier += paths


def _read_events(name: str, stanzas: list[dict[str, str]]) -> Iterator[Event]:
    """The events of stanzas that can be read; of the others it is said what is wrong."""
    for environment in stanzas:
        try:
            event = read_event(environment | {"IFACE": name[:NAME_LONGEST]})
        except Problem:
            continue
        if event is not None:
            yield event


def _list_samples(event: Event, known: Configuration, earlier: list[Path]) -> list[Path]:
    """A path of each family of a stanza, with what belongs to it; none of one that is wrong."""
    try:
        settings = read_settings(event, known)
    except Problem:
        return []
    samples: list[Path] = []
    for family in event.families if has_belongings(settings) else ():
        first = not any((one.device, one.family) == (event.device, family) for one in earlier)
        mark, sources, announced = choose_belongings(family, settings, True, first)
        samples.append(_PLAIN._replace(
            iface=event.iface, device=event.device, family=family,
            # What tells it from the others.
            address=f"{len(earlier) + len(samples)}",
            mark=mark, sources=sources, announced=announced))
    return samples


def _settle(event: Event, known: Configuration) -> Settings | None:
    """The settings of a stanza; None where an option is wrong, which is said of that."""
    try:
        return read_settings(event, known)
    except Problem:
        return None


def _locate(lines: list[StanzaLine], name: str, option: str, value: str) -> str:
    """`FILE:LINE: ` of an option, or of its stanza; '' where nothing is known of it."""
    ours = [line for line in lines if line.iface == name]
    fitting = [line for line in ours if line.option == option]
    exact = [line for line in fitting if line.value == " ".join(value.split())]
    for line in (*exact, *fitting, *ours):
        return f"{line.file}:{line.number}: "
    return ""


def _check_templates() -> Iterator[Problem]:
    builds = [partial(build, sample) for sample in _SAMPLES
              for build in (commands.build_up, commands.build_down)]
    limits = [partial(build, Limits(2, 1)) for build in (
        commands.build_raise, commands.build_restore)]
    leading = [partial(build, 4, table) for table in (20001, 0) for build in (
        commands.build_detour, commands.build_end_of_detour)]
    names = [partial(build, name) for name in _NAMES for build in (
        commands.build_name, commands.build_end_of_name)]
    for build in (*builds, *limits, *leading, *names):
        try:
            build()
        except Problem as problem:
            yield problem
