# SPDX-License-Identifier: GPL-2.0-or-later
"""The command lines of README, docs and manual pages, each run as it stands there.

They run on a booted client with two uplinks, the services, nginx and curl; its server has files
by Multipath TCP at every name. Blocks of pages that have a test of their own are run there, make is
asked for its targets alone, and what installs and removes is run by tests of the package.
"""

from __future__ import annotations

import re
import subprocess
from pathlib import Path
from textwrap import dedent
from typing import NamedTuple

import pytest

from tests.lab.support.booted import SYSTEMD, WITHOUT, BootedHost
from tests.lab.support.forced import bring_up, serve
from tests.lab.support.lab import SERVER_4, Lab
from tests.lab.support.making import MakeLab

ROOT = Path(__file__).parents[2]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md")),
         *sorted((ROOT / "man").glob("*.[1-9]"))]
# What other tests run; docs/internals is for those who build.
ELSEWHERE = {"by-hand.md": "test_by_hand.py", "monitoring.md": "test_monitoring.py",
             "relay.md": "test_relay.py"}
# What a block of commands begins with, the environment before it aside.
_COMMAND = re.compile(r"(?:[A-Z_0-9]+=\S* )*(?:sudo |hooks/)?"
                      r"(?:mptcp_\w+|systemctl|journalctl|ip|apt|make|curl|ifup|ifdown)[ ;\n]")
_REMOVAL = "sudo apt remove mptcp-hooks\n"
# These go on until somebody ends them.
_ENDLESS = re.compile(r"mptcp_status .*--watch|mptcp_monitor -v|journalctl .*(?:-f|--follow)")
_BUILDS = re.compile(r"^make (\w+)(?: |$)", re.MULTILINE)
HOSTS = f"127.0.0.1 localhost\n{SERVER_4} example.org files.example.org\n"


class Block(NamedTuple):
    """Commands of a page, as somebody would type them."""

    page: str
    text: str


def read_blocks() -> list[Block]:
    """The blocks of all pages that are commands."""
    return [Block(page.name, text) for page in PAGES if page.name not in ELSEWHERE
            for text in (read_markdown if page.suffix == ".md" else read_manual)(page)
            if _COMMAND.match(text) and text != _REMOVAL]


def read_markdown(page: Path) -> list[str]:
    """Indented blocks, and those in fences."""
    text = page.read_text()
    indented = re.findall(r"(?:^    .*\n)+", text, re.MULTILINE)
    return [*map(dedent, indented), *re.findall(r"^```sh\n(.*?)^```$", text, re.M | re.S)]


def read_manual(page: Path) -> list[str]:
    text = page.read_text().replace("\\-", "-").replace("\\e\n", "\\\n")
    return re.findall(r"^\.nf\n(.*?)^\.fi$", text, re.MULTILINE | re.DOTALL)


def name(block: Block) -> str:
    return f"{block.page}: {block.text.splitlines()[0]}"


BLOCKS = read_blocks()
BUILDING = [block for block in BLOCKS if _BUILDS.search(block.text.replace("sudo ", ""))]


@pytest.fixture(scope="module")
def ready(make_shared_lab: MakeLab) -> Lab:
    """A client as the pages suppose it, whose server speaks Multipath TCP."""
    lab = make_shared_lab(*SYSTEMD, "curl", "mptcpize", "nginx", "rsync", without=WITHOUT,
                          client=BootedHost, server=("mptcpize",))
    lab.write("/etc/hosts", HOSTS)
    folder = lab.scratch / "www"
    folder.mkdir()
    (folder / "file").write_bytes(bytes(1_000_000))
    serve(lab, "mptcp_run", "python3", "-m", "http.server", "--directory", str(folder), "80",
          ready="-MlnH sport = :80")
    return bring_up(lab)


@pytest.mark.parametrize("block", [one for one in BLOCKS if one not in BUILDING], ids=name)
def test_commands_of_a_page_work(ready: Lab, block: Block) -> None:
    ready.client.run("systemctl", "start", "mptcp-hooks", "mptcp-hooks-check")
    place = str(ROOT) if "hooks/" in block.text else "/run"
    commands = block.text.replace("sudo ", "").replace("https://", "http://")
    commands, endless = _ENDLESS.subn(
        lambda found: f"timeout --signal=INT --preserve-status 2 {found.group()}", commands)
    done = ready.client.try_run("bash", "-ec", f"cd {place}\n{commands}")
    # Ctrl-C in the middle of a look.
    assert done.returncode in ((0, 130) if endless else (0,)), done
    # `||` and `;` hide a status.
    assert "command not found" not in done.stderr


@pytest.mark.parametrize("block", BUILDING, ids=name)
def test_what_a_page_has_make_do_is_there(block: Block) -> None:
    for target in _BUILDS.findall(block.text.replace("sudo ", "")):
        done = subprocess.run(["make", "--question", target], cwd=ROOT, capture_output=True,
                              text=True)
        assert "No rule to make target" not in done.stderr, target


def test_pages_have_commands_and_those_left_out_a_test() -> None:
    assert {"README.md", "faq.md", "mptcp_status.1", "mptcp-hooks.7"} <= {
        block.page for block in BLOCKS}
    for page, test in ELSEWHERE.items():
        assert (ROOT / "docs" / page).exists() and (Path(__file__).parent / test).exists()
    assert f"    {_REMOVAL}" in (ROOT / "README.md").read_text()
