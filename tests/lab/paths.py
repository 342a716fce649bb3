"""What every way to two uplinks must end in: one transfer over both."""

from __future__ import annotations

from tests.lab.lab import SERVER_4, Lab

MEGABYTE = 1_000_000


def check_both_paths(lab: Lab, server: str = SERVER_4) -> None:
    """A transfer is whole, and each uplink carried a good part of it."""
    sent = lab.transfer(4 * MEGABYTE, server)
    assert sent.whole and min(sent.uplinks) > MEGABYTE / 2, sent
