# SPDX-License-Identifier: GPL-2.0-or-later
"""What ifupdown knows of interfaces and their stanzas: `ifquery` asked, its answers as events."""

from __future__ import annotations

import posix

from mptcp_hooks.base import address
from mptcp_hooks.base.errors import USAGE, Problem
from mptcp_hooks.base.spawn import run_program
from mptcp_hooks.base.value import TYPE_CHECKING, NamedTuple
from mptcp_hooks.intent.event import Event, is_of_stanza, read_event, recall_event
from mptcp_hooks.intent.settings import read_settings
from mptcp_hooks.intent.stanza_lines import PATH, group_stanzas, list_names, list_stanza_lines

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Sequence

    from mptcp_hooks.intent.settings import Configuration

# Options that ifupdown takes for another one.
_SAME = {"post-up": "up", "pre-down": "down"}
# Those that have a line each time that they are stated; the values of all others go on below.
_COMMANDS = {"IF_PRE_UP", "IF_UP", "IF_DOWN", "IF_POST_DOWN"}
_NO_FILE = "No such file or directory"
# What ifupdown adds to a static stanza by itself, inet's and inet6's, and which of it always.
_ADDED_LAST = {"IF_BROADCAST", "IF_DAD_INTERVAL"}
_ADDED = {*_ADDED_LAST, "IF_NETMASK", "IF_AUTOCONF", "IF_ACCEPT_RA", "IF_DAD_ATTEMPTS",
          "IF_PREFERRED_LIFETIME"}


class _Written(NamedTuple):
    """A stanza as it stands in the file, and what it has from the one that it inherits from.

    `stated` are the variables of its options, each as often as ifquery prints it.
    """

    iface: str
    family: str
    method: str
    stated: tuple[str, ...]


_UNKNOWN = _Written("", "", "", ())


def list_up() -> list[str]:
    """The interfaces that ifupdown has up, the loopback aside."""
    up = list_up_interfaces() if has_ifupdown() else []
    return [iface for iface in up if iface != "lo"]


def ask_events(iface: str) -> list[Event]:
    """The events of an interface's stanzas in ifupdown's file, or of one without options."""
    return read_events(ask_ifquery(iface) or [{"IFACE": iface}])


def list_stated(ifaces: Iterable[str]) -> dict[str, str]:
    """Those interfaces that have stanzas, with whose those are, without a question for each."""
    logical = _read_states() if has_ifupdown() else {}
    names = set(list_names())
    return {iface: logical.get(iface, iface) for iface in ifaces
            if logical.get(iface, iface) in names}


def ask_ifquery(iface: str, logical: str = "") -> list[dict[str, str]]:
    """The environments of an interface's stanzas; none where nobody knows of any.

    `logical` is whose those are, where that is known.
    """
    return read_stanzas(iface, logical) if has_ifupdown() else []


def find_edits(
    told: Iterable[tuple[str, ...]], environments: Iterable[dict[str, str]],
    configuration: Configuration,
) -> set[str]:
    """The variables that stanzas have another value of than what was `told` of their interface.

    What is left alone does not count, before as after. Problem where a stanza is wrong.
    """
    events = [event for event in map(read_event, environments) if event is not None]
    before, after = ({_find_options(event) for event in stanzas
                      if read_settings(event, configuration).wanted}
                     for stanzas in (map(recall_event, told), events))
    gone, new = before - after, after - before
    lines = {line for stanza in gone for line in stanza ^ _find_like(stanza, new)}
    lines |= {line for stanza in new for line in stanza ^ _find_like(stanza, gone)}
    return {line.partition("=")[0] for line in lines if line.startswith("IF_")}


def _find_options(event: Event) -> frozenset[str]:
    """What a stanza states, with its family: an option that moves to the other one counts."""
    return frozenset(line for line in event.told if line.startswith(("IF_", "ADDRFAM=")))


def _find_like(stanza: frozenset[str], others: Iterable[frozenset[str]]) -> frozenset[str]:
    """The one of the others that has most in common with a stanza; nothing where there is none."""
    return max(others, key=lambda other: len(other & stanza), default=frozenset())


