"""What the administrator wants of one stanza: its `mptcp-*` options, checked.

mptcp-hooks-interfaces(5) describes them for people.
"""

from __future__ import annotations

from mptcp_hooks import address
from mptcp_hooks.errors import wrong_value
from mptcp_hooks.event import Event, read_gateway
from mptcp_hooks.numbering import TABLE_LARGEST, TABLES_OF_THE_KERNEL
from mptcp_hooks.value import NamedTuple

OPTIONS = ("mptcp", "mptcp-gateway", "mptcp-table", "mptcp-flags")
FLAGS = ("subflow", "signal", "backup", "fullmesh", "laminar")
DEFAULT_FLAGS = ("subflow",)
LEFT_ALONE = (
    "docker*", "br-*", "virbr*", "veth*", "vnet*", "lxc*", "lxd*", "incus*", "podman*",
    "cni*", "flannel*", "cali*", "tun*", "tap*", "wg*", "tailscale*", "zt*", "ifb*", "dummy*",
)
_SPELLINGS = {
    "yes": True, "on": True, "true": True, "1": True, "enable": True, "enabled": True,
    "no": False, "off": False, "false": False, "0": False, "disable": False, "disabled": False,
}


class Settings(NamedTuple):
    """`gateway` '' and `table` 0 where not given; `chosen_flags` empty likewise.

    `unknown` are the names of `mptcp-*` options that do not exist.
    """

    wanted: bool
    gateway: str
    table: int
    chosen_flags: tuple[str, ...]
    unknown: tuple[str, ...]

    @property
    def flags(self) -> tuple[str, ...]:
        """The endpoint's flags: the chosen ones, or those of every plain uplink."""
        return self.chosen_flags or DEFAULT_FLAGS


def read_settings(event: Event) -> Settings:
    """The settings of an event's stanza; Problem (USAGE) names a wrong option."""
    said = dict(event.options)
    wanted = _read_wanted(event.iface, said["mptcp"]) if "mptcp" in said else True
    if not said and _is_left_alone(event.device):
        wanted = False
    if not wanted:
        return Settings(False, "", 0, (), ())
    return Settings(
        wanted=True,
        gateway=_read_gateway(event, said.get("mptcp-gateway", "")),
        table=_read_table(event.iface, said.get("mptcp-table", "")),
        chosen_flags=_read_flags(event.iface, said.get("mptcp-flags", "")),
        unknown=tuple(name for name in said if name not in OPTIONS),
    )


def _is_left_alone(device: str) -> bool:
    return any(device.startswith(pattern[:-1]) for pattern in LEFT_ALONE)


def _read_wanted(iface: str, text: str) -> bool:
    try:
        return _SPELLINGS[text.strip().lower()]
    except KeyError:
        raise wrong_value(iface, "mptcp", text, "yes or off") from None


def _read_gateway(event: Event, text: str) -> str:
    if not text:
        return ""
    gateway = read_gateway(event.iface, "mptcp-gateway", text.strip())
    if address.family_of(gateway) not in event.families:
        (family,) = event.families
        raise wrong_value(event.iface, "mptcp-gateway", text, f"an IPv{family} address")
    if any(gateway == stated.address for stated in event.addresses):
        raise wrong_value(event.iface, "mptcp-gateway", text,
                          "the router's address, not the interface's own")
    return gateway


def _read_table(iface: str, text: str) -> int:
    if not text:
        return 0
    word = text.strip()
    # A longer number than the largest has is refused unread.
    number = int(word) if word.isascii() and word.isdigit() and len(word) <= 10 else 0
    if not 1 <= number <= TABLE_LARGEST:
        raise wrong_value(iface, "mptcp-table", text, f"a number from 1 to {TABLE_LARGEST}")
    if number in TABLES_OF_THE_KERNEL:
        raise wrong_value(iface, "mptcp-table", text,
                          f"a table of its own ({number} is the kernel's "
                          f"{TABLES_OF_THE_KERNEL[number]})")
    return number


def _read_flags(iface: str, text: str) -> tuple[str, ...]:
    """Flags in the order of FLAGS; ip-mptcp(8) says what they mean and exclude."""
    if not text:
        return ()
    if "\n" in text:
        raise wrong_value(iface, "mptcp-flags", text, "given once, with all flags in one line")
    words = text.replace(",", " ").split()
    if not words or not set(words) <= set(FLAGS):
        raise wrong_value(iface, "mptcp-flags", text, "of " + " ".join(FLAGS))
    if "signal" in words and "fullmesh" in words:
        raise wrong_value(iface, "mptcp-flags", text, "signal or fullmesh, not both")
    if not {"subflow", "signal", "laminar"} & set(words):
        raise wrong_value(iface, "mptcp-flags", text,
                          f"with subflow ({words[0]} alone does nothing): 'subflow {text.strip()}'")
    return tuple(flag for flag in FLAGS if flag in words)
