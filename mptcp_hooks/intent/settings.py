# SPDX-License-Identifier: GPL-2.0-or-later
"""What the administrator wants of one event: options over configuration over defaults, checked.

mptcp-hooks-interfaces(5) and mptcp-hooks.conf(5) describe them for people.
"""

from __future__ import annotations

from mptcp_hooks.base import address
from mptcp_hooks.base.errors import shorten, wrong_value
from mptcp_hooks.base.folder import CONFIGURATION_FILE
from mptcp_hooks.base.numbering import (
    FIRST_PREFERENCE,
    NAMES_TABLE,
    TABLES_OF_THE_KERNEL,
    TABLE_LARGEST,
)
from mptcp_hooks.base.value import TYPE_CHECKING, NamedTuple
from mptcp_hooks.intent.event import (
    MANAGED,
    NETWORKMANAGER,
    PPPD,
    Event,
    method_of,
    read_gateway,
    split_list,
)

if TYPE_CHECKING:
    from typing import Any

    from mptcp_hooks.intent.checks import Check, Target

OPTIONS = ("mptcp", "mptcp-gateway", "mptcp-table", "mptcp-flags", "mptcp-way-out",
           "mptcp-check", "mptcp-mark", "mptcp-sources", "mptcp-announce")
FLAGS = ("subflow", "signal", "backup", "fullmesh", "laminar")
DEFAULT_FLAGS = ("subflow",)
LEFT_ALONE = (
    "docker*", "br-*", "virbr*", "veth*", "vnet*", "lxc*", "lxd*", "incus*", "podman*",
    "cni*", "flannel*", "cali*", "tun*", "tap*", "wg*", "tailscale*", "zt*", "ifb*", "dummy*",
)
# Methods of stanzas by which a gateway comes that no option states.
LEADING_METHODS = ("dhcp", "auto")
_SPELLINGS = {
    "yes": True, "on": True, "true": True, "1": True, "enable": True, "enabled": True,
    "no": False, "off": False, "false": False, "0": False, "disable": False, "disabled": False,
}


class Wishes(NamedTuple):
    """What mptcp-hooks.conf says of the devices that fit `pattern`; None where nothing.

    `targets`, `interval` and `failures` are those of a check, no targets for `off`. `mark`,
    `sources` and `announced` are empty for `off`.
    """

    pattern: str
    flags: tuple[str, ...] | None = None
    table: int | None = None
    gateways: tuple[str, ...] | None = None
    managed: bool | None = None
    excluded: bool | None = None
    way_out: bool | None = None
    targets: tuple[Target, ...] | None = None
    interval: int | None = None
    failures: int | None = None
    mark: str | None = None
    sources: tuple[str, ...] | None = None
    announced: tuple[str, ...] | None = None


class Belongings(NamedTuple):
    """What belongs to an uplink besides its address, empty where nothing does.

    What the firewall gives the `mark` (as mark.format_mark has it), further `sources` as
    subnets, and addresses that are `announced` to peers, all of either family.
    """

    mark: str = ""
    sources: tuple[str, ...] = ()
    announced: tuple[str, ...] = ()


