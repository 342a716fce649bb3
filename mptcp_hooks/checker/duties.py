# SPDX-License-Identifier: GPL-2.0-or-later
"""Which paths are to be checked: what is on record, and what its stanzas and the file say."""

from __future__ import annotations

from mptcp_hooks.base.address import family_of
from mptcp_hooks.base.errors import Problem
from mptcp_hooks.base.model import LEAVING
from mptcp_hooks.base.value import TYPE_CHECKING, NamedTuple
from mptcp_hooks.engine.record import open_store
from mptcp_hooks.intent.checks import ECHO, GATEWAY, Target
from mptcp_hooks.intent.configuration import read_configuration
from mptcp_hooks.intent.event import recall_event
from mptcp_hooks.intent.settings import read_settings

if TYPE_CHECKING:
    from collections.abc import Iterator

    from mptcp_hooks.base.model import Path, Stanza
    from mptcp_hooks.engine.record import Store
    from mptcp_hooks.intent.checks import Check
    from mptcp_hooks.intent.settings import Configuration


class Duty(NamedTuple):
    """One path to be checked: what it leaves by, whom it asks, how often, and how patiently.

    `name` is whom it asks as people write it. None of `targets` is a GATEWAY any more.
    """

    iface: str
    device: str
    ifindex: int
    address: str
    targets: tuple[Target, ...]
    name: str
    interval: int
    failures: int


def list_duties() -> list[Duty]:
    """All paths on record that have a check, as record and configuration are now."""
    # Whoever set a path up said what is wrong with the file.
    configuration, _ = read_configuration()
    with open_store() as store:
        duties = [duty for iface in store.list_interfaces()
                  for stanza in _load(store, iface)
                  for duty in _list_of_stanza(stanza, configuration)]
    # While a path is made anew, what was and what will be of its address both stand there.
    return list({duty.address: duty for duty in duties}.values())


def make_duty(path: Path, check: Check) -> Duty | None:
    """What is to be done for a path; None where its check has nobody to ask."""
    named = {target.name: _find_whom(path, target) for target in check.targets}
    whom = {name: target for name, target in named.items() if target is not None}
    if not whom:
        return None
    # The gateway may be named by its address as well.
    return Duty(path.iface, path.device, path.ifindex, path.address,
                tuple(dict.fromkeys(whom.values())), " ".join(whom), check.interval,
                check.failures)


def _load(store: Store, iface: str) -> tuple[Stanza, ...]:
    try:
        return store.load(iface)
    except Problem:
        # The monitor says it, and one interface must not cost the others their checks.
        return ()


def _list_of_stanza(stanza: Stanza, configuration: Configuration) -> Iterator[Duty]:
    if not stanza.told or stanza.state == LEAVING:
        return
    try:
        check = read_settings(recall_event(stanza.told), configuration).check
    except Problem:
        # Who set it up said it.
        return
    if check is not None:
        duties = [make_duty(installed.path, check) for installed in stanza.paths
                  if not installed.path.shared]
        yield from (duty for duty in duties if duty is not None)


def _find_whom(path: Path, target: Target) -> Target | None:
    """The target as the path asks it, None where it cannot."""
    if target.kind == GATEWAY:
        return Target(ECHO, path.gateway) if path.gateway else None
    return target if target.fits(family_of(path.address)) else None
