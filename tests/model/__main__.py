# SPDX-License-Identifier: GPL-2.0-or-later
"""`make model`: many steps, or the replay of a few."""

from __future__ import annotations

import sys
from argparse import ArgumentParser, Namespace
from collections.abc import Callable
from pathlib import Path
from random import SystemRandom
from time import monotonic

from tests.model.driver import Violation, replay, run, shrink
from tests.model.namespace import Installation, find_obstacles
from tests.model.steps import Step, make_step

_TOLD_AT_MOST = 8


def main() -> int:
    options = _read_options()
    if obstacles := find_obstacles():
        print(f"no model: {obstacles}", file=sys.stderr)
        return 1
    installation = Installation(options.deb.resolve())
    try:
        return _replay(installation, options) if options.replay else _run(installation, options)
    finally:
        installation.close()


def _read_options() -> Namespace:
    parser = ArgumentParser("python3 -m tests.model", description=__doc__)
    parser.add_argument("deb", type=Path, help="the package that is installed in namespaces")
    parser.add_argument("--steps", type=int, default=1000)
    parser.add_argument("--seed", type=int, default=SystemRandom().randrange(1 << 32))
    parser.add_argument("--verbose", action="store_true", help="show each step before it is done")
    parser.add_argument("--replay", nargs="+", metavar="STEP", type=make_step,
                        help="do these steps instead")
    return parser.parse_args()


def _run(installation: Installation, options: Namespace) -> int:
    print(f"{options.steps} steps, seed {options.seed}", flush=True)
    since = monotonic()
    violation = run(installation, options.seed, options.steps, _choose_teller(options))
    taken = monotonic() - since
    if violation is None:
        print(f"no violation; {options.steps / taken:.0f} steps a second")
        return 0
    print(f"violation after step {len(violation.steps)}, which is being shrunk:")
    print("\n".join(_list_facts(violation)), flush=True)
    print(tell_violation(shrink(installation, violation), options.deb))
    return 1


def _replay(installation: Installation, options: Namespace) -> int:
    violation = replay(installation, tuple(options.replay), _choose_teller(options))
    print(tell_violation(violation, options.deb) if violation else "no violation")
    return int(violation is not None)


def _choose_teller(options: Namespace) -> Callable[[int, Step], None]:
    def tell(number: int, step: Step) -> None:
        if options.verbose:
            print(f"{number}: {step}", flush=True)

    return tell


def tell_violation(violation: Violation, deb: Path) -> str:
    """A violation as a person reads it, with the command that does it again."""
    return "\n".join([
        *_list_facts(violation), "do it again:", f"  python3 -m tests.model {deb} --replay \\",
        " \\\n".join(f"    '{step}'" for step in violation.steps)])


def _list_facts(violation: Violation) -> list[str]:
    more = len(violation.differences) - _TOLD_AT_MOST
    return [*(f"  {difference}" for difference in violation.differences[:_TOLD_AT_MOST]),
            *[f"  and {more} more"] * (more > 0), f"after '{violation.steps[-1]}', which said:",
            *(f"  {line}" for line in violation.said.splitlines()[-_TOLD_AT_MOST:])]


if __name__ == "__main__":
    sys.exit(main())
