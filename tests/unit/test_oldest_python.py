"""The syntax of the oldest Python that the package runs on; mypy knows that one's library."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

from tests.unit.help import ROOT

_OLDEST = (3, 10)
_SHELL = {"dhcp", "start_event"}
SOURCES = sorted([*ROOT.glob("mptcp_hooks/**/*.py"),
                  *(path for path in ROOT.glob("hooks/*") if path.name not in _SHELL)])


def test_there_are_sources() -> None:
    assert len(SOURCES) > 100


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: path.name)
def test_a_source_has_no_newer_syntax(path: Path) -> None:
    ast.parse(path.read_text(encoding="utf-8"), feature_version=_OLDEST)


def test_newer_syntax_would_be_found() -> None:
    with pytest.raises(SyntaxError):
        ast.parse("try: pass\nexcept* ValueError: pass\n", feature_version=_OLDEST)
