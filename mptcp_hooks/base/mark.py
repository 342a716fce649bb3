# SPDX-License-Identifier: GPL-2.0-or-later
"""Marks of packets, as a firewall sets them and rules ask for them: a number and a mask. Pure.

fwmark of ip-rule(8): a packet fits where the bits of its mark that the mask has are the number.
"""

from __future__ import annotations

ALL_BITS = 0xFFFFFFFF


def parse_mark(text: str) -> tuple[int, int]:
    """Number and mask of `N` or `N/MASK`, decimal or hexadecimal; ValueError of anything else."""
    number, slash, mask = text.partition("/")
    return _parse(number), _parse(mask) if slash else ALL_BITS


def format_mark(number: int, mask: int) -> str:
    """A mark as `ip rule` prints it: hexadecimal, without a mask of all bits."""
    return f"{number:#x}" if mask == ALL_BITS else f"{number:#x}/{mask:#x}"


def normalise_mark(text: str) -> str:
    """A mark as format_mark has it, the text itself where it is none."""
    try:
        return format_mark(*parse_mark(text))
    except ValueError:
        return text


def are_mixed(one: tuple[int, int], other: tuple[int, int]) -> bool:
    """Whether a firewall cannot set one of two marks without a thought for the other.

    Equal masks hold one number each; masks that differ may have no bit in common.
    """
    return one[0] == other[0] if one[1] == other[1] else bool(one[1] & other[1])


def _parse(text: str) -> int:
    """A number of 32 bits; as Python reads it, without what else Python would take for one."""
    small = text.lower()
    digits = small.removeprefix("0x")
    base = 10 if digits == small else 16
    if not digits or not set(digits) <= set("0123456789abcdef"[:base]) or len(digits) > 10:
        raise ValueError(f"{text!r} is no number")
    number = int(digits, base)
    if number > ALL_BITS:
        raise ValueError(f"{text!r} has more than 32 bits")
    return number
