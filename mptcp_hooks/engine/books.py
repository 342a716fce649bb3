# SPDX-License-Identifier: GPL-2.0-or-later
"""The books of work that brings interfaces up: what is on record, and what is to become of it."""

from __future__ import annotations

from mptcp_hooks.base.errors import Problem
from mptcp_hooks.base.model import Installed
from mptcp_hooks.base.value import TYPE_CHECKING
from mptcp_hooks.engine import commands
from mptcp_hooks.engine.commands import is_about_id
from mptcp_hooks.engine.compare import (
    compare_path,
    find_obstacle,
    find_outdated,
    list_leftovers,
)

from mptcp_hooks.machine.system import choose_of_device

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from mptcp_hooks.base.model import Lease, Path, Stanza, TableUse
    from mptcp_hooks.engine.record import Store
    from mptcp_hooks.engine.work import Change, Records, Undo
    from mptcp_hooks.intent.event import Event
    from mptcp_hooks.intent.settings import Configuration
    from mptcp_hooks.machine.system import Machine

    # Leases that the work is about to note, by interface; None for one that ended.
    Leases = Mapping[str, Lease | None]


class Books:
    """What is known while a work grows, and the changes that it has by now.

    `records` are the stanzas of the interfaces that were looked at, as they will be on record;
    `coming` the events yet to be added; `reduced` what stanzas became that gave something up;
    `shared` the addresses that were planned as another device's as well. `heeded` are the tunnels
    that plans heeded by now, '' for none; `foreseen` is the one that all are to heed, None where
    each heeds what is known so far.
    """

    def __init__(
        self, store: Store, machine: Machine, configuration: Configuration,
        leases: Leases | None = None,
    ) -> None:
        self.problems: list[Problem] = []
        self.store = store
        self.machine = machine
        front = store.load_front() if configuration.answer else 0
        self.configuration = configuration._replace(
            preference=front) if front else configuration
        self.leases = leases or {}
        self.manager = machine.read_path_manager().mark_roles(store.load_roles())
        self._tunnels = store.load_tunnels()
        self._tables = machine.read_tables()
        self._indexes: dict[str, int] = {}
        self._uses: dict[Path, TableUse] = {}
        self.on_file: Records = {}
        self.records: Records = {}
        self.undo: list[Undo] = []
        self.changes: list[Change] = []
        self.warnings: list[str] = []
        self.remarks: list[str] = []
        self.told: set[tuple[str, ...]] = set()
        self.coming: dict[str, tuple[Event, ...]] = {}
        self.reduced: dict[Stanza, Stanza] = {}
        self.shared: set[str] = set()
        self.heeded: set[str] = set()
        self.foreseen: str | None = None

    def list_stanzas(self, iface: str) -> tuple[Stanza, ...]:
        """The stanzas of an interface, as they will be on record."""
        if iface not in self.records:
            self.on_file[iface] = self.records[iface] = self.store.load(iface)
        return self.records[iface]

    def find_tunnel(self, planned: Iterable[Path], old: list[Installed]) -> str:
        """The tunnel that new connections keep to beside all paths; '' for none.

        `planned` are those that what is renewed (`old`) becomes.
        """
        if not self._tunnels:
            return ""
        if self.foreseen is not None:
            return self.foreseen
        from mptcp_hooks.engine.kept_to import find_kept, list_beside

        others = {iface: tuple(stanza._replace(paths=tuple(
                      one for one in stanza.paths if one not in old)) for stanza in stanzas)
                  for iface, stanzas in self.records.items()}
        kept = find_kept(self.store, others, list_beside(planned))
        found = next((one.device for one in kept), "")
        self.heeded.add(found)
        return found

    def choose_names(self, device: str, ifaces: Iterable[str]) -> list[str]:
        """Those of `ifaces` that are the device; each name is looked up once in a work."""
        return choose_of_device(device, ifaces, self._find_ifindex)

    def _find_ifindex(self, device: str) -> int:
        if device not in self._indexes:
            self._indexes[device] = self.machine.find_ifindex(device)
        return self._indexes[device]

    def list_planned(self) -> Iterator[Installed]:
        """What interfaces will have, as far as this work is about them."""
        return (one for stanzas in self.records.values() for stanza in stanzas
                for one in stanza.paths)

    def list_others_planned(self, old: list[Installed]) -> list[Path]:
        """What interfaces will have besides what is renewed."""
        return [one.path for one in self.list_planned() if one not in old]

    def list_going(self) -> list[Installed]:
        """The paths on record that are about to go, or to leave their tables."""
        return [*(undo.installed for undo in self.undo),
                *(change.before for change in self.changes if change.before and change.late)]

    def read_use(self, path: Path) -> TableUse:
        """What the kernel holds of a path; asked once in a work, which changes nothing of it."""
        if path not in self._uses:
            self._uses[path] = self._tables.read_use(path)
        return self._uses[path]

    def look_at_all(self) -> None:
        """Take in who else is on record: another may have a table, though the kernel lost it."""
        for iface in self.store.list_interfaces():
            try:
                self.list_stanzas(iface)
            except Problem as problem:
                self.problems.append(problem)

    def note_reduced(self, stanza: Stanza, left: Stanza) -> Stanza:
        """What is left of a stanza that gave something up, noted as that: also the second time."""
        if left != stanza:
            for before in [one for one, now in self.reduced.items() if now == stanza]:
                self.reduced[before] = left
            self.reduced[stanza] = left
        return left

    def forgo_changes(self, old: list[Installed]) -> list[Installed]:
        """What is renewed, with what was before where this work was about to change it otherwise.
        """
        forgone = [change for change in self.changes if change.after in old]
        if not forgone:
            return old
        self.changes = [change for change in self.changes if change not in forgone]
        # What was yet to be made has no id.
        self.manager = self.manager._replace(endpoints=tuple(
            one for one in self.manager.endpoints or () if one.identity or not any(
                change.after.path.owns(one) for change in forgone)))
        return [*old, *(change.before for change in forgone if change.before)]

    def prepare_change(
        self, path: Path, old: list[Installed], pending: Iterable[Change] = ()
    ) -> Change:
        """What makes the path of what is on record of it, in the place of what is pending."""
        use = self.read_use(path)
        obstacle = find_obstacle(
            path, use, old, self.list_going(),
            self.list_others_planned([*old, *(change.after for change in pending)]))
        if obstacle:
            raise Problem(f"{path.iface}: {obstacle}")
        if path.mark or path.sources:
            from mptcp_hooks.engine.clashes import find_clashes

            for _, problem in find_clashes(path, self.list_others_planned(old)):
                raise problem
        after = Installed(path=path, up=commands.build_up(path), down=commands.build_down(path),
                          kernel=use.describe())
        change = compare_path(after, old, self.manager.endpoints or ())
        leftovers = [line for line in list_leftovers(after, use) if line not in change.late]
        return change._replace(late=(*change.late, *leftovers))

    def undo_outdated(self, installed: Installed, changes: list[Change]) -> None:
        """Undo the lines on record that no change makes again."""
        undo = find_outdated(installed, changes, self.manager.endpoints or ())
        if undo:
            self.undo.append(undo)
            gone = {one.address for one in installed.path.endpoints
                    if any(is_about_id(line, one.address) for line in undo.installed.down)}
            self.manager = self.manager._replace(endpoints=tuple(
                one for one in self.manager.endpoints or ()
                if not (one.address in gone and installed.path.owns(one))))
