# SPDX-License-Identifier: GPL-2.0-or-later
"""Every recorded environment, played to the installed hooks in the order it was recorded."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.lab.support.lab import Lab
from tests.unit.recorded import ENVIRONMENTS, SAYS, WRONG_FLAGS, read_environment

FOLDERS = ("if-pre-up.d", "if-up.d", "if-down.d", "if-post-down.d")
CASES = sorted({path.parent.relative_to(ENVIRONMENTS) for path in ENVIRONMENTS.rglob("*.env")})


def list_calls(case: Path) -> list[Path]:
    """The recorded calls in their order: by number, or by the folder's place."""
    def place(path: Path) -> int:
        number = re.search(r"\.d\.(\d+)\.", path.name)
        return int(number[1]) if number else FOLDERS.index(path.name.removesuffix(".env"))

    return sorted((ENVIRONMENTS / case).glob("if-*.env"), key=place)


def prepare_addresses(lab: Lab, addresses: list[str], device: str) -> None:
    for address in addresses:
        family = "-6 " if ":" in address else ""
        nodad = " nodad" if family else ""
        lab.client.ip(f"{family}addr replace {address.split()[0]} dev {device}{nodad}")


@pytest.mark.parametrize("case", CASES, ids=str)
def test_recorded_calls(lab: Lab, case: Path) -> None:
    before = lab.snapshot()
    lab.client.ip("link set eth0 up", "link set eth1 up")
    for path in list_calls(case):
        folder = path.name.split(".d")[0] + ".d"
        if folder == "if-pre-up.d":
            continue
        name = str(path.relative_to(ENVIRONMENTS))
        says = SAYS.get(name) if folder == "if-up.d" else None
        if says:
            prepare_addresses(lab, says[1], says[0].partition(":")[0])
        done = lab.run_hook(folder, read_environment(path))
        assert done.returncode == 0, done.stderr
        assert "unexpected" not in done.stderr
        if says:
            check_paths(lab, says[1], says[2])
        elif name in WRONG_FLAGS:
            assert "mptcp-flags 'upper' is wrong" in done.stderr
            assert lab.rules() == []
    assert lab.snapshot() == before


def check_paths(lab: Lab, addresses: list[str], table: int) -> None:
    """An address with a gateway has a default route by it, in the table that was asked for."""
    for address, gateway in (text.split() for text in addresses if " " in text):
        own = address.partition("/")[0]
        if own.startswith("fe80"):
            continue
        family = 6 if ":" in own else 4
        rules = [rule for rule in lab.rules(family) if rule.startswith(f"20002: from {own} ")]
        assert len(rules) == 1
        number = int(rules[0].split("lookup ")[1].split()[0])
        assert number == table or (table == 0 and number >= 20000)
        assert any(f"default via {gateway} " in line for line in lab.table(number, family))