def list_edited(
    iface: str, told: Collection[tuple[str, ...]], configuration: Configuration, logical: str = ""
) -> list[Event]:
    """The events of an interface whose stanzas say something else than what was `told` of it.

    None where it has no stanza, or is not one's at all. `logical` is as for ask_ifquery. Problem
    where a stanza is wrong.
    """
    environments = ask_ifquery(iface, logical) if all(map(is_of_stanza, told)) else []
    edited = environments and find_edits(told, environments, configuration)
    return read_events(environments) if edited else []


def read_events(environments: Iterable[dict[str, str]]) -> list[Event]:
    """The events of environments; a stanza without addresses gets what the others do not state."""
    events = [event for event in map(read_event, environments) if event is not None]
    return sorted(events, key=lambda event: not event.addresses)


def read_stanzas(iface: str, logical: str = "", path: str = PATH) -> list[dict[str, str]]:
    """What ifquery says of an interface, as the environments its hooks would have.

    ifquery prints the stanzas one after another without a line between them: what stands in
    the file tells them apart.
    `logical` is whose they are, if not those that the interface is up with, `path` the file
    that they stand in. Empty
    where ifupdown does not know the interface, or where ifquery is that of ifupdown2 or
    ifupdown-ng, which print the file's own lines. Problem (USAGE) where the file cannot be read.
    """
    name = logical or _find_logical(iface)
    outcome = run_program("ifquery", (*_name_file(path), name))
    lines = outcome.output.splitlines()
    if outcome.status != 0:
        _refuse_unreadable(outcome.errors)
    if outcome.status != 0 or any(line.startswith("iface ") for line in lines):
        return []
    written = [one for one in _list_written(path) if one.iface == name]
    found = split_stanzas(lines, [one.stated for one in written])
    return [{"IFACE": iface, **_tell_kind(stanza, one), **stanza}
            for stanza, one in zip(found, written or [_UNKNOWN] * len(found))]


def _list_written(path: str) -> list[_Written]:
    """The stanzas of a file; one inherits from the first of a name that is of its family.

    If it names one, and among those that stand before, as seen with ifupdown 0.8.41.
    """
    written: list[_Written] = []
    for begin, *lines in group_stanzas(list_stanza_lines(path)):
        kind, _, inherited = f" {begin.value}".partition(" inherits ")
        family, method, *_ = *kind.split(), "", ""
        base = next((one for one in written if one.iface == inherited
                     and family in ("", one.family)), _UNKNOWN)
        names = [*base.stated, *map(_name_variable, (
            _SAME.get(line.option, line.option) for line in lines))]
        written.append(_Written(
            begin.iface, family or base.family, method or base.method,
            tuple(name for place, name in enumerate(names)
                  if name in _COMMANDS or name not in names[:place])))
    return written


def _refuse_unreadable(errors: str) -> None:
    """Raise Problem for what keeps ifupdown's ifquery from reading its files, if anything does."""
    found = [line for line in find_complaints(errors) if not is_missing(line)]
    if found:
        raise Problem(f"{found[0]}: no stanza can be read until that is mended", USAGE)


def find_complaints(errors: str) -> list[str]:
    """What ifquery says of its files, less what it says of interfaces."""
    said = [line for line in errors.splitlines() if line.startswith("ifquery: ")
            and ": unknown interface " not in line]
    # That a file could not be read is the echo of what is wrong in it.
    return [line for line in said if "couldn't read" not in line] or said


def is_missing(complaint: str) -> bool:
    """Whether it is that the file is not there, as on a machine that has no use for it."""
    return complaint.endswith(_NO_FILE)


def split_stanzas(
    lines: Iterable[str], expected: Sequence[Sequence[str]] = ()
) -> list[dict[str, str]]:
    """ifquery's lines as the IF_* of each stanza; what comes first may be no stanza at all.

    `expected` is what each stanza states, in the order of the file. ifquery prints that first,
    and then what ifupdown adds, which may be what the next stanza states: so they are told apart
    from the last one on. Where nothing is known of the file, _guess_stanzas does it.
    """
    pairs = _read_pairs(lines)
    if not expected:
        return _guess_stanzas(pairs)
    stanzas: list[dict[str, str]] = []
    for stated in reversed(expected[1:]):
        begin = _find_begin([name for name, _ in pairs], stated)
        stanzas.insert(0, dict(pairs[begin:]))
        del pairs[begin:]
    return [dict(pairs), *stanzas]


