# SPDX-License-Identifier: GPL-2.0-or-later
"""The leases that ifupdown's dhclient keeps in /var/lib/dhcp, for interfaces up before we came."""

from __future__ import annotations

from calendar import timegm
from time import strptime, time

from mptcp_hooks.base.textfile import read_text
from mptcp_hooks.base.value import TYPE_CHECKING
from mptcp_hooks.intent.lease import read_lease

if TYPE_CHECKING:
    from mptcp_hooks.base.model import Lease

_FOLDER = "/var/lib/dhcp"
# What of a lease is read besides its address, as dhclient writes it.
_OPTIONS = ("routers", "rfc3442-classless-static-routes", "domain-name-servers")


def read_kept_lease(iface: str) -> Lease | None:
    """The lease that dhclient keeps of an interface, None where it keeps none that runs.

    Problem where a value of it is not what it must be.
    """
    environment = _read_kept(read_text(f"{_FOLDER}/dhclient.{iface}.leases").split("\n"))
    return read_lease(iface, environment) if environment else None


def _read_kept(lines: list[str]) -> dict[str, str]:
    """The last lease of dhclient.leases(5), as its hooks would have been told of it.

    dhclient writes through a buffer: what has no end is not whole.
    """
    environment: dict[str, str] = {}
    last: dict[str, str] = {}
    expiry: list[str] = []
    for line in lines:
        # Behind the date a comment says it for people (dhclient.conf(5), db-time-format local).
        words = line.partition(";")[0].replace(",", " ").split()
        if words[:1] == ["lease"]:
            environment, expiry = {}, []
        elif words == ["}"]:
            last = environment if _is_running(expiry) else {}
        elif words[:1] == ["expire"]:
            expiry = words[1:]
        elif words[:1] == ["fixed-address"]:
            environment["new_ip_address"] = " ".join(words[1:])
        elif words[:1] == ["option"] and words[1:2] and words[1] in _OPTIONS:
            environment["new_" + words[1].replace("-", "_")] = " ".join(words[2:])
    return last


def _is_running(expiry: list[str]) -> bool:
    """Whether a lease has not ended: `never`, `epoch SECONDS`, or weekday, date and time (UTC)."""
    if expiry[:1] == ["never"] or not expiry:
        return True
    try:
        if expiry[0] == "epoch":
            return int(expiry[1]) > time()
        return timegm(strptime(" ".join(expiry[1:3]), "%Y/%m/%d %H:%M:%S")) > time()
    except (ValueError, IndexError):
        return False
