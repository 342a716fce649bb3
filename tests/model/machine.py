# SPDX-License-Identifier: GPL-2.0-or-later
"""Does steps to a namespace: what the world does to it, and what starts a program of ours."""

from __future__ import annotations

import signal
from collections.abc import Iterator, Sequence

from tests.model.kernel import FOREIGN_PROTOCOL, Endpoint, Route, Rule, Snapshot, Thing
from tests.model.namespace import Namespace, Program
from tests.model.questions import Arrival, Question
from tests.model.steps import Step
from tests.model.things import find_foreign
from tests.model.world import (
    ALIAS,
    CONFIGURATION,
    DEVICES,
    FAMILIES,
    FOREIGN,
    FOREIGN_ENDPOINTS,
    ROUTER,
    TUNNEL,
    Own,
    Stanza,
    device_of,
    find_own,
    list_gateways,
    make_environment,
    read_configuration,
    read_stanza,
)

_FOLDERS = {"hook": ("if-up.d/mptcp_up", "post-up"),
            "farewell": ("if-down.d/mptcp_down", "pre-down"),
            "down": ("if-post-down.d/mptcp_down", "post-down")}
_LEASE_HOOK = "/usr/share/mptcp-hooks/hooks/mptcp_lease"
_NOTE_FAILED = """
import sys
sys.path.insert(0, "/usr/share/mptcp-hooks")
from mptcp_hooks.engine.checks import CheckResult, save_checks
save_checks(tuple(CheckResult(own, True, 0, "gateway") for own in sys.argv[1:]))
"""
_REMEMBER_WEAK = """
import sys
sys.path.insert(0, "/usr/share/mptcp-hooks")
from mptcp_hooks.engine.remembered import Remembered, save_uplinks
save_uplinks(tuple(Remembered(iface, tuple(gateways.split(",")), 5_000_000, 0, "carries 5 of 50")
                   for iface, gateways in (own.split("=") for own in sys.argv[1:])))
"""
_ROLES = "/run/mptcp-hooks/roles"
_OFF = {"off": signal.SIGTERM, "kill": signal.SIGKILL}


class Machine:
    """A namespace with the devices of the world, and what it said last."""

    def __init__(self, namespace: Namespace) -> None:
        self._namespace = namespace
        self._silent: set[str] = set()
        self._failing: set[str] = set()
        self._weak: set[str] = set()
        self.said: list[str] = []
        # Addresses are usable at once: the wait for duplicates is not what is tested here.
        namespace.run(Program(("sysctl", "-qw", "net.ipv6.conf.default.accept_dad=0",
                               "net.ipv6.conf.all.accept_dad=0")))
        self._ip([line for device in DEVICES for line in _make_device(device)])
        self._set_gateways()

    def look(self) -> Snapshot:
        """The kernel as it is now, once the monitor sleeps."""
        self._namespace.rest()
        recorded = self._namespace.read(_ROLES).splitlines()
        return self._namespace.look().without_roles(line.partition(" ")[0] for line in recorded)

    def disturb(self, step: Step, seen: Snapshot, ours: list[Thing]) -> None:
        """Do what the world does; what cannot be, such as what is there already, does no harm."""
        if step.kind == "configure":
            self._configure(step)
        elif step.kind == "gateway":
            self._silence(*step.words)
        elif step.kind == "tunnel":
            self._change_tunnel(*step.words)
        elif step.kind == "check":
            self._check(*step.words)
        elif step.kind == "uplink":
            self._remember(*step.words)
        elif step.kind == "damage":
            # On a busy machine it would see many losses, one by one, and take them for a fight.
            self._namespace.stop_monitor_for(
                lambda: self.alter(list(_list_lines(step, seen, ours))))
        elif step.kind == "limits":
            # What somebody sets between a round's look at limits and its own word is lost: the
            # kernel cannot change a limit only if nobody else did.
            self._namespace.do_at_rest(lambda: self.alter(list(_list_lines(step, seen, ours))))
        else:
            self.alter(list(_list_lines(step, seen, ours)))

    def alter(self, lines: list[str]) -> None:
        """Run lines of `ip`, and wait until the kernel tells the carriers that they make."""
        self._ip(lines)
        self._set_gateways()
        while _is_unsettled(self._namespace.look()):
            pass

    def start(self, *steps: Step, kill: int | None = None, whole: bool = True) -> None:
        """Run programs of ours at the same time."""
        self.said = self._namespace.run(*(
            make_program(step)._replace(kill=kill, whole=whole) for step in steps))

    def answer(self) -> None:
        """Have the gateways answer that do: a monitor forgets an entry before it asks anew."""
        self._set_gateways()

    def ask(self, questions: Sequence[Question]) -> list[list[Arrival]]:
        """Send a datagram for each question; at which far ends each came in."""
        return [[one._replace(device=_near(one.device)) for one in found]
                for found in self._namespace.ask(questions)]

    def race(self, step: Step, milliseconds: int, line: str) -> None:
        """Run a program of ours, and a line of `ip` that long after it began."""
        self.said = self._namespace.run(make_program(step), Program(
            ("sh", "-c", f"sleep {milliseconds / 1000}; {line}")))

    def set_monitor(self, word: str) -> None:
        """Have the monitor on, off, killed, or look again."""
        if word == "on":
            self._namespace.start_monitor()
        elif word == "reload":
            self._namespace.reload_monitor()
        else:
            self._namespace.stop_monitor(_OFF[word])

    def read_log(self) -> str:
        """What the monitor said so far."""
        return self._namespace.read("/run/monitor.log")

    def _configure(self, step: Step) -> None:
        text = read_configuration(step.words).write()
        if text:
            self._namespace.write(CONFIGURATION, text)
        else:
            self._namespace.remove(CONFIGURATION)

    def _silence(self, way: str, device: str) -> None:
        (self._silent.add if way == "silent" else self._silent.discard)(device)
        self._ip([_forget_gateway(device, *gateway) for gateway in list_gateways(device)])
        self._set_gateways()

    def _check(self, way: str, device: str, family: str, place: str) -> None:
        """Note a result as mptcp_check does, whose own timing is not what is tested here."""
        own = find_own(device, int(place), int(family)).address
        (self._failing.add if way == "failed" else self._failing.discard)(own)
        self._namespace.run(Program(("/usr/bin/python3", "-I", "-c", _NOTE_FAILED,
                                     *sorted(self._failing))))

    def _remember(self, way: str, device: str) -> None:
        """Note what uplinks were found to carry, behind whichever of their gateways."""
        (self._weak.add if way == "weak" else self._weak.discard)(device)
        known = [f"{one}={','.join(gateway for _, gateway in sorted(list_gateways(one)))}"
                 for one in sorted(self._weak)]
        self._namespace.run(Program(("/usr/bin/python3", "-I", "-c", _REMEMBER_WEAK, *known)))

    def _change_tunnel(self, way: str) -> None:
        if way == "gone":
            self._namespace.close_tunnel(TUNNEL)
        else:
            self._namespace.open_tunnel(TUNNEL)
            self._ip(list(_list_tunnelling()))

    def _set_gateways(self) -> None:
        """Nobody is at the far ends: who answers has an entry that needs no question."""
        self._ip([_note_gateway(device, *gateway) for device in DEVICES
                  if device not in self._silent for gateway in sorted(list_gateways(device))])

    def _ip(self, lines: list[str]) -> None:
        """Run lines of `ip`, one after another, each whatever became of the others."""
        for option in ("", "-4", "-6"):
            mine = [line for line in lines if _option_of(line) == option]
            if mine:
                text = "".join(line.removeprefix("ip ").removeprefix(option).strip() + "\n"
                               for line in mine)
                self._namespace.run(Program(
                    ("ip", *[option] * bool(option), "-force", "-batch", "-"), text=text))


