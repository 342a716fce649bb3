# SPDX-License-Identifier: GPL-2.0-or-later
"""The nouns that the whole package shares: values without I/O, that know nothing of each other.

What an uplink becomes (Path), what the kernel holds of it (Rule, Route, Endpoint,
Limits, PathManager, TableUse), what a machine shows (Link, DeviceView), and what goes on
record (Installed, Stanza, Lease, LimitsRecord).
"""

from __future__ import annotations

from mptcp_hooks.base.address import BITS
from mptcp_hooks.base.value import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterable

    from mptcp_hooks.base.address import InterfaceAddress

# Where packets of the machine's own come in, ip-rule(8).
OF_OUR_OWN = "lo"
# The states of a stanza on record, see Stanza.
LEAVING, SILENT = "leaving", "silent"
# The flag of an endpoint whose subflows carry only where no other one does, ip-mptcp(8).
BACKUP = "backup"
# The same, where a role lends it to an endpoint that may not have it by itself.
_LENT = "lent"
# The flag of one that peers are told of.
SIGNAL = "signal"


class Rule(NamedTuple):
    """One policy routing rule; an empty text or None where it does not say.

    `device` is where a packet leaves by, `incoming` where it came in: `lo` for the machine's own.
    `mark` is as mark.format_mark has it.
    """

    preference: int
    source: str
    destination: str
    device: str
    table: int
    suppress: int | None
    protocol: int
    incoming: str = ""
    mark: str = ""


class Route(NamedTuple):
    """One route; `device` is an ifindex, 0 for none, `metric` 0 for none.

    `rank` is what a router says of itself (RFC 4191, 2.1): 1 for high, -1 for low, else 0.
    """

    destination: str
    kind: str
    gateway: str
    device: int
    source: str
    metric: int
    protocol: int
    rank: int = 0

    @property
    def order(self) -> tuple[int, int]:
        """The kernel takes the route for which it is the least, rt6_score_route() in its ipv6."""
        return self.metric, -self.rank


class TableUse(NamedTuple):
    """What the kernel holds in and around one path's table."""

    rules: tuple[Rule, ...]
    routes: tuple[Route, ...]

    def describe(self) -> str:
        """The whole of it as one line: where two of them are equal, nothing has changed."""
        return repr(([tuple(rule) for rule in self.rules],
                     # No route of ours has a rank.
                     [route[:-1] for route in self.routes]))


class Endpoint(NamedTuple):
    """One address of the kernel's MPTCP path manager; `port` 0 where it has none of its own."""

    identity: int
    address: str
    device: int
    flags: tuple[str, ...]
    port: int = 0

    def stands_for(self, own: str) -> bool:
        """Whether it stands where an endpoint of ours for the address `own` would.

        One with a port of its own does not; nor does an implicit one, which the
        kernel made for a peer's sake and gives up for a real one
        (net/mptcp/pm_kernel.c, mptcp_pm_nl_append_new_local_addr).
        """
        return self.address == own and not self.port and "implicit" not in self.flags


class Detour(NamedTuple):
    """What leads new connections of a family away from where main would, and how it is undone.

    They leave by `table`, or find no way at all where that is 0.
    """

    family: int
    table: int
    down: tuple[str, ...]


class Role(NamedTuple):
    """That the path of an address is a backup by the monitor's judgement, and why, in words."""

    address: str
    why: str


class Tunnel(NamedTuple):
    """A tunnel by which what is bound to nothing leaves, by its family."""

    family: int
    device: str


class Limits(NamedTuple):
    """The path manager's limits, in subflows and addresses a connection."""

    subflows: int
    add_addr_accepted: int


