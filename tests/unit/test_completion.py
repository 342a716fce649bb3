# SPDX-License-Identifier: GPL-2.0-or-later
"""Completion for bash: the options of each command, which it asks --help for."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.unit.help import ROOT, answer, read_real_options
from tests.unit.screens import open_screen, run_here

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


@pytest.mark.parametrize("option", ["--config ", "--interfaces ", "--config=", "--interfaces="])
def test_a_file_is_completed_as_bash_does_it(option: str, tmp_path: Path) -> None:
    """On a terminal: in a folder, and with a blank in its name."""
    (tmp_path / "folder").mkdir()
    for name in ("folder/file", "of mine"):
        (tmp_path / name).write_text("")
    typed = f"mptcp_up --check {option}"
    with open_screen(run_here, f"cd {tmp_path} && PS1='> ' bash --norc", 100, 24) as screen:
        screen.press(f"source {ROOT}/completions/mptcp-hooks", "Enter", typed + "fol", "Tab", "f",
                     "Tab", "C-a", "#", "Enter", typed + "o", "Tab")
        screen.wait_for(lambda shown: f"{typed}folder/file" in shown
                        and f"{typed}of\\ mine" in shown)


def test_a_number_is_not_completed() -> None:
    assert complete("mptcp_status", "--expect ") == []


def test_what_readline_puts_in_behind_its_own_breaks_of_words(tmp_path: Path) -> None:
    """On a terminal, where it is readline that splits them."""
    names = "_mptcp_run_enabled() { echo openvpn@my.vpn:x.service; }"
    typed = ["mptcp_run --method=b", "mptcp_run --disable openvpn@m",
             "mptcp_run --disable=openvpn@my.vpn:"]
    with open_screen(run_here, f"cd {tmp_path} && PS1='> ' bash --norc", 100, 24) as screen:
        screen.press(f"source {ROOT}/completions/mptcp-hooks; {names}", "Enter")
        for line in typed:
            screen.press(line, "Tab", "C-a", "#", "Enter")
        screen.wait_for(lambda shown: all(f"#{line}" in shown for line in (
            "mptcp_run --method=bpf", "mptcp_run --disable openvpn@my.vpn:x.service",
            "mptcp_run --disable=openvpn@my.vpn:x.service")))
