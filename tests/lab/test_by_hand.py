# SPDX-License-Identifier: GPL-2.0-or-later
"""docs/by-hand.md, its blocks run as they stand there: by hand, what goes wrong, two stanzas."""

from __future__ import annotations

import re
from pathlib import Path
from typing import NamedTuple

import pytest

from tests.lab.support.lab import Lab
from tests.lab.support.paths import check_both_paths

GUIDE = Path(__file__).parents[2] / "docs/by-hand.md"
# Those that begin with the paths made by hand.
WRONG = ("A link that goes down and up", "A script that runs twice",
         "DHCP gives another address", "What main knows better",
         "A program that is bound to the device", "IPv6")
SECOND_GATEWAY = "A second gateway"


class Block(NamedTuple):
    """`kind` is sh (commands), console (commands and their output) or interfaces (stanzas)."""

    kind: str
    text: str


class Asked(NamedTuple):
    """A command and the lines that came of it, their blanks made one."""

    command: str
    lines: tuple[str, ...]


def read_guide() -> dict[str, list[Block]]:
    """The blocks of each section and subsection by its title."""
    parts = re.split(r"^##+ (.*)\n", GUIDE.read_text(), flags=re.MULTILINE)
    return {title: [Block(kind, text) for kind, text in
                    re.findall(r"^```(\w+)\n(.*?)^```$", body, re.MULTILINE | re.DOTALL)]
            for title, body in zip(parts[1::2], parts[2::2])}


def read_console(text: str) -> list[Asked]:
    """What a console block shows."""
    parts = re.split(r"^# (.*)\n", text, flags=re.MULTILINE)
    return [Asked(command, tuple(output.splitlines()))
            for command, output in zip(parts[1::2], parts[2::2])]


def ask(lab: Lab, command: str) -> Asked:
    """Run a command, whatever its status; `ip route get` says more than it is asked for."""
    done = lab.client.try_run("sh", "-c", command)
    lines = (" ".join(line.split()) for line in (done.stdout + done.stderr).splitlines())
    return Asked(command, tuple(line.removesuffix(" uid 0") for line in lines if line != "cache"))


def follow(lab: Lab, title: str) -> list[Asked]:
    """Do what a section says, and see what it shows; what was shown.

    Its tables 20002 and 20003 are those of the lab's interfaces, whatever their numbers.
    """
    shown: list[Asked] = []
    for block in read_guide()[title]:
        text = block.text
        for device, table in (("eth0", "20002"), ("eth1", "20003")):
            text = text.replace(table, str(20000 + lab.ifindex(device)))
        if block.kind == "sh":
            assert lab.client.run("sh", "-e", text=text) == ""
        elif block.kind == "interfaces":
            lab.set_interfaces(text)
        else:
            expected = read_console(text)
            assert [ask(lab, one.command) for one in expected] == expected
            shown += expected
    return shown


def look(lab: Lab) -> str:
    """All that the guide's commands change, as text."""
    return "\n".join([lab.snapshot(), lab.client.run("ip", "-4", "route", "show", "table", "all"),
                      lab.client.run("ip", "-4", "-brief", "address")])


def choose_routes(shown: list[Asked]) -> list[Asked]:
    """The last two answers of `ip route get`, the tables' numbers left out."""
    return [Asked(command, tuple(re.sub(r" table \d+", "", line) for line in lines))
            for command, lines in shown if command.startswith("ip route get ")][-2:]


def test_two_stanzas_do_what_the_commands_do(lab: Lab) -> None:
    bare, before = lab.snapshot(), look(lab)
    by_hand = follow(lab, "By hand")
    check_both_paths(lab)
    follow(lab, "Undo it")
    assert look(lab) == before
    by_stanzas = follow(lab, "Two stanzas")
    check_both_paths(lab)
    assert len(choose_routes(by_hand)) == 2
    assert choose_routes(by_stanzas) == choose_routes(by_hand)
    follow(lab, "What is better")
    # ifdown takes lo down as well, which is not ours.
    assert lab.snapshot() == bare


@pytest.mark.parametrize("title", WRONG)
def test_what_is_said_to_go_wrong_does(lab: Lab, title: str) -> None:
    follow(lab, "By hand")
    assert follow(lab, title)


def test_a_second_gateway_fails(lab: Lab) -> None:
    assert follow(lab, SECOND_GATEWAY)


def test_no_block_is_left_out() -> None:
    assert [title for title, blocks in read_guide().items() if blocks] == [
        "By hand", "Undo it", *WRONG, SECOND_GATEWAY, "Two stanzas", "What is better"]