class Configuration(NamedTuple):
    """All that mptcp-hooks.conf says: the flags of every endpoint, and wishes, the weightier later.

    `whole` is whether nothing was wrong with the file: of one that is not, nobody
    knows what it was meant to name. `limits` is what both limits of the path manager are to
    be, 0 where it does not say. `way_out` is whether uplinks of which nothing else is said
    are a way out for new connections, `notice` whether one may be suspected of being out,
    `roles` whether one may become a backup by how it is measured. `private` is whether new
    connections that leave by a tunnel keep to it, `preference` where the rules of uplinks begin,
    and `answer` whether they are moved in front of rules of others that take all. `altnames`
    are the names of each device that has several: a pattern may fit any of them.
    """

    flags: tuple[str, ...]
    wishes: tuple[Wishes, ...]
    whole: bool
    limits: int = 0
    way_out: bool = True
    notice: bool = True
    roles: bool = True
    private: bool = True
    preference: int = FIRST_PREFERENCE
    answer: bool = False
    altnames: tuple[tuple[str, ...], ...] = ()

    def find(self, device: str) -> Wishes:
        """What is said of one device, a later wish outweighing an earlier one key by key."""
        found = Wishes(device)
        if self.wishes:
            # A machine without the file has no patterns.
            from mptcp_hooks.intent.pattern import fits

            names = next((names for names in self.altnames if device in names), (device,))
            for wishes in self.wishes:
                if any(fits(name, wishes.pattern) for name in names):
                    found = _outweigh(found, wishes)
        return found

    def judges(self, device: str) -> bool:
        """Whether it says of a device that it is to be set up, or left alone, or not left alone."""
        wishes = self.find(device)
        return bool(wishes.managed) or wishes.excluded is not None

    def names(self, device: str) -> bool:
        """Whether a device is to be set up though no hook tells of it."""
        wishes = self.find(device)
        return bool(wishes.managed) and not wishes.excluded


NO_CONFIGURATION = Configuration((), (), True)


class Settings(NamedTuple):
    """What one event is to become.

    `gateways` are one of a family at most. `table` is 0 and `chosen_flags` empty
    where none was given; `usual_table`, likewise, is for the first address of a
    family on the device alone, and `usual_flags` are those of every plain uplink.
    `unknown` are the names of `mptcp*` options that do not exist. `reason` is why the interface
    is left alone, '' where it is `wanted`. `way_out` is whether new
    connections that are bound to nothing may leave by it. `check` is what its paths are
    checked by, None for nothing. `preference` is that of the first of its paths' rules. `own` is
    what the stanza has belong to its first address of each family, `usual` what the configuration
    has belong to the first one on the device.
    """

    wanted: bool
    gateways: tuple[str, ...] = ()
    table: int = 0
    usual_table: int = 0
    chosen_flags: tuple[str, ...] = ()
    usual_flags: tuple[str, ...] = DEFAULT_FLAGS
    unknown: tuple[str, ...] = ()
    way_out: bool = True
    check: Check | None = None
    preference: int = FIRST_PREFERENCE
    own: Belongings = Belongings()
    usual: Belongings = Belongings()
    reason: str = ""

    @property
    def flags(self) -> tuple[str, ...]:
        """The endpoint's flags."""
        return self.chosen_flags or self.usual_flags


def read_settings(event: Event, configuration: Configuration) -> Settings:
    """The settings of an event; Problem (USAGE) names a wrong option of its stanza."""
    said = _list_own_options(event)
    wishes = configuration.find(event.device)
    reason = _find_exclusion(event, said, wishes)
    if reason:
        return Settings(False, reason=reason)
    own, usual = _choose_belongings(event, said, wishes)
    return Settings(
        wanted=True,
        gateways=_choose_gateways(event, said.get("mptcp-gateway"), wishes.gateways or ()),
        table=read_table(event.iface, "mptcp-table", said["mptcp-table"])
        if "mptcp-table" in said else 0,
        usual_table=wishes.table or 0,
        chosen_flags=read_flags(event.iface, "mptcp-flags", said["mptcp-flags"])
        if "mptcp-flags" in said else wishes.flags or (),
        usual_flags=configuration.flags or DEFAULT_FLAGS,
        unknown=tuple(name for name in said if name not in OPTIONS),
        way_out=_may_be_way_out(event.iface, said, wishes, configuration),
        check=_choose_check(event, said, wishes),
        preference=configuration.preference,
        own=own,
        usual=usual,
    )


def has_belongings(settings: Settings) -> bool:
    """Whether anything belongs to the event's paths besides their addresses."""
    return any(settings.own) or any(settings.usual)


def judge_options(event: Event, settings: Settings) -> list[str]:
    """What is to be said of options that do not exist."""
    return [f"{event.iface}: no option is called {shorten(name)}: ignored"
            f"{_suggest(name, OPTIONS)}" for name in settings.unknown]


