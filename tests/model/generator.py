# SPDX-License-Identifier: GPL-2.0-or-later
"""Chooses steps: what is likely on a machine, and what is not, weighed."""

from __future__ import annotations

from collections.abc import Callable
from random import Random

from tests.model.outcome import ENDPOINTS_AT_MOST
from tests.model.packets import INTRUDER
from tests.model.player import Player
from tests.model.steps import Step, make_step
from tests.model.things import find_foreign
from tests.model.told import list_held
from tests.model.world import (
    ALIAS,
    DEVICES,
    FAMILIES,
    FOREIGN,
    FOREIGN_ENDPOINTS,
    MARKS,
    PLACES,
    ROUTER,
    TABLES,
    TUNNEL,
    Configuration,
    Stanza,
    find_own,
    read_configuration,
    read_stanza,
)

_FLAGS = (("subflow",), ("subflow", "backup"), ("signal",), ("subflow", "fullmesh"),
          ("subflow", "signal"))
_IFACES = (*DEVICES, ALIAS)


def choose_step(random: Random, player: Player) -> Step:
    """A step that can be done now."""
    while True:
        (choose,) = random.choices(list(_CHOICES), weights=list(_CHOICES.values()))
        step = choose(random, player)
        if step is not None and not any(
                _contradicts(one, player) for one in (step, *step.inner)):
            return step


def _contradicts(step: Step, player: Player) -> bool:
    """Whether stanzas would be at odds about an address, and who gets it were chance."""
    coming = [read_stanza(step.words)] if step.kind in ("hook", "ifup") else []
    if any(_overlap(one, told.stanza) for one in coming for told in player.model.told):
        return True
    configuration = (read_configuration(step.words) if step.kind == "configure"
                     else player.model.configuration)
    tables = dict(configuration.tables)
    if any(one.table and one.table == tables.get(one.device)
           for one in (*coming, *(told.stanza for told in player.model.told))):
        return True
    if player.model.monitored or step.words == ("on",):
        stanzas = [*(told.stanza for told in player.model.told), *coming]
        return any(_share(one, other) for one in stanzas for other in stanzas)
    # Whose rules are gone has no claim that another one could see.
    return any(_share(one, told.stanza) and not path.things <= {
        *player.seen.marked, *player.seen.endpoints}
        for one in coming for told in player.model.told for path in told.paths.values())


def _overlap(one: Stanza, other: Stanza) -> bool:
    """Whether two stanzas of a device take what they find of the same family."""
    return (one.device == other.device and not one.places and not other.places and one != other
            and bool(set(one.families) & set(other.families)))


def _share(one: Stanza, other: Stanza) -> bool:
    """Whether two interfaces state the same address."""
    return one.iface != other.iface and bool(
        {own.address for own in one.list_own()} & {own.address for own in other.list_own()})


def _choose_ifup(random: Random, player: Player) -> Step:
    return make_step(f"ifup {_choose_stanza(random)}")


def _choose_hook(random: Random, player: Player) -> Step | None:
    """A hook alone, mostly where the kernel can take what it makes."""
    stanza = _choose_stanza(random)
    held = list_held(player.seen, stanza.device)
    fitting = player.seen.is_up(stanza.device) and {
        own.address for own in stanza.list_own()} <= held
    return make_step(f"hook {stanza}") if fitting or random.random() < 0.1 else None


def _choose_stanza(random: Random) -> Stanza:
    iface = random.choice(_IFACES)
    places = (1,) if iface == ALIAS else random.choice(
        ((0,), (0,), (0,), (0,), (), (), (1,), (2,), (0, 1), (0, 2), (3,)))
    unusual = random.random() < 0.3
    return Stanza(
        iface=iface,
        families=random.choice(((4,), (4,), (6,), (4, 6))),
        places=places,
        gateway=bool(places) and random.random() < 0.8,
        mptcp_gateway=random.random() < 0.2,
        flags=random.choice(_FLAGS) if unusual and random.random() < 0.6 else (),
        table=random.choice(TABLES) if unusual and random.random() < 0.4 else 0,
        off=unusual and random.random() < 0.15,
        mark=MARKS[iface] if random.random() < 0.15 else "",
        announce=random.random() < 0.1,
    )


def _choose_down(random: Random, player: Player) -> Step:
    kind = random.choice(("ifdown", "ifdown", "farewell", "down", "mptcp_down"))
    return make_step(f"{kind} {_choose_told(random, player)}")


def _choose_up_again(random: Random, player: Player) -> Step | None:
    """The same hook once more, or mptcp_up."""
    told = [one.stanza for one in player.model.told if not one.managed]
    if told and random.random() < 0.4:
        return make_step(f"hook {random.choice(told)}")
    iface = _choose_told(random, player)
    known = any(one.stanza.iface == iface for one in player.model.told)
    there = known or iface in player.seen.links
    return make_step(f"mptcp_up {iface}") if there else None


def _choose_told(random: Random, player: Player) -> str:
    """An interface that is told of, or any."""
    told = [one.stanza.iface for one in player.model.told]
    return random.choice(told if told and random.random() < 0.9 else _IFACES)


