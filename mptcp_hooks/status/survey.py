# SPDX-License-Identifier: GPL-2.0-or-later
"""What mptcp_status knows of this machine, as values; take_survey asks for them."""

from __future__ import annotations

from mptcp_hooks.base.model import TableUse
from mptcp_hooks.base.numbering import FIRST_PREFERENCE, PREFERENCES
from mptcp_hooks.base.value import TYPE_CHECKING, NamedTuple
from mptcp_hooks.machine.runner import is_detour

if TYPE_CHECKING:
    from collections.abc import Iterable

    from mptcp_hooks.base.model import Endpoint, Installed, Limits, Path, Stanza, Tunnel
    from mptcp_hooks.engine.lifelines import Use
    from mptcp_hooks.engine.counted import Counted
    from mptcp_hooks.status.seen_routing import SeenRoute, SeenRule

UP, DOWN, NO_CARRIER, GONE = "up", "down", "no carrier", "gone"
# What ifup gave up on.
NOT_UP = "not up"
# What templates of before have no lines for.
DETOURS, NAMES = "detours", "names"
# Programs that make endpoints or rules of their own for the same interfaces.
MPTCPD, NETWORK_MANAGER = "mptcpd", "NetworkManager"


class DeviceAddress(NamedTuple):
    """An address that a device has; `usable` is whether it may be a source (RFC 4862)."""

    family: int
    address: str
    length: int
    usable: bool


class Device(NamedTuple):
    """A network device: its state, addresses, bytes since it came, and what judges its ARP.

    `altnames` are the further names that it has, `master` is the device that it is a port of.
    `strict` is rp_filter 1, `arp_ignore` and `arp_announce` are as they count here (the
    larger of the device's and all's, ip-sysctl.rst). `network_manager` is whether
    NetworkManager manages it.
    """

    name: str
    ifindex: int
    link: str
    addresses: tuple[DeviceAddress, ...]
    sent: int
    received: int
    strict: bool
    arp_ignore: int
    arp_announce: int
    network_manager: bool
    altnames: tuple[str, ...] = ()
    master: str = ""

    @property
    def names(self) -> tuple[str, ...]:
        """All names that it goes by, its own first."""
        return (self.name, *self.altnames)


class Exit(NamedTuple):
    """Where the kernel sends what comes from an address and is for `destination`.

    A device, or '' and its words; all are '' where nobody asked.
    """

    destination: str
    device: str
    refusal: str


class Outage(NamedTuple):
    """Why nothing gets through over a path: one of engine/faults.py's reasons.

    `since` is in seconds of the epoch, and it has `lasted` so many by now; None where nobody
    saw it begin.
    """

    why: str
    since: int | None
    lasted: float | None


class PathStatus(NamedTuple):
    """One address of an interface, and what the kernel does with it.

    `announced` are the endpoints of addresses that are mapped to it, as far as they are there.
    `outage` is why nothing gets through though its link is up, or since when that is not; `role`
    is why mptcp_monitor has its endpoint a backup, '' where it has not.
    `installed` is what is on record of it, None of what others set up, `length` None
    where the address is gone. `gateway` is '' and `table` 0 where there is none.
    """

    interface: str
    device: str
    link: str
    family: int
    address: str
    length: int | None
    gateway: str
    table: int
    endpoint: Endpoint | None
    exit: Exit
    installed: Installed | None
    outage: Outage | None = None
    role: str = ""
    announced: tuple[Endpoint, ...] = ()

    @property
    def works(self) -> bool:
        """Whether traffic from the address leaves by its own link."""
        return self.link == UP and self.exit.device == self.device


def count_uplinks(paths: Iterable[PathStatus]) -> int:
    """How many ways to elsewhere paths on record are: a device has one for each gateway.

    Gateways of both families are one way, and an address without an endpoint is none of its own.
    """
    ways: dict[str, dict[int, set[str]]] = {}
    for path in paths:
        if path.installed:
            gateways = ways.setdefault(path.device, {}).setdefault(path.family, set())
            if path.installed.path.primary or path.installed.path.endpoint:
                gateways.add(path.gateway)
    return sum(max(1, *map(len, families.values())) for families in ways.values())


class Further(NamedTuple):
    """An address of an uplink that no path is for, and that leaves by another way.

    `gateway` is that of the uplink's path, and `inside` whether the address is in its subnet.
    """

    interface: str
    device: str
    address: str
    gateway: str
    inside: bool
    exit: Exit


class KernelState(NamedTuple):
    """MPTCP in this kernel: there at all, switched on, managed by itself."""

    present: bool
    enabled: bool
    userspace: bool


class OffState(NamedTuple):
    """That the kernel makes new connections plain TCP for a while, since it met a blackhole.

    `past` and `left` are for how many seconds it does and will do, None where nobody saw it
    begin; `timeout` is how long it does at first. `outages` are interfaces that were seen to be
    out shortly before.
    """

    past: float | None
    left: float | None
    timeout: int
    outages: tuple[str, ...] = ()


