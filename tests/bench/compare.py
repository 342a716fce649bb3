# SPDX-License-Identifier: GPL-2.0-or-later
"""`make compare OLD=old.deb NEW=new.deb`: what the hooks of two packages take, in turn.

Each package is installed in a lab of its own. A round runs a static stanza's hooks in both. Old
and new are lower quartiles; what new takes more is the median of the rounds' differences. Ends
with 1 where a hook of the new package takes more than the bound in addition.
"""

from __future__ import annotations

import json
import subprocess
import sys
from contextlib import ExitStack, closing
from functools import partial
from pathlib import Path

from tests.bench.bench import enter
from tests.bench.rounds import (
    STEPS, Series, Spent, Times, find_difference, find_quartile, take_turns)
from tests.lab.support.lab import Installation, Lab, begin_run, find_obstacles

# The differences of a package to itself are within 0.1 ms then, on a busy machine too.
ROUNDS = 1000
# In milliseconds of a processor, for each hook.
BOUND = 0.15


def main(old: Path, new: Path) -> int:
    obstacles = find_obstacles()
    if obstacles:
        sys.exit(f"make compare: cannot build the lab: {obstacles}")
    begin_run()
    with ExitStack() as stack:
        turns = [partial(ask, start_client(stack, deb), word)
                 for word, deb in (("old", old), ("new", new))]
        series = take_turns(*turns, rounds=ROUNDS)
    print(f"{'hook':<16}{'old':>11}{'new':>11}{'more':>13}{'bound':>13}")
    return max([report(step, series) for step in STEPS])


def start_client(stack: ExitStack, deb: Path) -> subprocess.Popen[str]:
    """What runs a round for each line, in a lab with the package; the stack's end is theirs."""
    installation = stack.enter_context(closing(Installation(deb)))
    lab = stack.enter_context(closing(Lab((installation.layer,))))
    return stack.enter_context(subprocess.Popen(
        enter(lab, "tests.bench.rounds"), stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True))


def ask(client: subprocess.Popen[str], word: str) -> Times:
    """Have a client run a round; its times, under names that begin with a word."""
    assert client.stdin is not None and client.stdout is not None
    client.stdin.write("\n")
    client.stdin.flush()
    told: dict[str, list[float]] = json.loads(client.stdout.readline())
    return {f"{word} {step}": Spent(*spent) for step, spent in told.items()}


def report(step: str, series: Series) -> int:
    """Print what a hook takes, old and new; 1 where it is over the bound."""
    old, new = series[f"old {step}"], series[f"new {step}"]
    more = find_difference(new, old)
    verdict = "OVER" if more > BOUND else "within"
    print(f"{step:<16}{find_quartile(old):>8.2f} ms{find_quartile(new):>8.2f} ms{more:>+10.3f} ms"
          f"{BOUND:>10.2f} ms: {verdict}")
    return int(more > BOUND)


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1]).resolve(), Path(sys.argv[2]).resolve()))