def _choose_all(random: Random, player: Player) -> Step:
    return make_step("mptcp_down --all" if random.random() < 0.1 else "mptcp_up --all")


def _choose_address(random: Random, player: Player) -> Step | None:
    device = random.choice(DEVICES)
    if device not in player.seen.links:
        return None
    held = list_held(player.seen, device)
    family, place = random.choice(FAMILIES), random.choice((0, 0, 0, 1, 2, 3))
    there = find_own(device, place, family).address in held
    if there and random.random() < 0.4:
        return None
    return make_step(f"address {'del' if there else 'add'} {device} {family} {place}")


def _choose_link(random: Random, player: Player) -> Step | None:
    """What is down comes up sooner than what is up goes down."""
    device = random.choice(DEVICES)
    if device not in player.seen.links:
        return make_step(f"device made {device}")
    if not player.seen.is_up(device):
        return make_step(f"link up {device}")
    if not player.seen.is_running(device):
        return make_step(f"carrier on {device}")
    return make_step(random.choice((f"device gone {device}", f"link down {device}",
                                    f"link down {device}", f"carrier off {device}",
                                    f"carrier off {device}"))) if random.random() < 0.5 else None


def _choose_gateway(random: Random, player: Player) -> Step:
    """A provider that is out seldom is so for long."""
    device = random.choice(DEVICES)
    deaf = device in player.model.deaf
    return make_step(f"gateway {'answers' if deaf or random.random() < 0.3 else 'silent'} {device}")


def _choose_check(random: Random, player: Player) -> Step | None:
    """Of a path that there is; most that have failed answer soon."""
    failing = player.model.failing
    back = bool(failing) and random.random() < 0.6
    meant = failing if back else {
        address for told in player.model.told for address in told.paths} - failing
    places = [f"{device} {family} {place}" for device in DEVICES for family in FAMILIES
              for place in PLACES if find_own(device, place, family).address in meant]
    return make_step(f"check {'answers' if back else 'failed'} {random.choice(places)}") \
        if places else None


def _choose_uplink(random: Random, player: Player) -> Step | None:
    """What is remembered of uplinks, for a monitor that begins: it writes that file itself."""
    if player.model.monitored:
        return None
    device = random.choice(DEVICES)
    return make_step(f"uplink {'strong' if device in player.model.weak else 'weak'} {device}")


def _choose_tunnel(random: Random, player: Player) -> Step | None:
    """While a tunnel is there nothing else leads, so that is seldom for long."""
    if TUNNEL in player.seen.links:
        return make_step("tunnel gone")
    intruded = INTRUDER in player.seen.foreign
    return make_step("tunnel up") if not intruded and random.random() < 0.3 else None


def _choose_default(random: Random, player: Player) -> Step | None:
    device, family = random.choice(DEVICES), random.choice(FAMILIES)
    there = any((one.device, one.family) == (device, family) and one.gateway != ROUTER
                for one in player.seen.defaults)
    if not there and find_own(device, 0, family).address not in list_held(player.seen, device):
        return None
    return make_step(f"default {'del' if there else 'add'} {device} {family}")


def _choose_router(random: Random, player: Player) -> Step | None:
    """Most links of IPv6 have one."""
    device = random.choice(DEVICES)
    if any((one.device, one.gateway) == (device, ROUTER) for one in player.seen.defaults):
        return make_step(f"router gone {device}") if random.random() < 0.5 else None
    return make_step(f"router came {device}") if player.seen.is_up(device) else None


def _choose_lease(random: Random, player: Player) -> Step:
    """Mostly one whose address the device has, or no more."""
    device = random.choice(DEVICES)
    if device in player.model.leases and random.random() < 0.5:
        return make_step(f"lease {device} none")
    held = [place for place in PLACES
            if find_own(device, place, 4).address in list_held(player.seen, device)]
    return make_step(f"lease {device} {random.choice(held or PLACES)}")


def _choose_damage(random: Random, player: Player) -> Step | None:
    if not player.list_ours():
        return None
    return make_step("damage flush" if random.random() < 0.15
                     else f"damage {random.randrange(100)}")


def _choose_foreign(random: Random, player: Player) -> Step | None:
    way, name = random.choice(("add", "del")), random.choice(list(FOREIGN))
    # Whether a tunnel leads then were a matter of who has that table.
    beside = name == "rule-intruder" and TUNNEL in player.seen.links
    return None if way == "add" and beside else make_step(f"foreign {way} {name}")


def _choose_endpoint(random: Random, player: Player) -> Step | None:
    """Another program's endpoint; never one that cannot be told from ours."""
    name = random.choice(list(FOREIGN_ENDPOINTS))
    address = FOREIGN_ENDPOINTS[name][0]
    if find_foreign(name, player.seen) in player.model.foreign:
        return make_step(f"endpoint del {name}")
    ours = {one for told in player.model.told for one in told.list_addresses()}
    taken = {endpoint.address for endpoint in player.seen.endpoints}
    may = address not in ours | taken or (address not in taken and not any(
        address in told.paths and told.paths[address].endpoint for told in player.model.told))
    return make_step(f"endpoint add {name}") if may else None


