# SPDX-License-Identifier: GPL-2.0-or-later
"""What this machine has to force programs with; changes nothing."""

from __future__ import annotations

import os
import sys
from glob import glob

from mptcp_hooks import ROOT
from mptcp_hooks.base.errors import Problem
from mptcp_hooks.base.textfile import read_text
from mptcp_hooks.base.value import NamedTuple
from mptcp_hooks.force.elf import read_elf
from mptcp_hooks.machine import cgroups

OBJECT = f"{ROOT}/bpf/force.{sys.byteorder}.bpf.o"
TYPES = "/sys/kernel/btf/vmlinux"

_ENABLED = "/proc/sys/net/mptcp/enabled"
_LOCKDOWN = "/sys/kernel/security/lockdown"
# Of the package libmptcpwrap0, a folder for each architecture.
_LIBRARIES = "/usr/lib/*/mptcpize/libmptcpwrap.so.*"
_FIRST_KERNEL = (6, 6)


class Library(NamedTuple):
    """mptcpize's library, and for which programs it is, see Elf.platform."""

    path: str
    platform: tuple[int, int, int]


class Means(NamedTuple):
    """`disabled` says why no socket can be MPTCP's now, '' where it can; `bpf_lack` why not bpf."""

    disabled: str
    libraries: tuple[Library, ...]
    bpf_lack: str


def read_means() -> Means:
    """What there is now, for whoever calls."""
    return Means(_find_disabled(), tuple(_list_libraries()), _find_bpf_lack())


def _find_disabled() -> str:
    enabled = read_text(_ENABLED).strip()
    if not enabled:
        return "this kernel has no Multipath TCP"
    return "net.mptcp.enabled is 0 (sysctl -w net.mptcp.enabled=1)" if enabled == "0" else ""


def _list_libraries() -> list[Library]:
    """One an architecture; the link by the name that programs use comes before its file."""
    found: dict[tuple[int, int, int], Library] = {}
    for path in sorted(glob(_LIBRARIES), key=lambda path: (len(path), path)):
        try:
            descriptor = os.open(path, os.O_RDONLY)
        except OSError:
            continue
        try:
            platform = read_elf(descriptor, path).platform
            found.setdefault(platform, Library(path, platform))
        except Problem:
            # Half installed: as good as none.
            continue
        finally:
            os.close(descriptor)
    return list(found.values())


def _find_bpf_lack() -> str:
    """The first thing that is missing; what only a try can tell, bpf.py says."""
    if os.geteuid() != 0:
        return "it needs root"
    release = os.uname().release
    if _parse_release(release) < _FIRST_KERNEL:
        return f"it needs Linux 6.6 or later, and this is {release}"
    if not os.path.exists(TYPES):
        return f"it needs a kernel with BTF, and there is no {TYPES}"
    if "[confidentiality]" in read_text(_LOCKDOWN):
        return f"the kernel is locked down ({_LOCKDOWN} says confidentiality)"
    if not os.path.exists(OBJECT):
        return f"it needs {OBJECT}, which the build makes with gcc-bpf 12 or later"
    try:
        cgroups.find_own()
    except Problem as problem:
        return str(problem)
    return ""


def _parse_release(release: str) -> tuple[int, ...]:
    """`6.12.43+deb13-amd64` is (6, 12)."""
    first = release.split(".")[:2]
    return tuple(int("".join(filter(str.isdigit, part.partition("-")[0])) or 0) for part in first)
