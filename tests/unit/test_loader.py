"""The hook's finder of modules: what it takes, and what it leaves to Python."""

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
print(type(plan.__spec__.loader).__name__, type(sys.modules["mptcp_hooks.engine"].__spec__.loader)
      .__name__, plan.Plan.__module__, plan.__file__)
"""


@pytest.fixture
def package(tmp_path: Path) -> Path:
    """A copy of the package, compiled as dpkg does it: by the time of the source."""
    shutil.copytree(ROOT / "mptcp_hooks", tmp_path / "mptcp_hooks",
                    ignore=shutil.ignore_patterns("__pycache__"))
    for source in tmp_path.rglob("*.py"):
        # A package's build has SOURCE_DATE_EPOCH, by which Python would compile otherwise.
        py_compile.compile(str(source), doraise=True,
                           invalidation_mode=PycInvalidationMode.TIMESTAMP)
    return tmp_path


def show(package: Path) -> list[str]:
    """By which loaders `engine.plan` and its floor came, its name, and its file."""
    done = subprocess.run(["/usr/bin/python3", "-ISB", "-c", SHOW.format(root=str(package))],
                          capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return done.stdout.split()


def test_a_compiled_module_is_taken_with_its_floor(package: Path) -> None:
    assert show(package) == ["_Loader", "_Loader", "mptcp_hooks.engine.plan",
                             f"{package}/mptcp_hooks/engine/plan.py"]


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
    assert show(package)[:3] == ["SourceFileLoader", "_Loader", "mptcp_hooks.engine.plan"]
