# SPDX-License-Identifier: GPL-2.0-or-later
"""Keeps a command from Multipath TCP: the kernel answers it as one that is without, by seccomp(2).

Whoever asks for an MPTCP socket must be ready for a kernel that has none, and takes TCP then.
The filter is of the process and of what it starts, and cannot be taken away. Numbers:
include/uapi/linux/seccomp.h, audit.h, filter.h, and the tables of system calls.
"""

from __future__ import annotations

import os
import socket
from ctypes import CDLL, Structure, c_char_p, c_ulong, c_ushort, get_errno, pointer
from errno import EACCES, EPROTONOSUPPORT
from struct import Struct
from sys import byteorder

from mptcp_hooks.base.errors import Problem
from mptcp_hooks.base.value import TYPE_CHECKING
from mptcp_hooks.machine.sockets import IPPROTO_MPTCP

if TYPE_CHECKING:
    from collections.abc import Iterator

    from mptcp_hooks.force.program import Program

_PR_SET_SECCOMP, _SECCOMP_MODE_FILTER, _PR_SET_NO_NEW_PRIVS = 22, 2, 38
# The kernel's number on each of the architectures below (asm-generic/socket.h).
_SO_PROTOCOL = 38
_ALLOW, _FAIL = 0x7FFF0000, 0x00050000
# An instruction: its code, how many to pass over if it is so, and if not, and a number.
_INSTRUCTION = Struct("=HBBI")
_LOAD, _IS_EQUAL, _RETURN = 0x20, 0x15, 0x06
# struct seccomp_data: which call, of which architecture, and the third of its six values.
_CALL_AT, _ARCHITECTURE_AT = 0, 4
_PROTOCOL_AT = 16 + 2 * 8 + (0 if byteorder == "little" else 4)
# AUDIT_ARCH_* and the number of socket(2): x86-64 and i386, arm64 and arm, riscv64, ppc64el,
# s390x, loong64.
_SOCKET_CALLS = (
    (0xC000003E, 41), (0x40000003, 359), (0xC00000B7, 198), (0x40000028, 281),
    (0xC00000F3, 198), (0xC0000015, 326), (0x80000016, 359), (0xC0000102, 198))
# Machines of elf(5) whose programs use another call: EM_386 and EM_S390.
_SOCKETCALL = {3: "i386", 22: "s390x"}
_LIBRARY, _PRELOAD = b"libmptcpwrap.so", b"LD_PRELOAD"


class _Program(Structure):
    """struct sock_fprog."""

    _fields_ = (("length", c_ushort), ("instructions", c_char_p))


def leave_out_library(environment: dict[bytes, bytes]) -> dict[bytes, bytes]:
    """An environment without mptcpize's library, which takes a refusal for the last word."""
    kept = [word for word in environment.get(_PRELOAD, b"").replace(b":", b" ").split()
            if _LIBRARY not in word]
    others = {name: value for name, value in environment.items() if name != _PRELOAD}
    return others | ({_PRELOAD: b":".join(kept)} if kept else {})


def find_way_around(program: Program) -> str:
    """Why a program may get MPTCP all the same, '' where it does not.

    What socketcall(2) is given is in memory; glibc and Go open sockets by it where it is there.
    """
    machine = _SOCKETCALL.get(program.elf.platform[2]) if program.elf else None
    return f"{machine} programs open sockets with socketcall(2), which a filter cannot inspect" \
        if machine else ""


def list_inherited() -> list[int]:
    """The descriptors from the caller that are MPTCP sockets already, and stay so."""
    return [number for number in sorted(map(int, os.listdir("/proc/self/fd")))
            if _is_mptcp(number)]


def refuse_mptcp() -> None:
    """Have this process and what it becomes get no MPTCP socket; Problem where it still would.

    Without CAP_SYS_ADMIN programs that it starts get no more rights than it has: prctl(2).
    """
    code = b"".join(_write_filter())
    filter_ = _Program(len(code) // _INSTRUCTION.size, code)
    libc = CDLL(None, use_errno=True)
    given = (_PR_SET_SECCOMP, c_ulong(_SECCOMP_MODE_FILTER), pointer(filter_))
    status = libc.prctl(*given)
    if status and get_errno() == EACCES:
        libc.prctl(_PR_SET_NO_NEW_PRIVS, c_ulong(1), c_ulong(0), c_ulong(0), c_ulong(0))
        status = libc.prctl(*given)
    if status:
        raise Problem(f"the kernel takes no seccomp filter: {os.strerror(get_errno())}")
    if _gets_mptcp():
        raise Problem(f"a filter cannot see how sockets are opened on {os.uname().machine}")


def _write_filter() -> Iterator[bytes]:
    """A block of eight instructions an architecture; the last of all lets any other call pass."""
    for architecture, call in _SOCKET_CALLS:
        yield _INSTRUCTION.pack(_LOAD, 0, 0, _ARCHITECTURE_AT)
        yield _INSTRUCTION.pack(_IS_EQUAL, 0, 6, architecture)
        yield _INSTRUCTION.pack(_LOAD, 0, 0, _CALL_AT)
        yield _INSTRUCTION.pack(_IS_EQUAL, 0, 3, call)
        yield _INSTRUCTION.pack(_LOAD, 0, 0, _PROTOCOL_AT)
        yield _INSTRUCTION.pack(_IS_EQUAL, 0, 1, IPPROTO_MPTCP)
        yield _INSTRUCTION.pack(_RETURN, 0, 0, _FAIL | EPROTONOSUPPORT)
        yield _INSTRUCTION.pack(_RETURN, 0, 0, _ALLOW)
    yield _INSTRUCTION.pack(_RETURN, 0, 0, _ALLOW)


def _gets_mptcp() -> bool:
    try:
        socket.socket(socket.AF_INET, socket.SOCK_STREAM, IPPROTO_MPTCP).close()
    except OSError:
        return False
    return True


def _is_mptcp(number: int) -> bool:
    try:
        one = socket.socket(fileno=number)
    except OSError:
        # It is none.
        return False
    try:
        return one.getsockopt(socket.SOL_SOCKET, _SO_PROTOCOL) == IPPROTO_MPTCP
    except OSError:
        return False
    finally:
        one.detach()