class PathManager(NamedTuple):
    """What the kernel's MPTCP path manager holds.

    `endpoints` is None where only root may see them, `limits` where the kernel
    has no MPTCP at all. `going` are those of them that the work under way takes away, also where
    it has not come to that yet.
    """

    endpoints: tuple[Endpoint, ...] | None
    limits: Limits | None
    going: tuple[Endpoint, ...] = ()

    @property
    def left(self) -> tuple[Endpoint, ...]:
        """The endpoints that have places after the work under way."""
        return tuple(one for one in self.endpoints or () if one not in self.going)

    def without(self, paths: Iterable[Path]) -> PathManager:
        """The path manager as it is when the endpoints of these paths are gone."""
        gone = tuple(paths)
        return self._replace(endpoints=tuple(
            one for one in self.endpoints or () if not any(path.owns(one) for path in gone)))

    def expecting(self, paths: Iterable[Path]) -> PathManager:
        """The path manager as it is when these paths have their endpoints."""
        wanted = tuple(one for path in paths for one in path.endpoints)
        endpoints = self.endpoints or ()
        made = tuple(one for one in wanted
                     if not any(other.stands_for(one.address) for other in endpoints))
        going = tuple(one for one in self.going
                      if not any(one.stands_for(other.address) for other in wanted))
        return self._replace(endpoints=(*endpoints, *made), going=going) if (
            made or going != self.going) else self

    def mark_roles(self, roles: Iterable[Role]) -> PathManager:
        """The path manager with what roles add to endpoints' flags marked as that."""
        addresses = {role.address for role in roles}
        if not addresses:
            return self
        return self._replace(endpoints=tuple(
            one._replace(flags=tuple(_LENT if flag == BACKUP else flag for flag in one.flags))
            if one.address in addresses else one for one in self.endpoints or ()))


class Link(NamedTuple):
    """A device's state: switched on, with a carrier, with one peer at most (PPP, tun)."""

    up: bool
    running: bool
    point_to_point: bool


class DeviceView(NamedTuple):
    """What a plan must know of one device.

    `ifindex` is 0 where there is no such device, and `link` None. `adjectives`
    says of an IPv6 address why no endpoint may have it ("temporary").
    `default_gateways` are the gateways of the device's default routes, the preferred first, and
    `direct` the families of which it has one without a gateway; `mptcp_enabled` is
    net.mptcp.enabled. `silent` are the addresses whose endpoints went with the carrier, and have
    no way to their gateway yet. `elsewhere` are the addresses of other devices, with their
    lengths, `held` those of this one that are a path's of another one, each with whose. `tunnel`
    is the one beside which no peer is to be told of an address, '' for none. `present` are all
    addresses that the device has, whatever their labels.
    """

    device: str
    ifindex: int
    link: Link | None
    addresses: tuple[InterfaceAddress, ...]
    adjectives: tuple[tuple[str, str], ...]
    default_gateways: tuple[str, ...]
    mptcp_enabled: bool
    silent: tuple[str, ...] = ()
    elsewhere: tuple[tuple[str, int], ...] = ()
    direct: tuple[int, ...] = ()
    held: tuple[tuple[str, str], ...] = ()
    tunnel: str = ""
    present: frozenset[str] = frozenset()


