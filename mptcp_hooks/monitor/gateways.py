# SPDX-License-Identifier: GPL-2.0-or-later
"""The machine as the monitor sees it: a path that is out carries nothing, and why it is.

A subflow's one SYN that is queued behind a neighbour entry that fails is lost, and nothing
sends another: so an endpoint that was away comes back when its gateway has answered since.
"""

from __future__ import annotations

from time import monotonic, sleep

from mptcp_hooks.base.value import TYPE_CHECKING, NamedTuple
from mptcp_hooks.engine.faults import CHECK_FAILED, GATEWAY_SILENT, NO_CARRIER, UNSTEADY
from mptcp_hooks.machine.foreign import list_foreign
from mptcp_hooks.machine.neighbours import (
    build_oblivion,
    build_probe,
    build_question,
    has_answered,
    has_failed,
    has_proved,
    is_failing,
    is_known,
)
from mptcp_hooks.machine.runner import tell_failure
from mptcp_hooks.machine.system import Machine
from mptcp_hooks.machine.tunnels import find_tunnel

if TYPE_CHECKING:
    from collections.abc import Callable, Container, Iterable

    from mptcp_hooks.base.errors import Problem
    from mptcp_hooks.base.model import Path
    from mptcp_hooks.machine.foreign import ForeignRule
    from mptcp_hooks.machine.neighbours import Entry

# A gateway on a wire answers in a millisecond, one behind a radio in some tens. For one that
# does not, the kernel asks on: a round does not wait for it.
_ANSWERED_WITHIN, _LOOKED_EVERY = 0.1, 0.005


class Gateway(NamedTuple):
    """One gateway of one device."""

    address: str
    device: str
    ifindex: int


class WatchfulMachine(Machine):
    """`unanswered` are the gateways that paths wait for, as far as it was asked.

    `doubted` are addresses of paths whose gateway fell silent under its carrier: that it speaks
    does not prove that it hears. `asked` are those of paths whose gateway was to prove it,
    `failing` those whose check has failed, `unsteady` those that were there for moments only.
    """

    def __init__(self, show: Callable[[str], None] | None) -> None:
        super().__init__(show)
        self.unanswered: set[Gateway] = set()
        self.doubted: set[str] = set()
        self.asked: frozenset[str] = frozenset()
        self.failing: frozenset[str] = frozenset()
        self.unsteady: frozenset[str] = frozenset()

    def find_tunnel(self, family: int, uplinks: Container[int]) -> str | None:
        """As machine/tunnels.py has it."""
        return find_tunnel(family, uplinks)

    def list_foreign(self, family: int) -> list[ForeignRule]:
        """As machine/foreign.py has it."""
        return list_foreign(family)

    def answers(self, path: Path) -> bool:
        """Whether the path's gateway has answered since the path was out, or there is none.

        One whose check has failed is answered by it, and carries nothing all the same; one that
        comes and goes is waited with.
        """
        if path.address in self.failing | self.unsteady:
            return False
        if not path.gateway:
            return True
        gateway = _find_gateway(path)
        answered = self._has_answered(path)
        (self.unanswered.discard if answered else self.unanswered.add)(gateway)
        return answered

    def _build_lines(self, gateway: Gateway) -> tuple[str, ...]:
        """The lines that begin a new question: an old one may be about to end in vain."""
        entry = self.read_neighbour(gateway.address, gateway.ifindex)
        if is_failing(entry.state):
            return (build_oblivion(gateway.address, gateway.device),
                    build_question(gateway.address, gateway.device))
        return (_build_proof(gateway, entry),)

    def find_fault(self, path: Path, waiting: bool) -> str:
        """Why a path is out; '' where it is not, as far as anybody knows.

        One that was out is `waiting` for its gateway to answer anew.
        """
        link = self.read_link(path.device)
        if link is None or not link.running:
            return NO_CARRIER
        if path.address in self.failing:
            return CHECK_FAILED
        if path.address in self.unsteady:
            return UNSTEADY
        if not path.gateway:
            return ""
        state = self.read_neighbour(path.gateway, path.ifindex).state
        if path.address in self.doubted or waiting:
            return "" if self._has_answered(path) else GATEWAY_SILENT
        # What is sent to one that has failed begins a new question.
        failed = is_failing(state) if path.address in self.asked else has_failed(state)
        return GATEWAY_SILENT if failed else ""

    def _has_answered(self, path: Path) -> bool:
        state = self.read_neighbour(path.gateway, path.ifindex).state
        return has_proved(state) if path.address in self.doubted else has_answered(state)

    def probe(self, paths: Iterable[Path]) -> list[Problem]:
        """Have the kernel prove that the paths' gateways are there; what failed.

        The answer is in their entries, three seconds later at the most.
        """
        asked = {_find_gateway(path): self.read_neighbour(path.gateway, path.ifindex)
                 for path in paths if path.gateway}
        lines = tuple(_build_proof(gateway, entry) for gateway, entry in asked.items()
                      if is_known(entry.state) or not entry.state)
        return list(map(tell_failure, self.runner.ask_neighbours(lines)))

    def ask_gateways(self) -> tuple[bool, list[Problem]]:
        """Ask those that have not answered; whether one does at once, and what failed.

        Those that do are not among them any more.
        """
        failures = self.runner.ask_neighbours(tuple(
            line for gateway in sorted(self.unanswered) for line in self._build_lines(gateway)))
        end = monotonic() + _ANSWERED_WITHIN
        while self.unanswered and monotonic() < end:
            answered = {one for one in self.unanswered if has_proved(
                self.read_neighbour(one.address, one.ifindex).state)}
            if answered:
                self.unanswered -= answered
                return True, list(map(tell_failure, failures))
            sleep(_LOOKED_EVERY)
        return False, list(map(tell_failure, failures))


def _find_gateway(path: Path) -> Gateway:
    return Gateway(path.gateway, path.device, path.ifindex)


def _build_proof(gateway: Gateway, entry: Entry) -> str:
    if entry.link_address:
        return build_probe(gateway.address, gateway.device, entry.link_address)
    return build_question(gateway.address, gateway.device)
