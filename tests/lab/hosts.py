# SPDX-License-Identifier: GPL-2.0-or-later
"""A lab to work in by hand; it stays until it is removed.

    python3 -m tests.lab.hosts make DEB [PACKAGE...]
    python3 -m tests.lab.hosts remove PID...

`make` has the package DEB and packages of Debian's on the client, and prints how to enter
each host, and how to remove them all.
"""

from __future__ import annotations

import sys
from contextlib import ExitStack, closing
from pathlib import Path

from tests.lab.support.keeping import NoHost, describe_kept, remove_host
from tests.lab.support.lab import Installation, Lab, begin_run, find_obstacles
from tests.lab.support.programs import Programs


def main(verb: str = "", *arguments: str) -> None:
    if verb == "make" and arguments:
        make(Path(arguments[0]).resolve(), arguments[1:])
    elif verb == "remove" and arguments:
        sys.exit(max(remove(int(pid)) for pid in arguments))
    else:
        sys.exit(__doc__)


def make(deb: Path, packages: tuple[str, ...]) -> None:
    """Make the lab, and leave it."""
    if obstacles := find_obstacles():
        sys.exit(f"cannot build the lab: {obstacles}")
    begin_run()
    with ExitStack() as stack:
        layers = [stack.enter_context(closing(Installation(deb))).layer]
        if packages:
            layers.append(stack.enter_context(closing(Programs(packages))).layer)
        lab = Lab(tuple(layers))
        lab.leave()
        print(describe_kept(lab.hosts.items()))


def remove(pid: int) -> int:
    """1 where it was no host, which is said."""
    try:
        remove_host(pid)
    except NoHost as reason:
        print(reason, file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    main(*sys.argv[1:])
