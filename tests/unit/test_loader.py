# SPDX-License-Identifier: GPL-2.0-or-later
"""The hook's own import: what it takes, and what it leaves to Python."""

from __future__ import annotations

import os
import py_compile
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path
from py_compile import PycInvalidationMode

import pytest

from tests.unit.help import ROOT

SHOW = """\
import sys
sys.path.insert(0, {root!r})
from mptcp_hooks.loader import import_quickly
import_quickly()
from mptcp_hooks.engine import plan
from mptcp_hooks.engine.plan import Plan
assert plan.Plan is Plan is sys.modules["mptcp_hooks.engine.plan"].Plan
for module in (plan, sys.modules["mptcp_hooks.engine"]):
    print("machinery" if module.__spec__ else "directly", end=" ")
print(Plan.__module__, plan.__file__)
"""
RAISE = """\
import sys
sys.path.insert(0, {root!r})
from mptcp_hooks.loader import import_quickly
import_quickly()
for _ in range(2):
    try:
        from mptcp_hooks.engine import plan
    except ZeroDivisionError:
        print("mptcp_hooks.engine.plan" in sys.modules, end=" ")
"""
HOOK = """\
import sys
from mptcp_hooks import ROOT
from mptcp_hooks.base import errors

def run_hook(path):
    package = sys.modules["mptcp_hooks"]
    print("machinery" if package.__spec__ else "directly", errors.__package__, ROOT, path)
"""


@pytest.fixture
def package(tmp_path: Path) -> Path:
    """A copy of the package, compiled as dpkg does it: by the time of the source."""
    shutil.copytree(ROOT / "mptcp_hooks", tmp_path / "mptcp_hooks",
                    ignore=shutil.ignore_patterns("__pycache__"))
    for source in tmp_path.rglob("*.py"):
        compile_source(source)
    return tmp_path


def compile_source(source: Path) -> None:
    # A package's build has SOURCE_DATE_EPOCH, by which Python would compile otherwise.
    py_compile.compile(str(source), doraise=True, invalidation_mode=PycInvalidationMode.TIMESTAMP)


def show(package: Path, script: str = SHOW) -> list[str]:
    """How `engine.plan` and its floor came, its name, and its file."""
    done = subprocess.run(["/usr/bin/python3", "-ISB", "-c", script.format(root=str(package))],
                          capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return done.stdout.split()


def test_a_compiled_module_is_taken_with_its_floor(package: Path) -> None:
    assert show(package) == ["directly", "directly", "mptcp_hooks.engine.plan",
                             f"{package}/mptcp_hooks/engine/plan.py"]


def test_a_module_that_cannot_be_made_is_not_there(package: Path) -> None:
    """Whoever imports it next hears why, and gets no half of it."""
    source = package / "mptcp_hooks/engine/plan.py"
    source.write_text(source.read_text() + "1 / 0\n")
    compile_source(source)
    assert show(package, RAISE) == ["False", "False"]


def spoil_magic(source: Path, compiled: Path) -> None:
    compiled.write_bytes(b"\0\0\0\0" + compiled.read_bytes()[4:])


def spoil_time(source: Path, compiled: Path) -> None:
    os.utime(source, (1, 1))


def spoil_size(source: Path, compiled: Path) -> None:
    info = source.stat()
    source.write_text(source.read_text() + "# edited\n")
    os.utime(source, ns=(info.st_atime_ns, info.st_mtime_ns))


def spoil_flags(source: Path, compiled: Path) -> None:
    data = compiled.read_bytes()
    compiled.write_bytes(data[:4] + b"\1\0\0\0" + data[8:])


def take_away(source: Path, compiled: Path) -> None:
    compiled.unlink()


def cut_off(source: Path, compiled: Path) -> None:
    compiled.write_bytes(compiled.read_bytes()[:10])


@pytest.mark.parametrize("spoil", [spoil_magic, spoil_time, spoil_size, spoil_flags, take_away,
                                   cut_off])
def test_what_python_would_not_take_is_left_to_it(
    package: Path, spoil: Callable[[Path, Path], None]
) -> None:
    (compiled,) = (package / "mptcp_hooks/engine/__pycache__").glob("plan.*.pyc")
    spoil(package / "mptcp_hooks/engine/plan.py", compiled)
    assert show(package)[:3] == ["machinery", "directly", "mptcp_hooks.engine.plan"]


def start_hook(package: Path) -> subprocess.CompletedProcess[str]:
    """What hooks/event does with a package in another place, whose hook shows where it is."""
    (package / "mptcp_hooks/hook.py").write_text(HOOK)
    event = package / "event"
    event.write_text((ROOT / "hooks/event").read_text().replace("/usr/share/mptcp-hooks",
                                                                str(package)))
    # -u: the hook ends without what Python does at an end.
    return subprocess.run(["/usr/bin/python3", "-ISBu", str(event), "if-up.d/mptcp_up"],
                          capture_output=True, text=True)


def test_a_hook_starts_without_a_search(package: Path) -> None:
    done = start_hook(package)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.split() == ["directly", "mptcp_hooks.base", str(package), "if-up.d/mptcp_up"]


@pytest.mark.parametrize("name", ["loader", "__init__"])
@pytest.mark.parametrize("spoil", [spoil_magic, spoil_time, spoil_size, spoil_flags, take_away,
                                   cut_off])
def test_a_hook_starts_where_what_it_starts_with_is_not_compiled(
    package: Path, name: str, spoil: Callable[[Path, Path], None]
) -> None:
    (compiled,) = (package / "mptcp_hooks/__pycache__").glob(f"{name}.*.pyc")
    spoil(package / f"mptcp_hooks/{name}.py", compiled)
    done = start_hook(package)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.split() == ["directly" if name == "loader" else "machinery",
                                   "mptcp_hooks.base", str(package), "if-up.d/mptcp_up"]


@pytest.mark.parametrize("missing", ["loader.py", "base/errors.py"])
def test_a_hook_of_half_a_package_says_so_and_ends_well(package: Path, missing: str) -> None:
    source = package / "mptcp_hooks" / missing
    for compiled in (source.parent / "__pycache__").glob(f"{source.stem}.*.pyc"):
        compiled.unlink()
    source.unlink()
    done = start_hook(package)
    assert (done.returncode, done.stdout) == (0, "")
    # It is told what is missing.
    assert done.stderr.startswith("if-up.d/mptcp_up: did nothing: ")
    assert source.stem in done.stderr
