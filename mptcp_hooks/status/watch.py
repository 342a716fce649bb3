# SPDX-License-Identifier: GPL-2.0-or-later
"""mptcp_status --watch: a look a second, on a screen of its own or one below the other."""

from __future__ import annotations

import sys
from platform import node
from time import monotonic, sleep

from mptcp_hooks.base.text import describe_span
from mptcp_hooks.base.value import TYPE_CHECKING
from mptcp_hooks.engine.remembered import load_uplinks
from mptcp_hooks.base.text import format_bytes
from mptcp_hooks.status.frame import Head, draw_frame
from mptcp_hooks.status.looks import measure_rates, measure_round_trips
from mptcp_hooks.status.paint import choose_paint, find_size
from mptcp_hooks.status.terminal import Terminal, has_screen
from mptcp_hooks.status.uplinks import RateLog

if TYPE_CHECKING:
    from collections.abc import Callable

    from mptcp_hooks.status.looks import ConnectionsLook, PathsLook
    from mptcp_hooks.status.uplinks import Uplink

    Look = PathsLook | ConnectionsLook

_PERIOD = 1.0


class _Watch:
    """What was seen so far, and the last look; `verbose` has what only few want to know."""

    def __init__(self, take_look: Callable[[], Look], look: Look, verbose: bool) -> None:
        self._take_look, self._verbose = take_look, verbose
        self._began = look.moment
        # What cannot be read is measured anew; mptcp_monitor says so.
        self._log = RateLog(load_uplinks()[0])
        self._log.note(look.survey.devices, {})
        self._rtts = measure_round_trips(look.survey)
        self.look = look

    @property
    def next_at(self) -> float:
        """When to look again."""
        return self.look.moment + _PERIOD

    def look_again(self) -> None:
        """Take the next look."""
        before, self.look = self.look, self._take_look()
        self._log.note(self.look.survey.devices, measure_rates(before, self.look))
        self._rtts = measure_round_trips(self.look.survey)

    def draw(self, hint: str = "", height: int | None = None) -> list[str]:
        """The last look as it is shown."""
        paint = choose_paint(sys.stdout)
        blocks = [*self.look.draw_blocks(paint), self.look.explain(paint) * self._verbose]
        head = Head(self.look.time, node(), self.look.sum_up(paint), hint)
        return draw_frame(head, self._list_uplinks(), blocks, paint, height)

    def sum_up(self) -> list[str]:
        """What went over each uplink in all that time."""
        span = describe_span(self.look.moment - self._began)
        return [f"{name}: sent {format_bytes(sent)}, received {format_bytes(received)} in {span}"
                for name, sent, received in self._log.sum_up(
                    uplink.name for uplink in self._list_uplinks())]

    def _list_uplinks(self) -> list[Uplink]:
        return self._log.list_uplinks(self.look.paths, self._rtts)


def watch(take_look: Callable[[], Look], look: Look, verbose: bool) -> int:
    """Draw each second what is to be seen, `look` at first; the status is the last one's."""
    watching = _Watch(take_look, look, verbose)
    on_screen = has_screen(sys.stdout)
    try:
        (_show if on_screen else _print)(watching)
    except KeyboardInterrupt:
        # So it is ended where there is no key for that.
        pass
    if on_screen:
        print(*watching.sum_up(), sep="\n")
    return watching.look.status


def _show(watching: _Watch) -> None:
    """On a screen of its own, until somebody leaves it."""
    with Terminal(sys.stdout) as terminal:
        hint = "q leaves" if terminal.has_keys else ""
        while True:
            terminal.draw(watching.draw(hint, find_size(sys.stdout)[1] or None))
            if terminal.wait(watching.next_at):
                return
            if monotonic() >= watching.next_at:
                watching.look_again()


def _print(watching: _Watch) -> None:
    """One below the other."""
    while True:
        print(*watching.draw(), "", sep="\n", flush=True)
        sleep(max(0.0, watching.next_at - monotonic()))
        watching.look_again()
