# SPDX-License-Identifier: GPL-2.0-or-later
"""/var/lib/mptcp-hooks: what was found of uplinks, so that a boot need not find it out again.

A line for each uplink that was judged: its interface, its gateways with commas between them or
`-`, what it carried at its best down and up in bit/s, and why it is a backup, if it is one.
Behind another gateway it is another uplink, with a line of its own, if any. Nobody but
mptcp_monitor writes it, so it takes no lock.
"""

from __future__ import annotations

from mptcp_hooks.base.address import family_of
from mptcp_hooks.base.errors import Problem
from mptcp_hooks.base.folder import exists, open_folder, open_unlocked
from mptcp_hooks.base.value import NamedTuple

STATE = "/var/lib/mptcp-hooks"
_UPLINKS = "uplinks"
_NOTHING = "-"
# No link carries more, and a machine has no more uplinks.
_RATE_AT_MOST, UPLINKS_AT_MOST = 10**13, 64


class Remembered(NamedTuple):
    """One uplink; `why` is '' where it is no backup."""

    iface: str
    gateways: tuple[str, ...]
    down: int
    up: int
    why: str


def load_uplinks() -> tuple[tuple[Remembered, ...], str]:
    """What is remembered, and what is wrong with it, '' for nothing; of that nothing counts."""
    try:
        folder = open_folder(STATE, lock=False)
        try:
            lines, fault = folder.read_lines(_UPLINKS)
        finally:
            folder.close()
    except Problem as problem:
        return (), str(problem)
    try:
        if not fault:
            return tuple(map(_decode, lines[-UPLINKS_AT_MOST:])), ""
    except ValueError:
        fault = "makes no sense"
    return (), f"{STATE}/{_UPLINKS} {fault}: what uplinks carry is measured anew"


def save_uplinks(uplinks: tuple[Remembered, ...]) -> None:
    """Remember the last of them; none leave no file. Problem where they cannot be written."""
    if not uplinks and not exists(STATE, _UPLINKS):
        return
    folder = open_unlocked(STATE)
    try:
        folder.write_lines(_UPLINKS, list(map(_encode, uplinks[-UPLINKS_AT_MOST:])))
    finally:
        folder.close()


def is_same(old: tuple[str, ...], new: tuple[str, ...]) -> bool:
    """Whether gateways are of one network, of which one may know those of one family alone."""
    families = set(map(family_of, old)) & set(map(family_of, new))
    if not families:
        return not (old or new)
    shared = set(old) & set(new)
    return families == set(map(family_of, shared))


def _encode(one: Remembered) -> str:
    gateways = ",".join(one.gateways) or _NOTHING
    return f"{one.iface} {gateways} {one.down} {one.up} {one.why}"


def _decode(line: str) -> Remembered:
    iface, gateways, down, up, why = line.split(" ", 4)
    rates = int(down), int(up)
    if not all(0 <= rate <= _RATE_AT_MOST for rate in rates):
        raise ValueError("no rate")
    return Remembered(iface, () if gateways == _NOTHING else tuple(gateways.split(",")),
                      *rates, why)
