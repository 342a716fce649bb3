# SPDX-License-Identifier: GPL-2.0-or-later
"""Programs whose TCP goes over an uplink and is not MPTCP, though it could be. Pure."""

from __future__ import annotations

import shlex
from collections.abc import Callable, Iterable, Mapping, Sequence

from mptcp_hooks.base.value import NamedTuple
from mptcp_hooks.force.methods import BPF, Choice
from mptcp_hooks.machine.procfs import Origin, Process
from mptcp_hooks.machine.sockets import Socket


_ANY = ("0.0.0.0", "::")


class Candidate(NamedTuple):
    """One program, or one service, that could be forced.

    `connections` counts those of plain TCP over `interfaces`; `command` would force it, and ends
    with ... where its arguments are not known.
    """

    program: str
    unit: str
    processes: tuple[Process, ...]
    connections: int
    interfaces: tuple[str, ...]
    method: str
    command: str


class Suspect(NamedTuple):
    """A process that could be asked to do better, and the interface of each connection of it."""

    process: Process
    interfaces: tuple[str, ...]


def find_suspects(
    sockets: Iterable[Socket], owners: Mapping[int, Sequence[Process]], uplinks: Mapping[str, str]
) -> list[Suspect]:
    """Processes with TCP connections from an uplink's address, and without MPTCP sockets.

    `uplinks` has the interface of each such address. Who has an MPTCP socket asks for
    it already, and the other end did not. A connection that came in is that of the
    process that listens for it: what it was handed to cannot ask any more. Where
    systemd listens, nobody can be asked to.
    """
    sockets = list(sockets)
    asking = {process.pid for socket in sockets if socket.mptcp
              for process in owners.get(socket.inode, ())}
    listeners = {socket.local: socket.inode for socket in sockets if socket.listens}
    found: dict[Process, list[str]] = {}
    for socket in sockets:
        interface = uplinks.get(socket.local[0])
        if interface is None or socket.mptcp or socket.subflow or not socket.connected:
            continue
        holders = owners.get(_find_listener(socket, listeners) or socket.inode, ())
        if any(map(_is_systemd, holders)):
            continue
        if holders and not asking & {process.pid for process in holders}:
            # Of many that share it the first one started the others, mostly.
            found.setdefault(min(holders), []).append(interface)
    return [Suspect(process, tuple(interfaces)) for process, interfaces in sorted(found.items())]


def _is_systemd(process: Process) -> bool:
    """Whether it is the system's systemd or a person's own, which open sockets for services."""
    return process.name == "systemd" or process == Process(1, "init")


def _find_listener(socket: Socket, listeners: Mapping[tuple[str, int], int]) -> int:
    """The inode of who listens where a connection came in, 0 where nobody does."""
    address, port = socket.local
    return next((listeners[host, port] for host in (address, *_ANY)
                 if (host, port) in listeners), 0)


def make_candidates(
    suspects: Iterable[Suspect], read_origin: Callable[[int], Origin],
    choose_for: Callable[[int], Choice],
) -> tuple[Candidate, ...]:
    """Those of the suspects that can be forced and are not yet, one a service or a command.

    `choose_for` says by which method a process could.
    """
    found: dict[str, Candidate] = {}
    for suspect in suspects:
        origin = read_origin(suspect.process.pid)
        choice = choose_for(suspect.process.pid) if origin.program else Choice("", "")
        if not choice.method or (choice.value and choice.value.decode() in origin.environment):
            continue
        if choice.method == BPF and origin.user and not origin.unit:
            # It takes root, who should not run what is somebody else's.
            continue
        command = _write_command(origin)
        known = found.get(command)
        one = Candidate(origin.program, origin.unit, (suspect.process,), len(suspect.interfaces),
                        suspect.interfaces, choice.method, command)
        found[command] = _merge(known, one) if known else one
    return tuple(one._replace(interfaces=tuple(sorted({*one.interfaces})))
                 for one in found.values())


def _merge(one: Candidate, other: Candidate) -> Candidate:
    return one._replace(processes=one.processes + other.processes,
                        connections=one.connections + other.connections,
                        interfaces=one.interfaces + other.interfaces)


def _write_command(origin: Origin) -> str:
    if origin.unit:
        return f"mptcp_run --enable {shlex.quote(origin.unit)}"
    # Root, who sees the processes of all, must not run what is somebody else's as root.
    person = ["runuser", "-u", origin.user, "--"] if origin.user else []
    words = shlex.join([*person, "mptcp_run", *(origin.words or (origin.program,))])
    return words if origin.words else f"{words} ..."
