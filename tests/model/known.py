"""Known defects: what the generator leaves out until each is mended, and its line here deleted."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from tests.model.outcome import ENDPOINTS_AT_MOST
from tests.model.player import Player
from tests.model.steps import Step
from tests.model.told import is_wanted, list_held
from tests.model.world import (
    ALIAS,
    FAMILIES,
    Stanza,
    device_of,
    read_configuration,
    read_stanza,
)


def is_known(step: Step, player: Player) -> bool:
    """Whether a step leads to a known defect."""
    return any(leads(one, player) for one in (step, *step.inner) for leads in KNOWN.values())


def _list_told(step: Step, player: Player) -> Iterator[Stanza]:
    """The stanza that a step tells anew."""
    if step.kind in ("hook", "ifup"):
        yield read_stanza(step.words)
    elif step.kind == "mptcp_up" and not player.model.list_of(step.iface):
        yield Stanza(step.iface, FAMILIES)


def _is_beside_stated(step: Step, player: Player) -> bool:
    for stanza in _list_told(step, player):
        for told in player.model.told:
            if (told.stanza.device == stanza.device
                    and bool(told.stanza.places) != bool(stanza.places)
                    and set(told.stanza.families) & set(stanza.families)):
                return True
    return False


def _lacks_address(step: Step, player: Player) -> bool:
    return step.kind == "mptcp_up" and any(
        not player.seen.is_up(told.stanza.device)
        or not {own.address for own in told.stanza.list_own()}
        <= list_held(player.seen, told.stanza.device)
        for told in player.model.list_of(step.iface))


def _excludes_beneath_monitor(step: Step, player: Player) -> bool:
    if not player.model.monitored and step.words != ("on",) or step.kind == "link":
        return False
    excluded = (read_configuration(step.words) if step.kind == "configure"
                else player.model.configuration).excluded
    return any(told.paths and told.stanza.device in excluded
               and not player.seen.is_up(told.stanza.device) for told in player.model.told)


def _moves_beside(step: Step, player: Player) -> bool:
    return any(stanza.table and len(stanza.places) > 1 for stanza in _list_told(step, player))


def _forgets_silence(step: Step, player: Player) -> bool:
    return step.kind in ("hook", "ifup", "mptcp_up") and any(
        told.silent and told.leaving for told in player.model.list_of(step.iface))


def _crowds(step: Step, player: Player) -> bool:
    if step.kind not in ("hook", "ifup", "mptcp_up", "address", "endpoint"):
        return False
    addresses = [own.address for stanza in _list_told(step, player) for own in stanza.list_own()]
    addresses += [own for told in player.model.told for own in told.list_addresses()]
    return len(player.model.foreign) + len(set(addresses)) + 2 > ENDPOINTS_AT_MOST


def _dismisses_managed(step: Step, player: Player) -> bool:
    return step.kind in ("mptcp_down", "farewell") and any(
        told.managed and not player.seen.is_up(told.stanza.device)
        for told in player.model.list_of(step.iface))


def _watches_both_families(step: Step, player: Player) -> bool:
    coming = _list_told(step, player) if player.model.monitored else ()
    watched = (one.stanza for one in player.model.told) if step.words == ("on",) else ()
    return any(stanza.places and len(stanza.families) == 2 for stanza in (*coming, *watched))


def _forgets_excluded(step: Step, player: Player) -> bool:
    return step.kind == "mptcp_up" and any(
        not is_wanted(told, player.model.configuration)
        for told in player.model.list_of(step.iface))


def _states_aliased(step: Step, player: Player) -> bool:
    told = [*_list_told(step, player), *(one.stanza for one in player.model.told)]
    aliased = any(held.label == ALIAS for held in player.seen.addresses) or any(
        one.iface == ALIAS for one in _list_told(step, player))
    return step.kind in ("hook", "ifup") and aliased and any(
        stanza.iface == device_of(ALIAS) and 1 in stanza.places for stanza in told)


# Of each defect, what it is, and whether a step leads to it.
KNOWN: dict[str, Callable[[Step, Player], bool]] = {
    "an endpoint too many fails for all of its batch, which stay and are disowned": _crowds,
}
