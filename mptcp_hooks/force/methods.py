# SPDX-License-Identifier: GPL-2.0-or-later
"""Chooses how a program is made to use Multipath TCP, and says why. Pure.

docs/forcing.md has the methods by program and by kernel.
"""

from __future__ import annotations

from mptcp_hooks.base.value import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from mptcp_hooks.force.means import Means
    from mptcp_hooks.force.program import Program

AUTO, MPTCPIZE, GODEBUG, BPF = "auto", "mptcpize", "godebug", "bpf"

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


class Method:
    """One way to force programs: for which it is made, what it needs, and what it adds.

    A method of its own has `name` and `fits`, and of the rest what is different from here.
    """

    name: str

    def fits(self, program: Program) -> bool:
        """Whether the method is made for a program: whether it would force its sockets."""
        raise NotImplementedError

    def lack(self, program: Program, means: Means) -> str:
        """What the machine has not and the method needs, with the remedy; '' where nothing is."""
        return ""

    def environment(self, program: Program, means: Means) -> tuple[bytes, bytes]:
        """The variable that the method adds to, and the value it adds; empty where it has none."""
        return b"", b""

    def extend(self, old: bytes, value: bytes) -> bytes:
        """What its variable has with `value` in it, where `old` is what it had before."""
        return value

    def amend(self, program: Program) -> str:
        """What a program that the method does not fit must be to be forced by it; '' mostly."""
        return ""


class _Godebug(Method):
    """Go's own setting for its programs, see https://go.dev/doc/godebug."""

    name = GODEBUG
    _FIRST = (1, 21)
    _VARIABLE, _KEY, _VALUE = b"GODEBUG", b"multipathtcp=", b"multipathtcp=1"

    def fits(self, program: Program) -> bool:
        go = program.elf.go if program.elf else None
        return go is not None and go.number >= self._FIRST

    def environment(self, program: Program, means: Means) -> tuple[bytes, bytes]:
        return self._VARIABLE, self._VALUE

    def extend(self, old: bytes, value: bytes) -> bytes:
        # Of settings of the same name the last one counts.
        told = [part for part in old.split(b",") if part.startswith(self._KEY)][-1:]
        return old if value in told else _append(old, b",", value)

    def amend(self, program: Program) -> str:
        go = program.elf.go if program.elf else None
        return f"built by Go 1.21 or later it could be forced by {self.name}" if go else ""


class _Mptcpize(Method):
    """The library of mptcpize(8), which stands before the C library's socket(2)."""

    name = MPTCPIZE
    _VARIABLE = b"LD_PRELOAD"

    def fits(self, program: Program) -> bool:
        elf = program.elf
        return elf is not None and not elf.go and not program.raised and _is_glibc(program)

    def lack(self, program: Program, means: Means) -> str:
        if not means.libraries:
            return "its library is not installed (apt install mptcpize)"
        if not self._find_library(program, means):
            return (f"its library is not installed for {program.binary}'s architecture "
                    "(dpkg --add-architecture, apt install libmptcpwrap0:ARCHITECTURE)")
        return ""

    def environment(self, program: Program, means: Means) -> tuple[bytes, bytes]:
        return self._VARIABLE, self._find_library(program, means)

    def extend(self, old: bytes, value: bytes) -> bytes:
        # ld.so(8) takes blanks as well.
        return old if value in old.replace(b" ", b":").split(b":") else _append(old, b":", value)

    @staticmethod
    def _find_library(program: Program, means: Means) -> bytes:
        """The library that the program's loader takes; for an unknown program the first."""
        fitting = [library.path for library in means.libraries
                   if program.elf is None or library.platform == program.elf.platform]
        return fitting[0].encode() if fitting else b""


class _Bpf(Method):
    """A BPF program in the kernel, which knows no kinds of programs."""

    name = BPF

    def fits(self, program: Program) -> bool:
        return True

    def lack(self, program: Program, means: Means) -> str:
        return means.bpf_lack


# From the one that asks least of the machine to the one that asks most.
METHODS: dict[str, Method] = {
    method.name: method for method in (_Godebug(), _Mptcpize(), _Bpf())}


def choose(method: str, program: Program, means: Means) -> Choice:
    """The method for a program: the first that is made for it and is there, or the one asked for.

    A method that is asked for and not there is no choice.
    """
    if method != AUTO:
        return _take(METHODS[method], program, means)
    reason = describe(program)
    for each in METHODS.values():
        if not each.fits(program):
            continue
        lack = each.lack(program, means)
        if not lack:
            return Choice(each.name, reason, "", *each.environment(program, means))
        reason += f"; {each.name} could, but {lack}"
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
    return METHODS[choice.method].extend(old, choice.value)


def _take(method: Method, program: Program, means: Means) -> Choice:
    """The choice of a method that somebody asked for, or why it is none."""
    lack = method.lack(program, means)
    if lack:
        return Choice("", f"{method.name}: {lack}")
    doubt = "" if method.fits(program) else describe(program)
    return Choice(method.name, f"{method.name} was asked for", doubt,
                  *method.environment(program, means))


def _explain(program: Program, means: Means) -> str:
    """Why no method can, and what would."""
    ways = (f"{each.name} could, but {each.lack(program, means)}" if each.fits(program)
            else each.amend(program) for each in METHODS.values())
    return "; ".join((describe(program), *filter(None, ways)))


def _is_glibc(program: Program) -> bool:
    loader = program.elf.interpreter.rpartition("/")[2] if program.elf else ""
    return loader.startswith(_GLIBC_LOADERS)


def _append(old: bytes, separator: bytes, value: bytes) -> bytes:
    return old + separator + value if old else value
