"""Small text files that may not be there, as most of /proc and /sys may not."""

from __future__ import annotations


def read_text(path: str) -> str:
    """The text of a small file; '' of one that is not there, or that we may not read.

    Bytes that are no UTF-8 come as lone surrogates (PEP 383), and go out as they came in.
    """
    try:
        with open(path, encoding="utf-8", errors="surrogateescape") as file:
            return file.read()
    except OSError:
        return ""
