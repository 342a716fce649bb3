"""Waiting for what takes the kernel, a daemon or a provider a moment: never by a pause."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TypeVar

_Answer = TypeVar("_Answer")


def wait_for(look: Callable[[], _Answer], seconds: float = 20) -> _Answer:
    """Ask again until the answer is true, or has lists in it; that answer."""
    end = time.monotonic() + seconds
    while not (answer := look()):
        assert time.monotonic() < end, f"not within {seconds} s: {answer!r}"
        time.sleep(0.05)
    return answer