class Edit(NamedTuple):
    """That an interface's stanzas are not what they were when it came up.

    `by_ifup` is whether only ifup can make it true; `wrong` what is wrong with one of them, or
    ''.
    """

    iface: str
    by_ifup: bool
    wrong: str = ""


class Failure(NamedTuple):
    """That ifup gave up on an interface, whose device has `address` all the same.

    `said` is what ifup said, where a journal has it. `gateway` is that of a stanza without a
    metric, which stands in `place` (FILE:LINE); '' where there is none.
    """

    iface: str
    device: str
    address: str
    length: int
    said: str
    gateway: str
    place: str


class Survey(NamedTuple):
    """All that is known. `endpoints` is None where only root sees them.

    `excluded` are interfaces that are left alone though they are on record, or have a gateway in
    main, and why; `wanted_limits` is what mptcp-hooks.conf wants the limits to be, 0 where it
    says nothing of them.
    `further` are addresses of uplinks that leave by another way.
    `uses` is how running connections use each path that has an endpoint of ours, `lifelines`
    their addresses that carry a connection's only subflow, `off` None unless Multipath TCP is
    off for new ones. `counters` is /proc/net/netstat. `damaged` are records that cannot be read
    in full, as the interface ('' for the limits) and what is wrong. `mistakes` is what is wrong
    with mptcp-hooks.conf, `lacks` what templates of somebody's own are older than: the detours of
    new connections, the names of resolvers. `tunnels` are those that new connections leave by,
    `kept_to` those on record of which mptcp_monitor sees to it that nothing leaves beside them, and
    `private` whether mptcp-hooks.conf has it do so. `forwarded` are the families of which this
    machine forwards, `translated` addresses of paths for which the firewall hands on what comes to
    others, `markless` devices whose strict rp_filter takes no mark into account. `edits` and
    `failures` are what ifupdown's files say beside the record, `untold` those that it has up and
    that are not on record, as far as stanzas were looked at; `monitored` is whether mptcp_monitor
    runs, and `earlier` what the kernel had counted some time before `now`, as that noted it.
    """

    kernel: KernelState
    limits: Limits | None
    endpoints: tuple[Endpoint, ...] | None
    devices: tuple[Device, ...]
    stanzas: tuple[tuple[str, Stanza], ...]
    paths: tuple[PathStatus, ...]
    rules: tuple[SeenRule, ...]
    routes: tuple[SeenRoute, ...]
    programs: frozenset[str]
    counters: str
    excluded: dict[str, str]
    wanted_limits: int
    uses: tuple[Use, ...]
    lifelines: frozenset[str]
    off: OffState | None
    damaged: tuple[tuple[str, str], ...]
    mistakes: tuple[str, ...]
    lacks: tuple[str, ...] = ()
    further: tuple[Further, ...] = ()
    tunnels: tuple[Tunnel, ...] = ()
    kept_to: tuple[Tunnel, ...] = ()
    private: bool = True
    forwarded: frozenset[int] = frozenset()
    translated: frozenset[str] = frozenset()
    markless: frozenset[str] = frozenset()
    edits: tuple[Edit, ...] = ()
    failures: tuple[Failure, ...] = ()
    untold: tuple[str, ...] = ()
    monitored: bool = True
    earlier: Counted | None = None
    now: float = 0.0

    @property
    def unseen(self) -> tuple[str, ...]:
        """What could not be seen, in words."""
        return ("endpoints (only root may see them)",) * (
            self.endpoints is None and self.kernel.present)

    @property
    def preferences(self) -> tuple[int, int]:
        """The least and the largest preference that uplinks' rules have."""
        shifts = [path.installed.path.shift for path in self.paths if path.installed] or [0]
        return FIRST_PREFERENCE + min(shifts), max(PREFERENCES.values()) + max(shifts)

    def find_device(self, name: str) -> Device | None:
        """The device that has that name."""
        return next((device for device in self.devices if name in device.names), None)

    def find_endpoint(self, address: str) -> Endpoint | None:
        """The endpoint of an address."""
        return next((one for one in self.endpoints or () if one.address == address), None)

    def name_of(self, ifindex: int) -> str:
        """The name of the device with that number, or the number where it is gone."""
        return next((device.name for device in self.devices if device.ifindex == ifindex),
                    str(ifindex))

    def read_use(self, path: Path) -> TableUse:
        """What the kernel holds of a path, as the runner's TableReader reads it for the record."""
        return TableUse(
            tuple(seen.rule for seen in self.rules if seen.family == path.family
                  and path.concerns(seen.rule) and not is_detour(seen.rule)),
            tuple(seen.route for seen in self.routes
                  if (seen.family, seen.table) == (path.family, path.table)))
