# SPDX-License-Identifier: GPL-2.0-or-later
"""What tests share stands in modules of its own: nothing imports a module of tests."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

TESTS = Path(__file__).parents[1]


def find_tests(source: str) -> list[str]:
    """The modules of tests that a source imports, wherever in it."""
    names: list[str] = []
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, (ast.Import, ast.ImportFrom)):
            module = f"{node.module}." if isinstance(node, ast.ImportFrom) else ""
            names += [module + alias.name for alias in node.names]
    return [name for name in names if ".test_" in f".{name}"]


@pytest.mark.parametrize("source", ["import tests.lab.test_x", "from tests.unit import test_x",
                                    "def f():\n    from tests.lab.test_x import y"])
def test_each_way_to_import_one_is_seen(source: str) -> None:
    assert find_tests(source)


def test_no_module_imports_one_of_tests() -> None:
    found = {str(path): find_tests(path.read_text()) for path in TESTS.rglob("*.py")}
    assert __file__ in found and not any(found.values()), found
