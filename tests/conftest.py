"""Options of the whole test run."""

from __future__ import annotations

from pathlib import Path

import pytest


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--deb", type=Path, help="the package that the lab installs")
