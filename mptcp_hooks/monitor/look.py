# SPDX-License-Identifier: GPL-2.0-or-later
"""A look at running connections: how they use each path, and endpoints that are made again."""

from __future__ import annotations

from time import sleep

from mptcp_hooks.base.value import TYPE_CHECKING, NamedTuple
from mptcp_hooks.engine.carry_out import do_work
from mptcp_hooks.engine.kept_to import find_kept
from mptcp_hooks.engine.lifelines import find_lifelines, group, measure_use
from mptcp_hooks.engine.record import open_store
from mptcp_hooks.engine.remake import (
    list_endpoints,
    list_identities,
    list_paths,
    prepare_parting,
    prepare_remake,
    prepare_reminder,
)
from mptcp_hooks.machine.subflows import read_subflows
from mptcp_hooks.monitor.gateways import WatchfulMachine
from mptcp_hooks.monitor.round import RoundResult

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from mptcp_hooks.base.errors import Problem
    from mptcp_hooks.base.model import Path
    from mptcp_hooks.engine.lifelines import Connections
    from mptcp_hooks.engine.record import Store
    from mptcp_hooks.engine.work import Work

# What peers are told goes over another path than the SYN that must not be there first.
_HEARD_WITHIN = 0.2


class Errand(NamedTuple):
    """What a look may do: addresses with the ids that their endpoints had before.

    `remaking` are those whose endpoints are made again where connections miss them, and of
    `reminding` the peers are told once more that the endpoints went. Those whose gateways are to
    prove that they are there are `proving`.
    """

    remaking: Mapping[str, tuple[int, ...]]
    reminding: Mapping[str, tuple[int, ...]]
    proving: frozenset[str] = frozenset()


def look(
    errand: Errand, lost: Mapping[str, Iterable[int]], show: Callable[[str], None] | None
) -> RoundResult:
    """How connections use each path that has an endpoint; what they miss of it is made.

    `lost` has the tokens of connections by the address whose subflow they lost. `show` hears
    each command before it runs.
    """
    looking = _Look(show)
    if errand.proving:
        looking.prove(errand.proving)
    connections = group(read_subflows())
    if errand.reminding and connections:
        looking.repeat(errand.reminding)
    with open_store() as store:
        paths = [one.path for one in list_endpoints(store)]
        private = bool(find_kept(store))
    uses = tuple(measure_use(path, connections, lost.get(path.address, ())) for path in paths)
    if private:
        # What is missing is not to come: an endpoint that is made again would get no subflow back.
        uses = tuple(use._replace(lost=(), lacking=(), joining=()) for use in uses)
    missed = {use.address for use in uses if use.lost or use.lacking} & set(errand.remaking)
    meant = looking.choose([path for path in paths if path.address in missed], connections)
    looking.ask_gateways()
    if meant:
        looking.remake(meant, {address: errand.remaking[address] for address in meant
                               if errand.remaking[address]})
    with open_store() as store:
        endpoints = tuple(list_identities(store, looking.machine.read_path_manager()))
    return RoundResult(tuple(looking.said), failed=looking.failed, uses=uses,
                       remade=tuple(sorted(meant)),
                       proved=bool(errand.proving), endpoints=endpoints)


class _Look:
    """The works of one look, and what is to be said of them."""

    def __init__(self, show: Callable[[str], None] | None) -> None:
        self.machine = WatchfulMachine(show)
        self.said: list[str] = []
        self.failed = False

    def prove(self, addresses: frozenset[str]) -> None:
        """Have the kernel prove that the gateways of these addresses are there.

        New connections leave by paths whose endpoint is another program's too.
        """
        with open_store() as store:
            paths = [path for path in list_paths(store) if path.address in addresses]
        self._note(self.machine.probe(paths))

    def repeat(self, identities: Mapping[str, tuple[int, ...]]) -> None:
        """Tell peers once more which endpoints went, by the ids that these had.

        It leaves nothing and comes again and again, so it is not shown.
        """
        quiet = WatchfulMachine(None)
        _, problems = do_work(quiet, lambda store: prepare_reminder(store, quiet, identities),
                              self.said.append, verbose=False)
        self.failed |= bool(problems)

    def remake(
        self, meant: frozenset[str], identities: Mapping[str, tuple[int, ...]]
    ) -> None:
        """Make endpoints again; where peers may have missed that former ones went, tell them."""
        if identities:
            self._do(lambda store: prepare_parting(store, self.machine, identities))
            sleep(_HEARD_WITHIN)
        self._do(lambda store: prepare_remake(store, self.machine, meant))

    def choose(self, paths: Iterable[Path], connections: Connections) -> frozenset[str]:
        """The addresses whose endpoints can be made again: a SYN gets there, nobody's last goes."""
        chosen: frozenset[str] = frozenset()
        for path in paths:
            link = self.machine.read_link(path.device)
            together = chosen | {path.address}
            if link and link.running and self.machine.answers(path) and not find_lifelines(
                    connections, together):
                chosen = together
        return chosen

    def ask_gateways(self) -> None:
        """Ask those that have not answered: a later look finds them ready."""
        if self.machine.unanswered:
            self._note(self.machine.ask_gateways()[1])

    def _do(self, prepare: Callable[[Store], Work]) -> None:
        _, problems = do_work(self.machine, prepare, self.said.append, verbose=False)
        self.failed |= bool(problems)

    def _note(self, problems: list[Problem]) -> None:
        self.said += map(str, problems)
        self.failed |= bool(problems)
