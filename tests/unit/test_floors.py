# SPDX-License-Identifier: GPL-2.0-or-later
"""The house: four floors, and nothing imports upward; docs/internals/architecture.md draws it."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.unit.help import ROOT

PACKAGE = ROOT / "mptcp_hooks"
# What each floor may take from, besides itself. The door imports what each call needs.
BELOW: dict[str, set[str]] = {
    "base": set(),
    "machine": {"base"},
    "intent": {"base", "machine"},
    "engine": {"base", "machine", "intent"},
    "updown": {"base", "machine", "intent", "engine"},
    "monitor": {"base", "machine", "intent", "engine"},
    "checker": {"base", "machine", "intent", "engine"},
    "force": {"base", "machine"},
    "status": {"base", "machine", "intent", "engine", "force"},
    "run": {"base", "machine", "force"},
    "hook": {"base", "machine", "intent", "engine"},
    "loader": set(),
}
MODULES = sorted(path for path in PACKAGE.rglob("*.py") if path.name != "__init__.py")


def list_imports(path: Path) -> Iterator[tuple[str, str]]:
    """The floor and the module of each import of ours, those for type checkers among them."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.ImportFrom) and node.module:
            package, _, rest = node.module.partition(".")
            floor, _, module = rest.partition(".")
            if package == "mptcp_hooks" and floor:
                yield from ((floor, module or alias.name) for alias in node.names)


def floor_of(path: Path) -> str:
    return path.relative_to(PACKAGE).parts[0].removesuffix(".py")


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_nothing_imports_upward(path: Path) -> None:
    floor = floor_of(path)
    arrows = {(floor, other) for other, _ in list_imports(path)}
    assert arrows <= {(floor, other) for other in BELOW[floor] | {floor}}


@pytest.mark.parametrize("floor", sorted(BELOW))
def test_no_floor_runs_in_a_circle(floor: str) -> None:
    left = {path.stem: {module for other, module in list_imports(path) if other == floor}
            for path in MODULES if floor_of(path) == floor}
    while left:
        free = {name for name, needs in left.items() if not needs & left.keys()}
        assert free, f"a circle among {sorted(left)}"
        left = {name: needs for name, needs in left.items() if name not in free}


def test_a_floor_is_a_docstring_and_no_code() -> None:
    for path in PACKAGE.glob("*/__init__.py"):
        (node,) = ast.parse(path.read_text()).body
        assert isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant), path
