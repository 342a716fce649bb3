# SPDX-License-Identifier: GPL-2.0-or-later
"""/run/mptcp-hooks: what we were told of each interface, and what we made of it.

`IFACE.paths` and `IFACE.lease` for each interface, `limits` for the path manager's,
`detours` for where new connections go, `roles` for which paths are backups, `tunnels` for
what new connections keep to, and `front` for where our rules begin in front of others'; lines of
text, each a key and a value. No other module writes there, but for what is written without
the lock (deferred.py), and what most hooks need not load (name_record.py).

What any version wrote is read for good. A key that came later has a value here for
records without it, and one that is not known is passed over. Of what cannot be read in
full, salvage.py takes what undoes it; with the lock that is written in its place at once,
and `take_complaints` tells of it.
"""

from __future__ import annotations

from mptcp_hooks.base.errors import Problem
from mptcp_hooks.base.folder import (
    DAMAGED,
    DEFERRED_SUFFIX,
    DETOURS,
    FRONT,
    LIMITS,
    MONITORS,
    PATHS_SUFFIX,
    RECORD,
    ROLES,
    TUNNELS,
    Folder,
    list_names,
    open_folder,
    open_unlocked,
)
from mptcp_hooks.base.model import (
    LEAVING,
    SILENT,
    Detour,
    Installed,
    Lease,
    Limits,
    LimitsRecord,
    Path,
    Role,
    Stanza,
    Tunnel,
)
from mptcp_hooks.base.numbering import PREFERENCE_AT_MOST
from mptcp_hooks.base.value import TYPE_CHECKING
from mptcp_hooks.engine.commands import names_own_endpoint

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from typing import Any

_LEASE_SUFFIX = ".lease"
_NUMBERS = ("ifindex", "family", "table", "shift")
_TRUTHS = ("onlink", "default", "primary", "endpoint", "way_out", "wide", "shared")
# What a key meant while there was none: a record without routes is of a path without.
_BEFORE_THERE_WERE = {"routes": "", "way_out": "False", "wide": "False", "shared": "False",
                      "shift": "0", "mark": "", "sources": "", "announced": ""}
# What is kept as words.
_LISTS = ("flags", "sources", "announced")
# What a decoder raises over lines that make no sense.
_NONSENSE = (ValueError, KeyError, IndexError, TypeError)