def _suggest(name: str, known: tuple[str, ...]) -> str:
    # Nearly always there is no such option.
    from mptcp_hooks.base.text import suggest

    return suggest(name, known)


def note_mark(event: Event, settings: Settings) -> list[str]:
    """What is to be said of an uplink's mark that others are known to use, right as it is."""
    mark = settings.own.mark or settings.usual.mark
    if not mark:
        return []
    from mptcp_hooks.intent.belongings import tell_users

    return tell_users(f"{event.iface}: {'mptcp-' * bool(settings.own.mark)}mark {mark}", mark)


def _outweigh(old: Wishes, new: Wishes) -> Wishes:
    said: dict[str, Any] = {field: value for field, value in zip(Wishes._fields, new)
                            if value is not None and field != "pattern"}
    return old._replace(**said)


def _list_own_options(event: Event) -> dict[str, str]:
    """The options of an event's stanza; what we announce ourselves has none."""
    return {} if _is_announced(event) else dict(event.options)


def _is_announced(event: Event) -> bool:
    return method_of(event.told) in (MANAGED, PPPD)


def _find_exclusion(event: Event, said: dict[str, str], wishes: Wishes) -> str:
    """Why an interface is left alone, '' where it is meant.

    Its stanza's word counts, then the file's, then whether a stanza has it lead anywhere, then
    the built-in list.
    """
    if said:
        meant = "mptcp" not in said or read_truth(event.iface, "mptcp", said["mptcp"],
                                                  "yes or off")
        return "" if meant else "its stanza says 'mptcp off'"
    if wishes.excluded is not None:
        return f"{CONFIGURATION_FILE} excludes it" if wishes.excluded else ""
    if _is_announced(event) or wishes.managed or _has_leading_stanza(event):
        return ""
    if event.device == "lo":
        # Its aliases come by hooks of their own.
        return "an address of the loopback"
    return next((f"interfaces called {pattern} are left alone"
                 for pattern in LEFT_ALONE if event.device.startswith(pattern[:-1])), "")


def _has_leading_stanza(event: Event) -> bool:
    """Whether a stanza gives the interface a gateway, or has it ask for one.

    NetworkManager's are no stanzas: it tells of what containers and VPNs make, too.
    """
    method = method_of(event.told)
    stated = any(own.gateway for own in event.addresses)
    return method in LEADING_METHODS or stated and method != NETWORKMANAGER


def _may_be_way_out(
    iface: str, said: dict[str, str], wishes: Wishes, configuration: Configuration
) -> bool:
    if "mptcp-way-out" in said:
        return read_truth(iface, "mptcp-way-out", said["mptcp-way-out"], "yes or off")
    return configuration.way_out if wishes.way_out is None else wishes.way_out


def _choose_gateways(
    event: Event, text: str | None, usual: tuple[str, ...]
) -> tuple[str, ...]:
    """The stanza's gateways, and the configuration's of the event's other families."""
    own = () if text is None else _read_own_gateways(event, text)
    families = set(event.families) - set(map(address.family_of, own))
    return (*own, *(one for one in usual if address.family_of(one) in families))


def _read_own_gateways(event: Event, text: str) -> tuple[str, ...]:
    """Those of the event's families: a manager that tells of a family at a time has two events."""
    gateways = read_gateways(event.iface, "mptcp-gateway", text)
    fitting = tuple(one for one in gateways if address.family_of(one) in event.families)
    if not fitting:
        (family,) = event.families
        raise wrong_value(event.iface, "mptcp-gateway", text, f"an IPv{family} address")
    if any(own.address in fitting for own in event.addresses):
        raise wrong_value(event.iface, "mptcp-gateway", text,
                          "the router's address, not the interface's own")
    return fitting


