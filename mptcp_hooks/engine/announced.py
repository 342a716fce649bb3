# SPDX-License-Identifier: GPL-2.0-or-later
"""The work of what DHCP clients and pppd announce of interfaces beside ifupdown's hooks."""

from __future__ import annotations

from mptcp_hooks.base.errors import Problem
from mptcp_hooks.base.value import TYPE_CHECKING
from mptcp_hooks.engine.follow import prepare_again, prepare_announced
from mptcp_hooks.engine.take_down import prepare_removal
from mptcp_hooks.intent.event import PPPD, announce
from mptcp_hooks.intent.lease import read_lease_event, read_leased_interface

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from mptcp_hooks.base.model import Stanza
    from mptcp_hooks.engine.books import Leases
    from mptcp_hooks.engine.record import Store
    from mptcp_hooks.engine.work import Work
    from mptcp_hooks.intent.settings import Configuration
    from mptcp_hooks.machine.runner import Kernel
    from mptcp_hooks.machine.system import Machine


def prepare_lease(
    store: Store, machine: Machine, environment: Mapping[str, str], configuration: Configuration
) -> Work:
    """The work of noting what a DHCP client says, and of following it where it is on record.

    if-up.d comes right after the first lease, and came long before a late one. A
    lease that is refused may have taken the address before it away all the same.
    """
    iface = read_leased_interface(environment)
    leases: Leases = {}
    resolvers: tuple[tuple[str, str, tuple[str, ...]], ...] = ()
    problems: tuple[Problem, ...] = ()
    try:
        event = read_lease_event(environment)
        if event.noted:
            leases = {iface: event.lease}
        resolvers = tuple((iface, *said) for said in event.resolvers)
    except Problem as problem:
        problems = (problem,)
    work = prepare_again(store, machine, machine.list_of_device(iface, store.list_interfaces()),
                         configuration, leases)
    return work._replace(problems=(*problems, *work.problems), resolvers=resolvers)


def prepare_link(
    store: Store, machine: Machine, iface: str, family: int, configuration: Configuration
) -> Work:
    """The work of bringing a link up, with the options of its stanza where it has one."""
    return prepare_announced(store, machine, announce(iface, family, PPPD), configuration)


def prepare_hangup(store: Store, kernel: Kernel, iface: str, family: int) -> Work:
    """The work of taking away what a link had of one family; its stanza may get it again."""
    return prepare_removal(store, kernel, [iface], lambda path, line: path.family == family,
                           lambda stanzas: tuple(_hang_up(iface, stanzas, family)))


def _hang_up(iface: str, stanzas: tuple[Stanza, ...], family: int) -> Iterator[Stanza]:
    """The stanzas without paths of the family; what pppd itself told of it goes as a whole."""
    ours = announce(iface, family, PPPD).told
    for stanza in stanzas:
        if stanza.told != ours:
            yield stanza._replace(paths=tuple(
                one for one in stanza.paths if one.path.family != family))