class Store:
    """The record: `open_store(lock=False)` reads it, for a dry run without rights."""

    def __init__(self, folder: Folder) -> None:
        self.folder = folder
        self._faults: dict[str, tuple[str, str]] = {}

    def take_complaints(self) -> tuple[str, ...]:
        """What of all that was asked for could not be read in full, and what comes of that.

        Each is given once.
        """
        complaints = tuple(f"{self.folder.path}/{name} {fault}: {outcome}"
                           for name, (fault, outcome) in self._faults.items())
        self._faults.clear()
        return complaints

    @property
    def damaged(self) -> tuple[tuple[str, str], ...]:
        """As complaints: the interface, '' where it is no interface's, and what is wrong."""
        return tuple((name.removesuffix(PATHS_SUFFIX) if name.endswith(PATHS_SUFFIX) else "",
                      f"{self.folder.path}/{name} {fault}")
                     for name, (fault, _) in self._faults.items())

    def __enter__(self) -> Store:
        return self

    def __exit__(self, *raised: object) -> None:
        self.folder.close()

    def load(self, iface: str) -> tuple[Stanza, ...]:
        """The stanzas on record of an interface.

        Of a record that cannot be read in full, what undoes it; where there is none, an
        endpoint that is ours by the record of the limits, which somebody removed it from.
        """
        lines, fault = self.folder.read_lines(iface + PATHS_SUFFIX)
        try:
            if lines and not fault:
                return tuple(_decode_stanzas(lines))
        except _NONSENSE:
            fault = DAMAGED
        owned = self._list_owned(iface)
        if not (owned or fault):
            return ()
        from mptcp_hooks.engine.salvage import Decoders, salvage_stanzas

        stanzas = salvage_stanzas(iface, lines, owned, Decoders(decode_told, _decode_path))
        if fault:
            self._faults[iface + PATHS_SUFFIX] = fault, (
                f"what can be read of it is used, and 'mptcp_up {iface}' finds what else it made")
            if self.folder.writable:
                self.save(iface, stanzas)
        return stanzas

    def save(self, iface: str, stanzas: tuple[Stanza, ...]) -> None:
        """Replace an interface's record; an empty one leaves no file."""
        self.folder.write_lines(iface + PATHS_SUFFIX, list(_encode_stanzas(stanzas)))

    def list_interfaces(self) -> list[str]:
        """All interfaces on record, sorted."""
        return sorted(name.removesuffix(PATHS_SUFFIX) for name in self.folder.list_names()
                      if name.endswith(PATHS_SUFFIX))

    def list_leased(self) -> list[str]:
        """The interfaces of which a lease was noted."""
        return sorted(name.removesuffix(_LEASE_SUFFIX) for name in self.folder.list_names()
                      if name.endswith(_LEASE_SUFFIX))

    def load_lease(self, iface: str) -> Lease | None:
        """The IPv4 lease that was noted of an interface."""
        lines, fault = self.folder.read_lines(iface + _LEASE_SUFFIX)
        try:
            if not fault:
                return _decode_lease(lines) if lines else None
        except _NONSENSE:
            fault = DAMAGED
        self._faults[iface + _LEASE_SUFFIX] = fault, (
            "the lease's gateway and routes count again when it is renewed")
        if self.folder.writable:
            self.save_lease(iface, None)
        return None

    def save_lease(self, iface: str, lease: Lease | None) -> None:
        """Note an interface's lease; None leaves no file."""
        lines = [] if lease is None else [
            f"address {lease.address}",
            f"gateway {lease.gateway}",
            *(f"route {_encode_route(route)}" for route in lease.routes),
            *(f"resolver {resolver}" for resolver in lease.resolvers),
        ]
        self.folder.write_lines(iface + _LEASE_SUFFIX, lines)

    def load_limits(self) -> LimitsRecord | None:
        """The limits on record; None where none of the endpoints is ours."""
        lines, fault = self.folder.read_lines(LIMITS)
        try:
            if not fault:
                return _decode_limits_record(lines) if lines else None
        except _NONSENSE:
            fault = DAMAGED
        from mptcp_hooks.engine.salvage import salvage_limits

        limits = salvage_limits(lines, _decode_limits)
        self._faults[LIMITS] = fault, (
            "limits of the path manager that it does not tell stay as they are")
        if self.folder.writable:
            self.save_limits(limits)
        return limits

    def save_limits(self, limits: LimitsRecord | None) -> None:
        """Replace the limits on record; None leaves no file."""
        lines = [] if limits is None else [
            "before {} {}".format(*limits.before),
            "raised {} {}".format(*limits.raised),
            *(f"owner {owner}" for owner in limits.owners),
            *(f"down {line}" for line in limits.restore),
        ]
        self.folder.write_lines(LIMITS, lines)

    def load_detours(self) -> tuple[Detour, ...]:
        """Where new connections are led; what cannot be read of it counts for nothing."""
        lines, fault = self.folder.read_lines(DETOURS)
        try:
            if not fault:
                return tuple(map(_decode_detour, _split(lines, "detour")))
        except _NONSENSE:
            pass
        # The monitor's next round finds what stands of it, and makes it right.
        return ()

    def has_detours(self) -> bool:
        """Whether new connections are led anywhere."""
        return DETOURS in self.folder.list_names()

    def has_monitors(self) -> bool:
        """Whether there is anything that only a monitor makes."""
        return any(name in MONITORS for name in self.folder.list_names())

    def save_detours(self, detours: tuple[Detour, ...]) -> None:
        """Replace the detours on record; none leaves no file."""
        lines = [line for one in detours for line in (
            "detour", f"family {one.family}", f"table {one.table}",
            *(f"down {line}" for line in one.down))]
        self.folder.write_lines(DETOURS, lines)

    def load_roles(self) -> tuple[Role, ...]:
        """Which paths are backups by the monitor's judgement; what makes no sense is none."""
        lines, fault = self.folder.read_lines(ROLES)
        pairs = [line.partition(" ") for line in lines]
        return () if fault else tuple(Role(address, why) for address, _, why in pairs)

    def save_roles(self, roles: tuple[Role, ...]) -> None:
        """Replace the roles on record; none leaves no file."""
        self.folder.write_lines(ROLES, [f"{role.address} {role.why}" for role in roles])

    def load_tunnels(self) -> tuple[Tunnel, ...]:
        """The tunnels beside which new connections get no subflow; what makes no sense is none."""
        lines, fault = self.folder.read_lines(TUNNELS)
        pairs = [line.partition(" ") for line in lines]
        return () if fault else tuple(Tunnel(int(family), device) for family, _, device in pairs
                                      if family in ("4", "6"))

    def save_tunnels(self, tunnels: tuple[Tunnel, ...]) -> None:
        """Replace the tunnels on record; none leaves no file."""
        self.folder.write_lines(TUNNELS, [f"{one.family} {one.device}" for one in tunnels])

    def load_front(self) -> int:
        """The first preference of our rules in front of others'; 0 where they are where usual."""
        lines, fault = self.folder.read_lines(FRONT)
        text = "".join(lines)
        number = int(text) if not fault and text.isascii() and text.isdigit() else 0
        return number if number <= PREFERENCE_AT_MOST else 0

    def save_front(self, preference: int) -> None:
        """Replace it; 0 leaves no file."""
        self.folder.write_lines(FRONT, [str(preference)] * bool(preference))

    def _list_owned(self, iface: str) -> tuple[str, ...]:
        """The addresses whose endpoints are the interface's, as the limits are on record."""
        try:
            limits = self.load_limits()
        except Problem:
            # Who settles the limits says it.
            return ()
        owners = [owner.partition(" ") for owner in (limits.owners if limits else ())]
        return tuple(address for name, _, address in owners if name == iface)


