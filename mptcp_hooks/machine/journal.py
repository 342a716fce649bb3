# SPDX-License-Identifier: GPL-2.0-or-later
"""Entries with fields for systemd's journal, by its native protocol (systemd.io)."""

from __future__ import annotations

import os
from contextlib import suppress
from socket import AF_UNIX, SOCK_DGRAM, socket

from mptcp_hooks.base.value import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

_SOCKET = "/run/systemd/journal/socket"
# What tells news from warnings there: syslog(3).
_INFO = "6"


def is_heard() -> bool:
    """Whether what this process says goes to the journal (systemd.exec(5))."""
    return "JOURNAL_STREAM" in os.environ


def note(program: str, message: str, fields: Mapping[str, str]) -> None:
    """One more entry, where the journal takes it: it is a service to readers, and no more."""
    entry = {"MESSAGE": message, "PRIORITY": _INFO, "SYSLOG_IDENTIFIER": program, **fields}
    text = "".join(f"{name}={_flatten(value)}\n" for name, value in entry.items())
    with suppress(OSError), socket(AF_UNIX, SOCK_DGRAM) as journal:
        journal.setblocking(False)
        journal.sendto(text.encode("utf-8", "backslashreplace"), _SOCKET)


def _flatten(value: str) -> str:
    """A value in one line; one with line breaks has another form, which none of ours needs."""
    return " ".join(value.split())
