# SPDX-License-Identifier: GPL-2.0-or-later
"""Rules of somebody else, as the kernel's messages have them: for whom they are, and what they do.

Names as in include/uapi/linux/fib_rules.h.
"""

from __future__ import annotations

from sys import byteorder

from mptcp_hooks.base.address import contains
from mptcp_hooks.base.model import Rule
from mptcp_hooks.base.numbering import MAIN_TABLE, PROTOCOL
from mptcp_hooks.base.value import NamedTuple
from mptcp_hooks.machine.netlink import RULE, dump_rules, parse_rule, read_attributes

_INVERT, _UNRESOLVED, _REFUSALS = 0x2, 0x4, (6, 7, 8)
_TOS_AT, _ACTION_AT = 3, 7
_IIFNAME, _GOTO, _OIFNAME = 3, 4, 17
# What a rule says besides of whom it is for: addresses, where it stands, and what it does.
_NO_SELECTORS = {1, 2, 4, 6, 11, 13, 14, 15, 18, 21}


class ForeignRule(NamedTuple):
    """A rule; `narrow` where it asks for more of a packet than addresses, `negated` where it is
    for all but those, `refuses` where it ends the search without a table. `leads_to` is the
    preference at which a goto has the search go on, 0 where it goes on behind the rule.
    """

    rule: Rule
    narrow: bool
    negated: bool
    refuses: bool
    leads_to: int

    def covers(self, address: str) -> bool:
        """Whether it is for a packet from the address with no mark, that goes anywhere."""
        if self.narrow or self.rule.destination:
            return self.negated
        source = self.rule.source
        return self.negated != (not source or bool(address) and contains(source, address))


def list_foreign(family: int) -> list[ForeignRule]:
    """The rules of others that the kernel asks between its own first one and main, in order."""
    found = [read_foreign(message) for message in dump_rules(family)
             if len(message) >= RULE.size]
    before = []
    for one in found:
        if (one.rule.table, one.rule.suppress, one.rule.source) == (MAIN_TABLE, None, "") \
                and not one.narrow and not one.negated:
            break
        if one.rule.preference and one.rule.protocol != PROTOCOL:
            before.append(one)
    return before


def read_foreign(message: bytes) -> ForeignRule:
    """The rule of a message that is as long as a rule's at least."""
    said = read_attributes(message, RULE.size)
    action, flags = message[_ACTION_AT], RULE.unpack_from(message)[-1]
    # `lo` is where the machine's own packets come in.
    own = said.get(_IIFNAME, b"").rstrip(b"\0") in (b"", b"lo")
    # A goto whose target is not there does nothing.
    target = b"" if flags & _UNRESOLVED else said.get(_GOTO, b"")
    return ForeignRule(
        parse_rule(message),
        bool(message[_TOS_AT]) or not own or _OIFNAME in said
        or not set(said) <= {*_NO_SELECTORS, _IIFNAME},
        bool(flags & _INVERT),
        action in _REFUSALS,
        int.from_bytes(target, byteorder))
