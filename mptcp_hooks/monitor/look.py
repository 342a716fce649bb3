"""A look at running connections: how they use each path, and endpoints that are made again."""

from __future__ import annotations

from time import process_time

from mptcp_hooks.base.value import TYPE_CHECKING
from mptcp_hooks.engine.carry_out import do_work
from mptcp_hooks.engine.lifelines import find_lifelines, group, measure_use
from mptcp_hooks.engine.record import open_store
from mptcp_hooks.engine.remake import list_endpoints, prepare_remake
from mptcp_hooks.machine.subflows import read_subflows
from mptcp_hooks.monitor.gateways import WatchfulMachine
from mptcp_hooks.monitor.round import RoundResult

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from mptcp_hooks.base.model import Path
    from mptcp_hooks.engine.lifelines import Connections


def look(
    remaking: frozenset[str], lost: Mapping[str, Iterable[int]],
    show: Callable[[str], None] | None,
) -> RoundResult:
    """How connections use each path that has an endpoint; what they miss of `remaking` is made.

    `lost` has the tokens of connections by the address whose subflow they lost. `show` hears
    each command before it runs.
    """
    machine = WatchfulMachine(show)
    with open_store() as store:
        paths = [one.path for one in list_endpoints(store)]
    connections = group(read_subflows())
    uses = tuple(measure_use(path, connections, lost.get(path.address, ())) for path in paths)
    missed = {use.address for use in uses if use.lost or use.lacking} & remaking
    said: list[str] = []
    meant = _choose(machine, [path for path in paths if path.address in missed], connections)
    problems = machine.ask_gateways()[1] if machine.unanswered else []
    said += map(str, problems)
    if meant:
        _, failed = do_work(machine, lambda store: prepare_remake(store, machine, meant),
                            said.append, verbose=False)
        problems += failed
    return RoundResult(tuple(said), failed=bool(problems), uses=uses,
                       remade=tuple(sorted(meant)), cost=process_time())


def _choose(
    machine: WatchfulMachine, paths: Iterable[Path], connections: Connections
) -> frozenset[str]:
    """The addresses whose endpoints can be made again: a SYN gets through, nobody's last goes."""
    chosen: frozenset[str] = frozenset()
    for path in paths:
        link = machine.read_link(path.device)
        together = chosen | {path.address}
        if link and link.running and machine.answers(path) and not find_lifelines(
                connections, together):
            chosen = together
    return chosen
