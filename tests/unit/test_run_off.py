# SPDX-License-Identifier: GPL-2.0-or-later
"""What mptcp_run --off sees of the descriptors that it is given."""

from __future__ import annotations

import os
import socket
from pathlib import Path

import pytest

from mptcp_hooks.run import off


def list_open() -> list[str]:
    # The last one is that of the folder itself.
    return sorted(os.listdir("/proc/self/fd"), key=int)[:-1]


def test_descriptors_are_looked_at_and_left_as_they_are(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One that is no socket, a socket of another kind, and those that it is about.

    TCP stands for MPTCP, which a kernel that builds the package need not have.
    """
    monkeypatch.setattr(off, "IPPROTO_MPTCP", socket.IPPROTO_TCP)
    with open(tmp_path / "file", "w", encoding="utf-8") as file, \
            socket.socketpair()[0] as pair, socket.socket() as one, socket.socket() as other:
        pair.setblocking(False)
        before = list_open()
        ours = {one.fileno(), other.fileno()}
        assert ours <= {*off.list_inherited()} and pair.fileno() not in off.list_inherited()
        assert list_open() == before and not pair.getblocking()
        assert all(os.fstat(number) for number in (file.fileno(), pair.fileno(), *ours))
