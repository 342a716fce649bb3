# SPDX-License-Identifier: GPL-2.0-or-later
"""Every number that mptcp-hooks puts into the kernel, in one position.

    rule preferences   20000 to 20008, one a kind of rule, the same for all uplinks;
                       19998 and 19999 as well where a lease has routes; 19996 and
                       19997 where another device has the address too; 19994 and
                       19995 for what the firewall marks;
                       32768 and 32769 behind main (32766) and default (32767), for
                       what is bound to nothing and finds no way there;
                       32765 before main and 32767 behind it, the monitor's: while main
                       leads to a dead uplink, and while a tunnel has the default;
                       32765 for the table of names as well, which comes first
    tables             20000 + ifindex for the first address of a family on a device,
                       and 10000000 more for each further one; 20000, which no
                       ifindex has, for resolvers that one uplink alone names
    protocol           77 on every rule and route, named `mptcp` in rt_protos.d
"""

from __future__ import annotations

from mptcp_hooks.base.value import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Container

PREFERENCES = {
    "mark_specific": 19994,
    "mark_default": 19995,
    "shared_specific": 19996,
    "shared_default": 19997,
    "lease_subnet": 19998,
    "lease_specific": 19999,
    "own_subnet": 20000,
    "source_specific": 20001,
    "source_default": 20002,
    "subnet_specific": 20003,
    "subnet_default": 20004,
    "device_specific": 20005,
    "device_default": 20006,
    "further_specific": 20007,
    "further_default": 20008,
}
# They move together: `preference` in mptcp-hooks.conf names the first. All of them stand before
# the detours', with room for what others have there.
FIRST_PREFERENCE = min(PREFERENCES.values())
PREFERENCE_AT_MOST = 32700
# Of the kernel's own rule that leads to main.
MAIN_PREFERENCE = 32766
# Where the rules of a device were while there were none of subnets.
FORMER_PREFERENCES = {"device_specific": 20003, "device_default": 20004}
# The way out of what is bound to nothing: of uplinks, and of those that are a backup.
WAY_OUT = {"way_out": 32768, "way_out_backup": 32769}
# Directly before main: rules of VPNs, which take what main would, come before. And behind it,
# before the ways out. The rule of the table of names has the same preference as the first, and is
# asked before it: of equal ones the kernel asks the older first.
DETOUR = {"detour": 32765, "no_way": 32767}
PROTOCOL = 77
# By family, the longest prefix with which a route of main is no better than a default. VPNs
# divide a default in pieces (OpenVPN's redirect-gateway def1: 0.0.0.0/1 and 128.0.0.0/1; for
# IPv6 2000::/3, or ::/3, 2000::/4 and 3000::/4). It is not 0, since wg-quick(8) deletes all
# rules that it can by `ip rule delete table main suppress_prefixlength 0`.
SUPPRESSED_LENGTHS = {4: 1, 6: 4}

TABLE_BASE = 20000
TABLE_STEP = 10000000
NAMES_TABLE = TABLE_BASE
TABLE_LARGEST = 2**32 - 1
MAIN_TABLE = 254
LOCAL_TABLE = 255
TABLES_OF_THE_KERNEL = {253: "default", MAIN_TABLE: "main", LOCAL_TABLE: "local"}

# MPTCP_PM_ADDR_MAX in the kernel's net/mptcp/pm_kernel.c; limits share it.
ENDPOINTS_AT_MOST = 8


def number_rules(shift: int) -> dict[str, int]:
    """The preferences of an uplink's rules that stand so far from where they usually do."""
    return {kind: preference + shift for kind, preference in PREFERENCES.items()}


def table_number(ifindex: int, position: int) -> int:
    """The table of the address that is number `position` (from 0) of its family on a device."""
    return TABLE_BASE + ifindex + position * TABLE_STEP


def find_free_table(ifindex: int, taken: Container[int]) -> int:
    """The first of a device's own tables that none of `taken` is."""
    position = 0
    while table_number(ifindex, position) in taken:
        position += 1
    return table_number(ifindex, position)
