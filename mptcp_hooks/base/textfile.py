# SPDX-License-Identifier: GPL-2.0-or-later
"""Small text files that may not be there, as most of /proc and /sys may not."""

from __future__ import annotations

import os

# No small file comes near it; a sparse one may say that it has a terabyte.
_SIZE_AT_MOST = 1 << 24


def read_text(path: str) -> str:
    """The text of a small file; '' of one that is not there, not small, or not ours to read.

    Bytes that are no UTF-8 come as lone surrogates (PEP 383), and go out as they came in.
    """
    try:
        # O_NONBLOCK: a FIFO that lies there is empty, and is not waited for.
        file = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
    except OSError:
        return ""
    try:
        return _read_all(file).decode("utf-8", "surrogateescape")
    except OSError:
        return ""
    finally:
        os.close(file)


def _read_all(file: int) -> bytes:
    """All that a file has, in pieces: those of /proc have no size; nothing of one too large."""
    pieces: list[bytes] = []
    left = _SIZE_AT_MOST
    while piece := os.read(file, min(left + 1, 1 << 16)):
        pieces.append(piece)
        left -= len(piece)
        if left < 0:
            return b""
    return b"".join(pieces)
