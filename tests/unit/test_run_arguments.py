# SPDX-License-Identifier: GPL-2.0-or-later
"""Where mptcp_run's own words end, and those of the command begin."""

from __future__ import annotations

import pytest

from mptcp_hooks.run.command import split_arguments
from tests.unit.help import ROOT, answer

RUN = str(ROOT / "hooks/mptcp_run")


@pytest.mark.parametrize(("line", "own", "command"), [
    ("curl -v --check", "", "curl -v --check"),
    ("-v curl -v", "-v", "curl -v"),
    ("-v -- curl -- x", "-v", "curl -- x"),
    ("-- -v", "", "-v"),
    ("--method bpf curl --method x", "--method bpf", "curl --method x"),
    ("--method=bpf curl", "--method=bpf", "curl"),
    ("--enable nginx", "--enable nginx", ""),
    ("-v --enable nginx ssh --method bpf", "-v --enable nginx ssh --method bpf", ""),
    ("--disable a -- b", "--disable a -- b", ""),
    ("--off go --off", "--off", "go --off"),
    ("--check --method auto a --list", "--check --method auto", "a --list"),
    ("--method", "--method", ""),
    ("", "", ""),
])
def test_where_the_command_begins(line: str, own: str, command: str) -> None:
    assert split_arguments(line.split()) == (own.split(), command.split())


@pytest.mark.parametrize("line", [
    "", "-v", "--", "--method", "--method nosuch true", "--nosuch true", "--list true",
    "--enable=ssh true", "--enable ssh --list", "--enable ssh --check", "--enable ssh --off",
    "--off", "--off --list", "--off --method bpf true",
    "--enable ssh --disable web", "--enable", "--meth bpf a",
])
def test_calls_that_are_wrong(line: str) -> None:
    done = answer(RUN, *line.split())
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.splitlines()[-1].startswith("mptcp_run: error: ")
