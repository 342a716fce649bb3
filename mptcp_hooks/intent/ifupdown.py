"""What ifupdown knows of interfaces and their stanzas: `ifquery` asked, its answers as events."""

from __future__ import annotations

import posix

from mptcp_hooks.base import address
from mptcp_hooks.base.spawn import run_program
from mptcp_hooks.base.value import TYPE_CHECKING
from mptcp_hooks.intent.event import Event, read_event

if TYPE_CHECKING:
    from collections.abc import Iterable

PATH = "/etc/network/interfaces"
# What ifupdown adds to a static stanza by itself, inet's and inet6's, and which of it always.
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


def read_events(environments: Iterable[dict[str, str]]) -> list[Event]:
    """The events of environments; a stanza without addresses gets what the others do not state."""
    events = [event for event in map(read_event, environments) if event is not None]
    return sorted(events, key=lambda event: not event.addresses)


def read_stanzas(iface: str, logical: str = "", path: str = PATH) -> list[dict[str, str]]:
    """What ifquery says of an interface, as the environments its hooks would have.

    ifquery prints the stanzas one after another without a line between them.
    `logical` is whose they are, if not those that the interface is up with, `path` the file
    that they stand in. Empty
    where ifupdown does not know the interface, or where ifquery is that of ifupdown2 or
    ifupdown-ng, which print the file's own lines.
    """
    outcome = run_program("ifquery", (*_name_file(path), logical or _find_logical(iface)))
    lines = outcome.output.splitlines()
    if outcome.status != 0 or any(line.startswith("iface ") for line in lines):
        return []
    return [{"IFACE": iface, **_family_of_stanza(stanza), **stanza}
            for stanza in split_stanzas(lines)]


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


def read_complaints(path: str = PATH) -> str:
    """What is wrong with ifupdown's files, in ifquery's words; '' where they can be read."""
    return run_program("ifquery", (*_name_file(path), "--list")).errors


def list_up_interfaces() -> list[str]:
    """The interfaces that ifupdown has up, in the order they came up, aliases after devices."""
    outcome = run_program("ifquery", ("--state",))
    newest_first = [line.partition("=")[0] for line in outcome.output.splitlines()]
    return sorted(reversed(newest_first), key=lambda iface: ":" in iface)


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


def _family_of_stanza(stanza: dict[str, str]) -> dict[str, str]:
    text = stanza.get("IF_ADDRESS", "")
    if not text:
        return {}
    return {"ADDRFAM": "inet6" if address.family_of(text) == 6 else "inet"}
