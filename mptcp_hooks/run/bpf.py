# SPDX-License-Identifier: GPL-2.0-or-later
"""Loads bpf/force.bpf.c's object for one control group, with the libbpf that iproute2 needs too.

What is loaded lives as long as a descriptor of its link is open or its link is pinned,
and goes by itself with the last of them, also when its process is killed.
"""

from __future__ import annotations

import os
from ctypes import CDLL, byref, c_char_p, c_uint32, c_uint64, c_void_p, get_errno
from errno import E2BIG, EACCES, EINVAL, ENOENT, EPERM, ESRCH

from mptcp_hooks.base.errors import Problem
from mptcp_hooks.force.means import OBJECT

_LIBRARY = "libbpf.so.1"
_PROGRAM, _GROUP = b"force", b"group"
# include/linux/errno.h; no C library has a name or a word for it.
_ENOTSUPP = 524
# What the kernel's numbers mean here, more than strerror(3) says.
_NO_FUNCTION = "it needs Linux 6.6 or later, whose update_socket_protocol() may be asked"
_NOT_PERMITTED = ("the kernel does not permit it, which takes CAP_BPF and CAP_PERFMON, and no "
                  "lockdown")
_MEANINGS = {
    EPERM: _NOT_PERMITTED,
    EACCES: _NOT_PERMITTED,
    ESRCH: _NO_FUNCTION,
    ENOENT: _NO_FUNCTION,
    EINVAL: _NO_FUNCTION,
    E2BIG: "the kernel takes no more than 38 of these at once",
    _ENOTSUPP: "this kernel lets no BPF program stand in for its functions on "
               f"{os.uname().machine}",
}


class Force:
    """MPTCP for what a control group and its children open; until this process ends."""

    def __init__(self, group: str) -> None:
        """Problem, in words for who asked for bpf, where it cannot be done."""
        self._library = _load_library()
        self._object = self._ask("bpf_object__open_file", OBJECT.encode(), None)
        self._insist(self._library.bpf_object__load(self._object))
        self._set_group(group)
        program = self._ask("bpf_object__find_program_by_name", self._object, _PROGRAM)
        self._link = self._ask("bpf_program__attach", program)

    def pin(self, path: str) -> None:
        """Have the link outlive this process, as a file of the BPF file system."""
        self._insist(self._library.bpf_link__pin(self._link, path.encode()))

    def _set_group(self, group: str) -> None:
        folder = os.open(group, os.O_RDONLY | os.O_DIRECTORY)
        try:
            map_ = self._ask("bpf_object__find_map_by_name", self._object, _GROUP)
            self._insist(self._library.bpf_map_update_elem(
                self._library.bpf_map__fd(map_), byref(c_uint32(0)), byref(c_uint32(folder)),
                c_uint64(0)))
        finally:
            os.close(folder)

    def _ask(self, function: str, *arguments: object) -> c_void_p:
        """A call whose answer is an object; none is an error, and its number in errno."""
        answer = getattr(self._library, function)(*arguments)
        if not answer:
            raise _explain(get_errno())
        return c_void_p(answer)

    def _insist(self, result: int) -> None:
        """A call whose answer is 0, or a number of errno.h below it."""
        if result < 0:
            raise _explain(-result)


def _load_library() -> CDLL:
    try:
        library = CDLL(_LIBRARY, use_errno=True)
    except OSError:
        raise Problem(f"it needs {_LIBRARY} (apt install libbpf1; libbpf0, as Ubuntu 22.04 has it, "
                      "is too old)") from None
    for function in ("bpf_object__open_file", "bpf_object__find_program_by_name",
                     "bpf_object__find_map_by_name", "bpf_program__attach"):
        getattr(library, function).restype = c_void_p
    library.bpf_object__open_file.argtypes = (c_char_p, c_void_p)
    library.bpf_link__pin.argtypes = (c_void_p, c_char_p)
    # Its own words would be many lines.
    library.libbpf_set_print(None)
    return library


def _explain(number: int) -> Problem:
    return Problem(_MEANINGS.get(number, os.strerror(number)))
