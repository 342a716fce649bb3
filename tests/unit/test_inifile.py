# SPDX-License-Identifier: GPL-2.0-or-later
"""The INI reader: what configparser takes, it takes; what it refuses has a line."""

from __future__ import annotations

from configparser import ConfigParser
from time import process_time

import pytest

from mptcp_hooks.intent.inifile import read_sections


def read(text: str) -> tuple[dict[str, dict[str, str]], list[str]]:
    """The sections as plain values, and what is wrong as `LINE: words`."""
    sections, complaints = read_sections(text)
    return ({one.name: {entry.key: entry.value for entry in one.entries} for one in sections},
            [f"{one.line}: {one.text}" for one in complaints])


@pytest.mark.parametrize("text", [
    "",
    "# a comment\n; another\n\n  # and one that is indented\n",
    "[a]\nkey = value\n[b]\nkey: value\n",
    "[a]\nKey=Value\nOTHER : Value = 2\nthird = a:b\n",
    "[a]\nkey = one # two\nother = one#two\n\tthird = x\t# y\n[b] # c\n",
    "[a]\nkey = one\n  two\n\n  three\n  # no\n  four = five\nother = x\n",
    "[a]\n  key = one\n  other = two\n    three\n",
    "[a]\nkey =\n  one\nother:\n",
    "[wwan[0-3]]\nkey = 1\r\n[*]\n",
    "[a]\nkey = one",
])
def test_what_configparser_takes(text: str) -> None:
    parser = ConfigParser(interpolation=None, default_section="", inline_comment_prefixes=("#",))
    parser.read_string(text)
    expected = {name: {key: " ".join(parser[name][key].split()) for key in parser[name]}
                for name in parser.sections()}
    assert read(text) == (expected, [])


@pytest.mark.parametrize("text, kept, said", [
    ("key = 1\n[a]\n", {"a": {}}, "1: 'key = 1' stands before any [section]"),
    ("[a]\nkey\nother = 1\n", {"a": {"other": "1"}}, "2: 'key' is neither [section] nor key = "
                                                     "value"),
    ("[a]\n= 1\n", {"a": {}}, "2: '= 1' is neither [section] nor key = value"),
    ("[a]\nkey = 1\nKEY = 2\n", {"a": {"key": "1"}}, "3: key is there already, in line 2"),
    ("[a]\nx = 1\n[b\nx = 2\n[c]\n", {"a": {"x": "1"}, "c": {}}, "3: '[b' is no [section]"),
    ("[a]\n[]\nx = 2\n", {"a": {}}, "2: '[]' is no [section]"),
    ("[a]\nx = 1\n\n[a]\ny = 2\n", {"a": {"x": "1"}}, "4: section [a] is there already, in line 1"),
    ("[a]\nx = 1\0\ny = 2\n", {"a": {"y": "2"}}, "2: a byte that is no text (UTF-8)"),
    ("[a]\nx = 1\n  \udcff\ny = 2\n", {"a": {"y": "2"}}, "2: a byte that is no text (UTF-8)"),
    ("[a]\n[\udcff]\ny = 2\n", {"a": {}}, "2: a byte that is no text (UTF-8) in a section's name"),
])
def test_what_is_wrong_has_its_line(text: str, kept: dict[str, dict[str, str]], said: str) -> None:
    assert read(text) == (kept, [f"{said}: ignored"])


def test_lines_are_counted_as_an_editor_counts_them() -> None:
    text = "[a] \u2028\x0b\n# \udcff in a comment harms nobody\nx = 1\n  2\n\n\ny = 2\n"
    (section,), complaints = read_sections(text)
    assert [(entry.line, entry.key) for entry in section.entries] == [(3, "x"), (7, "y")]
    assert complaints == []


@pytest.mark.parametrize("text", ["[{:x}]\n", "{:x}=\n"])
def test_thousands_of_names_cost_no_more_than_their_lines(text: str) -> None:
    """A hook reads the file each time; ten times the lines took a hundred times as long."""
    def measure(count: int) -> float:
        lines = "[a]\n" + "".join(map(text.format, range(count)))
        begun = process_time()
        read_sections(lines)
        return process_time() - begun

    few = min(measure(2000) for _ in range(5))
    assert min(measure(20000) for _ in range(3)) < 30 * few
