"""Chooses how a program is made to use Multipath TCP, and says why. Pure.

docs/forcing.md has the methods by program and by kernel.
"""

from __future__ import annotations

from mptcp_hooks.value import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from mptcp_hooks.means import Means
    from mptcp_hooks.program import Program

AUTO, MPTCPIZE, GODEBUG, BPF = "auto", "mptcpize", "godebug", "bpf"
# From the one that asks least of the machine to the one that asks most.
METHODS = (GODEBUG, MPTCPIZE, BPF)
PACKAGE = "mptcpize"

_FIRST_GO = (1, 21)
_GO_SETTING = b"multipathtcp=1"
_GO_VARIABLE, _LOADER_VARIABLE = b"GODEBUG", b"LD_PRELOAD"
# ld.so(8): others, such as musl's, do not find what glibc's library needs.
_GLIBC_LOADERS = ("ld-linux", "ld.so", "ld64.so")


class Choice(NamedTuple):
    """How a program is forced.

    `method` is '' where nothing can, and `reason` says why, or why this one. `doubt` is why the
    method, which somebody asked for, is not made for this program; '' mostly. `variable`
    and `value` are what the method adds to the environment, empty for bpf.
    """

    method: str
    reason: str
    doubt: str = ""
    variable: bytes = b""
    value: bytes = b""


def choose(method: str, program: Program, means: Means) -> Choice:
    """The method for a program: the first that is made for it and is there, or the one asked for.

    A method that is asked for and not there is no choice.
    """
    if method != AUTO:
        lack = _find_lack(method, program, means)
        if lack:
            return Choice("", f"{method}: {lack}")
        return _make_choice(method, program, means, f"{method} was asked for",
                            _find_misfit(method, program))
    reason = describe(program)
    for each in METHODS:
        if _find_misfit(each, program):
            continue
        lack = _find_lack(each, program, means)
        if not lack:
            return _make_choice(each, program, means, reason)
        reason += f"; {each} could, but {lack}"
    return Choice("", _explain(program, means))


def describe(program: Program) -> str:
    """What decides about the method."""
    if program.elf is None:
        return program.flaw
    if program.elf.go:
        return f"{program.binary} was built by Go ({program.elf.go.text})"
    if program.raised:
        return f"{program.binary} is {program.raised} and its loader takes no LD_PRELOAD"
    if not program.elf.interpreter:
        return f"{program.binary} is static"
    if not _is_glibc(program):
        return f"{program.binary} uses {program.elf.interpreter}, not glibc"
    return f"{program.binary} is dynamic and uses glibc"


def extend(choice: Choice, old: bytes) -> bytes:
    """The value of the choice's variable where it has an old one, which stays as it is."""
    if choice.variable == _GO_VARIABLE:
        separator, parts = b",", old.split(b",")
        # The last one counts.
        parts = [part for part in parts if part.startswith(_GO_SETTING[:-1])][-1:]
    else:
        # ld.so(8) takes blanks as well.
        separator, parts = b":", old.replace(b" ", b":").split(b":")
    if choice.value in parts:
        return old
    return old + separator + choice.value if old else choice.value


def _make_choice(
    method: str, program: Program, means: Means, reason: str, doubt: str = ""
) -> Choice:
    if method == GODEBUG:
        return Choice(method, reason, doubt, _GO_VARIABLE, _GO_SETTING)
    if method == MPTCPIZE:
        return Choice(method, reason, doubt, _LOADER_VARIABLE, _find_library(program, means))
    return Choice(method, reason, doubt)


def _find_misfit(method: str, program: Program) -> str:
    """Why a method does nothing for this program, '' where it does; bpf does it for all."""
    elf = program.elf
    if method == BPF:
        return ""
    if elf is None:
        return program.flaw
    if method == GODEBUG:
        fits = elf.go is not None and elf.go.number >= _FIRST_GO
    else:
        fits = not elf.go and not program.raised and _is_glibc(program)
    return "" if fits else describe(program)


def _is_glibc(program: Program) -> bool:
    loader = program.elf.interpreter.rpartition("/")[2] if program.elf else ""
    return loader.startswith(_GLIBC_LOADERS)


def _find_lack(method: str, program: Program, means: Means) -> str:
    """What the machine has not and the method needs, with the remedy; '' where nothing is."""
    if method == BPF:
        return means.bpf_lack
    if method == MPTCPIZE and not _find_library(program, means):
        if not means.libraries:
            return f"its library is not installed (apt install {PACKAGE})"
        return (f"its library is not installed for {program.binary}'s architecture "
                "(dpkg --add-architecture, apt install libmptcpwrap0:ARCHITECTURE)")
    return ""


def _find_library(program: Program, means: Means) -> bytes:
    """The library that the program's loader takes; for an unknown program the first."""
    fitting = [library.path for library in means.libraries
               if program.elf is None or library.platform == program.elf.platform]
    return fitting[0].encode() if fitting else b""


def _explain(program: Program, means: Means) -> str:
    """Why no method can, and what would."""
    go = program.elf.go if program.elf else None
    ways = []
    if go:
        ways.append("built by Go 1.21 or later it could be forced by godebug")
    elif not _find_misfit(MPTCPIZE, program):
        ways.append(f"{MPTCPIZE} could, but {_find_lack(MPTCPIZE, program, means)}")
    ways.append(f"{BPF} could, but {means.bpf_lack}")
    return f"{describe(program)}; {'; '.join(ways)}"
