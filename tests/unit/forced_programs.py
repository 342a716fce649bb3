# SPDX-License-Identifier: GPL-2.0-or-later
"""Programs and machines of each kind that decides about a method."""

from __future__ import annotations

from mptcp_hooks.force.elf import Elf, Go
from mptcp_hooks.force.means import Library, Means
from mptcp_hooks.force.program import Program
from tests.unit.elf_files import AMD64, GLIBC, MUSL, PC

LIBRARY = "/usr/lib/x86_64-linux-gnu/mptcpize/libmptcpwrap.so.0"
NO_ROOT = "it needs root"
ALL = Means("", (Library(LIBRARY, AMD64.answer()),), "")
NO_BPF = ALL._replace(bpf_lack=NO_ROOT)
BARE = Means("", (), NO_ROOT)
ONLY_BPF = Means("", (), "")

DYNAMIC = Program("/usr/bin/it", ("/usr/bin/it",), "/usr/bin/it",
                  Elf(AMD64.answer(), GLIBC, None), "", "")
SCRIPT = DYNAMIC._replace(path="/usr/bin/script", binary="/bin/sh")
STATIC = DYNAMIC._replace(elf=Elf(AMD64.answer(), "", None))
OTHER_LIBC = DYNAMIC._replace(elf=Elf(AMD64.answer(), MUSL, None))
NARROW = DYNAMIC._replace(elf=Elf(PC.answer(), "/lib/ld-linux.so.2", None))
SETUID = DYNAMIC._replace(raised="setuid")
GO_1_21 = DYNAMIC._replace(elf=Elf(AMD64.answer(), "", Go("go1.21.0", (1, 21))))
GO_1_20 = DYNAMIC._replace(elf=Elf(AMD64.answer(), "", Go("go1.20.14", (1, 20))))
CGO_1_20 = DYNAMIC._replace(elf=Elf(AMD64.answer(), GLIBC, Go("go1.20.14", (1, 20))))
GO_SETUID = GO_1_21._replace(raised="setuid")
UNKNOWN = DYNAMIC._replace(elf=None, flaw="/usr/bin/it is neither a script nor an ELF file")
