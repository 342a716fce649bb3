# SPDX-License-Identifier: GPL-2.0-or-later
"""Completion for bash: the options of each command, which it asks --help for."""

from __future__ import annotations

import pytest

from tests.unit.help import ROOT, answer, read_real_options

COMMANDS = sorted(path.name for path in (ROOT / "hooks").glob("mptcp_*"))


def complete(command: str, word: str) -> list[str]:
    """What bash offers after the command and a blank, where `word` is begun."""
    done = answer(
        "bash", "--norc", "-c", 'source "$1"; COMP_LINE="$2 $3"; COMP_POINT=${#COMP_LINE}; '
        '_mptcp_hooks "$2"; printf "%s\\n" "${COMPREPLY[@]}"', "bash",
        str(ROOT / "completions/mptcp-hooks"), str(ROOT / "hooks" / command), word)
    assert (done.returncode, done.stderr) == (0, "")
    return done.stdout.split()


@pytest.mark.parametrize("command", COMMANDS)
def test_options_are_those_of_help(command: str) -> None:
    options = read_real_options(command)
    assert complete(command, "-") == sorted(options)
    assert complete(command, "--v") == sorted(
        option for option in options if option.startswith("--v"))
    assert complete(command, "--nothing") == []