def _option_of(line: str) -> str:
    word = line.split()[1]
    return word if word in ("-4", "-6") else ""


def _is_unsettled(seen: Snapshot) -> bool:
    """Whether a device does not show yet what its cable is."""
    return any(seen.is_up(device) and seen.is_up(_peer(device)) != seen.is_running(device)
               for device in DEVICES)


def make_program(step: Step) -> Program:
    """The program of a step of ours."""
    if step.kind in ("mptcp_up", "mptcp_down"):
        return Program((step.kind, step.iface))
    if step.kind == "lease":
        return Program((_LEASE_HOOK,), _tell_lease(*step.words))
    name, phase = _FOLDERS[step.kind]
    stanza = read_stanza(step.words) if step.kind == "hook" else None
    return Program((f"/etc/network/{name}",), make_environment(step.iface, phase, stanza))


def _tell_lease(device: str, place: str) -> dict[str, str]:
    """What dhclient-script(8) has in its environment, as far as it is read."""
    if place == "none":
        return {"interface": device, "reason": "EXPIRE"}
    own = find_own(device, int(place), 4)
    return {"interface": device, "reason": "BOUND", "new_ip_address": own.address,
            "new_routers": own.gateway}


def _peer(device: str) -> str:
    return device.replace("wan", "far")


def _near(peer: str) -> str:
    return peer.replace("far", "wan")


def _note_gateway(device: str, family: int, gateway: str) -> str:
    return (f"ip -{family} neigh replace {gateway} dev {device} lladdr 02:00:00:00:00:01 "
            "nud permanent")


def _forget_gateway(device: str, family: int, gateway: str) -> str:
    return f"ip -{family} neigh del {gateway} dev {device}"


def _make_device(device: str) -> list[str]:
    return [f"ip link add {device} type veth peer name {_peer(device)}",
            f"ip link set {_peer(device)} up", f"ip link set {device} up"]


