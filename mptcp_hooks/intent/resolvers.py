# SPDX-License-Identifier: GPL-2.0-or-later
"""Which resolvers a stanza names in `dns-nameservers`, checked.

That option is resolvconf's, not ours: what is wrong with it costs no path, and each word that is
good counts. Hooks do not load this module.
"""

from __future__ import annotations

from mptcp_hooks.base import address
from mptcp_hooks.base.errors import Problem, wrong_value
from mptcp_hooks.base.value import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterator

    from mptcp_hooks.intent.event import Event

# The options, by the variables that hold them; either may stand in a stanza (resolvconf(8)).
_OPTIONS = {"IF_DNS_NAMESERVERS": "dns-nameservers", "IF_DNS_NAMESERVER": "dns-nameserver"}
# Programs use three (resolv.conf(5)).
RESOLVERS_AT_MOST = 16


class Mistake(NamedTuple):
    """What is wrong with a word of an option, and the line that the word stands in."""

    option: str
    line: str
    problem: Problem


class Resolvers(NamedTuple):
    """The addresses that a stanza names, each once, and what is wrong with the rest."""

    named: tuple[str, ...]
    mistakes: tuple[Mistake, ...]


def read_resolvers(event: Event) -> Resolvers:
    """The resolvers that are told with an event; of this machine and of its link none are."""
    named: dict[str, None] = {}
    mistakes: list[Mistake] = []
    for option, line in _list_lines(event.told):
        for word in line.split():
            try:
                resolver = _read_word(event, option, word)
                if len(named) == RESOLVERS_AT_MOST and resolver not in named:
                    raise wrong_value(event.iface, option, word,
                                      f"one of {RESOLVERS_AT_MOST} at the most")
            except Problem as problem:
                mistakes.append(Mistake(option, line, problem))
                continue
            if address.is_remote(resolver):
                named[resolver] = None
    return Resolvers(tuple(named), tuple(mistakes))


def _list_lines(told: tuple[str, ...]) -> Iterator[tuple[str, str]]:
    """The options with what they say; one that is given twice has two lines."""
    variables = dict(variable.split("=", 1) for variable in told)
    for name, option in _OPTIONS.items():
        yield from ((option, line) for line in variables.get(name, "").split("\n"))


def _read_word(event: Event, option: str, word: str) -> str:
    """The address that a word is; a zone says on which link, and is of one alone."""
    host, percent, _ = word.partition("%")
    try:
        resolver = address.normalise(host)
    except ValueError:
        raise wrong_value(event.iface, option, word, "an IPv4 or IPv6 address") from None
    if percent and not address.is_link_local(resolver):
        raise wrong_value(event.iface, option, word, "without %: it is no address of one link")
    for own in event.addresses:
        subnet = address.network(own.address, own.length)
        if resolver == address.broadcast(subnet):
            raise wrong_value(event.iface, option, word, "an address that one host can have, and "
                              f"this one is all of {subnet}")
    if not address.is_unicast(resolver):
        raise wrong_value(event.iface, option, word, "an address that one host can have")
    return resolver
