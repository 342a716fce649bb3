# SPDX-License-Identifier: GPL-2.0-or-later
"""Which method a program gets on which machine, and what is said where none can."""

from __future__ import annotations

import pytest

from mptcp_hooks.force.means import Means
from mptcp_hooks.force.methods import AUTO, BPF, GODEBUG, METHODS, MPTCPIZE, Method, choose, extend
from mptcp_hooks.force.program import Program
from tests.unit.forced_programs import (
    ALL,
    BARE,
    CGO_1_20,
    DYNAMIC,
    GO_1_20,
    GO_1_21,
    GO_SETUID,
    LIBRARY,
    NARROW,
    NO_BPF,
    ONLY_BPF,
    OTHER_LIBC,
    SCRIPT,
    SETUID,
    STATIC,
    UNKNOWN,
)


@pytest.mark.parametrize(("program", "means", "method"), [
    (DYNAMIC, ALL, MPTCPIZE), (SCRIPT, ALL, MPTCPIZE), (STATIC, ALL, BPF), (OTHER_LIBC, ALL, BPF),
    (NARROW, ALL, BPF), (SETUID, ALL, BPF), (GO_1_21, ALL, GODEBUG), (GO_1_20, ALL, BPF),
    (CGO_1_20, ALL, BPF), (GO_SETUID, ALL, GODEBUG), (UNKNOWN, ALL, BPF),
    (DYNAMIC, NO_BPF, MPTCPIZE), (DYNAMIC, ONLY_BPF, BPF), (GO_1_21, BARE, GODEBUG),
    (DYNAMIC, BARE, ""), (STATIC, NO_BPF, ""), (SETUID, NO_BPF, ""), (GO_1_20, NO_BPF, ""),
    (UNKNOWN, NO_BPF, ""),
])
def test_auto(program: Program, means: Means, method: str) -> None:
    choice = choose(AUTO, program, means)
    assert (choice.method, choice.doubt) == (method, "")


@pytest.mark.parametrize(("program", "means", "words"), [
    (DYNAMIC, ALL, "/usr/bin/it is dynamic and uses glibc"),
    (SCRIPT, ALL, "/bin/sh is dynamic and uses glibc"),
    (DYNAMIC, ONLY_BPF, "/usr/bin/it is dynamic and uses glibc; mptcpize could, but its library is "
     "not installed (apt install mptcpize)"),
    (GO_1_21, ALL, "/usr/bin/it was built by Go (go1.21.0)"),
    (DYNAMIC, BARE,
     "/usr/bin/it is dynamic and uses glibc; mptcpize could, but its library is not installed (apt "
     "install mptcpize); bpf could, but it needs root"),
    (NARROW, NO_BPF,
     "/usr/bin/it is dynamic and uses glibc; mptcpize could, but its library is not installed for "
     "/usr/bin/it's architecture (dpkg --add-architecture, apt install "
     "libmptcpwrap0:ARCHITECTURE); bpf could, but it needs root"),
    (STATIC, NO_BPF, "/usr/bin/it is static; bpf could, but it needs root"),
    (OTHER_LIBC, NO_BPF,
     "/usr/bin/it uses /lib/ld-musl-x86_64.so.1, not glibc; bpf could, but it needs root"),
    (SETUID, NO_BPF, "/usr/bin/it is setuid and its loader takes no LD_PRELOAD; bpf could, but it "
     "needs root"),
    (GO_1_20, NO_BPF, "/usr/bin/it was built by Go (go1.20.14); built by Go 1.21 or later it could "
     "be forced by godebug; bpf could, but it needs root"),
    (UNKNOWN, NO_BPF,
     "/usr/bin/it is neither a script nor an ELF file; bpf could, but it needs root"),
])
def test_why(program: Program, means: Means, words: str) -> None:
    assert choose(AUTO, program, means).reason == words


