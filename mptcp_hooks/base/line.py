"""The grammar of a command: what one line of `ip` may be, and what it is about. Pure.

A line is text such as `ip -4 rule add pref 20002 from 10.1.1.2 lookup 20003
protocol 77`. What --dry-run prints, what the record keeps and what the runner runs
is the same text. Nothing but a line that `find_fault` lets through is ever run.
"""

from __future__ import annotations

from mptcp_hooks.base.value import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

    from mptcp_hooks.base.model import Path

FAMILY_OPTIONS = ("-4", "-6")
_OPTIONS_BEFORE = ("-4 ", "-6 ")
_CHARACTERS = frozenset(
    "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789._:/@%+=,-"
)
_WITH_BLANKS = _CHARACTERS | {" "}
# A flush is none of them: it would take what is not ours.
_VERBS = {
    "rule": ("add ", "del ", "delete "),
    "route": ("add ", "append ", "replace ", "change ", "del ", "delete "),
    "mptcp": ("endpoint add ", "endpoint change ", "endpoint delete ", "limits set "),
}


def find_fault(line: str) -> str:
    """Why a line is not one `ip` rule, route or mptcp command that adds or deletes; '' if it is."""
    if not _WITH_BLANKS.issuperset(line):
        word = next(word for word in line.split(" ") if not _CHARACTERS.issuperset(word))
        return f"{line!r}: {word!r} may not stand in a command"
    program, _, rest = line.partition(" ")
    if rest.startswith(_OPTIONS_BEFORE):
        rest = rest[3:]
    kind, _, rest = rest.partition(" ")
    if program == "ip" and f"{rest} ".startswith(_VERBS.get(kind, ())):
        return ""
    return f"{line!r} is not an 'ip' rule, route or mptcp command that adds or deletes"


def without_family(line: str) -> str:
    """A line as the path manager takes it: endpoints and limits have no family."""
    words = line.split(" ")
    if words[1] in FAMILY_OPTIONS and words[2] == "mptcp":
        return " ".join([words[0], *words[2:]])
    return line


def is_mptcp(line: str) -> bool:
    """Whether a line is about the path manager, not about routing."""
    return line.startswith("ip mptcp ")


def is_endpoint_add(line: str, path: Path) -> bool:
    """Whether a line makes the path's endpoint."""
    return is_mptcp(line) and {"endpoint", "add", path.address} <= set(line.split(" "))


def read_value(line: str, word: str) -> str:
    """What follows a word of a line; '' where the word is not there."""
    words = line.split(" ")
    return dict(zip(words, words[1:])).get(word, "")


def list_kinds(lines: Iterable[str], path: Path) -> set[str]:
    """What the lines make that names the path's address or table: "rule", "route" or both."""
    table = str(path.table)
    naming = {("from", path.address), ("lookup", table), ("table", table)}
    found = (words for words in (line.split(" ") for line in lines)
             if not naming.isdisjoint(zip(words, words[1:])))
    return {words[2] if words[1] in FAMILY_OPTIONS else words[1] for words in found}


def family_option(line: str) -> str:
    """`-4` or `-6` where a line begins with it, else ''."""
    word = line.split(" ", 2)[1]
    return word if word in FAMILY_OPTIONS else ""
