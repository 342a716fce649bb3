# SPDX-License-Identifier: GPL-2.0-or-later
"""The grammar of a command: what one line of `ip` may be, and what it is about. Pure.

A line is text such as `ip -4 rule add pref 20002 from 10.1.1.2 lookup 20003
protocol 77`. What --dry-run prints, what the record keeps and what the runner runs
is the same text. Nothing but a line that `find_fault` lets through is ever run.
"""

from __future__ import annotations

from _socket import AF_INET, AF_INET6, inet_pton

from mptcp_hooks.base.address import BITS, family_of
from mptcp_hooks.base.value import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from mptcp_hooks.base.model import Path, TableUse

FAMILY_OPTIONS = ("-4", "-6")
# What may stand before a route's destination, see ip-route(8); without, it is unicast.
ROUTE_KINDS = ("unicast", "local", "blackhole", "unreachable", "prohibit")
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


class Line(NamedTuple):
    """A line with the number of the command set that it is of, from 0."""

    number: int
    text: str


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


def find_neighbour_fault(line: str) -> str:
    """Why a line is not one that asks for a gateway's link address, or forgets it; '' if it is.

    Such lines are of the package's own code: no template and no record has any.
    """
    words = line.split(" ")
    # A probe is sent to the link address that is known, which stands before the device.
    if words[5:6] == ["lladdr"] and words[3:4] == ["replace"] and words[9:] == ["nud", "probe"] \
            and _is_link_address(words[6]):
        words = [*words[:5], *words[7:9], "use"]
    if _is_about_neighbour(words) and words[7:] == ["use"] * (words[3] == "replace"):
        return ""
    return f"{line!r} is not an 'ip neigh' command that asks for a gateway"


def _is_about_neighbour(words: list[str]) -> bool:
    if len(words) < 7 or [words[0], words[2], words[5]] != ["ip", "neigh", "dev"]:
        return False
    family = {"-4": AF_INET, "-6": AF_INET6}.get(words[1])
    return (family is not None and _is_address(family, words[4]) and bool(words[6])
            and words[3] in ("del", "replace") and _CHARACTERS.issuperset(words[6]))


def _is_link_address(text: str) -> bool:
    parts = text.split(":")
    return 1 < len(parts) <= 32 and all(
        len(part) == 2 and set(part) <= set("0123456789abcdef") for part in parts)


def _is_address(family: int, text: str) -> bool:
    try:
        inet_pton(family, text)
    except (OSError, ValueError):
        return False
    return True


def without_family(line: str) -> str:
    """A line as the path manager takes it: endpoints and limits have no family."""
    words = line.split(" ")
    if words[1] in FAMILY_OPTIONS and words[2] == "mptcp":
        return " ".join([words[0], *words[2:]])
    return line


def is_mptcp(line: str) -> bool:
    """Whether a line is about the path manager, not about routing."""
    return line.startswith("ip mptcp ")


def is_endpoint_add(line: str, address: str) -> bool:
    """Whether a line makes an endpoint of the address."""
    return is_mptcp(line) and {"endpoint", "add", address} <= set(line.split(" "))


def is_shown(line: str, path: Path, use: TableUse) -> bool:
    """Whether the kernel shows what a line of the path's set makes.

    `use` has what names the path's address, device, table, mark, or one of the subnets that
    leave by it: a line that names none of them is taken for shown.
    """
    words = line.split(" ")
    if words[1] in FAMILY_OPTIONS:
        del words[1]
    kind, verb, *rest = words[1:]
    if kind == "rule" and verb == "add":
        return _is_rule_shown(dict(zip(rest[::2], rest[1::2])), path, use)
    if kind == "route" and verb not in ("del", "delete"):
        return _is_route_shown(rest, path, use)
    return True


def _is_rule_shown(said: dict[str, str], path: Path, use: TableUse) -> bool:
    source, table, device = said.get("from", ""), said.get("lookup", ""), said.get("oif", "")
    mark = _read_mark(said)
    if _with_length(source) not in path.list_sources() and str(path.table) != table \
            and path.device != device and not (mark and mark == path.mark):
        return True
    return any(
        (rule.source, rule.destination, rule.device, rule.incoming, rule.mark) == (
            _with_length(source), _with_length(said.get("to", "")), device, said.get("iif", ""),
            mark)
        and _is_number(said, "pref", rule.preference) and _is_number(said, "lookup", rule.table)
        and _is_number(said, "suppress_prefixlength", rule.suppress)
        for rule in use.rules)


def _read_mark(said: dict[str, str]) -> str:
    """The mark that a line says, as the kernel's answers are read."""
    if "fwmark" not in said:
        return ""
    from mptcp_hooks.base.mark import normalise_mark

    return normalise_mark(said["fwmark"])


def _is_number(said: dict[str, str], word: str, number: int | None) -> bool:
    """Whether a number is the one that a line says after a word, as far as it says one."""
    return said.get(word, "") in ("", str(number)) or not said[word].isdigit()


def _is_route_shown(rest: list[str], path: Path, use: TableUse) -> bool:
    kind, destination = ("unicast", rest[0]) if rest[0] not in ROUTE_KINDS else rest[:2]
    if f" table {path.table} " not in f" {' '.join(rest)} ":
        return True
    return any(route.kind == kind and route.destination == _with_length(destination)
               for route in use.routes)


def _with_length(prefix: str) -> str:
    """A prefix as the kernel's answers are read: a host has its length, all has no word."""
    if prefix in ("", "all", "default") or "/" in prefix:
        return "" if prefix == "all" else prefix
    return f"{prefix}/{BITS[family_of(prefix)]}"


def read_value(line: str, word: str) -> str:
    """What follows a word of a line; '' where the word is not there."""
    words = line.split(" ")
    return dict(zip(words, words[1:])).get(word, "")


def family_option(line: str) -> str:
    """`-4` or `-6` where a line begins with it, else ''."""
    word = line.split(" ", 2)[1]
    return word if word in FAMILY_OPTIONS else ""