def open_store() -> Store:
    """The record for reading only; Problem where its folder is not root's own."""
    return Store(open_folder(RECORD, lock=False))


def lock_store(say: Callable[[str], None] | None = None) -> Store:
    """The record, locked. `say` is given where a person waits for that, and can wait longer.

    Problem where its folder is not root's own, and (`in_vain` is LOCK) where somebody
    keeps the lock.
    """
    folder = open_unlocked(RECORD)
    if not folder.lock():
        from mptcp_hooks.engine.waiting import wait_for_lock

        wait_for_lock(folder, say)
    return Store(folder)


def has_deferred() -> bool:
    """Whether hooks left anything."""
    return any(name.endswith(DEFERRED_SUFFIX) for name in list_names(RECORD))


def _encode_stanzas(stanzas: tuple[Stanza, ...]) -> Iterator[str]:
    for stanza in stanzas:
        yield "stanza"
        if stanza.state:
            yield stanza.state
        for line in stanza.told:
            yield "told " + encode_told(line)
        for installed in stanza.paths:
            yield "path"
            for field, value in zip(Path._fields, installed.path):
                yield f"{field} {_encode_field(field, value)}"
            yield from (f"up {line}" for line in installed.up)
            yield from (f"down {line}" for line in installed.down)
            yield f"kernel {installed.kernel}"


def _decode_stanzas(lines: list[str]) -> Iterator[Stanza]:
    for block in _split(lines, "stanza"):
        state = block[0] if block and block[0] in (LEAVING, SILENT) else ""
        head, *paths = _split(["path", *block[bool(state):]], "path")
        told = tuple(decode_told(line.removeprefix("told ")) for line in head)
        yield Stanza(told, tuple(_decode_path(path) for path in paths), state)


def encode_told(line: str) -> str:
    """A variable of an environment as one line; decode_told reads it."""
    return line.replace("\\", "\\\\").replace("\n", "\\n")


def _decode_lease(lines: list[str]) -> Lease:
    pairs = [line.partition(" ") for line in lines]
    known = {key: value for key, _, value in pairs}
    return Lease(known["address"], known["gateway"], tuple(
        _decode_route(value) for key, _, value in pairs if key == "route"),
        tuple(value for key, _, value in pairs if key == "resolver"))


def _decode_limits_record(lines: list[str]) -> LimitsRecord:
    pairs = [line.split(" ", 1) for line in lines]
    known = dict(pairs)
    return LimitsRecord(
        before=_decode_limits(known["before"]),
        raised=_decode_limits(known["raised"]),
        owners=tuple(value for key, value in pairs if key == "owner"),
        restore=tuple(value for key, value in pairs if key == "down"),
    )


def decode_told(text: str) -> str:
    """The variable that encode_told wrote; ValueError where it is none."""
    if "=" not in text:
        raise ValueError("not a variable")
    return "\\".join(piece.replace("\\n", "\n") for piece in text.split("\\\\"))


def _decode_path(lines: list[str]) -> Installed:
    pairs = [line.split(" ", 1) for line in lines]
    known = {**_BEFORE_THERE_WERE, **dict(pairs)}
    installed = Installed(
        path=Path(*(_decode_field(field, known[field]) for field in Path._fields)),
        up=tuple(value for key, value in pairs if key == "up"),
        down=tuple(value for key, value in pairs if key == "down"),
        kernel=known["kernel"],
    )
    if not names_own_endpoint(installed.down, installed.path):
        raise ValueError("the endpoint is of another address")
    return installed


def _encode_field(field: str, value: Any) -> str:
    if field == "routes":
        return " ".join(map(_encode_route, value))
    return " ".join(value) if field in _LISTS else str(value)


def _decode_field(field: str, text: str) -> Any:
    if field in _NUMBERS:
        return int(text)
    if field in _TRUTHS:
        return {"True": True, "False": False}[text]
    if field == "routes":
        return tuple(map(_decode_route, text.split()))
    return tuple(text.split()) if field in _LISTS else text


def _encode_route(route: tuple[str, str]) -> str:
    return ",".join(route)


def _decode_route(text: str) -> tuple[str, str]:
    destination, gateway = text.split(",")
    return destination, gateway


def _decode_detour(lines: list[str]) -> Detour:
    pairs = [line.split(" ", 1) for line in lines]
    known = dict(pairs)
    return Detour(int(known["family"]), int(known["table"]),
                  tuple(value for key, value in pairs if key == "down"))


def _decode_limits(text: str) -> Limits:
    subflows, add_addr_accepted = text.split()
    return Limits(int(subflows), int(add_addr_accepted))


def _split(lines: list[str], heading: str) -> list[list[str]]:
    """The lines between headings; what stands before the first must be nothing."""
    blocks: list[list[str]] = []
    for line in lines:
        if line == heading:
            blocks.append([])
        else:
            blocks[-1].append(line)
    return blocks