@pytest.mark.parametrize(("method", "program", "doubt"), [
    (MPTCPIZE, DYNAMIC, ""), (MPTCPIZE, STATIC, "/usr/bin/it is static"),
    (MPTCPIZE, GO_1_21, "/usr/bin/it was built by Go (go1.21.0)"),
    (MPTCPIZE, UNKNOWN, UNKNOWN.flaw),
    (GODEBUG, GO_1_21, ""), (GODEBUG, DYNAMIC, "/usr/bin/it is dynamic and uses glibc"),
    (GODEBUG, GO_1_20, "/usr/bin/it was built by Go (go1.20.14)"),
    (BPF, DYNAMIC, ""), (BPF, UNKNOWN, ""),
])
def test_a_method_that_was_asked_for_is_taken(method: str, program: Program, doubt: str) -> None:
    choice = choose(method, program, ALL)
    assert (choice.method, choice.doubt) == (method, doubt)
    assert choice.reason == f"{method} was asked for"


@pytest.mark.parametrize(("method", "means", "words"), [
    (MPTCPIZE, BARE, "mptcpize: its library is not installed (apt install mptcpize)"),
    (BPF, NO_BPF, "bpf: it needs root"),
])
def test_a_method_that_is_not_there(method: str, means: Means, words: str) -> None:
    choice = choose(method, DYNAMIC, means)
    assert (choice.method, choice.reason) == ("", words)


def test_what_each_method_adds_to_the_environment() -> None:
    added = {method: (choice.variable, choice.value) for method in (MPTCPIZE, GODEBUG, BPF)
             for choice in [choose(method, DYNAMIC, ALL)]}
    assert added == {MPTCPIZE: (b"LD_PRELOAD", LIBRARY.encode()),
                     GODEBUG: (b"GODEBUG", b"multipathtcp=1"), BPF: (b"", b"")}


@pytest.mark.parametrize(("program", "old", "new"), [
    (DYNAMIC, b"", LIBRARY.encode()), (DYNAMIC, b"/a.so", b"/a.so:" + LIBRARY.encode()),
    (DYNAMIC, b"/a.so " + LIBRARY.encode(), b"/a.so " + LIBRARY.encode()),
    (GO_1_21, b"", b"multipathtcp=1"), (GO_1_21, b"gctrace=1", b"gctrace=1,multipathtcp=1"),
    # The last one counts.
    (GO_1_21, b"multipathtcp=0", b"multipathtcp=0,multipathtcp=1"),
    (GO_1_21, b"multipathtcp=1,multipathtcp=0", b"multipathtcp=1,multipathtcp=0,multipathtcp=1"),
    (GO_1_21, b"multipathtcp=1,gctrace=1", b"multipathtcp=1,gctrace=1"),
])
def test_what_a_variable_had_stays(program: Program, old: bytes, new: bytes) -> None:
    assert extend(choose(AUTO, program, ALL), old) == new


class Emulator(Method):
    """A method that this package has not: it is for static programs, and takes any variable."""

    name = "emulator"

    def fits(self, program: Program) -> bool:
        return program.elf is not None and not program.elf.interpreter

    def environment(self, program: Program, means: Means) -> tuple[bytes, bytes]:
        return b"EMULATE", program.binary.encode()


def test_a_method_more_is_one_object_more(monkeypatch: pytest.MonkeyPatch) -> None:
    """It comes last, so others that could are named with what they lack."""
    monkeypatch.setitem(METHODS, Emulator.name, Emulator())
    choice = choose(AUTO, STATIC, NO_BPF)
    assert choice.reason == "/usr/bin/it is static; bpf could, but it needs root"
    assert (choice.method, choice.variable, choice.value) == (
        "emulator", b"EMULATE", b"/usr/bin/it")
    assert extend(choice, b"/usr/bin/other") == b"/usr/bin/it"
    assert choose("emulator", DYNAMIC, ALL).doubt == "/usr/bin/it is dynamic and uses glibc"
