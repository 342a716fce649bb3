# SPDX-License-Identifier: GPL-2.0-or-later
"""A machine in memory with a record in a folder, and the hooks' works done on it as they come."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from unittest import mock

from mptcp_hooks.base.address import InterfaceAddress
from mptcp_hooks.base.errors import Problem
from mptcp_hooks.base.folder import open_folder
from mptcp_hooks.base.model import Endpoint, Limits, Route, Rule
from mptcp_hooks.engine import command_cache, commands
from mptcp_hooks.engine.bring_up import prepare_up
from mptcp_hooks.engine.carry_out import carry_out
from mptcp_hooks.engine.follow import prepare_again, prepare_all, prepare_named
from mptcp_hooks.engine.record import Store
from mptcp_hooks.engine.remake import list_endpoints
from mptcp_hooks.engine.take_down import (
    prepare_dismissal,
    prepare_down,
    prepare_farewell,
    prepare_silence,
)
from mptcp_hooks.engine.work import Work
from mptcp_hooks.intent import ifupdown
from mptcp_hooks.intent.event import Event, read_event
from mptcp_hooks.intent.settings import NO_CONFIGURATION, Configuration
from tests.unit.memory import MemoryMachine

ADDRESSES = {
    "eth0": (InterfaceAddress(4, "10.1.1.2", 24, "", ""),
             InterfaceAddress(6, "fd00:1::2", 64, "", "")),
    "eth1": (InterfaceAddress(4, "10.1.2.2", 24, "", ""),
             InterfaceAddress(6, "fd00:2::2", 64, "", "")),
}


class Bench:
    """Two uplinks, what somebody else has in the kernel beside them, and an empty record.

    The record is in `folder`; `before` is what there was before anything of ours.
    """

    def __init__(self, folder: Path, machine: MemoryMachine) -> None:
        self.folder = folder
        self.configuration = NO_CONFIGURATION
        self.machine = machine
        for number, (name, addresses) in enumerate(ADDRESSES.items()):
            self.machine.plug(name, number + 2, *addresses)
        self.machine.rules.append((4, Rule(19000, "", "", "", 999, None, 0)))
        self.machine.routes[4, 254] = [Route("default", "unicast", "10.1.1.1", 2, "", 0, 3)]
        self.machine.endpoints.append(Endpoint(7, "10.9.9.9", 0, ("signal",)))
        self.before = self.machine.snapshot()

    def open_store(self) -> Store:
        """The record, as a hook has it, which has run nothing yet."""
        self.machine.ran.clear()
        return Store(open_folder(str(self.folder), lock=True))

    def up(self, *events: Event) -> list[Problem]:
        """What if-up.d does for each event, all in one work."""
        with self.open_store() as store:
            return self._carry_out(store, prepare_up(
                store, self.machine, events, self.configuration))

    def again(self, *ifaces: str) -> list[Problem]:
        """What a round of upkeep and a lease do."""
        with self.open_store() as store:
            return self._carry_out(store, prepare_again(
                store, self.machine, ifaces or store.list_interfaces(), self.configuration))

    def all(self, *events: Event, edited: Sequence[Event] = ()) -> list[Problem]:
        """What `mptcp_up --all` does; `events` are of interfaces that are not on record.

        `edited` are of those whose stanzas have changed.
        """
        with self.open_store() as store:
            return self._carry_out(store, prepare_all(
                store, self.machine, events, self.configuration, edited))

    def name(self, *events: Event) -> list[Problem]:
        """What `mptcp_up IFACE` does with the events of an interface, or of several."""
        with self.open_store() as store:
            return self._carry_out(store, prepare_named(
                store, self.machine, events, self.configuration))

    def farewell(self, *ifaces: str) -> list[Problem]:
        """What if-down.d does."""
        with self.open_store() as store:
            return self._carry_out(store, prepare_farewell(store, self.machine, ifaces))

    def dismiss(self, *ifaces: str) -> list[Problem]:
        """What `mptcp_down` does."""
        with self.open_store() as store:
            return self._carry_out(store, prepare_dismissal(store, self.machine, ifaces))

    def down(self, *ifaces: str) -> list[Problem]:
        """What if-post-down.d does."""
        with self.open_store() as store:
            return self._carry_out(store, prepare_down(store, self.machine, ifaces))

    def list_recorded(self) -> list[str]:
        """The interfaces on record."""
        with self.open_store() as store:
            return store.list_interfaces()

    def _carry_out(self, store: Store, work: Work) -> list[Problem]:
        return carry_out(store, self.machine, work)


@contextmanager
def open_bench(
    configuration: Configuration = NO_CONFIGURATION, kind: type[MemoryMachine] = MemoryMachine
) -> Iterator[Bench]:
    """A fresh one; the package's own templates render, no command is cached, and no stanza known.
    """
    with TemporaryDirectory() as folder, \
            mock.patch.object(commands, "FOLDERS", commands.FOLDERS[1:]), \
            mock.patch.object(command_cache, "KEPT", f"{folder}/none"), \
            mock.patch.object(ifupdown, "has_ifupdown", lambda: False):
        bench = Bench(Path(folder) / "record", kind())
        bench.configuration = configuration
        yield bench


def tell_version(file: Path) -> tuple[int, int]:
    """Which file it is and when it was written; a read alone changes its time of access."""
    info = file.stat()
    return info.st_ino, info.st_mtime_ns


def static(iface: str, family: int, *, gateway: str = "", **options: str) -> Event:
    """The event of a static stanza of an uplink; options are named as `mptcp_flags` is."""
    device = iface.partition(":")[0]
    (own,) = (one for one in ADDRESSES[device] if one.family == family)
    number = device[-1:]
    usual = f"10.1.{int(number) + 1}.1" if family == 4 else f"fd00:{int(number) + 1}::1"
    event = read_event({
        "IFACE": iface, "ADDRFAM": "inet" if family == 4 else "inet6", "METHOD": "static",
        "IF_ADDRESS": own.address, "IF_NETMASK": str(own.length), "IF_GATEWAY": gateway or usual,
        **{f"IF_{name.upper()}": value for name, value in options.items()}})
    assert event is not None
    return event


def silence(bench: Bench, iface: str) -> None:
    """Have an interface lose its carrier, and what a round does then."""
    link = bench.machine.devices[iface].link
    bench.machine.devices[iface] = bench.machine.devices[iface]._replace(
        link=link and link._replace(running=False))
    with bench.open_store() as store:
        paths = [one.path for one in list_endpoints(store) if one.path.iface == iface]
        assert carry_out(store, bench.machine,
                         prepare_silence(store, bench.machine, paths)) == []


def list_lines(bench: Bench, events: Sequence[Event]) -> list[str]:
    """The lines that bringing these up would run."""
    with bench.open_store() as store:
        return prepare_up(store, bench.machine, events, bench.configuration).list_lines()


def names(events: Iterable[Event]) -> list[str]:
    """The interfaces of events, each once."""
    return list(dict.fromkeys(event.iface for event in events))


def limits_of(bench: Bench) -> Limits | None:
    return bench.machine.limits


def list_owners(bench: Bench) -> tuple[str, ...]:
    """Whose endpoints are ours, as the record of the limits has it."""
    with bench.open_store() as store:
        recorded = store.load_limits()
    return recorded.owners if recorded else ()
