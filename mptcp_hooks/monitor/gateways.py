"""The machine as the monitor sees it: a path whose gateway has not answered carries nothing.

A subflow's one SYN that is queued behind a neighbour entry that fails is lost, and nothing
sends another: so an endpoint that was away comes back when its gateway has answered since.
"""

from __future__ import annotations

from time import monotonic, sleep

from mptcp_hooks.base.value import TYPE_CHECKING, NamedTuple
from mptcp_hooks.machine.neighbours import (
    build_oblivion,
    build_question,
    has_answered,
    is_failing,
)
from mptcp_hooks.machine.runner import tell_failure
from mptcp_hooks.machine.system import Machine

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from mptcp_hooks.base.errors import Problem
    from mptcp_hooks.base.model import Path

# A gateway on a wire answers in a millisecond, one behind a radio in some tens. For one that
# does not, the kernel asks on: a round does not wait for it.
_ANSWERED_WITHIN, _LOOKED_EVERY = 0.1, 0.005


class Gateway(NamedTuple):
    """One gateway of one device."""

    address: str
    device: str
    ifindex: int


class WatchfulMachine(Machine):
    """`unanswered` are the gateways that paths wait for, as far as it was asked."""

    def __init__(self, show: Callable[[str], None] | None) -> None:
        super().__init__(show)
        self.unanswered: set[Gateway] = set()

    def answers(self, path: Path) -> bool:
        """Whether the path's gateway has answered since the carrier came back, or there is none."""
        if not path.gateway:
            return True
        gateway = _find_gateway(path)
        answered = has_answered(self.read_neighbour(gateway.address, gateway.ifindex))
        (self.unanswered.discard if answered else self.unanswered.add)(gateway)
        return answered

    def ask_gateways(self) -> tuple[bool, list[Problem]]:
        """Ask those that have not answered; whether one does at once, and what failed."""
        asked = {gateway: self.read_neighbour(gateway.address, gateway.ifindex)
                 for gateway in self.unanswered}
        failures = self.runner.ask_neighbours(tuple(
            line for gateway, state in asked.items() for line in _build_lines(gateway, state)))
        end = monotonic() + _ANSWERED_WITHIN
        while self.unanswered and monotonic() < end:
            if any(has_answered(self.read_neighbour(one.address, one.ifindex))
                   for one in self.unanswered):
                return True, list(map(tell_failure, failures))
            sleep(_LOOKED_EVERY)
        return False, list(map(tell_failure, failures))


def _find_gateway(path: Path) -> Gateway:
    return Gateway(path.gateway, path.device, path.ifindex)


def _build_lines(gateway: Gateway, state: int) -> Iterable[str]:
    """The lines that begin a new question: an old one may be about to end in vain."""
    if is_failing(state):
        yield build_oblivion(gateway.address, gateway.device)
    yield build_question(gateway.address, gateway.device)
