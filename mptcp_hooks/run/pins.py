# SPDX-License-Identifier: GPL-2.0-or-later
"""What a service that bpf forces starts before and after itself: its control group's BPF program.

systemd ends what a unit's ExecStartPre= leaves running, so nobody can stay to hold the
program: it is pinned, from the service's start to its end.
"""

from __future__ import annotations

import os
import stat
import sys
from contextlib import suppress

from mptcp_hooks.base.errors import USAGE, Problem
from mptcp_hooks.force.methods import BPF
from mptcp_hooks.machine import cgroups

FORCE, RELEASE = "force", "release"

_TEMPLATE = "@.service"
_FOLDER = "/sys/fs/bpf/mptcp-hooks"


def run_unit_hook() -> int:
    """`force UNIT` or `release UNIT`, from within the unit's control group; 0 where it is done.

    Problem, with the unit's name and the method's, where it is not.
    """
    verb, unit = sys.argv[1:]
    try:
        _act(verb, unit)
    except Problem as problem:
        raise Problem(f"{unit}: {BPF}: {problem}", problem.status) from None
    return 0


def release(unit: str) -> None:
    """Force what the unit opens from now on no more; no error where nothing forces it.

    Of a template, what all of its instances open.
    """
    template, instance, _ = unit.partition(_TEMPLATE)
    with suppress(FileNotFoundError):
        for name in os.listdir(_FOLDER) if instance else ():
            if name.startswith(f"{_escape(template)}@"):
                os.unlink(f"{_FOLDER}/{name}")
        os.unlink(_name_pin(unit))
    # Others may have theirs there.
    with suppress(OSError):
        os.rmdir(_FOLDER)


def _act(verb: str, unit: str) -> None:
    if verb == FORCE:
        _force(unit)
    elif verb == RELEASE:
        release(unit)
    else:
        raise Problem(f"it is {FORCE} or {RELEASE}, not {verb}", USAGE)


def _force(unit: str) -> None:
    from mptcp_hooks.run.bpf import Force

    force = Force(cgroups.find_unit_group())
    # A control group that is made anew has another identity: what a crash left is of no use.
    release(unit)
    _make_folder()
    force.pin(_name_pin(unit))


def _make_folder() -> None:
    try:
        os.mkdir(_FOLDER, 0o700)
    except FileExistsError:
        info = os.lstat(_FOLDER)
        if info.st_uid or info.st_mode & 0o22 or not stat.S_ISDIR(info.st_mode):
            raise Problem(f"{_FOLDER} is not a folder of root's own: remove it") from None
    except OSError as error:
        raise Problem(f"cannot make {_FOLDER}: {error.strerror} (mount -t bpf bpf /sys/fs/bpf)"
                      ) from None


def _name_pin(unit: str) -> str:
    return f"{_FOLDER}/{_escape(unit)}"


def _escape(text: str) -> str:
    """The BPF file system takes no dots in names (kernel/bpf/inode.c, bpf_lookup)."""
    return text.replace(".", r"\x2e")
