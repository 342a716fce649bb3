"""What ifupdown knows of interfaces and their stanzas: `ifquery` asked, its answers as events."""

from __future__ import annotations

import posix

from mptcp_hooks.base import address
from mptcp_hooks.base.errors import USAGE, Problem
from mptcp_hooks.base.spawn import run_program
from mptcp_hooks.base.value import TYPE_CHECKING
from mptcp_hooks.intent.event import MANUAL, Event, read_event

if TYPE_CHECKING:
    from collections.abc import Iterable

# What ifupdown adds to a static stanza by itself, inet's and inet6's, and which of it always.
_STATIC = "static"
# Of a machine without that file nothing is wrong.
_NO_FILE = "No such file or directory"
_ADDED_LAST = {"IF_BROADCAST", "IF_DAD_INTERVAL"}
_ADDED = {*_ADDED_LAST, "IF_NETMASK", "IF_AUTOCONF", "IF_ACCEPT_RA", "IF_DAD_ATTEMPTS",
          "IF_PREFERRED_LIFETIME"}


def list_up() -> list[str]:
    """The interfaces that ifupdown has up, the loopback aside."""
    up = list_up_interfaces() if has_ifupdown() else []
    return [iface for iface in up if iface != "lo"]


def ask_events(iface: str) -> list[Event]:
    """The events of an interface's stanzas in ifupdown's file, or of one without options."""
    return read_events(ask_ifquery(iface) or [{"IFACE": iface}])


def ask_ifquery(iface: str) -> list[dict[str, str]]:
    """The environments of an interface's stanzas; none where nobody knows of any."""
    return read_stanzas(iface) if has_ifupdown() else []


def find_edits(told: Iterable[tuple[str, ...]], environments: Iterable[dict[str, str]]) -> set[str]:
    """The variables that stanzas have another value of than what was `told` of their interface.

    Whose variable it is does not count: ifquery prints an interface's stanzas as one. Problem
    where a stanza is wrong by now.
    """
    events = [event for event in map(read_event, environments) if event is not None]
    before, now = ({line for lines in stanzas for line in lines if line.startswith("IF_")}
                   for stanzas in (told, [event.told for event in events]))
    return {line.partition("=")[0] for line in before ^ now}


def read_events(environments: Iterable[dict[str, str]]) -> list[Event]:
    """The events of environments; a stanza without addresses gets what the others do not state."""
    events = [event for event in map(read_event, environments) if event is not None]
    return sorted(events, key=lambda event: not event.addresses)


def read_stanzas(iface: str, logical: str = "") -> list[dict[str, str]]:
    """What ifquery says of an interface, as the environments its hooks would have.

    ifquery prints the stanzas one after another without a line between them.
    `logical` is whose they are, if not those that the interface is up with. Empty
    where ifupdown does not know the interface, or where ifquery is that of ifupdown2 or
    ifupdown-ng, which print the file's own lines. Problem (USAGE) where the file cannot be read.
    """
    name = logical or _find_logical(iface)
    outcome = run_program("ifquery", (name,))
    lines = outcome.output.splitlines()
    if outcome.status != 0:
        _refuse_unreadable(outcome.errors)
    if outcome.status != 0 or any(line.startswith("iface ") for line in lines):
        return []
    return [{"IFACE": iface, **_tell_kind(stanza, name), **stanza}
            for stanza in split_stanzas(lines)]


def _refuse_unreadable(errors: str) -> None:
    """Raise Problem for what keeps ifupdown's ifquery from reading its files, if anything does."""
    found = find_complaints(errors)
    if found:
        raise Problem(f"{found[0]}: no stanza can be read until that is mended", USAGE)


def find_complaints(errors: str) -> list[str]:
    """What ifquery says of its files, if they are there, less what it says of interfaces."""
    said = [line for line in errors.splitlines() if line.startswith("ifquery: ")
            and ": unknown interface " not in line and not line.endswith(_NO_FILE)]
    # That a file could not be read is the echo of what is wrong in it.
    return [line for line in said if "couldn't read" not in line] or said


def split_stanzas(lines: list[str]) -> list[dict[str, str]]:
    """ifquery's lines as the IF_* of each stanza; what comes first may be no stanza at all.

    What comes after the options that ifupdown itself adds at the end of a static
    stanza begins the next one, and so does an option that the stanza has
    already. If it had it before its address, that address began a stanza.
    """
    stanzas: list[dict[str, str]] = [{}]
    name = ""
    for line in lines:
        option, colon, value = line.partition(":")
        if not colon:
            # A repeated option continues on a line of its own.
            stanzas[-1][name] = f"{stanzas[-1].get(name, '')}\n{line}"
            continue
        name = "IF_" + option.upper().replace("-", "_")
        current = stanzas[-1]
        if _ADDED_LAST & current.keys() and name not in _ADDED:
            stanzas.append({})
        elif name in current:
            stanzas.append(_cut_at_address(current) if name in _before_address(current) else {})
        stanzas[-1][name] = value.strip()
    return stanzas


def _before_address(stanza: dict[str, str]) -> list[str]:
    names = list(stanza)
    return names[:names.index("IF_ADDRESS")] if "IF_ADDRESS" in stanza else []


def _cut_at_address(stanza: dict[str, str]) -> dict[str, str]:
    first = _before_address(stanza)
    return {name: stanza.pop(name) for name in list(stanza) if name not in first}


def list_complaints() -> list[str]:
    """What is wrong with ifupdown's files, in ifquery's words; nothing where they can be read."""
    return find_complaints(run_program("ifquery", ("--list",)).errors) if has_ifupdown() else []


def list_up_interfaces() -> list[str]:
    """The interfaces that ifupdown has up, in the order they came up, aliases after devices."""
    outcome = run_program("ifquery", ("--state",))
    newest_first = [line.partition("=")[0] for line in outcome.output.splitlines()]
    return sorted(reversed(newest_first), key=lambda iface: ":" in iface)


def has_ifupdown() -> bool:
    """Whether ifquery can be asked."""
    return any(posix.access(f"{directory}/ifquery", posix.X_OK)
               for directory in ("/usr/sbin", "/sbin"))


def _find_logical(iface: str) -> str:
    outcome = run_program("ifquery", ("--state", iface))
    return outcome.output.strip().partition("=")[2] or iface


def _tell_kind(stanza: dict[str, str], name: str) -> dict[str, str]:
    """What ifquery does not print: the family, or of a stanza without addresses its method."""
    text = stanza.get("IF_ADDRESS", "")
    if text:
        return {"ADDRFAM": "inet6" if address.family_of(text) == 6 else "inet"}
    method = _find_method(name)
    return {"METHOD": method} if method else {}


def _find_method(name: str) -> str:
    """The method of an interface's stanza without addresses, one that leads anywhere if any is."""
    from mptcp_hooks.intent.stanza_lines import list_stanza_lines

    methods = [line.value.split()[-1] for line in list_stanza_lines()
               if line.iface == name and not line.option and line.value]
    found = [method for method in methods if method != _STATIC]
    return next((method for method in found if method != MANUAL), next(iter(found), ""))
