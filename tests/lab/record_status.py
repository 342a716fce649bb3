# SPDX-License-Identifier: GPL-2.0-or-later
"""Records tests/cases/status anew: `python3 -m tests.lab.record_status DEB`.

Each case is a breakage of the lab as the client saw it: the answers of `ip -j` and
/proc in machine.txt, the record in record/, and what mptcp_status made of them.
"""

from __future__ import annotations

import shutil
import sys
from pathlib import Path

from tests.lab.support.breakages import BREAKAGES, Breakage
from tests.lab.support.lab import Installation, Lab, begin_run
from tests.unit.canned import run_status

CASES = Path(__file__).parents[1] / "cases/status"
# Those whose screens differ.
DRAWN = ("all-good", "two-families", "no-path", "no-carrier", "device-gone", "rule-missing",
         "all-flushed", "endpoint-changed", "shadowed-by-a-vpn", "reverse-path", "slots-full",
         "one-subnet", "no-gateway", "taken-down", "not-set-up", "record-damaged")
_ASK = """\
import sys
sys.path.insert(0, sys.argv[1])
from mptcp_hooks.engine.record import open_store
from mptcp_hooks.status.take_survey import take_survey
from tests.unit.canned import RecordingMachine
machine = RecordingMachine()
with open_store() as store:
    take_survey(machine, store)
print("\\n".join(machine.lines))
"""


def main() -> None:
    """Record every case whose screen is to be seen."""
    begin_run()
    installation = Installation(Path(sys.argv[1]).resolve())
    try:
        for breakage in BREAKAGES:
            if breakage.name in DRAWN:
                _record(installation, breakage)
    finally:
        installation.close()


def _record(installation: Installation, breakage: Breakage) -> None:
    case = CASES / breakage.name
    shutil.rmtree(case, ignore_errors=True)
    (case / "record").mkdir(parents=True)
    lab = Lab((installation.layer,))
    try:
        breakage.prepare(lab)
        breakage.commit(lab)
        root = str(Path(__file__).parents[2])
        (case / "machine.txt").write_text(lab.client.run(sys.executable, "-c", _ASK, root))
        for name in lab.client.try_run("ls", "/run/mptcp-hooks").stdout.split():
            text = lab.client.run("cat", f"/run/mptcp-hooks/{name}")
            (case / "record" / name).write_text(text)
    finally:
        lab.close()
    for name, option in (("screen.txt", ()), ("status.json", ("--json",))):
        _, text = run_status(case, *option)
        (case / name).write_text(text)


if __name__ == "__main__":
    main()
