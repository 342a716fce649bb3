# SPDX-License-Identifier: GPL-2.0-or-later
"""What is to be of one uplink alone, and stands in several stanzas. Pure."""

from __future__ import annotations

from mptcp_hooks.base.errors import Problem, wrong_value
from mptcp_hooks.base.value import TYPE_CHECKING, NamedTuple
from mptcp_hooks.intent.event import NAME_LONGEST
from mptcp_hooks.intent.settings import read_settings

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from mptcp_hooks.intent.event import Event
    from mptcp_hooks.intent.settings import Configuration
    from mptcp_hooks.intent.stanza_lines import StanzaLine

TABLE = "mptcp-table"
_INHERITS = "inherits"


class _Claim(NamedTuple):
    """What a stanza takes for a family; `table` is 0 where any is as good."""

    iface: str
    device: str
    family: int
    table: int


def choose_rivals(
    events: Iterable[Event], lines: Iterable[StanzaLine], started: set[str], mapped: bool
) -> list[Event]:
    """The events of those stanzas that may be up at once.

    What others inherit from, and does not come up by itself (`started`), is never up: interfaces(5)
    has it as a template. Where a script chooses among logical interfaces (`mapped`), those that do
    not come up by themselves may take turns.
    """
    lent = {word for line in lines if not line.option for word in _list_lenders(line)}
    return [event for event in events if _is_among(event.iface, started) or not (
        mapped or _is_among(event.iface, lent))]


def find_shared_tables(
    events: Iterable[Event], known: Configuration
) -> Iterator[tuple[str, Problem]]:
    """The interfaces whose stanzas want a table that an earlier one has, each with its Problem."""
    claims: list[_Claim] = []
    for event in events:
        for claim in _list_claims(event, known, claims):
            rival = next((one for one in claims if claim.table and (
                one.family, one.table) == (claim.family, claim.table)), None)
            if rival:
                yield event.iface, wrong_value(
                    event.iface, TABLE, str(claim.table),
                    f"a table of its own, and {rival.iface} has it already")
            claims.append(claim)


def _list_claims(
    event: Event, known: Configuration, claims: Iterable[_Claim]
) -> list[_Claim]:
    """One for each family; a section's table is for the first path of the device alone."""
    try:
        settings = read_settings(event, known)
    except Problem:
        return []
    taken = {(one.device, one.family) for one in claims}
    return [_Claim(event.iface, event.device, family, settings.table or (
        0 if (event.device, family) in taken else settings.usual_table))
        for family in event.families] if settings.wanted else []


def _list_lenders(line: StanzaLine) -> list[str]:
    words = line.value.split()
    return [name for word, name in zip(words, words[1:]) if word == _INHERITS]


def _is_among(iface: str, names: Iterable[str]) -> bool:
    """Whether one of the names is that of an event's interface, which a longer one is cut to."""
    return any(name[:NAME_LONGEST] == iface for name in names)
