# SPDX-License-Identifier: GPL-2.0-or-later
"""Which interfaces mptcp_monitor leaves alone, because another program fights over them.

Pure: times come in, in seconds of the monotonic clock.
"""

from __future__ import annotations

from mptcp_hooks.base.value import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

# So many repairs in so many seconds are a fight with another program.
_REPAIRS_AT_MOST, _REPAIRS_WITHIN = 5, 60.0


UNDONE = ("another program keeps removing its rules or routes: not restored until its link or an "
          "address of it changes")
OVERTAKEN = ("another program keeps putting its rule in front of ours: left there until a reload")


class Fights:
    """Counts repairs, and names the interfaces on which another program undoes them all.

    So for what else is made again and again; `word` is what is said of one that is left alone.
    """

    def __init__(self, word: str = UNDONE) -> None:
        self._word = word
        self._repairs: dict[str, list[float]] = {}
        self.resting: frozenset[str] = frozenset()

    def note(self, repaired: Iterable[str], now: float) -> list[str]:
        """Count a round's repairs; what a person should hear of interfaces given up for now."""
        said = []
        for iface in dict.fromkeys(repaired):
            times = [then for then in self._repairs.get(iface, ()) if now - then < _REPAIRS_WITHIN]
            self._repairs[iface] = [*times, now]
            if len(times) + 1 >= _REPAIRS_AT_MOST:
                self.resting |= {iface}
                said.append(f"{iface}: {self._word}")
        return said

    def forgive(self, has_changed: Callable[[str], bool]) -> None:
        """Begin anew with devices, by whichever of their names, whose link or addresses changed."""
        for iface in [one for one in self._repairs if has_changed(one.partition(":")[0])]:
            del self._repairs[iface]
            self.resting -= {iface}

    def forgive_all(self) -> None:
        """Begin anew with all."""
        self._repairs.clear()
        self.resting = frozenset()
