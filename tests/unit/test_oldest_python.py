# SPDX-License-Identifier: GPL-2.0-or-later
"""The licence of each source, and the syntax of the oldest Python; mypy knows its library."""

from __future__ import annotations

import ast
from operator import attrgetter
from pathlib import Path

import pytest

from tests.unit.help import ROOT

_OLDEST = (3, 10)
_SHELL = {"dhcp", "start_event"}
SOURCES = sorted([*ROOT.glob("mptcp_hooks/**/*.py"),
                  *(path for path in ROOT.glob("hooks/*") if path.name not in _SHELL)])


def test_there_are_sources() -> None:
    assert len(SOURCES) > 100


@pytest.mark.parametrize("path", SOURCES, ids=attrgetter("name"))
def test_a_source_has_no_newer_syntax(path: Path) -> None:
    ast.parse(path.read_text(encoding="utf-8"), feature_version=_OLDEST)


@pytest.mark.parametrize("path", SOURCES, ids=attrgetter("name"))
def test_a_source_names_its_licence(path: Path) -> None:
    """A line like this module's first one, which a file that is new must have too."""
    assert "SPDX-License-Identifier: GPL-2.0-or-later" in path.read_text(encoding="utf-8")


def test_newer_syntax_would_be_found() -> None:
    with pytest.raises(SyntaxError):
        ast.parse("try: pass\nexcept* ValueError: pass\n", feature_version=_OLDEST)
