# SPDX-License-Identifier: GPL-2.0-or-later
"""Manual pages: each renders without a warning, is whole, and knows the options that there are."""

from __future__ import annotations

import json
import re
from operator import attrgetter
from pathlib import Path
from typing import Any

import pytest

from mptcp_hooks.status.survey import DOWN, GONE, NO_CARRIER
from tests.unit.help import ROOT, answer, find_options, read_real_options

PAGES = sorted((ROOT / "man").glob("*.[1-9]"))
COMMANDS = sorted(page for page in PAGES if page.suffix in (".1", ".8"))
_OF_COMMANDS = ("NAME", "SYNOPSIS", "DESCRIPTION", "OPTIONS", "EXIT STATUS", "FILES", "EXAMPLES",
                "SEE ALSO")
SECTIONS = {
    ".1": _OF_COMMANDS,
    ".5": ("NAME", "DESCRIPTION", "FILES", "EXAMPLES", "SEE ALSO"),
    ".7": ("NAME", "DESCRIPTION", "WHAT HAPPENS", "FILES", "EXAMPLES", "SEE ALSO"),
    ".8": _OF_COMMANDS,
}
_REFERENCE = re.compile(r"\b(mptcp[-_][\w.-]+)\((\d)\)")


def render(page: Path) -> dict[str, list[str]]:
    """The sections of a page by their titles, as lines of a screen of 80 columns."""
    done = answer("man", "--warnings", "--nh", "--nj", "--local-file", str(page))
    assert (done.returncode, done.stderr) == (0, ""), page
    sections: dict[str, list[str]] = {}
    lines = sections.setdefault("", [])
    for line in done.stdout.splitlines():
        if line[:1].isupper():
            lines = sections.setdefault(line, [])
        lines.append(line)
    return sections


def read_documented_options(page: Path) -> set[str]:
    """The options of a page's OPTIONS, whose names stand a tab before what is said of them.

    The tab is 7 blanks, or 5 (groff 1.24).
    """
    tags = [line for line in render(page)["OPTIONS"] if re.match(r" {5,7}-", line)]
    return find_options(tags)


@pytest.mark.parametrize("page", PAGES, ids=attrgetter("name"))
def test_page_renders_whole_and_without_a_warning(page: Path) -> None:
    sections = render(page)
    assert not [title for title in SECTIONS[page.suffix] if not sections.get(title)]
    assert not [line for lines in sections.values() for line in lines if len(line) > 80]


@pytest.mark.parametrize("page", COMMANDS, ids=attrgetter("name"))
def test_page_has_the_options_of_help_and_no_other(page: Path) -> None:
    options = read_real_options(page.stem)
    assert "--version" in options
    assert read_documented_options(page) == options


@pytest.mark.parametrize("page", PAGES, ids=attrgetter("name"))
def test_pages_of_ours_that_a_page_names_are_there(page: Path) -> None:
    text = " ".join(line for lines in render(page).values() for line in lines)
    references = {f"{name}.{section}" for name, section in _REFERENCE.findall(text)}
    assert references
    assert references <= {known.name for known in PAGES}


def list_keys(value: Any) -> set[str]:
    """The keys of an answer in JSON, of all that is in it too."""
    if isinstance(value, list):
        return {key for one in value for key in list_keys(one)}
    if isinstance(value, dict):
        return {*value, *(key for one in value.values() for key in list_keys(one))}
    return set()


def test_status_page_has_all_keys_of_its_answers() -> None:
    text = " ".join(render(ROOT / "man/mptcp_status.1")["JSON"])
    cases = ROOT / "tests/cases"
    answers = [*cases.glob("status/*/status.json"), *cases.glob("connections/*/connections.json")]
    keys = {key for answer in answers for key in list_keys(json.loads(answer.read_text()))}
    assert {"works", "rtt_ms"} <= keys
    assert not [key for key in keys if not re.search(rf"\b{key}\b", text)]


def read_kinds() -> dict[str, str]:
    """The kinds of findings that there are, each with its severity: broken, note, or both."""
    found: dict[str, set[str]] = {}
    for path in (ROOT / "mptcp_hooks/status").glob("*.py"):
        source = path.read_text()
        for severity, kind in [*re.findall(r'Finding\(\s*(BROKEN[^,]*|NOTE), "([a-z-]+)"', source),
                               *(("NOTE", kind) for kind in
                                 re.findall(r'Remark\("([a-z-]+)"', source))]:
            found.setdefault(kind, set()).add(severity)
    found |= {name.replace(" ", "-"): {"BROKEN"} for name in (GONE, DOWN, NO_CARRIER)}
    names = {"BROKEN": "broken", "NOTE": "note"}
    return {kind: names.get("".join(severities), "broken, or a note")
            for kind, severities in found.items()}


def test_status_page_has_all_kinds_of_findings() -> None:
    told = re.findall(r"\(([a-z, -]+)\)", " ".join(render(ROOT / "man/mptcp_status.1")["FINDINGS"]))
    kinds = read_kinds()
    assert len(kinds) > 20
    named = {kind for group in told for kind in re.split(r",\s*", group)}
    assert named - {"broken", "note"} == set(kinds)


def test_status_page_has_the_urgency_of_each_kind() -> None:
    """In the table of FINDINGS: a group's first word, and the kinds below it."""
    text = (ROOT / "man/mptcp_status.1").read_text().replace("\\-", "-")
    urgencies: dict[str, str] = {}
    group = ""
    for line in text.split("By urgency:")[1].split(".TE")[0].splitlines():
        if "@" in line and line.startswith("  "):
            urgencies |= dict.fromkeys(re.findall(r"[a-z-]+", line.partition("@")[0]), group)
        elif ": " in line:
            group = line.partition(":")[0]
    assert urgencies == read_kinds()


def test_each_command_has_a_page() -> None:
    hooks = {path.name for path in (ROOT / "hooks").glob("mptcp_*")}
    assert hooks == {page.stem for page in COMMANDS}
