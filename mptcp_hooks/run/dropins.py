# SPDX-License-Identifier: GPL-2.0-or-later
"""The drop-ins that have systemd force a service: their text and their files; systemd.unit(5)."""

from __future__ import annotations

import os
import re
from contextlib import suppress
from glob import glob

from mptcp_hooks import ROOT
from mptcp_hooks.base.errors import Problem
from mptcp_hooks.base.value import TYPE_CHECKING
from mptcp_hooks.force.methods import BPF
from mptcp_hooks.run.pins import FORCE, RELEASE

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

FOLDER = "/etc/systemd/system"

_NAME = "mptcp-hooks.conf"
# What may lie there is not ours.
_SIZE_AT_MOST = 1 << 16
_HOOK = f"{ROOT}/hooks/unit"
# Has what mptcp_run made, and goes with the package: debian/mptcp-hooks.prerm looks for it as
# well. systemd passes over sections and keys that begin with X-.
_MARK = "[X-mptcp-hooks]"
_TEXT = f"""\
# Made by mptcp_run --enable, taken away by mptcp_run --disable; see mptcp_run(1).
{_MARK}
Method={{methods}}

[Service]
{{settings}}
"""
# -: the service starts all the same where this fails, or is not there any more. +: with
# root's rights, whatever the service has.
_BPF_SETTINGS = (f"ExecStartPre=-+{_HOOK} {FORCE} %n", f"ExecStopPost=-+{_HOOK} {RELEASE} %n")
_METHOD = re.compile(r"^Method=(.*)$", re.MULTILINE)


def write_text(methods: Iterable[str], variables: Mapping[str, str]) -> str:
    """The text of a drop-in for methods and the variables that they set, with their values."""
    methods = tuple(methods)
    settings = [f'Environment="{name}={_escape(value)}"' for name, value in variables.items()]
    if BPF in methods:
        settings += _BPF_SETTINGS
    return _TEXT.format(methods=" ".join(methods), settings="\n".join(settings))


def save(unit: str, text: str) -> None:
    """Have a unit's drop-in say this, as a whole or not at all."""
    path = _locate(unit)
    beside = f"{path}.new"
    try:
        if not os.path.isdir(os.path.dirname(path)):
            os.makedirs(os.path.dirname(path))
            os.chmod(os.path.dirname(path), 0o755)
        with open(beside, "w", encoding="utf-8", errors="surrogateescape") as file:
            file.write(text)
        # Whatever the umask: --list needs no rights.
        os.chmod(beside, 0o644)
        os.replace(beside, path)
    except OSError as error:
        raise Problem(f"cannot write {path}: {error.strerror}") from None


def read(unit: str) -> str:
    """What a unit's drop-in says, '' where it has none.

    Problem where it cannot be read, or is of the same name but not of mptcp_run's making.
    """
    path = _locate(unit)
    text = _read(path)
    if text is not None and not _is_ours(text):
        raise Problem(f"{path} is not of mptcp_run's making, and stays as it is")
    return text or ""


def remove(unit: str) -> bool:
    """Remove a unit's drop-in, and its folder where nothing else is in it; False for none.

    Problem as from `read`, and where it cannot be removed.
    """
    path = _locate(unit)
    read(unit)
    try:
        os.unlink(path)
    except FileNotFoundError:
        return False
    except OSError as error:
        raise Problem(f"cannot remove {path}: {error.strerror}") from None
    with suppress(OSError):
        os.rmdir(os.path.dirname(path))
    return True


def list_all() -> dict[str, str]:
    """The methods of all units that have a drop-in, by the units' names, in their order."""
    found = {}
    for path in sorted(glob(f"{FOLDER}/*.d/{_NAME}")):
        unit = os.path.basename(os.path.dirname(path)).removesuffix(".d")
        text = _read(path) or ""
        method = _METHOD.search(text) if _is_ours(text) else None
        found[unit] = method[1] if method else "not of mptcp_run's making"
    return found


def _read(path: str) -> str | None:
    """A drop-in, None where there is none; Problem where it cannot be read."""
    try:
        with open(path, encoding="utf-8", errors="surrogateescape") as file:
            return file.read(_SIZE_AT_MOST)
    except FileNotFoundError:
        return None
    except OSError as error:
        raise Problem(f"cannot read {path}: {error.strerror}") from None


def _is_ours(text: str) -> bool:
    return _MARK in text.splitlines()


def _locate(unit: str) -> str:
    return f"{FOLDER}/{unit}.d/{_NAME}"


def _escape(value: str) -> str:
    """systemd.syntax(7), "Quoting"; and % begins a specifier (systemd.unit(5))."""
    return value.replace("\\", "\\\\").replace('"', '\\"').replace("%", "%%")
