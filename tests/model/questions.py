# SPDX-License-Identifier: GPL-2.0-or-later
"""What is asked of a machine by a datagram, and what a far end sees of it."""

from __future__ import annotations

from typing import NamedTuple


class Question(NamedTuple):
    """A datagram: the address and the device it is bound to, '' for none, and whom it is for."""

    family: int
    source: str
    device: str
    target: str

    def __str__(self) -> str:
        bound = f"from {self.source}" * bool(self.source) or f"over {self.device}" * bool(
            self.device) or "bound to nothing"
        return f"IPv{self.family} to {self.target}, {bound}"


class Arrival(NamedTuple):
    """The far end at which it came in, named after the near one, and its source there."""

    device: str
    source: str

    def __str__(self) -> str:
        return f"by {self.device} from {self.source or 'any address'}" if self.device else "nowhere"


NOWHERE = Arrival("", "")