def _list_lines(step: Step, seen: Snapshot, ours: list[Thing]) -> Iterator[str]:
    """The lines of `ip` that do a step."""
    match step.kind, *step.words:
        case "link", way, device:
            yield f"ip link set {device} {way}"
        case "carrier", way, device:
            yield f"ip link set {_peer(device)} {'up' if way == 'on' else 'down'}"
        case "device", "gone", device:
            yield f"ip link del {device}"
        case "device", _, device:
            yield from _make_device(device)
        case "address", way, device, family, place:
            yield _change_address(way, device, find_own(device, int(place), int(family)))
        case "default", way, device, family:
            yield from _change_default(way, device, find_own(device, 0, int(family)))
        case "router", way, device:
            yield from _change_router(way, device)
        case "damage", which:
            yield from delete_things(choose_things(which, ours), seen)
        case "foreign", way, name:
            yield FOREIGN[name].add if way == "add" else FOREIGN[name].delete
        case "endpoint", way, name:
            yield _change_endpoint(way, name, seen)
        case "limits", subflows, addresses:
            yield f"ip mptcp limits set subflows {subflows} add_addr_accepted {addresses}"
        case _:
            raise ValueError(f"no step: {step}")


def list_raising(stanza: Stanza) -> list[str]:
    """What ifup does before the hooks."""
    return [f"ip link set {stanza.device} up",
            *(_change_address("add", stanza.iface, own) for own in stanza.list_own())]


def list_lowering(iface: str, seen: Snapshot) -> list[str]:
    """What ifdown does before if-post-down.d: all addresses go; an alias leaves the link."""
    if iface == ALIAS:
        return [_change_address("del", iface, find_own(device_of(iface), 1, family))
                for family in (4, 6)]
    return [*(f"ip -{held.family} addr del {held.address}/{held.length} dev {held.device}"
              for held in seen.addresses if held.device == iface), f"ip link set {iface} down"]


def _change_address(way: str, iface: str, own: Own) -> str:
    # The kernel would check for duplicates first; such an address is of no use meanwhile.
    words = ("nodad" if own.family == 6 else f"label {iface}") if way == "add" else ""
    return (f"ip -{own.family} addr {way} {own.address}/{own.length} "
            f"dev {device_of(iface)} {words}")


def _change_default(way: str, device: str, own: Own) -> Iterator[str]:
    metric = 100 + DEVICES.index(device)
    yield f"ip -{own.family} route del default dev {device} metric {metric}"
    if way == "add":
        yield (f"ip -{own.family} route add default via {own.gateway} dev {device} "
               f"metric {metric} protocol {FOREIGN_PROTOCOL}")


def _change_router(way: str, device: str) -> Iterator[str]:
    """A default as the kernel makes it of an advertisement; each link has a metric of its own."""
    route = f"default via {ROUTER} dev {device} metric {1024 + DEVICES.index(device)} proto ra"
    yield f"ip -6 route del {route}"
    if way == "came":
        yield f"ip -6 route add {route}"


def _list_tunnelling() -> Iterator[str]:
    """What a VPN does with its device: all that main does not know better goes there."""
    yield f"ip link set {TUNNEL} up"
    for family in FAMILIES:
        own = find_own(TUNNEL, 0, family)
        yield _change_address("add", TUNNEL, own)
        yield (f"ip -{family} route add default dev {TUNNEL} metric 50 "
               f"protocol {FOREIGN_PROTOCOL}")


def _change_endpoint(way: str, name: str, seen: Snapshot) -> str:
    address, device, flags = FOREIGN_ENDPOINTS[name]
    if way == "add":
        return f"ip mptcp endpoint add {address} {f'dev {device}' * bool(device)} {flags}"
    return f"ip mptcp endpoint delete id {seen.ids.get(find_foreign(name, seen), 255)}"


def choose_things(which: str, ours: list[Thing]) -> list[Thing]:
    """The things that damage is about."""
    if which == "flush":
        return [thing for thing in ours if not isinstance(thing, Endpoint)]
    return [ours[int(which) % len(ours)]] if ours else []


def delete_things(things: list[Thing], seen: Snapshot) -> Iterator[str]:
    """The lines of `ip` that delete things of ours."""
    for thing in things:
        match thing:
            case Rule():
                yield _delete_rule(thing)
            case Route():
                yield _delete_route(thing)
            case Endpoint():
                yield f"ip mptcp endpoint delete id {seen.ids[thing]}"


def _delete_rule(rule: Rule) -> str:
    words = [f"ip -{rule.family} rule del pref {rule.preference} lookup {rule.table} protocol 77",
             *[f"from {rule.source}"] * bool(rule.source),
             *[f"to {rule.destination}"] * bool(rule.destination),
             *[f"oif {rule.device}"] * bool(rule.device),
             *[f"fwmark {rule.mark}"] * bool(rule.mark),
             *[f"suppress_prefixlength {rule.suppress}"] * (rule.suppress is not None)]
    return " ".join(words)


def _delete_route(route: Route) -> str:
    kind = "unreachable " * (not route.device)
    return (f"ip -{route.family} route del {kind}{route.destination} table {route.table} "
            f"metric {route.metric} protocol 77")
