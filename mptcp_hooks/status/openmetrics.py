# SPDX-License-Identifier: GPL-2.0-or-later
"""A look, and the connections, as metrics in the text format of OpenMetrics 1.0. Pure.

Only what Prometheus' own older text format has too: node_exporter reads that from files, and
knows no types but counters and gauges. The names are a promise, as the keys of JSON are.
"""

from __future__ import annotations

from collections import Counter

from mptcp_hooks import __version__
from mptcp_hooks.base.report import make_printable
from mptcp_hooks.base.value import TYPE_CHECKING, NamedTuple
from mptcp_hooks.machine.counters import read_counters
from mptcp_hooks.status.connections import sum_interfaces
from mptcp_hooks.status.counters import count_fallbacks, count_joins
from mptcp_hooks.status.health import is_alive
from mptcp_hooks.status.survey import UP

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from mptcp_hooks.status.connections import Connection
    from mptcp_hooks.status.looks import PathsLook, Rates
    from mptcp_hooks.status.survey import PathStatus

GAUGE, COUNTER = "gauge", "counter"
_ALIVE, _ELSEWHERE = "alive", "leaves elsewhere"


class Family(NamedTuple):
    """One metric: a name, what it tells, and its values, each with its labels."""

    name: str
    kind: str
    help: str
    values: tuple[tuple[Mapping[str, str], float], ...]


def draw_metrics(
    look: PathsLook, rates: Rates, connections: tuple[Connection, ...]
) -> Iterator[str]:
    """The lines of the answer; `rates` are those of devices."""
    for family in (*_list_machine(look), *_list_path_metrics(look),
                   *_list_interfaces(look, rates, connections), *_list_counters(look)):
        yield f"# HELP {family.name} {family.help}"
        yield f"# TYPE {family.name} {family.kind}"
        suffix = "_total" * (family.kind == COUNTER)
        for labels, value in family.values:
            yield f"{family.name}{suffix}{_write_labels(labels)} {_write_number(value)}"
    yield "# EOF"


def _list_machine(look: PathsLook) -> Iterator[Family]:
    yield _tell("mptcp_hooks_version", "The version of mptcp-hooks, as a label.",
                [({"version": __version__}, 1)])
    yield _tell("mptcp_ok", "Whether no finding breaks a path.", [({}, not look.status)])
    found = Counter((one.severity, one.kind, one.interface) for one in look.findings)
    yield _tell("mptcp_findings", "What mptcp_status finds, by kind.", [
        ({"severity": severity, "kind": kind, "interface": interface}, number)
        for (severity, kind, interface), number in found.items()])


def _list_path_metrics(look: PathsLook) -> Iterator[Family]:
    named = {(path.interface, path.family, path.address): path
             for path in look.paths if path.installed}
    labelled = [(_label(path), path) for path in named.values()]
    yield _tell("mptcp_path_alive", "Whether a path carries what it should, as far as is known.",
                [(labels, is_alive(path)) for labels, path in labelled])
    yield _tell("mptcp_path_state", "1 for the state that a path is in.",
                [({**labels, "state": _name_state(path)}, 1) for labels, path in labelled])
    if look.survey.endpoints is not None:
        yield _tell("mptcp_path_backup", "Whether a path's endpoint is a backup.",
                    [(labels, path.endpoint is not None and "backup" in path.endpoint.flags)
                     for labels, path in labelled])


def _list_interfaces(
    look: PathsLook, rates: Rates, connections: tuple[Connection, ...]
) -> Iterator[Family]:
    """What each device carries, once, however many paths it has."""
    devices = look.devices
    names = {device.name for device in devices}
    yield _count("mptcp_interface_sent_bytes", "Bytes that a device of paths sent.",
                 [({"interface": device.name}, device.sent) for device in devices])
    yield _count("mptcp_interface_received_bytes", "Bytes that a device of paths received.",
                 [({"interface": device.name}, device.received) for device in devices])
    known = [(name, rate) for name, rate in rates.items() if name in names]
    yield _tell("mptcp_interface_sent_bytes_per_second", "What it sent in the last second.",
                [({"interface": name}, rate.sent / 8) for name, rate in known])
    yield _tell("mptcp_interface_received_bytes_per_second", "What it received then.",
                [({"interface": name}, rate.received / 8) for name, rate in known])
    subflows = {total.interface: total.subflows for total in sum_interfaces(connections)}
    yield _tell("mptcp_interface_subflows", "Subflows of running connections.",
                [({"interface": name}, subflows.get(name, 0)) for name in sorted(names)])
    fallen = sum(one.fallback for one in connections)
    yield _tell("mptcp_connections", "Running MPTCP connections; fallback: plain TCP by now.", [
        ({"fallback": "no"}, len(connections) - fallen), ({"fallback": "yes"}, fallen)])


def _list_counters(look: PathsLook) -> Iterator[Family]:
    counters = read_counters(look.survey.counters)
    yield _count("mptcp_fallbacks", "Connections that went on as plain TCP, by the kernel's "
                 "counter.", [({"counter": name}, number)
                              for name, number in count_fallbacks(counters).items()])
    joins = count_joins(counters)
    if joins:
        asked, answered = joins
        yield _count("mptcp_joins_sent", "Further subflows that were asked for.", [({}, asked)])
        yield _count("mptcp_joins_answered", "Those answered with MPTCP.", [({}, answered)])
        yield _tell("mptcp_joins_unanswered", "Those not answered so, or not yet.",
                    [({}, asked - answered)])


def _label(path: PathStatus) -> dict[str, str]:
    return {"interface": path.interface, "device": path.device, "family": str(path.family),
            "address": path.address}


def _name_state(path: PathStatus) -> str:
    if path.link != UP:
        return path.link
    if path.outage is not None:
        return path.outage.why
    return _ALIVE if path.works else _ELSEWHERE


def _tell(name: str, text: str, values: list[tuple[dict[str, str], float]]) -> Family:
    return Family(name, GAUGE, text, tuple(values))


def _count(name: str, text: str, values: list[tuple[dict[str, str], float]]) -> Family:
    return Family(name, COUNTER, text, tuple(values))


def _write_labels(labels: Mapping[str, str]) -> str:
    written = ",".join(f'{name}="{_escape(value)}"' for name, value in labels.items())
    return f"{{{written}}}" if written else ""


def _write_number(value: float) -> str:
    # Of bytes each one, however many.
    return f"{value:.3f}" if isinstance(value, float) else str(int(value))


def _escape(text: str) -> str:
    return make_printable(text).replace("\\", "\\\\").replace('"', '\\"')
