# SPDX-License-Identifier: GPL-2.0-or-later
"""The names that iproute2 gives to routing tables, which its rt_tables and rt_tables.d hold.

ip(8) looks into /etc/iproute2 first, and since Debian 13 into /usr/share/iproute2, too. A hook
whose tables have numbers does not load this module.
"""

from __future__ import annotations

import posix

from mptcp_hooks.base.textfile import read_text
from mptcp_hooks.base.value import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

_FOLDERS = ("/etc/iproute2", "/usr/share/iproute2")
_FILE, _FURTHER, _ENDING = "rt_tables", "rt_tables.d", ".conf"


def find_table(name: str) -> int:
    """The number of a table by its name, 0 where no file has it."""
    for path in _list_files():
        for line in read_text(path).splitlines():
            words = line.partition("#")[0].split()
            if words[1:] == [name]:
                return _read_number(words[0])
    return 0


def _list_files() -> Iterator[str]:
    for folder in _FOLDERS:
        yield f"{folder}/{_FILE}"
        try:
            names = sorted(posix.listdir(f"{folder}/{_FURTHER}"))
        except OSError:
            continue
        yield from (f"{folder}/{_FURTHER}/{name}" for name in names if name.endswith(_ENDING))


def _read_number(text: str) -> int:
    """A number as rtnl_rttable_a2n has it, decimal or after 0x; 0 for anything else."""
    try:
        return int(text, 0)
    except ValueError:
        return 0
