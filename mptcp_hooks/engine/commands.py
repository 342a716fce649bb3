# SPDX-License-Identifier: GPL-2.0-or-later
"""Command sets: the lines of `ip` that set a path up and take it away, cached or rendered."""

from __future__ import annotations

from posix import listdir, lstat, stat, stat_result

from mptcp_hooks import ROOT, __version__
from mptcp_hooks.base.errors import USAGE, Problem
from mptcp_hooks.base.folder import OWN, is_folder, is_link, is_regular, refuse_foreign
from mptcp_hooks.base.line import read_value
from mptcp_hooks.base.numbering import (
    DETOUR,
    FORMER_PREFERENCES,
    NAMES_TABLE,
    PREFERENCES,
    PROTOCOL,
    SUPPRESSED_LENGTHS,
    WAY_OUT,
    number_rules,
)
from mptcp_hooks.base.value import TYPE_CHECKING, NamedTuple
from mptcp_hooks.engine.command_cache import note_commands, recall_commands

if TYPE_CHECKING:
    from collections.abc import Iterable
    from typing import Any

    from mptcp_hooks.base.model import Endpoint, Limits, Path
    from mptcp_hooks.engine.name_record import Name

OWN_TEMPLATES = f"{OWN}/templates"
FOLDERS = (OWN_TEMPLATES, f"{ROOT}/templates")
# A template has a thousand.
_SIZE_AT_MOST = 1 << 20
_LIMITS_LABEL, _DETOURS_LABEL, _NAMES_LABEL = ".limits", ".detours", ".names"
# What the stand-in of an endpoint's id begins with; its address follows.
STAND_IN = "@"
_SUPPRESS = "suppress_prefixlength"
_identities: list[tuple[str, int, int, int, int]] = []


def build_up(path: Path) -> tuple[str, ...]:
    """The lines that set a path up; Problem (USAGE) names a template's line that is wrong."""
    return _build("up.j2", path.iface, path=path)


def build_down(path: Path) -> tuple[str, ...]:
    """The lines that undo build_up, with a stand-in for the endpoint's id (see bind_ids)."""
    return _build("down.j2", path.iface, path=path)


def build_raise(limits: Limits) -> tuple[str, ...]:
    """The lines that raise the path manager's limits before an endpoint is made."""
    return _build("up.j2", _LIMITS_LABEL, limits=limits)


def build_restore(limits: Limits) -> tuple[str, ...]:
    """The lines that set the limits back after our last endpoint went."""
    return _build("down.j2", _LIMITS_LABEL, limits=limits)


def build_detour(family: int, table: int) -> tuple[str, ...]:
    """The lines that lead new connections to a table before main, or nowhere where it is 0."""
    return _build_detour("up.j2", family, table)


def build_end_of_detour(family: int, table: int) -> tuple[str, ...]:
    """The lines that undo build_detour."""
    return _build_detour("down.j2", family, table)


def can_lead(family: int, table: int) -> bool:
    """Whether the templates have lines for it: a copy of an older version has none."""
    return bool(build_detour(family, table)) and bool(build_end_of_detour(family, table))


def build_name(name: Name) -> tuple[str, ...]:
    """The lines that have a resolver asked over its uplink, or that have that table asked."""
    return _build("up.j2", _NAMES_LABEL, name=name._replace(down=()))


def build_end_of_name(name: Name) -> tuple[str, ...]:
    """The lines that undo build_name."""
    return _build("down.j2", _NAMES_LABEL, name=name._replace(down=()))


def bind_ids(
    lines: Iterable[str], path: Path, endpoints: Iterable[Endpoint]
) -> tuple[str, ...]:
    """Put the kernel's id in the place of the stand-in; a line is dropped with its endpoint.

    The kernel gives the id when the endpoint is made, long after the line that
    deletes it was rendered.
    """
    ids = {one.address: one.identity for one in endpoints if path.owns(one)}
    bound = []
    for line in lines:
        meant = [one for one in (path.address, *path.announced) if is_about_id(line, one)]
        if not meant:
            bound.append(line)
        elif meant[0] in ids:
            bound.append(f"{line} ".replace(
                _name_id(meant[0]), f" id {ids[meant[0]]} ").removesuffix(" "))
    return tuple(bound)


def names_own_endpoint(lines: Iterable[str], path: Path) -> bool:
    """Whether each stand-in of an endpoint's id is one of the path's: no other is ever bound."""
    return all(any(is_about_id(line, one) for one in (path.address, *path.announced))
               for line in lines if f" id {STAND_IN}" in line)


def is_about_id(line: str, address: str) -> bool:
    """Whether a line has the stand-in of the id that the endpoint of an address gets."""
    return _name_id(address) in f"{line} "


