# SPDX-License-Identifier: GPL-2.0-or-later
"""What can be understood of a record that cannot be read in full: what was told, how to undo.

A file that was cut off or written into, or that a newer version wrote. The paths it
tells of come back as what could not be undone (model.Stanza): on the way down each of
their lines runs; on the way up what is made anew stays, and the rest goes first.
"""

from __future__ import annotations

from _socket import if_nametoindex

from mptcp_hooks.base.address import family_of
from mptcp_hooks.base.errors import Problem
from mptcp_hooks.base.folder import END
from mptcp_hooks.base.line import find_fault
from mptcp_hooks.base.model import LEAVING, SILENT, Installed, Limits, LimitsRecord, Path, Stanza
from mptcp_hooks.base.value import TYPE_CHECKING, NamedTuple
from mptcp_hooks.engine.commands import STAND_IN, build_down, list_former
from mptcp_hooks.intent.event import recall_event

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

_STANZA, _PATH = "stanza", "path"
_NOBODYS = Limits(-1, -1)


class Decoders(NamedTuple):
    """How the record reads a line of what was told, and the lines of a path."""

    told: Callable[[str], str]
    path: Callable[[list[str]], Installed]


class _Block(NamedTuple):
    """The lines below a heading; `closed` where another heading comes after them."""

    heading: str
    lines: list[str]
    closed: bool


def salvage_stanzas(
    iface: str, lines: list[str], owned: Iterable[str], decoders: Decoders
) -> tuple[Stanza, ...]:
    """The stanzas of an interface whose record has `lines`, all of them or not.

    `owned` are the addresses that have endpoints of ours, whatever these lines say.
    """
    stanzas = [Stanza((), ())]
    for block in _split(lines):
        if block.heading == _STANZA:
            stanzas.append(_salvage_stanza(iface, block, decoders))
        paths = tuple(_salvage_paths(iface, block.lines, decoders))
        stanzas[-1] = stanzas[-1]._replace(paths=(*stanzas[-1].paths, *paths))
    known = {address for stanza in stanzas for one in stanza.paths
             for address in one.path.list_owned()}
    lost = tuple(_recall_line(iface, f"ip mptcp endpoint delete id {STAND_IN}{address}", [])
                 for address in owned if address not in known)
    return tuple(stanza for stanza in (*stanzas, Stanza((), lost)) if stanza.told or stanza.paths)


def salvage_limits(lines: list[str], decode: Callable[[str], Limits]) -> LimitsRecord:
    """The record of the limits; limits that nobody has set where it does not tell them."""
    pairs = [line.partition(" ") for line in lines]
    known = {key: value for key, _, value in pairs}
    try:
        before, raised = decode(known["before"]), decode(known["raised"])
    except (ValueError, KeyError):
        before = raised = _NOBODYS
    owners = tuple(value for key, _, value in pairs if key == "owner")
    return LimitsRecord(before, raised, owners, ())


def _split(lines: list[str]) -> list[_Block]:
    """The blocks; what stands before the first heading is of no stanza."""
    blocks = [_Block("", [], False)]
    for line in lines:
        if line in (_STANZA, _PATH, END):
            blocks[-1] = blocks[-1]._replace(closed=True)
            blocks.append(_Block(line, [], False))
        else:
            blocks[-1].lines.append(line)
    return blocks


def _salvage_stanza(iface: str, block: _Block, decoders: Decoders) -> Stanza:
    """What was told, if all of it can be read: half of it would be another stanza."""
    state = next((line for line in block.lines[:1] if line in (LEAVING, SILENT)), "")
    lines = block.lines[bool(state):]
    try:
        told = tuple(decoders.told(line.removeprefix("told ")) for line in lines)
        whole = block.closed and recall_event(told).iface == iface
    except (ValueError, Problem):
        whole = False
    return Stanza(told, (), state) if whole else Stanza((), ())


def _salvage_paths(iface: str, block: list[str], decoders: Decoders) -> Iterator[Installed]:
    """How to undo a path; line by line where it cannot be told which path that was."""
    down = tuple(line.removeprefix("down ") for line in block if line.startswith("down ")
                 and not find_fault(line.removeprefix("down ")))
    try:
        # What the kernel held is the last that is written, and of no use here.
        path = decoders.path([*block, "kernel "]).path
    except (ValueError, KeyError):
        yield from (_recall_line(iface, line, block) for line in down)
        return
    if path.iface == iface and path.family == family_of(path.address):
        more = (line for line in _render_down(path) if line not in down)
        yield Installed(path, (), (*down, *more), "")
    else:
        yield from (_recall_line(iface, line, block) for line in down)


def _render_down(path: Path) -> tuple[str, ...]:
    """The lines that undo a path by the templates as they are now, and as they once were."""
    try:
        lines = build_down(path)
        return (*lines, *list_former(lines))
    except Problem:
        # A value makes no sense, or the template does not, which is said when it is needed.
        return ()


def _recall_line(iface: str, line: str, block: list[str]) -> Installed:
    """One line that undoes something, with as much of its path as the line says itself."""
    words = line.split(" ")
    said = dict(zip(words, words[1:]))
    identity = said.get("id", "")
    endpoint = identity.startswith(STAND_IN)
    address = identity.removeprefix(STAND_IN) if endpoint else said.get("from", "")
    table = said.get("table", said.get("lookup", ""))
    return Installed(Path(
        iface=iface,
        device=_device_of(iface),
        ifindex=_find_ifindex(iface, block),
        family=6 if "-6" in words else family_of(address),
        address=address,
        subnet="",
        gateway="",
        onlink=False,
        default=False,
        table=int(table) if table.isascii() and table.isdigit() else 0,
        primary=False,
        endpoint=endpoint,
        flags=(),
        # Nobody knows whether it was the path's own, or announced.
        announced=(address,) * endpoint,
    ), (), (line,), "")


def _find_ifindex(iface: str, block: list[str]) -> int:
    """The device's number as it is on record, or now; -1 where nobody knows it."""
    recorded = [line.removeprefix("ifindex ") for line in block if line.startswith("ifindex ")]
    if len(recorded) == 1 and recorded[0].isascii() and recorded[0].isdigit():
        return int(recorded[0])
    try:
        return if_nametoindex(_device_of(iface))
    except OSError:
        return -1


def _device_of(iface: str) -> str:
    return iface.partition(":")[0]
