"""Numbers as people read them."""

from __future__ import annotations


def count(number: int, noun: str) -> str:
    """`1 subflow`, `2 subflows`."""
    return f"{number} {noun}{'s' * (number != 1)}"
