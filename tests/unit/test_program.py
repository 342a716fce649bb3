# SPDX-License-Identifier: GPL-2.0-or-later
"""What a command starts: PATH, scripts and their interpreters, and what cannot be started."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest

from mptcp_hooks.base.errors import Problem
from mptcp_hooks.force.program import NOT_EXECUTABLE, NOT_FOUND, Program, find_program
from tests.unit.elf_files import AMD64, GLIBC, make_elf


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The working directory, with a program in each of two folders of a PATH."""
    monkeypatch.chdir(tmp_path)
    for name in ("first", "second"):
        (tmp_path / name).mkdir()
    make(tmp_path / "second/tool", make_elf())
    return tmp_path


def make(path: Path, content: bytes, mode: int = 0o755) -> Path:
    path.write_bytes(content)
    path.chmod(mode)
    return path


def find(name: str | Path, *folders: str | Path) -> Program:
    return find_program(str(name), {b"PATH": os.fsencode(":".join(map(str, folders)))})


def refusal(name: str | Path, *folders: str | Path) -> tuple[int, str]:
    with pytest.raises(Problem) as raised:
        find(name, *folders)
    return raised.value.status, str(raised.value)


def test_the_first_of_path_that_may_be_started(folder: Path) -> None:
    make(folder / "first/tool", b"#!/bin/sh\n", 0o644)
    found = find("tool", folder / "nowhere", folder / "first", folder / "second")
    assert found.path == found.binary == str(folder / "second/tool")
    assert found.elf is not None and found.elf.interpreter == GLIBC
    assert found.elf.platform == AMD64.answer()
    make(folder / "tool", make_elf())
    assert find("tool", folder / "first", "", folder / "second").path == "./tool"


def test_a_path_is_not_looked_for(folder: Path) -> None:
    assert find("./second/tool", folder).binary == "./second/tool"
    assert refusal("./tool", folder / "second") == (NOT_FOUND, "./tool: command not found")


def test_without_path_it_is_what_execvp_takes(folder: Path) -> None:
    assert find_program("sh", {}).path == "/bin/sh"


@pytest.mark.parametrize(("name", "status", "words"), [
    ("none", NOT_FOUND, "none: command not found"),
    ("", NOT_FOUND, ": command not found"),
    ("/nowhere/none", NOT_FOUND, "/nowhere/none: command not found"),
    ("second/tool/none", NOT_FOUND, "second/tool/none: command not found"),
    ("./second", NOT_EXECUTABLE, "./second: is a directory"),
    ("nul\0", NOT_FOUND, "nul\0: command not found"),
    ("a" * 5000 + "/b", NOT_EXECUTABLE, "a" * 5000 + "/b: File name too long"),
])
def test_what_is_not_there(folder: Path, name: str, status: int, words: str) -> None:
    assert refusal(name, "second") == (status, words)


def test_what_would_be_waited_for(folder: Path) -> None:
    os.mkfifo(folder / "fifo", 0o755)
    assert refusal("./fifo") == (NOT_EXECUTABLE, "./fifo: is not a regular file")


def test_what_may_not_be_started(folder: Path) -> None:
    path = make(folder / "first/tool", make_elf(), 0o644)
    assert refusal("tool", "nowhere", "first") == (
        NOT_EXECUTABLE, "first/tool: is not executable, see chmod(1)")
    assert refusal(path)[0] == NOT_EXECUTABLE


@pytest.mark.parametrize("line", [
    "#!{tool}", "#! {tool} -x", "#!\t{tool}\t--", "#!/usr/bin/env tool",
    "#!/usr/bin/env -S tool -u", "#!/usr/bin/env -S A=1 tool",
])
def test_a_script_is_its_interpreter(folder: Path, line: str) -> None:
    script = make(folder / "script", line.format(tool=folder / "second/tool").encode() + b"\nrest")
    found = find(script, folder / "second")
    assert found.binary == str(folder / "second/tool")
    assert (found.path, found.start) == (str(script), (str(script),))


@pytest.mark.parametrize("rest", ["none", "-S -u FOO tool", '-S "tool" -u', "-S ${TOOL}"])
def test_what_env_alone_understands_is_left_to_it(folder: Path, rest: str) -> None:
    script = make(folder / "script", f"#!/usr/bin/env {rest}\n".encode())
    assert find(script).binary == "/usr/bin/env"


def test_a_script_of_a_script(folder: Path) -> None:
    inner = make(folder / "inner", f"#!{folder}/second/tool\n".encode())
    script = make(folder / "script", f"#!{inner} -x\n".encode())
    assert find(script).binary == str(folder / "second/tool")


def test_scripts_that_run_each_other(folder: Path) -> None:
    script = make(folder / "script", f"#!{folder}/script\n".encode())
    assert refusal(script) == (
        NOT_EXECUTABLE, f"{script}: too many interpreters, one for another")


@pytest.mark.parametrize(("line", "status", "words"), [
    ("#!\n", NOT_EXECUTABLE, "its first line names no interpreter"),
    ("#!/nowhere/sh\n", NOT_EXECUTABLE, "its interpreter '/nowhere/sh' cannot be started"),
    ("#!/bin/sh\r\n", NOT_EXECUTABLE, r"its interpreter '/bin/sh\r' cannot be started"),
    ("#!/etc/passwd\n", NOT_EXECUTABLE, "its interpreter '/etc/passwd' cannot be started"),
])
def test_scripts_without_interpreter(folder: Path, line: str, status: int, words: str) -> None:
    script = make(folder / "script", line.encode())
    assert refusal(script) == (status, f"{script}: {words}")


def test_a_script_without_a_first_line_is_the_shells(folder: Path) -> None:
    script = make(folder / "script", b"echo x\n")
    found = find(script)
    assert found.start == ("/bin/sh", str(script)) and found.elf is not None
    assert find(make(folder / "empty", b"")).start[0] == "/bin/sh"


def test_what_is_neither_is_left_to_the_kernel(folder: Path) -> None:
    strange = make(folder / "strange", b"\xca\xfe\xba\xbe\0\0")
    found = find(strange)
    assert (found.elf, found.start) == (None, (str(strange),))
    assert found.flaw == f"{strange} is neither a script nor an ELF file"
    broken = make(folder / "broken", b"\x7fELF")
    assert find(broken).elf is None
    assert find(broken).flaw == f"{broken}: its ELF header is not in the file"


def test_rights_that_the_caller_has_not(folder: Path) -> None:
    path = folder / "second/tool"
    assert find(path).raised == ""
    for mode, raised in ((0o4755, "setuid"), (0o2755, "setgid"), (0o6755, "setuid"),
                         (0o2745, ""), (0o1755, "")):
        path.chmod(mode)
        assert find(path).raised == raised
    script = make(folder / "script", f"#!{path}\n".encode(), 0o4755)
    path.chmod(0o755)
    # The kernel heeds the bits of interpreters, not those of scripts.
    assert find(script).raised == ""


@pytest.mark.skipif(os.geteuid() != 0 or not shutil.which("setcap"),
                    reason="capabilities of files take root and setcap")
def test_capabilities_of_a_file(folder: Path) -> None:
    path = folder / "second/tool"
    subprocess.run(["setcap", "cap_net_raw+ep", path], check=True)
    assert find(path).raised == "given capabilities, see getcap(8),"
