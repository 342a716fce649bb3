# SPDX-License-Identifier: GPL-2.0-or-later
"""One picture of mptcp_status --watch, as it fits a window. Pure.

Its parts stand in the order of their weight: what is lost of one that does not fit, is lost at its
end, and a last line says so.
"""

from __future__ import annotations

from time import localtime, strftime

from mptcp_hooks.base.text import count
from mptcp_hooks.base.value import TYPE_CHECKING, NamedTuple
from mptcp_hooks.status.layout import cut, measure
from mptcp_hooks.status.uplinks import choose_uplinks, draw_uplinks

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from mptcp_hooks.status.paint import Paint
    from mptcp_hooks.status.uplinks import Uplink

# Of the lines below the head uplinks take no more, where there is something else.
_SHARE_OF_UPLINKS = 2 / 3
_LINES_OF_AN_UPLINK = 2


class Head(NamedTuple):
    """The first line: when, where, what it comes to, and a hint for the keyboard."""

    time: float
    host: str
    summary: str
    hint: str


def draw_frame(
    head: Head, uplinks: Sequence[Uplink], blocks: Iterable[list[str]], paint: Paint,
    height: int | None = None,
) -> list[str]:
    """The lines of a picture, no more than `height`; None is without end."""
    rest = [line for block in blocks if block for line in ("", *block)]
    lines = [_draw_head(head, paint), *_draw_uplinks(uplinks, bool(rest), paint, height), *rest]
    if height is not None and len(lines) > height:
        lost = count(len(lines) - height + 1, "more line")
        lines[height - 1:] = [paint.doubtful(f"{lost} than the window has room for")]
    return [cut(line, paint.width, paint.mark) for line in lines]


def _draw_head(head: Head, paint: Paint) -> str:
    clock = strftime("%H:%M:%S", localtime(head.time))
    left = "  ".join(filter(None, [clock, paint.bold(head.host), head.summary]))
    gap = (paint.width or 0) - measure(left) - len(head.hint)
    return f"{left}{' ' * gap}{head.hint}" if head.hint and gap > 1 else left


def _draw_uplinks(
    uplinks: Sequence[Uplink], shared: bool, paint: Paint, height: int | None
) -> list[str]:
    """Their table below a free line; of more than fit those that matter most."""
    shown, hidden = list(uplinks), list[str]()
    # Without the head, the free line and the headings.
    room = (height or 0) - 3
    lines = int(room * _SHARE_OF_UPLINKS) if shared else room
    if height is not None and len(uplinks) * _LINES_OF_AN_UPLINK > lines:
        shown = choose_uplinks(uplinks, max(1, (lines - 1) // _LINES_OF_AN_UPLINK))
        hidden = [paint.doubtful(f"{count(len(uplinks) - len(shown), 'more uplink')} with "
                                 "less traffic")] * (len(shown) < len(uplinks))
    table = draw_uplinks(shown, paint)
    return ["", *table, *hidden] if table else []
