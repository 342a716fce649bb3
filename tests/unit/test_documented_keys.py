# SPDX-License-Identifier: GPL-2.0-or-later
"""The packaged example and mptcp-hooks.conf(5): every key, and nothing that is wrong."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from mptcp_hooks.base.errors import Problem
from mptcp_hooks.intent import configuration
from mptcp_hooks.intent.configuration import DEFAULT, DEFAULT_KEYS, SECTION_KEYS, read_configuration
from mptcp_hooks.intent.inifile import read_sections
from mptcp_hooks.intent.settings import FLAGS, NO_CONFIGURATION, Configuration

SOURCE = Path(__file__).parents[2]
EXAMPLE = (SOURCE / "examples/mptcp-hooks.conf").read_text()
UNCOMMENTED = re.sub(r"^#(?=\S)", "", EXAMPLE, flags=re.M)
PAGE = (SOURCE / "man/mptcp-hooks.conf.5").read_text()
PAGES_EXAMPLES = [text.replace("\\-", "-") for text in re.findall(r"\.nf\n(.*?)\.fi", PAGE, re.S)]


def read(path: Path, text: str) -> tuple[Configuration, list[Problem]]:
    (path / "mptcp-hooks.conf").write_text(text)
    return read_configuration()


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(configuration, "PATH", str(tmp_path / "mptcp-hooks.conf"))
    return tmp_path


def test_the_example_as_it_is_says_nothing(folder: Path) -> None:
    assert read(folder, EXAMPLE) == (NO_CONFIGURATION, [])


def test_the_example_without_its_comment_signs_is_right(folder: Path) -> None:
    known, problems = read(folder, UNCOMMENTED)
    assert problems == [] and known.flags == ("subflow", "fullmesh") and known.limits == 4
    assert known.find("wwan0").flags == ("subflow", "backup")
    assert known.find("eth0").interval == 10 and known.find("eth1").targets == ()


def test_the_example_explains_every_key() -> None:
    sections, _ = read_sections(UNCOMMENTED)
    keys = {(section.name == DEFAULT, entry.key) for section in sections
            for entry in section.entries}
    assert keys == {*((True, key) for key in DEFAULT_KEYS), *((False, key) for key in SECTION_KEYS)}
    # Each setting has a sentence before it; a blank line ends what it is about.
    for block in re.split(r"\n\n", EXAMPLE.strip()):
        assert block.startswith("# ") or block.startswith("#["), block
    assert all(flag in EXAMPLE for flag in FLAGS)


@pytest.mark.parametrize("heading, keys", [
    ("KEYS OF [default]", DEFAULT_KEYS), ("KEYS OF A PATTERN'S SECTION", SECTION_KEYS)])
def test_the_manual_page_explains_every_key(heading: str, keys: tuple[str, ...]) -> None:
    part = PAGE.split(f".SH {heading}\n")[1].split(".SH ")[0]
    part = part.replace("\\-", "-")
    assert sorted(re.findall(r'^\.BI ([\w-]+) " = ', part, re.M)) == sorted(keys)


@pytest.mark.parametrize("text", PAGES_EXAMPLES)
def test_the_manual_pages_examples_are_right(folder: Path, text: str) -> None:
    known, problems = read(folder, text)
    assert problems == [] and known != NO_CONFIGURATION
