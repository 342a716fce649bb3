# SPDX-License-Identifier: GPL-2.0-or-later
"""What programs say on a screen of 80 columns: our commands' --help above all."""

from __future__ import annotations

import os
import re
import subprocess
import time
from collections.abc import Callable, Iterable
from pathlib import Path

ROOT = Path(__file__).parents[2]
_SCREEN = {**os.environ, "LC_ALL": "C.UTF-8", "MANWIDTH": "80", "COLUMNS": "80", "NO_COLOR": "1"}


def answer(*command: str) -> subprocess.CompletedProcess[str]:
    """Run a program to its end, whatever that is."""
    return subprocess.run(command, env=_SCREEN, stdin=subprocess.DEVNULL, capture_output=True,
                          text=True)


def wait_until(look: Callable[[], bool]) -> None:
    """Look again until it is so, for 20 s at the most."""
    end = time.monotonic() + 20
    while not look():
        assert time.monotonic() < end
        time.sleep(0.01)


def is_running(pid: int) -> bool:
    """Whether a process has not ended, even if nobody has asked yet how it did."""
    try:
        return ") Z " not in Path(f"/proc/{pid}/stat").read_text()
    except FileNotFoundError:
        return False


def find_options(texts: Iterable[str]) -> set[str]:
    """The options, short and long, that texts name."""
    return set(re.findall(r"(?<![\w-])--?[a-z][a-z-]*", " ".join(texts)))


def read_real_options(command: str) -> set[str]:
    """The options of one of our commands, which argparse lists in a part of --help."""
    done = answer("/usr/bin/python3", "-I", str(ROOT / "hooks" / command), "--help")
    assert (done.returncode, done.stderr) == (0, "")
    _, _, options = done.stdout.partition("\noptions:\n")
    return find_options(re.findall(r"^  (-.*?)(?:  |$)", options, re.MULTILINE))
