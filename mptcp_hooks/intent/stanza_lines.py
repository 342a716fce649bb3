# SPDX-License-Identifier: GPL-2.0-or-later
"""Where the stanzas of ifupdown's file and their options stand; what they say, ifquery tells.

interfaces(5): a stanza goes on until the next word that begins one; a backslash at the
end of a line joins it to the next; `source` and `source-directory` bring in other files.
"""

from __future__ import annotations

import os
import re
from glob import glob

from mptcp_hooks.base.textfile import read_text
from mptcp_hooks.base.value import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

PATH = "/etc/network/interfaces"
_SOURCE, _SOURCE_DIRECTORY = ("source",), ("source-directory", "source-dir")
_MAPPING = "mapping"
_BEGINNINGS = ("rename", "template", "no-auto-down", "no-scripts")


class StanzaLine(NamedTuple):
    """One option of a stanza, or its first line (`option` ''); `value` with single blanks.

    `file` and `number` say where it stands. Of a first line `value` is what follows the name, as
    `inet static` or `inet inherits wan`. An option has - in its name, as hooks are told of it:
    mptcp_table is mptcp-table.
    """

    file: str
    number: int
    iface: str
    option: str
    value: str


def list_stanza_lines(path: str = PATH) -> list[StanzaLine]:
    """The lines of all stanzas, as far as they can be read."""
    return [line for line in _walk(path, set()) if line.iface]


def has_stanza(iface: str) -> bool:
    """Whether there is a stanza of that name."""
    return iface in list_names()


def list_names() -> list[str]:
    """The names that stanzas have, each once."""
    return list(dict.fromkeys(line.iface for line in list_stanza_lines()))


def list_started(path: str = PATH) -> set[str]:
    """The interfaces that come up by themselves, at boot or when they are plugged in."""
    return {name for line in _walk(path, set()) if _is_starting(line.option)
            for name in line.value.split()}


def has_mappings(path: str = PATH) -> bool:
    """Whether devices get one of several stanzas, by a script's word."""
    return any(line.option == _MAPPING for line in _walk(path, set()))


def group_stanzas(lines: Iterable[StanzaLine]) -> list[list[StanzaLine]]:
    """The lines of each stanza, its first line first."""
    stanzas: list[list[StanzaLine]] = []
    for line in lines:
        if not line.option:
            stanzas.append([])
        stanzas[-1].append(line)
    return stanzas


def _walk(path: str, seen: set[str]) -> Iterator[StanzaLine]:
    iface = ""
    for number, words in _list_lines(path, seen):
        if words[0] in _SOURCE + _SOURCE_DIRECTORY:
            iface = ""
            for sourced in _list_sourced(os.path.dirname(path), words):
                yield from _walk(sourced, seen)
        elif words[0] == "iface":
            iface = words[1] if len(words) > 1 else ""
            yield StanzaLine(path, number, iface, "", " ".join(words[2:]))
        elif words[0] == _MAPPING or _is_starting(words[0]):
            iface = ""
            yield StanzaLine(path, number, "", words[0], " ".join(words[1:]))
        elif words[0] in _BEGINNINGS:
            iface = ""
        elif iface:
            option = words[0].lower().replace("_", "-")
            yield StanzaLine(path, number, iface, option, " ".join(words[1:]))


def _is_starting(word: str) -> bool:
    """Whether a line names interfaces that come up by themselves."""
    return word == "auto" or word.startswith("allow-")


def _list_lines(path: str, seen: set[str]) -> Iterator[tuple[int, list[str]]]:
    """The words of each line that says something, once a file; ifquery says what cannot be read."""
    real = os.path.realpath(path)
    text = "" if real in seen else read_text(real)
    seen.add(real)
    begun = ""
    for number, line in enumerate(text.split("\n"), start=1):
        if not begun:
            first = number
        if line.endswith("\\") and not line.lstrip().startswith("#"):
            begun += line[:-1] + " "
            continue
        words = (begun + line).split()
        begun = ""
        if words and not words[0].startswith("#"):
            yield first, words


def _list_sourced(folder: str, words: list[str]) -> list[str]:
    """The files that a line brings in; of a directory those that run-parts would take."""
    found = [path for word in words[1:] for path in sorted(glob(os.path.join(folder, word)))]
    if words[0] in _SOURCE:
        return found
    return [entry.path for path in found if os.path.isdir(path)
            for entry in sorted(os.scandir(path), key=lambda entry: entry.name)
            if re.fullmatch("[A-Za-z0-9_-]+", entry.name)]