def list_former(lines: Iterable[str]) -> tuple[str, ...]:
    """The lines about rules as earlier versions had them: at another preference, or of main.

    Those of main suppressed the default alone. Such rules may stand where the record that told
    of them is lost or damaged.
    """
    moved = [line.replace(f" pref {PREFERENCES[name]} ", f" pref {former} ")
             for line in lines if read_value(line, "oif")
             for name, former in FORMER_PREFERENCES.items()
             if read_value(line, "pref") == str(PREFERENCES[name])]
    at_former = [line for line in lines if not read_value(line, "oif")] + moved
    lengths = [(line, read_value(line, _SUPPRESS)) for line in at_former]
    return (*moved, *(line.replace(f" {_SUPPRESS} {length} ", f" {_SUPPRESS} 0 ")
                      for line, length in lengths if length not in ("", "0")))


class _ShownEndpoint(NamedTuple):
    """An endpoint of a path as a template sees it; `device` is '' for an announced address."""

    address: str
    device: str
    flags: tuple[str, ...]
    id: str


class _Shown:
    """A path as a template sees it: its fields, and its endpoints with stand-ins of their ids."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def __getattr__(self, name: str) -> Any:
        if name == "endpoint_id":
            return _stand_in(self._path.address)
        if name == "endpoints":
            # An interface that is not here, as --dry-run is told of, has no index but a name.
            return tuple(_ShownEndpoint(
                one.address, self._path.device if one.address == self._path.address else "",
                one.flags, _stand_in(one.address)) for one in self._path.endpoints)
        return getattr(self._path, name)


def _stand_in(address: str) -> str:
    return f"{STAND_IN}{address}"


def _name_id(address: str) -> str:
    """How a line says it. Behind the word `id` alone: a device may be called like a stand-in."""
    return f" id {_stand_in(address)} "


def _build(
    template: str, label: str, path: Path | None = None, limits: Limits | None = None,
    name: Name | None = None, detour: dict[str, int] | None = None,
) -> tuple[str, ...]:
    """The set as it was kept, or rendered: equal keys mean equal sets."""
    key = repr((__version__, template, _read_identities(), path and tuple(path),
                limits and tuple(limits), name and tuple(name), detour, _number(path), PROTOCOL,
                SUPPRESSED_LENGTHS, NAMES_TABLE))
    kept = recall_commands(label, key)
    if kept is not None:
        return kept
    lines = _render(template, path=path, limits=limits, name=name, detour=detour)
    note_commands(label, key, lines)
    return lines


def _build_detour(template: str, family: int, table: int) -> tuple[str, ...]:
    return _build(template, f"{_DETOURS_LABEL}{family}",
                  detour={"family": family, "table": table})


def _render(
    template: str, path: Path | None = None, limits: Limits | None = None,
    name: Name | None = None, detour: dict[str, int] | None = None,
) -> tuple[str, ...]:
    from mptcp_hooks.engine.render import render_commands

    return render_commands(template, FOLDERS, {
        "paths": (_Shown(path),) if path else (),
        "limits": limits,
        "detour": detour,
        "name": name,
        "names": NAMES_TABLE,
        "pref": _number(path),
        "protocol": PROTOCOL,
        "suppress": SUPPRESSED_LENGTHS,
    })


def _number(path: Path | None) -> dict[str, int]:
    """The preferences of all kinds of rules, as a template sees them."""
    return {**number_rules(path.shift if path else 0), **WAY_OUT, **DETOUR}


def _read_identities() -> list[tuple[str, int, int, int, int]]:
    """What tells a template from its next version, of all files a template may include."""
    if not _identities:
        for folder in FOLDERS:
            for name in _list_files(folder):
                _identities.extend(_identify(f"{folder}/{name}"))
    return _identities


def _identify(path: str) -> list[tuple[str, int, int, int, int]]:
    try:
        info = stat(path)
    except FileNotFoundError:
        # A link to nothing, such as an editor's lock.
        return []
    except OSError as error:
        raise Problem(f"cannot read {path}: {error.strerror}", USAGE) from None
    if path.startswith(OWN_TEMPLATES):
        _refuse_unfit(path, lstat(path))
    return [(path, info.st_ino, info.st_size, info.st_mtime_ns, info.st_ctime_ns)]


def _list_files(folder: str) -> list[str]:
    try:
        names = listdir(folder)
    except FileNotFoundError:
        return []
    except OSError as error:
        raise Problem(f"cannot read {folder}: {error.strerror}", USAGE) from None
    if folder == OWN_TEMPLATES:
        # Who may write in the one above can put another folder of root's in the place of this.
        for own in (OWN, OWN_TEMPLATES):
            _refuse_unfit(own, lstat(own))
    return sorted(names)


def _refuse_unfit(path: str, info: stat_result) -> None:
    """Raise Problem unless it is a small file, or a folder, of root's own; `info` is lstat's."""
    if is_link(info):
        raise Problem(f"{path} is a symbolic link, which is not followed: put what it leads to "
                      "there", USAGE)
    refuse_foreign(path, info)
    if not (is_regular(info) or is_folder(info)):
        raise Problem(f"{path} is no file: remove it", USAGE)
    if info.st_size > _SIZE_AT_MOST:
        raise Problem(f"{path}: {info.st_size} bytes are too many, {_SIZE_AT_MOST} may be", USAGE)
