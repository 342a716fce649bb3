# SPDX-License-Identifier: GPL-2.0-or-later
"""Which uplinks are known from before, by their interfaces and gateways. Pure.

An interface is another uplink in another network: a laptop's Wi-Fi may be weak at home and the
better one at work.
"""

from __future__ import annotations

from mptcp_hooks.base.value import TYPE_CHECKING, NamedTuple
from mptcp_hooks.engine.remembered import UPLINKS_AT_MOST, Remembered, is_same
from mptcp_hooks.monitor.judge import Best, Verdict

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping

    Gateways = tuple[str, ...]


class Meeting(NamedTuple):
    """The interfaces that are other uplinks than before, and what is known of those that came."""

    strangers: tuple[str, ...]
    recalled: dict[str, Verdict]


class Acquaintances:
    """What is remembered of uplinks, the latest last, and behind which gateways they are now."""

    def __init__(self, remembered: Iterable[Remembered]) -> None:
        self._remembered = tuple(remembered)
        self._gateways: dict[str, Gateways] = {}
        # Those that have paths now.
        self._present: dict[str, Gateways] = {}

    def meet(self, gateways: Mapping[str, Gateways], judged: Collection[str]) -> Meeting:
        """Take in the gateways of interfaces that have paths; `judged` are those with a verdict.

        One that went and came back is compared with what it was before it went; without a gateway
        it is nothing else than it was.
        """
        present = {iface: now or self._gateways.get(iface, ()) for iface, now in gateways.items()}
        strangers = tuple(iface for iface, now in present.items()
                          if self._gateways.get(iface) and not is_same(self._gateways[iface], now))
        # The latest stay last.
        others = {iface: old for iface, old in self._gateways.items() if iface not in present}
        self._gateways = dict([*others.items(), *present.items()][-UPLINKS_AT_MOST:])
        self._present = present
        known = {one.iface: Verdict(Best(one.down, one.up), one.why) for one in self._remembered
                 if one.iface in present and is_same(one.gateways, present[one.iface])}
        return Meeting(strangers, {iface: verdict for iface, verdict in known.items()
                                   if any(verdict.best)
                                   and (iface in strangers or iface not in judged)})

    def learn(self, verdicts: Mapping[str, Verdict]) -> tuple[Remembered, ...] | None:
        """Remember what was found of those that were met; all there is then, None if no news."""
        found = [Remembered(iface, self._present[iface], int(best.down), int(best.up), why)
                 for iface, (best, why) in verdicts.items() if iface in self._present]
        new = [one for one in found if not any(_says(old, one) for old in self._remembered)]
        if not new:
            return None
        others = [one for one in self._remembered if not any(
            one.iface == other.iface and is_same(one.gateways, other.gateways) for other in new)]
        # Of too many the oldest are forgotten.
        self._remembered = (*others, *new)[-UPLINKS_AT_MOST:]
        return self._remembered


def _says(old: Remembered, new: Remembered) -> bool:
    """Whether what is remembered says as much, of as many gateways or more."""
    return set(new.gateways) <= set(old.gateways) and new == old._replace(gateways=new.gateways)