def read_gateways(where: str, option: str, text: str) -> tuple[str, ...]:
    """Routers' addresses, one of each family at the most; Problem (USAGE) names the option.

    `where` is the interface, whose name a zone may be.
    """
    gateways = tuple(read_gateway(where, option, word) for word in split_list(text))
    if not gateways or len(set(map(address.family_of, gateways))) < len(gateways):
        raise wrong_value(where, option, text,
                          "a router's address, one of each family at the most")
    return gateways


def _choose_check(event: Event, said: dict[str, str], wishes: Wishes) -> Check | None:
    """The check of the stanza's targets, or of the configuration's."""
    if "mptcp-check" not in said and not wishes.targets:
        return None
    # Few machines have one: those that have none do not load it.
    from mptcp_hooks.intent.checks import make_check, read_own_targets

    targets = wishes.targets or ()
    if "mptcp-check" in said:
        targets = read_own_targets(
            event.iface, "mptcp-check", said["mptcp-check"], event.families)
    return make_check(targets, wishes.interval, wishes.failures)


def _choose_belongings(
    event: Event, said: dict[str, str], wishes: Wishes
) -> tuple[Belongings, Belongings]:
    """What the stanza says, and of what it says nothing of, what the configuration says."""
    usual = Belongings(wishes.mark or "", wishes.sources or (), wishes.announced or ())
    if said.keys().isdisjoint(("mptcp-mark", "mptcp-sources", "mptcp-announce")):
        return Belongings(), usual
    # Few machines have any: those that have none do not load it.
    from mptcp_hooks.intent.belongings import read_own

    return Belongings(*read_own(event, said)), Belongings(
        "" if "mptcp-mark" in said else usual.mark,
        () if "mptcp-sources" in said else usual.sources,
        () if "mptcp-announce" in said else usual.announced)


def read_truth(where: str, option: str, text: str, allowed: str) -> bool:
    """A yes or no in its many spellings; Problem (USAGE) names the option otherwise."""
    try:
        return _SPELLINGS[text.strip().lower()]
    except KeyError:
        raise wrong_value(where, option, text, allowed) from None


def is_truth(text: str) -> bool:
    """Whether read_truth takes it."""
    return text.strip().lower() in _SPELLINGS


def read_table(where: str, option: str, text: str) -> int:
    """A routing table that an uplink can have, by its number or iproute2's name for it.

    Problem (USAGE) names the option.
    """
    word = text.strip()
    # A longer number than the largest has is refused unread.
    number = int(word) if word.isascii() and word.isdigit() and len(word) <= 10 else (
        _find_named_table(word))
    if not 1 <= number <= TABLE_LARGEST:
        raise wrong_value(where, option, text, f"a number from 1 to {TABLE_LARGEST}, or a name "
                          "that rt_tables has")
    if number in TABLES_OF_THE_KERNEL:
        raise wrong_value(where, option, text,
                          f"a table of its own ({number} is the kernel's "
                          f"{TABLES_OF_THE_KERNEL[number]})")
    if number == NAMES_TABLE:
        raise wrong_value(where, option, text,
                          f"a table of its own ({number} is that of resolvers)")
    return number


def _find_named_table(name: str) -> int:
    """The number of a table's name, 0 where it has none."""
    # Few tables have one.
    from mptcp_hooks.intent.table_names import find_table

    return find_table(name)


def read_flags(where: str, option: str, text: str) -> tuple[str, ...]:
    """Flags in the order of FLAGS; ip-mptcp(8) says what they mean and exclude."""
    if "\n" in text:
        raise wrong_value(where, option, text, "given once, with all flags in one line")
    words = split_list(text)
    if not words or not set(words) <= set(FLAGS):
        raise wrong_value(where, option, text, "of " + " ".join(FLAGS))
    if "signal" in words and "fullmesh" in words:
        raise wrong_value(where, option, text, "signal or fullmesh, not both")
    if not {"subflow", "signal", "laminar"} & set(words):
        raise wrong_value(where, option, text,
                          f"with subflow ({words[0]} alone does nothing): 'subflow {text.strip()}'")
    return tuple(flag for flag in FLAGS if flag in words)
