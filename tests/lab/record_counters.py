# SPDX-License-Identifier: GPL-2.0-or-later
"""Record the MPTCP counters of both ends anew, for tests/cases/counters/.

    python3 -m tests.lab.record_counters DEB

What is found in them is written too: read the difference before it is committed.
tests/unit/counter_cases.py says what the files of a case are.
"""

from __future__ import annotations

import sys
from contextlib import closing
from pathlib import Path

from tests.lab.support.boxes import SCENES, play, read_netstat
from tests.lab.support.lab import Installation, Lab, begin_run
from tests.lab.support.programs import Programs
from tests.unit.counter_cases import CASES, find


def record(lab: Lab, folder: Path) -> None:
    """Write one case; the lab is fresh."""
    play(lab, folder.name)
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "client").write_text(read_netstat(lab.client))
    (folder / "server").write_text(read_netstat(lab.server))
    (folder / "findings").write_text(find(folder))


def main(deb: Path) -> None:
    begin_run()
    with closing(Installation(deb)) as client, closing(Programs(("nftables",))) as router:
        for name in SCENES:
            with closing(Lab((client.layer,), router_layers=(router.layer,))) as lab:
                record(lab, CASES / name)


if __name__ == "__main__":
    main(Path(sys.argv[1]).resolve())