def _find_begin(names: list[str], stated: Iterable[str]) -> int:
    """Where the last stanza begins: at the last place behind which is all that it states."""
    left, begin = list(stated), len(names)
    for place in reversed(range(len(names))):
        if names[place] in left:
            left.remove(names[place])
            begin = place
    return begin


def _read_pairs(lines: Iterable[str]) -> list[tuple[str, str]]:
    """The variables of ifquery's lines; a repeated option continues on a line of its own."""
    pairs: list[tuple[str, str]] = []
    for line in lines:
        option, colon, value = line.partition(":")
        if colon:
            pairs.append((_name_variable(option), value.strip()))
        elif pairs:
            pairs[-1] = (pairs[-1][0], f"{pairs[-1][1]}\n{line}")
    return pairs


def _name_variable(option: str) -> str:
    return "IF_" + option.upper().replace("-", "_")


def _guess_stanzas(pairs: Iterable[tuple[str, str]]) -> list[dict[str, str]]:
    """The stanzas of which the file's lines are not known.

    What comes after the options that ifupdown itself adds at the end of a static
    stanza begins the next one, and so does an option that the stanza has
    already. If it had it before its address, that address began a stanza.
    """
    stanzas: list[dict[str, str]] = [{}]
    for name, value in pairs:
        current = stanzas[-1]
        if _ADDED_LAST & current.keys() and name not in _ADDED:
            stanzas.append({})
        elif name in current:
            stanzas.append(_cut_at_address(current) if name in _before_address(current) else {})
        stanzas[-1][name] = value
    return stanzas


def _before_address(stanza: dict[str, str]) -> list[str]:
    names = list(stanza)
    return names[:names.index("IF_ADDRESS")] if "IF_ADDRESS" in stanza else []


def _cut_at_address(stanza: dict[str, str]) -> dict[str, str]:
    first = _before_address(stanza)
    return {name: stanza.pop(name) for name in list(stanza) if name not in first}


def list_complaints(path: str = PATH) -> list[str]:
    """What is wrong with ifupdown's files, in ifquery's words; nothing where they can be read."""
    if not has_ifupdown():
        return []
    return find_complaints(run_program("ifquery", (*_name_file(path), "--list")).errors)


def list_up_interfaces() -> list[str]:
    """The interfaces that ifupdown has up, in the order they came up, aliases after devices."""
    return sorted(reversed(_read_states()), key=lambda iface: ":" in iface)


def _read_states() -> dict[str, str]:
    """By whose stanzas ifupdown has interfaces up, the newest first."""
    outcome = run_program("ifquery", ("--state",))
    pairs = (line.partition("=") for line in outcome.output.splitlines())
    return {iface: logical for iface, _, logical in pairs}


def has_ifupdown() -> bool:
    """Whether ifquery can be asked."""
    return any(posix.access(f"{directory}/ifquery", posix.X_OK)
               for directory in ("/usr/sbin", "/sbin"))


def _name_file(path: str) -> tuple[str, ...]:
    """The option for a file that is not where ifquery looks by itself."""
    return () if path == PATH else (f"--interfaces={path}",)


def _find_logical(iface: str) -> str:
    outcome = run_program("ifquery", ("--state", iface))
    return outcome.output.strip().partition("=")[2] or iface


def _tell_kind(stanza: dict[str, str], written: _Written) -> dict[str, str]:
    """What ifquery does not print, the family and the method, by the stanza's first line."""
    if written.family in ("inet", "inet6"):
        return {"ADDRFAM": written.family, "METHOD": written.method}
    text = stanza.get("IF_ADDRESS", "")
    return {"ADDRFAM": "inet6" if address.family_of(text) == 6 else "inet"} if text else {}