class Path(NamedTuple):
    """One source address and how it leaves.

    `subnet` is '' for a /32 or /128 without a peer, `gateway` '' on a
    point-to-point link; `onlink` where the gateway is outside the subnet.
    `default` is whether the table gets a default route at all. `primary` is
    the first path of its family on the device: sockets bound to the device use
    it. `endpoint` is whether an endpoint of ours belongs to it. `routes` are the
    lease's: destination, and gateway or ''. `way_out` is whether new connections that are
    bound to nothing may leave by it. `wide` is whether what comes from any address of the
    subnet leaves by it, as long as that address has no path of its own. `shared` is whether a
    path of another device has the address as well: only sockets bound to the device use it then.
    `shift` is how far its rules stand from where they usually do.
    What the firewall gives the `mark`, and what comes from the subnets `sources`, leaves by it
    too. `announced` are addresses that somebody on the way maps to this one: peers hear of them
    instead of it.
    """

    iface: str
    device: str
    ifindex: int
    family: int
    address: str
    subnet: str
    gateway: str
    onlink: bool
    default: bool
    table: int
    primary: bool
    endpoint: bool
    flags: tuple[str, ...]
    routes: tuple[tuple[str, str], ...] = ()
    way_out: bool = False
    wide: bool = False
    shared: bool = False
    shift: int = 0
    mark: str = ""
    sources: tuple[str, ...] = ()
    announced: tuple[str, ...] = ()

    @property
    def endpoints(self) -> tuple[Endpoint, ...]:
        """The endpoints that are made for it, without the ids that the kernel gives them.

        An announced one has no device and no port: with either the kernel would bind to it.
        Where the own one would be signalled alone, the announced ones take its place.
        """
        if not self.endpoint:
            return ()
        announced = tuple(Endpoint(0, one, 0, (SIGNAL, *(flag for flag in self.flags
                                                         if flag == BACKUP)))
                          for one in self.announced)
        flags = tuple(flag for flag in self.flags if not (announced and flag == SIGNAL))
        own = Endpoint(0, self.address, self.ifindex, flags)
        alone = announced and SIGNAL in self.flags and set(flags) <= {BACKUP}
        return announced if alone else (own, *announced)

    @property
    def tells(self) -> bool:
        """Whether peers are told of an address by its endpoints, where it has any."""
        return SIGNAL in self.flags or bool(self.announced)

    def list_sources(self) -> tuple[str, ...]:
        """What comes from where leaves by it, as subnets: from its address first of all."""
        own = f"{self.address}/{BITS[self.family]}"
        return (*(own,) * (not self.shared), *(self.subnet,) * self.wide, *self.sources)

    def concerns(self, rule: Rule) -> bool:
        """Whether a rule of the kernel's is about the path: its table, its device, or its own.

        Its own are its address, unless another device has it too, its subnet where it is wide, its
        mark and its further sources.
        """
        return (rule.table == self.table or rule.device == self.device
                or (rule.source == f"{self.address}/{BITS[self.family]}" and not self.shared)
                or (self.wide and (rule.source, rule.incoming) == (self.subnet, OF_OUR_OWN))
                or rule.source in self.sources or bool(self.mark and rule.mark == self.mark))

    def owns(self, endpoint: Endpoint) -> bool:
        """Whether the kernel's endpoint is one of those that were made for this path."""
        return any(endpoint.device == one.device and endpoint.stands_for(one.address)
                   for one in self.endpoints)

    def list_owned(self) -> tuple[str, ...]:
        """The addresses that endpoints of ours have for its sake, its own among them."""
        return (self.address, *self.announced) if self.endpoint else ()

    def list_standing(self, endpoints: Iterable[Endpoint]) -> set[str]:
        """The addresses of its endpoints that the kernel has with the flags they are to have.

        What a role lends is no change, nor is it where it is to be the endpoint's own.
        """
        flags = {(one.address, one.device): set(one.flags) for one in endpoints if not one.port}
        return {one.address for one in self.endpoints
                for there in [flags.get((one.address, one.device), {""})]
                if there ^ set(one.flags) in (set(), {_LENT}, {_LENT, BACKUP})}


class Installed(NamedTuple):
    """A path with the lines that made it and that undo it.

    `kernel` is what the kernel held right after (TableUse.describe), '' while
    it is not known to be whole.
    """

    path: Path
    up: tuple[str, ...]
    down: tuple[str, ...]
    kernel: str


class Stanza(NamedTuple):
    """One stanza: its environment as told, and the paths it has.

    Where nothing was told, the paths are what could not be undone. `state` is
    LEAVING from if-down.d to if-post-down.d, and from mptcp_down on: nothing may
    come back by itself. It is SILENT while endpoints are away because the carrier
    is, or because the gateway has not answered since, and '' otherwise.
    """

    told: tuple[str, ...]
    paths: tuple[Installed, ...]
    state: str = ""


class Lease(NamedTuple):
    """What a DHCP server said that the kernel does not know: whose gateway and routes these are.

    `gateway` is '' where it named none; `routes` are destination, and gateway or '';
    `resolvers` are those that another machine can be.
    """

    address: str
    gateway: str
    routes: tuple[tuple[str, str], ...]
    resolvers: tuple[str, ...] = ()


class LimitsRecord(NamedTuple):
    """The limits before our first endpoint, what we raised them to, whose endpoints are ours.

    `restore` are the lines that go back to `before`.
    """

    before: Limits
    raised: Limits
    owners: tuple[str, ...]
    restore: tuple[str, ...]
