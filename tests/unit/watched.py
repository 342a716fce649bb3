# SPDX-License-Identifier: GPL-2.0-or-later
"""mptcp_status --watch on a recorded machine, for a terminal: `python3 -m tests.unit.watched`.

eth0 sends more each second, up to 48 Mbit/s, of 60 that it once carried; eth1, of which nothing is
remembered, receives in bursts. So far it draws at once, and then it waits for a key. With a file's
name as an argument somebody presses Ctrl-Z during the fifth look, which writes that file then.
"""

from __future__ import annotations

import os
import shutil
import signal
import sys
import tempfile
from pathlib import Path

from mptcp_hooks.engine import record
from mptcp_hooks.engine.remembered import Remembered
from mptcp_hooks.status import looks, terminal, watch
from mptcp_hooks.status.looks import PathsLook, look_at_paths
from tests.unit.canned import CannedMachine

CASE = Path(__file__).parents[1] / "cases/status/two-families"
# What is written by hand on the machine of the case: who is out, and round trips.
BY_HAND = """
$ faults
10.1.2.2 940 gateway silent
$ flows
10.1.1.2 12.2
10.1.1.2 16.2
10.1.1.2 500
fd00:2::2 4.44
"""
REMEMBERED = Remembered("eth0", ("10.1.1.1", "fd00:1::1"), 90_000_000, 60_000_000, "")
LOOKS = 12
SENT = tuple(min(6_000_000, 600_000 * number) for number in range(LOOKS))
RECEIVED = tuple(1_000_000 * (number % 3 == 1) for number in range(LOOKS))


def take_look(number: int) -> PathsLook:
    """What is seen so many seconds after the first look."""
    look = look_at_paths(frozenset())
    if number == 5 and sys.argv[1:]:
        os.kill(os.getpid(), signal.SIGTSTP)
        Path(sys.argv[1]).write_text("")
    sent, received = sum(SENT[:number + 1]), sum(RECEIVED[:number + 1])
    traffic = {"eth0": (sent, sent // 50), "eth1": (received // 50, received)}
    devices = (device._replace(sent=traffic[device.name][0], received=traffic[device.name][1])
               if device.name in traffic else device for device in look.survey.devices)
    return look._replace(moment=float(number), time=73_530.0 + number,
                         survey=look.survey._replace(devices=tuple(devices)))


def main() -> int:
    """Watch; the exit status is mptcp_status's."""
    text = (CASE / "machine.txt").read_text().rstrip() + BY_HAND
    left = list(range(1, LOOKS))

    def read_clock() -> float:
        # The next look is due as long as there is one.
        return float(LOOKS) if left else 0.0

    with tempfile.TemporaryDirectory() as folder:
        for file in (CASE / "record").glob("*"):
            shutil.copyfile(file, f"{folder}/{file.name}")
            Path(folder, file.name).chmod(0o644)
        setattr(record, "RECORD", folder)
        setattr(looks, "AskedMachine", lambda: CannedMachine(text))
        setattr(watch, "load_uplinks", lambda: ((REMEMBERED,), ""))
        setattr(watch, "node", lambda: "client")
        setattr(watch, "monotonic", read_clock)
        setattr(terminal, "monotonic", read_clock)
        return watch.watch(lambda: take_look(left.pop(0)), take_look(0), False)


if __name__ == "__main__":
    sys.exit(main())
