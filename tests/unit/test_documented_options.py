# SPDX-License-Identifier: GPL-2.0-or-later
"""No page names an option that a command of ours does not have."""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

from tests.unit.help import ROOT, read_real_options

PAGES = [ROOT / "README.md", ROOT / "HACKING.md", *sorted((ROOT / "docs").rglob("*.md")),
         *sorted((ROOT / "man").glob("*.[1-9]"))]
# A command with what follows it on its line, in its quotes; options of what mptcp_run starts
# stand behind a word without a dash.
_CALL = re.compile(r"\b(mptcp_(?:up|down|status|run|monitor|check))((?: +--?[\w-]+)+)")


@cache
def has_options(command: str) -> set[str]:
    return read_real_options(command)


def read_calls(page: Path) -> Iterator[tuple[str, str]]:
    text = page.read_text().replace("\\-", "-")
    for command, options in _CALL.findall(text):
        for option in options.split():
            yield command, option


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.name))
def test_options_that_a_page_names_are_there(page: Path) -> None:
    assert not [call for call in read_calls(page) if call[1] not in has_options(call[0])]


def test_calls_are_found() -> None:
    found = {call for page in PAGES for call in read_calls(page)}
    assert {("mptcp_up", "--check"), ("mptcp_run", "--enable"),
            ("mptcp_status", "--candidates")} <= found
