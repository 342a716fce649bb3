# SPDX-License-Identifier: GPL-2.0-or-later
"""What of /run/mptcp-hooks is about resolvers: `names` and `IFACE.resolvers`, beside the record.

Hooks that bring interfaces up or down do not load this module.
"""

from __future__ import annotations

from mptcp_hooks.base.folder import NAMES
from mptcp_hooks.base.value import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from mptcp_hooks.base.folder import Folder

_SUFFIX = ".resolvers"
_HEADING = "name"


class Name(NamedTuple):
    """A resolver that is asked over the one uplink that names it, and how that is undone.

    It is a host route in the table of names, by the path of the address `source`. `resolver` is
    '' of the family's rule that leads to that table, which has nothing of what comes after it.
    """

    family: int
    resolver: str
    gateway: str = ""
    device: str = ""
    ifindex: int = 0
    onlink: bool = False
    source: str = ""
    down: tuple[str, ...] = ()


def load_names(folder: Folder) -> tuple[Name, ...]:
    """The resolvers that are asked over one uplink; what cannot be read of it counts for nothing.

    The monitor's next round finds what stands of it, and makes it right.
    """
    lines, fault = folder.read_lines(NAMES)
    blocks: list[list[str]] = []
    try:
        for line in [] if fault else lines:
            if line == _HEADING:
                blocks.append([])
            else:
                blocks[-1].append(line)
        return tuple(map(_decode, blocks))
    except (ValueError, KeyError, IndexError):
        return ()


def has_names(folder: Folder) -> bool:
    """Whether there is a table of names, or was."""
    return NAMES in folder.list_names()


def save_names(folder: Folder, names: tuple[Name, ...]) -> None:
    """Replace the names on record; none leaves no file."""
    folder.write_lines(NAMES, [line for one in names for line in (
        _HEADING, *(f"{field} {value}" for field, value in zip(Name._fields, one)
                    if field != "down"), *(f"down {line}" for line in one.down))])


def load_resolvers(folder: Folder, iface: str) -> dict[str, tuple[str, ...]]:
    """IPv6's resolvers that were noted of an interface, by who named them.

    What cannot be read is said again by those who named them.
    """
    lines, fault = folder.read_lines(iface + _SUFFIX)
    noted: dict[str, tuple[str, ...]] = {}
    for word, _, resolver in (line.partition(" ") for line in ([] if fault else lines)):
        noted[word] = (*noted.get(word, ()), *[resolver] * bool(resolver))
    return noted


def save_resolvers(folder: Folder, iface: str, word: str, resolvers: tuple[str, ...]) -> None:
    """Note whom a word of IPv6's names on an interface now; what is as it was is not written.

    Advertisements come often, and who is told of each write would look at each.
    """
    before = load_resolvers(folder, iface)
    if before.get(word, ()) == resolvers:
        return
    folder.write_lines(iface + _SUFFIX, [
        f"{by} {resolver}" for by, named in {**before, word: resolvers}.items()
        for resolver in named])


def _decode(lines: list[str]) -> Name:
    pairs = [line.split(" ", 1) for line in lines]
    known = dict(pairs)
    return Name(
        family=int(known["family"]), resolver=known["resolver"], gateway=known["gateway"],
        device=known["device"], ifindex=int(known["ifindex"]),
        onlink={"True": True, "False": False}[known["onlink"]], source=known["source"],
        down=tuple(value for key, value in pairs if key == "down"))
