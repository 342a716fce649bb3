# SPDX-License-Identifier: GPL-2.0-or-later
"""What a page links to, or names by its path, is there."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.unit.help import ROOT

PAGES = [ROOT / "README.md", ROOT / "HACKING.md", *sorted((ROOT / "docs").rglob("*.md"))]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.name))
def test_links_of_a_page_lead_somewhere(page: Path) -> None:
    text = page.read_text()
    links = [page.parent / link for link in re.findall(r"\]\(([^)#:]+)\)", text)]
    names = [ROOT / name for name in re.findall(r"\bdocs/[\w/-]+\.\w+", text)]
    assert not [str(path) for path in links + names if not path.exists()]


def test_readme_links_to_all_pages() -> None:
    text = (ROOT / "README.md").read_text()
    assert not [page.name for page in PAGES[1:]
                if f"]({page.relative_to(ROOT)})" not in text]
