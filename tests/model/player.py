# SPDX-License-Identifier: GPL-2.0-or-later
"""Plays steps on a machine, and holds the kernel against the model after each."""

from __future__ import annotations

from copy import deepcopy
from itertools import islice, permutations
from time import monotonic

from tests.model.comparison import Difference, compare, compare_foreign
from tests.model.kernel import Endpoint, Snapshot, Thing
from tests.model.machine import Machine, choose_things, delete_things, list_lowering, list_raising
from tests.model.model import Model
from tests.model.outcome import list_ours, resolve
from tests.model.packets import compare_packets, list_expected
from tests.model.roles import compare_roles, list_roles
from tests.model.steps import OURS, Step
from tests.model.way_out import list_standing
from tests.model.world import FAMILIES, read_stanza

# Of what the world does, what the kernel announces; for the rest the monitor is told to look.
_HEARD = ("link", "carrier", "gateway", "tunnel", "device", "address", "default", "router",
          "check", "damage")
# A monitor whose round failed begins the next in a second or two; busy machines take long for it.
_PATIENCE = 30.0


class Player:
    """A machine and its model, step by step."""

    def __init__(self, machine: Machine) -> None:
        self._machine = machine
        self.model = Model()
        self.seen = machine.look()

    def play(self, step: Step) -> list[Difference]:
        """Do a step; how the kernel differs from the model then."""
        match step.kind:
            case "ifup":
                return self._come_up(step)
            case "ifdown":
                return self._go_down(step)
            case "monitor":
                return self._switch_monitor(step.words[0])
            case "kill":
                return self._kill(step)
            case "together":
                return self._do(step.inner)
            case "race":
                return self._race(step)
        return self._do((step,)) if step.kind in OURS else self._disturb(step)

    def list_ours(self) -> list[Thing]:
        return list_ours(self.model.told, self.seen)

    def _disturb(self, step: Step) -> list[Difference]:
        """The world changes, and nothing of ours does but by the monitor."""
        before, ours = self.seen, self.list_ours()
        chosen = choose_things(step.words[0], ours) if step.kind == "damage" else []
        self._machine.disturb(step, before, ours)
        unheard = step.kind not in _HEARD or any(isinstance(one, Endpoint) for one in chosen)
        if self.model.monitored and unheard:
            self._machine.set_monitor("reload")
        found = self._settle((step,), before, disturbed=True)
        if self.model.monitored and chosen:
            # So that it does not take this for a fight with another program.
            self._machine.set_monitor("reload")
        return found

    def _come_up(self, step: Step) -> list[Difference]:
        self._alter(list_raising(read_stanza(step.words)))
        return self._do((step._replace(kind="hook"),))

    def _go_down(self, step: Step) -> list[Difference]:
        found = self._do((step._replace(kind="farewell"),))
        self._alter(list_lowering(step.iface, self.seen))
        return [*found, *self._do((step._replace(kind="down"),))]

    def _alter(self, lines: list[str]) -> None:
        """What a manager does between its hooks; a monitor may be quick to raise limits then."""
        self._machine.alter(lines)
        self.seen = self._machine.look()._replace(limits=self.seen.limits)
        self.model.watch(self.seen, monotonic(), settled=False)

    def _switch_monitor(self, word: str) -> list[Difference]:
        """One that ends has done by then what a moment ago there was no reason for.

        Or it has not yet done what there is reason for by now, and nobody will.
        """
        since = self.model.now
        self._machine.set_monitor(word)
        if word in ("on", "reload"):
            self.model.set_monitor(word)
            return self._settle((), self.seen)
        self.model.ending = True
        found = self._settle((), self.seen, moments=(since, monotonic()))
        self.model.set_monitor(word)
        self.model.ending = False
        return found

    def _do(self, steps: tuple[Step, ...]) -> list[Difference]:
        """Programs of ours run at the same time."""
        before = self.seen
        self._machine.start(*steps)
        return self._settle(steps, before)

    def _kill(self, step: Step) -> list[Difference]:
        """A program of ours is killed; what it left, the next one sees to."""
        milliseconds, extent = step.words
        before = self.seen
        self._machine.start(*step.inner[:1], kill=int(milliseconds), whole=extent == "all")
        self._machine.start(*step.inner[-1:])
        return self._settle(step.inner[-1:], before)

    def _race(self, step: Step) -> list[Difference]:
        """Somebody deletes one of the stanza's meanwhile; the same program puts it back then.

        Unless it is refused what it wants: then it leaves what stands as it is.
        """
        which, milliseconds = step.words
        before = self.seen
        stanza = read_stanza(step.inner[0].words)
        theirs = list_ours([one for one in self.model.told if one.stanza == stanza], before)
        chosen = choose_things(which, theirs)
        lines = delete_things(chosen, before)
        self._machine.race(step.inner[0], int(milliseconds), next(lines, "true"))
        self._machine.start(*step.inner)
        return self._settle(step.inner, before.without(chosen))

    def _settle(
        self, steps: tuple[Step, ...], before: Snapshot, disturbed: bool = False,
        moments: tuple[float, ...] = (),
    ) -> list[Difference]:
        """The differences after steps; a monitor is given time to make them none.

        One that has ended by now is held to any of the `moments` instead.
        """
        since = monotonic()
        while True:
            self.seen = self._machine.look()
            for moment in moments or (monotonic(),):
                model, found = judge(
                    self.model, moment, steps, before, self.seen, disturbed)
                found += self._ask(model)
                if not found:
                    break
            if not found or moments or not model.monitored or monotonic() - since > _PATIENCE:
                self.model = model
                self.model.watch(self.seen, model.now, settled=True)
                return found
            self._machine.answer()

    def _ask(self, model: Model) -> list[Difference]:
        """What went astray of the datagrams that a machine is asked by."""
        expected = list_expected(model, self.seen)
        return compare_packets(expected, self._machine.ask([one.question for one in expected]))


