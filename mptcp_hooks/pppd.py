"""What pppd says of its links: /etc/ppp/ip-up.d, ip-down.d, ipv6-up.d and ipv6-down.d.

Debian's /etc/ppp/ip-up hands on what pppd(8) passes, the interface by its real
name. Addresses are the kernel's to tell: a link has one peer, and IPv6's global
addresses come later.
"""

from __future__ import annotations

from mptcp_hooks.follow import prepare_announced
from mptcp_hooks.errors import wrong_value
from mptcp_hooks.event import PPPD, announce, check_name
from mptcp_hooks.value import TYPE_CHECKING
from mptcp_hooks.work import prepare_removal

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from mptcp_hooks.record import Stanza, Store
    from mptcp_hooks.settings import Configuration
    from mptcp_hooks.work import Work


def read_interface(environment: Mapping[str, str]) -> str:
    """The interface that pppd speaks of; Problem where its name is none."""
    iface = environment.get("PPP_IFACE", "")
    check_name(iface)
    if iface == "lo":
        raise wrong_value(iface, "PPP_IFACE", iface, "the device that pppd made")
    return iface


def prepare_link(
    store: Store, iface: str, family: int, configuration: Configuration
) -> Work:
    """The work of bringing a link up, with the options of its stanza where it has one."""
    return prepare_announced(store, announce(iface, family, PPPD), configuration)


def prepare_hangup(store: Store, iface: str, family: int) -> Work:
    """The work of taking away what a link had of one family; its stanza may get it again."""
    return prepare_removal(store, [iface], lambda path, line: path.family == family,
                           lambda stanzas: tuple(_hang_up(iface, stanzas, family)))


def _hang_up(iface: str, stanzas: tuple[Stanza, ...], family: int) -> Iterator[Stanza]:
    """The stanzas without paths of the family; what pppd itself told of it goes as a whole."""
    ours = announce(iface, family, PPPD).told
    for stanza in stanzas:
        if stanza.told != ours:
            yield stanza._replace(paths=tuple(
                one for one in stanza.paths if one.path.family != family))
