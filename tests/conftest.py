# SPDX-License-Identifier: GPL-2.0-or-later
"""Options of the whole test run."""

from __future__ import annotations

from pathlib import Path

import pytest


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--deb", type=Path, help="the package that the lab installs")
    parser.addoption("--installed", action="store_true", help="the lab has the package that is "
                     "installed on this machine, in place of that of --deb")
    parser.addoption("--keep", action="store_true", help="leave the hosts of a test that fails as "
                     "they are, and say how to enter and to remove them")