def _judge_backups(model: Model, seen: Snapshot) -> Snapshot:
    """What is seen, where endpoints that are backups by themselves have no role."""
    wishes = [wish for told in model.told for wish in (
        {address: path.wish for address, path in told.paths.items()}
        | {wish.address: wish for wish in told.wishes or ()}).values()]
    return seen.without_lent(
        (wish.address, wish.ifindex) for wish in wishes if "backup" in wish.flags)


def judge(
    model: Model, moment: float, steps: tuple[Step, ...], before: Snapshot, after: Snapshot,
    disturbed: bool,
) -> tuple[Model, list[Difference]]:
    """The model once it has followed what was done between two looks, and what differs from it.

    Programs that run at the same time do their work one after another, in whichever order.
    """
    now, found = _judge_order(model, moment, steps, before, after, disturbed)
    if not found or now.in_turn:
        return now, found
    for order in islice(permutations(steps), 1, None):
        again, left = _judge_order(model, moment, order, before, after, disturbed)
        if not left:
            return again, left
    return now, found


def _judge_order(
    model: Model, moment: float, steps: tuple[Step, ...], before: Snapshot, after: Snapshot,
    disturbed: bool,
) -> tuple[Model, list[Difference]]:
    """The same for steps that were done in this order."""
    model = deepcopy(model)
    model.begin(before, moment)
    now, found = _follow_rounds(model, steps, before, after, disturbed)
    if found and now.may_have_been_bare and not now.monitored:
        # With the last path went all of what a monitor left, before the next one came; or the
        # next one came before, and all of it stayed.
        again = deepcopy(model)
        again.lose_notes()
        again, left = _follow_rounds(again, steps, _end_detours(before), after, disturbed)
        return (now, found) if left else (again, left)
    if found and model.tunnels and (model.abandoned or now.bare and not now.monitored):
        # Whoever had something to do since, without a path, took away what a monitor noted.
        again = deepcopy(model)
        again.tunnels, again.abandoned = set(), False
        again, left = _follow_rounds(again, steps, before, after, disturbed)
        if not left:
            return again, left
    if found and now.monitored and any(step.kind == "hook" for step in steps):
        # Whether a round took away what went, and made what came, before its manager called the
        # hook is a race.
        again = deepcopy(model)
        again.lose_gone(before)
        again, left = _follow_rounds(again, steps, before, after, disturbed)
        if not left:
            return again, left
    return now, found


def _follow_rounds(
    model: Model, steps: tuple[Step, ...], before: Snapshot, after: Snapshot, disturbed: bool
) -> tuple[Model, list[Difference]]:
    """A model that has begun the step, once it has followed; what differs from it then.

    A round that sees that new connections leave by no tunnel any more has another one follow.
    """
    now = deepcopy(model)
    found = _follow(now, steps, before, after, disturbed)
    # A tunnel matters also to a path that has just come, until that leads out.
    if not (now.monitored and now.beside < model.beside | now.find_beside_of(model.tunnels)):
        return now, found
    again = deepcopy(model)
    again.tunnels = set(now.beside)
    found = _follow(again, steps, before, after, disturbed)
    again.tunnels |= now.tunnels
    return again, found


def _end_detours(seen: Snapshot) -> Snapshot:
    """What is seen, without what leads what is bound to nothing."""
    return seen.without(rule for family in FAMILIES for rule in list_standing(seen, family))


def _follow(
    model: Model, steps: tuple[Step, ...], before: Snapshot, after: Snapshot, disturbed: bool
) -> list[Difference]:
    """Have the model follow what was done between two looks; what differs from it then."""
    before = _judge_backups(model, before)
    world = after if disturbed else before
    for step in steps:
        if disturbed:
            model.note(step, before, after)
        else:
            model.follow(step, world)
    if model.monitored:
        model.attend(world)
    after = _judge_backups(model, after)
    outcome = resolve(model, before, after, disturbed)
    found = [*compare(outcome, model.foreign, after),
             *compare_roles(list_roles(model, after), after)]
    return found if disturbed else [*found, *compare_foreign(before, after)]