def _choose_limits(random: Random, player: Player) -> Step | None:
    """Never what ours were raised to: nobody could tell who did it."""
    limits = random.randrange(9), random.randrange(9)
    raised = player.model.raised or (-1, -1)
    if any(one == ours for one, ours in zip(limits, raised)):
        return None
    return make_step("limits {} {}".format(*limits))


def _choose_configuration(random: Random, player: Player) -> Step:
    def choose() -> tuple[str, ...]:
        return tuple(device for device in DEVICES if random.random() < 0.15)

    configuration = Configuration(
        usual_flags=random.choice(((), (), ("subflow", "backup"))),
        managed=choose(), excluded=choose(), gateways=choose(), marked=choose(),
        flags=tuple((device, random.choice(_FLAGS)) for device in choose()),
        tables=tuple((device, random.choice(TABLES)) for device in choose()),
        broken=random.random() < 0.1,
    )
    return make_step(f"configure {configuration}")


def _choose_monitor(random: Random, player: Player) -> Step:
    """Most machines have one."""
    words = ("off", "kill", "reload", "reload") if player.model.monitored else ("on",)
    return make_step(f"monitor {random.choice(words)}")


def _choose_kill(random: Random, player: Player) -> Step | None:
    """What is killed is run again; a hook on the way up may be followed by its way down."""
    step = random.choice((_choose_hook, _choose_up_again, _choose_down, _choose_all))(
        random, player)
    if step is None or step.kind == "ifdown" or _may_fail(step, player):
        return None
    milliseconds = random.randrange(80 if step.kind.startswith("mptcp") else 25)
    extent = random.choice(("all", "all", "one"))
    down = step.kind == "hook" and random.random() < 0.3 and not _takes_from_others(step, player)
    after = make_step(f"down {step.iface}") if down else step
    return Step("kill", (str(milliseconds), extent), (step,) if after == step else (step, after))


def _may_fail(step: Step, player: Player) -> bool:
    """Whether a hook finds no link or no address: what it leaves then is not settled."""
    if step.kind != "hook":
        return False
    stanza = read_stanza(step.words)
    return not player.seen.is_up(stanza.device) or not {
        own.address for own in stanza.list_own()} <= list_held(player.seen, stanza.device)


def _takes_from_others(step: Step, player: Player) -> bool:
    """Whether others may be left without a path or an endpoint, if a hook got as far as that."""
    stanza = read_stanza(step.words)
    own = {one.address for one in stanza.list_own()}
    # One for itself, and one that is announced.
    endpoints = 2 * len(stanza.families) * max(len(stanza.places), 1)
    return len(player.seen.endpoints) + endpoints > ENDPOINTS_AT_MOST or any(
        own & set(told.paths) for told in player.model.told if told.stanza != stanza)


def _choose_race(random: Random, player: Player) -> Step | None:
    step = _choose_up_again(random, player)
    if step is None or step.kind != "hook" or not player.list_ours() or _may_fail(step, player):
        return None
    return Step("race", (str(random.randrange(100)), str(random.randrange(8, 25))), (step,))


def _choose_together(random: Random, player: Player) -> Step | None:
    """Programs that are about different devices, so that their order does not matter."""
    steps: dict[str, Step] = {}
    for _ in range(random.randrange(2, 6)):
        step = random.choice((_choose_hook, _choose_up_again, _choose_down))(random, player)
        if step is not None and step.kind != "ifdown":
            if "at=3" not in str(step) and "table=" not in str(step):
                steps.setdefault(step.iface.partition(":")[0], step)
    return Step("together", (), tuple(steps.values())) if len(steps) > 1 and not any(
        _may_meet(player, device) for device in steps) else None


def _may_meet(player: Player, device: str) -> bool:
    """Whether a device may be at odds with another about an address or a table."""
    tables = [one.stanza.table for one in player.model.told] + list(
        dict(player.model.configuration.tables).values())
    shared = {find_own(device, PLACES[-1], family).address for family in FAMILIES}
    return any(tables) or bool(shared & list_held(player.seen, device))


_CHOICES: dict[Callable[[Random, Player], Step | None], int] = {
    _choose_ifup: 16,
    _choose_hook: 8,
    _choose_down: 8,
    _choose_up_again: 10,
    _choose_all: 6,
    _choose_address: 8,
    _choose_link: 8,
    _choose_gateway: 4,
    _choose_check: 6,
    _choose_uplink: 4,
    _choose_tunnel: 4,
    _choose_default: 8,
    _choose_router: 6,
    _choose_lease: 6,
    _choose_damage: 8,
    _choose_foreign: 4,
    _choose_endpoint: 4,
    _choose_limits: 2,
    _choose_configuration: 4,
    _choose_monitor: 2,
    _choose_kill: 8,
    _choose_race: 2,
    _choose_together: 6,
}
